//! What is kept of a tracked click besides its numbers, as it is sealed.

use std::net::IpAddr;

use serde::Serialize;

use super::ClickRequest;
use crate::domain::campaign::SUB_ID_CHARS;
use crate::domain::signal::record::Inputs;

/// What is kept of a tracked click, sealed under its own key.
#[derive(Debug, Serialize)]
struct ClickDetails<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subs: Vec<(usize, &'a str)>,
    agent: u8,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    /// What the decision was made on, for its consent record.
    consent: String,
}

/// The text that is sealed.
pub(super) fn details(request: &ClickRequest<'_>, inputs: &Inputs) -> Vec<u8> {
    let subs = request
        .subs
        .iter()
        .enumerate()
        .filter_map(|(place, text)| text.map(|text| (place + 1, text)));
    let details = ClickDetails {
        subs: subs.collect(),
        agent: request.agent.code(),
        address: truncated(request.address),
        notice: request.notice.filter(|text| text.chars().count() <= SUB_ID_CHARS),
        consent: inputs.encode(),
    };
    // Serialising texts and integers into memory cannot fail.
    serde_json::to_vec(&details).unwrap_or_default()
}

/// The address without the part that singles a line out: IPv4 /24, IPv6 /48.
fn truncated(address: IpAddr) -> String {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            format!("{a}.{b}.{c}.0")
        }
        IpAddr::V6(six) => {
            let [a, b, c, ..] = six.segments();
            format!("{a:x}:{b:x}:{c:x}::")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_singles_a_line_out() {
        assert_eq!(truncated("203.0.113.77".parse().expect("v4")), "203.0.113.0");
        assert_eq!(
            truncated("2001:db8:12:34::1".parse().expect("v6")),
            "2001:db8:12::"
        );
    }
}
