//! The guide to verification at its word: its script, its commands and ours, on exports that are good and that are not.
//!
//! sha256sum, openssl and Python have to be there: a guide that nobody ran is a guess. The last test leaves a log and
//! its exports in `target/verifier`, for the programs of others that `tests/verifier/check` runs.

#![expect(
    clippy::expect_used,
    reason = "the helpers of a test may fail where they stand, too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use einklang::audit::export::Member;
use einklang::audit::export::archive::{tar_end, tar_member};
use einklang::audit::export::row::Content;
use einklang::audit::leaf::{ClickLeaf, click_hash, encode};
use einklang::audit::merkle::leaf_hash;
use einklang::audit::note::public_pem;
use einklang::audit::proof::proof_file;
use einklang::domain::event::{Actor, AuditEvent, Change};
use serde_json::Value;

#[expect(dead_code, reason = "shared with other tests, which use other parts")]
mod exported;
#[path = "verifying/foreign.rs"]
mod foreign;
#[path = "verifying/large.rs"]
mod large;

use exported::{Log, ORIGIN, body};

const PAGE: &str = include_str!("../docs/verifying.md");

/// The code block that follows a snippet's mark.
fn snippet(name: &str) -> &'static str {
    let mark = format!("<!-- snippet: {name} -->\n```");
    assert_eq!(PAGE.matches(&mark).count(), 1, "the page has {name} once");
    let (_, after) = PAGE.split_once(&mark).expect("the mark");
    let (_, code) = after.split_once('\n').expect("a block");
    code.split_once("\n```").expect("the block's end").0
}

/// A log and an export of it in a folder, with a key beside it.
struct Place {
    temporary: tempfile::TempDir,
    log: Log,
}

impl Place {
    fn of(size: u64, members: impl FnOnce(&Log) -> Vec<Member>) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let log = Log::of(size);
        let place = Self { temporary, log };
        fs::create_dir(place.path("export")).expect("a folder");
        write(&place.path("export"), &members(&place.log));
        fs::write(place.path("key.pem"), public_pem(&place.log.public())).expect("written");
        fs::write(place.path("key.vkey"), place.log.vkey() + "\n").expect("written");
        fs::write(place.path("verify.py"), snippet("verify.py")).expect("written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Our own command.
    fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_einklang"));
        command.current_dir(self.temporary.path()).arg("audit").args(args);
        command.output().expect("the command runs")
    }

    /// The page's script.
    fn script(&self, more: &[&str]) -> Output {
        let mut command = Command::new("python3");
        command
            .current_dir(self.temporary.path())
            .args(["verify.py", "export", "key.pem"])
            .args(more);
        command.output().expect("Python runs")
    }

    /// Changes the export's line of this number in the first file.
    fn change_lines(&self, name: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let path = self.path("export").join(name);
        let bytes = fs::read(&path).expect("a member");
        let mut lines: Vec<Vec<u8>> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        change(&mut lines);
        fs::write(path, lines.concat()).expect("written");
    }
}

fn write(folder: &Path, members: &[Member]) {
    for member in members {
        fs::write(folder.join(&member.name), &member.bytes).expect("written");
    }
}

fn as_tar(members: &[Member]) -> Vec<u8> {
    let members = members
        .iter()
        .flat_map(|member| tar_member(member, 1_795_000_000));
    members.chain(tar_end()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_good(output: &Output, what: &str) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {out}{err}");
    assert!(out.contains("verified"), "{what}: {out}");
}

fn assert_bad(output: &Output, words: &str) {
    let err = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{words}: {}{err}",
        text(&output.stdout)
    );
    assert!(err.contains(words), "{words}: {err}");
    assert_eq!(err.trim_end().lines().count(), 1, "one sentence: {err}");
}

#[test]
fn the_page_s_script_is_short_and_says_the_same_as_the_command() {
    assert!(snippet("verify.py").lines().count() <= 80);
    for content in [Content::Jsonl, Content::Csv] {
        for (from, to) in [(0, 700), (256, 700), (300, 650), (0, 0), (700, 700)] {
            let place = Place::of(700, |log| log.full(content, from, to));
            assert_good(&place.script(&[]), "the script");
            assert_good(
                &place.command(&["verify", "export", "--key", "key.pem"]),
                "the command",
            );
        }
    }
}

