//! `/v1/operator-grants`: a tenant's leave for the server's operator to look at decrypted data, for a while.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid};
use super::fields::{ActorText, CaseReference, GrantHours, GrantReasonWord, Moment, OperatorGrantId, given};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object};
use crate::domain::grant::{GrantDraft, GrantReason, HOURS_DEFAULT, OperatorGrant};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_operator_grant, list_operator_grants))
        .routes(routes!(read_operator_grant, archive_operator_grant))
}

/// A grant: until its end, or until it is revoked, the server's operator may look at this tenant's decrypted data, with a
/// reason, each look an entry of the tenant's audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorGrant)]
pub struct OperatorGrantBody {
    /// Its id.
    id: OperatorGrantId,
    /// Why.
    reason: GrantReasonWord,
    /// The case, as the tenant names it.
    reference: CaseReference,
    /// Whether the operator may ask for everything; otherwise what could lead to a person is masked.
    unmasked: bool,
    /// When it ends by itself.
    ends_at: Moment,
    /// Who gave it.
    author: ActorText,
    /// When it was made and last changed, and when it was revoked (`archived_at`).
    #[serde(flatten)]
    life: Life,
}

impl OperatorGrantBody {
    fn of(grant: &OperatorGrant) -> Self {
        Self {
            id: grant.object.id.into(),
            reason: GrantReasonWord(grant.reason),
            reference: CaseReference(grant.reference.clone()),
            unmasked: grant.unmasked,
            ends_at: Moment(grant.ends_at_ms),
            author: ActorText(grant.author.clone()),
            life: Life::of(&grant.object),
        }
    }

    fn example() -> Self {
        let draft = GrantDraft {
            reason: GrantReason::Support,
            reference: "INC-2026-17".to_owned(),
            unmasked: false,
            hours: HOURS_DEFAULT,
        };
        Self::of(&draft.onto(example_object(), "key:4".to_owned()))
    }
}

/// A new grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "support", "reference": "INC-2026-17", "hours": 8}))]
pub struct OperatorGrantCreate {
    /// Why.
    reason: GrantReasonWord,
    /// The case, as the tenant names it. Never a person: there is no room for a name or an address.
    reference: CaseReference,
    /// Whether the operator may ask for everything; masked looks only if left out.
    #[serde(default)]
    #[schema(required = false)]
    unmasked: bool,
    /// For how many hours it is in force; 8 if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    hours: Option<GrantHours>,
}

/// Let the operator look
///
/// From now on, for so many hours or until it is revoked, the server's operator may read consent records with what was
/// sealed, and results of requests of people, of this tenant. Nothing else, and nothing of it changes anything.
#[utoipa::path(post, path = "/v1/operator-grants", operation_id = "create_operator_grant", tag = "operator-grants",
    security(("bearer" = [])),
    request_body(content = OperatorGrantCreate, description = "The grant."),
    responses(
        (status = 201, description = "The new grant.", body = OperatorGrantBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(OperatorGrantBody::example())),
        Invalid, Clashing,
    ))]
pub async fn create_operator_grant(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<OperatorGrantCreate>,
) -> Result<Created<OperatorGrantBody>, Problem> {
    let draft = GrantDraft {
        reason: body.reason.0,
        reference: body.reference.0,
        unmasked: body.unmasked,
        hours: body.hours.map_or(HOURS_DEFAULT, |hours| hours.0),
    };
    let grant: OperatorGrant = flow.create(&caller, draft).await?;
    let body = OperatorGrantBody::of(&grant);
    Ok(created("/v1/operator-grants", body.id, body))
}

standing_operations! {
    OperatorGrant => OperatorGrantBody, OperatorGrantId, tag "operator-grants", "an" "operator grant",
    path "/v1/operator-grants",
    read_operator_grant, list_operator_grants, archive_operator_grant
}
