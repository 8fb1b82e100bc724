//! `/v1/campaigns`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing, NotFound};
use super::fields::{
    Address, CampaignId, Edit, LandingUrl, Moment, PlainUrl, ShopId, Slug, WindowDays, given, set,
};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::campaign::Campaign;
use crate::domain::draft::{CampaignDraft, Name};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// Goals that a campaign may be made with.
const GOALS: usize = 20;
/// The attribution window of a campaign that names none.
const WINDOW_DAYS: i64 = 30;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_campaign, list_campaigns))
        .routes(routes!(read_campaign, change_campaign, archive_campaign))
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignBody {
    /// Its id.
    id: CampaignId,
    /// Its name in landing URLs and files.
    slug: Slug,
    /// The shop whose pages it leads to.
    shop: ShopId,
    /// The landing URL with its macros.
    landing_url: Address,
    /// How many days after the click a goal still counts.
    window_days: WindowDays,
    /// Whether links may name another page of the shop.
    deep_links: bool,
    /// Where visitors go while it is paused or after its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fallback_url: Option<Address>,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    starts_at: Option<Moment>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ends_at: Option<Moment>,
    /// Whether it is paused.
    paused: bool,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl CampaignBody {
    fn of(campaign: &Campaign) -> Self {
        Self {
            id: campaign.object.id.into(),
            slug: Slug(campaign.slug.clone()),
            shop: campaign.shop.id.into(),
            landing_url: Address(campaign.landing_url.clone()),
            window_days: WindowDays(campaign.window_days),
            deep_links: campaign.deep_links,
            fallback_url: campaign.fallback_url.clone().map(Address),
            starts_at: campaign.starts_at_ms.map(Moment),
            ends_at: campaign.ends_at_ms.map(Moment),
            paused: campaign.paused,
            life: Life::of(&campaign.object),
        }
    }

    fn example() -> Self {
        Self::of(&Campaign {
            object: example_object(),
            slug: "autumn".to_owned(),
            shop: example_reference(),
            landing_url: "https://shop.example/landing?utm_source={publisher}".to_owned(),
            window_days: WINDOW_DAYS,
            deep_links: false,
            fallback_url: Some("https://shop.example/".to_owned()),
            starts_at_ms: None,
            ends_at_ms: None,
            paused: false,
        })
    }
}

/// A new campaign.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "autumn", "shop": "sho_01a0b1c2d3e47f00a1b2c3d4e5f60718",
    "landing_url": "https://shop.example/landing?utm_source={publisher}", "goals": ["order", "newsletter"]}))]
pub struct CampaignCreate {
    /// Its name in landing URLs and files; unique in the tenant.
    slug: Slug,
    /// The shop whose pages it leads to; it stays with it.
    shop: ShopId,
    /// The landing URL: on one of the shop's landing hosts, with the macros `{token}`, `{campaign}`, `{publisher}`,
    /// `{link}`, `{sub1}` to `{sub10}`, `{gdpr}`, `{gdpr_consent}`, `{gpp}` and `{gpp_sid}`.
    landing_url: LandingUrl,
    /// How many days after the click a goal still counts; 30 if left out.
    window_days: Option<WindowDays>,
    /// The goals to make with it; one named `order` if left out.
    #[schema(max_items = 20)]
    goals: Option<Vec<Slug>>,
    /// Whether links may name another page of the shop.
    #[serde(default)]
    deep_links: bool,
    /// Where visitors go while it is paused or after its end: on one of the shop's landing hosts.
    fallback_url: Option<PlainUrl>,
    /// When it begins.
    starts_at: Option<Moment>,
    /// When it ends.
    ends_at: Option<Moment>,
    /// Whether it is paused.
    #[serde(default)]
    paused: bool,
}

