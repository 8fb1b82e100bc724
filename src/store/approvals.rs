//! Rows of approvals: who asked for what, and who decided.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::connect::StoreError;
use super::objects::{Columns, Ids, Kept, RowOf, Target, read_rows};
use super::routing::word;
use super::rows::object;
use super::tx::Tx;
use crate::domain::approval::{Approval, ApprovalKind, ApprovalState};
use crate::domain::policy::Person;
use entity::approval::{ActiveModel, Column, Entity};

impl Kept for Approval {
    type Entity = Entity;
    type Row = ActiveModel;

    fn columns() -> Columns<Column> {
        Columns {
            tenant: Column::Tenant,
            number: Column::Approval,
            id: Column::Id,
        }
    }

    fn row(&self) -> Result<ActiveModel, StoreError> {
        let decider = self.decider.as_ref();
        Ok(ActiveModel {
            tenant: Set(self.object.tenant),
            approval: Set(self.object.number),
            id: Set(self.object.id),
            kind: Set(self.kind.code().to_owned()),
            subject: Set(self.subject),
            state: Set(self.state.code().to_owned()),
            author: Set(self.author.actor.clone()),
            author_account: Set(self.author.user.map(|user| user.number)),
            decider: Set(decider.map(|decider| decider.actor.clone())),
            decider_account: Set(decider.and_then(|decider| decider.user).map(|user| user.number)),
            decided_at_ms: Set(self.decided_at_ms),
            note: Set(self.note.clone()),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn names(row: &RowOf<Self>) -> Vec<(Target, i64)> {
        let accounts = [row.author_account, row.decider_account];
        let users = accounts.into_iter().flatten();
        users.map(|number| (Target::User, number)).collect()
    }

    fn read(row: RowOf<Self>, ids: &Ids) -> Result<Self, StoreError> {
        let decider = match row.decider {
            None => None,
            Some(actor) => Some(Person {
                actor,
                user: ids.maybe(Target::User, row.decider_account, "approval")?,
            }),
        };
        Ok(Approval {
            object: object!(row, row.approval),
            kind: word(&row.kind, "approval", "kind")?,
            subject: row.subject,
            state: word(&row.state, "approval", "state")?,
            author: Person {
                actor: row.author,
                user: ids.maybe(Target::User, row.author_account, "approval")?,
            },
            decider,
            decided_at_ms: row.decided_at_ms,
            note: row.note,
        })
    }

    fn taken(_: &str) -> &'static str {
        "approval"
    }
}

impl Tx {
    /// The approvals of a kind that wait for somebody's word.
    pub async fn waiting(&self, tenant: i64, kind: ApprovalKind) -> Result<Vec<Approval>, StoreError> {
        let select = Entity::find()
            .filter(Column::Tenant.eq(tenant))
            .filter(Column::Kind.eq(kind.code()))
            .filter(Column::State.eq(ApprovalState::Waiting.code()));
        read_rows(self.connection(), tenant, select).await
    }
}
