//! `/v1/tenants`. The operator makes tenants and sees all of them; everybody else sees their own.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, NotFound};
use super::fields::{
    Address, ApiKeyText, Country, Edit, FreeText, PlainUrl, PolicyMode, PolicyVersionNumber, PurposeWord,
    ReasonText, RefusalWord, Slug, TenantId, TimeZone, UntrackedWord, VendorId, given, set,
};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object};
use crate::domain::campaign::{Controller, Tenant};
use crate::domain::credential::Environment;
use crate::domain::draft::TenantDraft;
use crate::domain::object::{Object, optional};
use crate::domain::policy::{Mode, Policy, PolicyVersion, UntrackedCounts, required_by_default};
use crate::domain::refusal::RefusalMode;
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::{NewKey, ObjectsFlow, TenantInForce};

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_tenant, list_tenants))
        .routes(routes!(read_tenant, change_tenant, archive_tenant))
}

/// Who decides over the data (GDPR Art. 4(7)).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Controller)]
pub struct ControllerBody {
    /// The company.
    name: FreeText,
    /// The data protection contact.
    contact: FreeText,
    /// The country whose law applies.
    jurisdiction: Country,
    /// Where people read what is done with their data.
    notice_url: Address,
}

impl ControllerBody {
    fn of(controller: Controller) -> Self {
        Self {
            name: FreeText(controller.name),
            contact: FreeText(controller.contact),
            jurisdiction: Country(controller.jurisdiction),
            notice_url: Address(controller.notice_url),
        }
    }
}

/// The same in a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewController {
    /// The company.
    name: FreeText,
    /// The data protection contact.
    contact: FreeText,
    /// The country whose law applies.
    jurisdiction: Country,
    /// Where people read what is done with their data.
    notice_url: PlainUrl,
}

impl NewController {
    fn controller(self) -> Controller {
        Controller {
            name: self.name.0,
            contact: self.contact.0,
            jurisdiction: self.jurisdiction.0,
            notice_url: self.notice_url.0,
        }
    }
}

/// A tenant and its policy in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantBody {
    /// Its id.
    id: TenantId,
    /// Its name in URLs and files.
    slug: Slug,
    /// Days in reports begin at its midnight.
    time_zone: TimeZone,
    /// The controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    controller: Option<ControllerBody>,
    /// The legal regime.
    policy: PolicyMode,
    /// The version of the policy; every change makes a new one.
    policy_version: PolicyVersionNumber,
    /// How refusals are answered.
    refusal: RefusalWord,
    /// Purposes that must be granted.
    #[schema(max_items = 3)]
    require: Vec<PurposeWord>,
    /// The tenant's id on the Global Vendor List; without it no TC string can authorise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tcf_vendor_id: Option<VendorId>,
    /// Where untracked clicks are counted.
    untracked_counts: UntrackedWord,
    /// Whether a change of the policy takes effect only after another user approved it.
    four_eyes: bool,
    /// The key of the first manager: only in the answer that made the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_key: Option<ApiKeyText>,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl TenantBody {
    fn of(found: TenantInForce) -> Self {
        let TenantInForce { tenant, policy } = found;
        let PolicyVersion { version, policy } = policy;
        Self {
            id: tenant.object.id.into(),
            life: Life::of(&tenant.object),
            slug: Slug(tenant.slug),
            time_zone: TimeZone(tenant.time_zone),
            controller: tenant.controller.map(ControllerBody::of),
            policy: PolicyMode(policy.mode),
            policy_version: PolicyVersionNumber(version),
            refusal: RefusalWord(policy.refusal),
            require: policy.require.into_iter().map(PurposeWord).collect(),
            tcf_vendor_id: policy.tcf_vendor_id.map(VendorId),
            untracked_counts: UntrackedWord(policy.untracked_counts),
            four_eyes: tenant.four_eyes,
            api_key: None,
        }
    }

    fn example() -> Self {
        Self::of(TenantInForce {
            tenant: Tenant {
                object: example_object(),
                slug: "acme".to_owned(),
                time_zone: "Europe/Berlin".to_owned(),
                controller: Some(Controller {
                    name: "Acme Versicherung AG".to_owned(),
                    contact: "datenschutz@acme.example".to_owned(),
                    jurisdiction: "DE".to_owned(),
                    notice_url: "https://acme.example/datenschutz".to_owned(),
                }),
                four_eyes: false,
            },
            policy: PolicyVersion {
                version: 1,
                policy: Policy {
                    tcf_vendor_id: Some(755),
                    ..Policy::default()
                },
            },
        })
    }

    fn new_example() -> Self {
        Self {
            api_key: Some(ApiKeyText::example()),
            ..Self::example()
        }
    }
}

