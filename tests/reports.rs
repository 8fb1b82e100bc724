//! Reports over a real database: counters of several lanes and tenants in, rows and totals out.

#![expect(
    clippy::expect_used,
    reason = "the helpers of a test may fail where they stand, too"
)]

#[path = "reports/answers.rs"]
mod answers;
#[path = "reports/world.rs"]
mod world;

use std::collections::BTreeMap;

use einklang::domain::campaign::{day_text, local_day};
use einklang::domain::ids::{CampaignId, GoalId, LinkId, PublisherId};
use einklang::domain::refusal::Reason;
use einklang::domain::report::Dimension::{Campaign, Day, Goal, Link, Publisher};
use einklang::domain::report::figures::{Counts, Performance};
use einklang::domain::report::period::parse_day;
use einklang::domain::report::{Dimension, Report};
use einklang::flow::FlowError;
use einklang::flow::report::Question;
use einklang::store::batch::counters::Counters;
use http::StatusCode;
use serde_json::json;
use world::{
    CAMPAIGN, GOAL, LINK, OTHER_TENANT, PUBLISHER, TENANT, World, clicks, conversions, id, manager,
    publisher, question, shop, traffic,
};

const NOON: &str = "2026-11-24T12:00:00+01:00";

/// Rows as (slugs or day, counts).
fn rows(report: &Report<Performance>) -> Vec<(Vec<String>, Counts)> {
    let shown = |row: &einklang::domain::report::key::Row<_>| {
        let part = |dimension: &Dimension| match dimension {
            Day => day_text(row.key.number(Day).unwrap_or_default()),
            object => report
                .object(*object, &row.key)
                .map_or_else(|| "-".to_owned(), |name| name.slug.clone()),
        };
        report.group_by.iter().map(part).collect()
    };
    let found = report.answer.rows.iter();
    found.map(|row| (shown(row), row.figures.counts)).collect()
}

fn of_clicks(clicks: i64) -> Counts {
    Counts {
        clicks,
        ..Counts::default()
    }
}

fn days(from: &str, to: &str) -> Question {
    Question {
        from_day: parse_day(from),
        to_day: parse_day(to),
        ..question(&[Day])
    }
}

#[tokio::test]
async fn a_day_has_the_tenants_hours_and_the_lanes_of_all_writers() {
    let world = World::new().await;
    // On 2026-10-25 the clocks go back: the day lasts 25 hours, on 2026-03-29 it lasted 23.
    let at = [
        ("2026-10-24T23:45:00+02:00", 1),
        ("2026-10-25T00:00:00+02:00", 10),
        ("2026-10-25T02:30:00+02:00", 100),
        ("2026-10-25T02:30:00+01:00", 1_000),
        ("2026-10-25T23:45:00+01:00", 10_000),
        ("2026-10-26T00:00:00+01:00", 5),
        ("2026-03-29T00:00:00+01:00", 2),
        ("2026-03-29T23:45:00+02:00", 3),
    ];
    for (time, events) in at {
        for lane in [0, 1, 7] {
            world.count(lane, clicks(time, [1, 1, 1], events)).await;
        }
    }
    let ask = async |from, to| {
        let report = world.flow.performance(&manager(), &days(from, to)).await;
        rows(&report.expect("a report"))
    };
    let row = |day: &str, clicks: i64| (vec![day.to_owned()], of_clicks(3 * clicks));
    assert_eq!(ask("2026-10-25", "2026-10-25").await, [row("2026-10-25", 11_110)]);
    assert_eq!(
        ask("2026-03-01", "2026-11-24").await,
        [
            row("2026-03-29", 5),
            row("2026-10-24", 1),
            row("2026-10-25", 11_110),
            row("2026-10-26", 5)
        ]
    );
}

