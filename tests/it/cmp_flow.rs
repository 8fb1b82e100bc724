//! From a consent platform's banner to the ledger: a publisher's page with a tracking link whose macros its ad server
//! replaces, or does not.
//!
//! The server knows a list of consent platforms and the history of the vendor's registrations, both as files that its
//! configuration names.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::harness::app::{Click, Setup, TestApp};
use crate::harness::clock::START_S;
use crate::harness::ledger::changes;
use crate::harness::tcf;

/// A platform on the list, one that was deleted a year ago, and one that nobody knows.
const LISTED: u16 = 31;
const DELETED: u16 = 300;
const UNKNOWN: u16 = 77;
const VENDOR: u16 = 755;
const DAY_S: i64 = 86_400;

/// Writes a file once for all tests of this run.
fn written(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("written");
    path
}

static CMP_LIST: LazyLock<PathBuf> = LazyLock::new(|| {
    let list = json!({"lastUpdated": "2026-11-20T00:00:00Z", "cmps": {
        "31": {"id": LISTED, "name": "listed", "isCommercial": true},
        "300": {"id": DELETED, "name": "deleted", "isCommercial": true, "deletedDate": "2025-11-24T00:00:00Z"},
    }});
    written("cmp-flow-list.json", &list.to_string())
});

/// Measurement was registered on 2026-06-01 only; from 2026-09-01 to the 10th it was registered on legitimate interest.
static REGISTRATIONS: LazyLock<PathBuf> = LazyLock::new(|| {
    let text = "[[vendor]]\nid = 755\nfrom = 2025-01-01\nuntil = 2026-06-01\nconsent = [1]\n\
        [[vendor]]\nid = 755\nfrom = 2026-06-01\nuntil = 2026-09-01\nconsent = [1, 7]\n\
        [[vendor]]\nid = 755\nfrom = 2026-09-01\nuntil = 2026-09-10\nconsent = [1]\nlegitimate_interest = [7]\n\
        [[vendor]]\nid = 755\nfrom = 2026-09-10\nconsent = [1, 7]\n";
    written("cmp-flow-registrations.toml", text)
});

fn with_list() -> Setup {
    Setup::default().options(|options| options.cmp_list_file = Some(CMP_LIST.clone()))
}

fn with_history() -> Setup {
    Setup::default().options(|options| options.vendor_registrations_file = Some(REGISTRATIONS.clone()))
}

/// The link as the publisher's page holds it, before the ad server fills it in.
const PAGE_LINK: &str = "gdpr=${GDPR}&gdpr_consent=${GDPR_CONSENT_755}";

/// The ad server's work.
fn replaced(string: &str) -> String {
    PAGE_LINK
        .replace("${GDPR}", "1")
        .replace("${GDPR_CONSENT_755}", string)
}

/// What the visitor answered in the banner, some days ago.
fn answered(cmp: u16, purposes: &[u32], days_ago: i64) -> String {
    tcf::by_cmp(cmp, VENDOR, purposes, START_S - days_ago * DAY_S)
}

/// Follows the link of a page; what changed in the database, by table.
async fn followed(app: &TestApp, query: &str) -> (Click, Vec<(String, i64)>) {
    let before = app.ledger.totals().await;
    let click = app.click("BlogAd", query).await;
    assert_eq!(click.answer.status, 302, "{query}");
    let changed = changes(&before, &app.ledger.totals().await);
    let changed = changed
        .into_iter()
        .map(|(table, change)| (table.to_owned(), change));
    (click, changed.collect())
}

/// Tracked: a token, the click, its salt, and a trail.
async fn tracked(app: &TestApp, query: &str) {
    let (click, changed) = followed(app, query).await;
    let token = click.token.expect("a token");
    let of = |table: &str| {
        changed
            .iter()
            .find(|(name, _)| name == table)
            .map_or(0, |(_, change)| *change)
    };
    assert_eq!((of("click"), of("click_salt")), (1, 1), "{query}: {changed:?}");
    assert_eq!(of("stat_untracked"), 0, "{query}: {changed:?}");
    // What was granted on the publisher's page lets the shop's order in, with the shop's own answer.
    let order = format!("A-{}", app.ledger.count("click", "1 = 1").await);
    let string = answered(LISTED, &[1, 7], 1);
    app.shop()
        .postback(&[
            ("token", token.as_str()),
            ("order_id", &order),
            ("gdpr", "1"),
            ("gdpr_consent", &string),
        ])
        .await
        .is(200, "recorded", "accepted");
}

/// Not tracked: the same page without a token, one count, and nothing else.
async fn counted(app: &TestApp, query: &str, reason: &str) {
    let reasons = async || app.ledger.by_name("stat_untracked", "reason", "1 = 1").await;
    let before = reasons().await;
    let (click, changed) = followed(app, query).await;
    assert_eq!(click.token, None, "{query}");
    assert_eq!(
        click.location, "https://shop.example/landing?utm_source=blog",
        "{query}"
    );
    assert_eq!(changed, [("stat_untracked".to_owned(), 1)], "{query}");
    let mut after = reasons().await;
    for (reason, count) in before {
        *after.entry(reason).or_default() -= count;
    }
    after.retain(|_, count| *count != 0);
    assert_eq!(after, [(reason.to_owned(), 1)].into(), "{query}");
    explained(app, query, reason).await;
}

