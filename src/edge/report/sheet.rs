//! Reports as CSV, for spreadsheets. Promise: no cell that came from outside can be read as a formula.
//!
//! One table per file: the first column says what a line is (`row`, `unattributed`, `total`), so totals cannot be summed
//! up with the rows by mistake. Currencies and reasons have a column each, as far as they occur. Amounts are decimal
//! numbers of their currency.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use utoipa::ToSchema;

use super::answer::shown_id;
use crate::domain::campaign::day_text;
use crate::domain::money::{Currency, format_amount};
use crate::domain::refusal::Reason;
use crate::domain::report::figures::{Figures, Performance, Refusals};
use crate::domain::report::key::Key;
use crate::domain::report::losses::{Consent, Losses};
use crate::domain::report::period::Period;
use crate::domain::report::{Dimension, Report};

/// A report as comma-separated values with a header line (RFC 4180). `line` says what a line is: `row`,
/// `unattributed` or `total`. Texts that a spreadsheet would run as a formula begin with an apostrophe.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, max_length = 67_108_864, pattern = "^line,")]
pub(super) struct Sheet(pub(super) Vec<u8>);

/// That this is a file to be saved, and its name.
#[derive(Debug, ToSchema)]
#[schema(
    max_length = 96,
    pattern = "^attachment; filename=\"[a-z]+(-[0-9]{4}-[0-9]{2}-[0-9]{2}){2}\\.csv\"$"
)]
pub(super) struct Attachment(pub(super) String);

impl Attachment {
    /// The file's name says which report it is and of which days.
    pub(super) fn new(name: &str, period: Period) -> Self {
        let (from, to) = (day_text(period.from_day), day_text(period.to_day));
        Self(format!("attachment; filename=\"{name}-{from}-{to}.csv\""))
    }
}

/// A cell. Only texts are defused: a negative number of ours stays a number.
enum Cell {
    Text(String),
    Number(String),
    Empty,
}

impl Cell {
    fn number(number: i64) -> Self {
        Self::Number(number.to_string())
    }

    fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => defuse(text),
            Self::Number(number) => Cow::Borrowed(number),
            Self::Empty => Cow::Borrowed(""),
        }
    }
}