#[tokio::test]
async fn a_year_of_quarter_hours_falls_on_the_days_of_the_clock_on_the_wall() {
    let world = World::new().await;
    let berlin: chrono_tz::Tz = "Europe/Berlin".parse().expect("known");
    let mut counters = Counters::default();
    let mut expected = BTreeMap::new();
    let (first, last) = (parse_day("2026-01-01"), parse_day("2026-12-31"));
    let (first, last) = (first.expect("a day"), last.expect("a day"));
    for quarter in ((first - 1) * 96..(last + 2) * 96).step_by(5) {
        let key = (TENANT, quarter, 1, 1, 1, 1, 0, "", "click");
        counters.hours.insert(key, (quarter % 7, 0));
        let day = local_day(quarter * 900_000, berlin);
        if (first..=last).contains(&day) {
            *expected.entry(day_text(day)).or_insert(0) += quarter % 7;
        }
    }
    world.count(0, counters).await;
    let report = world
        .flow
        .performance(&manager(), &days("2026-01-01", "2026-12-31"))
        .await;
    let found: BTreeMap<String, i64> = rows(&report.expect("a report"))
        .into_iter()
        .map(|(key, counts)| (key.concat(), counts.clicks))
        .collect();
    assert_eq!(found.len(), 365);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_change_of_status_on_another_node_moves_count_and_amount() {
    let world = World::new().await;
    world.count(0, clicks(NOON, [1, 1, 1], 8)).await;
    world
        .count(0, conversions(NOON, [1, 1, 1], 1, "pending", (2, 9_980)))
        .await;
    world
        .count(3, conversions(NOON, [1, 1, 1], 1, "pending", (-1, -4_990)))
        .await;
    world
        .count(3, conversions(NOON, [1, 1, 1], 1, "confirmed", (1, 3_990)))
        .await;
    world
        .count(3, conversions(NOON, [1, 1, 1], 1, "duplicate", (4, 0)))
        .await;
    world
        .count(
            0,
            traffic(TENANT, NOON, [1, 1, 1], 1, "JPY", "confirmed", (1, 500)),
        )
        .await;
    world
        .count(0, conversions(NOON, [1, 1, 1], 1, "cancelled", (1, 777)))
        .await;
    let answer = world.get(manager(), "/v1/reports/performance").await.json();
    let figures = json!({
        "clicks": 8,
        "conversions": { "pending": 1, "confirmed": 2, "cancelled": 1 },
        "duplicates": 4,
        "refused": [],
        "dropped": [],
        "revenue": {
            "pending": [{ "amount_minor": 4_990, "currency": "EUR" }],
            "confirmed": [
                { "amount_minor": 3_990, "currency": "EUR" },
                { "amount_minor": 500, "currency": "JPY" },
            ],
        },
        "conversion_rate": "0.3750",
    });
    let mut row = figures.clone();
    row["day"] = json!("2026-11-24");
    let expected = json!({
        "from": "2026-10-26",
        "to": "2026-11-24",
        "time_zone": "Europe/Berlin",
        "group_by": ["day"],
        "rows": [row],
        "totals": figures,
    });
    assert_eq!(answer, expected);
}

/// Clicks, conversions and refusals of both campaigns, both publishers and another tenant.
async fn busy_world() -> World {
    let world = World::new().await;
    for (of, events) in [([1, 1, 1], 100), ([1, 2, 2], 40), ([2, 1, 3], 10)] {
        world.count(0, clicks(NOON, of, events)).await;
    }
    for (of, goal, events) in [
        ([1, 1, 1], 1, 5),
        ([1, 1, 1], 2, 20),
        ([1, 2, 2], 1, 4),
        ([2, 1, 3], 3, 1),
    ] {
        let sums = (events, events * 1_000);
        world
            .count(0, conversions(NOON, of, goal, "confirmed", sums))
            .await;
    }
    world
        .count(
            0,
            traffic(OTHER_TENANT, NOON, [1, 1, 1], 0, "", "click", (9_999, 0)),
        )
        .await;
    let day = parse_day("2026-11-24").expect("a day");
    let mut counters = Counters::default();
    for (tenant, campaign, outcome, reason, events) in [
        (TENANT, 1, "refused", Reason::ConsentDenied, 3),
        (TENANT, 2, "dropped", Reason::OutsideWindow, 2),
        (TENANT, 0, "refused", Reason::NoToken, 6),
        (OTHER_TENANT, 1, "refused", Reason::ConsentDenied, 9_999),
    ] {
        // A postback without a token still comes from a shop: the first.
        let shop = campaign.max(1);
        let key = (tenant, day, shop, campaign, outcome, reason.code());
        counters.refused.insert(key, events);
    }
    for (tenant, campaign, reason, version, events) in [
        (TENANT, 1, "consent_denied", 1, 30),
        (TENANT, 1, "consent_denied", 2, 12),
        (TENANT, 2, "bot", 1, 5),
        (TENANT, 0, "consent_missing", 1, 7),
        (OTHER_TENANT, 1, "consent_denied", 1, 9_999),
    ] {
        counters
            .untracked
            .insert((tenant, day, campaign, reason, version), events);
    }
    world.count(0, counters).await;
    world
}

#[tokio::test]
async fn each_key_sees_its_own_figures_only() {
    let world = busy_world().await;
    let ask = async |principal| {
        let report = world
            .flow
            .performance(&principal, &question(&[Campaign, Publisher]))
            .await;
        let report = report.expect("a report");
        let clicks = rows(&report)
            .into_iter()
            .map(|(key, counts)| (key.join(" "), counts.clicks));
        (clicks.collect::<Vec<_>>(), report.answer.unattributed)
    };
    let row = |key: &str, clicks| (key.to_owned(), clicks);
    let (all, apart) = ask(manager()).await;
    assert_eq!(
        all,
        [
            row("autumn news", 100),
            row("autumn blog", 40),
            row("winter news", 10)
        ]
    );
    assert_eq!(apart.expect("apart").len(), 3);
    let (own, apart) = ask(shop(2)).await;
    assert_eq!(own, [row("winter news", 10)]);
    let apart = apart.expect("apart");
    assert_eq!(apart.len(), 1);
    assert_eq!(apart[0].figures.dropped[&Reason::OutsideWindow], 2);
    let (own, apart) = ask(publisher(2)).await;
    assert_eq!(own, [row("autumn blog", 40)]);
    assert_eq!(apart, None, "what a shop refuses is not a publisher's business");
    // Not in rows that could hold it either.
    let answer = world.get(publisher(1), "/v1/reports/performance").await.json();
    assert_eq!(answer["totals"]["clicks"], 110);
    assert_eq!(answer["totals"].get("refused"), None);
    assert_eq!(answer["rows"][0].get("dropped"), None);
}

#[tokio::test]
async fn objects_of_others_do_not_exist() {
    let world = busy_world().await;
    let campaign = |tenant, number| format!("campaign={}", CampaignId(id(tenant, CAMPAIGN, number)));
    let link = |number| format!("link={}", LinkId(id(TENANT, LINK, number)));
    let goal = |number| format!("goal={}", GoalId(id(TENANT, GOAL, number)));
    let of = |tenant, number| format!("publisher={}", PublisherId(id(tenant, PUBLISHER, number)));
    let table = [
        (manager(), campaign(TENANT, 1), StatusCode::OK),
        (manager(), campaign(TENANT, 9), StatusCode::NOT_FOUND),
        (manager(), campaign(OTHER_TENANT, 1), StatusCode::NOT_FOUND),
        (manager(), of(OTHER_TENANT, 1), StatusCode::NOT_FOUND),
        (shop(1), campaign(TENANT, 1), StatusCode::OK),
        (shop(1), campaign(TENANT, 2), StatusCode::NOT_FOUND),
        (shop(1), link(3), StatusCode::NOT_FOUND),
        (shop(1), goal(3), StatusCode::NOT_FOUND),
        (publisher(1), of(TENANT, 1), StatusCode::OK),
        (publisher(1), of(TENANT, 2), StatusCode::NOT_FOUND),
        (publisher(1), link(2), StatusCode::NOT_FOUND),
        (publisher(2), link(2), StatusCode::OK),
    ];
    for (principal, filter, expected) in table {
        let role = principal.role;
        let path = format!("/v1/reports/performance?{filter}");
        let answer = world.get(principal, &path).await;
        assert_eq!(answer.status, expected, "{role:?} {filter}");
    }
    let clash = format!("/v1/reports/performance?{}&{}", campaign(TENANT, 1), goal(3));
    assert_eq!(world.get(manager(), &clash).await.parameter(), Some("goal"));
    // A shop's or publisher's key that names none is refused rather than shown everything.
    for mut principal in [shop(1), publisher(1)] {
        (principal.shop, principal.publisher) = (None, None);
        let answer = world.get(principal, "/v1/reports/performance").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn refusals_stand_in_rows_by_campaign_and_apart_otherwise() {
    let world = busy_world().await;
    let path = "/v1/reports/performance?group_by=campaign";
    let answer = world.get(manager(), path).await.json();
    let refused: Vec<_> = answer["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            json!([
                row["campaign"]["slug"],
                row["clicks"],
                row["refused"],
                row["dropped"]
            ])
        })
        .collect();
    assert_eq!(
        refused,
        [
            json!([null, 0, [{ "reason": "no_token", "events": 6 }], []]),
            json!(["autumn", 140, [{ "reason": "consent_denied", "events": 3 }], []]),
            json!(["winter", 10, [], [{ "reason": "outside_window", "events": 2 }]]),
        ]
    );
    assert_eq!(answer.get("unattributed"), None);
    let path = format!(
        "/v1/reports/performance?group_by=day%2Clink&campaign={}",
        CampaignId(id(TENANT, CAMPAIGN, 1))
    );
    let answer = world.get(manager(), &path).await.json();
    assert_eq!(answer["rows"][0].get("refused"), None);
    assert_eq!(answer["totals"].get("refused"), None);
    let expected = json!([{
        "day": "2026-11-24",
        "refused": [{ "reason": "consent_denied", "events": 3 }],
        "dropped": [],
    }]);
    assert_eq!(answer["unattributed"], expected);
}

