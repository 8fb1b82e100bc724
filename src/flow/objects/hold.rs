//! Holds.

use super::{Managed, Session};
use crate::domain::campaign::{Campaign, Object};
use crate::domain::hold::{Hold, HoldDraft};
use crate::flow::FlowError;

impl Managed for Hold {
    common!(HoldDraft, "hold");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &HoldDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        draft.check_times(session.live.now_ms())?;
        let held = old.and_then(|old| old.campaign);
        let name = draft.campaign.as_ref();
        let campaign = match name {
            // What an archived campaign left behind may have to be kept as well.
            Some(name) => {
                let found: Option<Campaign> = session.tx.find_by(session.scope(), name).await?;
                Some(found.ok_or(FlowError::Missing("campaign"))?.reference())
            }
            None => held,
        };
        Ok(draft.onto(object, campaign, session.author()))
    }
}
