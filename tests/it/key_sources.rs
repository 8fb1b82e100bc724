//! Root keys: several at once, a tenant's own, one that a KMS keeps, and what happens where one is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use einklang::app::config::{Config, Options};
use einklang::app::root_key;
use einklang::app::system::SystemEntropy;
use einklang::app::wire;
use einklang::domain::keys::{KeyError, NONCE_BYTES, Place, Secret};
use einklang::domain::registry::Registries;
use einklang::flow::Live;
use einklang::flow::rotation::RotationFlow;
use einklang::store::Store;
use einklang::store::roots::{Answer, RootKey, Roots};

use crate::harness::app::TestApp;
use crate::harness::world;
use crate::keys::{all_fits, every_record_opens, is_known, order};

const ACME: i64 = 1;

fn file(app: &TestApp, name: &str) -> PathBuf {
    app.database.data_dir().join(name)
}

/// A new root key in a file of the data folder; its public name.
fn make(app: &TestApp, name: &str) -> String {
    root_key::make(&file(app, name), &SystemEntropy).expect("made")
}

fn secret(app: &TestApp, name: &str) -> Secret {
    let text = fs::read_to_string(file(app, name)).expect("a file");
    let digits = text
        .trim()
        .strip_prefix("einklang-root-key-1:")
        .expect("its head");
    Secret::from_slice(&hex::decode(digits).expect("hexadecimal")).expect("32 bytes")
}

