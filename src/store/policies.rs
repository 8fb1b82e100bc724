//! Rows of policies: their documents, the order in which they take over, and the counts of what a draft said.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};

use super::connect::{Store, StoreError};
use super::objects::{Columns, Ids, Kept, RowOf, Target, read_rows};
use super::routing::parse;
use super::rows::{document, object};
use super::tx::{Reader, Tx};
use crate::domain::policy::{Person, Policy, PolicyRecord, PolicyVersion, Shadow, Timeline};
use crate::domain::report::ROWS_MAX;
use crate::domain::report::period::Period;
use crate::domain::scope::TenantScope;
use entity::policy::{ActiveModel, Column, Entity, Model};

/// How far a request's time may lie before the moment in which the routing data was read, in milliseconds.
const LOOK_BACK_MS: i64 = 3_600_000;

impl Kept for PolicyRecord {
    type Entity = Entity;
    type Row = ActiveModel;

    fn columns() -> Columns<Column> {
        Columns {
            tenant: Column::Tenant,
            number: Column::Policy,
            id: Column::Id,
        }
    }

    fn row(&self) -> Result<ActiveModel, StoreError> {
        Ok(ActiveModel {
            tenant: Set(self.object.tenant),
            policy: Set(self.object.number),
            id: Set(self.object.id),
            version: Set(self.version.map(i64::from)),
            document: Set(document(&self.policy, "policy", "document")?),
            author: Set(self.author.actor.clone()),
            author_account: Set(self.author.user.map(|user| user.number)),
            reason: Set(self.reason.clone()),
            replaces: Set(self.replaces.map(i64::from)),
            approval: Set(self.approval.map(|approval| approval.number)),
            requested_from_ms: Set(self.requested_from_ms),
            effective_from_ms: Set(self.effective_from_ms),
            rejected: Set(self.rejected),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        let named = [
            (Target::User, row.author_account),
            (Target::Approval, row.approval),
        ];
        let number = |(target, number): (Target, Option<i64>)| Some((target, number?));
        named.into_iter().filter_map(number).collect()
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        Ok(PolicyRecord {
            object: object!(row, row.policy),
            version: row.version.map(|number| small(number, "version")).transpose()?,
            policy: parse(&row.document, "policy", "document")?,
            author: Person {
                user: ids.maybe(Target::User, row.author_account, "policy")?,
                actor: row.author,
            },
            reason: row.reason,
            replaces: row.replaces.map(|number| small(number, "replaces")).transpose()?,
            approval: ids.maybe(Target::Approval, row.approval, "policy")?,
            requested_from_ms: row.requested_from_ms,
            effective_from_ms: row.effective_from_ms,
            rejected: row.rejected,
        })
    }

    fn taken(_: &str) -> &'static str {
        "version"
    }
}

fn small(number: i64, column: &'static str) -> Result<u16, StoreError> {
    u16::try_from(number).map_err(|_| StoreError::Inconsistent {
        table: "policy",
        column,
    })
}

/// A version that takes over at a time.
fn version(row: &Model) -> Result<PolicyVersion, StoreError> {
    let broken = StoreError::Inconsistent {
        table: "policy",
        column: "version",
    };
    let policy: Policy = parse(&row.document, "policy", "document")?;
    Ok(PolicyVersion {
        version: small(row.version.ok_or(broken)?, "version")?,
        policy,
    })
}

/// The versions that are or will be in force, in the order in which they take over.
async fn effective<C: ConnectionTrait>(connection: &C, tenant: i64) -> Result<Vec<Model>, StoreError> {
    let rows = Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(Column::EffectiveFromMs.is_not_null())
        .filter(Column::ArchivedAtMs.is_null())
        .order_by_asc(Column::EffectiveFromMs)
        .order_by_asc(Column::Version)
        .all(connection)
        .await?;
    Ok(rows)
}

/// Where among these versions the one stands that is in force at a time. A clock before the first version finds that.
fn place_at(rows: &[Model], at_ms: i64) -> usize {
    let come = |row: &Model| row.effective_from_ms.is_some_and(|from_ms| from_ms <= at_ms);
    rows.iter().rposition(come).unwrap_or(0)
}

/// A tenant's policies as routing needs them: what is in force, what will be, and what runs in its shadow.
pub(super) async fn load<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    now_ms: i64,
) -> Result<(Timeline, Option<Shadow>), StoreError> {
    let rows = effective(connection, tenant).await?;
    let (_, rows) = rows.split_at(place_at(&rows, now_ms.saturating_sub(LOOK_BACK_MS)));
    let Some((first, later)) = rows.split_first() else {
        return Err(StoreError::Inconsistent {
            table: "policy",
            column: "version",
        });
    };
    let mut timeline = Timeline::new(version(first)?);
    for row in later {
        timeline.then(row.effective_from_ms.unwrap_or(i64::MAX), version(row)?);
    }
    let draft = drafts(tenant).one(connection).await?;
    let shadow = match draft {
        None => None,
        Some(row) => Some(Shadow {
            draft: row.policy,
            policy: parse(&row.document, "policy", "document")?,
        }),
    };
    Ok((timeline, shadow))
}

