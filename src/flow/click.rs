//! A click: from a tracking link to a redirect.
//!
//! The decision stands before anything is stored. A click that may be tracked is committed before its redirect leaves,
//! and only then is there a token in it; any other is counted by its reason, and the visitor goes to the same page.

mod details;

use std::net::IpAddr;
use std::sync::Arc;

use details::details;

use super::Live;
use super::ledger::Ledger;
use super::ledger::command::{ClickCommand, Command, DraftSays, Reply, UntrackedCommand};
use super::ledger::writer::untracked_key;
use crate::domain::agent::AgentClass;
use crate::domain::campaign::{SUB_ID_CHARS, SUB_IDS};
use crate::domain::consent::{Assessment, ConsentState, SignalKind, decide_click};
use crate::domain::event::{LOG_EPOCH, commitment};
use crate::domain::ids::{ClickId, ClickKey, ticks_of};
use crate::domain::keyring::KeyRing;
use crate::domain::keys::{Place, epoch_of};
use crate::domain::landing::{LandingValues, Template, deep_link};
use crate::domain::policy::Policy;
use crate::domain::refusal::Untracked;
use crate::domain::routing::LinkRoute;
use crate::domain::signal::record::Inputs;
use crate::domain::signal::{Collector, Reading, Signals};
use crate::domain::token::{self, TokenClaims};
use crate::store::batch::rows::ClickRow;

/// A click as it arrived. Borrowed from the request and gone with it.
#[derive(Debug, Clone, Copy)]
pub struct ClickRequest<'a> {
    /// The link's slug.
    pub link: &'a str,
    /// The consent family.
    pub signals: Signals<'a>,
    /// Sub-ids 1 to 10.
    pub subs: [Option<&'a str>; SUB_IDS],
    /// A deep link.
    pub url: Option<&'a str>,
    /// A reference to the notice that the person saw.
    pub notice: Option<&'a str>,
    /// The class of the user agent; the text itself goes no further than the edge.
    pub agent: AgentClass,
    /// Where it came from.
    pub address: IpAddr,
    /// Whether only the head was asked for.
    pub head: bool,
}

/// Where the visitor goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClickOutcome {
    /// To a page.
    Redirect {
        /// Its address.
        to: String,
        /// Whether the click is stored, and the address carries its token.
        tracked: bool,
    },
    /// Nowhere: there is no such link.
    NotFound,
    /// Nowhere: the campaign does not run and names no other page.
    Gone,
}

/// Follows tracking links.
#[derive(Clone)]
pub struct ClickFlow {
    live: Arc<Live>,
    ledger: Ledger,
}

impl ClickFlow {
    /// Over the shared parts and the ledger.
    pub fn new(live: Arc<Live>, ledger: Ledger) -> Self {
        Self { live, ledger }
    }

    /// Follows a link. Never fails: whatever happens to the ledger, the visitor is redirected.
    pub async fn follow(&self, request: ClickRequest<'_>) -> ClickOutcome {
        let routing = self.live.routing();
        let Some(link) = routing.links.get(request.link) else {
            return ClickOutcome::NotFound;
        };
        let now_ms = self.live.now_ms();
        if link.stopped || !link.campaign.runs(now_ms) {
            let fallback = link.campaign.fallback_url.clone();
            let redirect = |to| ClickOutcome::Redirect { to, tracked: false };
            return fallback.map_or(ClickOutcome::Gone, redirect);
        }
        let request = with_defaults(request, link);
        let token = match decide(&self.live, &request, link, now_ms) {
            Ok(granted) => self.track(&request, link, granted, now_ms).await,
            Err(reason) => {
                self.count(&request, link, reason, now_ms).await;
                None
            }
        };
        ClickOutcome::Redirect {
            to: landing(&request, link, token.as_deref()),
            tracked: token.is_some(),
        }
    }

    /// Stores the click and returns its token; without a commit there is none.
    async fn track(
        &self,
        request: &ClickRequest<'_>,
        link: &LinkRoute,
        granted: Granted,
        now_ms: i64,
    ) -> Option<String> {
        let Some((command, token)) = self.prepare(request, link, &granted, now_ms).await else {
            self.miss(link, now_ms);
            return None;
        };
        match self.ledger.submit(Command::Click(Box::new(command))).await {
            Ok(Reply::Tracked) => Some(token),
            // The policy changed in between and the click was only counted.
            Ok(_) => None,
            Err(_) => {
                self.miss(link, now_ms);
                None
            }
        }
    }

