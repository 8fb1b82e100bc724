//! What holds for every consent signal, whatever is in it.
//!
//! Promise: three properties. Reading never panics. What was read and is written again says the same. And less in a
//! signal is never more in the answer: taking a bit away, or adding a restriction or a refusal, turns no "no" into a
//! "yes". Two rules of the framework limit the last one, and the tests leave exactly those out: a vendor that registered
//! as flexible follows a restriction to another basis, and of two restrictions the lower type counts, so one of type 1
//! may overrule one of type 2.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use einklang::domain::consent::ConsentState;
use einklang::domain::gpp::{self, Content, FieldValue, OptOut};
use einklang::domain::inspect::{Input, Kind, Question, answer};
use einklang::domain::policy::{Mode, Policy};
use einklang::domain::registry::{Registration, Registries};
use einklang::domain::signal::{Collector, Reading, Signals};
use einklang::domain::tcf::{self, Basis, LONGEST_AGE_SECONDS, TcString};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

mod encode;

use encode::{NOW_S, Publisher, Restriction, Set, Tc, gpp as written_gpp, us_core};

const VENDOR: u16 = 7;
/// Vendors that the strings are about; few, so that they meet.
const VENDORS: u16 = 12;

fn set() -> impl Strategy<Value = Set> {
    let bits = (0..=VENDORS).prop_flat_map(|max| {
        let all: Vec<u16> = (1..=max).collect();
        let count = all.len();
        subsequence(all, 0..=count).prop_map(move |vendors| Set::Bits { max, vendors })
    });
    let range = (1..=VENDORS, 0..4_u16).prop_map(|(first, width)| (first, (first + width).min(VENDORS)));
    let ranges = prop::collection::vec(range, 0..5).prop_map(|ranges| Set::Ranges { max: VENDORS, ranges });
    prop_oneof![bits, ranges]
}

fn purposes(last: u8) -> impl Strategy<Value = Vec<u8>> {
    subsequence((1..=last).collect::<Vec<u8>>(), 0..=usize::from(last))
}

fn restriction() -> impl Strategy<Value = Restriction> {
    let range = (1..=VENDORS, 0..3_u16).prop_map(|(first, width)| (first, first + width));
    (1..=11_u8, 0..=2_u8, prop::collection::vec(range, 0..3))
}

fn publisher() -> impl Strategy<Value = Publisher> {
    (purposes(24), purposes(24), 0..=63_u8).prop_flat_map(|(consents, li, custom_count)| {
        (purposes(custom_count), purposes(custom_count)).prop_map(move |(custom_consents, custom_li)| {
            Publisher {
                consents: consents.clone(),
                li: li.clone(),
                custom_count,
                custom_consents,
                custom_li,
            }
        })
    })
}

prop_compose! {
    fn tc_string()(
        (cmp_id, cmp_version, screen, list_version) in (0..4_096_u16, 0..4_096_u16, 0..64_u8, 0..4_096_u16),
        (policy_version, service_specific, own_texts, purpose_one_treatment) in (3..7_u8, prop::bool::weighted(0.9), any::<bool>(), prop::bool::weighted(0.1)),
        (features, consents, li) in (purposes(12), purposes(24), purposes(24)),
        (vendors, vendor_li, disclosed) in (set(), set(), prop::option::weighted(0.8, set())),
        restrictions in prop::collection::vec(restriction(), 0..4),
        publisher in prop::option::of(publisher()),
        (language, country) in ("[A-Z]{2}", "[A-Z]{2}"),
        (age_s, renewed_s) in (0..500 * 86_400_i64, 0..100 * 86_400_i64),
        unit in prop::sample::select(vec![1_usize, 6, 8, 24]),
    ) -> Tc {
        Tc {
            version: 2,
            created_s: NOW_S - age_s,
            updated_s: NOW_S - age_s + renewed_s,
            cmp_id, cmp_version, screen, language, list_version, policy_version, service_specific, own_texts, features,
            consents, li, purpose_one_treatment, country, vendors, vendor_li, restrictions, disclosed, publisher, unit,
        }
    }
}

fn decoded(tc: &Tc) -> TcString {
    tcf::decode(&tc.text()).expect("written as the specification says")
}

/// One thing less, or one restriction more.
#[derive(Debug, Clone)]
enum Less {
    PurposeConsent(Index),
    PurposeInterest(Index),
    VendorConsent(u16),
    VendorInterest(u16),
    Disclosure(u16),
    NotAllowed(u8),
    /// A restriction of any type, for a purpose and vendor that has none yet.
    FirstRestriction(u8, u8),
}

