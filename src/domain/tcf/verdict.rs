//! Whether a well-formed TC string counts at all, and what it lets a vendor do.
//!
//! Promise: three separate answers. `decode` says "well formed"; [`TcString::usable`] says whether the string
//! may be relied on now; [`TcString::allows`] reads a permission from its bits. Only all three together are a
//! yes: a string that is not usable proves nothing, whatever its bits say.

use std::collections::BTreeMap;
use std::fmt;

use super::TcString;

/// The most that thirteen months can have: nobody may rely on a string for longer, whatever maximum age is asked for.
pub const LONGEST_AGE_SECONDS: i64 = 397 * 86_400;

/// How far the clock of a consent platform may be ahead of ours.
const CLOCK_LEAD_SECONDS: i64 = 48 * 3_600;

/// 2026-03-01T00:00Z: strings of that day or later are invalid without the Disclosed Vendors segment.
const DISCLOSURE_REQUIRED_FROM_S: i64 = 1_772_323_200;

/// Policy versions below this one are no longer valid; ones later than we know are: the format stays the same.
const LOWEST_POLICY_VERSION: u8 = 4;

/// The legal basis a vendor registered for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The person's consent.
    Consent,
    /// Legitimate interest.
    LegitimateInterest,
}

/// What a publisher's restriction does; the order is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RestrictionType {
    /// Type 0: the vendor may not process for this purpose.
    NotAllowed,
    /// Type 1: only on consent.
    RequireConsent,
    /// Type 2: only on legitimate interest.
    RequireLegitimateInterest,
}

impl RestrictionType {
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::NotAllowed),
            1 => Some(Self::RequireConsent),
            2 => Some(Self::RequireLegitimateInterest),
            _ => None,
        }
    }

    /// The number the string uses for it.
    pub fn number(self) -> u8 {
        match self {
            Self::NotAllowed => 0,
            Self::RequireConsent => 1,
            Self::RequireLegitimateInterest => 2,
        }
    }
}

/// Why a well-formed string may not be relied on. It then proves neither a yes nor a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// The string is not specific to the service; global scope ended in 2021.
    GlobalScope,
    /// The policy version is below 4.
    PolicyVersionTooOld,
    /// The Disclosed Vendors segment is missing though the date requires it.
    DisclosedVendorsMissing,
    /// A date lies more than 48 hours ahead.
    CreatedInFuture,
    /// Last updated before it was created.
    TimestampsInconsistent,
    /// Older than the maximum age.
    Expired,
    /// The consent platform's id is 0 or 1, which nobody has.
    CmpIdInvalid,
    /// The consent platform was taken off the list.
    CmpDeleted,
    /// The consent platform was never on the list.
    CmpNotRegistered,
}

impl Unusable {
    /// A stable code for records and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::GlobalScope => "global_scope",
            Self::PolicyVersionTooOld => "policy_version_too_old",
            Self::DisclosedVendorsMissing => "disclosed_vendors_missing",
            Self::CreatedInFuture => "created_in_future",
            Self::TimestampsInconsistent => "timestamps_inconsistent",
            Self::Expired => "expired",
            Self::CmpIdInvalid => "cmp_id_invalid",
            Self::CmpDeleted => "cmp_deleted",
            Self::CmpNotRegistered => "cmp_not_registered",
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Unusable {}

/// The registered consent platforms: id, and when it was deleted (epoch seconds) if it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CmpList(BTreeMap<u16, Option<i64>>);

impl FromIterator<(u16, Option<i64>)> for CmpList {
    fn from_iter<I: IntoIterator<Item = (u16, Option<i64>)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl CmpList {
    /// What speaks against a platform at a moment.
    pub fn objection(&self, cmp_id: u16, now_s: i64) -> Option<Unusable> {
        match self.0.get(&cmp_id) {
            None => Some(Unusable::CmpNotRegistered),
            Some(Some(deleted_at_s)) if *deleted_at_s <= now_s => Some(Unusable::CmpDeleted),
            Some(_) => None,
        }
    }
}

/// What decides whether a string may be relied on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) created_ds: u64,
    pub(super) last_updated_ds: u64,
    pub(super) cmp_id: u16,
    pub(super) policy_version: u8,
    pub(super) is_service_specific: bool,
    pub(super) has_disclosed_vendors: bool,
}

impl Dates {
    /// Every reason against relying on the string but those of a list of platforms, in the order of [`Unusable`].
    pub(super) fn objections(self, now_s: i64, max_age_seconds: i64) -> impl Iterator<Item = Unusable> {
        let last_updated_s = super::epoch_seconds(self.last_updated_ds);
        let newest_s = super::epoch_seconds(self.created_ds).max(last_updated_s);
        let age_seconds = now_s.saturating_sub(last_updated_s);
        [
            (!self.is_service_specific).then_some(Unusable::GlobalScope),
            (self.policy_version < LOWEST_POLICY_VERSION).then_some(Unusable::PolicyVersionTooOld),
            (!self.has_disclosed_vendors && newest_s >= DISCLOSURE_REQUIRED_FROM_S)
                .then_some(Unusable::DisclosedVendorsMissing),
            // Both dates: an update far ahead would otherwise never grow old.
            (newest_s > now_s.saturating_add(CLOCK_LEAD_SECONDS)).then_some(Unusable::CreatedInFuture),
            (self.last_updated_ds < self.created_ds).then_some(Unusable::TimestampsInconsistent),
            (age_seconds > max_age_seconds.min(LONGEST_AGE_SECONDS)).then_some(Unusable::Expired),
            (self.cmp_id < 2).then_some(Unusable::CmpIdInvalid),
        ]
        .into_iter()
        .flatten()
    }
}

impl TcString {
    pub(super) fn dates(&self) -> Dates {
        Dates {
            created_ds: self.created_ds,
            last_updated_ds: self.last_updated_ds,
            cmp_id: self.cmp_id,
            policy_version: self.policy_version,
            is_service_specific: self.is_service_specific,
            has_disclosed_vendors: self.disclosed_vendors.is_some(),
        }
    }

