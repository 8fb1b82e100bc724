//! A running server under test: the real parts, a clock that the test moves, a port of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use einklang::app::audit_key;
use einklang::app::config::{Config, Options};
use einklang::app::system::SystemEntropy;
use einklang::app::wire::{self, App};
use einklang::domain::ids::ApiKeyId;
use einklang::domain::keys::sha256;
use einklang::domain::provision;
use einklang::edge::listener::{self, Limits};
use einklang::flow::Live;
use einklang::flow::audit::check::Checks;
use einklang::flow::audit::packs::PackFlow;
use einklang::flow::objects::ObjectsFlow;
use einklang::flow::provision::ProvisionFlow;
use einklang::flow::retention::{PurgeEnd, PurgeReport, Purger};
use einklang::store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Caller};
use super::clock::{START_S, TestClock};
use super::database::{Database, Kind};
use super::ledger::Reader;
use super::world::{self, WORLD};
use super::{processor, raw};

/// How long an orderly end may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a test wants to be different.
pub struct Setup {
    provision: &'static str,
    options: Options,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        let options = Options {
            requests_per_minute: 1_000_000.try_into().ok(),
            requests: processor::options(),
            ..Options::default()
        };
        Self {
            provision: WORLD,
            options,
            limits: Limits::default(),
        }
    }
}

impl Setup {
    /// Other tenants than the usual ones.
    pub fn provision(mut self, file: &'static str) -> Self {
        self.provision = file;
        self
    }

    /// Other options.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Other limits of the listener.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}

/// One server on one database.
pub struct TestApp {
    /// Its clock.
    pub clock: TestClock,
    /// A look into its database.
    pub ledger: Reader,
    /// Its shared parts.
    pub live: Arc<Live>,
    /// Its database.
    pub database: Arc<Database>,
    options: Options,
    limits: Limits,
    base: String,
    http: reqwest::Client,
    app: App,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

/// A tracking link that was followed.
#[derive(Debug)]
pub struct Click {
    /// The answer.
    pub answer: Answer,
    /// Where it led.
    pub location: String,
    /// The token in it.
    pub token: Option<String>,
}

impl TestApp {
    /// Starts a server on a fresh database with the tenants of the setup.
    pub async fn start(kind: Kind, setup: Setup) -> Self {
        let database = Arc::new(Database::create(kind).await);
        let app = Self::serve(database, TestClock::at(START_S), setup.options, setup.limits).await;
        app.provision(setup.provision).await;
        let operator = Some(world::OPERATOR.to_owned().into());
        ObjectsFlow::new(Arc::clone(&app.live))
            .create_operator_key(operator)
            .await
            .expect("a key");
        app
    }

    /// Another node on the same database, with the same clock.
    pub async fn twin(&self) -> Self {
        self.twin_with(|_| {}).await
    }

    /// Another node with other options.
    pub async fn twin_with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            node: Some(1),
            ..self.options.clone()
        };
        change(&mut options);
        let (database, clock) = (Arc::clone(&self.database), self.clock.clone());
        Self::serve(database, clock, options, self.limits.clone()).await
    }

    async fn serve(database: Arc<Database>, clock: TestClock, options: Options, limits: Limits) -> Self {
        let places = Options {
            data_dir: Some(database.data_dir()),
            database_url: options
                .database_url
                .clone()
                .or_else(|| Some(database.url.clone())),
            ..options.clone()
        };
        let config = Config::load(places).expect("a configuration");
        let app = wire::build(&config, Arc::new(clock.clone()), Arc::new(SystemEntropy))
            .await
            .expect("built");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let with_proxies = Limits {
            proxies: config.trusted_proxies.clone(),
            ..limits.clone()
        };
        let serving = listener::serve(
            listener,
            app.router.clone(),
            with_proxies,
            stop.clone().cancelled_owned(),
        );
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        Self {
            clock,
            ledger: database.reader().await,
            live: Arc::clone(&app.live),
            database,
            options,
            limits,
            base,
            http: http.build().expect("a client"),
            app,
            stop,
            serving: tokio::spawn(serving),
        }
    }

    /// What a timer does in a server: entries of the audit logs find their places, and what has grown is signed.
    pub async fn keep_logs(&self) {
        self.app.keeper.finish().await.expect("placed and signed");
    }

    /// What a timer does in a server: old checkpoints are thinned out.
    pub async fn thin_checkpoints(&self) -> u64 {
        self.app.keeper.thin().await.expect("thinned")
    }

    /// Enters who was turned away, as the server's timer does; returns how many entries that made.
    pub async fn enter_refusals(&self) -> usize {
        self.app.access.enter_refusals().await.expect("entered")
    }

    /// What a timer does in a server: works on people's requests; returns how many cases it moved on.
    pub async fn work_on_requests(&self) -> usize {
        self.app.requests.round().await.expect("a round")
    }

