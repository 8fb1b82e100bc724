//! The audit log over HTTP: listed, proved, checkpointed, and read as tiles by whoever has a key of the tenant's.

use std::collections::BTreeSet;

use einklang::audit::bundle::unbundle;
use einklang::audit::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use einklang::audit::note::public_pem;
use einklang::audit::proof::parse_proof_file;
use einklang::audit::tiles::{TileId, Tiles, tile_path_number, tiles_for_root};
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::log::{Auditor, bytes, check_complete, hash, hashes, number, text};
use crate::harness::world;

/// Clicks, verdicts of several kinds, a correction and changes by a manager, all placed and signed.
pub async fn history(app: &TestApp) {
    for order in ["A-1", "A-2", "A-3"] {
        let token = app.token("Ab3xK9").await;
        let pairs = [
            ("token", token.as_str()),
            ("order_id", order),
            ("consent", "granted"),
        ];
        app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
        app.shop()
            .postback(&pairs)
            .await
            .is(200, "duplicate", "duplicate");
        app.clock.advance_seconds(60);
    }
    app.shop()
        .postback(&[("order_id", "A-4"), ("consent", "granted")])
        .await;
    for slug in ["one", "two"] {
        let made = app.manager().post("/v1/publishers", &json!({"slug": slug})).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    app.keep_logs().await;
}

fn leaves(entries: &[Value]) -> Vec<Hash> {
    entries.iter().map(|entry| leaf_hash(&bytes(entry))).collect()
}

both!(
    entries_are_listed_with_the_bytes_that_were_hashed,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let all = auditor.entries("").await;
        assert!(all.len() > 12, "{}", all.len());
        for (place, entry) in all.iter().enumerate() {
            assert_eq!(
                (number(entry, "index"), number(entry, "epoch")),
                (place as u64, 0)
            );
            let stored: Value = serde_json::from_slice(&bytes(entry)).expect("JSON");
            assert_eq!(stored, entry["entry"]);
            assert_eq!(hash(text(entry, "leaf_hash")), leaf_hash(&bytes(entry)));
            assert_eq!(auditor.get(&format!("/v1/audit/entries/{place}")).await, *entry);
            let by_id = format!("/v1/audit/entries/{}", text(entry, "id"));
            assert_eq!(auditor.get(&by_id).await, *entry);
        }
        let ids: BTreeSet<&str> = all.iter().map(|entry| text(entry, "id")).collect();
        assert_eq!(ids.len(), all.len());
        // Page by page, the same; and by time, the same entries in the order of their ids.
        let small = walk(&auditor, "limit=2").await;
        assert_eq!(small, all);
        let by_time = auditor.entries("&from=2020-01-01T00:00:00Z").await;
        assert_eq!(
            by_time.iter().map(|entry| text(entry, "id")).collect::<Vec<_>>(),
            ids.into_iter().collect::<Vec<_>>()
        );
    }
);

async fn walk(auditor: &Auditor, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = auditor.get(&format!("/v1/audit/entries?{query}{cursor}")).await;
        found.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["next_cursor"].as_str() else {
            return found;
        };
        cursor = format!("&cursor={next}");
    }
}

both!(
    a_filter_keeps_what_it_names_and_nothing_else,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let all = auditor.entries("").await;
        for (name, value) in [
            ("action", "postback.verdict"),
            ("action", "click.batch"),
            ("outcome", "duplicate"),
            ("reason", "no_token"),
            ("actor", "link"),
            ("actor", "nobody"),
        ] {
            let wanted: Vec<&Value> = all.iter().filter(|entry| entry["entry"][name] == value).collect();
            let found = auditor.entries(&format!("&{name}={value}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{name}={value}");
            assert_eq!(
                walk(&auditor, &format!("limit=1&{name}={value}")).await,
                found,
                "one by one"
            );
        }
        // The tenant's third publisher.
        let of_object = auditor.entries("&object=publisher:3").await;
        assert_eq!(of_object.len(), 1);
        assert_eq!(of_object[0]["entry"]["action"], "publisher.created");
        // The first minute, and what came later.
        let middle = app.clock.rfc3339(-150);
        let (early, late) = (
            auditor
                .entries(&format!("&to={middle}&action=postback.verdict"))
                .await,
            auditor
                .entries(&format!("&from={middle}&action=postback.verdict"))
                .await,
        );
        // What was refused stands at its day's beginning, which is no trace of its moment.
        assert_eq!((early.len(), late.len()), (3, 4));
        assert_eq!(early[0]["entry"]["day"], "2026-11-24");
        assert_eq!(auditor.entries("&epoch=0").await, all);
        assert_eq!(auditor.entries("&epoch=1").await.len(), 0);
    }
);

