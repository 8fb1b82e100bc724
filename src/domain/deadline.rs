//! Deadlines of requests of people: one month by the calendar (GDPR Art. 12(3), Regulation 1182/71).
//!
//! A period of months ends with the last hour of the day that bears the number of the day of receipt, or with the last day
//! of a month that has no such day. If that day is a Saturday, a Sunday or a public holiday, it ends with the next
//! working day. Days are those of the tenant's time zone; which days are public holidays is told, not known.

use chrono::{
    DateTime, Datelike, Days, Duration, LocalResult, Months, NaiveDate, NaiveTime, TimeZone, Weekday,
};
use chrono_tz::Tz;

/// Months that a controller has (GDPR Art. 12(3), first sentence).
const MONTHS: u32 = 1;
/// Months after an extension by two further ones, counted from the receipt (second sentence).
const MONTHS_EXTENDED: u32 = 3;
/// The most days in a row that are looked at for a working day: more holidays in a row than this are none.
const DAYS_LOOKED_AT: usize = 62;
/// How far local midnight may be moved forward by a change of clocks, in quarters of an hour.
const QUARTERS: i64 = 12;

/// Where and when people work.
#[derive(Debug, Clone, Copy)]
pub struct Calendar<'a> {
    /// The time zone whose days count.
    pub zone: Tz,
    /// Public holidays.
    pub holidays: &'a [NaiveDate],
}

/// The end of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The last day.
    pub on: NaiveDate,
    /// The first moment after it, in milliseconds since 1970: from then on it is missed.
    pub ends_at_ms: i64,
}

impl Calendar<'_> {
    /// When a request that was received at this moment has to be answered.
    pub fn due(&self, received_at_ms: i64) -> Option<Deadline> {
        self.after_months(received_at_ms, MONTHS)
    }

    /// The same, extended by two further months.
    pub fn extended(&self, received_at_ms: i64) -> Option<Deadline> {
        self.after_months(received_at_ms, MONTHS_EXTENDED)
    }

    fn after_months(&self, received_at_ms: i64, months: u32) -> Option<Deadline> {
        let received = DateTime::from_timestamp_millis(received_at_ms)?.with_timezone(&self.zone);
        // Where the month has no such day, this is its last one.
        let nominal = received.date_naive().checked_add_months(Months::new(months))?;
        let on = nominal
            .iter_days()
            .take(DAYS_LOOKED_AT)
            .find(|day| self.is_working_day(*day))?;
        let ends_at_ms = self.begin_of(on.checked_add_days(Days::new(1))?)?;
        Some(Deadline { on, ends_at_ms })
    }

    fn is_working_day(&self, day: NaiveDate) -> bool {
        !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) && !self.holidays.contains(&day)
    }

    /// The first moment of a day. Some days begin later than at midnight, and some have two midnights.
    fn begin_of(&self, day: NaiveDate) -> Option<i64> {
        let midnight = day.and_time(NaiveTime::MIN);
        let mut moments = (0..=QUARTERS).map(|quarter| midnight + Duration::minutes(15 * quarter));
        moments.find_map(|local| match self.zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_millis()),
            LocalResult::None => None,
        })
    }
}

