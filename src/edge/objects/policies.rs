//! `/v1/policies`: versions and drafts of the tenant's consent policy, each with what it changes.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, Missing, NotFound};
use super::fields::{
    ActorText, ApprovalId, ConsentAgeDays, DenialWord, Edit, GpcWord, InheritWindowHours, JurisdictionWord,
    Moment, PolicyId, PolicyMode, PolicyVersionNumber, PurposeWord, ReasonText, RefusalWord, UntrackedWord,
    UserId, VendorId, given, set,
};
use super::pages::{Page, PageQuery};
use super::shadow::{ShadowQuery, ShadowReportBody};
use super::{Acting, Created, Life, created, example_object, example_reference};
use crate::domain::event::Change;
use crate::domain::policy::{Person, Policy, PolicyRecord, Stand};
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::{ObjectsFlow, PolicyStanding, PolicyWish};

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_policy, list_policies))
        .routes(routes!(read_policy, archive_policy))
        .routes(routes!(read_shadow_report))
}

/// Somebody who proposed or decided something.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonBody {
    /// As the trail names it.
    actor: ActorText,
    /// The user whose key it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<UserId>,
}

impl PersonBody {
    /// A person as answers show it.
    pub fn of(person: &Person) -> Self {
        Self {
            actor: ActorText(person.actor.clone()),
            user: person.user.map(|user| user.id.into()),
        }
    }
}

/// A field that differs from the version before.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyChange {
    /// The field.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    field: &'static str,
    /// Its value before, as text; left out where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, pattern = "^[a-z0-9_, ]*$", nullable = false)]
    old: Option<String>,
    /// Its value after, as text; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128, pattern = "^[a-z0-9_, ]*$", nullable = false)]
    new: Option<String>,
}

/// A version or a draft of the policy. Its document never changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyBody {
    /// Its id.
    id: PolicyId,
    /// The version, which every decision under it names; a draft has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<PolicyVersionNumber>,
    /// Where it is in its life: `draft` (runs in the shadow), `waiting` (for an approval), `scheduled`, `in_force`,
    /// `past`, `rejected`, `withdrawn`.
    #[schema(
        max_length = 16,
        pattern = "^(draft|waiting|scheduled|in_force|past|rejected|withdrawn)$"
    )]
    state: &'static str,
    /// The legal regime.
    mode: PolicyMode,
    /// How refusals are answered.
    refusal: RefusalWord,
    /// Purposes that must be granted.
    #[schema(max_items = 3)]
    require: Vec<PurposeWord>,
    /// Where the tenant's visitors are.
    #[schema(max_items = 4)]
    jurisdictions: Vec<JurisdictionWord>,
    /// The tenant's id on the Global Vendor List; without it no TC string can authorise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tcf_vendor_id: Option<VendorId>,
    /// The oldest consent that counts.
    max_consent_age_days: ConsentAgeDays,
    /// What Global Privacy Control means.
    gpc: GpcWord,
    /// How long after a granted click `inherit_click` lets a postback do without a signal.
    inherit_window_hours: InheritWindowHours,
    /// What a "no" from the shop erases.
    shop_denial_erases: DenialWord,
    /// Where untracked clicks are counted.
    untracked_counts: UntrackedWord,
    /// Who made it.
    author: PersonBody,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy_reason: Option<ReasonText>,
    /// The version that it was made to replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaces: Option<PolicyVersionNumber>,
    /// What differs from that version. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 10)]
    changes: Option<Vec<PolicyChange>>,
    /// From when it is, or is to be, in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    effective_from: Option<Moment>,
    /// The approval that it waits for or got.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    approval: Option<ApprovalId>,
    /// When it was made, changed its place in life, and ended without having had an effect.
    #[serde(flatten)]
    life: Life,
}

impl PolicyBody {
    fn of(standing: PolicyStanding) -> Self {
        let PolicyStanding {
            record,
            stand,
            changes,
        } = standing;
        let change = |Change { field, old, new }| PolicyChange { field, old, new };
        let policy = record.policy;
        let jurisdictions = policy.jurisdictions();
        Self {
            id: record.object.id.into(),
            version: record.version.map(PolicyVersionNumber),
            state: stand.code(),
            mode: PolicyMode(policy.mode),
            refusal: RefusalWord(policy.refusal),
            require: policy.require.into_iter().map(PurposeWord).collect(),
            jurisdictions: jurisdictions.into_iter().map(JurisdictionWord).collect(),
            tcf_vendor_id: policy.tcf_vendor_id.map(VendorId),
            max_consent_age_days: ConsentAgeDays(policy.max_consent_age_days),
            gpc: GpcWord(policy.gpc),
            inherit_window_hours: InheritWindowHours(policy.inherit_window_hours),
            shop_denial_erases: DenialWord(policy.shop_denial_erases),
            untracked_counts: UntrackedWord(policy.untracked_counts),
            author: PersonBody::of(&record.author),
            policy_reason: record.reason.map(ReasonText),
            replaces: record.replaces.map(PolicyVersionNumber),
            changes: changes.map(|changes| changes.into_iter().map(change).collect()),
            effective_from: record.effective_from_ms.or(record.requested_from_ms).map(Moment),
            approval: record.approval.map(|approval| approval.id.into()),
            life: Life::of(&record.object),
        }
    }