both!(
    every_entry_is_proved_against_a_signed_checkpoint,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let text_reader = app.holder(world::AUDITOR).with("accept", "text/plain");
        let latest = auditor.latest().await;
        let all = auditor.entries("").await;
        assert_eq!(all.len() as u64, latest.size);
        check_complete(&all, &latest);
        for (index, leaf) in leaves(&all).iter().enumerate() {
            let path = format!("/v1/audit/entries/{index}/proof");
            auditor.check_proof(&auditor.get(&path).await, leaf);
            let file = text_reader.get(&path).await;
            assert_eq!(file.header("content-type"), Some("text/plain; charset=utf-8"));
            let parsed = parse_proof_file(&file.text()).expect("a proof file");
            let shown = parsed
                .verify(leaf, &auditor.name, &auditor.public)
                .expect("in the log");
            assert_eq!((parsed.index, shown), (index as u64, latest.clone()));
        }
        // In every tree that has it, with or without a checkpoint.
        let last = all.len() as u64;
        for size in 3..=last {
            let proof = auditor
                .get(&format!("/v1/audit/entries/2/proof?size={size}"))
                .await;
            let tree = einklang::audit::merkle::root(&leaves(&all)[..usize::try_from(size).expect("small")]);
            verify_inclusion(2, size, &leaves(&all)[2], &hashes(&proof), &tree).expect("in the tree");
        }
    }
);

both!(
    any_two_sizes_are_proved_to_be_one_growing_log,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let leaves = leaves(&auditor.entries("").await);
        let tree =
            |size: u64| einklang::audit::merkle::root(&leaves[..usize::try_from(size).expect("small")]);
        let last = leaves.len() as u64;
        for old in 1..=last {
            for new in old..=last {
                let target = format!("/v1/audit/consistency?from={old}&to={new}");
                let proof = hashes(&auditor.get(&target).await);
                verify_consistency(old, new, &tree(old), &tree(new), &proof).expect("consistent");
            }
        }
        let ends = auditor
            .get(&format!("/v1/audit/consistency?from=1&to={last}"))
            .await;
        assert_eq!(auditor.open(text(&ends, "to_checkpoint")).root, tree(last));
    }
);

both!(
    a_checkpoint_is_found_by_its_size_and_by_its_time,
    async |app: &TestApp| {
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let first = auditor.get("/v1/audit/checkpoint").await;
        let between = app.clock.rfc3339(5);
        app.clock.advance_seconds(10);
        history(app).await;
        let latest = auditor.latest().await;
        for (query, wanted) in [
            (format!("at={between}"), number(&first, "size")),
            (format!("at={}", app.clock.rfc3339(0)), latest.size),
            (format!("at={}&epoch=0", app.clock.rfc3339(86_400)), latest.size),
            (format!("size={}", number(&first, "size")), number(&first, "size")),
            ("epoch=0".to_owned(), latest.size),
        ] {
            let shown = auditor.get(&format!("/v1/audit/checkpoint?{query}")).await;
            assert_eq!(auditor.open(text(&shown, "note")).size, wanted, "{query}");
        }
        let note = app.holder(world::AUDITOR).with("accept", "text/plain");
        let note = note.get("/v1/audit/checkpoint").await.text();
        assert_eq!(auditor.open(&note), latest);
        let keys = auditor.get("/v1/audit/keys?epoch=0").await;
        let key = &keys["items"][0];
        assert_eq!(hash(text(key, "public_key")), auditor.public);
        assert_eq!(text(key, "pem"), public_pem(&auditor.public));
        assert_eq!(text(key, "origin"), auditor.name);
    }
);

both!(
    the_log_is_read_as_tiles_up_to_its_checkpoint,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let (_, log) = auditor.name.split_once('/').expect("a name and a path");
        let log = format!("/{log}");
        let note = auditor.caller.get(&format!("{log}/checkpoint")).await;
        assert_eq!(note.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(note.header("cache-control"), Some("no-store"));
        let checkpoint = auditor.open(&note.text());
        assert_eq!(checkpoint, auditor.latest().await);
        let mut tiles = Tiles::default();
        for id in tiles_for_root(checkpoint.size) {
            let fetched = auditor.caller.get(&tile_path(&log, id, checkpoint.size)).await;
            assert_eq!(fetched.header("content-type"), Some("application/octet-stream"));
            let kept = fetched.header("cache-control").expect("a rule for caches");
            assert!(kept.contains("immutable") && kept.contains("private"), "{kept}");
            tiles.insert(id, fetched.body.as_chunks::<32>().0.to_vec());
        }
        assert_eq!(tiles.root(checkpoint.size), Some(checkpoint.root));
        let entries = auditor.entries("").await;
        for width in 1..=checkpoint.size {
            let bundle = auditor
                .caller
                .get(&format!("{log}/tile/entries/000.p/{width}"))
                .await;
            let found = unbundle(&bundle.body).expect("a bundle");
            let stored: Vec<Vec<u8>> = entries.iter().take(found.len()).map(bytes).collect();
            assert_eq!(
                (
                    found.len() as u64,
                    found.iter().map(|one| one.to_vec()).collect::<Vec<_>>()
                ),
                (width, stored)
            );
        }
        // Entries that are placed and not yet signed are not given out.
        app.token("Ab3xK9").await;
        for path in [
            format!("tile/0/000.p/{}", checkpoint.size + 1),
            format!("tile/entries/000.p/{}", checkpoint.size + 1),
            "tile/0/000".to_owned(),
            "tile/0/001.p/1".to_owned(),
            "tile/1/000.p/1".to_owned(),
            "tile/8/000.p/1".to_owned(),
            "tile/63/x001/000".to_owned(),
            "tile/entries/x018/x446/x744/x073/x709/x551/615".to_owned(),
        ] {
            let answer = auditor.caller.get(&format!("{log}/{path}")).await;
            answer.is(404, "refused", "not_found");
        }
    }
);