/// A new tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "acme", "time_zone": "Europe/Berlin", "policy": "strict_opt_in"}))]
pub struct TenantCreate {
    /// Its name in URLs and files; unique on the server.
    slug: Slug,
    /// Days in reports begin at its midnight; `UTC` if left out.
    time_zone: Option<TimeZone>,
    /// The controller.
    #[serde(default, deserialize_with = "optional")]
    controller: Option<NewController>,
    /// The legal regime; `strict_opt_in` if left out.
    policy: Option<PolicyMode>,
    /// How refusals are answered; `refuse` if left out.
    refusal: Option<RefusalWord>,
    /// Purposes that must be granted, `access` and `measure` among them; these two if left out.
    #[schema(min_items = 2, max_items = 3, example = json!(["access", "measure"]))]
    require: Option<Vec<PurposeWord>>,
    /// The tenant's id on the Global Vendor List; without it no TC string can authorise.
    tcf_vendor_id: Option<VendorId>,
    /// Where untracked clicks are counted; per `campaign` if left out.
    untracked_counts: Option<UntrackedWord>,
    /// Why the policy is as it is; `inherit_click` and `opt_out` need a reason.
    policy_reason: Option<ReasonText>,
    /// Whether later changes of the policy take effect only after another user approved them; no if left out.
    four_eyes: Option<bool>,
    /// Whether to make the key of a first manager; without one nobody can get in.
    #[serde(default = "yes")]
    manager_key: bool,
}

fn yes() -> bool {
    true
}

impl TenantCreate {
    fn draft(self) -> TenantDraft {
        let required = |words: Vec<PurposeWord>| words.into_iter().map(|word| word.0).collect();
        TenantDraft {
            slug: self.slug.0,
            time_zone: self.time_zone.map_or_else(|| "UTC".to_owned(), |zone| zone.0),
            controller: self.controller.map(NewController::controller),
            policy: Policy {
                mode: self.policy.map_or_else(Mode::default, |word| word.0),
                refusal: self.refusal.map_or_else(RefusalMode::default, |word| word.0),
                require: self.require.map_or_else(required_by_default, required),
                tcf_vendor_id: self.tcf_vendor_id.map(|id| id.0),
                untracked_counts: self
                    .untracked_counts
                    .map_or_else(UntrackedCounts::default, |word| word.0),
                ..Policy::default()
            },
            four_eyes: self.four_eyes,
            policy_reason: self.policy_reason.map(|text| text.0),
            policy_from_ms: None,
        }
    }
}

/// A change of a tenant; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refusal": "drop"}))]
pub struct TenantChange {
    /// Its name in URLs and files; unique on the server.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
    /// Days in reports begin at its midnight.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    time_zone: Option<TimeZone>,
    /// The controller; `null` takes it away.
    #[serde(default)]
    #[schema(value_type = Option<NewController>)]
    controller: Edit<Object<NewController>>,
    /// The legal regime.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    policy: Option<PolicyMode>,
    /// How refusals are answered.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    refusal: Option<RefusalWord>,
    /// Purposes that must be granted, `access` and `measure` among them.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 2, max_items = 3, example = json!(["access", "measure"]))]
    require: Option<Vec<PurposeWord>>,
    /// The tenant's id on the Global Vendor List; `null`: none, and no TC string can authorise.
    #[serde(default)]
    #[schema(value_type = Option<VendorId>)]
    tcf_vendor_id: Edit<VendorId>,
    /// Where untracked clicks are counted.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    untracked_counts: Option<UntrackedWord>,
    /// Why the policy is changed; needed where the change chooses `inherit_click` or `opt_out`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    policy_reason: Option<ReasonText>,
    /// Whether a change of the policy takes effect only after another user approved it. Giving that up takes an approval
    /// itself.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    four_eyes: Option<bool>,
}

impl TenantChange {
    fn onto(self, draft: &mut TenantDraft) {
        set(&mut draft.slug, self.slug.map(|slug| slug.0));
        set(&mut draft.time_zone, self.time_zone.map(|zone| zone.0));
        self.controller
            .onto(&mut draft.controller, |Object(body)| body.controller());
        let policy = &mut draft.policy;
        set(&mut policy.mode, self.policy.map(|word| word.0));
        set(&mut policy.refusal, self.refusal.map(|word| word.0));
        let required = |words: Vec<PurposeWord>| words.into_iter().map(|word| word.0).collect();
        set(&mut policy.require, self.require.map(required));
        self.tcf_vendor_id.onto(&mut policy.tcf_vendor_id, |id| id.0);
        set(
            &mut policy.untracked_counts,
            self.untracked_counts.map(|word| word.0),
        );
        draft.policy_reason = self.policy_reason.map(|text| text.0);
        draft.four_eyes = self.four_eyes.or(draft.four_eyes);
    }
}

