//! What `production = true` refuses: defaults that are right for a trial and wrong for people's data.
//!
//! Each refusal is one sentence that says what to change. The root key's file is not among them: one that others can
//! read is refused always, and so is an operator key that could be guessed.

use std::net::SocketAddr;

use super::config::{Config, DEFAULT_AUDIT_NAME};
use super::{demo, first_run};
use crate::domain::routing::Routing;

/// An unsafe default.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Metrics tell outsiders how much traffic there is, and need no key.
    #[error("In production the management listener has to be on a loopback address, and {0} is none.")]
    Management(SocketAddr),
    /// The trial's keys were shown on a terminal, and its publisher's contract is made up.
    #[error(
        "In production there must be no trial tenant: archive tenant {0}, or start with an empty database."
    )]
    TrialTenant(&'static str),
    /// A log under a made-up name cannot be told from anybody else's.
    #[error(
        "In production audit_name has to be set to a host name of yours: the audit logs' origins begin with it."
    )]
    AuditName,
    /// Whoever may look at a process's environment has its root key.
    #[error("In production the root key has to come from a file or a command, not from EINKLANG_ROOT_KEY.")]
    RootKeyInEnvironment,
    /// The demo tells everyone its own keys.
    #[error("The demo does not run in production.")]
    Demo,
}

/// Refuses what the configuration alone tells.
pub fn check_config(config: &Config) -> Result<(), Unsafe> {
    if config.production && !config.management_listen.ip().to_canonical().is_loopback() {
        return Err(Unsafe::Management(config.management_listen));
    }
    if config.production && config.audit_name == DEFAULT_AUDIT_NAME {
        return Err(Unsafe::AuditName);
    }
    if config.production && config.roots.text.is_some() {
        return Err(Unsafe::RootKeyInEnvironment);
    }
    Ok(())
}

/// Refuses tenants that were only made for trying out.
pub fn check_tenants(config: &Config, routing: &Routing) -> Result<(), Unsafe> {
    if !config.production {
        return Ok(());
    }
    for slug in [first_run::TENANT, demo::TENANT] {
        let is_trial = |tenant: &crate::domain::campaign::Tenant| {
            tenant.slug == slug && tenant.object.archived_at_ms.is_none()
        };
        if routing.tenants.values().any(|route| is_trial(&route.tenant)) {
            return Err(Unsafe::TrialTenant(slug));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Options;

    fn config(management: &str, production: bool) -> Config {
        let options = Options {
            management_listen: Some(management.parse().expect("an address")),
            production: Some(production),
            audit_name: Some("tracker.example".to_owned()),
            ..Options::default()
        };
        Config::load(options).expect("a configuration")
    }

    #[test]
    fn production_names_its_logs() {
        let named = config("127.0.0.1:9090", true);
        let unnamed = Config {
            audit_name: DEFAULT_AUDIT_NAME.to_owned(),
            ..named
        };
        assert_eq!(check_config(&unnamed), Err(Unsafe::AuditName));
    }

    #[test]
    fn a_root_key_in_the_environment_is_for_trials() {
        let mut config = config("127.0.0.1:9090", true);
        config.roots.text = Some("x".to_owned().into());
        assert_eq!(check_config(&config), Err(Unsafe::RootKeyInEnvironment));
        config.production = false;
        assert_eq!(check_config(&config), Ok(()));
    }

    #[test]
    fn management_stays_on_this_machine_in_production_only() {
        let open = config("0.0.0.0:9090", true);
        assert_eq!(
            check_config(&open),
            Err(Unsafe::Management(open.management_listen))
        );
        assert_eq!(check_config(&config("0.0.0.0:9090", false)), Ok(()));
        for safe in [
            "127.0.0.1:9090",
            "127.8.0.1:1",
            "[::1]:9090",
            "[::ffff:127.0.0.1]:9090",
        ] {
            assert_eq!(check_config(&config(safe, true)), Ok(()), "{safe}");
        }
    }
}
