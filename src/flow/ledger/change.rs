//! Changes after the fact, inside their batch: consent that the shop forwards, and conversions that it corrects.

mod denial;
pub(super) mod restriction;

use uuid::Uuid;

use super::command::{AmendCommand, Amended, ConsentCommand, Reply, Target};
use super::erasing::Act;
use super::writer::{Work, day_of};
use crate::domain::consent::ConsentState;
use crate::domain::erasure::Door;
use crate::domain::event::{AuditEvent, Change, LOG_EPOCH, commitment};
use crate::domain::ids::ClickKey;
use crate::domain::keys::{NONCE_BYTES, Place};
use crate::domain::money::{Currency, parse_amount};
use crate::domain::policy::DenialErases;
use crate::domain::refusal::Reason;
use crate::domain::routing::TenantRoute;
use crate::store::StoreError;
use crate::store::batch::facts::ClickFacts;
use crate::store::batch::rows::ConsentRow;
use crate::store::conversions::Recorded;

/// Why a correction is not made, or what to write.
type Planned = Result<(&'static str, i64), Reason>;

impl Work {
    /// A change of consent. A denial always counts; a grant is noted beside a living click and revives nothing.
    pub(super) async fn change_consent(&mut self, consent: &ConsentCommand) -> Result<Reply, StoreError> {
        let tenant = self.tenant(consent.tenant)?;
        // What this batch has recorded so far may be what the change is about.
        self.flush()?;
        let clicks = self.clicks_of(consent.tenant, &consent.reference).await?;
        let state = consent.assessment.state(&tenant.policy_at(consent.now_ms).policy);
        let applied = match state {
            _ if clicks.is_empty() => false,
            ConsentState::Denied => self.withdraw(consent, &tenant, &clicks).await?,
            ConsentState::Granted => self.confirm(consent, &tenant, &clicks).await?,
            ConsentState::Unknown | ConsentState::Malformed => false,
        };
        Ok(Reply::Consent { applied })
    }

    async fn withdraw(
        &mut self,
        consent: &ConsentCommand,
        tenant: &TenantRoute,
        clicks: &[ClickKey],
    ) -> Result<bool, StoreError> {
        let [change, erasure] = consent.nonces;
        let act = Act {
            clicks: clicks.to_vec(),
            door: Door::Withdrawal,
            ground: Door::Withdrawal.ground(),
            actor: &consent.actor,
            shop: None,
            now_ms: consent.now_ms,
            request: Some(consent.request),
            nonce: erasure,
        };
        // The privacy officer's word is the person's own; a shop's "no" goes as far as the policy says.
        let erases = if consent.from_shop {
            tenant.policy_at(consent.now_ms).policy.shop_denial_erases
        } else {
            DenialErases::Click
        };
        let had_effect = self.end_clicks(tenant, act, erases).await?;
        self.note_change(consent, tenant, "withdrawn", &change);
        Ok(had_effect)
    }

    async fn confirm(
        &mut self,
        consent: &ConsentCommand,
        tenant: &TenantRoute,
        clicks: &[ClickKey],
    ) -> Result<bool, StoreError> {
        let mut living = self.batch.click_facts(&mut clicks.to_vec(), true).await?;
        // A restricted click is kept as it is (GDPR Art. 18(2)).
        living.retain(|_, facts| !facts.restricted);
        let bits = i64::from(consent.assessment.bits(ConsentState::Granted));
        let version = tenant.policy_at(consent.now_ms).version;
        let inputs = consent.inputs.encode();
        let known = clicks.iter().filter_map(|key| Some((key, living.get(key)?)));
        for (place, (key, facts)) in (0_u8..).zip(known) {
            // One change may concern several clicks; each gets a record of its own.
            let mut id = *consent.record.as_bytes();
            id[15] ^= place;
            self.records.push(ConsentRow {
                key: *key,
                record_id: Uuid::from_bytes(id),
                recorded_at_ms: consent.now_ms,
                collector: 1,
                consent_bits: bits,
                signal_kinds: i64::from(consent.assessment.kinds()),
                policy_version: i64::from(version),
                payload: seal_inputs(
                    tenant,
                    facts,
                    &Uuid::from_bytes(id),
                    consent.payload_nonce,
                    &inputs,
                ),
            });
        }
        if living.is_empty() {
            return Ok(false);
        }
        self.note_change(consent, tenant, "granted", &consent.nonces[0]);
        Ok(true)
    }

    fn note_change(
        &mut self,
        consent: &ConsentCommand,
        tenant: &TenantRoute,
        outcome: &'static str,
        nonce: &[u8; 16],
    ) {
        let mut event = AuditEvent::new(consent.tenant, "consent.changed", &consent.actor, outcome, nonce);
        event.day = Some(day_of(tenant, consent.now_ms).1);
        event.policy_version = Some(tenant.policy_at(consent.now_ms).version);
        event.request_id = Some(consent.request.to_string());
        event.shop = Some(consent.shop);
        self.entries.push(event.into());
    }

    /// A correction of a conversion: another status, or a lower amount. Needs neither token nor signal.
    pub(super) async fn amend(&mut self, amend: &AmendCommand) -> Result<Reply, StoreError> {
        self.flush()?;
        let Some(recorded) = self.recorded(amend).await? else {
            return Ok(Reply::Amended(Err(self.missing(amend).await?)));
        };
        let (status, amount_minor) = match plan(amend, &recorded) {
            Ok(planned) => planned,
            Err(reason) => return Ok(Reply::Amended(Err(reason))),
        };
        let unchanged = status == recorded.status && amount_minor == recorded.amount_minor;
        if !unchanged {
            self.batch
                .change_conversion(
                    amend.tenant,
                    recorded.conversion_id,
                    status,
                    amount_minor,
                    amend.now_ms,
                )
                .await?;
            self.move_counts(amend, &recorded, status, amount_minor);
            self.note_amendment(amend, &recorded, status, amount_minor)
                .await?;
        }
        Ok(Reply::Amended(Ok(Amended {
            conversion: recorded.conversion_id,
            status: status.to_owned(),
            amount_minor,
            currency: recorded.currency,
            updated_at_ms: if unchanged {
                recorded.updated_at_ms
            } else {
                amend.now_ms
            },
        })))
    }

    /// The conversion, if it is one that this caller may see.
    async fn recorded(&mut self, amend: &AmendCommand) -> Result<Option<Recorded>, StoreError> {
        let id = match &amend.target {
            Target::Conversion(id) => Some(*id),
            Target::Order(order) => {
                let found = self.batch.order_facts(&mut vec![order.clone()]).await?;
                found.get(order).map(|facts| facts.conversion_id)
            }
        };
        let Some(id) = id else { return Ok(None) };
        let found = self.batch.conversion(amend.tenant, id).await?;
        Ok(found.filter(|recorded| amend.shop.is_none_or(|shop| shop == recorded.shop)))
    }

    /// An order that is suppressed belonged to an erased click; any other is unknown.
    async fn missing(&mut self, amend: &AmendCommand) -> Result<Reason, StoreError> {
        let Target::Order(order) = &amend.target else {
            return Ok(Reason::NotFound);
        };
        let tenant = self.tenant(amend.tenant)?;
        let entry = tenant
            .keys
            .suppressed_order(order.shop, order.goal, &order.order_hash);
        let suppressed = self.batch.suppressed(&mut vec![(amend.tenant, entry)]).await?;
        Ok(if suppressed.is_empty() {
            Reason::NotFound
        } else {
            Reason::ConsentWithdrawn
        })
    }

    /// Takes the conversion out of its old counter and puts it into the new one.
    fn move_counts(
        &mut self,
        amend: &AmendCommand,
        recorded: &Recorded,
        status: &'static str,
        amount_minor: i64,
    ) {
        if recorded.test {
            return;
        }
        let (Some(old), Ok(currency)) = (status_word(&recorded.status), Currency::parse(&recorded.currency))
        else {
            return;
        };
        // The figures belong to the moment in which the conversion was recorded.
        let recorded_at_ms = crate::domain::ids::seconds_of(recorded.conversion_id) * 1_000;
        let quarter = recorded_at_ms.div_euclid(900_000);
        let mut add = |outcome: &'static str, events: i64, amount: i64| {
            let key = (
                amend.tenant,
                quarter,
                recorded.shop,
                recorded.campaign,
                recorded.publisher,
                recorded.link,
                recorded.goal,
                currency.code(),
                outcome,
            );
            let cell = self.counters.hours.entry(key).or_default();
            cell.0 += events;
            cell.1 += amount;
        };
        add(old, -1, -recorded.amount_minor);
        add(status, 1, amount_minor);
    }

    async fn note_amendment(
        &mut self,
        amend: &AmendCommand,
        recorded: &Recorded,
        status: &str,
        amount_minor: i64,
    ) -> Result<(), StoreError> {
        let mut event = AuditEvent::new(
            amend.tenant,
            "conversion.changed",
            &amend.actor,
            "changed",
            &amend.nonce,
        );
        event.at_ms = Some(amend.now_ms);
        event.campaign = Some(recorded.campaign);
        event.commitment = self.commitment_of(amend, recorded).await?;
        event.request_id = Some(amend.request.to_string());
        event.shop = Some(recorded.shop);
        event.test = recorded.test;
        if status != recorded.status {
            let (old, new) = (Some(recorded.status.clone()), Some(status.to_owned()));
            event.changes.push(Change {
                field: "status",
                old,
                new,
            });
        }
        if amount_minor != recorded.amount_minor {
            // The old and new amounts stand in the row's history of counts, not in the log.
            event.changes.push(Change {
                field: "amount",
                old: None,
                new: None,
            });
        }
        if let Some(reason) = &amend.reason {
            event.changes.push(Change {
                field: "reason",
                old: None,
                new: Some(reason.clone()),
            });
        }
        self.entries.push(event.into());
        Ok(())
    }

    /// The conversion is named by a commitment as its verdict is, but by its id, since a manager need not know the order. It dies with the click's salt.
    async fn commitment_of(
        &mut self,
        amend: &AmendCommand,
        recorded: &Recorded,
    ) -> Result<Option<String>, StoreError> {
        let Some((key, _)) = &recorded.click else {
            return Ok(None);
        };
        let tenant = self.tenant(amend.tenant)?;
        let found = self.batch.click_facts(&mut vec![*key], false).await?;
        let secrets = found.get(key).and_then(|facts| {
            let epoch = u16::try_from(facts.retention_epoch).ok()?;
            tenant.keys.click(epoch, facts.salt.as_ref()?).ok()
        });
        Ok(secrets.map(|secrets| {
            hex::encode(commitment(
                &secrets.subject,
                LOG_EPOCH,
                &amend.nonce,
                &key.click.0,
                recorded.conversion_id.as_bytes(),
            ))
        }))
    }
}

