//! What a client may take of the server: how long each phase of a connection may last, and how many connections.
//!
//! The count per peer is kept only while that peer has a connection open, so the table is never larger than the total
//! cap and nothing about a peer outlives its connections. The one lock is taken when a connection opens or closes,
//! never for a request.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

/// Counter: connections that were closed at the door, by reason.
pub(super) const REFUSED: &str = "einklang_connections_refused_total";
/// Gauge: connections that are open now.
const OPEN: &str = "einklang_connections_open";

/// The limits of the listener. The defaults close whatever is half-sent within 15 seconds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to the first byte. Default 5 s.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head, on every request of a connection. Default 5 s.
    pub header: Duration,
    /// From an answer to the first byte of the next request. Default 60 s: longer than the idle time of common
    /// proxies, so that they close first and never send a request into a closing connection.
    pub idle: Duration,
    /// From the end of the head to the end of the body, all of it. Default 10 s.
    pub body: Duration,
    /// How long a client may take no byte of an answer that waits for it. Default 10 s.
    pub write: Duration,
    /// Connections in total. Default 8,192.
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 /64. Default 512: many people may share one address.
    pub max_per_address: usize,
    /// Bytes of a request's head, with its first line. Default 32 KiB: a consent signal may have 16 KiB and comes in URLs
    /// too, beside everything else.
    pub max_header_bytes: usize,
    /// How long running requests may go on after the shutdown began. Default 15 s.
    pub drain: Duration,
    /// The proxies in front of the server. All clients come through them, so only the total cap holds for them.
    /// Default none.
    pub proxies: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            header: Duration::from_secs(5),
            idle: Duration::from_mins(1),
            body: Duration::from_secs(10),
            write: Duration::from_secs(10),
            max_connections: 8_192,
            max_per_address: 512,
            max_header_bytes: 32 * 1024,
            drain: Duration::from_secs(15),
            proxies: Vec::new(),
        }
    }
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Total,
    Address,
}

impl Refusal {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// Who counts as one peer. An IPv6 host commands a whole /64, so that is what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    V4(u32),
    V6Network(u64),
}

impl Peer {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6Network(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// Counts connections and says who may come in.
pub(super) struct Gate {
    max_connections: usize,
    max_per_address: usize,
    proxies: Vec<IpNet>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: usize,
    by_peer: BTreeMap<Peer, usize>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            max_connections: limits.max_connections,
            max_per_address: limits.max_per_address,
            proxies: limits.proxies.clone(),
            table: Mutex::default(),
        })
    }

    /// Counts the connection in, until the permit is dropped.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refusal> {
        let is_proxy = self.proxies.iter().any(|network| network.contains(&address));
        let peer = (!is_proxy).then(|| Peer::of(address));
        let mut table = self.table();
        if table.open >= self.max_connections {
            return Err(Refusal::Total);
        }
        if let Some(peer) = peer {
            let of_peer = table.by_peer.get(&peer).copied().unwrap_or(0);
            if of_peer >= self.max_per_address {
                return Err(Refusal::Address);
            }
            table.by_peer.insert(peer, of_peer + 1);
        }
        table.open += 1;
        drop(table);
        metrics::gauge!(OPEN).increment(1.0);
        Ok(Permit {
            gate: Arc::clone(self),
            peer,
        })
    }

    fn release(&self, peer: Option<Peer>) {
        let mut table = self.table();
        table.open = table.open.saturating_sub(1);
        if let Some(peer) = peer {
            match table.by_peer.get_mut(&peer) {
                Some(of_peer) if *of_peer > 1 => *of_peer -= 1,
                _ => drop(table.by_peer.remove(&peer)),
            }
        }
        drop(table);
        metrics::gauge!(OPEN).decrement(1.0);
    }

    /// Nothing under the lock can panic half-way through a change, so a poisoned table is still right.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at the table; given back when dropped, also when a handler panics.
pub(super) struct Permit {
    gate: Arc<Gate>,
    peer: Option<Peer>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.release(self.peer);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn gate(max_connections: usize, max_per_address: usize, proxies: Vec<IpNet>) -> Arc<Gate> {
        Gate::new(&Limits {
            max_connections,
            max_per_address,
            proxies,
            ..Limits::default()
        })
    }

    fn v6(host: u16, network: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into()
    }

    /// Open connections and peers that have some.
    fn counts(gate: &Gate) -> (usize, usize) {
        let table = gate.table();
        (table.open, table.by_peer.len())
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        let gate = gate(100, 2, Vec::new());
        let _held = [gate.admit(v6(1, 7)).ok(), gate.admit(v6(2, 7)).ok()];
        assert_eq!(gate.admit(v6(3, 7)).err(), Some(Refusal::Address));
        assert!(gate.admit(v6(1, 8)).is_ok(), "another /64 is another peer");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let gate = gate(100, 1, Vec::new());
        let plain = Ipv4Addr::new(192, 0, 2, 1);
        let _held = gate.admit(plain.into()).ok();
        assert_eq!(
            gate.admit(plain.to_ipv6_mapped().into()).err(),
            Some(Refusal::Address)
        );
    }

    #[test]
    fn the_table_is_empty_when_all_connections_are_closed() {
        let gate = gate(10_000, 3, Vec::new());
        let permits: Vec<_> = (0..3_000_u32)
            .map(|n| gate.admit(Ipv4Addr::from_bits(n / 2).into()).ok())
            .collect();
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(counts(&gate), (3_000, 1_500));
        drop(permits);
        assert_eq!(counts(&gate), (0, 0));
    }

    #[test]
    fn a_refused_connection_leaves_no_count_behind() {
        let gate = gate(1, 5, Vec::new());
        let held = gate.admit(v6(1, 1)).ok();
        assert_eq!(gate.admit(v6(1, 2)).err(), Some(Refusal::Total));
        assert_eq!(counts(&gate), (1, 1));
        drop(held);
        assert!(gate.admit(v6(1, 2)).is_ok());
    }

    #[test]
    fn a_proxy_is_held_to_the_total_only() {
        let gate = gate(3, 1, vec![IpNet::from(IpAddr::from(Ipv4Addr::new(10, 0, 0, 1)))]);
        let proxy = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1));
        let permits: Vec<_> = (0..3).map(|_| gate.admit(proxy).ok()).collect();
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(gate.admit(proxy).err(), Some(Refusal::Total));
    }

    impl std::fmt::Debug for Permit {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Permit")
        }
    }
}
