//! What postbacks and their answers look like: the types that the OpenAPI document shows.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::problem::{Problem, ProblemBody};
use super::request::{Named, given};
use crate::domain::ids::ConversionId;
use crate::domain::object::many;
use crate::domain::refusal::{Outcome, Reason};
use crate::flow::ledger::command::Answer;

/// One item of an order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The shop's article number.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        example = "A-1"
    )]
    sku: String,
    /// How many.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false,
        example = "1"
    )]
    quantity: Option<String>,
    /// The price of one, as a decimal string.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false,
        example = "49.90"
    )]
    price: Option<String>,
}

macro_rules! parameters {
    ($(#[$doc:meta])* $name:ident, [$($derive:ident),*], $attribute:ident, [$($each:meta),*], { $($extra:tt)* }, $(#[$more:meta])*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, $($derive),*)]
        $(#[$more])*
        pub struct $name {
            /// The tracking token that came with the landing URL.
            $(#[$each])*
            #[$attribute(max_length = 120, pattern = "^[A-Za-z0-9_-]*$", nullable = false)]
            token: Option<String>,
            /// The shop's order id. Without one there is one conversion per click and goal.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            order_id: Option<String>,
            /// The goal; `order` if left out.
            $(#[$each])*
            #[$attribute(max_length = 64, pattern = "^[A-Za-z0-9_-]*$", nullable = false)]
            goal: Option<String>,
            /// A decimal string with at most the currency's decimals.
            $(#[$each])*
            #[$attribute(max_length = 17, pattern = "^([0-9]{1,12}(\\.[0-9]{1,4})?)?$", nullable = false)]
            amount: Option<String>,
            /// ISO 4217; the shop's currency if left out.
            $(#[$each])*
            #[$attribute(max_length = 3, pattern = "^([A-Z]{3})?$", nullable = false)]
            currency: Option<String>,
            /// `pending`, `confirmed` (default) or `cancelled`.
            $(#[$each])*
            #[$attribute(max_length = 9, pattern = "^(pending|confirmed|cancelled)?$", nullable = false)]
            status: Option<String>,
            /// A voucher code.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            coupon: Option<String>,
            /// `new` or `returning`.
            $(#[$each])*
            #[$attribute(max_length = 9, pattern = "^(new|returning)?$", nullable = false)]
            customer: Option<String>,
            /// The shop's pseudonym for the person; kept only as a keyed hash.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            customer_ref: Option<String>,
            /// A value of the shop's own.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            adv1: Option<String>,
            /// A value of the shop's own.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            adv2: Option<String>,
            /// A value of the shop's own.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            adv3: Option<String>,
            /// A value of the shop's own.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            adv4: Option<String>,
            /// A value of the shop's own.
            $(#[$each])*
            #[$attribute(max_length = 255, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
            adv5: Option<String>,
            /// When the goal happened (RFC 3339); now if left out. Not in the future.
            $(#[$each])*
            #[$attribute(max_length = 35, format = "date-time", nullable = false)]
            occurred_at: Option<String>,
            /// The shop's own word about consent: `granted`, `denied`, `1` or `0`.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false, example = "granted")]
            consent: Option<String>,
            /// Whether the GDPR applies: `1` or `0`.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            gdpr: Option<String>,
            /// A TC string (IAB TCF 2.3).
            $(#[$each])*
            #[$attribute(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
            gdpr_consent: Option<String>,
            /// Google's additional consent string.
            $(#[$each])*
            #[$attribute(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
            addtl_consent: Option<String>,
            /// A GPP string.
            $(#[$each])*
            #[$attribute(max_length = 16384, pattern = "^[!-~]*$", nullable = false)]
            gpp: Option<String>,
            /// The GPP sections in force.
            $(#[$each])*
            #[$attribute(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
            gpp_sid: Option<String>,
            /// A US Privacy string; an opt-out is a refusal.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            us_privacy: Option<String>,
            /// Google consent mode, short form; it can speak about the device only.
            $(#[$each])*
            #[$attribute(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
            gcs: Option<String>,
            /// Google consent mode, long form; a default alone grants nothing.
            $(#[$each])*
            #[$attribute(max_length = 64, pattern = "^[!-~]*$", nullable = false)]
            gcd: Option<String>,
            /// Global Privacy Control; `1` is a refusal.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            gpc: Option<String>,
            /// Google consent mode, by name: `granted` or `denied`. Needed for access to the device and, with `ad_user_data`, for measuring.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            ad_storage: Option<String>,
            /// Google consent mode, by name: `granted` or `denied`.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            ad_user_data: Option<String>,
            /// Google consent mode, by name: `granted` or `denied`.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            ad_personalization: Option<String>,
            /// Google consent mode, by name: `granted` or `denied`. Has to be readable and decides nothing.
            $(#[$each])*
            #[$attribute(max_length = 16, pattern = "^[!-~]*$", nullable = false)]
            analytics_storage: Option<String>,
            $($extra)*
        }
    };
}

parameters!(
    /// The parameters of a postback in a URL. Each at most once; an empty one counts as left out, except a consent
    /// signal, which is then malformed.
    PostbackParams, [IntoParams], param, [], {
        /// The order's items: a JSON array of objects with `sku`, `quantity` and `price`.
        #[param(max_length = 16384, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", nullable = false)]
        items: Option<String>,
        /// `1`: live checks and answer, erasure included, but the conversion is in no report and is purged.
        #[param(max_length = 5, pattern = "^(1|0|true|false)?$", nullable = false)]
        test: Option<String>,
        /// `1`: the same answer, and nothing is kept or changed.
        #[param(max_length = 5, pattern = "^(1|0|true|false)?$", nullable = false)]
        dry_run: Option<String>,
    },
    #[into_params(parameter_in = Query)]
    #[expect(dead_code, reason = "describes the parameters; they are read as pairs, since a repeated one has to be noticed")]
);
parameters!(
    /// A postback as a form or a JSON object of strings. Unknown members are ignored.
    PostbackForm, [ToSchema], schema, [], {
        /// The order's items; in a form, the same as JSON text.
        #[schema(max_items = 100, nullable = false)]
        items: Option<Vec<Item>>,
        /// Live checks and answer, erasure included, but the conversion is in no report and is purged.
        #[schema(nullable = false)]
        test: Option<bool>,
        /// The same answer, and nothing is kept or changed.
        #[schema(nullable = false)]
        dry_run: Option<bool>,
    },
    #[expect(dead_code, reason = "describes the body; its members are read as pairs")]
    #[schema(example = json!({"token": "AQABq0J4c3RfbGlrZV9hX3Rva2VuX2J1dF9ub3Rfb25lX3RoYXRfb3BlbnNfYW55d2hlcmUtLS0tLS0tLS0tLQ",
        "order_id": "A-1001", "amount": "49.90", "currency": "EUR", "consent": "granted"}))]
);
parameters!(
    /// A conversion. Unknown members are refused by name.
    ConversionRequest, [Deserialize, ToSchema], schema, [serde(default, deserialize_with = "given")], {
        /// The order's items.
        #[serde(default, deserialize_with = "many")]
        #[schema(max_items = 100)]
        pub(super) items: Vec<Item>,
        /// Live checks and answer, erasure included, but the conversion is in no report and is purged.
        #[serde(default)]
        test: bool,
        /// The same answer, and nothing is kept or changed.
        #[serde(default)]
        dry_run: bool,
    },
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({"token": "AQABq0J4c3RfbGlrZV9hX3Rva2VuX2J1dF9ub3Rfb25lX3RoYXRfb3BlbnNfYW55d2hlcmUtLS0tLS0tLS0tLQ",
        "order_id": "A-1001", "amount": "49.90", "currency": "EUR", "consent": "granted"}))]
);

impl ConversionRequest {
    /// The members as parameter pairs; `items` is their JSON text.
    pub(super) fn pairs<'a>(&'a self, items: &'a str) -> Vec<(&'static str, &'a str)> {
        let texts = [
            ("token", &self.token),
            ("order_id", &self.order_id),
            ("goal", &self.goal),
            ("amount", &self.amount),
            ("currency", &self.currency),
            ("status", &self.status),
            ("coupon", &self.coupon),
            ("customer", &self.customer),
            ("customer_ref", &self.customer_ref),
            ("adv1", &self.adv1),
            ("adv2", &self.adv2),
            ("adv3", &self.adv3),
            ("adv4", &self.adv4),
            ("adv5", &self.adv5),
            ("occurred_at", &self.occurred_at),
            ("consent", &self.consent),
            ("gdpr", &self.gdpr),
            ("gdpr_consent", &self.gdpr_consent),
            ("addtl_consent", &self.addtl_consent),
            ("gpp", &self.gpp),
            ("gpp_sid", &self.gpp_sid),
            ("us_privacy", &self.us_privacy),
            ("gcs", &self.gcs),
            ("gcd", &self.gcd),
            ("gpc", &self.gpc),
            ("ad_storage", &self.ad_storage),
            ("ad_user_data", &self.ad_user_data),
            ("ad_personalization", &self.ad_personalization),
            ("analytics_storage", &self.analytics_storage),
        ];
        let mut pairs: Vec<(&'static str, &str)> = texts
            .into_iter()
            .filter_map(|(name, text)| text.as_deref().map(|text| (name, text)))
            .collect();
        if !self.items.is_empty() {
            pairs.push(("items", items));
        }
        if self.test {
            pairs.push(("test", "1"));
        }
        if self.dry_run {
            pairs.push(("dry_run", "1"));
        }
        pairs
    }
}

/// Up to 1,000 conversions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"conversions": [{"order_id": "A-1001", "amount": "49.90", "consent": "granted"}]}))]
pub struct BatchRequest {
    /// The conversions, each judged on its own.
    #[serde(deserialize_with = "many")]
    #[schema(min_items = 1, max_items = 1000)]
    pub(super) conversions: Vec<ConversionRequest>,
}

/// The answer to a postback.
#[derive(Debug, Serialize, ToSchema)]
pub struct PostbackAnswer {
    /// `recorded`, `duplicate` or `dropped`.
    #[schema(value_type = String, max_length = 16, pattern = "^(recorded|duplicate|dropped)$")]
    outcome: Outcome,
    /// The stable code.
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$")]
    reason: Reason,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
    /// The conversion, on `recorded` and `duplicate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion_id: Option<String>,
}

impl PostbackAnswer {
    /// The answer that a verdict becomes.
    pub(super) fn of(answer: &Answer, named: Named) -> Self {
        Self {
            outcome: answer.outcome,
            reason: answer.reason,
            retry: answer.reason.retry(),
            request_id: named.0.to_string(),
            conversion_id: answer.conversion.map(|id| ConversionId(id).to_string()),
        }
    }
}

/// One line's verdict in a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineAnswer {
    /// The HTTP status that this line alone would have had.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// `recorded`, `duplicate`, `dropped` or `refused`.
    #[schema(value_type = String, max_length = 16, pattern = "^(recorded|duplicate|dropped|refused)$")]
    outcome: Outcome,
    /// The stable code.
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$")]
    reason: Reason,
    /// Whether the same line may succeed later.
    retry: bool,
    /// The conversion, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion_id: Option<String>,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[a-z0-9_]+$", nullable = false)]
    parameter: Option<String>,
}

impl LineAnswer {
    /// The line that a verdict or a problem becomes.
    pub(super) fn of(answer: Result<Answer, Problem>) -> Self {
        match answer {
            Ok(answer) => Self {
                status: 200,
                outcome: answer.outcome,
                reason: answer.reason,
                retry: answer.reason.retry(),
                conversion_id: answer.conversion.map(|id| ConversionId(id).to_string()),
                parameter: None,
            },
            Err(problem) => Self {
                status: problem.reason.status(),
                outcome: Outcome::Refused,
                reason: problem.reason,
                retry: problem.reason.retry(),
                conversion_id: problem.conversion_id,
                parameter: problem.parameter,
            },
        }
    }
}

/// The verdicts of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"request_id": "req_00000000000040008000000000000000", "items": [
    {"status": 422, "outcome": "refused", "reason": "no_token", "retry": false}]}))]
pub struct BatchAnswer {
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    pub(super) request_id: String,
    /// A verdict for each line, in their order.
    #[schema(max_items = 1000)]
    pub(super) items: Vec<LineAnswer>,
}

/// Every answer of the verdict table (DESIGN 4.2).
#[derive(IntoResponses)]
pub enum VerdictAnswers {
    /// Recorded, recorded before, or dropped: `outcome` says which.
    #[response(status = 200, example = json!({"outcome": "recorded", "reason": "accepted", "retry": false,
        "request_id": "req_00000000000040008000000000000000",
        "conversion_id": "cnv_019a0000000070008000000000000000"}))]
    Recorded(PostbackAnswer),
    /// `consent_malformed`, or `invalid_request` with the parameter named.
    #[response(status = 400, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Bad Request", "status": 400, "detail": "is not a string", "outcome": "refused",
        "reason": "invalid_request", "retry": false, "request_id": "req_00000000000040008000000000000000",
        "parameter": "amount"}))]
    Bad(ProblemBody),
    /// `consent_denied` (the click is erased), or `forbidden` for a caller that may not do this.
    #[response(status = 403, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Forbidden", "status": 403, "detail": "The person declined; the click counts no more.",
        "outcome": "refused", "reason": "consent_denied", "retry": false,
        "request_id": "req_00000000000040008000000000000000"}))]
    Denied(ProblemBody),
    /// `unknown_token`.
    #[response(status = 404, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Not Found", "status": 404, "detail": "The tracking token does not open here.",
        "outcome": "refused", "reason": "unknown_token", "retry": false,
        "request_id": "req_00000000000040008000000000000000"}))]
    Unknown(ProblemBody),
    /// `duplicate_conflict` or `restricted`.
    #[response(status = 409, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Conflict", "status": 409,
        "detail": "This order was recorded before with other content; use PATCH to change it.",
        "outcome": "refused", "reason": "duplicate_conflict", "retry": false,
        "request_id": "req_00000000000040008000000000000000",
        "conversion_id": "cnv_019a0000000070008000000000000000"}))]
    Conflict(ProblemBody),
    /// `consent_withdrawn` or `token_expired`.
    #[response(status = 410, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Gone", "status": 410, "detail": "Consent ended after the click; it counts no more.",
        "outcome": "refused", "reason": "consent_withdrawn", "retry": false,
        "request_id": "req_00000000000040008000000000000000"}))]
    Gone(ProblemBody),
    /// `no_token`, `consent_missing`, `outside_window`, `unknown_goal` or `currency_mismatch`.
    #[response(status = 422, content_type = "application/problem+json", example = json!({"type": "about:blank",
        "title": "Unprocessable Entity", "status": 422,
        "detail": "No tracking token came: the click was not tracked.", "outcome": "refused", "reason": "no_token",
        "retry": false, "request_id": "req_00000000000040008000000000000000"}))]
    Unprocessable(ProblemBody),
}
