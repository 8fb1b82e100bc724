//! Consent records: found, shown to those who may see them, issued as receipts, and decided again.

use std::collections::BTreeSet;
use std::sync::Arc;

use einklang::domain::policy::{Mode, Policy, Purpose};
use einklang::domain::record::RecordKind;
use einklang::flow::records::replay::{ReplayFlow, ReplayReport, Tally};
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Caller;
use crate::harness::clock::START_S;
use crate::harness::{tcf, world};
use crate::policy::made;

/// How many records of a kind came to a reason.
type Counts = Vec<((RecordKind, &'static str), u64)>;

const PATH: &str = "/v1/consent-records";

async fn get(caller: &Caller, target: &str) -> Value {
    let answer = caller.get(target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

async fn items(caller: &Caller, filter: &str) -> Vec<Value> {
    let page = get(caller, &format!("{PATH}?limit=100&{filter}")).await;
    assert!(page.get("next_cursor").is_none(), "one page");
    page["items"].as_array().expect("items").clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["kind"].as_str().expect("a kind"))
        .collect()
}

fn string(purposes: &[u32], age_days: i64) -> String {
    tcf::string(755, purposes, START_S - age_days * 86_400)
}

/// Clicks, postbacks and later signals of every outcome, under several policy versions.
async fn traffic(app: &TestApp) {
    let shop = app.shop();
    let tc = format!("gdpr=1&gdpr_consent={}", string(&[1, 7], 30));
    for (round, policy) in [
        json!({}),
        json!({"mode": "inherit_click", "gpc": "tcf_overrides"}),
        json!({"mode": "opt_out", "jurisdictions": ["us"]}),
        json!({"mode": "strict_opt_in", "jurisdictions": ["eea", "us"], "max_consent_age_days": 60}),
    ]
    .into_iter()
    .enumerate()
    {
        if round > 0 {
            let mut policy = policy;
            policy["policy_reason"] = json!("a test");
            made(&app.manager(), &policy).await;
        }
        let both = format!("consent=granted&{tc}");
        let overridden = format!("{tc}&gpc=1");
        for query in [
            "consent=granted",
            "consent=denied",
            "consent=x",
            "",
            "gdpr=0",
            "us_privacy=1YNN",
            "us_privacy=1---&consent=granted",
            "ad_storage=granted&ad_user_data=granted&analytics_storage=denied",
            "gcs=G111&consent=granted",
            "gpp=DBAA&gpp_sid=-1&consent=granted",
            &tc,
            &both,
            &overridden,
        ] {
            for link in ["Ab3xK9", "Winter"] {
                let Some(token) = app.click(link, query).await.token else {
                    continue;
                };
                for (number, more) in [
                    &[("consent", "granted")][..],
                    &[],
                    &[("gdpr", "0")],
                    &[("consent", "granted"), ("gpc", "0"), ("amount", "19.90")],
                    &[("consent", "y")],
                ]
                .into_iter()
                .enumerate()
                {
                    let order = format!("{round}-{number}-{}", &token[token.len() - 12..]);
                    let pairs = [&[("token", token.as_str()), ("order_id", &order)], more].concat();
                    shop.postback(&pairs).await;
                }
                let signal = json!({"token": token, "consent": "granted"});
                shop.post("/v1/consent-signals", &signal).await;
                let signal = json!({"token": token, "gdpr_consent": string(&[1, 7], 2)});
                shop.post("/v1/consent-signals", &signal).await;
                if link == "Winter" {
                    let end = [("token", token.as_str()), ("consent", "denied")];
                    shop.postback(&end).await;
                }
            }
        }
    }
}

async fn replayed(app: &TestApp, policy: Option<&Policy>) -> ReplayReport {
    let flow = ReplayFlow::new(Arc::clone(&app.live));
    let reports = flow.run(policy, &|_| {}).await.expect("replayed");
    let own = reports.into_iter().find(|report| report.tenant == "acme");
    own.expect("the tenant's report")
}

both!(
    every_decision_comes_to_the_same_when_it_is_made_again,
    async |app: &TestApp| {
        traffic(app).await;
        // Corrections move a conversion's times; the decision stays where it was.
        let token = app.token("Ab3xK9").await;
        let order = [("token", token.as_str()), ("consent", "granted")];
        let recorded = app.shop().postback(&order).await;
        app.clock.advance_seconds(90);
        let path = format!("/v1/conversions/{}", recorded.member("conversion_id"));
        let changed = app.manager().patch(&path, &json!({"status": "cancelled"})).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let report = replayed(app, None).await;
        assert_eq!(report.differences, [], "no decision is different");
        for (kind, table, condition) in [
            (RecordKind::Click, "click", "1 = 1"),
            (RecordKind::Postback, "conversion", "click_id IS NOT NULL"),
            (RecordKind::Signal, "consent_record", "1 = 1"),
        ] {
            let there = app.ledger.count(table, condition).await;
            let equal = u64::try_from(there).expect("a count");
            assert!(equal >= 20, "{table}: {equal}");
            let all_equal = Tally {
                equal,
                ..Tally::default()
            };
            assert_eq!(report.tallies[&kind], all_equal, "{table}");
        }
    }
);

both!(
    another_policy_says_what_it_would_have_decided,
    async |app: &TestApp| {
        for query in [
            "consent=granted",
            &format!("gdpr_consent={}", string(&[1, 7], 30)),
        ] {
            let token = app.click("Ab3xK9", query).await.token.expect("tracked");
            let order = [("token", token.as_str()), ("consent", "granted")];
            app.shop().postback(&order).await.is(200, "recorded", "accepted");
        }
        let with = |change: fn(&mut Policy)| {
            let mut policy = Policy {
                tcf_vendor_id: Some(755),
                ..Policy::default()
            };
            change(&mut policy);
            policy
        };
        let click = |reason| (RecordKind::Click, reason);
        let postback = |reason| (RecordKind::Postback, reason);
        let cases: [(Policy, Counts, u64); 4] = [
            (
                with(|_| {}),
                vec![(click("accepted"), 2), (postback("accepted"), 2)],
                0,
            ),
            (
                with(|policy| policy.max_consent_age_days = 7),
                vec![
                    (click("accepted"), 1),
                    (click("consent_missing"), 1),
                    (postback("accepted"), 2),
                ],
                0,
            ),
            (
                with(|policy| policy.require = Purpose::ALL.to_vec()),
                vec![
                    (click("accepted"), 1),
                    (click("consent_denied"), 1),
                    (postback("accepted"), 2),
                ],
                0,
            ),
            (
                with(|policy| (policy.tcf_vendor_id, policy.mode) = (Some(9), Mode::InheritClick)),
                vec![
                    (click("accepted"), 1),
                    (click("consent_missing"), 1),
                    (postback("accepted"), 2),
                ],
                1,
            ),
        ];
        for (policy, wanted, other_vendor) in cases {
            let report = replayed(app, Some(&policy)).await;
            assert_eq!(report.different(), 0);
            let simulation = report.simulation.expect("asked for");
            assert_eq!(simulation.reasons.into_iter().collect::<Vec<_>>(), wanted);
            assert_eq!(simulation.other_vendor, other_vendor);
        }
    }
);

both!(a_person_or_a_time_leads_to_the_records, async |app: &TestApp| {
    let (shop, auditor) = (app.shop(), app.holder(world::AUDITOR));
    let token = app.token("Ab3xK9").await;
    let order = [
        ("token", token.as_str()),
        ("order_id", "A-1"),
        ("consent", "granted"),
    ];
    shop.postback(&order).await.is(200, "recorded", "accepted");
    let signal = json!({"token": token, "consent": "granted"});
    assert_eq!(shop.post("/v1/consent-signals", &signal).await.status, 200);
    app.clock.advance_seconds(3_600);
    app.token("Winter").await;
    let all = items(&auditor, "").await;
    assert_eq!(kinds(&all), ["click", "click", "postback", "signal"]);
    for filter in [
        format!("token={token}"),
        "order_id=A-1".to_owned(),
        "order_id=A-1&goal=order".to_owned(),
    ] {
        let found = items(&auditor, &filter).await;
        assert_eq!(kinds(&found), ["click", "postback", "signal"], "{filter}");
        let commitments: BTreeSet<String> = found
            .iter()
            .map(|item| item["click_commitment"].to_string())
            .collect();
        assert_eq!(commitments.len(), 1, "one click");
    }
    for nothing in [
        "order_id=A-2",
        "order_id=A-1&goal=newsletter",
        "token=abc",
        "state=denied",
    ] {
        assert_eq!(items(&auditor, nothing).await.len(), 0, "{nothing}");
    }
    let at = |seconds: i64| chrono::DateTime::from_timestamp(START_S + seconds, 0).expect("a time");
    let text = |seconds| at(seconds).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let early = items(&auditor, &format!("to={}", text(1_800))).await;
    assert_eq!(kinds(&early), ["click", "postback", "signal"]);
    let late = items(&auditor, &format!("from={}", text(1_800))).await;
    assert_eq!(kinds(&late), ["click"]);
    // Page by page, the same.
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&auditor, &format!("{PATH}?limit=1{cursor}")).await;
        walked.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, all);
    for (bad, parameter) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=csr_AAAA", "cursor"),
        ("cursor=x", "cursor"),
        ("goal=order", "goal"),
        ("from=yesterday", "from"),
        ("state=maybe", "state"),
        ("token=%5Bx%5D", "token"),
        ("token=a&order_id=b", "token"),
        ("colour=red", "colour"),
    ] {
        auditor.get(&format!("{PATH}?{bad}")).await.is_invalid(parameter);
    }
});

