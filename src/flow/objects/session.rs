//! One managing transaction: objects are put and archived in it, and it ends with its trail or not at all.

use uuid::Uuid;

use super::{Actions, Caller, Managed};
use crate::domain::campaign::{ApiKey, Campaign, Goal, Object, Reference};
use crate::domain::draft::{Fault, Name, differences};
use crate::domain::event::{Actor, Change, Entry, Trail};
use crate::domain::ids::RequestId;
use crate::domain::refusal::Reason;
use crate::flow::{FlowError, Live};
use crate::store::objects::Named;
use crate::store::tx::Tx;

/// What came of putting a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It is new.
    Created,
    /// It was there and is different now.
    Changed,
    /// It was there as it is to be.
    Unchanged,
}

impl Effect {
    /// The word in reports and the trail.
    pub fn code(self) -> &'static str {
        match self {
            Effect::Created => "created",
            Effect::Changed => "changed",
            Effect::Unchanged => "unchanged",
        }
    }
}

/// A managing transaction in progress.
pub struct Session<'a> {
    pub(super) live: &'a Live,
    pub(super) tx: Tx,
    actor: Actor,
    request: Option<RequestId>,
    scope: i64,
    entries: Vec<Entry>,
}

impl<'a> Session<'a> {
    /// Begins, in the caller's scope.
    pub async fn begin(live: &'a Live, caller: &Caller) -> Result<Self, FlowError> {
        Ok(Self {
            live,
            tx: live.store().begin(caller.tenant_scope()).await?,
            actor: caller.actor.clone(),
            request: caller.request,
            scope: caller.scope,
            entries: Vec::new(),
        })
    }

    /// Goes on in another scope: `apply` walks from tenant to tenant.
    pub fn enter(&mut self, scope: i64) {
        self.scope = scope;
    }

    /// The scope that it works in.
    pub fn scope(&self) -> i64 {
        self.scope
    }

    /// Who acts.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Who acts, as the trail names it.
    pub fn author(&self) -> String {
        self.actor.text()
    }

    /// An object of this scope.
    pub async fn find<T: Managed>(&self, id: Uuid) -> Result<T, FlowError> {
        let found = self.tx.find(self.scope, id).await?;
        found.ok_or(FlowError::Refused(Reason::NotFound))
    }

    /// An object of this scope by its slug or name, if it is there.
    pub async fn find_named<T: Managed + Named>(&self, name: &str) -> Result<Option<T>, FlowError> {
        let name = Name::Slug(name.to_owned());
        Ok(self.tx.find_by(self.scope, &name).await?)
    }

    /// A campaign's goal by its slug, if it is there.
    pub async fn find_goal(&self, campaign: &Campaign, slug: &str) -> Result<Option<Goal>, FlowError> {
        let number = campaign.object.number;
        Ok(self.tx.goal_of(self.scope, number, slug).await?)
    }

    /// The API key with this digest, if it is there.
    pub async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, FlowError> {
        Ok(self.tx.key_with(self.scope, hash).await?)
    }

    /// The object that a draft names in a field. It must not be archived, unless the draft's object named it before.
    pub async fn resolve<T: Managed + Named>(
        &self,
        field: &'static str,
        name: &Name,
        held: Option<Reference>,
    ) -> Result<T, FlowError> {
        let found: Option<T> = self.tx.find_by(self.scope, name).await?;
        let found = found.ok_or(FlowError::Missing(field))?;
        let is_held = held.is_some_and(|held| held.id == found.object().id);
        if found.object().archived_at_ms.is_some() && !is_held {
            return Err(Fault::Clash(field, "must not be archived").into());
        }
        Ok(found)
    }

    /// The same where a draft may name none.
    pub async fn resolve_maybe<T: Managed + Named>(
        &self,
        field: &'static str,
        name: Option<&Name>,
        held: Option<Reference>,
    ) -> Result<Option<Reference>, FlowError> {
        match name {
            Some(name) => Ok(Some(self.resolve::<T>(field, name, held).await?.reference())),
            None => Ok(None),
        }
    }

