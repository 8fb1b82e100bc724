//! The shadow report as it is asked for and answered.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::fields::{CampaignId, Slug, TimeZone};
use crate::domain::campaign::day_text;
use crate::domain::report::Dimension;
use crate::domain::report::period::{Period, parse_day};
use crate::edge::problem::Problem;
use crate::flow::objects::ShadowReport;

/// Which days are asked about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShadowQuery {
    /// The first day, in the tenant's time zone. Left out: 29 days before the last one.
    #[param(value_type = Option<String>, format = Date, nullable = false, example = "2026-11-01")]
    from: Option<String>,
    /// The last day, included. Left out: today. A period has at most 400 days.
    #[param(value_type = Option<String>, format = Date, nullable = false, example = "2026-11-24")]
    to: Option<String>,
}

impl ShadowQuery {
    /// The days since 1970.
    pub fn days(&self) -> Result<(Option<i64>, Option<i64>), Problem> {
        let day = |parameter: &'static str, text: Option<&str>| {
            let wrong = || Problem::invalid(parameter, "must be a date such as 2026-11-24");
            text.map(|text| parse_day(text).ok_or_else(wrong)).transpose()
        };
        Ok((day("from", self.from.as_deref())?, day("to", self.to.as_deref())?))
    }
}

/// A campaign in a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShadowCampaign {
    /// Its id.
    id: CampaignId,
    /// Its slug.
    slug: Slug,
}

/// What a policy says of a click or postback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowVerdict {
    /// `tracked` or `untracked` for clicks; `recorded`, `duplicate`, `dropped` or `refused` for postbacks.
    #[schema(
        max_length = 16,
        pattern = "^(tracked|untracked|recorded|duplicate|dropped|refused)$"
    )]
    outcome: String,
    /// The stable code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    reason: String,
}

impl ShadowVerdict {
    fn of((outcome, reason): (String, String)) -> Self {
        Self { outcome, reason }
    }
}

/// One way in which the draft would have said otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShadowRow {
    /// The tenant's day.
    #[schema(format = Date)]
    day: String,
    /// The campaign; left out where it is not known or not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<ShadowCampaign>,
    /// `click` or `postback`.
    #[schema(max_length = 8, pattern = "^(click|postback)$")]
    kind: String,
    /// What came of it under the policy in force.
    in_force: ShadowVerdict,
    /// What would have come of it under the draft.
    draft: ShadowVerdict,
    /// How often.
    #[schema(minimum = 1, format = Int64)]
    events: i64,
}

/// How many the draft was asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShadowTotal {
    /// All of them.
    #[schema(minimum = 0, format = Int64)]
    evaluated: i64,
    /// Those of which it would have said otherwise.
    #[schema(minimum = 0, format = Int64)]
    different: i64,
}

/// What a draft would have said otherwise.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowReport)]
pub struct ShadowReportBody {
    /// The first day.
    #[schema(format = Date)]
    from: String,
    /// The last day, included.
    #[schema(format = Date)]
    to: String,
    /// Days begin at its midnight.
    time_zone: TimeZone,
    /// Clicks, without robots.
    clicks: ShadowTotal,
    /// Postbacks, without tests and dry runs.
    postbacks: ShadowTotal,
    /// Where it would have said otherwise, by day.
    #[schema(max_items = 10_000)]
    items: Vec<ShadowRow>,
}

impl ShadowReportBody {
    /// The answer.
    pub fn of(report: ShadowReport) -> Self {
        let mut body = Self::empty(report.period, report.time_zone);
        for sum in report.sums {
            let is_different = sum.in_force != sum.draft;
            let total = if sum.kind == "click" {
                &mut body.clicks
            } else {
                &mut body.postbacks
            };
            total.evaluated += sum.events;
            if !is_different {
                continue;
            }
            total.different += sum.events;
            let campaign = report.names.get(&(Dimension::Campaign, sum.campaign));
            body.items.push(ShadowRow {
                day: day_text(sum.day),
                campaign: campaign.map(|name| ShadowCampaign {
                    id: name.id.into(),
                    slug: Slug(name.slug.clone()),
                }),
                kind: sum.kind,
                in_force: ShadowVerdict::of(sum.in_force),
                draft: ShadowVerdict::of(sum.draft),
                events: sum.events,
            });
        }
        body
    }

    fn empty(period: Period, time_zone: String) -> Self {
        Self {
            from: day_text(period.from_day),
            to: day_text(period.to_day),
            time_zone: TimeZone(time_zone),
            clicks: ShadowTotal::default(),
            postbacks: ShadowTotal::default(),
            items: Vec::new(),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let said = |outcome: &str, reason: &str| ShadowVerdict::of((outcome.to_owned(), reason.to_owned()));
        Self {
            from: "2026-11-01".to_owned(),
            to: "2026-11-24".to_owned(),
            time_zone: TimeZone("Europe/Berlin".to_owned()),
            clicks: ShadowTotal {
                evaluated: 1_200,
                different: 48,
            },
            postbacks: ShadowTotal::default(),
            items: vec![ShadowRow {
                day: "2026-11-24".to_owned(),
                campaign: Some(ShadowCampaign {
                    id: super::example_reference().id.into(),
                    slug: Slug("autumn".to_owned()),
                }),
                kind: "click".to_owned(),
                in_force: said("tracked", "accepted"),
                draft: said("untracked", "consent_missing"),
                events: 48,
            }],
        }
    }
}
