//! Rows of requests of people: cases, what happened in them, and callbacks that wait.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, SqlErr,
};
use uuid::Uuid;

use super::connect::StoreError;
use super::routing::word;
use super::tx::{Reader, Tx};
use crate::domain::subject_request::{Case, RequestSource, RequestStatus, SOON_MS};
use entity::{subject_request as case, subject_request_callback as callback, subject_request_event as event};

const TABLE: &str = "subject_request";

/// Which cases are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct CaseFilter {
    /// In this status.
    pub status: Option<RequestStatus>,
    /// Open ones whose deadline has passed at this time, in milliseconds since 1970.
    pub overdue_at_ms: Option<i64>,
    /// Whose deadline ends before this.
    pub due_before_ms: Option<i64>,
}

/// How many cases wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaseCounts {
    /// Open ones.
    pub open: u64,
    /// Open ones whose deadline is near.
    pub due_soon: u64,
    /// Open ones whose deadline has passed.
    pub overdue: u64,
}

/// One thing that happened in a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseEvent {
    /// When.
    pub at_ms: i64,
    /// What.
    pub event: String,
    /// Who did it, as the trail names it.
    pub actor: String,
    /// A word about it: a reason, a ground, a note.
    pub code: Option<String>,
}

/// A callback that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The tenant's number.
    pub tenant: i64,
    /// Its own id.
    pub id: Uuid,
    /// The number of the case.
    pub request: i64,
    /// The status that it tells.
    pub status: RequestStatus,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at_ms: i64,
    /// Address and body, sealed.
    pub payload: Vec<u8>,
}

fn open_statuses() -> [&'static str; 2] {
    [RequestStatus::Pending.code(), RequestStatus::InProgress.code()]
}

fn is_open() -> Condition {
    Condition::all().add(case::Column::Status.is_in(open_statuses()))
}

fn row(case: &Case) -> case::ActiveModel {
    let word = |text: &str| text.to_owned();
    case::ActiveModel {
        tenant: Set(case.tenant),
        request: Set(case.number),
        id: Set(case.id),
        external_id: Set(case.external_id),
        source: Set(word(case.source.code())),
        kind: Set(word(case.kind.code())),
        lift: Set(case.lift),
        regulation: Set(word(case.regulation.code())),
        status: Set(word(case.status.code())),
        submitted_at_ms: Set(case.submitted_at_ms),
        received_at_ms: Set(case.received_at_ms),
        due_on: Set(case.due_on.clone()),
        due_at_ms: Set(case.due_at_ms),
        extension: Set(case.extension.map(|reason| word(reason.code()))),
        assignee: Set(case.assignee),
        ground: Set(case.ground.map(|ground| word(ground.code()))),
        results_count: Set(case.results_count),
        done_at_ms: Set(case.done_at_ms),
        closed_at_ms: Set(case.closed_at_ms),
        updated_at_ms: Set(case.updated_at_ms),
        case_key: Set(case.case_key.clone()),
        subject: Set(case.subject.clone()),
    }
}

fn read(row: case::Model) -> Result<Case, StoreError> {
    Ok(Case {
        tenant: row.tenant,
        number: row.request,
        id: row.id,
        external_id: row.external_id,
        source: word(&row.source, TABLE, "source")?,
        kind: word(&row.kind, TABLE, "kind")?,
        lift: row.lift,
        regulation: word(&row.regulation, TABLE, "regulation")?,
        status: word(&row.status, TABLE, "status")?,
        submitted_at_ms: row.submitted_at_ms,
        received_at_ms: row.received_at_ms,
        due_on: row.due_on,
        due_at_ms: row.due_at_ms,
        extension: row
            .extension
            .map(|text| word(&text, TABLE, "extension"))
            .transpose()?,
        assignee: row.assignee,
        ground: row.ground.map(|text| word(&text, TABLE, "ground")).transpose()?,
        results_count: row.results_count,
        done_at_ms: row.done_at_ms,
        closed_at_ms: row.closed_at_ms,
        updated_at_ms: row.updated_at_ms,
        case_key: row.case_key,
        subject: row.subject,
    })
}

fn all(rows: Vec<case::Model>) -> Result<Vec<Case>, StoreError> {
    rows.into_iter().map(read).collect()
}

fn read_callback(row: callback::Model) -> Result<Callback, StoreError> {
    Ok(Callback {
        tenant: row.tenant,
        id: row.callback,
        request: row.request,
        status: word(&row.status, "subject_request_callback", "status")?,
        attempts: row.attempts,
        next_at_ms: row.next_at_ms,
        payload: row.payload,
    })
}

