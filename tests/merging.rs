//! Several signals in one request: the stricter wins, and no signal says more than it may.
//!
//! Promise: the strings are written here and each differs from one that grants everything in the one thing its case is
//! about, so a case that passes by accident would have to pass by two.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use einklang::domain::consent::ConsentState::{self, Denied, Granted, Malformed, Unknown};
use einklang::domain::policy::{Policy, Terms};
use einklang::domain::signal::{Collector, Reading, Signals};

mod encode;

use encode::{NOW_S, Set, Tc, gpp};

const VENDOR: u16 = 755;

fn state(pairs: &[(&str, &str)]) -> ConsentState {
    state_for(Some(VENDOR), Collector::Shop, pairs)
}

fn state_for(vendor: Option<u16>, collector: Collector, pairs: &[(&str, &str)]) -> ConsentState {
    let mut signals = Signals::default();
    for (name, value) in pairs {
        assert!(signals.note(name, value), "{name} is in the family");
    }
    let policy = Policy {
        tcf_vendor_id: vendor,
        ..Policy::default()
    };
    signals
        .assess(Reading::without_registries(collector, policy.terms(), NOW_S))
        .state(&policy)
}

/// Strings for vendor 755: one that grants, and ones that do not.
struct Strings {
    yes: String,
    no: String,
    purpose_one_not_asked: String,
    too_old: String,
}

fn strings() -> Strings {
    let yes = Tc::default();
    let no = Tc {
        consents: vec![1],
        ..yes.clone()
    };
    let purpose_one_not_asked = Tc {
        purpose_one_treatment: true,
        ..yes.clone()
    };
    let fourteen_months_ago = NOW_S - 14 * 30 * 86_400;
    let too_old = Tc {
        created_s: fourteen_months_ago,
        updated_s: fourteen_months_ago,
        ..yes.clone()
    };
    Strings {
        yes: yes.text(),
        no: no.text(),
        purpose_one_not_asked: purpose_one_not_asked.text(),
        too_old: too_old.text(),
    }
}

#[test]
fn a_tc_string_alone_says_what_it_says() {
    let Strings {
        yes,
        no,
        purpose_one_not_asked,
        too_old,
    } = strings();
    for (string, wanted) in [
        (&yes, Granted),
        (&no, Denied),
        (&purpose_one_not_asked, Unknown),
        (&too_old, Unknown),
    ] {
        assert_eq!(state(&[("gdpr_consent", string)]), wanted, "by itself: {string}");
        let wrapped = gpp(&[(2, string)]);
        assert_eq!(state(&[("gpp", &wrapped)]), wanted, "in GPP: {string}");
        assert_eq!(
            state(&[("gpp", &wrapped), ("gpp_sid", "2")]),
            wanted,
            "in force: {string}"
        );
    }
}

#[test]
fn of_two_tc_strings_the_stricter_counts() {
    let Strings {
        yes,
        no,
        purpose_one_not_asked,
        too_old,
    } = strings();
    let broken = "C".to_owned();
    for (left, right, wanted) in [
        (&yes, &yes, Granted),
        (&yes, &no, Denied),
        (&no, &too_old, Denied),
        (&yes, &purpose_one_not_asked, Unknown),
        (&yes, &too_old, Unknown),
        (&yes, &broken, Malformed),
        (&no, &broken, Denied),
    ] {
        for (alone, within) in [(left, right), (right, left)] {
            let wrapped = gpp(&[(2, within)]);
            assert_eq!(
                state(&[("gdpr_consent", alone), ("gpp", &wrapped)]),
                wanted,
                "{alone} beside {within}"
            );
        }
    }
}

