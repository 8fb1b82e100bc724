//! Sections 7 to 27: the technical specification of each, as rows of a table of this file's own.

use serde_json::{Value, json};

use super::Case;
use super::encode::{Bits, gpp, us_core};

/// A section: how many two-bit values its core has, where its opt-outs stand among them, and whether it has GPC.
struct Row {
    id: u16,
    values: usize,
    sale: usize,
    sharing: Option<usize>,
    advertising: Option<usize>,
    gpc: bool,
}

const fn row(
    id: u16,
    values: usize,
    sale: usize,
    sharing: Option<usize>,
    advertising: Option<usize>,
    gpc: bool,
) -> Row {
    Row {
        id,
        values,
        sale,
        sharing,
        advertising,
        gpc,
    }
}

/// Counted from the tables of the specifications: notices, opt-outs, sensitive data, children, MSPA.
const ROWS: [Row; 21] = [
    row(7, 9 + 12 + 2 + 1 + 3, 6, Some(7), Some(8), true),
    row(8, 5 + 9 + 2 + 1 + 3, 3, Some(4), None, true),
    row(9, 5 + 8 + 1 + 3, 3, None, Some(4), false),
    row(10, 5 + 7 + 1 + 3, 3, None, Some(4), true),
    row(11, 6 + 8 + 1 + 3, 4, None, Some(5), false),
    row(12, 5 + 8 + 3 + 3, 3, None, Some(4), true),
    row(13, 5 + 8 + 3 + 1 + 3, 3, None, Some(4), false),
    row(14, 5 + 8 + 3 + 1 + 3, 3, None, Some(4), true),
    row(15, 5 + 11 + 3 + 1 + 3, 3, None, Some(4), true),
    row(16, 5 + 8 + 1 + 1 + 3, 3, None, Some(4), true),
    row(17, 5 + 9 + 5 + 1 + 3, 3, None, Some(4), true),
    row(18, 6 + 8 + 1 + 3, 4, None, Some(5), true),
    row(19, 5 + 8 + 1 + 1 + 3, 3, None, Some(4), true),
    row(20, 5 + 8 + 3 + 1 + 3, 3, None, Some(4), true),
    row(21, 5 + 10 + 5 + 1 + 3, 3, None, Some(4), true),
    row(22, 5 + 8 + 1 + 1 + 3, 3, None, Some(4), true),
    row(23, 5 + 8 + 1 + 1 + 3, 3, None, Some(4), true),
    // The newer form begins with two MSPA fields and ends with consents.
    row(24, 2 + 3 + 2 + 1, 5, None, Some(6), true),
    row(25, 2 + 3 + 2 + 2, 5, None, Some(6), false),
    row(26, 2 + 3 + 2 + 2, 5, None, Some(6), false),
    row(27, 2 + 3 + 2 + 2, 5, None, Some(6), false),
];

const FIRST_NEWER: u16 = 24;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in &ROWS {
        cases.extend(opt_outs(row));
        cases.extend(faults(row));
    }
    cases.extend(national());
    cases.extend(newer_headers());
    cases
}

/// The section in an envelope, and what must be found under its id.
fn says(about: impl Into<String>, id: u16, text: &str, wanted: &Value) -> Case {
    let key = id.to_string();
    let place = if id < FIRST_NEWER {
        json!({"decoded": {"sections": {key: wanted}}})
    } else {
        json!({"newer_us_sections": {key: wanted}})
    };
    let mut place = place;
    place["expect"] = json!("valid");
    Case::new(about, json!({"kind": "gpp", "input": gpp(&[(id, text)])}), place)
}

/// A core whose values are all 0, but for these; covered transactions are 1 or 2 by the specifications.
fn core(row: &Row, set: &[(usize, u8)]) -> Bits {
    let mut values = vec![0; row.values];
    for (place, value) in set {
        values[*place] = *value;
    }
    us_core(1, &values)
}

