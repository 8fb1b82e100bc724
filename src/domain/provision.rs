//! Provisioning: a file with tenants and what they configure, read into drafts.
//!
//! Promise: a file that has a fault changes nothing, and the fault is named with its line, its object and its key, but
//! never with a value, because values may be secrets. What is left out of the file is left alone in the database.

mod file;

use std::fmt;

use toml::Spanned;
use toml::value::Datetime;
use zeroize::Zeroizing;

use super::campaign::{valid_api_key, valid_slug};
use super::credential::valid_password;
use super::draft::{
    CampaignDraft, Fault, LinkDraft, Name, PublisherDraft, ShopDraft, TenantDraft, UserDraft,
};
use super::policy::Policy;
use file::{CampaignTable, File, LinkTable, PublisherTable, ShopTable, TenantTable, UserTable};

/// Where in the file an object stands, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    /// The line, from 1.
    pub line: usize,
    /// For example `tenant acme, shop main`.
    pub name: String,
}

/// Why a file cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ProvisionError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl FilePlace {
    /// A fault of the object that stands here.
    pub fn fault(&self, what: impl fmt::Display) -> ProvisionError {
        ProvisionError {
            line: self.line,
            message: format!("{}: {what}", self.name),
        }
    }

    fn refuse(&self, fault: Fault) -> ProvisionError {
        let (field, words) = fault.parts();
        self.fault(format_args!("{field} {words}"))
    }
}

/// A draft and where it stands.
#[derive(Debug)]
pub struct Planned<D> {
    /// Where.
    pub place: FilePlace,
    /// What is to be.
    pub draft: D,
}

/// What a file asks for.
#[derive(Debug)]
pub struct Provision {
    /// Tenants in the order of the file.
    pub tenants: Vec<TenantPlan>,
}

/// A tenant and what it configures.
#[derive(Debug)]
pub struct TenantPlan {
    /// The tenant.
    pub tenant: Planned<TenantDraft>,
    /// Its shops.
    pub shops: Vec<ShopPlan>,
    /// Its publishers.
    pub publishers: Vec<Planned<PublisherDraft>>,
    /// Its campaigns, each with the slugs of its goals.
    pub campaigns: Vec<(Planned<CampaignDraft>, Vec<String>)>,
    /// Its tracking links.
    pub links: Vec<Planned<LinkDraft>>,
    /// Its users.
    pub users: Vec<UserPlan>,
}

/// A shop, perhaps with its API key.
pub struct ShopPlan {
    /// The shop.
    pub shop: Planned<ShopDraft>,
    /// The key of the shop's server.
    pub api_key: Option<Zeroizing<String>>,
}

impl fmt::Debug for ShopPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShopPlan").field(&self.shop.place).finish()
    }
}

/// A user, perhaps with an API key or a password.
pub struct UserPlan {
    /// The user, without the password.
    pub user: Planned<UserDraft>,
    /// The user's key.
    pub api_key: Option<Zeroizing<String>>,
    /// The user's password.
    pub password: Option<Zeroizing<String>>,
}

impl fmt::Debug for UserPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserPlan").field(&self.user.place).finish()
    }
}

/// Reads a file and checks everything that can be checked without the database.
pub fn parse(text: &str) -> Result<Provision, ProvisionError> {
    let file: File = toml::from_str(text).map_err(|error| ProvisionError {
        line: error.span().map_or(1, |span| line_at(text, span.start)),
        message: without_values(error.message()),
    })?;
    let mut reader = Reader {
        text,
        taken: Vec::new(),
    };
    let tenants = file.tenant.into_iter().map(|table| reader.tenant(table));
    Ok(Provision {
        tenants: tenants.collect::<Result<_, _>>()?,
    })
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.get(..offset).unwrap_or(text).matches('\n').count()
}

/// What the reader says, without what it read: that may be a secret in the wrong place.
fn without_values(message: &str) -> String {
    let quotes_a_value = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ]
    .iter()
    .any(|start| message.starts_with(start));
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quotes_a_value => format!("expected {expected}"),
        _ if quotes_a_value => "not of the expected form".to_owned(),
        _ => message
            .replace("unknown field", "unknown key")
            .replace("missing field", "missing key"),
    }
}

/// Turns tables into plans and keeps an eye on names that stand twice.
struct Reader<'a> {
    text: &'a str,
    taken: Vec<String>,
}

