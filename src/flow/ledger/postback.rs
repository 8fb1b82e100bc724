//! A postback inside its batch: facts, verdict, rows.

use zeroize::Zeroizing;

use super::command::{Answer, PostbackCommand, Reply, Token};
use super::erasing::Act;
use super::writer::{Work, day_of};
use crate::domain::attribution::{self, ClickFact, Facts, PriorFact, TOKEN_MARGIN_SECONDS, TokenFact};
use crate::domain::campaign::MAX_WINDOW_DAYS;
use crate::domain::consent::is_granted;
use crate::domain::erasure::Door;
use crate::domain::event::{AuditEvent, LOG_EPOCH, commitment};
use crate::domain::ids::{ClickKey, seconds_of};
use crate::domain::keys::{ClickSecrets, Place};
use crate::domain::policy::{DenialErases, Policy};
use crate::domain::refusal::{Outcome, Reason};
use crate::domain::routing::TenantRoute;
use crate::domain::signal::record::{Inputs, Surroundings};
use crate::store::StoreError;
use crate::store::batch::facts::{ClickFacts, OrderFacts};
use crate::store::batch::rows::ConversionRow;

/// A click that is there, with all that a verdict about it needs.
struct Matched {
    key: ClickKey,
    campaign: i64,
    publisher: i64,
    facts: ClickFacts,
    secrets: ClickSecrets,
}

impl Work {
    /// Decides a postback and notes what is to be written.
    pub(super) async fn judge(&mut self, postback: &PostbackCommand) -> Result<Reply, StoreError> {
        let tenant = self.tenant(postback.tenant)?;
        let matched = self.matched(postback, &tenant);
        let policy = &tenant.policy_at(postback.now_ms).policy;
        let facts = self.facts(postback, &tenant, policy, matched.as_ref());
        if postback.explain {
            return Ok(Reply::Found((&facts).into()));
        }
        let verdict = attribution::decide(&facts);
        let mut answer = Answer {
            outcome: tenant.refusal_mode(postback.shop, policy).outcome(verdict.reason),
            reason: verdict.reason,
            conversion: None,
        };
        if postback.draft.is_some() {
            let said = (answer.outcome, answer.reason);
            self.compare_postback(&tenant, postback, campaign_of(postback), &facts, said);
        }
        let prior = postback.order.as_ref().and_then(|order| self.orders.get(order));
        if matches!(verdict.reason, Reason::Duplicate | Reason::DuplicateConflict) {
            answer.conversion = prior.map(|prior| prior.conversion_id);
        }
        if postback.dry_run {
            return Ok(Reply::Verdict(answer));
        }
        match (verdict.reason, matched) {
            (Reason::Accepted, Some(matched)) => {
                self.record(postback, &tenant, &matched);
                answer.conversion = Some(postback.conversion);
            }
            (Reason::Duplicate, Some(matched)) => self.count_duplicate(postback, &tenant, &matched),
            _ => self.refuse(postback, &tenant, &answer),
        }
        if verdict.erase_click {
            self.end_denied(postback, &tenant, policy.shop_denial_erases)
                .await?;
        }
        Ok(Reply::Verdict(answer))
    }

    /// The click with its secrets. A click whose salt is gone counts as erased, whatever else is left of it.
    fn matched(&self, postback: &PostbackCommand, tenant: &TenantRoute) -> Option<Matched> {
        let Token::Opened {
            click: key,
            campaign,
            publisher,
        } = postback.token
        else {
            return None;
        };
        let facts = self.clicks.get(&key)?.clone();
        let epoch = u16::try_from(facts.retention_epoch).ok()?;
        let secrets = tenant.keys.click(epoch, facts.salt.as_ref()?).ok()?;
        Some(Matched {
            key,
            campaign,
            publisher,
            facts,
            secrets,
        })
    }

