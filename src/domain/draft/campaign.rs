//! Drafts of campaigns, their goals and the tracking links that lead to them.

use super::{Fault, Fields, Name, agree, check_slug, plain_url, require};
use crate::domain::campaign::{
    Campaign, Goal, Link, MAX_WINDOW_DAYS, Object, Reference, SUB_ID_CHARS, SUB_IDS, Shop,
};
use crate::domain::landing::Template;

const FOREIGN_HOST: &str = "must lead to one of the shop's landing hosts";

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignDraft {
    /// Its name in URLs and files.
    pub slug: String,
    /// The shop whose pages it leads to.
    pub shop: Name,
    /// The landing URL template.
    pub landing_url: String,
    /// The attribution window.
    pub window_days: i64,
    /// Whether links may name another page of the shop.
    pub deep_links: bool,
    /// Where visitors go while it is paused or after its end.
    pub fallback_url: Option<String>,
    /// When it begins.
    pub starts_at_ms: Option<i64>,
    /// When it ends.
    pub ends_at_ms: Option<i64>,
    /// Whether it is paused.
    pub paused: bool,
}

impl CampaignDraft {
    /// Whether this may come into being at some shop.
    pub fn check(&self) -> Result<(), Fault> {
        check_slug(&self.slug)?;
        require(
            Template::parse(&self.landing_url).is_ok(),
            "landing_url",
            "must be an http or https URL with a plain host, known macros and no control characters",
        )?;
        require(
            (1..=MAX_WINDOW_DAYS).contains(&self.window_days),
            "window_days",
            "must be 1 to 90",
        )?;
        require(
            self.fallback_url
                .as_deref()
                .is_none_or(|url| plain_url(url).is_some()),
            "fallback_url",
            "must be an http or https URL without macros",
        )?;
        let ordered = match (self.starts_at_ms, self.ends_at_ms) {
            (Some(start), Some(end)) => start < end,
            _ => true,
        };
        agree(ordered, "ends_at", "must be after starts_at")
    }

    /// Whether its pages are the shop's.
    pub fn check_hosts(&self, shop: &Shop) -> Result<(), Fault> {
        check_hosts(
            &self.landing_url,
            self.fallback_url.as_deref(),
            &shop.landing_hosts,
        )
    }

    /// The campaign as it then is.
    pub fn onto(&self, object: Object, shop: Reference) -> Campaign {
        Campaign {
            object,
            slug: self.slug.clone(),
            shop,
            landing_url: self.landing_url.clone(),
            window_days: self.window_days,
            deep_links: self.deep_links,
            fallback_url: self.fallback_url.clone(),
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms,
            paused: self.paused,
        }
    }
}

fn check_hosts(landing_url: &str, fallback_url: Option<&str>, hosts: &[String]) -> Result<(), Fault> {
    let listed = |url: &str| {
        Template::parse(url).is_ok_and(|template| hosts.iter().any(|host| host == template.host()))
    };
    agree(listed(landing_url), "landing_url", FOREIGN_HOST)?;
    agree(fallback_url.is_none_or(listed), "fallback_url", FOREIGN_HOST)
}

impl Campaign {
    /// The draft that changes nothing.
    pub fn draft(&self) -> CampaignDraft {
        CampaignDraft {
            slug: self.slug.clone(),
            shop: Name::Id(self.shop.id),
            landing_url: self.landing_url.clone(),
            window_days: self.window_days,
            deep_links: self.deep_links,
            fallback_url: self.fallback_url.clone(),
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms,
            paused: self.paused,
        }
    }

    /// Whether its pages are on these hosts.
    pub fn is_on(&self, hosts: &[String]) -> bool {
        check_hosts(&self.landing_url, self.fallback_url.as_deref(), hosts).is_ok()
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("slug", Some(self.slug.clone())),
            ("shop", Some(self.shop.number.to_string())),
            ("landing_url", Some(self.landing_url.clone())),
            ("window_days", Some(self.window_days.to_string())),
            ("deep_links", Some(self.deep_links.to_string())),
            ("fallback_url", self.fallback_url.clone()),
            ("starts_at_ms", self.starts_at_ms.map(|at| at.to_string())),
            ("ends_at_ms", self.ends_at_ms.map(|at| at.to_string())),
            ("paused", Some(self.paused.to_string())),
        ]
    }
}

/// What counts as a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoalDraft {
    /// The campaign.
    pub campaign: Name,
    /// Its name in postbacks.
    pub slug: String,
}

impl GoalDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        check_slug(&self.slug)
    }

    /// The goal as it then is.
    pub fn onto(&self, object: Object, campaign: Reference) -> Goal {
        Goal {
            object,
            campaign,
            slug: self.slug.clone(),
        }
    }
}

impl Goal {
    /// The draft that changes nothing.
    pub fn draft(&self) -> GoalDraft {
        GoalDraft {
            campaign: Name::Id(self.campaign.id),
            slug: self.slug.clone(),
        }
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("campaign", Some(self.campaign.number.to_string())),
            ("slug", Some(self.slug.clone())),
        ]
    }
}