fn less() -> impl Strategy<Value = Less> {
    prop_oneof![
        any::<Index>().prop_map(Less::PurposeConsent),
        any::<Index>().prop_map(Less::PurposeInterest),
        (1..=VENDORS).prop_map(Less::VendorConsent),
        (1..=VENDORS).prop_map(Less::VendorInterest),
        (1..=VENDORS).prop_map(Less::Disclosure),
        (1..=11_u8).prop_map(Less::NotAllowed),
        (1..=11_u8, 0..=2_u8).prop_map(|(purpose, kind)| Less::FirstRestriction(purpose, kind)),
    ]
}

fn drop_one(numbers: &mut Vec<u8>, which: Index) {
    if !numbers.is_empty() {
        numbers.remove(which.index(numbers.len()));
    }
}

fn without(set: &Set, vendor: u16) -> Set {
    let vendors = (1..=VENDORS).filter(|other| *other != vendor && set.contains(*other));
    Set::bits(&vendors.collect::<Vec<_>>())
}

fn lessened(tc: &Tc, less: &Less) -> Tc {
    let mut tc = tc.clone();
    let all = vec![(1, u16::MAX)];
    match less {
        Less::PurposeConsent(which) => drop_one(&mut tc.consents, *which),
        Less::PurposeInterest(which) => drop_one(&mut tc.li, *which),
        Less::VendorConsent(vendor) => tc.vendors = without(&tc.vendors, *vendor),
        Less::VendorInterest(vendor) => tc.vendor_li = without(&tc.vendor_li, *vendor),
        Less::Disclosure(vendor) => tc.disclosed = tc.disclosed.map(|set| without(&set, *vendor)),
        Less::NotAllowed(purpose) => tc.restrictions.push((*purpose, 0, all)),
        Less::FirstRestriction(purpose, kind) => {
            if tc
                .restrictions
                .iter()
                .all(|(restricted, _, _)| restricted != purpose)
            {
                tc.restrictions.push((*purpose, *kind, all));
            }
        }
    }
    tc
}

fn state(vendor: Option<u16>, pairs: &[(&str, &str)]) -> ConsentState {
    state_with(Registries::none(), vendor, pairs)
}

fn state_with(registries: &Registries, vendor: Option<u16>, pairs: &[(&str, &str)]) -> ConsentState {
    let mut signals = Signals::default();
    for (name, value) in pairs {
        signals.note(name, value);
    }
    let policy = Policy {
        tcf_vendor_id: vendor,
        mode: Mode::StrictOptIn,
        ..Policy::default()
    };
    signals
        .assess(Reading {
            collector: Collector::Shop,
            terms: policy.terms(),
            registries,
            now_s: NOW_S,
        })
        .state(&policy)
}

/// The values of California's section: notices, opt-outs, consents, MSPA.
fn us_values() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..=2_u8, 20)
}

fn us_state(values: &[u8], gpc: Option<bool>) -> OptOut {
    let tail = match gpc {
        None => "",
        Some(true) => ".YA",
        Some(false) => ".QA",
    };
    let text = written_gpp(&[(8, &format!("{}{tail}", us_core(1, values).text(8)))]);
    let gpp = gpp::decode(&text).expect("an envelope");
    match gpp.section(8).and_then(|section| section.read()) {
        Some(Ok(Content::Us(section))) => section.opt_out(),
        other => panic!("{:?}", other.map(Result::err)),
    }
}

const KINDS: [Kind; 10] = [
    Kind::Tcf,
    Kind::Gpp,
    Kind::GppSid,
    Kind::Usp,
    Kind::Ac,
    Kind::Gcs,
    Kind::Gcd,
    Kind::SecGpc,
    Kind::SecGpcMulti,
    Kind::GdprParam,
];

fn asked(kind: Kind, text: &str) -> Question {
    Question {
        id: None,
        kind,
        input: Some(Input::Text(text.to_owned())),
        now: None,
        also_at: None,
        cmp_list: None,
        checks: None,
    }
}

