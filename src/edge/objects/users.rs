//! `/v1/users`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing};
use super::fields::{Edit, FreeText, Password, PublisherId, RoleWord, ShopId, UserId, given, set};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object};
use crate::domain::access::Role;
use crate::domain::campaign::User;
use crate::domain::draft::{Name, UserDraft};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::{ObjectsFlow, PasswordEdit};

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_user, list_users))
        .routes(routes!(read_user, change_user, archive_user))
}

/// A person or program that signs in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    /// Its id.
    id: UserId,
    /// Its name.
    name: FreeText,
    /// What it may do.
    role: RoleWord,
    /// The shop, for the role `shop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shop: Option<ShopId>,
    /// The publisher, for the role `publisher`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    publisher: Option<PublisherId>,
    /// Whether a password is set.
    has_password: bool,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl UserBody {
    fn of(user: &User) -> Self {
        Self {
            id: user.object.id.into(),
            name: FreeText(user.name.clone()),
            role: RoleWord(user.role),
            shop: user.shop.map(|shop| shop.id.into()),
            publisher: user.publisher.map(|publisher| publisher.id.into()),
            has_password: user.password.is_some(),
            life: Life::of(&user.object),
        }
    }

    fn example() -> Self {
        Self::of(&User {
            object: example_object(),
            name: "auditor".to_owned(),
            role: Role::Auditor,
            shop: None,
            publisher: None,
            password: None,
        })
    }
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "auditor", "role": "auditor", "password": "correct horse battery staple"}))]
pub struct UserCreate {
    /// Its name; unique in the tenant.
    name: FreeText,
    /// What it may do.
    role: RoleWord,
    /// The shop; there for the role `shop` and only for it.
    shop: Option<ShopId>,
    /// The publisher; there for the role `publisher` and only for it.
    publisher: Option<PublisherId>,
    /// The password; only its argon2id hash is kept.
    password: Option<Password>,
}

/// A change of a user; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correct horse battery staple"}))]
pub struct UserChange {
    /// Its name; unique in the tenant.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    name: Option<FreeText>,
    /// What it may do; its API keys follow.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    role: Option<RoleWord>,
    /// The shop; there for the role `shop` and only for it.
    #[serde(default)]
    #[schema(value_type = Option<ShopId>)]
    shop: Edit<ShopId>,
    /// The publisher; there for the role `publisher` and only for it.
    #[serde(default)]
    #[schema(value_type = Option<PublisherId>)]
    publisher: Edit<PublisherId>,
    /// The password; `null` takes it away.
    #[serde(default)]
    #[schema(value_type = Option<Password>)]
    password: Edit<Password>,
}

/// An object that a body names, as drafts name it.
pub(super) fn by_id<T: Into<uuid::Uuid>>(id: Option<T>) -> Option<Name> {
    id.map(|id| Name::Id(id.into()))
}

/// Create a user
///
/// A user carries one role. An API key of its own is made under `/v1/api-keys`.
#[utoipa::path(post, path = "/v1/users", operation_id = "create_user", tag = "users",
    security(("bearer" = [])),
    request_body(content = UserCreate, description = "The user."),
    responses(
        (status = 201, description = "The new user.", body = UserBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(UserBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_user(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<UserCreate>,
) -> Result<Created<UserBody>, Problem> {
    let draft = UserDraft {
        name: body.name.0,
        role: body.role.0,
        shop: by_id(body.shop),
        publisher: by_id(body.publisher),
        password: None,
    };
    let password = body.password.map(|password| password.0);
    let user = flow.create_user(&caller, draft, password).await?;
    let body = UserBody::of(&user);
    Ok(created("/v1/users", body.id, body))
}

/// Change a user
///
/// What the body leaves out stays as it is. The user's API keys follow its role, shop and publisher.
#[utoipa::path(patch, path = "/v1/users/{id}", operation_id = "change_user", tag = "users",
    security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The user's id.")),
    request_body(content = UserChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed user.", body = UserBody, example = json!(UserBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn change_user(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<UserId>,
    Json(body): Json<UserChange>,
) -> Result<axum::Json<UserBody>, Problem> {
    let password = match body.password {
        Edit::Keep => PasswordEdit::Keep,
        Edit::Clear => PasswordEdit::Clear,
        Edit::Set(password) => PasswordEdit::Set(password.0),
    };
    let edit = |draft: &mut UserDraft| {
        set(&mut draft.name, body.name.map(|name| name.0));
        set(&mut draft.role, body.role.map(|role| role.0));
        body.shop.onto(&mut draft.shop, |id| Name::Id(id.into()));
        body.publisher
            .onto(&mut draft.publisher, |id| Name::Id(id.into()));
    };
    let user = flow.change_user(&caller, id.into(), password, edit).await?;
    Ok(axum::Json(UserBody::of(&user)))
}

standing_operations! {
    User => UserBody, UserId, tag "users", "a" "user", path "/v1/users",
    read_user, list_users, archive_user
}