    async fn prepare(
        &self,
        request: &ClickRequest<'_>,
        link: &LinkRoute,
        granted: &Granted,
        now_ms: i64,
    ) -> Option<(ClickCommand, String)> {
        let epoch = epoch_of(now_ms.div_euclid(1_000));
        if link.tenant.keys.has_epoch(epoch) {
            return self.seal(&link.tenant.keys, request, link, granted, now_ms);
        }
        // The month is new and its key was not made ahead of time.
        // Its future is large, and every connection would have room for it.
        Box::pin(self.live.make_epoch(link.tenant.number(), epoch))
            .await
            .ok()?;
        let routing = self.live.routing();
        let tenant = routing.tenants.get(&link.tenant.number())?;
        self.seal(&tenant.keys, request, link, granted, now_ms)
    }

    fn seal(
        &self,
        keys: &KeyRing,
        request: &ClickRequest<'_>,
        link: &LinkRoute,
        granted: &Granted,
        now_ms: i64,
    ) -> Option<(ClickCommand, String)> {
        let epoch = epoch_of(now_ms.div_euclid(1_000));
        let tenant = &link.tenant;
        let policy = tenant.policy_at(now_ms);
        let Granted {
            assessment,
            state,
            inputs,
        } = *granted;
        let drawn = Drawn::cut(&self.live.random())?;
        let Drawn { salt, .. } = &drawn;
        let click = ClickId(drawn.click);
        let secrets = keys.click(epoch, salt).ok()?;
        let key = ClickKey {
            tenant: tenant.number(),
            issued_at_ticks: ticks_of(now_ms),
            click,
        };
        let place = Place {
            tenant: tenant.number(),
            table: "click",
            column: "payload",
            row: &click.0,
            key_version: u32::from(epoch),
        };
        let consent_bits = assessment.bits(state);
        let row = ClickRow {
            key,
            campaign: link.campaign.number,
            publisher: link.publisher,
            shop: link.shop.number,
            link: link.number,
            policy_version: i64::from(policy.version),
            retention_epoch: i64::from(epoch),
            clicked_at_ms: now_ms,
            consent_bits: i64::from(consent_bits),
            signal_kinds: i64::from(assessment.kinds()),
            payload: secrets
                .key
                .seal_or_not(drawn.payload_nonce, &place, details(request, &inputs)),
            salt: *salt,
        };
        // Bound to the salt like everything else about the person: the batch's own nonce names no one.
        let commitment = if cfg!(feature = "without-log") {
            [0; 32]
        } else {
            commitment(&secrets.subject, LOG_EPOCH, salt, &click.0, &[])
        };
        let claims = claims(link, key, policy.version, consent_bits, epoch)?;
        let token = token::seal(keys, drawn.token_nonce, &claims).ok()?;
        self.live.uses().count_seal(keys, claims.issued_at_ms());
        Some((
            ClickCommand {
                row,
                commitment,
                assessment,
                now_ms,
                nonce: drawn.nonce,
                draft: draft_says(&self.live, request, link, now_ms),
            },
            token,
        ))
    }

    /// Counts a click that may not be tracked; the count is committed before the redirect leaves, like a click.
    async fn count(&self, request: &ClickRequest<'_>, link: &LinkRoute, reason: Untracked, now_ms: i64) {
        let untracked = UntrackedCommand {
            draft: draft_says(&self.live, request, link, now_ms),
            ..untracked(link, reason, now_ms)
        };
        if self.ledger.submit(Command::Untracked(untracked)).await.is_err() {
            self.ledger.count_missed(untracked_key(&link.tenant, &untracked));
        }
    }

    fn miss(&self, link: &LinkRoute, now_ms: i64) {
        let untracked = untracked(link, Untracked::Unavailable, now_ms);
        self.ledger.count_missed(untracked_key(&link.tenant, &untracked));
    }
}

/// A click that may be tracked.
pub(super) struct Granted {
    /// Its merged signals.
    assessment: Assessment,
    /// The state under the policy.
    state: ConsentState,
    /// What both were made from.
    inputs: Inputs,
}

pub(super) fn decide(
    live: &Live,
    request: &ClickRequest<'_>,
    link: &LinkRoute,
    now_ms: i64,
) -> Result<Granted, Untracked> {
    if request.is_no_visit() {
        return Err(Untracked::Bot);
    }
    if link.tenant.keys.is_locked() {
        return Err(Untracked::Unavailable);
    }
    let policy = &link.tenant.policy_at(now_ms).policy;
    let (inputs, assessment) = assess(live, request, link, policy, now_ms);
    let state = decide_click(&assessment, policy)?;
    Ok(Granted {
        assessment,
        state,
        inputs,
    })
}

