//! Errors as problem documents (RFC 9457): the only place where an error becomes a response.
//!
//! Every error body carries `reason`, `outcome`, `retry` and `request_id` beside the standard members. A parameter that
//! is at fault is named; its value is never echoed. The request id is filled in by the outermost layer, which also turns
//! the framework's own refusals (404, 405, 413, 415) and panics into the same form.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::rfc3339;
use crate::domain::refusal::{Outcome, Reason};
use crate::flow::FlowError;
use crate::identity::fault::TokenFault;

/// How long a caller should wait for the ledger, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 2;

/// An error on its way to becoming a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable reason.
    pub reason: Reason,
    /// The parameter at fault.
    pub parameter: Option<String>,
    /// What is wrong with it, in our words.
    pub detail: Option<&'static str>,
    /// The conversion that is there already, on `duplicate_conflict`.
    pub conversion_id: Option<String>,
    /// When an audit entry will be in the signed log, in milliseconds since 1970, on `not_yet_sequenced`.
    pub expected_by_ms: Option<i64>,
    /// Seconds to wait, on 429 and 503, and for an audit entry.
    pub retry_after_seconds: u32,
    /// What exactly is wrong with a bearer token.
    pub fault: Option<TokenFault>,
    /// OAuth's code, where a token was asked for.
    pub error: Option<&'static str>,
    /// What to do to be let in, on 401.
    pub challenge: Option<&'static str>,
    /// Whether the body has the form that OpenDSR gives errors.
    pub opendsr: bool,
}

impl Problem {
    /// A problem with nothing but its reason.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            parameter: None,
            detail: None,
            conversion_id: None,
            expected_by_ms: None,
            retry_after_seconds: RETRY_AFTER_SECONDS,
            fault: None,
            error: None,
            challenge: (reason == Reason::Unauthenticated).then_some("Bearer"),
            opendsr: false,
        }
    }

    /// The same in OpenDSR's form.
    #[must_use]
    pub fn in_opendsr(mut self) -> Self {
        self.opendsr = true;
        self
    }

    /// A parameter is wrong.
    pub fn invalid(parameter: impl Into<String>, detail: &'static str) -> Self {
        let mut problem = Self::new(Reason::InvalidRequest);
        problem.parameter = Some(parameter.into());
        problem.detail = Some(detail);
        problem
    }

    /// A problem that a parameter is the cause of.
    fn about(reason: Reason, parameter: &str) -> Self {
        let mut problem = Self::new(reason);
        problem.parameter = Some(parameter.to_owned());
        problem
    }

    /// The body, once the request is known.
    pub fn body(&self, request_id: &str) -> ProblemBody {
        let status = self.reason.status();
        ProblemBody {
            r#type: "about:blank".to_owned(),
            title: title(status).to_owned(),
            status,
            detail: self.detail.unwrap_or_else(|| self.reason.sentence()).to_owned(),
            outcome: Outcome::Refused,
            reason: self.reason,
            retry: self.reason.retry(),
            request_id: request_id.to_owned(),
            parameter: self.parameter.clone(),
            conversion_id: self.conversion_id.clone(),
            code: self.fault.map(TokenFault::code),
            error: self.error,
            expected_by: self.expected_by_ms.map(rfc3339),
        }
    }
}

fn title(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

/// A problem document (RFC 9457) with the members of every answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Always `about:blank`: `reason` is the stable code.
    #[schema(max_length = 64, pattern = "^about:blank$")]
    r#type: String,
    /// The status in words.
    #[schema(max_length = 64, pattern = "^[A-Za-z -]+$")]
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// One sentence for a person; never holds a value that was sent.
    #[schema(max_length = 256, pattern = "^[^\\r\\n]+$")]
    detail: String,
    /// Always `refused`.
    #[schema(value_type = String, max_length = 16, pattern = "^refused$")]
    outcome: Outcome,
    /// The stable code.
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$")]
    reason: Reason,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[^\\r\\n]*$", nullable = false)]
    parameter: Option<String>,
    /// The conversion that is there already, on `duplicate_conflict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion_id: Option<String>,
    /// What exactly is wrong with a bearer token, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, max_length = 32, pattern = "^bearer_[a-z_]+$", nullable = false)]
    code: Option<&'static str>,
    /// OAuth's code (RFC 6749, section 5.2), where a token was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$", nullable = false)]
    error: Option<&'static str>,
    /// When the entry will be in the signed log, on `not_yet_sequenced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    expected_by: Option<String>,
}

