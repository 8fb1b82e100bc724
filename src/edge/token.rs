//! `POST /oauth/token`, `POST /oauth/revoke` and `GET /.well-known/jwks.json`: our own tokens.
//!
//! The forms are those of RFC 6749 and RFC 7009; a refusal is a problem document that carries OAuth's `error` beside our
//! `reason`. Neither secrets nor tokens are repeated in an answer, except for the new token in its own.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::auth::{Origin, address_key};
use super::pairs;
use super::problem::{Problem, ProblemBody};
use super::request::{Named, body, media_type};
use crate::domain::refusal::Reason;
use crate::flow::identity::{Credentials, IdentityFlow, NotSignedIn};

/// The longest value of a form, in bytes. A token is at most as long.
const VALUE_BYTES_MAX: usize = 8_192;
/// For how long others may keep our keys, in seconds.
const KEYS_CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The routes.
pub fn routes() -> OpenApiRouter<IdentityFlow> {
    OpenApiRouter::new()
        .routes(routes!(issue_token))
        .routes(routes!(revoke_token))
        .routes(routes!(read_token_keys))
}

/// What a token is asked for with.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"grant_type": "client_credentials", "client_id": "key_01a0b1c2d3e47f00a1b2c3d4e5f60718",
    "client_secret": "ek_live_q1w2e3r4_example"}))]
pub struct TokenRequest {
    /// `client_credentials` for programs, `password` for the built-in sign-in of users.
    #[schema(max_length = 32, pattern = "^(client_credentials|password)$")]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    grant_type: String,
    /// The API key's id, with `client_credentials`; may stand in HTTP Basic authentication instead.
    #[schema(max_length = 36, pattern = "^key_[0-9a-f]{32}$", nullable = false)]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    client_id: Option<String>,
    /// The API key, with `client_credentials`; may stand in HTTP Basic authentication instead.
    #[schema(max_length = 256, pattern = "^[!-~]+$", format = "password", nullable = false)]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    client_secret: Option<String>,
    /// The tenant's slug, a slash and the user's name, with `password`.
    #[schema(max_length = 256, pattern = "^[^/]+/[^\\r\\n]+$", nullable = false)]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    username: Option<String>,
    /// The user's password, with `password`.
    #[schema(
        max_length = 1024,
        pattern = "^[^\\r\\n]+$",
        format = "password",
        nullable = false
    )]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    password: Option<String>,
}

/// A token to give up.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"token": "eyJhbGciOiJFZERTQSJ9.e30.AA"}))]
pub struct RevocationRequest {
    /// The token.
    #[schema(max_length = 8192, pattern = "^[!-~]+$")]
    #[expect(dead_code, reason = "describes the form, which is read pair by pair")]
    token: String,
}

/// A new token (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"access_token": "eyJhbGciOiJFZERTQSJ9.e30.AA", "token_type": "Bearer", "expires_in": 900}))]
pub struct TokenAnswer {
    /// The token, for `Authorization: Bearer`.
    #[schema(
        max_length = 8192,
        pattern = "^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$"
    )]
    access_token: String,
    /// Always `Bearer`.
    #[schema(max_length = 6, pattern = "^Bearer$")]
    token_type: &'static str,
    /// For how many seconds it is valid.
    #[schema(minimum = 1, maximum = 3600)]
    expires_in: i64,
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"revoked": true}))]
pub struct RevocationAnswer {
    /// Always `true`: whatever the token was, it opens nothing here any more.
    revoked: bool,
}

/// Our public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}))]
pub struct TokenKeys {
    /// The keys, the one that signs first.
    #[schema(max_items = 16)]
    keys: Vec<TokenKey>,
}

