//! Signatures of shops that do not use a bearer key.
//!
//! Two forms (DESIGN 4.2). Standard Webhooks 1.0: headers `webhook-id`, `webhook-timestamp`, `webhook-signature` over
//! `id.timestamp.body`. For senders that can only build a URL: `ts` in seconds and `sig`, the hexadecimal HMAC-SHA256
//! over method, path, raw query without `sig`, and the hexadecimal SHA-256 of the body, joined by line feeds. A repeat
//! inside the window is processed again: verdicts are idempotent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::keys::{hmac_sha256, sha256};

/// How far a signature's time may be from ours, in seconds.
pub const WINDOW_SECONDS: i64 = 300;

/// A request as signatures see it.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The query, as it was sent.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// `webhook-id`, if it occurs once.
    pub webhook_id: Option<&'a str>,
    /// `webhook-timestamp`, if it occurs once.
    pub webhook_timestamp: Option<&'a str>,
    /// `webhook-signature`, if it occurs once.
    pub webhook_signature: Option<&'a str>,
}

/// Whether a request is signed with one of these secrets, now.
pub fn verify<S: AsRef<[u8]>>(signed: &Signed<'_>, secrets: &[S], now_s: i64) -> bool {
    if signed.webhook_signature.is_some() {
        return verify_webhook(signed, secrets, now_s);
    }
    verify_url(signed, secrets, now_s)
}

fn in_window(text: &str, now_s: i64) -> bool {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain
        && text
            .parse::<i64>()
            .is_ok_and(|at_s| (now_s - at_s).abs() <= WINDOW_SECONDS)
}

/// The signature covers the body only, so what it is to authorise must stand there and not in the query.
fn verify_webhook<S: AsRef<[u8]>>(signed: &Signed<'_>, secrets: &[S], now_s: i64) -> bool {
    let (Some(id), Some(timestamp), Some(signatures)) = (
        signed.webhook_id,
        signed.webhook_timestamp,
        signed.webhook_signature,
    ) else {
        return false;
    };
    if !signed.query.is_empty() || !in_window(timestamp, now_s) {
        return false;
    }
    let mut good = false;
    for secret in secrets {
        let key = webhook_key(secret.as_ref());
        let expected = hmac_sha256(
            &key,
            &[id.as_bytes(), b".", timestamp.as_bytes(), b".", signed.body],
        );
        for signature in signatures.split(' ').take(8) {
            let given = signature
                .strip_prefix("v1,")
                .and_then(|text| STANDARD.decode(text).ok());
            good |= given.is_some_and(|given| bool::from(given.ct_eq(&expected[..])));
        }
    }
    good
}

/// The key of a secret in Standard Webhooks form (`whsec_` and base64), or the secret's own bytes.
fn webhook_key(secret: &[u8]) -> Vec<u8> {
    let encoded = secret.strip_prefix(b"whsec_");
    encoded
        .and_then(|text| STANDARD.decode(text).ok())
        .unwrap_or_else(|| secret.to_vec())
}

