//! Two tenants with the same numbers, their counters, and a server's flow and routes over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::body::Body;
use einklang::domain::access::{Bearer, Principal, Role};
use einklang::domain::event::{Actor, AuditEvent};
use einklang::domain::ids::{RequestId, time_ordered};
use einklang::domain::keys::{Secret, epoch_of};
use einklang::domain::policy::Policy;
use einklang::domain::registry::Registries;
use einklang::domain::scope::TenantScope;
use einklang::edge::problem::Problem;
use einklang::edge::report::routes;
use einklang::edge::request::Named;
use einklang::flow::report::{Question, ReportFlow};
use einklang::flow::{Clock, Entropy, Live};
use einklang::store::Store;
use einklang::store::batch::counters::Counters;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

pub const TENANT: i64 = 1;
pub const OTHER_TENANT: i64 = 2;
/// 2026-11-24, noon in Berlin.
pub const NOW: &str = "2026-11-24T12:00:00+01:00";

struct Stopped(i64);

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

/// Every call gives other bytes, the same ones in every run.
struct Counted(AtomicU8);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

pub struct World {
    pub flow: ReportFlow,
    store: Store,
    _folder: TempDir,
}

pub fn ms(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time)
        .expect("a time of the test")
        .timestamp_millis()
}

pub fn quarter(time: &str) -> i64 {
    ms(time) / 900_000
}

/// The id of a tenant's object.
pub fn id(tenant: i64, kind: u8, number: i64) -> Uuid {
    let (tenant, number) = (
        u8::try_from(tenant).expect("small"),
        u8::try_from(number).expect("small"),
    );
    time_ordered(ms(NOW), [tenant, kind, number, 0, 0, 0, 0, 0, 0, 0])
}

pub const CAMPAIGN: u8 = 1;
pub const PUBLISHER: u8 = 2;
pub const LINK: u8 = 3;
pub const GOAL: u8 = 4;

impl World {
    pub async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let store = Store::connect(&url).await.expect("a database");
        store.migrate(ms(NOW) / 1_000).await.expect("a schema");
        let rows = sea_orm::Database::connect(&url).await.expect("a connection");
        let root = Secret::new([7; 32]);
        for (tenant, slug) in [(TENANT, "acme"), (OTHER_TENANT, "rival")] {
            insert_objects(&rows, tenant, slug).await;
            let seed = AtomicU8::new(u8::try_from(tenant).expect("small") * 64);
            let random = |bytes: &mut [u8]| bytes.fill(seed.fetch_add(1, Ordering::Relaxed));
            let tx = store.begin(TenantScope::Server).await.expect("a transaction");
            tx.make_keys(tenant, &root, epoch_of(ms(NOW) / 1_000), ms(NOW), &random)
                .await
                .expect("keys");
            let event = AuditEvent::new(tenant, "tenant.created", &Actor::CommandLine, "created", &[0; 16]);
            tx.commit_with(&event.into()).await.expect("a commit");
        }
        rows.close().await.expect("closed");
        let clock = Arc::new(Stopped(ms(NOW)));
        let live = Live::start(
            store.clone(),
            root,
            clock,
            Arc::new(Counted(AtomicU8::new(0))),
            Registries::default(),
        )
        .await
        .expect("routing data");
        Self {
            flow: ReportFlow::new(live),
            store,
            _folder: folder,
        }
    }

    pub async fn count(&self, lane: i64, counters: Counters) {
        let mut batch = self.store.begin_batch(0, None).await.expect("a batch");
        batch.add_counters(&counters, lane).expect("counted");
        batch.commit_untracked_counts().await.expect("a commit");
    }

    /// Asks over HTTP, past the gate: status, headers, body, and the problem if it is one.
    pub async fn get(&self, principal: Principal, path: &str) -> Answer {
        let (router, _) = routes().split_for_parts();
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(Named(RequestId(Uuid::nil())));
        let router = router.with_state(self.flow.clone());
        let response = router.oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            problem: parts.extensions.get::<Problem>().cloned(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("UTF-8"),
        }
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub problem: Option<Problem>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.problem);
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The parameter that the problem names.
    pub fn parameter(&self) -> Option<&str> {
        assert_eq!(self.status, StatusCode::BAD_REQUEST);
        self.problem.as_ref()?.parameter.as_deref()
    }
}

pub fn manager() -> Principal {
    Principal {
        tenant: TENANT,
        role: Role::Manager,
        bearer: Bearer::Key(1),
        shop: None,
        publisher: None,
    }
}

pub fn shop(number: i64) -> Principal {
    Principal {
        role: Role::Shop,
        shop: Some(number),
        ..manager()
    }
}

pub fn publisher(number: i64) -> Principal {
    Principal {
        role: Role::Publisher,
        publisher: Some(number),
        ..manager()
    }
}