async fn one<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    condition: Condition,
) -> Result<Option<Case>, StoreError> {
    let found = case::Entity::find()
        .filter(case::Column::Tenant.eq(tenant))
        .filter(condition)
        .one(connection)
        .await?;
    found.map(read).transpose()
}

impl Reader<'_> {
    /// The case with this id.
    pub async fn case(&self, tenant: i64, id: Uuid) -> Result<Option<Case>, StoreError> {
        let condition = Condition::all().add(case::Column::Id.eq(id));
        one(self.connection(), tenant, condition).await
    }

    /// The case that an OpenDSR controller gave this id.
    pub async fn case_of_controller(&self, tenant: i64, id: Uuid) -> Result<Option<Case>, StoreError> {
        let condition = Condition::all()
            .add(case::Column::ExternalId.eq(id))
            .add(case::Column::Source.ne(RequestSource::Api.code()));
        one(self.connection(), tenant, condition).await
    }

    /// Cases behind a number, in the order in which they came.
    pub async fn cases(
        &self,
        tenant: i64,
        filter: &CaseFilter,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Case>, StoreError> {
        let mut rows = case::Entity::find()
            .filter(case::Column::Tenant.eq(tenant))
            .filter(case::Column::Request.gt(after));
        if let Some(status) = filter.status {
            rows = rows.filter(case::Column::Status.eq(status.code()));
        }
        if let Some(now_ms) = filter.overdue_at_ms {
            rows = rows.filter(is_open()).filter(case::Column::DueAtMs.lte(now_ms));
        }
        if let Some(before_ms) = filter.due_before_ms {
            rows = rows.filter(case::Column::DueAtMs.lt(before_ms));
        }
        let rows = rows.order_by_asc(case::Column::Request).limit(limit);
        all(rows.all(self.connection()).await?)
    }

    /// How many cases wait; of every tenant without one.
    pub async fn case_counts(&self, tenant: Option<i64>, now_ms: i64) -> Result<CaseCounts, StoreError> {
        let open = || {
            let rows = case::Entity::find().filter(is_open());
            match tenant {
                None => rows,
                Some(tenant) => rows.filter(case::Column::Tenant.eq(tenant)),
            }
        };
        let due = case::Column::DueAtMs;
        let all = open().count(self.connection()).await?;
        let overdue = open().filter(due.lte(now_ms)).count(self.connection()).await?;
        let near = open().filter(due.lte(now_ms.saturating_add(SOON_MS)));
        let near = near.count(self.connection()).await?;
        Ok(CaseCounts {
            open: all,
            due_soon: near.saturating_sub(overdue),
            overdue,
        })
    }

    /// Open cases of OpenDSR that came before this time, at any tenant's, oldest first: nobody has to begin them by hand.
    pub async fn cases_to_run(&self, before_ms: i64, limit: u64) -> Result<Vec<Case>, StoreError> {
        let rows = case::Entity::find()
            .filter(is_open())
            .filter(case::Column::Source.ne(RequestSource::Api.code()))
            .filter(case::Column::ReceivedAtMs.lte(before_ms))
            .order_by_asc(case::Column::ReceivedAtMs)
            .limit(limit);
        all(rows.all(self.connection()).await?)
    }

    /// Cases at any tenant's whose time is over and that still name the person.
    pub async fn cases_to_close(&self, now_ms: i64, limit: u64) -> Result<Vec<Case>, StoreError> {
        let rows = case::Entity::find()
            .filter(case::Column::ClosedAtMs.lte(now_ms))
            .filter(case::Column::CaseKey.is_not_null())
            .order_by_asc(case::Column::ClosedAtMs)
            .limit(limit);
        all(rows.all(self.connection()).await?)
    }

    /// What happened in a case, in order.
    pub async fn case_events(&self, tenant: i64, request: i64) -> Result<Vec<CaseEvent>, StoreError> {
        let rows = event::Entity::find()
            .filter(event::Column::Tenant.eq(tenant))
            .filter(event::Column::Request.eq(request))
            .order_by_asc(event::Column::Position)
            .all(self.connection())
            .await?;
        let one = |row: event::Model| CaseEvent {
            at_ms: row.at_ms,
            event: row.event,
            actor: row.actor,
            code: row.code,
        };
        Ok(rows.into_iter().map(one).collect())
    }

    /// Callbacks whose time has come, the longest waiting first.
    pub async fn callbacks_due(&self, now_ms: i64, limit: u64) -> Result<Vec<Callback>, StoreError> {
        let rows = callback::Entity::find()
            .filter(callback::Column::NextAtMs.lte(now_ms))
            .order_by_asc(callback::Column::NextAtMs)
            .limit(limit)
            .all(self.connection())
            .await?;
        rows.into_iter().map(read_callback).collect()
    }

    /// How many callbacks of a case wait.
    pub async fn callbacks_waiting(&self, tenant: i64, request: i64) -> Result<u64, StoreError> {
        let rows = callback::Entity::find()
            .filter(callback::Column::Tenant.eq(tenant))
            .filter(callback::Column::Request.eq(request));
        Ok(rows.count(self.connection()).await?)
    }
}