/// A history of our vendor, or none of it.
fn registries() -> impl Strategy<Value = Registries> {
    let purpose = || prop::sample::select(vec![0_u8, 1, 2]);
    (
        purpose(),
        purpose(),
        any::<bool>(),
        -600..100_i64,
        prop::option::of(1..600_i64),
    )
        .prop_map(|(one, seven, flexible, from_day, days)| {
            let on = |basis: u8| {
                let chosen = [(1_u8, one), (7, seven)];
                chosen
                    .into_iter()
                    .filter(|(_, registered)| *registered == basis)
                    .map(|(purpose, _)| purpose)
                    .collect::<Vec<u8>>()
            };
            let from_s = NOW_S + from_day * 86_400;
            let registration = Registration {
                from_s,
                until_s: days.map(|days| from_s + days * 86_400),
                consent: on(1),
                legitimate_interest: on(2),
                flexible: if flexible { vec![1, 7] } else { Vec::new() },
            };
            Registries {
                history: Some([(VENDOR, vec![registration])].into()),
                ..Registries::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}|[A-Za-z0-9_.~-]{0,400}|[CD][A-Za-z0-9_-]{10,60}([.~][A-Za-z0-9_-]{1,60}){0,5}") {
        for kind in KINDS {
            let _ = answer(&asked(kind, &text), NOW_S);
        }
        for name in ["consent", "gdpr", "gdpr_consent", "addtl_consent", "gpp", "gpp_sid", "us_privacy", "gcs", "gcd", "gpc", "ad_storage"] {
            let _ = state(Some(VENDOR), &[(name, &text), ("gpp", &text), ("gpp_sid", "2,7")]);
        }
    }

    #[test]
    fn what_is_read_and_written_again_says_the_same(tc in tc_string()) {
        let first = decoded(&tc);
        let again = Tc::of(&first);
        let second = decoded(&again);
        // Neither the filling nor how ranges were cut up has a meaning, and a second round changes nothing more.
        prop_assert_eq!(&Tc::of(&second), &again);
        for vendor in 0..=VENDORS + 3 {
            prop_assert_eq!(first.vendor_consent(vendor), tc.vendors.contains(vendor));
            prop_assert_eq!(first.vendor_legitimate_interest(vendor), tc.vendor_li.contains(vendor));
            prop_assert_eq!(first.disclosed(vendor), tc.disclosed.as_ref().map(|set| set.contains(vendor)));
            for purpose in 0..=25 {
                for basis in [Basis::Consent, Basis::LegitimateInterest] {
                    for flexible in [false, true] {
                        prop_assert_eq!(
                            first.allows(vendor, purpose, basis, flexible),
                            second.allows(vendor, purpose, basis, flexible)
                        );
                    }
                }
            }
        }
        for now_s in [NOW_S, NOW_S - 86_400 * 300, NOW_S + 86_400 * 300] {
            prop_assert_eq!(
                first.usable(now_s, LONGEST_AGE_SECONDS, None),
                second.usable(now_s, LONGEST_AGE_SECONDS, None)
            );
        }
        prop_assert_eq!(
            (&again.language, &again.country, again.cmp_id, again.list_version, &again.publisher),
            (&tc.language, &tc.country, tc.cmp_id, tc.list_version, &tc.publisher)
        );
        prop_assert_eq!((&again.consents, &again.li, &again.features), (&tc.consents, &tc.li, &tc.features));
    }

    #[test]
    fn less_in_a_string_is_never_more_for_a_vendor(tc in tc_string(), less in less()) {
        let (before, after) = (decoded(&tc), decoded(&lessened(&tc, &less)));
        for vendor in 0..=VENDORS + 3 {
            for purpose in 0..=25 {
                for basis in [Basis::Consent, Basis::LegitimateInterest] {
                    let flexible = if matches!(less, Less::FirstRestriction(..)) { &[false][..] } else { &[false, true] };
                    for flexible in flexible {
                        prop_assert!(
                            before.allows(vendor, purpose, basis, *flexible) || !after.allows(vendor, purpose, basis, *flexible),
                            "{:?} let vendor {} do {} on {:?}", less, vendor, purpose, basis
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_registry_only_takes_away(tc in tc_string(), registries in registries(), frank in any::<bool>()) {
        let mut tc = tc;
        if frank {
            // A string that lets our vendor do everything: otherwise hardly any says yes.
            (tc.policy_version, tc.service_specific, tc.purpose_one_treatment) = (5, true, false);
            (tc.cmp_id, tc.created_s, tc.consents) = (31, tc.updated_s.min(NOW_S), (1..=24).collect());
            tc.updated_s = tc.created_s;
            (tc.vendors, tc.disclosed) = (Set::bits(&[VENDOR]), Some(Set::bits(&[VENDOR])));
            tc.restrictions.clear();
        }
        let text = tc.text();
        let pairs = [("gdpr_consent", text.as_str())];
        let (without, with) = (state(Some(VENDOR), &pairs), state_with(&registries, Some(VENDOR), &pairs));
        prop_assert!(with == without || (without, with) == (ConsentState::Granted, ConsentState::Unknown));
    }

    #[test]
    fn less_in_a_string_never_grants_a_click(tc in tc_string(), less in less()) {
        let (before, after) = (tc.text(), lessened(&tc, &less).text());
        for vendor in [None, Some(VENDOR)] {
            for name in ["gdpr_consent", "gpp"] {
                let written = |text: &str| if name == "gpp" { written_gpp(&[(2, text)]) } else { text.to_owned() };
                let (before, after) = (written(&before), written(&after));
                for more in [&[][..], &[("consent", "granted")], &[("gpp_sid", "2")]] {
                    let with = |text: &str| state(vendor, &[more, &[(name, text)]].concat());
                    prop_assert!(
                        with(&before) == ConsentState::Granted || with(&after) != ConsentState::Granted,
                        "{:?} granted", less
                    );
                }
            }
        }
    }

    #[test]
    fn another_signal_never_grants_what_a_string_does_not(tc in tc_string(), us in us_values(), gpc in any::<bool>()) {
        let text = tc.text();
        let section = us_core(1, &us).text(8);
        let alone = state(Some(VENDOR), &[("gdpr_consent", &text)]);
        let more = [
            ("gpp", written_gpp(&[(2, &text), (8, &section)])),
            ("us_privacy", "1YNN".to_owned()),
            ("gpc", u8::from(gpc).to_string()),
            ("gcs", "G111".to_owned()),
            ("gdpr", "0".to_owned()),
            ("addtl_consent", "1~7".to_owned()),
        ];
        // Where the string says that purpose 1 was not asked, consent mode may answer for the device.
        let more = more.iter().filter(|(name, _)| !(tc.purpose_one_treatment && *name == "gcs"));
        for (name, value) in more {
            let both = state(Some(VENDOR), &[("gdpr_consent", &text), (name, value)]);
            prop_assert!(alone == ConsentState::Granted || both != ConsentState::Granted, "{} granted", name);
            prop_assert!(alone != ConsentState::Denied || both == ConsentState::Denied, "{} lifted a refusal", name);
        }
    }

    #[test]
    fn a_refusal_more_in_a_section_is_never_lifted(values in us_values(), place in 0..20_usize, gpc in any::<Option<bool>>()) {
        let before = us_state(&values, gpc);
        let mut refused = values.clone();
        refused[place] = 1;
        if before == OptOut::OptedOut && ![3, 4].contains(&place) {
            prop_assert_eq!(us_state(&refused, gpc), OptOut::OptedOut);
        }
        if [3, 4].contains(&place) {
            prop_assert_eq!(us_state(&refused, gpc), OptOut::OptedOut);
        }
        prop_assert_eq!(us_state(&values, Some(true)), OptOut::OptedOut);
    }

    #[test]
    fn a_section_says_what_was_written(values in us_values(), gpc in any::<Option<bool>>()) {
        let tail = match gpc { None => "", Some(true) => ".YA", Some(false) => ".QA" };
        let text = written_gpp(&[(8, &format!("{}{tail}", us_core(1, &values).text(24)))]);
        let gpp = gpp::decode(&text).expect("an envelope");
        let Some(Ok(Content::Us(section))) = gpp.section(8).and_then(|section| section.read()) else {
            panic!("not read");
        };
        let mut read = Vec::new();
        let mut flag = None;
        for (_, value) in section.fields() {
            match value {
                FieldValue::One(value) => read.push(value),
                FieldValue::List(values) => read.extend_from_slice(values),
                FieldValue::Flag(on) => flag = Some(on),
            }
        }
        prop_assert_eq!(&read[1..], values.as_slice());
        prop_assert_eq!((read[0], flag), (1, Some(gpc == Some(true))));
    }

    #[test]
    fn a_header_says_which_sections_there_are(ids in prop::collection::btree_set(1..=65_535_u16, 0..40)) {
        let ids: Vec<u16> = ids.into_iter().collect();
        let sections: Vec<(u16, &str)> = ids.iter().map(|id| (*id, "QQ")).collect();
        let text = written_gpp(&sections);
        let gpp = gpp::decode(&text).expect("an envelope");
        let read: Vec<u16> = gpp.sections().iter().map(|section| section.id).collect();
        prop_assert_eq!(read, ids);
    }
}
