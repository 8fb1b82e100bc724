//! Purging what has had its time: which rows are due, and their removal.
//!
//! One text for each class says when a row is due, when it is held and when it is frozen. Dry runs, runs, and what the
//! API shows all go by it, so that they cannot say different things. Rows are looked for on a reading connection; a
//! chunk then asks again for its own rows inside the transaction that removes them.

mod cases;
mod remove;

use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Statement, Value};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::Reader;
use crate::domain::campaign::MAX_WINDOW_DAYS;
use crate::domain::ids::{TICKS_PER_SECOND, ticks_of};
use crate::domain::retention::{CLICK_MARGIN_DAYS, Class, DAY_MS};

pub use remove::{DueClick, DueConversion, LaterSignal, Proof};

/// Rows of one class in one tenant whose time is over.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    /// The tenant's number.
    pub tenant: i64,
    /// The class.
    pub class: Class,
    /// Rows from before this have had their time.
    pub cut_off_ms: i64,
    /// At this time windows and own ends are over.
    pub at_ms: i64,
    /// At this time holds are in force.
    pub now_ms: i64,
    /// Names what PostgreSQL still has to rewrite after it.
    pub mark: Uuid,
}

/// A row that was due when it was looked for.
#[derive(Debug, Clone)]
pub struct Candidate {
    key: Vec<Value>,
    place: Vec<Value>,
}

/// Which of the rows that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Those that may go.
    Free,
    /// Those that a hold keeps.
    Held,
    /// Those of people whose data is frozen.
    Restricted,
}

/// A table as a class sees it: its key without the tenant, and the order in which an index has its rows.
pub(super) struct Shape {
    pub(super) table: &'static str,
    pub(super) key: &'static [(&'static str, Kind)],
    place: &'static [(&'static str, Kind)],
    /// The moment that a row's age counts from, in milliseconds since 1970.
    since_ms: Option<&'static str>,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Id,
    Bytes,
    Flag,
}

const CONVERSION_KEY: &[(&str, Kind)] = &[("recorded_at_s", Kind::Int), ("conversion_id", Kind::Id)];
const CLICK_KEY: &[(&str, Kind)] = &[("issued_at_ticks", Kind::Int), ("click_id", Kind::Id)];
const PROOF_KEY: &[(&str, Kind)] = &[("recorded_at_ms", Kind::Int), ("record_id", Kind::Bytes)];
const ORDER_KEY: &[(&str, Kind)] = &[
    ("shop", Kind::Int),
    ("goal", Kind::Int),
    ("test", Kind::Flag),
    ("order_hash", Kind::Bytes),
];
const SUPPRESSION_KEY: &[(&str, Kind)] = &[("entry", Kind::Bytes)];
const REQUEST_KEY: &[(&str, Kind)] = &[("request", Kind::Int)];

impl Shape {
    pub(super) fn of(class: Class) -> Option<Self> {
        let (table, key, place, since_ms) = match class {
            Class::Click => ("click", CLICK_KEY, CLICK_KEY, Some("d.clicked_at_ms")),
            // Rows without a click are not in this order: of what was purged before, nothing is read again.
            Class::ConversionDetails => (
                "conversion",
                CONVERSION_KEY,
                &[
                    ("issued_at_ticks", Kind::Int),
                    ("click_id", Kind::Id),
                    ("conversion_id", Kind::Id),
                ][..],
                Some("d.recorded_at_s * 1000"),
            ),
            Class::TestConversion => (
                "conversion",
                CONVERSION_KEY,
                CONVERSION_KEY,
                Some("d.recorded_at_s * 1000"),
            ),
            Class::MinimalProof => ("consent_proof", PROOF_KEY, PROOF_KEY, Some("d.recorded_at_ms")),
            Class::Idempotency => ("order_key", ORDER_KEY, ORDER_KEY, None),
            Class::Suppression => ("suppression", SUPPRESSION_KEY, SUPPRESSION_KEY, None),
            Class::SubjectRequest => (
                "subject_request",
                REQUEST_KEY,
                &[("closed_at_ms", Kind::Int), ("request", Kind::Int)][..],
                Some("d.closed_at_ms"),
            ),
            Class::ConsentRecord | Class::Counters | Class::Audit => return None,
        };
        Some(Self {
            table,
            key,
            place,
            since_ms,
        })
    }
}