    fn facts<'a>(
        &self,
        postback: &'a PostbackCommand,
        tenant: &TenantRoute,
        policy: &'a Policy,
        matched: Option<&Matched>,
    ) -> Facts<'a> {
        let (token, click, window_seconds) = match postback.token {
            Token::Missing => (TokenFact::Missing, ClickFact::Missing, 0),
            Token::Unreadable => (TokenFact::Unreadable, ClickFact::Missing, 0),
            Token::Opened {
                click: key, campaign, ..
            } => {
                let click = match matched {
                    _ if self.is_suppressed(postback, postback.click_entry) => ClickFact::Erased,
                    Some(matched) => ClickFact::Live {
                        granted: is_granted(matched.facts.consent_bits),
                        restricted: matched.facts.restricted,
                    },
                    // A row without its salt is what a cut-off erasure could leave behind.
                    None if self.clicks.contains_key(&key) => ClickFact::Erased,
                    None => ClickFact::Missing,
                };
                let window = tenant
                    .campaigns
                    .get(&campaign)
                    .map_or(0, |campaign| campaign.window_seconds);
                (
                    TokenFact::Opened {
                        issued_at_s: key.issued_at_s(),
                    },
                    click,
                    window,
                )
            }
        };
        let order_suppressed = self.is_suppressed(postback, postback.order_entry);
        let prior = match postback.order.as_ref().and_then(|order| self.orders.get(order)) {
            None => PriorFact::None,
            Some(prior) if prior.content_hash == postback.content_hash => PriorFact::Same,
            Some(_) => PriorFact::Other,
        };
        Facts {
            goal_known: postback.goal.is_some(),
            currency_taken: postback.currency_taken,
            consent: &postback.assessment,
            policy,
            token,
            click,
            order_suppressed,
            prior,
            window_seconds,
            occurred_at_s: postback.occurred_at_ms.div_euclid(1_000),
            now_s: postback.now_ms.div_euclid(1_000),
        }
    }

    fn is_suppressed(&self, postback: &PostbackCommand, entry: Option<[u8; 32]>) -> bool {
        entry.is_some_and(|entry| self.suppressed.contains(&(postback.tenant, entry)))
    }

    fn record(&mut self, postback: &PostbackCommand, tenant: &TenantRoute, matched: &Matched) {
        let (Some(goal), Some(order)) = (postback.goal, postback.order.clone()) else {
            return;
        };
        let place = Place {
            tenant: postback.tenant,
            table: "conversion",
            column: "payload",
            row: postback.conversion.as_bytes(),
            key_version: u32::try_from(matched.facts.retention_epoch).unwrap_or(0),
        };
        let version = i64::from(tenant.policy_at(postback.now_ms).version);
        let (consent_bits, signal_kinds) = consent(postback, tenant);
        let details = Self::details(postback, tenant, matched);
        self.conversions.push(ConversionRow {
            tenant: postback.tenant,
            recorded_at_s: seconds_of(postback.conversion),
            conversion_id: postback.conversion,
            shop: postback.shop,
            campaign: matched.campaign,
            publisher: matched.publisher,
            link: matched.facts.link,
            goal,
            status: postback.status,
            amount_minor: postback.amount_minor,
            currency: postback.currency.code(),
            occurred_at_ms: postback.occurred_at_ms,
            updated_at_ms: postback.now_ms,
            test: postback.test,
            policy_version: version,
            retention_epoch: matched.facts.retention_epoch,
            consent_bits,
            signal_kinds,
            click: matched.key,
            order_hash: order.order_hash,
            content_hash: postback.content_hash,
            expires_at_s: matched.key.issued_at_s() + MAX_WINDOW_DAYS * 86_400 + TOKEN_MARGIN_SECONDS,
            payload: matched.secrets.key.seal(postback.payload_nonce, &place, &details),
            customer_hash: postback.customer_hash,
        });
        self.count_hour(postback, matched, goal, postback.status, postback.amount_minor);
        self.note_verdict(postback, tenant, matched, Outcome::Recorded, Reason::Accepted);
        let facts = OrderFacts {
            conversion_id: postback.conversion,
            content_hash: postback.content_hash.to_vec(),
            click: matched.key,
        };
        self.orders.insert(order, facts);
    }

    /// The details with what the decision was made on, for its consent record.
    fn details(postback: &PostbackCommand, tenant: &TenantRoute, matched: &Matched) -> Zeroizing<Vec<u8>> {
        let campaign = tenant.campaigns.get(&matched.campaign);
        let window_seconds = campaign.map_or(0, |campaign| campaign.window_seconds);
        let policy = &tenant.policy_at(postback.now_ms).policy;
        let inputs = Inputs {
            surroundings: Some(Surroundings {
                click_granted: is_granted(matched.facts.consent_bits),
                window_seconds: u32::try_from(window_seconds).unwrap_or(0),
            }),
            stale_terms: postback.assessment.terms() != policy.terms(),
            ..postback.inputs
        };
        with_inputs(&postback.details, &inputs)
    }

    fn count_duplicate(&mut self, postback: &PostbackCommand, tenant: &TenantRoute, matched: &Matched) {
        if let Some(goal) = postback.goal {
            self.count_hour(postback, matched, goal, "duplicate", 0);
        }
        self.note_verdict(postback, tenant, matched, Outcome::Duplicate, Reason::Duplicate);
    }

    fn note_verdict(
        &mut self,
        postback: &PostbackCommand,
        tenant: &TenantRoute,
        matched: &Matched,
        outcome: Outcome,
        reason: Reason,
    ) {
        if cfg!(not(feature = "without-log")) {
            let event = verdict_event(postback, tenant, matched, outcome, reason);
            self.entries.push(event.into());
        }
    }

    /// Tests are in no report.
    fn count_hour(
        &mut self,
        postback: &PostbackCommand,
        matched: &Matched,
        goal: i64,
        outcome: &'static str,
        amount_minor: i64,
    ) {
        if postback.test {
            return;
        }
        let quarter = postback.now_ms.div_euclid(900_000);
        let key = (
            postback.tenant,
            quarter,
            postback.shop,
            matched.campaign,
            matched.publisher,
            matched.facts.link,
            goal,
            postback.currency.code(),
            outcome,
        );
        let cell = self.counters.hours.entry(key).or_default();
        cell.0 += 1;
        cell.1 += amount_minor;
    }

    /// Of what is refused or dropped only a count and a leaf remain, both by the day.
    fn refuse(&mut self, postback: &PostbackCommand, tenant: &TenantRoute, answer: &Answer) {
        let (day, day_text) = day_of(tenant, postback.now_ms);
        let campaign = campaign_of(postback);
        let (outcome, reason) = (answer.outcome.code(), answer.reason.code());
        if !postback.test {
            let key = (postback.tenant, day, postback.shop, campaign, outcome, reason);
            *self.counters.refused.entry(key).or_default() += 1;
        }
        let [nonce, _] = &postback.nonces;
        let mut event = AuditEvent::new(
            postback.tenant,
            "postback.verdict",
            &postback.actor,
            outcome,
            nonce,
        );
        event.day = Some(day_text);
        event.policy_version = Some(tenant.policy_at(postback.now_ms).version);
        event.reason = Some(reason);
        event.request_id = Some(postback.request.to_string());
        event.test = postback.test;
        self.entries.push(event.into());
    }

    /// The person's "no" at the shop ends everything about this click, as far as the policy says.
    async fn end_denied(
        &mut self,
        postback: &PostbackCommand,
        tenant: &TenantRoute,
        erases: DenialErases,
    ) -> Result<(), StoreError> {
        let Token::Opened { click, .. } = postback.token else {
            return Ok(());
        };
        let mut clicks = vec![click];
        if let (DenialErases::Person, Some(customer)) = (erases, postback.customer_hash) {
            // The refused order names the person as well as the recorded ones do.
            clicks.extend(self.batch.clicks_of_customer(postback.tenant, customer).await?);
        }
        let [_, nonce] = postback.nonces;
        let act = Act {
            clicks,
            door: Door::Postback,
            ground: Door::Postback.ground(),
            actor: &postback.actor,
            shop: None,
            now_ms: postback.now_ms,
            request: Some(postback.request),
            nonce,
        };
        self.end_clicks(tenant, act, erases).await?;
        Ok(())
    }
}

