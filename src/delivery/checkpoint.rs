//! Delivering checkpoints: into a folder, or by POST to a URL.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::address::{addresses, client};
use crate::flow::audit::push::{Carrier, Carrying, LatestCheckpoint, PushFailed};

/// How long a delivery may take altogether.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Where checkpoints go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder: one file for each log and size, and one with the latest of each log.
    Folder(PathBuf),
    /// A URL that takes the note as `text/plain`.
    Url(Url),
}

/// A text that names no target. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a target is file:/FOLDER with a folder from the root on, or an https:// URL")]
pub struct NoTarget;

impl Target {
    /// Reads a target. Plain `http` is taken only where private addresses are.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, NoTarget> {
        if let Some(folder) = text.strip_prefix("file:") {
            let folder = PathBuf::from(folder);
            return if folder.is_absolute() {
                Ok(Self::Folder(folder))
            } else {
                Err(NoTarget)
            };
        }
        let url = Url::parse(text).map_err(|_| NoTarget)?;
        let scheme = url.scheme() == "https" || (allow_private && url.scheme() == "http");
        if scheme && url.host().is_some() {
            Ok(Self::Url(url))
        } else {
            Err(NoTarget)
        }
    }

    /// What carries there, or gives up after this time.
    pub fn carrier(self, allow_private: bool, timeout: Duration) -> Box<dyn Carrier> {
        match self {
            Self::Folder(folder) => Box::new(IntoFolder { folder, timeout }),
            Self::Url(url) => {
                // The path, the query and the user may hold a secret.
                let label = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
                Box::new(ByPost {
                    url,
                    label,
                    allow_private,
                    timeout,
                })
            }
        }
    }
}

struct ByPost {
    url: Url,
    label: String,
    allow_private: bool,
    timeout: Duration,
}

impl ByPost {
    async fn post(&self, note: String) -> Result<(), PushFailed> {
        let found = addresses(&self.url, self.allow_private).await?;
        let client = client(&self.url, &found, self.allow_private, self.timeout)?;
        let sent = client
            .post(self.url.clone())
            .header("content-type", "text/plain; charset=utf-8")
            .body(note)
            .send()
            .await;
        match sent {
            // Of the answer nothing but its status is looked at.
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(PushFailed::Refused(answer.status().as_u16())),
            Err(error) if error.is_timeout() => Err(PushFailed::TimedOut),
            Err(_) => Err(PushFailed::Unreachable),
        }
    }
}

impl Carrier for ByPost {
    fn label(&self) -> &str {
        &self.label
    }

    fn carry<'a>(&'a self, checkpoint: &'a LatestCheckpoint) -> Carrying<'a> {
        Box::pin(async {
            let posting = tokio::time::timeout(self.timeout, self.post(checkpoint.note.clone()));
            posting.await.unwrap_or(Err(PushFailed::TimedOut))
        })
    }
}

struct IntoFolder {
    folder: PathBuf,
    timeout: Duration,
}

impl Carrier for IntoFolder {
    fn label(&self) -> &'static str {
        "file"
    }

    fn carry<'a>(&'a self, checkpoint: &'a LatestCheckpoint) -> Carrying<'a> {
        Box::pin(async {
            let (folder, checkpoint) = (self.folder.clone(), checkpoint.clone());
            // A folder on another machine may hang.
            let writing = tokio::task::spawn_blocking(move || write_both(&folder, &checkpoint));
            match tokio::time::timeout(self.timeout, writing).await {
                Err(_) => Err(PushFailed::TimedOut),
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(_) => Err(PushFailed::Unwritable),
            }
        })
    }
}

/// `ORIGIN.SIZE.note` and `ORIGIN.latest.note`, where the origin's slashes are underscores.
fn write_both(folder: &Path, checkpoint: &LatestCheckpoint) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Origins come from the database: none may lead out of the folder.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = checkpoint.origin.chars().map(plain).collect();
    for ending in [checkpoint.size.to_string(), "latest".to_owned()] {
        let path = folder.join(format!("{name}.{ending}.note"));
        let beside = folder.join(format!(".{name}.{ending}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(checkpoint.note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(origin: &str) -> LatestCheckpoint {
        LatestCheckpoint {
            tenant: 1,
            origin: origin.to_owned(),
            size: 7,
            note: "a note\n".to_owned(),
        }
    }

    #[test]
    fn a_target_is_a_folder_or_a_secure_url() {
        assert_eq!(
            Target::parse("file:/a/b", false),
            Ok(Target::Folder("/a/b".into()))
        );
        assert!(matches!(
            Target::parse("https://a.example/x?y", false),
            Ok(Target::Url(_))
        ));
        for bad in [
            "",
            "file:a",
            "http://a.example/",
            "ftp://a.example/",
            "https://",
            "/a/b",
        ] {
            assert_eq!(Target::parse(bad, false), Err(NoTarget), "{bad}");
        }
        assert!(Target::parse("http://127.0.0.1:1/", true).is_ok());
    }

    #[test]
    fn a_label_holds_no_secret() {
        let target = Target::parse("https://user:canary@a.example/canary?canary=1", false).expect("a target");
        assert_eq!(target.carrier(false, TIMEOUT).label(), "https://a.example");
    }

    #[tokio::test]
    async fn addresses_that_are_not_public_are_not_connected_to() {
        let literal = [
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.0.0.1/",
            "https://[::ffff:7f00:1]/",
        ];
        let by_name = ["https://localhost/"];
        // Other ways to write 127.0.0.1 are read as what they are.
        let disguised = ["https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/"];
        for text in literal.into_iter().chain(by_name).chain(disguised) {
            let carrier = Target::parse(text, false)
                .expect("a target")
                .carrier(false, TIMEOUT);
            let failed = carrier.carry(&checkpoint("a")).await;
            assert_eq!(failed, Err(PushFailed::PrivateAddress), "{text}");
        }
    }

    #[tokio::test]
    async fn a_connection_without_tls_carries_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let at = listener.local_addr().expect("an address");
        let target = Target::parse(&format!("https://{at}/"), true).expect("a target");
        let carrier = target.carrier(true, TIMEOUT);
        let one = checkpoint("a");
        let hang_up = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut first = [0; 5];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)
                .await
                .expect("read");
            first
        };
        let (carried, first) = tokio::join!(carrier.carry(&one), hang_up);
        // A handshake (RFC 8446, section 5.1), and nothing of the note.
        assert_eq!((carried, first[0]), (Err(PushFailed::Unreachable), 22));
    }

    #[tokio::test]
    async fn a_folder_gets_one_file_for_each_size_and_the_latest() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("made");
        let carrier = Target::Folder(below.clone()).carrier(false, TIMEOUT);
        carrier
            .carry(&checkpoint("a.example/audit/server/0"))
            .await
            .expect("written");
        carrier.carry(&checkpoint("../../out")).await.expect("written");
        let mut names: Vec<String> = fs::read_dir(&below)
            .expect("listed")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        let expected = [
            ".._.._out.7.note",
            ".._.._out.latest.note",
            "a.example_audit_server_0.7.note",
            "a.example_audit_server_0.latest.note",
        ];
        assert_eq!(names, expected);
    }
}
