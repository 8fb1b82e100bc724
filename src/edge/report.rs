//! `/v1/reports`: what was counted, as JSON for programs and as CSV for spreadsheets.
//!
//! A question is read strictly: a parameter that is not known, or comes twice, is refused by name, so that a misspelt
//! filter cannot pass for an answer about everything.

mod answer;
mod example;
mod sheet;

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answer::{ConsentKeys, ConsentReport, PerformanceKeys, PerformanceReport};
use self::sheet::{Attachment, Sheet};
use super::auth::Authenticated;
use super::problem::{Problem, ProblemBody};
use super::request::{Named, Query};
use crate::domain::ids::{CampaignId, GoalId, LinkId, PublisherId};
use crate::domain::refusal::Reason;
use crate::domain::report::period::{Period, parse_day};
use crate::domain::report::{CONSENT, Dimension, PERFORMANCE, grouping};
use crate::flow::report::{Question, ReportFlow};

const DAY_FORM: &str = "must be a date such as 2026-11-24";

/// The routes of this capability.
pub fn routes() -> OpenApiRouter<ReportFlow> {
    OpenApiRouter::new()
        .routes(routes!(read_performance_report))
        .routes(routes!(read_consent_report))
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReportFormat {
    /// JSON.
    Json,
    /// Comma-separated values, to be saved as a file.
    Csv,
}

/// What the performance report is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PerformanceQuery {
    /// The first day, in the tenant's time zone. Left out: 29 days before the last one.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day, included. Left out: today. A period has at most 400 days.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-24")]
    to: Option<String>,
    /// What rows are grouped by, and sorted by in this order; each at most once. Left out: `day`.
    #[param(value_type = Option<PerformanceKeys>, inline, style = Form, explode = false, example = json!(["day", "campaign"]))]
    group_by: Option<String>,
    /// Only this campaign.
    #[param(max_length = 36, pattern = "^cmp_[0-9a-f]{32}$")]
    campaign: Option<String>,
    /// Only this publisher.
    #[param(max_length = 36, pattern = "^pub_[0-9a-f]{32}$")]
    publisher: Option<String>,
    /// Only this tracking link.
    #[param(max_length = 36, pattern = "^lnk_[0-9a-f]{32}$")]
    link: Option<String>,
    /// Only conversions of this goal. A click belongs to no goal: all clicks of the goal's campaign stay in.
    #[param(max_length = 36, pattern = "^gol_[0-9a-f]{32}$")]
    goal: Option<String>,
    /// The form of the answer. Left out: CSV if the `Accept` header prefers `text/csv`, else JSON.
    #[param(inline)]
    format: Option<ReportFormat>,
}

/// What the consent report is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ConsentQuery {
    /// The first day, in the tenant's time zone. Left out: 29 days before the last one.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    from: Option<String>,
    /// The last day, included. Left out: today. A period has at most 400 days.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-24")]
    to: Option<String>,
    /// What rows are grouped by, and sorted by in this order; each at most once. Left out: all three.
    #[param(value_type = Option<ConsentKeys>, inline, style = Form, explode = false, example = json!(["day", "reason"]))]
    group_by: Option<String>,
    /// Only this campaign. Counts that name no campaign are left out then.
    #[param(max_length = 36, pattern = "^cmp_[0-9a-f]{32}$")]
    campaign: Option<String>,
    /// The form of the answer. Left out: CSV if the `Accept` header prefers `text/csv`, else JSON.
    #[param(inline)]
    format: Option<ReportFormat>,
}

