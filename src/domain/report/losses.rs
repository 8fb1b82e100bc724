//! What was not tracked and not recorded: the consent report's rows and totals, in plain counts.

use std::collections::BTreeMap;

use super::figures::RefusalSum;
use super::key::{Key, Row, TooManyRows, sorted};
use crate::domain::refusal::Outcome;

/// Untracked clicks of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrackedSum {
    /// The key.
    pub key: Key,
    /// How many.
    pub events: i64,
}

/// What consent, and other reasons, kept out of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Clicks that were redirected untracked.
    pub untracked_clicks: i64,
    /// Postbacks answered with an error.
    pub refused_postbacks: i64,
    /// Postbacks answered with 200 and not recorded.
    pub dropped_postbacks: i64,
}

/// The consent report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The rows, sorted by key.
    pub rows: Vec<Row<Losses>>,
    /// Their totals.
    pub totals: Losses,
}

/// Puts the consent report together.
pub fn consent(untracked: &[UntrackedSum], refusals: &[RefusalSum]) -> Result<Consent, TooManyRows> {
    let mut rows: BTreeMap<Key, Losses> = BTreeMap::new();
    let mut totals = Losses::default();
    for sum in untracked {
        for losses in [rows.entry(sum.key.clone()).or_default(), &mut totals] {
            losses.untracked_clicks = losses.untracked_clicks.saturating_add(sum.events);
        }
    }
    for sum in refusals {
        for losses in [rows.entry(sum.key.clone()).or_default(), &mut totals] {
            let count = match sum.outcome {
                Outcome::Dropped => &mut losses.dropped_postbacks,
                Outcome::Refused | Outcome::Recorded | Outcome::Duplicate => &mut losses.refused_postbacks,
            };
            *count = count.saturating_add(sum.events);
        }
    }
    TooManyRows::check(rows.len())?;
    Ok(Consent {
        rows: sorted(rows),
        totals,
    })
}

#[cfg(test)]
mod tests {
    use super::super::key::Part;
    use super::super::{Dimension, ROWS_MAX};
    use super::*;
    use crate::domain::refusal::Reason;

    fn on(day: i64) -> UntrackedSum {
        UntrackedSum {
            key: Key::new(vec![(Part::Number(day), Dimension::Day)]),
            events: 1,
        }
    }

    #[test]
    fn an_answer_has_an_end() {
        let last = i64::try_from(ROWS_MAX).expect("small");
        let mut sums: Vec<UntrackedSum> = (1..=last).map(on).collect();
        assert_eq!(consent(&sums, &[]).expect("just enough").rows.len(), ROWS_MAX);
        sums.push(on(last + 1));
        assert_eq!(consent(&sums, &[]), Err(TooManyRows));
    }

    #[test]
    fn losses_of_clicks_and_postbacks_meet_in_one_row() {
        let denied = Key::new(vec![(Part::Word("consent_denied"), Dimension::Reason)]);
        let untracked = [UntrackedSum {
            key: denied.clone(),
            events: 7,
        }];
        let refused = [(Outcome::Refused, 2), (Outcome::Dropped, 3)].map(|(outcome, events)| RefusalSum {
            key: denied.clone(),
            outcome,
            reason: Reason::ConsentDenied,
            events,
        });
        let report = consent(&untracked, &refused).expect("few rows");
        let expected = Losses {
            untracked_clicks: 7,
            refused_postbacks: 2,
            dropped_postbacks: 3,
        };
        assert_eq!(report.rows.len(), 1);
        assert_eq!(report.rows[0].key.reason(), Some("consent_denied"));
        assert_eq!((report.rows[0].figures, report.totals), (expected, expected));
    }
}