/// A change of a campaign; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"paused": true, "ends_at": null}))]
pub struct CampaignChange {
    /// Its name in landing URLs and files; unique in the tenant.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
    /// The landing URL: on one of the shop's landing hosts.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    landing_url: Option<LandingUrl>,
    /// How many days after the click a goal still counts.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    window_days: Option<WindowDays>,
    /// Whether links may name another page of the shop.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    deep_links: Option<bool>,
    /// Where visitors go while it is paused or after its end; `null`: they get 410.
    #[serde(default)]
    #[schema(value_type = Option<PlainUrl>)]
    fallback_url: Edit<PlainUrl>,
    /// When it begins; `null`: at once.
    #[serde(default)]
    #[schema(value_type = Option<Moment>)]
    starts_at: Edit<Moment>,
    /// When it ends; `null`: never.
    #[serde(default)]
    #[schema(value_type = Option<Moment>)]
    ends_at: Edit<Moment>,
    /// Whether it is paused.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    paused: Option<bool>,
}

impl CampaignChange {
    fn onto(self, draft: &mut CampaignDraft) {
        set(&mut draft.slug, self.slug.map(|slug| slug.0));
        set(&mut draft.landing_url, self.landing_url.map(|url| url.0));
        set(&mut draft.window_days, self.window_days.map(|days| days.0));
        set(&mut draft.deep_links, self.deep_links);
        self.fallback_url.onto(&mut draft.fallback_url, |url| url.0);
        self.starts_at.onto(&mut draft.starts_at_ms, |at| at.0);
        self.ends_at.onto(&mut draft.ends_at_ms, |at| at.0);
        set(&mut draft.paused, self.paused);
    }
}

/// Create a campaign
///
/// A campaign says where clicks land, how long they count and which goals there are.
#[utoipa::path(post, path = "/v1/campaigns", operation_id = "create_campaign", tag = "campaigns",
    security(("bearer" = [])),
    request_body(content = CampaignCreate, description = "The campaign."),
    responses(
        (status = 201, description = "The new campaign.", body = CampaignBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(CampaignBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_campaign(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<CampaignCreate>,
) -> Result<Created<CampaignBody>, Problem> {
    let goals = match body.goals {
        None => vec!["order".to_owned()],
        Some(goals) if goals.len() <= GOALS => goals.into_iter().map(|goal| goal.0).collect(),
        Some(_) => return Err(Problem::invalid("goals", "must be at most 20")),
    };
    let draft = CampaignDraft {
        slug: body.slug.0,
        shop: Name::Id(body.shop.into()),
        landing_url: body.landing_url.0,
        window_days: body.window_days.map_or(WINDOW_DAYS, |days| days.0),
        deep_links: body.deep_links,
        fallback_url: body.fallback_url.map(|url| url.0),
        starts_at_ms: body.starts_at.map(|at| at.0),
        ends_at_ms: body.ends_at.map(|at| at.0),
        paused: body.paused,
    };
    let campaign = flow.create_campaign(&caller, draft, goals).await?;
    let body = CampaignBody::of(&campaign);
    Ok(created("/v1/campaigns", body.id, body))
}

/// Change a campaign
///
/// What the body leaves out stays as it is. A campaign stays with its shop.
#[utoipa::path(patch, path = "/v1/campaigns/{id}", operation_id = "change_campaign", tag = "campaigns",
    security(("bearer" = [])),
    params(("id" = CampaignId, Path, description = "The campaign's id.")),
    request_body(content = CampaignChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed campaign.", body = CampaignBody,
            example = json!(CampaignBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_campaign(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<CampaignId>,
    Json(body): Json<CampaignChange>,
) -> Result<axum::Json<CampaignBody>, Problem> {
    let campaign: Campaign = flow.change(&caller, id.into(), |draft| body.onto(draft)).await?;
    Ok(axum::Json(CampaignBody::of(&campaign)))
}

standing_operations! {
    Campaign => CampaignBody, CampaignId, tag "campaigns", "a" "campaign", path "/v1/campaigns",
    read_campaign, list_campaigns, archive_campaign
}
