//! The days that a report is about, and the quarter-hours in them.
//!
//! Clicks and conversions are counted by quarter-hour in UTC, but a tenant's day begins at its own midnight. [`spans`]
//! says which quarter-hours make up which local day, so that the database sums up whole days by itself and a day of 23
//! or 25 hours is still one day.

use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;

/// The longest period, in days: a year and a month to compare with.
pub const DAYS_MAX: i64 = 400;
/// The period if none is named, in days.
pub const DAYS_DEFAULT: i64 = 30;
/// Quarter-hours in a day of 24 hours.
const QUARTERS_A_DAY: i64 = 96;
const QUARTER_SECONDS: i64 = 900;

/// A date such as `2026-11-24`, in days since 1970.
pub fn parse_day(text: &str) -> Option<i64> {
    // chrono also reads `2026-1-4` and `+2026-11-2`; one day has one spelling here.
    let exact = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| exact)?;
    Some(
        date.and_hms_opt(0, 0, 0)?
            .and_utc()
            .timestamp()
            .div_euclid(86_400),
    )
}

/// Days of the tenant, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day, since 1970.
    pub from_day: i64,
    /// The last day, since 1970.
    pub to_day: i64,
}

/// Why two days are no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodError {
    /// The first day comes after the last.
    Reversed,
    /// More than [`DAYS_MAX`].
    TooLong,
}

impl PeriodError {
    /// What is wrong with the first day, for a person.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Reversed => "is later than the last day of the period",
            Self::TooLong => "makes the period longer than 400 days",
        }
    }
}

impl Period {
    /// The days asked for. Without a last day it ends today; without a first one it has [`DAYS_DEFAULT`] days.
    pub fn of(from_day: Option<i64>, to_day: Option<i64>, present_day: i64) -> Result<Self, PeriodError> {
        let to_day = to_day.unwrap_or(present_day);
        let from_day = from_day.unwrap_or(to_day - (DAYS_DEFAULT - 1));
        if from_day > to_day {
            return Err(PeriodError::Reversed);
        }
        if to_day - from_day >= DAYS_MAX {
            return Err(PeriodError::TooLong);
        }
        Ok(Self { from_day, to_day })
    }
}

/// Quarter-hours in a row between which the clocks do not change: the local day of `quarter` is
/// `(quarter + shift_quarters) / 96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first quarter-hour since 1970, UTC.
    pub first: i64,
    /// The one after the last.
    pub end: i64,
    /// How far local time is ahead of UTC.
    pub shift_quarters: i64,
}

/// The quarter-hours of a period, in order. One span, and one more for each time the clocks change.
pub fn spans(period: Period, zone: Tz) -> Vec<Span> {
    let mut found = Vec::new();
    // Local time is never more than a day away from UTC.
    let end = (period.to_day + 2) * QUARTERS_A_DAY;
    let mut quarter = (period.from_day - 1) * QUARTERS_A_DAY;
    while quarter < end {
        let next = quarter + QUARTERS_A_DAY;
        let shift_quarters = shift(quarter, zone);
        // No zone changes its clocks forth and back within one day.
        if shift_quarters == shift(next, zone) {
            extend(&mut found, period, quarter..next, shift_quarters);
        } else {
            for one in quarter..next {
                extend(&mut found, period, one..one + 1, shift(one, zone));
            }
        }
        quarter = next;
    }
    found
}

/// How many quarter-hours local time is ahead of UTC. No zone in use today is off by a part of one.
fn shift(quarter: i64, zone: Tz) -> i64 {
    DateTime::from_timestamp(quarter * QUARTER_SECONDS, 0).map_or(0, |utc| {
        let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
        i64::from(offset.local_minus_utc()).div_euclid(QUARTER_SECONDS)
    })
}

