//! What a newcomer meets: the first start, what it prints, the second start, and refusals that say what to do.
//!
//! Printed commands are run as they stand, by a shell. Nothing is set up beforehand but an empty folder.

#![expect(
    clippy::expect_used,
    reason = "the helpers of a test may fail where they stand, too"
)]

mod binary;
#[path = "first_run/provisioning.rs"]
mod provisioning;
#[path = "first_run/refusals.rs"]
mod refusals;

use std::path::Path;
use std::process::{Command, Output};

use binary::{Running, einklang};
use serde_json::Value;

/// Runs a command line of ours to its end.
fn run(folder: &Path, args: &[&str]) -> Output {
    einklang(folder, args).output().expect("the binary runs")
}

/// Runs lines in a shell and returns what they print.
fn shell(lines: &[&str]) -> String {
    let output = Command::new("sh")
        .args(["-euc", &lines.join("\n")])
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{lines:#?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The commands among printed lines.
fn commands(lines: &[String]) -> Vec<&str> {
    let trimmed = lines.iter().map(|line| line.trim());
    trimmed
        .filter(|line| line.starts_with("curl ") || line.starts_with("TOKEN="))
        .collect()
}

fn member(lines: &[String], label: &str) -> String {
    let line = lines.iter().find(|line| line.trim().starts_with(label));
    let line = line.unwrap_or_else(|| panic!("no {label} in {lines:#?}"));
    line.trim()
        .trim_start_matches(label)
        .split_whitespace()
        .next()
        .expect("a value")
        .to_owned()
}

#[test]
fn the_first_start_prints_commands_that_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(folder.path(), &["serve"]);
    let lines = server.lines_until("consent=denied");
    let [click, token, postback, report, declined] = commands(&lines)[..] else {
        panic!("{lines:#?}")
    };

    let answer = shell(&[click]);
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(
        answer.contains("location: https://shop.example/landing?utm_source=news&s2s="),
        "{answer}"
    );
    let verdict: Value = serde_json::from_str(&shell(&[token, postback])).expect("JSON");
    assert_eq!(
        (verdict["outcome"].as_str(), verdict["reason"].as_str()),
        (Some("recorded"), Some("accepted"))
    );
    // A person tries it twice: with another click's token it is the same order with other content.
    let verdict: Value = serde_json::from_str(&shell(&[token, postback])).expect("JSON");
    assert_eq!(verdict["reason"], "duplicate_conflict");
    let totals = serde_json::from_str::<Value>(&shell(&[report])).expect("JSON")["totals"].clone();
    assert_eq!(
        (
            totals["clicks"].as_i64(),
            totals["conversions"]["confirmed"].as_i64()
        ),
        (Some(3), Some(1))
    );
    assert_eq!(totals["revenue"]["confirmed"][0]["amount_minor"], 4_990);
    let answer = shell(&[declined]);
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(
        answer.contains("location: https://shop.example/landing?utm_source=news\r\n"),
        "{answer}"
    );

    let docs = member(&lines, "API and its docs");
    let page = shell(&[&format!("curl -sL '{docs}'")]);
    assert!(page.contains("swagger-ui"), "{page}");
    let data = member(&lines, "Data folder");
    assert_eq!(
        Path::new(&data),
        folder.path().canonicalize().expect("a path").join("data")
    );
    let operator = member(&lines, "Operator key");
    let known = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' '{}' -H 'Authorization: Bearer",
        docs.replace("/docs", "/v1/reports/consent")
    );
    assert_eq!(
        shell(&[&format!("{known} {operator}'")]),
        "403",
        "known, and no door into a tenant"
    );
    assert_eq!(shell(&[&format!("{known} {operator}x'")]), "401");
    assert!(server.stop().success());
}

#[test]
fn the_second_start_goes_on_and_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Running::start(folder.path(), &["serve"]);
    let shown = first.lines_until("consent=denied");
    let (manager, click) = (member(&shown, "Manager key"), commands(&shown)[0].to_owned());
    shell(&[&click]);
    assert!(first.stop().success());

    let mut second = Running::start(folder.path(), &["serve"]);
    let lines = second.lines_until("curl ");
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("ek_") || line.contains("key ")),
        "{lines:#?}"
    );
    let [click] = commands(&lines)[..] else {
        panic!("{lines:#?}")
    };
    assert!(shell(&[click]).contains("s2s="));
    let report = member(&lines, "API and its docs").replace("/docs", "/v1/reports/performance");
    let report = shell(&[&format!(
        "curl -s '{report}' -H 'Authorization: Bearer {manager}'"
    )]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["totals"]["clicks"], 2, "{report}");
    assert!(second.stop().success());
}

#[test]
fn a_program_gets_the_same_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    let welcome = server.welcome();
    for made in ["operator_key", "manager_key", "shop_key"] {
        assert!(binary::text(&welcome, made).starts_with("ek_live_"), "{made}");
    }
    assert!(server.stop().success());
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    let again = server.welcome();
    assert!(again["operator_key"].is_null() && again["manager_key"].is_null() && again["shop_key"].is_null());
    assert!(binary::text(&again, "click").ends_with("/c/hello"));
    assert!(server.stop().success());
}
