//! `einklang doctor`: everything that has to be in order, checked one by one, each with a sentence that says what to do.
//!
//! Promise: it makes and changes nothing, not even a schema that is behind. A check that cannot be made because an
//! earlier one failed is left out.

mod duties;
mod remains;
mod wall;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::audit_guard::FileGuard;
use super::cli::chain;
use super::config::{Config, DEFAULT_AUDIT_NAME};
use super::system::{SystemClock, SystemEntropy};
use super::{audit, audit_key, registries, root_key};
use crate::domain::scope::TenantScope;
use crate::flow::audit::check::Extent;
use crate::flow::{Clock, Live};
use crate::store::Store;
use crate::store::keys::RootCheck;
use crate::store::roots::Roots;

/// The beginning of the month in which this was written, in milliseconds since 1970: no clock is right that is behind it.
const WRITTEN_AT_MS: i64 = 1_793_491_200_000;
/// How far the database server's clock may be away, in milliseconds.
const CLOCKS_APART_MS: i64 = 5_000;
/// How far the clock may be behind the last checkpoint, in milliseconds.
const BEHIND_MS: i64 = 60_000;
/// How long entries may wait, in milliseconds: a server that runs places them within a second.
const WAITING_MS: i64 = 10 * 60 * 1_000;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    fn code(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
        }
    }
}

/// So many checks failed.
#[derive(Debug, thiserror::Error)]
#[error("{0} checks failed")]
pub struct Unwell(usize);

