//! Guard rails: the dependency table of ARCHITECTURE.md, held as a test.
//!
//! A folder is a promise (`domain` is pure, `store` alone speaks SQL ...). A promise that only stands in prose is
//! broken by the first hurried import, so this reads every file and fails with path and line. It uses nothing but
//! the standard library, and proves itself on planted breaches: a guard that cannot fail guards nothing.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::{Folder, breaches, breaches_in_tests, dependencies, missing_paths};

const FOLDERS: [Folder; 10] = [
    Folder {
        prefix: "src/domain/",
        modules: Some(""),
        crates: Some(
            "aes_gcm argon2 base64 chrono chrono_tz hex hkdf hmac ipnet iso_currency percent_encoding rust_decimal \
             serde serde_json sha2 subtle thiserror toml url uuid woothee zeroize",
        ),
        pure: true,
    },
    Folder {
        prefix: "src/audit/",
        modules: Some("domain"),
        crates: Some("base64 chrono ed25519_dalek hex hmac serde serde_json sha2 tar thiserror uuid zip"),
        pure: true,
    },
    Folder {
        prefix: "src/identity/",
        modules: Some("domain"),
        crates: Some("base64 ed25519_dalek hex jsonwebtoken serde serde_json thiserror url uuid zeroize"),
        pure: true,
    },
    Folder {
        prefix: "src/store/",
        modules: Some("domain audit"),
        crates: Some(
            "chrono entity futures_util hex metrics migration percent_encoding rusqlite rust_decimal sea_orm serde serde_json \
             sqlx thiserror tokio tokio_util tracing uuid zeroize",
        ),
        pure: false,
    },
    Folder {
        prefix: "src/flow/",
        modules: Some("domain audit identity store"),
        crates: Some(
            "base64 chrono chrono_tz hex ipnet metrics quick_cache serde serde_json thiserror tokio tokio_util tracing url \
             uuid zeroize",
        ),
        pure: false,
    },
    Folder {
        prefix: "src/edge/",
        modules: Some("domain audit flow identity"),
        crates: Some(
            "axum base64 bytes chrono csv futures_util governor hex http http_body_util hyper hyper_util ipnet metrics \
             percent_encoding serde serde_json serde_path_to_error serde_urlencoded thiserror tokio tokio_util tower tower_http tracing url utoipa \
             utoipa_axum utoipa_swagger_ui uuid zeroize",
        ),
        pure: false,
    },
    Folder {
        prefix: "src/delivery/",
        modules: Some("domain audit flow identity"),
        crates: Some(
            "base64 chrono hex http ipnet metrics reqwest serde serde_json thiserror tokio tokio_util tracing url uuid",
        ),
        pure: false,
    },
    Folder {
        prefix: "src/app/",
        modules: None,
        crates: None,
        pure: false,
    },
    Folder {
        prefix: "entity/",
        modules: None,
        crates: Some("sea_orm serde"),
        pure: false,
    },
    Folder {
        prefix: "migration/",
        modules: None,
        crates: Some("sea_orm_migration"),
        pure: false,
    },
];

/// One breach a line: file, code (`\n` is a line break), what the message must say.
const PLANTED: &str = r#"
src/domain/token.rs | use sea_orm::Value; | crate `sea_orm`
src/domain/token.rs | fn f() { sea_orm::Value::default(); } | crate `sea_orm`
src/domain/token.rs | fn f() { ::rand::rng(); } | crate `rand`
src/domain/token.rs | use std::fs; | `std::fs`
src/domain/token.rs | use std::{fmt, fs::File}; | `std::fs`
src/domain/token.rs | fn f() -> std::time::Duration { d() } | `std::time`
src/domain/token.rs | async fn f() {} | `async`
src/domain/token.rs | use crate::flow::click::Click; | names `flow`
src/domain/tcf/core.rs | use super::super::super::store::tx; | names `store`
src/audit/leaf.rs | use std::env::var; | `std::env`
src/audit/leaf.rs | use crate::store::tx::Tx; | names `store`
src/edge/click.rs | use crate::store::tx::Tx; | names `store`
src/edge/click.rs | use crate::{flow::click, store::{self, tx}}; | names `store`
src/edge/click.rs | use super::super::store; | names `store`
src/edge/click.rs | fn f() { crate::store::open(); } | names `store`
src/edge/click.rs | #[derive(sea_orm::FromQueryResult)] struct A; | crate `sea_orm`
src/edge/click.rs | impl IntoResponse for click::ClickError {} | becomes a response
src/flow/click.rs | use axum::Json; | crate `axum`
src/flow/click.rs | use {serde::Serialize, axum as web}; | crate `axum`
src/flow/click.rs | fn f() { let now = chrono::Utc::now(); } | clock or randomness
src/flow/click.rs | fn f() { let clock = SystemTime::now; } | clock or randomness
src/flow/click.rs | use rand::rng; | clock or randomness
src/flow/click.rs | async fn f(tx: T) { tx\n    .commit()\n    .await; } | commits outside
src/store/lanes.rs | async fn f() { Transaction::commit(tx).await; } | commits outside
src/store/lanes.rs | fn f() { run("COMMIT;"); } | commits outside
src/store/clicks.rs | use axum::http; | crate `axum`
src/store/clicks.rs | fn f() { value().unwrap(); } | `.unwrap(`
src/app/serve.rs | fn f() { value().expect("there"); } | `.expect(`
src/app/serve.rs | #[allow(dead_code)] fn f() {} | `allow`
src/app/serve.rs | #[cfg(test)] mod tests { #![allow(unused)] } | `allow`
entity/src/click.rs | use einklang::domain::ids::ClickId; | crate `einklang`
migration/src/m1.rs | use entity::click; | crate `entity`
"#;

