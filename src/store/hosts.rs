//! A database URL that names several hosts, read as libpq reads it (PostgreSQL's manual, 34.1.1.3): no I/O.
//!
//! `postgres://user:password@h1:5432,h2:5433/db?target_session_attrs=read-write`, or `?host=h1,h2&port=5432,5433`. Each host
//! becomes a URL of its own, which sqlx and PostgreSQL's tools understand alike.

use std::fmt::Write as _;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::PgConnectOptions;

use super::connect::StoreError;

/// What every host of a URL has in common is that it may be asked.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// The hosts in the order of the URL; at least one.
    pub(super) each: Vec<Host>,
    /// Whether a connection counts only if it may write.
    pub(super) must_write: bool,
}

/// One host.
#[derive(Clone)]
pub(super) struct Host {
    /// A URL that names it and no other.
    pub(super) url: String,
    /// The same for sqlx.
    pub(super) options: PgConnectOptions,
}

impl std::fmt::Debug for Host {
    /// Without the URL, which may hold a password.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Host")
    }
}

/// The parts of a URL, as far as hosts are concerned.
struct Parts<'u> {
    scheme: &'u str,
    /// With its `@`, or empty.
    user: &'u str,
    hosts: &'u str,
    /// From its `/` on, or empty.
    path: &'u str,
    /// What of the query is not ours to read.
    rest: Vec<&'u str>,
    host: Option<String>,
    port: Option<String>,
    hostaddr: Option<String>,
    session: Option<String>,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Result<Self, StoreError> {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").ok_or(StoreError::UnknownUrl)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let mut parts = Self {
            scheme,
            user,
            hosts,
            path,
            rest: Vec::new(),
            host: None,
            port: None,
            hostaddr: None,
            session: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (place, named) = match name {
                "host" => (&mut parts.host, "host"),
                "port" => (&mut parts.port, "port"),
                "hostaddr" => (&mut parts.hostaddr, "hostaddr"),
                "target_session_attrs" => (&mut parts.session, "target_session_attrs"),
                _ => {
                    parts.rest.push(pair);
                    continue;
                }
            };
            *place = Some(decoded(value).ok_or(StoreError::Url(named, "is not UTF-8"))?);
        }
        Ok(parts)
    }

    /// Every host with its port, where one is named.
    fn named(&self) -> Result<Vec<(String, Option<u16>)>, StoreError> {
        let mut named = Vec::new();
        for part in self.hosts.split(',') {
            let (host, port) = split_port(part);
            let host = decoded(host).ok_or(StoreError::Url("host", "is not UTF-8"))?;
            named.push((host, number(port)?));
        }
        if let Some(list) = &self.host {
            let only = match named.as_slice() {
                [(_, port)] => *port,
                _ => None,
            };
            named = list.split(',').map(|host| (host.to_owned(), only)).collect();
        }
        if let Some(list) = &self.port {
            let ports = list.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
            match ports.as_slice() {
                [one] => named.iter_mut().for_each(|(_, port)| *port = *one),
                several if several.len() == named.len() => {
                    for ((_, port), given) in named.iter_mut().zip(several) {
                        *port = *given;
                    }
                }
                _ => return Err(StoreError::Url("port", "has another number of entries than host")),
            }
        }
        Ok(named)
    }

    fn must_write(&self) -> Result<bool, StoreError> {
        match self.session.as_deref() {
            None | Some("any") => Ok(false),
            Some("read-write" | "primary") => Ok(true),
            Some(_) => Err(StoreError::Url(
                "target_session_attrs",
                "has to be any, read-write or primary: the server writes",
            )),
        }
    }

    /// A URL that names this host and no other; the host stands in the query, where it may be anything.
    fn url_of(&self, host: &str, port: Option<u16>) -> String {
        let encoded = utf8_percent_encode(host, NON_ALPHANUMERIC);
        let Self {
            scheme, user, path, ..
        } = self;
        let mut url = format!("{scheme}://{user}localhost{path}?host={encoded}");
        if let Some(port) = port {
            // Writing into a string cannot fail.
            let _ = write!(url, "&port={port}");
        }
        for pair in &self.rest {
            url.push('&');
            url.push_str(pair);
        }
        url
    }

    /// The URL as it was, but for what sqlx does not know.
    fn url_of_the_only_one(&self) -> String {
        let Self {
            scheme,
            user,
            hosts,
            path,
            ..
        } = self;
        let mut url = format!("{scheme}://{user}{hosts}{path}");
        let encoded = |name: &str, value: &Option<String>| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        };
        let ours = [
            encoded("host", &self.host),
            encoded("hostaddr", &self.hostaddr),
            encoded("port", &self.port),
        ];
        let rest = self.rest.iter().map(|pair| (*pair).to_owned());
        let query: Vec<String> = ours.into_iter().flatten().chain(rest).collect();
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query.join("&"));
        }
        url
    }
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// A host and the text of its port; the colons of an IPv6 address stand in brackets.
fn split_port(part: &str) -> (&str, &str) {
    if let Some((address, after)) = part.strip_prefix('[').and_then(|part| part.split_once(']')) {
        return (address, after.strip_prefix(':').unwrap_or(after));
    }
    part.rsplit_once(':').unwrap_or((part, ""))
}

