//! Sums of counters into rows and totals. Promise: the rows of a report add up to its totals, and no rate is given where
//! it would compare things that do not belong together.
//!
//! A sum may be partly negative: a change of status takes a conversion out of one count and puts it into another.

use std::collections::BTreeMap;

use super::key::{Key, Row, TooManyRows, sorted};
use super::{Dimension, RefusalsPlace};
use crate::domain::money::Currency;
use crate::domain::refusal::{Outcome, Reason};

/// Clicks and conversions of one key and currency, summed up by the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficSum {
    /// The key.
    pub key: Key,
    /// The currency of the amounts; clicks have none.
    pub currency: Option<Currency>,
    /// The counts.
    pub counts: Counts,
    /// The amounts of pending conversions, in minor units.
    pub pending_minor: i64,
    /// The amounts of confirmed conversions, in minor units.
    pub confirmed_minor: i64,
}

/// Refused or dropped postbacks of one key and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalSum {
    /// The key.
    pub key: Key,
    /// Refused or dropped.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub events: i64,
}

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tracked clicks.
    pub clicks: i64,
    /// Conversions that wait for the shop's word.
    pub pending: i64,
    /// Conversions that stand.
    pub confirmed: i64,
    /// Conversions that were taken back.
    pub cancelled: i64,
    /// Postbacks about an order that was there already.
    pub duplicates: i64,
}

/// Refused and dropped postbacks by reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    /// Answered with an error.
    pub refused: BTreeMap<Reason, i64>,
    /// Answered with 200, to spare the sender an error.
    pub dropped: BTreeMap<Reason, i64>,
}

/// The figures of one row of the performance report, or of its totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Clicks and conversions.
    pub counts: Counts,
    /// Amounts of pending conversions, in minor units.
    pub pending_minor: BTreeMap<Currency, i64>,
    /// Amounts of confirmed conversions, in minor units.
    pub confirmed_minor: BTreeMap<Currency, i64>,
    /// What was refused and dropped, where that can be said.
    pub refusals: Option<Refusals>,
    /// Pending and confirmed conversions per click, with four decimals, where that can be said.
    pub conversion_rate: Option<String>,
}

/// The performance report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performance {
    /// The rows, sorted by key.
    pub rows: Vec<Row<Figures>>,
    /// Their totals.
    pub totals: Figures,
    /// Refused and dropped postbacks that belong to no row, by day and campaign as far as the rows have these.
    pub unattributed: Option<Vec<Row<Refusals>>>,
}

/// Puts the performance report together.
pub fn performance(
    traffic: &[TrafficSum],
    refusals: &[RefusalSum],
    place: RefusalsPlace,
    group_by: &[Dimension],
) -> Result<Performance, TooManyRows> {
    let mut rows: BTreeMap<Key, Figures> = BTreeMap::new();
    let mut apart: BTreeMap<Key, Refusals> = BTreeMap::new();
    let mut totals = Figures::default();
    for sum in traffic {
        rows.entry(sum.key.clone()).or_default().add(sum);
        totals.add(sum);
    }
    for sum in refusals {
        match place {
            RefusalsPlace::Hidden => {}
            RefusalsPlace::Apart => apart.entry(sum.key.clone()).or_default().add(sum),
            RefusalsPlace::Rows => {
                let row = rows.entry(sum.key.clone()).or_default();
                row.refusals.get_or_insert_default().add(sum);
                totals.refusals.get_or_insert_default().add(sum);
            }
        }
    }
    rows.retain(|_, figures| !figures.is_empty());
    TooManyRows::check(rows.len() + apart.len())?;
    let in_rows = place == RefusalsPlace::Rows;
    // A click belongs to no goal, so beside the conversions of one goal its row has no clicks to compare with.
    let by_goal = group_by.contains(&Dimension::Goal);
    for figures in rows.values_mut() {
        figures.finish(in_rows, !by_goal);
    }
    totals.finish(in_rows, true);
    Ok(Performance {
        rows: sorted(rows),
        totals,
        unattributed: (place == RefusalsPlace::Apart).then(|| sorted(apart)),
    })
}

