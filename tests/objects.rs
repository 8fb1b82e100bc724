//! Managing objects against a real database: what a file asks for is there, once, and can be used.

#![expect(
    clippy::expect_used,
    reason = "a test whose setting cannot be made has failed"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use einklang::domain::access::Role;
use einklang::domain::campaign::{ApiKey, Campaign, Link, Publisher, Shop, Tenant, User};
use einklang::domain::draft::{CampaignDraft, Name, PublisherDraft};
use einklang::domain::event::Actor;
use einklang::domain::keys::{Secret, epoch_of, sha256};
use einklang::domain::provision::{Provision, parse};
use einklang::domain::registry::Registries;
use einklang::flow::objects::{Caller, Effect, Managed, ObjectsFlow, PasswordEdit};
use einklang::flow::provision::{Applied, ProvisionFlow};
use einklang::flow::{Clock, Entropy, FlowError, Live};
use einklang::store::Store;
use zeroize::Zeroizing;

const FILE: &str = r#"
[[tenant]]
slug = "acme"
policy = "strict_opt_in"
refusal = "refuse"
tcf_vendor_id = 755
require = ["measure", "access"]
time_zone = "Europe/Berlin"
untracked_counts = "campaign"
  [tenant.controller]
  name = "Acme Versicherung AG"
  contact = "datenschutz@acme.example"
  jurisdiction = "DE"
  notice_url = "https://acme.example/datenschutz"
  [[tenant.shop]]
  slug = "main"
  landing_hosts = ["shop.example"]
  token_parameter = "s2s"
  currency = "EUR"
  reference = "shp_Q7mZ2kT9xWbL4nRc"
  refusal = "drop"
  api_key = "ek_test_shop_0123456789abcdef"
  auth = "hmac"
  hmac_secrets = ["first-secret-0123456789abc"]
  ip_allow = ["192.0.2.0/24"]
  [[tenant.shop]]
  slug = "second"
  landing_hosts = ["localhost"]
  currency = "CHF"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-03"
  [[tenant.campaign]]
  slug = "autumn"
  shop = "main"
  landing_url = "https://shop.example/landing?utm_source={publisher}"
  window_days = 30
  goals = ["order", "newsletter"]
  deep_links = false
  fallback_url = "https://shop.example/"
  starts_at = 2026-10-01T00:00:00+02:00
  [[tenant.link]]
  slug = "Ab3xK9"
  campaign = "autumn"
  publisher = "news"
  sub1 = "spring"
  [[tenant.user]]
  name = "auditor"
  role = "auditor"
  api_key = "ek_test_auditor_0123456789ab"
  [[tenant.user]]
  name = "desk"
  role = "shop"
  shop = "main"
  [[tenant.user]]
  name = "boss"
  role = "manager"
  password = "correct horse battery"
"#;

struct At(AtomicI64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Different bytes at every call, the same in every run.
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let next = self.0.fetch_add(1, Ordering::SeqCst);
            let block = sha256(&next.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

struct World {
    live: Arc<Live>,
    store: Store,
    objects: ObjectsFlow,
    _folder: tempfile::TempDir,
}

const NOW_MS: i64 = 1_795_000_000_000;

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("objects.db").display());
        let store = Store::connect(&url).await.expect("opened");
        store.migrate(NOW_MS / 1_000).await.expect("migrated");
        let clock = Arc::new(At(AtomicI64::new(NOW_MS)));
        let entropy = Arc::new(Counted(AtomicU64::new(1)));
        let live = Live::start(
            store.clone(),
            Secret::new([7; 32]),
            clock,
            entropy,
            Registries::default(),
        )
        .await
        .expect("started");
        Self {
            objects: ObjectsFlow::new(Arc::clone(&live)),
            live,
            store,
            _folder: folder,
        }
    }

    async fn apply(&self, text: &str) -> Vec<Applied> {
        let provision: Provision = parse(text).expect("parsed");
        let flow = ProvisionFlow::new(Arc::clone(&self.live));
        flow.apply(&provision).await.expect("applied")
    }

    async fn refused(&self, text: &str) -> String {
        let provision = parse(text).expect("parsed");
        let flow = ProvisionFlow::new(Arc::clone(&self.live));
        flow.apply(&provision).await.expect_err("refused").to_string()
    }

    async fn named<T: Managed>(&self, number: usize) -> T {
        let all: Vec<T> = self.objects.list(&manager(), 0, 100).await.expect("listed");
        all.into_iter().nth(number - 1).expect("there")
    }
}

