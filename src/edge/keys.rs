//! `/v1/keys`: which keys there are. Names, numbers and times; never a key, wrapped or not.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Authenticated;
use super::objects::answers::Invalid;
use super::problem::Problem;
use super::request::Query;
use super::time::rfc3339;
use crate::flow::keys::{KeySheet, KeysFlow};

/// The route.
pub fn routes() -> OpenApiRouter<KeysFlow> {
    OpenApiRouter::new().routes(routes!(list_keys))
}

/// Keys and their rotations.
#[derive(Debug, Serialize, ToSchema)]
pub struct Keys {
    /// The tenant's keys; for the server's operator the root keys.
    #[schema(max_items = 100_000)]
    items: Vec<Key>,
    /// The latest rotation of each kind.
    #[schema(max_items = 2)]
    rotations: Vec<KeyRotation>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    /// What it is for: `root`, `tenant`, `token`, `index`, `suppression`, `secrets`, `epoch`.
    #[schema(max_length = 16, pattern = "^[a-z]+$")]
    purpose: String,
    /// Its version; of a token key its id, of an epoch key the months since January 1970. A root key has none.
    #[schema(required, minimum = 0)]
    number: Option<i64>,
    /// `primary` where it is used for what is new, `retired` where it only opens what is there.
    #[schema(max_length = 16, pattern = "^(primary|retired)$")]
    state: String,
    /// When it was made; not known of a root key.
    #[schema(required, max_length = 35, format = "date-time")]
    created_at: Option<String>,
    /// What wraps it: a root key's fingerprint, or the number of a tenant key. Nothing wraps a root key.
    #[schema(required, max_length = 64, pattern = "^[!-~]+$")]
    wrapped_by: Option<String>,
    /// How often it was used, where that is counted: seals of a token key and a secrets key, keys that a tenant or root key
    /// wraps.
    #[schema(required, minimum = 0)]
    uses: Option<i64>,
    /// A root key's fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[!-~]+$", nullable = false)]
    fingerprint: Option<String>,
}

/// A rotation of keys that wrap others.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyRotation {
    /// `root` or `tenant`.
    #[schema(max_length = 16, pattern = "^(root|tenant)$")]
    kind: String,
    /// The key that wrapped before.
    #[schema(max_length = 64, pattern = "^[!-~]+$")]
    from: String,
    /// The key that wraps now.
    #[schema(max_length = 64, pattern = "^[!-~]+$")]
    to: String,
    /// How many keys are wrapped anew.
    #[schema(minimum = 0)]
    done: i64,
    /// How many there were when it began; keys that were made since are under the new one already.
    #[schema(minimum = 0)]
    total: i64,
    /// When it began.
    #[schema(max_length = 35, format = "date-time")]
    started_at: String,
    /// When it ended.
    #[schema(required, max_length = 35, format = "date-time")]
    ended_at: Option<String>,
}

impl From<KeySheet> for Keys {
    fn from(sheet: KeySheet) -> Self {
        let roots = sheet.roots.into_iter().map(|root| Key {
            purpose: "root".to_owned(),
            number: None,
            state: if root.primary { "primary" } else { "retired" }.to_owned(),
            created_at: None,
            wrapped_by: None,
            uses: i64::try_from(root.wraps).ok(),
            fingerprint: Some(root.name),
        });
        let keys = sheet.keys.into_iter().map(|key| Key {
            purpose: key.purpose,
            number: Some(key.number),
            state: key.state,
            created_at: Some(rfc3339(key.created_at_ms)),
            wrapped_by: Some(key.wrapped_by),
            uses: key.uses,
            fingerprint: None,
        });
        let rotations = sheet.rotations.into_iter().map(|one| KeyRotation {
            kind: one.kind,
            from: one.from,
            to: one.to,
            done: one.done,
            total: one.total,
            started_at: rfc3339(one.started_at_ms),
            ended_at: one.ended_at_ms.map(rfc3339),
        });
        Self {
            items: roots.chain(keys).collect(),
            rotations: rotations.collect(),
        }
    }
}

impl Keys {
    fn example() -> Self {
        let key = |purpose: &str, number, wrapped_by: &str, uses| Key {
            purpose: purpose.to_owned(),
            number: Some(number),
            state: "primary".to_owned(),
            created_at: Some("2026-11-01T00:00:00.000Z".to_owned()),
            wrapped_by: Some(wrapped_by.to_owned()),
            uses,
            fingerprint: None,
        };
        Self {
            items: vec![
                key("epoch", 682, "2", None),
                key("tenant", 2, "5f0c1e9b7a3d2846", Some(7)),
                key("token", 3, "2", Some(1_048_576)),
            ],
            rotations: vec![KeyRotation {
                kind: "tenant".to_owned(),
                from: "1".to_owned(),
                to: "2".to_owned(),
                done: 7,
                total: 7,
                started_at: "2026-11-28T03:00:00.000Z".to_owned(),
                ended_at: Some("2026-11-28T03:00:00.041Z".to_owned()),
            }],
        }
    }
}

/// It takes no parameters, and says so to whoever sends one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// List keys
///
/// Names, numbers and times of the tenant's keys, and how far the last rotation is; no key is shown, wrapped or not. The
/// server's operator sees the root keys. `docs/keys.md` says what hangs on what, and how each is replaced.
#[utoipa::path(get, path = "/v1/keys", operation_id = "list_keys", tag = "keys",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The keys.", body = Keys, example = json!(Keys::example())),
        Invalid,
    ))]
async fn list_keys(
    State(flow): State<KeysFlow>,
    Authenticated(principal): Authenticated,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Keys>, Problem> {
    Ok(Json(flow.shown_to(&principal).await?.into()))
}