/// Reads a day as `2026-12-25`, and no other form.
pub fn day(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !plain {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text)
            .expect("a time")
            .timestamp_millis()
    }

    /// Received, holidays, due after one month, due after an extension; in a time zone.
    type Row = (
        &'static str,
        &'static str,
        &'static [&'static str],
        &'static str,
        &'static str,
    );

    const TABLE: &[Row] = &[
        // An ordinary day: Tuesday to Thursday, and Tuesday.
        (
            "Europe/Berlin",
            "2026-06-16T10:00:00+02:00",
            &[],
            "2026-07-16",
            "2026-09-16",
        ),
        // 31 January: the last day of February, in a common year a Saturday in 2026 and so Monday.
        (
            "Europe/Berlin",
            "2026-01-31T12:00:00+01:00",
            &[],
            "2026-03-02",
            "2026-04-30",
        ),
        (
            "Europe/Berlin",
            "2025-01-31T12:00:00+01:00",
            &[],
            "2025-02-28",
            "2025-04-30",
        ),
        // In a leap year the 29th.
        (
            "Europe/Berlin",
            "2028-01-31T12:00:00+01:00",
            &[],
            "2028-02-29",
            "2028-05-01",
        ),
        (
            "Europe/Berlin",
            "2028-01-29T12:00:00+01:00",
            &[],
            "2028-02-29",
            "2028-05-01",
        ),
        (
            "Europe/Berlin",
            "2027-01-29T12:00:00+01:00",
            &[],
            "2027-03-01",
            "2027-04-29",
        ),
        // 1 May is a holiday where it is told to be one.
        (
            "Europe/Berlin",
            "2028-01-31T12:00:00+01:00",
            &["2028-05-01"],
            "2028-02-29",
            "2028-05-02",
        ),
        // From 29 February.
        (
            "Europe/Berlin",
            "2028-02-29T12:00:00+01:00",
            &[],
            "2028-03-29",
            "2028-05-29",
        ),
        // 31 to 30: months of 30 days.
        (
            "Europe/Berlin",
            "2026-08-31T00:00:00+02:00",
            &[],
            "2026-09-30",
            "2026-11-30",
        ),
        // A Saturday and a Sunday.
        (
            "Europe/Berlin",
            "2026-09-17T08:00:00+02:00",
            &[],
            "2026-10-19",
            "2026-12-17",
        ),
        (
            "Europe/Berlin",
            "2026-09-18T08:00:00+02:00",
            &[],
            "2026-10-19",
            "2026-12-18",
        ),
        // Christmas, with the weekend behind it: Friday, Saturday (also a holiday), Sunday.
        (
            "Europe/Berlin",
            "2026-11-25T08:00:00+01:00",
            &["2026-12-25", "2026-12-26"],
            "2026-12-28",
            "2027-02-25",
        ),
        // Over the end of a year.
        (
            "Europe/Berlin",
            "2026-12-31T23:30:00+01:00",
            &["2027-01-01"],
            "2027-02-01",
            "2027-03-31",
        ),
        // The same moment is another day elsewhere.
        ("UTC", "2026-06-16T23:30:00Z", &[], "2026-07-16", "2026-09-16"),
        (
            "Europe/Berlin",
            "2026-06-16T23:30:00Z",
            &[],
            "2026-07-17",
            "2026-09-17",
        ),
        (
            "America/New_York",
            "2026-06-16T03:30:00Z",
            &[],
            "2026-07-15",
            "2026-09-15",
        ),
        (
            "Pacific/Kiritimati",
            "2026-06-16T10:00:00Z",
            &[],
            "2026-07-17",
            "2026-09-17",
        ),
    ];

    #[test]
    fn a_month_is_a_month_of_the_calendar() {
        for (zone, received, holidays, due, extended) in TABLE {
            let holidays: Vec<NaiveDate> = holidays.iter().filter_map(|text| day(text)).collect();
            let calendar = Calendar {
                zone: zone.parse().expect("a zone"),
                holidays: &holidays,
            };
            let on = |deadline: Option<Deadline>| deadline.map(|deadline| deadline.on.to_string());
            assert_eq!(
                on(calendar.due(ms(received))).as_deref(),
                Some(*due),
                "{zone} {received}"
            );
            assert_eq!(
                on(calendar.extended(ms(received))).as_deref(),
                Some(*extended),
                "{zone} {received}, extended"
            );
        }
    }

    #[test]
    fn the_last_day_counts_to_its_local_end() {
        let ends = |zone: &str, received: &str| {
            let calendar = Calendar {
                zone: zone.parse().expect("a zone"),
                holidays: &[],
            };
            calendar.due(ms(received)).expect("a deadline").ends_at_ms
        };
        assert_eq!(ends("UTC", "2026-06-16T10:00:00Z"), ms("2026-07-17T00:00:00Z"));
        // Received in winter, due in summer: clocks go forward in between.
        assert_eq!(
            ends("Europe/Berlin", "2026-03-12T10:00:00+01:00"),
            ms("2026-04-14T00:00:00+02:00")
        );
        // Over the weekend on which clocks go back, and over one on which they go forward.
        assert_eq!(
            ends("Europe/Berlin", "2026-09-24T10:00:00+02:00"),
            ms("2026-10-27T00:00:00+01:00")
        );
        assert_eq!(
            ends("America/New_York", "2026-02-07T10:00:00-05:00"),
            ms("2026-03-10T00:00:00-04:00")
        );
        // In Cairo that Friday begins at one o'clock: there is no midnight.
        assert_eq!(
            ends("Africa/Cairo", "2026-03-23T10:00:00+02:00"),
            ms("2026-04-24T01:00:00+03:00")
        );
        // In Havana that Sunday has two midnights, and the first one is its beginning.
        let havana = Calendar {
            zone: chrono_tz::America::Havana,
            holidays: &[],
        };
        let sunday = day("2026-11-01").expect("a day");
        assert_eq!(havana.begin_of(sunday), Some(ms("2026-11-01T00:00:00-04:00")));
    }

    #[test]
    fn due_never_lies_on_a_day_off_and_never_before_the_month_is_over() {
        let calendar = Calendar {
            zone: chrono_tz::Europe::Berlin,
            holidays: &[],
        };
        let first = ms("2027-01-01T12:00:00+01:00");
        for number in 0..1_500 {
            let received = first + number * 86_400_000;
            let (due, extended) = (calendar.due(received), calendar.extended(received));
            let (due, extended) = (due.expect("due"), extended.expect("extended"));
            assert!(calendar.is_working_day(due.on) && calendar.is_working_day(extended.on));
            let days = (due.ends_at_ms - received) / 86_400_000;
            assert!((28..=33).contains(&days), "{days} days from {received}");
            assert!(extended.ends_at_ms > due.ends_at_ms);
        }
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        assert!(day("2026-12-25").is_some());
        for bad in [
            "",
            "2026-2-5",
            "2026-02-30",
            "25.12.2026",
            "2026-12-25T00:00",
            "+026-12-25",
        ] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_calendar_of_nothing_but_holidays_has_no_deadline() {
        let all: Vec<NaiveDate> = day("2026-07-01").expect("a day").iter_days().take(200).collect();
        let calendar = Calendar {
            zone: chrono_tz::UTC,
            holidays: &all,
        };
        assert_eq!(calendar.due(ms("2026-06-16T10:00:00Z")), None);
    }
}
