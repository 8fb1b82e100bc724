//! One entry as one line: its stored bytes as they are, or a CSV row that ends with them.
//!
//! The canonical encoding has no line breaks, so JSON Lines need no wrapping, and standard tools can hash a line. A CSV
//! row has readable cells before the bytes; they are made of the bytes alone, so that a reader can be told when a cell
//! says something else.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The form of the files of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// One entry's stored bytes a line.
    Jsonl,
    /// A header, then one row an entry; the last cell holds the stored bytes.
    Csv,
}

/// The members of an event that have a cell of their own, in the order of the columns.
const CELLS: [&str; 13] = [
    "day",
    "tenant",
    "actor",
    "action",
    "outcome",
    "reason",
    "object",
    "campaign",
    "shop",
    "policy_version",
    "count",
    "request_id",
    "test",
];

impl Content {
    /// What the files' names end with.
    pub fn ending(self) -> &'static str {
        match self {
            Content::Jsonl => "jsonl",
            Content::Csv => "csv",
        }
    }

    /// What a file begins with, with its line break.
    pub fn header(self) -> String {
        match self {
            Content::Jsonl => String::new(),
            Content::Csv => format!("index,at,{},entry\n", CELLS.join(",")),
        }
    }

    /// Adds an entry's line with its line break. Says whether it could: bytes with a line break, or that are not UTF-8
    /// where CSV is wanted, have no line.
    pub fn write(self, index: u64, body: &[u8], out: &mut Vec<u8>) -> bool {
        if body.contains(&b'\n') {
            return false;
        }
        match self {
            Content::Jsonl => out.extend_from_slice(body),
            Content::Csv => {
                let Ok(text) = std::str::from_utf8(body) else {
                    return false;
                };
                write_csv(index, text, out);
            }
        }
        out.push(b'\n');
        true
    }

    /// The stored bytes in a line (without its line break); none if the line is not exactly as `write` makes it.
    pub fn read(self, index: u64, line: &[u8]) -> Option<Vec<u8>> {
        match self {
            Content::Jsonl => Some(line.to_vec()),
            Content::Csv => {
                let body = last_cell(std::str::from_utf8(line).ok()?)?.into_bytes();
                let mut again = Vec::with_capacity(line.len() + 1);
                (self.write(index, &body, &mut again) && again.strip_suffix(b"\n") == Some(line))
                    .then_some(body)
            }
        }
    }
}

fn write_csv(index: u64, body: &str, out: &mut Vec<u8>) {
    let members: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let at = members.get("at_ms").and_then(Value::as_i64);
    let at = at.and_then(DateTime::from_timestamp_millis);
    out.extend_from_slice(index.to_string().as_bytes());
    out.push(b',');
    let at = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    out.extend_from_slice(at.unwrap_or_default().as_bytes());
    for name in CELLS {
        out.push(b',');
        match members.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => out.extend_from_slice(cell(text).as_bytes()),
            Some(other) => out.extend_from_slice(cell(&other.to_string()).as_bytes()),
        }
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(body.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// A cell that a spreadsheet shows and never computes, on one line.
fn cell(text: &str) -> String {
    let mut text = text.replace(|c: char| c.is_control(), " ");
    if text.starts_with(['=', '+', '-', '@']) {
        text.insert(0, '\'');
    }
    if text.contains([',', '"']) {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

/// The content of a row's last cell, which is quoted.
fn last_cell(line: &str) -> Option<String> {
    // A comma divides cells where the quotes before it are even in number.
    let mut is_quoted = false;
    let mut start = 0;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => start = at + 1,
            _ => {}
        }
    }
    let inner = line.get(start..)?.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"action":"campaign.changed","actor":"key:3","at_ms":1795000000000,"changes":[{"field":"name","new":"a \"b\", c"}],"object":"=cmd,\"x\"\n","outcome":"changed","tenant":7,"test":true,"v":1}"#;

    fn line(content: Content, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(content.write(5, body, &mut out));
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_gives_back_the_stored_bytes() {
        for content in [Content::Jsonl, Content::Csv] {
            for body in [
                BODY,
                b"",
                b"not JSON, \"at all\"",
                b"{}",
                "{\"reason\":\"ä,\"}".as_bytes(),
            ] {
                assert_eq!(content.read(5, &line(content, body)).as_deref(), Some(body));
            }
        }
    }

    #[test]
    fn a_csv_row_is_readable_and_harmless() {
        let row = String::from_utf8(line(Content::Csv, BODY)).expect("text");
        assert!(
            row.starts_with(
                "5,2026-11-18T11:06:40.000Z,,7,key:3,campaign.changed,changed,,\"'=cmd,\"\"x\"\" \",,,,,,true,\"{\"\"action\"\":"
            ),
            "{row}"
        );
        let columns = Content::Csv.header().split(',').count();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(row.as_bytes());
        let record = reader.records().next().expect("a row").expect("a row");
        assert_eq!(record.len(), columns);
        assert_eq!(record.get(columns - 1).map(str::as_bytes), Some(BODY));
    }

    #[test]
    fn a_row_whose_readable_cells_say_something_else_is_refused() {
        let row = String::from_utf8(line(Content::Csv, BODY)).expect("text");
        for changed in [
            row.replacen("5,", "6,", 1),
            row.replacen("key:3", "key:4", 1),
            row.replacen("2026", "2025", 1),
            row.replacen("'=", "=", 1),
            row.replacen(",7,", ",\"7\",", 1),
            row.replace("}\"", "}"),
            format!("{row} "),
            row[..40].to_owned(),
            String::new(),
        ] {
            assert_eq!(Content::Csv.read(5, changed.as_bytes()), None, "{changed}");
        }
    }

    #[test]
    fn what_has_no_line_is_not_written() {
        assert!(!Content::Jsonl.write(0, b"a\nb", &mut Vec::new()));
        assert!(!Content::Csv.write(0, b"a\nb", &mut Vec::new()));
        assert!(!Content::Csv.write(0, b"\xff", &mut Vec::new()));
    }
}
