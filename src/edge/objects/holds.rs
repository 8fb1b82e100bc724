//! `/v1/holds`: what is kept beyond its time, and why.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing};
use super::fields::{
    ActorText, CampaignId, CaseReference, HoldClassWord, HoldId, HoldReasonWord, Moment, given,
};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::draft::Name;
use crate::domain::hold::{Hold, HoldClass, HoldDraft, HoldReason};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_hold, list_holds))
        .routes(routes!(read_hold, archive_hold))
}

/// A hold: rows of a class that are not purged. It stops purging and nothing else: erasures go through it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldBody {
    /// Its id.
    id: HoldId,
    /// What it keeps. Consent records stand in rows of clicks and conversions, so a hold on them keeps those.
    class: HoldClassWord,
    /// Only of this campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    campaign: Option<CampaignId>,
    /// Why.
    reason: HoldReasonWord,
    /// The case, as the tenant names it.
    reference: CaseReference,
    /// From when.
    from: Moment,
    /// Until when, if it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<Moment>,
    /// When it has to be looked at again.
    review_at: Moment,
    /// Who asked for it.
    author: ActorText,
    /// When it was made and last changed, and when it was lifted (`archived_at`).
    #[serde(flatten)]
    life: Life,
}

impl HoldBody {
    fn of(hold: &Hold) -> Self {
        Self {
            id: hold.object.id.into(),
            class: HoldClassWord(hold.class),
            campaign: hold.campaign.map(|campaign| campaign.id.into()),
            reason: HoldReasonWord(hold.reason),
            reference: CaseReference(hold.reference.clone()),
            from: Moment(hold.from_ms),
            until: hold.until_ms.map(Moment),
            review_at: Moment(hold.review_at_ms),
            author: ActorText(hold.author.clone()),
            life: Life::of(&hold.object),
        }
    }

    fn example() -> Self {
        let object = example_object();
        Self::of(&Hold {
            class: HoldClass::ConversionDetails,
            campaign: Some(example_reference()),
            reason: HoldReason::LegalClaims,
            reference: "LG-HH-324-O-17-26".to_owned(),
            from_ms: object.created_at_ms,
            until_ms: None,
            review_at_ms: 1_806_447_600_000,
            author: "key:4".to_owned(),
            object,
        })
    }
}

/// A new hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"class": "conversion_details", "campaign": "cmp_01a0b1c2d3e47f00a1b2c3d4e5f60718",
    "reason": "legal_claims", "reference": "LG-HH-324-O-17-26", "review_at": "2027-03-31T00:00:00.000Z"}))]
pub struct HoldCreate {
    /// What it is to keep; `all` is every class.
    class: HoldClassWord,
    /// Only of this campaign; with classes whose rows have one.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    campaign: Option<CampaignId>,
    /// Why.
    reason: HoldReasonWord,
    /// The case, as the tenant names it. Never a person: there is no room for a name or an address.
    reference: CaseReference,
    /// From when; at once if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    from: Option<Moment>,
    /// Until when, if it is to end by itself.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    until: Option<Moment>,
    /// When it has to be looked at again: within a year. It goes on keeping beyond that, and `doctor` asks for the review.
    review_at: Moment,
}

/// Create a hold
///
/// Nothing that it is about is purged from now on, until its end or until it is lifted. An erasure, a withdrawal or an
/// objection erases all the same.
#[utoipa::path(post, path = "/v1/holds", operation_id = "create_hold", tag = "retention",
    security(("bearer" = [])),
    request_body(content = HoldCreate, description = "The hold."),
    responses(
        (status = 201, description = "The new hold.", body = HoldBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(HoldBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_hold(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<HoldCreate>,
) -> Result<Created<HoldBody>, Problem> {
    let draft = HoldDraft {
        class: body.class.0,
        campaign: body.campaign.map(|id| Name::Id(id.into())),
        reason: body.reason.0,
        reference: body.reference.0,
        from_ms: body.from.map(|at| at.0),
        until_ms: body.until.map(|at| at.0),
        review_at_ms: body.review_at.0,
    };
    let hold: Hold = flow.create(&caller, draft).await?;
    let body = HoldBody::of(&hold);
    Ok(created("/v1/holds", body.id, body))
}

standing_operations! {
    Hold => HoldBody, HoldId, tag "retention", "a" "hold", path "/v1/holds",
    read_hold, list_holds, archive_hold
}
