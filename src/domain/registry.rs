//! Registries: what is known beside a TC string of who made it and of whom it speaks.
//!
//! Promise: a registry only ever takes away. A consent platform that is off the list makes a string unusable; a vendor
//! that had not registered a purpose on consent when the string was made is granted nothing for it. Without a registry
//! everything is as if all platforms and purposes were registered. The files are read once, at start; nothing here is
//! fetched, and a question is answered from memory.

mod files;

use std::collections::BTreeMap;

pub use files::{RegistryFault, cmp_list, registrations, vendor_list};

use super::tcf::{Basis, CmpList, Unusable};

/// What a vendor registered about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// No registry speaks about it: taken for consent, not flexible.
    Assumed,
    /// Nothing.
    Not,
    /// A basis.
    On {
        /// The legal basis.
        basis: Basis,
        /// Whether a publisher may move it to the other one.
        flexible: bool,
    },
}

/// One vendor's registration, from one moment to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// From this second on.
    pub from_s: i64,
    /// Until before this second; none: still.
    pub until_s: Option<i64>,
    /// Purposes on consent.
    pub consent: Vec<u8>,
    /// Purposes on legitimate interest.
    pub legitimate_interest: Vec<u8>,
    /// Purposes of either that a publisher may move to the other basis.
    pub flexible: Vec<u8>,
}

impl Registration {
    fn covers(&self, at_s: i64) -> bool {
        self.from_s <= at_s && self.until_s.is_none_or(|until_s| at_s < until_s)
    }

    fn purpose(&self, purpose: u8) -> Registered {
        let on = |basis| Registered::On {
            basis,
            flexible: self.flexible.contains(&purpose),
        };
        if self.consent.contains(&purpose) {
            on(Basis::Consent)
        } else if self.legitimate_interest.contains(&purpose) {
            on(Basis::LegitimateInterest)
        } else {
            Registered::Not
        }
    }
}

/// Vendors by id, each with its registrations in the order of their times.
pub type Vendors = BTreeMap<u16, Vec<Registration>>;

/// Every registry that the server was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries {
    /// The consent platforms.
    pub cmps: Option<CmpList>,
    /// The history of our own vendors' registrations.
    pub history: Option<Vendors>,
    /// A Global Vendor List: one moment of every vendor. It speaks for vendors that the history does not name.
    pub list: Option<Vendors>,
}

impl Registries {
    /// No registry at all.
    pub fn none() -> &'static Registries {
        static NONE: Registries = Registries {
            cmps: None,
            history: None,
            list: None,
        };
        &NONE
    }

    /// What the list of consent platforms has against one of them.
    pub fn objection(&self, cmp_id: u16, now_s: i64) -> Option<Unusable> {
        self.cmps.as_ref()?.objection(cmp_id, now_s)
    }

    /// What a vendor had registered about a purpose when a string was made.
    pub fn registered(&self, vendor: u16, purpose: u8, at_s: i64) -> Registered {
        let in_history = self.history.as_ref().and_then(|history| history.get(&vendor));
        let in_list = || self.list.as_ref().and_then(|list| list.get(&vendor));
        match in_history.or_else(in_list) {
            Some(registrations) => registrations
                .iter()
                .find(|registration| registration.covers(at_s))
                .map_or(Registered::Not, |registration| registration.purpose(purpose)),
            None if self.history.is_none() && self.list.is_none() => Registered::Assumed,
            // Somebody keeps a registry, and this vendor is not in it.
            None => Registered::Not,
        }
    }

    /// Whether some registry says who registered what.
    pub fn knows_vendors(&self) -> bool {
        self.history.is_some() || self.list.is_some()
    }

    /// Whether a registry names this vendor.
    pub fn names(&self, vendor: u16) -> bool {
        let mut registries = self.history.iter().chain(&self.list);
        registries.any(|vendors| vendors.contains_key(&vendor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON_CONSENT: Registered = Registered::On {
        basis: Basis::Consent,
        flexible: false,
    };

    fn from(from_s: i64, until_s: Option<i64>, consent: &[u8]) -> Registration {
        Registration {
            from_s,
            until_s,
            consent: consent.to_vec(),
            legitimate_interest: vec![2],
            flexible: vec![2],
        }
    }

    #[test]
    fn what_counts_is_what_was_registered_then() {
        let history = BTreeMap::from([(755, vec![from(100, Some(200), &[1]), from(300, None, &[1, 7])])]);
        let registries = Registries {
            history: Some(history),
            ..Registries::default()
        };
        let seven = |at_s| registries.registered(755, 7, at_s);
        assert_eq!(seven(99), Registered::Not);
        assert_eq!(registries.registered(755, 1, 100), ON_CONSENT);
        assert_eq!(seven(199), Registered::Not, "only access then");
        assert_eq!(
            registries.registered(755, 1, 200),
            Registered::Not,
            "between the two"
        );
        assert_eq!(seven(300), ON_CONSENT);
        let flexible = Registered::On {
            basis: Basis::LegitimateInterest,
            flexible: true,
        };
        assert_eq!(registries.registered(755, 2, 300), flexible);
        assert_eq!(registries.registered(756, 1, 300), Registered::Not, "not in it");
        assert!(registries.names(755) && !registries.names(756));
    }

    #[test]
    fn the_history_speaks_before_the_list_and_silence_assumes() {
        assert_eq!(Registries::default().registered(755, 1, 0), Registered::Assumed);
        let both = Registries {
            history: Some(BTreeMap::from([(755, vec![from(0, None, &[1])])])),
            list: Some(BTreeMap::from([
                (755, vec![from(i64::MIN, None, &[1, 7])]),
                (756, vec![from(i64::MIN, None, &[7])]),
            ])),
            cmps: None,
        };
        assert_eq!(both.registered(755, 7, 0), Registered::Not);
        assert_eq!(both.registered(756, 7, 0), ON_CONSENT);
    }
}