impl Tx {
    /// The case with this id, as this transaction sees it.
    pub async fn case(&self, tenant: i64, id: Uuid) -> Result<Option<Case>, StoreError> {
        let condition = Condition::all().add(case::Column::Id.eq(id));
        one(self.connection(), tenant, condition).await
    }

    /// The number for the next case.
    pub async fn next_case(&self, tenant: i64) -> Result<i64, StoreError> {
        let highest: Option<i64> = case::Entity::find()
            .select_only()
            .column(case::Column::Request)
            .filter(case::Column::Tenant.eq(tenant))
            .order_by_desc(case::Column::Request)
            .limit(1)
            .into_tuple()
            .one(self.connection())
            .await?;
        Ok(highest.unwrap_or(0).saturating_add(1))
    }

    /// Writes a new case. `Taken` if the controller has used its id before.
    pub async fn insert_case(&self, case: &Case) -> Result<(), StoreError> {
        let inserted = case::Entity::insert(row(case))
            .exec_without_returning(self.connection())
            .await;
        inserted.map_err(taken)?;
        Ok(())
    }

    /// Writes a case over what was there.
    pub async fn replace_case(&self, case: &Case) -> Result<(), StoreError> {
        case::Entity::update(row(case))
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Writes what happened in a case.
    pub async fn add_case_event(
        &self,
        tenant: i64,
        request: i64,
        what: &CaseEvent,
    ) -> Result<(), StoreError> {
        let last: Option<i64> = event::Entity::find()
            .select_only()
            .column(event::Column::Position)
            .filter(event::Column::Tenant.eq(tenant))
            .filter(event::Column::Request.eq(request))
            .order_by_desc(event::Column::Position)
            .limit(1)
            .into_tuple()
            .one(self.connection())
            .await?;
        let row = event::ActiveModel {
            tenant: Set(tenant),
            request: Set(request),
            position: Set(last.unwrap_or(0).saturating_add(1)),
            at_ms: Set(what.at_ms),
            event: Set(what.event.clone()),
            actor: Set(what.actor.clone()),
            code: Set(what.code.clone()),
        };
        event::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Puts a callback into the queue.
    pub async fn queue_callback(&self, new: Callback) -> Result<(), StoreError> {
        let row = callback::ActiveModel {
            tenant: Set(new.tenant),
            callback: Set(new.id),
            request: Set(new.request),
            status: Set(new.status.code().to_owned()),
            attempts: Set(new.attempts),
            next_at_ms: Set(new.next_at_ms),
            payload: Set(new.payload),
        };
        callback::Entity::insert(row)
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }

    /// Takes a callback for a try, unless another node was first; the next try is due at that time.
    pub async fn take_callback(&self, seen: &Callback, next_at_ms: i64) -> Result<bool, StoreError> {
        let updated = callback::Entity::update_many()
            .col_expr(callback::Column::NextAtMs, Expr::val(next_at_ms))
            .col_expr(
                callback::Column::Attempts,
                Expr::col(callback::Column::Attempts).add(1),
            )
            .filter(callback::Column::Tenant.eq(seen.tenant))
            .filter(callback::Column::Callback.eq(seen.id))
            .filter(callback::Column::NextAtMs.eq(seen.next_at_ms))
            .exec(self.connection())
            .await?;
        Ok(updated.rows_affected == 1)
    }

    /// Takes a callback out of the queue.
    pub async fn drop_callback(&self, tenant: i64, id: Uuid) -> Result<(), StoreError> {
        callback::Entity::delete_by_id((tenant, id))
            .exec(self.connection())
            .await?;
        Ok(())
    }
}

fn taken(error: DbErr) -> StoreError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => StoreError::Taken("subject_request_id"),
        _ => error.into(),
    }
}
