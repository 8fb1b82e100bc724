//! `/v1/publishers`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, NotFound};
use super::fields::{Edit, FreeText, PublisherId, Slug, given, set};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object};
use crate::domain::campaign::Publisher;
use crate::domain::draft::PublisherDraft;
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_publisher, list_publishers))
        .routes(routes!(read_publisher, change_publisher, archive_publisher))
}

/// A publisher.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Publisher)]
pub struct PublisherBody {
    /// Its id.
    id: PublisherId,
    /// Its name in landing URLs and files.
    slug: Slug,
    /// The contract and notice on which its own `consent` word may grant; without one it can only deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    explicit_consent: Option<FreeText>,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl PublisherBody {
    fn of(publisher: &Publisher) -> Self {
        Self {
            id: publisher.object.id.into(),
            slug: Slug(publisher.slug.clone()),
            explicit_consent: publisher.explicit_consent.clone().map(FreeText),
            life: Life::of(&publisher.object),
        }
    }

    fn example() -> Self {
        Self::of(&Publisher {
            object: example_object(),
            slug: "news".to_owned(),
            explicit_consent: Some("notice-2026-03".to_owned()),
        })
    }
}

/// A new publisher.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "news", "explicit_consent": "notice-2026-03"}))]
pub struct PublisherCreate {
    /// Its name in landing URLs and files; unique in the tenant.
    slug: Slug,
    /// The contract and notice on which its own `consent` word may grant.
    explicit_consent: Option<FreeText>,
}

/// A change of a publisher; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"explicit_consent": null}))]
pub struct PublisherChange {
    /// Its name in landing URLs and files; unique in the tenant.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
    /// The contract and notice on which its own `consent` word may grant; `null` ends it.
    #[serde(default)]
    #[schema(value_type = Option<FreeText>)]
    explicit_consent: Edit<FreeText>,
}

/// Create a publisher
///
/// A publisher's tracking links lead to campaigns.
#[utoipa::path(post, path = "/v1/publishers", operation_id = "create_publisher", tag = "publishers",
    security(("bearer" = [])),
    request_body(content = PublisherCreate, description = "The publisher."),
    responses(
        (status = 201, description = "The new publisher.", body = PublisherBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(PublisherBody::example())),
        Invalid, Clashing,
    ))]
pub async fn create_publisher(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<PublisherCreate>,
) -> Result<Created<PublisherBody>, Problem> {
    let draft = PublisherDraft {
        slug: body.slug.0,
        explicit_consent: body.explicit_consent.map(|text| text.0),
    };
    let publisher: Publisher = flow.create(&caller, draft).await?;
    let body = PublisherBody::of(&publisher);
    Ok(created("/v1/publishers", body.id, body))
}

/// Change a publisher
///
/// What the body leaves out stays as it is.
#[utoipa::path(patch, path = "/v1/publishers/{id}", operation_id = "change_publisher", tag = "publishers",
    security(("bearer" = [])),
    params(("id" = PublisherId, Path, description = "The publisher's id.")),
    request_body(content = PublisherChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed publisher.", body = PublisherBody,
            example = json!(PublisherBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_publisher(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<PublisherId>,
    Json(body): Json<PublisherChange>,
) -> Result<axum::Json<PublisherBody>, Problem> {
    let edit = |draft: &mut PublisherDraft| {
        set(&mut draft.slug, body.slug.map(|slug| slug.0));
        body.explicit_consent
            .onto(&mut draft.explicit_consent, |text| text.0);
    };
    let publisher: Publisher = flow.change(&caller, id.into(), edit).await?;
    Ok(axum::Json(PublisherBody::of(&publisher)))
}

standing_operations! {
    Publisher => PublisherBody, PublisherId, tag "publishers", "a" "publisher", path "/v1/publishers",
    read_publisher, list_publishers, archive_publisher
}
