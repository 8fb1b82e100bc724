//! What the audit log refuses, and how: sizes and entries that do not exist, broken names, another tenant's log.

use crate::audit::history;
use crate::harness::app::TestApp;
use crate::harness::log::{Auditor, text};
use crate::harness::world;

/// An id of the right form that nothing has.
const NOBODY: &str = "00000000000070008000000000000000";

both!(what_is_wrong_in_itself_is_named, async |app: &TestApp| {
    history(app).await;
    let auditor = app.holder(world::AUDITOR);
    let nobody = format!("aud_{NOBODY}");
    for (path, parameter) in [
        ("entries?limit=0", "limit"),
        ("entries?limit=101", "limit"),
        ("entries?limit=x", "limit"),
        ("entries?cursor=x", "cursor"),
        ("entries?cursor=aud_00", "cursor"),
        (&format!("entries?cursor={nobody}"), "cursor"),
        ("entries?from=yesterday", "from"),
        ("entries?from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z", "to"),
        ("entries?epoch=-1", "epoch"),
        ("entries?epoch=4294967296", "epoch"),
        ("entries?actor=", "actor"),
        ("entries?actor=key:", "actor"),
        ("entries?actor=key:x", "actor"),
        ("entries?action=Click", "action"),
        ("entries?outcome=0.5", "outcome"),
        ("entries?reason=a.b", "reason"),
        ("entries?object=a%00b", "object"),
        ("entries?conversion=x", "conversion"),
        (&format!("entries?conversion=cnv_{NOBODY}&epoch=0"), "conversion"),
        ("entries?order_id=", "order_id"),
        ("entries?order_id=A-1&epoch=0", "order_id"),
        ("entries?colour=red", "colour"),
        ("entries/x", "entry"),
        ("entries/01", "entry"),
        ("entries/-1", "entry"),
        ("entries/9007199254740992", "entry"),
        ("entries/cnv_00", "entry"),
        (&format!("entries/{nobody}?epoch=0"), "epoch"),
        ("entries/0/proof?size=x", "size"),
        ("entries/5/proof?size=5", "size"),
        ("entries/0/proof?size=-1", "size"),
        ("entries/0/opening?order_id=", "order_id"),
        ("entries/0/opening?conversion=x", "conversion"),
        ("clicks/csr_AAAA%21/proof", "record"),
        ("checkpoint?at=noon", "at"),
        ("checkpoint?size=1&at=2026-11-24T00:00:00Z", "size"),
        ("consistency?to=1", "from"),
        ("consistency?from=1", "to"),
        ("consistency?from=0&to=1", "from"),
        ("consistency?from=2&to=1", "to"),
        ("keys?epoch=x", "epoch"),
    ] {
        auditor
            .get(&format!("/v1/audit/{path}"))
            .await
            .is_invalid(parameter);
    }
});

both!(
    sizes_and_entries_that_do_not_exist_are_not_found,
    async |app: &TestApp| {
        history(app).await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let size = auditor.latest().await.size;
        let beyond = size + 1;
        for (path, parameter) in [
            (format!("entries/{size}"), None),
            ("entries/9007199254740991".to_owned(), None),
            (format!("entries/aud_{NOBODY}"), None),
            (format!("entries/{size}/proof"), None),
            (format!("entries/0/proof?size={beyond}"), Some("size")),
            ("entries/0/proof?size=0".to_owned(), Some("size")),
            ("entries/0?epoch=1".to_owned(), Some("epoch")),
            (format!("entries/{size}/opening"), None),
            (format!("entries?conversion=cnv_{NOBODY}"), Some("conversion")),
            (format!("checkpoint?size={beyond}"), Some("size")),
            ("checkpoint?at=2026-01-01T00:00:00Z".to_owned(), Some("at")),
            ("checkpoint?epoch=7".to_owned(), Some("epoch")),
            (format!("consistency?from=1&to={beyond}"), Some("to")),
            (format!("consistency?from={beyond}&to={beyond}"), Some("from")),
            ("consistency?from=1&to=1&epoch=1".to_owned(), Some("epoch")),
            ("keys?epoch=1".to_owned(), Some("epoch")),
            (format!("clicks/csr_{}/proof", "A".repeat(70)), None),
        ] {
            let answer = auditor.caller.get(&format!("/v1/audit/{path}")).await;
            answer.is(404, "refused", "not_found");
            assert_eq!(answer.json()["parameter"].as_str(), parameter, "{path}");
        }
    }
);

