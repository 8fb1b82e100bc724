//! Reports as JSON, and their description.
//!
//! A member that cannot be said is left out, never zero or empty instead: a zero is a count.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::campaign::day_text;
use crate::domain::ids::{CampaignId, GoalId, LinkId, PublisherId};
use crate::domain::money::Currency;
use crate::domain::refusal::Reason;
use crate::domain::report::figures::{Figures, Performance, Refusals};
use crate::domain::report::key::{Key, Row};
use crate::domain::report::losses::{Consent, Losses};
use crate::domain::report::{CONSENT, Dimension, Name, PERFORMANCE, Report};

macro_rules! keys {
    ($(#[$doc:meta])* $name:ident, $allowed:ident) => {
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        pub(super) struct $name(Vec<&'static str>);

        impl $name {
            fn of(dimensions: &[Dimension]) -> Self {
                Self(dimensions.iter().map(|one| one.code()).collect())
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some($allowed.map(Dimension::code)));
                let list = ArrayBuilder::new()
                    .items(words)
                    .unique_items(true)
                    .min_items(Some(1))
                    .max_items(Some($allowed.len()));
                list.build().into()
            }
        }

        impl ToSchema for $name {}
    };
}

keys!(
    /// What the performance report is grouped by.
    PerformanceKeys,
    PERFORMANCE
);
keys!(
    /// What the consent report is grouped by.
    ConsentKeys,
    CONSENT
);

/// An object of the tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct ReportObject {
    /// Its id.
    #[schema(max_length = 36, pattern = "^(cmp|pub|lnk|gol)_[0-9a-f]{32}$")]
    id: String,
    /// Its slug.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    slug: String,
}

/// An amount of money in a report.
#[derive(Debug, Serialize, ToSchema)]
struct ReportAmount {
    /// Minor units of the currency: cents of a euro, whole yen.
    amount_minor: i64,
    /// ISO 4217.
    #[schema(max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: &'static str,
}

/// How often a reason applied.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonCount {
    /// The stable code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    reason: &'static str,
    /// How often.
    #[schema(minimum = 0)]
    events: i64,
}

/// Conversions by their present status. A count can be negative on a day when more of them left a status than came.
#[derive(Debug, Serialize, ToSchema)]
struct ReportConversions {
    /// Waiting for the shop's word.
    pending: i64,
    /// Standing.
    confirmed: i64,
    /// Taken back.
    cancelled: i64,
}

/// Amounts of conversions, one for each currency.
#[derive(Debug, Serialize, ToSchema)]
struct ReportRevenue {
    /// Of pending conversions.
    #[schema(max_items = 300)]
    pending: Vec<ReportAmount>,
    /// Of confirmed conversions.
    #[schema(max_items = 300)]
    confirmed: Vec<ReportAmount>,
}

/// A row of the performance report. Its key has the members that the report is grouped by and that are known.
#[derive(Debug, Serialize, ToSchema)]
struct PerformanceRow {
    /// The tenant's day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, nullable = false)]
    day: Option<String>,
    /// The campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<ReportObject>,
    /// The publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    publisher: Option<ReportObject>,
    /// The tracking link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    link: Option<ReportObject>,
    /// The goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    goal: Option<ReportObject>,
    /// Tracked clicks.
    #[schema(minimum = 0)]
    clicks: i64,
    /// Conversions.
    conversions: ReportConversions,
    /// Postbacks about an order that was there already.
    #[schema(minimum = 0)]
    duplicates: i64,
    /// Postbacks answered with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64, nullable = false)]
    refused: Option<Vec<ReasonCount>>,
    /// Postbacks answered with 200 and not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64, nullable = false)]
    dropped: Option<Vec<ReasonCount>>,
    /// Revenue.
    revenue: ReportRevenue,
    /// Pending and confirmed conversions per click. Left out without clicks, and in rows by goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, pattern = "^-?[0-9]+\\.[0-9]{4}$", nullable = false)]
    conversion_rate: Option<String>,
}

/// Refused and dropped postbacks that cannot be said to be one publisher's, link's or goal's.
#[derive(Debug, Serialize, ToSchema)]
struct UnattributedRow {
    /// The tenant's day, if the report is grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, nullable = false)]
    day: Option<String>,
    /// The campaign, if the report is grouped by it and it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<ReportObject>,
    /// Postbacks answered with an error.
    #[schema(max_items = 64)]
    refused: Vec<ReasonCount>,
    /// Postbacks answered with 200 and not recorded.
    #[schema(max_items = 64)]
    dropped: Vec<ReasonCount>,
}

/// The performance report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PerformanceReport {
    /// The first day.
    #[schema(format = Date)]
    from: String,
    /// The last day, included.
    #[schema(format = Date)]
    to: String,
    /// The zone in which days begin at midnight.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_+/-]+$")]
    time_zone: String,
    /// What rows are grouped by, and sorted by in this order.
    group_by: PerformanceKeys,
    /// The rows.
    #[schema(max_items = 10_000)]
    rows: Vec<PerformanceRow>,
    /// The sums of all rows.
    totals: PerformanceRow,
    /// Refused and dropped postbacks, where the rows are by publisher, link or goal, or filtered by one. They are those
    /// of the whole period, and of the campaign if only one is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 10_000, nullable = false)]
    unattributed: Option<Vec<UnattributedRow>>,
}

