//! The second wall, seen where the first one has a hole: a build in which the statement that lists objects does not name the
//! tenant (`cargo test --features leave-out-tenant-filter --test second_wall`).
//!
//! The lists are asked for over HTTP. For the role that a server has, an ordinary one, they show nothing of another tenant;
//! for a superuser, whom row-level security does not hold, they do: so it is the wall that keeps them apart.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]

#[path = "it/harness/mod.rs"]
#[macro_use]
#[expect(dead_code, unused_macros, reason = "the integration tests use the rest")]
mod harness;

use std::collections::BTreeSet;

use harness::app::{Setup, TestApp};
use harness::database::as_superuser;
use harness::{Kind, world};

/// Lists whose rows name no other object, which a foreign tenant would not have.
const LISTS: [(&str, &str); 3] = [
    ("shops", "shop"),
    ("publishers", "publisher"),
    ("tenants", "tenant"),
];

/// Over the lists: rows that a manager was shown, and how many of them are another tenant's.
async fn shown(app: &TestApp, key: &str, tenant: i64) -> (usize, usize) {
    let (mut all, mut foreign) = (0, 0);
    for (list, table) in LISTS {
        let own = format!("SELECT replace(id::text, '-', '') FROM {table} WHERE tenant = {tenant}");
        let own: BTreeSet<String> = app.ledger.texts(&own).await.into_iter().collect();
        assert!(!own.is_empty());
        let page = app.holder(key).get(&format!("/v1/{list}?limit=100")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let mut seen = BTreeSet::new();
        for item in page["items"].as_array().expect("items") {
            let (_, id) = item["id"]
                .as_str()
                .expect("an id")
                .split_once('_')
                .expect("a prefix");
            all += 1;
            foreign += usize::from(!own.contains(id));
            seen.insert(id.to_owned());
        }
        assert!(seen.is_superset(&own), "its own {list} are not all there");
    }
    (all, foreign)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_filter_shows_nothing_of_others() {
    harness::run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        let superuser = as_superuser(&app.database.url);
        let without = app
            .twin_with(|options| options.database_url = Some(superuser))
            .await;
        for (slug, key) in [("acme", world::MANAGER), ("globex", world::FOREIGN_MANAGER)] {
            let tenant = app.ledger.tenant(slug).await;
            let (rows, foreign) = shown(app, key, tenant).await;
            assert!(rows > 0);
            assert_eq!(foreign, 0, "{slug} was shown rows of others");
            let (more, leaked) = shown(&without, key, tenant).await;
            assert!(leaked > 0, "the filter is there, so this shows nothing");
            println!(
                "{slug}: {rows} rows, {foreign} foreign; without the wall {more} rows, {leaked} foreign"
            );
        }
        without.stop().await;
    })
    .await;
}