fn manager() -> Caller {
    Caller {
        scope: 1,
        actor: Actor::Key(1),
        request: None,
    }
}

fn effects(applied: &[Applied]) -> Vec<Effect> {
    applied.iter().map(|object| object.effect).collect()
}

#[tokio::test]
async fn a_file_is_applied_once_and_changes_nothing_the_second_time() {
    let world = World::new().await;
    let first = world.apply(FILE).await;
    assert!(
        effects(&first).iter().all(|effect| *effect == Effect::Created),
        "{first:?}"
    );
    let made: Vec<(&str, &str)> = first
        .iter()
        .filter_map(|object| Some((object.name.as_str(), object.made.as_ref()?.0)))
        .collect();
    let expected = [
        ("tenant acme, shop second", "reference"),
        ("tenant acme, shop second", "api_key"),
        ("tenant acme, user desk", "api_key"),
    ];
    assert_eq!(made, expected);
    let version = world.live.routing().version;
    let second = world.apply(FILE).await;
    let keys_made = 2;
    assert_eq!(second.len(), first.len() - keys_made);
    assert!(
        effects(&second).iter().all(|effect| *effect == Effect::Unchanged),
        "{second:?}"
    );
    assert!(second.iter().all(|object| object.made.is_none()));
    assert_eq!(world.store.routing_version().await.expect("read"), version);
}

#[tokio::test]
async fn what_was_applied_routes_and_signs_in() {
    let world = World::new().await;
    let applied = world.apply(FILE).await;
    let routing = world.live.routing();
    let link = routing.links.get("Ab3xK9").expect("the link");
    assert!(!link.stopped && link.contract);
    assert_eq!(link.subs, [(1, "spring".to_owned())]);
    assert_eq!(link.campaign.goals.len(), 2);
    assert_eq!(link.campaign.starts_at_ms, Some(1_790_805_600_000));
    assert_eq!(
        link.shop.secrets[0].as_slice(),
        b"first-secret-0123456789abc".as_slice()
    );
    assert_eq!(link.tenant.policy_at(world.live.now_ms()).version, 1);
    let month = epoch_of(NOW_MS / 1_000);
    assert!(link.tenant.keys.has_epoch(month) && link.tenant.keys.has_epoch(month + 1));
    let principal = |key: &str| routing.api_keys.get(&sha256(key.as_bytes())).cloned();
    let shop = principal("ek_test_shop_0123456789abcdef").expect("signs in");
    assert_eq!((shop.role, shop.tenant, shop.shop), (Role::Shop, 1, Some(1)));
    let desk = applied
        .iter()
        .filter(|object| object.name == "tenant acme, user desk")
        .find_map(|object| object.made.as_ref())
        .expect("a key was made");
    assert!(desk.1.starts_with("ek_live_"));
    assert_eq!(principal(&desk.1).map(|desk| desk.shop), Some(Some(1)));
}