impl Sought {
    /// When a row `d` has had its time.
    pub(super) fn due(&self) -> String {
        let (cut_s, at_s) = (self.cut_off_ms.div_euclid(1_000), self.at_ms.div_euclid(1_000));
        match self.class {
            // A click is kept as long as its campaign's window and a margin, whatever the rule says.
            Class::Click => format!(
                "d.issued_at_ticks < {} AND d.issued_at_ticks < {} - {} * COALESCE((SELECT w.window_days FROM campaign w \
                 WHERE w.tenant = d.tenant AND w.campaign = d.campaign) + {CLICK_MARGIN_DAYS}, {})",
                ticks_of(self.cut_off_ms),
                ticks_of(self.at_ms),
                TICKS_PER_SECOND * 86_400,
                MAX_WINDOW_DAYS + CLICK_MARGIN_DAYS,
            ),
            // A conversion is never much older than its click, which is what the index goes by.
            Class::ConversionDetails => format!(
                "d.issued_at_ticks < {} AND d.recorded_at_s < {cut_s} AND NOT d.test",
                ticks_of(self.cut_off_ms + DAY_MS),
            ),
            Class::TestConversion => format!("d.test AND d.recorded_at_s < {cut_s}"),
            Class::MinimalProof => format!("d.recorded_at_ms < {}", self.cut_off_ms),
            // Orders of tests go with the tests.
            Class::Idempotency => format!("d.expires_at_s < {at_s} AND NOT d.test"),
            Class::Suppression => format!("d.expires_at_s < {at_s}"),
            // An open case has no such time.
            Class::SubjectRequest => format!("d.closed_at_ms < {}", self.cut_off_ms),
            Class::ConsentRecord | Class::Counters | Class::Audit => "1 = 0".to_owned(),
        }
    }

    /// When processing of a row `d` is frozen.
    fn restricted(&self) -> &'static str {
        match self.class {
            Class::Click => "d.restricted",
            Class::ConversionDetails => {
                // Where the click had its time before, the restriction stands in the row itself.
                "(d.restricted OR EXISTS (SELECT 1 FROM click c WHERE c.tenant = d.tenant AND c.issued_at_ticks = d.issued_at_ticks \
                 AND c.click_id = d.click_id AND c.restricted))"
            }
            // By the order the restriction can be lifted again, and by nothing else where the token has expired.
            Class::Idempotency => {
                "(EXISTS (SELECT 1 FROM click c WHERE c.tenant = d.tenant AND c.issued_at_ticks = d.issued_at_ticks \
                 AND c.click_id = d.click_id AND c.restricted) OR EXISTS (SELECT 1 FROM conversion v \
                 WHERE v.tenant = d.tenant AND v.issued_at_ticks = d.issued_at_ticks AND v.click_id = d.click_id \
                 AND v.restricted))"
            }
            _ => "1 = 0",
        }
    }

    /// When a hold keeps a row `d`.
    fn held(&self) -> String {
        let words: Vec<String> = self
            .class
            .held_by()
            .iter()
            .map(|word| format!("'{word}'"))
            .collect();
        let campaign = if self.class.has_campaigns() {
            "(h.campaign IS NULL OR h.campaign = d.campaign)"
        } else {
            "h.campaign IS NULL"
        };
        format!(
            "EXISTS (SELECT 1 FROM hold h WHERE h.tenant = d.tenant AND h.archived_at_ms IS NULL AND h.from_ms <= {now} \
             AND (h.until_ms IS NULL OR h.until_ms > {now}) AND h.class IN ({}) AND {campaign})",
            words.join(", "),
            now = self.now_ms,
        )
    }

    /// The rows of this kind among those that are due.
    pub(super) fn condition(&self, of: Of) -> String {
        let (due, held, restricted) = (self.due(), self.held(), self.restricted());
        match of {
            Of::Free => format!("{due} AND NOT {held} AND NOT {restricted}"),
            Of::Held => format!("{due} AND {held}"),
            // What is held and frozen, too, is counted once.
            Of::Restricted => format!("{due} AND NOT {held} AND {restricted}"),
        }
    }
}

/// What remains of one consent record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Remains {
    /// When it was decided.
    pub recorded_at_ms: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
}

fn read(row: &QueryResult, column: &str, kind: Kind) -> Result<Value, StoreError> {
    Ok(match kind {
        Kind::Int => row.try_get::<i64>("", column)?.into(),
        Kind::Id => row.try_get::<Uuid>("", column)?.into(),
        Kind::Bytes => row.try_get::<Vec<u8>>("", column)?.into(),
        Kind::Flag => row.try_get::<bool>("", column)?.into(),
    })
}

