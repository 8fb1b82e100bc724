//! Refusals to start: exit code 1 and one precise sentence, before anything is served.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{einklang, run};
use crate::binary::{FREE_PORTS, Running};

/// Starts and expects the refusal; returns its sentence.
fn refusal(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, &[args, &FREE_PORTS].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing was served");
    let said = String::from_utf8(output.stderr).expect("text");
    let last = said.lines().last().expect("a sentence");
    last.strip_prefix("einklang: ")
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

/// A folder in which the server has been before.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    server.welcome();
    assert!(server.stop().success());
    folder
}

fn put_key(path: &Path, text: &str, mode: u32) {
    let _ = fs::remove_file(path);
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_root_key_that_is_not_the_right_one() {
    let folder = used();
    let path = folder.path().join("data/root.key");
    let right = fs::read_to_string(&path).expect("a key");
    let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o400);

    put_key(&path, &right, 0o644);
    assert_eq!(
        refusal(folder.path(), &["serve"]),
        "The root key file ./data/root.key can be read by others (mode 644). Run: chmod 0400 ./data/root.key"
    );
    put_key(&path, "secret", 0o400);
    let said = refusal(folder.path(), &["serve"]);
    assert!(
        said.starts_with("The root key file ./data/root.key does not hold a root key:"),
        "{said}"
    );
    put_key(
        &path,
        &format!("einklang-root-key-1:{}\n", "ab".repeat(32)),
        0o400,
    );
    let said = refusal(folder.path(), &["serve"]);
    assert!(
        said.starts_with("The root key file ./data/root.key holds key "),
        "{said}"
    );
    assert!(
        said.contains("but the database was made under root key "),
        "{said}"
    );
    fs::remove_file(&path).expect("gone");
    let said = refusal(folder.path(), &["serve"]);
    assert!(said.starts_with(
        "The root key file ./data/root.key is missing, but the database was made under root key "
    ));
    assert!(!path.exists(), "no other key may be made");

    put_key(&path, &right, 0o400);
    let mut server = Running::start(folder.path(), &["serve", "--json"]);
    server.welcome();
    assert!(server.stop().success());
}

#[test]
fn what_production_does_not_take() {
    let folder = used();
    let production = ["serve", "--production", "--audit-name=tracker.example"];
    assert_eq!(
        refusal(folder.path(), &production),
        "In production there must be no trial tenant: archive tenant start, or start with an empty database."
    );
    assert_eq!(
        refusal(folder.path(), &["demo", "--production"]),
        "The demo does not run in production."
    );
    let path = folder.path().join("data/root.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("a mode");
    assert!(refusal(folder.path(), &production).contains("can be read by others (mode 440)"));

    let empty = tempfile::tempdir().expect("a folder");
    let output = run(
        empty.path(),
        &[
            "serve",
            "--production",
            "--listen=127.0.0.1:0",
            "--management-listen=0.0.0.0:0",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "einklang: In production the management listener has to be on a loopback address, and 0.0.0.0:0 is none.\n"
    );
    let short = einklang(empty.path(), production)
        .env("EINKLANG_OPERATOR_KEY", "k".repeat(23))
        .output();
    let short = short.expect("the binary runs");
    assert_eq!(short.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&short.stderr),
        "einklang: The operator key has to be 24 to 256 printable ASCII characters without spaces.\n"
    );
    assert!(
        !empty.path().join("data").exists(),
        "nothing may be made before the refusal"
    );
}

#[test]
fn production_starts_without_a_trial_tenant() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Running::start(
        folder.path(),
        &["serve", "--production", "--json", "--audit-name=tracker.example"],
    );
    let welcome = server.welcome();
    assert!(welcome["operator_key"].is_string());
    assert!(
        welcome["manager_key"].is_null() && welcome["click"].is_null(),
        "{welcome}"
    );
    assert!(server.stop().success());
}

#[test]
fn an_address_that_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let output = run(
        folder.path(),
        &[
            "serve",
            &format!("--listen={address}"),
            "--management-listen=127.0.0.1:0",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("einklang: Cannot listen on {address}: ")),
        "{said}"
    );
    assert_eq!(
        output.stdout, b"",
        "keys may be shown only by a server that serves"
    );
}
