//! `/v1/api-keys`. The key itself stands in one answer only: the one that made it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing, NotFound};
use super::fields::{
    ApiKeyId, ApiKeyText, EnvironmentWord, FreeText, PublisherId, RoleWord, ShopId, UserId, given, set,
};
use super::pages::{Page, PageQuery};
use super::users::by_id;
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::access::Role;
use crate::domain::campaign::ApiKey;
use crate::domain::draft::ApiKeyDraft;
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::{NewKey, ObjectsFlow};

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_api_key, list_api_keys))
        .routes(routes!(read_api_key, change_api_key, archive_api_key))
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyBody {
    /// Its id.
    id: ApiKeyId,
    /// What it is for.
    label: FreeText,
    /// What it opens.
    role: RoleWord,
    /// The shop, for the role `shop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shop: Option<ShopId>,
    /// The publisher, for the role `publisher`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    publisher: Option<PublisherId>,
    /// The user whose key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<UserId>,
    /// The key itself: only in the answer that made it, and only if it was not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_key: Option<ApiKeyText>,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl ApiKeyBody {
    fn of(key: &ApiKey) -> Self {
        Self {
            id: key.object.id.into(),
            label: FreeText(key.label.clone()),
            role: RoleWord(key.role),
            shop: key.shop.map(|shop| shop.id.into()),
            publisher: key.publisher.map(|publisher| publisher.id.into()),
            user: key.user.map(|user| user.id.into()),
            api_key: None,
            life: Life::of(&key.object),
        }
    }

    fn example() -> Self {
        Self::of(&ApiKey {
            object: example_object(),
            label: "shop main".to_owned(),
            role: Role::Shop,
            shop: Some(example_reference()),
            publisher: None,
            user: None,
            hash: [0; 32],
        })
    }

    fn new_example() -> Self {
        Self {
            api_key: Some(ApiKeyText::example()),
            ..Self::example()
        }
    }
}

/// A new API key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "shop main", "role": "shop", "shop": "sho_01a0b1c2d3e47f00a1b2c3d4e5f60718"}))]
pub struct ApiKeyCreate {
    /// What it is for.
    label: FreeText,
    /// What it opens.
    role: RoleWord,
    /// The shop; there for the role `shop` and only for it.
    shop: Option<ShopId>,
    /// The publisher; there for the role `publisher` and only for it.
    publisher: Option<PublisherId>,
    /// The user whose key it is; the role, shop and publisher must then be the user's.
    user: Option<UserId>,
    /// What the key says of itself; `live` if left out.
    environment: Option<EnvironmentWord>,
    /// A key of your own choice, for moving from another system; made if left out, which is better.
    api_key: Option<ApiKeyText>,
}

/// A change of an API key. What a key opens does not change: make another one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "shop main, until March"}))]
pub struct ApiKeyChange {
    /// What it is for.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    label: Option<FreeText>,
}

/// Create an API key
///
/// The answer shows the key this once; only its SHA-256 is kept.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "create_api_key", tag = "api-keys",
    security(("bearer" = [])),
    request_body(content = ApiKeyCreate, description = "The API key."),
    responses(
        (status = 201, description = "The new API key.", body = ApiKeyBody,
            headers(("Location" = String, description = "Where it is read, without the key itself.")),
            example = json!(ApiKeyBody::new_example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_api_key(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<ApiKeyCreate>,
) -> Result<Created<ApiKeyBody>, Problem> {
    let new = match body.api_key {
        Some(text) => NewKey::given(text.0, "api_key")?,
        None => flow.make_key(body.environment.map(|word| word.0).unwrap_or_default()),
    };
    let draft = ApiKeyDraft {
        label: body.label.0,
        role: body.role.0,
        shop: by_id(body.shop),
        publisher: by_id(body.publisher),
        user: by_id(body.user),
        hash: new.hash(),
    };
    let key: ApiKey = flow.create(&caller, draft).await?;
    let body = ApiKeyBody {
        api_key: new.to_show().map(ApiKeyText),
        ..ApiKeyBody::of(&key)
    };
    Ok(created("/v1/api-keys", body.id, body))
}

/// Change an API key
///
/// Only its label: what a key opens does not change.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", operation_id = "change_api_key", tag = "api-keys",
    security(("bearer" = [])),
    params(("id" = ApiKeyId, Path, description = "The API key's id.")),
    request_body(content = ApiKeyChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed API key.", body = ApiKeyBody,
            example = json!(ApiKeyBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_api_key(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<ApiKeyId>,
    Json(body): Json<ApiKeyChange>,
) -> Result<axum::Json<ApiKeyBody>, Problem> {
    let edit = |draft: &mut ApiKeyDraft| set(&mut draft.label, body.label.map(|label| label.0));
    let key: ApiKey = flow.change(&caller, id.into(), edit).await?;
    Ok(axum::Json(ApiKeyBody::of(&key)))
}

standing_operations! {
    ApiKey => ApiKeyBody, ApiKeyId, tag "api-keys", "an" "API key", path "/v1/api-keys",
    read_api_key, list_api_keys, archive_api_key
}
