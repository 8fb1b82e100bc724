//! Erasing people: every way to name them, what stays, what the journal holds, and what a late postback finds.

use std::collections::BTreeSet;
use std::path::Path;

use einklang::app::config::{Config, Options};
use einklang::app::erasure_journal;
use einklang::audit::certificate::Certificate;
use einklang::domain::ids::{ClickId, ErasureId};
use einklang::domain::journal::{Act, JournalLine, click_reference};
use einklang::flow::erasure::Remains;
use einklang::store::Store;
use einklang::store::wall::Wall;
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::database::as_superuser;
use crate::harness::ledger::{Reader, changes, execute};

const PATH: &str = "/v1/erasures";
/// Reports and counters that an erasure must not touch.
const TOTALS: [&str; 2] = ["/v1/reports/performance", "/v1/reports/consent"];

/// A click with an order; returns the token.
async fn order(app: &TestApp, order: &str, customer: Option<&str>) -> String {
    let token = app.token("Ab3xK9").await;
    let mut pairs = vec![
        ("token", token.as_str()),
        ("order_id", order),
        ("amount", "49.90"),
        ("coupon", "SAVE"),
        ("consent", "granted"),
    ];
    pairs.extend(customer.map(|customer| ("customer_ref", customer)));
    app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
    token
}

