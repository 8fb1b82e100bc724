//! Reading registry files: texts in, registries or a fault out.
//!
//! Two are other people's formats (the consent platform list and the Global Vendor List of IAB Europe, JSON), where
//! members that are not needed are skipped; the history is our own (TOML), where an unknown key is an error. A fault
//! names its line, or the entry and the field; it never shows more of the file.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::value::Datetime;

use super::{Registration, Vendors};
use crate::domain::tcf::CmpList;

/// The highest purpose that a TC string has room for.
const PURPOSE_MAX: u8 = 24;

/// What is wrong with a registry file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFault {
    /// It cannot be read as what it should be from this line on.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// An entry holds something impossible.
    #[error("{0}: {1}")]
    Field(String, &'static str),
}

#[derive(Deserialize)]
struct CmpFile {
    cmps: BTreeMap<String, CmpEntry>,
}

#[derive(Deserialize)]
struct CmpEntry {
    id: u16,
    #[serde(default, rename = "deletedDate")]
    deleted: Option<String>,
}

#[derive(Deserialize)]
struct ListFile {
    vendors: BTreeMap<String, ListEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListEntry {
    id: u16,
    purposes: Vec<u8>,
    leg_int_purposes: Vec<u8>,
    #[serde(default)]
    flexible_purposes: Vec<u8>,
    #[serde(default, rename = "deletedDate")]
    deleted: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryFile {
    vendor: Vec<Spanned<HistoryEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryEntry {
    id: u16,
    from: Datetime,
    until: Option<Datetime>,
    #[serde(default)]
    consent: Vec<u8>,
    #[serde(default)]
    legitimate_interest: Vec<u8>,
    #[serde(default)]
    flexible: Vec<u8>,
}

/// Reads a list of consent platforms (`cmp-list.json`).
pub fn cmp_list(text: &str) -> Result<CmpList, RegistryFault> {
    let file: CmpFile = json(text)?;
    let mut platforms = Vec::new();
    for (key, entry) in &file.cmps {
        let place = format!("cmps.{}", shown(key));
        same_id(&place, key, entry.id)?;
        if entry.id > 4_095 {
            return Err(field(&place, "id", "is more than 4095"));
        }
        platforms.push((entry.id, deleted(&place, entry.deleted.as_deref())?));
    }
    if platforms.is_empty() {
        // With an empty list no string at all could be used: somebody cut the file off.
        return Err(RegistryFault::Field("cmps".to_owned(), "names no platform"));
    }
    Ok(platforms.into_iter().collect())
}

/// Reads a Global Vendor List (`vendor-list.json`, versions 2 and 3): one moment, which is taken for all times.
pub fn vendor_list(text: &str) -> Result<Vendors, RegistryFault> {
    let file: ListFile = json(text)?;
    let mut vendors = Vendors::new();
    for (key, entry) in file.vendors {
        let place = format!("vendors.{}", shown(&key));
        same_id(&place, &key, entry.id)?;
        let registration = Registration {
            from_s: i64::MIN,
            until_s: deleted(&place, entry.deleted.as_deref())?,
            consent: entry.purposes,
            legitimate_interest: entry.leg_int_purposes,
            flexible: entry.flexible_purposes,
        };
        let names = ["purposes", "legIntPurposes", "flexiblePurposes"];
        check(&registration, names).map_err(|(name, why)| field(&place, name, why))?;
        vendors.insert(entry.id, vec![registration]);
    }
    if vendors.is_empty() {
        return Err(RegistryFault::Field("vendors".to_owned(), "names no vendor"));
    }
    Ok(vendors)
}

/// Reads the history of registrations: `[[vendor]]` tables with `id`, `from`, `until`, `consent`,
/// `legitimate_interest` and `flexible`.
pub fn registrations(text: &str) -> Result<Vendors, RegistryFault> {
    let line_of = |offset: usize| text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
    let file: HistoryFile = toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        RegistryFault::Line(line, error.message().to_owned())
    })?;
    let mut vendors = Vendors::new();
    for entry in file.vendor {
        let line = line_of(entry.span().start);
        let wrong = |name: &str, why: &str| RegistryFault::Line(line, format!("{name} {why}"));
        let entry = entry.into_inner();
        if entry.id == 0 {
            return Err(wrong("id", "must be 1 or more"));
        }
        let moment = |name: &str, at: &Datetime| {
            second_of(&at.to_string())
                .ok_or_else(|| wrong(name, "must be a date, or a date and time with its offset"))
        };
        let registration = Registration {
            from_s: moment("from", &entry.from)?,
            until_s: entry
                .until
                .as_ref()
                .map(|until| moment("until", until))
                .transpose()?,
            consent: entry.consent,
            legitimate_interest: entry.legitimate_interest,
            flexible: entry.flexible,
        };
        if registration
            .until_s
            .is_some_and(|until_s| until_s <= registration.from_s)
        {
            return Err(wrong("until", "must be after from"));
        }
        let names = ["consent", "legitimate_interest", "flexible"];
        check(&registration, names).map_err(|(name, why)| wrong(name, why))?;
        let others = vendors.entry(entry.id).or_default();
        if others.iter().any(|other| overlap(other, &registration)) {
            return Err(wrong("from", "falls into another registration of this vendor"));
        }
        others.push(registration);
    }
    if vendors.is_empty() {
        return Err(RegistryFault::Field("vendor".to_owned(), "names no vendor"));
    }
    Ok(vendors)
}

fn overlap(one: &Registration, other: &Registration) -> bool {
    let begins_before_end =
        |one: &Registration, other: &Registration| other.until_s.is_none_or(|until_s| one.from_s < until_s);
    begins_before_end(one, other) && begins_before_end(other, one)
}

/// Whether purposes are what a vendor can register; else the list at fault, by the name that it has in its file.
fn check(
    registration: &Registration,
    [consent, interest, flexible]: [&'static str; 3],
) -> Result<(), (&'static str, &'static str)> {
    let lists = [
        (consent, &registration.consent),
        (interest, &registration.legitimate_interest),
        (flexible, &registration.flexible),
    ];
    for (name, list) in lists {
        if list.iter().any(|purpose| !(1..=PURPOSE_MAX).contains(purpose)) {
            return Err((name, "holds a purpose that is not 1 to 24"));
        }
    }
    let on_consent = |purpose: &u8| registration.consent.contains(purpose);
    let on_interest = |purpose: &u8| registration.legitimate_interest.contains(purpose);
    if registration.legitimate_interest.iter().any(on_consent) {
        return Err((interest, "holds a purpose that is registered on consent"));
    }
    if registration
        .legitimate_interest
        .iter()
        .any(|purpose| matches!(purpose, 1 | 3..=6))
    {
        return Err((interest, "holds a purpose that knows only consent"));
    }
    let registered = |purpose: &u8| on_consent(purpose) || on_interest(purpose);
    if !registration.flexible.iter().all(registered) {
        return Err((flexible, "holds a purpose that is not registered"));
    }
    Ok(())
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, RegistryFault> {
    serde_json::from_str(text).map_err(|error| {
        let why = if error.is_data() {
            "a member is missing or not of the expected form"
        } else {
            "is not JSON"
        };
        RegistryFault::Line(error.line(), why.to_owned())
    })
}

fn field(place: &str, name: &str, why: &'static str) -> RegistryFault {
    RegistryFault::Field(format!("{place}.{name}"), why)
}

/// A key of the file as a fault may show it.
fn shown(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

fn same_id(place: &str, key: &str, id: u16) -> Result<(), RegistryFault> {
    if key.parse() == Ok(id) {
        Ok(())
    } else {
        Err(field(place, "id", "is not the key of its entry"))
    }
}

fn deleted(place: &str, text: Option<&str>) -> Result<Option<i64>, RegistryFault> {
    let read = |text| {
        second_of(text).ok_or_else(|| field(place, "deletedDate", "is not a date or time in RFC 3339"))
    };
    text.map(read).transpose()
}

/// A time with its offset, or a day from its first second in UTC on.
fn second_of(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp());
    let day = || {
        Some(
            text.parse::<NaiveDate>()
                .ok()?
                .and_hms_opt(0, 0, 0)?
                .and_utc()
                .timestamp(),
        )
    };
    time.ok().or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_other_people_are_read() {
        let cmps = r#"{"lastUpdated": "2026-11-01T00:00:00Z", "cmps": {
            "31": {"id": 31, "name": "A", "isCommercial": true},
            "300": {"id": 300, "name": "B", "deletedDate": "2025-01-01T00:00:00Z"}}}"#;
        let list: CmpList = [(31, None), (300, Some(1_735_689_600))].into_iter().collect();
        assert_eq!(cmp_list(cmps), Ok(list));
        let vendors = r#"{"gvlSpecificationVersion": 3, "vendorListVersion": 177, "vendors": {
            "755": {"id": 755, "name": "A", "purposes": [1, 7], "legIntPurposes": [2], "flexiblePurposes": [2, 7],
                "deletedDate": "2026-01-01T00:00:00Z", "features": []}}}"#;
        let registration = Registration {
            from_s: i64::MIN,
            until_s: Some(1_767_225_600),
            consent: vec![1, 7],
            legitimate_interest: vec![2],
            flexible: vec![2, 7],
        };
        assert_eq!(
            vendor_list(vendors),
            Ok(BTreeMap::from([(755, vec![registration])]))
        );
    }

    #[test]
    fn a_history_is_read_in_days_and_moments() {
        let text = "[[vendor]]\nid = 755\nfrom = 2025-01-01\nuntil = 2026-03-01T01:00:00+01:00\nconsent = [1]\n\
            [[vendor]]\nid = 755\nfrom = 2026-03-01\nconsent = [1, 7]\n";
        let vendors = registrations(text).expect("read");
        let times: Vec<(i64, Option<i64>)> = vendors[&755]
            .iter()
            .map(|one| (one.from_s, one.until_s))
            .collect();
        assert_eq!(
            times,
            [(1_735_689_600, Some(1_772_323_200)), (1_772_323_200, None)]
        );
    }

    #[test]
    fn a_fault_names_its_place() {
        let at = |line, words: &str| RegistryFault::Line(line, words.to_owned());
        let vendor = |rest: &str| registrations(&format!("[[vendor]]\nid = 755\nfrom = 2026-01-01\n{rest}"));
        for (rest, fault) in [
            ("until = 2026-01-01\n", at(1, "until must be after from")),
            (
                "consent = [0]\n",
                at(1, "consent holds a purpose that is not 1 to 24"),
            ),
            (
                "consent = [7]\nlegitimate_interest = [7]\n",
                at(
                    1,
                    "legitimate_interest holds a purpose that is registered on consent",
                ),
            ),
            (
                "legitimate_interest = [3]\n",
                at(1, "legitimate_interest holds a purpose that knows only consent"),
            ),
            (
                "flexible = [7]\n",
                at(1, "flexible holds a purpose that is not registered"),
            ),
            (
                "[[vendor]]\nid = 755\nfrom = 2026-06-01\n",
                at(4, "from falls into another registration of this vendor"),
            ),
        ] {
            assert_eq!(vendor(rest), Err(fault), "{rest}");
        }
        let Err(RegistryFault::Line(4, _)) = vendor("purposes = [1]\n") else {
            panic!("an unknown key")
        };
        let Err(RegistryFault::Line(2, _)) = cmp_list("{\"cmps\": {\n\"31\": {\"id\": \"x\"}}}") else {
            panic!("no number")
        };
        let Err(RegistryFault::Line(1, _)) = vendor_list("<html>") else {
            panic!("no JSON")
        };
        let named = |fault: RegistryFault| fault.to_string();
        assert_eq!(
            cmp_list(r#"{"cmps": {"31": {"id": 32}}}"#).map_err(named),
            Err("cmps.31.id: is not the key of its entry".to_owned())
        );
        assert_eq!(
            cmp_list(r#"{"cmps": {"31": {"id": 31, "deletedDate": "soon"}}}"#).map_err(named),
            Err("cmps.31.deletedDate: is not a date or time in RFC 3339".to_owned())
        );
        assert!(cmp_list(r#"{"cmps": {}}"#).is_err());
    }
}
