//! Reading consent signals: from parameter texts to an [`Assessment`].
//!
//! Each name may occur once; a repeated, empty or unexpanded parameter is malformed, never guessed at (consent.md
//! 2.6). A signal that this version does not decode yet counts as present and unusable: it can only keep a request from
//! being granted.

use serde::Serialize;

use super::consent::{Answer, Assessment, SignalKind};
use super::policy::Terms;
use super::tcf::{self, Basis};

/// The longest value that is looked at; anything longer is malformed without being read.
pub const MAX_SIGNAL_CHARS: usize = 16_384;

/// One parameter of the consent family as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Occurrence<'a> {
    /// Not there.
    #[default]
    Absent,
    /// There once.
    Once(&'a str),
    /// There more than once.
    Repeated,
}

/// The consent family of one request. Borrowed from the request and gone with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals<'a> {
    slots: [Occurrence<'a>; 10],
    /// Whether some `Sec-GPC` header was exactly `1`.
    pub sec_gpc: bool,
}

/// What a TC string proves beside its answers: which banner, which vendor list, when. Kept, sealed, with what it
/// authorised; the string itself is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcfEvidence {
    cmp_id: u16,
    cmp_version: u16,
    consent_screen: u8,
    consent_language: String,
    vendor_list_version: u16,
    policy_version: u8,
    last_updated_s: i64,
    purposes_consent: Vec<u8>,
    vendor_consent: Option<bool>,
    vendor_disclosed: Option<bool>,
    publisher_cc: String,
}

/// Who sent the signals, and what their own word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collector {
    /// A publisher's page. Its word grants only with a contract on record.
    Publisher {
        /// Whether `explicit_consent` is on record for it.
        contract: bool,
    },
    /// The shop, which speaks for itself.
    Shop,
}

impl<'a> Signals<'a> {
    /// The family of a request with or without a `Sec-GPC: 1` header.
    pub fn with_header(sec_gpc: bool) -> Self {
        Self {
            sec_gpc,
            ..Self::default()
        }
    }

    /// Notes a parameter; returns whether its name belongs to the family.
    pub fn note(&mut self, name: &str, value: &'a str) -> bool {
        let Some(kind) = kind_of(name) else { return false };
        if let Some(slot) = self.slots.get_mut(kind as usize) {
            *slot = match slot {
                Occurrence::Absent => Occurrence::Once(value),
                _ => Occurrence::Repeated,
            };
        }
        true
    }

    /// What arrived under this kind.
    pub fn get(&self, kind: SignalKind) -> Occurrence<'a> {
        self.slots.get(kind as usize).copied().unwrap_or_default()
    }

    /// The single value of a kind, for landing URL macros.
    pub fn value(&self, kind: SignalKind) -> Option<&'a str> {
        match self.get(kind) {
            Occurrence::Once(value) => Some(value),
            _ => None,
        }
    }

    /// What to keep of a TC string that authorised something.
    pub fn evidence(&self, vendor: Option<u16>) -> Option<TcfEvidence> {
        let string = tcf::decode(self.value(SignalKind::Tcf)?).ok()?;
        Some(TcfEvidence {
            cmp_id: string.cmp_id(),
            cmp_version: string.cmp_version(),
            consent_screen: string.consent_screen(),
            consent_language: string.consent_language(),
            vendor_list_version: string.vendor_list_version(),
            policy_version: string.policy_version(),
            last_updated_s: string.last_updated_s(),
            purposes_consent: string.purposes_consent().iter().collect(),
            vendor_consent: vendor.map(|vendor| string.vendor_consent(vendor)),
            vendor_disclosed: vendor.and_then(|vendor| string.disclosed(vendor)),
            publisher_cc: string.publisher_cc(),
        })
    }

    /// Reads everything on these terms, at this time.
    pub fn assess(&self, collector: Collector, terms: Terms, now_s: i64) -> Assessment {
        let mut assessment = Assessment::on(terms);
        if self.sec_gpc {
            assessment.add_gpc();
        }
        for kind in SignalKind::ALL {
            match self.get(kind) {
                Occurrence::Absent => {}
                Occurrence::Once(value) if is_readable(value) => {
                    read_one(&mut assessment, kind, value, collector, terms.vendor, now_s);
                }
                Occurrence::Once(_) | Occurrence::Repeated => assessment.add_malformed(kind),
            }
        }
        assessment
    }
}

