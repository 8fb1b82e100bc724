//! A second suite of consent strings, written from the specifications and not from the vectors.
//!
//! Promise: each case names what it is about, states what the specification makes of it, and is put to the same door as
//! a person's question (`domain::inspect`). At least 300 cases, and strings cut at every bit on top. The strings come
//! from an encoder that shares no code with the decoders.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells how much it did"
)]

use einklang::domain::inspect::{Question, answer};
use serde_json::{Value, json};

#[path = "specification/cut.rs"]
mod cut;
mod encode;
#[path = "specification/gpp.rs"]
mod gpp;
#[path = "specification/small.rs"]
mod small;
#[path = "specification/tcf.rs"]
mod tcf;
#[path = "specification/tcf_sets.rs"]
mod tcf_sets;
#[path = "specification/tcf_times.rs"]
mod tcf_times;
#[path = "specification/us.rs"]
mod us;

use encode::NOW_S;

/// A question and what the answer must hold.
struct Case {
    /// What it is about.
    about: String,
    question: Value,
    /// Members of the report; objects are compared member by member, everything else whole.
    wanted: Value,
}

impl Case {
    fn new(about: impl Into<String>, question: Value, wanted: Value) -> Self {
        Self {
            about: about.into(),
            question,
            wanted,
        }
    }

    /// A text that is not well formed, and the code that says why.
    fn invalid(about: impl Into<String>, kind: &str, input: &str, reason: &str) -> Self {
        Self::new(
            about,
            json!({"kind": kind, "input": input}),
            json!({"expect": "invalid", "reason": reason, "decoded": null}),
        )
    }

    /// A text that is well formed, and what it says.
    fn valid(about: impl Into<String>, kind: &str, input: &str, decoded: &Value) -> Self {
        Self::new(
            about,
            json!({"kind": kind, "input": input}),
            json!({"expect": "valid", "decoded": decoded}),
        )
    }
}

/// Whether everything that is wanted was found.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| found.get(name).is_some_and(|found| holds(found, wanted))),
        _ => found == wanted,
    }
}

#[test]
fn every_case_is_answered_as_the_specification_says() {
    let parts = [
        ("tcf", tcf::cases()),
        ("tcf, sets", tcf_sets::cases()),
        ("tcf, times", tcf_times::cases()),
        ("gpp", gpp::cases()),
        ("us", us::cases()),
        ("small", small::cases()),
    ];
    let mut count = 0;
    let mut failed = Vec::new();
    for (part, cases) in parts {
        println!("{part}: {} cases", cases.len());
        count += cases.len();
        for case in cases {
            let question: Question = serde_json::from_value(case.question.clone()).expect("a question");
            let report = answer(&question, NOW_S).expect("an answer");
            let found = serde_json::to_value(report).expect("JSON");
            if !holds(&found, &case.wanted) {
                failed.push(format!(
                    "{part}, {}: {found}\nnot {}\nfor {}",
                    case.about, case.wanted, case.question
                ));
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(count >= 300, "only {count} cases");
}
