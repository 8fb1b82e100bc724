//! TC strings: vendor sections, publisher restrictions, and the segments behind the core.

use serde_json::{Value, json};

use super::Case;
use super::encode::{Bits, Publisher, Restriction, Set, Tc};
use super::tcf::{refused, says, with};

pub fn cases() -> Vec<Case> {
    let mut cases = ranges();
    cases.extend(single_vendors());
    cases.extend(restrictions());
    cases.extend(segments());
    cases.extend(broken_segments());
    cases.extend(publishers());
    cases
}

fn consenting(vendors: Set) -> Tc {
    with(|tc| tc.vendors = vendors)
}

fn ranges() -> Vec<Case> {
    let max = |max: u16, ranges: &[(u16, u16)]| Set::Ranges {
        max,
        ranges: ranges.to_vec(),
    };
    let read = [
        ("nobody, as ranges", max(0, &[]), json!([])),
        (
            "a highest id beyond the last range",
            max(900, &[(2, 3)]),
            json!([[2, 3]]),
        ),
        (
            "everybody, in one range",
            max(65_535, &[(1, 65_535)]),
            json!([[1, 65535]]),
        ),
        (
            "out of order",
            max(20, &[(9, 12), (1, 3)]),
            json!([[1, 3], [9, 12]]),
        ),
        ("overlapping", max(20, &[(1, 5), (4, 9)]), json!([[1, 9]])),
        ("one inside another", max(20, &[(1, 9), (4, 5)]), json!([[1, 9]])),
        ("touching", max(20, &[(1, 5), (6, 9)]), json!([[1, 9]])),
        ("one id twice", max(20, &[(7, 7), (7, 7)]), json!([[7, 7]])),
    ];
    let mut cases: Vec<Case> = read
        .into_iter()
        .map(|(about, set, wanted)| says(about, &consenting(set), &json!({"vendor_consents": wanted})))
        .collect();
    let refusals = [
        ("an id beyond the highest", max(8, &[(9, 9)]), "range_beyond_max"),
        (
            "a range beyond the highest",
            max(8, &[(2, 9)]),
            "range_beyond_max",
        ),
        (
            "any range where there is no highest",
            max(0, &[(1, 1)]),
            "range_beyond_max",
        ),
        ("the id 0", max(8, &[(0, 0)]), "range_zero"),
        ("a range from 0", max(8, &[(0, 5)]), "range_zero"),
        ("a range backwards", max(8, &[(5, 4)]), "range_reversed"),
        (
            "a bad range behind a good one",
            max(8, &[(1, 2), (5, 4)]),
            "range_reversed",
        ),
    ];
    cases.extend(
        refusals
            .into_iter()
            .map(|(about, set, reason)| refused(about, &consenting(set), reason)),
    );
    cases
}

fn single_vendors() -> Vec<Case> {
    let nobody =
        json!({"vendor_consents": [], "vendor_consent_max": 0, "vendor_consent_encoding": "bitfield"});
    let of_many = Set::Bits {
        max: 1_000,
        vendors: Vec::new(),
    };
    let mut cases = vec![
        says("nobody, as bits", &consenting(Set::none()), &nobody),
        says(
            "nobody of a thousand",
            &consenting(of_many),
            &json!({"vendor_consents": [], "vendor_consent_max": 1000}),
        ),
    ];
    for vendor in [1, 2, 7, 8, 9, 63, 64, 65, 755, 65_535] {
        for (set, encoding) in [
            (Set::bits(&[vendor]), "bitfield"),
            (Set::ranges(&[(vendor, vendor)]), "range"),
        ] {
            let wanted = json!({"vendor_consents": [[vendor, vendor]], "vendor_consent_encoding": encoding,
                "vendor_li": [], "vendor_consent_max": vendor});
            cases.push(says(
                format!("vendor {vendor} alone, as {encoding}"),
                &consenting(set),
                &wanted,
            ));
        }
    }
    let interest = with(|tc| tc.vendor_li = Set::ranges(&[(3, 4)]));
    let wanted = json!({"vendor_consents": [[2, 2], [755, 755]], "vendor_li": [[3, 4]], "vendor_li_encoding": "range"});
    cases.push(says("interest apart from consent", &interest, &wanted));
    cases
}

fn restricted(restrictions: Vec<Restriction>) -> Tc {
    with(|tc| tc.restrictions = restrictions)
}

