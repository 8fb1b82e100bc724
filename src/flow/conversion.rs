//! A postback: who sends it, what it names, and its verdict; and corrections of what was recorded.

mod stand_in;

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::ledger::Ledger;
use super::ledger::command::{AmendCommand, Amended, Answer, Command, PostbackCommand, Reply, Target, Token};
use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::campaign::ShopAuth;
use crate::domain::event::Actor;
use crate::domain::event::order_digest;
use crate::domain::ids::{ClickKey, RequestId, time_ordered};
use crate::domain::money::{Currency, parse_amount};
use crate::domain::policy::Policy;
use crate::domain::postback::{Details, Form, Status};
use crate::domain::refusal::Reason;
use crate::domain::routing::{ShopRoute, TenantRoute};
use crate::domain::signal::Collector;
use crate::domain::signal::record::Inputs;
use crate::domain::signature::{Signed, verify};
use crate::domain::token;
use crate::store::batch::facts::OrderRef;

/// The goal that a postback means when it names none.
pub const DEFAULT_GOAL: &str = "order";

/// An authenticated shop.
#[derive(Clone)]
pub struct Sender {
    tenant: Arc<TenantRoute>,
    shop: Arc<ShopRoute>,
    actor: Actor,
    in_order: bool,
}

impl Sender {
    /// The same sender for the lines of one request: each is judged after the one before it.
    #[must_use]
    pub fn of_lines(self) -> Self {
        Self {
            in_order: true,
            ..self
        }
    }
}

/// Who changes something that is recorded, and at which shop. Without a shop, at any of the tenant's.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop's number.
    pub shop: Option<i64>,
    /// The name in the trail.
    pub actor: Actor,
}

impl From<&Principal> for Caller {
    fn from(principal: &Principal) -> Self {
        Self {
            tenant: principal.tenant,
            shop: principal.shop,
            actor: principal.actor(),
        }
    }
}

impl From<&Sender> for Caller {
    fn from(sender: &Sender) -> Self {
        Self {
            tenant: sender.tenant.number(),
            shop: Some(sender.shop.number),
            actor: sender.actor.clone(),
        }
    }
}

/// A correction as the caller asks for it.
#[derive(Debug, Clone, Default)]
pub struct Correction<'a> {
    /// The new status.
    pub status: Option<Status>,
    /// The new amount, a decimal string in the conversion's currency.
    pub amount: Option<&'a str>,
    /// Why, as a code of the shop's.
    pub reason: Option<&'a str>,
}

/// Judges postbacks.
#[derive(Clone)]
pub struct ConversionFlow {
    live: Arc<Live>,
    ledger: Ledger,
}

impl ConversionFlow {
    /// Over the shared parts and the ledger.
    pub fn new(live: Arc<Live>, ledger: Ledger) -> Self {
        Self { live, ledger }
    }

    /// Now, for reading times in requests.
    pub fn now_ms(&self) -> i64 {
        self.live.now_ms()
    }

    /// The shop that sends: by its key, or by the reference in the URL with its signature or, where that is allowed,
    /// nothing more. `reference` is what the path or the `Einklang-Shop` header names.
    pub fn sender(
        &self,
        principal: Option<&Principal>,
        reference: Option<&str>,
        signed: &Signed<'_>,
        address: IpAddr,
    ) -> Result<Sender, Reason> {
        let routing = self.live.routing();
        let named = reference.map(|reference| routing.shop_references.get(reference).copied());
        let (number, shop_number, proven) = match (principal, named) {
            (Some(principal), named) => {
                let shop = principal.shop.ok_or(Reason::Forbidden)?;
                if named.is_some_and(|named| named != Some((principal.tenant, shop))) {
                    return Err(Reason::Forbidden);
                }
                (principal.tenant, shop, Some(principal.actor()))
            }
            // Whether the reference exists is not told to a caller that is not known.
            (None, Some(Some((tenant, shop)))) => (tenant, shop, None),
            (None, _) => return Err(Reason::Unauthenticated),
        };
        let tenant = routing.tenants.get(&number).ok_or(Reason::Unauthenticated)?;
        if tenant.keys.is_locked() {
            // Secrets of shops do not open either, so that no signature can be judged.
            return Err(Reason::TenantLocked);
        }
        let shop = tenant.shops.get(&shop_number).ok_or(Reason::Unauthenticated)?;
        let gone = shop.archived || tenant.tenant.object.archived_at_ms.is_some();
        let actor = match (proven, shop.auth) {
            _ if gone => return Err(Reason::Unauthenticated),
            (Some(actor), _) => actor,
            (None, ShopAuth::TokenOnly) => Actor::TokenOnly(shop.number),
            (None, ShopAuth::Hmac) if verify(signed, &shop.secrets, self.live.now_s()) => {
                Actor::Hmac(shop.number)
            }
            (None, _) => return Err(Reason::Unauthenticated),
        };
        if !shop.ip_allow.is_empty() && !shop.ip_allow.iter().any(|net| net.contains(&address)) {
            return Err(Reason::Forbidden);
        }
        Ok(Sender {
            tenant: Arc::clone(tenant),
            shop: Arc::clone(shop),
            actor,
            in_order: false,
        })
    }

