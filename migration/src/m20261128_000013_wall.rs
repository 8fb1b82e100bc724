//! The second wall: on PostgreSQL a row is seen and written only by whoever says for which tenant.
//!
//! Every table with a tenant's number, partitions included, gets row-level security that holds for its owner too. The
//! setting `einklang.tenant` says for whom: a tenant's number, or `all` for the ledger, start-up and work over all tenants.
//! Where it is not set nothing is there. A partition that is made later, and any table that a later migration makes, calls
//! `second_wall` itself. The setting is asked once for each statement and not for each row, which is what the subqueries are
//! for. SQLite has no such thing.

use sea_orm_migration::prelude::*;

use super::dialect;

/// This migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[FUNCTION, TABLES, PENDING, VIEW]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[DOWN, VIEW_BEFORE]).await
    }
}

async fn run(manager: &SchemaManager<'_>, texts: &[&str]) -> Result<(), DbErr> {
    if !dialect::is_postgres(manager) {
        return Ok(());
    }
    for text in texts {
        // Not by `dialect::run`, which takes a function's body apart.
        manager.get_connection().execute_unprepared(text).await?;
    }
    Ok(())
}

/// A setting that was local to a transaction is empty afterwards, not absent.
const FUNCTION: &str = "
CREATE FUNCTION second_wall(walled regclass) RETURNS void LANGUAGE plpgsql AS $wall$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', walled);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', walled);
    EXECUTE format(
        'CREATE POLICY second_wall ON %s USING ((SELECT current_setting(''einklang.tenant'', true) = ''all'') '
        'OR tenant = (SELECT NULLIF(NULLIF(current_setting(''einklang.tenant'', true), ''all''), '''')::bigint))', walled);
END $wall$";

const TABLES: &str = "
DO $do$
DECLARE walled regclass;
BEGIN
    FOR walled IN
        SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace IN (to_regnamespace('public'), to_regnamespace('vault')) AND c.relkind IN ('r', 'p')
        AND a.attname = 'tenant' AND NOT a.attisdropped
    LOOP
        PERFORM second_wall(walled);
    END LOOP;
END $do$";

/// A row holds what one transaction had to say, and a batch of the ledger speaks of many tenants. Whoever stands for one
/// tenant writes rows of it alone, and takes none away.
const PENDING: &str = "
ALTER TABLE audit_pending ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_pending FORCE ROW LEVEL SECURITY;
CREATE POLICY second_wall ON audit_pending USING ((SELECT current_setting('einklang.tenant', true) = 'all'));
CREATE POLICY second_wall_seen ON audit_pending FOR SELECT USING (
    (SELECT NULLIF(NULLIF(current_setting('einklang.tenant', true), 'all'), '')::bigint) = ANY (tenants));
CREATE POLICY second_wall_written ON audit_pending FOR INSERT WITH CHECK (
    tenants <@ ARRAY[(SELECT NULLIF(NULLIF(current_setting('einklang.tenant', true), 'all'), '')::bigint)])";

/// What waits is taken apart before it is shown: the rest of such a row is not the tenant's.
const VIEW: &str = "
CREATE OR REPLACE VIEW audit_entry WITH (security_invoker = true, security_barrier = true) AS
    SELECT one.tenant, one.entry_id, one.body, b.hashes FROM (
        SELECT tenant, entry_id, body FROM audit_leaf
        UNION ALL SELECT p.tenant, p.entry_id, p.body
        FROM audit_pending, unnest(tenants, entry_ids, bodies) AS p (tenant, entry_id, body)
        WHERE (SELECT current_setting('einklang.tenant', true) = 'all')
        OR p.tenant = (SELECT NULLIF(NULLIF(current_setting('einklang.tenant', true), 'all'), '')::bigint)) AS one
    LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id";

const DOWN: &str = "
DO $do$
DECLARE one record;
BEGIN
    FOR one IN
        SELECT p.polname AS policy, c.oid::regclass AS walled FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE p.polname LIKE 'second\\_wall%'
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', one.policy, one.walled);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', one.walled);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', one.walled);
    END LOOP;
END $do$;
DROP FUNCTION second_wall(regclass)";

const VIEW_BEFORE: &str = "
DROP VIEW audit_entry;
CREATE VIEW audit_entry AS
    SELECT one.tenant, one.entry_id, one.body, b.hashes FROM (
        SELECT tenant, entry_id, body FROM audit_leaf
        UNION ALL SELECT p.tenant, p.entry_id, p.body
        FROM audit_pending, unnest(tenants, entry_ids, bodies) AS p (tenant, entry_id, body)) AS one
    LEFT JOIN audit_batch AS b ON b.tenant = one.tenant AND b.entry_id = one.entry_id";