fn opt_outs(row: &Row) -> Vec<Case> {
    let id = row.id;
    let text = |set: &[(usize, u8)]| core(row, set).text(8);
    let outs: Vec<usize> = [Some(row.sale), row.sharing, row.advertising]
        .into_iter()
        .flatten()
        .collect();
    let all = |value: u8| outs.iter().map(|place| (*place, value)).collect::<Vec<_>>();
    let mut cases = vec![
        says(
            format!("{id}: nothing said"),
            id,
            &text(&[]),
            &json!({"state": "unknown"}),
        ),
        says(
            format!("{id}: asked and not opted out"),
            id,
            &text(&all(2)),
            &json!({"state": "not_opted_out"}),
        ),
        says(
            format!("{id}: opted out of everything"),
            id,
            &text(&all(1)),
            &json!({"state": "denied"}),
        ),
    ];
    for place in &outs {
        let mut one = all(2);
        one.retain(|(other, _)| other != place);
        one.push((*place, 1));
        cases.push(says(
            format!("{id}: value {place} is a refusal"),
            id,
            &text(&one),
            &json!({"state": "denied"}),
        ));
    }
    // Whatever stands elsewhere refuses nothing: notices, consents, the MSPA.
    let elsewhere: Vec<(usize, u8)> = (0..row.values)
        .filter(|place| !outs.contains(place))
        .map(|place| (place, 1))
        .collect();
    cases.push(says(
        format!("{id}: the other values"),
        id,
        &text(&elsewhere),
        &json!({"state": "unknown"}),
    ));
    if row.gpc {
        let with = |gpc: &str| format!("{}.{gpc}", text(&all(2)));
        cases.push(says(
            format!("{id}: GPC is on"),
            id,
            &with("YA"),
            &json!({"state": "denied", "fields": {"Gpc": true}}),
        ));
        cases.push(says(
            format!("{id}: GPC is off"),
            id,
            &with("QA"),
            &json!({"state": "not_opted_out", "fields": {"Gpc": false}}),
        ));
    }
    cases
}

fn faults(row: &Row) -> Vec<Case> {
    let id = row.id;
    let error = |about: &str, text: &str, code: &str| {
        says(format!("{id}: {about}"), id, text, &json!({"error": code}))
    };
    let whole = core(row, &[]);
    let short = Bits(whole.0[..whole.0.len() - 6].to_vec());
    let mut longer = whole.clone();
    longer.put(0, 24).put(1, 1);
    let mut cases = vec![
        error(
            "the value 3",
            &core(row, &[(row.values - 1, 3)]).text(6),
            "bad_value",
        ),
        error("cut short", &short.text(1), "truncated"),
        error(
            "an empty sub-section",
            &format!("{}.", whole.text(6)),
            "empty_segment",
        ),
        error(
            "a sub-section too many",
            &format!("{}.YA.YA", whole.text(6)),
            if row.gpc || id < FIRST_NEWER {
                "unknown_segment"
            } else {
                "truncated"
            },
        ),
    ];
    if id != 7 {
        cases.push(error("a bit behind the core", &longer.text(6), "trailing_bits"));
    }
    if id < FIRST_NEWER {
        let version = |version: u8| us_core(version, &vec![0; row.values]).text(6);
        cases.push(error("version 0", &version(0), "unsupported_section_version"));
        cases.push(error("version 3", &version(3), "unsupported_section_version"));
    }
    if row.gpc {
        cases.push(error(
            "a sub-section of another type",
            &format!("{}.AA", whole.text(6)),
            "unknown_segment",
        ));
        cases.push(error(
            "a bit behind GPC",
            &format!("{}.QB", whole.text(6)),
            "trailing_bits",
        ));
    } else if id < FIRST_NEWER {
        cases.push(error(
            "GPC where there is none",
            &format!("{}.YA", whole.text(6)),
            "unknown_segment",
        ));
    }
    cases
}