/// The inputs of a later signal under the click's key; nothing where that is gone.
fn seal_inputs(
    tenant: &TenantRoute,
    facts: &ClickFacts,
    record: &Uuid,
    nonce: [u8; NONCE_BYTES],
    inputs: &str,
) -> Option<Vec<u8>> {
    let epoch = u16::try_from(facts.retention_epoch).ok()?;
    let secrets = tenant.keys.click(epoch, facts.salt.as_ref()?).ok()?;
    let place = Place {
        tenant: tenant.number(),
        table: "consent_record",
        column: "payload",
        row: record.as_bytes(),
        key_version: u32::from(epoch),
    };
    Some(secrets.key.seal(nonce, &place, inputs.as_bytes()))
}

/// The status word as a constant.
fn status_word(text: &str) -> Option<&'static str> {
    ["pending", "confirmed", "cancelled"]
        .into_iter()
        .find(|word| *word == text)
}

/// What a correction comes to. Cancelled is final, and an amount is only ever lowered: a shop that could raise it later
/// could turn any small order into a large one.
fn plan(amend: &AmendCommand, recorded: &Recorded) -> Planned {
    if recorded.erased {
        return Err(Reason::ConsentWithdrawn);
    }
    if recorded.purged {
        return Err(Reason::Gone);
    }
    let old = status_word(&recorded.status).ok_or(Reason::Internal)?;
    let status = amend.status.unwrap_or(old);
    let moves = matches!(
        (old, status),
        ("pending", _) | ("confirmed", "confirmed" | "cancelled") | ("cancelled", "cancelled")
    );
    let amount_minor = match &amend.amount {
        None => recorded.amount_minor,
        Some(text) => {
            let currency = Currency::parse(&recorded.currency).map_err(|_| Reason::Internal)?;
            parse_amount(text, currency).map_err(|_| Reason::InvalidRequest)?
        }
    };
    let lowered = amount_minor <= recorded.amount_minor;
    let frozen = old == "cancelled" && amount_minor != recorded.amount_minor;
    if moves && lowered && !frozen {
        Ok((status, amount_minor))
    } else {
        Err(Reason::Conflict)
    }
}

#[cfg(test)]
#[path = "change/tests.rs"]
mod tests;
