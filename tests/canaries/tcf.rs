//! TC strings of today: those of the vectors, written as if their banner had been shown this morning.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use einklang::app::system::SystemClock;
use einklang::flow::Clock;
use serde_json::Value;

const VECTORS: &str = include_str!("../vectors/signals.jsonl");
/// Where the two times stand in the core, in bits: created and last updated, 36 each, in tenths of a second.
const TIMES: std::ops::Range<usize> = 6..78;

/// The string of a row, with both its times at the beginning of this day.
pub fn of_today(id: &str) -> String {
    let rows = VECTORS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a row"));
    let row = rows.into_iter().find(|row| row["id"] == id).expect("the row");
    let string = row["input"].as_str().expect("a string");
    let (core, rest) = string.split_once('.').unwrap_or((string, ""));
    let mut bytes = URL_SAFE_NO_PAD.decode(core).expect("base64url");
    let midnight_s = SystemClock.now_ms() / 86_400_000 * 86_400;
    let tenths = u64::try_from(midnight_s).expect("after 1970") * 10;
    let both = u128::from(tenths) << 36 | u128::from(tenths);
    for (place, bit) in TIMES.zip((0..72).rev()) {
        let mask = 0x80 >> (place % 8);
        bytes[place / 8] &= !mask;
        if both >> bit & 1 == 1 {
            bytes[place / 8] |= mask;
        }
    }
    let core = URL_SAFE_NO_PAD.encode(bytes);
    if rest.is_empty() {
        core
    } else {
        format!("{core}.{rest}")
    }
}
