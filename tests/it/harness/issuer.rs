//! An outside issuer under test: its key set on a port of its own, in every mood, and tokens that it signs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::app::{Setup, TestApp};
use super::clock::START_S;
use super::{Kind, run};

/// Its name, which leads nowhere: the configuration says where its keys are.
pub const NAME: &str = "https://id.example/realms/acme";

/// Public keys of other kinds, as another issuer might publish them. Nobody has their private halves.
pub const RSA_MODULUS: &str = "1H0jmAoysXwnoY3T-9a2KKIbQIsjVuJjzTA_z6t77pVWvxklX_Ue3qhHH7-dbRyeh1WtUbZYcvxPQhXq3Sce9Rm1pFrtzl9kCtjAvGwmWLMgBcAdhjrxGnVVLmGZd7JkcHwXcMMtRatKb-GZagrCduFDbD6r6gzg4LZ-oFHdquoniODLaJrhDsBxmRQdTxL5ALjQe_lG8QI27bzjQ9T6PKM2PsiCXNu3dxwdqTTuRa88l3L-f1rB2PK5LUYRov2JnPsqJv2fdA6o13SiFu9sX1Ak1_8zXLLC_iiPBt6f2rfmpQEJBfFax_3cBQEW_Vm7m55KUxX_KSKjqnrqApL6hw";
const EC_X: &str = "-KY4kKxnp5gFFO_IHs8VLonHCJO3ScXTXucroZy_m1I";
const EC_Y: &str = "7qfApio-FXFz9wtChX62zGG5twVGHx69dqNnbR6iir0";

/// How it answers.
#[derive(Debug, Clone)]
pub enum Mood {
    /// With this key set.
    Well(String),
    /// With an error.
    Failing,
    /// Never.
    Silent,
    /// With more than anybody wants.
    Huge,
    /// With a redirect to its key set.
    Elsewhere,
}

/// An issuer that runs.
pub struct Issuer {
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
    folder: TempDir,
    port: u16,
}

struct Shared {
    mood: Mutex<Mood>,
    fetches: AtomicUsize,
}

/// The key of this number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// The public half of a key under a name.
pub fn jwk(kid: &str, number: u8) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key(number).verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": x})
}

/// A key set of these keys and the two that nobody has.
pub fn key_set(keys: &[(&str, u8)]) -> String {
    let mut all: Vec<Value> = keys.iter().map(|(kid, number)| jwk(kid, *number)).collect();
    all.push(json!({"kty": "RSA", "use": "sig", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"}));
    all.push(json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": "ec", "x": EC_X, "y": EC_Y}));
    json!({"keys": all}).to_string()
}

/// The header of a token that is right.
pub fn header(kid: &str) -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": kid})
}

/// The claims of a token that is right at this second.
pub fn claims(now_s: i64) -> Value {
    json!({"iss": NAME, "aud": "einklang", "sub": "person-1", "iat": now_s, "nbf": now_s, "exp": now_s + 600,
        "realm_access": {"roles": ["offline_access", "boss"]}})
}

/// A token of these texts, signed with a key.
pub fn signed_text(header: &str, claims: &str, number: u8) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = key(number).sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token that is right at this second.
pub fn token(kid: &str, number: u8, now_s: i64) -> String {
    signed_text(&header(kid).to_string(), &claims(now_s).to_string(), number)
}

async fn answer(State(shared): State<Arc<Shared>>) -> Response {
    shared.fetches.fetch_add(1, Ordering::SeqCst);
    let mood = shared
        .mood
        .lock()
        .expect("no test panics while it holds this")
        .clone();
    match mood {
        Mood::Well(keys) => keys.into_response(),
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Huge => format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300_000)).into_response(),
        Mood::Elsewhere => Redirect::temporary("/other").into_response(),
    }
}

impl Issuer {
    /// Starts one with the first key.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well(key_set(&[("one", 1)]))),
            fetches: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/jwks", get(answer))
            .route("/other", get(|| async { key_set(&[("one", 1)]) }))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            shared,
            serving,
            folder: tempfile::tempdir().expect("a folder"),
            port,
        }
    }

    /// Answers otherwise from now on.
    pub fn be(&self, mood: Mood) {
        *self
            .shared
            .mood
            .lock()
            .expect("no test panics while it holds this") = mood;
    }

    /// How often it was asked.
    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// A configuration file that trusts it.
    fn config(&self) -> PathBuf {
        let path = self.folder.path().join("einklang.toml");
        let text = format!(
            "oidc_private_sources = true\n[[oidc_issuer]]\nissuer = \"{NAME}\"\naudience = \"einklang\"\n\
             jwks_url = \"http://127.0.0.1:{}/jwks\"\nrole_claim = [\"realm_access\", \"roles\"]\ntenant = \"acme\"\n\
             roles = {{ boss = \"manager\", reviewer = \"auditor\" }}\n",
            self.port
        );
        std::fs::write(&path, text).expect("written");
        path
    }
}

/// Runs a test's body against a server that trusts an issuer.
pub async fn trusting(kind: Kind, body: impl AsyncFnOnce(&TestApp, &Issuer)) {
    let issuer = Issuer::start().await;
    let config = issuer.config();
    let setup = Setup::default().options(|options| options.config = Some(config));
    run(kind, setup, async |app| {
        assert_eq!(app.clock.now_s(), START_S);
        body(app, &issuer).await;
    })
    .await;
    issuer.serving.abort();
}
