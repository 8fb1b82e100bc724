//! The demo's tenant: a provisioning file like any other, filled in and kept in the demo's folder.
//!
//! The file is where the demo remembers its keys, since the database keeps digests only: a second start reads them
//! back, so that URLs and keys that were noted down go on working. It is readable by its owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::domain::credential::{Environment, api_key};
use crate::domain::provision::{Provision, parse};
use crate::flow::Live;
use crate::flow::provision::ProvisionFlow;

use super::{DemoError, TENANT, write_whole};

/// The name of the file in the demo's folder.
pub const FILE_NAME: &str = "demo.toml";
const TEMPLATE: &str = include_str!("tenant.toml");
/// The places for keys, each with the object that it belongs to.
const KEYS: [(&str, &str); 4] = [
    ("<shop key>", "online-abschluss"),
    ("<broker key>", "maklerportal"),
    ("<manager key>", "leitung"),
    ("<auditor key>", "revision"),
];

/// The keys in plain.
pub struct Keys(BTreeMap<String, Zeroizing<String>>);

impl Keys {
    /// The key of a shop or user. There is one for each that the demo names.
    pub fn of(&self, owner: &str) -> &str {
        self.0.get(owner).map_or("", |key| key.as_str())
    }

    /// The demo shop's key.
    pub fn shop(&self) -> &str {
        self.of("online-abschluss")
    }

    /// The other shop's key.
    pub fn broker(&self) -> &str {
        self.of("maklerportal")
    }

    /// The manager's key.
    pub fn manager(&self) -> &str {
        self.of("leitung")
    }
}

/// Whether the tenant is there already.
pub fn is_there(live: &Live) -> bool {
    live.routing()
        .tenants
        .values()
        .any(|route| route.tenant.slug == TENANT)
}

/// Writes the file with the demo shop's address and applies it. Keys that it already has stay as they are.
pub async fn provision(folder: &Path, live: &Arc<Live>, shop_url: &str) -> Result<Keys, DemoError> {
    let path = folder.join(FILE_NAME);
    let file = |source| DemoError::File {
        path: path.clone(),
        source,
    };
    let known = match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => known_keys(&parse(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(file(error)),
    };
    let keys = Keys(with_missing(known, live));
    let text = filled(&keys, shop_url);
    write_whole(&path, &text)?;
    ProvisionFlow::new(Arc::clone(live)).apply(&parse(&text)?).await?;
    Ok(keys)
}

fn known_keys(provision: &Provision) -> BTreeMap<String, Zeroizing<String>> {
    let mut keys = BTreeMap::new();
    for tenant in &provision.tenants {
        let shops = tenant
            .shops
            .iter()
            .map(|plan| (&plan.shop.draft.slug, &plan.api_key));
        let users = tenant
            .users
            .iter()
            .map(|plan| (&plan.user.draft.name, &plan.api_key));
        let given = shops
            .chain(users)
            .filter_map(|(owner, key)| Some((owner.clone(), key.clone()?)));
        keys.extend(given);
    }
    keys
}

fn with_missing(
    mut keys: BTreeMap<String, Zeroizing<String>>,
    live: &Live,
) -> BTreeMap<String, Zeroizing<String>> {
    for (_, owner) in KEYS {
        keys.entry(owner.to_owned())
            .or_insert_with(|| api_key(Environment::Test, &live.random()));
    }
    keys
}

fn filled(keys: &Keys, shop_url: &str) -> Zeroizing<String> {
    let host = shop_url
        .trim_start_matches("http://")
        .rsplit_once(':')
        .map_or(shop_url, |(host, _)| host);
    let mut text = Zeroizing::new(
        TEMPLATE
            .replace("<shop url>", shop_url)
            .replace("<shop host>", host),
    );
    for (place, owner) in KEYS {
        *text = text.replace(place, keys.of(owner));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::landing::Template;

    fn keys() -> Keys {
        let key = |(place, owner): (usize, &str)| {
            (owner.to_owned(), Zeroizing::new(format!("ek_test_{place:024}")))
        };
        Keys(
            KEYS.iter()
                .map(|(_, owner)| *owner)
                .enumerate()
                .map(key)
                .collect(),
        )
    }

    #[test]
    fn the_filled_file_parses_and_gives_its_keys_back() {
        for url in [
            "http://localhost:8081",
            "http://[::1]:8081",
            "http://192.0.2.7:80",
        ] {
            let text = filled(&keys(), url);
            assert!(!text.contains('<'), "a place is left over");
            let provision = parse(&text).expect("parses");
            assert_eq!(known_keys(&provision), keys().0);
            let (campaign, _) = &provision.tenants[0].campaigns[0];
            assert!(campaign.draft.landing_url.starts_with(&format!("{url}/landung?")));
            let landing = Template::parse(&campaign.draft.landing_url).expect("a template");
            assert_eq!(
                provision.tenants[0].shops[0].shop.draft.landing_hosts,
                [landing.host()]
            );
        }
    }
}
