//! The documents of a pack: what was counted and listed, and what the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::PackOrder;
use crate::audit::pack::tally::{Chapter, DecisionKey, Tally, moment};
use crate::audit::pack::{File, PackError};
use crate::domain::campaign::{Campaign, Controller, Publisher};
use crate::domain::policy::PolicyRecord;
use crate::domain::retention::{Class, Rule, Term, days_of};
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::domain::signal::DECODER_VERSION;
use crate::flow::{FlowError, Live};

/// Objects that are read at once.
const PAGE: u64 = 500;

/// What is known beside the log.
pub(super) struct Facts {
    /// The controller's name, or the tenant's.
    pub name: String,
    controller: Option<Controller>,
    campaigns: Vec<Campaign>,
    publishers: Vec<Publisher>,
    policies: Vec<PolicyRecord>,
    rules: Vec<Rule>,
}

impl Facts {
    pub(super) async fn gather(
        live: &Arc<Live>,
        order: &PackOrder,
        tenant: &TenantRoute,
    ) -> Result<Self, FlowError> {
        let scope = order.log.tenant;
        let controller = tenant.tenant.controller.clone();
        Ok(Self {
            name: controller.as_ref().map_or_else(
                || tenant.tenant.slug.clone(),
                |controller| controller.name.clone(),
            ),
            controller,
            campaigns: every(live, scope, |campaign: &Campaign| campaign.object.number).await?,
            publishers: every(live, scope, |publisher: &Publisher| publisher.object.number).await?,
            policies: every(live, scope, |policy: &PolicyRecord| policy.object.number).await?,
            rules: live
                .store()
                .reader(TenantScope::Only(scope))
                .retention_rules(scope)
                .await?,
        })
    }
}

/// All objects of a kind, in the order of their numbers.
async fn every<T: crate::store::objects::Kept>(
    live: &Arc<Live>,
    scope: i64,
    number: impl Fn(&T) -> i64,
) -> Result<Vec<T>, FlowError> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let after = all.last().map_or(0, &number);
        let page = live
            .store()
            .reader(TenantScope::Only(scope))
            .page::<T>(scope, after, PAGE)
            .await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Every document, in the order of the index.
pub(super) fn all(facts: &Facts, order: &PackOrder, tally: &Tally) -> Result<Vec<File>, PackError> {
    let listed = |name: &str, chapter: Chapter| {
        let lines = tally.chapters.get(&chapter).map_or(&[][..], Vec::as_slice);
        File::json(name, &json!({ "entries": lines }))
    };
    Ok(vec![
        File::json("processing-controller.json", &as_controller(facts))?,
        File::json("processing-processor.json", &as_processor(facts))?,
        File::json("policies.json", &policies(facts, order, tally))?,
        File::json("consent-rules.json", &rules())?,
        File::json("decisions.json", &decisions(tally))?,
        listed("erasures.json", Chapter::Erasures)?,
        listed("retention.json", Chapter::Retention)?,
        listed("subject-requests.json", Chapter::Requests)?,
        File::json("keys.json", &keys(tally))?,
        listed("access.json", Chapter::Access)?,
        listed("configuration.json", Chapter::Configuration)?,
        listed("log.json", Chapter::Log)?,
        File::json("breach-scope.json", &breach(facts, order, tally))?,
    ])
}

fn keys(tally: &Tally) -> Value {
    let note = "A tenant's first keys, and those of its first two months, are made with it: the entry tenant.created \
                tells of them.";
    let entries = tally.chapters.get(&Chapter::Keys).map_or(&[][..], Vec::as_slice);
    json!({ "entries": entries, "note": note })
}

/// GDPR Article 30(1). What the software cannot know is empty and says so.
fn as_controller(facts: &Facts) -> Value {
    json!({
        "form": "GDPR Article 30(1)",
        "controller": controller(facts),
        "purposes": [
            "matching an order with the click on an advertisement that led to it, and counting both",
            "paying publishers for orders",
            "showing afterwards that each of these was allowed (Article 5(2))",
        ],
        "people": ["visitors who followed an advertisement's link and whose consent was granted"],
        "data": [
            "time, campaign, publisher and link of the click, sub-ids that the publisher sent (sealed)",
            "what the consent signals said, without their texts",
            "time, amount, currency and status of the order; its reference and the customer reference as keyed hashes and sealed",
        ],
        "recipients": facts.publishers.iter().map(|one| &one.slug).collect::<Vec<_>>(),
        "recipients_note": "Publishers see sums of their own clicks and orders, no person's.",
        "third_country_transfers": null,
        "third_country_transfers_note": "The software sends personal data nowhere; where the server stands, its operator says.",
        "erasure_limits": limits(facts),
        "attribution_windows": facts.campaigns.iter().map(|one| {
            json!({ "campaign": one.slug, "days": one.window_days })
        }).collect::<Vec<_>>(),
        "security": security(),
    })
}