fn tile_path(log: &str, id: TileId, size: u64) -> String {
    let partial = match id.width(size) {
        256 => String::new(),
        width => format!(".p/{width}"),
    };
    format!("{log}/tile/{}/{}{partial}", id.level, tile_path_number(id.tile))
}

both!(
    the_operator_reads_the_server_s_log_and_no_tenant_s,
    async |app: &TestApp| {
        history(app).await;
        let operator = Auditor::meet(app.holder(world::OPERATOR)).await;
        assert!(operator.name.ends_with("/audit/server/0"), "{}", operator.name);
        let latest = operator.latest().await;
        let entries = operator.entries("").await;
        check_complete(&entries, &latest);
        assert!(entries.iter().all(|entry| entry["entry"]["tenant"] == 0));
        let tenant = Auditor::meet(app.manager()).await;
        let (_, log) = tenant.name.split_once('/').expect("a path");
        operator
            .caller
            .get(&format!("/{log}/checkpoint"))
            .await
            .is(404, "refused", "not_found");
        let opened = operator.caller.get("/v1/audit/entries/0/opening").await;
        opened.is(403, "refused", "forbidden");
    }
);

both!(
    a_page_that_found_nothing_says_where_to_go_on,
    async |app: &TestApp| {
        history(app).await;
        let tenant = app.ledger.tenant("acme").await;
        // More rows than a page goes through, of an epoch of their own.
        let (numbers, id, bytes) = if app.database.url.starts_with("sqlite:") {
            (
                "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)",
                "randomblob(16)",
                "x'7b7d'",
            )
        } else {
            (
                "WITH n (i) AS (SELECT generate_series(0, 12000))",
                "gen_random_uuid()",
                "'\\x7b7d'::bytea",
            )
        };
        let rows = format!(
            "{numbers} INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body) SELECT {tenant}, 1, i, {id}, {bytes} FROM n"
        );
        app.database.execute(&rows).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let (mut pages, mut cursor, mut found) = (0, String::new(), 0);
        loop {
            let target = format!("/v1/audit/entries?action=publisher.created{cursor}");
            let page = auditor.get(&target).await;
            pages += 1;
            found += page["items"].as_array().expect("items").len();
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((pages, found), (3, 4), "of 12,000 rows, 5,000 a page");
    }
);

/// The members that an action's row in the documentation names, of any of its rows.
fn documented(action: &str) -> Vec<String> {
    let page = include_str!("../../docs/audit.md");
    let (_, ending) = action.split_once('.').expect("kind and deed");
    let of_object = format!("`.{ending}`");
    let rows = page.lines().filter(|line| {
        let first = line.split('|').nth(1).unwrap_or_default();
        first.contains(&format!("`{action}`"))
            || (first.contains("`<kind>.") && (first.contains(&of_object) || ending == "created"))
    });
    let cells = rows.filter_map(|row| row.split('|').nth(4));
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
    words.collect()
}

both!(
    the_documentation_names_every_action_with_its_members,
    async |app: &TestApp| {
        history(app).await;
        let token = app.token("Ab3xK9").await;
        let denied = json!({"token": token, "consent": "denied"});
        assert_eq!(app.shop().post("/v1/consent-signals", &denied).await.status, 200);
        let record = app.manager().get("/v1/consent-records?limit=1").await.json();
        let id = text(&record["items"][0], "id");
        assert_eq!(
            app.privacy()
                .get(&format!("/v1/consent-records/{id}?reason=verification"))
                .await
                .status,
            200
        );
        assert_eq!(app.manager().get("/v1/audit/export").await.status, 200);
        app.keep_logs().await;
        let mut actions = BTreeSet::new();
        for reader in [app.manager(), app.holder(world::OPERATOR)] {
            for entry in Auditor::meet(reader).await.entries("").await {
                let event = entry["entry"].as_object().expect("an event");
                let action = text(&entry["entry"], "action").to_owned();
                let named = documented(&action);
                for member in event.keys() {
                    let always = ["action", "actor", "nonce", "outcome", "tenant", "v"];
                    let is_named = always.contains(&member.as_str()) || named.contains(member);
                    assert!(is_named, "{action}: {member} is not in docs/audit.md");
                }
                actions.insert(action);
            }
        }
        assert!(actions.len() > 12, "{actions:?}");
    }
);
