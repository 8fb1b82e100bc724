//! Exports that somebody touched: any one entry flipped, deleted, inserted or swapped is found, by its index.
//!
//! The verifier is the one that `einklang audit verify` uses; only the files are in memory. By default it is 60 trials
//! of each kind on 2,000 entries, which keeps a build without optimisation quick. In full:
//!
//! `EINKLANG_TAMPER_TRIALS=1000 EINKLANG_TAMPER_ENTRIES=100000 cargo test --release --test tampering`
//! `EINKLANG_TAMPER_TRIALS=20 EINKLANG_TAMPER_ENTRIES=1000000 cargo test --release --test tampering`

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Range;

use einklang::audit::export::fault::Fault;
use einklang::audit::export::row::Content;
use einklang::audit::export::{FilePair, Kind, Manifest, ROWS_MAX};

mod exported;
#[path = "tampering/wholesale.rs"]
mod wholesale;

use exported::{Log, Memory, body};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn trials() -> u64 {
    setting("EINKLANG_TAMPER_TRIALS", 60)
}

fn entries() -> u64 {
    setting("EINKLANG_TAMPER_ENTRIES", 2_000)
}

/// A seeded series of numbers (splitmix64): a run repeats on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// An export, and where each entry's line is in it.
struct Export {
    log: Log,
    memory: Memory,
    pairs: Vec<FilePair>,
    /// By the name of the file: where each line begins, and where the last one ends.
    starts: BTreeMap<String, Vec<usize>>,
}

impl Export {
    fn of(content: Content) -> Self {
        let log = Log::of(entries());
        let memory = Memory::of(log.full(content, 0, log.size));
        let manifest: Manifest =
            serde_json::from_slice(memory.original("manifest.json")).expect("a manifest");
        let starts = manifest.files.iter().map(|pair| {
            let bytes = memory.original(&pair.entries.name);
            let breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let ends = breaks.map(|(at, _)| at + 1);
            // The header of a CSV file is no entry's line.
            let starts = if content.header().is_empty() {
                std::iter::once(0).chain(ends).collect()
            } else {
                ends.collect()
            };
            (pair.entries.name.clone(), starts)
        });
        Self {
            starts: starts.collect(),
            pairs: manifest.files,
            log,
            memory,
        }
    }

    /// The file of an entry, and where in it the entry's line is, with its line break.
    fn line(&self, index: u64) -> (String, Range<usize>) {
        let pair = self
            .pairs
            .iter()
            .rfind(|pair| pair.first <= index)
            .expect("a file");
        let row = usize::try_from(index - pair.first).expect("small");
        let starts = &self.starts[&pair.entries.name];
        (pair.entries.name.clone(), starts[row]..starts[row + 1])
    }

    /// The bytes of a file as they are after the patches so far.
    fn present(&self, name: &str) -> Vec<u8> {
        let patched = self.memory.patched.get(name).cloned().flatten();
        patched.unwrap_or_else(|| self.memory.original(name).to_vec())
    }

    fn replace(&mut self, name: &str, range: Range<usize>, with: &[u8]) {
        let mut bytes = self.present(name);
        bytes.splice(range, with.iter().copied());
        self.memory.patch(name, Some(bytes));
    }

    /// Holds that this entry is named as the first bad one, and undoes all patches.
    fn expect_first_bad(&mut self, index: u64, what: &str) {
        let fault = self.log.judge(&mut self.memory, None).expect_err(what);
        assert_eq!(fault.first_bad_index(), Some(index), "{what}: {fault}");
        assert!(fault.to_string().contains(&format!("entry {index} ")), "{fault}");
        self.memory.patched.clear();
    }

    fn flip(&mut self, index: u64, numbers: &mut Numbers) {
        let (name, line) = self.line(index);
        let at = line.start + usize::try_from(numbers.below(line.len() as u64 - 1)).expect("small");
        let flipped = self.present(&name)[at] ^ (1 << numbers.below(8));
        self.replace(&name, at..at + 1, &[flipped]);
        self.expect_first_bad(index, "a flipped bit");
    }

    fn delete(&mut self, index: u64) {
        let (name, line) = self.line(index);
        self.replace(&name, line, &[]);
        self.expect_first_bad(index, "a deleted entry");
    }

    /// Inserts a plausible entry before the one with this index, or after the last one.
    fn insert(&mut self, index: u64, content: Content, numbers: &mut Numbers) {
        let (name, at) = if index == self.log.size {
            let (name, line) = self.line(index - 1);
            (name, line.end)
        } else {
            let (name, line) = self.line(index);
            (name, line.start)
        };
        let mut line = Vec::new();
        assert!(content.write(index, &body(self.log.size + numbers.below(1_000)), &mut line));
        self.replace(&name, at..at, &line);
        self.expect_first_bad(index, "an inserted entry");
    }

