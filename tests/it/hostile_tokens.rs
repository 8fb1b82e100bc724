//! Tokens that somebody made who should not get in: well over a hundred ways, and not one of them opens the door.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use einklang::domain::keys::hmac_sha256;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::issuer::{
    self, Issuer, NAME, RSA_MODULUS, claims, header, jwk, key_set, signed_text, trusting,
};
use crate::harness::{Kind, world};

/// A hostile token, with what is hostile about it.
type Case = (String, String);

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Tokens whose header was changed, signed with the key that the right header names.
fn headers(now_s: i64) -> Vec<Case> {
    let mut changes: Vec<(&str, Value)> = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "ES256", "ES384", "ES512", "ES256K",
        "RS256", "RS512", "PS256", "Ed25519", "Ed448", "eddsa", "EDDSA", "EdDSA ", "dir", "A128KW",
    ] {
        changes.push(("alg", json!(alg)));
    }
    changes.extend([("alg", json!(null)), ("alg", json!(1)), ("alg", json!(["EdDSA"]))]);
    for kid in [
        "",
        "two",
        "ONE",
        "one ",
        "../one",
        "one\0",
        "' OR 1=1 --",
        "rsa",
        "ec",
        "|id",
    ] {
        changes.push(("kid", json!(kid)));
    }
    changes.push(("kid", json!("o".repeat(300))));
    changes.extend([("kid", json!(null)), ("kid", json!(1)), ("kid", json!(["one"]))]);
    changes.extend([
        ("jku", json!("https://evil.example/jwks")),
        ("jku", json!(null)),
        ("jwk", jwk("one", 9)),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MII"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
    ]);
    for kind in [
        "",
        "JWS",
        "JOSE",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "id+jwt",
    ] {
        changes.push(("typ", json!(kind)));
    }
    changes.extend([("typ", json!(null)), ("typ", json!(5))]);
    let claims = claims(now_s).to_string();
    let mut cases = Vec::new();
    for (name, value) in changes {
        let mut header = header("one");
        header[name] = value.clone();
        cases.push((
            format!("header {name} {value}"),
            signed_text(&header.to_string(), &claims, 1),
        ));
    }
    for name in ["alg", "kid", "typ"] {
        let mut header = header("one");
        header.as_object_mut().expect("an object").remove(name);
        cases.push((
            format!("header without {name}"),
            signed_text(&header.to_string(), &claims, 1),
        ));
    }
    let right = header("one").to_string();
    for twice in [
        "\"alg\":\"EdDSA\"",
        "\"kid\":\"one\"",
        "\"typ\":\"JWT\"",
        "\"x\":1,\"x\":2",
    ] {
        let doubled = format!("{{{twice},{}", &right[1..]);
        cases.push((format!("header twice {twice}"), signed_text(&doubled, &claims, 1)));
    }
    cases
}

/// Tokens that are signed with a shared secret which is no secret: a published key in every spelling.
fn shared_secrets(now_s: i64) -> Vec<Case> {
    let public = issuer::key(1).verifying_key().to_bytes().to_vec();
    let secrets = [
        ("empty", Vec::new()),
        ("word", b"secret".to_vec()),
        ("raw", public.clone()),
        ("x", b64(&public).into_bytes()),
        ("jwk", jwk("one", 1).to_string().into_bytes()),
        ("set", key_set(&[("one", 1)]).into_bytes()),
        ("n", RSA_MODULUS.as_bytes().to_vec()),
        ("modulus", URL_SAFE_NO_PAD.decode(RSA_MODULUS).expect("base64")),
    ];
    let mut cases = Vec::new();
    for (word, secret) in secrets {
        for kid in ["one", "rsa"] {
            let mut header = header(kid);
            header["alg"] = json!("HS256");
            let signed = format!("{}.{}", b64(header.to_string()), b64(claims(now_s).to_string()));
            let mac = hmac_sha256(&secret, &[signed.as_bytes()]);
            cases.push((
                format!("HS256 with {word} as {kid}"),
                format!("{signed}.{}", b64(mac)),
            ));
        }
    }
    cases
}