    /// Judges one postback.
    pub async fn judge(
        &self,
        sender: &Sender,
        form: &Form<'_>,
        request: RequestId,
    ) -> Result<Answer, FlowError> {
        let command = self.prepare(sender, form, request)?;
        match self.ledger.submit(Command::Postback(Box::new(command))).await {
            Ok(Reply::Verdict(answer)) => Ok(answer),
            Ok(_) => Err(FlowError::Refused(Reason::Internal)),
            Err(_) => Err(FlowError::Refused(Reason::Unavailable)),
        }
    }

    pub(super) fn prepare(
        &self,
        sender: &Sender,
        form: &Form<'_>,
        request: RequestId,
    ) -> Result<PostbackCommand, FlowError> {
        let now_ms = self.live.now_ms();
        let (tenant, shop) = (&sender.tenant, &sender.shop);
        let (currency, amount_minor) = money(shop, form)?;
        let token = open(tenant, shop, form.token);
        let goal = goal(tenant, shop, &token, form.goal.unwrap_or(DEFAULT_GOAL));
        let order = order(tenant, shop, &token, goal, form);
        // Hashed here and not by the ledger, which all others wait for.
        let click_entry = match &token {
            Token::Opened { click, .. } => Some(tenant.keys.suppressed_click(&click.click)),
            Token::Missing | Token::Unreadable => None,
        };
        let order_entry = order.as_ref().map(|order| {
            tenant
                .keys
                .suppressed_order(order.shop, order.goal, &order.order_hash)
        });
        let policy = &tenant.policy_at(now_ms).policy;
        let assess = |policy: &Policy| {
            let reading = self.live.reading(Collector::Shop, policy, now_ms);
            let inputs = Inputs::new(form.signals.read(reading), reading.collector);
            (inputs, inputs.assess(policy, reading.now_s))
        };
        let (inputs, assessment) = assess(policy);
        let shadow = tenant.shadow.as_ref();
        let random: [u8; 64] = self.live.random();
        Ok(PostbackCommand {
            tenant: tenant.number(),
            shop: shop.number,
            actor: sender.actor.clone(),
            token,
            goal,
            order,
            order_digest: form.order_id.map(order_digest),
            content_hash: tenant
                .keys
                .content_hash(&content(form, &token, currency, amount_minor)),
            amount_minor,
            currency,
            currency_taken: shop.currencies.contains(&currency),
            status: form.status.code(),
            occurred_at_ms: form.occurred_at_ms.unwrap_or(now_ms),
            now_ms,
            // Serialising texts into memory cannot fail.
            details: Zeroizing::new(serde_json::to_vec(&Details::of(form)).unwrap_or_default()),
            customer_hash: form
                .customer_ref
                .map(|text| tenant.keys.customer_hash(shop.number, text)),
            assessment,
            inputs,
            draft: shadow.map(|shadow| (shadow.draft, assess(&shadow.policy).1)),
            test: form.test,
            dry_run: form.dry_run,
            explain: false,
            request,
            conversion: time_ordered(now_ms, cut(&random, 0)),
            in_order: sender.in_order,
            click_entry,
            order_entry,
            payload_nonce: cut(&random, 20),
            nonces: [cut(&random, 32), cut(&random, 48)],
        })
    }

    /// Corrects a conversion by its id.
    pub async fn correct(
        &self,
        caller: &Caller,
        conversion: Uuid,
        correction: &Correction<'_>,
        request: RequestId,
    ) -> Result<Amended, FlowError> {
        self.amend(caller, Target::Conversion(conversion), correction, request)
            .await
    }

    /// Corrects a conversion by its order. A manager's key belongs to no shop and has to use the id.
    pub async fn correct_order(
        &self,
        caller: &Caller,
        order_id: &str,
        goal: &str,
        test: bool,
        correction: &Correction<'_>,
        request: RequestId,
    ) -> Result<Amended, FlowError> {
        let shop = caller.shop.ok_or(FlowError::Refused(Reason::Forbidden))?;
        let routing = self.live.routing();
        let tenant = routing
            .tenants
            .get(&caller.tenant)
            .ok_or(FlowError::Refused(Reason::NotFound))?;
        let order_hash = tenant.keys.order_hash(order_id);
        // A goal's name may stand in several campaigns of the shop; the order is under one of them.
        let mut last = FlowError::Refused(Reason::NotFound);
        for goal in goals_named(tenant, shop, goal) {
            let order = OrderRef {
                tenant: caller.tenant,
                shop,
                goal,
                test,
                order_hash,
            };
            match self
                .amend(caller, Target::Order(order), correction, request)
                .await
            {
                Err(FlowError::Refused(Reason::NotFound)) => {}
                Err(FlowError::Refused(Reason::ConsentWithdrawn)) => {
                    last = FlowError::Refused(Reason::ConsentWithdrawn);
                }
                answered => return answered,
            }
        }
        Err(last)
    }

