//! OpenDSR: the specification's own messages, signatures, callbacks on every change of status, and what is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::processor::{DOMAIN, is_signed};
use crate::harness::stage::random_id;
use crate::harness::world;

const WAIT_S: i64 = 3_600;
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The request of the specification's section 7.2, member by member. As it is printed there, a comma stands before the
/// end of an object, which JSON does not have.
fn example() -> Value {
    json!({
        "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
        "subject_request_type": "erasure",
        "submitted_time": "2018-10-02T15:00:00Z",
        "subject_identities": [
            {"identity_type": "email", "identity_value": "johndoe@example.com", "identity_format": "raw"}
        ],
        "api_version": "1.0",
        "status_callback_urls": ["https://examplecontroller.com/opendsr_callbacks"],
        "extensions": {
            "example-processor.com": {"foo-processor-custom-id": 123_456, "property_id": "123456"},
            "example-other-processor.com": {"foo-other-processor-custom-id": 654_321}
        }
    })
}

fn request(kind: &str, customer: &str, callbacks: &[String]) -> Value {
    json!({
        "regulation": "gdpr",
        "subject_request_id": random_id(),
        "subject_request_type": kind,
        "submitted_time": "2026-11-20T15:00:00Z",
        "subject_identities": [{"identity_type": "controller_customer_id", "identity_value": customer,
            "identity_format": "raw"}],
        "api_version": "2.0",
        "status_callback_urls": callbacks
    })
}

/// The reply is from our domain and signed over its very bytes.
#[track_caller]
fn check_signed(answer: &Answer, name: &str) {
    let header = |end: &str| {
        answer
            .header(&format!("x-{name}-{end}"))
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(header("processor-domain"), DOMAIN);
    assert!(is_signed(&answer.body, &header("signature")), "{}", answer.text());
    let mut other = answer.body.clone();
    other.push(b' ');
    assert!(!is_signed(&other, &header("signature")), "of these bytes only");
}

/// An error in the specification's form, which names nobody.
#[track_caller]
fn check_refused(answer: &Answer, status: u16, parameter: &str) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["error"]["code"]),
        (status, &json!(status)),
        "{body}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(body["parameter"], parameter, "{body}");
    assert!(body["error"]["errors"][0]["message"].is_string(), "{body}");
    assert!(!answer.text().contains("canary"), "{body}");
}

async fn cancel(app: &TestApp, path: &str) -> Answer {
    let caller = app.privacy();
    caller.send(caller.request(Method::DELETE, path)).await
}

