//! Drafts: the complete desired state of an object, and whether it may come into being.
//!
//! The API and the provisioning file both end here, so that what one refuses the other refuses too. A draft names other
//! objects by id or slug; the flow finds them, and `onto` puts draft and findings together. Two kinds of fault are kept
//! apart: a value that is wrong in itself, and values that do not go together, with one another or with what is there.

mod campaign;
mod shop;
mod user;

use uuid::Uuid;

pub use campaign::{CampaignDraft, GoalDraft, LinkDraft};
pub use shop::{HMAC_SECRETS, ShopDraft};
pub use user::{ApiKeyDraft, UserDraft, check_rights};

use super::campaign::{
    Controller, Object, Publisher, Tenant, valid_country, valid_name, valid_slug, valid_time_zone,
};
use super::event::Change;
use super::landing::Template;
use super::policy::{Policy, PolicyDraft};

/// Why a draft is refused: the field and what is wrong with it, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The value is wrong in itself.
    Form(&'static str, &'static str),
    /// The value is fine but does not go together with another one.
    Clash(&'static str, &'static str),
}

impl Fault {
    /// The field and the words.
    pub fn parts(self) -> (&'static str, &'static str) {
        match self {
            Fault::Form(field, words) | Fault::Clash(field, words) => (field, words),
        }
    }
}

/// How a draft names another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By its id, as the API does.
    Id(Uuid),
    /// By its slug (a user's: its name), as files do.
    Slug(String),
}

/// An object's fields as the trail writes them.
pub type Fields = Vec<(&'static str, Option<String>)>;

/// What differs between an object before (nothing, if it is new) and after.
pub fn differences(before: Option<&Fields>, after: &Fields) -> Vec<Change> {
    let old = |field: &str| {
        let found = before?.iter().find(|(name, _)| *name == field)?;
        found.1.clone()
    };
    let change = |(field, new): &(&'static str, Option<String>)| {
        let old = old(field);
        (old != *new).then(|| Change {
            field,
            old,
            new: new.clone(),
        })
    };
    after.iter().filter_map(change).collect()
}

const SLUG: &str = "must be 1 to 64 letters, digits, - or _, beginning with a letter or digit";
const TEXT: &str = "must be 1 to 128 characters, none of them a control character";

fn check_slug(slug: &str) -> Result<(), Fault> {
    require(valid_slug(slug), "slug", SLUG)
}

pub(super) fn require(holds: bool, field: &'static str, words: &'static str) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Form(field, words))
    }
}

pub(super) fn agree(holds: bool, field: &'static str, words: &'static str) -> Result<(), Fault> {
    if holds {
        Ok(())
    } else {
        Err(Fault::Clash(field, words))
    }
}

/// An address without places for values, written so that it can stand in a `Location` header as it is.
fn plain_url(text: &str) -> Option<Template> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    Template::parse(text)
        .ok()
        .filter(|template| visible && !template.has_macros())
}

/// A list in one text.
fn listed(items: &[String]) -> String {
    items.join(", ")
}

/// A tenant with the policy that is to be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDraft {
    /// Its name in URLs and files.
    pub slug: String,
    /// IANA name.
    pub time_zone: String,
    /// The controller.
    pub controller: Option<Controller>,
    /// Whether it works by the four-eyes principle; left out: as it does.
    pub four_eyes: Option<bool>,
    /// The policy.
    pub policy: Policy,
    /// Why the policy is as it is.
    pub policy_reason: Option<String>,
    /// From when it is to be in force; at once if empty.
    pub policy_from_ms: Option<i64>,
}

impl TenantDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        check_slug(&self.slug)?;
        require(
            valid_time_zone(&self.time_zone),
            "time_zone",
            "must be a time zone's IANA name, such as Europe/Berlin",
        )?;
        if let Some(controller) = &self.controller {
            check_controller(controller)?;
        }
        self.policy_draft().check()
    }

    /// The tenant as it then is. The four-eyes principle is not given up by one pair of eyes: that takes an approval.
    pub fn onto(&self, object: Object, old: Option<&Tenant>) -> Tenant {
        Tenant {
            object,
            slug: self.slug.clone(),
            time_zone: self.time_zone.clone(),
            controller: self.controller.clone(),
            four_eyes: self.four_eyes == Some(true) || old.is_some_and(|old| old.four_eyes),
        }
    }

    /// The policy that this asks for.
    pub fn policy_draft(&self) -> PolicyDraft {
        PolicyDraft {
            policy: self.policy.clone().normal(),
            reason: self.policy_reason.clone(),
            from_ms: self.policy_from_ms,
            shadow: false,
        }
    }
}

