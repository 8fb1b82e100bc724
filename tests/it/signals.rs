//! `POST /v1/signals/decode`: the vectors over the API, and what it refuses.

use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::world;

const VECTORS: &str = include_str!("../vectors/signals.jsonl");

/// The members of a row that ask; the API refuses what it does not know.
fn asked(row: &Value) -> Value {
    let mut question = json!({});
    for member in ["id", "kind", "input", "now", "cmp_list"] {
        if let Some(value) = row.get(member) {
            question[member] = value.clone();
        }
    }
    for (member, answers) in [("checks", &["allowed"][..]), ("also_at", &["usable", "because"])] {
        let Some(entries) = row.get(member).and_then(Value::as_array) else {
            continue;
        };
        let mut entries = entries.clone();
        for entry in &mut entries {
            let entry = entry.as_object_mut().expect("an object");
            entry.retain(|name, _| !answers.contains(&name.as_str()));
        }
        question[member] = Value::Array(entries);
    }
    question
}

both!(the_vectors_are_answered_as_they_say, async |app: &TestApp| {
    let caller = app.holder(world::AUDITOR);
    let before = app.ledger.totals().await;
    let mut equal = 0;
    for line in VECTORS.lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let answer = caller.post("/v1/signals/decode", &asked(&row)).await;
        assert_eq!(answer.status, 200, "{}", row["id"]);
        let found = answer.json();
        for member in [
            "id",
            "kind",
            "expect",
            "decoded",
            "usable",
            "not_usable_because",
            "also_at",
            "checks",
        ] {
            if let Some(wanted) = row.get(member) {
                assert_eq!(found[member], *wanted, "{} {member}", row["id"]);
            }
        }
        equal += 1;
    }
    assert_eq!(equal, 351);
    assert_eq!(
        app.ledger.totals().await,
        before,
        "looking into signals stores nothing"
    );
});

both!(
    a_string_without_a_time_is_judged_now,
    Setup::default(),
    async |app: &TestApp| {
        let row: Value = VECTORS
            .lines()
            .map(|line| serde_json::from_str(line).expect("a row"))
            .find(|row: &Value| row["kind"] == "tcf" && row["usable"] == true)
            .expect("a usable string");
        let question = json!({"kind": "tcf", "input": row["input"]});
        let caller = app.holder(world::AUDITOR);
        let now = caller.post("/v1/signals/decode", &question).await.json();
        assert_eq!(now["usable"], true);
        app.clock.advance_seconds(400 * 86_400);
        let later = caller.post("/v1/signals/decode", &question).await.json();
        assert_eq!(
            (&later["usable"], &later["not_usable_because"]),
            (&json!(false), &json!(["expired"]))
        );
    }
);

both!(
    a_question_that_cannot_be_read_is_refused_by_name,
    async |app: &TestApp| {
        let caller = app.holder(world::AUDITOR);
        let tc = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";
        for (question, parameter) in [
            (json!({"input": tc}), "kind"),
            (json!({"kind": "dnt", "input": "1"}), "kind"),
            (json!({"kind": "tcf", "input": tc, "now": "yesterday"}), "now"),
            (
                json!({"kind": "tcf", "input": tc, "cmp_list": {"x": {}}}),
                "cmp_list",
            ),
            (json!({"kind": "tcf", "input": "x".repeat(32_769)}), "input"),
            (json!({"kind": "tcf", "input": tc, "extra": 1}), "extra"),
            (json!({"kind": "tcf", "input": tc, "id": ""}), "id"),
        ] {
            let answer = caller.post("/v1/signals/decode", &question).await;
            answer.is(400, "refused", "invalid_request");
            assert_eq!(answer.member("parameter"), parameter);
            assert!(!answer.text().contains(tc), "the value is not echoed");
        }
    }
);
