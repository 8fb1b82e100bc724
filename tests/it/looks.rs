//! Looks at decrypted data: who is shown it, for which reason, how much of it, and that each look is on record first.

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Caller;
use crate::harness::clock::START_S;
use crate::harness::{tcf, world};

const RECORDS: &str = "/v1/consent-records";
/// What the TC strings here were made at: in the middle of a day, to be told from its beginning.
const MADE_S: i64 = START_S - 30 * 86_400;

async fn get(caller: &Caller, target: &str) -> Value {
    let answer = caller.get(target).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
    answer.json()
}

/// A click with a TC string and a notice, and its record: (token, the record as a list shows it).
async fn recorded(app: &TestApp) -> (String, Value) {
    let tc = tcf::string(755, &[1, 7], MADE_S);
    let query = format!("gdpr=1&notice=canary-notice&gdpr_consent={tc}");
    let token = app.click("Ab3xK9", &query).await.token.expect("tracked");
    let page = app
        .manager()
        .get(&format!("{RECORDS}?token={token}"))
        .await
        .json();
    (token, page["items"][0].clone())
}

fn path_of(record: &Value) -> String {
    format!("{RECORDS}/{}", record["id"].as_str().expect("an id"))
}

/// A moment as the API writes it.
fn moment(at_s: i64) -> Value {
    let at = chrono::DateTime::from_timestamp(at_s, 0).expect("a time");
    json!(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// The entries of the tenant's log with this action.
async fn entries(app: &TestApp, action: &str) -> Vec<Value> {
    let acme = app.ledger.tenant("acme").await;
    let mut entries = app.ledger.entries(acme).await;
    entries.retain(|entry| entry["action"] == action);
    entries.sort_by_key(|entry| entry["at_ms"].as_i64());
    entries
}

/// The value that an entry has under a field.
fn field<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    let mut changes = entry["changes"].as_array()?.iter();
    let change = changes.find(|change| change["field"] == name)?;
    change["new"].as_str()
}

both!(
    nobody_sees_what_was_sealed_without_a_reason,
    async |app: &TestApp| {
        let (_, listed) = recorded(app).await;
        let path = path_of(&listed);
        for caller in [app.manager(), app.holder(world::AUDITOR), app.privacy()] {
            assert_eq!(get(&caller, &path).await, listed, "the row and nothing more");
        }
        for caller in [app.manager(), app.holder(world::AUDITOR)] {
            for more in [
                "?reason=answer",
                "?reason=answer&unmasked=true",
                "/receipt?reason=answer",
            ] {
                let answer = caller.get(&format!("{path}{more}")).await;
                answer.is(403, "refused", "forbidden");
            }
        }
        for (more, parameter) in [
            ("?unmasked=true", "reason"),
            ("?reason=", "reason"),
            ("?reason=curiosity", "reason"),
            ("?reason=answer&reason=answer", "reason"),
            ("?reason=answer&unmasked=1", "unmasked"),
            ("?reason=answer&masked=false", "masked"),
            ("/receipt", "reason"),
            ("/receipt?unmasked=true", "reason"),
        ] {
            app.privacy()
                .get(&format!("{path}{more}"))
                .await
                .is_invalid(parameter);
        }
        for action in ["consent_record.read", "consent_receipt.issued"] {
            assert_eq!(app.ledger.leaves(action).await, 0, "nothing was shown");
        }
    }
);

both!(
    what_was_sealed_is_shown_masked_for_a_reason_and_noted_first,
    async |app: &TestApp| {
        let (_, listed) = recorded(app).await;
        let path = path_of(&listed);
        let masked = get(&app.privacy(), &format!("{path}?reason=complaint")).await;
        let whole = get(&app.privacy(), &format!("{path}?reason=authority&unmasked=true")).await;
        for (record, wanted) in [(&masked, true), (&whole, false)] {
            let evidence = &record["evidence"];
            assert_eq!(evidence["masked"], wanted);
            for (member, wanted) in [
                ("cmp_id", json!(31)),
                ("cmp_version", json!(1)),
                ("screen", json!(1)),
                ("vendor_list_version", json!(177)),
                ("policy_version", json!(5)),
                ("purposes_consent", json!([1, 7])),
                ("publisher_country", json!("DE")),
                ("purpose_one_treatment", json!(false)),
                (
                    "standing",
                    json!({"vendor": 755, "consent": true, "legitimate_interest": false, "disclosed": true,
                        "restrictions": []}),
                ),
            ] {
                assert_eq!(evidence["tcf"][member], wanted, "{member}");
            }
            assert_eq!(
                (&evidence["gdpr"], &evidence["decoder_version"]),
                (&json!(true), &json!(1))
            );
        }
        // What leads to a person, or is as good as a name.
        let day_s = MADE_S - MADE_S.rem_euclid(86_400);
        let shown = |record: &Value| {
            let tcf = &record["evidence"]["tcf"];
            [
                record["evidence"]["notice"].clone(),
                tcf["language"].clone(),
                tcf["last_updated_at"].clone(),
            ]
        };
        assert_eq!(shown(&masked), [json!("ca***"), Value::Null, moment(day_s)]);
        assert_eq!(
            shown(&whole),
            [json!("canary-notice"), json!("EN"), moment(MADE_S)]
        );
        let noted = entries(app, "consent_record.read").await;
        assert_eq!(noted.len(), 2);
        for (reason, unmasked) in [("complaint", "false"), ("authority", "true")] {
            let entry = noted
                .iter()
                .find(|entry| field(entry, "reason") == Some(reason))
                .expect("an entry");
            assert_eq!(field(entry, "unmasked"), Some(unmasked));
            // The click is named as its own leaf names it.
            assert_eq!(entry["commitment"], listed["click_commitment"]);
            assert!(
                entry["actor"]
                    .as_str()
                    .is_some_and(|actor| actor.starts_with("key:"))
            );
        }
        assert_eq!(app.ledger.leaves("canary").await, 0, "no personal data");
    }
);

both!(
    a_receipt_is_masked_unless_it_is_asked_for_whole,
    async |app: &TestApp| {
        let (_, listed) = recorded(app).await;
        let path = format!("{}/receipt?reason=answer", path_of(&listed));
        let masked = get(&app.privacy(), &path).await;
        let whole = get(&app.privacy(), &format!("{path}&unmasked=true")).await;
        assert_eq!(
            (&masked["notice_version"], masked.get("language")),
            (&json!("ca***"), None)
        );
        assert_eq!(
            (&whole["notice_version"], &whole["language"]),
            (&json!("canary-notice"), &json!("EN"))
        );
        assert_ne!(masked["event"]["valid_until"], whole["event"]["valid_until"]);
        let text = masked.to_string();
        assert!(
            !text.contains("canary-notice"),
            "also not in the record inside: {text}"
        );
        let noted = entries(app, "consent_receipt.issued").await;
        let unmasked: Vec<_> = noted.iter().map(|entry| field(entry, "unmasked")).collect();
        assert_eq!(unmasked.len(), 2);
        assert!(unmasked.contains(&Some("true")) && unmasked.contains(&Some("false")));
    }
);

both!(
    replays_and_explanations_show_nothing_that_was_sealed,
    async |app: &TestApp| {
        let (token, listed) = recorded(app).await;
        let path = format!("{}/replay", path_of(&listed));
        let explain = json!({"kind": "postback", "shop": "shp_acme_main", "parameters":
            [{"name": "token", "value": token}, {"name": "order_id", "value": "A-1"}, {"name": "consent", "value": "granted"}]});
        for caller in [app.manager(), app.holder(world::AUDITOR), app.privacy()] {
            let replay = caller.get(&path).await;
            assert_eq!(replay.json()["comparison"], "equal", "{}", replay.text());
            assert_eq!(replay.json()["record"], listed);
            let explained = caller.post("/v1/explain", &explain).await;
            assert_eq!(explained.status, 200, "{}", explained.text());
            assert!(!explained.text().contains("canary"), "{}", explained.text());
        }
        assert_eq!(app.ledger.leaves("consent_record.replayed").await, 3);
    }
);

both!(
    a_copy_masks_the_consent_records_in_it_as_well,
    async |app: &TestApp| {
        let (token, _) = recorded(app).await;
        let body = json!({"kind": "access", "token": token});
        let id = app
            .privacy()
            .post("/v1/subject-requests", &body)
            .await
            .member("id");
        let path = format!("/v1/subject-requests/{id}");
        let done = app.privacy().post(&format!("{path}/execution"), &json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let result = format!("{path}/result?reason=answer");
        let masked = app.privacy().get(&result).await;
        assert_eq!(
            masked.json()["clicks"][0]["consent_record"]["evidence"]["masked"],
            true
        );
        assert!(!masked.text().contains("canary-notice"), "{}", masked.text());
        let whole = app.privacy().get(&format!("{result}&unmasked=true")).await;
        assert!(whole.text().contains("canary-notice"));
    }
);
