//! The values that requests and answers are made of, each with the bounds that the document states.
//!
//! A type here says in the contract what the domain checks: what its schema allows is accepted, as far as one value can
//! tell. Where values have to go together, the answer is 409 and not 400.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::access::Role;
use crate::domain::approval::{ApprovalKind, ApprovalState};
use crate::domain::campaign::{ShopAuth, time_zones};
use crate::domain::credential::Environment;
use crate::domain::grant::GrantReason;
use crate::domain::hold::{HoldClass, HoldReason};
use crate::domain::ids;
use crate::domain::money::Currency;
use crate::domain::policy::{DenialErases, GpcHandling, Jurisdiction, Mode, Purpose, UntrackedCounts};
use crate::domain::refusal::RefusalMode;
use crate::domain::retention::{Class, LongerReason};
use crate::domain::subject_request::{ExtensionReason, Ground, LookReason, RequestKind, RequestStatus};
pub use crate::edge::request::given;
pub use scalars::{
    ConsentAgeDays, Edit, GrantHours, InheritWindowHours, Moment, PolicyVersionNumber, RetentionDays,
    VendorId, WindowDays, set, whole,
};

/// The schema of a type, as a component under the type's own name.
macro_rules! described {
    ($name:ident, $schema:expr) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

mod scalars;

/// An IPv4 address.
macro_rules! ipv4 {
    () => {
        "(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    };
}

/// Some groups of an IPv6 address on either side of its `::`.
macro_rules! groups {
    ($left:literal, $right:literal) => {
        concat!("(?:[0-9A-Fa-f]{1,4}:)", $left, "(?::[0-9A-Fa-f]{1,4})", $right)
    };
}

/// An IPv6 address. `::` stands for at least one group, so what may follow depends on what went before.
macro_rules! ipv6 {
    () => {
        concat!(
            "(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|(?:[0-9A-Fa-f]{1,4}:){1,7}:|:(?::[0-9A-Fa-f]{1,4}){1,7}|::",
            "|", groups!("{1,6}", "{1}"),
            "|", groups!("{1,5}", "{2}"),
            "|", groups!("{1,4}", "{3}"),
            "|", groups!("{1,3}", "{4}"),
            "|", groups!("{1,2}", "{5}"),
            "|", groups!("{1}", "{6}")
        )
    };
}

/// A host's name or IPv4 address.
macro_rules! host {
    () => {
        concat!(
            "(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.){0,8}[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?|",
            ipv4!(),
            ")"
        )
    };
}

/// Scheme, host and port of a URL.
macro_rules! origin {
    () => {
        concat!(
            "https?://",
            host!(),
            "(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?"
        )
    };
}

/// What a URL holds behind its origin: plain characters and escapes of visible ones.
macro_rules! plain {
    () => {
        "[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[2-6][0-9A-Fa-f]"
    };
}

/// A macro of a landing URL.
macro_rules! place {
    () => {
        "\\{_?(?:token|campaign|publisher|link|sub[1-9]|sub10|gdpr|gdpr_consent|gpp|gpp_sid)\\}"
    };
}

/// Texts with a length and a pattern.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $min:literal to $max:literal, $pattern:expr, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        described!($name, text($min, $max, $pattern).examples([$example]));
    )*};
}

fn text(min: usize, max: usize, pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(min))
        .max_length(Some(max))
        .pattern(Some(pattern))
}

texts! {
    /// An object's name in URLs and files.
    Slug: 1 to 64, "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", "autumn";
    /// Free text without control characters.
    FreeText: 1 to 128, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", "Acme Versicherung AG";
    /// Why something was done, without control characters.
    ReasonText: 1 to 500, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", "Visitors of the US campaigns only.";
    /// Who acted, as the trail names it.
    ActorText: 4 to 64, "^[a-z_]+(?::(?:[0-9]{1,19}|[0-9a-f]{32}))?$", "key:3";
    /// A case, as a tenant names it; no room for a person's name or address.
    CaseReference: 1 to 64, "^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$", "LG-HH-324-O-17-26";
    /// A sub-id; never cut.
    SubId: 1 to 255, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", "spring";
    /// A country, ISO 3166-1 alpha-2.
    Country: 2 to 2, "^[A-Z]{2}$", "DE";
    /// An address without macros.
    PlainUrl: 8 to 2048,
        concat!("^", origin!(), "(?:/(?:", plain!(), ")*)?(?:\\?(?:", plain!(), ")*)?$"),
        "https://acme.example/datenschutz";
    /// An address with macros.
    LandingUrl: 8 to 2048,
        concat!("^", origin!(), "(?:/(?:", plain!(), "|", place!(), ")*)?(?:\\?(?:", plain!(), "|", place!(), ")*)?$"),
        "https://shop.example/landing?utm_source={publisher}";
    /// An address in an answer, as it was written: files may use other systems' macros, too.
    Address: 8 to 2048, "^[Hh][Tt][Tt][Pp][Ss]?://[^\\u0000-\\u0020\\u007f-\\u009f]+$", "https://shop.example/landing?utm_source={publisher}";
    /// A host without port or wildcard.
    Host: 1 to 253, concat!("^", host!(), "$"), "shop.example";
    /// A query parameter's name.
    ParameterName: 1 to 32, "^[A-Za-z0-9_]+$", "s2s";
    /// A shop's public reference.
    ShopReference: 4 to 64, "^[A-Za-z0-9_-]+$", "shp_Q7mZ2kT9xWbL4nRc";
    /// An address range (CIDR).
    AddressRange: 4 to 43,
        concat!("^(?:", ipv4!(), "/(?:3[0-2]|[12]?[0-9])|(?:", ipv6!(), ")/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))$"),
        "192.0.2.0/24";
}

