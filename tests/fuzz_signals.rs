//! Damaged signals by the million: a seeded mutator for each decoder, for the whole query string and for a question.
//!
//! Promise: the toolchain is the stable one and a run is its seed, so what one machine finds every other repeats. A text
//! that is accepted, or refused for a reason not seen before, joins the pool that is mutated next. 20,000 executions
//! each by default; `EINKLANG_FUZZ_EXECUTIONS`, `EINKLANG_FUZZ_SEED` and the test's name choose others:
//!
//! `EINKLANG_FUZZ_EXECUTIONS=10000000 cargo test --release --test fuzz_signals -- --nocapture`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells how much it did"
)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use einklang::domain::consent::{ConsentState, decide_click};
use einklang::domain::gpp::sid::InForce;
use einklang::domain::gpp::{self, Content};
use einklang::domain::inspect::{Question, answer};
use einklang::domain::policy::{Policy, Terms};
use einklang::domain::signal::additional_consent::AdditionalConsent;
use einklang::domain::signal::consent_mode::{Gcd, Gcs};
use einklang::domain::signal::record::Inputs;
use einklang::domain::signal::us_privacy::UsPrivacy;
use einklang::domain::signal::{Collector, Reading, Signals, is_signal};
use einklang::domain::tcf::{self, Basis, LONGEST_AGE_SECONDS};
use einklang::edge::pairs;

#[path = "fuzz_signals/mutate.rs"]
mod mutate;

use mutate::Mutator;

/// 2026-11-24T12:00:00Z.
const NOW_S: i64 = 1_795_521_600;
const POOL: usize = 2_048;

/// What became of a text: a word for each way. New words make a text worth keeping.
type Outcome = String;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().expect("a number"))
}

fn fuzz(target: &str, corpus: &str, read: impl Fn(&str) -> Outcome) {
    let executions = setting("EINKLANG_FUZZ_EXECUTIONS", 20_000);
    let seed = setting("EINKLANG_FUZZ_SEED", 7);
    let mut mutator = Mutator::new(seed);
    let mut pool: Vec<String> = corpus.lines().map(str::to_owned).collect();
    assert!(!pool.is_empty(), "no corpus");
    let corpus = pool.len();
    let mut seen: BTreeSet<Outcome> = pool.iter().map(|text| read(text)).collect();
    let mut accepted = 0_u64;
    for execution in 0..executions {
        let text = mutator.mutate(&pool, corpus);
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&text)))
            .unwrap_or_else(|_| panic!("{target}, seed {seed}, execution {execution}: {text:?}"));
        let is_accepted = outcome.starts_with("ok");
        accepted += u64::from(is_accepted);
        let is_new = seen.insert(outcome);
        if is_new || (is_accepted && mutator.below(50) == 0) {
            if pool.len() < POOL {
                pool.push(text);
            } else {
                let place = corpus + mutator.below(POOL - corpus);
                pool[place] = text;
            }
        }
    }
    println!(
        "{target}: {executions} executions, {accepted} accepted, {} outcomes",
        seen.len()
    );
    assert!(
        accepted > 0 && accepted < executions,
        "the mutator does too little or too much"
    );
}

fn word(accepted: bool) -> Outcome {
    if accepted {
        "ok".to_owned()
    } else {
        "refused".to_owned()
    }
}

fn read_tcf(text: &str) -> Outcome {
    let string = match tcf::decode(text) {
        Ok(string) => string,
        Err(error) => return error.code().to_owned(),
    };
    let usable = string.usable(NOW_S, LONGEST_AGE_SECONDS, None);
    for vendor in [0, 1, 755, u16::MAX] {
        for purpose in [0, 1, 7, 24, 255] {
            for basis in [Basis::Consent, Basis::LegitimateInterest] {
                let allowed = string.allows(vendor, purpose, basis, true);
                assert!(
                    !allowed || (vendor > 0 && (1..=24).contains(&purpose)),
                    "nobody may do nothing"
                );
            }
        }
    }
    for set in [
        Some(string.vendor_consents()),
        Some(string.vendor_li()),
        string.disclosed_vendors(),
    ]
    .into_iter()
    .flatten()
    {
        let ranges = set.ranges();
        assert!(
            ranges.windows(2).all(|pair| pair[0].last < pair[1].first),
            "ranges are in order"
        );
        assert!(
            ranges
                .iter()
                .all(|range| set.contains(range.first) && set.contains(range.last))
        );
    }
    format!("ok {}", usable.err().map_or("usable", tcf::Unusable::code))
}