#[test]
fn a_word_overrides_no_string() {
    let Strings {
        no,
        too_old,
        purpose_one_not_asked,
        ..
    } = strings();
    for (string, wanted) in [
        (&no, Denied),
        (&too_old, Unknown),
        // Usable, and silent about purpose 1: the shop's own word may fill that in.
        (&purpose_one_not_asked, Granted),
    ] {
        assert_eq!(state(&[("consent", "granted"), ("gdpr_consent", string)]), wanted);
        let wrapped = gpp(&[(2, string)]);
        assert_eq!(state(&[("consent", "granted"), ("gpp", &wrapped)]), wanted);
    }
}

#[test]
fn a_section_that_is_not_in_force_grants_nothing() {
    let Strings { yes, no, .. } = strings();
    let both = gpp(&[(2, &yes), (6, "1YNN")]);
    assert_eq!(state(&[("gpp", &both)]), Granted);
    assert_eq!(state(&[("gpp", &both), ("gpp_sid", "2")]), Granted);
    for sid in ["6", "-1", "0"] {
        assert_eq!(state(&[("gpp", &both), ("gpp_sid", sid)]), Unknown, "{sid}");
        let word = [("consent", "granted"), ("gpp", both.as_str()), ("gpp_sid", sid)];
        assert_eq!(state(&word), Unknown, "{sid}");
    }
    // What was not asked under a law that does not apply is no refusal.
    let unasked = gpp(&[(2, &no), (6, "1YNN")]);
    assert_eq!(state(&[("gpp", &unasked), ("gpp_sid", "6")]), Unknown);
    // An opt-out is one, whichever law it was made under.
    let opted_out = gpp(&[(2, &yes), (6, "1YYN")]);
    assert_eq!(state(&[("gpp", &opted_out), ("gpp_sid", "2")]), Denied);
}

#[test]
fn a_section_in_force_must_be_there_and_readable() {
    let Strings { yes, .. } = strings();
    let broken = gpp(&[(2, &yes), (8, "BAAA")]);
    for (sid, wanted) in [
        (Some("2"), Granted),
        (Some("8"), Malformed),
        (Some("2,8"), Malformed),
        (Some("7"), Malformed),
        (Some("2,7"), Malformed),
        // Nothing says which is in force, so each may be.
        (None, Malformed),
    ] {
        let mut pairs = vec![("gpp", broken.as_str())];
        pairs.extend(sid.map(|sid| ("gpp_sid", sid)));
        assert_eq!(state(&pairs), wanted, "{sid:?}");
    }
    // Canada's framework is not read here: in force it proves nothing, and beside what is in force it spoils nothing.
    let canada = gpp(&[(2, &yes), (5, "BPXuQIAPXuQIA")]);
    assert_eq!(state(&[("gpp", &canada), ("gpp_sid", "2")]), Granted);
    assert_eq!(state(&[("gpp", &canada)]), Granted);
    assert_eq!(state(&[("gpp", &canada), ("gpp_sid", "2,5")]), Unknown);
}

#[test]
fn without_a_vendor_id_a_string_can_only_refuse() {
    let Strings { yes, no, .. } = strings();
    let for_nobody = |pairs: &[(&str, &str)]| state_for(None, Collector::Shop, pairs);
    for name in ["gdpr_consent", "gpp"] {
        let written = |string: &str| {
            if name == "gpp" {
                gpp(&[(2, string)])
            } else {
                string.to_owned()
            }
        };
        assert_eq!(for_nobody(&[(name, &written(&yes))]), Unknown);
        assert_eq!(for_nobody(&[(name, &written(&no))]), Denied);
        assert_eq!(
            for_nobody(&[(name, &written(&yes)), ("consent", "granted")]),
            Granted
        );
    }
}