/// How long each class is kept, as the tenant's rules have it.
fn limits(facts: &Facts) -> Vec<Value> {
    let limit = |class: Class| {
        let rule = facts.rules.iter().find(|rule| rule.class == class);
        let until = match class.term() {
            Term::Days { .. } => "days",
            Term::OwnExpiry => "its own end",
            Term::Follows => "that of what it is about",
            Term::Kept => "kept; nobody is named in it",
        };
        json!({ "class": class.code(), "until": until, "days": days_of(class, rule) })
    };
    Class::ALL.into_iter().map(limit).collect()
}

/// GDPR Article 30(2).
fn as_processor(facts: &Facts) -> Value {
    json!({
        "form": "GDPR Article 30(2)",
        "processor": null,
        "processor_note": "Whoever runs the server; the software does not know the name.",
        "controllers": [controller(facts)],
        "categories_of_processing": ["recording clicks and orders with consent", "matching", "reporting sums", "keeping evidence", "erasing"],
        "third_country_transfers": null,
        "security": security(),
    })
}

fn controller(facts: &Facts) -> Value {
    facts.controller.as_ref().map_or(Value::Null, |one| {
        json!({
            "name": one.name,
            "data_protection_contact": one.contact,
            "jurisdiction": one.jurisdiction,
            "notice": one.notice_url,
        })
    })
}

fn security() -> Value {
    json!([
        "AES-256-GCM under a key of each click's own, derived from a month's key and a salt that erasing destroys",
        "keyed hashes (HMAC-SHA-256) for order and customer references",
        "nothing of a refusal is stored but a count",
        "a signed, append-only log of every decision and every look",
        "roles by operation, one table",
    ])
}

fn policies(facts: &Facts, order: &PackOrder, tally: &Tally) -> Value {
    let lines = tally
        .chapters
        .get(&Chapter::Policies)
        .map_or(&[][..], Vec::as_slice);
    let versions = facts.policies.iter().filter(|record| record.version.is_some());
    let began = |record: &&PolicyRecord| {
        record
            .effective_from_ms
            .is_some_and(|from_ms| from_ms < order.to_ms)
    };
    let known: Vec<&PolicyRecord> = versions.filter(began).collect();
    // The one before the period's first change was in force at its beginning.
    let first = known
        .iter()
        .rposition(|record| {
            record
                .effective_from_ms
                .is_some_and(|from_ms| from_ms <= order.from_ms)
        })
        .unwrap_or(0);
    let shown: Vec<Value> = known[first..]
        .iter()
        .map(|record| {
            json!({
                "version": record.version,
                "in_force_from": record.effective_from_ms.map(moment),
                "author": record.author.actor,
                "reason": record.reason,
                "replaces": record.replaces,
                "second_person_asked": record.approval.is_some(),
                "policy": record.policy,
            })
        })
        .collect();
    json!({ "in_force": shown, "history": lines })
}

fn rules() -> Value {
    json!({
        "software": concat!("einklang ", env!("CARGO_PKG_VERSION")),
        "decoder_version": DECODER_VERSION,
        "note": "A decision can be made again with GET /v1/consent-records/{id}/replay as long as its record is kept.",
    })
}

#[derive(Serialize)]
struct Decisions<'a> {
    #[serde(flatten)]
    key: &'a DecisionKey,
    count: i64,
}

fn decisions(tally: &Tally) -> Value {
    let rows: Vec<Decisions<'_>> = tally
        .decisions
        .iter()
        .map(|(key, count)| Decisions { key, count: *count })
        .collect();
    json!({ "entries": tally.entries, "unreadable": tally.unreadable, "decisions": rows })
}

/// GDPR Article 33: how much of what could be concerned, and whom to tell. Sums only.
fn breach(facts: &Facts, order: &PackOrder, tally: &Tally) -> Value {
    let mut classes: BTreeMap<&str, i64> = BTreeMap::new();
    for (key, count) in &tally.decisions {
        let class = match (key.action.as_str(), key.outcome.as_str()) {
            ("click.batch", _) => "clicks with consent record",
            ("postback.verdict", "recorded") => "conversions with order and customer reference",
            ("consent.changed", "granted") => "later consent signals",
            _ => continue,
        };
        *classes.entry(class).or_default() += count;
    }
    let sum = |action: &str| -> u64 {
        let of = tally.actors.values().flat_map(|done| &done.actions);
        of.filter(|(name, _)| name.split(' ').next() == Some(action))
            .map(|(_, count)| *count)
            .sum()
    };
    let credential = order.credential.as_ref().map(|credential| {
        let done = tally.actors.get(credential);
        json!({
            "credential": credential,
            "actions": done.map(|done| &done.actions),
            "first": done.and_then(|done| done.first_ms).map(moment),
            "last": done.and_then(|done| done.last_ms).map(moment),
        })
    });
    json!({
        "form": "GDPR Article 33(3)",
        "period": { "from": moment(order.from_ms), "to": moment(order.to_ms) },
        "recorded_in_period_by_class": classes,
        "looks_at_sealed_data": sum("consent_record.read")
            + sum("consent_receipt.issued")
            + sum("subject_request.result_read")
            + sum("audit_entry.opened"),
        "exports": sum("audit.exported"),
        "turned_away": sum("access.refused"),
        "credential": credential,
        "controllers_to_notify": [controller(facts)],
    })
}
