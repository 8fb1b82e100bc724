//! The TCF decoder against every TC string of the vectors, and against strings nobody should have written.
//!
//! Promise: for each vector the decoder agrees in all three answers: every field, usable at several times,
//! every permission. `hostile` holds the strings that are made up here.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::DateTime;
use einklang::domain::tcf::{
    Basis, CmpList, Flags, LONGEST_AGE_SECONDS, RestrictionType, TcString, Unusable, VERSION, VendorRange,
    VendorSet, decode,
};
use serde_json::{Value, json};

#[path = "tcf/hostile.rs"]
mod hostile;

const VECTORS: &str = include_str!("vectors/signals.jsonl");

type Outcome = Result<(), Box<dyn Error>>;

fn vectors(expect: &str) -> Result<Vec<Value>, serde_json::Error> {
    let mut rows = VECTORS
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    rows.retain(|row| row["kind"] == "tcf" && row["expect"] == expect);
    Ok(rows)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn epoch_s(value: &Value) -> Result<i64, chrono::ParseError> {
    DateTime::parse_from_rfc3339(text(value)).map(|time| time.timestamp())
}

fn listed(row: &Value, key: &str) -> Vec<Value> {
    row[key].as_array().cloned().unwrap_or_default()
}

// ---- what was decoded, written the way the vectors write it ----

fn numbers(flags: Flags) -> Value {
    json!(flags.iter().collect::<Vec<_>>())
}

fn pairs(ranges: &[VendorRange]) -> Value {
    json!(
        ranges
            .iter()
            .map(|range| [range.first, range.last])
            .collect::<Vec<_>>()
    )
}

fn encoding(set: &VendorSet) -> &'static str {
    if set.is_range_encoded() {
        "range"
    } else {
        "bitfield"
    }
}

fn time(epoch_s: i64) -> Value {
    json!(DateTime::from_timestamp(epoch_s, 0).map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

fn written(tc: &TcString) -> Value {
    let restriction = |entry: (u8, RestrictionType, &[VendorRange])| {
        let (purpose, kind, vendors) = entry;
        json!({"purpose": purpose, "type": kind.number(), "vendors": pairs(vendors)})
    };
    json!({
        "version": VERSION,
        "created": time(tc.created_s()),
        "last_updated": time(tc.last_updated_s()),
        "cmp_id": tc.cmp_id(),
        "cmp_version": tc.cmp_version(),
        "consent_screen": tc.consent_screen(),
        "consent_language": tc.consent_language(),
        "vendor_list_version": tc.vendor_list_version(),
        "policy_version": tc.policy_version(),
        "is_service_specific": tc.is_service_specific(),
        "use_non_standard_texts": tc.use_non_standard_texts(),
        "special_feature_opt_ins": numbers(tc.special_feature_opt_ins()),
        "purposes_consent": numbers(tc.purposes_consent()),
        "purposes_li": numbers(tc.purposes_li()),
        "purpose_one_treatment": tc.purpose_one_treatment(),
        "publisher_cc": tc.publisher_cc(),
        "vendor_consent_max": tc.vendor_consents().max_vendor_id(),
        "vendor_consents": pairs(&tc.vendor_consents().ranges()),
        "vendor_consent_encoding": encoding(tc.vendor_consents()),
        "vendor_li_max": tc.vendor_li().max_vendor_id(),
        "vendor_li": pairs(&tc.vendor_li().ranges()),
        "vendor_li_encoding": encoding(tc.vendor_li()),
        "publisher_restrictions": tc.restrictions().map(restriction).collect::<Vec<_>>(),
        "disclosed_vendors": tc.disclosed_vendors().map(|set| pairs(&set.ranges())),
        "publisher_tc": tc.publisher_tc().map(|publisher| json!({
            "consents": numbers(publisher.consents),
            "li": numbers(publisher.li),
            "num_custom": publisher.custom_consents.count(),
            "custom_consents": numbers(publisher.custom_consents),
            "custom_li": numbers(publisher.custom_li),
        })),
    })
}

// ---- the vectors ----

fn cmp_list(row: &Value) -> Result<Option<CmpList>, Box<dyn Error>> {
    let Some(entries) = row.get("cmp_list").and_then(Value::as_object) else {
        return Ok(None);
    };
    let mut list = BTreeMap::new();
    for (id, entry) in entries {
        list.insert(id.parse()?, entry.get("deletedDate").map(epoch_s).transpose()?);
    }
    Ok(Some(list.into_iter().collect()))
}

/// The reason must be the first one the vector lists, not merely some reason.
fn check_usable(tc: &TcString, row: &Value, at: &Value, because: &str) -> Result<bool, Box<dyn Error>> {
    let answer = tc.usable(epoch_s(&at["now"])?, LONGEST_AGE_SECONDS, cmp_list(row)?.as_ref());
    assert_eq!(
        json!(answer.is_ok()),
        at["usable"],
        "{} at {}",
        row["id"],
        at["now"]
    );
    let reason = answer.err().map(Unusable::code);
    assert_eq!(
        json!(reason),
        at[because].get(0).cloned().unwrap_or_default(),
        "{} at {}",
        row["id"],
        at["now"]
    );
    Ok(answer.is_ok())
}

#[test]
fn every_valid_vector_is_read_in_full() -> Outcome {
    let rows = vectors("valid")?;
    assert_eq!(rows.len(), 114);
    for row in rows {
        let tc = decode(text(&row["input"])).map_err(|error| format!("{}: {error}", row["id"]))?;
        assert_eq!(written(&tc), row["decoded"], "{}", row["id"]);
    }
    Ok(())
}

#[test]
fn every_valid_vector_is_judged_alike() -> Outcome {
    let (mut times, mut permissions) = (0, 0);
    for row in vectors("valid")? {
        let tc = decode(text(&row["input"]))?;
        let usable_now = check_usable(&tc, &row, &row, "not_usable_because")?;
        for at in listed(&row, "also_at") {
            check_usable(&tc, &row, &at, "because")?;
            times += 1;
        }
        for check in listed(&row, "checks") {
            let vendor = u16::try_from(check["vendor"].as_u64().ok_or("vendor")?)?;
            let purpose = u8::try_from(check["purpose"].as_u64().ok_or("purpose")?)?;
            let declared = if check["declared"] == "li" {
                Basis::LegitimateInterest
            } else {
                Basis::Consent
            };
            let flexible = check["flexible"].as_bool().ok_or("flexible")?;
            let allowed = usable_now && tc.allows(vendor, purpose, declared, flexible);
            assert_eq!(json!(allowed), check["allowed"], "{} {check}", row["id"]);
            permissions += 1;
        }
    }
    assert!(
        times > 400 && permissions > 2_500,
        "the vectors were not read: {times} {permissions}"
    );
    Ok(())
}

#[test]
fn every_invalid_vector_is_refused() -> Outcome {
    let rows = vectors("invalid")?;
    assert_eq!(rows.len(), 69);
    for row in rows {
        assert!(
            decode(text(&row["input"])).is_err(),
            "{} {}",
            row["id"],
            row["tags"]
        );
    }
    Ok(())
}
