//! The shop's guide at its word: every snippet of `docs/shop.md` is cut out of the page and run against a server.
//!
//! curl, PHP and Node have to be there: a guide that nobody ran is a guess.

#![expect(
    clippy::expect_used,
    reason = "the helpers of a test may fail where they stand, too"
)]

mod binary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use binary::{Running, text};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../docs/shop.md");
const LANGUAGES: [Language; 3] = [Language::Curl, Language::Php, Language::Node];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Curl,
    Php,
    Node,
}

enum Call<'a> {
    Order { token: &'a str, order: &'a str },
    Decline { token: &'a str },
    Refund { order: &'a str },
}

/// The code block that follows a snippet's mark.
fn snippet(name: &str) -> &'static str {
    let mark = format!("<!-- snippet: {name} -->\n```");
    assert_eq!(PAGE.matches(&mark).count(), 1, "the page has {name} once");
    let (_, after) = PAGE.split_once(&mark).expect("the mark");
    let (_, code) = after.split_once('\n').expect("a block");
    code.split_once("\n```").expect("the block's end").0
}

/// A snippet as a file.
fn cut(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, snippet(name)).expect("written");
    path
}

impl Language {
    /// The command that makes a call with this language's snippet and prints the answer.
    fn command(self, folder: &Path, call: &Call<'_>) -> Command {
        let (curl, php, node, args): (_, _, _, Vec<&str>) = match call {
            Call::Order { token, order } => (
                "order.sh",
                "report_order",
                "reportOrder",
                vec![token, order, "49.90"],
            ),
            Call::Decline { token } => ("decline.sh", "report_decline", "reportDecline", vec![token]),
            Call::Refund { order } => ("refund.sh", "report_refund", "reportRefund", vec![order]),
        };
        let mut command = Command::new(match self {
            Self::Curl => "sh",
            Self::Php => "php",
            Self::Node => "node",
        });
        match self {
            Self::Curl => command.arg("-eu").arg(cut(folder, curl)),
            Self::Php => {
                let run = "require $argv[1]; echo json_encode($argv[2](...array_slice($argv, 3)));";
                command
                    .args(["-r", run, "--"])
                    .arg(cut(folder, "einklang.php"))
                    .arg(php)
                    .args(args)
            }
            Self::Node => {
                let run = "const [file, name, ...rest] = process.argv.slice(1); \
                           console.log(JSON.stringify(await (await import(file))[name](...rest)));";
                let file = cut(folder, "einklang.mjs");
                command
                    .args(["--input-type=module", "-e", run, "--"])
                    .arg(file)
                    .arg(node)
                    .args(args)
            }
        };
        match call {
            Call::Order { token, order } => command.env("TOKEN", token).env("ORDER_ID", order),
            Call::Decline { token } => command.env("TOKEN", token),
            Call::Refund { order } => command.env("ORDER_ID", order),
        };
        command
    }