/// Why no server starts on this database with these options.
pub async fn refusal(app: &TestApp, change: impl FnOnce(&mut Options)) -> String {
    let mut options = Options {
        data_dir: Some(app.database.data_dir()),
        database_url: Some(app.database.url.clone()),
        ..Options::default()
    };
    change(&mut options);
    let config = Config::load(options).expect("a configuration");
    let opened = wire::open(&config, Arc::new(app.clock.clone()), Arc::new(SystemEntropy)).await;
    let error = opened.err().expect("a refusal");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn rotation(app: &TestApp) -> RotationFlow {
    RotationFlow::new(Arc::clone(&app.live))
}

async fn wrapped_by(app: &TestApp) -> Vec<String> {
    let names = "SELECT wrapped_by FROM wrapped_key WHERE purpose = 'tenant' ORDER BY tenant, number";
    app.ledger.texts(names).await
}

both!(
    the_root_key_is_replaced_while_a_server_runs_that_has_only_the_old_one,
    async |app: &TestApp| {
        let token = order(app, "A-1").await;
        let old = secret(app, "root.key").fingerprint();
        let new = make(app, "new.key");
        let both = |options: &mut Options| {
            options.root_key_file = Some(file(app, "new.key"));
            options.root_other_key_files = Some(vec![file(app, "root.key")]);
        };
        let twin = app.twin_with(both).await;
        // Until somebody rotates, the database is under the old one, also what is made anew.
        twin.provision("[[tenant]]\nslug = \"between\"\n").await;
        assert_eq!(wrapped_by(app).await, [&*old, &*old, &*old]);
        app.live.reload().await.expect("reloaded");
        assert!(app.live.rootless_tenants().is_empty());

        let done = rotation(&twin)
            .root(&|_| {})
            .await
            .expect("rotated")
            .expect("one");
        assert_eq!((&done.from, &done.to, done.done), (&old, &new, 3));
        assert_eq!(wrapped_by(app).await, [&*new, &*new, &*new]);
        assert_eq!(rotation(&twin).root(&|_| {}).await.expect("nothing to do"), None);
        twin.provision("[[tenant]]\nslug = \"after\"\n").await;

        // Whoever has the old one only goes on with what it has, and says so.
        app.live.reload().await.expect("reloaded");
        assert_eq!(
            app.live.rootless_tenants(),
            ["acme", "after", "between", "globex"]
        );
        is_known(app, &token, "A-1").await;
        let fresh = order(app, "A-2").await;
        is_known(&twin, &fresh, "A-2").await;
        app.holder(world::OPERATOR)
            .post("/v1/tenants", &serde_json::json!({"slug": "never"}))
            .await
            .is(503, "refused", "tenant_locked");
        all_fits(&twin).await;
        twin.stop().await;

        let said = refusal(app, |_| {}).await;
        assert!(
            said.contains(&format!(
                "holds key {old}, but the database was made under root key {new}."
            )),
            "{said}"
        );
        let only_new = app
            .twin_with(|options| options.root_key_file = Some(file(app, "new.key")))
            .await;
        is_known(&only_new, &token, "A-1").await;
        assert_eq!(every_record_opens(&only_new).await, 4);
        only_new.stop().await;
        assert_eq!(app.ledger.leaves("key.adopted").await, 1);
    }
);

both!(
    a_tenant_takes_and_leaves_a_root_key_of_its_own,
    async |app: &TestApp| {
        let token = order(app, "A-1").await;
        let servers = secret(app, "root.key").fingerprint();
        let own = make(app, "acme.key");
        let with_own = |options: &mut Options| {
            options.tenant_root_keys = Some(vec![format!("acme={}", file(app, "acme.key").display())]);
        };
        let twin = app.twin_with(with_own).await;
        is_known(&twin, &token, "A-1").await;
        rotation(&twin).tenant(ACME, &|_| {}).await.expect("rotated");
        assert_eq!(wrapped_by(app).await, [&*own, &*servers]);
        all_fits(&twin).await;
        twin.stop().await;

        // Without it the server starts for the others.
        let without = app.twin().await;
        assert_eq!(without.live.rootless_tenants(), ["acme"]);
        locked(&without, &token).await;
        all_fits(&without).await;
        without.stop().await;
        // One whose file is gone is no different.
        fs::rename(file(app, "acme.key"), file(app, "elsewhere.key")).expect("moved");
        let without = app.twin_with(with_own).await;
        locked(&without, &token).await;
        without.stop().await;

        // It leaves with its key at hand, but no longer its own.
        let leaving = app
            .twin_with(|options| options.root_other_key_files = Some(vec![file(app, "elsewhere.key")]))
            .await;
        rotation(&leaving).tenant(ACME, &|_| {}).await.expect("rotated");
        leaving.stop().await;
        assert_eq!(wrapped_by(app).await, [&*servers, &*servers]);
        let back = app.twin().await;
        is_known(&back, &token, "A-1").await;
        back.stop().await;
    }
);

/// Nothing of acme's is served, and all of globex's is.
async fn locked(app: &TestApp, token: &str) {
    let pairs = [("token", token), ("order_id", "A-1"), ("consent", "1")];
    app.shop()
        .postback(&pairs)
        .await
        .is(503, "refused", "tenant_locked");
    for path in ["/v1/shops", "/v1/consent-records", "/v1/keys"] {
        app.privacy().get(path).await.is(503, "refused", "tenant_locked");
    }
    let by_url = format!("/postback/shp_acme_migrating?token={token}&consent=1");
    app.anonymous()
        .get(&by_url)
        .await
        .is(503, "refused", "tenant_locked");
    // Its visitors arrive all the same, and are counted.
    let before = app
        .ledger
        .events("stat_untracked", "tenant = 1 AND reason = 'unavailable'")
        .await;
    let click = app.click("Ab3xK9", "consent=granted").await;
    assert_eq!((click.answer.status, click.token), (302, None));
    assert!(click.location.starts_with("https://shop.example/"));
    let after = app
        .ledger
        .events("stat_untracked", "tenant = 1 AND reason = 'unavailable'")
        .await;
    assert_eq!(after, before + 1);
    let globex = app.holder(world::FOREIGN_MANAGER);
    assert_eq!(globex.get("/v1/shops").await.status, 200);
    let theirs = app.holder(world::FOREIGN_STRICT_SHOP);
    theirs.postback(&pairs).await.is(404, "refused", "unknown_token");
}

/// Keeps a key, and never gives it away: it wraps, and it opens.
struct Kms {
    key: Secret,
    reachable: AtomicBool,
    asked: AtomicUsize,
}

impl Kms {
    fn answer<T>(&self, make: impl FnOnce() -> Result<T, KeyError>) -> Result<T, KeyError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.reachable.load(Ordering::SeqCst) {
            make()
        } else {
            Err(KeyError::Unreachable)
        }
    }
}

impl RootKey for Kms {
    fn name(&self) -> String {
        "kms:europe/einklang/7".to_owned()
    }

    fn wrap<'a>(
        &'a self,
        place: Place<'static>,
        nonce: [u8; NONCE_BYTES],
        key: &'a Secret,
    ) -> Answer<'a, Vec<u8>> {
        Box::pin(async move { self.answer(|| Ok(self.key.seal(nonce, &place, key.expose()))) })
    }

    fn open<'a>(&'a self, place: Place<'static>, wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(async move { self.answer(|| Secret::from_slice(&self.key.open(&place, wrapped)?)) })
    }
}

