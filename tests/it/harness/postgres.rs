//! A PostgreSQL cluster of this process's own: made when the first test needs it, gone when the process is.
//!
//! A shell keeps it: it starts the server, waits for the end of its standard input, which is the other end of a pipe
//! that only this process holds, then stops the server and removes its files. So the cluster ends however the tests end,
//! killed ones included. Nothing is synced to disk: what these tests show does not depend on it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use einklang::store::Store;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::clock::START_S;
use super::database::scratch;

const TEMPLATE: &str = "einklang_template";
/// Whom the databases belong to, and as whom everything in them is done: a role like any server's, which the second wall
/// holds.
pub const OWNER: &str = "einklang";
/// The cluster's administrator.
pub const SUPERUSER: &str = "postgres";

/// `$1` binaries, `$2` folder, `$3` port, then the words that make a command another user's.
const KEEPER: &str = r#"
bin=$1 folder=$2 port=$3
shift 3
if "$@" "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300 \
        -c fsync=off -c full_page_writes=off -c autovacuum=off" start </dev/null >/dev/null 2>&1
then echo ready; else echo failed; fi
cat >/dev/null
"$@" "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop </dev/null >/dev/null 2>&1
rm -rf "$folder"
"#;

struct Cluster {
    port: u16,
    made: AtomicU32,
    /// Holds the pipe that keeps the server running.
    _keeper: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// A new, migrated database; returns its URL.
pub async fn create_database() -> String {
    let cluster = tokio::task::block_in_place(|| CLUSTER.get_or_init(Cluster::start));
    let name = format!("test_{}", cluster.made.fetch_add(1, Ordering::Relaxed));
    execute(
        cluster.port,
        &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {OWNER}"),
    )
    .await;
    url(OWNER, cluster.port, &name)
}

fn url(role: &str, port: u16, database: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{port}/{database}")
}

async fn execute(port: u16, sql: &str) {
    let options: sqlx::postgres::PgConnectOptions = url(SUPERUSER, port, "postgres").parse().expect("a URL");
    let mut connection = options
        .disable_statement_logging()
        .connect()
        .await
        .expect("connected");
    connection
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .expect("executed");
    connection.close().await.expect("closed");
}

impl Cluster {
    fn start() -> Self {
        let bin = binaries();
        let folder = scratch().keep();
        let switch_user = switch_user(&folder);
        let data = folder.join("data");
        let mut initdb = command(&switch_user, &bin.join("initdb"));
        initdb.arg("-D").arg(&data).args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let made = initdb.current_dir(&folder).output().expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        // Somebody else may take the port between the look and the use; then another one is tried.
        for _ in 0..5 {
            let port = free_port();
            let mut keeper = keeper(&bin, &folder, port, &switch_user);
            if says_ready(&mut keeper) {
                let cluster = Self {
                    port,
                    made: AtomicU32::new(0),
                    _keeper: keeper,
                };
                cluster.make_template();
                return cluster;
            }
        }
        panic!("PostgreSQL did not start");
    }

    /// Migrates one database, of which every test gets a copy.
    fn make_template(&self) {
        let port = self.port;
        let work = async move {
            // As `docs/access.md` says to make it.
            for sql in [
                &format!("CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS"),
                &format!("GRANT pg_monitor TO {OWNER}"),
                &format!("CREATE DATABASE {TEMPLATE} OWNER {OWNER}"),
            ] {
                execute(port, sql).await;
            }
            let url = url(OWNER, port, TEMPLATE);
            let store = Store::connect(&url).await.expect("connected");
            store.migrate(START_S).await.expect("migrated");
            store.close().await;
        };
        // A thread and runtime of its own: the caller is inside one already.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        std::thread::spawn(move || runtime.block_on(work))
            .join()
            .expect("the template is made");
    }
}

fn keeper(bin: &Path, folder: &Path, port: u16, switch_user: &[String]) -> Child {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(KEEPER)
        .arg("keeper")
        .arg(bin)
        .arg(folder)
        .arg(port.to_string())
        .args(switch_user);
    // A group of its own: an interrupt from the terminal must not reach it before it has tidied up.
    shell.current_dir(folder).process_group(0);
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs")
}

/// Waits for the keeper's word.
pub fn says_ready(keeper: &mut Child) -> bool {
    let mut line = String::new();
    let output = keeper.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("read");
    line.trim() == "ready"
}

/// The newest installed server, or the one that `EINKLANG_TEST_PG_BIN` names.
pub fn binaries() -> PathBuf {
    if let Some(given) = std::env::var_os("EINKLANG_TEST_PG_BIN") {
        let given = PathBuf::from(given);
        assert!(
            given.join("initdb").exists(),
            "EINKLANG_TEST_PG_BIN names a folder without initdb"
        );
        return given;
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let numbered =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let newest = numbered
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    newest.map(|(_, bin)| bin).expect(
        "these tests need PostgreSQL 15 or newer: install it (Debian: apt-get install postgresql) or let \
         EINKLANG_TEST_PG_BIN name the folder that holds initdb and pg_ctl",
    )
}

/// PostgreSQL refuses to run as root: the words before a command that make it another user's, who then owns the folder.
pub fn switch_user(folder: &Path) -> Vec<String> {
    if std::fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return Vec::new();
    }
    let known = std::fs::read_to_string("/etc/passwd").expect("users");
    let user = if known.lines().any(|line| line.starts_with("postgres:")) {
        "postgres"
    } else {
        "nobody"
    };
    let given = Command::new("chown")
        .arg(user)
        .arg(folder)
        .status()
        .expect("chown runs");
    assert!(given.success(), "the cluster's folder cannot be given to {user}");
    ["runuser", "-u", user, "--"].map(str::to_owned).to_vec()
}

/// A program, run as the cluster's user.
pub fn command(switch_user: &[String], program: &Path) -> Command {
    let Some((first, rest)) = switch_user.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
