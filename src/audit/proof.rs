//! C2SP tlog-proof: a file that shows, with a key and nothing else, that one entry is in a log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::merkle::{Hash, ProofError, verify_inclusion};
use super::note::{Checkpoint, NoteError, decimal, hash, open_note};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^63 entries has a way of 63 hashes.
const HASHES_MAX: usize = 63;

/// What such a file holds; nothing of it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// The entry's index.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a proof file does not show that an entry is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// Not in the form of a tlog-proof.
    #[error("not a C2SP tlog-proof, version 1")]
    Form,
    /// The checkpoint inside is not good.
    #[error("the checkpoint in the proof: {0}")]
    Checkpoint(#[from] NoteError),
    /// The entry or its proof does not lead to the checkpoint.
    #[error("the entry does not fit the proof: {0}")]
    Proof(#[from] ProofError),
}

/// The file for an entry: index, hashes, and the signed checkpoint whose tree they lead to.
pub fn proof_file(index: u64, proof: &[Hash], checkpoint_note: &str) -> String {
    let hashes: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("{FIRST_LINE}\nindex {index}\n{hashes}\n{checkpoint_note}")
}

/// Reads such a file. Extra data, which nothing vouches for, is left out.
pub fn parse_proof_file(text: &str) -> Result<ProofFile, ProofFileError> {
    let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofFileError::Form)?;
    let mut lines = head.split('\n').peekable();
    if lines.next() != Some(FIRST_LINE) {
        return Err(ProofFileError::Form);
    }
    if let Some(extra) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
        STANDARD.decode(extra).map_err(|_| ProofFileError::Form)?;
        lines.next();
    }
    let index = lines
        .next()
        .and_then(|line| decimal(line.strip_prefix("index ")?));
    let hashes: Option<Vec<Hash>> = lines.take(HASHES_MAX + 1).map(hash).collect();
    match (index, hashes) {
        (Some(index), Some(hashes)) if hashes.len() <= HASHES_MAX => Ok(ProofFile {
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        }),
        _ => Err(ProofFileError::Form),
    }
}

impl ProofFile {
    /// Checks that the log of this name and key holds an entry with this leaf hash at the index, and gives the
    /// checkpoint that says so.
    pub fn verify(&self, leaf: &Hash, name: &str, public: &[u8; 32]) -> Result<Checkpoint, ProofFileError> {
        let checkpoint = Checkpoint::parse(&open_note(&self.checkpoint, name, public)?)?;
        // The key's name is the log's: a checkpoint of another log must not pass under it.
        if checkpoint.origin != name {
            return Err(NoteError::UnknownKey.into());
        }
        verify_inclusion(self.index, checkpoint.size, leaf, &self.hashes, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::audit::merkle::{leaf_hash, node_hash};
    use crate::audit::note::note;

    const ORIGIN: &str = "ads.example/audit/server/0";

    fn file() -> (String, [u8; 32]) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key().to_bytes();
        let checkpoint = Checkpoint {
            origin: ORIGIN.into(),
            size: 2,
            root: node_hash(&leaf_hash(b"a"), &leaf_hash(b"b")),
        };
        let signature = key.sign(checkpoint.text().as_bytes()).to_bytes();
        let note = note(&checkpoint.text(), ORIGIN, &public, &signature);
        (proof_file(1, &[leaf_hash(b"a")], &note), public)
    }

    #[test]
    fn a_file_shows_its_entry_and_no_other() {
        let (text, public) = file();
        let parsed = parse_proof_file(&text).expect("a file");
        assert_eq!((parsed.index, parsed.hashes.len()), (1, 1));
        assert_eq!(
            parsed
                .verify(&leaf_hash(b"b"), ORIGIN, &public)
                .map(|checkpoint| checkpoint.size),
            Ok(2)
        );
        assert_eq!(
            parsed.verify(&leaf_hash(b"c"), ORIGIN, &public),
            Err(ProofFileError::Proof(ProofError::OtherRoot))
        );
        assert_eq!(
            parsed.verify(&leaf_hash(b"b"), ORIGIN, &[9; 32]),
            Err(ProofFileError::Checkpoint(NoteError::UnknownKey))
        );
    }

    #[test]
    fn extra_data_is_passed_over() {
        let (text, _) = file();
        let with_extra = text.replacen("index", "extra YWdl\nindex", 1);
        assert_eq!(parse_proof_file(&with_extra), parse_proof_file(&text));
    }

    #[test]
    fn what_is_not_a_proof_is_refused() {
        let (text, _) = file();
        for bad in [
            String::new(),
            text.replace("@v1", "@v2"),
            text.replace("index 1", "index 01"),
            text.replace("index 1", "index -1"),
            text.replace("index 1\n", ""),
            text.replacen("index", "extra *\nindex", 1),
            text.replacen("\n\n", "\nAAAA\n\n", 1),
            proof_file(1, &[[0; 32]; 64], "x\n"),
        ] {
            assert_eq!(parse_proof_file(&bad), Err(ProofFileError::Form), "{bad}");
        }
    }
}