/// The explanation says the same, changes nothing and repeats nothing.
async fn explained(app: &TestApp, query: &str, reason: &str) {
    let parameters: Vec<Value> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let before = app.ledger.totals().await;
    let answer = app
        .manager()
        .post(
            "/v1/explain",
            &json!({"kind": "click", "link": "BlogAd", "parameters": parameters}),
        )
        .await;
    assert_eq!(
        answer.json()["verdict"]["reason"],
        reason,
        "{query}: {}",
        answer.text()
    );
    assert_eq!(changes(&before, &app.ledger.totals().await), [].into());
    for parameter in &parameters {
        let value = parameter["value"].as_str().unwrap_or_default();
        assert!(
            value.len() < 8 || !answer.text().contains(value),
            "{value} is repeated"
        );
    }
}

both!(
    a_page_whose_macros_were_replaced,
    with_list(),
    async |app: &TestApp| {
        tracked(app, &replaced(&answered(LISTED, &[1, 7], 30))).await;
        counted(app, &replaced(&answered(LISTED, &[1], 30)), "consent_denied").await;
        counted(app, &replaced(&answered(LISTED, &[], 0)), "consent_denied").await;
    }
);

both!(
    a_page_whose_macros_were_left_unreplaced,
    with_list(),
    async |app: &TestApp| {
        counted(app, PAGE_LINK, "consent_malformed").await;
        let half = PAGE_LINK.replace("${GDPR}", "1");
        counted(app, &half, "consent_malformed").await;
        counted(app, &half.replace("${GDPR_CONSENT_755}", ""), "consent_malformed").await;
        counted(app, &format!("{half}&consent=granted"), "consent_malformed").await;
    }
);

both!(a_page_whose_cmp_is_deleted, with_list(), async |app: &TestApp| {
    for cmp in [DELETED, UNKNOWN] {
        let query = replaced(&answered(cmp, &[1, 7], 30));
        counted(app, &query, "consent_missing").await;
        // No word makes up for it, and a refusal by such a platform proves as little.
        counted(app, &format!("{query}&consent=granted"), "consent_missing").await;
        counted(app, &replaced(&answered(cmp, &[], 30)), "consent_missing").await;
    }
    tracked(app, &replaced(&answered(LISTED, &[1, 7], 30))).await;
    // At the shop the same: the string counts for nothing, and the click stays.
    let click = app
        .click("BlogAd", &replaced(&answered(LISTED, &[1, 7], 1)))
        .await;
    let token = click.token.expect("a token");
    let string = answered(DELETED, &[1, 7], 1);
    let pairs = [("token", token.as_str()), ("gdpr_consent", &string)];
    app.shop()
        .postback(&pairs)
        .await
        .is(422, "refused", "consent_missing");
});

both!(without_a_list_every_cmp_counts, async |app: &TestApp| {
    tracked(app, &replaced(&answered(DELETED, &[1, 7], 30))).await;
});

both!(
    a_page_with_a_string_of_14_months,
    with_list(),
    async |app: &TestApp| {
        counted(app, &replaced(&answered(LISTED, &[1, 7], 425)), "consent_missing").await;
        counted(app, &replaced(&answered(LISTED, &[1, 7], 396)), "consent_missing").await;
        tracked(app, &replaced(&answered(LISTED, &[1, 7], 30))).await;
    }
);

both!(
    a_page_with_section_2_and_gdpr_consent_in_conflict,
    with_list(),
    async |app: &TestApp| {
        let section = |string: &str| format!("&gpp=DBABMA~{string}&gpp_sid=2");
        let (yes, no) = (answered(LISTED, &[1, 7], 3), answered(LISTED, &[1], 3));
        let both = |alone: &str, within: &str| format!("{}{}", replaced(alone), section(within));
        tracked(app, &both(&yes, &yes)).await;
        counted(app, &both(&yes, &no), "consent_denied").await;
        counted(app, &both(&no, &yes), "consent_denied").await;
        let old = answered(LISTED, &[1, 7], 425);
        counted(app, &both(&yes, &old), "consent_missing").await;
        counted(app, &both(&yes, "CBAD"), "consent_malformed").await;
    }
);

both!(
    a_string_is_judged_by_what_was_registered_when_it_was_made,
    with_history(),
    async |app: &TestApp| {
        let on = |date: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(&format!("{date}T12:00:00Z")).expect("a time");
            replaced(&tcf::by_cmp(LISTED, VENDOR, &[1, 7], time.timestamp()))
        };
        // Only access was registered, or measurement on another basis: nobody was asked for us.
        for date in ["2026-05-31", "2026-09-05"] {
            counted(app, &on(date), "consent_missing").await;
        }
        for date in ["2026-06-01", "2026-08-31", "2026-09-10", "2026-11-20"] {
            tracked(app, &on(date)).await;
        }
        assert_eq!(app.live.unregistered_vendors(), [].into());
    }
);

both!(
    a_vendor_that_stands_in_no_registry_is_granted_nothing,
    with_history(),
    async |app: &TestApp| {
        app.manager()
            .post("/v1/policies", &json!({"tcf_vendor_id": 756}))
            .await;
        assert_eq!(app.live.unregistered_vendors(), [756].into());
        let string = tcf::by_cmp(LISTED, 756, &[1, 7], START_S);
        counted(app, &replaced(&string), "consent_missing").await;
    }
);