both!(
    a_receipt_names_the_controller_and_the_purposes,
    async |app: &TestApp| {
        let tenant = items_of(app, "tenants").await;
        let controller = json!({"name": "Acme AG", "contact": "dpo@acme.example", "jurisdiction": "DE",
        "notice_url": "https://acme.example/privacy"});
        let changed = app
            .manager()
            .patch(
                &format!("/v1/tenants/{tenant}"),
                &json!({"controller": controller}),
            )
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let query = format!("gdpr_consent={}", string(&[1, 7], 30));
        app.click("Ab3xK9", &query).await.token.expect("tracked");
        let id = items_of(app, "consent-records").await;
        let path = format!("{PATH}/{id}/receipt?reason=answer&unmasked=true");
        let receipt = get(&app.privacy(), &path).await;
        assert_eq!(receipt["schema_version"], "ISO/IEC TS 27560:2023");
        assert_eq!(
            (&receipt["receipt_id"], &receipt["record_id"]),
            (&json!(id), &json!(id))
        );
        assert_eq!(receipt["pii_controllers"][0]["name"], "Acme AG");
        assert_eq!(receipt["privacy_notice"], "https://acme.example/privacy");
        assert_eq!(
            (&receipt["language"], &receipt["event"]["event_state"]),
            (&json!("EN"), &json!("dpv:ConsentGiven"))
        );
        assert!(receipt["event"]["valid_until"].is_string());
        let purposes = receipt["purposes"].as_array().expect("purposes");
        let said: Vec<String> = purposes
            .iter()
            .map(|one| {
                format!("{} {} {}", one["purpose"], one["consent_status"], one["required"]).replace('"', "")
            })
            .collect();
        let wanted = [
            "access dpv:ConsentGiven true",
            "measure dpv:ConsentGiven true",
            "personalise dpv:ConsentRefused false",
        ];
        assert_eq!(said, wanted);
        assert_eq!(app.ledger.leaves("consent_receipt.issued").await, 1);
        app.holder(world::AUDITOR)
            .get(&path)
            .await
            .is(403, "refused", "forbidden");
    }
);

