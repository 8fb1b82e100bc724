//! How the sections of the United States are laid out: the fields of each, in the order written.
//!
//! Promise: a table and nothing else, so that it can be held against the specifications line by line. Every field is
//! two bits wide, a list has two bits for each of its entries; what comes before (six bits of version) and after (a
//! sub-section) is the reader's business.

/// One field, or a list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Entries of a list; `None` for a single field.
    pub(super) entries: Option<u8>,
}

const fn one(name: &'static str) -> Field {
    Field { name, entries: None }
}

const fn list(name: &'static str, entries: u8) -> Field {
    Field {
        name,
        entries: Some(entries),
    }
}

/// What may follow the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// Two bits of type (1), one bit of Global Privacy Control.
    Gpc,
    /// Eight fields about sensitive data, without a type.
    Sensitive,
}

/// A section's layout.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) fields: &'static [Field],
    pub(super) tail: Tail,
}

/// The fields whose value 1 is a refusal.
pub(super) const OPT_OUTS: [&str; 3] = ["SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut"];

/// Most entries that a layout has (section 7, version 2: 32), with room.
pub(super) const MAX_ENTRIES: usize = 40;

const SHARING: Field = one("SharingNotice");
const PROCESSING: Field = one("ProcessingNotice");
const SALE_NOTICE: Field = one("SaleOptOutNotice");
const SHARING_NOTICE: Field = one("SharingOptOutNotice");
const ADVERTISING_NOTICE: Field = one("TargetedAdvertisingOptOutNotice");
const SENSITIVE_NOTICE: Field = one("SensitiveDataProcessingOptOutNotice");
const LIMIT_NOTICE: Field = one("SensitiveDataLimitUseNotice");
const SALE: Field = one("SaleOptOut");
const SHARING_OUT: Field = one("SharingOptOut");
const ADVERTISING: Field = one("TargetedAdvertisingOptOut");
const CHILD: Field = one("KnownChildSensitiveDataConsents");
const PERSONAL: Field = one("PersonalDataConsents");
const ADDITIONAL: Field = one("AdditionalDataProcessingConsent");
const COVERED: Field = one("MspaCoveredTransaction");
const OPTION_MODE: Field = one("MspaOptOutOptionMode");
const PROVIDER_MODE: Field = one("MspaServiceProviderMode");
const MODE: Field = one("MspaMode");

const fn sensitive(entries: u8) -> Field {
    list("SensitiveDataProcessing", entries)
}

const fn children(entries: u8) -> Field {
    list("KnownChildSensitiveDataConsents", entries)
}

macro_rules! layout {
    ($name:ident, $tail:ident, $($field:expr),+ $(,)?) => {
        static $name: Layout = Layout { fields: &[$($field),+], tail: Tail::$tail };
    };
}

/// What the states' first sections share but for two numbers: notice first, two opt-outs, the MSPA last.
macro_rules! state {
    ($name:ident, $tail:ident, $notice:expr, $sensitive:expr, $($more:expr),+ $(,)?) => {
        layout!($name, $tail, $notice, SALE_NOTICE, ADVERTISING_NOTICE, SALE, ADVERTISING, sensitive($sensitive),
            $($more,)+ COVERED, OPTION_MODE, PROVIDER_MODE);
    };
}

/// Section 7 with the 12 and 2 entries of its first specification, and with the 16 and 3 of its second.
macro_rules! national {
    ($name:ident, $sensitive:expr, $children:expr) => {
        layout!(
            $name,
            Gpc,
            SHARING,
            SALE_NOTICE,
            SHARING_NOTICE,
            ADVERTISING_NOTICE,
            SENSITIVE_NOTICE,
            LIMIT_NOTICE,
            SALE,
            SHARING_OUT,
            ADVERTISING,
            sensitive($sensitive),
            children($children),
            PERSONAL,
            COVERED,
            OPTION_MODE,
            PROVIDER_MODE
        );
    };
}

