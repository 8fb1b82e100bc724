//! Landing pages: where a click ends, as a template that is checked once and filled in for every click.
//!
//! Promises: the host of the result is the host that was checked, whatever the values are; a value stays inside its
//! place and can add no line, space or fragment; without a token the result holds no trace of one and no sub-id,
//! because the person behind an untracked click must not be tellable at the shop either. What was not checked here
//! cannot be rendered: [`Template`] has no other way in than [`Template::parse`] and [`deep_link`].
//!
//! Macros: `{token}`, `{campaign}`, `{publisher}`, `{link}`, `{sub1}` to `{sub10}`, `{gdpr}`, `{gdpr_consent}`,
//! `{gpp}`, `{gpp_sid}`. A leading underscore (`{_sub1}`) leaves the delimiters of a URL in the value as they are.
//! AdSpirit's placeholders mean the nearest thing here: `%trkinfo%` the token, `%kid%` the campaign, `%wsid%` (its
//! website) the publisher, `%pid%` and `%wmid%` (placement and creative) the link, `%sid%`, `%sid2%`, `%sid3%` the
//! first sub-ids, `%gdpr%` and `%gdpr_consent%` themselves.

mod hosts;
mod parts;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Position, Url};

pub use hosts::{normal_host, valid_host};
use parts::{Part, PartReader, Place, carries_token, literal_parts, push_parts, push_value, template_parts};

/// Browsers and proxies still agree on URLs of about this size once the token and the values are in.
const TEMPLATE_BYTES_MAX: usize = 2_048;

/// Why a landing URL, deep link or host is refused. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LandingError {
    /// Longer than a URL may be.
    #[error("must be at most 2048 bytes long")]
    TooLong,
    /// Backslash, control character (also percent-encoded) or blank: how URLs are smuggled past checks.
    #[error("must not contain backslashes, control characters or blanks")]
    Character,
    /// Neither `http://` nor `https://`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// Credentials before the host.
    #[error("must not carry a user name or password")]
    UserInfo,
    /// No host, or one that is not written out plainly; macros are not allowed in host and port.
    #[error("must name a plain host, without macros before the path")]
    Host,
    /// A deep link with a port of its own.
    #[error("must not name a port")]
    Port,
    /// A deep link to a host that the shop has not listed.
    #[error("must lead to one of the shop's landing hosts")]
    HostNotAllowed,
    /// Braces or percent signs around a name that is no macro.
    #[error("contains an unknown macro or a broken percent-encoding")]
    UnknownMacro,
}

/// What a click has to offer to a template. Sub-ids and consent strings are the click's own, unchecked.
#[derive(Debug, Clone, Copy, Default)]
pub struct LandingValues<'a> {
    /// The campaign's slug.
    pub campaign: &'a str,
    /// The publisher's slug.
    pub publisher: &'a str,
    /// The tracking link's slug.
    pub link: &'a str,
    /// `sub1` to `sub10`; left out of untracked clicks.
    pub subs: [Option<&'a str>; 10],
    /// The `gdpr` parameter, passed on in any case: the shop needs to know what the person chose.
    pub gdpr: Option<&'a str>,
    /// The TC string, likewise.
    pub gdpr_consent: Option<&'a str>,
    /// The GPP string, likewise.
    pub gpp: Option<&'a str>,
    /// The GPP sections in force, likewise.
    pub gpp_sid: Option<&'a str>,
}

/// One `name=value` of the query, kept apart so that it can be left out whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    parts: Vec<Part>,
    /// Decoded; none if a macro stands in the name.
    name: Option<String>,
    carries_token: bool,
}

/// A checked landing URL, ready to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    host: String,
    /// Scheme to path.
    head: Vec<Part>,
    pairs: Vec<Pair>,
    fragment: Option<Vec<Part>>,
    carries_token: bool,
}

impl Template {
    /// Checks and takes apart a landing URL when it is configured, so that a click only has to put it together.
    pub fn parse(text: &str) -> Result<Self, LandingError> {
        let (origin, tail) = split_origin(text)?;
        if tail.contains(' ') {
            return Err(LandingError::Character);
        }
        Self::assemble(&origin, tail, template_parts)
    }