/// A text that a spreadsheet takes for a text: what begins like a formula gets an apostrophe in front.
fn defuse(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Writes a table.
fn write(lines: impl Iterator<Item = Vec<Cell>>) -> Result<Sheet, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for line in lines {
        for cell in &line {
            writer.write_field(cell.shown().as_bytes())?;
        }
        // An empty record ends the line.
        writer.write_record(None::<&[u8]>)?;
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(Sheet(bytes))
}

impl Sheet {
    /// The performance report.
    pub(super) fn of_performance(report: &Report<Performance>) -> Result<Self, csv::Error> {
        let answer = &report.answer;
        let columns = Columns::of(answer);
        let header = key_header(report).chain(columns.header());
        let rows = answer.rows.iter().map(|row| {
            let key = key_cells(report, "row", &row.key);
            key.chain(columns.figures(&row.figures)).collect()
        });
        let apart = answer.unattributed.iter().flatten().map(|row| {
            let key = key_cells(report, "unattributed", &row.key);
            let without_traffic = columns.traffic_header().map(|_| Cell::Empty);
            key.chain(without_traffic)
                .chain(columns.refusals(Some(&row.figures)))
                .collect()
        });
        let no_key = Key::default();
        let total = key_cells(report, "total", &no_key);
        let total = total.chain(columns.figures(&answer.totals)).collect();
        write(
            std::iter::once(header.collect())
                .chain(rows)
                .chain(apart)
                .chain([total]),
        )
    }

    /// The consent report.
    pub(super) fn of_consent(report: &Report<Consent>) -> Result<Self, csv::Error> {
        let answer = &report.answer;
        let counts = ["untracked_clicks", "refused_postbacks", "dropped_postbacks"];
        let header = key_header(report).chain(counts.map(|name| Cell::Text(name.to_owned())));
        let rows = answer.rows.iter().map(|row| {
            let key = key_cells(report, "row", &row.key);
            key.chain(losses(row.figures)).collect()
        });
        let no_key = Key::default();
        let total = key_cells(report, "total", &no_key);
        let total = total.chain(losses(answer.totals)).collect();
        write(std::iter::once(header.collect()).chain(rows).chain([total]))
    }
}

fn losses(losses: Losses) -> [Cell; 3] {
    [
        losses.untracked_clicks,
        losses.refused_postbacks,
        losses.dropped_postbacks,
    ]
    .map(Cell::number)
}

/// `line`, then a column for each part of the key; an object has two, its id and its slug.
fn key_header<A>(report: &Report<A>) -> impl Iterator<Item = Cell> {
    let names = report.group_by.iter().flat_map(|dimension| {
        let code = dimension.code();
        let id = dimension.is_object().then(|| format!("{code}_id"));
        id.into_iter().chain([code.to_owned()])
    });
    std::iter::once("line".to_owned()).chain(names).map(Cell::Text)
}

/// The cells under [`key_header`]; what a key does not know is empty.
fn key_cells<A>(report: &Report<A>, line: &str, key: &Key) -> impl Iterator<Item = Cell> {
    let text = |text: Option<String>| text.map_or(Cell::Empty, Cell::Text);
    let cells = report.group_by.iter().flat_map(move |dimension| match dimension {
        Dimension::Day => vec![text(key.number(Dimension::Day).map(day_text))],
        Dimension::Reason => vec![text(key.reason().map(str::to_owned))],
        object => {
            let name = report.object(*object, key);
            vec![
                text(name.and_then(|name| shown_id(*object, name))),
                text(name.map(|name| name.slug.clone())),
            ]
        }
    });
    std::iter::once(Cell::Text(line.to_owned())).chain(cells)
}

/// The columns that depend on what occurs.
struct Columns {
    pending: BTreeSet<Currency>,
    confirmed: BTreeSet<Currency>,
    refused: BTreeSet<Reason>,
    dropped: BTreeSet<Reason>,
}

impl Columns {
    fn of(answer: &Performance) -> Self {
        let rows = || answer.rows.iter().map(|row| &row.figures);
        let refusals = || {
            let in_rows = rows().filter_map(|figures| figures.refusals.as_ref());
            in_rows.chain(answer.unattributed.iter().flatten().map(|row| &row.figures))
        };
        Self {
            pending: rows()
                .flat_map(|figures| figures.pending_minor.keys().copied())
                .collect(),
            confirmed: rows()
                .flat_map(|figures| figures.confirmed_minor.keys().copied())
                .collect(),
            refused: refusals()
                .flat_map(|refusals| refusals.refused.keys().copied())
                .collect(),
            dropped: refusals()
                .flat_map(|refusals| refusals.dropped.keys().copied())
                .collect(),
        }
    }

    fn traffic_header(&self) -> impl Iterator<Item = String> {
        let counts = [
            "clicks",
            "pending",
            "confirmed",
            "cancelled",
            "duplicates",
            "conversion_rate",
        ];
        let pending = self
            .pending
            .iter()
            .map(|currency| format!("revenue_pending_{currency}"));
        let confirmed = self
            .confirmed
            .iter()
            .map(|currency| format!("revenue_confirmed_{currency}"));
        counts
            .map(str::to_owned)
            .into_iter()
            .chain(pending)
            .chain(confirmed)
    }

    fn header(&self) -> impl Iterator<Item = Cell> {
        let refused = self
            .refused
            .iter()
            .map(|reason| format!("refused_{}", reason.code()));
        let dropped = self
            .dropped
            .iter()
            .map(|reason| format!("dropped_{}", reason.code()));
        self.traffic_header()
            .chain(refused)
            .chain(dropped)
            .map(Cell::Text)
    }

    fn figures(&self, figures: &Figures) -> impl Iterator<Item = Cell> {
        let counts = figures.counts;
        let counts = [
            counts.clicks,
            counts.pending,
            counts.confirmed,
            counts.cancelled,
            counts.duplicates,
        ];
        let rate = figures.conversion_rate.clone().map_or(Cell::Empty, Cell::Number);
        let amounts = |currencies: &BTreeSet<Currency>, minor: &BTreeMap<Currency, i64>| {
            let amount = |currency: &Currency| {
                let minor = minor.get(currency).copied().unwrap_or_default();
                Cell::Number(format_amount(minor, *currency))
            };
            currencies.iter().map(amount).collect::<Vec<_>>()
        };
        counts
            .map(Cell::number)
            .into_iter()
            .chain([rate])
            .chain(amounts(&self.pending, &figures.pending_minor))
            .chain(amounts(&self.confirmed, &figures.confirmed_minor))
            .chain(self.refusals(figures.refusals.as_ref()))
    }

    /// Empty, not zero, where it cannot be said.
    fn refusals(&self, refusals: Option<&Refusals>) -> impl Iterator<Item = Cell> {
        let cells = |reasons: &BTreeSet<Reason>, counts: Option<&BTreeMap<Reason, i64>>| {
            let count = |reason: &Reason| match counts {
                Some(counts) => Cell::number(counts.get(reason).copied().unwrap_or_default()),
                None => Cell::Empty,
            };
            reasons.iter().map(count).collect::<Vec<_>>()
        };
        let refused = cells(&self.refused, refusals.map(|refusals| &refusals.refused));
        let dropped = cells(&self.dropped, refusals.map(|refusals| &refusals.dropped));
        refused.into_iter().chain(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_like_a_formula_and_numbers_stay_numbers() {
        let texts = [
            "=1+1",
            "+49",
            "-1",
            "@SUM(A1)",
            "\tx",
            "\rx",
            "a=b",
            "'=x",
            "",
            "a,\"b\"\n=c",
        ];
        let mut line: Vec<Cell> = texts.iter().map(|text| Cell::Text((*text).to_owned())).collect();
        line.push(Cell::number(-7));
        line.push(Cell::Number("-0.05".to_owned()));
        line.push(Cell::Empty);
        let sheet = write(std::iter::once(line)).expect("written to memory");
        let text = String::from_utf8(sheet.0).expect("UTF-8");
        assert_eq!(
            text,
            "'=1+1,'+49,'-1,'@SUM(A1),'\tx,\"'\rx\",a=b,'=x,,\"a,\"\"b\"\"\n=c\",-7,-0.05,\r\n"
        );
    }
}
