//! The messages of OpenDSR 2.0.
//!
//! Members that the specification does not name are left alone, as are extensions for other processors: one request goes to
//! many. An identity type that the specification does not know, or a form of ours that cannot be looked up, is refused:
//! whoever sends it would take the answer for done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::postback::{MAX_TOKEN_CHARS, MAX_VALUE_CHARS};
use crate::domain::subject_request::{HANDLES_MAX, Handle, Person, Regulation, RequestKind, RequestSource};
use crate::edge::problem::Problem;
use crate::flow::requests::NewRequest;

/// The identity type that a shop's customer reference is.
const CUSTOMER: &str = "controller_customer_id";
/// The other types of the specification: nothing is held under any of them.
const UNHELD: [&str; 10] = [
    "android_advertising_id",
    "android_id",
    "email",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
];
const FORMATS: [&str; 4] = ["raw", "sha1", "md5", "sha256"];
/// The most callback addresses of a request.
const CALLBACKS_MAX: usize = 10;

/// A name of a person's.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
pub struct OpenDsrIdentity {
    /// A type of the specification. Only under `controller_customer_id`, the shop's customer reference, is anything held.
    #[schema(max_length = 64, pattern = "^[a-z_]+$", example = "controller_customer_id")]
    identity_type: String,
    /// The value.
    #[schema(
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        example = "customer-4711"
    )]
    identity_value: String,
    /// `raw`, or a hash for types under which nothing is held: our look-ups are keyed and need the value itself.
    #[schema(max_length = 6, pattern = "^(raw|sha1|md5|sha256)$", example = "raw")]
    identity_format: String,
}

/// A controller's request.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "regulation": "gdpr",
    "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
    "subject_request_type": "erasure",
    "submitted_time": "2026-11-02T15:00:00Z",
    "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": "customer-4711",
        "identity_format": "raw"}],
    "api_version": "2.0"
}))]
pub struct OpenDsrRequest {
    /// `gdpr` or `ccpa`; `gdpr` if left out, as in the specification's own example.
    #[serde(default)]
    #[schema(max_length = 4, pattern = "^(gdpr|ccpa)$", nullable = false)]
    regulation: Option<String>,
    /// A UUID of version 4 that the controller made.
    #[schema(
        min_length = 36,
        max_length = 36,
        pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    )]
    subject_request_id: String,
    /// `access`, `portability` or `erasure`.
    #[schema(max_length = 11, pattern = "^(access|portability|erasure)$")]
    subject_request_type: String,
    /// When the person asked.
    #[schema(max_length = 35, format = DateTime)]
    submitted_time: String,
    /// The person's names; needed unless the extension has some.
    #[serde(default)]
    #[schema(max_items = 20)]
    subject_identities: Vec<OpenDsrIdentity>,
    /// The version that the controller speaks.
    #[serde(default)]
    #[schema(max_length = 16, pattern = "^[0-9.]+$", nullable = false)]
    api_version: Option<String>,
    /// Addresses that each change of status is told to: https, on the public internet.
    #[serde(default)]
    #[schema(value_type = Vec<OpenDsrCallbackUrl>, max_items = 10)]
    status_callback_urls: Vec<String>,
    /// By processor domain; ours may hold `tokens`, `customer_refs` and `orders` (`order_id`, `goal`).
    #[serde(default)]
    #[schema(value_type = Object)]
    extensions: BTreeMap<String, Value>,
}

/// An address that callbacks go to.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, max_length = 2048, pattern = "^https://[!-~]+$",
    example = "https://controller.example/opendsr_callbacks")]
pub struct OpenDsrCallbackUrl(#[expect(dead_code, reason = "it stands for its schema")] String);

/// Our own extension. Members that we do not know are left alone, like those of the specification's example.
#[derive(Debug, Default, Deserialize)]
struct Extension {
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    customer_refs: Vec<String>,
    #[serde(default)]
    orders: Vec<Order>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    order_id: String,
    #[serde(default)]
    goal: Option<String>,
}

/// A UUID of version 4, written in lower case.
pub fn request_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.get_version_num() == 4 && id.to_string() == text).then_some(id)
}

fn plain(name: &'static str, text: &str, limit: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if length == 0 || length > limit || text.chars().any(char::is_control) {
        return Err(Problem::invalid(name, "is empty, too long or unprintable"));
    }
    Ok(())
}