    /// Makes an object, or brings an existing one to the state of a draft.
    pub async fn put<T: Managed>(
        &mut self,
        old: Option<T>,
        draft: &T::Draft,
    ) -> Result<(T, Effect), FlowError> {
        T::check(draft)?;
        let object = match &old {
            Some(old) if old.object().archived_at_ms.is_some() => {
                return Err(Fault::Clash("archived_at", "an archived object does not change").into());
            }
            Some(old) => old.object().clone(),
            None => self.fresh::<T>().await?,
        };
        let mut new = T::build(self, object, draft, old.as_ref()).await?;
        let before = old.as_ref().map(T::fields);
        let mut changes = differences(before.as_ref(), &new.fields());
        if old.is_none() {
            self.tx.insert(&new).await?;
        } else if !changes.is_empty() {
            self.rewrite(&mut new).await?;
        }
        let more = T::settle(self, old.as_ref(), &new, draft).await?;
        let effect = match &old {
            None => Effect::Created,
            Some(_) if changes.is_empty() && more.is_empty() => return Ok((new, Effect::Unchanged)),
            Some(_) => Effect::Changed,
        };
        if effect == Effect::Changed && changes.is_empty() {
            self.rewrite(&mut new).await?;
        }
        changes.extend(more);
        self.note(&new, effect, changes);
        Ok((new, effect))
    }

    /// Archives an object, unless it is archived.
    pub async fn archive<T: Managed>(&mut self, mut object: T) -> Result<T, FlowError> {
        if object.object().archived_at_ms.is_some() {
            return Ok(object);
        }
        T::release(self, &object).await?;
        object.object_mut().archived_at_ms = Some(self.live.now_ms());
        self.rewrite(&mut object).await?;
        let Actions { archived, .. } = T::ACTIONS;
        self.enter_in_trail(&object, archived, "archived", Vec::new());
        Ok(object)
    }

    pub(super) async fn rewrite<T: Managed>(&self, object: &mut T) -> Result<(), FlowError> {
        object.object_mut().updated_at_ms = self.live.now_ms();
        Ok(self.tx.replace(object).await?)
    }

    pub(super) async fn fresh<T: Managed>(&self) -> Result<Object, FlowError> {
        let scope = if T::IS_TENANT { 0 } else { self.scope };
        let number = self.tx.next_number::<T>(scope).await?;
        let now_ms = self.live.now_ms();
        Ok(Object {
            tenant: if T::IS_TENANT { number } else { scope },
            number,
            id: self.live.new_id(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            archived_at_ms: None,
        })
    }

    pub(super) fn note<T: Managed>(&mut self, object: &T, effect: Effect, mut changes: Vec<Change>) {
        if T::NAMES_ONLY {
            for change in &mut changes {
                (change.old, change.new) = (None, None);
            }
        }
        let Actions { created, changed, .. } = T::ACTIONS;
        let action = if effect == Effect::Created {
            created
        } else {
            changed
        };
        self.enter_in_trail(object, action, effect.code(), changes);
    }

    pub(super) fn enter_in_trail<T: Managed>(
        &mut self,
        object: &T,
        action: &'static str,
        outcome: &'static str,
        changes: Vec<Change>,
    ) {
        let Object { tenant, number, .. } = object.object();
        let mut event = self.live.event(*tenant, action, &self.actor, outcome);
        event.object = Some(format!("{}:{number}", T::KIND));
        event.request_id = self.request.map(|request| request.to_string());
        event.changes = changes;
        self.entries.push(event.into());
    }

    /// Commits with the trail; if nothing happened, there is nothing to commit.
    pub async fn finish(self) -> Result<(), FlowError> {
        let Some(trail) = Trail::from_entries(self.entries) else {
            return Ok(());
        };
        self.tx.touch_routing().await?;
        self.tx.commit_with(&trail).await?;
        // It is done: a caller who heard "failed" would do it again. The version that was raised makes every node, this
        // one included, read the routing data anew as soon as it can.
        if let Err(error) = self.live.reload().await {
            tracing::error!(%error, "routing data could not be read after a change");
        }
        Ok(())
    }
}
