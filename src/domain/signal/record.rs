//! The consent record's sealed part: evidence in a few bytes, with what else a decision depended on.
//!
//! Promise: [`Inputs::decode`] gives back what [`Inputs::encode`] was given, and texts that are not of this form are
//! refused. A signal's text is nowhere in it. Six bytes for a plain word, 40 more for each TC string.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::consent::{Answer, Assessment, SignalKind};
use super::super::policy::Policy;
use super::super::tcf::{TcFacts, WRITTEN_BYTES};
use super::Collector;
use super::evidence::{DECODER_VERSION, Evidence, Said};

/// The version of the form.
const FORM: u8 = 1;

/// What the decision on a postback depended on beside its signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the click's own signal was a grant.
    pub click_granted: bool,
    /// The campaign's attribution window.
    pub window_seconds: u32,
}

/// Everything that a decision depended on beside its policy and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// What the signals said.
    pub evidence: Evidence,
    /// Who collected them.
    pub collector: Collector,
    /// Only for postbacks.
    pub surroundings: Option<Surroundings>,
    /// Whether they were read on other terms than those of the policy that decided: it came in between.
    pub stale_terms: bool,
    /// The decoder that read them.
    pub decoder_version: u8,
}

impl Inputs {
    /// The inputs of a decision that is being made.
    pub fn new(evidence: Evidence, collector: Collector) -> Self {
        Self {
            evidence,
            collector,
            surroundings: None,
            stale_terms: false,
            decoder_version: DECODER_VERSION,
        }
    }

    /// The merged signals under a policy at a time, as they were for the decision.
    pub fn assess(&self, policy: &Policy, at_s: i64) -> Assessment {
        let assessment = self.evidence.assess(self.collector, policy.terms(), at_s);
        if self.stale_terms {
            assessment.on_other_terms()
        } else {
            assessment
        }
    }

