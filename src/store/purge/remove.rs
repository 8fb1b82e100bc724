//! Removing the rows of a chunk, inside its transaction.
//!
//! On PostgreSQL rows that somebody else is at are passed over: the next run finds them. So a purge waits for nobody's
//! postback, and no postback for more than a chunk.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::{Candidate, Of, Shape, Sought};
use crate::domain::ids::{ClickId, ClickKey};
use crate::domain::retention::Class;
use crate::store::batch::erase::month_of;
use crate::store::connect::StoreError;
use crate::store::tx::Tx;

/// Rows that one statement inserts at most: each has five values.
const INSERT_ROWS: usize = 1_000;
const OWE_REWRITE: &str =
    "INSERT INTO remains (month, erasure_id, owed_since_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

/// A click that goes, with what its proof is made of.
#[derive(Debug, Clone, Copy)]
pub struct DueClick {
    /// The click.
    pub key: ClickKey,
    /// When its signal was read.
    pub clicked_at_ms: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
}

/// A conversion whose details go.
#[derive(Debug, Clone)]
pub struct DueConversion {
    /// Its id.
    pub id: Uuid,
    /// Its click, unless the person was erased.
    pub click: Option<ClickKey>,
    /// State and answers of the shop's signal.
    pub consent_bits: i64,
    /// The policy version of the verdict.
    pub policy_version: i64,
    recorded_at_s: i64,
    shop: i64,
    goal: i64,
    order_hash: Option<Vec<u8>>,
}

/// A later signal about a click that goes.
#[derive(Debug, Clone, Copy)]
pub struct LaterSignal {
    /// The click.
    pub click: ClickKey,
    /// Its own id.
    pub id: Uuid,
    /// When it was read.
    pub recorded_at_ms: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
}

/// What remains of a consent record.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Its name, which leads to nobody.
    pub name: [u8; 32],
    /// When it was decided.
    pub recorded_at_ms: i64,
    /// State and answers.
    pub consent_bits: i64,
    /// The policy version of the decision.
    pub policy_version: i64,
}

#[derive(FromQueryResult)]
struct ClickRow {
    issued_at_ticks: i64,
    click_id: Uuid,
    clicked_at_ms: i64,
    consent_bits: i64,
    policy_version: i64,
}

#[derive(FromQueryResult)]
struct ConversionRow {
    recorded_at_s: i64,
    conversion_id: Uuid,
    issued_at_ticks: Option<i64>,
    click_id: Option<Uuid>,
    order_hash: Option<Vec<u8>>,
    shop: i64,
    goal: i64,
    consent_bits: Option<i64>,
    policy_version: i64,
}

#[derive(FromQueryResult)]
struct SignalRow {
    issued_at_ticks: i64,
    click_id: Uuid,
    record_id: Uuid,
    recorded_at_ms: i64,
    consent_bits: i64,
    policy_version: i64,
}

#[derive(FromQueryResult)]
struct SaltRow {
    issued_at_ticks: i64,
    click_id: Uuid,
}

fn click_key(tenant: i64, issued_at_ticks: i64, click: Uuid) -> ClickKey {
    ClickKey {
        tenant,
        issued_at_ticks,
        click: ClickId(click.into_bytes()),
    }
}

/// Rows as a table expression, the tenant in front of each, and their values with the tenant's as the first.
pub(super) fn listed(tenant: i64, rows: impl IntoIterator<Item = Vec<Value>>) -> (String, Vec<Value>) {
    let mut values = vec![tenant.into()];
    let mut text = String::from("VALUES ");
    for (place, row) in rows.into_iter().enumerate() {
        text.push_str(if place == 0 { "($1" } else { ", ($1" });
        for value in row {
            values.push(value);
            text.push_str(", $");
            text.push_str(&values.len().to_string());
        }
        text.push(')');
    }
    (text, values)
}

fn click_values(clicks: &[ClickKey]) -> Vec<Vec<Value>> {
    let value = |click: &ClickKey| {
        vec![
            click.issued_at_ticks.into(),
            Uuid::from_bytes(click.click.0).into(),
        ]
    };
    clicks.iter().map(value).collect()
}

