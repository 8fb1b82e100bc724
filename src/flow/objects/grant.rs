//! Grants for the server's operator.

use super::{Managed, Session};
use crate::domain::campaign::Object;
use crate::domain::grant::{GrantDraft, OperatorGrant};
use crate::flow::FlowError;

impl Managed for OperatorGrant {
    common!(GrantDraft, "operator_grant");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &GrantDraft,
        _: Option<&Self>,
    ) -> Result<Self, FlowError> {
        Ok(draft.onto(object, session.author()))
    }
}