/// Drafts that run in the shadow, the newest first.
fn drafts(tenant: i64) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(Column::Version.is_null())
        .filter(Column::ArchivedAtMs.is_null())
        .order_by_desc(Column::Policy)
}

async fn in_force<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    at_ms: i64,
) -> Result<Option<PolicyVersion>, StoreError> {
    let rows = effective(connection, tenant).await?;
    rows.get(place_at(&rows, at_ms)).map(version).transpose()
}

async fn numbered<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    number: u16,
) -> Result<Option<Policy>, StoreError> {
    let row = Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(Column::Version.eq(i64::from(number)))
        .one(connection)
        .await?;
    row.map(|row| parse(&row.document, "policy", "document"))
        .transpose()
}

impl Reader<'_> {
    /// The policy in force at a time.
    pub async fn policy(&self, tenant: i64, at_ms: i64) -> Result<PolicyVersion, StoreError> {
        let found = in_force(self.connection(), tenant, at_ms).await?;
        found.ok_or(StoreError::Inconsistent {
            table: "policy",
            column: "version",
        })
    }

    /// The document of a version.
    pub async fn policy_document(&self, tenant: i64, number: u16) -> Result<Option<Policy>, StoreError> {
        numbered(self.connection(), tenant, number).await
    }
}

impl Tx {
    /// The policy in force at a time; none while the tenant is being made.
    pub async fn policy_at(&self, tenant: i64, at_ms: i64) -> Result<Option<PolicyVersion>, StoreError> {
        in_force(self.connection(), tenant, at_ms).await
    }

    /// The document of a version.
    pub async fn policy_document(&self, tenant: i64, number: u16) -> Result<Option<Policy>, StoreError> {
        numbered(self.connection(), tenant, number).await
    }

    /// The versions that are not in force yet and may come to be: those whose time has not come, and those that wait for
    /// an approval.
    pub async fn pending_policies(&self, tenant: i64, now_ms: i64) -> Result<Vec<PolicyVersion>, StoreError> {
        let not_yet = Condition::any()
            .add(Column::EffectiveFromMs.is_null())
            .add(Column::EffectiveFromMs.gt(now_ms));
        let rows = Entity::find()
            .filter(Column::Tenant.eq(tenant))
            .filter(Column::Version.is_not_null())
            .filter(Column::ArchivedAtMs.is_null())
            .filter(not_yet)
            .all(self.connection())
            .await?;
        rows.iter().map(version).collect()
    }

    /// The number of the last version, whatever became of it: numbers are never used again.
    pub async fn last_policy_version(&self, tenant: i64) -> Result<u16, StoreError> {
        let highest: Option<Option<i64>> = Entity::find()
            .select_only()
            .column_as(Column::Version.max(), "highest")
            .filter(Column::Tenant.eq(tenant))
            .into_tuple()
            .one(self.connection())
            .await?;
        small(highest.flatten().unwrap_or(0), "version")
    }

    /// Drafts that run in the shadow.
    pub async fn drafts(&self, tenant: i64) -> Result<Vec<PolicyRecord>, StoreError> {
        read_rows(self.connection(), tenant, drafts(tenant)).await
    }
}

/// How often the policy in force said one thing and the draft another, or the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowSum {
    /// The day, since 1970.
    pub day: i64,
    /// The campaign's number; 0 where it is not known or not counted.
    pub campaign: i64,
    /// `click` or `postback`.
    pub kind: String,
    /// What came of it: outcome and reason.
    pub in_force: (String, String),
    /// What the draft would have made of it.
    pub draft: (String, String),
    /// How often.
    pub events: i64,
}

impl Store {
    /// The counts of a draft. More than [`ROWS_MAX`] of them are cut to one more than that.
    pub async fn shadow_sums(
        &self,
        tenant: i64,
        draft: i64,
        period: Period,
    ) -> Result<Vec<ShadowSum>, StoreError> {
        let text = format!(
            "SELECT day, campaign, kind, outcome, reason, draft_outcome, draft_reason, \
             CAST(SUM(events) AS BIGINT) AS events FROM stat_shadow \
             WHERE tenant = $1 AND draft = $2 AND day >= $3 AND day <= $4 \
             GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7 LIMIT {}",
            ROWS_MAX + 1
        );
        let reader = self.reader(TenantScope::Only(tenant));
        let connection = reader.connection();
        let values = [tenant, draft, period.from_day, period.to_day].map(Into::into);
        let backend = connection.get_database_backend();
        let rows = connection
            .query_all_raw(Statement::from_sql_and_values(backend, text, values))
            .await?;
        let sum = |row: &sea_orm::QueryResult| {
            Ok(ShadowSum {
                day: row.try_get("", "day")?,
                campaign: row.try_get("", "campaign")?,
                kind: row.try_get("", "kind")?,
                in_force: (row.try_get("", "outcome")?, row.try_get("", "reason")?),
                draft: (
                    row.try_get("", "draft_outcome")?,
                    row.try_get("", "draft_reason")?,
                ),
                events: row.try_get("", "events")?,
            })
        };
        rows.iter().map(sum).collect()
    }
}
