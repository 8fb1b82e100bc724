//! The built binary as a process of its own: started in a folder, spoken to over HTTP, stopped by its process id.
//!
//! Every port is one that the system chose, so that tests run beside one another and beside whatever else runs here.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use serde_json::Value;

/// Ports of the system's choice.
pub const FREE_PORTS: [&str; 2] = ["--listen=127.0.0.1:0", "--management-listen=127.0.0.1:0"];

/// The command, without anything of the caller's environment that would configure it. What it writes for a moment lies in
/// its folder, too, so that a search of the folder is a search of everything.
pub fn einklang<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_einklang")), folder, args)
}

/// The same of another build.
pub fn command<S: AsRef<OsStr>>(program: &Path, folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EINKLANG_") {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(folder).env("TMPDIR", folder);
    command
}

/// A running server.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: PathBuf,
}

impl Running {
    /// Starts it in a folder; what it logs goes to a file there.
    pub fn start(folder: &Path, args: &[&str]) -> Self {
        Self::of(einklang(folder, args), folder)
    }

    /// The same with a command that is ready but for its ports.
    pub fn of(mut command: Command, folder: &Path) -> Self {
        let stderr = folder.join("stderr.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&stderr)
            .expect("a log file");
        command
            .args(FREE_PORTS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// The next lines of standard output up to and with one that has this text in it.
    pub fn lines_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).expect("standard output reads");
            assert!(
                read > 0,
                "it ended before it said {text:?}; it said {lines:#?} and logged {}",
                self.log()
            );
            let is_last = line.contains(text);
            lines.push(line.trim_end_matches('\n').to_owned());
            if is_last {
                return lines;
            }
        }
    }

    /// The welcome of a server that was started with `--json`.
    pub fn welcome(&mut self) -> Value {
        let lines = self.lines_until("{");
        serde_json::from_str(lines.last().expect("a line")).expect("the welcome is JSON")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Asks it to stop, and waits for it.
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        assert!(asked.success(), "process {pid} is gone already: {}", self.log());
        self.child.wait().expect("it ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill; in a test that failed there is.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A member of a JSON object that has to be a text.
pub fn text(value: &Value, member: &str) -> String {
    let text = value[member].as_str();
    text.unwrap_or_else(|| panic!("no text {member} in {value}"))
        .to_owned()
}