impl Figures {
    fn add(&mut self, sum: &TrafficSum) {
        let (own, more) = (&mut self.counts, &sum.counts);
        for (count, events) in [
            (&mut own.clicks, more.clicks),
            (&mut own.pending, more.pending),
            (&mut own.confirmed, more.confirmed),
            (&mut own.cancelled, more.cancelled),
            (&mut own.duplicates, more.duplicates),
        ] {
            *count = count.saturating_add(events);
        }
        if let Some(currency) = sum.currency {
            for (amounts, minor) in [
                (&mut self.pending_minor, sum.pending_minor),
                (&mut self.confirmed_minor, sum.confirmed_minor),
            ] {
                let amount = amounts.entry(currency).or_default();
                *amount = amount.saturating_add(minor);
            }
        }
    }

    /// Whether everything that was counted was taken back again.
    fn is_empty(&self) -> bool {
        let amounts = self.pending_minor.values().chain(self.confirmed_minor.values());
        self.counts == Counts::default()
            && self.refusals.is_none()
            && amounts.copied().all(|minor| minor == 0)
    }

    fn finish(&mut self, with_refusals: bool, with_rate: bool) {
        // Zero is what is left of a currency after everything in it was taken back.
        self.pending_minor.retain(|_, minor| *minor != 0);
        self.confirmed_minor.retain(|_, minor| *minor != 0);
        if with_refusals {
            self.refusals.get_or_insert_default();
        }
        if with_rate {
            let conversions = self.counts.pending.saturating_add(self.counts.confirmed);
            self.conversion_rate = rate(conversions, self.counts.clicks);
        }
    }
}

impl Refusals {
    fn add(&mut self, sum: &RefusalSum) {
        let by_reason = match sum.outcome {
            Outcome::Dropped => &mut self.dropped,
            Outcome::Refused | Outcome::Recorded | Outcome::Duplicate => &mut self.refused,
        };
        let count = by_reason.entry(sum.reason).or_default();
        *count = count.saturating_add(sum.events);
    }
}

/// Conversions per click with four decimals, rounded half up; nothing where there are no clicks.
fn rate(conversions: i64, clicks: i64) -> Option<String> {
    if clicks <= 0 {
        return None;
    }
    let clicks = i128::from(clicks);
    let scaled = (i128::from(conversions) * 20_000 + clicks).div_euclid(2 * clicks);
    let sign = if scaled < 0 { "-" } else { "" };
    let parts = scaled.unsigned_abs();
    Some(format!("{sign}{}.{:04}", parts / 10_000, parts % 10_000))
}

#[cfg(test)]
mod tests {
    use super::super::key::Part;
    use super::*;
    use Dimension::{Campaign, Day, Goal};

    fn key(parts: &[(Dimension, i64)]) -> Key {
        Key::new(
            parts
                .iter()
                .map(|(of, number)| (Part::Number(*number), *of))
                .collect(),
        )
    }

    fn traffic(key: Key, currency: &str, counts: [i64; 5], minor: [i64; 2]) -> TrafficSum {
        let [clicks, pending, confirmed, cancelled, duplicates] = counts;
        TrafficSum {
            key,
            currency: (!currency.is_empty())
                .then(|| Currency::parse(currency).expect("a currency of the test")),
            counts: Counts {
                clicks,
                pending,
                confirmed,
                cancelled,
                duplicates,
            },
            pending_minor: minor[0],
            confirmed_minor: minor[1],
        }
    }

    fn refusal(key: Key, outcome: Outcome, reason: Reason, events: i64) -> RefusalSum {
        RefusalSum {
            key,
            outcome,
            reason,
            events,
        }
    }

    #[test]
    fn rates_have_four_decimals_and_need_clicks() {
        let table = [
            (0, 0, None),
            (3, 0, None),
            (0, 7, Some("0.0000")),
            (1, 3, Some("0.3333")),
            (2, 3, Some("0.6667")),
            (1, 20_000, Some("0.0001")),
            (1, 20_001, Some("0.0000")),
            (5, 2, Some("2.5000")),
            (-1, 3, Some("-0.3333")),
            (i64::MAX, 1, Some("9223372036854775807.0000")),
        ];
        for (conversions, clicks, expected) in table {
            assert_eq!(
                rate(conversions, clicks).as_deref(),
                expected,
                "{conversions}/{clicks}"
            );
        }
    }

