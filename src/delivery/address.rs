//! Which addresses are on the public internet: what a configured name must lead to, so that it cannot be used to reach
//! into the server's own network.
//!
//! From IANA's special-purpose registries for IPv4 and IPv6: everything that is not "globally reachable", multicast, and
//! what carries an IPv4 address inside an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::flow::audit::push::PushFailed;

/// IPv4 networks (address, prefix length) that are not public.
const V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// IPv6 networks inside 2000::/3, outside of which nothing is public, that are not public either.
const V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
const V6_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Whether an address is on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => !V4.iter().any(|(net, bits)| {
            let shift = 32 - bits;
            four.to_bits() >> shift == net.to_bits() >> shift
        }),
        IpAddr::V6(six) => {
            let within = |(net, bits): &(Ipv6Addr, u32)| {
                let shift = 128 - bits;
                six.to_bits() >> shift == net.to_bits() >> shift
            };
            within(&V6_UNICAST) && !V6.iter().any(within)
        }
    }
}

/// The addresses to connect to for a URL: all of its name's, each of which has to be allowed.
pub async fn addresses(url: &Url, allow_private: bool) -> Result<Vec<SocketAddr>, PushFailed> {
    let port = url.port_or_known_default().unwrap_or(443);
    let found: Vec<SocketAddr> = match url.host().ok_or(PushFailed::NoAddress)? {
        Host::Ipv4(address) => vec![(IpAddr::V4(address), port).into()],
        Host::Ipv6(address) => vec![(IpAddr::V6(address), port).into()],
        Host::Domain(name) => {
            let looked_up = tokio::net::lookup_host((name, port)).await;
            looked_up.map_err(|_| PushFailed::NoAddress)?.collect()
        }
    };
    if found.is_empty() {
        return Err(PushFailed::NoAddress);
    }
    if !allow_private && !found.iter().all(|at| is_public(at.ip())) {
        return Err(PushFailed::PrivateAddress);
    }
    Ok(found)
}

/// A client that connects to exactly these addresses: a name that leads elsewhere a moment later changes nothing.
pub fn client(
    url: &Url,
    addresses: &[SocketAddr],
    allow_private: bool,
    timeout: Duration,
) -> Result<reqwest::Client, PushFailed> {
    let mut client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(timeout)
        .https_only(!allow_private);
    if let Some(Host::Domain(name)) = url.host() {
        client = client.resolve_to_addrs(name, addresses);
    }
    client.build().map_err(|_| PushFailed::Unreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let public = [
            "1.1.1.1",
            "93.184.215.14",
            "172.15.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2001:4860::8888",
        ];
        let others = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::a00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
            "3fff::1",
            "fec0::1",
        ];
        for text in public {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
        for text in others {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