    /// Whether the string may be relied on at `now_s`; the error is the first reason in the order of [`Unusable`].
    ///
    /// `max_age_seconds` counts from the last update and is never more than [`LONGEST_AGE_SECONDS`]; without a
    /// list of consent platforms only the ids that nobody has are refused.
    pub fn usable(&self, now_s: i64, max_age_seconds: i64, cmps: Option<&CmpList>) -> Result<(), Unusable> {
        let first = self.objections(now_s, max_age_seconds, cmps).next();
        first.map_or(Ok(()), Err)
    }

    /// Every reason against relying on the string, in the order of [`Unusable`].
    pub fn objections(
        &self,
        now_s: i64,
        max_age_seconds: i64,
        cmps: Option<&CmpList>,
    ) -> impl Iterator<Item = Unusable> {
        let listed = cmps.and_then(|list| list.objection(self.cmp_id, now_s));
        self.dates().objections(now_s, max_age_seconds).chain(listed)
    }

    /// Whether the bits allow `vendor` to process for `purpose`, given the basis it registered and whether it
    /// registered the purpose as flexible. Says nothing about whether the string is usable.
    ///
    /// `PurposeOneTreatment` is left to the caller: where [`TcString::purpose_one_treatment`] is set, purpose 1
    /// was never asked, and what its bit says here proves nothing.
    pub fn allows(&self, vendor: u16, purpose: u8, declared: Basis, flexible: bool) -> bool {
        match self.basis(vendor, purpose, declared, flexible) {
            None => false,
            Some(Basis::Consent) => self.purposes_consent.contains(purpose) && self.vendor_consent(vendor),
            Some(Basis::LegitimateInterest) => {
                // Storage and profiles know only consent; a set bit there must be read as unset.
                !matches!(purpose, 1 | 3..=6)
                    && self.purposes_li.contains(purpose)
                    && self.vendor_legitimate_interest(vendor)
            }
        }
    }

    /// The basis on which the string would let `vendor` process for `purpose`; none: it does not, whatever its bits.
    pub fn basis(&self, vendor: u16, purpose: u8, declared: Basis, flexible: bool) -> Option<Basis> {
        if self.disclosed(vendor) == Some(false) {
            return None;
        }
        let required = match self.restrictions.applying(vendor, purpose) {
            Some(RestrictionType::NotAllowed) => return None,
            Some(RestrictionType::RequireConsent) => Basis::Consent,
            Some(RestrictionType::RequireLegitimateInterest) => Basis::LegitimateInterest,
            // A flexible vendor may follow a publisher; it may not pick a basis itself.
            None => declared,
        };
        (required == declared || flexible).then_some(required)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_registered_until_its_deletion() {
        let list = CmpList::from_iter([(31, None), (300, Some(1_000))]);
        assert_eq!(list.objection(31, i64::MAX), None);
        assert_eq!(list.objection(300, 999), None);
        assert_eq!(list.objection(300, 1_000), Some(Unusable::CmpDeleted));
        assert_eq!(list.objection(77, 0), Some(Unusable::CmpNotRegistered));
    }

    #[test]
    fn the_lowest_restriction_type_comes_first() {
        assert!(RestrictionType::NotAllowed < RestrictionType::RequireConsent);
        assert!(RestrictionType::RequireConsent < RestrictionType::RequireLegitimateInterest);
        for number in 0..=2 {
            assert_eq!(
                RestrictionType::from_bits(number).map(RestrictionType::number),
                Some(number)
            );
        }
        assert_eq!(RestrictionType::from_bits(3), None);
    }
}