    /// What a timer does in a server: sends callbacks that are due; returns how many arrived.
    pub async fn send_callbacks(&self) -> usize {
        self.app.requests.send_callbacks().await.expect("a round")
    }

    /// Enters that the server started or stopped, as the server does.
    pub async fn note_server(&self, action: &'static str, outcome: &'static str) {
        self.app
            .keeper
            .note_server(action, outcome)
            .await
            .expect("entered");
    }

    /// The public half of the key that signs checkpoints.
    pub async fn audit_public_key(&self) -> [u8; 32] {
        let store = Store::connect(&self.database.url).await.expect("opened");
        let key = audit_key::public(&self.database.data_dir().join("audit.key"), &store).await;
        store.close().await;
        key.expect("read").expect("a key")
    }

    /// The tamper search.
    pub fn checks(&self) -> &Checks {
        &self.app.checks
    }

    /// The makers of evidence packs.
    pub fn packs(&self) -> &PackFlow {
        &self.app.packs
    }

    /// What a timer does in a server once a day: whatever has had its time goes, every class of every tenant.
    pub async fn purge(&self) -> PurgeReport {
        let ended = self.purger().run(false, &|_| {}).await.expect("purged");
        let PurgeEnd::Done(report) = ended else {
            panic!("nobody else purges");
        };
        report
    }

    /// The purge.
    pub fn purger(&self) -> &Purger {
        &self.app.purger
    }

    /// Applies a provisioning file.
    pub async fn provision(&self, file: &str) {
        let plan = provision::parse(file).expect("a provisioning file");
        ProvisionFlow::new(Arc::clone(&self.live))
            .apply(&plan)
            .await
            .expect("applied");
    }

    /// Ends it in good order: nothing may be left that keeps the writer waiting.
    pub async fn stop(self) {
        let Self {
            app,
            live,
            stop,
            serving,
            ..
        } = self;
        drop(live);
        stop.cancel();
        let ended = async {
            serving.await.expect("served").expect("ended");
            app.stop().await;
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("the server did not end");
    }

    /// A visitor's browser.
    pub fn visitor(&self) -> Caller {
        let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        self.anonymous().with("user-agent", browser)
    }

    /// A program without a key.
    pub fn anonymous(&self) -> Caller {
        Caller::new(&self.base, &self.http)
    }

    /// Sends a request as these bytes.
    pub async fn raw(&self, request: &[u8]) -> Answer {
        raw::send(&self.base, request).await
    }

    /// Whoever has this key.
    pub fn holder(&self, key: &str) -> Caller {
        self.anonymous().key(key)
    }

    /// The id of the API key that this is.
    pub fn key_id(&self, key: &str) -> String {
        let routing = self.live.routing();
        let principal = routing.api_keys.get(&sha256(key.as_bytes())).expect("a key");
        let mut subjects = routing.subjects.iter();
        let found = subjects.find(|(_, subject)| subject.principal == *principal);
        ApiKeyId(*found.expect("a subject").0).to_string()
    }

    /// A token for an API key.
    pub async fn token_for(&self, key: &str) -> String {
        self.token_of(&self.key_id(key), key).await
    }

    /// A token for the API key of this id.
    pub async fn token_of(&self, id: &str, key: &str) -> String {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", key),
        ];
        let answer = self.anonymous().post_form("/oauth/token", &pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.member("access_token")
    }

    /// acme's main shop.
    pub fn shop(&self) -> Caller {
        self.holder(world::SHOP)
    }

    /// acme's manager.
    pub fn manager(&self) -> Caller {
        self.holder(world::MANAGER)
    }

    /// acme's privacy officer.
    pub fn privacy(&self) -> Caller {
        self.holder(world::PRIVACY)
    }

    /// Another tenant's shop.
    pub fn foreign_shop(&self) -> Caller {
        self.holder(world::FOREIGN_SHOP)
    }

    /// Follows a tracking link in a browser.
    pub async fn click(&self, link: &str, query: &str) -> Click {
        Click::of(self.visitor().get(&format!("/c/{link}?{query}")).await)
    }

    /// Follows a tracking link with a grant and keeps the token.
    pub async fn token(&self, link: &str) -> String {
        self.click(link, "consent=granted").await.token.expect("a token")
    }
}

impl Click {
    /// Reads the answer to a click.
    pub fn of(answer: Answer) -> Self {
        let location = answer.header("location").unwrap_or_default().to_owned();
        let page = url::Url::parse(&location).ok();
        let token = page.and_then(|page| {
            let mut pairs = page
                .query_pairs()
                .filter(|(name, _)| name == "s2s" || name == "click");
            pairs.next().map(|(_, value)| value.into_owned())
        });
        Self {
            answer,
            location,
            token,
        }
    }
}