fn kind_of(name: &str) -> Option<SignalKind> {
    Some(match name {
        "consent" | "cons" => SignalKind::Explicit,
        "gdpr" => SignalKind::Gdpr,
        "gdpr_consent" => SignalKind::Tcf,
        "addtl_consent" => SignalKind::AdditionalConsent,
        "gpp" => SignalKind::Gpp,
        "gpp_sid" => SignalKind::GppSid,
        "us_privacy" => SignalKind::UsPrivacy,
        "gcs" => SignalKind::Gcs,
        "gcd" => SignalKind::Gcd,
        "gpc" => SignalKind::Gpc,
        _ => return None,
    })
}

/// Whether a parameter name belongs to the consent family.
pub fn is_signal(name: &str) -> bool {
    kind_of(name).is_some()
}

/// Neither empty nor overlong nor a macro that the sender's ad server left unexpanded.
fn is_readable(value: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'$' | b'{' | b'}' | b'[' | b']' | b'%' | b'<' | b'>')
    };
    !value.is_empty() && value.len() <= MAX_SIGNAL_CHARS && value.bytes().all(plain)
}

fn read_one(
    into: &mut Assessment,
    kind: SignalKind,
    value: &str,
    collector: Collector,
    vendor: Option<u16>,
    now_s: i64,
) {
    match kind {
        SignalKind::Explicit => match value {
            "granted" | "1" => into.add_all(kind, word(collector)),
            "denied" | "0" => into.add_all(kind, Answer::Denied),
            _ => into.add_malformed(kind),
        },
        // Says nothing of the person; whether `0` relaxes anything is the policy's to say (consent.md 0, rule 12).
        SignalKind::Gdpr => match value {
            "0" | "1" => into.add_gdpr(value == "1"),
            _ => into.add_malformed(kind),
        },
        SignalKind::Gpc => match value {
            "1" => into.add_gpc(),
            "0" => into.add_all(kind, Answer::Unknown),
            _ => into.add_malformed(kind),
        },
        SignalKind::Tcf => read_tcf(into, value, vendor, now_s),
        // These two never speak for us on their own: Google's providers, and a list of section numbers.
        SignalKind::AdditionalConsent | SignalKind::GppSid => into.add_all(kind, Answer::Unknown),
        // Not decoded yet. They may hold a refusal, so nothing is granted beside them.
        SignalKind::Gpp | SignalKind::UsPrivacy | SignalKind::Gcs | SignalKind::Gcd => {
            into.add_unusable(kind);
        }
    }
}

fn word(collector: Collector) -> Answer {
    match collector {
        Collector::Shop | Collector::Publisher { contract: true } => Answer::Granted,
        Collector::Publisher { contract: false } => Answer::Unknown,
    }
}

fn read_tcf(into: &mut Assessment, value: &str, vendor: Option<u16>, now_s: i64) {
    let kind = SignalKind::Tcf;
    let Ok(string) = tcf::decode(value) else {
        return into.add_malformed(kind);
    };
    let age_seconds = into.terms().max_consent_age_seconds();
    if string.usable(now_s, age_seconds, None).is_err() {
        return into.add_unusable(kind);
    }
    let Some(vendor) = vendor else {
        // Nobody registered: the string cannot authorise us, but a purpose that was declined for all is declined.
        let said = |purpose: u8| {
            if string.purposes_consent().contains(purpose) {
                Answer::Unknown
            } else {
                Answer::Denied
            }
        };
        let access = if string.purpose_one_treatment() {
            Answer::Unknown
        } else {
            said(1)
        };
        return into.add(kind, [access, said(7), both(said(3), said(4))]);
    };
    let allowed = |purpose: u8| {
        if string.allows(vendor, purpose, Basis::Consent, false) {
            Answer::Granted
        } else {
            Answer::Denied
        }
    };
    // Purpose 1 was not asked where PurposeOneTreatment is set: nothing is proven for it.
    let access = if string.purpose_one_treatment() {
        Answer::Unknown
    } else {
        allowed(1)
    };
    into.add(kind, [access, allowed(7), both(allowed(3), allowed(4))]);
}

