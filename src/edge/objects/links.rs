//! `/v1/links`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing};
use super::fields::{CampaignId, LinkId, PublisherId, Slug, SubId, given, set};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::campaign::Link;
use crate::domain::draft::{LinkDraft, Name};
use crate::domain::object::{Object, one};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_link, list_links))
        .routes(routes!(read_link, change_link, archive_link))
}

/// The ten sub-ids by name.
macro_rules! sub_ids {
    ($($number:literal $name:ident,)*) => {
        /// Default sub-ids of a tracking link; a click's own take their place.
        #[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(example = json!({"sub1": "spring"}))]
        pub struct SubIds {$(
            #[doc = concat!("Sub-id ", $number, ".")]
            #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
            #[schema(nullable = false)]
            $name: Option<SubId>,
        )*}

        impl SubIds {
            fn of(subs: &[(u8, String)]) -> Self {
                let text = |number: u8| {
                    let found = subs.iter().find(|(place, _)| *place == number)?;
                    Some(SubId(found.1.clone()))
                };
                Self { $($name: text($number),)* }
            }

            fn list(self) -> Vec<(u8, String)> {
                let all = [$(($number, self.$name),)*];
                all.into_iter().filter_map(|(place, text)| Some((place, text?.0))).collect()
            }
        }
    };
}

sub_ids! {
    1 sub1, 2 sub2, 3 sub3, 4 sub4, 5 sub5, 6 sub6, 7 sub7, 8 sub8, 9 sub9, 10 sub10,
}

/// A tracking link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkBody {
    /// Its id.
    id: LinkId,
    /// The path segment of `/c/{link}`.
    slug: Slug,
    /// The campaign.
    campaign: CampaignId,
    /// The publisher.
    publisher: PublisherId,
    /// Default sub-ids.
    subs: SubIds,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl LinkBody {
    fn of(link: &Link) -> Self {
        Self {
            id: link.object.id.into(),
            slug: Slug(link.slug.clone()),
            campaign: link.campaign.id.into(),
            publisher: link.publisher.id.into(),
            subs: SubIds::of(&link.subs),
            life: Life::of(&link.object),
        }
    }

    fn example() -> Self {
        Self::of(&Link {
            object: example_object(),
            slug: "Ab3xK9".to_owned(),
            campaign: example_reference(),
            publisher: example_reference(),
            subs: vec![(1, "spring".to_owned())],
        })
    }
}

/// A new tracking link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "Ab3xK9", "campaign": "cmp_01a0b1c2d3e47f00a1b2c3d4e5f60718",
    "publisher": "pub_01a0b1c2d3e47f00a1b2c3d4e5f60718", "subs": {"sub1": "spring"}}))]
pub struct LinkCreate {
    /// The path segment of `/c/{link}`; unique on the server.
    slug: Slug,
    /// The campaign.
    campaign: CampaignId,
    /// The publisher.
    publisher: PublisherId,
    /// Default sub-ids.
    #[serde(default, deserialize_with = "one")]
    subs: SubIds,
}

/// A change of a tracking link; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"subs": {"sub1": "autumn"}}))]
pub struct LinkChange {
    /// The path segment of `/c/{link}`; unique on the server.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
    /// The campaign that new clicks belong to.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    campaign: Option<CampaignId>,
    /// The publisher that new clicks belong to.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    publisher: Option<PublisherId>,
    /// Replaces all default sub-ids.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<SubIds>, nullable = false)]
    subs: Option<Object<SubIds>>,
}

impl LinkChange {
    fn onto(self, draft: &mut LinkDraft) {
        set(&mut draft.slug, self.slug.map(|slug| slug.0));
        set(&mut draft.campaign, self.campaign.map(|id| Name::Id(id.into())));
        set(&mut draft.publisher, self.publisher.map(|id| Name::Id(id.into())));
        set(&mut draft.subs, self.subs.map(|Object(subs)| subs.list()));
    }
}

/// Create a tracking link
///
/// Visitors follow it at `/c/{link}`; it belongs to one publisher and one campaign.
#[utoipa::path(post, path = "/v1/links", operation_id = "create_link", tag = "links",
    security(("bearer" = [])),
    request_body(content = LinkCreate, description = "The tracking link."),
    responses(
        (status = 201, description = "The new tracking link.", body = LinkBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(LinkBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_link(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<LinkCreate>,
) -> Result<Created<LinkBody>, Problem> {
    let draft = LinkDraft {
        slug: body.slug.0,
        campaign: Name::Id(body.campaign.into()),
        publisher: Name::Id(body.publisher.into()),
        subs: body.subs.list(),
    };
    let link: Link = flow.create(&caller, draft).await?;
    let body = LinkBody::of(&link);
    Ok(created("/v1/links", body.id, body))
}

/// Change a tracking link
///
/// What the body leaves out stays as it is. Clicks that happened keep the campaign and publisher that they had.
#[utoipa::path(patch, path = "/v1/links/{id}", operation_id = "change_link", tag = "links",
    security(("bearer" = [])),
    params(("id" = LinkId, Path, description = "The tracking link's id.")),
    request_body(content = LinkChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed tracking link.", body = LinkBody,
            example = json!(LinkBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn change_link(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<LinkId>,
    Json(body): Json<LinkChange>,
) -> Result<axum::Json<LinkBody>, Problem> {
    let link: Link = flow.change(&caller, id.into(), |draft| body.onto(draft)).await?;
    Ok(axum::Json(LinkBody::of(&link)))
}

standing_operations! {
    Link => LinkBody, LinkId, tag "links", "a" "tracking link", path "/v1/links",
    read_link, list_links, archive_link
}
