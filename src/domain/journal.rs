//! The erasure journal's lines: what a restored backup must not bring back.
//!
//! A line names clicks by a hash under the journal's own key, which no backup holds, and suppression entries as they
//! stand in their table. Whoever has a backup and the key can say which of its rows are to go; whoever has the journal
//! alone learns nothing but how much was erased.

use serde::{Deserialize, Serialize};

use super::ids::ClickId;
use super::keys::Secret;
use super::retention::DAY_MS;

/// The version of the lines.
const VERSION: u8 = 1;
/// How long a node writes into one file, in milliseconds: 30 days.
const FILE_MS: i64 = 30 * DAY_MS;
/// What is committed at a moment may stand in a line of so long before, in milliseconds; far longer than a batch takes.
const COMMIT_MS: i64 = 3_600_000;

/// Whether a node's next line belongs into a new file.
pub fn is_full(opened_at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(opened_at_ms) >= FILE_MS
}

/// Whether a file may go whose successor was opened then. Everything in it was written before.
pub fn is_over(successor_opened_at_ms: i64, now_ms: i64, days: u32) -> bool {
    now_ms.saturating_sub(successor_opened_at_ms) > i64::from(days) * DAY_MS
}

/// A file of one node's, as a restore finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFile {
    /// Its number: a node's first file is 1.
    pub number: u32,
    /// When it was opened; none if it has no line.
    pub opened_at_ms: Option<i64>,
}

/// The first of a node's files behind which none is missing, and since when they are complete. What was written before
/// the first gap is of no use to a restore from before it. The files stand by their numbers.
pub fn complete_since(files: &[FoundFile]) -> Option<(FoundFile, Option<i64>)> {
    let mut head = *files.last()?;
    for file in files.iter().rev().skip(1) {
        if file.number.checked_add(1) != Some(head.number) {
            break;
        }
        head = *file;
    }
    // A line of a file that went may tell of what was committed when this one was open already.
    let margin = if head.number > 1 { COMMIT_MS } else { 0 };
    Some((
        head,
        head.opened_at_ms.map(|opened| opened.saturating_add(margin)),
    ))
}

/// A suppression entry with its end, in seconds since 1970.
pub type Suppressed = ([u8; 32], i64);

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The file was made: whatever was done before stands in no line of it.
    Opened,
    /// Clicks were erased with everything that hangs on them.
    Erase {
        /// Their references ([`click_reference`]).
        clicks: Vec<[u8; 32]>,
        /// What was suppressed.
        entries: Vec<Suppressed>,
    },
    /// Clicks count no more and are left as they are.
    Block {
        /// Their references.
        clicks: Vec<[u8; 32]>,
        /// What was suppressed.
        entries: Vec<Suppressed>,
    },
    /// A class of data had its time.
    Purge {
        /// The class.
        class: String,
        /// Rows from before this moment went, in milliseconds since 1970.
        cut_off_ms: i64,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// When, in milliseconds since 1970; a "no" by the end of its hour.
    pub at_ms: i64,
    /// The tenant's number.
    pub tenant: i64,
    /// What was done.
    pub act: Act,
}

/// A line is not what was written. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line of an erasure journal")]
pub struct NotALine;

/// How the journal names a click. Keyed, so that the journal alone cannot be compared with a list of clicks.
pub fn click_reference(key: &Secret, tenant: i64, click: &ClickId) -> [u8; 32] {
    key.hash("journal click", &[&tenant.to_be_bytes(), &click.0])
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    v: u8,
    at_ms: i64,
    tenant: i64,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clicks: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<(String, i64)>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_off_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Opened,
    Erase,
    Block,
    Purge,
}