/// Code that names what is banned without using it, or uses it where it belongs.
const HARMLESS: &str = r##"
src/domain/token.rs | // use sea_orm::Value; std::fs::read, Utc::now()\n/// `rand::rng()` is the caller's.\nfn f() {}
src/domain/token.rs | /* use axum::Json; /* nested std::env */ .unwrap() */ fn f() {}
src/domain/token.rs | const A: &str = "use std::fs; x.commit() \" .unwrap() #[allow(x)]";
src/domain/token.rs | const A: &str = r#"" std::thread::sleep "#; const B: char = '"'; const C: char = '\''; // std::fs
src/domain/token.rs | fn f<'a>(x: &'a str) -> &'a str { let time = x; time }
src/domain/token.rs | #[cfg(test)]\nmod tests { use std::fs; #[test] fn f() { fs::read("x").unwrap(); } }
src/domain/token.rs | use core::net::IpAddr; use core::time::Duration; use std::fmt;
src/domain/token.rs | mod http; use http::Version; fn f(axum: u8) -> u8 { axum }
src/domain/tcf/core.rs | use super::super::token; use crate::domain::token::Token;
src/edge/click.rs | use axum::http; fn f() { http::StatusCode::OK; } impl IntoResponse for Csv {}
src/edge/click.rs | fn f(store: u8) { let entity = store; self.store.commit(trail); }
src/edge/problem.rs | impl IntoResponse for Problem {}
src/store/tx.rs | async fn f(tx: T) { tx.commit().await; }
src/store/clicks.rs | #[expect(clippy::x, reason = "y")] fn f() { v.unwrap_or_default(); v.expect_err(); }
src/app/clock.rs | fn f() { Utc::now(); rand::rng(); std::time::Instant::now(); }
src/flow/click.rs | trait A { fn now(&self) -> u64; } fn f(clock: &dyn A) { clock.now(); }
"##;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths below the root of all Rust files in a folder; a folder that does not exist has none.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}

/// Every crate that code here could name, whichever manifest lists it.
fn known_crates() -> Vec<String> {
    let manifests = ["Cargo.toml", "entity/Cargo.toml", "migration/Cargo.toml"];
    let mut known: Vec<String> = manifests
        .iter()
        .flat_map(|path| dependencies(&read(path)))
        .collect();
    known.push("einklang".into());
    known
}

fn found_in(path: &str, code: &str) -> Vec<String> {
    let known: Vec<String> = [
        "axum", "sea_orm", "sqlx", "entity", "tokio", "rand", "tracing", "serde", "http", "einklang",
    ]
    .map(String::from)
    .into();
    breaches(path, &format!("//! Planted.\n{code}"), &FOLDERS, &known)
}

