//! TC strings at a click: a string that allows our vendor what tracking needs is a grant, and nothing else is.
//!
//! The strings are those of `vectors/signals.jsonl`. Each gets tenants with vendor ids that its checks name.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::harness::app::{Setup, TestApp};
use crate::harness::clock::START_S;

const VECTORS: &str = include_str!("../vectors/signals.jsonl");

/// What a signal may be long, in characters.
const LONGEST: usize = 16_384;

/// A string, the vendor that it is read for, and the reason under which its click is counted, if it is not tracked.
struct Case {
    id: String,
    string: String,
    vendor: u64,
    counted: Option<&'static str>,
}

/// What a check of purposes 1 (access) and 7 (measurement) by consent says about each vendor.
fn allowed(row: &Value) -> BTreeMap<u64, Vec<(u64, bool)>> {
    let mut vendors: BTreeMap<u64, Vec<(u64, bool)>> = BTreeMap::new();
    for check in row["checks"].as_array().into_iter().flatten() {
        let (vendor, purpose) = (
            check["vendor"].as_u64().unwrap_or(0),
            check["purpose"].as_u64().unwrap_or(0),
        );
        if [1, 7].contains(&purpose) && check["declared"] == "consent" {
            vendors
                .entry(vendor)
                .or_default()
                .push((purpose, check["allowed"] == true));
        }
    }
    vendors.retain(|vendor, purposes| *vendor > 0 && purposes.len() == 2);
    vendors
}

fn cases() -> Vec<Case> {
    let rows = VECTORS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a row"));
    // The longest ones do not fit into a request's head: the listener refuses those before anybody reads them.
    let sendable = rows.filter(|row| {
        row["kind"] == "tcf" && row["input"].as_str().is_some_and(|text| text.len() <= LONGEST)
    });
    let mut cases = Vec::new();
    for row in sendable {
        let case = |vendor, counted| Case {
            id: row["id"].as_str().expect("an id").to_owned(),
            string: row["input"].as_str().expect("a string").to_owned(),
            vendor,
            counted,
        };
        let at = row["now"].as_str().map(|now| {
            chrono::DateTime::parse_from_rfc3339(now)
                .expect("a time")
                .timestamp()
        });
        if row["expect"] == "invalid" {
            cases.push(case(755, Some("consent_malformed")));
        } else if at != Some(START_S)
            || row.get("cmp_list").is_some()
            || row["decoded"]["purpose_one_treatment"] == true
        {
            // Another time, a list of CMPs, or purpose 1 not asked: the decoder's own tests have them.
        } else if row["usable"] == false {
            cases.push(case(755, Some("consent_missing")));
        } else {
            for (vendor, purposes) in allowed(&row) {
                let all = purposes.iter().all(|(_, allowed)| *allowed);
                cases.push(case(vendor, (!all).then_some("consent_denied")));
            }
        }
    }
    cases
}

fn file(cases: &[Case]) -> String {
    let mut vendors: Vec<u64> = cases.iter().map(|case| case.vendor).collect();
    vendors.sort_unstable();
    vendors.dedup();
    let mut file = String::new();
    for vendor in vendors {
        write!(
            file,
            "[[tenant]]\nslug = \"vendor-{vendor}\"\ntcf_vendor_id = {vendor}\n\
             [[tenant.shop]]\nslug = \"main\"\nlanding_hosts = [\"shop.example\"]\ncurrency = \"EUR\"\n\
             [[tenant.publisher]]\nslug = \"news\"\n\
             [[tenant.campaign]]\nslug = \"autumn\"\nshop = \"main\"\nlanding_url = \"https://shop.example/\"\n\
             [[tenant.link]]\nslug = \"V{vendor}\"\ncampaign = \"autumn\"\npublisher = \"news\"\n"
        )
        .expect("written");
    }
    file
}

both!(
    a_string_grants_what_it_allows,
    Setup::default().provision(""),
    async |app: &TestApp| {
        let cases = cases();
        app.provision(&file(&cases)).await;
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        for case in &cases {
            let untracked = async || app.ledger.by_name("stat_untracked", "reason", "1 = 1").await;
            let before = untracked().await;
            let query =
                serde_urlencoded::to_string([("gdpr", "1"), ("gdpr_consent", &case.string)]).expect("pairs");
            let click = app.click(&format!("V{}", case.vendor), &query).await;
            assert_eq!(
                click.token.is_none(),
                case.counted.is_some(),
                "{} for {}",
                case.id,
                case.vendor
            );
            let mut after = untracked().await;
            after.retain(|reason, events| before.get(reason) != Some(events));
            let counted: Vec<&str> = after.keys().map(String::as_str).collect();
            assert_eq!(
                counted,
                case.counted.into_iter().collect::<Vec<_>>(),
                "{} for {}",
                case.id,
                case.vendor
            );
            *outcomes.entry(case.counted.unwrap_or("tracked")).or_default() += 1;
        }
        println!("{} clicks with TC strings: {outcomes:?}", cases.len());
        assert!(outcomes.len() == 4 && outcomes["tracked"] >= 5, "{outcomes:?}");
    }
);
