//! The consent family of a request: from parameter texts to an [`Assessment`].
//!
//! Each name may occur once; a repeated, empty or unexpanded parameter is malformed, never guessed at (consent.md
//! 2.6). This file notes what arrived, `signal/read.rs` says what it means, and the small kinds are read in files of
//! their own; TC strings and GPP have folders (`src/domain/tcf`, `src/domain/gpp`).

pub mod additional_consent;
pub mod consent_mode;
mod evidence;
pub mod finding;
mod read;
pub mod record;
pub mod switches;
pub mod us_privacy;

use super::consent::{Assessment, SignalKind};
use super::policy::Terms;
use super::registry::Registries;
pub use evidence::{DECODER_VERSION, Evidence, Said};
use finding::Finding;

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

/// The kinds that have a parameter of their own, and Google's four fields behind them.
const SLOTS: usize = 10 + consent_mode::FIELDS.len();

/// The consent family of one request. Borrowed from the request and gone with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals<'a> {
    slots: [Occurrence<'a>; SLOTS],
    /// Whether some `Sec-GPC` header was exactly `1`.
    pub sec_gpc: bool,
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

/// On what signals are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Who sent them.
    pub collector: Collector,
    /// The policy's terms.
    pub terms: Terms,
    /// What is known of consent platforms and of our own registrations.
    pub registries: &'a Registries,
    /// Now.
    pub now_s: i64,
}

impl Reading<'static> {
    /// Where nobody keeps a registry.
    pub fn without_registries(collector: Collector, terms: Terms, now_s: i64) -> Self {
        Self {
            collector,
            terms,
            registries: Registries::none(),
            now_s,
        }
    }
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
        let Some(place) = place_of(name) else { return false };
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = match slot {
                Occurrence::Absent => Occurrence::Once(value),
                _ => Occurrence::Repeated,
            };
        }
        true
    }

    /// What arrived under this kind; nothing for Google's four fields, which are several.
    pub fn get(&self, kind: SignalKind) -> Occurrence<'a> {
        match kind {
            SignalKind::ConsentMode => Occurrence::Absent,
            kind => self.slots.get(kind as usize).copied().unwrap_or_default(),
        }
    }

    /// Google's four fields, in the order of [`consent_mode::FIELDS`].
    fn consent_mode(&self) -> [Occurrence<'a>; 4] {
        let [.., a, b, c, d] = self.slots;
        [a, b, c, d]
    }

    /// The single value of a kind, for landing URL macros.
    pub fn value(&self, kind: SignalKind) -> Option<&'a str> {
        match self.get(kind) {
            Occurrence::Once(value) => Some(value),
            _ => None,
        }
    }

    /// What everything said, TC strings to the vendor and by the registries of this reading.
    pub fn read(&self, reading: Reading<'_>) -> Evidence {
        read::read(self, reading, &mut ())
    }

    /// Reads everything.
    pub fn assess(&self, reading: Reading<'_>) -> Assessment {
        self.read(reading)
            .assess(reading.collector, reading.terms, reading.now_s)
    }

    /// Reads everything, and tells how each signal was understood.
    pub fn explain(&self, reading: Reading<'_>) -> (Assessment, Vec<Finding>) {
        let mut findings = Vec::new();
        let evidence = read::read(self, reading, &mut findings);
        for finding in &mut findings {
            finding.limit_to(reading.collector);
        }
        let assessment = evidence.assess(reading.collector, reading.terms, reading.now_s);
        (assessment, findings)
    }
}

/// The slot of a parameter.
fn place_of(name: &str) -> Option<usize> {
    let kind = match name {
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
        _ => {
            let field = consent_mode::FIELDS.iter().position(|field| *field == name)?;
            return Some(SignalKind::ConsentMode as usize + field);
        }
    };
    Some(kind as usize)
}

/// Whether a parameter name belongs to the consent family.
pub fn is_signal(name: &str) -> bool {
    place_of(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::consent::ConsentState;
    use super::super::policy::Policy;
    use super::*;

    fn reading(collector: Collector) -> Reading<'static> {
        Reading::without_registries(collector, Terms::default(), 1_795_000_000)
    }

    fn state(pairs: &[(&'static str, &'static str)], collector: Collector) -> ConsentState {
        let mut signals = Signals::default();
        for (name, value) in pairs {
            assert!(signals.note(name, value), "{name} is in the family");
        }
        signals.assess(reading(collector)).state(&Policy::default())
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
        let assessed = header.assess(reading(Collector::Shop));
        assert_eq!(assessed.state(&Policy::default()), ConsentState::Denied);
    }
}
