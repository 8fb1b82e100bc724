//! A log of many entries on a test's server, and the hands of somebody who may write to its database.

use einklang::audit::growth::Edge;
use einklang::audit::merkle::leaf_hash;
use einklang::domain::event::{Actor, AuditEvent, Trail};
use einklang::flow::audit::check::Extent;
use einklang::store::Store;

use crate::harness::app::TestApp;

/// Entries that are committed together.
const CHUNK: u64 = 1_000;
/// Checkpoints that a filled log gets.
const CHECKPOINTS: u64 = 10;
/// Bodies that are read at once.
const PAGE: u64 = 10_000;

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(number("EINKLANG_TAMPER_SEED", 0x5eed_1e55_0f10_9a75) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// The log of one tenant.
pub struct Log {
    tenant: i64,
    /// How many entries.
    pub size: u64,
    url: String,
    signed: Vec<u64>,
    hands: Hands,
}

/// A connection of the intruder's.
enum Hands {
    Sqlite(sqlx::SqlitePool),
    Postgres(sqlx::PgPool),
}

impl Log {
    /// Brings acme's log to so many entries, with checkpoints on the way.
    pub async fn fill(app: &TestApp, size: u64) -> Self {
        let url = app.database.url.clone();
        let hands = if url.starts_with("sqlite:") {
            Hands::Sqlite(sqlite(&url).await)
        } else {
            // The second wall is no hindrance to whoever has the database.
            let options: sqlx::postgres::PgConnectOptions = url.parse().expect("an address");
            let options = options.options([("einklang.tenant", "all")]);
            Hands::Postgres(sqlx::PgPool::connect_with(options).await.expect("opened"))
        };
        app.keep_logs().await;
        let tenant = app.ledger.tenant("acme").await;
        let mut log = Self {
            tenant,
            size: 0,
            url,
            signed: Vec::new(),
            hands,
        };
        log.size = log.head(app).await;
        log.signed.push(log.size);
        let more = size - log.size;
        log.grow(app, more).await
    }

    /// The same log with more entries.
    pub async fn grow(&self, app: &TestApp, more: u64) -> Self {
        let store = Store::connect(&self.url).await.expect("opened");
        let mut signed = self.signed.clone();
        let (mut size, end) = (self.size, self.size + more);
        let step = more.div_ceil(CHECKPOINTS);
        while size < end {
            let until = end.min(size + CHUNK.min(step));
            let entries = (size..until).map(|number| event(self.tenant, number).into());
            let trail = Trail::from_entries(entries.collect()).expect("entries");
            let batch = store.begin_batch(0, None).await.expect("begun");
            batch.commit_with(&trail).await.expect("committed");
            size = until;
            if size == end || size - signed.last().copied().unwrap_or(0) >= step {
                app.keep_logs().await;
                signed.push(size);
            }
        }
        store.close().await;
        let hands = match &self.hands {
            Hands::Sqlite(pool) => Hands::Sqlite(pool.clone()),
            Hands::Postgres(pool) => Hands::Postgres(pool.clone()),
        };
        let log = Self {
            tenant: self.tenant,
            size: end,
            url: self.url.clone(),
            signed,
            hands,
        };
        assert_eq!(log.head(app).await, end, "every entry has its place");
        log
    }

    async fn head(&self, app: &TestApp) -> u64 {
        let sql = format!("SELECT size FROM audit_log WHERE tenant = {}", self.tenant);
        u64::try_from(app.ledger.number(&sql).await).expect("a size")
    }

    /// What a search of this log finds: kinds and first entries.
    pub async fn search(&self, app: &TestApp) -> Vec<(&'static str, Option<u64>)> {
        let extent = Extent {
            tenant: Some(self.tenant),
            logs_only: true,
            ..Extent::default()
        };
        let report = app.checks().flow().run(extent).await.expect("searched");
        let found = report.findings.iter();
        found.map(|one| (one.kind.code(), one.index)).collect()
    }

    /// The size of the last checkpoint that an entry is not under.
    pub fn signed_before(&self, index: u64) -> u64 {
        let before = self.signed.iter().rev().find(|size| **size <= index);
        before.copied().unwrap_or(0)
    }

    /// One statement; `{tenant}` is this log's.
    pub async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.replace("{tenant}", &self.tenant.to_string()));
        match &self.hands {
            Hands::Sqlite(pool) => drop(sqlx::query(sql).execute(pool).await.expect("executed")),
            Hands::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.expect("executed")),
        }
    }

    async fn bodies(&self, begin: u64, end: u64) -> Vec<Vec<u8>> {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT body FROM audit_leaf WHERE tenant = {} AND epoch = 0 AND idx >= {begin} AND idx < {end} ORDER BY idx",
            self.tenant
        ));
        match &self.hands {
            Hands::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Hands::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("bodies")
    }

    /// An entry's bytes.
    pub async fn body(&self, index: u64) -> Vec<u8> {
        self.bodies(index, index + 1).await.pop().expect("a body")
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        let digits = hex::encode(bytes);
        match &self.hands {
            Hands::Sqlite(_) => format!("x'{digits}'"),
            Hands::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Writes an entry's bytes.
    pub async fn write(&self, index: u64, body: &[u8]) {
        let body = self.bytes(body);
        self.execute(&format!(
            "UPDATE audit_leaf SET body = {body} WHERE tenant = {{tenant}} AND epoch = 0 AND idx = {index}"
        ))
        .await;
    }

    /// Takes an entry out of the log.
    pub async fn hide(&self, index: u64) {
        self.execute(&format!(
            "UPDATE audit_leaf SET epoch = 9 WHERE tenant = {{tenant}} AND epoch = 0 AND idx = {index}"
        ))
        .await;
    }

    /// Puts it back.
    pub async fn unhide(&self, index: u64) {
        self.execute(&format!(
            "UPDATE audit_leaf SET epoch = 0 WHERE tenant = {{tenant}} AND epoch = 9 AND idx = {index}"
        ))
        .await;
    }

    /// Gives two entries one another's place.
    pub async fn swap(&self, one: u64, other: u64) {
        for (from, to) in [("0", "9"), ("9", "0")] {
            let index = if from == "0" {
                "idx".to_owned()
            } else {
                format!("{} - idx", one + other)
            };
            self.execute(&format!(
                "UPDATE audit_leaf SET epoch = {to}, idx = {index} WHERE tenant = {{tenant}} AND epoch = {from} \
                 AND idx IN ({one}, {other})"
            ))
            .await;
        }
    }

    /// Keeps a copy of all entries, from which [`Log::shift_up`] works.
    pub async fn keep_spare(&self) {
        self.execute("CREATE TABLE spare AS SELECT * FROM audit_leaf WHERE tenant = {tenant} AND epoch = 0")
            .await;
    }

    /// Puts an entry in and moves all behind it on, the head included.
    pub async fn shift_up(&self, index: u64) {
        self.write_again(index, "1").await;
        let new = event(self.tenant, self.size + 1);
        let body = self.bytes(&einklang::audit::leaf::encode(&new));
        let id = match &self.hands {
            Hands::Sqlite(_) => "x'0000000000007000a000000000000001'",
            Hands::Postgres(_) => "'00000000-0000-7000-a000-000000000001'",
        };
        self.execute(&format!(
            "INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body) VALUES ({{tenant}}, 0, {index}, {id}, {body})"
        ))
        .await;
        self.execute("UPDATE audit_log SET size = size + 1 WHERE tenant = {tenant}")
            .await;
    }

    /// Takes it out again.
    pub async fn shift_down(&self, index: u64) {
        self.write_again(index, "0").await;
        self.execute("UPDATE audit_log SET size = size - 1 WHERE tenant = {tenant}")
            .await;
    }

    /// All entries from one on, so many places further.
    async fn write_again(&self, from: u64, by: &str) {
        self.execute(&format!(
            "DELETE FROM audit_leaf WHERE tenant = {{tenant}} AND epoch = 0 AND idx >= {from}"
        ))
        .await;
        self.execute(&format!(
            "INSERT INTO audit_leaf (tenant, epoch, idx, entry_id, body) \
             SELECT tenant, epoch, idx + {by}, entry_id, body FROM spare WHERE idx >= {from} ORDER BY idx"
        ))
        .await;
    }

    /// Cuts entries, tiles, checkpoints and the head to a size, as if it had never been more.
    pub async fn cut(&self, size: u64) {
        self.execute(&format!(
            "DELETE FROM audit_leaf WHERE tenant = {{tenant}} AND idx >= {size}"
        ))
        .await;
        self.execute(&format!(
            "DELETE FROM audit_checkpoint WHERE tenant = {{tenant}} AND size > {size}"
        ))
        .await;
        self.execute(&format!(
            "UPDATE audit_log SET size = {size} WHERE tenant = {{tenant}}"
        ))
        .await;
        self.recompute_tiles().await;
    }

    /// Makes all tiles anew from the entries that are there.
    pub async fn recompute_tiles(&self) {
        self.execute("DELETE FROM audit_tile WHERE tenant = {tenant}")
            .await;
        let mut edge = Edge::default();
        let mut begin = 0;
        loop {
            let bodies = self.bodies(begin, begin + PAGE).await;
            if bodies.is_empty() {
                return;
            }
            begin += PAGE;
            let hashes: Vec<_> = bodies.iter().map(|body| leaf_hash(body)).collect();
            for changed in edge.append(&hashes) {
                let (level, tile) = (changed.id.level, changed.id.tile);
                let hashes = self.bytes(&changed.hashes.concat());
                self.execute(&format!(
                    "INSERT INTO audit_tile (tenant, epoch, level, tile, hashes) \
                     VALUES ({{tenant}}, 0, {level}, {tile}, {hashes}) \
                     ON CONFLICT (tenant, epoch, level, tile) DO UPDATE SET hashes = excluded.hashes"
                ))
                .await;
            }
        }
    }
}

/// An intruder who does not wait for the disk, and moves half a log in memory.
async fn sqlite(url: &str) -> sqlx::SqlitePool {
    let options: sqlx::sqlite::SqliteConnectOptions = url.parse().expect("an address");
    let options = options
        .pragma("synchronous", "OFF")
        .pragma("cache_size", "-400000");
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    pool.connect_with(options).await.expect("opened")
}

/// An entry that is like no other.
fn event(tenant: i64, number: u64) -> AuditEvent {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    let mut event = AuditEvent::new(tenant, "postback.verdict", &Actor::Server, "refused", &nonce);
    event.at_ms = Some(1_795_000_000_000 + i64::try_from(number).expect("small"));
    event.reason = Some("no_token");
    event
}
