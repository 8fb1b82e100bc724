//! `kill -9` in the middle of a backup and of a restore: afterwards there is a whole one or none.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::einklang;
use crate::people::{Crowd, People};
use crate::setting::Setting;
use crate::text;

const DEFAULT_KILLS: u32 = 3;

fn kills() -> u32 {
    let kills = std::env::var("EINKLANG_BACKUP_KILLS");
    kills.map_or(DEFAULT_KILLS, |kills| kills.parse().expect("a number"))
}

/// How long a command takes when it is left alone.
#[expect(
    clippy::disallowed_methods,
    reason = "the kills are spread over the time that the command takes"
)]
fn timed(mut command: Command) -> Duration {
    let began = Instant::now();
    let output = command.output().expect("the binary runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    began.elapsed()
}

/// Starts a command and kills it after this long; whether it was still at work.
fn killed(mut command: Command, after: Duration) -> bool {
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = spawned.expect("the binary starts");
    std::thread::sleep(after);
    let _ = child.kill();
    !child.wait().expect("it ends").success()
}

fn backups(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    names.filter(|name| !name.starts_with('.')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backup_is_whole_or_none() {
    kill_backups(Setting::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backup_of_postgresql_is_whole_or_none() {
    kill_backups(Setting::postgres().await).await;
}

async fn kill_backups(setting: Setting) {
    let server = setting.serve();
    let _people = People::come(&server, 40).await;
    let crowd = Crowd::begin(&server, 2);
    let folder = setting.folder();
    let command = || setting.command(&["backup", "backups"]);
    let whole = timed(command());
    let (kills, mut at_work) = (kills(), 0);
    for round in 0..kills {
        at_work += u32::from(killed(command(), whole * (round + 1) / (kills + 1)));
        for name in backups(&folder.join("backups")) {
            setting.json(&["backup", "verify", &format!("backups/{name}"), "--json"]);
        }
    }
    crowd.end().await;
    setting.backup();
    let entries = fs::read_dir(folder.join("backups")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let left = names.filter(|name| name.to_string_lossy().starts_with(".unfinished"));
    assert_eq!(left.count(), 0, "what was left behind is cleared away");
    println!("{kills} backups killed, {at_work} of them at work; a whole one takes {whole:?}");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_is_whole_or_none() {
    let setting = Setting::sqlite();
    let server = setting.serve();
    let mut people = People::come(&server, 40).await;
    let backup = text(&setting.backup());
    let all = setting.salts().await;
    people.erase_half(&server, &setting).await;
    let left = setting.salts().await;
    server.stop();
    let erased: Vec<_> = all.into_iter().filter(|salt| !left.contains(salt)).collect();
    let folder = setting.folder();
    let command = || einklang(&folder, ["restore", backup.as_str()]);
    setting.lose_database().await;
    let whole = timed(command());
    let (kills, mut at_work, mut ended) = (kills(), 0, 0);
    for round in 0..kills {
        setting.lose_database().await;
        at_work += u32::from(killed(command(), whole * (round + 1) / (kills + 1)));
        assert_eq!(
            setting.found(&erased).await,
            0,
            "salts of erased people, anywhere"
        );
        if setting.data().join("einklang.db").exists() {
            ended += 1;
            setting.json(&["audit", "check", "--json"]);
        }
    }
    setting.lose_database().await;
    setting.restored(Path::new(&backup), &[]);
    assert!(!setting.data().join(".restoring").exists());
    let server = setting.serve();
    people.check(&server).await;
    server.stop();
    println!(
        "{kills} restores killed, {at_work} of them at work, {ended} had ended; a whole one takes {whole:?}"
    );
}

/// PostgreSQL's tables are not there all at once: a mark keeps every server away from what is not whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_into_postgresql_serves_nobody() {
    let setting = Setting::postgres().await;
    let server = setting.serve();
    let mut people = People::come(&server, 10).await;
    let backup = text(&setting.backup());
    people.erase_half(&server, &setting).await;
    server.stop();
    setting.lose_database().await;
    let command = || setting.command(&["restore", &backup]);
    let whole = timed(command());
    let (kills, mut at_work) = (kills(), 0);
    for round in 0..kills {
        setting.lose_database().await;
        let was_at_work = killed(command(), whole * (round + 1) / (kills + 1));
        at_work += u32::from(was_at_work);
        let is_marked = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'einklang_restoring'";
        let is_marked = setting.reader().await.number(is_marked).await == 1;
        if is_marked {
            let refused = setting.refused(&["audit", "check"]);
            assert!(refused.contains("has not ended"), "{refused}");
        }
    }
    setting.lose_database().await;
    setting.restored(Path::new(&backup), &[]);
    let server = setting.serve();
    people.check(&server).await;
    server.stop();
    println!("{kills} restores killed, {at_work} of them at work; a whole one takes {whole:?}");
}