fn both(left: Answer, right: Answer) -> Answer {
    match (left, right) {
        (Answer::Granted, Answer::Granted) => Answer::Granted,
        (Answer::Denied, _) | (_, Answer::Denied) => Answer::Denied,
        _ => Answer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::consent::ConsentState;
    use super::super::policy::Policy;
    use super::*;

    const NOW_S: i64 = 1_795_000_000;

    fn state(pairs: &[(&'static str, &'static str)], collector: Collector) -> ConsentState {
        let mut signals = Signals::default();
        for (name, value) in pairs {
            assert!(signals.note(name, value), "{name} is in the family");
        }
        signals
            .assess(collector, Terms::default(), NOW_S)
            .state(&Policy::default())
    }

    #[test]
    fn the_word_counts_as_far_as_its_sender_may_speak() {
        let contract = Collector::Publisher { contract: true };
        let none = Collector::Publisher { contract: false };
        for granted in ["granted", "1"] {
            assert_eq!(state(&[("consent", granted)], contract), ConsentState::Granted);
            assert_eq!(
                state(&[("cons", granted)], Collector::Shop),
                ConsentState::Granted
            );
            assert_eq!(state(&[("consent", granted)], none), ConsentState::Unknown);
        }
        for denied in ["denied", "0"] {
            assert_eq!(state(&[("consent", denied)], none), ConsentState::Denied);
        }
    }

    #[test]
    fn what_is_not_exact_is_malformed() {
        for value in [
            "",
            "yes",
            "Granted",
            " granted",
            "${CONSENT}",
            "{consent}",
            "true",
        ] {
            assert_eq!(
                state(&[("consent", value)], Collector::Shop),
                ConsentState::Malformed,
                "{value:?}"
            );
        }
        let twice = [("consent", "granted"), ("cons", "granted")];
        assert_eq!(state(&twice, Collector::Shop), ConsentState::Malformed);
        assert_eq!(
            state(&[("consent", "granted"), ("gdpr", "2")], Collector::Shop),
            ConsentState::Malformed
        );
        assert_eq!(
            state(
                &[("consent", "granted"), ("gdpr_consent", "${GDPR_CONSENT_755}")],
                Collector::Shop
            ),
            ConsentState::Malformed
        );
    }

    #[test]
    fn signals_that_are_not_decoded_yet_never_let_a_grant_through() {
        for name in ["gpp", "us_privacy", "gcs", "gcd"] {
            assert_eq!(
                state(&[("consent", "granted"), (name, "1YNN")], Collector::Shop),
                ConsentState::Unknown
            );
            assert_eq!(
                state(&[("consent", "denied"), (name, "1YNN")], Collector::Shop),
                ConsentState::Denied
            );
        }
    }

    #[test]
    fn gpc_is_a_no() {
        assert_eq!(
            state(&[("consent", "granted"), ("gpc", "1")], Collector::Shop),
            ConsentState::Denied
        );
        assert_eq!(
            state(&[("consent", "granted"), ("gpc", "0")], Collector::Shop),
            ConsentState::Granted
        );
        let header = Signals {
            sec_gpc: true,
            ..Signals::default()
        };
        let assessed = header.assess(Collector::Shop, Terms::default(), NOW_S);
        assert_eq!(assessed.state(&Policy::default()), ConsentState::Denied);
    }
}
