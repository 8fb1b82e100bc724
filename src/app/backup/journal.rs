//! The erasure journal as a restore reads it: whom it names, what it suppressed, and whether it reaches back far enough.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use super::manifest::time_text;
use crate::app::config::Config;
use crate::app::erasure_journal::{self, JournalError, NodeJournal};
use crate::domain::ids::ClickId;
use crate::domain::journal::{Act, Suppressed, click_reference, complete_since};
use crate::domain::keys::Secret;
use crate::flow::restore::Done;

/// Why a journal is not whole. Each text is one sentence for whoever restores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// There is none.
    #[error("there is no erasure journal in {0}")]
    None(PathBuf),
    /// Its key is not there.
    #[error("the journal key file {0} is missing")]
    NoKey(PathBuf),
    /// Its key is another.
    #[error(
        "the journal key file {0} holds another key than the one that was there when the backup was made"
    )]
    OtherKey(PathBuf),
    /// It begins too late.
    #[error("the erasure journal {0} begins at {1}, which is after the backup")]
    BeginsLate(PathBuf, String),
}

/// What was done, on every node.
pub struct Journalled {
    key: Option<Secret>,
    erased: HashSet<(i64, [u8; 32])>,
    suppressed: BTreeMap<i64, Vec<Suppressed>>,
    /// Purges of a class of data, by tenant: each with its latest cut-off, in milliseconds since 1970.
    pub purged: BTreeMap<(i64, String), i64>,
    /// How many lines there are.
    pub lines: u64,
    /// When the last one was written.
    pub last_at_ms: Option<i64>,
}

impl Journalled {
    /// Reads the journal, and says where it is not whole for a backup of this moment and, where the backup knows, this
    /// journal key.
    pub fn read(
        config: &Config,
        taken_at_ms: i64,
        key_name: Option<&str>,
    ) -> Result<(Self, Option<Gap>), JournalError> {
        let key = erasure_journal::key(config)?;
        let nodes = erasure_journal::read_all(&config.erasure_journal_dir)?;
        let gap = gap(config, &nodes, key.as_ref(), taken_at_ms, key_name);
        let mut read = Self {
            key,
            erased: HashSet::new(),
            suppressed: BTreeMap::new(),
            purged: BTreeMap::new(),
            lines: 0,
            last_at_ms: None,
        };
        for line in nodes.into_iter().flat_map(|node| node.lines) {
            read.last_at_ms = read.last_at_ms.max(Some(line.at_ms));
            read.lines += u64::from(line.act != Act::Opened);
            read.take(line.tenant, line.act);
        }
        for entries in read.suppressed.values_mut() {
            let distinct: BTreeSet<Suppressed> = entries.drain(..).collect();
            entries.extend(distinct);
        }
        Ok((read, gap))
    }

    fn take(&mut self, tenant: i64, act: Act) {
        match act {
            Act::Opened => {}
            Act::Erase { clicks, entries } => {
                self.erased
                    .extend(clicks.into_iter().map(|click| (tenant, click)));
                self.suppressed.entry(tenant).or_default().extend(entries);
            }
            Act::Block { entries, .. } => self.suppressed.entry(tenant).or_default().extend(entries),
            Act::Purge { class, cut_off_ms } => {
                let latest = self.purged.entry((tenant, class)).or_insert(cut_off_ms);
                *latest = cut_off_ms.max(*latest);
            }
        }
    }

    /// How many clicks it names.
    pub fn erased(&self) -> usize {
        self.erased.len()
    }
}

impl Done for Journalled {
    fn is_erased(&self, tenant: i64, click: &ClickId) -> bool {
        let Some(key) = &self.key else { return false };
        !self.erased.is_empty()
            && self
                .erased
                .contains(&(tenant, click_reference(key, tenant, click)))
    }

    fn suppressed(&self) -> &BTreeMap<i64, Vec<Suppressed>> {
        &self.suppressed
    }
}

fn gap(
    config: &Config,
    nodes: &[NodeJournal],
    key: Option<&Secret>,
    taken_at_ms: i64,
    key_name: Option<&str>,
) -> Option<Gap> {
    let key_file = || config.journal_key_file.clone();
    if nodes.is_empty() {
        return Some(Gap::None(config.erasure_journal_dir.clone()));
    }
    let Some(key) = key else {
        return Some(Gap::NoKey(key_file()));
    };
    if key_name.is_some_and(|wanted| wanted != key.fingerprint()) {
        return Some(Gap::OtherKey(key_file()));
    }
    nodes
        .chunk_by(|one, other| one.node == other.node)
        .find_map(|files| late(files, taken_at_ms))
}

/// What a node's files lack for a backup of this moment.
fn late(files: &[NodeJournal], taken_at_ms: i64) -> Option<Gap> {
    let found: Vec<_> = files.iter().map(NodeJournal::found).collect();
    let (head, since_ms) = complete_since(&found)?;
    if since_ms.is_some_and(|since_ms| since_ms <= taken_at_ms) {
        return None;
    }
    let path = files.iter().find(|file| file.number == head.number)?.path.clone();
    let begins = since_ms.map_or_else(|| "an unknown time".to_owned(), time_text);
    Some(Gap::BeginsLate(path, begins))
}
