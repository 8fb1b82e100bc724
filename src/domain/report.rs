//! Reports: what the rows are grouped by, whose counters are in them, and who sees what.
//!
//! [`period`] says which counters belong to which day, [`figures`] and [`losses`] what they add up to.

pub mod figures;
pub mod key;
pub mod losses;
pub mod period;

use std::collections::BTreeMap;

use uuid::Uuid;

use key::Key;
use period::Period;

/// The most rows in one answer.
pub const ROWS_MAX: usize = 10_000;
/// The most sums that are read for one answer. A row needs one sum, and one more for each currency or reason in it.
pub const SUMS_MAX: usize = 100_000;

/// What rows can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The tenant's day.
    Day,
    /// The campaign.
    Campaign,
    /// The publisher.
    Publisher,
    /// The tracking link.
    Link,
    /// The goal.
    Goal,
    /// Why something was not tracked, or not recorded.
    Reason,
}

use Dimension::{Campaign, Day, Goal, Link, Publisher, Reason};

/// What the performance report can be grouped by.
pub const PERFORMANCE: [Dimension; 5] = [Day, Campaign, Publisher, Link, Goal];
/// What the consent report can be grouped by.
pub const CONSENT: [Dimension; 3] = [Day, Campaign, Reason];

impl Dimension {
    /// The word in requests and answers.
    pub fn code(self) -> &'static str {
        match self {
            Day => "day",
            Campaign => "campaign",
            Publisher => "publisher",
            Link => "link",
            Goal => "goal",
            Reason => "reason",
        }
    }

    /// Whether it is an object with an id and a slug.
    pub fn is_object(self) -> bool {
        !matches!(self, Day | Reason)
    }
}

/// Why a list of dimensions cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupingError {
    /// A word that this report does not know.
    Unknown,
    /// The same word again.
    Twice,
}

impl GroupingError {
    /// What is wrong, for a person.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "names something that this report is not grouped by",
            Self::Twice => "names the same thing twice",
        }
    }
}

/// Reads a comma list such as `day,campaign`; every word at most once.
pub fn grouping(text: &str, allowed: &[Dimension]) -> Result<Vec<Dimension>, GroupingError> {
    let mut found = Vec::new();
    for word in text.split(',') {
        let dimension = allowed.iter().copied().find(|one| one.code() == word);
        let dimension = dimension.ok_or(GroupingError::Unknown)?;
        if found.contains(&dimension) {
            return Err(GroupingError::Twice);
        }
        found.push(dimension);
    }
    Ok(found)
}

/// Whose counters are read: all of the tenant's, or those of the objects that are named here by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// The tenant.
    pub tenant: i64,
    /// Only this shop.
    pub shop: Option<i64>,
    /// Only this campaign.
    pub campaign: Option<i64>,
    /// Only this publisher.
    pub publisher: Option<i64>,
    /// Only this link.
    pub link: Option<i64>,
    /// Only this goal. Clicks have none: those of its campaign are meant.
    pub goal: Option<i64>,
}

/// Where refused and dropped postbacks are shown. They are counted by shop, campaign and day only, because a refused
/// postback leaves nothing else behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalsPlace {
    /// In every row.
    Rows,
    /// In rows of their own, since those of the report ask for what was not kept.
    Apart,
    /// Nowhere: they are the shop's and the tenant's business, not a publisher's.
    Hidden,
}

impl RefusalsPlace {
    /// The place for this caller and question.
    pub fn of(for_publisher: bool, scope: &Scope, group_by: &[Dimension]) -> Self {
        let split = scope.publisher.is_some() || scope.link.is_some() || scope.goal.is_some();
        if for_publisher {
            Self::Hidden
        } else if split || group_by.iter().any(|one| matches!(one, Publisher | Link | Goal)) {
            Self::Apart
        } else {
            Self::Rows
        }
    }
}

/// How an object is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its id.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
}

/// The objects in a report, by their numbers.
pub type Names = BTreeMap<(Dimension, i64), Name>;

/// A report: the question as it was understood, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<A> {
    /// The days.
    pub period: Period,
    /// The zone in which they begin at midnight.
    pub time_zone: String,
    /// What a row's key is made of, in this order.
    pub group_by: Vec<Dimension>,
    /// Names for the numbers in keys.
    pub names: Names,
    /// The figures.
    pub answer: A,
}

impl<A> Report<A> {
    /// The object in a row's key, unless the counter named none.
    pub fn object(&self, dimension: Dimension, key: &Key) -> Option<&Name> {
        self.names.get(&(dimension, key.number(dimension)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groupings_name_each_thing_once() {
        assert_eq!(grouping("campaign,day", &PERFORMANCE), Ok(vec![Campaign, Day]));
        assert_eq!(grouping("day,day", &PERFORMANCE), Err(GroupingError::Twice));
        for bad in ["", "day,", "Day", "reason", "day, link"] {
            assert_eq!(
                grouping(bad, &PERFORMANCE),
                Err(GroupingError::Unknown),
                "{bad:?}"
            );
        }
        assert_eq!(grouping("reason", &CONSENT), Ok(vec![Reason]));
        assert_eq!(grouping("link", &CONSENT), Err(GroupingError::Unknown));
    }

    #[test]
    fn refusals_are_never_laid_at_a_publishers_link_or_goals_door() {
        let all = Scope::default();
        let of = |scope: Scope, group_by: &[Dimension]| RefusalsPlace::of(false, &scope, group_by);
        let shop = Scope {
            shop: Some(1),
            campaign: Some(2),
            ..all
        };
        assert_eq!(of(shop, &[Day, Campaign]), RefusalsPlace::Rows);
        for split in [Publisher, Link, Goal] {
            assert_eq!(of(all, &[Day, split]), RefusalsPlace::Apart);
        }
        for scope in [
            Scope {
                publisher: Some(1),
                ..all
            },
            Scope { link: Some(1), ..all },
            Scope { goal: Some(1), ..all },
        ] {
            assert_eq!(of(scope, &[Day]), RefusalsPlace::Apart);
        }
        assert_eq!(RefusalsPlace::of(true, &all, &[Day]), RefusalsPlace::Hidden);
    }
}
