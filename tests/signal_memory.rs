//! How much memory a signal can make the server use: at most 64 KiB at any moment, whatever is in it.
//!
//! Promise: the figures are of the allocator, counted while one string is read and nothing else runs, which is why this
//! file has a single test. What grows in steps counts twice while it is moved.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells what it measured"
)]

use einklang::domain::policy::Policy;
use einklang::domain::signal::additional_consent::AdditionalConsent;
use einklang::domain::signal::{Collector, Reading, Signals};
use einklang::domain::{gpp, tcf};
use peak_alloc::PeakAlloc;

mod encode;

use encode::{Bits, NOW_S, Restriction, Set, Tc, gpp as written_gpp};

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

const LIMIT_BYTES: usize = 64 * 1_024;

/// The most that was in use while this ran, beyond what was in use before.
fn peak_bytes(what: &str, run: impl FnOnce()) -> usize {
    COUNTED.reset_peak_usage();
    let before = COUNTED.current_usage();
    run();
    let bytes = COUNTED.peak_usage().saturating_sub(before);
    println!("{what}: {bytes} bytes");
    bytes
}

/// A TC string of the longest length with as many entries as fit.
fn filled(mut with: impl FnMut(usize) -> Tc) -> String {
    let (mut fits, mut too_long) = (0, 6_000);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        if with(middle).text().len() <= tcf::MAX_TEXT_CHARS {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    with(fits).text()
}

/// Single ids far apart, so that none can be joined.
fn scattered(count: usize) -> Vec<(u16, u16)> {
    (0..count.min(4_095))
        .map(|at| u16::try_from(at * 2 + 1).expect("small"))
        .map(|id| (id, id))
        .collect()
}

fn strings() -> Vec<(&'static str, String)> {
    let base = || Tc {
        unit: 6,
        disclosed: None,
        ..Tc::default()
    };
    let wide = |count: usize| vec![(1, u16::MAX); count.min(4_095)];
    let one_restriction = |count: usize| -> Vec<Restriction> { vec![(1, 0, scattered(count))] };
    let split = |count: usize| -> Vec<Restriction> {
        (0..count)
            .map(|at| {
                (
                    u8::try_from(at % 24 + 1).expect("small"),
                    u8::try_from(at % 3).expect("small"),
                    vec![(1, 1)],
                )
            })
            .collect()
    };
    vec![
        (
            "the whole range again and again",
            filled(|count| Tc {
                vendors: Set::Ranges {
                    max: u16::MAX,
                    ranges: wide(count),
                },
                ..base()
            }),
        ),
        (
            "single ids far apart",
            filled(|count| Tc {
                vendors: Set::Ranges {
                    max: u16::MAX,
                    ranges: scattered(count),
                },
                vendor_li: Set::Ranges {
                    max: u16::MAX,
                    ranges: scattered(count.saturating_sub(4_095)),
                },
                ..base()
            }),
        ),
        (
            "one restriction on thousands",
            filled(|count| Tc {
                restrictions: one_restriction(count),
                ..base()
            }),
        ),
        (
            "thousands of restrictions",
            filled(|count| Tc {
                restrictions: split(count.min(4_095)),
                ..base()
            }),
        ),
        (
            "a bit for each of 65,535 vendors",
            Tc {
                vendors: Set::Bits {
                    max: u16::MAX,
                    vendors: (1..=u16::MAX).step_by(2).collect(),
                },
                ..base()
            }
            .text(),
        ),
    ]
}

#[test]
fn no_signal_takes_more_than_64_kib() {
    let strings = strings();
    let mut worst = 0;
    for (what, text) in &strings {
        assert!(
            text.len() > 10_000 && text.len() <= tcf::MAX_TEXT_CHARS,
            "{what}: {} characters",
            text.len()
        );
        let bytes = peak_bytes(what, || {
            tcf::decode(text).expect("well formed");
        });
        worst = worst.max(bytes);
        // Cut short, so that everything is read before the fault shows.
        let cut = &text[..text.len() - 4];
        worst = worst.max(peak_bytes("... cut short", || assert!(tcf::decode(cut).is_err())));
    }
    for (what, count) in [("256 sections", 256), ("8,000 sections", 8_000)] {
        let mut header = Bits::default();
        header
            .put(3, 6)
            .put(1, 6)
            .put(1, 12)
            .put(1, 1)
            .fibonacci(1)
            .fibonacci(count - 1);
        let many = format!("{}{}", header.text(6), "~Q".repeat(count as usize));
        let bytes = peak_bytes(what, || assert_eq!(gpp::decode(&many).is_ok(), count == 256));
        worst = worst.max(bytes);
    }
    let ids: Vec<String> = (1..=3_450).map(|id: u32| id.to_string()).collect();
    for lists in [
        format!("1~{}", ids.join(".")),
        format!("2~{}~dv.{}", ids[..1_700].join("."), ids[1_700..].join(".")),
    ] {
        worst = worst.max(peak_bytes("additional consent for thousands", || {
            AdditionalConsent::parse(&lists).expect("well formed");
        }));
    }
    // The whole decision on the worst of them.
    let (_, text) = &strings[1];
    let wrapped = written_gpp(&[(2, &text[..16_000])]);
    let bytes = peak_bytes("a decision on two such strings", || {
        let mut signals = Signals::default();
        signals.note("gdpr_consent", text);
        signals.note("gpp", &wrapped);
        let policy = Policy {
            tcf_vendor_id: Some(755),
            ..Policy::default()
        };
        signals
            .assess(Reading::without_registries(
                Collector::Shop,
                policy.terms(),
                NOW_S,
            ))
            .state(&policy);
    });
    worst = worst.max(bytes);
    assert!(worst <= LIMIT_BYTES, "{worst} bytes");
    assert!(worst > 8_192, "nothing was counted: {worst} bytes");
}