    /// Makes a call and returns the answer.
    fn call(self, url: &str, key: &str, call: &Call<'_>) -> Value {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = self.command(folder.path(), call);
        let output = command
            .env("EINKLANG_URL", url)
            .env("EINKLANG_SHOP_KEY", key)
            .output();
        let missing = "is missing; the tests need curl, php (package php-cli) and node";
        let output = output.unwrap_or_else(|error| panic!("{self:?} {missing}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout);
        let problem = || {
            panic!(
                "{self:?} said {said:?} and {:?}",
                String::from_utf8_lossy(&output.stderr)
            )
        };
        if !output.status.success() {
            problem();
        }
        serde_json::from_str(&said).unwrap_or_else(|_| problem())
    }
}

/// A token, as a landing page gets it.
async fn token(click: &str) -> String {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let answer = client
        .get(format!("{click}?consent=granted"))
        .send()
        .await
        .expect("an answer");
    let landing = answer
        .headers()
        .get("location")
        .expect("a landing page")
        .to_str()
        .expect("ASCII");
    landing.split_once("s2s=").expect("a token").1.to_owned()
}

async fn conversions(url: &str, key: &str) -> Value {
    let request = reqwest::Client::new()
        .get(format!("{url}/v1/reports/performance"))
        .bearer_auth(key);
    let report: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    report["totals"]["conversions"].clone()
}

#[tokio::test]
async fn orders_declines_and_refunds_go_as_the_guide_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    let welcome = server.welcome();
    let [url, click, shop, manager] =
        ["url", "click", "shop_key", "manager_key"].map(|name| text(&welcome, name));
    for (place, language) in (1..).zip(LANGUAGES) {
        let call = |call: &Call<'_>| language.call(&url, &shop, call);
        let verdict = |answer: &Value| (text(answer, "outcome"), text(answer, "reason"));
        let pair = |outcome: &str, reason: &str| (outcome.to_owned(), reason.to_owned());
        let order = format!("{language:?}-1001");
        let order = order.as_str();

        let kept = token(&click).await;
        let sent = Call::Order { token: &kept, order };
        let first = call(&sent);
        assert_eq!(
            verdict(&first),
            pair("recorded", "accepted"),
            "{language:?}: {first}"
        );
        let second = call(&sent);
        assert_eq!(
            verdict(&second),
            pair("duplicate", "duplicate"),
            "{language:?}: {second}"
        );
        assert_eq!(first["conversion_id"], second["conversion_id"]);
        assert_eq!(conversions(&url, &manager).await["confirmed"], 1);

        let refunded = call(&Call::Refund { order });
        assert_eq!(
            (text(&refunded, "status"), &refunded["id"]),
            ("cancelled".to_owned(), &first["conversion_id"])
        );
        let counts = conversions(&url, &manager).await;
        assert_eq!(
            (&counts["confirmed"], &counts["cancelled"]),
            (&json!(0), &json!(place)),
            "{language:?}"
        );

        let declined = token(&click).await;
        let answer = call(&Call::Decline { token: &declined });
        assert_eq!(text(&answer, "outcome"), "applied", "{language:?}: {answer}");
        let late = format!("{language:?}-late");
        let late = call(&Call::Order {
            token: &declined,
            order: &late,
        });
        assert_eq!(
            verdict(&late),
            pair("refused", "consent_withdrawn"),
            "{language:?}: {late}"
        );
    }
    assert!(server.stop().success());
}

#[tokio::test]
async fn what_may_succeed_later_is_sent_again() {
    for language in [Language::Php, Language::Node] {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let busy = move || async move {
            let is_first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            answer(is_first)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(busy)).await });
        let call = move || language.call(&url, "ek_test_key", &Call::Decline { token: "AQAB" });
        let answer = tokio::task::spawn_blocking(call).await.expect("it returns");
        assert_eq!(answer["outcome"], "applied", "{language:?}");
        assert_eq!(calls.load(Ordering::SeqCst), 2, "{language:?}");
        server.abort();
    }
}

/// The two answers of a server that is overloaded at first, as ours gives them.
fn answer(is_busy: bool) -> Response {
    if is_busy {
        let problem = json!({"outcome": "refused", "reason": "unavailable", "retry": true});
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", "0")],
            problem.to_string(),
        )
            .into_response();
    }
    json!({"outcome": "applied"}).to_string().into_response()
}

#[test]
fn both_languages_say_the_same() {
    let (_, rest) = PAGE.split_once("\n## English\n").expect("English");
    let (english, rest) = rest.split_once("\n## Deutsch\n").expect("German");
    let (german, _) = rest.split_once("\n## Code for both").expect("code");
    let codes = |text: &str| {
        // Identifiers and codes are the same in every language; only the words around them differ.
        let mut spans: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        spans.sort();
        spans
    };
    assert_eq!(codes(english), codes(german));
    let outline = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("###") || line.starts_with('|'))
            .count()
    };
    assert_eq!(outline(english), outline(german));
}