#[test]
fn the_tree_keeps_its_promises() {
    let known = known_crates();
    let mut found = Vec::new();
    let mut files = 0;
    for path in ["src", "entity", "migration"].into_iter().flat_map(rust_files) {
        files += 1;
        found.extend(breaches(&path, &read(&path), &FOLDERS, &known));
    }
    for path in ["tests", "benches"].into_iter().flat_map(rust_files) {
        found.extend(breaches_in_tests(&path, &read(&path)));
    }
    assert!(files > 10, "the walk found only {files} files");
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn every_folder_of_the_source_has_its_rules() {
    let in_table = |path: &String| FOLDERS.iter().any(|folder| path.starts_with(folder.prefix));
    let outside: Vec<_> = rust_files("src")
        .into_iter()
        .filter(|path| !in_table(path))
        .collect();
    assert_eq!(
        outside
            .iter()
            .filter(|path| !["src/lib.rs", "src/main.rs"].contains(&path.as_str()))
            .count(),
        0,
        "{outside:?}"
    );
}

#[test]
fn history_and_rows_stand_alone() {
    assert!(
        !dependencies(&read("migration/Cargo.toml")).contains(&"entity".into()),
        "history must not move with the rows"
    );
    for manifest in ["migration/Cargo.toml", "entity/Cargo.toml"] {
        assert!(
            !dependencies(&read(manifest)).contains(&"einklang".into()),
            "{manifest}"
        );
    }
}

#[test]
fn the_architecture_page_names_only_what_exists() {
    let entries = fs::read_dir(root()).unwrap_or_else(|error| panic!("{error}"));
    let top: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let missing = missing_paths(&read("ARCHITECTURE.md"), &top, |path| root().join(path).exists());
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The rows of a table in text form, with line breaks put in.
fn rows(table: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = table.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split(" | ").map(|cell| cell.replace("\\n", "\n")).collect())
}

#[test]
fn planted_breaches_are_caught() {
    for row in rows(PLANTED) {
        let [path, code, expected] = row.as_slice() else {
            panic!("no row of three: {row:?}")
        };
        let found = found_in(path, code);
        assert!(
            found.iter().any(|breach| breach.contains(expected)),
            "{path}: {code}: {found:?}"
        );
        assert!(found.iter().all(|breach| breach.starts_with(path)), "{found:?}");
    }
}

#[test]
fn what_is_too_long_or_says_nothing_is_caught() {
    let long_function = format!("fn long() {{\n{}}}\n", "    work();\n".repeat(80));
    let found = found_in("src/app/serve.rs", &long_function);
    assert!(
        found.len() == 1 && found[0].contains("`long` has 82 lines"),
        "{found:?}"
    );
    assert!(
        found_in(
            "src/app/serve.rs",
            &long_function.replacen("    work();\n", "", 2)
        )
        .is_empty()
    );

    let found = found_in("src/app/serve.rs", &"// A line.\n".repeat(450));
    assert!(found.len() == 1 && found[0].contains("451 lines"), "{found:?}");
    assert!(found_in("src/app/serve.rs", &"// A line.\n".repeat(449)).is_empty());

    let silent = breaches("src/domain/token.rs", "use std::fmt;\n", &FOLDERS, &[]);
    assert!(
        silent.len() == 1 && silent[0].contains("does not open with"),
        "{silent:?}"
    );
    assert_eq!(breaches_in_tests("tests/it/main.rs", "/// No.\n").len(), 1);
}

#[test]
fn what_only_looks_like_a_breach_passes() {
    for row in rows(HARMLESS) {
        let [path, code] = row.as_slice() else {
            panic!("no row of two: {row:?}")
        };
        assert_eq!(found_in(path, code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn a_missing_path_is_caught_and_a_word_is_not() {
    let page = "`src/flow/`, `src/none/`, `gone.rs`, `Cargo.toml`, `text/csv`, `/v1/x.json`, `GET /c/{link}`, `either/or`\n\
                ```\n`src/in_a_block.rs`\n```\n`srcs/`";
    let top = ["src".to_owned(), "Cargo.toml".to_owned()];
    let missing = missing_paths(page, &top, |path| ["src/flow/", "Cargo.toml"].contains(&path));
    assert_eq!(missing.len(), 3, "{missing:?}");
    for (missing, path) in missing.iter().zip(["src/none/", "gone.rs", "srcs/"]) {
        assert!(missing.contains(path), "{missing}");
    }
}

#[test]
fn manifests_are_read_as_code_names_their_crates() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nsea-orm = \"2\"\nserde.workspace = true\n# no = \"1\"\n\
                    [dependencies.tower-http]\nversion = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n[lints]\nworkspace = true\n";
    assert_eq!(
        dependencies(manifest),
        ["sea_orm", "serde", "tower_http", "proptest"]
    );
}
