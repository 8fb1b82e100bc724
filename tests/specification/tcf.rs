//! TC strings: "Consent string and vendor list formats v2", field by field, and the checks of the implementation
//! guidelines.

use serde_json::{Value, json};

use super::Case;
use super::encode::{Bits, Set, Tc};

pub fn cases() -> Vec<Case> {
    let mut cases = fields();
    cases.extend(flags());
    cases.extend(characters());
    cases.extend(permissions());
    cases
}

/// What is different about a string.
pub type Change = fn(&mut Tc);

/// A usual string with one thing different.
pub fn with(change: impl FnOnce(&mut Tc)) -> Tc {
    let mut tc = Tc::default();
    change(&mut tc);
    tc
}

pub fn says(about: impl Into<String>, tc: &Tc, decoded: &Value) -> Case {
    Case::valid(about, "tcf", &tc.text(), decoded)
}

pub fn refused(about: impl Into<String>, tc: &Tc, reason: &str) -> Case {
    Case::invalid(about, "tcf", &tc.text(), reason)
}

/// Values at the ends of their fields: first what is written, then what is read.
fn fields() -> Vec<Case> {
    let changes: [(&str, Change, Value); 14] = [
        ("the lowest CMP", |tc| tc.cmp_id = 0, json!({"cmp_id": 0})),
        ("the highest CMP", |tc| tc.cmp_id = 4_095, json!({"cmp_id": 4095})),
        (
            "the lowest version of one",
            |tc| tc.cmp_version = 0,
            json!({"cmp_version": 0}),
        ),
        (
            "the highest version of one",
            |tc| tc.cmp_version = 4_095,
            json!({"cmp_version": 4095}),
        ),
        (
            "the first screen",
            |tc| tc.screen = 0,
            json!({"consent_screen": 0}),
        ),
        (
            "the last screen",
            |tc| tc.screen = 63,
            json!({"consent_screen": 63}),
        ),
        (
            "no vendor list",
            |tc| tc.list_version = 0,
            json!({"vendor_list_version": 0}),
        ),
        (
            "the last vendor list",
            |tc| tc.list_version = 4_095,
            json!({"vendor_list_version": 4095}),
        ),
        (
            "the last policy",
            |tc| tc.policy_version = 63,
            json!({"policy_version": 63}),
        ),
        (
            "own texts",
            |tc| tc.own_texts = true,
            json!({"use_non_standard_texts": true}),
        ),
        (
            "purpose 1 not asked",
            |tc| tc.purpose_one_treatment = true,
            json!({"purpose_one_treatment": true}),
        ),
        (
            "the other scope",
            |tc| tc.service_specific = false,
            json!({"is_service_specific": false}),
        ),
        (
            "1970",
            |tc| tc.created_s = 0,
            json!({"created": "1970-01-01T00:00:00Z"}),
        ),
        (
            "another day",
            |tc| tc.created_s = 1_700_000_000,
            json!({"created": "2023-11-14T22:13:20Z", "last_updated": "2026-11-17T00:00:00Z"}),
        ),
    ];
    let mut cases: Vec<Case> = changes
        .into_iter()
        .map(|(about, change, wanted)| says(about, &with(change), &wanted))
        .collect();
    for letters in ["AA", "AZ", "ZA", "ZZ"] {
        let tc = with(|tc| {
            letters.clone_into(&mut tc.language);
            tc.country = letters.chars().rev().collect();
        });
        let wanted =
            json!({"consent_language": letters, "publisher_cc": letters.chars().rev().collect::<String>()});
        cases.push(says(letters, &tc, &wanted));
    }
    for version in [0, 1, 3, 4, 63] {
        let tc = with(|tc| tc.version = version);
        cases.push(refused(format!("version {version}"), &tc, "unsupported_version"));
    }
    // Six bits hold 64 letters, of which 26 exist.
    for (place, offset) in [
        ("language", 108),
        ("language", 114),
        ("country", 201),
        ("country", 207),
    ] {
        for letter in [26, 31, 63] {
            let mut bits = Tc::default().core();
            let mut wrong = Bits::default();
            wrong.put(letter, 6);
            bits.0.splice(offset..offset + 6, wrong.0);
            let about = format!("letter {letter} of the {place}");
            cases.push(Case::invalid(about, "tcf", &bits.text(8), "bad_letter"));
        }
    }
    cases
}