/// Section 7 in its three forms.
fn national() -> Vec<Case> {
    let covered = 1;
    let mut values = vec![1, 1, 1, 1, 0, 0, 2, 2, 2];
    values.extend([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    let mut first = values.clone();
    first.extend([1, 2, 0, covered, 1, 2]);
    let mut second = values;
    second.extend([1, 1, 1, 1, 2, 1, 0, 0, covered, 1, 2]);
    let sensitive = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2];
    let long: Vec<u8> = sensitive.iter().copied().chain([1, 1, 1, 1]).collect();
    let mspa = json!({"MspaCoveredTransaction": 1, "MspaOptOutOptionMode": 1, "MspaServiceProviderMode": 2});
    let fields = |more: Value| {
        let mut fields = mspa.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            fields[name] = value.clone();
        }
        json!({"state": "not_opted_out", "fields": fields})
    };
    let short = fields(
        json!({"Version": 1, "SensitiveDataProcessing": sensitive, "KnownChildSensitiveDataConsents": [1, 2]}),
    );
    vec![
        says("7: the first version", 7, &us_core(1, &first).text(8), &short),
        says(
            "7: the first version, filled up to 24 bits",
            7,
            &us_core(1, &first).text(24),
            &short,
        ),
        says(
            "7: the second layout under the first version",
            7,
            &us_core(1, &second).text(8),
            &fields(
                json!({"Version": 1, "SensitiveDataProcessing": sensitive, "KnownChildSensitiveDataConsents": [2, 1]}),
            ),
        ),
        says(
            "7: the second version",
            7,
            &us_core(2, &second).text(8),
            &fields(
                json!({"Version": 2, "SensitiveDataProcessing": long, "KnownChildSensitiveDataConsents": [2, 1, 0]}),
            ),
        ),
        says(
            "7: the second version in the first layout",
            7,
            &us_core(2, &first).text(8),
            &json!({"error": "truncated"}),
        ),
    ]
}

/// The header that the newer specifications give their sections, however the core's number is written.
fn newer_headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in ROWS.iter().filter(|row| row.id >= FIRST_NEWER) {
        let id = row.id;
        let header = |version: u64, ids: &[u32]| {
            let mut bits = Bits::default();
            bits.put(u64::from(id), 6)
                .put(version, 6)
                .put(ids.len() as u64, 12);
            for id in ids {
                bits.put(0, 1).fibonacci(*id);
            }
            bits.text(6)
        };
        let core = core(row, &[(row.sale, 1)]).text(8);
        let tail = if row.gpc { "QA" } else { "AAA" };
        let denied = json!({"state": "denied", "fields": {"MspaVersion": 1, "SaleOptOut": 1}});
        cases.push(says(
            format!("{id}: a header for the core alone"),
            id,
            &format!("{}.{core}", header(1, &[1])),
            &denied,
        ));
        cases.push(says(
            format!("{id}: a header that leaves the core out"),
            id,
            &format!("{}.{core}", header(1, &[])),
            &denied,
        ));
        cases.push(says(
            format!("{id}: a header for two"),
            id,
            &format!("{}.{core}.{tail}", header(1, &[1, 1])),
            &denied,
        ));
        cases.push(says(
            format!("{id}: a header for the second alone"),
            id,
            &format!("{}.{core}.{tail}", header(1, &[1])),
            &denied,
        ));
        let error = |about: &str, text: &str, code: &str| {
            says(format!("{id}: {about}"), id, text, &json!({"error": code}))
        };
        cases.push(error(
            "a header of another version",
            &format!("{}.{core}", header(2, &[1])),
            "unsupported_section_version",
        ));
        cases.push(error(
            "a header for three",
            &format!("{}.{core}", header(1, &[1, 1, 1])),
            "bad_section_header",
        ));
        cases.push(error(
            "a header and nothing",
            &header(1, &[]),
            "bad_section_header",
        ));
    }
    cases
}
