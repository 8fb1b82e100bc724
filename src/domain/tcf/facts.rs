//! What a TC string comes to for one vendor: all that a decision about us needs, and what its consent record keeps.
//!
//! Promise: [`TcFacts::answers`] and [`TcFacts::objections`] say of the facts what the whole string would have said.
//! Of the other vendors, and of the text, nothing is in them.

use super::super::consent::Answer;
use super::super::policy::Terms;
use super::super::registry::{Registered, Registries};
use super::verdict::{Basis, Dates, RestrictionType, Unusable};
use super::{Flags, PURPOSE_COUNT, SPECIAL_FEATURE_COUNT, TcString};

/// How the string stands to one vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The vendor.
    pub vendor: u16,
    /// Its consent bit.
    pub consent: bool,
    /// Its bit of legitimate interest.
    pub li: bool,
    /// Whether it was shown to the person; `None` if the string does not say.
    pub disclosed: Option<bool>,
    /// Two bits for each purpose, the first one lowest: no restriction, or the number of its type and one.
    restrictions: u64,
}

/// The purposes that we ask for, in the order of their bits in [`TcFacts::withheld`].
const ASKED: [u8; 4] = [1, 3, 4, 7];

/// A TC string without its text and without other vendors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcFacts {
    pub(super) dates: Dates,
    /// The version of the consent platform.
    pub cmp_version: u16,
    /// The screen on which the person decided.
    pub screen: u8,
    /// The language in which the person was asked.
    pub language: [char; 2],
    /// The version of the Global Vendor List.
    pub vendor_list_version: u16,
    /// Whether the publisher changed the standard texts.
    pub non_standard_texts: bool,
    /// The special features opted in to.
    pub special_features: Flags,
    /// The purposes consented to.
    pub purposes: Flags,
    /// The purposes with legitimate interest transparency.
    pub purposes_li: Flags,
    /// Whether purpose 1 was not asked at all.
    pub purpose_one_treatment: bool,
    /// The publisher's country.
    pub publisher_cc: [char; 2],
    /// How it stands to us, if we are a vendor.
    pub standing: Option<Standing>,
    /// What the list of consent platforms had against it when it was read.
    cmp: Option<Unusable>,
    /// A bit for each purpose of [`ASKED`] for which no consent was ours to ask when it was made, as registries say.
    withheld: u8,
}

/// The bytes of [`TcFacts::write`].
pub const WRITTEN_BYTES: usize = 40;

impl Standing {
    /// The restriction of a purpose that applies: of several, the lowest type.
    pub fn restriction(&self, purpose: u8) -> Option<RestrictionType> {
        let place = u32::from(purpose.checked_sub(1)?) * 2;
        let bits = self.restrictions.checked_shr(place)? & 3;
        match bits {
            1 => Some(RestrictionType::NotAllowed),
            2 => Some(RestrictionType::RequireConsent),
            3 => Some(RestrictionType::RequireLegitimateInterest),
            _ => None,
        }
    }

    /// Every purpose that is restricted, with the type that applies.
    pub fn restrictions(&self) -> impl Iterator<Item = (u8, RestrictionType)> {
        (1..=PURPOSE_COUNT).filter_map(|purpose| Some((purpose, self.restriction(purpose)?)))
    }
}

impl TcFacts {
    /// The facts of a string for a vendor, by what the registries say when it is read.
    pub fn of(string: &TcString, vendor: Option<u16>, registries: &Registries, now_s: i64) -> Self {
        let standing = |vendor| {
            let mut restrictions = 0;
            let mut last = 0;
            for (purpose, kind) in string.restrictions_for(vendor) {
                // Ascending by purpose and type: the first one of a purpose is the lowest, which applies.
                if purpose != last {
                    restrictions |=
                        (u64::from(kind.number()) + 1) << (u32::from(purpose.saturating_sub(1)) * 2);
                }
                last = purpose;
            }
            Standing {
                vendor,
                consent: string.vendor_consent(vendor),
                li: string.vendor_legitimate_interest(vendor),
                disclosed: string.disclosed(vendor),
                restrictions,
            }
        };
        Self {
            dates: string.dates(),
            cmp_version: string.cmp_version,
            screen: string.consent_screen,
            language: string.consent_language,
            vendor_list_version: string.vendor_list_version,
            non_standard_texts: string.use_non_standard_texts,
            special_features: string.special_feature_opt_ins,
            purposes: string.purposes_consent,
            purposes_li: string.purposes_li,
            purpose_one_treatment: string.purpose_one_treatment,
            publisher_cc: string.publisher_cc,
            standing: vendor.map(standing),
            cmp: registries.objection(string.cmp_id, now_s),
            withheld: vendor.map_or(0, |vendor| withheld(string, vendor, registries)),
        }
    }

