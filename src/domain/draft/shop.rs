//! Drafts of shops: hosts, currencies and how postbacks are authenticated, each in its one spelling.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{Fault, Fields, agree, check_slug, listed, require};
use crate::domain::campaign::{Object, Shop, ShopAuth, valid_api_key, valid_parameter};
use crate::domain::landing::{normal_host, valid_host};
use crate::domain::money::Currency;
use crate::domain::refusal::RefusalMode;

/// How many HMAC secrets may be live: the present one and the next, while rotating.
pub const HMAC_SECRETS: usize = 2;
/// Entries that a shop's lists of hosts and ranges may have.
const LIST_ENTRIES: usize = 50;
/// Currencies that a shop may take: more than there are.
const CURRENCIES: usize = 200;

/// A shop.
#[derive(Clone, PartialEq, Eq)]
pub struct ShopDraft {
    /// Its name in URLs and files.
    pub slug: String,
    /// The public reference; none: as it is, or made.
    pub reference: Option<String>,
    /// Hosts that landing pages and deep links may be on.
    pub landing_hosts: Vec<String>,
    /// The parameter that carries the token.
    pub token_parameter: String,
    /// The default currency.
    pub currency: String,
    /// Further currencies that it takes.
    pub currencies: Vec<String>,
    /// Overrides the tenant's.
    pub refusal: Option<RefusalMode>,
    /// How it authenticates.
    pub auth: ShopAuth,
    /// Address ranges (CIDR) that its postbacks may come from; empty: any.
    pub ip_allow: Vec<String>,
    /// The live HMAC secrets; none: as they are.
    pub hmac_secrets: Option<Vec<Zeroizing<String>>>,
}

impl fmt::Debug for ShopDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopDraft")
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}

impl ShopDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        check_slug(&self.slug)?;
        if let Some(reference) = &self.reference {
            require(
                valid_reference(reference),
                "reference",
                "must be 4 to 64 letters, digits, - or _",
            )?;
        }
        require(
            (1..=LIST_ENTRIES).contains(&self.landing_hosts.len())
                && self.landing_hosts.iter().all(|host| valid_host(host)),
            "landing_hosts",
            "must be 1 to 50 plain host names, without port or wildcard",
        )?;
        require(
            valid_parameter(&self.token_parameter),
            "token_parameter",
            "must be 1 to 32 letters, digits or _",
        )?;
        let known = |code: &String| Currency::parse(code).is_ok();
        let code = "must be an ISO 4217 code of three upper-case letters";
        require(known(&self.currency), "currency", code)?;
        require(
            self.currencies.len() <= CURRENCIES && self.currencies.iter().all(known),
            "currencies",
            "must be at most 200 ISO 4217 codes of three upper-case letters",
        )?;
        require(
            self.ip_allow.len() <= LIST_ENTRIES
                && self.ip_allow.iter().all(|range| IpNet::from_str(range).is_ok()),
            "ip_allow",
            "must be at most 50 address ranges, such as 192.0.2.0/24",
        )?;
        self.check_secrets()
    }

    fn check_secrets(&self) -> Result<(), Fault> {
        let Some(secrets) = &self.hmac_secrets else {
            return Ok(());
        };
        require(
            secrets.len() <= HMAC_SECRETS && secrets.iter().all(|secret| valid_api_key(secret)),
            "hmac_secrets",
            "must be at most 2 secrets of 24 to 256 printable ASCII characters without spaces",
        )?;
        agree(
            self.auth != ShopAuth::Hmac || !secrets.is_empty(),
            "hmac_secrets",
            "must not be empty while the shop signs with HMAC",
        )
    }

    /// The shop as it then is.
    pub fn onto(&self, object: Object, reference: String) -> Shop {
        let mut currencies = vec![self.currency.clone()];
        for code in &self.currencies {
            if !currencies.contains(code) {
                currencies.push(code.clone());
            }
        }
        Shop {
            object,
            slug: self.slug.clone(),
            reference,
            landing_hosts: self.landing_hosts.iter().filter_map(|h| normal_host(h)).collect(),
            token_parameter: self.token_parameter.clone(),
            currency: self.currency.clone(),
            currencies,
            refusal: self.refusal,
            auth: self.auth,
            ip_allow: self
                .ip_allow
                .iter()
                .filter_map(|text| normal_range(text))
                .collect(),
        }
    }
}

