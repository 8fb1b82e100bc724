//! Backups that are not whole, not ours or not for here: each a clear sentence, and nothing is there afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use einklang::app::backup::manifest::Manifest;
use einklang::flow::audit::{CheckpointSigner, SignerFailed};
use serde_json::Value;

use crate::people::People;
use crate::setting::Setting;
use crate::text;

/// Signs as the installation does, with the key in its file.
struct FileKey(SigningKey);

impl CheckpointSigner for FileKey {
    fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignerFailed> {
        Ok(self.0.sign(text).to_bytes())
    }
}

fn audit_key(setting: &Setting) -> FileKey {
    let text = fs::read_to_string(setting.data().join("audit.key")).expect("read");
    let digits = text.trim_end().rsplit(':').next().expect("digits");
    let bytes: [u8; 32] = hex_bytes(digits).try_into().expect("32 bytes");
    FileKey(SigningKey::from_bytes(&bytes))
}

fn hex_bytes(digits: &str) -> Vec<u8> {
    let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

/// Nothing of a restore is there.
fn nothing_is_there(setting: &Setting) {
    for name in ["einklang.db", "einklang.db-wal", ".restoring"] {
        assert!(!setting.data().join(name).exists(), "{name}");
    }
}

struct Lost {
    setting: Setting,
    backup: PathBuf,
    beside: PathBuf,
}

/// An installation that has a backup and has lost its database.
async fn lost() -> Lost {
    let setting = Setting::sqlite();
    let server = setting.serve();
    let _people = People::come(&server, 3).await;
    server.stop();
    let backup = setting.backup();
    setting.lose_database().await;
    let beside = setting.folder().join("beside");
    Lost {
        setting,
        backup,
        beside,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_changed_anywhere_is_refused() {
    let Lost {
        setting,
        backup,
        beside,
    } = lost().await;
    for name in ["data.sealed", "keys.sealed", "manifest.json", "manifest.sig"] {
        let bytes = fs::read(backup.join(name)).expect("read");
        let places = [0, 7, 20, bytes.len() / 2, bytes.len() - 20];
        for place in places {
            copy(&backup, &beside);
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(beside.join(name), &changed).expect("written");
            for command in [&["backup", "verify", "beside"][..], &["restore", "beside"]] {
                let said = setting.refused(command);
                let is_clear = [
                    "does not verify",
                    "is not the file that the manifest",
                    "cannot be read",
                ];
                assert!(
                    is_clear.iter().any(|words| said.contains(words)),
                    "{name}, {place}: {said}"
                );
            }
            nothing_is_there(&setting);
        }
        for end in [0, bytes.len() / 2, bytes.len() - 1] {
            copy(&backup, &beside);
            fs::write(beside.join(name), &bytes[..end]).expect("written");
            setting.refused(&["restore", "beside"]);
            nothing_is_there(&setting);
        }
    }
    // Half of another backup of the same installation, signed and sealed as it should be.
    setting.restored(&backup, &[]);
    let other = setting.backup();
    copy(&backup, &beside);
    fs::copy(other.join("data.sealed"), beside.join("data.sealed")).expect("copied");
    let said = setting.refused(&["backup", "verify", "beside"]);
    assert!(said.contains("is not the file that the manifest"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_needs_the_right_keys_and_an_empty_place() {
    let Lost {
        setting,
        backup,
        beside,
    } = lost().await;
    let restore = ["restore", &text(&backup)];
    let expect = |words: &str| {
        let said = setting.refused(&restore);
        assert!(said.contains(words), "{said}");
        nothing_is_there(&setting);
    };
    let data = setting.data();
    for (name, gone, other) in [
        (
            "backup.key",
            "The backup key file",
            "but the backup was sealed with key",
        ),
        (
            "audit.key",
            "The audit key file",
            "does not verify under the audit key",
        ),
        (
            "root.key",
            "The root key file",
            "but the database was made under root key",
        ),
        ("journal.key", "the journal key file", "holds another key"),
    ] {
        let path = data.join(name);
        let kept = fs::read_to_string(&path).expect("read");
        fs::remove_file(&path).expect("removed");
        expect(gone);
        let head = kept.split_once(':').expect("a head").0;
        write_key(&path, &format!("{head}:{}\n", "5a".repeat(32)));
        expect(other);
        fs::remove_file(&path).expect("removed");
        write_key(&path, &kept);
    }
    // The journal.
    fs::rename(data.join("journal"), data.join("journal-1")).expect("moved");
    expect("there is no erasure journal");
    fs::create_dir(data.join("journal")).expect("made");
    let opened = "{\"v\":1,\"at_ms\":4000000000000,\"tenant\":0,\"kind\":\"opened\"}\n";
    fs::write(data.join("journal/node-0.jsonl"), opened).expect("written");
    expect("which is after the backup");
    fs::write(data.join("journal/node-0.jsonl"), format!("{opened}nonsense\n")).expect("written");
    expect("is broken in line 2");
    fs::remove_dir_all(data.join("journal")).expect("removed");
    fs::rename(data.join("journal-1"), data.join("journal")).expect("moved");
    // A later version's.
    copy(&backup, &beside);
    let manifest = fs::read_to_string(backup.join("manifest.json")).expect("read");
    let mut later: Value = serde_json::from_str(&manifest).expect("JSON");
    later["migrations"]
        .as_array_mut()
        .expect("a list")
        .push("m20991231_000001_later".into());
    let later: Manifest = serde_json::from_value(later).expect("a manifest");
    let (manifest, signature) = later.sign(&audit_key(&setting)).expect("signed");
    fs::write(beside.join("manifest.json"), manifest).expect("written");
    fs::write(beside.join("manifest.sig"), signature).expect("written");
    let said = setting.refused(&["restore", "beside"]);
    assert!(
        said.contains("a schema that this version does not know"),
        "{said}"
    );
    nothing_is_there(&setting);
    let said = setting.refused(&["restore", "backups"]);
    assert!(said.contains("is not a backup"), "{said}");
    // There is something.
    for name in ["einklang.db", "einklang.db-wal"] {
        fs::write(data.join(name), "somebody's").expect("written");
        let said = setting.refused(&restore);
        assert!(said.contains("is there already"), "{said}");
        assert_eq!(fs::read_to_string(data.join(name)).expect("read"), "somebody's");
        fs::remove_file(data.join(name)).expect("removed");
    }
    setting.restored(&backup, &[]);
}

fn write_key(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut made = options
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .expect("made");
    made.write_all(text.as_bytes()).expect("written");
}

/// The shell's limit for the size of a file stands for a disk that is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_no_half_of_anything() {
    let Lost { setting, backup, .. } = lost().await;
    let limited = |args: &str| {
        let binary = env!("CARGO_BIN_EXE_einklang");
        let script = format!("trap '' XFSZ; ulimit -f 20; exec {binary} {args}");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(setting.folder())
            .output()
            .expect("sh runs");
        assert!(!output.status.success(), "{args}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = limited(&format!("restore {}", text(&backup)));
    assert!(said.contains("einklang: "), "{said}");
    nothing_is_there(&setting);
    setting.restored(&backup, &[]);
    let before = fs::read_dir(setting.folder().join("backups"))
        .expect("a folder")
        .count();
    let said = limited("backup backups");
    assert!(said.contains("einklang: "), "{said}");
    let after = fs::read_dir(setting.folder().join("backups"))
        .expect("a folder")
        .count();
    assert_eq!(before, after, "nothing was left behind");
    setting.backup();
}
