//! The registry files that the configuration names: read once, at start, or nothing starts.
//!
//! A server that went on without a list that it was told to use would take for consent what the list says is none.

use std::path::{Path, PathBuf};

use super::config::Config;
use crate::domain::registry::{self, Registries, RegistryFault};

/// Why a registry file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be read.
    #[error("The registry file {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is not what it should be.
    #[error("The registry file {0} is wrong: {1}")]
    Wrong(PathBuf, #[source] RegistryFault),
}

/// Reads what the configuration names.
pub fn load(config: &Config) -> Result<Registries, RegistryError> {
    Ok(Registries {
        cmps: read(config.cmp_list_file.as_deref(), registry::cmp_list)?,
        history: read(
            config.vendor_registrations_file.as_deref(),
            registry::registrations,
        )?,
        list: read(config.vendor_list_file.as_deref(), registry::vendor_list)?,
    })
}

fn read<T>(
    file: Option<&Path>,
    parse: impl Fn(&str) -> Result<T, RegistryFault>,
) -> Result<Option<T>, RegistryError> {
    let Some(path) = file else { return Ok(None) };
    let text =
        std::fs::read_to_string(path).map_err(|error| RegistryError::Unreadable(path.to_owned(), error))?;
    let registry = parse(&text).map_err(|fault| RegistryError::Wrong(path.to_owned(), fault))?;
    Ok(Some(registry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Options;

    fn with(
        name: &str,
        text: Option<&str>,
        name_it: impl Fn(&mut Options, PathBuf),
    ) -> Result<Registries, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).expect("written");
        }
        let mut options = Options::default();
        name_it(&mut options, path);
        let config = Config::load(options).expect("a configuration");
        load(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn each_file_is_read_from_where_the_configuration_says() {
        let cmps = with(
            "cmp-list.json",
            Some(r#"{"cmps": {"31": {"id": 31}}}"#),
            |options, path| {
                options.cmp_list_file = Some(path);
            },
        );
        assert!(cmps.expect("read").cmps.is_some());
        let history = "[[vendor]]\nid = 755\nfrom = 2025-01-01\nconsent = [1, 7]\n";
        let vendors = with("ours.toml", Some(history), |options, path| {
            options.vendor_registrations_file = Some(path);
        });
        assert!(vendors.expect("read").names(755));
        let list = r#"{"vendors": {"755": {"id": 755, "purposes": [1], "legIntPurposes": []}}}"#;
        let vendors = with("vendor-list.json", Some(list), |options, path| {
            options.vendor_list_file = Some(path);
        });
        assert!(vendors.expect("read").names(755));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_place() {
        let name_it = |options: &mut Options, path| options.cmp_list_file = Some(path);
        let missing = with("cmp-list.json", None, name_it).expect_err("not there");
        assert!(missing.contains("cmp-list.json cannot be read"), "{missing}");
        let wrong = with("cmp-list.json", Some("{\n\"cmps\": 7}"), name_it).expect_err("wrong");
        assert!(wrong.contains("cmp-list.json is wrong: line 2"), "{wrong}");
    }
}
