//! Callbacks to OpenDSR controllers: queued with the change of status that they tell, sent by a timer, signed, tried again.
//!
//! Promise: a callback holds ids, a status and times, and nothing of the person. One that was sent and not confirmed is
//! sent again, so a controller may hear the same twice.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{By, Processor, RequestsFlow, field};
use crate::domain::event::Actor;
use crate::domain::ids::{SubjectRequestId, TenantId};
use crate::domain::keys::Place;
use crate::domain::routing::TenantRoute;
use crate::domain::scope::TenantScope;
use crate::domain::subject_request::{Case, RequestSource, RequestStatus, Subject};
use crate::flow::FlowError;
use crate::flow::audit::push::PushFailed;
use crate::store::requests::Callback;
use crate::store::tx::Tx;

/// After each failed try, how long until the next, in milliseconds; after the last one it is given up.
const WAITS_MS: [i64; 8] = [
    60_000, 300_000, 900_000, 3_600_000, 10_800_000, 28_800_000, 86_400_000, 86_400_000,
];
/// How many are sent in one round.
const AT_ONCE: u64 = 50;

/// A delivery in progress.
pub type Carrying<'a> = Pin<Box<dyn Future<Output = Result<(), PushFailed>> + Send + 'a>>;

/// Carries callbacks to addresses that strangers named.
pub trait CallbackCarrier: Send + Sync {
    /// Whether this could be an address to carry to, as far as the text tells.
    fn takes(&self, url: &str) -> bool;

    /// Carries one, with these headers. Ends within some seconds, whatever happens.
    fn carry<'a>(&'a self, url: &'a str, headers: [(&'static str, String); 2], body: &'a str)
    -> Carrying<'a>;
}

/// What is sealed in the queue.
#[derive(Serialize, Deserialize)]
struct Parcel {
    url: String,
    body: String,
    old_names: bool,
}

fn place<'a>(tenant: &TenantRoute, row: &'a [u8; 16]) -> Place<'a> {
    Place {
        tenant: tenant.number(),
        table: "subject_request_callback",
        column: "payload",
        row,
        key_version: 1,
    }
}

/// The names of the headers that say who sends, and that it is them.
pub fn header_names(old_names: bool) -> [&'static str; 2] {
    if old_names {
        ["X-OpenGDPR-Processor-Domain", "X-OpenGDPR-Signature"]
    } else {
        ["X-OpenDSR-Processor-Domain", "X-OpenDSR-Signature"]
    }
}

/// The word that OpenDSR has for a status: a request that was declined is over without having been fulfilled.
pub fn status_word(status: RequestStatus) -> &'static str {
    match status {
        RequestStatus::Rejected => RequestStatus::Cancelled.code(),
        other => other.code(),
    }
}

/// Where what was found can be read.
pub fn results_url(processor: &Processor, case: &Case) -> Option<String> {
    let is_there = case.kind.asks_for_a_copy() && case.status == RequestStatus::Completed;
    is_there.then(|| {
        let id = SubjectRequestId(case.id);
        format!("https://{}/v1/subject-requests/{id}/result", processor.domain)
    })
}

/// When we expect to have done it, in milliseconds since 1970.
pub fn expected_at_ms(processor: &Processor, case: &Case) -> i64 {
    case.done_at_ms
        .unwrap_or_else(|| case.received_at_ms.saturating_add(processor.wait_ms))
}