/// A public key (RFC 8037).
#[derive(Serialize, ToSchema)]
pub struct TokenKey {
    /// Always `OKP`.
    #[schema(max_length = 3, pattern = "^OKP$")]
    kty: &'static str,
    /// Always `Ed25519`.
    #[schema(max_length = 7, pattern = "^Ed25519$")]
    crv: &'static str,
    /// Always `EdDSA`.
    #[schema(max_length = 5, pattern = "^EdDSA$")]
    alg: &'static str,
    /// Always `sig`.
    #[schema(max_length = 3, pattern = "^sig$")]
    r#use: &'static str,
    /// The key's name: its thumbprint (RFC 7638).
    #[schema(max_length = 43, pattern = "^[A-Za-z0-9_-]{43}$")]
    kid: String,
    /// The public key.
    #[schema(max_length = 43, pattern = "^[A-Za-z0-9_-]{43}$")]
    x: String,
}

/// Get a short-lived token
///
/// For programs with `grant_type=client_credentials` (RFC 6749, section 4.4): `client_id` is the API key's id,
/// `client_secret` the key; both may stand in HTTP Basic authentication instead. For users with `grant_type=password`: the
/// built-in sign-in, for servers without an identity provider. The token is a JWT, signed with EdDSA, and opens what the
/// key or user may. It ends when its time is over, when it is revoked, and when the key or user is changed or archived.
#[utoipa::path(post, path = "/oauth/token", operation_id = "issue_token", tag = "tokens",
    request_body(content = TokenRequest, description = "The grant.", content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenAnswer),
        (status = 400, description = "The form cannot be read, or the grant is another one; `error` says which.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "The credentials are wrong; which part of them is not said.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 408, description = "The request did not arrive in time.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "The form is too large.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is no form.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many failures from this address; wait as Retry-After says.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be reached.", body = ProblemBody,
            content_type = "application/problem+json")))]
pub async fn issue_token(
    State(flow): State<IdentityFlow>,
    Origin(address): Origin,
    Named(request_id): Named,
    request: Request,
) -> Result<Response, Problem> {
    let basic = basic(request.headers())?;
    let form = Form::read(request).await?;
    let credentials = match form.get("grant_type") {
        Some("client_credentials") => client(&form, basic)?,
        Some("password") if basic.is_none() => Credentials::Password {
            username: form.require("username")?.to_owned(),
            password: Zeroizing::new(form.require("password")?.to_owned()),
        },
        Some("password") => return Err(oauth("invalid_request", "authorization")),
        Some(_) => return Err(oauth("unsupported_grant_type", "grant_type")),
        None => return Err(oauth("invalid_request", "grant_type")),
    };
    let error = match credentials {
        Credentials::Client { .. } => "invalid_client",
        Credentials::Password { .. } => "invalid_grant",
    };
    let issued = flow.sign_in(credentials, address_key(address), request_id).await;
    let issued = issued.map_err(|why| match why {
        NotSignedIn::Wrong => Problem {
            error: Some(error),
            challenge: Some("Basic realm=\"oauth\""),
            ..Problem::new(Reason::Unauthenticated)
        },
        NotSignedIn::Wait(seconds) => Problem {
            retry_after_seconds: seconds,
            ..Problem::new(Reason::RateLimited)
        },
        NotSignedIn::Failed(error) => error.into(),
    })?;
    let answer = TokenAnswer {
        access_token: issued.token.to_string(),
        token_type: "Bearer",
        expires_in: issued.expires_in_s,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

/// Give up a token before its end
///
/// As RFC 7009 says, with the token itself as the credential: whoever has it may revoke it, and nobody else can. The answer
/// is the same for a token that is none of ours or has ended already. Every node refuses it within a second.
#[utoipa::path(post, path = "/oauth/revoke", operation_id = "revoke_token", tag = "tokens",
    request_body(content = RevocationRequest, description = "The token.",
        content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It opens nothing any more.", body = RevocationAnswer),
        (status = 400, description = "The form cannot be read.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 408, description = "The request did not arrive in time.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "The form is too large.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "The body is no form.", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be reached.", body = ProblemBody,
            content_type = "application/problem+json")))]