async fn items_of(app: &TestApp, kind: &str) -> String {
    let page = get(&app.manager(), &format!("/v1/{kind}")).await;
    page["items"][0]["id"].as_str().expect("an id").to_owned()
}

both!(
    erased_people_have_no_records_and_strangers_see_none,
    async |app: &TestApp| {
        let shop = app.shop();
        let token = app.token("Ab3xK9").await;
        let order = [
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("consent", "granted"),
        ];
        shop.postback(&order).await.is(200, "recorded", "accepted");
        let signal = json!({"token": token, "consent": "granted"});
        assert_eq!(shop.post("/v1/consent-signals", &signal).await.status, 200);
        let ids: Vec<String> = items(&app.manager(), "")
            .await
            .iter()
            .map(|item| item["id"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(ids.len(), 3);
        let foreign = app.holder(world::FOREIGN_MANAGER);
        for id in &ids {
            for more in ["", "/replay", "?reason=answer", "/receipt?reason=answer"] {
                let path = format!("{PATH}/{id}{more}");
                assert_eq!(app.privacy().get(&path).await.status, 200, "{path}");
            }
            for more in ["", "/replay"] {
                let path = format!("{PATH}/{id}{more}");
                foreign.get(&path).await.is(404, "refused", "not_found");
            }
        }
        assert_eq!(items(&foreign, &format!("token={token}")).await.len(), 0);
        let denied = json!({"token": token, "consent": "denied"});
        assert_eq!(shop.post("/v1/consent-signals", &denied).await.status, 200);
        assert_eq!(items(&app.manager(), "").await.len(), 0);
        for id in &ids {
            for more in ["", "/replay", "?reason=answer", "/receipt?reason=answer"] {
                let answer = app.privacy().get(&format!("{PATH}/{id}{more}")).await;
                answer.is(410, "refused", "consent_withdrawn");
            }
        }
        app.manager()
            .get(&format!("{PATH}/csr_{}", "A".repeat(68)))
            .await
            .is(404, "refused", "not_found");
        app.manager().get(&format!("{PATH}/csr_!")).await.is_invalid("id");
        assert_eq!(
            replayed(app, None).await.tallies[&RecordKind::Click],
            Tally::default()
        );
    }
);
