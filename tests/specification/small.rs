//! The kinds of a few characters: every value that they can have, and the ones next to them.

use serde_json::json;

use super::Case;

pub fn cases() -> Vec<Case> {
    let mut cases = us_privacy();
    cases.extend(consent_mode());
    cases.extend(additional_consent());
    cases.extend(switches());
    cases
}

/// All 27 combinations: the opt-out is named, or nothing is.
fn us_privacy() -> Vec<Case> {
    let mut cases = Vec::new();
    for notice in ['Y', 'N', '-'] {
        for opt_out in ['Y', 'N', '-'] {
            for lspa in ['Y', 'N', '-'] {
                let text = format!("1{notice}{opt_out}{lspa}");
                let silent = text == "1---";
                let state = match opt_out {
                    'Y' => "denied",
                    'N' => "not_opted_out",
                    _ if silent => "not_applicable",
                    _ => {
                        cases.push(Case::invalid(text.clone(), "usp", &text, "bad_us_privacy"));
                        continue;
                    }
                };
                cases.push(Case::valid(text.clone(), "usp", &text,
                    &json!({"state": state, "ccpa_applies": !silent, "notice": notice, "opt_out_sale": opt_out, "lspa": lspa})));
            }
        }
    }
    for text in [
        "", "1", "1YN", "1YNNN", "2YNN", "0YNN", " 1YNN", "1YNN ", "1yNN", "1Y N", "1Y0N", "1ÝN", "ⅠYNN",
    ] {
        cases.push(Case::invalid(format!("{text:?}"), "usp", text, "bad_us_privacy"));
    }
    cases
}

fn consent_mode() -> Vec<Case> {
    let mut cases = Vec::new();
    let states = [('1', "granted"), ('0', "denied"), ('-', "unknown")];
    for (ad, ad_storage) in states {
        for (analytics, analytics_storage) in states {
            let text = format!("G1{ad}{analytics}");
            cases.push(Case::valid(
                text.clone(),
                "gcs",
                &text,
                &json!({"ad_storage": ad_storage, "analytics_storage": analytics_storage}),
            ));
        }
    }
    for text in [
        "", "G", "G1", "G11", "G1111", "G0111", "G211", "g111", "G1 1", "G1--x", "G1²1",
    ] {
        cases.push(Case::invalid(format!("{text:?}"), "gcs", text, "bad_gcs"));
    }
    let letters = [
        ('l', "not_set", "none", "unknown"),
        ('m', "not_set", "denied", "denied"),
        ('n', "not_set", "granted", "granted"),
        ('p', "denied", "none", "denied"),
        ('q', "denied", "denied", "denied"),
        ('r', "denied", "granted", "granted"),
        ('t', "granted", "none", "granted"),
        ('u', "granted", "denied", "denied"),
        ('v', "granted", "granted", "granted"),
        ('R', "unknown", "unknown", "unknown"),
        ('a', "unknown", "unknown", "unknown"),
    ];
    for (letter, default, update, effective) in letters {
        let field = json!({"default": default, "update": update, "effective": effective});
        // Each letter in each place, so that a place that is read as another one shows.
        for (place, name) in [
            "ad_storage",
            "analytics_storage",
            "ad_user_data",
            "ad_personalization",
        ]
        .iter()
        .enumerate()
        {
            let mut text = String::from("13");
            for other in 0..4 {
                text.push(if other == place { letter } else { 'l' });
                text.push('3');
            }
            let mut wanted = json!({});
            wanted[name] = field.clone();
            if letter != 'l' {
                let other = if place == 0 { "ad_user_data" } else { "ad_storage" };
                wanted[other] = json!({"default": "not_set", "update": "none", "effective": "unknown"});
            }
            cases.push(Case::valid(text.clone(), "gcd", &text, &wanted));
        }
    }
    for text in [
        "",
        "1",
        "13",
        "13l3l3l3",
        "13l3l3l3l",
        "3l3l3l3l1",
        "1l3l3l3l1",
        "13l3l3l331",
        "13ll3l3l1",
        "13l3l3l3l1-",
        "13l3l3l3ł1",
        "03l3l3l3l1",
    ] {
        cases.push(Case::invalid(format!("{text:?}"), "gcd", text, "bad_gcd"));
    }
    cases.push(Case::invalid(
        "65 characters",
        "gcd",
        &format!("13l3l3l3l1{}", "l".repeat(55)),
        "bad_gcd",
    ));
    cases
}