/// A secret in a request or in the one answer that shows it. Wiped when dropped, never printed.
macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident: $min:literal to $max:literal, $pattern:literal, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(pub Zeroizing<String>);

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
            }
        }

        described!($name, text($min, $max, $pattern).examples([$example]));
    )*};
}

secrets! {
    /// An API key, in plain.
    ApiKeyText: 24 to 256, "^[!-~]+$", "ek_live_4f7h2k9a_Jc3vXo8Qm1TzR6wYb5Ls0NdPeUaGiKfHtBxCuVyWqZM_0a1b2c3d";
    /// An HMAC secret that a shop signs with.
    HmacSecret: 24 to 256, "^[!-~]+$", "a-secret-of-at-least-24-characters";
    /// A password.
    Password: 12 to 256, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", "correct horse battery staple";
}

impl ApiKeyText {
    /// The key that stands in examples.
    pub fn example() -> Self {
        let text = "ek_live_4f7h2k9a_Jc3vXo8Qm1TzR6wYb5Ls0NdPeUaGiKfHtBxCuVyWqZM_0a1b2c3d";
        Self(Zeroizing::new(text.to_owned()))
    }
}

/// Ids with their prefix.
macro_rules! ids {
    ($($name:ident = $prefix:literal;)*) => {$(
        #[doc = concat!("An id that begins with `", $prefix, "`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(ids::$name);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(ids::$name(id))
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ids::IdError;

            fn from_str(text: &str) -> Result<Self, ids::IdError> {
                text.parse().map(Self)
            }
        }

        described!($name, text(36, 36, concat!("^", $prefix, "[0-9a-f]{32}$")).examples([concat!($prefix, "01a0b1c2d3e47f00a1b2c3d4e5f60718")]));
    )*};
}

ids! {
    TenantId = "tnt_";
    ShopId = "sho_";
    PublisherId = "pub_";
    CampaignId = "cmp_";
    LinkId = "lnk_";
    GoalId = "gol_";
    UserId = "usr_";
    ApiKeyId = "key_";
    PolicyId = "pol_";
    ApprovalId = "apr_";
    SubjectRequestId = "srq_";
    HoldId = "hld_";
    OperatorGrantId = "ogr_";
}

/// Words of the domain, with every word that there is.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($inner:ty): [$($word:literal),+];)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        described!($name, one_of([$($word),+]));
    )*};
}

fn one_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
}

