//! `gpp_sid`: which sections of a GPP string are in force for this visit.
//!
//! Promise: a list of different section ids, or one of the two ways to say that none is. Anything else is malformed:
//! which law applies is not a thing to guess at.

/// The most ids that a list may hold. One is the rule and two the most that the specification foresees.
const MAX_IDS: usize = 32;

/// The sections in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce(Vec<u16>);

impl InForce {
    /// Reads the parameter. `-1` and `0` say that no section is in force.
    pub fn parse(text: &str) -> Option<Self> {
        if matches!(text, "-1" | "0") {
            return Some(Self(Vec::new()));
        }
        let mut ids = Vec::new();
        for part in text.split(',') {
            let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && !part.starts_with('0');
            let id: u16 = part.parse().ok().filter(|_| plain)?;
            if ids.len() == MAX_IDS || ids.contains(&id) {
                return None;
            }
            ids.push(id);
        }
        Some(Self(ids))
    }

    /// The ids, in the order written.
    pub fn ids(&self) -> &[u16] {
        &self.0
    }

    /// Whether this section is in force.
    pub fn contains(&self, id: u16) -> bool {
        self.0.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_exactly_or_not_at_all() {
        for (text, ids) in [
            ("2", Some(&[2][..])),
            ("7,8", Some(&[7, 8])),
            ("8,7", Some(&[8, 7])),
            ("-1", Some(&[])),
            ("0", Some(&[])),
            ("65535", Some(&[65535])),
            ("", None),
            (",", None),
            ("2,", None),
            ("2,,6", None),
            ("2,2", None),
            ("02", None),
            ("+2", None),
            ("2,-1", None),
            ("2,0", None),
            ("2, 6", None),
            ("65536", None),
        ] {
            assert_eq!(InForce::parse(text).as_ref().map(InForce::ids), ids, "{text:?}");
        }
        let many: Vec<String> = (1..=MAX_IDS + 1).map(|id| id.to_string()).collect();
        assert!(InForce::parse(&many.join(",")).is_none());
        assert!(InForce::parse(&many[1..].join(",")).is_some());
    }
}
