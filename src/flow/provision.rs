//! Applying a provisioning file: what it asks for is created or changed, all of it in one transaction.
//!
//! Objects are found by their slugs, so that a second run changes nothing. Secrets that are made on the way are returned
//! once; what the file gives is not repeated.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::objects::{Caller, Effect, Managed, NewKey, Session, hash_password};
use super::{FlowError, Live};
use crate::domain::access::Role;
use crate::domain::campaign::{ApiKey, Campaign, Goal, Link, Publisher, Shop, ShopAuth, Tenant, User};
use crate::domain::credential::{Environment, PasswordHash};
use crate::domain::draft::{ApiKeyDraft, CampaignDraft, GoalDraft, Name};
use crate::domain::provision::{
    FilePlace, Planned, Provision, ProvisionError, ShopPlan, TenantPlan, UserPlan,
};
use crate::domain::scope::TenantScope;
use crate::store::objects::Named;

/// Why a file was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of the file is at fault.
    #[error(transparent)]
    File(#[from] ProvisionError),
    /// The server is.
    #[error("the store failed")]
    Flow(#[from] FlowError),
}

/// What became of one object of the file.
#[derive(Debug)]
pub struct Applied {
    /// The kind, as in `shop`.
    pub kind: &'static str,
    /// What the file calls it.
    pub name: String,
    /// What was done.
    pub effect: Effect,
    /// What was made for it and is shown this once: (what it is, the text).
    pub made: Option<(&'static str, Zeroizing<String>)>,
}

/// Applies provisioning files.
#[derive(Clone)]
pub struct ProvisionFlow {
    live: Arc<Live>,
}

impl ProvisionFlow {
    /// Over the shared parts.
    pub fn new(live: Arc<Live>) -> Self {
        Self { live }
    }

    /// Brings the database to what the file asks for.
    pub async fn apply(&self, provision: &Provision) -> Result<Vec<Applied>, ApplyError> {
        let mut hashes = Vec::new();
        for plan in &provision.tenants {
            hashes.push(self.hash_passwords(plan).await?);
        }
        let mut work = Work {
            live: &self.live,
            session: Session::begin(&self.live, &Caller::command_line()).await?,
            done: Vec::new(),
        };
        for (plan, hashes) in provision.tenants.iter().zip(hashes) {
            work.tenant(plan, hashes).await?;
        }
        work.session.finish().await?;
        Ok(work.done)
    }

    /// The hash for each user of a plan that has a password in it: the one that is there if it fits, else a new one.
    /// Done beforehand, since hashing is slow and a transaction keeps others waiting.
    async fn hash_passwords(&self, plan: &TenantPlan) -> Result<Vec<Option<PasswordHash>>, FlowError> {
        let reader = self.live.store().reader(TenantScope::Server);
        let slug = &plan.tenant.draft.slug;
        let tenant: Option<Tenant> = reader.find_named(0, slug).await?;
        let mut hashes = Vec::with_capacity(plan.users.len());
        for UserPlan { user, password, .. } in &plan.users {
            let Some(password) = password else {
                hashes.push(None);
                continue;
            };
            let mut present = None;
            if let Some(tenant) = &tenant {
                let user: Option<User> = reader.find_named(tenant.object.number, &user.draft.name).await?;
                present = user.and_then(|user| user.password);
            }
            hashes.push(Some(fitting_hash(&self.live, present, password.clone()).await?));
        }
        Ok(hashes)
    }
}

async fn fitting_hash(
    live: &Live,
    present: Option<PasswordHash>,
    password: Zeroizing<String>,
) -> Result<PasswordHash, FlowError> {
    if let Some(present) = present {
        let tried = password.clone();
        let check = move || present.verify(&tried).then_some(present);
        if let Ok(Some(present)) = tokio::task::spawn_blocking(check).await {
            return Ok(present);
        }
    }
    hash_password(live, password).await
}

/// One application in progress.
struct Work<'a> {
    live: &'a Live,
    session: Session<'a>,
    done: Vec<Applied>,
}

impl Work<'_> {
    /// Puts an object and notes what became of it.
    async fn put<T: Managed>(
        &mut self,
        place: &FilePlace,
        old: Option<T>,
        draft: &T::Draft,
    ) -> Result<(T, Effect), ApplyError> {
        let put = self.session.put(old, draft).await;
        let (object, effect) = put.map_err(|error| at(place, error))?;
        self.done.push(Applied {
            kind: T::KIND,
            name: place.name.clone(),
            effect,
            made: None,
        });
        Ok((object, effect))
    }

    /// The same for an object that is found by its name.
    async fn put_named<T: Managed + Named>(
        &mut self,
        planned: &Planned<T::Draft>,
        name: &str,
    ) -> Result<(T, Effect), ApplyError> {
        let old = self.session.find_named::<T>(name).await?;
        self.put(&planned.place, old, &planned.draft).await
    }

    /// Adds what was made for the object that was put last.
    fn show(&mut self, what: &'static str, text: Zeroizing<String>) {
        if let Some(last) = self.done.last_mut() {
            last.made = Some((what, text));
        }
    }

    async fn tenant(
        &mut self,
        plan: &TenantPlan,
        hashes: Vec<Option<PasswordHash>>,
    ) -> Result<(), ApplyError> {
        self.session.enter(0);
        let slug = &plan.tenant.draft.slug;
        let mut last_version = 0;
        if let Some(old) = self.session.find_named::<Tenant>(slug).await? {
            self.session.enter(old.object.number);
            last_version = self.session.last_policy_version().await?;
            self.session.enter(0);
        }
        let (tenant, _) = self.put_named::<Tenant>(&plan.tenant, slug).await?;
        self.session.enter(tenant.object.number);
        self.show_pending(&plan.tenant.place, last_version).await?;
        for shop in &plan.shops {
            self.shop(shop).await?;
        }
        for publisher in &plan.publishers {
            self.put_named::<Publisher>(publisher, &publisher.draft.slug)
                .await?;
        }
        for (campaign, goals) in &plan.campaigns {
            self.campaign(campaign, goals).await?;
        }
        for link in &plan.links {
            self.put_named::<Link>(link, &link.draft.slug).await?;
        }
        for (user, hash) in plan.users.iter().zip(hashes) {
            self.user(user, hash).await?;
        }
        Ok(())
    }

    /// Names the policy versions that are there and have no effect yet: whoever reads "changed" would think otherwise.
    async fn show_pending(&mut self, place: &FilePlace, last_version: u16) -> Result<(), ApplyError> {
        for version in self.session.pending_policies().await? {
            let is_new = version > last_version;
            self.done.push(Applied {
                kind: "policy",
                name: format!(
                    "{}, version {version}: waits for its time or an approval",
                    place.name
                ),
                effect: if is_new {
                    Effect::Created
                } else {
                    Effect::Unchanged
                },
                made: None,
            });
        }
        Ok(())
    }

    async fn shop(&mut self, plan: &ShopPlan) -> Result<(), ApplyError> {
        let (place, draft) = (&plan.shop.place, &plan.shop.draft);
        let (shop, effect) = self.put_named::<Shop>(&plan.shop, &draft.slug).await?;
        let is_new = effect == Effect::Created;
        if is_new && draft.reference.is_none() {
            self.show("reference", Zeroizing::new(shop.reference.clone()));
        }
        let key = match &plan.api_key {
            Some(text) => NewKey::given(text.clone(), "api_key")?,
            None if is_new && draft.auth == ShopAuth::Bearer => NewKey::made(self.live, Environment::Live),
            None => return Ok(()),
        };
        let draft = ApiKeyDraft {
            label: format!("shop {}", draft.slug),
            role: Role::Shop,
            shop: Some(Name::Id(shop.object.id)),
            publisher: None,
            user: None,
            hash: key.hash(),
        };
        self.key(place, key, draft).await
    }

    async fn campaign(
        &mut self,
        planned: &Planned<CampaignDraft>,
        goals: &[String],
    ) -> Result<(), ApplyError> {
        let (campaign, _) = self.put_named::<Campaign>(planned, &planned.draft.slug).await?;
        for slug in goals {
            let place = FilePlace {
                line: planned.place.line,
                name: format!("{}, goal {slug}", planned.place.name),
            };
            let old = self.session.find_goal(&campaign, slug).await?;
            let draft = GoalDraft {
                campaign: Name::Id(campaign.object.id),
                slug: slug.clone(),
            };
            self.put::<Goal>(&place, old, &draft).await?;
        }
        Ok(())
    }

    async fn user(&mut self, plan: &UserPlan, hash: Option<PasswordHash>) -> Result<(), ApplyError> {
        let place = &plan.user.place;
        let old: Option<User> = self.session.find_named(&plan.user.draft.name).await?;
        let mut draft = plan.user.draft.clone();
        let has_password = hash.is_some();
        draft.password = hash.or_else(|| old.as_ref()?.password.clone());
        let (user, effect) = self.put(place, old, &draft).await?;
        let key = match &plan.api_key {
            Some(text) => NewKey::given(text.clone(), "api_key")?,
            None if effect == Effect::Created && !has_password => NewKey::made(self.live, Environment::Live),
            None => return Ok(()),
        };
        let draft = ApiKeyDraft {
            label: format!("user {}", user.name).chars().take(128).collect(),
            role: draft.role,
            shop: draft.shop,
            publisher: draft.publisher,
            user: Some(Name::Id(user.object.id)),
            hash: key.hash(),
        };
        self.key(place, key, draft).await
    }

    /// Puts an API key, and shows it if it was made here. The label of one that is there stays: it is the manager's.
    async fn key(
        &mut self,
        place: &FilePlace,
        key: NewKey,
        mut draft: ApiKeyDraft,
    ) -> Result<(), ApplyError> {
        let old = self.session.find_key(&draft.hash).await?;
        if let Some(old) = &old {
            draft.label.clone_from(&old.label);
        }
        self.put::<ApiKey>(place, old, &draft).await?;
        if let Some(text) = key.to_show() {
            self.show("api_key", text);
        }
        Ok(())
    }
}

/// A refusal belongs to the object in the file; a failure to the server.
fn at(place: &FilePlace, error: FlowError) -> ApplyError {
    let fault = match error {
        FlowError::Invalid(field, words) | FlowError::Clash(field, words) => {
            place.fault(format_args!("{field} {words}"))
        }
        FlowError::Missing(field) => {
            place.fault(format_args!("{field} names nothing in this tenant or file above"))
        }
        FlowError::Taken(field) => place.fault(format_args!("{field} is taken")),
        other => return ApplyError::Flow(other),
    };
    ApplyError::File(fault)
}
