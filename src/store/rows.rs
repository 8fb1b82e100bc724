//! Small pieces that rows of several kinds share.

use serde::Serialize;

use super::connect::StoreError;

/// A configuration document as it stands in a row.
pub(super) fn document<T: Serialize>(
    value: &T,
    table: &'static str,
    column: &'static str,
) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Inconsistent { table, column })
}

/// The parts that every object has, from a row; rows share their columns' names and no type.
macro_rules! object {
    ($row:ident, $number:expr) => {
        $crate::domain::campaign::Object {
            tenant: $row.tenant,
            number: $number,
            id: $row.id,
            created_at_ms: $row.created_at_ms,
            updated_at_ms: $row.updated_at_ms,
            archived_at_ms: $row.archived_at_ms,
        }
    };
}

pub(super) use object;