fn verify_url<S: AsRef<[u8]>>(signed: &Signed<'_>, secrets: &[S], now_s: i64) -> bool {
    let value = |name: &str| {
        let mut found = signed
            .query
            .split('&')
            .filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let first = found.next();
        if found.next().is_some() { None } else { first }
    };
    let (Some(timestamp), Some(given)) = (value("ts"), value("sig")) else {
        return false;
    };
    if !in_window(timestamp, now_s) {
        return false;
    }
    let Ok(given) = hex::decode(given) else {
        return false;
    };
    let query: Vec<&str> = signed
        .query
        .split('&')
        .filter(|pair| !pair.starts_with("sig="))
        .collect();
    let body = hex::encode(sha256(signed.body));
    let text = [signed.method, signed.path, &query.join("&"), &body].join("\n");
    let mut good = false;
    for secret in secrets {
        let expected = hmac_sha256(secret.as_ref(), &[text.as_bytes()]);
        good |= bool::from(given.ct_eq(&expected[..]));
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_795_000_000;

    fn url_signed(query: &str, body: &[u8], secret: &[u8]) -> String {
        let text = format!("GET\n/postback/shp_1\n{query}\n{}", hex::encode(sha256(body)));
        format!(
            "{query}&sig={}",
            hex::encode(hmac_sha256(secret, &[text.as_bytes()]))
        )
    }

    fn get<'a>(query: &'a str, body: &'a [u8]) -> Signed<'a> {
        Signed {
            method: "GET",
            path: "/postback/shp_1",
            query,
            body,
            webhook_id: None,
            webhook_timestamp: None,
            webhook_signature: None,
        }
    }

    #[test]
    fn a_url_signature_covers_everything_and_ages() {
        let query = url_signed(&format!("token=t&ts={NOW_S}"), b"", b"secret one");
        let secrets = [b"other".to_vec(), b"secret one".to_vec()];
        assert!(verify(&get(&query, b""), &secrets, NOW_S));
        assert!(verify(&get(&query, b""), &secrets, NOW_S + WINDOW_SECONDS));
        assert!(!verify(&get(&query, b""), &secrets, NOW_S + WINDOW_SECONDS + 1));
        assert!(!verify(&get(&query, b""), &secrets, NOW_S - WINDOW_SECONDS - 1));
        assert!(
            !verify(&get(&query, b"x"), &secrets, NOW_S),
            "the body is covered"
        );
        assert!(!verify(
            &get(&query.replace("token=t", "token=u"), b""),
            &secrets,
            NOW_S
        ));
        assert!(
            !verify(&get(&format!("{query}&sig=00"), b""), &secrets, NOW_S),
            "two signatures"
        );
        assert!(!verify(&get(&format!("{query}&extra=1"), b""), &secrets, NOW_S));
        assert!(!verify(
            &Signed {
                method: "POST",
                ..get(&query, b"")
            },
            &secrets,
            NOW_S
        ));
        assert!(!verify(&get(&query, b""), &[b"other".to_vec()], NOW_S));
        assert!(!verify(&get(&query, b""), &Vec::<Vec<u8>>::new(), NOW_S));
    }

    #[test]
    fn a_webhook_signature_covers_the_body_and_allows_no_query() {
        let secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec();
        let timestamp = NOW_S.to_string();
        let body = br#"{"token":"t"}"#;
        let mac = hmac_sha256(
            &webhook_key(&secret),
            &[b"msg_1.", timestamp.as_bytes(), b".", body],
        );
        let signature = format!("v1,AAAA v1,{}", STANDARD.encode(mac));
        let signed = Signed {
            method: "POST",
            body,
            query: "",
            webhook_id: Some("msg_1"),
            webhook_timestamp: Some(&timestamp),
            webhook_signature: Some(&signature),
            ..get("", body)
        };
        assert!(verify(&signed, std::slice::from_ref(&secret), NOW_S));
        assert!(!verify(
            &Signed {
                body: b"{}",
                ..signed
            },
            std::slice::from_ref(&secret),
            NOW_S
        ));
        assert!(!verify(
            &Signed {
                query: "token=u",
                ..signed
            },
            std::slice::from_ref(&secret),
            NOW_S
        ));
        assert!(!verify(
            &signed,
            std::slice::from_ref(&secret),
            NOW_S + WINDOW_SECONDS + 1
        ));
        assert!(!verify(
            &Signed {
                webhook_id: Some("msg_2"),
                ..signed
            },
            &[secret],
            NOW_S
        ));
    }

    #[test]
    fn the_published_webhook_example_verifies() {
        // The example of the Standard Webhooks specification.
        let signed = Signed {
            method: "POST",
            body: br#"{"test": 2432232314}"#,
            query: "",
            webhook_id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            webhook_timestamp: Some("1614265330"),
            webhook_signature: Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ..get("", b"")
        };
        assert!(verify(
            &signed,
            &[b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec()],
            1_614_265_330
        ));
    }
}
