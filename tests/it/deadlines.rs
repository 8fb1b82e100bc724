//! Deadlines as the API shows them: the calendar of the tenant's time zone, public holidays, extensions, and who is late.

use std::io::Write;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::harness::app::{Setup, TestApp};

const PATH: &str = "/v1/subject-requests";
const DAY: i64 = 86_400;

async fn taken(app: &TestApp, body: Value) -> Value {
    let answer = app.privacy().post(PATH, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn extended(app: &TestApp, case: &Value) -> crate::harness::client::Answer {
    let path = format!("{PATH}/{}", case["id"].as_str().expect("an id"));
    let body = json!({"extension": {"reason": "complexity"}});
    app.privacy().patch(&path, &body).await
}

both!(
    a_deadline_is_a_month_of_the_calendar_in_the_tenants_time_zone,
    async |app: &TestApp| {
        // acme's days are those of Berlin.
        for (submitted, holidays, due_on, due_at) in [
            (
                "2026-01-31T12:00:00+01:00",
                json!([]),
                "2026-03-02",
                "2026-03-02T23:00:00.000Z",
            ),
            (
                "2024-01-31T12:00:00+01:00",
                json!([]),
                "2024-02-29",
                "2024-02-29T23:00:00.000Z",
            ),
            (
                "2025-01-31T12:00:00+01:00",
                json!([]),
                "2025-02-28",
                "2025-02-28T23:00:00.000Z",
            ),
            // A Saturday; and the same with a holiday on Monday.
            (
                "2026-09-17T12:00:00+02:00",
                json!([]),
                "2026-10-19",
                "2026-10-19T22:00:00.000Z",
            ),
            (
                "2026-09-17T12:00:00+02:00",
                json!(["2026-10-19"]),
                "2026-10-20",
                "2026-10-20T22:00:00.000Z",
            ),
            // Half past eleven in the evening, UTC, is another day in Berlin.
            (
                "2026-06-16T23:30:00Z",
                json!([]),
                "2026-07-17",
                "2026-07-17T22:00:00.000Z",
            ),
            // From winter into summer.
            (
                "2026-03-12T12:00:00+01:00",
                json!([]),
                "2026-04-13",
                "2026-04-13T22:00:00.000Z",
            ),
        ] {
            let body =
                json!({"kind": "access", "token": "a", "submitted_at": submitted, "holidays": holidays});
            let case = taken(app, body).await;
            assert_eq!(
                (&case["due_on"], &case["due_at"]),
                (&json!(due_on), &json!(due_at)),
                "{submitted}"
            );
        }
    }
);

both!(
    an_extension_is_two_months_from_the_receipt_and_made_in_time,
    async |app: &TestApp| {
        // Received on 24 November: due on 24 December, a Thursday.
        let case = taken(app, json!({"kind": "access", "token": "a"})).await;
        assert_eq!(case["due_on"], "2026-12-24");
        let longer = extended(app, &case).await.json();
        assert_eq!(
            (&longer["request"]["due_on"], &longer["request"]["extension"]),
            (&json!("2027-02-24"), &json!("complexity"))
        );
        extended(app, &case).await.is(409, "refused", "conflict");
        let late = taken(app, json!({"kind": "access", "token": "b"})).await;
        app.clock.advance_seconds(31 * DAY);
        let refused = extended(app, &late).await;
        refused.is(409, "refused", "conflict");
        assert_eq!(refused.member("parameter"), "extension");
    }
);

both!(what_is_late_or_nearly_so_is_seen, async |app: &TestApp| {
    for token in ["a", "b", "c"] {
        taken(app, json!({"kind": "access", "token": token})).await;
    }
    let look = async |filter: &str| {
        let page = app.manager().get(&format!("{PATH}?{filter}")).await.json();
        let items = page["items"].as_array().expect("items").len();
        (items, page["counts"].clone())
    };
    let counts =
        |open: u64, soon: u64, overdue: u64| json!({"open": open, "due_soon": soon, "overdue": overdue});
    assert_eq!(look("overdue=true").await, (0, counts(3, 0, 0)));
    assert_eq!(look("due_before=2026-12-01T00:00:00Z").await.0, 0);
    assert_eq!(look("due_before=2027-01-01T00:00:00Z").await.0, 3);
    let page = app.privacy().get(&format!("{PATH}?limit=2")).await.json();
    let cursor = page["next_cursor"].as_str().expect("another page");
    let rest = app.privacy().get(&format!("{PATH}?cursor={cursor}")).await.json();
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    let first = page["items"][0]["id"].as_str().expect("an id").to_owned();
    let done = app
        .privacy()
        .post(&format!("{PATH}/{first}/execution"), &json!({}))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(look("status=completed").await, (1, counts(2, 0, 0)));
    // Due at the end of 24 December in Berlin: 23:00 UTC. It is noon of 24 November.
    app.clock.advance_seconds(23 * DAY + 11 * 3_600 - 1);
    assert_eq!(look("overdue=true").await, (0, counts(2, 0, 0)));
    app.clock.advance_seconds(1);
    assert_eq!(look("overdue=true").await, (0, counts(2, 2, 0)));
    app.clock.advance_seconds(7 * DAY - 1);
    assert_eq!(look("overdue=true").await, (0, counts(2, 2, 0)));
    app.clock.advance_seconds(1);
    assert_eq!(look("overdue=true").await, (2, counts(2, 0, 2)));
});

fn with_christmas() -> Setup {
    let mut file = NamedTempFile::new().expect("a file");
    writeln!(
        file,
        "[holidays]\nacme = [\"2026-12-24\", \"2026-12-25\", \"2026-12-26\"]"
    )
    .expect("written");
    let (_, path) = file.keep().expect("kept");
    Setup::default().options(|options| options.config = Some(path))
}

both!(
    configured_holidays_move_a_deadline,
    with_christmas(),
    async |app: &TestApp| {
        // The 24th and 25th are holidays, the 26th and 27th a weekend.
        let case = taken(app, json!({"kind": "access", "token": "a"})).await;
        assert_eq!(case["due_on"], "2026-12-28");
        let more = json!({"kind": "access", "token": "a", "holidays": ["2026-12-28"]});
        assert_eq!(taken(app, more).await["due_on"], "2026-12-29");
    }
);