fn check_controller(controller: &Controller) -> Result<(), Fault> {
    require(valid_name(&controller.name), "controller.name", TEXT)?;
    require(valid_name(&controller.contact), "controller.contact", TEXT)?;
    require(
        valid_country(&controller.jurisdiction),
        "controller.jurisdiction",
        "must be two capital letters (ISO 3166-1), such as DE",
    )?;
    require(
        plain_url(&controller.notice_url).is_some(),
        "controller.notice_url",
        "must be an http or https URL",
    )
}

impl Tenant {
    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        let controller = |part: fn(&Controller) -> &String| self.controller.as_ref().map(part).cloned();
        vec![
            ("slug", Some(self.slug.clone())),
            ("time_zone", Some(self.time_zone.clone())),
            ("four_eyes", self.four_eyes.then(|| "true".to_owned())),
            ("controller.name", controller(|controller| &controller.name)),
            ("controller.contact", controller(|controller| &controller.contact)),
            (
                "controller.jurisdiction",
                controller(|controller| &controller.jurisdiction),
            ),
            (
                "controller.notice_url",
                controller(|controller| &controller.notice_url),
            ),
        ]
    }
}

/// A publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherDraft {
    /// Its name in URLs and files.
    pub slug: String,
    /// The contract and notice on which its own `consent` word may grant.
    pub explicit_consent: Option<String>,
}

impl PublisherDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        check_slug(&self.slug)?;
        let contract = self.explicit_consent.as_deref().is_none_or(valid_name);
        require(contract, "explicit_consent", TEXT)
    }

    /// The publisher as it then is.
    pub fn onto(&self, object: Object) -> Publisher {
        Publisher {
            object,
            slug: self.slug.clone(),
            explicit_consent: self.explicit_consent.clone(),
        }
    }
}

impl Publisher {
    /// The draft that changes nothing.
    pub fn draft(&self) -> PublisherDraft {
        PublisherDraft {
            slug: self.slug.clone(),
            explicit_consent: self.explicit_consent.clone(),
        }
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("slug", Some(self.slug.clone())),
            ("explicit_consent", self.explicit_consent.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantDraft {
        TenantDraft {
            slug: "acme".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            controller: Some(Controller {
                name: "Acme Versicherung AG".to_owned(),
                contact: "datenschutz@acme.example".to_owned(),
                jurisdiction: "DE".to_owned(),
                notice_url: "https://acme.example/datenschutz".to_owned(),
            }),
            four_eyes: None,
            policy: Policy::default(),
            policy_reason: None,
            policy_from_ms: None,
        }
    }

    type Spoil = fn(&mut TenantDraft);

    #[test]
    fn a_fault_names_the_field_and_not_the_value() {
        let cases: [(&str, Spoil); 6] = [
            ("slug", |draft| draft.slug = "no slug".to_owned()),
            ("time_zone", |draft| draft.time_zone = "Mars/Olympus".to_owned()),
            ("require", |draft| draft.policy.require.clear()),
            ("tcf_vendor_id", |draft| draft.policy.tcf_vendor_id = Some(0)),
            ("controller.jurisdiction", |draft| {
                draft.controller.as_mut().expect("set").jurisdiction = "de".to_owned();
            }),
            ("controller.notice_url", |draft| {
                draft.controller.as_mut().expect("set").notice_url = "https://a.example/{link}".to_owned();
            }),
        ];
        assert_eq!(tenant().check(), Ok(()));
        for (field, spoil) in cases {
            let mut draft = tenant();
            spoil(&mut draft);
            assert_eq!(draft.check().map_err(|fault| fault.parts().0), Err(field));
        }
    }

    #[test]
    fn a_difference_carries_old_and_new() {
        let before: Fields = vec![("slug", Some("a".to_owned())), ("explicit_consent", None)];
        let after: Fields = vec![
            ("slug", Some("b".to_owned())),
            ("explicit_consent", Some("notice-1".to_owned())),
        ];
        let found = differences(Some(&before), &after);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].old.as_deref(), found[0].new.as_deref()),
            (Some("a"), Some("b"))
        );
        assert_eq!(differences(Some(&after), &after), []);
        assert_eq!(differences(None, &before).len(), 1);
    }
}