/// Tokens whose claims were changed, rightly signed.
fn changed_claims(now_s: i64) -> Vec<Case> {
    let text = |at: i64| json!(at.to_string());
    let changes = [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{NAME}/"))),
        ("iss", json!(NAME.to_uppercase())),
        ("iss", json!([NAME])),
        ("iss", json!(1)),
        ("iss", json!(null)),
        ("iss", json!("https://einklang.invalid")),
        ("aud", json!("somebody-else")),
        ("aud", json!("einklang2")),
        ("aud", json!("Einklang")),
        ("aud", json!([])),
        ("aud", json!(["somebody-else"])),
        ("aud", json!(["einklang", 1])),
        ("aud", json!({"einklang": true})),
        ("aud", json!(null)),
        ("sub", json!("")),
        ("sub", json!(1)),
        ("sub", json!(null)),
        ("sub", json!("s".repeat(256))),
        ("exp", text(now_s + 600)),
        ("exp", json!(now_s - 30)),
        ("exp", json!(now_s - 31)),
        ("exp", json!(now_s)),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(1.5)),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(null)),
        ("exp", json!(true)),
        ("exp", json!([now_s + 600])),
        ("exp", json!(now_s + 86_401)),
        ("nbf", text(now_s)),
        ("nbf", json!(now_s + 31)),
        ("nbf", json!(null)),
        ("nbf", json!(false)),
        ("nbf", json!(1.5)),
        ("iat", text(now_s)),
        ("iat", json!(now_s + 31)),
        ("iat", json!(null)),
        ("realm_access", json!({"roles": ["nobody"]})),
        ("realm_access", json!({"roles": ["boss", "reviewer"]})),
        ("realm_access", json!({"roles": []})),
        ("realm_access", json!({"roles": [["boss"]]})),
        ("realm_access", json!({"roles": "Boss"})),
        ("realm_access", json!({"roles": ["manager", "operator"]})),
        ("realm_access", json!("boss")),
        ("realm_access", json!(["boss"])),
        ("realm_access", json!(null)),
    ];
    let right = header("one").to_string();
    let mut cases = Vec::new();
    for (name, value) in changes {
        let mut claims = claims(now_s);
        claims[name] = value.clone();
        cases.push((
            format!("claim {name} {value}"),
            signed_text(&right, &claims.to_string(), 1),
        ));
    }
    for name in ["iss", "aud", "sub", "exp", "nbf", "iat", "realm_access"] {
        let mut claims = claims(now_s);
        claims.as_object_mut().expect("an object").remove(name);
        cases.push((
            format!("without claim {name}"),
            signed_text(&right, &claims.to_string(), 1),
        ));
    }
    let claims = claims(now_s).to_string();
    for twice in [
        "\"iss\":\"x\"",
        "\"exp\":99999999999",
        "\"sub\":\"x\"",
        "\"realm_access\":{}",
    ] {
        let doubled = format!("{{{twice},{}", &claims[1..]);
        cases.push((format!("claim twice {twice}"), signed_text(&right, &doubled, 1)));
    }
    for body in ["", "null", "[]", "\"x\"", "{", "{\"iss\"}"] {
        cases.push((format!("claims {body:?}"), signed_text(&right, body, 1)));
    }
    cases
}

