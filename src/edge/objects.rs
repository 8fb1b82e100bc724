//! `/v1/tenants` to `/v1/operator-grants`: the management of objects, one file per kind.
//!
//! Reading, listing and archiving are the same for every kind and are written once, as `standing_operations`. What is
//! created and changed differs and stands with its kind. DELETE archives: rows that figures and the trail name are never
//! removed.

/// The three operations that need nothing but the kind: read, list, archive.
macro_rules! standing_operations {
    (
        $object:ty => $body:ident, $id:ident, tag $tag:literal, $a:literal $one:literal, path $path:literal,
        $read:ident, $list:ident, $archive:ident
    ) => {
        #[doc = concat!("Answers with ", $a, " ", $one, ".")]
        #[utoipa::path(
            get,
            path = concat!($path, "/{id}"),
            operation_id = stringify!($read),
            tag = $tag,
            summary = concat!("Read ", $a, " ", $one),
            description = concat!("The ", $one, " with this id, archived or not."),
            security(("bearer" = [])),
            params(("id" = $id, Path, description = concat!("The ", $one, "'s id."))),
            responses(
                (status = 200, description = concat!("The ", $one, "."), body = $body,
                    example = json!($body::example())),
                $crate::edge::objects::answers::Invalid,
                $crate::edge::objects::answers::NotFound,
            )
        )]
        pub async fn $read(
            State(flow): State<ObjectsFlow>,
            Acting(caller): Acting,
            Id(id): Id<$id>,
        ) -> Result<axum::Json<$body>, Problem> {
            let object: $object = flow.read(&caller, id.into()).await?;
            Ok(axum::Json($body::of(&object)))
        }

        #[doc = concat!("Every ", $one, " of the tenant.")]
        #[utoipa::path(
            get,
            path = $path,
            operation_id = stringify!($list),
            tag = $tag,
            summary = concat!("List every ", $one),
            description = "In the order in which they were made, archived ones included, a page at a time.",
            security(("bearer" = [])),
            params(PageQuery),
            responses(
                (status = 200, description = "A page.", body = Page<$body>,
                    example = json!(Page::example($body::example()))),
                $crate::edge::objects::answers::Invalid,
            )
        )]
        pub async fn $list(
            State(flow): State<ObjectsFlow>,
            Acting(caller): Acting,
            Query(query): Query<PageQuery>,
        ) -> Result<axum::Json<Page<$body>>, Problem> {
            let slice = query.slice()?;
            let objects: Vec<$object> = flow.list(&caller, slice.after, slice.limit_and_one()).await?;
            Ok(axum::Json(slice.page(&objects, $body::of)))
        }

        #[doc = concat!("Archives ", $a, " ", $one, ".")]
        #[utoipa::path(
            delete,
            path = concat!($path, "/{id}"),
            operation_id = stringify!($archive),
            tag = $tag,
            summary = concat!("Archive ", $a, " ", $one),
            description = concat!(
                "The ", $one, " does nothing more from now on and stays readable: figures and the audit trail go on \
                 naming it. Archiving it again changes nothing."
            ),
            security(("bearer" = [])),
            params(("id" = $id, Path, description = concat!("The ", $one, "'s id."))),
            responses(
                (status = 200, description = concat!("The archived ", $one, "."), body = $body,
                    example = json!($body::example())),
                $crate::edge::objects::answers::Invalid,
                $crate::edge::objects::answers::NotFound,
            )
        )]
        pub async fn $archive(
            State(flow): State<ObjectsFlow>,
            Acting(caller): Acting,
            Id(id): Id<$id>,
        ) -> Result<axum::Json<$body>, Problem> {
            let object: $object = flow.archive(&caller, id.into()).await?;
            Ok(axum::Json($body::of(&object)))
        }
    };
}

pub mod answers;
pub mod api_keys;
pub mod approvals;
pub mod campaigns;
pub mod fields;
pub mod goals;
pub mod holds;
pub mod links;
pub mod operator_grants;
pub mod pages;
pub mod policies;
pub mod publishers;
mod shadow;
pub mod shops;
pub mod tenants;
pub mod users;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use http::StatusCode;
use http::header::{self, HeaderName};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::auth::Authenticated;
use super::problem::Problem;
use super::request::Named;
use crate::domain::campaign::Object;
use crate::flow::objects::{Caller, ObjectsFlow};
use fields::Moment;

/// The routes of all kinds.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .merge(tenants::routes())
        .merge(shops::routes())
        .merge(publishers::routes())
        .merge(campaigns::routes())
        .merge(links::routes())
        .merge(goals::routes())
        .merge(users::routes())
        .merge(api_keys::routes())
        .merge(policies::routes())
        .merge(approvals::routes())
        .merge(holds::routes())
        .merge(operator_grants::routes())
}

/// An answer that tells where the new object is read.
pub type Created<B> = (StatusCode, [(HeaderName, String); 1], axum::Json<B>);

fn created<B>(path: &str, id: impl std::fmt::Display, body: B) -> Created<B> {
    let location = (header::LOCATION, format!("{path}/{id}"));
    (StatusCode::CREATED, [location], axum::Json(body))
}

/// The authenticated caller with the name of the request.
pub struct Acting(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Authenticated(principal) = Authenticated::from_request_parts(parts, state).await?;
        let Named(request) = Named::from_request_parts(parts, state).await?;
        Ok(Self(Caller::of(&principal, request)))
    }
}

/// When an object was made, changed and archived.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the contract's names for points in time end like this"
)]
pub struct Life {
    /// When it was made.
    created_at: Moment,
    /// When it was last changed.
    updated_at: Moment,
    /// When it was archived: it stays readable and does nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    archived_at: Option<Moment>,
}

impl Life {
    fn of(object: &Object) -> Self {
        Self {
            created_at: Moment(object.created_at_ms),
            updated_at: Moment(object.updated_at_ms),
            archived_at: object.archived_at_ms.map(Moment),
        }
    }
}

/// The common parts of every example.
fn example_object() -> Object {
    Object {
        tenant: 1,
        number: 1,
        id: uuid::Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718),
        created_at_ms: 1_790_805_600_000,
        updated_at_ms: 1_790_805_600_000,
        archived_at_ms: None,
    }
}

/// The reference that stands in every example.
fn example_reference() -> crate::domain::campaign::Reference {
    let Object { number, id, .. } = example_object();
    crate::domain::campaign::Reference { number, id }
}