impl JournalLine {
    /// The line as it is written, with its line break.
    pub fn encode(&self) -> String {
        let hashes = |clicks: &[[u8; 32]]| Some(clicks.iter().map(hex::encode).collect());
        let ends = |entries: &[Suppressed]| {
            let pair = |(entry, expires_at_s): &Suppressed| (hex::encode(entry), *expires_at_s);
            Some(entries.iter().map(pair).collect())
        };
        let mut text = Text {
            v: VERSION,
            at_ms: self.at_ms,
            tenant: self.tenant,
            kind: Kind::Purge,
            clicks: None,
            entries: None,
            class: None,
            cut_off_ms: None,
        };
        match &self.act {
            Act::Opened => text.kind = Kind::Opened,
            Act::Erase { clicks, entries } => {
                (text.kind, text.clicks, text.entries) = (Kind::Erase, hashes(clicks), ends(entries));
            }
            Act::Block { clicks, entries } => {
                (text.kind, text.clicks, text.entries) = (Kind::Block, hashes(clicks), ends(entries));
            }
            Act::Purge { class, cut_off_ms } => {
                (text.class, text.cut_off_ms) = (Some(class.clone()), Some(*cut_off_ms));
            }
        }
        // Serialising texts and numbers into memory cannot fail.
        let mut line = serde_json::to_string(&text).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Reads a line, with or without its line break.
    pub fn parse(line: &[u8]) -> Result<Self, NotALine> {
        let text: Text = serde_json::from_slice(line).map_err(|_| NotALine)?;
        if text.v != VERSION {
            return Err(NotALine);
        }
        let act = match text {
            Text {
                kind: Kind::Opened,
                tenant: 0,
                clicks: None,
                entries: None,
                class: None,
                cut_off_ms: None,
                ..
            } => Act::Opened,
            Text {
                kind: Kind::Purge,
                clicks: None,
                entries: None,
                class: Some(class),
                cut_off_ms: Some(cut_off_ms),
                ..
            } => Act::Purge { class, cut_off_ms },
            Text {
                kind,
                clicks: Some(clicks),
                entries: Some(entries),
                class: None,
                cut_off_ms: None,
                ..
            } => {
                let clicks = clicks.iter().map(|text| hash(text)).collect::<Result<_, _>>()?;
                let entry = |(text, expires_at_s): &(String, i64)| Ok((hash(text)?, *expires_at_s));
                let entries = entries.iter().map(entry).collect::<Result<_, _>>()?;
                match kind {
                    Kind::Erase => Act::Erase { clicks, entries },
                    Kind::Block => Act::Block { clicks, entries },
                    Kind::Opened | Kind::Purge => return Err(NotALine),
                }
            }
            _ => return Err(NotALine),
        };
        Ok(Self {
            at_ms: text.at_ms,
            tenant: text.tenant,
            act,
        })
    }
}

fn hash(text: &str) -> Result<[u8; 32], NotALine> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| NotALine)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_they_were_written() {
        let (clicks, entries) = (vec![[1; 32], [2; 32]], vec![([3; 32], 1_790_000_000)]);
        for act in [
            Act::Erase {
                clicks: clicks.clone(),
                entries: entries.clone(),
            },
            Act::Block { clicks, entries },
            Act::Purge {
                class: "clicks".to_owned(),
                cut_off_ms: 7,
            },
        ] {
            let line = JournalLine {
                at_ms: 1_790_000_000_123,
                tenant: 3,
                act,
            };
            let text = line.encode();
            assert!(
                text.ends_with('\n') && text.starts_with("{\"v\":1,\"at_ms\":"),
                "{text}"
            );
            assert_eq!(JournalLine::parse(text.as_bytes()), Ok(line));
            for end in [1, text.len() / 2, text.len() - 2] {
                assert_eq!(JournalLine::parse(&text.as_bytes()[..end]), Err(NotALine));
            }
        }
    }

    #[test]
    fn the_line_that_opens_a_file_says_when_and_nothing_else() {
        let text = "{\"v\":1,\"at_ms\":7,\"tenant\":0,\"kind\":\"opened\"}\n";
        let line = JournalLine {
            at_ms: 7,
            tenant: 0,
            act: Act::Opened,
        };
        assert_eq!(line.encode(), text);
        assert_eq!(JournalLine::parse(text.as_bytes()), Ok(line));
        let of_one = text.replace("\"tenant\":0", "\"tenant\":1");
        assert_eq!(JournalLine::parse(of_one.as_bytes()), Err(NotALine));
    }

    #[test]
    fn a_line_of_another_version_or_shape_is_none() {
        for text in [
            r#"{"v":2,"at_ms":1,"tenant":1,"kind":"purge","class":"clicks","cut_off_ms":1}"#,
            r#"{"v":1,"at_ms":1,"tenant":1,"kind":"purge","class":"clicks"}"#,
            r#"{"v":1,"at_ms":1,"tenant":1,"kind":"erase","clicks":["00"],"entries":[]}"#,
            r#"{"v":1,"at_ms":1,"tenant":1,"kind":"erase","clicks":[],"entries":[],"more":1}"#,
            r#"{"v":1,"at_ms":1,"tenant":1,"kind":"purge","clicks":[],"entries":[]}"#,
        ] {
            assert_eq!(JournalLine::parse(text.as_bytes()), Err(NotALine), "{text}");
        }
    }

    #[test]
    fn a_click_has_another_name_under_another_key_or_tenant() {
        let (one, other) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let click = ClickId([9; 16]);
        assert_ne!(
            click_reference(&one, 1, &click),
            click_reference(&other, 1, &click)
        );
        assert_ne!(click_reference(&one, 1, &click), click_reference(&one, 2, &click));
    }

    #[test]
    fn a_file_is_written_for_a_month_and_kept_as_long_as_its_last_line() {
        assert!(!is_full(5, 5 + 30 * DAY_MS - 1));
        assert!(is_full(5, 5 + 30 * DAY_MS));
        assert!(!is_over(5, 5 + 36 * DAY_MS, 36));
        assert!(is_over(5, 6 + 36 * DAY_MS, 36));
    }

    #[test]
    fn a_journal_is_complete_since_the_first_file_behind_its_last_gap() {
        let file = |number, opened_at_ms| FoundFile { number, opened_at_ms };
        let since = |files: &[FoundFile]| complete_since(files).map(|(head, since)| (head.number, since));
        let [one, two, three] = [file(1, Some(10)), file(2, Some(20)), file(3, Some(30))];
        assert_eq!(since(&[]), None);
        assert_eq!(since(&[one, two, three]), Some((1, Some(10))));
        // What went, went with an hour.
        assert_eq!(since(&[two, three]), Some((2, Some(20 + COMMIT_MS))));
        assert_eq!(since(&[one, three]), Some((3, Some(30 + COMMIT_MS))));
        // A new file that a crash left empty takes nothing away; a first one that is empty says nothing.
        assert_eq!(since(&[one, two, file(3, None)]), Some((1, Some(10))));
        assert_eq!(since(&[file(3, None)]), Some((3, None)));
        assert_eq!(since(&[file(1, None)]), Some((1, None)));
    }
}
