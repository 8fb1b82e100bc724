//! Tampering with the audit log inside the database: whatever single entry is changed, taken away, put in or swapped, and
//! whatever is cut off or put back, the search finds it and names the first entry that it can be about.
//!
//! `EINKLANG_TAMPER_ENTRIES` (default 1,300) and `EINKLANG_TAMPER_TRIALS` (default 4, of each kind) set the size;
//! `docs/audit-check.md` has the commands of the full runs. `-- --nocapture` shows the figures.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the figures of a run are shown with --nocapture"
)]
#![expect(clippy::disallowed_methods, reason = "how long a search takes is measured")]

#[path = "it/harness/mod.rs"]
#[macro_use]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod harness;
#[path = "audit_tampering/log.rs"]
mod log;

use std::time::Instant;

use harness::app::TestApp;
use log::{Log, Random, number};

/// What a search has to say.
fn expect_first(found: &[(&'static str, Option<u64>)], kind: &str, index: u64) {
    let is_named = found
        .iter()
        .any(|(other, at)| *other == kind && *at == Some(index));
    assert!(is_named, "{kind} at {index}: {found:?}");
}

/// One kind of damage: done, found, undone.
async fn trials(app: &TestApp, log: &Log, kind: &str, random: &mut Random) {
    let began = Instant::now();
    let trials = number("EINKLANG_TAMPER_TRIALS", 4);
    for trial in 0..trials {
        // One in four among the entries that no full tile holds yet.
        let begin = if trial % 4 == 3 { log.size / 256 * 256 } else { 0 };
        let one = begin + random.below(log.size - begin);
        let other = random.below(log.size);
        let (first, last) = (one.min(other), one.max(other));
        match kind {
            "flip" => {
                let body = log.body(one).await;
                let mut bent = body.clone();
                let place = usize::try_from(random.below(bent.len() as u64)).expect("small");
                bent[place] ^= 1 << random.below(8);
                log.write(one, &bent).await;
                expect_first(&log.search(app).await, "entry_altered", one);
                log.write(one, &body).await;
            }
            "delete" => {
                log.hide(one).await;
                expect_first(&log.search(app).await, "entry_missing", one);
                log.unhide(one).await;
            }
            "insert" => {
                log.shift_up(one).await;
                expect_first(&log.search(app).await, "entry_altered", one);
                log.shift_down(one).await;
            }
            _ if first == last => {}
            _ => {
                log.swap(first, last).await;
                expect_first(&log.search(app).await, "entry_altered", first);
                log.swap(first, last).await;
            }
        }
    }
    assert_eq!(log.search(app).await, [], "undone: {kind}");
    println!(
        "{kind}: {trials} of {trials} found in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

both!(
    every_single_change_is_found_and_the_first_bad_entry_named,
    async |app: &TestApp| {
        let began = Instant::now();
        let log = Log::fill(app, number("EINKLANG_TAMPER_ENTRIES", 1_300)).await;
        let filled = began.elapsed();
        let began = Instant::now();
        assert_eq!(log.search(app).await, []);
        println!(
            "{} entries: filled in {:.1} s, a search takes {:.3} s",
            log.size,
            filled.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        log.keep_spare().await;
        let mut random = Random::new();
        for kind in ["flip", "delete", "swap", "insert"] {
            trials(app, &log, kind, &mut random).await;
        }
    }
);

both!(
    a_change_that_the_tiles_were_recomputed_for_contradicts_what_was_signed,
    async |app: &TestApp| {
        let log = Log::fill(app, 1_300).await;
        let body = log.body(700).await;
        let mut bent = body.clone();
        bent[20] ^= 1;
        log.write(700, &bent).await;
        log.recompute_tiles().await;
        let found = log.search(app).await;
        let contradicted = ("checkpoint_contradicted", Some(log.signed_before(700)));
        assert!(found.contains(&contradicted), "{found:?}");
        // The checkpoints are taken away as well: what is remembered outside of the database tells.
        log.execute("DELETE FROM audit_checkpoint WHERE tenant = {tenant}")
            .await;
        let found = log.search(app).await;
        assert!(found.contains(&("guard_contradicted", Some(0))), "{found:?}");
    }
);

both!(
    checkpoints_that_were_exchanged_are_found,
    async |app: &TestApp| {
        let log = Log::fill(app, 600).await;
        log.execute("UPDATE audit_checkpoint SET note = REPLACE(note, '600', '599') WHERE tenant = {tenant} AND size = 600")
        .await;
        let found = log.search(app).await;
        assert_eq!(found, [("checkpoint_unsigned", None)]);
    }
);

both!(
    a_log_that_was_cut_or_put_back_is_found_by_what_is_remembered_outside,
    async |app: &TestApp| {
        let log = Log::fill(app, 1_300).await;
        log.execute("CREATE TABLE old_leaf AS SELECT * FROM audit_leaf")
            .await;
        log.execute("CREATE TABLE old_tile AS SELECT * FROM audit_tile")
            .await;
        log.execute("CREATE TABLE old_log AS SELECT * FROM audit_log")
            .await;
        log.execute("CREATE TABLE old_edge AS SELECT * FROM audit_edge")
            .await;
        log.execute("CREATE TABLE old_checkpoint AS SELECT * FROM audit_checkpoint")
            .await;
        let longer = log.grow(app, 400).await;
        assert_eq!(longer.search(app).await, []);
        for table in ["leaf", "tile", "edge", "log", "checkpoint"] {
            longer.execute(&format!("DELETE FROM audit_{table}")).await;
            longer
                .execute(&format!("INSERT INTO audit_{table} SELECT * FROM old_{table}"))
                .await;
        }
        assert_eq!(
            log.search(app).await,
            [("guard_ahead", Some(log.size))],
            "an older copy"
        );

        log.cut(1_000).await;
        assert_eq!(log.search(app).await, [("guard_ahead", Some(1_000))], "cut");
        log.execute("DELETE FROM audit_leaf WHERE tenant = {tenant}")
            .await;
        log.execute("DELETE FROM audit_tile WHERE tenant = {tenant}")
            .await;
        log.execute("DELETE FROM audit_edge WHERE tenant = {tenant}")
            .await;
        log.execute("DELETE FROM audit_checkpoint WHERE tenant = {tenant}")
            .await;
        log.execute("DELETE FROM audit_log WHERE tenant = {tenant}").await;
        assert_eq!(log.search(app).await, [("guard_ahead", Some(0))], "gone");
    }
);