    fn assemble(origin: &Url, tail: &str, parts: PartReader) -> Result<Self, LandingError> {
        let (rest, fragment) = tail
            .split_once('#')
            .map_or((tail, None), |(rest, end)| (rest, Some(end)));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut head = vec![Part::Text(origin.origin().ascii_serialization())];
        head.extend(parts(if path.is_empty() { "/" } else { path })?);
        let pairs: Vec<Pair> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| Ok(Pair::new(parts(pair)?)))
            .collect::<Result<_, _>>()?;
        let fragment = fragment.map(parts).transpose()?;
        let carries_token = pairs.iter().any(|pair| pair.carries_token)
            || carries_token(&head)
            || fragment.as_deref().is_some_and(carries_token);
        let host = origin.host_str().ok_or(LandingError::Host)?.to_owned();
        Ok(Self {
            host,
            head,
            pairs,
            fragment,
            carries_token,
        })
    }

    /// The host every rendering leads to: lower case, punycode.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it holds places for values, which a plain address does not.
    pub fn has_macros(&self) -> bool {
        let pairs = self.pairs.iter().flat_map(|pair| &pair.parts);
        let parts = self
            .head
            .iter()
            .chain(pairs)
            .chain(self.fragment.iter().flatten());
        parts.into_iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// Fills the template in, in one pass. With a token, it stands where `{token}` is or else is added to the query as
    /// `token_parameter`; without one, every `name=value` that would carry it is left out.
    ///
    /// A pair that already has the parameter's name is dropped where the token is added: whoever writes a deep link
    /// could otherwise hand the shop a token of his choice.
    pub fn render(&self, values: &LandingValues<'_>, token: Option<&str>, token_parameter: &str) -> String {
        let mut out = String::with_capacity(512);
        push_parts(&mut out, &self.head, Place::Path, values, token);
        let mut separator = '?';
        for pair in &self.pairs {
            let left_out = if self.carries_token {
                pair.carries_token && token.is_none()
            } else {
                pair.name.as_deref() == Some(token_parameter)
            };
            if !left_out {
                out.push(separator);
                separator = '&';
                push_parts(&mut out, &pair.parts, Place::Query, values, token);
            }
        }
        if let Some(token) = token.filter(|_| !self.carries_token) {
            out.push(separator);
            push_value(&mut out, token_parameter);
            out.push('=');
            push_value(&mut out, token);
        }
        if let Some(fragment) = &self.fragment {
            out.push('#');
            push_parts(&mut out, fragment, Place::Query, values, token);
        }
        out
    }
}

impl Pair {
    fn new(parts: Vec<Part>) -> Self {
        let name = match parts.as_slice() {
            [Part::Text(text), ..] if text.contains('=') || parts.len() == 1 => {
                let name = text.split('=').next().unwrap_or_default();
                Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
            }
            _ => None,
        };
        Self {
            name,
            carries_token: carries_token(&parts),
            parts,
        }
    }
}

/// Reads a deep link out of a click: the URL that a publisher wants the click to end at. It is untrusted through and
/// through, so macros in it are plain text, only the shop's own hosts are reached, and only on their default ports.
pub fn deep_link(text: &str, allowed_hosts: &[String]) -> Result<Template, LandingError> {
    let (origin, _) = split_origin(text)?;
    if origin.port().is_some() {
        return Err(LandingError::Port);
    }
    let host = origin.host_str().ok_or(LandingError::Host)?;
    let is_allowed = |allowed: &String| {
        allowed.eq_ignore_ascii_case(host)
            || (!allowed.is_ascii() && normal_host(allowed).as_deref() == Some(host))
    };
    if !allowed_hosts.iter().any(is_allowed) {
        return Err(LandingError::HostNotAllowed);
    }
    let url = Url::parse(text).map_err(|_| LandingError::Host)?;
    // Both readings must agree on where the link leads, or one of them has been fooled.
    if url.origin() != origin.origin() {
        return Err(LandingError::Host);
    }
    Template::assemble(&origin, &url[Position::BeforePath..], literal_parts)
}

