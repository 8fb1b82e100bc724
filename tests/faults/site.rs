//! An installation that a fault is brought upon, and the server process on it: what it logs, how much memory it takes,
//! and the limits that the system sets it while it runs.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use einklang::app::config::sqlite_url;
use tempfile::TempDir;

use crate::binary::{FREE_PORTS, einklang, text};
use crate::client::Caller;
use crate::ledger::Reader;
use crate::world::{self, WORLD};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// How long a test waits for something to be logged.
const PATIENCE: Duration = Duration::from_secs(30);
/// A write beyond the limit of a file's size is an error like any other, and no signal that ends the process.
const NO_SIGNAL: &str = r#"trap "" XFSZ; exec "$@""#;

/// `$1` the data folder, `$2` a size; then the server's command. It runs on a file system of that size, which nobody else sees, and
/// what it leaves is put into the folder when it has ended.
const SMALL_DISK: &str = r#"
set -e
data=$1 size=$2
shift 2
mkdir "$data.under"
mount --bind "$data" "$data.under"
mount -t tmpfs -o size="$size" none "$data"
cp -a "$data.under/." "$data"
set +e
"$@" &
echo $! >"$data.pid"
wait $!
code=$?
rm -rf "$data.under"/*
cp -a "$data/." "$data.under"
exit $code
"#;

/// A folder that was provisioned with the usual tenants, in it or in a database elsewhere.
pub struct Site {
    folder: TempDir,
    url: String,
}

impl Site {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = sqlite_url(&folder.path().join("data"));
        Self::provisioned(folder, url)
    }

    pub fn postgres(url: String) -> Self {
        Self::provisioned(tempfile::tempdir().expect("a folder"), url)
    }

    fn provisioned(folder: TempDir, url: String) -> Self {
        fs::write(folder.path().join("world.toml"), WORLD).expect("written");
        let site = Self { folder, url };
        site.succeeds(&["apply", "world.toml", "--operator-key", world::OPERATOR]);
        site
    }

    pub fn is_embedded(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A look into the database.
    pub async fn reader(&self) -> Reader {
        Reader::open(&self.url).await
    }

    /// A command on this installation.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = einklang(self.folder.path(), args);
        command.arg(format!("--database-url={}", self.url));
        command
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub fn succeeds(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the binary runs");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        said(&output)
    }

    /// Starts the server; what it logs is kept here.
    pub fn serve(&self, more: &[&str]) -> Server {
        self.start(more, None, &[])
    }

    /// Starts the server with its data folder on a file system of so many MiB.
    pub fn serve_on_a_small_disk(&self, mebibytes: u32) -> Server {
        let (data, size) = (self.data(), format!("{mebibytes}m"));
        let data = data.to_str().expect("text");
        let mut server = self.start(
            &[],
            None,
            &["unshare", "-Urm", "sh", "-c", SMALL_DISK, "sh", data, &size],
        );
        let pid = fs::read_to_string(format!("{data}.pid")).expect("its number");
        server.pid = pid.trim().parse().expect("a number");
        server.data = format!("/proc/{}/root{data}", server.pid).into();
        server
    }

    /// Starts the server with its log in a file of its folder, which the fault comes upon like upon every other.
    pub fn serve_logging_to_a_file(&self, more: &[&str]) -> Server {
        let path = self.folder.path().join("stderr.log");
        self.start(more, Some(path), &[])
    }

    fn start(&self, more: &[&str], log_file: Option<PathBuf>, words: &[&str]) -> Server {
        let mut inner = self.command(&[&["serve", "--json"], more].concat());
        inner.args(FREE_PORTS);
        let mut command = within(&["sh", "-c", NO_SIGNAL, "sh"], &inner);
        if !words.is_empty() {
            command = within(words, &command);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        match &log_file {
            Some(path) => command.stderr(fs::File::create(path).expect("a log file")),
            None => command.stderr(Stdio::piped()),
        };
        let mut child = command.spawn().expect("the binary starts");
        let log = Log::of(&mut child, log_file);
        let welcome = first_line(&mut child);
        let welcome = serde_json::from_slice(&welcome)
            .unwrap_or_else(|_| panic!("it did not start, and logged {}", log.text()));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        Server {
            url: text(&welcome, "url"),
            http: http.expect("a client"),
            pid: child.id(),
            data: self.data(),
            child,
            log,
        }
    }
}

/// The same command as the last words of another.
pub fn within(words: &[&str], inner: &Command) -> Command {
    let (first, rest) = words.split_first().expect("a program");
    let mut command = Command::new(first);
    command.args(rest).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = inner.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

/// What a command printed on both of its outputs.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// The line that says where the server listens. The rest of standard output is empty.
fn first_line(child: &mut Child) -> Vec<u8> {
    let stdout = child.stdout.as_mut().expect("piped");
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stdout.read(&mut byte).expect("standard output reads") == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    line
}

/// What the server logs: read as it comes, or left in its file.
struct Log {
    read: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
    file: Option<PathBuf>,
}

impl Log {
    fn of(child: &mut Child, file: Option<PathBuf>) -> Self {
        let read: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reading = child.stderr.take().map(|mut stderr| {
            let kept = Arc::clone(&read);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend_from_slice(&buffer[..count]);
                }
            })
        });
        Self { read, reading, file }
    }

    fn text(&self) -> String {
        let bytes = match &self.file {
            Some(path) => fs::read(path).expect("a log"),
            None => self.read.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A running server.
pub struct Server {
    pub url: String,
    /// Its data folder as it can be reached from outside.
    pub data: PathBuf,
    http: reqwest::Client,
    pid: u32,
    child: Child,
    log: Log,
}

impl Server {
    /// Whoever has this key.
    pub fn holder(&self, key: &str) -> Caller {
        Caller::new(&self.url, &self.http).key(key)
    }

    /// A visitor's browser.
    pub fn visitor(&self) -> Caller {
        Caller::new(&self.url, &self.http).with("user-agent", BROWSER)
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        let address = self.url.strip_prefix("http://").expect("an HTTP address");
        address.parse().expect("an address")
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    /// Sets limits of the running process, as `prlimit` names them; only the soft ones, so that they can be raised again.
    pub fn limit(&self, limit: &str) {
        set_limit(self.pid(), limit);
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors");
        open.count()
    }

    /// Its memory now and at its greatest, in KiB.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
            number.and_then(|number| number.parse().ok()).expect("a size")
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Waits until it has logged something so many times.
    pub async fn logs(&self, text: &str, times: usize) {
        let waiting = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            while self.log().matches(text).count() < times {
                look.tick().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "it did not log {text:?} {times} times");
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Ends it in good order: it was alive, it stops by itself, and it never panicked.
    pub fn stop(mut self) -> String {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none(), "it ended with {ended:?}: {}", self.log.text());
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(asked.expect("kill runs").success());
        let ended = self.child.wait().expect("it ends");
        if let Some(reading) = self.log.reading.take() {
            reading.join().expect("read");
        }
        let log = self.log.text();
        assert!(ended.success(), "{ended:?}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("it logged {}", self.log.text());
        }
        // After `stop` there is nothing left to kill; in a test that failed there is.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = Command::new("kill")
                .args(["-KILL", &self.pid().to_string()])
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets a soft limit of a process (util-linux).
fn set_limit(pid: u32, limit: &str) {
    let set = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), limit])
        .status();
    assert!(
        set.expect("prlimit runs (Debian: util-linux)").success(),
        "{limit} was not set for {pid}"
    );
}