impl Reader<'_> {
    /// What remains of the record of this name, which was decided within a span of time.
    pub async fn remains(
        &self,
        tenant: i64,
        name: [u8; 32],
        (from_ms, until_ms): (i64, i64),
    ) -> Result<Option<Remains>, StoreError> {
        const REMAINS: &str = "SELECT recorded_at_ms, consent_bits, policy_version FROM consent_proof \
             WHERE tenant = $1 AND recorded_at_ms >= $2 AND recorded_at_ms < $3 AND record_id = $4";
        let connection = self.connection();
        let values = vec![
            tenant.into(),
            from_ms.into(),
            until_ms.into(),
            name.to_vec().into(),
        ];
        let select = Statement::from_sql_and_values(connection.get_database_backend(), REMAINS, values);
        Ok(Remains::find_by_statement(select).one(connection).await?)
    }

    async fn one_number(&self, text: String, tenant: i64) -> Result<Option<i64>, StoreError> {
        let connection = self.connection();
        let select =
            Statement::from_sql_and_values(connection.get_database_backend(), text, vec![tenant.into()]);
        let row = connection.query_one_raw(select).await?;
        Ok(match row {
            Some(row) => row.try_get("", "number")?,
            None => None,
        })
    }

    /// Rows that are due and may go, behind one of them in the order in which they are walked.
    pub async fn due_rows(
        &self,
        sought: &Sought,
        after: Option<&Candidate>,
        limit: u64,
    ) -> Result<Vec<Candidate>, StoreError> {
        let Some(shape) = Shape::of(sought.class) else {
            return Ok(Vec::new());
        };
        let names = |columns: &[(&'static str, Kind)]| {
            let names: Vec<String> = columns.iter().map(|(name, _)| format!("d.{name}")).collect();
            names.join(", ")
        };
        let mut values = vec![sought.tenant.into()];
        let mut behind = String::new();
        if let Some(after) = after {
            let places: Vec<String> = (2..after.place.len() + 2)
                .map(|place| format!("${place}"))
                .collect();
            behind = format!(" AND ({}) > ({})", names(shape.place), places.join(", "));
            values.extend(after.place.iter().cloned());
        }
        let more = shape.key.iter().filter(|column| !shape.place.contains(column));
        let selected: Vec<(&str, Kind)> = shape.place.iter().chain(more).copied().collect();
        let text = format!(
            "SELECT {} FROM {} d WHERE d.tenant = $1{behind} AND {} ORDER BY {} LIMIT {limit}",
            names(&selected),
            shape.table,
            sought.condition(Of::Free),
            names(shape.place),
        );
        let connection = self.connection();
        let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        let rows = connection.query_all_raw(select).await?;
        let columns = |row: &QueryResult, columns: &[(&str, Kind)]| -> Result<Vec<Value>, StoreError> {
            columns
                .iter()
                .map(|(name, kind)| read(row, name, *kind))
                .collect()
        };
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    key: columns(row, shape.key)?,
                    place: columns(row, shape.place)?,
                })
            })
            .collect()
    }

    /// How many rows are due, at most so many.
    pub async fn count_due(&self, sought: &Sought, of: Of, most: u64) -> Result<u64, StoreError> {
        let Some(shape) = Shape::of(sought.class) else {
            return Ok(0);
        };
        let text = format!(
            "SELECT COUNT(*) AS number FROM (SELECT 1 FROM {} d WHERE d.tenant = $1 AND {} LIMIT {most}) AS due",
            shape.table,
            sought.condition(of),
        );
        let number = self.one_number(text, sought.tenant).await?;
        Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }

    /// The moment that the age of a class's oldest row counts from. Details are walked by their clicks, so theirs is that
    /// of the oldest click's.
    pub async fn oldest_ms(&self, tenant: i64, class: Class) -> Result<Option<i64>, StoreError> {
        let shape = Shape::of(class);
        let Some((since_ms, shape)) = shape.and_then(|shape| Some((shape.since_ms?, shape))) else {
            return Ok(None);
        };
        let kept = match class {
            Class::ConversionDetails => "d.issued_at_ticks IS NOT NULL AND NOT d.test",
            Class::TestConversion => "d.test",
            Class::SubjectRequest => "d.closed_at_ms IS NOT NULL",
            _ => "1 = 1",
        };
        let order: Vec<String> = shape.place.iter().map(|(name, _)| format!("d.{name}")).collect();
        let text = format!(
            "SELECT {since_ms} AS number FROM {} d WHERE d.tenant = $1 AND {kept} ORDER BY {} LIMIT 1",
            shape.table,
            order.join(", "),
        );
        self.one_number(text, tenant).await
    }
}
