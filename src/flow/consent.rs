//! Consent changes that a shop forwards without an order.

use std::sync::Arc;

use super::conversion::{Caller, DEFAULT_GOAL, goals_named, open};
use super::ledger::Ledger;
use super::ledger::command::{Command, ConsentCommand, Reference, Reply, Token};
use super::{FlowError, Live};
use crate::domain::consent::ConsentState;
use crate::domain::event::Actor;
use crate::domain::ids::{RequestId, time_ordered};
use crate::domain::refusal::Reason;
use crate::domain::routing::{ShopRoute, TenantRoute};
use crate::domain::signal::record::Inputs;
use crate::domain::signal::{Collector, Signals};
use crate::store::batch::facts::OrderRef;

/// Whom a change is about; exactly one of them.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// The click of this token.
    Token(&'a str),
    /// The click behind this order of the shop's.
    Order {
        /// The shop's order id.
        order_id: &'a str,
        /// The goal; `order` if none is named.
        goal: Option<&'a str>,
    },
    /// Every click of this person.
    Customer(&'a str),
}

/// Takes consent changes.
#[derive(Clone)]
pub struct ConsentFlow {
    live: Arc<Live>,
    ledger: Ledger,
}

impl ConsentFlow {
    /// Over the shared parts and the ledger.
    pub fn new(live: Arc<Live>, ledger: Ledger) -> Self {
        Self { live, ledger }
    }

    /// Now, for reading times in requests.
    pub fn now_ms(&self) -> i64 {
        self.live.now_ms()
    }

    /// Applies a change; returns whether it had an effect. A reference that is not known here has none, and nothing
    /// tells it from one that is known and has none either.
    pub async fn change(
        &self,
        caller: &Caller,
        about: About<'_>,
        signals: &Signals<'_>,
        request: RequestId,
    ) -> Result<bool, FlowError> {
        if matches!(caller.actor, Actor::TokenOnly(_)) && !matches!(about, About::Token(_)) {
            // Whoever can guess an order id could have its person erased.
            return Err(FlowError::Refused(Reason::Unauthenticated));
        }
        let routing = self.live.routing();
        let tenant = routing
            .tenants
            .get(&caller.tenant)
            .ok_or(FlowError::Refused(Reason::NotFound))?;
        let shops: Vec<Arc<ShopRoute>> = match caller.shop {
            Some(shop) => tenant.shops.get(&shop).into_iter().map(Arc::clone).collect(),
            // The privacy role speaks for people at any of the tenant's shops.
            None => tenant.shops.values().map(Arc::clone).collect(),
        };
        let now_ms = self.live.now_ms();
        let policy = &tenant.policy_at(now_ms).policy;
        let reading = self.live.reading(Collector::Shop, policy, now_ms);
        let inputs = Inputs::new(signals.read(reading), reading.collector);
        let assessment = inputs.assess(policy, reading.now_s);
        if assessment.state(policy) == ConsentState::Malformed {
            return Err(FlowError::Refused(Reason::ConsentMalformed));
        }
        if assessment.absent() {
            return Err(FlowError::Refused(Reason::ConsentMissing));
        }
        let mut applied = false;
        for shop in &shops {
            let command = ConsentCommand {
                tenant: tenant.number(),
                shop: shop.number,
                from_shop: caller.shop.is_some(),
                actor: caller.actor.clone(),
                reference: reference(tenant, shop, about),
                assessment,
                inputs,
                now_ms,
                request,
                record: time_ordered(now_ms, self.live.random()),
                payload_nonce: self.live.random(),
                nonces: [self.live.random(), self.live.random()],
            };
            match self.ledger.submit(Command::Consent(Box::new(command))).await {
                Ok(Reply::Consent { applied: this }) => applied |= this,
                Ok(_) => return Err(FlowError::Refused(Reason::Internal)),
                Err(_) => return Err(FlowError::Refused(Reason::Unavailable)),
            }
        }
        Ok(applied)
    }
}

pub(super) fn reference(tenant: &TenantRoute, shop: &ShopRoute, about: About<'_>) -> Reference {
    match about {
        About::Token(text) => match open(tenant, shop, Some(text)) {
            Token::Opened { click, .. } => Reference::Click(click),
            Token::Missing | Token::Unreadable => Reference::Nothing,
        },
        About::Customer(text) => Reference::Customer(tenant.keys.customer_hash(shop.number, text)),
        About::Order { order_id, goal } => {
            let order_hash = tenant.keys.order_hash(order_id);
            let goals = goals_named(tenant, shop.number, goal.unwrap_or(DEFAULT_GOAL));
            let orders = goals.map(|goal| OrderRef {
                tenant: tenant.number(),
                shop: shop.number,
                goal,
                test: false,
                order_hash,
            });
            Reference::Orders(orders.collect())
        }
    }
}