    fn example() -> Self {
        let object = example_object();
        Self::of(PolicyStanding {
            stand: Stand::InForce,
            changes: Some(vec![Change {
                field: "max_consent_age_days",
                old: Some("395".to_owned()),
                new: Some("180".to_owned()),
            }]),
            record: PolicyRecord {
                version: Some(2),
                policy: Policy {
                    tcf_vendor_id: Some(755),
                    max_consent_age_days: 180,
                    ..Policy::default()
                },
                author: Person {
                    actor: "key:1".to_owned(),
                    user: Some(example_reference()),
                },
                reason: Some("The regulator asks for six months.".to_owned()),
                replaces: Some(1),
                approval: None,
                requested_from_ms: Some(object.created_at_ms),
                effective_from_ms: Some(object.created_at_ms),
                rejected: false,
                object,
            },
        })
    }
}

/// A new version or draft; what is left out is as in the policy that would be in force at its time, or as in `base`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "draft": true, "max_consent_age_days": 180, "policy_reason": "What would six months cost?"
}))]
pub struct PolicyCreate {
    /// Whether it is a draft, which runs in the shadow of the policy in force and takes the place of the draft before.
    #[serde(default)]
    draft: bool,
    /// The policy that it begins as: a draft that has proven itself, or an earlier version to go back to.
    base: Option<PolicyId>,
    /// From when it is to be in force; at once if left out. Never in the past, and never for a draft.
    effective_from: Option<Moment>,
    /// Why. Needed where a version chooses what is laxer than the default: `inherit_click`, `opt_out`, consent older than
    /// 395 days, `us` beside other jurisdictions, `tcf_overrides`, more than 24 hours to inherit, or to erase `nothing`.
    policy_reason: Option<ReasonText>,
    /// The legal regime.
    mode: Option<PolicyMode>,
    /// How refusals are answered.
    refusal: Option<RefusalWord>,
    /// Purposes that must be granted, `access` and `measure` among them.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 2, max_items = 3, example = json!(["access", "measure"]))]
    require: Option<Vec<PurposeWord>>,
    /// Where the tenant's visitors are. With `us` in it a request that says `gdpr=0` is decided by opting out; empty: where
    /// the mode is meant for (`opt_out`: `us`, else `eea`, `uk`, `ch`). `opt_out` goes with `us` alone.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 4, example = json!(["eea", "uk", "ch"]))]
    jurisdictions: Option<Vec<JurisdictionWord>>,
    /// The tenant's id on the Global Vendor List; `null`: none, and no TC string can authorise.
    #[serde(default)]
    #[schema(value_type = Option<VendorId>)]
    tcf_vendor_id: Edit<VendorId>,
    /// The oldest consent that counts; never older than 13 months.
    max_consent_age_days: Option<ConsentAgeDays>,
    /// What Global Privacy Control means: always a no, or a no unless a TC string in the same request grants us all.
    gpc: Option<GpcWord>,
    /// How long after a granted click `inherit_click` lets a postback do without a signal.
    inherit_window_hours: Option<InheritWindowHours>,
    /// What a "no" from the shop erases: the click, every click of the person at that shop, or nothing (the click only
    /// counts no more).
    shop_denial_erases: Option<DenialWord>,
    /// Where untracked clicks are counted.
    untracked_counts: Option<UntrackedWord>,
}

impl PolicyCreate {
    fn wish(&self) -> PolicyWish {
        PolicyWish {
            base: self.base.map(Into::into),
            shadow: self.draft,
            from_ms: self.effective_from.map(|at| at.0),
            reason: self.policy_reason.as_ref().map(|text| text.0.clone()),
        }
    }

    fn onto(self, policy: &mut Policy) {
        set(&mut policy.mode, self.mode.map(|word| word.0));
        set(&mut policy.refusal, self.refusal.map(|word| word.0));
        let required = |words: Vec<PurposeWord>| words.into_iter().map(|word| word.0).collect();
        set(&mut policy.require, self.require.map(required));
        let places = |words: Vec<JurisdictionWord>| words.into_iter().map(|word| word.0).collect();
        set(&mut policy.jurisdictions, self.jurisdictions.map(places));
        self.tcf_vendor_id.onto(&mut policy.tcf_vendor_id, |id| id.0);
        set(
            &mut policy.max_consent_age_days,
            self.max_consent_age_days.map(|days| days.0),
        );
        set(&mut policy.gpc, self.gpc.map(|word| word.0));
        set(
            &mut policy.inherit_window_hours,
            self.inherit_window_hours.map(|hours| hours.0),
        );
        set(
            &mut policy.shop_denial_erases,
            self.shop_denial_erases.map(|word| word.0),
        );
        set(
            &mut policy.untracked_counts,
            self.untracked_counts.map(|word| word.0),
        );
    }
}

