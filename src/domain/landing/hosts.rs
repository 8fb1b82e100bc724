//! Host names as they are stored and compared.
//!
//! Promise: one host has one spelling. A list of allowed hosts is only as good as that: a dot at the end, an address
//! written as one number or an escaped letter would be another text for the same machine.

use url::Host;

/// A host as it is stored and compared: lower case, punycode. None if the text is anything but one plain host name
/// or address (a port, a dot at the end, a wildcard, an address in an odd notation).
pub fn normal_host(text: &str) -> Option<String> {
    if text.contains('%') {
        return None;
    }
    let host = Host::parse(text).ok()?;
    let normal = host.to_string();
    let plain = match host {
        Host::Domain(_) => normal.len() <= 253 && normal.split('.').all(is_label),
        Host::Ipv4(_) | Host::Ipv6(_) => normal.eq_ignore_ascii_case(text),
    };
    plain.then_some(normal)
}

/// Whether the text may stand in a shop's `landing_hosts`.
pub fn valid_host(text: &str) -> bool {
    normal_host(text).is_some()
}

fn is_label(label: &str) -> bool {
    let inner = label
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landing_hosts_are_plain_hosts() {
        for host in [
            "shop.example",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "xn--bcher-kva.example",
            "a-b.example",
        ] {
            assert_eq!(normal_host(host).as_deref(), Some(host));
        }
        assert_eq!(
            normal_host("Bücher.EXAMPLE").as_deref(),
            Some("xn--bcher-kva.example")
        );
        let label = "x".repeat(64);
        for host in [
            "",
            ".",
            "shop.example.",
            ".shop.example",
            "*.example",
            "*",
            "shop.example:443",
            "https://shop.example",
            "shop.example/",
            "user@shop.example",
            "shop example",
            "shop_1.example",
            "-a.example",
            "a-.example",
            "0x7f.1",
            "127.1",
            "::1",
            "[::0001]",
            "shop%2eexample",
            "shop.example\n",
            "a,b",
            &label,
            "xn--\u{fffd}",
        ] {
            assert!(!valid_host(host), "{host:?}");
        }
    }
}