words! {
    /// The legal regime.
    PolicyMode(Mode): ["strict_opt_in", "inherit_click", "opt_out"];
    /// How refusals are answered.
    RefusalWord(RefusalMode): ["refuse", "drop"];
    /// What is granted or declined on its own.
    PurposeWord(Purpose): ["access", "measure", "personalise"];
    /// Where untracked clicks are counted.
    UntrackedWord(UntrackedCounts): ["campaign", "tenant"];
    /// Where visitors are, as far as the law there asks for different things.
    JurisdictionWord(Jurisdiction): ["eea", "uk", "ch", "us"];
    /// What Global Privacy Control means.
    GpcWord(GpcHandling): ["deny", "tcf_overrides"];
    /// What a "no" from the shop erases.
    DenialWord(DenialErases): ["click", "person", "nothing"];
    /// What kind of change an approval is about.
    ApprovalKindWord(ApprovalKind): ["policy", "four_eyes_end"];
    /// What has become of an approval.
    ApprovalStateWord(ApprovalState): ["waiting", "approved", "rejected", "withdrawn"];
    /// What a person asks for.
    RequestKindWord(RequestKind): ["access", "portability", "rectification", "restriction", "objection", "erasure"];
    /// What has become of a person's request.
    RequestStatusWord(RequestStatus): ["pending", "in_progress", "completed", "rejected", "cancelled"];
    /// Why a deadline is extended (GDPR Art. 12(3)).
    ExtensionWord(ExtensionReason): ["complexity", "number_of_requests"];
    /// On what ground a request is declined, by the article of the GDPR.
    GroundWord(Ground): ["art_12_5_unfounded", "art_12_5_excessive", "art_11_2_not_identified", "art_17_3_a",
        "art_17_3_b", "art_17_3_c", "art_17_3_d", "art_17_3_e", "art_15_4_rights_of_others", "art_21_1_compelling"];
    /// Why somebody looks at what is held of a person.
    LookReasonWord(LookReason): ["answer", "verification", "complaint", "authority"];
    /// A class of data that is kept for a time of its own.
    RetentionClassWord(Class): ["click", "conversion_details", "consent_record", "minimal_proof", "idempotency",
        "suppression", "test_conversion", "subject_request", "counters", "audit"];
    /// A class whose time can be set.
    SettableClassWord(Class): ["click", "conversion_details", "minimal_proof", "test_conversion",
        "subject_request"];
    /// Why a class is kept longer than by default.
    LongerReasonWord(LongerReason): ["legal_obligation", "legal_claims", "contract", "fraud_prevention"];
    /// What a hold keeps.
    HoldClassWord(HoldClass): ["all", "click", "conversion_details", "consent_record", "minimal_proof", "idempotency",
        "suppression", "test_conversion"];
    /// Why something is held.
    HoldReasonWord(HoldReason): ["legal_claims", "legal_obligation", "authority_request", "investigation",
        "billing_dispute"];
    /// Why the server's operator may look.
    GrantReasonWord(GrantReason): ["support", "incident", "data_repair", "authority_request"];
    /// How a shop's server proves who it is.
    AuthWord(ShopAuth): ["bearer", "hmac", "token_only"];
    /// What a generated key says of itself.
    EnvironmentWord(Environment): ["live", "test"];
    /// What a key or user may do inside a tenant.
    RoleWord(Role): ["manager", "shop", "publisher", "auditor", "privacy"];
}

/// A list that is too long to be written down here.
macro_rules! listed {
    ($($(#[$doc:meta])* $name:ident: $all:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        described!($name, one_of($all));
    )*};
}

listed! {
    /// A currency, ISO 4217.
    CurrencyCode: Currency::all().map(Currency::code);
    /// A time zone, by its IANA name.
    TimeZone: time_zones();
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    fn words_of<T: PartialSchema>() -> Vec<serde_json::Value> {
        let schema = serde_json::to_value(T::schema()).expect("a schema");
        schema["enum"].as_array().expect("words").clone()
    }

    #[test]
    fn every_word_reads_and_none_is_missing() {
        fn all_read<T: PartialSchema + serde::de::DeserializeOwned>(count: usize) {
            let words = words_of::<T>();
            assert_eq!(words.len(), count);
            for word in words {
                assert!(serde_json::from_value::<T>(word.clone()).is_ok(), "{word}");
            }
        }
        all_read::<PolicyMode>(3);
        all_read::<RefusalWord>(2);
        all_read::<PurposeWord>(Purpose::ALL.len());
        all_read::<UntrackedWord>(2);
        all_read::<JurisdictionWord>(Jurisdiction::ALL.len());
        all_read::<GpcWord>(2);
        all_read::<DenialWord>(3);
        all_read::<ApprovalKindWord>(2);
        all_read::<ApprovalStateWord>(4);
        all_read::<RequestKindWord>(RequestKind::ALL.len());
        all_read::<RequestStatusWord>(RequestStatus::ALL.len());
        all_read::<ExtensionWord>(ExtensionReason::ALL.len());
        all_read::<GroundWord>(Ground::ALL.len());
        all_read::<LookReasonWord>(LookReason::ALL.len());
        all_read::<RetentionClassWord>(Class::ALL.len());
        all_read::<SettableClassWord>(5);
        all_read::<LongerReasonWord>(LongerReason::ALL.len());
        all_read::<HoldClassWord>(8);
        all_read::<HoldReasonWord>(5);
        all_read::<GrantReasonWord>(4);
        all_read::<AuthWord>(3);
        all_read::<RoleWord>(Role::ALL.len() - 1);
        assert!(words_of::<CurrencyCode>().contains(&"EUR".into()));
        assert!(words_of::<TimeZone>().contains(&"Europe/Berlin".into()));
    }
}
