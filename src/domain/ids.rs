//! Identifiers: typed, prefixed outside, never bare.
//!
//! An id that stands in a URL or an answer carries a prefix that says what it names (`cnv_…`), so that a log line or
//! a support ticket cannot confuse two kinds. The register of kinds is the list at the end of this file; it only grows.
//! Inside a tenant, objects also have a small integer *number* that is never reused: the token, the counters and the
//! associated data of every ciphertext use it, because it is short and stable.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// Why a text is not an id of the expected kind. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the kind {0}")]
pub struct IdError(pub &'static str);

/// A version 7 UUID from a time and ten random bytes: sortable, and a pure function of its arguments.
pub fn time_ordered(at_ms: i64, random: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(u64::try_from(at_ms).unwrap_or(0), &random).into_uuid()
}

/// The seconds since 1970 that a version 7 UUID carries: the partition key of rows that are named by one.
pub fn seconds_of(id: Uuid) -> i64 {
    id.get_timestamp()
        .map_or(0, |time| i64::try_from(time.to_unix().0).unwrap_or(0))
}

/// The milliseconds since 1970 that a version 7 UUID carries: the moment that it was made in.
pub fn millis_of(id: Uuid) -> i64 {
    id.get_timestamp().map_or(0, |time| {
        let (seconds, nanoseconds) = time.to_unix();
        i64::try_from(seconds).unwrap_or(0) * 1_000 + i64::from(nanoseconds / 1_000_000)
    })
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub Uuid);

        impl $name {
            /// What this kind's ids begin with.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError($prefix);
                let digits = text.strip_prefix($prefix).ok_or(error)?;
                // Only the form that we print: 32 lower-case hexadecimal digits.
                let exact = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !exact {
                    return Err(error);
                }
                Uuid::try_parse(digits).map(Self).map_err(|_| error)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    )*};
}

kinds! {
    /// A tenant: exactly one controller.
    TenantId = "tnt_";
    /// An advertiser's shop.
    ShopId = "sho_";
    /// A publisher.
    PublisherId = "pub_";
    /// A campaign.
    CampaignId = "cmp_";
    /// A publisher's link to a campaign.
    LinkId = "lnk_";
    /// What counts as a conversion in a campaign.
    GoalId = "gol_";
    /// A person or program that signs in.
    UserId = "usr_";
    /// An API key (its name, not its secret).
    ApiKeyId = "key_";
    /// A policy: a version or a draft.
    PolicyId = "pol_";
    /// An evidence pack.
    EvidencePackId = "evp_";
    /// A change that waits for, or got, the word of another user.
    ApprovalId = "apr_";
    /// A request of a person about their data.
    SubjectRequestId = "srq_";
    /// What is kept beyond its time.
    HoldId = "hld_";
    /// A leave for the server's operator to look.
    OperatorGrantId = "ogr_";
    /// A conversion.
    ConversionId = "cnv_";
    /// An act of erasing.
    ErasureId = "era_";
    /// An entry of an audit log.
    AuditEntryId = "aud_";
    /// One request, as it is named in answers, logs and the audit trail.
    RequestId = "req_";
}

/// A consent record: `csr_…`. It names the row of a click, a conversion or a later signal, sealed under a key of the
/// tenant's, so that no further index is needed and no click id is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordId(pub Vec<u8>);

impl RecordId {
    /// What this kind's ids begin with.
    pub const PREFIX: &'static str = "csr_";
    /// The longest text that is looked at.
    const CHARS_MAX: usize = 128;
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError(Self::PREFIX);
        let digits = text.strip_prefix(Self::PREFIX).ok_or(error)?;
        if digits.len() > Self::CHARS_MAX {
            return Err(error);
        }
        URL_SAFE_NO_PAD.decode(digits).map(Self).map_err(|_| error)
    }
}

/// The 128 random bits that name a click inside a token. Shown outside by the opening of an audit entry and by nothing else:
/// a commitment cannot be checked without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClickId(pub [u8; 16]);

impl fmt::Debug for ClickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClickId(..)")
    }
}

/// Where a click's row is: everything but the tenant is carried by its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClickKey {
    /// The tenant's number.
    pub tenant: i64,
    /// When the click happened, in ticks since 1970.
    pub issued_at_ticks: i64,
    /// The click.
    pub click: ClickId,
}

/// How many ticks a second has. Rows of clicks stand in the order of their ticks, so that what is committed together
/// lies on few pages; within a tick their random ids order them. The tick stands beside the id and is sealed with it in
/// the token: a click id says nothing about the order of clicks.
pub const TICKS_PER_SECOND: i64 = 256;

/// The tick of a moment.
pub fn ticks_of(at_ms: i64) -> i64 {
    (at_ms * TICKS_PER_SECOND).div_euclid(1_000)
}

impl ClickKey {
    /// When the click happened, in seconds since 1970.
    pub fn issued_at_s(&self) -> i64 {
        self.issued_at_ticks.div_euclid(TICKS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_only_in_their_own_kind_and_form() {
        let id = ConversionId(time_ordered(1_790_000_000_123, [7; 10]));
        let text = id.to_string();
        assert_eq!(text.parse::<ConversionId>(), Ok(id));
        assert_eq!(text.parse::<LinkId>(), Err(IdError("lnk_")));
        for bad in [
            "",
            "cnv_",
            "cnv_zz",
            &text.to_uppercase(),
            &text[..text.len() - 1],
            &format!("{text}0"),
        ] {
            assert!(bad.parse::<ConversionId>().is_err());
        }
    }

    #[test]
    fn a_tick_lies_within_its_second() {
        for at_ms in [0, 1, 3, 4, 999, 1_000, 1_790_000_000_999, 1_790_000_001_000] {
            let key = ClickKey {
                tenant: 1,
                issued_at_ticks: ticks_of(at_ms),
                click: ClickId([0; 16]),
            };
            assert_eq!(key.issued_at_s(), at_ms.div_euclid(1_000));
            assert!(
                ticks_of(at_ms + 4) > ticks_of(at_ms),
                "a tick is not longer than 4 ms"
            );
        }
    }

    #[test]
    fn the_second_of_an_id_is_the_second_it_was_made() {
        assert_eq!(
            seconds_of(time_ordered(1_790_000_000_999, [255; 10])),
            1_790_000_000
        );
    }
}