    /// As text, for a document.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(24);
        let evidence = &self.evidence;
        bytes.extend_from_slice(&[FORM, self.decoder_version]);
        let (is_shop, contract) = match self.collector {
            Collector::Shop => (true, false),
            Collector::Publisher { contract } => (false, contract),
        };
        let click_granted = self.surroundings.is_some_and(|one| one.click_granted);
        bytes.push(packed([
            is_shop,
            contract,
            evidence.gpc,
            evidence.gpc_header,
            evidence.gdpr.is_some(),
            evidence.gdpr == Some(true),
            self.surroundings.is_some(),
            click_granted,
        ]));
        let kinds = evidence
            .said()
            .fold(0_u16, |all, (kind, _)| all | 1 << (kind as u16));
        // The kinds need eleven bits of sixteen.
        let strings = [evidence.alone, evidence.within];
        let more = [strings[0].is_some(), strings[1].is_some(), self.stale_terms];
        let more = more
            .into_iter()
            .zip(13_u16..)
            .fold(0, |all, (bit, place)| all | u16::from(bit) << place);
        bytes.extend_from_slice(&(kinds | more).to_be_bytes());
        for (_, said) in evidence.said() {
            let answers = said
                .answers
                .into_iter()
                .rev()
                .fold(0, |all, one| all << 2 | one.bits());
            let flags = u16::from(said.malformed) << 6 | u16::from(said.unusable) << 7;
            bytes.push(u8::try_from(answers | flags).unwrap_or(u8::MAX));
        }
        if let Some(surroundings) = self.surroundings {
            bytes.extend_from_slice(&surroundings.window_seconds.to_be_bytes());
        }
        for facts in strings.into_iter().flatten() {
            facts.write(&mut bytes);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Inputs::encode`] wrote.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[form, decoder_version, flags, high, low], mut rest) = bytes.split_first_chunk()?;
        if form != FORM {
            return None;
        }
        let flag = |place: u8| flags >> place & 1 == 1;
        let kinds = u16::from_be_bytes([high, low]);
        let has = |place: u16| kinds >> place & 1 == 1;
        let mut evidence = Evidence {
            gpc: flag(2),
            gpc_header: flag(3),
            gdpr: flag(4).then_some(flag(5)),
            ..Evidence::default()
        };
        for (kind, slot) in SignalKind::ALL.into_iter().zip(&mut evidence.said) {
            if has(kind as u16) {
                let (byte, left) = rest.split_first()?;
                rest = left;
                *slot = Some(said(*byte)?);
            }
        }
        let mut surroundings = None;
        if flag(6) {
            let (window, left) = rest.split_first_chunk()?;
            rest = left;
            surroundings = Some(Surroundings {
                click_granted: flag(7),
                window_seconds: u32::from_be_bytes(*window),
            });
        }
        let strings = [(13, &mut evidence.alone), (14, &mut evidence.within)];
        for (place, slot) in strings {
            if has(place) {
                let (facts, left) = rest.split_first_chunk::<WRITTEN_BYTES>()?;
                rest = left;
                *slot = Some(TcFacts::read(facts)?);
            }
        }
        let contract = flag(1);
        rest.is_empty().then_some(Self {
            evidence,
            collector: if flag(0) {
                Collector::Shop
            } else {
                Collector::Publisher { contract }
            },
            surroundings,
            stale_terms: has(15),
            decoder_version,
        })
    }
}

fn packed(bits: [bool; 8]) -> u8 {
    bits.into_iter()
        .rev()
        .fold(0, |all, bit| all << 1 | u8::from(bit))
}

fn said(byte: u8) -> Option<Said> {
    let answer = |place: u8| match byte >> (2 * place) & 3 {
        0 => Some(Answer::Unknown),
        1 => Some(Answer::Granted),
        2 => Some(Answer::Denied),
        _ => None,
    };
    Some(Said {
        answers: [answer(0)?, answer(1)?, answer(2)?],
        malformed: byte >> 6 & 1 == 1,
        unusable: byte >> 7 == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::consent::ConsentState;
    use super::super::super::policy::Terms;
    use super::super::super::registry::{Registries, Vendors};
    use super::super::super::tcf::CmpList;
    use super::super::{Reading, Signals};
    use super::*;

    /// A string of TCF 2.3 with restrictions, from the vectors of the specification's tests.
    const TC: &str = "CQAAAAAQAAAAAAfAAAENAXCgAAAAAAAAAAYgAAAAAAAA";

    fn inputs(pairs: &[(&'static str, &'static str)], collector: Collector) -> Inputs {
        let mut signals = Signals::with_header(pairs.is_empty());
        for (name, value) in pairs {
            assert!(signals.note(name, value), "{name}");
        }
        let terms = Terms {
            vendor: Some(755),
            ..Terms::default()
        };
        Inputs::new(
            signals.read(Reading::without_registries(collector, terms, 0)),
            collector,
        )
    }

    #[test]
    fn what_is_written_is_read_again() {
        let publisher = Collector::Publisher { contract: true };
        let cases: [(&[(&str, &str)], Collector); 6] = [
            (&[("consent", "granted")], publisher),
            (&[], Collector::Publisher { contract: false }),
            (
                &[("gdpr_consent", TC), ("gdpr", "1"), ("gpc", "1")],
                Collector::Shop,
            ),
            (
                &[("us_privacy", "1YNN"), ("gcs", "G101"), ("gpp_sid", "x")],
                publisher,
            ),
            (
                &[("gdpr", "0"), ("ad_storage", "granted"), ("ad_user_data", "no")],
                publisher,
            ),
            (&[("gpp", "DBABMA~x"), ("gpp_sid", "2")], publisher),
        ];
        for (pairs, collector) in cases {
            let mut one = inputs(pairs, collector);
            assert_eq!(Inputs::decode(&one.encode()), Some(one));
            one.stale_terms = true;
            one.surroundings = Some(Surroundings {
                click_granted: true,
                window_seconds: 90 * 86_400,
            });
            let text = one.encode();
            assert_eq!(Inputs::decode(&text), Some(one));
            for cut in 0..text.len() {
                assert_eq!(Inputs::decode(&text[..cut]), None, "cut at {cut}");
            }
            assert_eq!(Inputs::decode(&format!("{text}AA")), None, "something follows");
        }
    }

    #[test]
    fn what_registries_said_is_kept_and_counts_without_them() {
        let vendor = Some(755);
        let policy = Policy {
            tcf_vendor_id: vendor,
            ..Policy::default()
        };
        let text = include_str!("../../../tests/vectors/signals.jsonl")
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["id"] == "d-tcf-053")
            .and_then(|line| line["input"].as_str().map(str::to_owned))
            .expect("the vector");
        let at_s = crate::domain::tcf::decode(&text)
            .expect("well formed")
            .last_updated_s();
        let said = |registries: &Registries| {
            let mut signals = Signals::default();
            signals.note("gdpr_consent", &text);
            let reading = Reading {
                collector: Collector::Shop,
                terms: policy.terms(),
                registries,
                now_s: at_s,
            };
            let inputs = Inputs::new(signals.read(reading), reading.collector);
            let again = Inputs::decode(&inputs.encode()).expect("what was written");
            assert_eq!(again.assess(&policy, at_s), signals.assess(reading));
            again.assess(&policy, at_s).state(&policy)
        };
        let none = CmpList::from_iter([(1, None)]);
        let unlisted = Registries {
            cmps: Some(none),
            ..Registries::default()
        };
        let unnamed = Registries {
            history: Some(Vendors::new()),
            ..Registries::default()
        };
        assert_eq!(said(Registries::none()), ConsentState::Granted);
        assert_eq!(said(&unlisted), ConsentState::Unknown);
        assert_eq!(said(&unnamed), ConsentState::Unknown);
    }

    #[test]
    fn a_plain_word_takes_eight_characters_and_no_text_is_kept() {
        let word = inputs(&[("consent", "granted")], Collector::Shop).encode();
        assert_eq!(word.len(), 8, "{word}");
        let string = inputs(&[("gdpr_consent", TC)], Collector::Shop).encode();
        assert!(string.len() <= 64, "{}", string.len());
        assert!(!string.contains(&TC[..8]));
    }
}