/// Checks the shape of the whole and everything up to the path. The authority ends where both RFC 3986 and the
/// browsers' URL standard say it does: the one character on which they differ, the backslash, is refused.
fn split_origin(text: &str) -> Result<(Url, &str), LandingError> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(LandingError::TooLong);
    }
    if text.trim() != text || text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(LandingError::Character);
    }
    let has = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| has(scheme))
        .ok_or(LandingError::Scheme)?;
    let rest = text.get(scheme.len()..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).ok_or(LandingError::Host)?;
    if authority.contains('@') {
        return Err(LandingError::UserInfo);
    }
    let host_end = authority
        .rfind(']')
        .map_or_else(|| authority.find(':'), |bracket| Some(bracket + 1));
    let host = authority
        .get(..host_end.unwrap_or(authority.len()))
        .unwrap_or_default();
    let normal = normal_host(host).ok_or(LandingError::Host)?;
    let origin = Url::parse(&format!("{scheme}{authority}")).map_err(|_| LandingError::Host)?;
    if origin.host_str() != Some(&normal) {
        return Err(LandingError::Host);
    }
    Ok((origin, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<String> {
        ["shop.example", "BÜCHER.example", "127.0.0.1"]
            .map(String::from)
            .to_vec()
    }

    #[test]
    fn deep_links_reach_listed_hosts_only() {
        use LandingError::{Character, Host, HostNotAllowed, Port, Scheme, UserInfo};
        let table = [
            ("//evil.example/", Scheme),
            ("\\\\evil.example/", Character),
            ("/\\evil.example/", Character),
            ("https:/\\evil.example", Character),
            ("https:evil.example", Scheme),
            ("https:///evil.example", Host),
            ("javascript:alert(1)//shop.example", Scheme),
            ("JaVaScRiPt://shop.example/%0aalert(1)", Scheme),
            ("data:text/html,https://shop.example/", Scheme),
            ("java\nscript:alert(1)", Character),
            ("https://shop.example@evil.example/", UserInfo),
            ("https://shop.example:443@evil.example/", UserInfo),
            ("https://user:pw@shop.example/", UserInfo),
            ("https://evil.example\\@shop.example/", Character),
            ("https://shop.example.evil.example/", HostNotAllowed),
            ("https://evilshop.example/", HostNotAllowed),
            ("https://sub.shop.example/", HostNotAllowed),
            ("https://example/", HostNotAllowed),
            ("https://evil.example/?https://shop.example/", HostNotAllowed),
            ("https://evil.example#@shop.example/", HostNotAllowed),
            ("https://shop.example./", Host),
            ("https://shop.example%00.evil.example/", Host),
            ("https://shop.example%2f.evil.example/", Host),
            ("https://shop.example%252eevil/", Host),
            // A Cyrillic letter that looks Latin; a full stop that is not one but folds to one.
            ("https://\u{455}hop.example/", HostNotAllowed),
            ("https://shop.example\u{3002}evil.example/", HostNotAllowed),
            ("https://shop.example:8443/", Port),
            ("http://shop.example:443/", Port),
            ("https://shop.example:80/", Port),
            ("https://2130706433/", Host),
            ("https://127.1/", Host),
            ("https://[::1]/", HostNotAllowed),
            ("https://shop.example/%0d%0aSet-Cookie:a=b", Character),
            ("https://shop.example/?x=%0D", Character),
            ("https://shop.example/\t", Character),
            ("https://shop.exa\tmple/", Character),
            ("https://shop.example/a\r\nb", Character),
            ("https://shop.example/#\u{7f}", Character),
            ("{token}", Scheme),
            ("https://{campaign}/", Host),
        ];
        for (link, expected) in table {
            assert_eq!(deep_link(link, &hosts()).err(), Some(expected), "{link:?}");
        }
        assert_eq!(
            deep_link("https://shop.example/", &[]).err(),
            Some(LandingError::HostNotAllowed)
        );
    }

    #[test]
    fn deep_links_are_written_anew_and_their_macros_are_text() {
        let table = [
            (
                "https://SHOP.example:443/a/../b?x=1#y",
                "https://shop.example/b?x=1&s2s=T#y",
            ),
            ("http://shop.example:80", "http://shop.example/?s2s=T"),
            (
                "https://shop.example/red shoes?q=ä",
                "https://shop.example/red%20shoes?q=%C3%A4&s2s=T",
            ),
            ("https://bücher.example/", "https://xn--bcher-kva.example/?s2s=T"),
            (
                "https://xn--bcher-kva.example/",
                "https://xn--bcher-kva.example/?s2s=T",
            ),
            ("http://127.0.0.1/x", "http://127.0.0.1/x?s2s=T"),
            // Fullwidth letters fold to the listed name; what leaves is the plain one.
            ("https://\u{ff53}hop.example/", "https://shop.example/?s2s=T"),
            (
                "https://shop.example/{token}?a={sub1}&b=%trkinfo%&c=10%#{_gdpr}",
                "https://shop.example/%7Btoken%7D?a=%7Bsub1%7D&b=%25trkinfo%25&c=10%25&s2s=T#%7B_gdpr%7D",
            ),
            // A publisher cannot hand the shop a token of his own.
            (
                "https://shop.example/?s2s=forged&a=1&%732s=forged",
                "https://shop.example/?a=1&s2s=T",
            ),
        ];
        for (link, expected) in table {
            let template = deep_link(link, &hosts()).unwrap_or_else(|error| panic!("{link}: {error}"));
            assert_eq!(
                template.render(&LandingValues::default(), Some("T"), "s2s"),
                expected,
                "{link}"
            );
            let untracked = template.render(&LandingValues::default(), None, "s2s");
            assert!(
                !untracked.contains("s2s") && !untracked.contains("forged"),
                "{untracked}"
            );
        }
    }
}