national!(NATIONAL_1, 12, 2);
national!(NATIONAL_2, 16, 3);
layout!(
    CALIFORNIA,
    Gpc,
    SALE_NOTICE,
    SHARING_NOTICE,
    LIMIT_NOTICE,
    SALE,
    SHARING_OUT,
    sensitive(9),
    children(2),
    PERSONAL,
    COVERED,
    OPTION_MODE,
    PROVIDER_MODE
);
state!(VIRGINIA, None, SHARING, 8, CHILD);
state!(COLORADO, Gpc, SHARING, 7, CHILD);
layout!(
    UTAH,
    None,
    SHARING,
    SALE_NOTICE,
    ADVERTISING_NOTICE,
    SENSITIVE_NOTICE,
    SALE,
    ADVERTISING,
    sensitive(8),
    CHILD,
    COVERED,
    OPTION_MODE,
    PROVIDER_MODE
);
state!(CONNECTICUT, Gpc, SHARING, 8, children(3));
state!(FLORIDA, None, PROCESSING, 8, children(3), ADDITIONAL);
state!(MONTANA, Gpc, SHARING, 8, children(3), ADDITIONAL);
state!(OREGON, Gpc, PROCESSING, 11, children(3), ADDITIONAL);
state!(TEXAS, Gpc, PROCESSING, 8, CHILD, ADDITIONAL);
state!(DELAWARE, Gpc, PROCESSING, 9, children(5), ADDITIONAL);
layout!(
    IOWA,
    Gpc,
    PROCESSING,
    SALE_NOTICE,
    ADVERTISING_NOTICE,
    one("SensitiveDataOptOutNotice"),
    SALE,
    ADVERTISING,
    sensitive(8),
    CHILD,
    COVERED,
    OPTION_MODE,
    PROVIDER_MODE
);
state!(NEBRASKA, Gpc, PROCESSING, 8, CHILD, ADDITIONAL);
state!(NEW_HAMPSHIRE, Gpc, PROCESSING, 8, children(3), ADDITIONAL);
state!(NEW_JERSEY, Gpc, PROCESSING, 10, children(5), ADDITIONAL);
state!(TENNESSEE, Gpc, PROCESSING, 8, CHILD, ADDITIONAL);
state!(MINNESOTA, Gpc, PROCESSING, 8, CHILD, ADDITIONAL);
layout!(
    MARYLAND,
    Gpc,
    COVERED,
    MODE,
    PROCESSING,
    SALE_NOTICE,
    ADVERTISING_NOTICE,
    SALE,
    ADVERTISING,
    ADDITIONAL
);
layout!(
    INDIANA_AND_LATER,
    Sensitive,
    COVERED,
    MODE,
    PROCESSING,
    SALE_NOTICE,
    ADVERTISING_NOTICE,
    SALE,
    ADVERTISING,
    CHILD,
    ADDITIONAL
);

/// The second layout of section 7.
pub(super) fn national_2() -> &'static Layout {
    &NATIONAL_2
}

/// The layout of a section's core; of section 7, the first one.
pub(super) fn of_section(id: u16) -> Option<&'static Layout> {
    Some(match id {
        7 => &NATIONAL_1,
        8 => &CALIFORNIA,
        9 => &VIRGINIA,
        10 => &COLORADO,
        11 => &UTAH,
        12 => &CONNECTICUT,
        13 => &FLORIDA,
        14 => &MONTANA,
        15 => &OREGON,
        16 => &TEXAS,
        17 => &DELAWARE,
        18 => &IOWA,
        19 => &NEBRASKA,
        20 => &NEW_HAMPSHIRE,
        21 => &NEW_JERSEY,
        22 => &TENNESSEE,
        23 => &MINNESOTA,
        24 => &MARYLAND,
        // Indiana, Kentucky, Rhode Island.
        25..=27 => &INDIANA_AND_LATER,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_fits_and_has_an_opt_out() {
        for layout in (7..=27).filter_map(of_section).chain([national_2()]) {
            let entries: usize = layout
                .fields
                .iter()
                .map(|field| usize::from(field.entries.unwrap_or(1)))
                .sum();
            assert!(entries <= MAX_ENTRIES);
            let outs = layout
                .fields
                .iter()
                .filter(|field| OPT_OUTS.contains(&field.name));
            assert!(outs.count() >= 2);
        }
        assert!(of_section(6).is_none() && of_section(28).is_none());
    }
}
