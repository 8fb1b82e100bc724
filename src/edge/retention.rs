//! `/v1/retention`: how long each class of data is kept, and what is planned against what was done.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::objects::Acting;
use super::objects::answers::{Clashing, Invalid};
use super::objects::fields::{
    LongerReasonWord, Moment, RetentionClassWord, RetentionDays, SettableClassWord, given,
};
use super::problem::Problem;
use super::request::{Json, Query};
use crate::domain::retention::{Class, Rule, Term};
use crate::flow::retention::{RetentionFlow, Standing};

/// The routes.
pub fn routes() -> OpenApiRouter<RetentionFlow> {
    OpenApiRouter::new().routes(routes!(read_retention, change_retention))
}

/// How long every class of data is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retention {
    /// Class by class, overdue ones first.
    #[schema(max_items = 16)]
    classes: Vec<RetentionClass>,
}

/// How a class of data stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionClass {
    /// The class; docs/retention.md says what is in it.
    class: RetentionClassWord,
    /// How its time is told: `days`; `own_expiry`, each row carries its end; `follows`, as long as the row that it stands
    /// in; `kept`, for good, since nothing in it is about a person.
    #[schema(value_type = String, max_length = 10, pattern = "^(days|own_expiry|follows|kept)$")]
    term: &'static str,
    /// For how many days it is kept. Clicks stay at least as long as their campaign's window and seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    days: Option<RetentionDays>,
    /// For how many by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default_days: Option<RetentionDays>,
    /// For how many at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    min_days: Option<RetentionDays>,
    /// For how many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_days: Option<RetentionDays>,
    /// Whose rule it is: `default` or `tenant`.
    #[schema(value_type = String, max_length = 7, pattern = "^(default|tenant)$")]
    source: &'static str,
    /// Why it is kept longer than by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<LongerReasonWord>,
    /// What the next purge takes: rows from before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cut_off: Option<Moment>,
    /// Rows that the next purge removes, as of now; counted up to 10,000.
    #[schema(minimum = 0, maximum = 10_000)]
    due: u64,
    /// Rows beyond their time that a hold keeps; counted up to 10,000.
    #[schema(minimum = 0, maximum = 10_000)]
    held: u64,
    /// Rows beyond their time of people whose data is frozen; counted up to 10,000.
    #[schema(minimum = 0, maximum = 10_000)]
    restricted: u64,
    /// When the oldest row was made. Of conversions' details: of the oldest click's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    oldest_at: Option<Moment>,
    /// Whether rows that may go are still there a day and a half after their time.
    overdue: bool,
    /// The last purge that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_run: Option<RetentionRun>,
}

/// A purge of a class.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRun {
    /// When it began.
    started_at: Moment,
    /// When it ended.
    ended_at: Moment,
    /// Rows from before this went.
    cut_off: Moment,
    /// How many went.
    #[schema(minimum = 0)]
    removed: i64,
    /// How many a hold kept.
    #[schema(minimum = 0)]
    left_held: i64,
    /// How many were frozen.
    #[schema(minimum = 0)]
    left_restricted: i64,
}

impl RetentionClass {
    fn of(standing: &Standing) -> Self {
        let (term, bounds) = match standing.term {
            Term::Days { default, min, max } => ("days", Some((default, min, max))),
            Term::OwnExpiry => ("own_expiry", None),
            Term::Follows => ("follows", None),
            Term::Kept => ("kept", None),
        };
        let last = standing.last.and_then(|run| {
            Some(RetentionRun {
                started_at: Moment(run.started_at_ms),
                ended_at: Moment(run.ended_at_ms?),
                cut_off: Moment(run.cut_off_ms),
                removed: run.removed,
                left_held: run.left_held,
                left_restricted: run.left_restricted,
            })
        });
        Self {
            class: RetentionClassWord(standing.class),
            term,
            days: standing.days.map(RetentionDays),
            default_days: bounds.map(|(default, ..)| RetentionDays(default)),
            min_days: bounds.map(|(_, min, _)| RetentionDays(min)),
            max_days: bounds.map(|(.., max)| RetentionDays(max)),
            source: if standing.rule.is_some() {
                "tenant"
            } else {
                "default"
            },
            reason: standing.rule.and_then(|rule| rule.reason).map(LongerReasonWord),
            next_cut_off: standing.cut_off_ms.map(Moment),
            due: standing.due,
            held: standing.held,
            restricted: standing.restricted,
            oldest_at: standing.oldest_ms.map(Moment),
            overdue: standing.overdue,
            last_run: last,
        }
    }

    fn example() -> Self {
        let rule = Rule {
            class: Class::Click,
            days: 21,
            reason: None,
        };
        Self::of(&Standing {
            class: Class::Click,
            term: Class::Click.term(),
            days: Some(rule.days),
            rule: Some(rule),
            cut_off_ms: Some(1_793_923_200_000),
            due: 1_204,
            held: 0,
            restricted: 3,
            oldest_ms: Some(1_793_836_800_000),
            last: None,
            overdue: false,
        })
    }
}

/// It takes no parameters, and says so to whoever sends one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// Read how long data is kept
///
/// For every class its rule, what the next purge takes, and what the last one did; overdue classes first. Nothing in it is
/// about a person.
#[utoipa::path(get, path = "/v1/retention", operation_id = "read_retention", tag = "retention",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Every class.", body = Retention,
            example = json!(Retention { classes: vec![RetentionClass::example()] })),
        Invalid,
    ))]
async fn read_retention(
    State(flow): State<RetentionFlow>,
    Acting(caller): Acting,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<axum::Json<Retention>, Problem> {
    let standings = flow.standings(caller.scope).await?;
    Ok(axum::Json(Retention {
        classes: standings.iter().map(RetentionClass::of).collect(),
    }))
}

/// How long a class is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"class": "click", "days": 21}))]
pub struct RetentionChange {
    /// The class.
    class: SettableClassWord,
    /// For how many days, within the class's bounds; the default if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    days: Option<RetentionDays>,
    /// Why, where that is longer than by default.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    reason: Option<LongerReasonWord>,
}

/// Change how long a class is kept
///
/// Takes effect with the next purge. Longer than by default needs a reason, which is kept and stands in the audit log.
#[utoipa::path(patch, path = "/v1/retention", operation_id = "change_retention", tag = "retention",
    security(("bearer" = [])),
    request_body(content = RetentionChange, description = "The class and its days."),
    responses(
        (status = 200, description = "The class as it stands now.", body = RetentionClass,
            example = json!(RetentionClass::example())),
        Invalid, Clashing,
    ))]
async fn change_retention(
    State(flow): State<RetentionFlow>,
    Acting(caller): Acting,
    Json(body): Json<RetentionChange>,
) -> Result<axum::Json<RetentionClass>, Problem> {
    let days = body.days.map(|days| days.0);
    let reason = body.reason.map(|reason| reason.0);
    let standing = flow.set(&caller, body.class.0, days, reason).await?;
    Ok(axum::Json(RetentionClass::of(&standing)))
}
