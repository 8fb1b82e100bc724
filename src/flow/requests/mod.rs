//! Requests of people: cases with a deadline, what is done about them, and what is told of them.
//!
//! Promise: a case names its person only while it is open or its result may be read, sealed under a key of its own;
//! whoever asks is answered the same whether or not anything is held; and every step is an event, in the case and in the
//! audit trail.

pub mod callbacks;
mod change;
mod execute;
mod held;
mod rounds;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use uuid::Uuid;

pub use callbacks::{CallbackCarrier, Carrying};
pub use change::{Change, Decision, Edit};
pub use held::{Held, HeldOfClick, HeldOfConversion};

use super::conversion::ConversionFlow;
use super::ledger::Ledger;
use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::campaign::{Shop, User};
use crate::domain::deadline::Calendar;
use crate::domain::draft::Fault;
use crate::domain::event::{Actor, AuditEvent, Change as Field};
use crate::domain::ids::RequestId;
use crate::domain::keys::Secret;
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::domain::subject_request::{
    Case, Name, Person, Regulation, RequestKind, RequestSource, RequestStatus, Subject,
};
use crate::store::StoreError;
pub use crate::store::requests::{CaseCounts, CaseEvent, CaseFilter};
use crate::store::tx::Tx;

/// How far ahead of ours a sender's clock may be, in milliseconds.
const AHEAD_MS: i64 = 5 * 60_000;

/// Signs what is told to OpenDSR controllers.
pub trait ProcessorSigner: Send + Sync {
    /// The base64 signature over these bytes; nothing where the key does not sign.
    fn sign(&self, body: &[u8]) -> Option<String>;
}

/// How we stand as an OpenDSR processor.
#[derive(Clone)]
pub struct Processor {
    /// Our domain, which the certificate is for.
    pub domain: String,
    /// Where the certificate is.
    pub certificate_url: String,
    /// For how long a controller can take a request back before it is carried out, in milliseconds.
    pub wait_ms: i64,
    /// Signs.
    pub signer: Arc<dyn ProcessorSigner>,
    /// Carries callbacks.
    pub carrier: Arc<dyn CallbackCarrier>,
}

/// What is configured about requests.
#[derive(Clone, Default)]
pub struct RequestSettings {
    /// Public holidays by the tenant's slug.
    pub holidays: BTreeMap<String, Vec<NaiveDate>>,
    /// OpenDSR, where it is set up.
    pub processor: Option<Processor>,
}

/// Who acts.
#[derive(Debug, Clone)]
pub struct By {
    /// The tenant's number.
    pub tenant: i64,
    /// Whom the trail names.
    pub actor: Actor,
    /// The request, if it is one.
    pub request: Option<RequestId>,
}

impl By {
    /// The caller of a request.
    pub fn of(principal: &Principal, request: RequestId) -> Self {
        Self {
            tenant: principal.tenant,
            actor: principal.actor(),
            request: Some(request),
        }
    }
}

/// A request as it comes.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Which door it came through.
    pub source: RequestSource,
    /// The id that an OpenDSR controller gave it.
    pub external_id: Option<Uuid>,
    /// What is asked for.
    pub kind: RequestKind,
    /// Whether a restriction is to end.
    pub lift: bool,
    /// Which law it rests on.
    pub regulation: Regulation,
    /// When the person asked; now if it is left out.
    pub submitted_at_ms: Option<i64>,
    /// The person.
    pub person: Person,
    /// Public holidays besides those that are configured.
    pub holidays: Vec<NaiveDate>,
}

/// A case as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The case.
    pub case: Case,
    /// Who works on it, by the user's id.
    pub assignee: Option<Uuid>,
    /// Whether its deadline has passed.
    pub overdue: bool,
    /// Whether its deadline is near.
    pub due_soon: bool,
}

/// A case with all that happened in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownWhole {
    /// The case.
    pub shown: Shown,
    /// What happened, in order.
    pub history: Vec<CaseEvent>,
    /// Callbacks that wait to be sent.
    pub callbacks_waiting: u64,
}