impl Reader<'_> {
    fn place<T>(
        &mut self,
        table: &Spanned<T>,
        within: Option<&FilePlace>,
        kind: &str,
        name: &str,
    ) -> Result<FilePlace, ProvisionError> {
        // A name that is refused later may be anything, a misplaced secret too.
        let shown = if name.len() <= 64 {
            name.escape_debug().to_string()
        } else {
            "(long name)".to_owned()
        };
        let name = match within {
            Some(within) => format!("{}, {kind} {shown}", within.name),
            None => format!("{kind} {shown}"),
        };
        let line = line_at(self.text, table.span().start);
        let place = FilePlace { line, name };
        if self.taken.contains(&place.name) {
            return Err(place.fault("stands in the file twice"));
        }
        self.taken.push(place.name.clone());
        Ok(place)
    }

    fn tenant(&mut self, table: Spanned<TenantTable>) -> Result<TenantPlan, ProvisionError> {
        let place = self.place(&table, None, "tenant", &table.get_ref().slug)?;
        let table = table.into_inner();
        let draft = TenantDraft {
            slug: table.slug,
            time_zone: table.time_zone,
            controller: table.controller,
            four_eyes: table.four_eyes,
            policy: Policy {
                mode: table.policy,
                refusal: table.refusal,
                require: table.require,
                jurisdictions: table.jurisdictions,
                tcf_vendor_id: table.tcf_vendor_id,
                max_consent_age_days: table.max_consent_age_days,
                gpc: table.gpc,
                inherit_window_hours: table.inherit_window_hours,
                shop_denial_erases: table.shop_denial_erases,
                untracked_counts: table.untracked_counts,
            },
            policy_reason: table.policy_reason,
            policy_from_ms: moment(&place, "policy_effective_from", table.policy_effective_from)?,
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        let at = Some(&place);
        Ok(TenantPlan {
            shops: each(table.shop, |table| self.shop(table, at))?,
            publishers: each(table.publisher, |table| self.publisher(table, at))?,
            campaigns: each(table.campaign, |table| self.campaign(table, at))?,
            links: each(table.link, |table| self.link(table, at))?,
            users: each(table.user, |table| self.user(table, at))?,
            tenant: Planned { place, draft },
        })
    }

    fn shop(
        &mut self,
        table: Spanned<ShopTable>,
        within: Option<&FilePlace>,
    ) -> Result<ShopPlan, ProvisionError> {
        let place = self.place(&table, within, "shop", &table.get_ref().slug)?;
        let table = table.into_inner();
        let secrets = |secrets: Vec<String>| secrets.into_iter().map(Zeroizing::new).collect();
        let draft = ShopDraft {
            slug: table.slug,
            reference: table.reference,
            landing_hosts: table.landing_hosts,
            token_parameter: table.token_parameter,
            currency: table.currency,
            currencies: table.currencies,
            refusal: table.refusal,
            auth: table.auth,
            ip_allow: table.ip_allow,
            hmac_secrets: table.hmac_secrets.map(secrets),
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        let api_key = given_key(&place, table.api_key)?;
        Ok(ShopPlan {
            shop: Planned { place, draft },
            api_key,
        })
    }

    fn publisher(
        &mut self,
        table: Spanned<PublisherTable>,
        within: Option<&FilePlace>,
    ) -> Result<Planned<PublisherDraft>, ProvisionError> {
        let place = self.place(&table, within, "publisher", &table.get_ref().slug)?;
        let table = table.into_inner();
        let draft = PublisherDraft {
            slug: table.slug,
            explicit_consent: table.explicit_consent,
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        Ok(Planned { place, draft })
    }

    fn campaign(
        &mut self,
        table: Spanned<CampaignTable>,
        within: Option<&FilePlace>,
    ) -> Result<(Planned<CampaignDraft>, Vec<String>), ProvisionError> {
        let place = self.place(&table, within, "campaign", &table.get_ref().slug)?;
        let table = table.into_inner();
        let draft = CampaignDraft {
            slug: table.slug,
            shop: Name::Slug(table.shop),
            landing_url: table.landing_url,
            window_days: table.window_days,
            deep_links: table.deep_links,
            fallback_url: table.fallback_url,
            starts_at_ms: moment(&place, "starts_at", table.starts_at)?,
            ends_at_ms: moment(&place, "ends_at", table.ends_at)?,
            paused: table.paused,
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        if !table.goals.iter().all(|goal| valid_slug(goal)) {
            return Err(place.fault("goals must be letters, digits, - or _"));
        }
        Ok((Planned { place, draft }, table.goals))
    }

    fn link(
        &mut self,
        table: Spanned<LinkTable>,
        within: Option<&FilePlace>,
    ) -> Result<Planned<LinkDraft>, ProvisionError> {
        let place = self.place(&table, within, "link", &table.get_ref().slug)?;
        let table = table.into_inner();
        let draft = LinkDraft {
            subs: table.subs(),
            slug: table.slug,
            campaign: Name::Slug(table.campaign),
            publisher: Name::Slug(table.publisher),
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        Ok(Planned { place, draft })
    }

    fn user(
        &mut self,
        table: Spanned<UserTable>,
        within: Option<&FilePlace>,
    ) -> Result<UserPlan, ProvisionError> {
        let place = self.place(&table, within, "user", &table.get_ref().name)?;
        let table = table.into_inner();
        let draft = UserDraft {
            name: table.name,
            role: table.role,
            shop: table.shop.map(Name::Slug),
            publisher: table.publisher.map(Name::Slug),
            password: None,
        };
        draft.check().map_err(|fault| place.refuse(fault))?;
        let api_key = given_key(&place, table.api_key)?;
        let password = table.password.map(Zeroizing::new);
        if !password.as_ref().is_none_or(|password| valid_password(password)) {
            return Err(
                place.fault("password must be 12 to 256 characters, none of them a control character")
            );
        }
        Ok(UserPlan {
            user: Planned { place, draft },
            api_key,
            password,
        })
    }
}

fn each<T, P>(
    tables: Vec<Spanned<T>>,
    read: impl FnMut(Spanned<T>) -> Result<P, ProvisionError>,
) -> Result<Vec<P>, ProvisionError> {
    tables.into_iter().map(read).collect()
}

fn given_key(place: &FilePlace, key: Option<String>) -> Result<Option<Zeroizing<String>>, ProvisionError> {
    let key = key.map(Zeroizing::new);
    if key.as_ref().is_none_or(|key| valid_api_key(key)) {
        return Ok(key);
    }
    Err(place.fault("api_key must be 24 to 256 printable ASCII characters without spaces"))
}

/// A point in time needs its offset: without one it would depend on who reads it.
fn moment(
    place: &FilePlace,
    field: &'static str,
    at: Option<Datetime>,
) -> Result<Option<i64>, ProvisionError> {
    let Some(at) = at else { return Ok(None) };
    chrono::DateTime::parse_from_rfc3339(&at.to_string())
        .map(|at| Some(at.timestamp_millis()))
        .map_err(|_| place.fault(format_args!("{field} must be a date and time with its offset")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "[[tenant]]\nslug = \"acme\"\n";

    fn refused(rest: &str) -> (usize, String) {
        let error = parse(&format!("{ACME}{rest}")).expect_err("refused");
        (error.line, error.message)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let provision = parse(&format!(
            "{ACME}[[tenant.shop]]\nslug = \"main\"\nlanding_hosts = [\"shop.example\"]\ncurrency = \"EUR\"\n\
             [[tenant.campaign]]\nslug = \"autumn\"\nshop = \"main\"\nlanding_url = \"https://shop.example/\"\n"
        ))
        .expect("parsed");
        let plan = &provision.tenants[0];
        assert_eq!(plan.tenant.draft.policy, Policy::default());
        assert_eq!(plan.tenant.place.line, 1);
        assert_eq!(plan.shops[0].shop.draft.token_parameter, "s2s");
        assert_eq!(plan.shops[0].shop.draft.hmac_secrets, None);
        let (campaign, goals) = &plan.campaigns[0];
        assert_eq!(
            (campaign.draft.window_days, goals.as_slice()),
            (30, ["order".to_owned()].as_slice())
        );
        assert_eq!(campaign.place.line, 7);
    }

    #[test]
    fn unknown_keys_and_names_that_stand_twice_are_named_with_their_line() {
        let (line, message) = refused("time_zon = \"UTC\"\n");
        assert_eq!(line, 3);
        assert!(message.starts_with("unknown key `time_zon`"), "{message}");
        let twice = "[[tenant.publisher]]\nslug = \"news\"\n[[tenant.publisher]]\nslug = \"news\"\n";
        let expected = "tenant acme, publisher news: stands in the file twice".to_owned();
        assert_eq!(refused(twice), (5, expected));
        let (line, message) = refused("[[tenant.publisher]]\nexplicit_consent = \"notice\"\n");
        assert_eq!(line, 3);
        assert!(message.starts_with("missing key `slug`"), "{message}");
    }

    #[test]
    fn no_value_is_repeated() {
        let secret = "hunter2-hunter2-hunter2-hunter2";
        let user = |line: &str| {
            refused(&format!(
                "[[tenant.user]]\nname = \"a\"\nrole = \"auditor\"\n{line}\n"
            ))
        };
        let cases = [
            user(&format!("api_key = [\"{secret}\"]")),
            user(&format!("shop = \"{secret}\"")),
            refused(&format!("policy = \"{secret}\"\n")),
            refused(&format!("tcf_vendor_id = \"{secret}\"\n")),
            user("password = \"hunter2\""),
            user("api_key = \"hunter2 hunter2 hunter2 hunter2\""),
        ];
        for (line, message) in cases {
            assert!(line >= 3 && !message.contains("hunter2"), "{line}: {message}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        let campaign = |at: &str| {
            format!(
                "[[tenant.campaign]]\nslug = \"autumn\"\nshop = \"main\"\n\
                 landing_url = \"https://shop.example/\"\nstarts_at = {at}\n"
            )
        };
        let (line, message) = refused(&campaign("2026-10-01T00:00:00"));
        assert_eq!(line, 3);
        assert!(message.contains("starts_at must be"), "{message}");
        let provision = parse(&format!("{ACME}{}", campaign("2026-10-01T00:00:00+02:00"))).expect("parsed");
        let (campaign, _) = &provision.tenants[0].campaigns[0];
        assert_eq!(campaign.draft.starts_at_ms, Some(1_790_805_600_000));
    }
}
