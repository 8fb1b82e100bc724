//! `/v1/approvals`: changes that take effect only by the word of another user.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, NotFound};
use super::fields::{ApprovalId, ApprovalKindWord, ApprovalStateWord, Moment, PolicyId, ReasonText};
use super::pages::{Page, PageQuery};
use super::policies::PersonBody;
use super::{Acting, Life, example_object, example_reference};
use crate::domain::approval::{Approval, ApprovalKind, ApprovalState};
use crate::domain::policy::Person;
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::{ApprovalOf, ObjectsFlow};

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(list_approvals))
        .routes(routes!(read_approval))
        .routes(routes!(give_approval))
        .routes(routes!(reject_approval))
}

/// A change that waits for, or got, the word of another user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalBody {
    /// Its id.
    id: ApprovalId,
    /// What kind of change it is: a `policy` version comes into force, or the four-eyes principle is given up.
    kind: ApprovalKindWord,
    /// The policy, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy: Option<PolicyId>,
    /// What has become of it.
    state: ApprovalStateWord,
    /// Who asked for the change.
    author: PersonBody,
    /// Who decided; never the author.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decider: Option<PersonBody>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decided_at: Option<Moment>,
    /// What the decider had to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<ReasonText>,
    /// When it was asked for and last changed.
    #[serde(flatten)]
    life: Life,
}

impl ApprovalBody {
    fn of(found: ApprovalOf) -> Self {
        let ApprovalOf { approval, policy } = found;
        Self {
            id: approval.object.id.into(),
            kind: ApprovalKindWord(approval.kind),
            policy: policy.map(Into::into),
            state: ApprovalStateWord(approval.state),
            author: PersonBody::of(&approval.author),
            decider: approval.decider.as_ref().map(PersonBody::of),
            decided_at: approval.decided_at_ms.map(Moment),
            note: approval.note.map(ReasonText),
            life: Life::of(&approval.object),
        }
    }

    fn example(state: ApprovalState) -> Self {
        let object = example_object();
        let person = |actor: &str| Person {
            actor: actor.to_owned(),
            user: Some(example_reference()),
        };
        let decided = state != ApprovalState::Waiting;
        Self::of(ApprovalOf {
            policy: Some(object.id),
            approval: Approval {
                kind: ApprovalKind::Policy,
                subject: 2,
                state,
                author: person("key:1"),
                decider: decided.then(|| person("key:4")),
                decided_at_ms: decided.then_some(object.created_at_ms),
                note: decided.then(|| "Agreed with the data protection officer.".to_owned()),
                object,
            },
        })
    }
}

/// The word of another user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "Agreed with the data protection officer."}))]
pub struct Decision {
    /// What there is to say about it.
    note: Option<ReasonText>,
}

/// List approvals
///
/// In the order in which they were asked for, decided ones included, a page at a time.
#[utoipa::path(get, path = "/v1/approvals", operation_id = "list_approvals", tag = "approvals",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page.", body = Page<ApprovalBody>,
            example = json!(Page::example(ApprovalBody::example(ApprovalState::Waiting)))),
        Invalid,
    ))]
pub async fn list_approvals(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<ApprovalBody>>, Problem> {
    let slice = query.slice()?;
    let approvals: Vec<Approval> = flow.list(&caller, slice.after, slice.limit_and_one()).await?;
    let page = slice.page(&approvals, Approval::clone);
    let mut items = Vec::with_capacity(page.items.len());
    for approval in page.items {
        items.push(ApprovalBody::of(flow.about(&caller, approval).await?));
    }
    Ok(axum::Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}

/// Read an approval
///
/// The approval with this id: what was asked for, by whom, and who decided.
#[utoipa::path(get, path = "/v1/approvals/{id}", operation_id = "read_approval", tag = "approvals",
    security(("bearer" = [])),
    params(("id" = ApprovalId, Path, description = "The approval's id.")),
    responses(
        (status = 200, description = "The approval.", body = ApprovalBody,
            example = json!(ApprovalBody::example(ApprovalState::Waiting))),
        Invalid, NotFound,
    ))]
pub async fn read_approval(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<ApprovalId>,
) -> Result<axum::Json<ApprovalBody>, Problem> {
    let approval: Approval = flow.read(&caller, id.into()).await?;
    Ok(axum::Json(ApprovalBody::of(flow.about(&caller, approval).await?)))
}

/// Approve a change
///
/// The change takes effect at once, or at its time if that has not come. Only a user's key may, of another user than the
/// one who asked, and only one that was there, as it is, when the change was asked for; any other gets 403.
#[utoipa::path(post, path = "/v1/approvals/{id}/approve", operation_id = "give_approval", tag = "approvals",
    security(("bearer" = [])),
    params(("id" = ApprovalId, Path, description = "The approval's id.")),
    request_body(content = Decision, description = "A note, or nothing."),
    responses(
        (status = 200, description = "The decided approval.", body = ApprovalBody,
            example = json!(ApprovalBody::example(ApprovalState::Approved))),
        Invalid, NotFound, Clashing,
    ))]
pub async fn give_approval(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<ApprovalId>,
    Json(body): Json<Decision>,
) -> Result<axum::Json<ApprovalBody>, Problem> {
    let note = body.note.map(|text| text.0);
    let found = flow.decide_approval(&caller, id.into(), true, note).await?;
    Ok(axum::Json(ApprovalBody::of(found)))
}

/// Reject a change
///
/// The change never takes effect. The same keys may as for an approval; who asked for the change withdraws it instead.
#[utoipa::path(post, path = "/v1/approvals/{id}/reject", operation_id = "reject_approval", tag = "approvals",
    security(("bearer" = [])),
    params(("id" = ApprovalId, Path, description = "The approval's id.")),
    request_body(content = Decision, description = "A note, or nothing."),
    responses(
        (status = 200, description = "The decided approval.", body = ApprovalBody,
            example = json!(ApprovalBody::example(ApprovalState::Rejected))),
        Invalid, NotFound, Clashing,
    ))]
pub async fn reject_approval(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<ApprovalId>,
    Json(body): Json<Decision>,
) -> Result<axum::Json<ApprovalBody>, Problem> {
    let note = body.note.map(|text| text.0);
    let found = flow.decide_approval(&caller, id.into(), false, note).await?;
    Ok(axum::Json(ApprovalBody::of(found)))
}
