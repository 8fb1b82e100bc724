//! Our own tokens: got for a key or a password, used, given up, and over when what they stand for is over.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use einklang::app::config::tokens::previous_of;
use einklang::app::config::{Config, Options};
use einklang::app::system::SystemEntropy;
use einklang::app::token_key;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;
use crate::harness::world;

const PASSWORD: &str = "a password of some length";

/// A token for a key of acme's or globex's.
async fn token_for(app: &TestApp, key: &str) -> String {
    app.token_for(key).await
}

async fn sign_in(app: &TestApp, username: &str, password: &str) -> Answer {
    from(app, "127.0.0.1", username, password).await
}

/// Signs in as if from this address: the tests' own is a trusted proxy.
async fn from(app: &TestApp, address: &str, username: &str, password: &str) -> Answer {
    let pairs = [
        ("grant_type", "password"),
        ("username", username),
        ("password", password),
    ];
    let caller = app.anonymous().with("x-forwarded-for", address);
    caller.post_form("/oauth/token", &pairs).await
}

/// A user of acme's with a password, and its id.
async fn user(app: &TestApp, name: &str, role: &str) -> String {
    let body = json!({"name": name, "role": role, "password": PASSWORD});
    let made = app.manager().post("/v1/users", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.member("id")
}

fn part(token: &str, place: usize) -> Value {
    let part = token.split('.').nth(place).expect("a part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// Refused as a token, with this code and as RFC 6750 says.
#[track_caller]
fn refused(answer: &Answer, code: &str) {
    answer.is(401, "refused", "unauthenticated");
    assert_eq!(answer.member("code"), code, "{}", answer.text());
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
}

both!(
    a_key_gets_a_token_that_opens_what_the_key_opens,
    async |app: &TestApp| {
        let key = app.key_id(world::MANAGER);
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", key.as_str()),
            ("client_secret", world::MANAGER),
        ];
        let answer = app.anonymous().post_form("/oauth/token", &pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(
            (&body["token_type"], &body["expires_in"]),
            (&json!("Bearer"), &json!(900))
        );
        let token = body["access_token"].as_str().expect("a token");
        let (header, claims) = (part(token, 0), part(token, 1));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("JWT")));
        let now = app.clock.now_s();
        assert_eq!(claims["iss"], claims["aud"]);
        for (name, value) in [
            ("iss", json!("https://einklang.invalid")),
            ("sub", json!(key)),
            ("role", json!("manager")),
            ("iat", json!(now)),
            ("nbf", json!(now)),
            ("exp", json!(now + 900)),
        ] {
            assert_eq!(claims[name], value, "{name}");
        }
        assert!(
            claims["tenant"]
                .as_str()
                .is_some_and(|tenant| tenant.starts_with("tnt_"))
        );
        // The published key is the one that it names.
        let keys = app.anonymous().get("/.well-known/jwks.json").await.json();
        assert_eq!(keys["keys"][0]["kid"], header["kid"]);
        let holder = app.holder(token);
        assert_eq!(holder.get("/v1/shops").await.status, 200);
        holder.get("/v1/nothing").await.is(404, "refused", "not_found");
        holder
            .postback(&[("consent", "granted")])
            .await
            .is(403, "refused", "forbidden");
        // HTTP Basic authentication is the other form (RFC 6749, section 2.3.1).
        let basic = format!("Basic {}", STANDARD.encode(format!("{key}:{}", world::MANAGER)));
        let caller = app.anonymous().with("authorization", &basic);
        let grant = ("grant_type", "client_credentials");
        let answer = caller.post_form("/oauth/token", &[grant, ("scope", "x")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let twice = [grant, ("client_secret", world::MANAGER)];
        caller
            .post_form("/oauth/token", &twice)
            .await
            .is_invalid("client_secret");
        assert_eq!(app.ledger.leaves("token.issued").await, 2, "the trail says so");
    }
);

both!(a_shop_sends_postbacks_with_a_token, async |app: &TestApp| {
    let shop = app.holder(&token_for(app, world::SHOP).await);
    let click = app.token("Ab3xK9").await;
    let pairs = [("token", click.as_str()), ("consent", "granted")];
    shop.postback(&pairs).await.is(200, "recorded", "accepted");
    let foreign = app.holder(&token_for(app, world::FOREIGN_STRICT_SHOP).await);
    foreign.postback(&pairs).await.is(404, "refused", "unknown_token");
});

both!(credentials_that_are_wrong_get_nothing, async |app: &TestApp| {
    let key = app.key_id(world::MANAGER);
    let other = app.key_id(world::AUDITOR);
    let ask = async |pairs: &[(&str, &str)]| app.anonymous().post_form("/oauth/token", pairs).await;
    for (id, secret) in [
        (key.as_str(), world::AUDITOR),
        (other.as_str(), world::MANAGER),
        ("key_00000000000000000000000000000000", world::MANAGER),
        (key.as_str(), "ek_test_nobody_knows_this_key"),
    ] {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        let answer = ask(&pairs).await;
        answer.is(401, "refused", "unauthenticated");
        assert_eq!(answer.member("error"), "invalid_client");
        assert!(!answer.text().contains(secret) && !answer.text().contains(id));
    }
    let grant = ("grant_type", "client_credentials");
    for (pairs, parameter, error) in [
        (&[][..], "grant_type", "invalid_request"),
        (
            &[("grant_type", "implicit")],
            "grant_type",
            "unsupported_grant_type",
        ),
        (&[grant, grant], "grant_type", "invalid_request"),
        (&[grant, ("client_id", &key)], "client_secret", "invalid_request"),
        (&[grant, ("client_secret", "x")], "client_id", "invalid_request"),
        (
            &[("grant_type", "password"), ("username", "a/b")],
            "password",
            "invalid_request",
        ),
    ] {
        let answer = ask(pairs).await;
        answer.is_invalid(parameter);
        assert_eq!(answer.member("error"), error);
    }
    let json = app
        .anonymous()
        .post("/oauth/token", &json!({"grant_type": "password"}))
        .await;
    json.is(415, "refused", "unsupported_media_type");
});

both!(a_user_signs_in_with_a_password, async |app: &TestApp| {
    let id = user(app, "Mara", "auditor").await;
    let answer = sign_in(app, "acme/Mara", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.member("access_token");
    assert_eq!(part(&token, 1)["sub"], json!(id));
    let mara = app.holder(&token);
    assert_eq!(mara.get("/v1/shops").await.status, 200);
    mara.post("/v1/shops", &json!({}))
        .await
        .is(403, "refused", "forbidden");
    for (username, password) in [
        ("acme/Mara", "another password of length"),
        ("globex/Mara", PASSWORD),
        ("Mara", PASSWORD),
        ("acme/nobody", PASSWORD),
        ("acme/manager", PASSWORD),
    ] {
        let answer = sign_in(app, username, password).await;
        answer.is(401, "refused", "unauthenticated");
        assert_eq!(answer.member("error"), "invalid_grant");
        assert!(!answer.text().contains(password), "{}", answer.text());
    }
    // Another password ends what was signed in with the old one.
    app.clock.advance_seconds(1);
    let change = json!({"password": "another password of length"});
    let changed = app.manager().patch(&format!("/v1/users/{id}"), &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    refused(&mara.get("/v1/shops").await, "bearer_ended");
    // So does being gone.
    let again = sign_in(app, "acme/Mara", "another password of length").await;
    let mara = app.holder(&again.member("access_token"));
    assert_eq!(mara.get("/v1/shops").await.status, 200);
    let manager = app.manager();
    let archive = manager.request(Method::DELETE, &format!("/v1/users/{id}"));
    assert!(matches!(manager.send(archive).await.status, 200 | 204));
    refused(&mara.get("/v1/shops").await, "bearer_ended");
    let gone = sign_in(app, "acme/Mara", "another password of length").await;
    gone.is(401, "refused", "unauthenticated");
});

both!(a_token_ends_on_time_and_begins_on_time, async |app: &TestApp| {
    let token = token_for(app, world::MANAGER).await;
    let holder = app.holder(&token);
    app.clock.advance_seconds(900 + 29);
    assert_eq!(holder.get("/v1/shops").await.status, 200, "within the leeway");
    app.clock.advance_seconds(1);
    refused(&holder.get("/v1/shops").await, "bearer_expired");
    app.clock.advance_seconds(1);
    refused(&holder.get("/v1/shops").await, "bearer_expired");
    app.clock.advance_seconds(-931 - 30);
    assert_eq!(holder.get("/v1/shops").await.status, 200, "within the leeway");
    app.clock.advance_seconds(-1);
    refused(&holder.get("/v1/shops").await, "bearer_early");
});

both!(a_token_ends_with_its_key, async |app: &TestApp| {
    let body = json!({"label": "a program", "role": "auditor"});
    let made = app.manager().post("/v1/api-keys", &body).await.json();
    let (key, id) = (
        made["api_key"].as_str().expect("a key"),
        made["id"].as_str().expect("an id"),
    );
    let token = app.token_of(id, key).await;
    assert_eq!(app.holder(&token).get("/v1/shops").await.status, 200);
    let manager = app.manager();
    let archive = manager.request(Method::DELETE, &format!("/v1/api-keys/{id}"));
    let archived = manager.send(archive).await;
    assert!(matches!(archived.status, 200 | 204), "{}", archived.text());
    refused(&app.holder(&token).get("/v1/shops").await, "bearer_ended");
});

both!(a_revoked_token_is_refused_on_every_node, async |app: &TestApp| {
    let twin = app.twin().await;
    let (token, other) = (
        token_for(app, world::MANAGER).await,
        token_for(app, world::MANAGER).await,
    );
    assert_eq!(twin.holder(&token).get("/v1/shops").await.status, 200);
    for _ in 0..2 {
        let answer = app
            .anonymous()
            .post_form("/oauth/revoke", &[("token", &token)])
            .await;
        assert_eq!((answer.status, answer.json()), (200, json!({"revoked": true})));
    }
    refused(&app.holder(&token).get("/v1/shops").await, "bearer_ended");
    // What a timer does twice a second.
    twin.live.reload_if_changed().await.expect("read");
    refused(&twin.holder(&token).get("/v1/shops").await, "bearer_ended");
    assert_eq!(twin.holder(&other).get("/v1/shops").await.status, 200);
    assert_eq!(app.ledger.leaves("token.revoked").await, 1, "once");
    // Nothing of somebody else's is revoked, and it is not told apart.
    let (signed, signature) = other.rsplit_once('.').expect("parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{signed}.{first}{}", &signature[1..]);
    for text in [changed.as_str(), "x", "a.b.c", world::MANAGER] {
        let answer = app
            .anonymous()
            .post_form("/oauth/revoke", &[("token", text)])
            .await;
        assert_eq!(answer.status, 200);
    }
    app.anonymous()
        .post_form("/oauth/revoke", &[("tokens", "x")])
        .await
        .is_invalid("token");
    assert_eq!(app.ledger.count("revoked_token", "1 = 1").await, 1);
    assert_eq!(app.holder(&other).get("/v1/shops").await.status, 200);
    // What has ended is forgotten when the next one is revoked.
    app.clock.advance_seconds(2_000);
    let last = token_for(app, world::MANAGER).await;
    app.anonymous()
        .post_form("/oauth/revoke", &[("token", &last)])
        .await;
    assert_eq!(app.ledger.count("revoked_token", "1 = 1").await, 1);
    twin.stop().await;
});

both!(
    guessing_is_slowed_down_and_locks_nobody_out,
    Setup::default().options(|options| {
        options.trusted_proxies = Some(vec!["127.0.0.1/32".parse().expect("a range")]);
    }),
    async |app: &TestApp| {
        user(app, "Mara", "auditor").await;
        let guess = async |address: &str| from(app, address, "acme/Mara", "a guess of some length").await;
        for _ in 0..6 {
            guess("203.0.113.1").await.is(401, "refused", "unauthenticated");
        }
        let answer = guess("203.0.113.1").await;
        answer.is(429, "refused", "rate_limited");
        assert_eq!(answer.header("retry-after"), Some("1"));
        app.clock.advance_seconds(1);
        guess("203.0.113.1").await.is(401, "refused", "unauthenticated");
        assert_eq!(guess("203.0.113.1").await.header("retry-after"), Some("2"));
        // From one address even the right password waits; from another it does not, however many guess.
        let right = async |address: &str| from(app, address, "acme/Mara", PASSWORD).await.status;
        assert_eq!(right("203.0.113.1").await, 429);
        for last in 2..14 {
            guess(&format!("198.51.100.{last}"))
                .await
                .is(401, "refused", "unauthenticated");
        }
        assert_eq!(right("203.0.113.200").await, 200);
        assert_eq!(
            guess("198.51.100.2").await.status,
            429,
            "the account is being guessed at"
        );
        // A user who is not there is guessed at in the same way.
        for _ in 0..6 {
            let answer = from(app, "203.0.113.9", "acme/nobody", "a guess of some length").await;
            answer.is(401, "refused", "unauthenticated");
        }
        assert_eq!(from(app, "203.0.113.9", "acme/nobody", "x").await.status, 429);
    }
);

both!(
    a_key_that_is_replaced_verifies_until_it_is_removed,
    async |app: &TestApp| {
        let old = token_for(app, world::MANAGER).await;
        let config = Config::load(Options {
            data_dir: Some(app.database.data_dir()),
            ..Options::default()
        });
        let config = config.expect("a configuration");
        token_key::rotate(&config, &SystemEntropy).expect("rotated");
        // A node that starts now signs with the new key and takes both.
        let twin = app.twin().await;
        let new = token_for(&twin, world::MANAGER).await;
        assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
        for token in [&old, &new] {
            assert_eq!(twin.holder(token).get("/v1/shops").await.status, 200);
        }
        let keys = twin.anonymous().get("/.well-known/jwks.json").await.json();
        let kids = [&keys["keys"][0]["kid"], &keys["keys"][1]["kid"]];
        assert_eq!(kids, [&part(&new, 0)["kid"], &part(&old, 0)["kid"]]);
        // One that was not started anew does not know it, which is why several nodes are told beforehand.
        refused(&app.holder(&new).get("/v1/shops").await, "bearer_key");
        twin.stop().await;
        // Without the old key's file, what it signed is over.
        std::fs::remove_file(previous_of(&config.tokens.key_file)).expect("removed");
        let twin = app.twin().await;
        assert_eq!(twin.holder(&new).get("/v1/shops").await.status, 200);
        refused(&twin.holder(&old).get("/v1/shops").await, "bearer_key");
        twin.stop().await;
    }
);

both!(
    four_eyes_are_two_users_whatever_they_show,
    async |app: &TestApp| {
        for name in ["Mara", "Ole"] {
            user(app, name, "manager").await;
        }
        let signed_in = async |name: &str| {
            sign_in(app, &format!("acme/{name}"), PASSWORD)
                .await
                .member("access_token")
        };
        let (mara, ole) = (signed_in("Mara").await, signed_in("Ole").await);
        let tenant = app.manager().get("/v1/tenants").await.json()["items"][0]["id"].clone();
        let target = format!("/v1/tenants/{}", tenant.as_str().expect("an id"));
        app.clock.advance_seconds(1);
        let on = app
            .holder(&mara)
            .patch(&target, &json!({"four_eyes": true}))
            .await;
        assert_eq!(on.status, 200, "{}", on.text());
        let off = app
            .holder(&mara)
            .patch(&target, &json!({"four_eyes": false}))
            .await;
        assert_eq!(off.status, 200, "{}", off.text());
        let waiting = app.manager().get("/v1/approvals").await.json();
        let id = waiting["items"][0]["id"].as_str().expect("an id").to_owned();
        let approve = async |token: &str| {
            let caller = app.holder(token);
            caller
                .post(&format!("/v1/approvals/{id}/approve"), &json!({}))
                .await
        };
        approve(&mara).await.is(403, "refused", "forbidden");
        let approved = approve(&ole).await;
        assert_eq!(approved.status, 200, "{}", approved.text());
    }
);
