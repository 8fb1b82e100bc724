//! The command that prints the root key: run once, for a limited time, and nothing of what it says is logged.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

/// How long it may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// More than a key is never read.
const BYTES_MAX: u64 = 1_024;
const ROOM: usize = 2_048;

/// Why a command gave no key. Its own words are left out: they could hold one.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be run.
    #[error("cannot be run: {0}")]
    Run(#[source] io::Error),
    /// It took too long.
    #[error("has not ended after {0} seconds")]
    TimedOut(u64),
    /// It failed.
    #[error("failed ({0}); run it by hand to see why")]
    Failed(std::process::ExitStatus),
}

/// Runs a command and returns what it printed.
pub fn run(command: &str, limit: Duration) -> Result<Zeroizing<String>, CommandError> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Whatever it started ends with it.
        .process_group(0)
        .spawn()
        .map_err(CommandError::Run)?;
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        // Room for all of it at once: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(ROOM));
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(BYTES_MAX).read_to_string(&mut text));
        // Nobody listens any more if it took too long.
        let _ = sender.send(read.map(|_| text));
    });
    let Ok(read) = receiver.recv_timeout(limit) else {
        end(&mut child);
        return Err(CommandError::TimedOut(limit.as_secs()));
    };
    // It has said what it had to say and may only end now.
    let status = wait(&mut child, limit)?;
    let _ = reader.join();
    if !status.success() {
        return Err(CommandError::Failed(status));
    }
    read.map_err(CommandError::Run)
}

fn wait(child: &mut Child, limit: Duration) -> Result<std::process::ExitStatus, CommandError> {
    const STEP: Duration = Duration::from_millis(10);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait().map_err(CommandError::Run)? {
            return Ok(status);
        }
        if waited >= limit {
            end(child);
            return Err(CommandError::TimedOut(limit.as_secs()));
        }
        thread::sleep(STEP);
        waited += STEP;
    }
}

/// Kills it with everything that it started.
fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_prints_is_taken_and_what_it_says_besides_is_not() {
        let text = run("echo key; echo canary >&2", TIME_LIMIT).expect("a text");
        assert_eq!(text.as_str(), "key\n");
    }

    #[test]
    fn one_that_fails_or_hangs_gives_nothing() {
        let failed = run("echo canary; exit 3", TIME_LIMIT).expect_err("an error");
        assert!(matches!(failed, CommandError::Failed(_)));
        assert!(!failed.to_string().contains("canary"));
        let limit = Duration::from_millis(50);
        for hangs in ["read x < /dev/zero", "sleep 60 & wait", "exec >&-; sleep 60"] {
            assert!(
                matches!(run(hangs, limit), Err(CommandError::TimedOut(_))),
                "{hangs}"
            );
        }
    }

    #[test]
    fn more_than_a_key_is_not_read() {
        // It is left behind a pipe that nobody reads any more.
        let outcome = run("yes", TIME_LIMIT);
        assert!(matches!(outcome, Err(CommandError::Failed(_))));
    }
}
