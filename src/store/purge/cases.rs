//! Removing files of closed requests, inside a chunk's transaction.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use super::remove::listed;
use super::{Candidate, Of, Sought};
use crate::store::connect::StoreError;
use crate::store::tx::Tx;

#[derive(FromQueryResult)]
struct CaseRow {
    request: i64,
}

impl Tx {
    /// Removes files of closed requests with what happened in them.
    pub async fn remove_cases(&self, sought: &Sought, candidates: &[Candidate]) -> Result<u64, StoreError> {
        if candidates.is_empty() {
            return Ok(0);
        }
        let (list, values) = listed(sought.tenant, candidates.iter().map(|one| one.key.clone()));
        let text = format!(
            "WITH k (t, r) AS ({list}) DELETE FROM subject_request AS d WHERE (tenant, request) IN (SELECT t, r FROM k) \
             AND {} RETURNING request",
            sought.condition(Of::Free),
        );
        let connection = self.connection();
        let remove = Statement::from_sql_and_values(connection.get_database_backend(), text, values);
        let gone = CaseRow::find_by_statement(remove).all(connection).await?;
        let removed = gone.len() as u64;
        if removed > 0 {
            let gone = gone.iter().map(|row| vec![row.request.into()]);
            let (list, values) = listed(sought.tenant, gone);
            let text = format!(
                "WITH k (t, r) AS ({list}) DELETE FROM subject_request_event \
                 WHERE (tenant, request) IN (SELECT t, r FROM k)"
            );
            self.run(text, values).await?;
        }
        Ok(removed)
    }
}