/// Tokens whose signature or form was changed.
fn forms(right: &str, now_s: i64) -> Vec<Case> {
    let parts: Vec<&str> = right.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let with = |signature: &[u8]| format!("{head}.{body}.{}", b64(signature));
    let mut cases: Vec<Case> = Vec::new();
    for place in [0, 31, 32, 63] {
        for bit in [0, 7] {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            cases.push((format!("bit {bit} of byte {place}"), with(&flipped)));
        }
    }
    let mut claims = claims(now_s);
    claims["realm_access"] = json!({"roles": ["reviewer"]});
    let mut unsigned = header("one");
    unsigned["alg"] = json!("none");
    let other = signed_text(&header("one").to_string(), &claims.to_string(), 1);
    let foreign = other.rsplit('.').next().expect("a signature");
    for (word, text) in [
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("one part", head.to_owned()),
        ("four parts", format!("{right}.{signature}")),
        ("five parts", format!("{right}.a.b")),
        ("half a signature", with(&bytes[..32])),
        ("zeros", with(&[0; 64])),
        ("longer", with(&[&bytes[..], &[0]].concat())),
        ("another's signature", format!("{head}.{body}.{foreign}")),
        (
            "another's claims",
            format!("{head}.{}.{signature}", b64(claims.to_string())),
        ),
        (
            "another key's",
            signed_text(&header("one").to_string(), &claims.to_string(), 9),
        ),
        ("alg none", format!("{}.{body}.", b64(unsigned.to_string()))),
        (
            "alg none, signed",
            format!("{}.{body}.{signature}", b64(unsigned.to_string())),
        ),
        ("padded signature", format!("{right}==")),
        ("padded header", format!("{head}=.{body}.{signature}")),
        (
            "the other alphabet",
            format!("{head}.{body}.{}", STANDARD.encode([255; 64])),
        ),
        ("a space", format!("{head}. {body}.{signature}")),
        ("no header", format!(".{body}.{signature}")),
        ("no claims", format!("{head}..{signature}")),
        ("header is no object", format!("{}.{body}.{signature}", b64("[]"))),
        (
            "header is no JSON",
            format!("{}.{body}.{signature}", b64("{\"alg\"")),
        ),
        ("claims doubled", format!("{head}.{body}{body}.{signature}")),
        (
            "JSON form",
            format!("{{\"payload\":\"{body}\",\"signature\":\"{signature}\"}}"),
        ),
        (
            "too long",
            signed_text(
                &header("one").to_string(),
                &format!("{{\"x\":\"{}\"}}", "x".repeat(6_200)),
                1,
            ),
        ),
    ] {
        cases.push((word.to_owned(), text));
    }
    // The last letter carries four bits that no byte has: another letter is another spelling of the same signature.
    let last = signature.chars().last().expect("a letter");
    let spelt = if last == 'A' {
        'B'
    } else {
        char::from_u32(u32::from(last) + 1).expect("a letter")
    };
    cases.push((
        "spelt otherwise".to_owned(),
        format!("{}{spelt}", &right[..right.len() - 1]),
    ));
    cases
}

/// Tokens that pretend to be ours.
async fn pretending(app: &TestApp, now_s: i64) -> Vec<Case> {
    let ours = app.token_for(world::AUDITOR).await;
    let parts: Vec<&str> = ours.split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
    };
    let (head, body) = (read(parts[0]), read(parts[1]));
    let mut cases = vec![
        (
            "ours with another's key".to_owned(),
            signed_text(&head.to_string(), &body.to_string(), 1),
        ),
        (
            "ours with another's header".to_owned(),
            signed_text(&header("one").to_string(), &body.to_string(), 1),
        ),
    ];
    for (name, value) in [
        ("role", json!("manager")),
        ("role", json!("operator")),
        ("sub", json!(app.key_id(world::MANAGER))),
        ("tenant", json!(null)),
        ("exp", json!(now_s + 3_000)),
        ("jti", json!("00000000-0000-0000-0000-000000000000")),
    ] {
        let mut body = body.clone();
        body[name] = value.clone();
        let text = format!("{}.{}.{}", parts[0], b64(body.to_string()), parts[2]);
        cases.push((format!("ours with {name} {value}"), text));
    }
    let mut unsigned = head;
    unsigned["alg"] = json!("none");
    cases.push((
        "ours unsigned".to_owned(),
        format!("{}.{}.", b64(unsigned.to_string()), parts[1]),
    ));
    cases
}

async fn refuse_all(app: &TestApp, issuer: &Issuer) {
    let now_s = app.clock.now_s();
    let right = issuer::token("one", 1, now_s);
    assert_eq!(
        app.holder(&right).get("/v1/shops").await.status,
        200,
        "what the others are made of"
    );
    let mut cases = headers(now_s);
    cases.extend(shared_secrets(now_s));
    cases.extend(changed_claims(now_s));
    cases.extend(forms(&right, now_s));
    cases.extend(pretending(app, now_s).await);
    for (word, token) in &cases {
        let answer = app.holder(token).get("/v1/shops").await;
        assert_eq!(
            answer.verdict(),
            (401, "refused".to_owned(), "unauthenticated".to_owned()),
            "{word}"
        );
        let text = answer.text();
        let shown = token.split('.').any(|part| part.len() > 8 && text.contains(part));
        assert!(!shown, "{word}: {text}");
        let code = answer.member("code");
        assert!(code.is_empty() || code.starts_with("bearer_"), "{word}: {text}");
    }
    assert_eq!(
        app.holder(&right).get("/v1/shops").await.status,
        200,
        "and still is"
    );
    assert_eq!(issuer.fetches(), 1, "unknown names of keys make nobody ask again");
    assert!(cases.len() >= 100, "{}", cases.len());
    println!("{} hostile tokens, 0 accepted", cases.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hostile_token_is_accepted() {
    Box::pin(trusting(Kind::Sqlite, refuse_all)).await;
}