    async fn amend(
        &self,
        caller: &Caller,
        target: Target,
        correction: &Correction<'_>,
        request: RequestId,
    ) -> Result<Amended, FlowError> {
        if matches!(caller.actor, Actor::TokenOnly(_)) {
            // Whoever knows an order id could cancel it.
            return Err(FlowError::Refused(Reason::Unauthenticated));
        }
        let command = AmendCommand {
            tenant: caller.tenant,
            shop: caller.shop,
            actor: caller.actor.clone(),
            target,
            status: correction.status.map(Status::code),
            amount: correction.amount.map(Into::into),
            reason: correction.reason.map(str::to_owned),
            now_ms: self.live.now_ms(),
            request,
            nonce: self.live.random(),
        };
        match self.ledger.submit(Command::Amend(Box::new(command))).await {
            Ok(Reply::Amended(Ok(amended))) => Ok(amended),
            Ok(Reply::Amended(Err(Reason::InvalidRequest))) => Err(FlowError::Invalid(
                "amount",
                "is not an amount in the conversion's currency",
            )),
            Ok(Reply::Amended(Err(reason))) => Err(FlowError::Refused(reason)),
            Ok(_) => Err(FlowError::Refused(Reason::Internal)),
            Err(_) => Err(FlowError::Refused(Reason::Unavailable)),
        }
    }
}

/// N of the random bytes, from a place on.
fn cut<const N: usize>(random: &[u8; 64], from: usize) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, source) in bytes.iter_mut().zip(random.iter().skip(from)) {
        *byte = *source;
    }
    bytes
}

fn money(shop: &ShopRoute, form: &Form<'_>) -> Result<(Currency, i64), FlowError> {
    let currency = match form.currency {
        None => shop.currency,
        Some(code) => Currency::parse(code)
            .map_err(|_| FlowError::Invalid("currency", "is not an ISO 4217 code in use"))?,
    };
    let amount = form.amount.map_or(Ok(0), |text| parse_amount(text, currency));
    let amount = amount.map_err(|_| {
        FlowError::Invalid(
            "amount",
            "is not a decimal amount of at most the currency's decimals, or is too large",
        )
    })?;
    Ok((currency, amount))
}

/// Opens a token for this tenant, and compares the shop.
pub(super) fn open(tenant: &TenantRoute, shop: &ShopRoute, text: Option<&str>) -> Token {
    let Some(text) = text else { return Token::Missing };
    let Ok(claims) = token::open(&tenant.keys, text) else {
        return Token::Unreadable;
    };
    let campaign = i64::from(claims.campaign);
    if i64::from(claims.shop) != shop.number || !tenant.campaigns.contains_key(&campaign) {
        return Token::Unreadable;
    }
    let click = ClickKey {
        tenant: tenant.number(),
        issued_at_ticks: i64::try_from(claims.issued_at_ticks).unwrap_or(0),
        click: claims.click,
    };
    Token::Opened {
        click,
        campaign,
        publisher: i64::from(claims.publisher),
    }
}

/// The goals of a shop's campaigns that have this name.
pub(super) fn goals_named<'a>(
    tenant: &'a TenantRoute,
    shop: i64,
    name: &'a str,
) -> impl Iterator<Item = i64> + use<'a> {
    tenant
        .campaigns
        .values()
        .filter(move |campaign| campaign.shop == shop)
        .filter_map(move |campaign| campaign.goal(name))
}

/// The goal's number in the token's campaign; without a readable token, in any of the shop's.
fn goal(tenant: &TenantRoute, shop: &ShopRoute, token: &Token, name: &str) -> Option<i64> {
    match token {
        Token::Opened { campaign, .. } => tenant.campaigns.get(campaign)?.goal(name),
        Token::Missing | Token::Unreadable => goals_named(tenant, shop.number, name).next(),
    }
}

fn order(
    tenant: &TenantRoute,
    shop: &ShopRoute,
    token: &Token,
    goal: Option<i64>,
    form: &Form<'_>,
) -> Option<OrderRef> {
    let Token::Opened { click, .. } = token else {
        return None;
    };
    let order_hash = match form.order_id {
        Some(order_id) => tenant.keys.order_hash(order_id),
        // Without an order id, one conversion per click and goal.
        None => tenant.keys.click_order_hash(&click.click),
    };
    Some(OrderRef {
        tenant: tenant.number(),
        shop: shop.number,
        goal: goal?,
        test: form.test,
        order_hash,
    })
}

/// What makes two postbacks of one order the same: everything that is recorded of them but the time of arrival and the
/// signals, which may rightly differ when a sender repeats itself.
fn content(form: &Form<'_>, token: &Token, currency: Currency, amount_minor: i64) -> Zeroizing<Vec<u8>> {
    let click = match token {
        Token::Opened { click, .. } => click.click.0,
        Token::Missing | Token::Unreadable => [0; 16],
    };
    let rest = (
        click,
        currency.code(),
        amount_minor,
        form.status.code(),
        Details::of(form),
        form.customer_ref,
        form.occurred_at_ms,
    );
    Zeroizing::new(serde_json::to_vec(&rest).unwrap_or_default())
}
