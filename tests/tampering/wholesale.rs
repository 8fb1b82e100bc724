//! Tampering beyond single entries: truncation, rollback, and an operator who rewrites the log and signs it again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use einklang::audit::export::Kind;
use einklang::audit::export::fault::Fault;
use einklang::audit::export::row::Content;
use einklang::audit::merkle::leaf_hash;

use super::exported::{Log, Memory, body};

#[test]
fn an_export_that_was_cut_off_is_found_with_the_first_missing_entry() {
    let log = Log::of(12_000);
    let mut memory = Memory::of(log.full(Content::Jsonl, 0, log.size));
    let last = memory.original("entries-000001.jsonl").to_vec();
    let lines = last.split_inclusive(|byte| *byte == b'\n');
    memory.patch(
        "entries-000001.jsonl",
        Some(lines.take(1_500).flatten().copied().collect()),
    );
    assert_eq!(
        log.judge(&mut memory, None).expect_err("cut").first_bad_index(),
        Some(11_500)
    );
    for name in ["entries-000001.jsonl", "hashes-000001.bin"] {
        memory.patched.clear();
        memory.patch(name, None);
        assert_eq!(
            log.judge(&mut memory, None).expect_err("cut").first_bad_index(),
            Some(10_000),
            "{name}"
        );
    }
}

#[test]
fn entries_and_hashes_that_were_changed_alike_are_found() {
    let log = Log::of(300);
    let mut memory = Memory::of(log.full(Content::Jsonl, 0, 300));
    let text = String::from_utf8(memory.original("entries-000000.jsonl").to_vec()).expect("text");
    let changed = text.replacen("accepted", "refused_", 1);
    let mut hashes = memory.original("hashes-000000.bin").to_vec();
    hashes[..32].copy_from_slice(&leaf_hash(changed.lines().next().expect("a line").as_bytes()));
    memory.patch("entries-000000.jsonl", Some(changed.into_bytes()));
    memory.patch("hashes-000000.bin", Some(hashes));
    let name = "entries-000000.jsonl".to_owned();
    assert_eq!(log.judge(&mut memory, None), Err(Fault::File { name, index: 0 }));
}

#[test]
fn another_key_s_export_is_refused() {
    let log = Log::of(10);
    let mut memory = Memory::of(log.full(Content::Jsonl, 0, 10));
    let of_another_text = STANDARD.encode(log.sign(b"another text"));
    memory.patch("manifest.sig", Some(of_another_text.into_bytes()));
    assert_eq!(log.judge(&mut memory, None), Err(Fault::Signature));
    memory.patched.clear();
    memory.patch_text("manifest.json", "\"rows\": 10", "\"rows\": 11");
    assert_eq!(log.judge(&mut memory, None), Err(Fault::Signature));
}

#[test]
fn a_log_that_was_rewritten_under_its_old_checkpoint_leads_to_another_root() {
    let log = Log::of(300);
    let rewritten = |index| if index == 7 { body(999) } else { body(index) };
    let other = Log::with(300, rewritten);
    let mut head = other.head(Kind::Full, Content::Jsonl, 0, 300);
    head.checkpoint = log.checkpoint(300);
    let mut memory = Memory::of(other.written_of(head, 0..300, rewritten));
    let fault = log.judge(&mut memory, None).expect_err("rewritten");
    assert_eq!(fault.reason(), "root_mismatch", "{fault}");
}

#[test]
fn a_log_that_was_rewritten_and_signed_again_is_found_only_with_a_checkpoint_that_somebody_kept() {
    let log = Log::of(300);
    let rewritten = |index| if index == 7 { body(999) } else { body(index) };
    let other = Log::with(310, rewritten);
    let head = other.head(Kind::Full, Content::Jsonl, 0, 310);
    let mut memory = Memory::of(other.written_of(head, 0..310, rewritten));
    assert!(other.judge(&mut memory, None).is_ok(), "nobody can tell");
    let kept = log.checkpoint(200);
    assert_eq!(
        other.judge(&mut memory, Some(&kept)),
        Err(Fault::Forked { earlier: 200 })
    );
    // Before the change, both histories are the same.
    let kept = log.checkpoint(7);
    assert_eq!(
        other.judge(&mut memory, Some(&kept)).map(|report| report.since),
        Ok(Some(7))
    );
}

#[test]
fn a_log_that_was_rolled_back_is_found_with_a_checkpoint_that_somebody_kept() {
    let (before, after) = (Log::of(300), Log::of(250));
    let mut memory = Memory::of(after.full(Content::Jsonl, 0, 250));
    let fault = after.judge(&mut memory, Some(&before.checkpoint(300)));
    assert_eq!(
        fault,
        Err(Fault::RolledBack {
            earlier: 300,
            size: 250
        })
    );
    // Rolled back, then written on differently: as large as before, and another history.
    let rewritten = |index| {
        if index >= 250 {
            body(index + 9_000)
        } else {
            body(index)
        }
    };
    let other = Log::with(300, rewritten);
    let head = other.head(Kind::Full, Content::Jsonl, 100, 300);
    let mut memory = Memory::of(other.written_of(head, 100..300, rewritten));
    let fault = other.judge(&mut memory, Some(&before.checkpoint(300)));
    assert_eq!(fault, Err(Fault::Forked { earlier: 300 }));
    let fault = other.judge(&mut memory, Some(&before.checkpoint(280)));
    assert_eq!(fault, Err(Fault::Forked { earlier: 280 }));
}