/// A row of the consent report. Its key has the members that the report is grouped by and that are known.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentRow {
    /// The tenant's day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, nullable = false)]
    day: Option<String>,
    /// The campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<ReportObject>,
    /// Why. The same code is used for clicks and postbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32, pattern = "^[a-z_]+$", nullable = false)]
    reason: Option<&'static str>,
    /// Clicks that were redirected without being tracked.
    #[schema(minimum = 0)]
    untracked_clicks: i64,
    /// Postbacks answered with an error.
    #[schema(minimum = 0)]
    refused_postbacks: i64,
    /// Postbacks answered with 200 and not recorded.
    #[schema(minimum = 0)]
    dropped_postbacks: i64,
}

/// The consent report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsentReport {
    /// The first day.
    #[schema(format = Date)]
    from: String,
    /// The last day, included.
    #[schema(format = Date)]
    to: String,
    /// The zone in which days begin at midnight.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_+/-]+$")]
    time_zone: String,
    /// What rows are grouped by, and sorted by in this order.
    group_by: ConsentKeys,
    /// The rows.
    #[schema(max_items = 10_000)]
    rows: Vec<ConsentRow>,
    /// The sums of all rows.
    totals: ConsentRow,
}

impl From<&Report<Performance>> for PerformanceReport {
    fn from(report: &Report<Performance>) -> Self {
        let answer = &report.answer;
        let rows = answer
            .rows
            .iter()
            .map(|row| performance_row(report, &row.key, &row.figures));
        let unattributed = answer.unattributed.as_ref();
        Self {
            from: day_text(report.period.from_day),
            to: day_text(report.period.to_day),
            time_zone: report.time_zone.clone(),
            group_by: PerformanceKeys::of(&report.group_by),
            rows: rows.collect(),
            totals: performance_row(report, &Key::default(), &answer.totals),
            unattributed: unattributed
                .map(|rows| rows.iter().map(|row| unattributed_row(report, row)).collect()),
        }
    }
}

impl From<&Report<Consent>> for ConsentReport {
    fn from(report: &Report<Consent>) -> Self {
        let answer = &report.answer;
        let rows = answer
            .rows
            .iter()
            .map(|row| consent_row(report, &row.key, row.figures));
        Self {
            from: day_text(report.period.from_day),
            to: day_text(report.period.to_day),
            time_zone: report.time_zone.clone(),
            group_by: ConsentKeys::of(&report.group_by),
            rows: rows.collect(),
            totals: consent_row(report, &Key::default(), answer.totals),
        }
    }
}

fn performance_row<A>(report: &Report<A>, key: &Key, figures: &Figures) -> PerformanceRow {
    let object = |kind| report.object(kind, key).and_then(|name| object(kind, name));
    let counts = figures.counts;
    let refusals = figures.refusals.as_ref();
    PerformanceRow {
        day: key.number(Dimension::Day).map(day_text),
        campaign: object(Dimension::Campaign),
        publisher: object(Dimension::Publisher),
        link: object(Dimension::Link),
        goal: object(Dimension::Goal),
        clicks: counts.clicks,
        conversions: ReportConversions {
            pending: counts.pending,
            confirmed: counts.confirmed,
            cancelled: counts.cancelled,
        },
        duplicates: counts.duplicates,
        refused: refusals.map(|refusals| by_reason(&refusals.refused)),
        dropped: refusals.map(|refusals| by_reason(&refusals.dropped)),
        revenue: ReportRevenue {
            pending: amounts(&figures.pending_minor),
            confirmed: amounts(&figures.confirmed_minor),
        },
        conversion_rate: figures.conversion_rate.clone(),
    }
}

fn unattributed_row<A>(report: &Report<A>, row: &Row<Refusals>) -> UnattributedRow {
    let campaign = report.object(Dimension::Campaign, &row.key);
    UnattributedRow {
        day: row.key.number(Dimension::Day).map(day_text),
        campaign: campaign.and_then(|name| object(Dimension::Campaign, name)),
        refused: by_reason(&row.figures.refused),
        dropped: by_reason(&row.figures.dropped),
    }
}

fn consent_row<A>(report: &Report<A>, key: &Key, losses: Losses) -> ConsentRow {
    let campaign = report.object(Dimension::Campaign, key);
    ConsentRow {
        day: key.number(Dimension::Day).map(day_text),
        campaign: campaign.and_then(|name| object(Dimension::Campaign, name)),
        reason: key.reason(),
        untracked_clicks: losses.untracked_clicks,
        refused_postbacks: losses.refused_postbacks,
        dropped_postbacks: losses.dropped_postbacks,
    }
}

/// An object's id as it is shown outside.
pub(super) fn shown_id(kind: Dimension, name: &Name) -> Option<String> {
    Some(match kind {
        Dimension::Campaign => CampaignId(name.id).to_string(),
        Dimension::Publisher => PublisherId(name.id).to_string(),
        Dimension::Link => LinkId(name.id).to_string(),
        Dimension::Goal => GoalId(name.id).to_string(),
        Dimension::Day | Dimension::Reason => return None,
    })
}

fn object(kind: Dimension, name: &Name) -> Option<ReportObject> {
    Some(ReportObject {
        id: shown_id(kind, name)?,
        slug: name.slug.clone(),
    })
}

fn by_reason(counts: &BTreeMap<Reason, i64>) -> Vec<ReasonCount> {
    counts
        .iter()
        .map(|(reason, events)| ReasonCount {
            reason: reason.code(),
            events: *events,
        })
        .collect()
}

fn amounts(amounts: &BTreeMap<Currency, i64>) -> Vec<ReportAmount> {
    amounts
        .iter()
        .map(|(currency, amount_minor)| ReportAmount {
            amount_minor: *amount_minor,
            currency: currency.code(),
        })
        .collect()
}