impl OpenDsrIdentity {
    fn handle(&self) -> Result<Handle, Problem> {
        const NAME: &str = "subject_identities";
        if !FORMATS.contains(&self.identity_format.as_str()) {
            return Err(Problem::invalid(NAME, "has an identity_format that is not known"));
        }
        plain(NAME, &self.identity_value, MAX_VALUE_CHARS)?;
        if self.identity_type == CUSTOMER {
            return if self.identity_format == "raw" {
                Ok(Handle::Customer(self.identity_value.clone()))
            } else {
                Err(Problem::invalid(
                    NAME,
                    "has a controller_customer_id that is not raw",
                ))
            };
        }
        if UNHELD.contains(&self.identity_type.as_str()) {
            return Ok(Handle::Nothing);
        }
        Err(Problem::invalid(NAME, "has an identity_type that is not known"))
    }
}

impl Extension {
    fn handles(self) -> Result<Vec<Handle>, Problem> {
        let mut handles = Vec::new();
        for token in self.tokens {
            plain("extensions", &token, MAX_TOKEN_CHARS)?;
            handles.push(Handle::Token(token));
        }
        for reference in self.customer_refs {
            plain("extensions", &reference, MAX_VALUE_CHARS)?;
            handles.push(Handle::Customer(reference));
        }
        for Order { order_id, goal } in self.orders {
            plain("extensions", &order_id, MAX_VALUE_CHARS)?;
            if let Some(goal) = &goal {
                plain("extensions", goal, MAX_VALUE_CHARS)?;
            }
            handles.push(Handle::Order {
                order_id,
                goal,
                shop: None,
            });
        }
        Ok(handles)
    }
}

impl OpenDsrRequest {
    /// Checks everything before anything is done.
    pub fn checked(
        self,
        source: RequestSource,
        domain: &str,
        takes: &dyn Fn(&str) -> bool,
    ) -> Result<NewRequest, Problem> {
        let id = request_id(&self.subject_request_id).ok_or_else(|| {
            Problem::invalid("subject_request_id", "must be a UUID of version 4 in lower case")
        })?;
        let kind = RequestKind::from_code(&self.subject_request_type)
            .filter(|kind| kind.asks_for_a_copy() || *kind == RequestKind::Erasure)
            .ok_or_else(|| {
                Problem::invalid("subject_request_type", "must be access, portability or erasure")
            })?;
        let regulation = match self.regulation.as_deref() {
            None => Regulation::Gdpr,
            Some(text) => Regulation::from_code(text)
                .ok_or_else(|| Problem::invalid("regulation", "must be gdpr or ccpa"))?,
        };
        let submitted = chrono::DateTime::parse_from_rfc3339(&self.submitted_time)
            .map_err(|_| Problem::invalid("submitted_time", "must be a time as RFC 3339 has it"))?;
        if let Some(version) = &self.api_version {
            plain("api_version", version, 16)?;
        }
        if self.status_callback_urls.len() > CALLBACKS_MAX {
            return Err(Problem::invalid("status_callback_urls", "are too many"));
        }
        if !self.status_callback_urls.iter().all(|url| takes(url)) {
            let words = "must be https URLs on the public internet, without a user or a fragment";
            return Err(Problem::invalid("status_callback_urls", words));
        }
        let mut handles = Vec::new();
        for identity in &self.subject_identities {
            handles.push(identity.handle()?);
        }
        if let Some(own) = self.extensions.get(domain) {
            let own: Extension = serde_json::from_value(own.clone()).map_err(|_| {
                let words = "holds, under our domain, something else than tokens, customer_refs and orders";
                Problem::invalid("extensions", words)
            })?;
            handles.extend(own.handles()?);
        }
        if handles.is_empty() {
            return Err(Problem::invalid("subject_identities", "names nobody"));
        }
        if handles.len() > HANDLES_MAX {
            return Err(Problem::invalid("subject_identities", "are too many"));
        }
        Ok(NewRequest {
            source,
            external_id: Some(id),
            kind,
            lift: false,
            regulation,
            submitted_at_ms: Some(submitted.timestamp_millis()),
            person: Person {
                handles,
                wish: None,
                callbacks: self.status_callback_urls,
            },
            holidays: Vec::new(),
        })
    }
}

