//! The second wall on PostgreSQL: what a statement's own tenant filter lets through, row-level security does not.
//!
//! The tests' role is an ordinary one that owns the database, so every other test here runs behind the wall too. A build in
//! which a filter is really missing is tested by `tests/second_wall.rs`.

use einklang::domain::campaign::Shop;
use einklang::domain::scope::TenantScope;
use einklang::store::Store;
use einklang::store::wall::Wall;
use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::harness::app::{Setup, TestApp};
use crate::harness::database::as_superuser;
use crate::harness::{Kind, run};

/// The relations that are a tenant's, whatever makes them: with a column of that name.
const TENANTS: &str = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_attribute a ON a.attrelid = c.oid WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
     AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attname = 'tenant' ORDER BY 1";

/// A connection that stands for nobody yet.
async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let options = options.options([("search_path", "public,vault")]);
    options
        .disable_statement_logging()
        .connect()
        .await
        .expect("connected")
}

async fn begin_for(connection: &mut PgConnection, scope: &str) {
    let text = format!("BEGIN; SET LOCAL einklang.tenant = '{scope}'");
    connection.execute(AssertSqlSafe(text)).await.expect("begun");
}

async fn rows(connection: &mut PgConnection, table: &str, condition: &str) -> i64 {
    let text = format!("SELECT COUNT(*) FROM {table} WHERE {condition}");
    let count = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection);
    count.await.expect("a number")
}

/// The code with which a statement is refused, and the transaction's end.
async fn refused(connection: &mut PgConnection, scope: &str, text: &str) -> String {
    begin_for(connection, scope).await;
    let error = connection.execute(AssertSqlSafe(text.to_owned())).await;
    connection.execute("ROLLBACK").await.expect("ended");
    let error = error.expect_err("it was written");
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.expect("a code").into_owned()
}

