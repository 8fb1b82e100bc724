//! `apply` and `migrate` from the command line, and the operator's key.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{einklang, run, shell};
use crate::binary::{Running, text};

const FILE: &str = r#"
[[tenant]]
slug = "acme"
  [[tenant.shop]]
  slug = "main"
  landing_hosts = ["shop.example"]
  currency = "EUR"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-03"
  [[tenant.campaign]]
  slug = "autumn"
  shop = "main"
  landing_url = "https://shop.example/"
  [[tenant.link]]
  slug = "Ab3xK9"
  campaign = "autumn"
  publisher = "news"
  [[tenant.user]]
  name = "boss"
  role = "manager"
"#;
const OPERATOR: &str = "ek_test_operator_0123456789abcdef";

fn apply(folder: &Path, more: &[&str]) -> Output {
    fs::write(folder.join("acme.toml"), FILE).expect("written");
    let output = run(folder, &[&["apply", "acme.toml"], more].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn a_file_is_applied_once_and_its_secrets_are_shown_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let first: Value = serde_json::from_slice(&apply(folder.path(), &["--json"]).stdout).expect("JSON");
    let objects = first["objects"].as_array().expect("objects");
    assert!(
        objects.iter().all(|object| object["effect"] == "created"),
        "{first}"
    );
    assert_eq!(
        objects
            .iter()
            .filter(|object| object["api_key"].is_string())
            .count(),
        2,
        "shop and manager: {first}"
    );
    assert!(first["operator_key"].is_string());

    let second = String::from_utf8(apply(folder.path(), &[]).stdout).expect("text");
    assert_eq!(
        second
            .lines()
            .filter(|line| line.starts_with("unchanged"))
            .count(),
        second.lines().count(),
        "{second}"
    );
    assert!(
        second.contains("tenant acme, campaign autumn, goal order") && !second.contains("ek_"),
        "{second}"
    );

    // A database that is not empty gets no trial tenant.
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    let welcome = server.welcome();
    assert!(
        welcome["click"].is_null() && welcome["manager_key"].is_null(),
        "{welcome}"
    );
    let url = text(&welcome, "url");
    assert!(
        shell(&[&format!("curl -si '{url}/c/Ab3xK9?consent=granted'")])
            .contains("https://shop.example/?s2s=")
    );
    assert!(server.stop().success());
}

#[test]
fn a_faulty_file_is_named_with_its_line_and_without_its_value() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("bad.toml"),
        FILE.replace("\"manager\"", "\"hunter2\""),
    )
    .expect("written");
    let output = run(folder.path(), &["apply", "bad.toml"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.starts_with("einklang: bad.toml, line 21: ") && !said.contains("hunter2"),
        "{said}"
    );
    assert!(
        !folder.path().join("data").exists(),
        "a fault is found before anything is made"
    );
    let output = run(folder.path(), &["apply", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("einklang: nowhere.toml cannot be read: "));
}

#[test]
fn a_given_operator_key_is_taken_and_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("acme.toml"), FILE).expect("written");
    let output = einklang(folder.path(), ["apply", "acme.toml", "--json"])
        .env("EINKLANG_OPERATOR_KEY", OPERATOR)
        .output();
    let output = output.expect("the binary runs");
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains(OPERATOR));

    let other = format!("{OPERATOR}2");
    for (args, known, unknown) in [
        (vec!["serve", "--json"], OPERATOR, other.as_str()),
        (
            vec!["serve", "--json", "--operator-key", &other],
            &other,
            OPERATOR,
        ),
    ] {
        let mut server = Running::start(folder.path(), &args);
        let welcome = server.welcome();
        assert!(
            welcome["operator_key"].is_null(),
            "nothing new to show: {welcome}"
        );
        let url = text(&welcome, "url");
        let status = |key: &str| {
            let ask = format!("curl -s -o /dev/null -w '%{{http_code}}' '{url}/v1/reports/consent'");
            shell(&[&format!("{ask} -H 'Authorization: Bearer {key}'")])
        };
        assert_eq!((status(known).as_str(), status(unknown).as_str()), ("403", "401"));
        assert!(server.stop().success());
    }
}

#[test]
fn migrations_are_listed_and_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = |step: &str| {
        let output = run(folder.path(), &["migrate", step, "--json"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let all = answer["migrations"].as_array().expect("a list").clone();
        all.iter()
            .map(|one| one["applied"].as_bool().expect("a flag"))
            .collect::<Vec<_>>()
    };
    let before = listed("status");
    assert!(
        before.len() >= 2 && before.iter().all(|applied| !applied),
        "{before:?}"
    );
    assert_eq!(listed("status"), before, "looking changes nothing");
    assert!(listed("up").iter().all(|applied| *applied));
    assert!(listed("status").iter().all(|applied| *applied));
    assert!(
        !folder.path().join("data/root.key").exists(),
        "the schema needs no key"
    );
}
