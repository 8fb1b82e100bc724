//! The US Privacy string: version 1, notice, opt-out, LSPA. Deprecated in January 2024 and still seen.
//!
//! Promise: exactly four characters, upper case, nothing trimmed. `1---` says that the law does not apply; a string
//! that names a notice or an LSPA and leaves out the opt-out says nothing that a reader could act on, so it is refused.

/// Yes, no, or not applicable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `Y`.
    Yes,
    /// `N`.
    No,
    /// `-`.
    NotApplicable,
}

impl Letter {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'Y' => Self::Yes,
            b'N' => Self::No,
            b'-' => Self::NotApplicable,
            _ => return None,
        })
    }

    /// The letter as written.
    pub fn code(self) -> &'static str {
        match self {
            Self::Yes => "Y",
            Self::No => "N",
            Self::NotApplicable => "-",
        }
    }
}

/// What the string comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsPrivacyState {
    /// Opted out of the sale.
    Denied,
    /// Did not opt out.
    NotOptedOut,
    /// The law does not apply.
    NotApplicable,
}

impl UsPrivacyState {
    /// The word in answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NotOptedOut => "not_opted_out",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// A decoded US Privacy string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsPrivacy {
    /// Whether notice and the opportunity to opt out were given.
    pub notice: Letter,
    /// Whether the person opted out of the sale.
    pub opt_out_sale: Letter,
    /// Whether the publisher signed the Limited Service Provider Agreement.
    pub lspa: Letter,
}

impl UsPrivacy {
    /// Reads a string.
    pub fn parse(text: &str) -> Option<Self> {
        let [b'1', notice, opt_out, lspa] = *text.as_bytes() else {
            return None;
        };
        let read = Self {
            notice: Letter::of(notice)?,
            opt_out_sale: Letter::of(opt_out)?,
            lspa: Letter::of(lspa)?,
        };
        (read.opt_out_sale != Letter::NotApplicable || !read.applies()).then_some(read)
    }

    /// Whether the law applies at all.
    pub fn applies(self) -> bool {
        [self.notice, self.opt_out_sale, self.lspa]
            .iter()
            .any(|letter| *letter != Letter::NotApplicable)
    }

    /// What it comes to.
    pub fn state(self) -> UsPrivacyState {
        match self.opt_out_sale {
            Letter::Yes => UsPrivacyState::Denied,
            Letter::No => UsPrivacyState::NotOptedOut,
            Letter::NotApplicable => UsPrivacyState::NotApplicable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_out_is_named_or_the_law_does_not_apply() {
        let state = |text| UsPrivacy::parse(text).map(UsPrivacy::state);
        assert_eq!(state("1YYN"), Some(UsPrivacyState::Denied));
        assert_eq!(state("1-N-"), Some(UsPrivacyState::NotOptedOut));
        assert_eq!(state("1---"), Some(UsPrivacyState::NotApplicable));
        for text in ["1Y-N", "1--N", "1Y--", "2YNN", "1YN", "1YNNN", "1ynn", "", "1YÄ"] {
            assert_eq!(state(text), None, "{text}");
        }
    }
}