    /// The consent platform.
    pub fn cmp_id(&self) -> u16 {
        self.dates.cmp_id
    }

    /// The version of the framework's policies.
    pub fn policy_version(&self) -> u8 {
        self.dates.policy_version
    }

    /// When the string was first made, in epoch seconds.
    pub fn created_s(&self) -> i64 {
        super::epoch_seconds(self.dates.created_ds)
    }

    /// When it was last changed, in epoch seconds.
    pub fn last_updated_s(&self) -> i64 {
        super::epoch_seconds(self.dates.last_updated_ds)
    }

    /// Every reason against relying on it, in the order of [`Unusable`].
    pub fn objections(&self, now_s: i64, max_age_seconds: i64) -> impl Iterator<Item = Unusable> {
        self.dates.objections(now_s, max_age_seconds).chain(self.cmp)
    }

    /// What it says about access, measuring and personalising on these terms; nothing where it may not be relied on.
    pub fn answers(&self, terms: Terms, now_s: i64) -> Option<[Answer; 3]> {
        self.verdict(terms, now_s).ok()
    }

    /// The same, with the first reason where it may not be relied on.
    pub fn verdict(&self, terms: Terms, now_s: i64) -> Result<[Answer; 3], Unusable> {
        if let Some(why) = self.objections(now_s, terms.max_consent_age_seconds()).next() {
            return Err(why);
        }
        // Purpose 1 was not asked where PurposeOneTreatment is set: nothing is proven for it.
        let access = if self.purpose_one_treatment {
            Answer::Unknown
        } else {
            self.said(1, terms)
        };
        Ok([
            access,
            self.said(7, terms),
            self.said(3, terms).both(self.said(4, terms)),
        ])
    }

    fn said(&self, purpose: u8, terms: Terms) -> Answer {
        let consented = self.purposes.contains(purpose);
        match (terms.vendor, self.standing) {
            (Some(vendor), Some(standing)) if standing.vendor == vendor => {
                // We ask as a vendor that registered consent and is not flexible.
                let restricted = !matches!(
                    standing.restriction(purpose),
                    None | Some(RestrictionType::RequireConsent)
                );
                let allowed =
                    consented && standing.consent && standing.disclosed != Some(false) && !restricted;
                match allowed {
                    false => Answer::Denied,
                    // A registry only takes away: what it withholds is no grant, and no refusal either.
                    true if self.is_withheld(purpose) => Answer::Unknown,
                    true => Answer::Granted,
                }
            }
            // Nobody registered, or another vendor was asked about: it cannot authorise us, but what was declined for
            // all is declined.
            _ if consented => Answer::Unknown,
            _ => Answer::Denied,
        }
    }

    fn is_withheld(&self, purpose: u8) -> bool {
        let place = ASKED.iter().position(|asked| *asked == purpose);
        place.is_some_and(|place| self.withheld >> place & 1 == 1)
    }

