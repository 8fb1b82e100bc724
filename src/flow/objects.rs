//! Managing what a tenant configures: create, read, list, change, archive, the same way for every kind.
//!
//! A kind says in [`Managed`] how its draft becomes an object; `session` does the rest in one transaction with its
//! trail. The API makes one object at a time, `apply` many; both go through the same session.

/// The part of an `impl Managed` that is the same for every kind, with its draft's type and its word for the trail.
macro_rules! common {
    ($draft:ty, $kind:literal) => {
        common!($draft, $kind; draft of its own);

        async fn draft(&self, _: &Session<'_>) -> Result<$draft, FlowError> {
            Ok(self.draft())
        }
    };
    ($draft:ty, $kind:literal; draft of its own) => {
        type Draft = $draft;
        const KIND: &'static str = $kind;
        const ACTIONS: $crate::flow::objects::Actions = $crate::flow::objects::Actions {
            created: concat!($kind, ".created"),
            changed: concat!($kind, ".changed"),
            archived: concat!($kind, ".archived"),
        };

        fn object(&self) -> &Object {
            &self.object
        }

        fn object_mut(&mut self) -> &mut Object {
            &mut self.object
        }

        fn fields(&self) -> $crate::domain::draft::Fields {
            self.fields()
        }

        fn check(draft: &$draft) -> Result<(), $crate::domain::draft::Fault> {
            draft.check()
        }
    };
}

mod approval;
mod campaign;
mod grant;
mod hold;
mod key;
mod policy;
mod session;
mod shop;
mod tenant;
mod user;

use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

pub use approval::ApprovalOf;
pub use key::NewKey;
pub use policy::{PolicyStanding, PolicyWish, ShadowReport};
pub use session::{Effect, Session};
pub use tenant::TenantInForce;
pub use user::PasswordEdit;
pub(super) use user::hash_password;

use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::campaign::{Object, Reference};
use crate::domain::draft::{Fault, Fields};
use crate::domain::event::{Actor, Change};
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::store::objects::Kept;

/// Who acts, in whose scope, and by which request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant's number; 0 is the server, whose operator sees tenants and nothing in them.
    pub scope: i64,
    /// Who the trail names.
    pub actor: Actor,
    /// The request, if it is one.
    pub request: Option<RequestId>,
}

impl Caller {
    /// For whom the caller reads and writes.
    pub fn tenant_scope(&self) -> TenantScope {
        TenantScope::managing(self.scope)
    }

    /// The caller of a request.
    pub fn of(principal: &Principal, request: RequestId) -> Self {
        Self {
            scope: principal.tenant,
            actor: principal.actor(),
            request: Some(request),
        }
    }

    /// The command line on the server.
    pub fn command_line() -> Self {
        Self {
            scope: 0,
            actor: Actor::CommandLine,
            request: None,
        }
    }
}

/// What the trail calls the things that happen to a kind.
pub struct Actions {
    /// It was made.
    pub created: &'static str,
    /// It was changed.
    pub changed: &'static str,
    /// It was archived.
    pub archived: &'static str,
}

/// A kind of object that callers manage.
pub trait Managed: Kept + Clone {
    /// Its complete desired state.
    type Draft: Send + Sync;
    /// What the trail calls it.
    const KIND: &'static str;
    /// What the trail calls what happens to it.
    const ACTIONS: Actions;
    /// Whether its values are personal or secret, so that the trail may name the changed fields only.
    const NAMES_ONLY: bool = false;

    /// The common parts.
    fn object(&self) -> &Object;
    /// The common parts, to be changed.
    fn object_mut(&mut self) -> &mut Object;
    /// The fields as the trail writes them.
    fn fields(&self) -> Fields;
    /// Whether a draft may come into being, as far as it alone tells.
    fn check(draft: &Self::Draft) -> Result<(), Fault>;
    /// The draft that changes nothing.
    fn draft(&self, session: &Session<'_>) -> impl Future<Output = Result<Self::Draft, FlowError>> + Send;
    /// The object that a draft becomes, with the objects that it names found. `old` is what it replaces.
    fn build(
        session: &Session<'_>,
        object: Object,
        draft: &Self::Draft,
        old: Option<&Self>,
    ) -> impl Future<Output = Result<Self, FlowError>> + Send;
    /// Writes what hangs on the object in other tables, once its own row is written, and says what of it changed.
    fn settle(
        _session: &mut Session<'_>,
        _old: Option<&Self>,
        _new: &Self,
        _draft: &Self::Draft,
    ) -> impl Future<Output = Result<Vec<Change>, FlowError>> + Send {
        async { Ok(Vec::new()) }
    }
    /// Ends what hangs on the object before it is archived.
    fn release(
        _session: &mut Session<'_>,
        _object: &Self,
    ) -> impl Future<Output = Result<(), FlowError>> + Send {
        async { Ok(()) }
    }

    /// The object as others name it.
    fn reference(&self) -> Reference {
        Reference {
            number: self.object().number,
            id: self.object().id,
        }
    }
}

/// Manages objects.
#[derive(Clone)]
pub struct ObjectsFlow {
    live: Arc<Live>,
}

impl ObjectsFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// The caller's tenant as routing has it.
    fn tenant_route(&self, number: i64) -> Result<Arc<TenantRoute>, FlowError> {
        let routing = self.live.routing();
        let tenant = routing.tenants.get(&number);
        tenant.cloned().ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// Makes an object.
    pub async fn create<T: Managed>(&self, caller: &Caller, draft: T::Draft) -> Result<T, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let (object, _) = session.put(None, &draft).await?;
        session.finish().await?;
        Ok(object)
    }

    /// An object of the caller's scope.
    pub async fn read<T: Managed>(&self, caller: &Caller, id: Uuid) -> Result<T, FlowError> {
        let reader = self.live.store().reader(caller.tenant_scope());
        let found = reader.find(caller.scope, id).await?;
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// The objects of the caller's scope in the order in which they were made, from behind a number.
    pub async fn list<T: Managed>(
        &self,
        caller: &Caller,
        after: i64,
        limit: u64,
    ) -> Result<Vec<T>, FlowError> {
        let reader = self.live.store().reader(caller.tenant_scope());
        Ok(reader.page(caller.scope, after, limit).await?)
    }

    /// Changes an object. The edit is made to its present state inside the transaction, so that of two changes at once
    /// none is lost.
    pub async fn change<T: Managed>(
        &self,
        caller: &Caller,
        id: Uuid,
        edit: impl FnOnce(&mut T::Draft) + Send,
    ) -> Result<T, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let old: T = session.find(id).await?;
        let mut draft = old.draft(&session).await?;
        edit(&mut draft);
        let (object, _) = session.put(Some(old), &draft).await?;
        session.finish().await?;
        Ok(object)
    }

    /// Archives an object: it stays readable and does nothing more. Archiving again changes nothing.
    pub async fn archive<T: Managed>(&self, caller: &Caller, id: Uuid) -> Result<T, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let object = session.find(id).await?;
        let object = session.archive(object).await?;
        session.finish().await?;
        Ok(object)
    }
}
