//! Google consent mode: `gcs`, `gcd` and the four fields by name.
//!
//! Promise: `gcs` is a hint (it lacks `ad_user_data`), `gcd` is undocumented and read as the community decoded it, and
//! the four names are plain words. A state that was set before the person did anything is not their consent: only
//! letters with an update, or a default that says no, count.

use super::super::consent::Answer;

/// The longest `gcd` that is looked at; real ones have a dozen characters.
const MAX_GCD_CHARS: usize = 64;

/// The four fields, in the order in which `gcd` writes them.
pub const FIELDS: [&str; 4] = [
    "ad_storage",
    "analytics_storage",
    "ad_user_data",
    "ad_personalization",
];

/// A state of one field as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Not set at all.
    None,
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Sent in a way that nobody has documented.
    Unknown,
}

impl Setting {
    fn answer(self) -> Answer {
        match self {
            Setting::Granted => Answer::Granted,
            Setting::Denied => Answer::Denied,
            Setting::None | Setting::Unknown => Answer::Unknown,
        }
    }
}

/// One field of `gcd`: what the page assumed, and what the person changed it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before the person did anything.
    pub default: Setting,
    /// After.
    pub update: Setting,
}

impl Change {
    fn of(letter: u8) -> Self {
        use Setting::{Denied, Granted, None, Unknown};
        let (default, update) = match letter {
            b'l' => (None, None),
            b'm' => (None, Denied),
            b'n' => (None, Granted),
            b'p' => (Denied, None),
            b'q' => (Denied, Denied),
            b'r' => (Denied, Granted),
            b't' => (Granted, None),
            b'u' => (Granted, Denied),
            b'v' => (Granted, Granted),
            // Capital letters have been seen; what they mean has not.
            _ => (Unknown, Unknown),
        };
        Self { default, update }
    }

    /// What Google's tags act on: the update, or else the default.
    pub fn effective(self) -> Answer {
        match self.update {
            Setting::None => self.default.answer(),
            update => update.answer(),
        }
    }

    /// What the person said: a default alone can be their no, never their yes.
    pub fn said(self) -> Answer {
        match (self.update, self.effective()) {
            (Setting::None, Answer::Granted) => Answer::Unknown,
            (_, effective) => effective,
        }
    }
}

/// A decoded `gcd`, in the order of [`FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcd(pub [Change; 4]);

impl Gcd {
    /// Reads `1`, a digit, and four letters each followed by a digit; what comes behind varies and means nothing here.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_GCD_CHARS || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let [b'1', first, a, d1, b, d2, c, d3, d, d4, ..] = *text.as_bytes() else {
            return None;
        };
        let digits = [first, d1, d2, d3, d4].iter().all(u8::is_ascii_digit);
        let letters = [a, b, c, d];
        (digits && letters.iter().all(u8::is_ascii_alphabetic)).then(|| Self(letters.map(Change::of)))
    }

    /// Access, measurement, personalisation.
    pub fn answers(self) -> [Answer; 3] {
        let [ad_storage, _, ad_user_data, ad_personalization] = self.0.map(Change::said);
        [
            ad_storage,
            ad_storage.both(ad_user_data),
            ad_storage.both(ad_user_data).both(ad_personalization),
        ]
    }
}

/// A decoded `gcs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcs {
    /// `ad_storage`.
    pub ad_storage: Answer,
    /// `analytics_storage`.
    pub analytics_storage: Answer,
}

impl Gcs {
    /// Reads `G1` and two states.
    pub fn parse(text: &str) -> Option<Self> {
        let state = |byte| {
            Some(match byte {
                b'1' => Answer::Granted,
                b'0' => Answer::Denied,
                b'-' => Answer::Unknown,
                _ => return None,
            })
        };
        let [b'G', b'1', ad, analytics] = *text.as_bytes() else {
            return None;
        };
        Some(Self {
            ad_storage: state(ad)?,
            analytics_storage: state(analytics)?,
        })
    }

    /// Access, measurement, personalisation: it can speak about the device only.
    pub fn answers(self) -> [Answer; 3] {
        [self.ad_storage, Answer::Unknown, Answer::Unknown]
    }
}

/// The word of one of the four fields.
pub fn word(text: &str) -> Option<Answer> {
    match text {
        "granted" => Some(Answer::Granted),
        "denied" => Some(Answer::Denied),
        _ => None,
    }
}

/// Access, measurement, personalisation from the four fields, in the order of [`FIELDS`].
pub fn answers([ad_storage, _, ad_user_data, ad_personalization]: [Answer; 4]) -> [Answer; 3] {
    let measure = ad_storage.both(ad_user_data);
    [ad_storage, measure, measure.both(ad_personalization)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{Denied, Granted, Unknown};

    #[test]
    fn gcs_speaks_about_the_device_only() {
        let answers = |text| Gcs::parse(text).map(Gcs::answers);
        assert_eq!(answers("G111"), Some([Granted, Unknown, Unknown]));
        assert_eq!(answers("G101"), Some([Denied, Unknown, Unknown]));
        assert_eq!(answers("G1--"), Some([Unknown; 3]));
        for text in ["G11", "G1111", "g111", "G211", "G1x1", ""] {
            assert_eq!(answers(text), None, "{text}");
        }
    }

    #[test]
    fn a_default_can_only_deny() {
        let answers = |text| Gcd::parse(text).map(Gcd::answers);
        for (text, expected) in [
            ("11t1t1t1t5", [Unknown; 3]),
            ("11p1p1p1p5", [Denied; 3]),
            ("13r3r3r3r5", [Granted; 3]),
            ("13n3m3v3q5l1", [Granted, Granted, Denied]),
            ("13r3r3u3r5", [Granted, Denied, Denied]),
            ("13r3r3R3r5", [Granted, Unknown, Unknown]),
        ] {
            assert_eq!(answers(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_stands_out_of_place_is_refused() {
        for text in [
            "11p1p1p1p",
            "21p1p1p1p5",
            "11p1p1p1p5 ",
            "1pp1p1p1p5",
            "11p1p1p151",
            "granted",
        ] {
            assert_eq!(Gcd::parse(text), None, "{text}");
        }
        assert!(Gcd::parse(&format!("11p1p1p1p5{}", "l".repeat(54))).is_some());
        assert!(Gcd::parse(&format!("11p1p1p1p5{}", "l".repeat(55))).is_none());
    }
}