/// Takes one callback and answers it; returns its head and its body.
async fn callback(listener: &TcpListener, with: &str) -> (String, String) {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut text = String::new();
    loop {
        let mut more = [0; 4_096];
        let count = stream.read(&mut more).await.expect("read");
        text.push_str(std::str::from_utf8(&more[..count]).expect("text"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length.and_then(|text| text.parse().ok()) == Some(body.len()) {
            break;
        }
    }
    stream.write_all(with.as_bytes()).await.expect("written");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// A header's value, whatever the case of its name.
fn value<'h>(head: &'h str, name: &str) -> &'h str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).unwrap_or_default()
}

/// Sends what is due to a listener; returns what it heard.
async fn heard(app: &TestApp, listener: &TcpListener, count: usize) -> Vec<(String, Value)> {
    let taking = async {
        let mut taken = Vec::new();
        for _ in 0..count {
            let (head, body) = callback(listener, NO_CONTENT).await;
            let signature = value(&head, "x-opendsr-signature");
            assert!(is_signed(body.as_bytes(), signature), "{head}");
            assert_eq!(value(&head, "x-opendsr-processor-domain"), DOMAIN);
            assert_eq!(value(&head, "content-type"), "application/json");
            taken.push((body.clone(), serde_json::from_str(&body).expect("JSON")));
        }
        taken
    };
    let (sent, taken) = tokio::join!(app.send_callbacks(), taking);
    assert_eq!(sent, count);
    taken
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    (listener, format!("http://{at}/opendsr_callbacks"))
}

both!(
    the_specifications_own_messages_are_answered_as_it_says,
    async |app: &TestApp| {
        let discovery = app.anonymous().get("/v2/discovery").await.json();
        assert_eq!(
            (&discovery["api_version"], &discovery["processor_certificate"]),
            (&json!("2.0"), &json!("https://example-processor.com/cert.pem"))
        );
        let created = app.privacy().post("/v2/requests", &example()).await;
        assert_eq!(created.status, 201, "{}", created.text());
        check_signed(&created, "opendsr");
        let body = created.json();
        assert_eq!(body["subject_request_id"], example()["subject_request_id"]);
        let sent = STANDARD
            .decode(body["encoded_request"].as_str().expect("base64"))
            .expect("base64");
        assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), example());
        assert!(
            body["controller_id"]
                .as_str()
                .is_some_and(|id| id.starts_with("tnt_"))
        );

        let path = "/v2/requests/a7551968-d5d6-44b2-9831-815ac9017798";
        let status = app.privacy().get(path).await;
        check_signed(&status, "opendsr");
        assert_eq!(
            (status.status, status.member("request_status")),
            (200, "pending".to_owned())
        );
        check_refused(
            &app.privacy().post("/v2/requests", &example()).await,
            400,
            "subject_request_id",
        );

        let cancelled = cancel(app, path).await;
        check_signed(&cancelled, "opendsr");
        assert_eq!(cancelled.status, 202);
        assert_eq!(
            app.privacy().get(path).await.member("request_status"),
            "cancelled"
        );
        check_refused(&cancel(app, path).await, 400, "subject_request_id");

        // As it is printed.
        let text = example().to_string();
        let printed = text.replace("\"property_id\":\"123456\"}", "\"property_id\":\"123456\",}");
        assert_ne!(text, printed);
        let caller = app.privacy();
        let sending = caller
            .request(Method::POST, "/v2/requests")
            .header("content-type", "application/json");
        let refused = caller.send(sending.body(printed)).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!(400))
        );
    }
);

both!(
    every_change_of_status_is_told_and_names_nobody,
    async |app: &TestApp| {
        let token = app.token("Ab3xK9").await;
        let order = async |id: &str| {
            let pairs = [
                ("token", token.as_str()),
                ("order_id", id),
                ("customer_ref", "canary"),
                ("consent", "1"),
            ];
            app.shop().postback(&pairs).await
        };
        order("A-1").await.is(200, "recorded", "accepted");
        let (listener, url) = listener().await;
        let access = request("access", "canary", std::slice::from_ref(&url));
        assert_eq!(app.privacy().post("/v2/requests", &access).await.status, 201);
        let told = heard(app, &listener, 1).await;
        assert_eq!(told[0].1["request_status"], "pending");
        assert_eq!(told[0].1["status_callback_url"], json!(url));
        assert_eq!(told[0].1["subject_request_id"], access["subject_request_id"]);

        // Not before its time, and then by itself.
        app.clock.advance_seconds(WAIT_S - 1);
        assert_eq!(app.work_on_requests().await, 0);
        app.clock.advance_seconds(1);
        assert_eq!(app.work_on_requests().await, 1);
        let told = heard(app, &listener, 2).await;
        let mut words: Vec<&str> = told
            .iter()
            .filter_map(|(_, body)| body["request_status"].as_str())
            .collect();
        words.sort_unstable();
        assert_eq!(words, ["completed", "in_progress"]);
        assert!(told.iter().all(|(text, _)| !text.contains("canary")));
        let ended = told
            .iter()
            .find(|(_, body)| body["request_status"] == "completed");
        let ended = &ended.expect("told").1;
        assert_eq!(ended["results_count"], 2);
        let results = ended["results_url"].as_str().expect("a URL");
        let path = results
            .strip_prefix("https://example-processor.com")
            .expect("on our domain");
        let shown = app.privacy().get(&format!("{path}?reason=answer")).await;
        assert_eq!(shown.json()["held"], true, "{}", shown.text());

        let erasure = request("erasure", "canary", std::slice::from_ref(&url));
        assert_eq!(app.privacy().post("/v2/requests", &erasure).await.status, 201);
        app.clock.advance_seconds(WAIT_S);
        assert_eq!(app.work_on_requests().await, 1);
        heard(app, &listener, 3).await;
        order("A-2").await.is(410, "refused", "consent_withdrawn");
        assert_eq!(app.ledger.count("erasure", "door = 'opendsr'").await, 1);

        // One that is taken back tells that, too.
        let taken_back = request("erasure", "someone", &[url]);
        app.privacy().post("/v2/requests", &taken_back).await;
        let id = taken_back["subject_request_id"].as_str().expect("an id");
        assert_eq!(cancel(app, &format!("/v2/requests/{id}")).await.status, 202);
        let told = heard(app, &listener, 2).await;
        assert!(told.iter().any(|(_, body)| body["request_status"] == "cancelled"));
        assert_eq!(app.ledger.count("subject_request_callback", "1 = 1").await, 0);
        app.clock.advance_seconds(WAIT_S);
        assert_eq!(app.work_on_requests().await, 0, "it is never carried out");
    }
);

