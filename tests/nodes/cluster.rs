//! A PostgreSQL of the test's own, to which a standby can be made that follows it synchronously.
//!
//! A shell keeps both, as `it/harness/postgres.rs` says.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::database::scratch;
use crate::load::PATIENCE;
use crate::postgres::{OWNER, SUPERUSER, binaries, command, free_port, says_ready, switch_user};

const DATABASE: &str = "einklang";

/// `$1` binaries, `$2` folder, then the words that make a command another user's. Whatever runs in the folder when nobody
/// holds the pipe any more is stopped.
const KEEPER: &str = r#"
bin=$1 folder=$2
shift 2
echo ready
cat >/dev/null
for data in "$folder"/data-*; do
    "$@" "$bin/pg_ctl" -D "$data" -m immediate -w stop </dev/null >/dev/null 2>&1
done
rm -rf "$folder"
"#;

/// Two places for servers, of which the one that writes is named.
pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    switch_user: Vec<String>,
    ports: [u16; 2],
    primary: usize,
    /// Holds the pipe.
    _keeper: Child,
}

impl Cluster {
    /// Starts one server, with an empty database of the server's role.
    pub async fn start() -> Self {
        let folder = scratch().keep();
        let (bin, switch_user) = (binaries(), switch_user(&folder));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", KEEPER, "keeper"])
            .args([&bin, &folder])
            .args(&switch_user);
        shell.current_dir(&folder).process_group(0).stderr(Stdio::null());
        let keeper = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut keeper = keeper.expect("sh runs");
        assert!(says_ready(&mut keeper));
        let cluster = Self {
            bin,
            folder,
            switch_user,
            ports: [free_port(), free_port()],
            primary: 0,
            _keeper: keeper,
        };
        let data = cluster.data(0).display().to_string();
        let made = [
            "-D",
            &data,
            "-A",
            "trust",
            "-U",
            SUPERUSER,
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ];
        cluster.run("initdb", &made);
        let settings = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n\
             wal_level = replica\nautovacuum = off\nwal_recycle = off\n";
        let mut file = fs::File::options()
            .append(true)
            .open(cluster.data(0).join("postgresql.conf"));
        let file = file.as_mut().expect("the settings");
        file.write_all(settings.as_bytes()).expect("written");
        cluster.up(0);
        for sql in [
            format!("CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS"),
            format!("GRANT pg_monitor TO {OWNER}"),
            format!("CREATE DATABASE {DATABASE} OWNER {OWNER}"),
        ] {
            cluster.execute(&sql).await;
        }
        cluster
    }

    fn data(&self, place: usize) -> PathBuf {
        self.folder.join(format!("data-{place}"))
    }

    /// Runs one of PostgreSQL's tools.
    fn run(&self, tool: &str, words: &[&str]) {
        let mut command = command(&self.switch_user, &self.bin.join(tool));
        command.args(words).current_dir(&self.folder);
        // What it starts would hold a pipe open.
        let log = fs::File::create(self.folder.join("tool.log")).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let status = command.status().expect("it runs");
        let said = fs::read_to_string(self.folder.join("tool.log")).unwrap_or_default();
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(status.success(), "{tool} {words:?}: {said}\n{log}");
    }

    /// Starts the server of a place.
    fn up(&self, place: usize) {
        let (data, log) = (self.data(place).display().to_string(), self.folder.join("log"));
        let (log, options) = (log.display().to_string(), format!("-p {}", self.ports[place]));
        self.run(
            "pg_ctl",
            &["-D", &data, "-l", &log, "-w", "-t", "60", "-o", &options, "start"],
        );
    }

    /// Makes the other place a standby that the primary waits for at every commit.
    pub async fn add_standby(&self) {
        self.copy_to_standby();
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await;
        self.execute("SELECT pg_reload_conf()").await;
        self.until(&follows("sync")).await;
    }

    /// Makes the other place a standby that nobody waits for.
    pub async fn add_slow_standby(&self) {
        self.copy_to_standby();
        self.until(&follows("async")).await;
    }