fn number(port: &str) -> Result<Option<u16>, StoreError> {
    match port {
        "" => Ok(None),
        given => match given.parse() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(StoreError::Url("port", "is not a port")),
        },
    }
}

impl Hosts {
    /// Reads a URL. An error names a parameter, and nothing of what the URL says.
    pub(super) fn of(url: &str) -> Result<Self, StoreError> {
        let parts = Parts::of(url)?;
        let must_write = parts.must_write()?;
        let named = parts.named()?;
        let host = |url: String| {
            let options = PgConnectOptions::from_str(&url)?;
            Ok::<_, StoreError>(Host { url, options })
        };
        if named.len() == 1 {
            let each = vec![host(parts.url_of_the_only_one())?];
            return Ok(Self { each, must_write });
        }
        if parts.hostaddr.is_some() {
            return Err(StoreError::Url("hostaddr", "cannot stand beside several hosts"));
        }
        if named.iter().any(|(host, _)| host.is_empty()) {
            return Err(StoreError::Url("host", "names nobody between two commas"));
        }
        let each = named.iter().map(|(name, port)| host(parts.url_of(name, *port)));
        Ok(Self {
            each: each.collect::<Result<_, _>>()?,
            // Among several there are standbys, on which the server could do nothing.
            must_write: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (Vec<(String, u16)>, bool) {
        let hosts = Hosts::of(url).unwrap();
        let place = |host: &Host| {
            let options = &host.options;
            let socket = options.get_socket().map(|path| path.display().to_string());
            (
                socket.unwrap_or_else(|| options.get_host().to_owned()),
                options.get_port(),
            )
        };
        (hosts.each.iter().map(place).collect(), hosts.must_write)
    }

    fn named(pairs: &[(&str, u16)]) -> Vec<(String, u16)> {
        pairs
            .iter()
            .map(|(host, port)| ((*host).to_owned(), *port))
            .collect()
    }

    #[test]
    fn hosts_and_ports_are_read_as_libpq_reads_them() {
        for (url, hosts) in [
            ("postgres://a:1,b:2/e", &[("a", 1), ("b", 2)][..]),
            ("postgres://u:p%40w@a:1,[::1]:2/e", &[("a", 1), ("::1", 2)]),
            ("postgresql://u@a,b:2/e", &[("a", 5432), ("b", 2)]),
            ("postgres://u@/e?host=a,b&port=1,2", &[("a", 1), ("b", 2)]),
            ("postgres://u@a,b/e?port=7", &[("a", 7), ("b", 7)]),
            (
                "postgres:///e?host=%2Frun%2Fone,%2Frun%2Ftwo&port=1,2",
                &[("/run/one", 1), ("/run/two", 2)],
            ),
        ] {
            assert_eq!(read(url), (named(hosts), true), "{url}");
        }
        let one = read("postgres://u:p@a:1/e?sslmode=disable&target_session_attrs=any");
        assert_eq!(one, (named(&[("a", 1)]), false));
        let one = read("postgres://u:p@[::1]:1/e?target_session_attrs=primary");
        assert_eq!(one, (named(&[("[::1]", 1)]), true));
        let one = read("postgres://u@localhost/e?host=/run/one");
        assert_eq!(one, (named(&[("/run/one", 5432)]), false));
    }

    #[test]
    fn each_host_has_a_url_of_its_own_with_everything_else() {
        let hosts = Hosts::of("postgres://u:p%40w@a:1,b/e?sslmode=disable&target_session_attrs=read-write");
        let urls: Vec<String> = hosts.unwrap().each.into_iter().map(|host| host.url).collect();
        assert_eq!(
            urls,
            [
                "postgres://u:p%40w@localhost/e?host=a&port=1&sslmode=disable",
                "postgres://u:p%40w@localhost/e?host=b&sslmode=disable"
            ]
        );
        let kept = "postgres://u:p@a:1/e?options=-c%20geqo%3Doff&sslmode=disable";
        assert_eq!(Hosts::of(kept).unwrap().each[0].url, kept);
    }

    #[test]
    fn a_fault_names_the_parameter_and_nothing_of_the_url() {
        for (url, parameter) in [
            (
                "postgres://secret@a,b/e?target_session_attrs=standby",
                "target_session_attrs",
            ),
            (
                "postgres://secret@a/e?target_session_attrs=secret",
                "target_session_attrs",
            ),
            ("postgres://secret@a:secret,b/e", "port"),
            ("postgres://secret@a:70000/e", "port"),
            ("postgres://secret@a,b/e?port=1,2,3", "port"),
            ("postgres://secret@a,,b/e", "host"),
            ("postgres://secret@a,b/e?hostaddr=127.0.0.1", "hostaddr"),
            ("postgres://secret@a,%FF/e", "host"),
        ] {
            let error = Hosts::of(url).unwrap_err();
            assert!(
                matches!(error, StoreError::Url(at, _) if at == parameter),
                "{url}: {error}"
            );
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