pub async fn revoke_token(
    State(flow): State<IdentityFlow>,
    Named(request_id): Named,
    request: Request,
) -> Result<Response, Problem> {
    let form = Form::read(request).await?;
    flow.revoke(form.require("token")?, request_id).await?;
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        axum::Json(RevocationAnswer { revoked: true }),
    )
        .into_response())
}

/// Read the keys that our tokens are signed with
///
/// The public keys as a JWK set (RFC 7517). While keys are rotated, the one before stands in it until its last token ends.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "read_token_keys", tag = "tokens",
    responses((status = 200, description = "The keys.", body = TokenKeys)))]
pub async fn read_token_keys(State(flow): State<IdentityFlow>) -> Response {
    let keys = flow.keys().named().map(|(kid, x)| TokenKey {
        kty: "OKP",
        crv: "Ed25519",
        alg: "EdDSA",
        r#use: "sig",
        kid,
        x,
    });
    let keys = TokenKeys { keys: keys.collect() };
    ([(header::CACHE_CONTROL, KEYS_CACHED)], axum::Json(keys)).into_response()
}

/// A refusal with OAuth's code (RFC 6749, section 5.2).
fn oauth(error: &'static str, parameter: &'static str) -> Problem {
    Problem {
        error: Some(error),
        ..Problem::invalid(
            parameter,
            "missing, repeated, unknown or not of the expected form",
        )
    }
}

fn client(form: &Form, basic: Option<(String, Zeroizing<String>)>) -> Result<Credentials, Problem> {
    let in_form = form.get("client_secret").is_some();
    let (id, secret) = match basic {
        // Two ways at once would let one of them go unchecked (RFC 6749, section 2.3).
        Some(_) if in_form => return Err(oauth("invalid_request", "client_secret")),
        Some(basic) => basic,
        None => {
            let secret = form.require("client_secret")?.to_owned();
            (form.require("client_id")?.to_owned(), Zeroizing::new(secret))
        }
    };
    Ok(Credentials::Client { id, secret })
}

/// The user and password of HTTP Basic authentication, both form-encoded inside (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, Zeroizing<String>)>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || oauth("invalid_request", "authorization");
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(wrong)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| wrong())?;
    let text = Zeroizing::new(String::from_utf8(decoded).map_err(|_| wrong())?);
    let (id, secret) = text.split_once(':').ok_or_else(wrong)?;
    let plain = |part: &str| {
        let pair = format!("v={part}");
        match pairs::read(&pair).as_slice() {
            [(_, Some(value))] => Ok(value.clone().into_owned()),
            _ => Err(wrong()),
        }
    };
    Ok(Some((plain(id)?, Zeroizing::new(plain(secret)?))))
}

/// A form: each parameter at most once, unknown ones passed over (RFC 6749, section 3.2).
struct Form(Vec<(String, Zeroizing<String>)>);

/// The parameters that are known.
const KNOWN: [&str; 6] = [
    "grant_type",
    "client_id",
    "client_secret",
    "username",
    "password",
    "token",
];

impl Form {
    async fn read(request: Request) -> Result<Self, Problem> {
        if media_type(request.headers()) != Some("application/x-www-form-urlencoded") {
            return Err(Problem::new(Reason::UnsupportedMediaType));
        }
        let bytes = body(request).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| oauth("invalid_request", "body"))?;
        let mut form = Self(Vec::new());
        for (name, value) in pairs::read(text) {
            let Some(known) = KNOWN.into_iter().find(|known| *known == name) else {
                continue;
            };
            let value = value.filter(|value| value.len() <= VALUE_BYTES_MAX);
            match value {
                Some(value) if form.get(known).is_none() => {
                    form.0
                        .push((known.to_owned(), Zeroizing::new(value.into_owned())));
                }
                _ => return Err(oauth("invalid_request", known)),
            }
        }
        Ok(form)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn require(&self, name: &'static str) -> Result<&str, Problem> {
        let value = self.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| oauth("invalid_request", name))
    }
}