/// Create a tenant
///
/// Only the server's operator may. The tenant gets its own keys and the first version of its policy.
#[utoipa::path(post, path = "/v1/tenants", operation_id = "create_tenant", tag = "tenants",
    security(("bearer" = [])),
    request_body(content = TenantCreate, description = "The tenant."),
    responses(
        (status = 201, description = "The new tenant.", body = TenantBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(TenantBody::new_example())),
        Invalid, Clashing,
    ))]
pub async fn create_tenant(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<TenantCreate>,
) -> Result<Created<TenantBody>, Problem> {
    let key = body.manager_key.then(|| flow.make_key(Environment::Live));
    let tenant = flow.create_tenant(&caller, body.draft(), key.as_ref()).await?;
    let body = TenantBody {
        api_key: key.and_then(NewKey::to_show).map(ApiKeyText),
        ..TenantBody::of(tenant)
    };
    Ok(created("/v1/tenants", body.id, body))
}

/// List tenants
///
/// The operator gets all of them, in the order in which they were made; everybody else their own.
#[utoipa::path(get, path = "/v1/tenants", operation_id = "list_tenants", tag = "tenants",
    security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page.", body = Page<TenantBody>,
            example = json!(Page::example(TenantBody::example()))),
        Invalid,
    ))]
pub async fn list_tenants(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<Page<TenantBody>>, Problem> {
    let slice = query.slice()?;
    let tenants: Vec<Tenant> = flow.list(&caller, slice.after, slice.limit_and_one()).await?;
    let page = slice.page(&tenants, Tenant::clone);
    let mut items = Vec::with_capacity(page.items.len());
    for tenant in page.items {
        items.push(TenantBody::of(flow.in_force(tenant).await?));
    }
    Ok(axum::Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}

/// Read a tenant
///
/// The tenant with this id and its policy in force, archived or not.
#[utoipa::path(get, path = "/v1/tenants/{id}", operation_id = "read_tenant", tag = "tenants",
    security(("bearer" = [])),
    params(("id" = TenantId, Path, description = "The tenant's id.")),
    responses(
        (status = 200, description = "The tenant.", body = TenantBody, example = json!(TenantBody::example())),
        Invalid, NotFound,
    ))]
pub async fn read_tenant(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<TenantId>,
) -> Result<axum::Json<TenantBody>, Problem> {
    let tenant: Tenant = flow.read(&caller, id.into()).await?;
    Ok(axum::Json(TenantBody::of(flow.in_force(tenant).await?)))
}

/// Change a tenant
///
/// What the body leaves out stays as it is. A change of the policy makes a new version, in force at once or, where the
/// tenant works by the four-eyes principle, once another user has approved it. The rest of the policy is changed with
/// `POST /v1/policies`.
#[utoipa::path(patch, path = "/v1/tenants/{id}", operation_id = "change_tenant", tag = "tenants",
    security(("bearer" = [])),
    params(("id" = TenantId, Path, description = "The tenant's id.")),
    request_body(content = TenantChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed tenant.", body = TenantBody,
            example = json!(TenantBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_tenant(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<TenantId>,
    Json(body): Json<TenantChange>,
) -> Result<axum::Json<TenantBody>, Problem> {
    let tenant: Tenant = flow.change(&caller, id.into(), |draft| body.onto(draft)).await?;
    Ok(axum::Json(TenantBody::of(flow.in_force(tenant).await?)))
}

/// Archive a tenant
///
/// Only the server's operator may. Its tracking links and keys stop at once; what was recorded stays.
#[utoipa::path(delete, path = "/v1/tenants/{id}", operation_id = "archive_tenant", tag = "tenants",
    security(("bearer" = [])),
    params(("id" = TenantId, Path, description = "The tenant's id.")),
    responses(
        (status = 200, description = "The archived tenant.", body = TenantBody,
            example = json!(TenantBody::example())),
        Invalid, NotFound,
    ))]
pub async fn archive_tenant(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<TenantId>,
) -> Result<axum::Json<TenantBody>, Problem> {
    let tenant: Tenant = flow.archive(&caller, id.into()).await?;
    Ok(axum::Json(TenantBody::of(flow.in_force(tenant).await?)))
}