    /// Writes the facts in [`WRITTEN_BYTES`] bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let dates = &self.dates;
        for time in [dates.created_ds, dates.last_updated_ds] {
            out.extend_from_slice(&time.to_be_bytes()[3..]);
        }
        let standing = self.standing;
        let vendor = standing.map_or(0, |standing| standing.vendor);
        for number in [dates.cmp_id, self.cmp_version, self.vendor_list_version, vendor] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let letters = [self.language, self.publisher_cc].concat();
        out.extend(
            letters
                .into_iter()
                .map(|letter| u8::try_from(letter).unwrap_or(b'A')),
        );
        out.extend_from_slice(&[self.screen, dates.policy_version]);
        let disclosed = standing.and_then(|standing| standing.disclosed);
        let bits = [
            dates.is_service_specific,
            dates.has_disclosed_vendors,
            self.non_standard_texts,
            self.purpose_one_treatment,
            standing.is_some_and(|standing| standing.consent),
            standing.is_some_and(|standing| standing.li),
            disclosed.is_some(),
            disclosed == Some(true),
        ];
        out.push(
            bits.into_iter()
                .rev()
                .fold(0, |all, bit| all << 1 | u8::from(bit)),
        );
        out.extend_from_slice(&self.special_features.bits().to_be_bytes()[6..]);
        for flags in [self.purposes, self.purposes_li] {
            out.extend_from_slice(&flags.bits().to_be_bytes()[5..]);
        }
        let restrictions = standing.map_or(0, |standing| standing.restrictions);
        out.extend_from_slice(&restrictions.to_be_bytes()[2..]);
        let cmp = match self.cmp {
            None => 0,
            Some(Unusable::CmpDeleted) => 1,
            Some(_) => 2,
        };
        out.push(self.withheld | cmp << ASKED.len());
    }

    /// Reads what [`TcFacts::write`] wrote.
    pub fn read(bytes: &[u8; WRITTEN_BYTES]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        let mut number = |width: usize| {
            let (taken, left) = rest.split_at_checked(width)?;
            rest = left;
            Some(taken.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)))
        };
        let (created_ds, last_updated_ds) = (number(5)?, number(5)?);
        let mut short = || u16::try_from(number(2)?).ok();
        let (cmp_id, cmp_version, vendor_list_version, vendor) = (short()?, short()?, short()?, short()?);
        let mut small = || u8::try_from(number(1)?).ok();
        let mut letter = || small().map(char::from);
        let language = [letter()?, letter()?];
        let publisher_cc = [letter()?, letter()?];
        let (screen, policy_version, bits) = (small()?, small()?, small()?);
        let bit = |place: u8| bits >> place & 1 == 1;
        let special_features = Flags::new(number(2)?, SPECIAL_FEATURE_COUNT);
        let purposes = Flags::new(number(3)?, PURPOSE_COUNT);
        let purposes_li = Flags::new(number(3)?, PURPOSE_COUNT);
        let restrictions = number(6)?;
        let registries = u8::try_from(number(1)?).ok()?;
        let cmp = match registries >> ASKED.len() {
            0 => None,
            1 => Some(Unusable::CmpDeleted),
            2 => Some(Unusable::CmpNotRegistered),
            _ => return None,
        };
        Some(Self {
            dates: Dates {
                created_ds,
                last_updated_ds,
                cmp_id,
                policy_version,
                is_service_specific: bit(0),
                has_disclosed_vendors: bit(1),
            },
            cmp_version,
            screen,
            language,
            vendor_list_version,
            non_standard_texts: bit(2),
            special_features,
            purposes,
            purposes_li,
            purpose_one_treatment: bit(3),
            publisher_cc,
            standing: (vendor != 0).then_some(Standing {
                vendor,
                consent: bit(4),
                li: bit(5),
                disclosed: bit(6).then_some(bit(7)),
                restrictions,
            }),
            cmp,
            withheld: registries & 0b1111,
        })
    }
}

/// The purposes that the bits allow on consent but for which a vendor had, when the string was made, registered
/// nothing, or another basis that no restriction moved to consent.
fn withheld(string: &TcString, vendor: u16, registries: &Registries) -> u8 {
    let on_consent = |purpose| match registries.registered(vendor, purpose, string.last_updated_s()) {
        Registered::Assumed => true,
        Registered::Not => false,
        Registered::On { basis, flexible } => {
            string.basis(vendor, purpose, basis, flexible) == Some(Basis::Consent)
        }
    };
    ASKED.iter().enumerate().fold(0, |all, (place, purpose)| {
        all | u8::from(!on_consent(*purpose)) << place
    })
}

impl std::fmt::Debug for TcFacts {
    /// Names the type only, as the string itself does.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcFacts").finish_non_exhaustive()
    }
}
