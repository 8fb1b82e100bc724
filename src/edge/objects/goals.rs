//! `/v1/goals`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing, NotFound};
use super::fields::{CampaignId, GoalId, Slug, given, set};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::campaign::Goal;
use crate::domain::draft::{GoalDraft, Name};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_goal, list_goals))
        .routes(routes!(read_goal, change_goal, archive_goal))
}

/// What counts as a conversion in a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Goal)]
pub struct GoalBody {
    /// Its id.
    id: GoalId,
    /// The campaign.
    campaign: CampaignId,
    /// Its name in postbacks.
    slug: Slug,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl GoalBody {
    fn of(goal: &Goal) -> Self {
        Self {
            id: goal.object.id.into(),
            campaign: goal.campaign.id.into(),
            slug: Slug(goal.slug.clone()),
            life: Life::of(&goal.object),
        }
    }

    fn example() -> Self {
        Self::of(&Goal {
            object: example_object(),
            campaign: example_reference(),
            slug: "newsletter".to_owned(),
        })
    }
}

/// A new goal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"campaign": "cmp_01a0b1c2d3e47f00a1b2c3d4e5f60718", "slug": "newsletter"}))]
pub struct GoalCreate {
    /// The campaign.
    campaign: CampaignId,
    /// Its name in postbacks; unique in the campaign.
    slug: Slug,
}

/// A change of a goal; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "subscription"}))]
pub struct GoalChange {
    /// Its name in postbacks; unique in the campaign.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
}

/// Create a goal
///
/// A postback names the goal that was reached; without one it means `order`.
#[utoipa::path(post, path = "/v1/goals", operation_id = "create_goal", tag = "goals",
    security(("bearer" = [])),
    request_body(content = GoalCreate, description = "The goal."),
    responses(
        (status = 201, description = "The new goal.", body = GoalBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(GoalBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_goal(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<GoalCreate>,
) -> Result<Created<GoalBody>, Problem> {
    let draft = GoalDraft {
        campaign: Name::Id(body.campaign.into()),
        slug: body.slug.0,
    };
    let goal: Goal = flow.create(&caller, draft).await?;
    let body = GoalBody::of(&goal);
    Ok(created("/v1/goals", body.id, body))
}

/// Change a goal
///
/// Postbacks that name the old slug are answered `unknown_goal` from then on.
#[utoipa::path(patch, path = "/v1/goals/{id}", operation_id = "change_goal", tag = "goals",
    security(("bearer" = [])),
    params(("id" = GoalId, Path, description = "The goal's id.")),
    request_body(content = GoalChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed goal.", body = GoalBody, example = json!(GoalBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_goal(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<GoalId>,
    Json(body): Json<GoalChange>,
) -> Result<axum::Json<GoalBody>, Problem> {
    let edit = |draft: &mut GoalDraft| set(&mut draft.slug, body.slug.map(|slug| slug.0));
    let goal: Goal = flow.change(&caller, id.into(), edit).await?;
    Ok(axum::Json(GoalBody::of(&goal)))
}

standing_operations! {
    Goal => GoalBody, GoalId, tag "goals", "a" "goal", path "/v1/goals",
    read_goal, list_goals, archive_goal
}