async fn erase(app: &TestApp, body: &Value) -> String {
    let answer = app.privacy().post(PATH, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.member("id")
}

async fn act(app: &TestApp, id: &str) -> Value {
    app.privacy().get(&format!("{PATH}/{id}")).await.json()
}

async fn figures(app: &TestApp) -> Vec<String> {
    let mut figures = Vec::new();
    for path in TOTALS {
        let answer = app.manager().get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        figures.push(answer.text());
    }
    figures
}

fn config_of(app: &TestApp) -> Config {
    let options = Options {
        data_dir: Some(app.database.data_dir()),
        ..Options::default()
    };
    Config::load(options).expect("a configuration")
}

fn journal(app: &TestApp) -> Vec<JournalLine> {
    erasure_journal::read(&config_of(app).erasure_journal_dir).expect("read")
}

async fn click_references(app: &TestApp) -> BTreeSet<[u8; 32]> {
    let key = erasure_journal::key(&config_of(app))
        .expect("read")
        .expect("a key");
    let tenant = app.ledger.tenant("acme").await;
    let as_bytes = if app.database.url.starts_with("sqlite:") {
        "SELECT click_id FROM click"
    } else {
        "SELECT uuid_send(click_id) FROM click"
    };
    let clicks = app.ledger.blobs(as_bytes).await;
    let click = |bytes: Vec<u8>| ClickId(bytes.try_into().expect("sixteen bytes"));
    clicks
        .into_iter()
        .map(|bytes| click_reference(&key, tenant, &click(bytes)))
        .collect()
}

both!(
    a_person_is_erased_by_token_order_and_reference_and_the_totals_stay,
    async |app: &TestApp| {
        for (number, door) in ["token", "order_id", "customer_ref"].into_iter().enumerate() {
            let (one, other) = (format!("A-{number}"), format!("B-{number}"));
            let customer = format!("c-{number}");
            let token = order(app, &one, Some(&customer)).await;
            order(app, &other, Some(&customer)).await;
            let references = click_references(app).await;
            let bystander = order(app, &format!("X-{number}"), Some("somebody else")).await;
            let (before, told) = (app.ledger.totals().await, figures(app).await);
            let body = match door {
                "token" => json!({"token": token}),
                "order_id" => json!({"order_id": one, "reason": "objection"}),
                _ => json!({"customer_ref": customer}),
            };
            let id = erase(app, &body).await;
            // The other order's click names the same person.
            let change = changes(&before, &app.ledger.totals().await);
            let expected = [
                ("audit_entry", 1),
                ("click", -2),
                ("click_salt", -2),
                ("customer_key", -2),
                ("order_key", -2),
                ("suppression", 4),
            ];
            assert_eq!(change, expected.into(), "{door}");
            assert_eq!(figures(app).await, told, "{door}");
            let act = act(app, &id).await;
            let numbers = [
                "clicks",
                "conversions",
                "consent_records",
                "customer_refs",
                "suppressed",
            ];
            assert_eq!(
                numbers.map(|name| act[name].as_i64().expect("a number")),
                [2, 2, 0, 2, 4]
            );
            let line = journal(app).pop().expect("a line");
            let Act::Erase { clicks, entries } = line.act else {
                panic!("an erasure")
            };
            assert_eq!(clicks.len(), 2, "{door}");
            assert!(clicks.iter().all(|click| references.contains(click)), "{door}");
            assert_eq!(entries.len(), 4);
            let unused = format!("late {number}");
            for late in [token.as_str(), bystander.as_str()] {
                let pairs = [("token", late), ("order_id", &unused), ("consent", "granted")];
                let answer = app.shop().postback(&pairs).await;
                let withdrawn = answer.member("reason") == "consent_withdrawn";
                assert_eq!(withdrawn, late == token, "{}", answer.text());
            }
            erase(app, &json!({"token": bystander})).await;
        }
        assert_eq!(app.ledger.count("conversion", "payload IS NOT NULL").await, 0);
        assert_eq!(app.ledger.count("conversion", "click_id IS NOT NULL").await, 0);
    }
);

both!(
    what_is_not_known_is_answered_the_same_and_kept_as_an_act,
    async |app: &TestApp| {
        let token = order(app, "A-1", None).await;
        let known = app.privacy().post(PATH, &json!({"token": token})).await;
        let shape = |answer: &Answer| {
            let names: Vec<String> = answer
                .json()
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect();
            (answer.status, names)
        };
        for body in [
            json!({"token": "A".repeat(91)}),
            json!({"order_id": "nobody's"}),
            json!({"customer_ref": "nobody"}),
            json!({"token": token}),
        ] {
            let before = app.ledger.totals().await;
            let answer = app.privacy().post(PATH, &body).await;
            assert_eq!(shape(&answer), shape(&known), "{body}");
            let act = act(app, &answer.member("id")).await;
            assert_eq!(act["clicks"], 0, "{body}");
            let change = changes(&before, &app.ledger.totals().await);
            assert_eq!(change, [("audit_entry", 1)].into(), "{body}");
        }
        let mut ids = Vec::new();
        let mut path = format!("{PATH}?limit=2");
        loop {
            let page = app.manager().get(&path).await.json();
            let items = page["items"].as_array().expect("items");
            ids.extend(
                items
                    .iter()
                    .map(|item| item["id"].as_str().expect("an id").to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("{PATH}?limit=2&cursor={next}");
        }
        assert_eq!(ids.len(), 5);
        assert!(ids.is_sorted() && ids.contains(&known.member("id")));
    }
);

both!(
    a_withdrawal_and_a_refusal_are_acts_too_kept_by_their_hour,
    async |app: &TestApp| {
        let (withdrawn, denied) = (order(app, "A-1", None).await, order(app, "A-2", None).await);
        let body = json!({"token": withdrawn, "consent": "denied"});
        assert_eq!(app.shop().post("/v1/consent-signals", &body).await.status, 200);
        let pairs = [
            ("token", denied.as_str()),
            ("order_id", "A-3"),
            ("consent", "denied"),
        ];
        app.shop()
            .postback(&pairs)
            .await
            .is(403, "refused", "consent_denied");
        let page = app.privacy().get(PATH).await.json();
        let items = page["items"].as_array().expect("items");
        let doors: BTreeSet<&str> = items.iter().filter_map(|item| item["door"].as_str()).collect();
        assert_eq!(doors, ["postback", "withdrawal"].into());
        for item in items {
            assert_eq!(item["clicks"], 1);
            assert!(
                item["erased_at"]
                    .as_str()
                    .expect("a time")
                    .ends_with(":00:00.000Z"),
                "{item}"
            );
            let id: ErasureId = item["id"].as_str().expect("an id").parse().expect("an id");
            let entries = app.ledger.entries(app.ledger.tenant("acme").await).await;
            let told = entries.iter().filter(|entry| entry["object"] == id.to_string());
            let told: Vec<&Value> = told.collect();
            assert_eq!(told.len(), 1);
            assert_eq!(
                (&told[0]["action"], &told[0]["count"]),
                (&json!("click.erased"), &json!(1))
            );
            assert!(told[0].get("at_ms").is_none(), "by the day alone");
        }
        assert_eq!(journal(app).len(), 2);
    }
);

both!(
    a_certificate_verifies_offline_and_names_its_entry,
    async |app: &TestApp| {
        let id = erase(app, &json!({"token": order(app, "A-1", None).await})).await;
        app.keep_logs().await;
        let answer = app.privacy().get(&format!("{PATH}/{id}/certificate")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let public = app.audit_public_key().await;
        let document = Certificate::verify(answer.text().as_bytes(), &public, None).expect("verified");
        assert_eq!(document.erasure, id);
        assert_eq!(document.erased[0].count, 1);
        let path = format!("/v1/audit/entries/{}", document.log.index);
        let entry = app.privacy().get(&path).await.json();
        assert_eq!(entry["id"], document.log.entry);
        assert_eq!(entry["entry"]["object"], id.as_str(), "{entry}");
        let classes: Vec<&str> = document
            .remains
            .iter()
            .map(|remains| remains.class.as_str())
            .collect();
        let on_postgres = classes.contains(&"storage_remnants");
        assert_eq!(on_postgres, !app.database.url.starts_with("sqlite:"));
        assert!(Certificate::verify(answer.text().as_bytes(), &[7; 32], None).is_err());
        let foreign = app.holder(crate::harness::world::FOREIGN_MANAGER);
        foreign
            .get(&format!("{PATH}/{id}/certificate"))
            .await
            .is(404, "refused", "not_found");
    }
);

both!(
    what_is_wrong_with_a_request_is_named_and_nothing_happens,
    async |app: &TestApp| {
        let token = order(app, "A-1", None).await;
        let before = app.ledger.totals().await;
        for (body, parameter) in [
            (json!({}), "token"),
            (json!({"token": token, "order_id": "A-1"}), "token"),
            (json!({"token": ""}), "token"),
            (json!({"token": null}), "token"),
            (json!({"order_id": "x".repeat(256)}), "order_id"),
            (json!({"token": token, "goal": "order"}), "goal"),
            (json!({"token": token, "reason": "because"}), "reason"),
            (json!({"token": token, "reason": "consent_denied"}), "reason"),
            (json!({"token": token, "shop": "main"}), "shop"),
            (json!({"token": token, "more": 1}), "more"),
        ] {
            let answer = app.privacy().post(PATH, &body).await;
            answer.is_invalid(parameter);
            assert!(!answer.text().contains(&token));
        }
        let elsewhere = json!({"token": token, "shop": format!("sho_{}", "0".repeat(32))});
        let answer = app.privacy().post(PATH, &elsewhere).await;
        answer.is(404, "refused", "not_found");
        assert_eq!(answer.member("parameter"), "shop");
        for path in ["?limit=0", "?limit=101", "?cursor=era_0", "/era_0", "/cnv_0"] {
            let answer = app.privacy().get(&format!("{PATH}{path}")).await;
            answer.is(400, "refused", "invalid_request");
        }
        let nothing = format!("{PATH}/era_{}", "0".repeat(32));
        app.privacy().get(&nothing).await.is(404, "refused", "not_found");
        assert_eq!(app.ledger.totals().await, before);
        assert_eq!(journal(app), []);
    }
);

/// A journal that cannot be written: `/dev/full` takes no byte.
fn full_journal() -> Setup {
    let folder = tempfile::tempdir().expect("a folder").keep();
    std::os::unix::fs::symlink(Path::new("/dev/full"), folder.join("node-0.jsonl")).expect("a link");
    std::fs::write(
        folder.join("journal.key"),
        format!("einklang-journal-key-1:{}\n", "07".repeat(32)),
    )
    .expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(folder.join("journal.key"), mode).expect("set");
    Setup::default().options(move |options| {
        options.journal_key_file = Some(folder.join("journal.key"));
        options.erasure_journal_dir = Some(folder);
    })
}

both!(
    without_its_journal_nothing_is_erased_and_everything_else_goes_on,
    full_journal(),
    async |app: &TestApp| {
        let token = order(app, "A-1", Some("c-1")).await;
        let before = app.ledger.totals().await;
        let denied = [
            ("token", token.as_str()),
            ("order_id", "A-2"),
            ("consent", "denied"),
        ];
        let (shop, privacy) = (app.shop(), app.privacy());
        let (withdrawal, body) = (
            json!({"token": token, "consent": "denied"}),
            json!({"token": token}),
        );
        let (postback, signal, erasure, other) = tokio::join!(
            shop.postback(&denied),
            shop.post("/v1/consent-signals", &withdrawal),
            privacy.post(PATH, &body),
            app.token("Ab3xK9"),
        );
        for answer in [&postback, &signal, &erasure] {
            answer.is(503, "refused", "unavailable");
        }
        let change = changes(&before, &app.ledger.totals().await);
        let clicks = [
            ("audit_entry", 1),
            ("click", 1),
            ("click_salt", 1),
            ("stat_hour", 1),
        ];
        assert_eq!(change, clicks.into(), "the click and nothing else");
        assert_eq!(app.ledger.count("erasure", "1 = 1").await, 0);
        let late = [
            ("token", other.as_str()),
            ("order_id", "A-4"),
            ("consent", "granted"),
        ];
        app.shop().postback(&late).await.is(200, "recorded", "accepted");
    }
);

both!(
    late_postbacks_and_signals_bring_nobody_back_and_old_proofs_hold,
    async |app: &TestApp| {
        let mut tokens = Vec::new();
        for number in 0..10 {
            tokens.push(order(app, &format!("A-{number}"), Some(&format!("c-{number}"))).await);
        }
        app.keep_logs().await;
        let listed = app.manager().get("/v1/audit/entries?limit=100").await.json();
        let mut proofs = Vec::new();
        for entry in listed["items"].as_array().expect("items") {
            let path = format!("/v1/audit/entries/{}/proof", entry["id"].as_str().expect("an id"));
            proofs.push((path.clone(), app.manager().get(&path).await.json()));
        }
        let told = figures(app).await;
        for token in &tokens {
            erase(app, &json!({"token": token})).await;
        }
        assert_eq!(figures(app).await, told, "to the cent");
        let before = app.ledger.totals().await;
        for round in 0..50 {
            for (number, token) in tokens.iter().enumerate() {
                let (order, consent) = (
                    format!("A-{number}"),
                    json!({"token": token, "consent": "granted"}),
                );
                if round % 2 == 0 {
                    let pairs = [
                        ("token", token.as_str()),
                        ("order_id", &order),
                        ("consent", "granted"),
                    ];
                    app.shop()
                        .postback(&pairs)
                        .await
                        .is(410, "refused", "consent_withdrawn");
                } else {
                    let answer = app.shop().post("/v1/consent-signals", &consent).await;
                    assert_eq!(answer.member("outcome"), "no_effect");
                }
            }
        }
        let change = changes(&before, &app.ledger.totals().await);
        // Refusals are counted, with an entry each.
        assert_eq!(change, [("audit_entry", 250), ("stat_refused", 250)].into());
        app.keep_logs().await;
        for (path, before) in proofs {
            let path = format!("{path}?size={}", before["size"]);
            let after = app.manager().get(&path).await.json();
            assert_eq!(after["hashes"], before["hashes"], "{path}");
            assert_eq!(after["leaf_hash"], before["leaf_hash"], "{path}");
        }
    }
);

both!(
    postgresql_writes_the_salts_anew_within_the_horizon,
    async |app: &TestApp| {
        let remains = Remains::new(std::sync::Arc::clone(&app.live), 24);
        let token = order(app, "A-1", None).await;
        order(app, "A-2", None).await;
        if app.database.url.starts_with("sqlite:") {
            erase(app, &json!({"token": token})).await;
            assert_eq!(remains.sweep().await.expect("swept"), 0);
            assert_eq!(app.ledger.count("remains", "1 = 1").await, 0);
            return;
        }
        let table = "(SELECT tableoid::regclass FROM vault.salt_block LIMIT 1)";
        let salts = app.ledger.blobs("SELECT salt FROM vault.click_salt").await;
        // The tables' files are an administrator's to read.
        let administrator = as_superuser(&app.database.url);
        let files = Reader::open(&administrator).await;
        let hits = async || {
            execute(&administrator, "CHECKPOINT").await;
            let mut hits = 0;
            for salt in &salts {
                let sql = format!(
                    "SELECT CAST(position('\\x{}'::bytea IN pg_read_binary_file(pg_relation_filepath({table}))) > 0 AS INT)::bigint",
                    hex::encode(salt)
                );
                hits += files.number(&sql).await;
            }
            hits
        };
        erase(app, &json!({"token": token})).await;
        assert_eq!(hits().await, 2, "the deleted row lies in its page");
        assert_eq!(remains.sweep().await.expect("swept"), 0, "not due yet");
        app.clock.advance_seconds(12 * 3_600);
        assert_eq!(remains.sweep().await.expect("swept"), 1);
        assert_eq!(hits().await, 1, "the living one's");
        let store = Store::connect(&app.database.url).await.expect("opened");
        let wall = store.second_wall().await.expect("looked");
        assert_eq!(wall, Some(Wall::Stands), "the new table stands open");
        store.close().await;
        assert_eq!(app.ledger.count("remains", "1 = 1").await, 0);
        assert_eq!(remains.sweep().await.expect("swept"), 0);
    }
);
