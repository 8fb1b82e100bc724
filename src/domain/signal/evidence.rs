//! What the signals of one request said, without their texts: the input of every decision, and what is kept of it.
//!
//! Reading (`src/domain/signal/read.rs`) ends here and deciding begins here, for a live request as for a replay: both
//! call [`Evidence::assess`]. What the decision depends on beside it (who collected it, the terms, the time) are
//! arguments.

use super::super::consent::{Answer, Assessment, SignalKind};
use super::super::policy::Terms;
use super::super::tcf::TcFacts;
use super::Collector;

/// The version of the reading: it grows when a decoder reads anything differently.
pub const DECODER_VERSION: u8 = 1;

/// What a kind of signal said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// About access, measuring and personalising; a sender's own word as it was sent.
    pub answers: [Answer; 3],
    /// Whether some of it cannot be read.
    pub malformed: bool,
    /// Whether it is well formed and proves nothing.
    pub unusable: bool,
}

/// What the signals of one request said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// By kind; of a kind that did not arrive, nothing.
    pub(super) said: [Option<Said>; SignalKind::ALL.len()],
    /// Whether the browser sends Global Privacy Control.
    pub(super) gpc: bool,
    /// Whether that stood in a header.
    pub(super) gpc_header: bool,
    /// Whether the sender says that the GDPR applies, or does not.
    pub(super) gdpr: Option<bool>,
    /// The TC string that came by itself.
    pub(super) alone: Option<TcFacts>,
    /// The TC string inside the GPP string.
    pub(super) within: Option<TcFacts>,
}

impl Evidence {
    fn of(&mut self, kind: SignalKind) -> Option<&mut Said> {
        let slot = self.said.get_mut(kind as usize)?;
        Some(slot.get_or_insert_default())
    }

    pub(super) fn add_all(&mut self, kind: SignalKind, answer: Answer) {
        self.add(kind, [answer; 3]);
    }

    pub(super) fn add(&mut self, kind: SignalKind, answers: [Answer; 3]) {
        if let Some(said) = self.of(kind) {
            for (mine, new) in said.answers.iter_mut().zip(answers) {
                *mine = mine.stricter(new);
            }
        }
    }

    pub(super) fn add_malformed(&mut self, kind: SignalKind) {
        if let Some(said) = self.of(kind) {
            said.malformed = true;
        }
    }

    pub(super) fn add_unusable(&mut self, kind: SignalKind) {
        if let Some(said) = self.of(kind) {
            said.unusable = true;
        }
    }

    /// What arrived, by kind.
    pub fn said(&self) -> impl Iterator<Item = (SignalKind, Said)> {
        let kinds = SignalKind::ALL.into_iter().zip(self.said);
        kinds.filter_map(|(kind, said)| Some((kind, said?)))
    }

    /// The TC string, by itself or inside the GPP string.
    pub fn tc(&self) -> Option<&TcFacts> {
        self.alone.as_ref().or(self.within.as_ref())
    }

    /// Whether Global Privacy Control came in a header.
    pub fn gpc_header(&self) -> bool {
        self.gpc_header
    }

    /// Whether the sender says that the GDPR applies, or does not.
    pub fn gdpr(&self) -> Option<bool> {
        self.gdpr
    }

    /// Merges everything on these terms, at this time, as far as this collector's word goes.
    pub fn assess(&self, collector: Collector, terms: Terms, now_s: i64) -> Assessment {
        let mut into = Assessment::on(terms);
        if self.gpc {
            into.add_gpc();
        }
        for (kind, said) in self.said() {
            let answers = if is_own_word(kind) {
                said.answers.map(|answer| as_word(answer, collector))
            } else {
                said.answers
            };
            into.add(kind, answers);
            if said.malformed {
                into.add_malformed(kind);
            }
            if said.unusable {
                into.add_unusable(kind);
            }
        }
        if let Some(applies) = self.gdpr {
            into.add_gdpr(applies);
        }
        self.assess_strings(&mut into, terms, now_s);
        into
    }

    /// Where both strings speak, a yes must stand in both; one that may not be relied on keeps the whole from granting.
    fn assess_strings(&self, into: &mut Assessment, terms: Terms, now_s: i64) {
        let strings = [(SignalKind::Tcf, self.alone), (SignalKind::Gpp, self.within)];
        let mut joined: Option<[Answer; 3]> = None;
        for (kind, facts) in strings {
            let Some(facts) = facts else { continue };
            match (facts.answers(terms, now_s), &mut joined) {
                (None, _) => into.add_unusable(kind),
                (Some(answers), None) => joined = Some(answers),
                (Some(answers), Some(joined)) => {
                    for (mine, other) in joined.iter_mut().zip(answers) {
                        *mine = mine.both(other);
                    }
                }
            }
        }
        for (kind, facts) in strings {
            let speaks = facts.is_some_and(|facts| facts.answers(terms, now_s).is_some());
            if let (true, Some(answers)) = (speaks, joined) {
                into.add_tc_string(kind, answers);
            }
        }
    }
}

/// Whether a kind is nothing but the sender's word.
pub(super) fn is_own_word(kind: SignalKind) -> bool {
    matches!(
        kind,
        SignalKind::Explicit | SignalKind::Gcs | SignalKind::Gcd | SignalKind::ConsentMode
    )
}

/// What an answer is worth that rests on nothing but the sender's word: consent mode names no vendor.
pub(super) fn as_word(answer: Answer, collector: Collector) -> Answer {
    match (answer, collector) {
        (Answer::Granted, Collector::Publisher { contract: false }) => Answer::Unknown,
        (answer, _) => answer,
    }
}