#[tokio::test]
async fn a_goals_rate_is_over_the_clicks_of_its_campaign() {
    let world = busy_world().await;
    let by_goal = world
        .flow
        .performance(&manager(), &question(&[Campaign, Goal]))
        .await
        .expect("a report");
    let found: Vec<_> = rows(&by_goal)
        .into_iter()
        .map(|(key, counts)| (key.join(" "), counts.clicks, counts.confirmed))
        .collect();
    let row = |key: &str, clicks, confirmed| (key.to_owned(), clicks, confirmed);
    assert_eq!(
        found,
        [
            row("autumn -", 140, 0),
            row("autumn order", 0, 9),
            row("autumn newsletter", 0, 20),
            row("winter -", 10, 0),
            row("winter order", 0, 1),
        ]
    );
    let filtered = Question {
        goal: Some(id(TENANT, GOAL, 1)),
        ..question(&[Link])
    };
    let report = world.flow.performance(&manager(), &filtered).await;
    let report = report.expect("a report");
    let totals = &report.answer.totals;
    assert_eq!((totals.counts.clicks, totals.counts.confirmed), (140, 9));
    assert_eq!(totals.conversion_rate.as_deref(), Some("0.0643"));
    assert_eq!(
        report.answer.rows[0].figures.conversion_rate.as_deref(),
        Some("0.0500")
    );
}

#[tokio::test]
async fn an_answer_of_too_many_rows_asks_for_a_narrower_question() {
    let world = World::new().await;
    let mut counters = Counters::default();
    let quarter = world::quarter(NOON);
    for link in 1..=10_001 {
        let key = (TENANT, quarter, 1, 1, 1, link, 0, "", "click");
        counters.hours.insert(key, (1, 0));
    }
    world.count(0, counters).await;
    let by_link = world.flow.performance(&manager(), &question(&[Link])).await;
    assert!(matches!(by_link, Err(FlowError::Invalid("group_by", _))));
    let by_day = world.flow.performance(&manager(), &question(&[Day])).await;
    assert_eq!(rows(&by_day.expect("a report"))[0].1, of_clicks(10_001));
}