    fn swap(&mut self, one: u64, other: u64) {
        let (low, high) = (one.min(other), one.max(other));
        let ((low_name, low_line), (high_name, high_line)) = (self.line(low), self.line(high));
        let low_bytes = self.present(&low_name)[low_line.clone()].to_vec();
        let high_bytes = self.present(&high_name)[high_line.clone()].to_vec();
        // The later one first, so that the earlier one's place does not move.
        self.replace(&high_name, high_line, &low_bytes);
        self.replace(&low_name, low_line, &high_bytes);
        self.expect_first_bad(low, "two swapped entries");
    }

    fn all_kinds(&mut self, content: Content, trials: u64) {
        let mut numbers = Numbers(entries());
        let size = self.log.size;
        for _ in 0..trials {
            self.flip(numbers.below(size), &mut numbers);
            self.delete(numbers.below(size));
            self.insert(numbers.below(size + 1), content, &mut numbers);
            let one = numbers.below(size);
            self.swap(one, (one + 1 + numbers.below(size - 1)) % size);
        }
        // The edges: the log's and the files'.
        let edges = [0, size - 1, (ROWS_MAX - 1).min(size - 1), ROWS_MAX.min(size - 1)];
        for index in edges {
            self.flip(index, &mut numbers);
            self.delete(index);
            self.insert(index, content, &mut numbers);
        }
        self.insert(size, content, &mut numbers);
        self.swap(0, size - 1);
    }
}

#[test]
fn any_flipped_deleted_inserted_or_swapped_entry_is_named() {
    let mut export = Export::of(Content::Jsonl);
    assert!(export.log.judge(&mut export.memory, None).is_ok());
    export.all_kinds(Content::Jsonl, trials());
}

#[test]
fn any_flipped_deleted_inserted_or_swapped_row_of_a_csv_file_is_named() {
    let mut export = Export::of(Content::Csv);
    assert!(export.log.judge(&mut export.memory, None).is_ok());
    // A tenth of the trials: the same checks over another form of line.
    export.all_kinds(Content::Csv, trials().div_ceil(10));
}

#[test]
fn any_flipped_deleted_inserted_or_swapped_row_of_a_filtered_export_is_named() {
    let log = Log::of(entries().min(20_000));
    let indices: Vec<u64> = (0..log.size).step_by(7).collect();
    let mut memory = Memory::of(log.filtered(Content::Jsonl, &indices));
    assert!(log.judge(&mut memory, None).is_ok());
    let original = memory.original("entries-000000.jsonl").to_vec();
    let lines: Vec<&[u8]> = original.split_inclusive(|byte| *byte == b'\n').collect();
    let mut numbers = Numbers(5);
    for trial in 0..trials() {
        let row = usize::try_from(numbers.below(indices.len() as u64 - 1)).expect("small");
        let mut changed: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
        match trial % 4 {
            0 => changed[row][20] ^= 1 << numbers.below(8),
            1 => drop(changed.remove(row)),
            2 => changed.insert(row, [body(1_000_000), b"\n".to_vec()].concat()),
            _ => changed.swap(row, indices.len() - 1),
        }
        memory.patch("entries-000000.jsonl", Some(changed.concat()));
        let fault = log.judge(&mut memory, None).expect_err("tampered");
        assert_eq!(fault.first_bad_index(), Some(indices[row]), "{fault}");
    }
}

#[test]
fn an_export_of_a_database_that_was_touched_names_the_entry() {
    // The tiles were written when the entry was sequenced; the row was changed later.
    let log = Log::of(3_000);
    let touched = |index| if index == 1_234 { body(9_999) } else { body(index) };
    let head = log.head(Kind::Full, Content::Jsonl, 500, 3_000);
    let mut memory = Memory::of(log.written_of(head, 500..3_000, touched));
    let fault = log.judge(&mut memory, None).expect_err("touched");
    assert_eq!(fault.first_bad_index(), Some(1_234));
}

#[test]
fn a_flipped_bit_anywhere_in_an_export_is_found() {
    let log = Log::of(300);
    for members in [
        log.full(Content::Jsonl, 0, 300),
        log.full(Content::Csv, 10, 290),
        log.filtered(Content::Csv, &[3, 77]),
    ] {
        let mut memory = Memory::of(members.clone());
        let mut numbers = Numbers(6);
        for member in &members {
            for _ in 0..trials() {
                let mut bytes = member.bytes.clone();
                let at = usize::try_from(numbers.below(bytes.len() as u64)).expect("small");
                bytes[at] ^= 1 << numbers.below(8);
                memory.patch(&member.name, Some(bytes));
                assert!(log.judge(&mut memory, None).is_err(), "{} byte {at}", member.name);
                memory.patched.clear();
            }
            memory.patch(&member.name, None);
            assert!(log.judge(&mut memory, None).is_err(), "without {}", member.name);
            memory.patched.clear();
        }
        memory.patch("more", Some(Vec::new()));
        assert_eq!(
            log.judge(&mut memory, None),
            Err(Fault::Unknown { name: "more".into() })
        );
    }
}
