//! Tokens that were revoked before their end.

use std::collections::HashSet;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::connect::StoreError;
use super::tx::Tx;
use entity::revoked_token::{ActiveModel, Column, Entity};

/// For how long a token is remembered after its end, in seconds: as long as clocks may differ.
const MARGIN_S: i64 = 60;

/// The names of revoked tokens that could still be shown.
pub(super) async fn revoked<C: ConnectionTrait>(
    connection: &C,
    now_s: i64,
) -> Result<HashSet<Uuid>, StoreError> {
    let rows = Entity::find()
        .filter(Column::ExpiresAtS.gt(now_s - MARGIN_S))
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| row.token_id).collect())
}

impl Tx {
    /// Revokes a token until its end, and forgets those that have ended.
    pub async fn revoke_token(
        &self,
        tenant: i64,
        id: Uuid,
        expires_at_s: i64,
        now_s: i64,
    ) -> Result<(), StoreError> {
        Entity::delete_many()
            .filter(Column::ExpiresAtS.lte(now_s - MARGIN_S))
            .exec(self.connection())
            .await?;
        let row = ActiveModel {
            token_id: Set(id),
            tenant: Set(tenant),
            expires_at_s: Set(expires_at_s),
        };
        // Revoked twice is revoked.
        Entity::insert(row)
            .on_conflict(OnConflict::column(Column::TokenId).do_nothing().to_owned())
            .exec_without_returning(self.connection())
            .await?;
        Ok(())
    }
}
