//! Keys that were replaced and names in cases that were closed, in PostgreSQL's pages: there until a server writes them anew
//! within its horizon, and then no more.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::binary::einklang;
use crate::database::as_superuser;
use crate::ledger::{Reader, execute};
use crate::needles::files;
use crate::people::{arrive, text};
use crate::scan::Scanner;
use crate::{Run, postgres, world};

/// Every page of the database's own files.
async fn pages(run: &Run, reader: &Reader) -> BTreeMap<String, Vec<u8>> {
    execute(&as_superuser(&run.url), "CHECKPOINT").await;
    let place = "SELECT current_setting('data_directory') || '/base/' || CAST(oid AS TEXT) FROM pg_database \
                 WHERE datname = current_database()";
    files(Path::new(&reader.texts(place).await[0]))
}

async fn keys(reader: &Reader) -> Vec<Vec<u8>> {
    reader
        .blobs(
            "SELECT wrapped FROM wrapped_key WHERE tenant = (SELECT tenant FROM tenant WHERE slug = 'acme')",
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_keys_and_closed_cases_leave_postgresqls_pages() {
    let run = Run::new(Some(postgres::create_database().await));
    let reader = Reader::open(&run.url).await;
    let server = run.place.serve(&["--database-url", &run.url]);
    let person = arrive(&server, 0).await;
    let privacy = server.holder(world::PRIVACY);
    let asked = json!({"kind": "erasure", "customer_ref": text(person.number, "customer_ref")});
    let case = privacy.post("/v1/subject-requests", &asked).await.member("id");
    let mut names = reader.blobs("SELECT case_key FROM subject_request").await;
    names.extend(reader.blobs("SELECT subject FROM subject_request").await);
    let before = keys(&reader).await;
    let path = format!("/v1/subject-requests/{case}/execution");
    assert_eq!(privacy.post(&path, &json!({})).await.status, 200);
    server.stop();
    let mut rotate = einklang(&run.folder(), ["keys", "rotate", "--tenant", "acme"]);
    rotate.args(["--database-url", &run.url]);
    assert!(rotate.output().expect("it runs").status.success());
    let left = keys(&reader).await;
    let replaced: Vec<_> = before.into_iter().filter(|key| !left.contains(key)).collect();
    assert!(replaced.len() >= 3, "the tenant's, the token's and the months'");

    let mut scanner = Scanner::default();
    for (what, these) in [("names", &names), ("replaced keys", &replaced), ("keys", &left)] {
        for one in these {
            scanner.add(what, &one[..32]);
        }
    }
    let found = scanner.search(&pages(&run, &reader).await);
    println!("before: {found:#?}");
    for (what, these) in [("names", &names), ("replaced keys", &replaced), ("keys", &left)] {
        assert_eq!(found.get(what).map(|found| found.0), Some(these.len()), "{what}");
    }
    assert!(reader.count("remains", "month = -1").await >= 2);
    run.sweep(&reader).await;
    let found = scanner.search(&pages(&run, &reader).await);
    println!("after: {found:#?}");
    assert_eq!(found.get("keys").map(|found| found.0), Some(left.len()));
    assert_eq!(found.len(), 1, "{found:?}");
}