    #[test]
    fn rows_add_up_to_the_totals_and_refusals_stand_in_their_rows() {
        let (first, second) = (key(&[(Day, 1)]), key(&[(Day, 2)]));
        let sums = [
            traffic(first.clone(), "", [10, 0, 0, 0, 0], [0, 0]),
            traffic(first.clone(), "EUR", [0, 1, 2, 0, 1], [500, 4_000]),
            traffic(first.clone(), "CHF", [0, 0, 1, 0, 0], [0, 700]),
            traffic(second.clone(), "EUR", [0, -1, 1, 0, 0], [-500, 500]),
        ];
        let refused = [
            refusal(second.clone(), Outcome::Refused, Reason::ConsentDenied, 2),
            refusal(key(&[(Day, 3)]), Outcome::Dropped, Reason::NoToken, 4),
        ];
        let report = performance(&sums, &refused, RefusalsPlace::Rows, &[Day]).expect("few rows");
        assert_eq!(report.rows.len(), 3);
        assert_eq!(report.unattributed, None);
        let eur = Currency::parse("EUR").expect("known");
        let one = &report.rows[0].figures;
        assert_eq!(one.counts.clicks, 10);
        assert_eq!(
            one.confirmed_minor.values().copied().collect::<Vec<_>>(),
            [700, 4_000]
        );
        assert_eq!(one.conversion_rate.as_deref(), Some("0.4000"));
        assert_eq!(one.refusals, Some(Refusals::default()));
        assert_eq!(report.rows[1].figures.conversion_rate, None);
        let third = report.rows[2].figures.refusals.as_ref().expect("shown");
        assert_eq!(third.dropped[&Reason::NoToken], 4);
        let totals = &report.totals;
        assert_eq!((totals.counts.pending, totals.counts.confirmed), (0, 4));
        assert_eq!(totals.pending_minor.get(&eur), None, "taken back to zero");
        assert_eq!(totals.confirmed_minor[&eur], 4_500);
        assert_eq!(
            totals.refusals.as_ref().expect("shown").refused[&Reason::ConsentDenied],
            2
        );
    }

    #[test]
    fn by_goal_clicks_have_a_row_of_their_own_and_only_the_totals_a_rate() {
        let sums = [
            traffic(key(&[(Goal, 0)]), "", [8, 0, 0, 0, 0], [0, 0]),
            traffic(key(&[(Goal, 1)]), "EUR", [0, 0, 2, 0, 0], [0, 100]),
        ];
        let refused = [refusal(Key::default(), Outcome::Refused, Reason::NoToken, 1)];
        let report = performance(&sums, &refused, RefusalsPlace::Apart, &[Goal]).expect("few rows");
        assert!(
            report
                .rows
                .iter()
                .all(|row| row.figures.conversion_rate.is_none())
        );
        assert!(report.rows.iter().all(|row| row.figures.refusals.is_none()));
        assert_eq!(report.totals.conversion_rate.as_deref(), Some("0.2500"));
        assert_eq!(report.totals.refusals, None);
        let apart = report.unattributed.expect("shown apart");
        assert_eq!(apart[0].figures.refused[&Reason::NoToken], 1);
    }

    #[test]
    fn hidden_refusals_leave_no_trace_and_neither_does_what_was_taken_back() {
        let gone = key(&[(Campaign, 1)]);
        let sums = [
            traffic(gone.clone(), "EUR", [0, 1, 0, 0, 0], [900, 0]),
            traffic(gone.clone(), "EUR", [0, -1, 0, 0, 0], [-900, 0]),
        ];
        let refused = [refusal(gone, Outcome::Refused, Reason::NoToken, 1)];
        let report = performance(&sums, &refused, RefusalsPlace::Hidden, &[Campaign]).expect("few rows");
        assert_eq!(report.rows, []);
        assert_eq!(report.totals, Figures::default());
        assert_eq!(report.unattributed, None);
    }
}