fn read_gpp(text: &str) -> Outcome {
    let gpp = match gpp::decode(text) {
        Ok(gpp) => gpp,
        Err(error) => return error.code().to_owned(),
    };
    let ids: Vec<u16> = gpp.sections().iter().map(|section| section.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ids ascend");
    let mut words = BTreeSet::new();
    for section in gpp.sections() {
        words.insert(match section.read() {
            None => "unknown".to_owned(),
            Some(Ok(Content::Us(us))) => {
                assert!(us.fields().count() > 5);
                format!("{} {:?}", section.id, us.opt_out())
            }
            Some(Ok(_)) => section.id.to_string(),
            Some(Err(error)) => error.code().to_owned(),
        });
    }
    format!("ok {words:?}")
}

fn read_query(text: &str) -> Outcome {
    let pairs = pairs::read(text);
    let mut signals = Signals::with_header(false);
    for (name, value) in &pairs {
        if is_signal(name) {
            signals.note(name, value.as_deref().unwrap_or(""));
        }
    }
    let mut words = Vec::new();
    for vendor in [None, Some(755)] {
        let policy = Policy {
            tcf_vendor_id: vendor,
            ..Policy::default()
        };
        for contract in [false, true] {
            let assessment = signals.assess(Reading::without_registries(
                Collector::Publisher { contract },
                policy.terms(),
                NOW_S,
            ));
            let state = assessment.state(&policy);
            let decided = decide_click(&assessment, &policy);
            assert_eq!(
                decided.is_ok(),
                state == ConsentState::Granted,
                "a click is tracked on a grant alone"
            );
            words.push(state.code());
        }
    }
    let terms = Terms {
        vendor: Some(755),
        ..Terms::default()
    };
    let reading = Reading::without_registries(Collector::Shop, terms, NOW_S);
    let inputs = Inputs::new(signals.read(reading), reading.collector);
    assert!(
        Inputs::decode(&inputs.encode()) == Some(inputs),
        "what is kept reads back"
    );
    let tracked = words.contains(&"granted");
    format!("{}{words:?}", if tracked { "ok " } else { "" })
}

macro_rules! targets {
    ($($name:ident: $file:literal, $read:expr;)*) => {$(
        #[test]
        fn $name() {
            fuzz(stringify!($name), include_str!(concat!("fuzz_signals/corpus/", $file, ".txt")), $read);
        }
    )*};
}

targets! {
    tcf: "tcf", read_tcf;
    gpp: "gpp", read_gpp;
    gpp_sid: "gpp_sid", |text| word(InForce::parse(text).is_some());
    us_privacy: "us_privacy", |text| UsPrivacy::parse(text).map_or_else(|| word(false), |read| format!("ok {:?}", read.state()));
    addtl_consent: "addtl_consent", |text| word(AdditionalConsent::parse(text).is_some());
    gcs: "gcs", |text| Gcs::parse(text).map_or_else(|| word(false), |read| format!("ok {:?}", read.answers()));
    gcd: "gcd", |text| Gcd::parse(text).map_or_else(|| word(false), |read| format!("ok {:?}", read.answers()));
    query: "query", read_query;
    question: "question", |text| {
        let Ok(question) = serde_json::from_str::<Question>(text) else { return "no question".to_owned() };
        match answer(&question, NOW_S) {
            Ok(report) => format!("ok {} {:?}", report.expect, report.reason),
            Err(bad) => bad.0.to_owned(),
        }
    };
}
