//! What is stored against what was acknowledged, and what a run showed.

use std::time::Duration;

use crate::is_full;
use crate::load::Known;
use crate::site::{Server, Site};

/// The bound on the server's memory at its greatest, in KiB, in a build that is not optimised; and in the full run, in which
/// 5,000 slow connections hold up to 22 KiB each.
const MEMORY_KIB: u64 = 150 * 1_024;
const FULL_MEMORY_KIB: u64 = 256 * 1_024;

/// How long it may take to come back, on a busy machine.
const BACK: Duration = Duration::from_secs(10);

/// How exactly rows can be known from answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    /// Every click that was not acknowledged is not there.
    Yes,
    /// The database ended, or its answer was lost, while it committed: what was not acknowledged may be there.
    CommitsLost,
}

/// Compares, stops the server, has the installation compare its logs with its tables, and prints the figures.
pub async fn settle(fault: &str, site: &Site, server: Server, known: &Known, exact: Exact) -> String {
    let (now, peak) = server.memory();
    let log = server.stop();
    let ledger = site.reader().await;
    let count = |number: i64| usize::try_from(number).expect("a count");
    let clicks = count(ledger.count("click", "1 = 1").await);
    let conversions = count(ledger.count("conversion", "1 = 1").await);
    let orders = count(ledger.count("order_key", "1 = 1").await);
    let distinct = count(
        ledger
            .number("SELECT COUNT(DISTINCT conversion_id) FROM order_key")
            .await,
    );
    let untracked = count(ledger.events("stat_untracked", "1 = 1").await);
    let counted = count(ledger.events("stat_hour", "outcome = 'click'").await);
    let confirmed = count(ledger.events("stat_hour", "outcome = 'confirmed'").await);
    let back = known.back_after.expect("it came back");
    println!(
        "{fault}\n{}  stored   {clicks} clicks for {} tokens, {conversions} conversions for {} orders acknowledged, \
         {untracked} untracked counted for {} visitors who were sent on without a token\n  memory   {} MiB at the end, {} MiB \
         at most\n  back     {:?} after the fault had ended\n",
        known.figures(),
        known.tokens,
        known.orders.len(),
        known.declined + known.plain,
        now / 1_024,
        peak / 1_024,
        back,
    );
    assert!(back < BACK, "{back:?}");
    // Clicks: every token's is there. Declined ones are none of them, or there would be more.
    let unsure = known.unheard + if exact == Exact::Yes { 0 } else { known.plain };
    assert!(
        (known.tokens..=known.tokens + unsure).contains(&clicks),
        "{clicks} clicks"
    );
    assert_eq!(counted, clicks, "each click is counted once");
    // Orders: what was acknowledged is there, once.
    assert_eq!(
        [conversions, orders, distinct, confirmed],
        [known.orders.len(); 4]
    );
    // Whoever was not tracked is counted, and is nothing but a count.
    let least = if exact == Exact::Yes {
        known.declined + known.plain
    } else {
        known.declined
    };
    let most = known.declined + known.unheard_declined + known.plain + known.unheard;
    let lost = if exact == Exact::Yes { 0 } else { most };
    assert!(
        (least..=most + lost).contains(&untracked),
        "{untracked} untracked"
    );
    for table in ["click", "conversion"] {
        let unheard = ledger.count(table, "signal_kinds = 0").await;
        assert_eq!(unheard, 0, "{table}: each with its consent record");
    }
    if site.is_embedded() {
        let sound = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
        assert_eq!(ledger.number(sound).await, 1, "the file is sound");
    }
    site.succeeds(&["audit", "check"]);
    let bound = if is_full() { FULL_MEMORY_KIB } else { MEMORY_KIB };
    assert!(peak < bound, "{peak} KiB");
    log
}
