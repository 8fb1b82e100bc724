//! Rows and their keys: what a line of a report is about.

use std::collections::BTreeMap;

use super::{Dimension, ROWS_MAX, SUMS_MAX};

/// One part of a row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A day or an object's number; 0 is an object that is not known.
    Number(i64),
    /// A reason's code.
    Word(&'static str),
}

/// A row's key: its parts in the order in which rows are grouped, hence sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key(Vec<(Part, Dimension)>);

impl Key {
    /// A key of these parts.
    pub fn new(parts: Vec<(Part, Dimension)>) -> Self {
        Self(parts)
    }

    /// The day or the object's number, if the rows are grouped by it.
    pub fn number(&self, dimension: Dimension) -> Option<i64> {
        match self.part(dimension)? {
            Part::Number(number) => Some(number),
            Part::Word(_) => None,
        }
    }

    /// The reason's code, if the rows are grouped by it.
    pub fn reason(&self) -> Option<&'static str> {
        match self.part(Dimension::Reason)? {
            Part::Word(word) => Some(word),
            Part::Number(_) => None,
        }
    }

    fn part(&self, dimension: Dimension) -> Option<Part> {
        self.0
            .iter()
            .find(|(_, of)| *of == dimension)
            .map(|(part, _)| *part)
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<F> {
    /// What it is about.
    pub key: Key,
    /// What was counted.
    pub figures: F,
}

/// The answer would have more than [`ROWS_MAX`] rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRows;

impl TooManyRows {
    /// What is wrong with the grouping, for a person.
    pub fn sentence(self) -> &'static str {
        "gives more than 10,000 rows: group by less, filter, or ask about fewer days"
    }

    /// Whether an answer of this many rows may be given.
    pub fn check(rows: usize) -> Result<(), Self> {
        if rows > ROWS_MAX { Err(Self) } else { Ok(()) }
    }

    /// Whether this many sums were all there are; a reader stops after [`SUMS_MAX`].
    pub fn check_sums(sums: usize) -> Result<(), Self> {
        if sums > SUMS_MAX { Err(Self) } else { Ok(()) }
    }
}

/// Rows in the order of their keys.
pub(super) fn sorted<F>(rows: BTreeMap<Key, F>) -> Vec<Row<F>> {
    rows.into_iter()
        .map(|(key, figures)| Row { key, figures })
        .collect()
}
