//! Bad input under `/v1`: a problem that names the parameter and never shows what it held, nothing written, never a 500.
//!
//! Operations and the members of their bodies come from the OpenAPI document, so that a new one is tested as well.
//! Postbacks have tests of their own beside this in `postback.rs`.

use einklang::domain::access::{Role, TABLE, may};
use einklang::domain::signal::is_signal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Caller};
use crate::harness::stage::{Operation, Ready, SPEC, Stage};
use crate::harness::world;

const CANARY: &str = "KanarienVogel4711";

/// What every refusal has in common.
#[track_caller]
fn check_refused(what: &str, answer: &Answer) {
    let text = answer.text();
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {text}",
        answer.status
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    assert!(
        !answer.reason().is_empty() && !answer.member("request_id").is_empty(),
        "{what}: {text}"
    );
    assert!(!text.contains(CANARY), "{what}: the value is shown: {text}");
}

/// Refused, and the parameter at fault is named.
#[track_caller]
fn check_named(what: &str, answer: &Answer, parameter: &str) {
    check_refused(what, answer);
    answer.is(400, "refused", "invalid_request");
    let named = answer.member("parameter");
    assert!(
        named.starts_with(parameter),
        "{what}: {named:?} is named: {}",
        answer.text()
    );
}

/// Whoever may call an operation, on its first tenant.
fn caller(app: &TestApp, operation: &str) -> Caller {
    let keys = [
        (Role::Manager, world::MANAGER),
        (Role::Shop, world::SHOP),
        (Role::Operator, world::OPERATOR),
        (Role::Privacy, world::PRIVACY),
    ];
    let key = keys.iter().find(|(role, _)| may(*role, operation));
    app.holder(key.unwrap_or_else(|| panic!("nobody here may {operation}")).1)
}

/// Every operation under `/v1` that takes a JSON body.
fn with_bodies() -> impl Iterator<Item = Operation> {
    let all = TABLE.iter().map(|(name, _)| Operation::of(name));
    all.filter(|operation| operation.example.is_some() && operation.path.starts_with("/v1/"))
}

async fn send_text(caller: &Caller, ready: &Ready, media_type: &str, body: Vec<u8>) -> Answer {
    let request = caller.request(ready.method.clone(), &ready.path);
    caller
        .send(request.header("content-type", media_type).body(body))
        .await
}

/// Values that no member of any body takes, as JSON text.
fn values() -> Vec<Vec<u8>> {
    let long = CANARY.repeat(1_000);
    let mut values: Vec<Vec<u8>> = [
        json!({"x": CANARY}).to_string(),
        json!([[CANARY]]).to_string(),
        json!(long).to_string(),
        json!(format!("{CANARY}\u{0}")).to_string(),
        json!(format!("{CANARY}\r\nX-Header: 1")).to_string(),
        format!("\"{CANARY}\\ud800\""),
        "1e400".to_owned(),
        "-99999999999999999999999999".to_owned(),
        "0.1".to_owned(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
        format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)),
    ]
    .map(String::into_bytes)
    .to_vec();
    values.push([b"\"", CANARY.as_bytes(), b"\xff\xfe\""].concat());
    values
}

/// The body with one member replaced by a text that need not be JSON.
fn with_member(body: &Value, member: &str, text: &[u8]) -> Vec<u8> {
    const PLACE: &str = "\"the text goes here\"";
    let mut body = body.clone();
    body[member] = serde_json::from_str(PLACE).expect("a text");
    let whole = body.to_string();
    let (before, after) = whole.split_once(PLACE).expect("the place");
    [before.as_bytes(), text, after.as_bytes()].concat()
}

