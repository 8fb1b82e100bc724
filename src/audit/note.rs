//! A signed state of a log: C2SP tlog-checkpoint in the form of a C2SP signed note, with Ed25519 keys.
//!
//! Nothing is signed here, since no private key comes this way: whoever has one signs `Checkpoint::text` and puts the
//! note together with `note`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::merkle::Hash;

/// The signature type of Ed25519 (C2SP signed-note, "Signature types").
const ED25519: u8 = 1;
/// What every signature line begins with: an em dash and a blank.
const DASH: &str = "\u{2014} ";
/// The longest note that is looked at, in bytes: room for many witnesses' signatures.
const NOTE_BYTES_MAX: usize = 100_000;
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4), in DER.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// Why a text is not what it should be. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not three lines: origin, size, root.
    #[error("not a checkpoint of three lines: origin, size, root")]
    Checkpoint,
    /// Not in the form of a signed note.
    #[error("not in the form of a signed note")]
    Note,
    /// No signature by the key that was asked for.
    #[error("no signature by the expected key")]
    UnknownKey,
    /// A signature that names the key and is not by it.
    #[error("the signature does not fit the text")]
    Signature,
    /// Not an Ed25519 public key in the expected form.
    #[error("not an Ed25519 public key")]
    Key,
}

/// A log's state: that its tree of this size has this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log, for example `ads.example/audit/server/0`.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed, with the line break at its end.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads such a text: exactly three lines. Extension lines, which the specification discourages, are refused.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Checkpoint)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Checkpoint);
        };
        let size = decimal(size).ok_or(NoteError::Checkpoint)?;
        let root = hash(root).ok_or(NoteError::Checkpoint)?;
        if origin.is_empty() {
            return Err(NoteError::Checkpoint);
        }
        let origin = origin.to_owned();
        Ok(Self { origin, size, root })
    }
}

/// A number as specifications of C2SP write it: no sign, no leading zero.
pub(super) fn decimal(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}

/// A hash in base64 (RFC 4648, section 4).
pub(super) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The key id: the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
pub fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(public)
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The verifier key: `<name>+<key id in hexadecimal>+<base64(0x01 ‖ public key)>`, as sumdb tools take it.
pub fn vkey(name: &str, public: &[u8; 32]) -> String {
    let mut key = vec![ED25519];
    key.extend_from_slice(public);
    format!(
        "{name}+{}+{}",
        hex::encode(key_id(name, public)),
        STANDARD.encode(key)
    )
}

/// The name and the public key of a verifier key whose id fits both.
pub fn parse_vkey(text: &str) -> Result<(String, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key);
    };
    let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
    let [ED25519, public @ ..] = key.as_slice() else {
        return Err(NoteError::Key);
    };
    let public = <[u8; 32]>::try_from(public).map_err(|_| NoteError::Key)?;
    if !is_name(name) || id != hex::encode(key_id(name, &public)) {
        return Err(NoteError::Key);
    }
    Ok((name.to_owned(), public))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// The signed note: the text, a blank line, and the signature over `text` under the key of this name.
pub fn note(text: &str, name: &str, public: &[u8; 32], signature: &[u8; 64]) -> String {
    let mut signed = key_id(name, public).to_vec();
    signed.extend_from_slice(signature);
    format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signed))
}

/// The text of a note that this key signed. Other keys' signatures, such as witnesses', are left alone; each that
/// names this key must verify. At most 100,000 bytes.
pub fn open_note(note: &str, name: &str, public: &[u8; 32]) -> Result<String, NoteError> {
    let is_plain = !note.bytes().any(|byte| byte < b' ' && byte != b'\n');
    if note.len() > NOTE_BYTES_MAX || !is_plain {
        return Err(NoteError::Note);
    }
    let (before, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Note)?;
    let text = format!("{before}\n");
    let lines = signatures.strip_suffix('\n').ok_or(NoteError::Note)?.split('\n');
    let id = key_id(name, public);
    let mut is_signed = false;
    for line in lines {
        let (signer, bytes) = signature_line(line).ok_or(NoteError::Note)?;
        let by_us = bytes.strip_prefix(id.as_slice()).filter(|_| signer == name);
        if let Some(signature) = by_us {
            let signature = <&[u8; 64]>::try_from(signature).map_err(|_| NoteError::Signature)?;
            if !is_signed_by(text.as_bytes(), public, signature)? {
                return Err(NoteError::Signature);
            }
            is_signed = true;
        }
    }
    if is_signed {
        Ok(text)
    } else {
        Err(NoteError::UnknownKey)
    }
}

/// Who signed, and the key id with the signature.
fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (signer, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    (is_name(signer) && bytes.len() > 4).then_some((signer, bytes))
}

/// Whether this key made the signature, by the strict rules: no weak keys, no second form of a signature.
pub fn is_signed_by(message: &[u8], public: &[u8; 32], signature: &[u8; 64]) -> Result<bool, NoteError> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| NoteError::Key)?;
    Ok(key
        .verify_strict(message, &Signature::from_bytes(signature))
        .is_ok())
}

/// The public key as PEM (RFC 8410), as openssl takes it.
pub fn public_pem(public: &[u8; 32]) -> String {
    let der = [SPKI.as_slice(), public.as_slice()].concat();
    format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(der))
}