/// Create a policy version or draft
///
/// A version is in force from its time on, on every node; where the tenant works by the four-eyes principle it waits for
/// the approval of another user. A draft changes nothing: every click and postback is decided by the policy in force, and
/// where the draft would have said otherwise is counted.
#[utoipa::path(post, path = "/v1/policies", operation_id = "create_policy", tag = "policies",
    security(("bearer" = [])),
    request_body(content = PolicyCreate, description = "What is to be different."),
    responses(
        (status = 201, description = "The new version or draft.", body = PolicyBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(PolicyBody::example())),
        Invalid, Missing, Clashing,
    ))]
pub async fn create_policy(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<PolicyCreate>,
) -> Result<Created<PolicyBody>, Problem> {
    let wish = body.wish();
    let edit = |policy: &mut Policy| body.onto(policy);
    let body = PolicyBody::of(flow.create_policy(&caller, wish, edit).await?);
    Ok(created("/v1/policies", body.id, body))
}

/// List policies
///
/// Versions and drafts in the order in which they were made, ended ones included, a page at a time.
#[utoipa::path(get, path = "/v1/policies", operation_id = "list_policies", tag = "policies",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page.", body = Page<PolicyBody>,
            example = json!(Page::example(PolicyBody { changes: None, ..PolicyBody::example() }))),
        Invalid,
    ))]
pub async fn list_policies(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<PolicyBody>>, Problem> {
    let slice = query.slice()?;
    let records: Vec<PolicyRecord> = flow.list(&caller, slice.after, slice.limit_and_one()).await?;
    let page = slice.page(&records, PolicyRecord::clone);
    let standing = flow.standing(&caller, page.items).await?;
    Ok(axum::Json(Page {
        items: standing.into_iter().map(PolicyBody::of).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Read a policy
///
/// The version or draft with this id, with what differs from the version that it was made to replace.
#[utoipa::path(get, path = "/v1/policies/{id}", operation_id = "read_policy", tag = "policies",
    security(("bearer" = [])),
    params(("id" = PolicyId, Path, description = "The policy's id.")),
    responses(
        (status = 200, description = "The policy.", body = PolicyBody, example = json!(PolicyBody::example())),
        Invalid, NotFound,
    ))]
pub async fn read_policy(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<PolicyId>,
) -> Result<axum::Json<PolicyBody>, Problem> {
    let record: PolicyRecord = flow.read(&caller, id.into()).await?;
    Ok(axum::Json(PolicyBody::of(flow.explained(record).await?)))
}

/// Withdraw a policy
///
/// Ends a draft, or a version that has had no effect yet because its time has not come or it waits for an approval. A
/// version that is or was in force stays: decisions name it.
#[utoipa::path(delete, path = "/v1/policies/{id}", operation_id = "archive_policy", tag = "policies",
    security(("bearer" = [])),
    params(("id" = PolicyId, Path, description = "The policy's id.")),
    responses(
        (status = 200, description = "The withdrawn policy.", body = PolicyBody,
            example = json!(PolicyBody { state: Stand::Withdrawn.code(), ..PolicyBody::example() })),
        Invalid, NotFound, Clashing,
    ))]
pub async fn archive_policy(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<PolicyId>,
) -> Result<axum::Json<PolicyBody>, Problem> {
    let record: PolicyRecord = flow.archive(&caller, id.into()).await?;
    Ok(axum::Json(PolicyBody::of(flow.explained(record).await?)))
}

/// Read a draft's shadow report
///
/// Where the draft would have said otherwise than the policy in force, by day, campaign, kind and both verdicts, and how
/// many clicks and postbacks it was asked about. The draft is asked on the facts that the policy in force has made: a
/// click that was not tracked has no token, whatever the draft would have done. Counts only, nothing about a person.
#[utoipa::path(get, path = "/v1/policies/{id}/shadow-report", operation_id = "read_shadow_report", tag = "policies",
    security(("bearer" = [])),
    params(("id" = PolicyId, Path, description = "The draft's id."), ShadowQuery),
    responses(
        (status = 200, description = "The report.", body = ShadowReportBody,
            example = json!(ShadowReportBody::example())),
        Invalid, NotFound,
    ))]
pub async fn read_shadow_report(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<PolicyId>,
    Query(query): Query<ShadowQuery>,
) -> Result<axum::Json<ShadowReportBody>, Problem> {
    let report = flow.shadow_report(&caller, id.into(), query.days()?).await?;
    Ok(axum::Json(ShadowReportBody::of(report)))
}
