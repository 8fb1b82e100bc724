//! From what signals say to what they mean: merging, and the state under a policy.
//!
//! Within one request the stricter answer wins: denied, then malformed, then granted, then unknown (DESIGN 4.1,
//! consent.md 4). A signal that is present but cannot be used keeps the whole request from being granted, so that an
//! explicit word never overrides a TC string that says less.

mod decide;
mod kind;

use serde::{Deserialize, Serialize};

use super::policy::{GpcHandling, Mode, Policy, Purpose, Terms};
pub use decide::{ClickCheck, Ground, decide_click};
pub use kind::SignalKind;

/// What one signal says about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// Nothing that can be relied on.
    #[default]
    Unknown,
    /// Yes.
    Granted,
    /// No.
    Denied,
}

impl Answer {
    /// What two signals come to: a no counts, then a yes.
    #[must_use]
    pub fn stricter(self, other: Answer) -> Answer {
        match (self, other) {
            (Answer::Denied, _) | (_, Answer::Denied) => Answer::Denied,
            (Answer::Granted, _) | (_, Answer::Granted) => Answer::Granted,
            _ => Answer::Unknown,
        }
    }

    /// What two things come to that are both needed: a yes only if both are, a no if either is.
    #[must_use]
    pub fn both(self, other: Answer) -> Answer {
        match (self, other) {
            (Answer::Granted, Answer::Granted) => Answer::Granted,
            (Answer::Denied, _) | (_, Answer::Denied) => Answer::Denied,
            _ => Answer::Unknown,
        }
    }

    /// The word in answers.
    pub fn code(self) -> &'static str {
        match self {
            Answer::Unknown => "unknown",
            Answer::Granted => "granted",
            Answer::Denied => "denied",
        }
    }

    /// The number in bit sets.
    pub fn bits(self) -> u16 {
        match self {
            Answer::Unknown => 0,
            Answer::Granted => 1,
            Answer::Denied => 2,
        }
    }
}

/// The state that a decision is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Everything required was granted.
    Granted,
    /// Something required was declined.
    Denied,
    /// Not enough was said.
    Unknown,
    /// Something cannot be read.
    Malformed,
}

impl ConsentState {
    /// The word in records and answers.
    pub fn code(self) -> &'static str {
        match self {
            ConsentState::Granted => "granted",
            ConsentState::Denied => "denied",
            ConsentState::Unknown => "unknown",
            ConsentState::Malformed => "malformed",
        }
    }

    /// The state in the bits of a row.
    pub fn of_bits(bits: i64) -> Self {
        match bits & 3 {
            1 => ConsentState::Granted,
            2 => ConsentState::Denied,
            3 => ConsentState::Malformed,
            _ => ConsentState::Unknown,
        }
    }
}

/// All signals of one request, merged. Small, free of the signals' texts, and all that later steps see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Assessment {
    answers: [Answer; 3],
    malformed: bool,
    unusable: bool,
    kinds: u16,
    /// What a usable TC string says by itself: the only thing that a policy may set above Global Privacy Control.
    tcf: Option<[Answer; 3]>,
    /// Whether the browser sends Global Privacy Control.
    gpc: bool,
    /// Whether the sender says that the GDPR applies, or does not.
    gdpr: Option<bool>,
    /// What the signals were read on: an assessment made on other terms than the policy's is worth nothing.
    terms: Terms,
}

impl Assessment {
    /// An assessment of nothing, on these terms.
    pub fn on(terms: Terms) -> Self {
        Self {
            terms,
            ..Self::default()
        }
    }

    /// The same, as if the policy had changed since its signals were read: it can no more be a grant.
    #[must_use]
    pub fn on_other_terms(self) -> Self {
        let terms = Terms {
            vendor: self.terms.vendor,
            max_consent_age_days: 0,
        };
        Self { terms, ..self }
    }

    /// What it is made on.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// A signal of this kind says this about every purpose.
    pub fn add_all(&mut self, kind: SignalKind, answer: Answer) {
        self.add(kind, [answer; 3]);
    }

    /// A signal of this kind says this about each purpose.
    pub fn add(&mut self, kind: SignalKind, answers: [Answer; 3]) {
        self.kinds |= kind.bit();
        for (mine, new) in self.answers.iter_mut().zip(answers) {
            *mine = mine.stricter(new);
        }
    }

    /// A usable TC string, alone or within a GPP string, says this about each purpose.
    pub fn add_tc_string(&mut self, kind: SignalKind, answers: [Answer; 3]) {
        self.add(kind, answers);
        self.tcf = Some(answers);
    }

    /// The browser sends Global Privacy Control; what that means is the policy's to say.
    pub fn add_gpc(&mut self) {
        self.kinds |= SignalKind::Gpc.bit();
        self.gpc = true;
    }

