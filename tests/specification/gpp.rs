//! GPP strings: "Global Privacy Platform String", the header and how sections are found.

use serde_json::json;

use super::Case;
use super::encode::{Bits, gpp, gpp_header};

pub fn cases() -> Vec<Case> {
    let mut cases = identifiers();
    cases.extend(headers());
    cases.extend(envelopes());
    cases
}

fn ids(about: impl Into<String>, text: &str, ids: &[u16]) -> Case {
    Case::valid(about, "gpp", text, &json!({"section_ids": ids}))
}

/// Every id by itself: the Fibonacci code has another shape for each.
fn identifiers() -> Vec<Case> {
    let mut cases = Vec::new();
    for id in (1..=64).chain([89, 90, 1_000, 46_368, 65_535]) {
        cases.push(ids(format!("section {id}"), &gpp(&[(id, "QQ")]), &[id]));
    }
    for set in [
        vec![2, 6],
        vec![5, 6],
        vec![2, 6, 8],
        vec![6, 7, 8],
        vec![1, 2, 3, 4, 5, 6, 7],
        vec![2, 5, 6, 7, 9, 10, 27, 64],
        (7..=27).collect(),
        (1..=200).collect(),
    ] {
        let sections: Vec<(u16, &str)> = set.iter().map(|id| (*id, "QQ")).collect();
        cases.push(ids(format!("sections {set:?}"), &gpp(&sections), &set));
    }
    cases
}

fn headers() -> Vec<Case> {
    let usual = gpp_header(&[6]);
    let with = |text: &str| format!("{text}~1YNN");
    let mut cases = Vec::new();
    for unit in [1, 6, 8, 24] {
        cases.push(ids(
            format!("filled up to {unit} bits"),
            &with(&usual.text(unit)),
            &[6],
        ));
    }
    for kind in [0, 1, 2, 4, 63] {
        let mut bits = usual.clone();
        let mut wrong = Bits::default();
        wrong.put(kind, 6);
        bits.0.splice(0..6, wrong.0);
        cases.push(Case::invalid(
            format!("type {kind}"),
            "gpp",
            &with(&bits.text(6)),
            "bad_header_type",
        ));
    }
    for version in [0, 2, 63] {
        let mut bits = usual.clone();
        let mut wrong = Bits::default();
        wrong.put(version, 6);
        bits.0.splice(6..12, wrong.0);
        cases.push(Case::invalid(
            format!("version {version}"),
            "gpp",
            &with(&bits.text(6)),
            "unsupported_version",
        ));
    }
    let start = || {
        let mut bits = Bits::default();
        bits.put(3, 6).put(1, 6);
        bits
    };
    let mut written = |about: &str, reason: &str, fill: &dyn Fn(&mut Bits)| {
        let mut bits = start();
        fill(&mut bits);
        cases.push(Case::invalid(about, "gpp", &with(&bits.text(6)), reason));
    };
    written("no list", "truncated", &|_| {});
    written("a count and nothing behind it", "truncated", &|bits| {
        bits.put(1, 12);
    });
    written("a count that promises more", "truncated", &|bits| {
        bits.put(2, 12).put(0, 1).fibonacci(6);
    });
    written("a number without an end", "truncated", &|bits| {
        bits.put(1, 12).put(0, 1).put(0b10_1010, 6);
    });
    written("a number that never ends", "id_too_large", &|bits| {
        bits.put(1, 12).put(0, 1);
        bits.0.extend([false; 90]);
    });
    written("an id beyond 65,535", "id_too_large", &|bits| {
        bits.put(1, 12).put(0, 1).fibonacci(65_536);
    });
    written("ids that add up beyond 65,535", "id_too_large", &|bits| {
        bits.put(2, 12)
            .put(0, 1)
            .fibonacci(40_000)
            .put(0, 1)
            .fibonacci(40_000);
    });
    written("a group of 65,000", "section_count", &|bits| {
        bits.put(1, 12).put(1, 1).fibonacci(1).fibonacci(65_000);
    });
    written("4,095 groups", "section_count", &|bits| {
        bits.put(4_095, 12);
        for _ in 0..4_095 {
            bits.put(1, 1).fibonacci(1).fibonacci(1);
        }
    });
    written("a bit behind the list", "trailing_bits", &|bits| {
        bits.put(1, 12).put(0, 1).fibonacci(6).put(0, 6).put(1, 1);
    });
    cases
}

fn envelopes() -> Vec<Case> {
    let mut cases = vec![
        ids("no section at all", "DBAA", &[]),
        Case::valid(
            "sections as they stand",
            "gpp",
            &gpp(&[(5, "abc.def"), (6, "1YNN")]),
            &json!({"raw": {"5": "abc.def", "6": "1YNN"}, "sections": {"6": {"state": "not_opted_out"}}}),
        ),
        Case::valid(
            "a section that cannot be read",
            "gpp",
            &gpp(&[(2, "QQQQ"), (6, "1YNN")]),
            &json!({"sections": {"2": {"error": "unsupported_version"}, "6": {"opt_out_sale": "N"}}}),
        ),
        Case::valid(
            "a US Privacy string that cannot",
            "gpp",
            &gpp(&[(6, "1YNX")]),
            &json!({"sections": {"6": {"error": "bad_us_privacy"}}}),
        ),
        Case::invalid("nothing", "gpp", "", "empty"),
        Case::invalid(
            "257 sections",
            "gpp",
            &gpp(&(1..=257).map(|id| (id, "Q")).collect::<Vec<_>>()),
            "too_many_sections",
        ),
        Case::invalid("16,385 characters", "gpp", &"D".repeat(16_385), "too_long"),
    ];
    for (about, text, reason) in [
        (
            "a TC string",
            "CQlvicAQlvicAAGCHOENCIFoADSgAEKgAAYg",
            "bad_header_type",
        ),
        ("a macro", "${GPP_STRING_755}", "bad_character"),
        ("a space", "DBABTA~1YNN ", "bad_character"),
        ("a padded header", "DBABTA==~1YNN", "bad_character"),
        ("a dot in the header", "DBAB.TA~1YNN", "bad_character"),
        ("escaped tildes", "DBABTA%7E1YNN", "bad_character"),
        ("no header", "~1YNN", "empty_section"),
        ("an empty section", "DBACNY~~1YNN", "empty_section"),
        ("a tilde at the end", "DBABTA~1YNN~", "empty_section"),
        ("a section too many", "DBABTA~1YNN~1YNN", "section_count"),
        ("a section too few", "DBACNY~1YNN", "section_count"),
        ("none of one", "DBABTA", "section_count"),
        ("one of none", "DBAA~1YNN", "section_count"),
        ("lower case", "dbabta~1ynn", "bad_header_type"),
    ] {
        cases.push(Case::invalid(about, "gpp", text, reason));
    }
    cases
}