/// Each bit by itself, so that one in the wrong place cannot hide behind another.
fn flags() -> Vec<Case> {
    let mut cases = Vec::new();
    for purpose in 1..=24 {
        let tc = Tc {
            consents: vec![purpose],
            li: Vec::new(),
            ..Tc::default()
        };
        cases.push(says(
            format!("consent for purpose {purpose} alone"),
            &tc,
            &json!({"purposes_consent": [purpose], "purposes_li": []}),
        ));
        let tc = Tc {
            consents: Vec::new(),
            li: vec![purpose],
            ..Tc::default()
        };
        cases.push(says(
            format!("interest for purpose {purpose} alone"),
            &tc,
            &json!({"purposes_consent": [], "purposes_li": [purpose]}),
        ));
    }
    for feature in 1..=12 {
        let tc = Tc {
            features: vec![feature],
            ..Tc::default()
        };
        cases.push(says(
            format!("special feature {feature} alone"),
            &tc,
            &json!({"special_feature_opt_ins": [feature]}),
        ));
    }
    cases
}

fn characters() -> Vec<Case> {
    let text = Tc::default().text();
    let mut cases = vec![Case::invalid("nothing", "tcf", "", "empty")];
    for (about, text, reason) in [
        ("padding", format!("{text}="), "bad_character"),
        ("a line feed", format!("{text}\n"), "bad_character"),
        ("a space in front", format!(" {text}"), "bad_character"),
        ("a plus", text.replacen('A', "+", 1), "bad_character"),
        ("a slash", text.replacen('A', "/", 1), "bad_character"),
        (
            "a letter of another alphabet",
            text.replacen('A', "А", 1),
            "bad_character",
        ),
        ("a percent sign", text.replacen('A', "%41", 1), "bad_character"),
        ("a macro", "${GDPR_CONSENT_755}".to_owned(), "bad_character"),
        (
            "version 1",
            "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA".to_owned(),
            "unsupported_version",
        ),
        ("16,385 characters", "C".repeat(16_385), "too_long"),
        (
            "a bit behind the last field",
            format!("{}B", Tc::default().core().text(6)),
            "trailing_bits",
        ),
    ] {
        cases.push(Case::invalid(about, "tcf", &text, reason));
    }
    for unit in [1, 6, 8, 24, 48] {
        let tc = Tc {
            unit,
            ..Tc::default()
        };
        cases.push(says(
            format!("filled up to {unit} bits"),
            &tc,
            &json!({"vendor_consents": [[2, 2], [755, 755]]}),
        ));
    }
    cases
}

/// A vendor that everything was granted to, and one restriction on its purpose: every combination of what it
/// registered and what the publisher asks. Purpose 1 and profiles know no legitimate interest.
fn permissions() -> Vec<Case> {
    let all: Vec<u8> = (1..=24).collect();
    let mut cases = Vec::new();
    for (purpose, knows_interest) in [(1, false), (2, true), (3, false), (7, true)] {
        for restriction in [None, Some(0), Some(1), Some(2)] {
            for (declared, flexible) in [("consent", false), ("consent", true), ("li", false), ("li", true)] {
                let allowed = match (restriction, declared, flexible) {
                    (Some(0), _, _) | (Some(1), "li", false) | (Some(2), "consent", false) => false,
                    (None, "consent", _) | (Some(1), _, _) => true,
                    _ => knows_interest,
                };
                let tc = Tc {
                    consents: all.clone(),
                    li: all.clone(),
                    vendor_li: Set::bits(&[755]),
                    restrictions: restriction
                        .map(|kind| (purpose, kind, vec![(700, 800)]))
                        .into_iter()
                        .collect(),
                    ..Tc::default()
                };
                let check =
                    json!({"vendor": 755, "purpose": purpose, "declared": declared, "flexible": flexible});
                let mut checked = check.clone();
                checked["allowed"] = json!(allowed);
                cases.push(Case::new(
                    format!(
                        "purpose {purpose}, {declared}, flexible {flexible}, restriction {restriction:?}"
                    ),
                    json!({"kind": "tcf", "input": tc.text(), "checks": [check]}),
                    json!({"usable": true, "checks": [checked]}),
                ));
            }
        }
    }
    cases
}
