//! How a look at decrypted data is asked for: with a reason, and masked unless everything is asked for.

use http::header::{self, HeaderName};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::objects::fields::{LookReasonWord, TenantId};
use super::problem::Problem;
use crate::domain::look::Look;

/// What was shown is kept by no cache.
pub type NoStore = [(HeaderName, &'static str); 1];
/// See [`NoStore`].
pub const NO_STORE: NoStore = [(header::CACHE_CONTROL, "no-store")];

/// Why somebody looks, and how much is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LookQuery {
    /// Why it is looked at; it stands in the audit trail.
    #[param(value_type = String, max_length = 12, pattern = "^(answer|verification|complaint|authority)$",
        example = "answer")]
    reason: LookReasonWord,
    /// `true`: everything is shown whole; otherwise of what people, shops and publishers wrote all but its beginning is
    /// masked.
    #[serde(default)]
    #[param(nullable = false, required = false)]
    unmasked: bool,
}

impl LookQuery {
    /// The look.
    pub fn look(&self) -> Look {
        Look {
            reason: self.reason.0,
            unmasked: self.unmasked,
        }
    }
}

/// The same where the server's operator may look, too.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantedLookQuery {
    /// Why it is looked at; it stands in the audit trail.
    #[param(value_type = String, max_length = 12, pattern = "^(answer|verification|complaint|authority)$",
        example = "answer")]
    reason: LookReasonWord,
    /// `true`: everything is shown whole; otherwise of what people, shops and publishers wrote all but its beginning is
    /// masked.
    #[serde(default)]
    #[param(nullable = false, required = false)]
    unmasked: bool,
    /// The tenant whose grant lets the server's operator look. Only the operator names one.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 36, pattern = "^tnt_[0-9a-f]{32}$", nullable = false)]
    tenant: Option<TenantId>,
}

impl GrantedLookQuery {
    /// The look.
    pub fn look(&self) -> Look {
        Look {
            reason: self.reason.0,
            unmasked: self.unmasked,
        }
    }

    /// The tenant that is named.
    pub fn tenant(&self) -> Option<Uuid> {
        self.tenant.map(Into::into)
    }
}

/// The same where something is shown without a look as well.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MaybeLookQuery {
    /// Why it is looked at; it stands in the audit trail. Without it nothing of what was sealed is shown.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 12, pattern = "^(answer|verification|complaint|authority)$",
        nullable = false, example = "answer")]
    reason: Option<LookReasonWord>,
    /// `true`: everything is shown whole; otherwise what could lead to a person is masked. Only with `reason`.
    #[serde(default)]
    #[param(nullable = false, required = false)]
    unmasked: bool,
    /// The tenant whose grant lets the server's operator look. Only the operator names one.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 36, pattern = "^tnt_[0-9a-f]{32}$", nullable = false)]
    tenant: Option<TenantId>,
}

impl MaybeLookQuery {
    /// The look, if it is one.
    pub fn look(&self) -> Result<Option<Look>, Problem> {
        let unmasked = self.unmasked;
        match self.reason {
            Some(LookReasonWord(reason)) => Ok(Some(Look { reason, unmasked })),
            None if unmasked => Err(Problem::invalid("reason", "has to be stated by whoever looks")),
            None => Ok(None),
        }
    }

    /// The tenant that is named.
    pub fn tenant(&self) -> Option<Uuid> {
        self.tenant.map(Into::into)
    }
}