    fn copy_to_standby(&self) {
        let standby = 1 - self.primary;
        let (data, port) = (self.data(standby), self.ports[self.primary].to_string());
        // What was a primary once is made anew.
        if data.exists() {
            fs::remove_dir_all(&data).expect("removed");
        }
        let data = data.display().to_string();
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", SUPERUSER];
        let copy = [
            "-D",
            &data,
            "-R",
            "-X",
            "stream",
            "--checkpoint=fast",
            "--no-sync",
        ];
        self.run("pg_basebackup", &[&from[..], &copy[..]].concat());
        // Whom the primary waits for is not for the standby: as a primary it would wait for one that is no more.
        let own = self.data(standby).join("postgresql.auto.conf");
        let mut file = fs::File::options().append(true).open(own).expect("its settings");
        file.write_all(b"synchronous_standby_names = ''\n")
            .expect("written");
        self.up(standby);
    }

    /// Waits until the primary says yes.
    async fn until(&self, question: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.is(question).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "the standby does not follow");
    }

    /// Lets the primary take no writes any more, while it goes on reading for whoever is connected.
    pub async fn fence_primary(&self) {
        self.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            .await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// Stops the primary in good order, and starts it again.
    pub fn restart_primary(&self) {
        let data = self.data(self.primary).display().to_string();
        self.run("pg_ctl", &["-D", &data, "-m", "fast", "-w", "stop"]);
        self.up(self.primary);
    }

    /// `kill -9` of the primary and of every process that it started, at once.
    pub fn kill_primary(&self) {
        signal("-KILL", &self.processes());
    }

    /// Stops the primary where it stands: its connections stay open, and nobody answers on them. Returns its processes.
    pub fn freeze_primary(&self) -> Vec<String> {
        let processes = self.processes();
        signal("-STOP", &processes);
        processes
    }

    fn processes(&self) -> Vec<String> {
        let file = fs::read_to_string(self.data(self.primary).join("postmaster.pid")).expect("its file");
        let postmaster = file.lines().next().expect("a line").to_owned();
        let mut processes = vec![postmaster.clone()];
        processes.extend(children(&postmaster));
        processes
    }

    /// Waits until the standby has everything that the primary has written.
    pub async fn until_followed(&self) {
        let question =
            "SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn())";
        self.until(question).await;
    }

    /// Lets the standby take writes; returns when it does.
    pub fn promote(&mut self) {
        let standby = 1 - self.primary;
        let data = self.data(standby).display().to_string();
        self.run("pg_ctl", &["-D", &data, "-w", "-t", "60", "promote"]);
        self.primary = standby;
    }

    /// The URL with one host: the one that writes.
    pub fn url(&self) -> String {
        format!(
            "postgres://{OWNER}@127.0.0.1:{}/{DATABASE}",
            self.ports[self.primary]
        )
    }

    /// The URL with both hosts.
    pub fn url_of_both(&self) -> String {
        let [one, other] = self.ports;
        format!(
            "postgres://{OWNER}@127.0.0.1:{one},127.0.0.1:{other}/{DATABASE}?target_session_attrs=read-write"
        )
    }

    fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1");
        let options = options.port(self.ports[self.primary]).username(SUPERUSER);
        options.database("postgres").disable_statement_logging()
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.options().connect().await.expect("connected");
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        text.execute(&mut connection).await.expect("executed");
        connection.close().await.expect("closed");
    }

    async fn is(&self, sql: &str) -> bool {
        let mut connection = self.options().connect().await.expect("connected");
        let question = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        question.fetch_one(&mut connection).await.expect("an answer")
    }
}

fn follows(state: &str) -> String {
    format!("SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = '{state}')")
}

/// Sends a signal to all of them at once.
pub fn signal(signal: &str, processes: &[String]) {
    let sent = Command::new("kill").arg(signal).args(processes).status();
    assert!(sent.expect("kill runs").success(), "somebody was gone already");
}

/// The processes whose parent this is.
fn children(parent: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let of = |path: &Path| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // The name before it is in brackets and may hold anything.
        let mut after = stat.rsplit_once(')')?.1.split_whitespace();
        (after.nth(1)? == parent)
            .then(|| path.file_name()?.to_str().map(str::to_owned))
            .flatten()
    };
    processes.filter_map(|entry| of(&entry.path())).collect()
}