both!(
    a_callback_that_fails_is_tried_again_and_given_up_in_the_end,
    async |app: &TestApp| {
        let (listener, url) = listener().await;
        let body = request("erasure", "someone", &[url]);
        app.privacy().post("/v2/requests", &body).await;
        // After a minute, and then after longer and longer waits.
        for wait_s in [0, 60, 300, 900, 3_600, 10_800, 28_800, 86_400] {
            if wait_s > 0 {
                app.clock.advance_seconds(wait_s - 1);
                assert_eq!(app.send_callbacks().await, 0, "{wait_s}: not a second early");
                app.clock.advance_seconds(1);
            }
            let (sent, _) = tokio::join!(app.send_callbacks(), callback(&listener, FAILED));
            assert_eq!(sent, 0);
        }
        assert_eq!(app.ledger.count("subject_request_callback", "1 = 1").await, 0);
        assert_eq!(app.ledger.leaves("\"given_up\"").await, 1);
    }
);

both!(the_old_name_is_answered_by_the_old_name, async |app: &TestApp| {
    assert_eq!(
        app.anonymous().get("/discovery").await.member("api_version"),
        "0.1"
    );
    let (listener, url) = listener().await;
    let mut body = request("erasure", "someone", &[url]);
    body.as_object_mut().expect("an object").remove("regulation");
    let created = app.privacy().post("/opengdpr_requests", &body).await;
    assert_eq!(created.status, 201, "{}", created.text());
    check_signed(&created, "opengdpr");
    let id = body["subject_request_id"].as_str().expect("an id");
    let path = format!("/opengdpr_requests/{id}");
    check_signed(&app.privacy().get(&path).await, "opengdpr");
    let (sent, (head, body)) = tokio::join!(app.send_callbacks(), callback(&listener, NO_CONTENT));
    assert_eq!(sent, 1);
    assert!(
        is_signed(body.as_bytes(), value(&head, "x-opengdpr-signature")),
        "{head}"
    );
    let cancelled = cancel(app, &path).await;
    assert_eq!(cancelled.status, 202);
    check_signed(&cancelled, "opengdpr");
});

fn strict() -> Setup {
    Setup::default().options(|options| options.requests.opendsr_allow_private = Some(false))
}

