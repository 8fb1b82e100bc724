//! PostgreSQL keeps the salts of a moment's clicks in one row.
//!
//! A row of their own each cost a click more than its ciphers: a tuple, an index entry, and a log record for both. The
//! view of the old name shows one row a salt, and deleting from it takes the salt out of its block. What a node of the
//! version before still inserts there becomes a block of its own. SQLite's table has its rows in the index itself and stays.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;

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
        if dialect::is_postgres(manager) {
            let connection = manager.get_connection();
            for text in [
                EVERY_TENANT,
                NOBODY_WRITES,
                BLOCKS,
                MONTHS_OF_BLOCKS,
                INTO_BLOCKS,
                VIEW,
                OLDER_NODES,
            ] {
                connection.execute_unprepared(text).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if dialect::is_postgres(manager) {
            let connection = manager.get_connection();
            for text in [EVERY_TENANT, ROWS, MONTHS_OF_ROWS, INTO_ROWS] {
                connection.execute_unprepared(text).await?;
            }
        }
        Ok(())
    }
}

/// The second wall stands already; what is copied is every tenant's.
const EVERY_TENANT: &str = "SELECT set_config('einklang.tenant', 'all', true)";

/// A salt that came between the copy and the end of the table would be gone: nodes of the version before wait for both.
const NOBODY_WRITES: &str = "LOCK TABLE vault.click_salt IN SHARE ROW EXCLUSIVE MODE";

/// A block's id is random: the id of a click would outlive its erasure there.
const BLOCKS: &str = "
CREATE TABLE vault.salt_block (
    tenant BIGINT NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    block_id UUID NOT NULL DEFAULT gen_random_uuid(),
    clicks UUID[] NOT NULL,
    salts BYTEA[] NOT NULL,
    PRIMARY KEY (tenant, issued_at_ticks, block_id)
) PARTITION BY RANGE (issued_at_ticks);
CREATE TABLE vault.salt_block_default PARTITION OF vault.salt_block DEFAULT;
SELECT second_wall('vault.salt_block'), second_wall('vault.salt_block_default')
";

const MONTHS_OF_BLOCKS: &str = "
DO $$
DECLARE part RECORD;
BEGIN
    FOR part IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'vault.click_salt'::regclass AND c.relname LIKE 'click\\_salt\\_m%'
    LOOP
        EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.salt_block %s',
            replace(part.relname, 'click_salt', 'salt_block'), part.bound);
        PERFORM second_wall(format('vault.%I', replace(part.relname, 'click_salt', 'salt_block'))::regclass);
    END LOOP;
END $$
";

/// At most 48 salts a block: with more, PostgreSQL would move the arrays to a table of their own.
const INTO_BLOCKS: &str = "
INSERT INTO vault.salt_block (tenant, issued_at_ticks, clicks, salts)
SELECT tenant, issued_at_ticks, array_agg(click_id), array_agg(salt) FROM (
    SELECT tenant, issued_at_ticks, click_id, salt,
        (row_number() OVER (PARTITION BY tenant, issued_at_ticks ORDER BY click_id) - 1) / 48 AS chunk
    FROM vault.click_salt) AS s
GROUP BY tenant, issued_at_ticks, chunk;
DROP TABLE vault.click_salt
";

const VIEW: &str = "
CREATE VIEW vault.click_salt WITH (security_invoker = true) AS
SELECT b.tenant, b.issued_at_ticks, k.click_id, k.salt
FROM vault.salt_block AS b CROSS JOIN LATERAL UNNEST(b.clicks, b.salts) AS k (click_id, salt);
CREATE FUNCTION vault.remove_salt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE vault.salt_block AS b SET (clicks, salts) = (
        SELECT COALESCE(array_agg(k.click_id), '{}'), COALESCE(array_agg(k.salt), '{}')
        FROM UNNEST(b.clicks, b.salts) AS k (click_id, salt) WHERE k.click_id <> OLD.click_id)
    WHERE b.tenant = OLD.tenant AND b.issued_at_ticks = OLD.issued_at_ticks AND OLD.click_id = ANY (b.clicks);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM vault.salt_block AS b
    WHERE b.tenant = OLD.tenant AND b.issued_at_ticks = OLD.issued_at_ticks AND cardinality(b.clicks) = 0;
    RETURN OLD;
END $$;
CREATE TRIGGER remove_salt INSTEAD OF DELETE ON vault.click_salt
FOR EACH ROW EXECUTE FUNCTION vault.remove_salt()
";

const OLDER_NODES: &str = "
CREATE FUNCTION vault.add_salt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO vault.salt_block (tenant, issued_at_ticks, clicks, salts)
    VALUES (NEW.tenant, NEW.issued_at_ticks, ARRAY[NEW.click_id], ARRAY[NEW.salt]);
    RETURN NEW;
END $$;
CREATE TRIGGER add_salt INSTEAD OF INSERT ON vault.click_salt
FOR EACH ROW EXECUTE FUNCTION vault.add_salt()
";

const ROWS: &str = "
DROP VIEW vault.click_salt;
DROP FUNCTION vault.remove_salt();
DROP FUNCTION IF EXISTS vault.add_salt();
CREATE TABLE vault.click_salt (
    tenant BIGINT NOT NULL,
    issued_at_ticks BIGINT NOT NULL,
    click_id UUID NOT NULL,
    salt BYTEA NOT NULL,
    PRIMARY KEY (tenant, issued_at_ticks, click_id)
) PARTITION BY RANGE (issued_at_ticks);
CREATE TABLE vault.click_salt_default PARTITION OF vault.click_salt DEFAULT;
SELECT second_wall('vault.click_salt'), second_wall('vault.click_salt_default')
";

const MONTHS_OF_ROWS: &str = "
DO $$
DECLARE part RECORD;
BEGIN
    FOR part IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'vault.salt_block'::regclass AND c.relname LIKE 'salt\\_block\\_m%'
    LOOP
        EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.click_salt %s',
            replace(part.relname, 'salt_block', 'click_salt'), part.bound);
        PERFORM second_wall(format('vault.%I', replace(part.relname, 'salt_block', 'click_salt'))::regclass);
    END LOOP;
END $$
";

const INTO_ROWS: &str = "
INSERT INTO vault.click_salt
SELECT b.tenant, b.issued_at_ticks, k.click_id, k.salt
FROM vault.salt_block AS b CROSS JOIN LATERAL UNNEST(b.clicks, b.salts) AS k (click_id, salt);
DROP TABLE vault.salt_block
";