#[test]
fn consent_mode_is_the_senders_word() {
    let publisher = |contract| Collector::Publisher { contract };
    let named = [("ad_storage", "granted"), ("ad_user_data", "granted")];
    let short_and_named = [("gcs", "G111"), ("gcd", "13r3r3r3r5")];
    for pairs in [&named[..], &short_and_named] {
        assert_eq!(state_for(None, Collector::Shop, pairs), Granted);
        assert_eq!(state_for(None, publisher(true), pairs), Granted);
        assert_eq!(state_for(None, publisher(false), pairs), Unknown);
    }
    for (pairs, wanted) in [
        (vec![("ad_storage", "granted")], Unknown),
        (vec![("ad_user_data", "granted")], Unknown),
        (vec![("ad_user_data", "denied")], Denied),
        (
            vec![("ad_storage", "granted"), ("ad_user_data", "denied")],
            Denied,
        ),
        (
            vec![("ad_storage", "denied"), ("ad_user_data", "granted")],
            Denied,
        ),
        (
            vec![("ad_storage", "yes"), ("ad_user_data", "granted")],
            Malformed,
        ),
        (vec![("ad_storage", "denied"), ("ad_user_data", "")], Denied),
        (vec![("analytics_storage", "granted")], Unknown),
        (vec![("analytics_storage", "no")], Malformed),
        (
            vec![
                ("ad_storage", "granted"),
                ("ad_storage", "granted"),
                ("ad_user_data", "granted"),
            ],
            Malformed,
        ),
        // A hint about the device, completed by the field it lacks, is still only what both say.
        (vec![("gcs", "G111"), ("ad_user_data", "granted")], Unknown),
        (vec![("gcs", "G1--"), ("consent", "granted")], Granted),
        (vec![("gcs", "G100"), ("consent", "granted")], Denied),
        (vec![("gcd", "11t1t1t1t5")], Unknown),
        (vec![("gcd", "11t1t1t1t5"), ("consent", "granted")], Granted),
    ] {
        assert_eq!(state_for(None, Collector::Shop, &pairs), wanted, "{pairs:?}");
    }
}

#[test]
fn an_opt_out_in_any_form_is_a_refusal() {
    for (name, value, wanted) in [
        ("us_privacy", "1YYN".to_owned(), Denied),
        ("us_privacy", "1YNN".to_owned(), Granted),
        ("us_privacy", "1---".to_owned(), Granted),
        ("gpp", gpp(&[(6, "1YYN")]), Denied),
        ("gpp", gpp(&[(6, "1YNN")]), Granted),
        // California's GPC sub-section, and no field beside it.
        ("gpp", gpp(&[(8, "BAAAAABA.YA")]), Denied),
        ("gpp", gpp(&[(8, "BAAAAABA.QA")]), Granted),
        // Maryland, in the newer form without its header.
        ("gpp", gpp(&[(24, "BRWY")]), Denied),
        ("gpp", gpp(&[(24, "BQAA.YA")]), Denied),
        ("gpp", gpp(&[(24, "BQAA.QA")]), Granted),
    ] {
        assert_eq!(
            state(&[("consent", "granted"), (name, &value)]),
            wanted,
            "{name}={value}"
        );
        let alone = if wanted == Denied { Denied } else { Unknown };
        assert_eq!(state(&[(name, &value)]), alone, "{name}={value}");
    }
}

#[test]
fn what_authorised_is_kept_whichever_way_it_came() {
    let tc = Tc {
        vendors: Set::ranges(&[(700, 800)]),
        ..Tc::default()
    };
    let wrapped = gpp(&[(2, &tc.text())]);
    let evidence = |name: &str, value: &str| {
        let mut signals = Signals::default();
        signals.note(name, value);
        let terms = Terms {
            vendor: Some(VENDOR),
            ..Terms::default()
        };
        let reading = Reading::without_registries(Collector::Shop, terms, NOW_S);
        signals.read(reading).tc().copied()
    };
    let alone = evidence("gdpr_consent", &tc.text()).expect("a TC string");
    assert!(evidence("gpp", &wrapped) == Some(alone), "the same facts");
    let standing = alone.standing.expect("ours");
    assert_eq!((alone.cmp_id(), standing.consent), (31, true));
    assert!(evidence("gpp", &gpp(&[(6, "1YNN")])).is_none());
}
