//! How long consent signals take to read: each beside SHA-256 of the same bytes in the same run.
//!
//! Promise: the figures say whether they keep their limits, and the run fails if one does not. A median of rounds is
//! shown, since other work on the machine makes single rounds slow and none fast. `cargo bench --bench signals`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark reports to a person and stops at a fault"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use einklang::domain::consent::{ConsentState, decide_click};
use einklang::domain::policy::Policy;
use einklang::domain::signal::{Collector, Reading, Signals};
use einklang::domain::{gpp, tcf};
use sha2::{Digest, Sha256};

#[path = "../tests/encode/mod.rs"]
mod encode;

use encode::{NOW_S, Set, Tc};

const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_millis(20);

/// The middle of several rounds, in nanoseconds a call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    while time(calls, &mut call) < ROUND {
        calls *= 2;
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| time(calls, &mut call).as_secs_f64() * 1e9 / f64::from(calls))
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(calls: u32, call: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed()
}

/// A string of exactly so many characters about so many vendors: bit fields, and restrictions for the rest.
fn of_length(chars: usize, vendors: u16) -> String {
    let odd = |max: u16| Set::Bits {
        max,
        vendors: (1..=max).filter(|vendor| vendor % 7 != 0).collect(),
    };
    for max in (vendors.saturating_sub(40)..=vendors).rev() {
        for entries in 0..=400_u16 {
            let restricted = (1..=entries).map(|vendor| (vendor * 3, vendor * 3)).collect();
            let tc = Tc {
                vendors: odd(max),
                vendor_li: odd(max),
                disclosed: Some(odd(max)),
                restrictions: vec![(2, 1, restricted)],
                unit: 6,
                ..Tc::default()
            };
            let text = tc.text();
            if text.len() == chars {
                return text;
            }
            if text.len() > chars {
                break;
            }
        }
    }
    panic!("no string of {chars} characters")
}

/// 1,450 times the range from 1 to 65,535, filled up with zero bits to 8,024 characters.
fn hostile() -> String {
    let tc = Tc {
        vendors: Set::Ranges {
            max: u16::MAX,
            ranges: vec![(1, u16::MAX); 1_450],
        },
        disclosed: None,
        unit: 6,
        ..Tc::default()
    };
    padded(tc.text(), 8_024)
}

/// Zero bits may follow a string's last segment; they bring it to the length that others were measured with.
fn padded(mut text: String, chars: usize) -> String {
    while text.len() < chars {
        text.push('A');
    }
    text
}

struct Report {
    all_within: bool,
}

impl Report {
    fn line(&mut self, what: &str, bytes: &[u8], limit_us: Option<f64>, call: impl FnMut()) {
        let taken = measure(call);
        let hash = measure(|| {
            black_box(Sha256::digest(black_box(bytes)));
        });
        let within = limit_us.is_none_or(|limit| taken <= limit * 1_000.0);
        self.all_within &= within;
        let limit = limit_us.map_or_else(String::new, |limit| format!("{limit:.1}"));
        println!(
            "| {what} | {} | {:.2} | {limit} | {:.2} | {:.2} | {} |",
            bytes.len(),
            taken / 1_000.0,
            hash / 1_000.0,
            taken / hash,
            if within { "yes" } else { "**no**" },
        );
    }
}

fn decision(signals: &Signals<'_>, policy: &Policy) -> Option<ConsentState> {
    let assessment = signals.assess(Reading::without_registries(
        Collector::Publisher { contract: false },
        policy.terms(),
        NOW_S,
    ));
    decide_click(&assessment, policy).ok()
}

/// A decision on these parameters, which has to be a grant: a request that is turned away early proves nothing.
fn decide(report: &mut Report, what: &str, limit_us: f64, pairs: &[(&str, &str)]) {
    let policy = Policy {
        tcf_vendor_id: Some(755),
        ..Policy::default()
    };
    let bytes: String = pairs.iter().map(|(_, value)| *value).collect();
    let read = || {
        let mut signals = Signals::with_header(false);
        for (name, value) in pairs {
            signals.note(name, value);
        }
        decision(&signals, &policy)
    };
    assert_eq!(read(), Some(ConsentState::Granted), "{what}");
    report.line(what, bytes.as_bytes(), Some(limit_us), || {
        black_box(read());
    });
}

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!(
        "{cores} cores; median of {ROUNDS} rounds of at least {} ms\n",
        ROUND.as_millis()
    );
    println!("| what | bytes | µs | at most | SHA-256 µs | ratio | within |");
    println!("|---|---|---|---|---|---|---|");
    let mut report = Report { all_within: true };
    let small = Tc {
        vendors: Set::ranges(&[(755, 755)]),
        vendor_li: Set::none(),
        disclosed: Some(Set::ranges(&[(755, 755)])),
        unit: 6,
        ..Tc::default()
    };
    let small = padded(small.text(), 67);
    let (middle, large, hostile) = (of_length(579, 870), of_length(1_562, 1_300), hostile());
    for (text, limit_us) in [(&small, 0.7), (&middle, 7.0), (&large, 16.0), (&hostile, 100.0)] {
        tcf::decode(text).expect("well formed");
        report.line("TC string", text.as_bytes(), Some(limit_us), || {
            black_box(tcf::decode(black_box(text)).is_ok());
        });
    }
    let wrapped = encode::gpp(&[(2, &middle), (6, "1YNN"), (7, "BVQqAAAAAgA.QA")]);
    report.line("GPP envelope", wrapped.as_bytes(), None, || {
        black_box(gpp::decode(black_box(&wrapped)).is_ok());
    });
    let addtl = "2~43.46.55.61.70.83.89.93.108.117.122.124.135.143.144.147~dv.1.2.3.4.5.6.7";
    let usual = [
        ("gdpr", "1"),
        ("gdpr_consent", middle.as_str()),
        ("addtl_consent", addtl),
        ("gcs", "G111"),
        ("gcd", "13r3r3r3r5"),
        ("gpc", "0"),
    ];
    decide(&mut report, "decision", 10.0, &usual);
    let with_gpp = [
        &usual[..],
        &[
            ("gpp", wrapped.as_str()),
            ("gpp_sid", "2"),
            ("us_privacy", "1---"),
        ],
    ]
    .concat();
    decide(&mut report, "decision, with GPP", 10.0, &with_gpp);
    if report.all_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
