//! `einklang audit verify-certificate`: a certificate of erasure, offline, with the log's public key.

use std::fmt::Write;

use serde_json::json;

use super::verify::{Refuted, Verdict};
use crate::audit::certificate::{Certificate, Document};
use crate::audit::export::verifier::PublicKey;

/// Judges a certificate: what is to be printed, and whether it attests what it says.
pub fn told(certificate: &[u8], key: &PublicKey, as_json: bool) -> (String, Verdict) {
    match Certificate::verify(certificate, &key.public, key.name.as_deref()) {
        Ok(document) if as_json => (
            format!("{}\n", json!({"verified": true, "document": document})),
            Ok(()),
        ),
        Ok(document) => (in_words(&document), Ok(())),
        Err(error) => {
            let text = if as_json {
                format!("{}\n", json!({"verified": false, "detail": error.to_string()}))
            } else {
                String::new()
            };
            (text, Err(Refuted(error.to_string())))
        }
    }
}

fn in_words(document: &Document) -> String {
    let Document {
        erasure,
        tenant,
        erased_at,
        door,
        reason,
        log,
        ..
    } = document;
    let mut text = format!("{erasure}: verified. Erased for {tenant} at {erased_at} ({door}, {reason}):\n");
    // Writing into a text cannot fail.
    for class in &document.erased {
        let _ = writeln!(text, "  {} {}", class.count, class.class);
    }
    for remains in &document.remains {
        let until = remains
            .until
            .as_deref()
            .map_or(String::new(), |until| format!(" until {until}"));
        let _ = writeln!(
            text,
            "Remains{until}: {}, {}. {}.",
            remains.class, remains.note, remains.ground
        );
    }
    let _ = writeln!(
        text,
        "The log {} says so in entry {} ({}), one of {} in the signed tree.",
        log.origin, log.index, log.entry, log.size
    );
    text
}