both!(
    what_waits_for_its_place_is_not_yet_there_and_says_until_when,
    async |app: &TestApp| {
        app.keep_logs().await;
        let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
        let publisher = serde_json::json!({"slug": "waiting"});
        assert_eq!(app.manager().post("/v1/publishers", &publisher).await.status, 201);
        let id = app.ledger.waiting_entry().await;
        let listed = auditor.entries("").await;
        assert!(listed.iter().all(|entry| text(entry, "id") != id), "not listed");
        for end in ["", "/proof", "/opening"] {
            let answer = auditor.caller.get(&format!("/v1/audit/entries/{id}{end}")).await;
            answer.is(404, "refused", "not_yet_sequenced");
            let expected = answer.member("expected_by");
            assert_eq!(expected, "2026-11-24T12:00:02.000Z", "within two seconds");
            assert_eq!(answer.json()["retry"], true);
            assert!(answer.header("retry-after").is_some());
        }
        // Nobody else learns that something waits.
        let foreign = app
            .holder(world::FOREIGN_MANAGER)
            .get(&format!("/v1/audit/entries/{id}"))
            .await;
        foreign.is(404, "refused", "not_found");
        app.keep_logs().await;
        let proof = auditor.get(&format!("/v1/audit/entries/{id}/proof")).await;
        assert_eq!(text(&proof, "id"), id);
    }
);

both!(a_huge_range_costs_a_page_and_no_more, async |app: &TestApp| {
    history(app).await;
    let auditor = Auditor::meet(app.holder(world::AUDITOR)).await;
    let range = "&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z";
    let all = auditor.entries("").await;
    assert_eq!(auditor.entries(range).await.len(), all.len());
    let page = auditor.get(&format!("/v1/audit/entries?limit=1{range}")).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    assert!(page["next_cursor"].is_string());
});

both!(another_tenant_s_log_is_nowhere, async |app: &TestApp| {
    history(app).await;
    let own = Auditor::meet(app.holder(world::AUDITOR)).await;
    let entries = own.entries("").await;
    let (_, log) = own.name.split_once('/').expect("a path");
    let other = app.holder(world::FOREIGN_MANAGER);
    for path in [
        "checkpoint",
        "tile/0/000.p/1",
        "tile/entries/000.p/1",
        "tile/0/000",
    ] {
        other
            .get(&format!("/{log}/{path}"))
            .await
            .is(404, "refused", "not_found");
        own.caller
            .get(&format!("/audit/server/0/{path}"))
            .await
            .is(404, "refused", "not_found");
    }
    let records = app.manager().get("/v1/consent-records?limit=1").await.json();
    let record = text(&records["items"][0], "id");
    for end in ["", "/proof", "/opening"] {
        for entry in &entries {
            let answer = other
                .get(&format!("/v1/audit/entries/{}{end}", text(entry, "id")))
                .await;
            answer.is(404, "refused", "not_found");
        }
    }
    other
        .get(&format!("/v1/audit/clicks/{record}/proof"))
        .await
        .is(404, "refused", "not_found");
    let cursor = text(&entries[0], "id");
    other
        .get(&format!("/v1/audit/entries?cursor={cursor}"))
        .await
        .is_invalid("cursor");
    for path in ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"] {
        let anonymous = app.anonymous().get(&format!("/{log}/{path}")).await;
        anonymous.is(401, "refused", "unauthenticated");
        let shop = app.shop().get(&format!("/{log}/{path}")).await;
        shop.is(403, "refused", "forbidden");
    }
});

both!(a_tile_s_path_has_one_form, async |app: &TestApp| {
    history(app).await;
    let own = Auditor::meet(app.holder(world::AUDITOR)).await;
    let (_, log) = own.name.split_once('/').expect("a path");
    let log = log.strip_suffix("/0").expect("an epoch");
    for (path, parameter) in [
        ("0/tile/0/0", "path"),
        ("0/tile/0/x000/001", "path"),
        ("0/tile/0/000.p/0", "path"),
        ("0/tile/0/000.p/256", "path"),
        ("0/tile/entries/01", "path"),
        ("0/tile/64/000", "level"),
        ("0/tile/x/000", "level"),
        ("x/checkpoint", "epoch"),
        ("00/checkpoint", "epoch"),
        ("2147483648/tile/0/000", "epoch"),
    ] {
        own.caller
            .get(&format!("/{log}/{path}"))
            .await
            .is_invalid(parameter);
    }
    own.caller
        .get(&format!("/{log}/1/checkpoint"))
        .await
        .is(404, "refused", "not_found");
    let nobody = format!("/audit/tnt_{NOBODY}/0/checkpoint");
    own.caller.get(&nobody).await.is(404, "refused", "not_found");
});
