//! Fetches the key sets of outside issuers over the network: https, no redirects, five seconds, 256 KiB, no private networks.
//!
//! The address that a name resolves to is judged when the connection is made, not before: a name that points elsewhere by
//! then leads nowhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use serde::Deserialize;
use url::{Host, Url};

use super::address::is_public;
use crate::flow::identity::{Fetching, KeySource, SourceFailed};
use crate::identity::keys::{KEY_SET_BYTES_MAX, KeySetError};
use crate::identity::outside::Issuer;

/// How long a fetch may take, the discovery document included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks over the network.
pub struct HttpKeySource {
    http: reqwest::Client,
    private: bool,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
}

impl HttpKeySource {
    /// `private` allows private networks, and this machine without TLS.
    pub fn new(private: bool) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .https_only(!private)
            .dns_resolver(Arc::new(Resolver { private }))
            .build()?;
        Ok(Self { http, private })
    }

    async fn key_set(&self, issuer: &Issuer) -> Result<Vec<u8>, SourceFailed> {
        if let Some(url) = &issuer.jwks_url {
            return self.get(url).await;
        }
        let place = format!(
            "{}/.well-known/openid-configuration",
            issuer.issuer.trim_end_matches('/')
        );
        let place = Url::parse(&place).map_err(|_| SourceFailed::Address)?;
        let document = self.get(&place).await?;
        let found: Discovery = serde_json::from_slice(&document).map_err(|_| SourceFailed::Discovery)?;
        if found.issuer != issuer.issuer {
            return Err(SourceFailed::Discovery);
        }
        self.get(&found.jwks_uri).await
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, SourceFailed> {
        if !may_ask(url, self.private) {
            return Err(SourceFailed::Address);
        }
        let failed = |error: reqwest::Error| SourceFailed::Unreachable(error.without_url().to_string());
        let request = self.http.get(url.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(failed)?;
        if response.status().as_u16() != 200 {
            return Err(SourceFailed::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > KEY_SET_BYTES_MAX {
                return Err(KeySetError::TooLarge.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl KeySource for HttpKeySource {
    fn fetch<'a>(&'a self, issuer: &'a Issuer) -> Fetching<'a> {
        Box::pin(async move {
            let late = |_| SourceFailed::Unreachable("it took longer than five seconds".to_owned());
            tokio::time::timeout(TIMEOUT, self.key_set(issuer))
                .await
                .map_err(late)?
        })
    }
}

/// Whether an address may be asked, as far as it tells itself: names are judged when they are resolved.
fn may_ask(url: &Url, private: bool) -> bool {
    let (literal, local) = match url.host() {
        Some(Host::Ipv4(ip)) => (Some(IpAddr::V4(ip)), ip.is_loopback()),
        Some(Host::Ipv6(ip)) => (Some(IpAddr::V6(ip)), ip.is_loopback()),
        Some(Host::Domain(name)) => (None, name == "localhost"),
        None => return false,
    };
    let secure = url.scheme() == "https" || (private && local && url.scheme() == "http");
    secure && (private || literal.is_none_or(is_public))
}

/// Resolves names, and leads nowhere if any address of a name is not public.
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !private && !found.iter().all(|address| is_public(address.ip())) {
                return Err(SourceFailed::Address.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_to_public_addresses_is_asked() {
        let may = |text: &str, private| may_ask(&Url::parse(text).expect("a URL"), private);
        assert!(may("https://id.example/jwks", false) && may("https://8.8.8.8/", false));
        for refused in [
            "http://id.example/jwks",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[2002:a00:1::]/",
            "https://[64:ff9b::a00:1]/",
            "file:///etc/passwd",
            "ftp://id.example/",
        ] {
            assert!(!may(refused, false), "{refused}");
        }
        assert!(may("http://127.0.0.1:9/", true) && may("http://localhost/", true));
        assert!(may("https://10.1.2.3/", true));
        assert!(!may("http://10.1.2.3/", true) && !may("http://id.example/", true));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere() {
        let resolver = Resolver { private: false };
        let name = || "localhost".parse::<Name>().expect("a name");
        assert!(resolver.resolve(name()).await.is_err());
        assert!(Resolver { private: true }.resolve(name()).await.is_ok());
    }

    /// Somebody who answers a discovery document, with a key set beside it; and where.
    async fn discoverable(document: impl Fn(&str) -> String) -> (tokio::task::JoinHandle<()>, String) {
        use axum::routing::get;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let text = document(&base);
        let router = axum::Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(move || async move { text }),
            )
            .route("/keys", get(|| async { "{\"keys\":[]}" }));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        (serving, base)
    }

    async fn discovered(document: impl Fn(&str) -> String) -> Result<Vec<u8>, SourceFailed> {
        let (serving, base) = discoverable(document).await;
        let issuer = format!(
            "issuer = \"{base}\"\naudience = \"a\"\nrole_claim = \"r\"\nroles = {{}}\ntenant = \"t\"\n"
        );
        let issuer: Issuer = toml::from_str(&issuer).expect("an issuer");
        let source = HttpKeySource::new(true).expect("a client");
        let found = source.fetch(&issuer).await;
        serving.abort();
        found
    }

    #[tokio::test]
    async fn a_discovery_document_counts_only_if_it_is_the_issuers_own() {
        let document =
            |issuer: &str, keys: &str| format!("{{\"issuer\":\"{issuer}\",\"jwks_uri\":\"{keys}\"}}");
        let found = discovered(|base| document(base, &format!("{base}/keys"))).await;
        assert_eq!(found.expect("keys"), b"{\"keys\":[]}");
        let others = discovered(|base| document("https://evil.example", &format!("{base}/keys"))).await;
        assert!(matches!(others, Err(SourceFailed::Discovery)), "{others:?}");
        let elsewhere = discovered(|base| document(base, "http://id.example/keys")).await;
        assert!(matches!(elsewhere, Err(SourceFailed::Address)), "{elsewhere:?}");
        let file = discovered(|base| document(base, "file:///etc/passwd")).await;
        assert!(matches!(file, Err(SourceFailed::Address)), "{file:?}");
        let none = discovered(|_| "{}".to_owned()).await;
        assert!(matches!(none, Err(SourceFailed::Discovery)), "{none:?}");
    }
}