    /// The sender says whether the GDPR applies.
    pub fn add_gdpr(&mut self, applies: bool) {
        self.kinds |= SignalKind::Gdpr.bit();
        self.gdpr = Some(applies);
    }

    /// A signal of this kind arrived and cannot be read.
    pub fn add_malformed(&mut self, kind: SignalKind) {
        self.kinds |= kind.bit();
        self.malformed = true;
    }

    /// A signal of this kind is well formed and proves nothing: nothing else may be taken for a grant beside it.
    pub fn add_unusable(&mut self, kind: SignalKind) {
        self.kinds |= kind.bit();
        self.unusable = true;
    }

    /// Whether no signal arrived at all. `gdpr` alone says which law applies, not what the person said, and
    /// `gpp_sid` alone names sections that are not there.
    pub fn absent(&self) -> bool {
        let silent = SignalKind::Gdpr.bit() | SignalKind::GppSid.bit() | SignalKind::AdditionalConsent.bit();
        self.kinds & !silent == 0 && !self.malformed
    }

    /// The kinds of signal that arrived, as bits.
    pub fn kinds(&self) -> u16 {
        self.kinds
    }

    /// The parameter names of the kinds in a bit set.
    pub fn kind_codes(kinds: u16) -> Vec<&'static str> {
        SignalKind::ALL
            .into_iter()
            .filter(|kind| kinds & kind.bit() != 0)
            .map(SignalKind::code)
            .collect()
    }

    /// The state under a policy.
    pub fn state(&self, policy: &Policy) -> ConsentState {
        self.ground(policy).state()
    }

    /// The state under a policy, and what makes it so: the first that applies.
    pub fn ground(&self, policy: &Policy) -> Ground {
        let answer = |answers: &[Answer; 3], purpose: Purpose| answers.get(purpose.index()).copied();
        let not_granted = |answers: &[Answer; 3]| {
            let mut required = policy.require.iter().copied();
            required.find(|purpose| answer(answers, *purpose) != Some(Answer::Granted))
        };
        let mut required = policy.require.iter().copied();
        if let Some(purpose) =
            required.find(|purpose| answer(&self.answers, *purpose) == Some(Answer::Denied))
        {
            return Ground::Declined(purpose);
        }
        let overridden = policy.gpc == GpcHandling::TcfOverrides
            && self.tcf.as_ref().is_some_and(|said| not_granted(said).is_none());
        if self.gpc && !overridden {
            return Ground::PrivacyControl;
        }
        if self.malformed {
            return Ground::Unreadable;
        }
        if self.unusable {
            return Ground::Unusable;
        }
        if let Some(purpose) = not_granted(&self.answers) {
            return Ground::NotGranted(purpose);
        }
        if self.terms != policy.terms() {
            return Ground::OtherTerms;
        }
        Ground::Granted
    }

    /// What all signals together say about a purpose.
    pub fn answer(&self, purpose: Purpose) -> Answer {
        self.answers.get(purpose.index()).copied().unwrap_or_default()
    }

    /// The regime that this request is decided under. Where the sender says that the GDPR applies, opting out is not
    /// enough under any policy. Where it says that it does not, opting out is enough if the tenant has visitors in such a
    /// place, unless something in the request belongs to the GDPR or proves nothing.
    pub fn mode(&self, policy: &Policy) -> Mode {
        let eu_signals = SignalKind::Tcf.bit() | SignalKind::AdditionalConsent.bit();
        let plain = self.kinds & eu_signals == 0 && self.tcf.is_none() && !self.unusable;
        match self.gdpr {
            Some(true) if policy.mode == Mode::OptOut => Mode::StrictOptIn,
            Some(false) if plain && policy.opting_out_is_enough_somewhere() => Mode::OptOut,
            _ => policy.mode,
        }
    }

    /// The state and the three answers in eight bits: 2 for the state, 2 for each purpose (token, consent record).
    pub fn bits(&self, state: ConsentState) -> u16 {
        let state_bits = match state {
            ConsentState::Unknown => 0,
            ConsentState::Granted => 1,
            ConsentState::Denied => 2,
            ConsentState::Malformed => 3,
        };
        let mut bits = state_bits;
        for (place, answer) in self.answers.iter().enumerate() {
            bits |= answer.bits() << (2 + 2 * place);
        }
        bits
    }
}

/// The word for one purpose in a bit set made by [`Assessment::bits`].
pub fn purpose_word(bits: i64, purpose: Purpose) -> &'static str {
    match (bits >> (2 + 2 * purpose.index())) & 3 {
        1 => "granted",
        2 => "denied",
        _ => "unknown",
    }
}

/// Whether a bit set made by [`Assessment::bits`] records a grant.
pub fn is_granted(bits: i64) -> bool {
    bits & 3 == 1
}

#[cfg(test)]
mod tests;