/// One thing that is wrong, as OpenDSR writes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrErrorDetail {
    /// Always `Validation`.
    #[schema(max_length = 16, pattern = "^Validation$")]
    domain: &'static str,
    /// The stable code.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    reason: &'static str,
    /// One sentence; never holds a value that was sent.
    #[schema(max_length = 256, pattern = "^[^\\r\\n]+$")]
    message: String,
}

/// What is wrong, as OpenDSR writes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrErrorBody {
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    code: u16,
    /// One sentence; never holds a value that was sent.
    #[schema(max_length = 256, pattern = "^[^\\r\\n]+$")]
    message: String,
    /// The same in parts.
    #[schema(max_items = 1)]
    errors: Vec<OpenDsrErrorDetail>,
}

/// An error in the form of OpenDSR, beside the members of every answer of ours.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrError {
    /// OpenDSR's own.
    error: OpenDsrErrorBody,
    /// Always `refused`.
    #[schema(value_type = String, max_length = 16, pattern = "^refused$")]
    outcome: Outcome,
    /// The stable code.
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$")]
    reason: Reason,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Names the request in support questions and in the audit trail.
    #[schema(max_length = 36, pattern = "^req_[0-9a-f]{32}$")]
    request_id: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[^\\r\\n]*$", nullable = false)]
    parameter: Option<String>,
}

impl OpenDsrError {
    fn of(problem: &Problem, request_id: &str) -> Self {
        let reason = problem.reason;
        let words = problem.detail.unwrap_or_else(|| reason.sentence());
        let message = match &problem.parameter {
            Some(parameter) => format!("{parameter} {words}"),
            None => words.to_owned(),
        };
        Self {
            error: OpenDsrErrorBody {
                code: reason.status(),
                message: message.clone(),
                errors: vec![OpenDsrErrorDetail {
                    domain: "Validation",
                    reason: reason.code(),
                    message,
                }],
            },
            outcome: Outcome::Refused,
            reason,
            retry: reason.retry(),
            request_id: request_id.to_owned(),
            parameter: problem.parameter.clone(),
        }
    }
}

impl IntoResponse for Problem {
    /// The status and a note for the outermost layer, which writes the body.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Refused(reason) => Problem::new(reason),
            FlowError::Invalid(parameter, detail) => Problem::invalid(parameter, detail),
            FlowError::Clash(parameter, detail) => Problem {
                detail: Some(detail),
                ..Problem::about(Reason::Conflict, parameter)
            },
            FlowError::Missing(parameter) => Problem::about(Reason::NotFound, parameter),
            FlowError::NotYet(expected_by_ms) => Problem {
                expected_by_ms: Some(expected_by_ms),
                ..Problem::new(Reason::NotYetSequenced)
            },
            FlowError::Taken(parameter) => Problem::about(Reason::Conflict, parameter),
            FlowError::Store(source) => {
                // The text of a store error names what was attempted, never a value.
                tracing::error!(error = %source, "the store failed");
                Problem::new(Reason::Unavailable)
            }
        }
    }
}

/// Writes the body of a response that is a problem, or that the framework refused by itself.
pub fn finish(mut response: Response, request_id: &str) -> Response {
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => match framework_reason(&response) {
            Some(reason) => Problem::new(reason),
            None => return response,
        },
    };
    // What is wrong about a message of OpenDSR is said in its form; whoever may not send one at all hears it in ours.
    let in_opendsr = problem.opendsr && matches!(problem.reason.status(), 400 | 404);
    let (body, media_type) = if in_opendsr {
        let body = serde_json::to_vec(&OpenDsrError::of(&problem, request_id));
        (body, "application/json")
    } else {
        (
            serde_json::to_vec(&problem.body(request_id)),
            "application/problem+json",
        )
    };
    let body = body.unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if problem.reason.retry() {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(problem.retry_after_seconds),
        );
    }
    if let Some(challenge) = problem.challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    *response.body_mut() = Body::from(body);
    response
}

/// The reason of an error status that no handler of ours gave.
fn framework_reason(response: &Response) -> Option<Reason> {
    let status = response.status().as_u16();
    let ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/"));
    if status < 400 || ours {
        return None;
    }
    Some(match status {
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        408 => Reason::Timeout,
        413 | 431 => Reason::TooLarge,
        415 => Reason::UnsupportedMediaType,
        429 => Reason::RateLimited,
        503 => Reason::Unavailable,
        400..=499 => Reason::InvalidRequest,
        _ => Reason::Internal,
    })
}
