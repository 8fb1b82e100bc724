//! The erasure journal's files in their folder: what they are called, which there are, and what stands in them.
//!
//! A node's first file is `node-N.jsonl`, the next ones `node-N.2.jsonl` and so on; it writes into the one with the highest
//! number. So whether one is missing in between can be seen.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{JournalError, TORN};
use crate::domain::journal::{Act, FoundFile, JournalLine};

/// Where a node's file of a number is.
pub(super) fn path_of(folder: &Path, node: &str, number: u32) -> PathBuf {
    folder.join(match number {
        1 => format!("node-{node}.jsonl"),
        _ => format!("node-{node}.{number}.jsonl"),
    })
}

/// The node and the number that a file's name says.
fn named(path: &Path) -> Option<(String, u32)> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_prefix("node-")?.strip_suffix(".jsonl")?;
    let parts = name.rsplit_once('.');
    let later =
        parts.and_then(|(node, number)| Some((node, number.parse().ok().filter(|number| *number > 1)?)));
    let (node, number) = later.unwrap_or((name, 1));
    Some((node.to_owned(), number))
}

/// One file of a node's.
#[derive(Debug)]
pub struct NodeJournal {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub node: String,
    /// Which of theirs it is.
    pub number: u32,
    /// Its lines, in the order they were written.
    pub lines: Vec<JournalLine>,
}

impl NodeJournal {
    /// As it is judged.
    pub fn found(&self) -> FoundFile {
        FoundFile {
            number: self.number,
            opened_at_ms: self.lines.first().map(|line| line.at_ms),
        }
    }
}

/// Every node's files, by node and number, with every line. A folder that is not there holds none.
pub fn read_all(folder: &Path) -> Result<Vec<NodeJournal>, JournalError> {
    let read = |((node, number), path): ((String, u32), PathBuf)| {
        let mut lines = Vec::new();
        read_file(&path, &mut |line| {
            lines.push(line);
            true
        })?;
        Ok(NodeJournal {
            path,
            node,
            number,
            lines,
        })
    };
    files(folder)?.into_iter().map(read).collect()
}

/// What was done, on every node, file by file in the order it was written. A folder that is not there holds nothing.
pub fn read(folder: &Path) -> Result<Vec<JournalLine>, JournalError> {
    let lines = read_all(folder)?.into_iter().flat_map(|one| one.lines);
    Ok(lines.filter(|line| line.act != Act::Opened).collect())
}

/// When a file was opened, as its first line says it; none if it has none.
pub(super) fn opened_at_ms(path: &Path) -> Result<Option<i64>, JournalError> {
    let mut first = None;
    read_file(path, &mut |line| {
        first = Some(line.at_ms);
        false
    })?;
    Ok(first)
}

/// Reads lines for as long as they are taken.
fn read_file(path: &Path, take: &mut dyn FnMut(JournalLine) -> bool) -> Result<(), JournalError> {
    let file = |error| JournalError::File(path.to_owned(), error);
    let opened = File::open(path).map_err(file)?;
    // As long as it says it is and no longer: what stands in its place may have no end.
    let bytes = opened.metadata().map_err(file)?.len();
    let mut reader = BufReader::new(opened.take(bytes));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(file)? == 0 {
            break;
        }
        // Torn by a crash, before its commit: at the end of the file, or marked by whoever wrote next.
        if !line.ends_with(b"\n") || line.ends_with(TORN) {
            continue;
        }
        let read = JournalLine::parse(&line);
        if !take(read.map_err(|_| JournalError::Broken(path.to_owned(), number))?) {
            break;
        }
    }
    Ok(())
}

/// The journal's files in a folder, by node and number.
pub(super) fn files(folder: &Path) -> Result<BTreeMap<(String, u32), PathBuf>, JournalError> {
    let file = |error| JournalError::File(folder.to_owned(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(file(error)),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(file)?.path();
        if let Some(key) = named(&path) {
            found.insert(key, path);
        }
    }
    Ok(found)
}

/// A node's files by their numbers.
pub(super) fn files_of(folder: &Path, node: &str) -> Result<BTreeMap<u32, PathBuf>, JournalError> {
    let all = files(folder)?.into_iter();
    let own = all.filter(|((other, _), _)| other == node);
    Ok(own.map(|((_, number), path)| (number, path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_node_and_number() {
        let folder = Path::new("journal");
        for (node, number) in [("0", 1), ("0", 2), ("12", 1), ("12", 40)] {
            let named = named(&path_of(folder, node, number));
            assert_eq!(named, Some((node.to_owned(), number)));
        }
        // What somebody put there under another name is read, as somebody else's.
        assert_eq!(
            named(Path::new("node-0.old.jsonl")),
            Some(("0.old".to_owned(), 1))
        );
        for name in ["node-0.jsonl.gz", "guard.json"] {
            assert_eq!(named(Path::new(name)), None, "{name}");
        }
    }
}
