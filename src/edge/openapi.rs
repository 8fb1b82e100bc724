//! The OpenAPI document: built from the same routers that serve, without a database.

use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};
use utoipa::{Modify, OpenApi};

use super::auth::Entrances;
use super::correction::ConversionView;
use super::postback_schema::PostbackAnswer;
use super::problem::ProblemBody;
use super::signal::SignalPlatform;
use super::{
    audit, audit_check, click, consent, contract, correction, erasure, evidence_packs, explain, health, keys,
    objects, opendsr, postback, records, report, requests, retention, signal, token,
};

/// The parts of the document that belong to no operation.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Einklang",
        description = "Server-to-server conversion tracking that enforces consent. A click is tracked only with consent; \
            a postback is recorded only with consent; what is declined is counted and not kept. Every refusal carries a \
            stable `reason`. Errors are problem documents (RFC 9457).",
        contact(name = "Einklang", url = "https://einklang.example/"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody, PostbackAnswer, ConversionView, SignalPlatform)),
    modifiers(&Schemes),
    tags(
        (name = "api-keys", description = "Keys that sign in; a key carries one role and one tenant."),
        (name = "approvals", description = "Changes that take effect only by the word of another user."),
        (name = "audit", description = "The audit log: entries, proofs, checkpoints, openings, the log itself as tiles, and whether it and the database fit together."),
        (name = "campaigns", description = "What is advertised, where its clicks land, and how long they count."),
        (name = "click", description = "Tracking links, followed by visitors."),
        (name = "consent", description = "Changes of consent that a shop forwards, what a signal says, and why a decision is what it is."),
        (name = "consent-records", description = "What each decision was made on, as a record, as a receipt, and decided again."),
        (name = "erasures", description = "Erasing a person, what went, and its certificate."),
        (name = "goals", description = "What counts as a conversion in a campaign."),
        (name = "health", description = "Whether the server lives and can work."),
        (name = "keys", description = "Which keys encrypt what, and how far their rotation is; never a key itself."),
        (name = "links", description = "A publisher's links to a campaign."),
        (name = "opendsr", description = "Requests of people as OpenDSR 2.0 has them, and under its old name."),
        (name = "operator-grants", description = "Leave for the server's operator to look at decrypted data, for a while."),
        (name = "policies", description = "Versions and drafts of a tenant's consent policy."),
        (name = "postback", description = "Conversions that a shop's server sends, and their corrections."),
        (name = "publishers", description = "Who shows the links."),
        (name = "reports", description = "What happened, and what consent cost, in plain counts."),
        (name = "retention", description = "How long data is kept, what was purged, and what is held beyond its time."),
        (name = "shops", description = "Advertisers' shops and how their servers authenticate."),
        (name = "subject-requests", description = "Requests of people about their data, with their deadlines and results."),
        (name = "tenants", description = "Controllers: the boundary of isolation."),
        (name = "tokens", description = "Short-lived tokens for API keys and users."),
        (name = "users", description = "People and programs that sign in.")
    )
)]
struct Base;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Components::default);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API key, which is shown once when it is made, or a token: a JWT of `POST /oauth/token` or of an outside \
                    issuer that the server is configured with. Each carries one role and one tenant.",
            ))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let signature = ApiKeyValue::with_description(
            "webhook-signature",
            "A shop's HMAC signature: Standard Webhooks 1.0 headers over the body, or `ts` and `sig` in the URL. The shop \
             is named in the path or in `Einklang-Shop`.",
        );
        components.add_security_scheme("signature", SecurityScheme::ApiKey(ApiKey::Header(signature)));
    }
}

/// The document as utoipa sees it.
fn document() -> Document {
    let mut document = Base::openapi();
    for part in parts() {
        document.merge(part);
    }
    document
}

/// The documents of all routers that serve.
fn parts() -> Vec<Document> {
    vec![
        click::routes().into_openapi(),
        postback::routes().into_openapi(),
        postback::batch_routes().into_openapi(),
        correction::routes().into_openapi(),
        consent::routes().into_openapi(),
        erasure::routes().into_openapi(),
        audit::routes().into_openapi(),
        records::routes().into_openapi(),
        report::routes().into_openapi(),
        retention::routes().into_openapi(),
        explain::routes().into_openapi(),
        signal::routes().into_openapi(),
        audit_check::routes().into_openapi(),
        evidence_packs::routes().into_openapi(),
        keys::routes().into_openapi(),
        health::routes().into_openapi(),
        objects::routes().into_openapi(),
        token::routes().into_openapi(),
        requests::routes().into_openapi(),
        opendsr::routes().into_openapi(),
    ]
}

/// The complete document.
pub fn spec() -> Value {
    let mut spec = serde_json::to_value(document()).unwrap_or_default();
    name_tails(&mut spec);
    contract::complete(&mut spec);
    spec
}

/// A router marks a value that may hold slashes; the document has no mark for it.
fn name_tails(spec: &mut Value) {
    let Some(paths) = spec.get_mut("paths").and_then(Value::as_object_mut) else {
        return;
    };
    let items = std::mem::take(paths).into_iter();
    *paths = items
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
}

/// The document as it is checked in and served: two spaces, a line feed at the end.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&spec()).unwrap_or_default();
    text.push('\n');
    text
}

/// Which operation each path and method is.
pub fn entrances() -> Entrances {
    let mut entrances = Entrances::default();
    let spec = spec();
    let paths = spec.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let id = operation.get("operationId").and_then(Value::as_str);
            if let (Ok(method), Some(id)) = (http::Method::from_bytes(method.to_uppercase().as_bytes()), id) {
                entrances.add(method, path, id);
            }
        }
    }
    entrances
}