fn additional_consent() -> Vec<Case> {
    let mut cases = Vec::new();
    for (text, version, consented, disclosed) in [
        ("1~", 1, json!([]), json!(null)),
        ("1~7", 1, json!([7]), json!(null)),
        ("1~9.8.7", 1, json!([7, 8, 9]), json!(null)),
        ("1~4294967295", 1, json!([4_294_967_295_u32]), json!(null)),
        ("2~~dv.", 2, json!([]), json!([])),
        ("2~5~dv.", 2, json!([5]), json!([5])),
        ("2~~dv.5", 2, json!([]), json!([5])),
        ("2~5.6~dv.6.7", 2, json!([5, 6]), json!([5, 6, 7])),
    ] {
        cases.push(Case::valid(
            text,
            "ac",
            text,
            &json!({"version": version, "consented": consented, "disclosed": disclosed}),
        ));
    }
    for text in [
        "",
        "1",
        "2",
        "~",
        "0~1",
        "3~1",
        "01~1",
        "1~0",
        "1~00",
        "1~1.",
        "1~.1",
        "1~1..1",
        "1~1~2",
        "1~dv.",
        "1~1,2",
        "1~-1",
        "1~+1",
        "1~1 ",
        "1~4294967296",
        "2~",
        "2~1",
        "2~1~",
        "2~1~2",
        "2~1~dv",
        "2~1~DV.2",
        "2~1~dv.2.",
        "2~1~dv.0",
        "2~1~dv.2~",
        "2~1~dv.2~dv.3",
        "2~dv.1",
    ] {
        cases.push(Case::invalid(
            format!("{text:?}"),
            "ac",
            text,
            "bad_additional_consent",
        ));
    }
    cases.push(Case::invalid(
        "16,385 characters",
        "ac",
        &format!("1~{}", "1".repeat(16_383)),
        "bad_additional_consent",
    ));
    cases
}

fn switches() -> Vec<Case> {
    let mut cases = Vec::new();
    for (text, ids) in [
        ("1", json!([1])),
        ("2", json!([2])),
        ("7,8", json!([7, 8])),
        ("8,7", json!([8, 7])),
        ("27", json!([27])),
        ("65535", json!([65_535])),
        ("-1", json!([])),
        ("0", json!([])),
    ] {
        cases.push(Case::valid(format!("gpp_sid {text}"), "gpp_sid", text, &ids));
    }
    for text in [
        "",
        ",",
        "2,",
        ",2",
        "2,,6",
        "2,2",
        "02",
        "+2",
        "-2",
        "2,-1",
        "0,2",
        "2;6",
        "2_6",
        "2 ",
        "2, 6",
        "65536",
        "${GPP_SID}",
    ] {
        cases.push(Case::invalid(
            format!("gpp_sid {text:?}"),
            "gpp_sid",
            text,
            "bad_gpp_sid",
        ));
    }
    for (text, applies) in [("1", true), ("0", false)] {
        cases.push(Case::valid(
            format!("gdpr {text}"),
            "gdpr_param",
            text,
            &json!({"gdpr_applies": applies}),
        ));
    }
    for text in ["", "2", "-1", "01", "1 ", "true", "yes", "${GDPR}"] {
        cases.push(Case::invalid(
            format!("gdpr {text:?}"),
            "gdpr_param",
            text,
            "bad_gdpr",
        ));
    }
    // Of a header, anything but the one value is ignored and not malformed.
    for (text, out) in [
        ("1", true),
        ("0", false),
        ("", false),
        ("1 ", false),
        ("1,1", false),
        ("true", false),
        ("一", false),
    ] {
        cases.push(Case::valid(
            format!("Sec-GPC {text:?}"),
            "sec_gpc",
            text,
            &json!({"opt_out": out}),
        ));
    }
    for (texts, out) in [
        (vec!["1"], true),
        (vec!["0", "1"], true),
        (vec!["0", "", "x"], false),
        (vec![], false),
    ] {
        cases.push(Case::new(
            format!("Sec-GPC {texts:?}"),
            json!({"kind": "sec_gpc_multi", "input": texts}),
            json!({"expect": "valid", "decoded": {"opt_out": out}}),
        ));
    }
    cases
}
