//! Whether PostgreSQL's second wall stands: before every table with a tenant's number, and for the role that we are.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use super::connect::{Store, StoreError};
use crate::domain::scope::TenantScope;

/// How the second wall stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wall {
    /// Before everything that is a tenant's.
    Stands,
    /// It does not hold for this role, a superuser or one with `BYPASSRLS`.
    Bypassed,
    /// These tables stand open.
    Open(Vec<String>),
}

const BYPASSED: &str =
    "SELECT rolsuper OR rolbypassrls AS bypassed FROM pg_roles WHERE rolname = current_user";
/// A table without a policy shows nothing; but then nobody made it for the wall, and that should be known.
const OPEN: &str = "SELECT DISTINCT n.nspname || '.' || c.relname AS name FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
     WHERE n.nspname IN ('public', 'vault') AND c.relkind IN ('r', 'p') \
     AND a.attname IN ('tenant', 'tenants') AND NOT a.attisdropped \
     AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
         AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'second_wall')) ORDER BY 1";

impl Store {
    /// How the second wall stands; nothing on SQLite, which has none.
    pub async fn second_wall(&self) -> Result<Option<Wall>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        let select = |text| Statement::from_string(DatabaseBackend::Postgres, text);
        let mut open: Vec<String> = Vec::new();
        for row in connection.query_all_raw(select(OPEN)).await? {
            open.push(row.try_get("", "name")?);
        }
        if !open.is_empty() {
            return Ok(Some(Wall::Open(open)));
        }
        // A role that is not there any more is no reason to think well of it.
        let bypassed = match connection.query_one_raw(select(BYPASSED)).await? {
            Some(row) => row.try_get("", "bypassed")?,
            None => true,
        };
        Ok(Some(if bypassed { Wall::Bypassed } else { Wall::Stands }))
    }
}