/// Read the performance report
///
/// Clicks, conversions by status, duplicates, refused and dropped postbacks by reason, revenue by currency and the
/// conversion rate, from counters that are kept in the transaction of each decision. Test conversions are not in it.
/// Rows in which everything is zero are left out; rows always add up to the totals.
///
/// Refused and dropped postbacks leave nothing behind but their shop, campaign, day and reason. Grouped or filtered by
/// publisher, link or goal, the report therefore shows them in `unattributed`, by day and campaign only, and not in the
/// rows. A key part that is left out of a row was not known: the campaign of a postback without a token, the link of
/// an erased click, or the goal of clicks. Grouped by goal, clicks have a row of their own and only the totals have a
/// conversion rate; filter by `goal` to get the rate of one.
///
/// A shop's key sees its own shop's figures. A publisher's key sees its own, and no refused or dropped postbacks.
#[utoipa::path(
    get,
    path = "/v1/reports/performance",
    operation_id = "read_performance_report",
    tag = "reports",
    security(("bearer" = [])),
    params(PerformanceQuery),
    responses(
        (
            status = 200,
            description = "The report",
            content(
                (PerformanceReport = "application/json", example = json!(example::performance())),
                (Sheet = "text/csv", example = "line,day,clicks,pending,confirmed,cancelled,duplicates,conversion_rate,revenue_confirmed_EUR\r\nrow,2026-11-24,120,0,6,1,0,0.0500,299.40\r\ntotal,,120,0,6,1,0,0.0500,299.40\r\n"),
            ),
            headers(("Content-Disposition" = inline(Attachment), description = "Sent with CSV only: the file's name"))
        ),
        (
            status = 400,
            description = "A parameter is wrong, the period is too long, or the answer would have more than 10,000 rows",
            body = ProblemBody,
            content_type = "application/problem+json",
            example = json!(example::problem(&Problem::invalid("from", DAY_FORM)))
        ),
        (
            status = 404,
            description = "There is no such campaign, publisher, link or goal here",
            body = ProblemBody,
            content_type = "application/problem+json",
            example = json!(example::problem(&Problem::new(Reason::NotFound)))
        ),
    )
)]
async fn read_performance_report(
    State(flow): State<ReportFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    headers: HeaderMap,
    Query(query): Query<PerformanceQuery>,
) -> Result<Response, Problem> {
    let question = Question {
        from_day: day("from", query.from.as_deref())?,
        to_day: day("to", query.to.as_deref())?,
        group_by: keys(query.group_by.as_deref(), &PERFORMANCE, &[Dimension::Day])?,
        campaign: id::<CampaignId>("campaign", query.campaign.as_deref())?.map(|id| id.0),
        publisher: id::<PublisherId>("publisher", query.publisher.as_deref())?.map(|id| id.0),
        link: id::<LinkId>("link", query.link.as_deref())?.map(|id| id.0),
        goal: id::<GoalId>("goal", query.goal.as_deref())?.map(|id| id.0),
    };
    let csv = prefers_csv(query.format, &headers);
    let report = flow.performance(&principal, &question).await?;
    Ok(if csv {
        flow.exported(&principal, "performance", request).await?;
        let sheet = Sheet::of_performance(&report).map_err(|_| Problem::new(Reason::Internal))?;
        file("performance", report.period, sheet)
    } else {
        fresh(Json(PerformanceReport::from(&report)).into_response())
    })
}

/// Read the consent report
///
/// What consent cost, in plain counts: clicks that were redirected without being tracked, and postbacks that were
/// refused or dropped, by day, campaign and reason. Nothing else about them was kept. The campaign is left out where it
/// is not known (a postback without a token) or not counted (policies that count per tenant only).
#[utoipa::path(
    get,
    path = "/v1/reports/consent",
    operation_id = "read_consent_report",
    tag = "reports",
    security(("bearer" = [])),
    params(ConsentQuery),
    responses(
        (
            status = 200,
            description = "The report",
            content(
                (ConsentReport = "application/json", example = json!(example::consent())),
                (Sheet = "text/csv", example = "line,day,reason,untracked_clicks,refused_postbacks,dropped_postbacks\r\nrow,2026-11-24,consent_denied,48,2,0\r\ntotal,,,48,2,0\r\n"),
            ),
            headers(("Content-Disposition" = inline(Attachment), description = "Sent with CSV only: the file's name"))
        ),
        (
            status = 400,
            description = "A parameter is wrong, the period is too long, or the answer would have more than 10,000 rows",
            body = ProblemBody,
            content_type = "application/problem+json",
            example = json!(example::problem(&Problem::invalid("from", DAY_FORM)))
        ),
        (
            status = 404,
            description = "There is no such campaign here",
            body = ProblemBody,
            content_type = "application/problem+json",
            example = json!(example::problem(&Problem::new(Reason::NotFound)))
        ),
    )
)]
async fn read_consent_report(
    State(flow): State<ReportFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    headers: HeaderMap,
    Query(query): Query<ConsentQuery>,
) -> Result<Response, Problem> {
    let question = Question {
        from_day: day("from", query.from.as_deref())?,
        to_day: day("to", query.to.as_deref())?,
        group_by: keys(query.group_by.as_deref(), &CONSENT, &CONSENT)?,
        campaign: id::<CampaignId>("campaign", query.campaign.as_deref())?.map(|id| id.0),
        ..Question::default()
    };
    let csv = prefers_csv(query.format, &headers);
    let report = flow.consent(&principal, &question).await?;
    Ok(if csv {
        flow.exported(&principal, "consent", request).await?;
        let sheet = Sheet::of_consent(&report).map_err(|_| Problem::new(Reason::Internal))?;
        file("consent", report.period, sheet)
    } else {
        fresh(Json(ConsentReport::from(&report)).into_response())
    })
}

