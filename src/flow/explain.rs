//! Why a click or a postback would be decided as it would: the live decision, asked and not made.
//!
//! A click needs no more than the routing data. A postback's facts are read by the ledger where it reads them for a
//! verdict, and it stops there: nothing is written, nothing is counted, no token is made.

use std::sync::Arc;

use super::click::{ClickRequest, reading};
use super::conversion::ConversionFlow;
use super::ledger::Ledger;
use super::ledger::command::{Command, Reply};
use super::{FlowError, Live};
use crate::domain::access::Principal;
use crate::domain::explain::{self, Explanation, Visit};
use crate::domain::ids::RequestId;
use crate::domain::postback::Form;
use crate::domain::refusal::Reason;
use crate::domain::signal::Collector;

/// An explanation, and the policy version that it was made under.
#[derive(Debug)]
pub struct Explained {
    /// The version.
    pub policy_version: u16,
    /// The decision with all that led to it.
    pub explanation: Explanation,
}

/// Explains decisions.
#[derive(Clone)]
pub struct ExplainFlow {
    live: Arc<Live>,
    ledger: Ledger,
    conversion: ConversionFlow,
}

impl ExplainFlow {
    /// Over the shared parts, the ledger, and the flow that prepares postbacks.
    pub fn new(live: Arc<Live>, ledger: Ledger, conversion: ConversionFlow) -> Self {
        Self {
            live,
            ledger,
            conversion,
        }
    }

    /// Now, for reading times in requests.
    pub fn now_ms(&self) -> i64 {
        self.live.now_ms()
    }

    /// Explains a click on a link of the caller's tenant; a shop sees only links to itself.
    pub fn click(&self, principal: &Principal, request: &ClickRequest<'_>) -> Result<Explained, FlowError> {
        let routing = self.live.routing();
        let link = routing.links.get(request.link).filter(|link| {
            link.tenant.number() == principal.tenant
                && principal.shop.is_none_or(|shop| shop == link.shop.number)
        });
        let link = link.ok_or(FlowError::Missing("link"))?;
        let now_ms = self.live.now_ms();
        let in_force = link.tenant.policy_at(now_ms);
        let policy = &in_force.policy;
        let (assessment, findings) = request.signals.explain(reading(&self.live, link, policy, now_ms));
        let runs = !link.stopped && link.campaign.runs(now_ms);
        let visit = Visit {
            runs,
            has_fallback: link.campaign.fallback_url.is_some(),
            no_visit: request.is_no_visit(),
            assessment: &assessment,
            policy,
        };
        Ok(Explained {
            policy_version: in_force.version,
            explanation: explain::click(&visit, &findings),
        })
    }

    /// Explains a postback of a shop of the caller's tenant; a shop's key speaks for that shop alone.
    pub async fn postback(
        &self,
        principal: &Principal,
        reference: Option<&str>,
        form: &Form<'_>,
        request: RequestId,
    ) -> Result<Explained, FlowError> {
        let sender = self.conversion.stand_in(principal, reference)?;
        let mut command = self.conversion.prepare(&sender, form, request)?;
        command.explain = true;
        command.draft = None;
        let (tenant, shop, now_ms) = (Arc::clone(sender.tenant()), command.shop, command.now_ms);
        let found = match self.ledger.submit(Command::Postback(Box::new(command))).await {
            Ok(Reply::Found(found)) => found,
            Ok(_) => return Err(FlowError::Refused(Reason::Internal)),
            Err(_) => return Err(FlowError::Refused(Reason::Unavailable)),
        };
        let in_force = tenant.policy_at(now_ms);
        let policy = &in_force.policy;
        let (assessment, findings) = form
            .signals
            .explain(self.live.reading(Collector::Shop, policy, now_ms));
        let facts = found.under(&assessment, policy);
        let mode = tenant.refusal_mode(shop, policy);
        Ok(Explained {
            policy_version: in_force.version,
            explanation: explain::postback(&facts, mode, &findings),
        })
    }
}