/// An identity that something can be held under.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrSupported {
    /// The type.
    #[schema(max_length = 64, pattern = "^[a-z_]+$")]
    identity_type: &'static str,
    /// The form.
    #[schema(max_length = 6, pattern = "^raw$")]
    identity_format: &'static str,
}

/// A kind of request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 11, pattern = "^(access|portability|erasure)$", example = "erasure")]
pub struct OpenDsrKind(&'static str);

/// What is taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrDiscovery {
    /// The version.
    #[schema(max_length = 4, pattern = "^(2\\.0|0\\.1)$")]
    api_version: &'static str,
    /// Identities that something can be held under.
    #[schema(max_items = 1)]
    supported_identities: Vec<OpenDsrSupported>,
    /// Kinds of requests.
    #[schema(max_items = 3)]
    supported_subject_request_types: Vec<OpenDsrKind>,
    /// Where the certificate of the signatures is.
    #[schema(max_length = 2048, pattern = "^https://[!-~]+$")]
    processor_certificate: String,
}

impl OpenDsrDiscovery {
    /// For this version.
    pub fn of(api_version: &'static str, certificate_url: &str) -> Self {
        let kinds = [
            RequestKind::Access,
            RequestKind::Portability,
            RequestKind::Erasure,
        ];
        Self {
            api_version,
            supported_identities: vec![OpenDsrSupported {
                identity_type: CUSTOMER,
                identity_format: "raw",
            }],
            supported_subject_request_types: kinds.map(|kind| OpenDsrKind(kind.code())).into(),
            processor_certificate: certificate_url.to_owned(),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self::of("2.0", "https://dsr.example/cert.pem")
    }
}

/// A request that is taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrAccepted {
    /// The controller as we know it: the tenant's id.
    #[schema(max_length = 36, pattern = "^tnt_[0-9a-f]{32}$")]
    pub controller_id: String,
    /// When we expect to have done it.
    #[schema(max_length = 35, format = DateTime)]
    pub expected_completion_time: String,
    /// When it came.
    #[schema(max_length = 35, format = DateTime)]
    pub received_time: String,
    /// The request's body in base64; the controller must neither log nor store it.
    #[schema(max_length = 90_000, pattern = "^[A-Za-z0-9+/]+={0,2}$")]
    pub encoded_request: String,
    /// The id that the controller gave it.
    #[schema(max_length = 36, pattern = "^[0-9a-f-]{36}$")]
    pub subject_request_id: String,
}

/// A request's status.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrStatus {
    /// The controller as we know it: the tenant's id.
    #[schema(max_length = 36, pattern = "^tnt_[0-9a-f]{32}$")]
    pub controller_id: String,
    /// When we expect to have done it, or did it.
    #[schema(max_length = 35, format = DateTime)]
    pub expected_completion_time: String,
    /// The id that the controller gave it.
    #[schema(max_length = 36, pattern = "^[0-9a-f-]{36}$")]
    pub subject_request_id: String,
    /// The status; what was declined is `cancelled`.
    #[schema(max_length = 11, pattern = "^(pending|in_progress|completed|cancelled)$")]
    pub request_status: &'static str,
    /// The version.
    #[schema(max_length = 4, pattern = "^(2\\.0|0\\.1)$")]
    pub api_version: &'static str,
    /// Where what was found is read, with the controller's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, pattern = "^https://[!-~]+$", nullable = false)]
    pub results_url: Option<String>,
    /// How many things were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000, nullable = false)]
    pub results_count: Option<i64>,
}

/// A request that is taken back.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenDsrCancelled {
    /// The controller as we know it: the tenant's id.
    #[schema(max_length = 36, pattern = "^tnt_[0-9a-f]{32}$")]
    pub controller_id: String,
    /// The id that the controller gave it.
    #[schema(max_length = 36, pattern = "^[0-9a-f-]{36}$")]
    pub subject_request_id: String,
    /// When it was taken back.
    #[schema(max_length = 35, format = DateTime)]
    pub received_time: String,
    /// The version.
    #[schema(max_length = 4, pattern = "^(2\\.0|0\\.1)$")]
    pub api_version: &'static str,
}