fn day(parameter: &'static str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    text.map(|text| parse_day(text).ok_or_else(|| Problem::invalid(parameter, DAY_FORM)))
        .transpose()
}

fn keys(
    text: Option<&str>,
    allowed: &[Dimension],
    otherwise: &[Dimension],
) -> Result<Vec<Dimension>, Problem> {
    let Some(text) = text else {
        return Ok(otherwise.to_vec());
    };
    grouping(text, allowed).map_err(|error| Problem::invalid("group_by", error.sentence()))
}

fn id<T: FromStr>(parameter: &'static str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Problem::invalid(parameter, "is not an id of this kind"))
    })
    .transpose()
}

/// The parameter decides; without it CSV is sent to whom it is the better answer for.
fn prefers_csv(format: Option<ReportFormat>, headers: &HeaderMap) -> bool {
    if let Some(format) = format {
        return format == ReportFormat::Csv;
    }
    let (mut csv, mut json) = (0.0, 0.0);
    for (range, weight) in accepted(headers) {
        match range.as_str() {
            "text/csv" | "text/*" => csv = weight,
            "application/json" | "application/*" | "*/*" => json = weight,
            _ => {}
        }
    }
    csv > json
}

/// Media ranges of the `Accept` header with their weights.
pub(super) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = (String, f32)> {
    let values = headers.get_all(header::ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        (name, weight.and_then(|text| text.parse().ok()).unwrap_or(1.0))
    })
}

/// A CSV file to be saved.
fn file(name: &str, period: Period, sheet: Sheet) -> Response {
    let mut response = fresh(sheet.0.into_response());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    let attachment = Attachment::new(name, period);
    if let Ok(value) = HeaderValue::from_str(&attachment.0) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Figures are one caller's and change with every click: no cache may keep them.
fn fresh(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_for_those_who_prefer_it() {
        let table = [
            (None, "", false),
            (None, "*/*", false),
            (None, "text/csv", true),
            (None, "Text/CSV, application/json;q=0.5", true),
            (None, "text/csv;q=0.5, application/json", false),
            (None, "text/csv, */*;q=0.1", true),
            (None, "text/html, application/xhtml+xml, */*;q=0.8", false),
            (None, "text/csv;q=0", false),
            (Some(ReportFormat::Json), "text/csv", false),
            (Some(ReportFormat::Csv), "application/json", true),
        ];
        for (format, accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(prefers_csv(format, &headers), expected, "{format:?} {accept}");
        }
    }

    #[test]
    fn the_spec_is_built_without_a_database_and_names_both_operations() {
        let spec = serde_json::to_value(routes().into_openapi()).expect("a document");
        for (path, operation) in [
            ("/v1/reports/performance", "read_performance_report"),
            ("/v1/reports/consent", "read_consent_report"),
        ] {
            assert_eq!(spec["paths"][path]["get"]["operationId"], operation);
        }
        let parameters = &spec["paths"]["/v1/reports/performance"]["get"]["parameters"];
        let group_by = parameters
            .as_array()
            .and_then(|all| all.iter().find(|one| one["name"] == "group_by"));
        let words = &group_by.expect("described")["schema"]["items"]["enum"];
        assert_eq!(
            words,
            &serde_json::json!(["day", "campaign", "publisher", "link", "goal"])
        );
    }
}