/// An address range as it is kept: without host bits, and as IPv4 where it was mapped into IPv6, since callers are
/// compared by their IPv4 address.
fn normal_range(text: &str) -> Option<String> {
    let range = IpNet::from_str(text).ok()?.trunc();
    let mapped = match range {
        IpNet::V6(range) => range
            .addr()
            .to_ipv4_mapped()
            .zip(range.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    let plain = mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    Some(plain.unwrap_or(range).to_string())
}

/// Whether a text may be a shop's public reference.
fn valid_reference(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (4..=64).contains(&text.len()) && text.bytes().all(plain)
}

impl Shop {
    /// The draft that changes nothing.
    pub fn draft(&self) -> ShopDraft {
        ShopDraft {
            slug: self.slug.clone(),
            reference: Some(self.reference.clone()),
            landing_hosts: self.landing_hosts.clone(),
            token_parameter: self.token_parameter.clone(),
            currency: self.currency.clone(),
            currencies: self.currencies.clone(),
            refusal: self.refusal,
            auth: self.auth,
            ip_allow: self.ip_allow.clone(),
            hmac_secrets: None,
        }
    }

    /// The fields as the trail writes them.
    pub fn fields(&self) -> Fields {
        vec![
            ("slug", Some(self.slug.clone())),
            ("reference", Some(self.reference.clone())),
            ("landing_hosts", Some(listed(&self.landing_hosts))),
            ("token_parameter", Some(self.token_parameter.clone())),
            ("currency", Some(self.currency.clone())),
            ("currencies", Some(listed(&self.currencies))),
            ("refusal", self.refusal.map(|mode| mode.code().to_owned())),
            ("auth", Some(self.auth.code().to_owned())),
            ("ip_allow", Some(listed(&self.ip_allow))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn draft() -> ShopDraft {
        ShopDraft {
            slug: "main".to_owned(),
            reference: None,
            landing_hosts: vec!["Shop.Example".to_owned()],
            token_parameter: "s2s".to_owned(),
            currency: "EUR".to_owned(),
            currencies: vec!["CHF".to_owned(), "EUR".to_owned(), "CHF".to_owned()],
            refusal: None,
            auth: ShopAuth::Bearer,
            ip_allow: vec!["192.0.2.77/24".to_owned()],
            hmac_secrets: None,
        }
    }

    type Spoil = Box<dyn Fn(&mut ShopDraft)>;

    #[test]
    fn faults_name_their_field() {
        let secret = || Zeroizing::new("s".repeat(24));
        let cases: Vec<(&str, Spoil)> = vec![
            ("reference", Box::new(|d| d.reference = Some("a/b".to_owned()))),
            ("landing_hosts", Box::new(|d| d.landing_hosts.clear())),
            ("landing_hosts", Box::new(|d| d.landing_hosts[0] += ":8080")),
            (
                "token_parameter",
                Box::new(|d| d.token_parameter = "a=b".to_owned()),
            ),
            ("currency", Box::new(|d| d.currency = "eur".to_owned())),
            ("currencies", Box::new(|d| d.currencies[0] = "XAU".to_owned())),
            ("ip_allow", Box::new(|d| d.ip_allow[0] = "192.0.2.1".to_owned())),
            (
                "hmac_secrets",
                Box::new(|d| d.hmac_secrets = Some(vec![Zeroizing::new("short".to_owned())])),
            ),
            (
                "hmac_secrets",
                Box::new(move |d| d.hmac_secrets = Some(vec![secret(); 3])),
            ),
        ];
        assert_eq!(draft().check(), Ok(()));
        for (field, spoil) in cases {
            let mut draft = draft();
            spoil(&mut draft);
            assert!(
                matches!(draft.check(), Err(Fault::Form(named, _)) if named == field),
                "{field}"
            );
        }
    }

    #[test]
    fn signing_without_secrets_clashes() {
        let mut draft = draft();
        (draft.auth, draft.hmac_secrets) = (ShopAuth::Hmac, Some(Vec::new()));
        assert!(matches!(draft.check(), Err(Fault::Clash("hmac_secrets", _))));
    }

    #[test]
    fn lists_have_one_spelling_and_a_draft_of_the_result_changes_nothing() {
        let object = Object {
            tenant: 1,
            number: 1,
            id: Uuid::nil(),
            created_at_ms: 0,
            updated_at_ms: 0,
            archived_at_ms: None,
        };
        let shop = draft().onto(object.clone(), "shp_Q7mZ2kT9xWbL4nRc".to_owned());
        assert_eq!(shop.landing_hosts, ["shop.example"]);
        assert_eq!(shop.currencies, ["EUR", "CHF"]);
        assert_eq!(shop.ip_allow, ["192.0.2.0/24"]);
        assert_eq!(shop.draft().onto(object, shop.reference.clone()), shop);
    }

    #[test]
    fn ranges_are_kept_without_host_bits_and_mapped_ones_as_ipv4() {
        let cases = [
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("83c:478::/4", "::/4"),
            ("2001:db8:1:2:3:4:5:6/128", "2001:db8:1:2:3:4:5:6/128"),
            ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
            ("::ffff:c000:24d/128", "192.0.2.77/32"),
            ("::ffff:192.0.2.77/96", "0.0.0.0/0"),
            ("::ffff:192.0.2.77/90", "::ffc0:0:0/90"),
        ];
        for (given, kept) in cases {
            assert_eq!(normal_range(given).as_deref(), Some(kept), "{given}");
        }
    }
}
