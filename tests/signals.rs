//! `einklang signal decode` against every line of the vectors: 351 of 351, in the order given.
//!
//! Promise: what is compared is the whole of `expect`, `decoded`, `usable`, its reasons, every further time and every
//! check, each as the vectors have it; and the command answers what is no question without ending.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

#[path = "binary/mod.rs"]
#[expect(dead_code, reason = "the servers of other tests are in it too")]
mod binary;

const VECTORS: &str = include_str!("vectors/signals.jsonl");
/// What a row may say about its signal; all of it has to agree where it is there.
const ANSWERS: [&str; 6] = [
    "expect",
    "decoded",
    "usable",
    "not_usable_because",
    "also_at",
    "checks",
];

fn decode(lines: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = binary::einklang(folder.path(), ["signal", "decode"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("joined").expect("written");
    assert!(
        is_empty(folder.path()),
        "looking into a signal leaves nothing behind"
    );
    output
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().expect("readable").next().is_none()
}

fn rows(text: &[u8]) -> Vec<Value> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect()
}

/// The question alone: none of the answers.
fn asked(row: &Value) -> Value {
    let mut row = row.clone();
    let members = row.as_object_mut().expect("an object");
    members.retain(|name, _| ["id", "kind", "input", "now", "cmp_list"].contains(&name.as_str()));
    row
}

/// Leaves of a list only what asks.
fn questions(row: &Value, member: &str, answer: &[&str]) -> Option<Value> {
    let mut list = row.get(member)?.clone();
    for entry in list.as_array_mut()? {
        for name in answer {
            entry.as_object_mut()?.remove(*name);
        }
    }
    Some(list)
}

#[test]
fn every_line_of_the_vectors_is_answered_as_it_says() {
    let wanted = rows(VECTORS.as_bytes());
    assert_eq!(wanted.len(), 351);
    let mut lines = String::new();
    for row in &wanted {
        let mut question = asked(row);
        for (member, answer) in [("checks", &["allowed"][..]), ("also_at", &["usable", "because"])] {
            if let Some(list) = questions(row, member, answer) {
                question[member] = list;
            }
        }
        lines.push_str(&question.to_string());
        lines.push('\n');
    }
    let output = decode(&lines);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found = rows(&output.stdout);
    assert_eq!(found.len(), wanted.len());
    let mut equal = 0;
    let mut compared = 0;
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found["id"], wanted["id"]);
        for answer in ANSWERS {
            if let Some(value) = wanted.get(answer) {
                assert_eq!(found[answer], *value, "{} {answer}", wanted["id"]);
                compared += 1;
            }
        }
        equal += 1;
    }
    assert_eq!(equal, 351);
    assert!(compared > 1_000, "hardly anything was compared: {compared}");
}

#[test]
fn the_vectors_as_they_are_may_be_piped_in() {
    let output = decode(VECTORS);
    assert!(output.status.success());
    assert_eq!(rows(&output.stdout).len(), 351);
}

#[test]
fn what_is_no_question_is_answered_and_fails_at_the_end() {
    let output =
        decode("{\"id\":1,\"kind\":\"tcf\"}\nnot json\n[]\n{\"id\":2,\"kind\":\"gpc\",\"input\":\"1\"}\n");
    assert!(!output.status.success());
    let found = rows(&output.stdout);
    assert_eq!(found.len(), 4);
    assert_eq!(
        (&found[0]["id"], &found[0]["expect"]),
        (&Value::from(1), &Value::from("invalid"))
    );
    assert!(found[1..].iter().all(|row| row["error"].is_string()));
    assert_eq!(found[3]["id"], 2);
}
