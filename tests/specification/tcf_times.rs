//! TC strings: whether a well-formed one may be relied on, at the borders of every rule.

use serde_json::json;

use super::Case;
use super::encode::{NOW_S, Set, Tc};
use super::tcf::{Change, with};

const DAY_S: i64 = 86_400;
const NOW: &str = "2026-11-24T12:00:00Z";
/// 2026-03-01T00:00Z, from when on the Disclosed Vendors segment is required.
const DISCLOSURE_S: i64 = 1_772_323_200;

pub fn cases() -> Vec<Case> {
    let mut cases = dates();
    cases.extend(contents());
    cases.extend(platforms());
    cases
}

fn judged(about: impl Into<String>, tc: &Tc, now: &str, because: &[&str]) -> Case {
    Case::new(
        about,
        json!({"kind": "tcf", "input": tc.text(), "now": now}),
        json!({"expect": "valid", "usable": because.is_empty(), "not_usable_because": because}),
    )
}

/// Created, updated, whether vendors were disclosed, and what is wrong with that.
fn dates() -> Vec<Case> {
    let day = |days: i64| NOW_S + days * DAY_S;
    let rows: [(&str, i64, i64, bool, &[&str]); 13] = [
        ("now", day(0), day(0), true, &[]),
        (
            "undisclosed on the border",
            DISCLOSURE_S,
            DISCLOSURE_S,
            false,
            &["disclosed_vendors_missing"],
        ),
        (
            "undisclosed the second before",
            DISCLOSURE_S - 1,
            DISCLOSURE_S - 1,
            false,
            &[],
        ),
        (
            "undisclosed, updated on the border",
            DISCLOSURE_S - 9,
            DISCLOSURE_S,
            false,
            &["disclosed_vendors_missing"],
        ),
        (
            "disclosed before the border",
            DISCLOSURE_S - 1,
            DISCLOSURE_S - 1,
            true,
            &[],
        ),
        ("48 hours ahead", day(2), day(2), true, &[]),
        (
            "48 hours and a second ahead",
            day(2) + 1,
            day(2) + 1,
            true,
            &["created_in_future"],
        ),
        (
            "updated far ahead",
            day(0),
            day(400),
            true,
            &["created_in_future"],
        ),
        (
            "updated a second before it was made",
            day(0),
            day(0) - 1,
            true,
            &["timestamps_inconsistent"],
        ),
        ("395 days old", day(-395), day(-395), false, &[]),
        (
            "395 days and a second old",
            day(-395) - 1,
            day(-395) - 1,
            false,
            &["expired"],
        ),
        ("old and renewed", day(-800), day(-1), true, &[]),
        ("of 1970", 0, 0, false, &["expired"]),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(about, created_s, updated_s, is_disclosed, because)| {
            let tc = with(|tc| {
                (tc.created_s, tc.updated_s) = (created_s, updated_s);
                tc.disclosed = tc.disclosed.take().filter(|_| is_disclosed);
            });
            judged(about, &tc, NOW, because)
        })
        .collect();
    let usual = Tc::default();
    cases.push(judged(
        "at a time with an offset",
        &usual,
        "2026-11-24T13:00:00+01:00",
        &[],
    ));
    cases.push(judged(
        "before it was made",
        &usual,
        "2026-11-14T23:59:59Z",
        &["created_in_future"],
    ));
    cases.push(judged("long after", &usual, "2028-01-01T00:00:00Z", &["expired"]));
    cases
}

fn contents() -> Vec<Case> {
    let rows: [(&str, Change, &[&str]); 3] = [
        (
            "the other scope",
            |tc| tc.service_specific = false,
            &["global_scope"],
        ),
        (
            "nobody disclosed is disclosed",
            |tc| tc.disclosed = Some(Set::none()),
            &[],
        ),
        ("a string that grants nothing", |tc| tc.consents.clear(), &[]),
    ];
    let mut cases: Vec<Case> = rows
        .into_iter()
        .map(|(about, change, because)| judged(about, &with(change), NOW, because))
        .collect();
    for policy_version in 0..=8 {
        let because: &[&str] = if policy_version < 4 {
            &["policy_version_too_old"]
        } else {
            &[]
        };
        let tc = with(|tc| tc.policy_version = policy_version);
        cases.push(judged(
            format!("policy version {policy_version}"),
            &tc,
            NOW,
            because,
        ));
    }
    let everything = with(|tc| {
        (tc.service_specific, tc.policy_version, tc.cmp_id) = (false, 2, 1);
        (tc.created_s, tc.updated_s) = (NOW_S - 500 * DAY_S, NOW_S - 501 * DAY_S);
    });
    let all = [
        "global_scope",
        "policy_version_too_old",
        "timestamps_inconsistent",
        "expired",
        "cmp_id_invalid",
    ];
    cases.push(judged("everything at once", &everything, NOW, &all));
    cases
}

fn platforms() -> Vec<Case> {
    let mut cases = Vec::new();
    let rows: [(u16, &[&str]); 4] = [
        (0, &["cmp_id_invalid"]),
        (1, &["cmp_id_invalid"]),
        (2, &[]),
        (4_095, &[]),
    ];
    for (cmp_id, because) in rows {
        let tc = with(|tc| tc.cmp_id = cmp_id);
        cases.push(judged(format!("CMP {cmp_id}"), &tc, NOW, because));
    }
    let list = json!({"31": {}, "32": {"deletedDate": NOW}, "33": {"deletedDate": "2026-11-24T12:00:01Z"}});
    let rows: [(u16, &[&str]); 4] = [
        (31, &[]),
        (32, &["cmp_deleted"]),
        (33, &[]),
        (34, &["cmp_not_registered"]),
    ];
    for (cmp_id, because) in rows {
        let tc = with(|tc| tc.cmp_id = cmp_id);
        let mut case = judged(format!("CMP {cmp_id} and the list"), &tc, NOW, because);
        case.question["cmp_list"] = list.clone();
        cases.push(case);
    }
    cases
}
