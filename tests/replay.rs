//! `einklang consent replay` as people run it: what it counts, what it finds, and how it fails.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod binary;
#[path = "it/harness/client.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod client;
#[path = "it/harness/contract.rs"]
mod contract;
#[path = "it/harness/ledger.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ledger;
#[path = "binary/place.rs"]
#[expect(dead_code, reason = "the search for canaries uses the rest")]
mod place;
#[path = "it/harness/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

use std::fs;
use std::path::Path;
use std::process::Output;

use binary::einklang;
use einklang::app::config::sqlite_url;
use ledger::execute;
use place::{Place, token_in};
use serde_json::{Value, json};

fn replay(folder: &Path, more: &[&str]) -> Output {
    let mut command = einklang(folder, [&["consent", "replay"], more].concat());
    command.output().expect("the binary runs")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

/// The tenant's part of a report, by its name.
fn of_acme(report: &Value) -> Value {
    let tenants = report["tenants"].as_array().expect("a list");
    let acme = tenants.iter().find(|tenant| tenant["tenant"] == "acme");
    acme.expect("the tenant").clone()
}

/// Three clicks, of which two are ordered on, and one that is declined.
async fn traffic(place: &Place) {
    let server = place.serve(&[]);
    let visitor = server.visitor();
    let shop = server.holder(world::SHOP);
    for order in [Some("A-1"), Some("A-2"), None] {
        let answer = visitor.get("/c/Ab3xK9?consent=granted").await;
        let token = token_in(answer.header("location").expect("a redirect")).expect("a token");
        if let Some(order) = order {
            let pairs = [
                ("token", token.as_str()),
                ("order_id", order),
                ("consent", "granted"),
            ];
            shop.postback(&pairs).await.is(200, "recorded", "accepted");
        }
    }
    let declined = visitor.get("/c/Ab3xK9?consent=denied").await;
    assert_eq!(token_in(declined.header("location").expect("a redirect")), None);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_decision_comes_out_as_it_was_until_somebody_touches_one() {
    let place = Place::new();
    traffic(&place).await;
    let data = place.data();
    let folder = data.parent().expect("a folder");
    let output = replay(folder, &["--json"]);
    let all = report(&output);
    assert!(output.status.success() && all["different"] == 0, "{all}");
    assert!(all["note"].as_str().is_some_and(|note| note.contains("Refused")));
    let kinds = &of_acme(&all)["kinds"];
    assert_eq!(
        (&kinds["click"]["equal"], &kinds["postback"]["equal"]),
        (&json!(3), &json!(2))
    );
    let text = String::from_utf8(replay(folder, &[]).stdout).expect("text");
    assert!(text.contains("acme") && text.contains("0 different"), "{text}");
    execute(&sqlite_url(&data), "UPDATE conversion SET consent_bits = 0").await;
    let output = replay(folder, &["--json"]);
    assert_eq!(
        (output.status.code(), &report(&output)["different"]),
        (Some(1), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_policy_is_only_counted_and_has_to_be_one() {
    let place = Place::new();
    traffic(&place).await;
    let data = place.data();
    let folder = data.parent().expect("a folder");
    fs::write(folder.join("policy.toml"), "mode = \"opt_out\"\n").expect("written");
    let output = replay(folder, &["--json", "--policy", "policy.toml"]);
    assert!(output.status.success());
    let rows = &of_acme(&report(&output))["under_policy"]["rows"];
    let click =
        json!({"kind": "click", "before": "tracked", "after": "tracked", "reason": "accepted", "records": 3});
    assert!(
        rows.as_array().is_some_and(|rows| rows.contains(&click)),
        "{rows}"
    );
    for (text, named) in [
        ("mode = \"log_only\"\n", "log_only"),
        ("colour = 1\n", "colour"),
        ("mode = ", "policy.toml"),
    ] {
        fs::write(folder.join("policy.toml"), text).expect("written");
        let output = replay(folder, &["--policy", "policy.toml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(named), "{said}");
    }
}