/// Takes requests and carries them out.
#[derive(Clone)]
pub struct RequestsFlow {
    live: Arc<Live>,
    ledger: Ledger,
    conversion: ConversionFlow,
    settings: Arc<RequestSettings>,
}

impl RequestsFlow {
    /// Over the shared parts and the ledger.
    pub fn new(
        live: Arc<Live>,
        ledger: Ledger,
        conversion: ConversionFlow,
        settings: RequestSettings,
    ) -> Self {
        Self {
            live,
            ledger,
            conversion,
            settings: Arc::new(settings),
        }
    }

    /// OpenDSR, where it is set up.
    pub fn processor(&self) -> Option<&Processor> {
        self.settings.processor.as_ref()
    }

    /// Now, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.live.now_ms()
    }

    fn tenant(&self, number: i64) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = self.live.routing();
        let found = routing.tenants.get(&number).map(Arc::clone);
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// The id of the tenant, which an OpenDSR controller is known by.
    pub fn controller_id(&self, tenant: i64) -> Result<Uuid, FlowError> {
        Ok(self.tenant(tenant)?.tenant.object.id)
    }

    /// Takes a request. What is held of the person is not looked at.
    pub async fn create(&self, by: &By, mut new: NewRequest, shop: Option<Uuid>) -> Result<Shown, FlowError> {
        let tenant = self.tenant(by.tenant)?;
        if let Some(id) = shop {
            let found: Option<Shop> = self
                .live
                .store()
                .reader(TenantScope::Only(by.tenant))
                .find(by.tenant, id)
                .await?;
            let number = found.ok_or(FlowError::Missing("shop"))?.object.number;
            new.person.narrow_to(number);
        }
        let now_ms = self.live.now_ms();
        let submitted_at_ms = new.submitted_at_ms.unwrap_or(now_ms);
        if submitted_at_ms > now_ms + AHEAD_MS {
            return Err(FlowError::Invalid("submitted_at", "lies in the future"));
        }
        let holidays = self.holidays(&tenant, &new.holidays);
        let calendar = Calendar {
            zone: tenant.zone,
            holidays: &holidays,
        };
        let out_of_range = FlowError::Invalid("submitted_at", "has no deadline");
        let due = calendar.due(submitted_at_ms).ok_or(out_of_range)?;
        let id = self.live.new_id();
        let case_key = Secret::new(self.live.random());
        let nonces = [self.live.random(), self.live.random()];
        let subject = subject(&tenant, new.person);
        let sealed = subject.seal(&tenant.keys, id, &case_key, nonces);
        let tx = self.live.store().begin(TenantScope::Only(by.tenant)).await?;
        let case = Case {
            tenant: by.tenant,
            number: tx.next_case(by.tenant).await?,
            id,
            external_id: new.external_id,
            source: new.source,
            kind: new.kind,
            lift: new.lift,
            regulation: new.regulation,
            status: RequestStatus::Pending,
            submitted_at_ms,
            received_at_ms: now_ms,
            due_on: due.on.to_string(),
            due_at_ms: due.ends_at_ms,
            extension: None,
            assignee: None,
            ground: None,
            results_count: None,
            done_at_ms: None,
            closed_at_ms: None,
            updated_at_ms: now_ms,
            case_key: Some(sealed.case_key),
            subject: Some(sealed.subject),
        };
        tx.insert_case(&case).await?;
        self.note(&tx, by, &case, "created", None).await?;
        self.queue(&tx, &tenant, &case, &subject).await?;
        let mut event = self.event(by, &case, "subject_request.created", "created");
        event.changes = vec![
            field("kind", case.kind.code()),
            field("lift", if case.lift { "true" } else { "false" }),
            field("source", case.source.code()),
            field("due_on", &case.due_on),
        ];
        tx.commit_with(&event.into()).await?;
        Ok(self.shown(case, None))
    }

    fn holidays(&self, tenant: &TenantRoute, more: &[NaiveDate]) -> Vec<NaiveDate> {
        let configured = self.settings.holidays.get(&tenant.tenant.slug);
        let mut all: Vec<NaiveDate> = configured.cloned().unwrap_or_default();
        all.extend_from_slice(more);
        all
    }

    /// A page of cases, and how many wait.
    pub async fn list(
        &self,
        tenant: i64,
        filter: &CaseFilter,
        after: i64,
        limit: u64,
    ) -> Result<(Vec<Shown>, CaseCounts), FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let cases = reader.cases(tenant, filter, after, limit).await?;
        let mut shown = Vec::with_capacity(cases.len());
        for case in cases {
            let assignee = self.assignee(&case).await?;
            shown.push(self.shown(case, assignee));
        }
        let counts = reader.case_counts(Some(tenant), self.live.now_ms()).await?;
        Ok((shown, counts))
    }

    /// One case with its history.
    pub async fn read(&self, tenant: i64, id: Uuid) -> Result<ShownWhole, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let found = reader.case(tenant, id).await?;
        let case = found.ok_or(FlowError::Refused(Reason::NotFound))?;
        self.whole(case).await
    }

    /// The case that an OpenDSR controller gave this id.
    pub async fn read_of_controller(&self, tenant: i64, id: Uuid) -> Result<Case, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(tenant));
        let found = reader.case_of_controller(tenant, id).await?;
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    async fn whole(&self, case: Case) -> Result<ShownWhole, FlowError> {
        let reader = self.live.store().reader(TenantScope::Only(case.tenant));
        let history = reader.case_events(case.tenant, case.number).await?;
        let callbacks_waiting = reader.callbacks_waiting(case.tenant, case.number).await?;
        let assignee = self.assignee(&case).await?;
        Ok(ShownWhole {
            shown: self.shown(case, assignee),
            history,
            callbacks_waiting,
        })
    }

    async fn assignee(&self, case: &Case) -> Result<Option<Uuid>, FlowError> {
        let Some(number) = case.assignee else {
            return Ok(None);
        };
        let reader = self.live.store().reader(TenantScope::Only(case.tenant));
        let found: Option<User> = reader.numbered(case.tenant, number).await?;
        Ok(found.map(|user| user.object.id))
    }

    fn shown(&self, case: Case, assignee: Option<Uuid>) -> Shown {
        let now_ms = self.live.now_ms();
        Shown {
            overdue: case.is_overdue(now_ms),
            due_soon: case.is_due_soon(now_ms),
            assignee,
            case,
        }
    }

    /// Writes what happened into the case.
    async fn note(
        &self,
        tx: &Tx,
        by: &By,
        case: &Case,
        event: &'static str,
        code: Option<String>,
    ) -> Result<(), StoreError> {
        let what = CaseEvent {
            at_ms: self.live.now_ms(),
            event: event.to_owned(),
            actor: by.actor.text(),
            code,
        };
        tx.add_case_event(case.tenant, case.number, &what).await
    }

    fn event(&self, by: &By, case: &Case, action: &'static str, outcome: &'static str) -> AuditEvent {
        let mut event = self.live.event(case.tenant, action, &by.actor, outcome);
        event.object = Some(object(case));
        event.request_id = by.request.map(|request| request.to_string());
        event
    }
}

/// What is kept of a person as they were described.
fn subject(tenant: &TenantRoute, person: Person) -> Subject {
    let shops = || tenant.shops.keys().copied();
    let name = |handle| Name::of(&tenant.keys, shops(), handle);
    Subject {
        names: person.handles.iter().map(name).collect(),
        wish: person.wish,
        callbacks: person.callbacks,
    }
}

/// A case as the trail names it.
fn object(case: &Case) -> String {
    format!("subject_request:{}", case.number)
}

fn field(name: &'static str, value: &str) -> Field {
    Field {
        field: name,
        new: Some(value.to_owned()),
        old: None,
    }
}

/// What is said of a request that somebody has decided.
fn decided() -> FlowError {
    Fault::Clash("status", "has been decided").into()
}