both!(no_member_takes_what_it_should_not, async |app: &TestApp| {
    let mut stage = Stage::new(app).await;
    let mut sent = 0;
    for operation in with_bodies() {
        let caller = caller(app, operation.name);
        let ready = stage.request(&operation, Role::Manager).await;
        let body = ready.body.clone().expect("a body");
        let before = app.ledger.totals().await;
        for member in &operation.members {
            // Texts in the consent family are signals, whatever they say: those that cannot be read have verdicts of their own.
            let is_signal = is_signal(member) || (operation.name == "decode_signal" && *member == "input");
            let is_text = |value: &[u8]| serde_json::from_slice::<String>(value).is_ok();
            for value in values()
                .into_iter()
                .filter(|value| !(is_signal && is_text(value)))
            {
                let what = format!("{} {member} {}", operation.name, value.escape_ascii());
                let body = with_member(&body, member, &value);
                let answer = send_text(&caller, &ready, "application/json", body).await;
                check_named(&what[..what.len().min(120)], &answer, member);
                sent += 1;
            }
        }
        assert_eq!(
            app.ledger.totals().await,
            before,
            "{}: something was written",
            operation.name
        );
    }
    println!("{sent} bodies with one bad member");
});

both!(no_body_is_taken_that_is_not_one, async |app: &TestApp| {
    let mut stage = Stage::new(app).await;
    let mut sent = 0;
    for operation in with_bodies() {
        let (name, caller) = (operation.name, caller(app, operation.name));
        let ready = stage.request(&operation, Role::Manager).await;
        let body = ready.body.clone().expect("a body");
        let good = body.to_string();
        let before = app.ledger.totals().await;
        let mut unknown = body.clone();
        unknown["no_such_member"] = json!(CANARY);
        let answer = caller
            .send(caller.request(ready.method.clone(), &ready.path).json(&unknown))
            .await;
        check_named(name, &answer, "no_such_member");
        assert_eq!(answer.member("parameter"), "no_such_member");
        let first = operation.members[0];
        let twice = format!("{{\"{first}\":\"{CANARY}\",\"{first}\":\"{CANARY}\"}}");
        let answer = send_text(&caller, &ready, "application/json", twice.into_bytes()).await;
        check_named(name, &answer, first);
        let limit = if name == "create_conversions" {
            1024 * 1024
        } else {
            64 * 1024
        };
        let broken: Vec<Vec<u8>> = [
            String::new(),
            "null".to_owned(),
            format!("\"{CANARY}\""),
            format!("[\"{CANARY}\"]"),
            good[..good.len() - 1].to_owned(),
            format!("{good} {CANARY}"),
            format!("\u{feff}{good}"),
            "[".repeat(60_000),
            format!("{{\"{}\":1}}", CANARY.repeat(100)),
            format!("{{\"a\\u0000{CANARY}\":1}}"),
        ]
        .map(String::into_bytes)
        .to_vec();
        for text in broken {
            let what = format!("{name} {}", text[..text.len().min(60)].escape_ascii());
            let answer = send_text(&caller, &ready, "application/json", text).await;
            // A member's name that nobody knows is the one thing of a client's that is shown, cut short.
            if !answer.member("parameter").contains(CANARY) {
                check_refused(&what, &answer);
            }
            assert_eq!(answer.status, 400, "{what}: {}", answer.text());
            assert!(
                !answer.member("parameter").is_empty(),
                "{what}: {}",
                answer.text()
            );
            sent += 1;
        }
        let too_large = send_text(&caller, &ready, "application/json", vec![b' '; limit + 1]).await;
        too_large.is(413, "refused", "too_large");
        for media_type in [
            "text/plain",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "json",
        ] {
            let answer = send_text(&caller, &ready, media_type, good.clone().into_bytes()).await;
            answer.is(415, "refused", "unsupported_media_type");
            sent += 1;
        }
        let without = caller
            .request(ready.method.clone(), &ready.path)
            .body(good.clone());
        caller
            .send(without)
            .await
            .is(415, "refused", "unsupported_media_type");
        assert_eq!(app.ledger.totals().await, before, "{name}: something was written");
        sent += 4;
    }
    println!("{sent} bodies that are none");
});