/// Traffic of both tenants, so that there is something to see in the ledger and the logs.
async fn traffic(app: &TestApp) {
    for (link, shop) in [("Ab3xK9", app.shop()), ("Globex", app.foreign_shop())] {
        let token = app.token(link).await;
        let pairs = [
            ("token", token.as_str()),
            ("order_id", "order-1"),
            ("amount", "1.00"),
            ("consent", "granted"),
        ];
        shop.postback(&pairs).await.is(200, "recorded", "accepted");
    }
    app.keep_logs().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_tenants_is_behind_it() {
    run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        let open = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind IN ('r', 'p', 'm') \
             AND a.attname IN ('tenant', 'tenants') AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
                 AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'second_wall'))";
        assert_eq!(app.ledger.texts(open).await, Vec::<String>::new());
        let walled = "relforcerowsecurity AND relname";
        assert_eq!(app.ledger.count("pg_class", &format!("{walled} = 'tenant'")).await, 1);
        // The months' partitions and those for what is left over.
        let parts = format!("{walled} ~ '^(click|salt_block|consent_record|conversion)_(m[0-9]+|default)$'");
        assert_eq!(app.ledger.count("pg_class", &parts).await, 4 * 6);
        let views = "relkind = 'v' AND relname IN ('audit_entry', 'click_salt') \
             AND reloptions @> '{security_invoker=true}'";
        assert_eq!(app.ledger.count("pg_class", views).await, 2);

        let store = Store::connect(&app.database.url).await.expect("opened");
        assert_eq!(store.second_wall().await.expect("looked"), Some(Wall::Stands));
        app.database.execute("ALTER TABLE shop NO FORCE ROW LEVEL SECURITY").await;
        let open = Wall::Open(vec!["public.shop".to_owned()]);
        assert_eq!(store.second_wall().await.expect("looked"), Some(open));
        app.database.execute("ALTER TABLE shop FORCE ROW LEVEL SECURITY").await;
        store.close().await;
        let store = Store::connect(&as_superuser(&app.database.url)).await.expect("opened");
        assert_eq!(store.second_wall().await.expect("looked"), Some(Wall::Bypassed));
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_filter_there_is_nothing_of_others() {
    run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        traffic(app).await;
        let acme = app.ledger.tenant("acme").await;
        let foreign = format!("tenant IS DISTINCT FROM {acme}");
        let mut hands = connect(&app.database.url).await;
        let (mut shown, mut hidden) = (0, 0);
        for table in app.ledger.texts(TENANTS).await {
            let there = app.ledger.count(&table, &foreign).await;
            begin_for(&mut hands, &acme.to_string()).await;
            assert_eq!(rows(&mut hands, &table, &foreign).await, 0, "{table}");
            let own = rows(&mut hands, &table, "TRUE").await;
            hands.execute("ROLLBACK").await.expect("ended");
            assert_eq!(
                own,
                app.ledger.count(&table, &format!("tenant = {acme}")).await,
                "{table}"
            );
            // The setting ended with its transaction, and is empty now; whoever says nothing sees nothing.
            assert_eq!(rows(&mut hands, &table, "TRUE").await, 0, "{table}");
            shown += own;
            hidden += there;
        }
        assert!(shown > 50 && hidden > 50, "{shown} and {hidden}");
        let superuser = &mut connect(&as_superuser(&app.database.url)).await;
        begin_for(superuser, &acme.to_string()).await;
        assert!(
            rows(superuser, "shop", &foreign).await > 0,
            "the wall holds for everybody, so this shows nothing"
        );
        println!("{shown} rows of the tenant's, {hidden} rows of others that were not there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_for_others() {
    run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        app.keep_logs().await;
        let (acme, globex) = (app.ledger.tenant("acme").await, app.ledger.tenant("globex").await);
        let mut hands = connect(&app.database.url).await;
        let rule = format!("INSERT INTO retention_rule VALUES ({globex}, 'clicks', 30, NULL, 'me', 0)");
        let moved = format!("UPDATE shop SET tenant = {globex}");
        let entry = format!(
            "INSERT INTO audit_pending (tenants, entry_ids, bodies) \
             VALUES (ARRAY[{acme}, {globex}], ARRAY[gen_random_uuid(), gen_random_uuid()], ARRAY[''::bytea, ''::bytea])"
        );
        for text in [&rule, &moved, &entry] {
            for scope in [acme.to_string(), String::new()] {
                let nobody_moves = scope.is_empty() && text == &moved;
                if !nobody_moves {
                    assert_eq!(refused(&mut hands, &scope, text).await, "42501", "{text}");
                }
            }
        }
        // What is not there is neither changed nor deleted.
        let before = app.ledger.totals().await;
        begin_for(&mut hands, &acme.to_string()).await;
        for text in [
            format!("UPDATE shop SET slug = slug WHERE tenant = {globex}"),
            format!("DELETE FROM wrapped_key WHERE tenant = {globex}"),
            "DELETE FROM audit_pending".to_owned(),
        ] {
            let done = hands.execute(AssertSqlSafe(text.clone())).await.expect("done");
            assert_eq!(done.rows_affected(), 0, "{text}");
        }
        hands.execute("COMMIT").await.expect("committed");
        assert_eq!(app.ledger.totals().await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_names_another_tenant_finds_nothing() {
    run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        let (acme, globex) = (app.ledger.tenant("acme").await, app.ledger.tenant("globex").await);
        let store = &Store::connect(&app.database.url).await.expect("opened");
        let shops = async |scope: i64, of: i64| -> usize {
            let reader = store.reader(TenantScope::Only(scope));
            reader.page::<Shop>(of, 0, 100).await.expect("read").len()
        };
        let (ours, theirs) = (shops(acme, acme).await, shops(globex, globex).await);
        assert!(ours > 0 && theirs > 0 && ours != theirs, "{ours} and {theirs}");
        assert_eq!(shops(acme, globex).await, 0);
        assert_eq!(shops(0, acme).await, 0, "what is the server's is no tenant's");
        // More calls at once than there are connections: none stands for whoever had it before.
        let calls = (0..200).map(|call| {
            let (scope, of) = [(acme, acme), (globex, globex), (acme, globex), (globex, acme)][call % 4];
            async move { (call, shops(scope, of).await) }
        });
        for (call, found) in join_all(calls).await {
            assert_eq!(found, [ours, theirs, 0, 0][call % 4]);
        }
        let tx = store.begin(TenantScope::Only(acme)).await.expect("begun");
        assert!(tx.numbered::<Shop>(globex, 1).await.expect("looked").is_none());
        assert!(tx.numbered::<Shop>(acme, 1).await.expect("looked").is_some());
        drop(tx);
        store.close().await;
    })
    .await;
}

/// How a statement of the ledger finds its rows: the plan's steps and what their indexes are asked for.
async fn plan(url: &str, text: &str) -> (Vec<String>, bool) {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let settings = [
        ("search_path", "public,vault"),
        ("einklang.tenant", "all"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ];
    let options = options.options(settings).disable_statement_logging();
    let mut hands = options.connect().await.expect("connected");
    let text = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {text}"));
    let lines: Vec<String> = sqlx::query_scalar(text)
        .fetch_all(&mut hands)
        .await
        .expect("a plan");
    let is_walled = lines.iter().any(|line| line.contains("InitPlan"));
    let steps = lines.iter().filter(|line| {
        line.contains("Scan using") || line.contains("Index Cond") || line.contains("Seq Scan")
    });
    (steps.map(|line| line.trim().to_owned()).collect(), is_walled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_finds_rows_by_the_same_indexes() {
    run(Kind::Postgres, Setup::default(), async |app: &TestApp| {
        let keys = "UNNEST(ARRAY[1::bigint], ARRAY[2::bigint], ARRAY[gen_random_uuid()]) AS k (t, i, c)";
        for (table, key) in [
            (
                "click",
                "v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
            ),
            (
                "click_salt",
                "v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
            ),
            (
                "conversion",
                "v.tenant = k.t AND v.recorded_at_s = k.i AND v.conversion_id = k.c",
            ),
            (
                "conversion",
                "v.tenant = k.t AND v.issued_at_ticks = k.i AND v.click_id = k.c",
            ),
        ] {
            let text = format!("SELECT v.* FROM {keys} JOIN {table} AS v ON {key}");
            let (behind, is_walled) = plan(&app.database.url, &text).await;
            let (without, is_open) = plan(&as_superuser(&app.database.url), &text).await;
            assert!(
                is_walled && !is_open,
                "the setting is asked once for each statement: {behind:?}"
            );
            assert!(!behind.is_empty());
            assert_eq!(behind, without, "{table}");
        }
    })
    .await;
}
