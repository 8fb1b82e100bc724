//! When the ledger cannot be written: clicks become plain redirects and are counted later, postbacks are told to come
//! again, and nothing is acknowledged that is not there.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::Answer;

/// Far beyond what an answer may take while the ledger is shut.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than the writer and its queue hold together.
const CALLERS: usize = 8;
/// At most one is with the writer and one in the queue; whoever comes then is turned away at once.
const HELD: usize = 2;

fn short_queue() -> Setup {
    Setup::default().options(|options| options.queue_capacity = 1.try_into().ok())
}

/// Somebody else who keeps the database's writers waiting.
enum Blocker {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Blocker {
    async fn block(app: &TestApp) -> Self {
        let url = &app.database.url;
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await.expect("connected");
            sqlx::query("BEGIN IMMEDIATE")
                .execute(&mut connection)
                .await
                .expect("begun");
            return Blocker::Sqlite(connection);
        }
        let mut connection = PgConnection::connect(url).await.expect("connected");
        for sql in ["BEGIN", "LOCK TABLE routing IN ACCESS EXCLUSIVE MODE"] {
            sqlx::query(sql).execute(&mut connection).await.expect("locked");
        }
        Blocker::Postgres(connection)
    }

    async fn release(self) {
        match self {
            Blocker::Sqlite(mut connection) => {
                sqlx::query("ROLLBACK")
                    .execute(&mut connection)
                    .await
                    .expect("ended");
            }
            Blocker::Postgres(mut connection) => {
                sqlx::query("ROLLBACK")
                    .execute(&mut connection)
                    .await
                    .expect("ended");
            }
        }
    }
}

/// Sends requests while the database is blocked; returns what was answered meanwhile, and what after the release.
async fn while_blocked<F: Future>(
    app: &TestApp,
    requests: impl Iterator<Item = F>,
) -> (Vec<F::Output>, Vec<F::Output>) {
    let blocker = Blocker::block(app).await;
    let mut running: FuturesUnordered<F> = requests.collect();
    let mut turned_away = Vec::new();
    let meanwhile = async {
        while turned_away.len() < CALLERS - HELD {
            turned_away.push(running.next().await.expect("a request"));
        }
    };
    tokio::time::timeout(PATIENCE, meanwhile)
        .await
        .expect("a full queue refuses at once");
    blocker.release().await;
    let held = tokio::time::timeout(PATIENCE, running.collect())
        .await
        .expect("the ledger goes on");
    (turned_away, held)
}

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.is(503, "refused", "unavailable");
    assert_eq!(answer.json()["retry"], true);
    assert!(
        answer
            .header("retry-after")
            .expect("a header")
            .parse::<u32>()
            .expect("seconds")
            >= 1
    );
}

both!(
    a_full_queue_lets_visitors_through_untracked,
    short_queue(),
    async |app: &TestApp| {
        let clicks = (0..CALLERS).map(|_| app.click("Ab3xK9", "consent=granted"));
        let (plain, held) = while_blocked(app, clicks).await;
        for click in &plain {
            assert_eq!((click.answer.status, click.token.is_none()), (302, true));
            assert_eq!(click.location, "https://shop.example/landing?utm_source=news");
        }
        // Whether the second of these found the queue full as well depends on how soon the writer took the first.
        let tracked = held.iter().filter(|click| click.token.is_some()).count();
        assert!(tracked >= 1, "{held:?}");
        assert_eq!(
            app.ledger.count("click", "1 = 1").await,
            i64::try_from(tracked).expect("few")
        );
        // What was missed is counted with the next thing that is written.
        app.token("Ab3xK9").await;
        let missed = i64::try_from(CALLERS - tracked).expect("few");
        assert_eq!(
            app.ledger.by_name("stat_untracked", "reason", "1 = 1").await,
            [("unavailable".to_owned(), missed)].into()
        );
    }
);

both!(
    a_full_queue_tells_shops_to_come_again,
    short_queue(),
    async |app: &TestApp| {
        let (shop, token) = (app.shop(), app.token("Ab3xK9").await);
        let pairs: Vec<[(&str, String); 3]> = (0..CALLERS)
            .map(|number| {
                [
                    ("token", token.clone()),
                    ("order_id", format!("A-{number}")),
                    ("consent", "granted".to_owned()),
                ]
            })
            .collect();
        let send = async |pairs: &[(&str, String); 3]| {
            let pairs = pairs.each_ref().map(|(name, value)| (*name, value.as_str()));
            shop.postback(&pairs).await
        };
        let (refused, held) = while_blocked(app, pairs.iter().map(&send)).await;
        refused.iter().for_each(unavailable);
        let (recorded, late): (Vec<_>, Vec<_>) = held.iter().partition(|answer| answer.status == 200);
        late.into_iter().for_each(unavailable);
        assert!(!recorded.is_empty());
        assert_eq!(
            app.ledger.count("conversion", "1 = 1").await,
            i64::try_from(recorded.len()).expect("few")
        );
        // The senders come again: whatever was not acknowledged is recorded now, and nothing twice.
        for pairs in &pairs {
            assert_eq!(send(pairs).await.status, 200);
        }
        assert_eq!(app.ledger.count("conversion", "1 = 1").await, 8);
    }
);

both!(a_failing_database_acknowledges_nothing, async |app: &TestApp| {
    let shop = app.shop();
    let kept = app.token("Ab3xK9").await;
    let order = [
        ("token", kept.as_str()),
        ("order_id", "A-1"),
        ("consent", "granted"),
    ];
    app.database
        .execute("ALTER TABLE click RENAME TO click_away")
        .await;
    let click = app.click("Ab3xK9", "consent=granted").await;
    assert_eq!((click.answer.status, click.token.as_deref()), (302, None));
    unavailable(&shop.postback(&order).await);
    unavailable(
        &shop
            .post(
                "/v1/consent-signals",
                &json!({"token": kept, "consent": "denied"}),
            )
            .await,
    );
    let batch = shop
        .post(
            "/v1/conversions/batch",
            &json!({"conversions": [{"token": kept, "consent": "granted"}]}),
        )
        .await;
    assert_eq!(
        (batch.status, &batch.json()["items"][0]["reason"]),
        (200, &json!("unavailable"))
    );
    assert_eq!(batch.json()["items"][0]["retry"], true);
    app.database
        .execute("ALTER TABLE click_away RENAME TO click")
        .await;
    shop.postback(&order).await.is(200, "recorded", "accepted");
    assert_eq!(app.ledger.count("click", "1 = 1").await, 1);
    assert_eq!(app.ledger.count("conversion", "1 = 1").await, 1);
    assert_eq!(
        app.ledger
            .events("stat_untracked", "reason = 'unavailable'")
            .await,
        1
    );
});