/// A time as OpenDSR writes it.
pub fn time(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl RequestsFlow {
    /// Queues what there is to tell of a case, in the transaction that changes it.
    pub(super) async fn queue(
        &self,
        tx: &Tx,
        tenant: &TenantRoute,
        case: &Case,
        subject: &Subject,
    ) -> Result<(), FlowError> {
        let Some(processor) = self.processor() else {
            return Ok(());
        };
        for url in &subject.callbacks {
            let mut body = json!({
                "controller_id": TenantId(tenant.tenant.object.id).to_string(),
                "expected_completion_time": time(expected_at_ms(processor, case)),
                "status_callback_url": url,
                "subject_request_id": case.external_id.map(|id| id.to_string()),
                "request_status": status_word(case.status),
            });
            if let Some(results) = results_url(processor, case) {
                body["results_url"] = json!(results);
            }
            if let Some(count) = case.results_count {
                body["results_count"] = json!(count);
            }
            let parcel = Parcel {
                url: url.clone(),
                body: body.to_string(),
                old_names: case.source == RequestSource::OpenGdpr,
            };
            let id = self.live.new_id();
            let plain = serde_json::to_vec(&parcel).unwrap_or_default();
            let row = id.into_bytes();
            let payload = tenant
                .keys
                .secrets_key()
                .seal(self.live.random(), &place(tenant, &row), &plain);
            tx.queue_callback(Callback {
                tenant: case.tenant,
                id,
                request: case.number,
                status: case.status,
                attempts: 0,
                next_at_ms: self.live.now_ms(),
                payload,
            })
            .await?;
        }
        Ok(())
    }

    /// Sends the callbacks whose time has come; returns how many arrived.
    pub async fn send_callbacks(&self) -> Result<usize, FlowError> {
        let Some(processor) = self.processor() else {
            return Ok(0);
        };
        let reader = self.live.store().reader(TenantScope::Server);
        let due = reader.callbacks_due(self.live.now_ms(), AT_ONCE).await?;
        let mut arrived = 0;
        for callback in due {
            if self.send_one(processor, &callback).await? {
                arrived += 1;
            }
        }
        Ok(arrived)
    }

    async fn send_one(&self, processor: &Processor, callback: &Callback) -> Result<bool, FlowError> {
        let attempt = usize::try_from(callback.attempts).unwrap_or(usize::MAX);
        let is_last = attempt + 1 >= WAITS_MS.len();
        let wait_ms = WAITS_MS.get(attempt).copied().unwrap_or(0);
        // The next try is on record before this one begins: a node that dies meanwhile loses nothing, and no other node
        // sends the same.
        let tx = self
            .live
            .store()
            .begin(TenantScope::Only(callback.tenant))
            .await?;
        if !tx
            .take_callback(callback, self.live.now_ms().saturating_add(wait_ms))
            .await?
        {
            return Ok(false);
        }
        tx.commit_with(&self.told(callback, "tried").into()).await?;
        let sent = self.carry(processor, callback).await;
        let outcome = match sent {
            Ok(()) => "delivered",
            Err(error) => {
                tracing::warn!(%error, attempts = attempt + 1, "a callback about a request could not be delivered");
                metrics::counter!("einklang_subject_request_callbacks_failed_total").increment(1);
                if !is_last {
                    return Ok(false);
                }
                "given_up"
            }
        };
        let tx = self
            .live
            .store()
            .begin(TenantScope::Only(callback.tenant))
            .await?;
        tx.drop_callback(callback.tenant, callback.id).await?;
        tx.commit_with(&self.told(callback, outcome).into()).await?;
        Ok(outcome == "delivered")
    }

    async fn carry(&self, processor: &Processor, callback: &Callback) -> Result<(), PushFailed> {
        // Nobody could check what is not signed.
        let parcel = self.open(callback).ok_or(PushFailed::Unreachable)?;
        let signature = processor
            .signer
            .sign(parcel.body.as_bytes())
            .ok_or(PushFailed::Unreachable)?;
        let [domain_name, signature_name] = header_names(parcel.old_names);
        let headers = [
            (domain_name, processor.domain.clone()),
            (signature_name, signature),
        ];
        processor.carrier.carry(&parcel.url, headers, &parcel.body).await
    }

    fn open(&self, callback: &Callback) -> Option<Parcel> {
        let tenant = self.tenant(callback.tenant).ok()?;
        let row = Uuid::into_bytes(callback.id);
        let keys = tenant.keys.secrets_key();
        let plain = keys.open(&place(&tenant, &row), &callback.payload).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    fn told(&self, callback: &Callback, outcome: &'static str) -> crate::domain::event::AuditEvent {
        let by = By {
            tenant: callback.tenant,
            actor: Actor::Server,
            request: None,
        };
        let action = "subject_request.callback";
        let mut event = self.live.event(by.tenant, action, &by.actor, outcome);
        event.object = Some(format!("subject_request:{}", callback.request));
        event.changes = vec![field("status", status_word(callback.status))];
        event
    }
}