fn restrictions() -> Vec<Case> {
    let shown =
        |purpose: u8, kind: u8, vendors: Value| json!({"purpose": purpose, "type": kind, "vendors": vendors});
    let read: [(&str, Vec<Restriction>, Value); 6] = [
        ("none", vec![], json!([])),
        (
            "one of each type",
            vec![
                (2, 0, vec![(1, 9)]),
                (7, 1, vec![(755, 755)]),
                (9, 2, vec![(4, 4)]),
            ],
            json!([
                shown(2, 0, json!([[1, 9]])),
                shown(7, 1, json!([[755, 755]])),
                shown(9, 2, json!([[4, 4]]))
            ]),
        ),
        (
            "without vendors",
            vec![(7, 0, vec![])],
            json!([shown(7, 0, json!([]))]),
        ),
        (
            "a key twice is one key",
            vec![(7, 1, vec![(5, 5)]), (7, 1, vec![(1, 4)])],
            json!([shown(7, 1, json!([[1, 5]]))]),
        ),
        // There is no highest id here: a restriction may name vendors that the sections before do not reach.
        (
            "beyond every vendor section",
            vec![(7, 0, vec![(65_000, 65_535)])],
            json!([shown(7, 0, json!([[65000, 65535]]))]),
        ),
        (
            "the last purpose",
            vec![(24, 0, vec![(1, 1)])],
            json!([shown(24, 0, json!([[1, 1]]))]),
        ),
    ];
    let mut cases: Vec<Case> = read
        .into_iter()
        .map(|(about, list, wanted)| {
            says(
                about,
                &restricted(list),
                &json!({"publisher_restrictions": wanted}),
            )
        })
        .collect();
    cases.push(refused(
        "the id 0",
        &restricted(vec![(7, 0, vec![(0, 3)])]),
        "range_zero",
    ));
    cases.push(refused(
        "backwards",
        &restricted(vec![(7, 0, vec![(3, 2)])]),
        "range_reversed",
    ));
    for purpose in [0, 25, 26, 63] {
        let tc = restricted(vec![(purpose, 0, vec![(1, 1)])]);
        cases.push(refused(format!("purpose {purpose}"), &tc, "bad_purpose"));
    }
    for purpose in [1, 7, 24] {
        let tc = restricted(vec![(purpose, 3, vec![(1, 1)])]);
        cases.push(refused(
            format!("type 3 for purpose {purpose}"),
            &tc,
            "bad_restriction_type",
        ));
    }
    cases
}

/// A segment of some type about vendors 5 to 9.
fn about_vendors(kind: u64) -> String {
    let mut bits = Bits::default();
    Set::ranges(&[(5, 9)]).write(bits.put(kind, 3));
    bits.text(8)
}

fn nobody_disclosed() -> String {
    let mut bits = Bits::default();
    Set::none().write(bits.put(1, 3));
    bits.text(8)
}

fn no_publisher() -> String {
    let mut bits = Bits::default();
    bits.put(3, 3).put(0, 24).put(0, 24).put(0, 6);
    bits.text(8)
}

fn core() -> String {
    Tc::default().core().text(8)
}

fn segments() -> Vec<Case> {
    let empty = json!({"consents": [], "li": [], "num_custom": 0});
    let read = [
        (
            "a core alone",
            String::new(),
            json!({"disclosed_vendors": null, "publisher_tc": null}),
        ),
        (
            "nobody disclosed is not the same as not said",
            format!(".{}", nobody_disclosed()),
            json!({"disclosed_vendors": []}),
        ),
        (
            "disclosed",
            format!(".{}", about_vendors(1)),
            json!({"disclosed_vendors": [[5, 9]]}),
        ),
        (
            "allowed vendors decide nothing",
            format!(".{}", about_vendors(2)),
            json!({"disclosed_vendors": null}),
        ),
        (
            "an empty publisher segment",
            format!(".{}", no_publisher()),
            json!({"publisher_tc": empty}),
        ),
        (
            "all three, backwards",
            format!(".{}.{}.{}", no_publisher(), about_vendors(2), about_vendors(1)),
            json!({"disclosed_vendors": [[5, 9]], "publisher_tc": {"num_custom": 0}}),
        ),
    ];
    read.into_iter()
        .map(|(about, rest, wanted)| Case::valid(about, "tcf", &format!("{}{rest}", core()), &wanted))
        .collect()
}

fn broken_segments() -> Vec<Case> {
    let (core, disclosed) = (core(), about_vendors(1));
    let mut texts = vec![
        (
            "a second core".to_owned(),
            format!("{core}.{core}"),
            "duplicate_segment",
        ),
        ("no core".to_owned(), disclosed.clone(), "unsupported_version"),
        (
            "the core second".to_owned(),
            format!("{disclosed}.{core}"),
            "unsupported_version",
        ),
        ("a dot at the end".to_owned(), format!("{core}."), "empty_segment"),
        (
            "a dot at the start".to_owned(),
            format!(".{core}"),
            "empty_segment",
        ),
        (
            "two dots".to_owned(),
            format!("{core}..{disclosed}"),
            "empty_segment",
        ),
        ("two bits of a type".to_owned(), format!("{core}.IA"), "truncated"),
    ];
    for segment in [disclosed, about_vendors(2), no_publisher()] {
        texts.push((
            "a type twice".to_owned(),
            format!("{core}.{segment}.{segment}"),
            "duplicate_segment",
        ));
    }
    for kind in 4..=7 {
        texts.push((
            format!("type {kind}"),
            format!("{core}.{}", about_vendors(kind)),
            "unknown_segment",
        ));
    }
    texts
        .into_iter()
        .map(|(about, text, reason)| Case::invalid(about, "tcf", &text, reason))
        .collect()
}

fn publishers() -> Vec<Case> {
    let mut cases = Vec::new();
    for custom in [1, 24, 63] {
        let numbers: Vec<u8> = (1..=custom).filter(|number| number % 2 == 1).collect();
        let publisher = Publisher {
            consents: vec![1, 24],
            li: vec![2],
            custom_count: custom,
            custom_consents: numbers.clone(),
            custom_li: vec![custom],
        };
        let tc = with(|tc| tc.publisher = Some(publisher));
        let wanted = json!({"publisher_tc": {"consents": [1, 24], "li": [2], "num_custom": custom,
            "custom_consents": numbers, "custom_li": [custom]}});
        cases.push(says(
            format!("{custom} purposes of the publisher's own"),
            &tc,
            &wanted,
        ));
    }
    cases
}