#[tokio::test]
async fn a_changed_file_changes_what_differs_and_versions_the_policy() {
    let world = World::new().await;
    world.apply(FILE).await;
    let changed = FILE
        .replace(
            "\"strict_opt_in\"",
            "\"opt_out\"\npolicy_reason = \"visitors in the US only\"",
        )
        .replace("window_days = 30", "window_days = 60")
        .replace(
            "hmac_secrets = [",
            "hmac_secrets = [\"next-secret-0123456789abcd\", ",
        );
    let applied = world.apply(&changed).await;
    let different: Vec<&str> = applied
        .iter()
        .filter(|object| object.effect == Effect::Changed)
        .map(|object| object.kind)
        .collect();
    assert_eq!(different, ["tenant", "shop", "campaign"]);
    let routing = world.live.routing();
    let link = routing.links.get("Ab3xK9").expect("the link");
    assert_eq!(link.tenant.policy_at(world.live.now_ms()).version, 2);
    assert_eq!(link.campaign.window_seconds, 60 * 86_400);
    assert_eq!(link.shop.secrets.len(), 2);
}

#[tokio::test]
async fn a_file_with_a_fault_changes_nothing() {
    let world = World::new().await;
    let version = world.live.routing().version;
    let broken = FILE.replace(
        "https://shop.example/landing",
        "https://elsewhere.example/landing",
    );
    let line = |header: &str| {
        1 + FILE
            .lines()
            .position(|line| line.trim() == header)
            .expect("there")
    };
    let expected = format!(
        "line {}: tenant acme, campaign autumn: landing_url must lead to one of the shop's landing hosts",
        line("[[tenant.campaign]]")
    );
    assert_eq!(world.refused(&broken).await, expected);
    let broken = FILE.replace("publisher = \"news\"", "publisher = \"nobody\"");
    let message = world.refused(&broken).await;
    let expected = format!(
        "line {}: tenant acme, link Ab3xK9: publisher names",
        line("[[tenant.link]]")
    );
    assert!(message.starts_with(&expected), "{message}");
    assert!(world.live.routing().tenants.is_empty());
    assert_eq!(world.store.routing_version().await.expect("read"), version);
}

