//! How each signal was understood, for whoever asks for an explanation.
//!
//! The reader that decides tells this beside its work: an explanation is what it saw, not a second reading. Where nobody
//! asks, nothing is put together. A finding holds what was decoded and never a text that came.

use super::super::consent::{Answer, SignalKind};
use super::super::tcf::TcString;
use super::Collector;
use super::evidence::{as_word, is_own_word};

/// One signal, or one section of a GPP string, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What came.
    pub kind: SignalKind,
    /// The section of a GPP string.
    pub section: Option<u16>,
    /// What it was taken for.
    pub understood: Understood,
    /// Whose string it is, and of when.
    pub string: Option<StringFacts>,
}

/// What a signal was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Understood {
    /// It says this about access, measurement and personalisation.
    Says([Answer; 3]),
    /// The GDPR applies, or does not.
    Applies(bool),
    /// The browser sends Global Privacy Control.
    PrivacyControl,
    /// It cannot be read, with a code that says why.
    Malformed(&'static str),
    /// It is well formed and proves nothing, with a code that says why.
    Unusable(&'static str),
}

/// What a TC string says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringFacts {
    /// The consent platform that made it.
    pub cmp_id: u16,
    /// The vendor list that it was made with.
    pub vendor_list_version: u16,
    /// The framework's policies that it was made under.
    pub policy_version: u8,
    /// When it was last changed.
    pub last_updated_s: i64,
}

impl From<&TcString> for StringFacts {
    fn from(string: &TcString) -> Self {
        Self {
            cmp_id: string.cmp_id(),
            vendor_list_version: string.vendor_list_version(),
            policy_version: string.policy_version(),
            last_updated_s: string.last_updated_s(),
        }
    }
}

impl Finding {
    /// Shows a sender's own word as what it counts for from this collector.
    pub(super) fn limit_to(&mut self, collector: Collector) {
        if let Understood::Says(answers) = &mut self.understood
            && is_own_word(self.kind)
        {
            *answers = answers.map(|answer| as_word(answer, collector));
        }
    }

    /// About a signal by itself.
    pub fn of(kind: SignalKind, understood: Understood) -> Self {
        Self {
            kind,
            section: None,
            understood,
            string: None,
        }
    }
}

/// Somebody who may want to know.
pub trait Notes {
    /// Tells one thing.
    fn note(&mut self, finding: impl FnOnce() -> Finding);
}

/// Nobody wants to know.
impl Notes for () {
    fn note(&mut self, _: impl FnOnce() -> Finding) {}
}

impl Notes for Vec<Finding> {
    fn note(&mut self, finding: impl FnOnce() -> Finding) {
        self.push(finding());
    }
}

/// Tells the same, with the section that it is about.
pub(super) struct OfSection<'a, N>(pub u16, pub &'a mut N);

impl<N: Notes> Notes for OfSection<'_, N> {
    fn note(&mut self, finding: impl FnOnce() -> Finding) {
        let section = Some(self.0);
        self.1.note(|| Finding { section, ..finding() });
    }
}
