//! Delivering callbacks: by POST to addresses that controllers named in their requests, and so to nothing that is not on
//! the public internet.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use url::{Host, Url};

use super::address::{addresses, client, is_public};
use crate::flow::audit::push::PushFailed;
use crate::flow::requests::{CallbackCarrier, Carrying};

/// The longest address that is taken.
const URL_MAX: usize = 2_048;

/// Carries callbacks.
pub struct CallbackPost {
    allow_private: bool,
    timeout: Duration,
}

impl CallbackPost {
    /// Gives each one up after this time.
    pub fn new(allow_private: bool, timeout: Duration) -> Self {
        Self {
            allow_private,
            timeout,
        }
    }

    fn read(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= URL_MAX)?;
        let scheme = url.scheme() == "https" || (self.allow_private && url.scheme() == "http");
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (scheme && plain && url.host().is_some()).then_some(url)
    }

    async fn post(
        &self,
        url: Url,
        headers: [(&'static str, String); 2],
        body: String,
    ) -> Result<(), PushFailed> {
        let found = addresses(&url, self.allow_private).await?;
        let client = client(&url, &found, self.allow_private, self.timeout)?;
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| PushFailed::Unreachable)?;
            request = request.header(name, value);
        }
        match request.body(body).send().await {
            // Of the answer nothing but its status is looked at.
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(PushFailed::Refused(answer.status().as_u16())),
            Err(error) if error.is_timeout() => Err(PushFailed::TimedOut),
            Err(_) => Err(PushFailed::Unreachable),
        }
    }
}

impl CallbackCarrier for CallbackPost {
    fn takes(&self, url: &str) -> bool {
        let Some(url) = self.read(url) else { return false };
        match url.host() {
            Some(Host::Ipv4(address)) => self.allow_private || is_public(address.into()),
            Some(Host::Ipv6(address)) => self.allow_private || is_public(address.into()),
            // Where a name leads is looked at when it is called, every time.
            Some(Host::Domain(name)) => self.allow_private || name != "localhost",
            None => false,
        }
    }

    fn carry<'a>(
        &'a self,
        url: &'a str,
        headers: [(&'static str, String); 2],
        body: &'a str,
    ) -> Carrying<'a> {
        Box::pin(async move {
            let url = self.read(url).ok_or(PushFailed::NoAddress)?;
            let posting = tokio::time::timeout(self.timeout, self.post(url, headers, body.to_owned()));
            posting.await.unwrap_or(Err(PushFailed::TimedOut))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secure_public_addresses_are_taken() {
        let strict = CallbackPost::new(false, Duration::from_secs(1));
        assert!(strict.takes("https://controller.example/opendsr_callbacks?id=7"));
        for bad in [
            "",
            "controller.example",
            "http://controller.example/",
            "ftp://controller.example/",
            "https://user:word@controller.example/",
            "https://controller.example/#here",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/",
            "file:///etc/passwd",
        ] {
            assert!(!strict.takes(bad), "{bad}");
        }
        assert!(!strict.takes(&format!("https://a.example/{}", "x".repeat(2_048))));
        let lax = CallbackPost::new(true, Duration::from_secs(1));
        assert!(lax.takes("http://127.0.0.1:1/"));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let strict = CallbackPost::new(false, Duration::from_secs(5));
        let headers = || [("x-a", "1".to_owned()), ("x-b", "2".to_owned())];
        for url in ["https://localhost/", "https://127.0.0.1/"] {
            let failed = strict.carry(url, headers(), "{}").await;
            assert_eq!(failed, Err(PushFailed::PrivateAddress), "{url}");
        }
    }
}
