//! `einklang signal decode`: JSON lines in, JSON lines out, in the same order.
//!
//! Promise: one line out for every line in, whatever it holds. A line that is no question is answered with an `error`
//! and makes the command fail at the end, so that a script notices and a person still sees the other answers.

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

use crate::domain::inspect::{BadQuestion, Question, answer};

/// The longest line that is read, in bytes. The longest signals have 16 KiB; the rest is room for checks.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Reading or writing failed.
    #[error("the lines cannot be read or the answers not written: {0}")]
    Io(#[from] io::Error),
    /// Some lines were not questions.
    #[error("{0} of the lines could not be read as questions; their answers say why")]
    BadLines(u64),
}

/// Answers line by line; `now_s` is the time at which TC strings are judged that come without one.
pub fn decode(mut input: impl BufRead, mut output: impl Write, now_s: i64) -> Result<(), DecodeError> {
    let mut line = Vec::new();
    let mut bad_lines = 0;
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.last() == Some(&b'\n') || !is_full(&line);
        if !whole {
            skip_line(&mut input)?;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let answered = if whole {
            respond(text, now_s)
        } else {
            Err(failed(&Value::Null, "line is too long"))
        };
        let shown = answered.unwrap_or_else(|failed| {
            bad_lines += 1;
            failed
        });
        serde_json::to_writer(&mut output, &shown).map_err(io::Error::from)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    match bad_lines {
        0 => Ok(()),
        count => Err(DecodeError::BadLines(count)),
    }
}

fn is_full(line: &[u8]) -> bool {
    u64::try_from(line.len()).is_ok_and(|length| length >= MAX_LINE_BYTES)
}

fn respond(text: &[u8], now_s: i64) -> Result<Value, Value> {
    let value: Value = serde_json::from_slice(text).map_err(|_| failed(&Value::Null, "not a JSON object"))?;
    let id = value.get("id").cloned().unwrap_or_default();
    let question: Question =
        serde_json::from_value(value).map_err(|_| failed(&id, "not a question of the documented form"))?;
    let report = answer(&question, now_s)
        .map_err(|BadQuestion(member)| failed(&id, &format!("`{member}` cannot be read")))?;
    serde_json::to_value(report).map_err(|_| failed(&id, "the answer cannot be written"))
}

fn failed(id: &Value, why: &str) -> Value {
    json!({ "id": id, "error": why })
}

/// Drops the rest of an overlong line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> (Result<(), DecodeError>, Vec<Value>) {
        let mut output = Vec::new();
        let outcome = decode(input, &mut output, 1_795_000_000);
        let lines = output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        (
            outcome,
            lines
                .map(|line| serde_json::from_slice(line).expect("JSON"))
                .collect(),
        )
    }

    #[test]
    fn every_line_has_its_answer_in_order() {
        let (outcome, lines) = run(
            b"{\"id\":\"a\",\"kind\":\"gcs\",\"input\":\"G111\"}\n\nno json\n{\"id\":7,\"kind\":\"tcf\",\"now\":1}\r\n\
            {\"id\":\"b\",\"kind\":\"usp\",\"input\":\"1YNN\",\"tags\":[]}",
        );
        assert!(matches!(outcome, Err(DecodeError::BadLines(2))));
        let ids: Vec<&Value> = lines.iter().map(|line| &line["id"]).collect();
        assert_eq!(ids, [&json!("a"), &Value::Null, &json!(7), &json!("b")]);
        assert_eq!(lines[0]["decoded"]["ad_storage"], "granted");
        assert!(lines[1]["error"].is_string() && lines[2]["error"].is_string());
    }

    #[test]
    fn an_overlong_line_is_refused_and_the_next_one_read() {
        let mut input = vec![b'x'; 3 * 1024 * 1024];
        input.extend_from_slice(b"\n{\"id\":1,\"kind\":\"gdpr_param\"}\n");
        let (outcome, lines) = run(&input);
        assert!(matches!(outcome, Err(DecodeError::BadLines(1))));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["expect"], "valid");
    }
}