/// A tracking link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDraft {
    /// The path segment of `/c/{link}`.
    pub slug: String,
    /// The campaign.
    pub campaign: Name,
    /// The publisher.
    pub publisher: Name,
    /// Default sub-ids: (1 to 10, text).
    pub subs: Vec<(u8, String)>,
}

impl LinkDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        const NAMES: [&str; SUB_IDS] = [
            "sub1", "sub2", "sub3", "sub4", "sub5", "sub6", "sub7", "sub8", "sub9", "sub10",
        ];
        check_slug(&self.slug)?;
        for (place, text) in &self.subs {
            let name = NAMES.get(usize::from(*place).wrapping_sub(1));
            let name = name.ok_or(Fault::Form("subs", "must be sub1 to sub10"))?;
            let fits =
                (1..=SUB_ID_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
            require(
                fits,
                name,
                "must be 1 to 255 characters, none of them a control character",
            )?;
        }
        Ok(())
    }

    /// The link as it then is.
    pub fn onto(&self, object: Object, campaign: Reference, publisher: Reference) -> Link {
        let mut subs = self.subs.clone();
        subs.sort_unstable();
        Link {
            object,
            slug: self.slug.clone(),
            campaign,
            publisher,
            subs,
        }
    }
}

impl Link {
    /// The draft that changes nothing.
    pub fn draft(&self) -> LinkDraft {
        LinkDraft {
            slug: self.slug.clone(),
            campaign: Name::Id(self.campaign.id),
            publisher: Name::Id(self.publisher.id),
            subs: self.subs.clone(),
        }
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        let subs = self.subs.iter().map(|(place, text)| format!("sub{place}={text}"));
        vec![
            ("slug", Some(self.slug.clone())),
            ("campaign", Some(self.campaign.number.to_string())),
            ("publisher", Some(self.publisher.number.to_string())),
            ("subs", Some(subs.collect::<Vec<_>>().join(", "))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> CampaignDraft {
        CampaignDraft {
            slug: "autumn".to_owned(),
            shop: Name::Slug("main".to_owned()),
            landing_url: "https://shop.example/landing?utm_source={publisher}".to_owned(),
            window_days: 30,
            deep_links: false,
            fallback_url: Some("https://shop.example/".to_owned()),
            starts_at_ms: Some(1),
            ends_at_ms: Some(2),
            paused: false,
        }
    }

    #[test]
    fn a_campaign_leads_to_its_shop_and_nowhere_else() {
        let hosts = ["shop.example".to_owned(), "localhost".to_owned()];
        let on = |landing: &str, fallback: Option<&str>| check_hosts(landing, fallback, &hosts);
        assert_eq!(
            on("http://localhost:8081/x", Some("http://localhost:8081/")),
            Ok(())
        );
        assert_eq!(
            on("https://evil.example/", None),
            Err(Fault::Clash("landing_url", FOREIGN_HOST))
        );
        assert_eq!(
            on(
                "https://shop.example/",
                Some("https://shop.example.evil.example/")
            ),
            Err(Fault::Clash("fallback_url", FOREIGN_HOST))
        );
    }

    type Spoil = fn(&mut CampaignDraft);

    #[test]
    fn faults_name_their_field() {
        let cases: [(Fault, Spoil); 6] = [
            (Fault::Form("landing_url", ""), |d| {
                d.landing_url = "ftp://shop.example/".to_owned();
            }),
            (Fault::Form("landing_url", ""), |d| {
                d.landing_url += "\r\nSet-Cookie: a=b";
            }),
            (Fault::Form("window_days", ""), |d| d.window_days = 91),
            (Fault::Form("fallback_url", ""), |d| {
                d.fallback_url = Some("https://shop.example/{sub1}".to_owned());
            }),
            (Fault::Form("fallback_url", ""), |d| {
                d.fallback_url = Some("https://shop.example/ä".to_owned());
            }),
            (Fault::Clash("ends_at", ""), |d| d.ends_at_ms = Some(1)),
        ];
        assert_eq!(draft().check(), Ok(()));
        for (expected, spoil) in cases {
            let mut draft = draft();
            spoil(&mut draft);
            let found = draft.check().expect_err("spoilt");
            assert_eq!(found.parts().0, expected.parts().0);
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected));
        }
    }

    #[test]
    fn a_sub_id_too_long_is_refused_and_never_cut() {
        let link = |text: String| LinkDraft {
            slug: "Ab3xK9".to_owned(),
            campaign: Name::Slug("autumn".to_owned()),
            publisher: Name::Slug("news".to_owned()),
            subs: vec![(10, text)],
        };
        assert_eq!(link("ä".repeat(255)).check(), Ok(()));
        for bad in ["ä".repeat(256), String::new(), "a\nb".to_owned()] {
            let fault = link(bad).check().expect_err("refused");
            assert_eq!(fault.parts().0, "sub10");
        }
    }
}
