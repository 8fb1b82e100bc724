//! The kinds of consent signal, and the bits under which a record says which of them arrived.

/// The kinds of signal, as bits: which of them arrived is part of the consent record, what they held is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalKind {
    /// Einklang's own word (`consent`, `cons`).
    Explicit,
    /// `gdpr`.
    Gdpr,
    /// `gdpr_consent`.
    Tcf,
    /// `addtl_consent`.
    AdditionalConsent,
    /// `gpp`.
    Gpp,
    /// `gpp_sid`.
    GppSid,
    /// `us_privacy`.
    UsPrivacy,
    /// `gcs`.
    Gcs,
    /// `gcd`.
    Gcd,
    /// `gpc` or `Sec-GPC`.
    Gpc,
    /// Google's four fields by name (`ad_storage`, `ad_user_data` ...).
    ConsentMode,
}

impl SignalKind {
    /// Every kind, in the order of their bits.
    pub const ALL: [SignalKind; 11] = [
        SignalKind::Explicit,
        SignalKind::Gdpr,
        SignalKind::Tcf,
        SignalKind::AdditionalConsent,
        SignalKind::Gpp,
        SignalKind::GppSid,
        SignalKind::UsPrivacy,
        SignalKind::Gcs,
        SignalKind::Gcd,
        SignalKind::Gpc,
        SignalKind::ConsentMode,
    ];

    pub(super) fn bit(self) -> u16 {
        1 << (self as u16)
    }

    /// The parameter's name, or the common one of several.
    pub fn code(self) -> &'static str {
        match self {
            SignalKind::Explicit => "consent",
            SignalKind::Gdpr => "gdpr",
            SignalKind::Tcf => "gdpr_consent",
            SignalKind::AdditionalConsent => "addtl_consent",
            SignalKind::Gpp => "gpp",
            SignalKind::GppSid => "gpp_sid",
            SignalKind::UsPrivacy => "us_privacy",
            SignalKind::Gcs => "gcs",
            SignalKind::Gcd => "gcd",
            SignalKind::Gpc => "gpc",
            SignalKind::ConsentMode => "consent_mode",
        }
    }
}