/// The shop's own signal, as the conversion's consent record; an inherited consent has none.
fn consent(postback: &PostbackCommand, tenant: &TenantRoute) -> (i64, i64) {
    let assessment = &postback.assessment;
    if assessment.absent() {
        return (0, 0);
    }
    let bits = assessment.bits(assessment.state(&tenant.policy_at(postback.now_ms).policy));
    (i64::from(bits), i64::from(assessment.kinds()))
}

/// The document of a conversion with one member more.
fn with_inputs(details: &[u8], inputs: &Inputs) -> Zeroizing<Vec<u8>> {
    let members = details.strip_suffix(b"}").unwrap_or(details);
    let separator = if members.len() > 1 { "," } else { "" };
    let member = format!("{separator}\"consent\":\"{}\"}}", inputs.encode());
    let mut document = Zeroizing::new(Vec::with_capacity(members.len() + member.len()));
    document.extend_from_slice(members);
    document.extend_from_slice(member.as_bytes());
    document
}

/// The campaign of the token; 0 without a readable one.
fn campaign_of(postback: &PostbackCommand) -> i64 {
    match postback.token {
        Token::Opened { campaign, .. } => campaign,
        Token::Missing | Token::Unreadable => 0,
    }
}

fn verdict_event(
    postback: &PostbackCommand,
    tenant: &TenantRoute,
    matched: &Matched,
    outcome: Outcome,
    reason: Reason,
) -> AuditEvent {
    let [nonce, _] = &postback.nonces;
    let mut event = AuditEvent::new(
        postback.tenant,
        "postback.verdict",
        &postback.actor,
        outcome.code(),
        nonce,
    );
    let order = postback.order_digest.as_ref().map_or(&[][..], |digest| digest);
    let subject = &matched.secrets.subject;
    event.at_ms = Some(postback.now_ms);
    event.campaign = Some(matched.campaign);
    event.commitment = Some(hex::encode(commitment(
        subject,
        LOG_EPOCH,
        nonce,
        &matched.key.click.0,
        order,
    )));
    event.policy_version = Some(tenant.policy_at(postback.now_ms).version);
    event.reason = Some(reason.code());
    event.request_id = Some(postback.request.to_string());
    event.shop = Some(postback.shop);
    event.test = postback.test;
    event
}