impl Tx {
    /// Plans by index: what is looked for are a few hundred keys, and PostgreSQL guesses wrong about lists of values.
    pub async fn look_up_by_key(&self) -> Result<(), StoreError> {
        if self.connection().get_database_backend() == DatabaseBackend::Postgres {
            for setting in ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"] {
                let text = format!("SET LOCAL {setting} = off");
                self.connection().execute_unprepared(&text).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn run(&self, text: String, values: Vec<Value>) -> Result<u64, StoreError> {
        let connection = self.connection();
        let statement = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        Ok(connection.execute_raw(statement).await?.rows_affected())
    }

    async fn all<T: FromQueryResult>(&self, text: String, values: Vec<Value>) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let select = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        Ok(T::find_by_statement(select).all(connection).await?)
    }

    /// Those of the candidates that are still due, locked.
    async fn still_due<T: FromQueryResult>(
        &self,
        sought: &Sought,
        candidates: &[Candidate],
        columns: &str,
    ) -> Result<Vec<T>, StoreError> {
        let Some(shape) = Shape::of(sought.class).filter(|_| !candidates.is_empty()) else {
            return Ok(Vec::new());
        };
        let (list, values) = listed(sought.tenant, candidates.iter().map(|one| one.key.clone()));
        let names: Vec<&str> = shape.key.iter().map(|(name, _)| *name).collect();
        let same: Vec<String> = names.iter().map(|name| format!("d.{name} = k.{name}")).collect();
        let order: Vec<String> = names.iter().map(|name| format!("d.{name}")).collect();
        let lock = match self.connection().get_database_backend() {
            DatabaseBackend::Postgres => " FOR UPDATE OF d SKIP LOCKED",
            _ => "",
        };
        let text = format!(
            "WITH k (tenant, {}) AS ({list}) SELECT {columns} FROM k CROSS JOIN {} d WHERE d.tenant = k.tenant AND {} \
             AND {} ORDER BY {}{lock}",
            names.join(", "),
            shape.table,
            same.join(" AND "),
            sought.condition(Of::Free),
            order.join(", "),
        );
        self.all(text, values).await
    }

    /// Those clicks among the candidates that are still due, locked.
    pub async fn due_clicks(
        &self,
        sought: &Sought,
        candidates: &[Candidate],
    ) -> Result<Vec<DueClick>, StoreError> {
        let columns = "d.issued_at_ticks, d.click_id, d.clicked_at_ms, d.consent_bits, d.policy_version";
        let rows: Vec<ClickRow> = self.still_due(sought, candidates, columns).await?;
        let click = |row: ClickRow| DueClick {
            key: click_key(sought.tenant, row.issued_at_ticks, row.click_id),
            clicked_at_ms: row.clicked_at_ms,
            consent_bits: row.consent_bits,
            policy_version: row.policy_version,
        };
        Ok(rows.into_iter().map(click).collect())
    }

    /// Those conversions among the candidates that are still due, locked.
    pub async fn due_conversions(
        &self,
        sought: &Sought,
        candidates: &[Candidate],
    ) -> Result<Vec<DueConversion>, StoreError> {
        let columns = "d.recorded_at_s, d.conversion_id, d.issued_at_ticks, d.click_id, d.order_hash, d.shop, d.goal, \
                       d.consent_bits, d.policy_version";
        let rows: Vec<ConversionRow> = self.still_due(sought, candidates, columns).await?;
        let conversion = |row: ConversionRow| DueConversion {
            id: row.conversion_id,
            click: row
                .issued_at_ticks
                .zip(row.click_id)
                .map(|(ticks, click)| click_key(sought.tenant, ticks, click)),
            consent_bits: row.consent_bits.unwrap_or(0),
            policy_version: row.policy_version,
            recorded_at_s: row.recorded_at_s,
            shop: row.shop,
            goal: row.goal,
            order_hash: row.order_hash,
        };
        Ok(rows.into_iter().map(conversion).collect())
    }

    /// The later signals about these clicks.
    pub async fn later_signals(
        &self,
        tenant: i64,
        clicks: &[ClickKey],
    ) -> Result<Vec<LaterSignal>, StoreError> {
        if clicks.is_empty() {
            return Ok(Vec::new());
        }
        let (list, values) = listed(tenant, click_values(clicks));
        let text = format!(
            "WITH k (t, i, c) AS ({list}) SELECT r.issued_at_ticks, r.click_id, r.record_id, r.recorded_at_ms, \
             r.consent_bits, r.policy_version FROM k CROSS JOIN consent_record r \
             WHERE r.tenant = k.t AND r.issued_at_ticks = k.i AND r.click_id = k.c"
        );
        let rows: Vec<SignalRow> = self.all(text, values).await?;
        let signal = |row: SignalRow| LaterSignal {
            click: click_key(tenant, row.issued_at_ticks, row.click_id),
            id: row.record_id,
            recorded_at_ms: row.recorded_at_ms,
            consent_bits: row.consent_bits,
            policy_version: row.policy_version,
        };
        Ok(rows.into_iter().map(signal).collect())
    }

    /// Writes what remains of consent records; returns how many rows that made.
    pub async fn insert_proofs(&self, tenant: i64, proofs: &[Proof]) -> Result<u64, StoreError> {
        let mut made = 0;
        for some in proofs.chunks(INSERT_ROWS) {
            let row = |proof: &Proof| -> Vec<Value> {
                vec![
                    proof.recorded_at_ms.into(),
                    proof.name.to_vec().into(),
                    proof.consent_bits.into(),
                    proof.policy_version.into(),
                ]
            };
            let (list, values) = listed(tenant, some.iter().map(row));
            let text = format!(
                "INSERT INTO consent_proof (tenant, recorded_at_ms, record_id, consent_bits, policy_version) {list} \
                 ON CONFLICT DO NOTHING"
            );
            made += self.run(text, values).await?;
        }
        Ok(made)
    }

    /// Removes clicks with the later signals about them, and the salts that nothing hangs on any more.
    pub async fn remove_clicks(&self, sought: &Sought, clicks: &[ClickKey]) -> Result<u64, StoreError> {
        if clicks.is_empty() {
            return Ok(0);
        }
        let (list, values) = listed(sought.tenant, click_values(clicks));
        let of = "(tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k)";
        let text = format!("WITH k (t, i, c) AS ({list}) DELETE FROM consent_record WHERE {of}");
        self.run(text, values.clone()).await?;
        let text = format!("WITH k (t, i, c) AS ({list}) DELETE FROM click WHERE {of}");
        let removed = self.run(text, values).await?;
        self.remove_idle_salts(sought, clicks).await?;
        Ok(removed)
    }

    /// Empties what names a person in these conversions. Their orders' keys stay until their own end and name no click.
    pub async fn empty_conversions(
        &self,
        sought: &Sought,
        rows: &[DueConversion],
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let tenant = sought.tenant;
        let order = |row: &DueConversion| -> Option<Vec<Value>> {
            let order_hash = row.order_hash.clone()?;
            Some(vec![
                row.shop.into(),
                row.goal.into(),
                order_hash.into(),
                row.id.into(),
            ])
        };
        let orders: Vec<Vec<Value>> = rows.iter().filter_map(order).collect();
        if !orders.is_empty() {
            let (list, mut values) = listed(tenant, orders);
            values.push(Uuid::nil().into());
            let text = format!(
                "WITH k (t, s, g, h, v) AS ({list}) UPDATE order_key SET issued_at_ticks = 0, click_id = ${} \
                 WHERE NOT test AND (tenant, shop, goal, order_hash, conversion_id) IN (SELECT t, s, g, h, v FROM k)",
                values.len()
            );
            self.run(text, values).await?;
        }
        let (list, values) = listed(tenant, rows.iter().map(conversion_values));
        let text = format!(
            "WITH k (t, r, v) AS ({list}) UPDATE conversion SET issued_at_ticks = NULL, click_id = NULL, \
             order_hash = NULL, payload = NULL, consent_bits = NULL, signal_kinds = NULL, purged = TRUE \
             WHERE (tenant, recorded_at_s, conversion_id) IN (SELECT t, r, v FROM k)"
        );
        let emptied = self.run(text, values).await?;
        self.remove_idle_salts(sought, &clicks_of(rows)).await?;
        Ok(emptied)
    }

    /// Removes test conversions with their orders' keys.
    pub async fn remove_tests(&self, sought: &Sought, rows: &[DueConversion]) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let tenant = sought.tenant;
        let order = |row: &DueConversion| -> Option<Vec<Value>> {
            Some(vec![
                row.shop.into(),
                row.goal.into(),
                row.order_hash.clone()?.into(),
            ])
        };
        let orders: Vec<Vec<Value>> = rows.iter().filter_map(order).collect();
        if !orders.is_empty() {
            let (list, values) = listed(tenant, orders);
            let text = format!(
                "WITH k (t, s, g, h) AS ({list}) DELETE FROM order_key \
                 WHERE test AND (tenant, shop, goal, order_hash) IN (SELECT t, s, g, h FROM k)"
            );
            self.run(text, values).await?;
        }
        let (list, values) = listed(tenant, rows.iter().map(conversion_values));
        let text = format!(
            "WITH k (t, r, v) AS ({list}) DELETE FROM conversion \
             WHERE (tenant, recorded_at_s, conversion_id) IN (SELECT t, r, v FROM k)"
        );
        let removed = self.run(text, values).await?;
        self.remove_idle_salts(sought, &clicks_of(rows)).await?;
        Ok(removed)
    }

