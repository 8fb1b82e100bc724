//! A large export: made member by member, and verified by the command from a tar on disk.
//!
//! By default 30,000 entries, which says little about time without optimisation. In full:
//!
//! `EINKLANG_EXPORT_ENTRIES=1000000 cargo test --release --test verifying large -- --nocapture`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use einklang::audit::export::Kind;
use einklang::audit::export::archive::{tar_end, tar_member};
use einklang::audit::export::row::Content;
use einklang::audit::export::writer::{Beside, ExportWriter};

use super::exported::{Log, body};
use super::{Place, assert_good};

/// What is promised for 10^6 entries.
const LIMIT: Duration = Duration::from_secs(10);

fn write_tar(log: &Log, file: File) -> std::io::Result<u64> {
    let mut out = BufWriter::new(file);
    let mut bytes = 0;
    let mut writer = ExportWriter::new(log.head(Kind::Full, Content::Jsonl, 0, log.size)).expect("a head");
    let mut put = |members: Vec<einklang::audit::export::Member>| {
        for member in members {
            let block = tar_member(&member, 1_795_000_000);
            bytes += block.len() as u64;
            out.write_all(&block)?;
        }
        std::io::Result::Ok(())
    };
    for index in 0..log.size {
        let whole = writer.push(index, &body(index), Beside::Leaf(log.leaf(index)));
        put(whole.expect("an entry in order"))?;
    }
    put(writer.finish(|bytes| log.sign(bytes)).expect("a whole export"))?;
    out.write_all(&tar_end())?;
    out.flush()?;
    Ok(bytes)
}

#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "how long the command takes is what is asked here"
)]
fn a_large_export_is_verified_within_ten_seconds() {
    let entries = std::env::var("EINKLANG_EXPORT_ENTRIES").ok();
    let entries = entries.map_or(30_000, |text| text.parse().expect("a number"));
    let place = Place::of(1, |log| log.full(Content::Jsonl, 0, 1));
    let log = Log::of(entries);
    let file = File::create(place.path("large.tar")).expect("a file");
    let bytes = write_tar(&log, file).expect("written");
    let start = Instant::now();
    let output = place.command(&["verify", "large.tar", "--key", "key.pem"]);
    let took = start.elapsed();
    assert_good(&output, "a large export");
    println!("{entries} entries, {bytes} bytes, verified in {took:?}");
    assert!(took <= LIMIT, "{entries} entries took {took:?}");
}
