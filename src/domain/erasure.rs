//! Erasing a person: through which door it was asked for, and on which ground.

use super::refusal::Reason;

/// Where an erasure was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// A consent change that the shop or the privacy officer forwarded.
    Withdrawal,
    /// A request of the person's, handled by the privacy officer.
    SubjectRequest,
    /// An OpenDSR request.
    OpenDsr,
    /// The command line on the server.
    CommandLine,
    /// An objection of the person's.
    Objection,
    /// A postback whose consent signal was a refusal.
    Postback,
}

impl Door {
    /// Every door.
    pub const ALL: [Door; 6] = [
        Door::Withdrawal,
        Door::SubjectRequest,
        Door::OpenDsr,
        Door::CommandLine,
        Door::Objection,
        Door::Postback,
    ];

    /// The word in rows and answers.
    pub fn code(self) -> &'static str {
        match self {
            Door::Withdrawal => "withdrawal",
            Door::SubjectRequest => "subject_request",
            Door::OpenDsr => "opendsr",
            Door::CommandLine => "command_line",
            Door::Objection => "objection",
            Door::Postback => "postback",
        }
    }

    /// The door with this word.
    pub fn from_code(code: &str) -> Option<Door> {
        Self::ALL.into_iter().find(|door| door.code() == code)
    }

    /// The ground where none was given.
    pub fn ground(self) -> Ground {
        match self {
            Door::Withdrawal => Ground::ConsentWithdrawn,
            Door::Postback => Ground::ConsentDenied,
            Door::Objection => Ground::Objection,
            Door::SubjectRequest | Door::OpenDsr | Door::CommandLine => Ground::ErasureRequested,
        }
    }

    /// The time under which an act is kept, in milliseconds since 1970. A "no" is kept by its hour: a finer trace would be
    /// a record of the person's refusal.
    pub fn kept_at_ms(self, now_ms: i64) -> i64 {
        match self {
            Door::Withdrawal | Door::Postback => now_ms - now_ms.rem_euclid(HOUR_MS),
            _ => now_ms,
        }
    }

    /// The same for the journal: never earlier than the act, so that nobody who looks for what came after a moment misses
    /// it.
    pub fn journaled_at_ms(self, now_ms: i64) -> i64 {
        match self {
            Door::Withdrawal | Door::Postback => self.kept_at_ms(now_ms) + HOUR_MS,
            _ => now_ms,
        }
    }
}

const HOUR_MS: i64 = 3_600_000;

/// Why somebody is erased: the cases of GDPR Art. 17(1), and a refusal at the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ground {
    /// The person asked for it and gave no other ground.
    ErasureRequested,
    /// Consent was withdrawn (Art. 17(1)(b)).
    ConsentWithdrawn,
    /// Consent was refused at the shop.
    ConsentDenied,
    /// The person objected (Art. 17(1)(c)).
    Objection,
    /// The data are not needed any more (Art. 17(1)(a)).
    NoLongerNeeded,
    /// The data were processed unlawfully (Art. 17(1)(d)).
    UnlawfulProcessing,
    /// A law asks for it (Art. 17(1)(e)).
    LegalObligation,
}

impl Ground {
    /// Every ground.
    pub const ALL: [Ground; 7] = [
        Ground::ErasureRequested,
        Ground::ConsentWithdrawn,
        Ground::ConsentDenied,
        Ground::Objection,
        Ground::NoLongerNeeded,
        Ground::UnlawfulProcessing,
        Ground::LegalObligation,
    ];

    /// The word in rows, entries and answers.
    pub fn code(self) -> &'static str {
        match self {
            Ground::ErasureRequested => "erasure_requested",
            Ground::ConsentWithdrawn => Reason::ConsentWithdrawn.code(),
            Ground::ConsentDenied => Reason::ConsentDenied.code(),
            Ground::Objection => "objection",
            Ground::NoLongerNeeded => "no_longer_needed",
            Ground::UnlawfulProcessing => "unlawful_processing",
            Ground::LegalObligation => "legal_obligation",
        }
    }

    /// The ground with this word.
    pub fn from_code(code: &str) -> Option<Ground> {
        Self::ALL.into_iter().find(|ground| ground.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_kept_by_its_hour_and_never_journaled_before_it_came() {
        let now_ms = 1_790_000_123_456;
        for door in Door::ALL {
            let (kept, journaled) = (door.kept_at_ms(now_ms), door.journaled_at_ms(now_ms));
            assert!(kept <= now_ms && now_ms <= journaled, "{door:?}");
            assert_eq!(Door::from_code(door.code()), Some(door));
        }
        assert_eq!(Door::Postback.kept_at_ms(now_ms) % HOUR_MS, 0);
        assert_eq!(Door::OpenDsr.kept_at_ms(now_ms), now_ms);
    }

    #[test]
    fn grounds_are_told_apart_by_their_words() {
        for ground in Ground::ALL {
            assert_eq!(Ground::from_code(ground.code()), Some(ground));
        }
    }
}
