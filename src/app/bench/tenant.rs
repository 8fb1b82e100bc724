//! The tenant of a benchmark.

use std::fmt::Write as _;

use super::tc_string;

/// Links of as many campaigns; the first is the one that rounds use.
const LINKS: usize = 20;

/// Their slugs.
pub(super) fn links() -> Vec<String> {
    (0..LINKS).map(|number| format!("Ab3xK{number:02}")).collect()
}

/// The tenant whose publisher's own word may grant, under the strictest policy.
pub(super) fn tenant(key: &str) -> String {
    let vendor = tc_string::VENDOR;
    let mut file = format!(
        r#"
[[tenant]]
slug = "bench"
policy = "strict_opt_in"
time_zone = "Europe/Berlin"
tcf_vendor_id = {vendor}
[[tenant.shop]]
slug = "main"
landing_hosts = ["shop.example"]
currency = "EUR"
api_key = "{key}"
[[tenant.publisher]]
slug = "news"
explicit_consent = "notice-2026-03"
"#
    );
    for link in links() {
        // Writing into a string cannot fail.
        let _ = write!(
            file,
            r#"
[[tenant.campaign]]
slug = "of-{link}"
shop = "main"
landing_url = "https://shop.example/landing?utm_source={{publisher}}"
goals = ["order"]
[[tenant.link]]
slug = "{link}"
campaign = "of-{link}"
publisher = "news"
"#
        );
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::provision;

    #[test]
    fn the_tenant_of_the_benchmark_can_be_provisioned() {
        let provision = provision::parse(&tenant("ek_test_0123456789abcdef01234567")).expect("a file");
        let plan = provision.tenants.first().expect("a tenant");
        assert_eq!(
            (plan.shops.len(), plan.links.len(), plan.campaigns.len()),
            (1, LINKS, LINKS)
        );
    }
}
