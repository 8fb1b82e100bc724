//! A PostgreSQL cluster of the benchmark's own: made by `initdb`, used once, removed.
//!
//! Its settings are the ones that a durable commit needs (`fsync`, `synchronous_commit`), the memory and the distance of
//! checkpoints that any server of its own would be given, and otherwise PostgreSQL's defaults. It listens on loopback only, with a password
//! that nobody else knows.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::system::SystemEntropy;
use super::BenchError;
use crate::flow::Entropy;

/// Where packages put PostgreSQL's programs, one folder for each major version.
const INSTALLED: &str = "/usr/lib/postgresql";
const USER: &str = "einklang";
const START_ATTEMPTS: u32 = 300;
const START_PAUSE: Duration = Duration::from_millis(100);

/// The programs of the newest installed version.
pub fn find_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(INSTALLED).ok()?.flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions
        .filter(|version| programs(*version).join("initdb").is_file())
        .max()?;
    Some(programs(newest))
}

fn programs(version: u32) -> PathBuf {
    Path::new(INSTALLED).join(version.to_string()).join("bin")
}

/// A running cluster.
pub struct Cluster {
    server: Child,
    programs: PathBuf,
    folder: PathBuf,
    owner: Option<Owner>,
    /// How to connect.
    pub url: String,
}

/// Whom the cluster runs as when we are root, as which PostgreSQL refuses to run.
#[derive(Debug, Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Cluster {
    /// Makes and starts a cluster in a folder that is not there yet.
    pub async fn start(programs: &Path, folder: &Path) -> Result<Self, BenchError> {
        let owner = owner()?;
        std::fs::create_dir_all(folder)?;
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random);
        let password = hex::encode(random);
        let password_file = folder.join("password");
        File::create(&password_file)?.write_all(password.as_bytes())?;
        if let Some(Owner { user, group }) = owner {
            std::os::unix::fs::chown(folder, Some(user), Some(group))?;
            std::os::unix::fs::chown(&password_file, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let mut initdb = command(&programs.join("initdb"), owner, folder);
        initdb.args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--username",
            USER,
            "--pwfile",
        ]);
        initdb.arg(&password_file).arg("--pgdata").arg(&data);
        let made = initdb.output()?;
        std::fs::remove_file(&password_file)?;
        if !made.status.success() {
            let words = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(BenchError::Cluster(format!("initdb failed: {words}")));
        }
        let port = free_port()?;
        let mut postgres = command(&programs.join("postgres"), owner, folder);
        postgres.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=on",
            "synchronous_commit=on",
            "shared_buffers=1GB",
            "max_wal_size=4GB",
        ] {
            postgres.arg("-c").arg(setting);
        }
        let log = File::create(folder.join("log"))?;
        let server = postgres
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres");
        let mut cluster = Self {
            server,
            programs: programs.to_owned(),
            folder: folder.to_owned(),
            owner,
            url,
        };
        cluster.wait_until_ready(port).await?;
        Ok(cluster)
    }

    async fn wait_until_ready(&mut self, port: u16) -> Result<(), BenchError> {
        for _ in 0..START_ATTEMPTS {
            let mut ready = command(&self.programs.join("pg_isready"), self.owner, &self.folder);
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            if ready.status()?.success() {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() {
                break;
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        Err(BenchError::Cluster(format!("PostgreSQL did not start: {last}")))
    }

    /// The first of its processes; the others are its children.
    pub fn process(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = command(&self.programs.join("pg_ctl"), self.owner, &self.folder);
        stop.args(["stop", "--silent", "--mode", "fast", "--pgdata"])
            .arg(self.folder.join("data"));
        let stopped = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

fn command(program: &Path, owner: Option<Owner>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some(Owner { user, group }) = owner {
        command.gid(group).uid(user);
    }
    command
}

/// Free a moment ago, which is as good as it gets for a program that wants to be told its port.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Nobody, unless we are root: then the account that the package made.
fn owner() -> Result<Option<Owner>, BenchError> {
    use std::os::unix::fs::MetadataExt;
    let root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !root {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let account = accounts.lines().find_map(account_of_postgres);
    let missing =
        || BenchError::Cluster("as root an account named postgres is needed, and there is none".to_owned());
    account.map(Some).ok_or_else(missing)
}

fn account_of_postgres(line: &str) -> Option<Owner> {
    let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
    let user = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Owner { user, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_read_by_its_whole_name() {
        let owner =
            account_of_postgres("postgres:x:101:104:PostgreSQL administrator:/var/lib/postgresql:/bin/sh");
        assert!(matches!(
            owner,
            Some(Owner {
                user: 101,
                group: 104
            })
        ));
        assert!(account_of_postgres("postgres2:x:1:1::/:/bin/sh").is_none());
    }
}
