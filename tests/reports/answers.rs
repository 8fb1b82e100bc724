//! Reports as they are answered over HTTP: what was lost, tables as files, and questions that cannot be answered.

use einklang::domain::ids::{CampaignId, PublisherId};
use http::{StatusCode, header};
use serde_json::json;

use super::world::{CAMPAIGN, PUBLISHER, TENANT, World, conversions, id, manager, shop};
use super::{NOON, busy_world};

#[tokio::test]
async fn the_consent_report_counts_what_was_lost_and_why() {
    let world = busy_world().await;
    let answer = world.get(manager(), "/v1/reports/consent").await.json();
    assert_eq!(answer["group_by"], json!(["day", "campaign", "reason"]));
    let found: Vec<_> = answer["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            assert_eq!(row["day"], "2026-11-24");
            json!([
                row["campaign"]["slug"],
                row["reason"],
                row["untracked_clicks"],
                row["refused_postbacks"],
                row["dropped_postbacks"]
            ])
        })
        .collect();
    assert_eq!(
        found,
        [
            json!([null, "consent_missing", 7, 0, 0]),
            json!([null, "no_token", 0, 6, 0]),
            json!(["autumn", "consent_denied", 42, 3, 0]),
            json!(["winter", "bot", 5, 0, 0]),
            json!(["winter", "outside_window", 0, 0, 2]),
        ]
    );
    let totals = json!({ "untracked_clicks": 54, "refused_postbacks": 9, "dropped_postbacks": 2 });
    assert_eq!(answer["totals"], totals);
    let campaign = CampaignId(id(TENANT, CAMPAIGN, 1));
    let path = format!("/v1/reports/consent?group_by=reason&campaign={campaign}&format=csv");
    assert_eq!(
        world.get(manager(), &path).await.body,
        "line,reason,untracked_clicks,refused_postbacks,dropped_postbacks\r\n\
         row,consent_denied,42,3,0\r\ntotal,,42,3,0\r\n"
    );
    // Counted by campaign only: no shop's part can be told from the rest.
    let answer = world.get(shop(1), "/v1/reports/consent").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_csv_file_has_one_table_with_numbers_that_stay_numbers() {
    let world = busy_world().await;
    world
        .count(1, conversions(NOON, [1, 2, 2], 1, "pending", (-1, -5)))
        .await;
    let path = "/v1/reports/performance?from=2026-11-24&to=2026-11-24&group_by=day,publisher&format=csv";
    let answer = world.get(manager(), path).await;
    assert_eq!(answer.status, StatusCode::OK);
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(
        header(header::CONTENT_TYPE),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        header(header::CONTENT_DISPOSITION),
        Some("attachment; filename=\"performance-2026-11-24-2026-11-24.csv\"")
    );
    assert_eq!(header(header::CACHE_CONTROL), Some("no-store"));
    let (news, blog) = (
        PublisherId(id(TENANT, PUBLISHER, 1)),
        PublisherId(id(TENANT, PUBLISHER, 2)),
    );
    let expected = [
        "line,day,publisher_id,publisher,clicks,pending,confirmed,cancelled,duplicates,conversion_rate,\
         revenue_pending_EUR,revenue_confirmed_EUR,refused_consent_denied,refused_no_token,dropped_outside_window"
            .to_owned(),
        format!("row,2026-11-24,{news},news,110,0,26,0,0,0.2364,0.00,260.00,,,"),
        format!("row,2026-11-24,{blog},blog,40,-1,4,0,0,0.0750,-0.05,40.00,,,"),
        "unattributed,2026-11-24,,,,,,,,,,,3,6,2".to_owned(),
        "total,,,,150,-1,30,0,0,0.1933,-0.05,300.00,,,".to_owned(),
    ];
    let lines: Vec<&str> = answer.body.split_terminator("\r\n").collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_names_the_parameter() {
    let world = World::new().await;
    let table = [
        ("performance?from=24.11.2026", "from"),
        ("performance?to=2026-02-30", "to"),
        ("performance?from=2026-11-24&to=2026-11-23", "from"),
        ("performance?from=2025-01-01", "from"),
        ("performance?group_by=day,day", "group_by"),
        ("performance?group_by=reason", "group_by"),
        ("performance?group_by=", "group_by"),
        ("performance?campaign=autumn", "campaign"),
        ("performance?link=cmp_0193f1d2a7c47b0e8a1f5c3d2e4b6a71", "link"),
        ("performance?format=xml", "format"),
        ("performance?day=2026-11-24", "day"),
        ("performance?from=2026-11-01&from=2026-11-02", "from"),
        (
            "consent?publisher=pub_0193f1d2a7c47b0e8a1f5c3d2e4b6a71",
            "publisher",
        ),
        ("consent?group_by=link", "group_by"),
    ];
    for (question, parameter) in table {
        let answer = world.get(manager(), &format!("/v1/reports/{question}")).await;
        assert_eq!(answer.parameter(), Some(parameter), "{question}");
    }
    // Days far from any counter are fine, and empty.
    for path in ["from=0001-01-01&to=0001-01-02", "from=9999-12-30&to=9999-12-31"] {
        let answer = world
            .get(manager(), &format!("/v1/reports/performance?{path}"))
            .await;
        assert_eq!(answer.json()["rows"], json!([]), "{path}");
    }
}