/// Adds what lies within the period's days.
fn extend(found: &mut Vec<Span>, period: Period, quarters: std::ops::Range<i64>, shift_quarters: i64) {
    let first = quarters
        .start
        .max(period.from_day * QUARTERS_A_DAY - shift_quarters);
    let end = quarters
        .end
        .min((period.to_day + 1) * QUARTERS_A_DAY - shift_quarters);
    if first >= end {
        return;
    }
    if let Some(last) = found.last_mut()
        && last.end == first
        && last.shift_quarters == shift_quarters
    {
        last.end = end;
        return;
    }
    found.push(Span {
        first,
        end,
        shift_quarters,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::local_day;

    fn day(text: &str) -> i64 {
        parse_day(text).expect("a day of the test")
    }

    fn quarters(zone: &str, from: &str, to: &str) -> Vec<Span> {
        let period = Period {
            from_day: day(from),
            to_day: day(to),
        };
        spans(period, zone.parse().expect("a zone of the test"))
    }

    #[test]
    fn days_on_which_the_clocks_change_have_23_and_25_hours() {
        let hours = |zone, date| {
            quarters(zone, date, date)
                .iter()
                .map(|span| span.end - span.first)
                .sum::<i64>()
                / 4
        };
        assert_eq!(hours("Europe/Berlin", "2026-03-28"), 24);
        assert_eq!(hours("Europe/Berlin", "2026-03-29"), 23);
        assert_eq!(hours("Europe/Berlin", "2026-10-25"), 25);
        assert_eq!(hours("America/New_York", "2026-11-01"), 25);
        // Samoa left out a whole day when it crossed the date line.
        assert_eq!(hours("Pacific/Apia", "2011-12-30"), 0);
    }

    #[test]
    fn spans_hold_exactly_the_quarters_of_the_period_and_say_their_day() {
        let table = [
            ("Europe/Berlin", "2026-03-20", "2026-11-02", 3),
            ("UTC", "2026-03-20", "2026-11-02", 1),
            ("Asia/Kathmandu", "2026-01-01", "2026-01-03", 1),
            ("Pacific/Kiritimati", "2026-01-01", "2026-01-01", 1),
            ("Etc/GMT+12", "2026-01-01", "2026-01-01", 1),
            ("Australia/Lord_Howe", "2026-04-01", "2026-04-10", 2),
            // Midnight came twice: the clocks went back from 00:01 to 23:01 of the day before.
            ("America/St_Johns", "2010-11-06", "2010-11-06", 2),
            ("America/St_Johns", "2010-11-07", "2010-11-07", 2),
            ("Pacific/Apia", "2011-12-29", "2011-12-31", 2),
        ];
        for (zone, from, to, expected) in table {
            let found = quarters(zone, from, to);
            assert_eq!(found.len(), expected, "{zone} {found:?}");
            let tz: Tz = zone.parse().expect("a zone of the test");
            for quarter in (day(from) - 3) * 96..(day(to) + 4) * 96 {
                let local = local_day(quarter * 900_000, tz);
                let within = (day(from)..=day(to)).contains(&local);
                let holding: Vec<&Span> = found
                    .iter()
                    .filter(|span| (span.first..span.end).contains(&quarter))
                    .collect();
                assert_eq!(holding.len(), usize::from(within), "{zone} {quarter}");
                for span in holding {
                    assert_eq!((quarter + span.shift_quarters) / 96, local, "{zone} {quarter}");
                }
            }
        }
    }

    #[test]
    fn a_period_is_thirty_days_to_today_unless_it_is_named() {
        let today = day("2026-11-24");
        let of = |from: Option<&str>, to: Option<&str>| Period::of(from.map(day), to.map(day), today);
        let expected = |from, to| {
            Ok(Period {
                from_day: day(from),
                to_day: day(to),
            })
        };
        assert_eq!(of(None, None), expected("2026-10-26", "2026-11-24"));
        assert_eq!(of(Some("2026-11-24"), None), expected("2026-11-24", "2026-11-24"));
        assert_eq!(of(None, Some("2026-03-02")), expected("2026-02-01", "2026-03-02"));
        assert_eq!(
            of(Some("2025-10-21"), Some("2026-11-24")),
            expected("2025-10-21", "2026-11-24")
        );
        assert_eq!(of(Some("2025-10-20"), None), Err(PeriodError::TooLong));
        assert_eq!(of(Some("2026-11-25"), None), Err(PeriodError::Reversed));
    }

    #[test]
    fn days_have_one_spelling() {
        assert_eq!(parse_day("1970-01-02"), Some(1));
        for bad in [
            "",
            "2026-1-4",
            "2026-02-30",
            "2026-11-24 ",
            "+2026-11-2",
            "24.11.2026",
            "2026-11-24T00:00:00Z",
        ] {
            assert_eq!(parse_day(bad), None, "{bad:?}");
        }
    }
}