#[test]
fn both_name_the_first_entry_that_does_not_fit() {
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(Change, u64); 5] = [
        (|lines| lines[20][30] ^= 1, 120),
        (|lines| drop(lines.remove(33)), 133),
        (
            |lines| lines.insert(0, [body(5_000), b"\n".to_vec()].concat()),
            100,
        ),
        (|lines| lines.swap(50, 199), 150),
        (|lines| lines.truncate(190), 290),
    ];
    for (change, index) in changes {
        let place = Place::of(700, |log| log.full(Content::Jsonl, 100, 300));
        place.change_lines("entries-000000.jsonl", change);
        let sentence = format!("entry {index} is the first that does not fit");
        assert_bad(&place.script(&[]), &sentence);
        assert_bad(
            &place.command(&["verify", "export", "--key", "key.vkey"]),
            &sentence,
        );
        let output = place.command(&["verify", "export", "--key", "key.vkey", "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(told["verified"], false);
        assert_eq!(told["reason"], "entry_mismatch");
        assert_eq!(told["first_bad_index"], index);
    }
}

#[test]
fn both_hold_the_log_against_a_checkpoint_that_somebody_kept() {
    let place = Place::of(700, |log| {
        let mut head = log.head(einklang::audit::export::Kind::Full, Content::Jsonl, 300, 650);
        let consistency = log.tiles.consistency(90, 700).expect("a proof");
        head.earlier = Some((log.checkpoint(90), consistency));
        log.written(head, 300..650)
    });
    let other = Log::with(800, |index| body(index + 1));
    for (size, is_in_reach) in [
        (90, true),
        (300, true),
        (444, true),
        (650, true),
        (700, true),
        (299, false),
        (680, false),
    ] {
        fs::write(place.path("kept"), place.log.checkpoint(size)).expect("written");
        let script = place.script(&["kept"]);
        let command = place.command(&["verify", "export", "--key", "key.pem", "--since", "kept"]);
        if is_in_reach {
            assert_good(&script, &format!("the script since {size}"));
            assert_good(&command, &format!("the command since {size}"));
            assert!(text(&command.stdout).contains(&format!("earlier checkpoint of {size} entries")));
        } else {
            assert_bad(&script, "does not reach back");
            assert_bad(&command, "no proof back to the earlier checkpoint");
        }
        fs::write(place.path("kept"), other.checkpoint(size)).expect("written");
        assert_bad(&place.script(&["kept"]), "does not continue");
        let command = place.command(&["verify", "export", "--key", "key.pem", "--since", "kept"]);
        assert_bad(
            &command,
            if is_in_reach {
                "the log was rewritten"
            } else {
                "no proof back"
            },
        );
    }
    fs::write(place.path("kept"), other.checkpoint(800)).expect("written");
    assert_bad(&place.script(&["kept"]), "does not continue");
    let command = place.command(&["verify", "export", "--key", "key.pem", "--since", "kept"]);
    assert_bad(
        &command,
        "the log was rolled back: the earlier checkpoint has 800 entries, this one 700",
    );
}

#[test]
fn the_page_s_commands_find_sums_signatures_and_the_first_hash() {
    let place = Place::of(30, |log| log.full(Content::Jsonl, 0, 30));
    fs::write(
        place.path("by-hand.sh"),
        snippet("by-hand.sh").replace("/tmp/", "../"),
    )
    .expect("written");
    let run = || {
        let mut command = Command::new("sh");
        let folder = place.path("export");
        command
            .args(["-eu", "../by-hand.sh"])
            .current_dir(folder)
            .env("KEY", "../key.pem");
        command.output().expect("sh runs")
    };
    let output = run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert_eq!(out.matches("Signature Verified Successfully").count(), 2, "{out}");
    let hashes: Vec<&str> = out.lines().filter(|line| line.len() == 64).collect();
    assert_eq!(hashes.len(), 2, "{out}");
    assert_eq!(hashes[0], hashes[1]);
    place.change_lines("manifest.json", |lines| drop(lines.pop()));
    assert!(!run().status.success());
}

#[test]
fn a_tar_is_verified_as_its_folder_is_and_a_damaged_one_is_refused() {
    let place = Place::of(700, |log| log.filtered(Content::Csv, &[3, 256, 699]));
    let tar = as_tar(&place.log.full(Content::Jsonl, 0, 700));
    fs::write(place.path("full.tar"), &tar).expect("written");
    assert_good(
        &place.command(&["verify", "export", "--key", &place.log.vkey()]),
        "filtered",
    );
    assert_good(
        &place.command(&["verify", "full.tar", "--key", "key.pem"]),
        "a tar",
    );
    // As `tar` itself writes a folder.
    let packed = Command::new("tar")
        .args(["-cf", "again.tar", "-C", "export", "."])
        .current_dir(place.path(""))
        .status();
    assert!(packed.expect("tar runs").success());
    assert_good(
        &place.command(&["verify", "again.tar", "--key", "key.pem"]),
        "a tar of another program",
    );
    for end in [0, 100, 512, 5_000, tar.len() / 2, tar.len() - 3_000] {
        fs::write(place.path("full.tar"), &tar[..end]).expect("written");
        let output = place.command(&["verify", "full.tar", "--key", "key.pem"]);
        assert_eq!(output.status.code(), Some(1), "cut at {end}");
        assert_eq!(
            text(&output.stderr).lines().count(),
            1,
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_bad_key_is_told_from_a_bad_export() {
    let place = Place::of(30, |log| log.full(Content::Jsonl, 0, 30));
    let vkey = place.log.vkey();
    let flipped = vkey.replace(ORIGIN, "ads.example/audit/server/0");
    for bad in [flipped.as_str(), "verify.py"] {
        assert_bad(
            &place.command(&["verify", "export", "--key", bad]),
            "--key is neither",
        );
    }
    assert_bad(
        &place.command(&["verify", "export", "--key", "not-there"]),
        "cannot read",
    );
    assert_bad(
        &place.command(&["verify", "not-there", "--key", "key.pem"]),
        "cannot read the export",
    );
    let of_another_log = einklang::audit::note::vkey("ads.example/audit/server/0", &place.log.public());
    assert_bad(
        &place.command(&["verify", "export", "--key", &of_another_log]),
        "the key is that of another log",
    );
    let pem = public_pem(
        &einklang::audit::note::parse_vkey(
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        )
        .expect("a key")
        .1,
    );
    fs::write(place.path("other.pem"), pem).expect("written");
    assert_bad(
        &place.command(&["verify", "export", "--key", "other.pem"]),
        "manifest.json is not signed by this key",
    );
}

#[test]
fn a_proof_file_shows_its_entry_alone() {
    let place = Place::of(700, |log| {
        log.full(Content::Jsonl, 0, 1).into_iter().chain([]).collect()
    });
    let proof = place.log.tiles.inclusion(321, 700).expect("a proof");
    fs::write(
        place.path("a.tlog-proof"),
        proof_file(321, &proof, &place.log.checkpoint(700)),
    )
    .expect("written");
    fs::write(place.path("entry"), [body(321), b"\n".to_vec()].concat()).expect("written");
    fs::write(place.path("other"), body(322)).expect("written");
    for key in ["key.pem", "key.vkey"] {
        let verify = |entry| place.command(&["verify-proof", "a.tlog-proof", "--key", key, "--entry", entry]);
        assert_good(&verify("entry"), "the entry");
        assert_bad(&verify("other"), "the entry does not fit the proof");
    }
    let output = place.command(&[
        "verify-proof",
        "a.tlog-proof",
        "--key",
        "key.pem",
        "--entry",
        "other",
        "--json",
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["reason"], "entry_mismatch");
}

#[test]
fn the_page_s_vectors_are_what_is_encoded_and_hashed() {
    let lines: Vec<&str> = snippet("vectors").lines().collect();
    let verdict = AuditEvent::new(7, "postback.verdict", &Actor::Hmac(2), "refused", &[1; 16]);
    let mut change = AuditEvent::new(7, "campaign.changed", &Actor::Key(3), "changed", &[0xab; 16]);
    change.at_ms = Some(1_795_000_000_000);
    change.campaign = Some(1);
    change.changes = vec![Change {
        field: "window_days",
        new: Some("14".into()),
        old: Some("30".into()),
    }];
    change.object = Some("cmp_1".into());
    change.request_id = Some("req_1".into());
    let click = ClickLeaf {
        tenant: 7,
        at_ms: 1_795_000_000_000,
        campaign: 1,
        publisher: 2,
        link: 3,
        policy_version: 4,
        state: "granted",
        commitment: &[0; 32],
    };
    assert_eq!(lines.len(), 6);
    assert_eq!(text(&encode(&verdict)), lines[0]);
    assert_eq!(text(&encode(&change)), lines[2]);
    assert_eq!(hex::encode(click_hash(&click)), lines[5]);
    for pair in lines.chunks(2) {
        assert_eq!(hex::encode(leaf_hash(pair[0].as_bytes())), pair[1]);
    }
}