    /// Removes rows that nothing hangs on: what remains of consent records, orders' keys, suppression entries.
    pub async fn remove_plain(&self, sought: &Sought, candidates: &[Candidate]) -> Result<u64, StoreError> {
        let is_plain = matches!(
            sought.class,
            Class::MinimalProof | Class::Idempotency | Class::Suppression
        );
        let Some(shape) = Shape::of(sought.class).filter(|_| is_plain && !candidates.is_empty()) else {
            return Ok(0);
        };
        let (list, values) = listed(sought.tenant, candidates.iter().map(|one| one.key.clone()));
        let names: Vec<&str> = shape.key.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let text = format!(
            "WITH k (tenant, {names}) AS ({list}) DELETE FROM {} AS d \
             WHERE (tenant, {names}) IN (SELECT tenant, {names} FROM k) AND {}",
            shape.table,
            sought.condition(Of::Free),
        );
        self.run(text, values).await
    }

    /// The details of conversions are sealed under their click's key, and a click's own under the same: a salt goes when
    /// neither is left, and with it the customer's reference, which stands for nothing then.
    async fn remove_idle_salts(&self, sought: &Sought, clicks: &[ClickKey]) -> Result<(), StoreError> {
        if clicks.is_empty() {
            return Ok(());
        }
        let (list, values) = listed(sought.tenant, click_values(clicks));
        let idle = "(tenant, issued_at_ticks, click_id) IN (SELECT t, i, c FROM k WHERE \
                    NOT EXISTS (SELECT 1 FROM click x WHERE x.tenant = k.t AND x.issued_at_ticks = k.i AND x.click_id = k.c) \
                    AND NOT EXISTS (SELECT 1 FROM conversion v WHERE v.tenant = k.t AND v.issued_at_ticks = k.i \
                    AND v.click_id = k.c))";
        let text = format!("WITH k (t, i, c) AS ({list}) DELETE FROM customer_key WHERE {idle}");
        self.run(text, values.clone()).await?;
        let text = format!(
            "WITH k (t, i, c) AS ({list}) DELETE FROM click_salt WHERE {idle} RETURNING issued_at_ticks, click_id"
        );
        let gone: Vec<SaltRow> = self.all(text, values).await?;
        let of_salt = |row: SaltRow| month_of(&click_key(sought.tenant, row.issued_at_ticks, row.click_id));
        self.owe_rewrite(sought, gone.into_iter().map(of_salt).collect())
            .await
    }

    /// PostgreSQL's pages still hold the salts that went: their months are to be rewritten, as after erasures.
    async fn owe_rewrite(&self, sought: &Sought, months: BTreeSet<i64>) -> Result<(), StoreError> {
        if self.connection().get_database_backend() != DatabaseBackend::Postgres {
            return Ok(());
        }
        for month in months {
            let values = vec![month.into(), sought.mark.into(), sought.now_ms.into()];
            self.run(OWE_REWRITE.to_owned(), values).await?;
        }
        Ok(())
    }
}

fn conversion_values(row: &DueConversion) -> Vec<Value> {
    vec![row.recorded_at_s.into(), row.id.into()]
}

fn clicks_of(rows: &[DueConversion]) -> Vec<ClickKey> {
    let clicks: BTreeSet<ClickKey> = rows.iter().filter_map(|row| row.click).collect();
    clicks.into_iter().collect()
}