both!(a_kms_can_keep_the_root_key, async |app: &TestApp| {
    order(app, "A-1").await;
    let kms = Arc::new(Kms {
        key: Secret::new([42; 32]),
        reachable: AtomicBool::new(true),
        asked: AtomicUsize::new(0),
    });
    let start = async |roots: Roots| {
        let store = Store::connect(&app.database.url).await.expect("opened");
        let (clock, entropy) = (Arc::new(app.clock.clone()), Arc::new(SystemEntropy));
        let live = Live::start(store.clone(), roots, clock, entropy, Registries::default()).await;
        (store, live.expect("started"))
    };
    let old = Arc::new(secret(app, "root.key"));
    let (store, live) = start(Roots::new(kms.clone()).with_other(old)).await;
    let done = RotationFlow::new(live).root(&|_| {}).await.expect("rotated");
    assert_eq!(done.expect("one").to, kms.name());
    store.close().await;
    assert_eq!(wrapped_by(app).await, [kms.name(), kms.name()]);
    let asked = kms.asked.load(Ordering::SeqCst);
    let (store, live) = start(Roots::new(kms.clone())).await;
    assert!(live.rootless_tenants().is_empty());
    assert_eq!(
        kms.asked.load(Ordering::SeqCst),
        asked + 2,
        "once for each tenant"
    );
    // While it is out of reach, what is open stays open, and what starts is locked.
    kms.reachable.store(false, Ordering::SeqCst);
    live.reload().await.expect("reloaded");
    assert!(
        live.routing()
            .tenants
            .values()
            .all(|tenant| !tenant.keys.is_locked())
    );
    store.close().await;
    let (store, live) = start(Roots::new(kms.clone())).await;
    assert!(
        live.routing()
            .tenants
            .values()
            .all(|tenant| tenant.keys.is_locked())
    );
    kms.reachable.store(true, Ordering::SeqCst);
    live.reload().await.expect("reloaded");
    assert!(live.rootless_tenants().is_empty());
    store.close().await;
});

both!(a_root_key_by_command_and_by_environment, async |app: &TestApp| {
    let token = order(app, "A-1").await;
    let text = fs::read_to_string(file(app, "root.key")).expect("a file");
    let printed = app
        .twin_with(|options| {
            let path = file(app, "root.key");
            options.root_key_command = Some(format!("cat '{}'; echo canary >&2", path.display()));
        })
        .await;
    is_known(&printed, &token, "A-1").await;
    printed.stop().await;
    let given = app
        .twin_with(|options| options.root_key = Some(text.trim().to_owned().into()))
        .await;
    is_known(&given, &token, "A-1").await;
    given.stop().await;

    let said = refusal(app, |options| options.root_key = Some("canary".to_owned().into())).await;
    assert!(
        said.starts_with("EINKLANG_ROOT_KEY does not hold a root key:") && !said.contains("canary"),
        "{said}"
    );
    for (command, words) in [
        ("echo canary", "did not print a root key: one line,"),
        (
            "echo canary >&2; exit 7",
            "failed (exit status: 7); run it by hand to see why.",
        ),
        ("/canary/no-such-program 2>&1", "failed (exit status: 127)"),
    ] {
        let said = refusal(app, |options| options.root_key_command = Some(command.to_owned())).await;
        assert!(said.contains(words) && !said.contains("canary"), "{said}");
    }
    let other = format!("echo einklang-root-key-1:{}", "ab".repeat(32));
    let said = refusal(app, |options| options.root_key_command = Some(other)).await;
    assert!(
        said.starts_with("What root_key_command printed holds key "),
        "{said}"
    );
});

both!(files_of_other_root_keys_are_as_strict, async |app: &TestApp| {
    let others = |path: PathBuf| move |options: &mut Options| options.root_other_key_files = Some(vec![path]);
    let said = refusal(app, others(file(app, "gone.key"))).await;
    assert!(
        said.ends_with("is not there, though root_other_key_files names it."),
        "{said}"
    );
    make(app, "open.key");
    fs::set_permissions(file(app, "open.key"), fs::Permissions::from_mode(0o444)).expect("a mode");
    let said = refusal(app, others(file(app, "open.key"))).await;
    assert!(said.contains("can be read by others (mode 444)"), "{said}");
    fs::write(file(app, "broken.key"), "canary").expect("written");
    fs::set_permissions(file(app, "broken.key"), fs::Permissions::from_mode(0o400)).expect("a mode");
    let broken = format!("acme={}", file(app, "broken.key").display());
    let said = refusal(app, |options| options.tenant_root_keys = Some(vec![broken])).await;
    assert!(
        said.contains("does not hold a root key") && !said.contains("canary"),
        "{said}"
    );
    // A key that is asked to open what another one wrapped does not.
    app.database
        .execute(
            "UPDATE wrapped_key SET wrapped = substr(wrapped, 1, 59) WHERE purpose = 'tenant' AND tenant = 1",
        )
        .await;
    let said = refusal(app, |_| {}).await;
    assert!(
        said.contains("the tenant key 1 of tenant 1 does not open"),
        "{said}"
    );
});
