//! What every answer has, what is served beside the API, and what is not served at all.

use std::time::Duration;

use reqwest::Method;

use crate::harness::app::{Setup, TestApp};
use crate::harness::world;

both!(
    every_answer_names_its_request_and_is_guarded,
    async |app: &TestApp| {
        let visitor = app.visitor();
        for path in [
            "/c/Ab3xK9",
            "/c/nobody",
            "/postback",
            "/v1/nothing",
            "/livez",
            "/readyz",
            "/openapi.json",
            "/docs/",
        ] {
            let answer = visitor.get(path).await;
            let id = answer.header("x-request-id").expect("an id").to_owned();
            assert!(id.starts_with("req_") && id.len() == 36, "{id}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(
                policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
                "{path}: {policy}"
            );
            if answer.status >= 400 {
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/problem+json"),
                    "{path}"
                );
                assert_eq!(answer.member("request_id"), id, "{path}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            }
        }
    }
);

both!(what_is_not_there_is_a_problem_too, async |app: &TestApp| {
    let (visitor, shop) = (app.visitor(), app.shop());
    for path in ["/", "/v1", "/v2", "/metrics", "/c/a/b", "/postback/a/b", "/%00"] {
        visitor.get(path).await.is(404, "refused", "not_found");
    }
    for (method, path) in [
        (Method::DELETE, "/postback"),
        (Method::PUT, "/v1/conversions"),
        (Method::POST, "/livez"),
        (
            Method::DELETE,
            "/v1/conversions/cnv_00000000000070008000000000000000",
        ),
    ] {
        let answer = shop.send(shop.request(method.clone(), path)).await;
        answer.is(405, "refused", "method_not_allowed");
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
});

both!(
    health_tells_what_it_knows,
    Setup::default(),
    async |app: &TestApp| {
        let visitor = app.visitor();
        for path in ["/livez", "/readyz"] {
            let answer = visitor.get(path).await;
            assert_eq!(
                (answer.status, answer.member("status").as_str()),
                (200, "ok"),
                "{path}"
            );
        }
    }
);

both!(the_document_is_the_one_that_is_built, async |app: &TestApp| {
    let answer = app.visitor().get("/openapi.json").await;
    assert_eq!(
        (answer.status, answer.text()),
        (200, einklang::edge::openapi::text())
    );
    let page = app.visitor().get("/docs/").await;
    assert_eq!(page.status, 200);
    // Nothing comes from another host.
    assert!(!page.text().contains("//"), "{}", page.text());
});

both!(
    a_body_that_does_not_come_is_a_problem,
    Setup::default().limits(|limits| limits.body = Duration::from_millis(200)),
    async |app: &TestApp| {
        for path in ["/postback", "/v1/conversions", "/v1/consent-signals"] {
            for framing in [
                "Content-Length: 10\r\n\r\n{\"a",
                "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n",
            ] {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n",
                    world::SHOP
                );
                let request = format!("{head}Content-Type: application/json\r\n{framing}");
                let answer = app.raw(request.as_bytes()).await;
                answer.is(408, "refused", "timeout");
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                assert_eq!(answer.header("connection"), Some("close"));
                assert_eq!(
                    answer.header("x-request-id").map(str::to_owned),
                    Some(answer.member("request_id"))
                );
            }
        }
    }
);
