//! A PostgreSQL cluster that a test may stop, start and starve. Unlike that of the integration tests it syncs to the disk.
//!
//! A shell waits for the end of its standard input, which is the other end of a pipe that only this process holds, then stops
//! the server and removes its files: so the cluster ends however the test ends.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::OnceCell;

/// Whom the database belongs to: no superuser, so that the second wall holds.
const OWNER: &str = "einklang";
/// `$1` binaries, `$2` folder, then the words that make a command another user's.
const KEEPER: &str = r#"
bin=$1 folder=$2
shift 2
cat >/dev/null
"$@" "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop </dev/null >/dev/null 2>&1
rm -rf "$folder"
"#;

pub struct Cluster {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    switch_user: &'static [&'static str],
    /// Holds the pipe that keeps the server running.
    _keeper: Child,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

impl Cluster {
    /// The cluster of all tests, which take turns; each leaves it running.
    pub async fn get() -> &'static Self {
        CLUSTER.get_or_init(Self::start).await
    }

    /// Makes and starts one.
    async fn start() -> Self {
        let bin = binaries();
        let folder = tempfile::tempdir().expect("a folder").keep();
        let is_root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
        // PostgreSQL refuses to run as root.
        let switch_user: &[&str] = if is_root {
            &["runuser", "-u", "nobody", "--"]
        } else {
            &[]
        };
        if is_root {
            let given = Command::new("chown").arg("nobody").arg(&folder).status();
            assert!(given.expect("chown runs").success());
        }
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .args([&bin, &folder])
            .args(switch_user)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("sh runs");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let cluster = Self {
            port: listener.local_addr().expect("an address").port(),
            bin,
            folder,
            switch_user,
            _keeper: keeper,
        };
        drop(listener);
        let data = cluster.folder.join("data");
        let made = cluster
            .command("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.control(&["start"]);
        for sql in [
            format!("CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS"),
            format!("GRANT pg_monitor TO {OWNER}"),
        ] {
            cluster.execute("postgres", sql).await;
        }
        cluster
    }

    /// Makes an empty database; returns its URL.
    pub async fn new_database(&self, name: &str) -> String {
        self.execute("postgres", format!("CREATE DATABASE {name} OWNER {OWNER}"))
            .await;
        format!("postgres://{OWNER}@127.0.0.1:{}/{name}", self.port)
    }

    /// One statement of the administrator's, whom no wall holds.
    pub async fn execute(&self, database: &str, sql: String) {
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}", self.port);
        let options: sqlx::postgres::PgConnectOptions = url.parse().expect("a URL");
        let mut connection = options
            .disable_statement_logging()
            .connect()
            .await
            .expect("connected");
        connection.execute(AssertSqlSafe(sql)).await.expect("executed");
        connection.close().await.expect("closed");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(self.switch_user, &self.bin.join(program));
        command.current_dir(&self.folder);
        command
    }

    /// Runs `pg_ctl` with these words and waits for what they ask for.
    pub fn control(&self, words: &[&str]) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c autovacuum=off",
            self.port
        );
        let mut control = self.command("pg_ctl");
        control.args(words).args(["-w", "-t", "60", "-o", &options]);
        let done = control
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(self.folder.join("log"))
            .stdout(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        assert!(done.success(), "pg_ctl {words:?}");
    }

    /// The same beside the load, whose threads it does not hold.
    pub fn control_beside(&self, words: &[&str]) {
        tokio::task::block_in_place(|| self.control(words));
    }

    /// Sets a limit of the server and each of its processes.
    pub fn limit(&self, limit: &str) {
        self.each(|pid| vec!["prlimit".to_owned(), "--pid".to_owned(), pid, limit.to_owned()]);
    }

    /// Sends the server and each of its processes a signal.
    pub fn signal(&self, signal: &str) {
        self.each(|pid| vec!["kill".to_owned(), format!("-{signal}"), pid]);
    }

    fn each(&self, words: impl Fn(String) -> Vec<String>) {
        let postmaster = self.postmaster().expect("it runs");
        for pid in std::iter::once(postmaster).chain(children(postmaster)) {
            let words = words(pid.to_string());
            let mut command = command(self.switch_user, words[0].as_ref());
            let done = command.args(&words[1..]).current_dir("/").stderr(Stdio::null());
            // A process that served one connection may have ended meanwhile; the server has not.
            let done = done
                .status()
                .expect("prlimit and kill run (Debian: util-linux, procps)");
            assert!(done.success() || pid != postmaster, "{words:?}");
        }
    }

    /// The number of the server's process, while it runs.
    fn postmaster(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok()
    }

    /// Whether the server has ended by itself.
    pub fn is_gone(&self) -> bool {
        let state = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        self.postmaster()
            .and_then(state)
            .is_none_or(|state| state.contains(") Z "))
    }
}

/// A program as another user.
fn command(switch_user: &[&str], program: &Path) -> Command {
    let Some((first, rest)) = switch_user.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).expect("a list of processes");
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The newest installed server, or the one that `EINKLANG_TEST_PG_BIN` names.
fn binaries() -> PathBuf {
    if let Some(given) = std::env::var_os("EINKLANG_TEST_PG_BIN") {
        return given.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let bin = |version: u32| {
        Path::new("/usr/lib/postgresql")
            .join(version.to_string())
            .join("bin")
    };
    let newest = versions
        .filter(|version| bin(*version).join("initdb").exists())
        .max();
    newest.map(bin).expect(
        "these tests need PostgreSQL 15 or newer: install it (Debian: apt-get install postgresql) or let \
         EINKLANG_TEST_PG_BIN name the folder that holds initdb and pg_ctl",
    )
}