#[tokio::test]
async fn names_are_unique_and_other_tenants_objects_do_not_exist() {
    let world = World::new().await;
    world.apply(FILE).await;
    world.apply("[[tenant]]\nslug = \"other\"\n").await;
    let other = Caller {
        scope: 2,
        ..manager()
    };
    let publisher: Publisher = world.named(1).await;
    let id = publisher.object.id;
    let found = world.objects.read::<Publisher>(&other, id).await;
    assert!(matches!(found, Err(FlowError::Refused(_))));
    let archived = world.objects.archive::<Publisher>(&other, id).await;
    assert!(matches!(archived, Err(FlowError::Refused(_))));
    let draft = || PublisherDraft {
        slug: "news".to_owned(),
        explicit_consent: None,
    };
    let twice = world.objects.create::<Publisher>(&manager(), draft()).await;
    assert!(matches!(twice, Err(FlowError::Taken("slug"))));
    world
        .objects
        .create::<Publisher>(&other, draft())
        .await
        .expect("free there");
    let campaign: Campaign = world.named(1).await;
    let foreign = CampaignDraft {
        slug: "theirs".to_owned(),
        ..campaign.draft()
    };
    let foreign = world.objects.create::<Campaign>(&other, foreign).await;
    assert!(matches!(foreign, Err(FlowError::Missing("shop"))));
    let tenants: Vec<Tenant> = world.objects.list(&other, 0, 100).await.expect("listed");
    assert_eq!(tenants.len(), 1);
    let all: Vec<Tenant> = world
        .objects
        .list(&Caller::command_line(), 0, 100)
        .await
        .expect("listed");
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn what_is_archived_stays_readable_and_does_nothing_more() {
    let world = World::new().await;
    world.apply(FILE).await;
    let user: User = world.named(2).await;
    let link: Link = world.named(1).await;
    for _ in 0..2 {
        let archived: User = world
            .objects
            .archive(&manager(), user.object.id)
            .await
            .expect("archived");
        assert_eq!(archived.object.archived_at_ms, Some(NOW_MS));
    }
    let keys: Vec<ApiKey> = world.objects.list(&manager(), 0, 100).await.expect("listed");
    let desk = keys
        .iter()
        .find(|key| key.user.is_some_and(|owner| owner.id == user.object.id));
    let desk = desk.expect("the user's key");
    assert!(desk.object.archived_at_ms.is_some());
    assert!(!world.live.routing().api_keys.contains_key(&desk.hash));
    world
        .objects
        .archive::<Link>(&manager(), link.object.id)
        .await
        .expect("archived");
    assert!(world.live.routing().links["Ab3xK9"].stopped);
    let change = |draft: &mut _| {
        let _: &mut einklang::domain::draft::LinkDraft = draft;
    };
    let changed = world
        .objects
        .change::<Link>(&manager(), link.object.id, change)
        .await;
    assert!(matches!(changed, Err(FlowError::Clash("archived_at", _))));
    let message = world.refused(FILE).await;
    assert!(
        message.contains("an archived object does not change"),
        "{message}"
    );
}

#[tokio::test]
async fn a_users_keys_follow_the_users_rights() {
    let world = World::new().await;
    world.apply(FILE).await;
    let auditor: User = world.named(1).await;
    let publisher: Publisher = world.named(1).await;
    let edit = |draft: &mut einklang::domain::draft::UserDraft| {
        draft.role = Role::Publisher;
        draft.publisher = Some(Name::Id(publisher.object.id));
    };
    let password = PasswordEdit::Set(Zeroizing::new("another long password".to_owned()));
    let id = auditor.object.id;
    let changed = world
        .objects
        .change_user(&manager(), id, password, edit)
        .await
        .expect("changed");
    assert!(changed.password.expect("set").verify("another long password"));
    let routing = world.live.routing();
    let principal = &routing.api_keys[&sha256(b"ek_test_auditor_0123456789ab")];
    assert_eq!((principal.role, principal.publisher), (Role::Publisher, Some(1)));
}

#[tokio::test]
async fn a_shop_keeps_the_hosts_its_campaigns_lead_to() {
    let world = World::new().await;
    world.apply(FILE).await;
    let shop: Shop = world.named(1).await;
    let moved = |draft: &mut einklang::domain::draft::ShopDraft| {
        draft.landing_hosts = vec!["new.example".to_owned()];
    };
    let changed = world
        .objects
        .change::<Shop>(&manager(), shop.object.id, moved)
        .await;
    assert!(matches!(changed, Err(FlowError::Clash("landing_hosts", _))));
    let unsigned = |draft: &mut einklang::domain::draft::ShopDraft| {
        draft.hmac_secrets = Some(Vec::new());
    };
    let changed = world
        .objects
        .change::<Shop>(&manager(), shop.object.id, unsigned)
        .await;
    assert!(matches!(changed, Err(FlowError::Clash("hmac_secrets", _))));
}

#[tokio::test]
async fn the_operator_has_one_key() {
    let world = World::new().await;
    let role = |key: &str| {
        world
            .live
            .routing()
            .api_keys
            .get(&sha256(key.as_bytes()))
            .map(|found| found.role)
    };
    let made = world
        .objects
        .create_operator_key(None)
        .await
        .expect("made")
        .expect("shown");
    assert_eq!(role(&made), Some(Role::Operator));
    assert_eq!(
        world.objects.create_operator_key(None).await.expect("there"),
        None
    );
    let given = || Some(Zeroizing::new("operator-key-from-the-environment".to_owned()));
    for _ in 0..2 {
        assert_eq!(
            world.objects.create_operator_key(given()).await.expect("set"),
            None
        );
        assert_eq!(role(&given().expect("given")), Some(Role::Operator));
        assert_eq!(role(&made), None);
    }
    assert_eq!(
        world
            .objects
            .create_operator_key(Some(made.clone()))
            .await
            .expect("back"),
        None
    );
    assert_eq!(role(&made), Some(Role::Operator));
    let short = world
        .objects
        .create_operator_key(Some(Zeroizing::new("short".to_owned())))
        .await;
    assert!(matches!(short, Err(FlowError::Invalid("operator_key", _))));
}
