//! Strings cut at every bit: what ends inside a field is refused, and what ends behind the last one is whole.
//!
//! The last character of a cut string is filled up with zeros. So a cut is only seen if it took a one, or a whole
//! character; and then the rest must be refused or, where a count or an id lost its last bits, be something else.

use einklang::domain::{gpp, tcf};

use super::encode::{Bits, Publisher, Set, Tc, gpp_header, us_core};

/// The text of the first bits, filled up to whole characters.
fn first(bits: &Bits, count: usize) -> String {
    Bits(bits.0[..count].to_vec()).text(1)
}

/// Cuts at every bit and reads what is left.
fn cut<T: PartialEq>(bits: &Bits, read: impl Fn(&str) -> Option<T>) -> usize {
    let needed = bits.0.len();
    let whole = read(&first(bits, needed));
    assert!(whole.is_some(), "the whole of it");
    for count in 1..needed {
        let text = first(bits, count);
        let rest = read(&text);
        let nothing_lost = text.len() * 6 >= needed && !bits.0[count..].contains(&true);
        if count % 6 == 0 {
            assert!(rest.is_none(), "{count} of {needed} bits, nothing filled up");
        } else if nothing_lost {
            assert!(rest == whole, "{count} of {needed} bits, only zeros cut");
        } else {
            assert!(rest != whole, "{count} of {needed} bits");
        }
    }
    needed
}

/// A string of the size that real ones have: 1,300 vendors, restrictions, all segments.
fn long() -> Tc {
    let odd = |step: u16| Set::Bits {
        max: 1_300,
        vendors: (1..=1_300).filter(|vendor| vendor % step != 0).collect(),
    };
    Tc {
        vendors: odd(7),
        vendor_li: odd(3),
        restrictions: (1..=24)
            .map(|purpose| {
                (
                    purpose,
                    purpose % 3,
                    vec![(u16::from(purpose), 900), (1_000, 1_000), (65_000, 65_535)],
                )
            })
            .collect(),
        disclosed: Some(Set::ranges(&[(1, 600), (700, 700), (800, 1_300)])),
        publisher: Some(Publisher {
            consents: (1..=24).collect(),
            li: vec![2, 7],
            custom_count: 40,
            custom_consents: (1..=40).collect(),
            custom_li: vec![40],
        }),
        ..Tc::default()
    }
}

#[test]
fn a_tc_string_cut_at_every_bit_of_every_segment() {
    let long = long();
    let core = long.core();
    let mut cuts = cut(&core, |text| tcf::decode(text).ok());
    let whole = core.text(6);
    for segment in long.segments() {
        cuts += cut(&segment, |text| tcf::decode(&format!("{whole}.{text}")).ok());
    }
    assert!(cuts > 5_000, "the string was short: {cuts}");
    println!("{cuts} cuts");
}

#[test]
fn a_gpp_header_cut_at_every_bit() {
    let ids = [2, 5, 6, 7, 9, 12, 13, 14, 27, 64, 1_000];
    let sections = "~QQ".repeat(ids.len());
    let header = gpp_header(&ids);
    cut(&header, |text| {
        let whole = format!("{text}{sections}");
        gpp::decode(&whole).ok().map(|gpp| {
            gpp.sections()
                .iter()
                .map(|section| section.id)
                .collect::<Vec<_>>()
        })
    });
}

#[test]
fn a_section_of_the_united_states_cut_at_every_bit() {
    // California: 20 values and GPC; no value is 0, so that nothing that is cut off looks like filling.
    let core = us_core(1, &[1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    let read = |text: &str| {
        let whole = format!("DBABBg~{text}");
        let gpp = gpp::decode(&whole).expect("an envelope");
        gpp.section(8)
            .and_then(|section| section.read())
            .and_then(Result::ok)
    };
    cut(&core, read);
    let mut gpc = Bits::default();
    gpc.put(1, 2).put(1, 1);
    let whole = core.text(6);
    cut(&gpc, |text| read(&format!("{whole}.{text}")));
}