/// The checks as they come out.
#[derive(Default)]
struct Sheet(Vec<(&'static str, State, String)>);

impl Sheet {
    fn note(&mut self, name: &'static str, state: State, sentence: impl Into<String>) {
        self.0.push((name, state, sentence.into()));
    }

    /// In order with one sentence, or failed with the error's.
    fn put(&mut self, name: &'static str, result: Result<String, impl std::fmt::Display>) -> bool {
        match result {
            Ok(sentence) => self.note(name, State::Ok, sentence),
            Err(error) => self.note(name, State::Failed, error.to_string()),
        }
        self.0.last().is_some_and(|(_, state, _)| *state == State::Ok)
    }

    fn text(&self, as_json: bool) -> String {
        if as_json {
            let one = |(name, state, sentence): &(&str, State, String)| json!({"check": name, "state": state.code(), "sentence": sentence});
            let checks: Vec<_> = self.0.iter().map(one).collect();
            return format!("{}\n", json!({"ok": self.failed() == 0, "checks": checks}));
        }
        let mut lines = String::new();
        for (name, state, sentence) in &self.0 {
            // Writing into a string cannot fail.
            let _ = writeln!(lines, "{:<8} {name:<16} {sentence}", state.code());
        }
        lines
    }

    fn failed(&self) -> usize {
        let failed = self.0.iter().filter(|(_, state, _)| *state == State::Failed);
        failed.count()
    }
}

/// Runs every check; returns what there is to print, and whether all was in order.
pub async fn doctor(config: &Config, clock: &SystemClock, as_json: bool) -> (String, Result<(), Unwell>) {
    let mut sheet = Sheet::default();
    folder(config, &mut sheet);
    name(config, &mut sheet);
    if let Some(store) = open(config, &mut sheet).await {
        database(config, &store, clock, &mut sheet).await;
        store.close().await;
    }
    let failed = sheet.failed();
    let outcome = if failed == 0 { Ok(()) } else { Err(Unwell(failed)) };
    (sheet.text(as_json), outcome)
}

fn folder(config: &Config, sheet: &mut Sheet) {
    let path = config.data_dir.display();
    match std::fs::metadata(&config.data_dir) {
        Ok(found) if found.permissions().mode().trailing_zeros() >= 6 => {
            sheet.note(
                "data_folder",
                State::Ok,
                "Only its owner can read the data folder.",
            );
        }
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            let sentence = format!("Others can read {path} (mode {mode:o}). Run: chmod 0700 {path}");
            sheet.note("data_folder", State::Failed, sentence);
        }
        Err(error) => {
            let sentence = format!("The data folder {path} cannot be read: {error}");
            sheet.note("data_folder", State::Failed, sentence);
        }
    }
}

fn name(config: &Config, sheet: &mut Sheet) {
    if config.audit_name == DEFAULT_AUDIT_NAME {
        let sentence =
            "The audit logs have no name of yours. Set audit_name to a host name before anything is signed.";
        sheet.note("audit_name", State::Warning, sentence);
    } else {
        sheet.note("audit_name", State::Ok, "The audit logs have a name.");
    }
}

async fn open(config: &Config, sheet: &mut Sheet) -> Option<Store> {
    if let Some(path) = config.database_url.strip_prefix("sqlite:") {
        let path = path.split('?').next().unwrap_or_default();
        if !Path::new(path.trim_start_matches("//")).exists() {
            let sentence = "There is no database yet. Start the server once, and it makes one.";
            sheet.note("database", State::Failed, sentence);
            return None;
        }
    }
    let opened = async {
        let store = Store::connect(&config.database_url).await?;
        store.ping().await?;
        Ok::<_, crate::store::StoreError>(store)
    };
    match opened.await {
        Ok(store) => {
            sheet.note("database", State::Ok, "The database answers.");
            Some(store)
        }
        Err(error) => {
            let sentence = format!(
                "The database cannot be opened: {}. Is it running, and is the URL right?",
                chain(&error)
            );
            sheet.note("database", State::Failed, sentence);
            None
        }
    }
}

async fn database(config: &Config, store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    match store.is_whole().await {
        Ok(None) => {}
        Ok(Some(true)) => sheet.note("integrity", State::Ok, "SQLite finds its file whole."),
        Ok(Some(false)) => {
            let sentence =
                "SQLite finds its file damaged (PRAGMA quick_check). Stop the server and restore a backup.";
            sheet.note("integrity", State::Failed, sentence);
        }
        Err(error) => sheet.note("integrity", State::Failed, chain(&error)),
    }
    let pending = store.pending_migrations().await.map_err(|error| chain(&error));
    let migrations = pending.and_then(|pending| match pending {
        0 => Ok("The schema is the one that this version knows.".to_owned()),
        some => Err(format!(
            "{some} migrations are not applied. Run: einklang migrate up"
        )),
    });
    let current = sheet.put("migrations", migrations);
    time(store, clock, sheet).await;
    if !current {
        return;
    }
    partitions(store, clock, sheet).await;
    wall::second_wall(store, sheet).await;
    let root = root_key::look(config, store).await;
    let root = keys(config, store, root, sheet).await;
    waiting(store, clock, sheet).await;
    remains::journal(config, sheet);
    remains::remains(config, store, clock, sheet).await;
    duties::requests(store, clock, sheet).await;
    if let Some(root) = root {
        match start(config, store, root).await {
            Ok(live) => {
                tenant_keys(&live.rootless_tenants(), sheet);
                duties::retention(Arc::clone(&live), sheet).await;
                search(config, store, live, sheet).await;
            }
            Err(error) => sheet.note("audit_check", State::Failed, error),
        }
    }
}

/// The shared parts over an opened database.
async fn start(config: &Config, store: &Store, roots: Roots) -> Result<Arc<Live>, String> {
    let registries = registries::load(config).map_err(|error| chain(&error))?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let live = Live::start(store.clone(), roots, clock, entropy, registries).await;
    live.map_err(|error| chain(&error))
}

async fn time(store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    let now_ms = clock.now_ms();
    let signed_ms = store.last_signed_ms().await.ok().flatten();
    let database_ms = store.clock_ms().await.ok().flatten();
    let failed = if now_ms < WRITTEN_AT_MS {
        Some("The clock is years behind. Set it, and keep it right with NTP.")
    } else if signed_ms.is_some_and(|signed_ms| signed_ms - now_ms > BEHIND_MS) {
        Some("The clock is behind the last checkpoint. Set it, and keep it right with NTP.")
    } else if database_ms.is_some_and(|database_ms| (database_ms - now_ms).abs() > CLOCKS_APART_MS) {
        Some("This machine's clock and the database server's are apart by seconds. Keep both right with NTP.")
    } else {
        None
    };
    match failed {
        Some(sentence) => sheet.note("clock", State::Failed, sentence),
        None => sheet.note("clock", State::Ok, "The clock is plausible."),
    }
}

async fn partitions(store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    if !store.is_postgres() {
        return;
    }
    match store.missing_partitions(clock.now_ms().div_euclid(1_000)).await {
        Ok(missing) if missing.is_empty() => {
            sheet.note(
                "partitions",
                State::Ok,
                "This month and the next have their partitions.",
            );
        }
        Ok(missing) => {
            let sentence = format!(
                "{} partitions are missing, the first is {}. A server that runs makes them every hour.",
                missing.len(),
                missing.first().map_or("", String::as_str)
            );
            sheet.note("partitions", State::Failed, sentence);
        }
        Err(error) => sheet.note("partitions", State::Failed, chain(&error)),
    }
}

async fn keys(
    config: &Config,
    store: &Store,
    root: Result<Option<Roots>, root_key::RootKeyError>,
    sheet: &mut Sheet,
) -> Option<Roots> {
    let none = "The database knows no key yet. Start the server once, and it makes one.";
    let root = match root {
        Ok(Some(roots)) => {
            root_state(store, &roots, sheet).await;
            Some(roots)
        }
        Ok(None) => {
            sheet.note("root_key", State::Failed, none);
            None
        }
        Err(error) => {
            sheet.note("root_key", State::Failed, chain(&error));
            None
        }
    };
    match audit_key::public(&config.audit_key_file, store).await {
        Ok(Some(_)) if config.audit_key_file.exists() => {
            sheet.note("audit_key", State::Ok, "The audit key is the database's.");
        }
        Ok(Some(_)) => {
            let path = config.audit_key_file.display();
            let sentence =
                format!("The audit key's file {path} is missing. Put it back: no server starts without it.");
            sheet.note("audit_key", State::Failed, sentence);
        }
        Ok(None) => sheet.note("audit_key", State::Failed, none),
        Err(error) => sheet.note("audit_key", State::Failed, chain(&error)),
    }
    let guard = FileGuard::open(&config.audit_guard_file);
    let exists = config.audit_guard_file.exists();
    match guard {
        Ok(_) if exists => {
            sheet.note("guard_file", State::Ok, "The guard file can be read.");
        }
        Ok(_) => {
            let sentence =
                "There is no guard file: a rewound log would not be noticed here. Is the path right?";
            sheet.note("guard_file", State::Warning, sentence);
        }
        Err(error) => sheet.note("guard_file", State::Failed, chain(&error)),
    }
    root
}

/// Whether the root key is the database's, and whether a rotation was begun and has not ended.
async fn root_state(store: &Store, roots: &Roots, sheet: &mut Sheet) {
    match store.check_root(Some(roots)).await {
        Ok(RootCheck::Due(name)) => {
            let sentence = format!(
                "The database is still under root key {name}. When every server has both, run: einklang keys rotate --root"
            );
            sheet.note("root_key", State::Warning, sentence);
        }
        Ok(_) => sheet.note("root_key", State::Ok, "The root key is the database's."),
        Err(error) => sheet.note("root_key", State::Failed, chain(&error)),
    }
    match store.reader(TenantScope::Server).key_rotations(None).await {
        Ok(rotations) if rotations.iter().any(|one| one.ended_at_ms.is_none()) => {
            let sentence = "A rotation of keys was begun and has not ended. Give the same command again: einklang keys rotate";
            sheet.note("key_rotation", State::Warning, sentence);
        }
        Ok(_) => sheet.note("key_rotation", State::Ok, "No rotation of keys is half done."),
        Err(error) => sheet.note("key_rotation", State::Failed, chain(&error)),
    }
}

/// Tenants whose keys do not open here. Others are served all the same.
fn tenant_keys(rootless: &[String], sheet: &mut Sheet) {
    if rootless.is_empty() {
        sheet.note("tenant_keys", State::Ok, "Every tenant's keys open.");
    } else {
        let sentence = format!(
            "The root keys of these tenants are not here, so that their requests are refused: {}. Name their files in \
             tenant_root_keys or root_other_key_files.",
            rootless.join(", ")
        );
        sheet.note("tenant_keys", State::Failed, sentence);
    }
}

async fn waiting(store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    match store.waiting().await {
        Ok(waiting) => {
            let waited_ms = waiting.since_ms.map_or(0, |since_ms| clock.now_ms() - since_ms);
            if waiting.rows > 0 && waited_ms > WAITING_MS {
                let minutes = waited_ms / 60_000;
                let sentence = format!(
                    "Entries of the audit logs have waited for their places for {minutes} minutes. A server that runs \
                     gives them their places; if one does, look into its log."
                );
                sheet.note("waiting_entries", State::Failed, sentence);
            } else {
                let sentence = "No entry of the audit logs has waited long for its place.";
                sheet.note("waiting_entries", State::Ok, sentence);
            }
        }
        Err(error) => sheet.note("waiting_entries", State::Failed, chain(&error)),
    }
    unsigned(store, clock, sheet).await;
}

/// A log that grew has a checkpoint within a second; what grew long ago and is not signed, nobody can rely on.
async fn unsigned(store: &Store, clock: &SystemClock, sheet: &mut Sheet) {
    let heads = store.reader(TenantScope::Server).log_heads().await;
    let heads = match heads {
        Ok(heads) => heads,
        Err(error) => {
            sheet.note("checkpoints", State::Failed, chain(&error));
            return;
        }
    };
    let is_behind = |head: &&crate::store::audit::heads::Head| {
        let signed = head.signed.as_ref();
        let is_old = signed.is_none_or(|signed| clock.now_ms() - signed.at_ms > WAITING_MS);
        signed.map_or(0, |signed| signed.size) < head.size && is_old
    };
    let behind = heads.iter().filter(is_behind).count();
    if behind == 0 {
        let sentence = "Every log's entries are under a signed checkpoint, or have just come.";
        sheet.note("checkpoints", State::Ok, sentence);
    } else {
        let sentence = format!(
            "{behind} logs have entries that no checkpoint covers, and the last one is more than ten minutes old. A \
             server that runs signs every second; if one does, look into its log."
        );
        sheet.note("checkpoints", State::Failed, sentence);
    }
}

async fn search(config: &Config, store: &Store, live: Arc<Live>, sheet: &mut Sheet) {
    let result = async {
        let flow = audit::check::flow(config, store, live).await;
        let flow = flow.map_err(|error| chain(&error))?;
        let report = flow.run(Extent::default()).await.map_err(|error| chain(&error))?;
        match report.findings.first() {
            None => Ok(format!(
                "The audit logs, {} entries, and the tables fit together.",
                report.looked_at.entries
            )),
            Some(first) => Err(format!(
                "{} kinds of findings, the first: {} in the log of {}, {}. Run: einklang audit check",
                report.findings.len(),
                first.kind.code(),
                flow.tenant_text(first.tenant),
                first.place
            )),
        }
    };
    sheet.put("audit_check", result.await);
}