both!(no_query_is_taken_that_is_none, async |app: &TestApp| {
    let manager = app.manager();
    let before = app.ledger.totals().await;
    for (name, _) in TABLE.iter().filter(|(name, _)| may(Role::Manager, name)) {
        let operation = Operation::of(name);
        let is_report = operation.path.starts_with("/v1/reports/");
        if operation.method != Method::GET || operation.path.contains('{') {
            continue;
        }
        let of_lists = [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=1.5",
            "limit=99999999999999999999",
            "limit=&limit=",
            "limit=%00",
            "cursor=%ff",
            "cursor=%zz",
            "cursor=AAAAAAAAADJ",
            "limit=10&limit=10",
        ];
        let of_reports = [
            "from=2026-02-30",
            "from=tomorrow",
            "to=%ff",
            "from=%zz",
            "from=2026-11-24&from=2026-11-24",
            "from=+99999-01-01",
            "from=0000-00-00",
            "from=2026-11-24T00:00:00Z",
            "campaign=%00",
            "campaign=cmp_1",
            "group_by=everything",
            "format=xml",
            "from=2026-11-25&to=2026-11-24",
            "from=1000-01-01&to=9999-12-31",
        ];
        let own: &[&str] = if is_report { &of_reports } else { &of_lists };
        for query in own {
            let answer = manager.get(&format!("{}?{query}", operation.path)).await;
            let first = query.split('=').next().expect("a name");
            let is_span = query.contains("&to=");
            check_named(
                &format!("{name}?{query}"),
                &answer,
                if is_span { "" } else { first },
            );
            assert!(!answer.member("parameter").is_empty());
        }
        let named = if is_report { "from" } else { "cursor" };
        for (query, parameter) in [
            (format!("{named}={CANARY}"), named),
            (format!("{named}={}", CANARY.repeat(300)), named),
            (format!("no_such_parameter={CANARY}"), "no_such_parameter"),
        ] {
            let answer = manager.get(&format!("{}?{query}", operation.path)).await;
            check_named(&format!("{name}?{query}"), &answer, parameter);
        }
    }
    assert_eq!(app.ledger.totals().await, before);
});

both!(no_path_is_taken_that_is_none, async |app: &TestApp| {
    let mut stage = Stage::new(app).await;
    let before = app.ledger.totals().await;
    for (name, _) in TABLE {
        let operation = Operation::of(name);
        if operation.kind().is_none() {
            continue;
        }
        let caller = caller(app, name);
        let body = match &operation.example {
            Some(example) => Some(stage.filled(example).await),
            None => None,
        };
        let long = CANARY.repeat(300);
        for id in [
            CANARY,
            &long,
            "%00",
            "%ff",
            "%zz",
            "..%2f..",
            "%0d%0a",
            "key_00000000000000000000000000000000%20",
            "SHO_01A0B1C2D3E47F00A1B2C3D4E5F60718",
            "sho_01a0b1c2d3e47f00a1b2c3d4e5f6071",
            "0",
            "-1",
        ] {
            let path = operation.path.replace("{id}", id);
            let ready = Ready {
                method: operation.method.clone(),
                path,
                body: body.clone(),
            };
            let answer = ready.send(&caller).await;
            let what = format!("{name} {id}");
            check_refused(&what, &answer);
            match answer.status {
                400 => assert_eq!(answer.member("parameter"), "id", "{what}"),
                status => assert_eq!(status, 404, "{what}"),
            }
        }
    }
    assert_eq!(app.ledger.totals().await, before);
});

both!(other_methods_are_told_which_there_are, async |app: &TestApp| {
    let mut sent = 0;
    for (path, item) in SPEC["paths"].as_object().expect("paths") {
        let mut documented: Vec<String> = item
            .as_object()
            .expect("an item")
            .keys()
            .map(|name| name.to_uppercase())
            .collect();
        if documented.contains(&"GET".to_owned()) {
            documented.push("HEAD".to_owned());
        }
        documented.sort_unstable();
        let target = path
            .replace("{id}", "x")
            .replace("{shop}", "shp_acme_main")
            .replace("{link}", "Ab3xK9");
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", CANARY,
        ] {
            if documented.iter().any(|name| name == method) {
                continue;
            }
            let caller = app.manager();
            let request = caller.request(method.parse().expect("a method"), &target);
            let answer = caller.send(request).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
            let mut allowed: Vec<&str> = answer.header("allow").expect("a header").split(',').collect();
            allowed.sort_unstable();
            assert_eq!(allowed, documented, "{method} {path}");
            if method != "HEAD" {
                check_refused(method, &answer);
                assert_eq!(answer.reason(), "method_not_allowed");
            }
            sent += 1;
        }
    }
    println!("{sent} methods that are not there");
});