/// What the tenant's draft policy makes of the same request. Without a draft this is one look.
fn draft_says(live: &Live, request: &ClickRequest<'_>, link: &LinkRoute, now_ms: i64) -> Option<DraftSays> {
    let shadow = link.tenant.shadow.as_ref()?;
    if request.is_no_visit() {
        return None;
    }
    let (_, assessment) = assess(live, request, link, &shadow.policy, now_ms);
    Some(DraftSays {
        draft: shadow.draft,
        click: decide_click(&assessment, &shadow.policy).map(|_| ()),
    })
}

fn assess(
    live: &Live,
    request: &ClickRequest<'_>,
    link: &LinkRoute,
    policy: &Policy,
    now_ms: i64,
) -> (Inputs, Assessment) {
    let reading = reading(live, link, policy, now_ms);
    let inputs = Inputs::new(request.signals.read(reading), reading.collector);
    let assessment = inputs.assess(policy, reading.now_s);
    (inputs, assessment)
}

pub(super) fn reading<'a>(live: &'a Live, link: &LinkRoute, policy: &Policy, now_ms: i64) -> Reading<'a> {
    let collector = Collector::Publisher {
        contract: link.contract,
    };
    live.reading(collector, policy, now_ms)
}

impl ClickRequest<'_> {
    /// Whether nobody clicked: a robot, or a program that only asks for the head.
    pub(super) fn is_no_visit(&self) -> bool {
        self.head || self.agent == AgentClass::Bot
    }
}

/// The random parts of a click, from one draw.
struct Drawn {
    click: [u8; 16],
    salt: [u8; 16],
    token_nonce: [u8; 12],
    payload_nonce: [u8; 12],
    nonce: [u8; 16],
}

impl Drawn {
    fn cut(random: &[u8; 72]) -> Option<Self> {
        let (click, rest) = random.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (token_nonce, rest) = rest.split_first_chunk()?;
        let (payload_nonce, rest) = rest.split_first_chunk()?;
        let (nonce, _) = rest.split_first_chunk()?;
        Some(Self {
            click: *click,
            salt: *salt,
            token_nonce: *token_nonce,
            payload_nonce: *payload_nonce,
            nonce: *nonce,
        })
    }
}

/// What the token says. Numbers that do not fit its fields give no token.
fn claims(
    link: &LinkRoute,
    key: ClickKey,
    policy_version: u16,
    consent_bits: u16,
    epoch: u16,
) -> Option<TokenClaims> {
    Some(TokenClaims {
        click: key.click,
        campaign: u32::try_from(link.campaign.number).ok()?,
        publisher: u32::try_from(link.publisher).ok()?,
        shop: u16::try_from(link.shop.number).ok()?,
        issued_at_ticks: u64::try_from(key.issued_at_ticks).ok()?,
        consent_bits,
        policy_version,
        retention_epoch: epoch,
    })
}

fn untracked(link: &LinkRoute, reason: Untracked, now_ms: i64) -> UntrackedCommand {
    UntrackedCommand {
        tenant: link.tenant.number(),
        campaign: link.campaign.number,
        reason,
        now_ms,
        draft: None,
    }
}

/// Fills in the link's own sub-ids, and leaves out what is too long rather than cutting it.
fn with_defaults<'a>(mut request: ClickRequest<'a>, link: &'a LinkRoute) -> ClickRequest<'a> {
    for sub in &mut request.subs {
        if sub.is_some_and(|text| text.chars().count() > SUB_ID_CHARS) {
            metrics::counter!("einklang_sub_ids_dropped_total").increment(1);
            *sub = None;
        }
    }
    for (place, text) in &link.subs {
        if let Some(slot) = request.subs.get_mut(usize::from(*place).wrapping_sub(1)) {
            slot.get_or_insert(text.as_str());
        }
    }
    request
}

fn landing(request: &ClickRequest<'_>, link: &LinkRoute, token: Option<&str>) -> String {
    let values = LandingValues {
        campaign: &link.campaign.slug,
        publisher: &link.publisher_slug,
        link: &link.slug,
        subs: request.subs,
        gdpr: request.signals.value(SignalKind::Gdpr),
        gdpr_consent: request.signals.value(SignalKind::Tcf),
        gpp: request.signals.value(SignalKind::Gpp),
        gpp_sid: request.signals.value(SignalKind::GppSid),
    };
    let parameter = &link.shop.token_parameter;
    // A deep link that is not allowed is no reason to lose the visitor: the campaign's own page takes its place.
    let deep: Option<Template> = request
        .url
        .filter(|_| link.campaign.deep_links)
        .and_then(|url| deep_link(url, &link.shop.landing_hosts).ok());
    deep.as_ref()
        .unwrap_or(&link.campaign.template)
        .render(&values, token, parameter)
}