pub fn question(group_by: &[einklang::domain::report::Dimension]) -> Question {
    Question {
        group_by: group_by.to_vec(),
        ..Question::default()
    }
}

/// A counter of clicks: (quarter-hour, campaign, publisher, link) of the first tenant.
pub fn clicks(at: &str, of: [i64; 3], events: i64) -> Counters {
    traffic(TENANT, at, of, 0, "", "click", (events, 0))
}

/// A counter of conversions in euros.
pub fn conversions(at: &str, of: [i64; 3], goal: i64, outcome: &'static str, sums: (i64, i64)) -> Counters {
    traffic(TENANT, at, of, goal, "EUR", outcome, sums)
}

pub fn traffic(
    tenant: i64,
    at: &str,
    [campaign, publisher, link]: [i64; 3],
    goal: i64,
    currency: &'static str,
    outcome: &'static str,
    sums: (i64, i64),
) -> Counters {
    // A campaign's shop has the campaign's number.
    let key = (
        tenant,
        quarter(at),
        campaign,
        campaign,
        publisher,
        link,
        goal,
        currency,
        outcome,
    );
    Counters {
        hours: BTreeMap::from([(key, sums)]),
        ..Counters::default()
    }
}

async fn insert_policy(rows: &DatabaseConnection, tenant: i64, at: i64) {
    let policy = entity::policy::Model {
        tenant,
        policy: 1,
        id: id(tenant, 9, 1),
        version: Some(1),
        document: serde_json::to_string(&Policy::default()).expect("a policy"),
        author: "test".to_owned(),
        author_account: None,
        reason: None,
        replaces: None,
        approval: None,
        requested_from_ms: Some(at),
        effective_from_ms: Some(at),
        rejected: false,
        created_at_ms: at,
        updated_at_ms: at,
        archived_at_ms: None,
    };
    entity::policy::Entity::insert(policy.into_active_model())
        .exec_without_returning(rows)
        .await
        .expect("a row");
}

async fn insert_objects(rows: &DatabaseConnection, tenant: i64, slug: &str) {
    let at = ms(NOW);
    let (created_at_ms, updated_at_ms, archived_at_ms) = (at, at, None);
    macro_rules! insert {
        ($table:ident { $($field:tt)* }) => {
            entity::$table::Entity::insert(
                entity::$table::Model { tenant, created_at_ms, $($field)* }.into_active_model(),
            )
            .exec_without_returning(rows)
            .await
            .expect("a row")
        };
    }
    insert!(tenant {
        id: id(tenant, 0, 0),
        slug: slug.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        controller: None,
        four_eyes: false,
        updated_at_ms,
        archived_at_ms
    });
    insert_policy(rows, tenant, at).await;
    for (number, name) in [(1, "autumn"), (2, "winter")] {
        insert!(shop {
            shop: number,
            id: id(tenant, 5, number),
            slug: format!("shop-{number}"),
            reference: format!("shp_{tenant}_{number}"),
            landing_hosts: "[]".to_owned(),
            token_parameter: "s2s".to_owned(),
            currency: "EUR".to_owned(),
            currencies: "[\"EUR\"]".to_owned(),
            refusal: None,
            auth: "bearer".to_owned(),
            ip_allow: "[]".to_owned(),
            updated_at_ms,
            archived_at_ms
        });
        insert!(campaign {
            campaign: number,
            id: id(tenant, CAMPAIGN, number),
            slug: name.to_owned(),
            shop: number,
            landing_url: "https://shop.example/".to_owned(),
            window_days: 30,
            deep_links: false,
            fallback_url: None,
            starts_at_ms: None,
            ends_at_ms: None,
            paused: false,
            updated_at_ms,
            archived_at_ms
        });
    }
    for (number, name) in [(1, "news"), (2, "blog")] {
        insert!(publisher {
            publisher: number,
            id: id(tenant, PUBLISHER, number),
            slug: name.to_owned(),
            explicit_consent: None,
            updated_at_ms,
            archived_at_ms
        });
    }
    for (number, campaign, name) in [(1, 1, "order"), (2, 1, "newsletter"), (3, 2, "order")] {
        insert!(goal {
            goal: number,
            id: id(tenant, GOAL, number),
            campaign,
            slug: name.to_owned(),
            updated_at_ms,
            archived_at_ms
        });
    }
    for (number, campaign, publisher) in [(1, 1, 1), (2, 1, 2), (3, 2, 1)] {
        insert!(link {
            link: number,
            id: id(tenant, LINK, number),
            slug: format!("Ab3x{tenant}{number}"),
            campaign,
            publisher,
            subs: "[]".to_owned(),
            updated_at_ms,
            archived_at_ms
        });
    }
}