/// The public key of such a PEM text.
pub fn parse_pem(text: &str) -> Result<[u8; 32], NoteError> {
    let body = text
        .trim()
        .strip_prefix(PEM_BEGIN)
        .and_then(|text| text.strip_suffix(PEM_END));
    let body: String = body.ok_or(NoteError::Key)?.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| NoteError::Key)?;
    let public = der.strip_prefix(SPKI.as_slice()).ok_or(NoteError::Key)?;
    public.try_into().map_err(|_| NoteError::Key)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    const ORIGIN: &str = "ads.example/audit/server/0";

    fn signed(text: &str, seed: u8) -> (String, [u8; 32]) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = key.sign(text.as_bytes()).to_bytes();
        (note(text, ORIGIN, &public, &signature), public)
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: ORIGIN.into(),
            size: 109_482,
            root: [0xa5; 32],
        }
    }

    #[test]
    fn a_checkpoint_reads_back_in_three_lines_and_in_no_other_form() {
        let text = checkpoint().text();
        assert_eq!(
            text,
            format!("{ORIGIN}\n109482\npaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU=\n")
        );
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint()));
        for bad in [
            String::new(),
            text.trim_end().to_owned(),
            format!("{text}extension\n"),
            format!("{text}\n"),
            text.replace("109482", "0109482"),
            text.replace("109482", "+109482"),
            text.replace("109482", "-1"),
            text.replace("pa", "p"),
            text.replace("aU=", "aU"),
            text.replace("aU=", "aV="),
            text.replace(ORIGIN, ""),
        ] {
            assert_eq!(Checkpoint::parse(&bad), Err(NoteError::Checkpoint), "{bad}");
        }
    }

    #[test]
    fn a_note_opens_under_its_key_and_name_only() {
        let text = checkpoint().text();
        let (note, public) = signed(&text, 1);
        assert_eq!(open_note(&note, ORIGIN, &public), Ok(text.clone()));
        let (_, other) = signed(&text, 2);
        assert_eq!(open_note(&note, ORIGIN, &other), Err(NoteError::UnknownKey));
        assert_eq!(
            open_note(&note, "ads.example/audit/server/1", &public),
            Err(NoteError::UnknownKey)
        );
        let changed = note.replace("109482", "109483");
        assert_eq!(open_note(&changed, ORIGIN, &public), Err(NoteError::Signature));
    }

    #[test]
    fn a_witness_may_sign_too_and_a_bad_second_signature_of_ours_spoils_the_note() {
        let text = checkpoint().text();
        let (note, public) = signed(&text, 1);
        let witnessed = format!("{note}\u{2014} witness.example AAAAAAAA\n");
        assert_eq!(open_note(&witnessed, ORIGIN, &public), Ok(text.clone()));
        let (over_another_text, _) = signed("x\n", 1);
        let line = over_another_text.split_once("\n\n").expect("a note").1;
        assert_eq!(
            open_note(&format!("{note}{line}"), ORIGIN, &public),
            Err(NoteError::Signature)
        );
    }

    #[test]
    fn what_is_not_a_note_is_refused() {
        let text = checkpoint().text();
        let (note, public) = signed(&text, 1);
        for bad in [
            String::new(),
            text.clone(),
            note.trim_end().to_owned(),
            note.replace("\n\n", "\n"),
            note.replace('\u{2014}', "-"),
            note.replace("server", "ser\tver"),
            format!("{note}\u{2014} a+b AAAAAAAA\n"),
            format!("{note}\u{2014} a AAAA=\n"),
            format!("{note}free text\n"),
            format!("{}{note}", "x".repeat(NOTE_BYTES_MAX)),
        ] {
            assert_eq!(open_note(&bad, ORIGIN, &public), Err(NoteError::Note), "{bad}");
        }
    }

    #[test]
    fn a_note_by_another_program_opens() {
        // The example of golang.org/x/mod/sumdb/note, a foreign implementation of the format.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let (name, public) = parse_vkey(key).expect("a key");
        assert_eq!(vkey(&name, &public), key);
        let text = open_note(note, &name, &public).expect("signed");
        assert!(text.ends_with("what your problem is.\n"));
    }

    #[test]
    fn keys_read_back_in_both_forms_and_a_changed_one_is_refused() {
        let (_, public) = signed("x\n", 3);
        let key = vkey(ORIGIN, &public);
        assert_eq!(parse_vkey(&key), Ok((ORIGIN.to_owned(), public)));
        assert_eq!(parse_pem(&public_pem(&public)), Ok(public));
        for bad in [
            "",
            "a+b",
            &key.replace("server", "tnt"),
            &key[..key.len() - 4],
            &format!("+{key}"),
            &key.to_uppercase(),
        ] {
            assert_eq!(parse_vkey(bad), Err(NoteError::Key), "{bad}");
        }
        let pem = public_pem(&public);
        for bad in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            &pem.replace("MCow", "MCox"),
            &pem.replace("PUBLIC", "PRIVATE"),
        ] {
            assert_eq!(parse_pem(bad), Err(NoteError::Key), "{bad}");
        }
    }
}