both!(
    what_is_forged_malformed_or_leads_inside_is_refused,
    strict(),
    async |app: &TestApp| {
        let before = app.ledger.totals().await;
        let with = |member: &str, value: Value| {
            let mut body = request("erasure", "canary", &[]);
            body[member] = value;
            body
        };
        let identity = |kind: &str, format: &str| json!([{"identity_type": kind, "identity_value": "canary", "identity_format": format}]);
        for (body, parameter) in [
            (with("subject_request_id", json!("canary")), "subject_request_id"),
            (
                with(
                    "subject_request_id",
                    json!("01a0b1c2-d3e4-7f00-a1b2-c3d4e5f60718"),
                ),
                "subject_request_id",
            ),
            (
                with(
                    "subject_request_id",
                    json!("A7551968-D5D6-44B2-9831-815AC9017798"),
                ),
                "subject_request_id",
            ),
            (
                with("subject_request_type", json!("rectification")),
                "subject_request_type",
            ),
            (with("regulation", json!("canary")), "regulation"),
            (
                with("submitted_time", json!("2018 10 02T15:00:01Z")),
                "submitted_time",
            ),
            (
                with("submitted_time", json!("2030-01-01T00:00:00Z")),
                "submitted_time",
            ),
            (with("subject_identities", json!([])), "subject_identities"),
            (
                with("subject_identities", identity("canary_id", "raw")),
                "subject_identities",
            ),
            (
                with("subject_identities", identity("email", "rot13")),
                "subject_identities",
            ),
            (
                with("subject_identities", identity("controller_customer_id", "sha256")),
                "subject_identities",
            ),
            (
                with("extensions", json!({DOMAIN: {"tokens": "canary"}})),
                "extensions",
            ),
        ] {
            check_refused(&app.privacy().post("/v2/requests", &body).await, 400, parameter);
        }
        for url in [
            "http://controller.example/",
            "https://127.0.0.1/canary",
            "https://[::1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest",
            "https://localhost/",
            "https://user@controller.example/",
            "canary",
        ] {
            let body = with("status_callback_urls", json!([url]));
            let answer = app.privacy().post("/v2/requests", &body).await;
            check_refused(&answer, 400, "status_callback_urls");
        }
        let unknown = format!("/v2/requests/{}", random_id());
        let answer = app.privacy().get(&unknown).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!(404))
        );
        check_refused(
            &app.privacy().get("/v2/requests/canary").await,
            400,
            "subject_request_id",
        );
        // Nobody but the controller, and no other tenant's.
        let body = request("erasure", "canary", &[]);
        for key in [world::MANAGER, world::SHOP, world::AUDITOR] {
            let answer = app.holder(key).post("/v2/requests", &body).await;
            answer.is(403, "refused", "forbidden");
        }
        app.anonymous()
            .post("/v2/requests", &body)
            .await
            .is(401, "refused", "unauthenticated");
        assert_eq!(app.ledger.totals().await, before, "something was written");
    }
);

both!(a_name_in_our_extension_is_a_name, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    let pairs = [("token", token.as_str()), ("order_id", "A-1"), ("consent", "1")];
    app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
    let mut body = request("erasure", "nobody", &[]);
    body["subject_identities"] = json!([]);
    body["extensions"] = json!({DOMAIN: {"orders": [{"order_id": "A-1"}]}, "other.example": {"orders": 7}});
    assert_eq!(app.privacy().post("/v2/requests", &body).await.status, 201);
    app.clock.advance_seconds(WAIT_S);
    assert_eq!(app.work_on_requests().await, 1);
    let late = [("token", token.as_str()), ("order_id", "A-2"), ("consent", "1")];
    app.shop()
        .postback(&late)
        .await
        .is(410, "refused", "consent_withdrawn");
});

fn without() -> Setup {
    Setup::default()
        .options(|options| options.requests = einklang::app::config::requests::RequestOptions::default())
}

both!(
    where_it_is_not_set_up_there_is_nothing,
    without(),
    async |app: &TestApp| {
        for path in ["/v2/discovery", "/discovery"] {
            assert_eq!(app.anonymous().get(path).await.status, 404);
        }
        let answer = app.privacy().post("/v2/requests", &example()).await;
        assert_eq!((answer.status, answer.reason()), (404, "not_found".to_owned()));
    }
);
