//! Every operation by every role, on its own tenant's objects and on another's, and without a key.
//!
//! Keys are shown, and the tokens that they are exchanged for. What came of it is written to docs/roles.md with
//! `EINKLANG_BLESS=1`, and compared with it otherwise.
//!
//! Operations, paths and bodies come from the OpenAPI document, roles from the access table: a new operation is tested
//! as soon as it stands there, and one whose path or example this file cannot fill in fails.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::Path;
use std::sync::LazyLock;

use einklang::domain::access::{OPEN, Role, TABLE, may};

use crate::harness::app::{Setup, TestApp};
use crate::harness::client::{Answer, Caller};
use crate::harness::stage::{Operation, SPEC, Stage};
use crate::harness::world::{self, WORLD};

/// The usual tenants, the second one with a key for every role, too.
static BOTH_STAFFED: LazyLock<String> = LazyLock::new(|| {
    let user = |role: &str, more: &str| {
        format!(
            "  [[tenant.user]]\n  name = \"{role}\"\n  role = \"{role}\"\n  {more}\n  api_key = \"{}\"\n",
            foreign_key_of(role)
        )
    };
    let users = [
        user("auditor", ""),
        user("privacy", ""),
        user("publisher", "publisher = \"news\""),
    ];
    format!("{WORLD}{}", users.concat())
});

fn foreign_key_of(role: &str) -> String {
    format!("ek_test_globex_{role}_000000001")
}

fn own_key(role: Role) -> &'static str {
    match role {
        Role::Operator => world::OPERATOR,
        Role::Manager => world::MANAGER,
        Role::Shop => world::SHOP,
        Role::Publisher => world::PUBLISHER,
        Role::Auditor => world::AUDITOR,
        Role::Privacy => world::PRIVACY,
    }
}

/// The key of this role in the other tenant; the server's operator has only one.
fn foreign_key(role: Role) -> Option<String> {
    Some(match role {
        Role::Operator => return None,
        Role::Manager => world::FOREIGN_MANAGER.to_owned(),
        Role::Shop => world::FOREIGN_SHOP.to_owned(),
        other => foreign_key_of(other.code()),
    })
}

/// What somebody with the right role in another tenant finds of the first tenant's objects: nothing.
fn check_foreign(operation: &Operation, answer: &Answer, own_ids: &[String]) {
    let (name, text) = (operation.name, answer.text());
    let references_others = operation.example.as_ref().is_some_and(|example| {
        ["shop", "campaign", "publisher", "link"]
            .iter()
            .any(|member| example.get(member).is_some())
    });
    match name {
        "send_shop_postback" | "send_shop_postback_form" => {
            answer.is(403, "refused", "forbidden");
        }
        "send_postback" | "send_postback_form" | "create_conversion" => {
            answer.is(404, "refused", "unknown_token");
        }
        "create_conversions" => assert_eq!(answer.json()["items"][0]["reason"], "unknown_token", "{text}"),
        "send_consent_signal" => {
            assert_eq!(
                (answer.status, answer.member("outcome").as_str()),
                (200, "no_effect"),
                "{text}"
            );
        }
        "change_conversion_by_order" => {
            answer.is(404, "refused", "not_found");
        }
        _ if names_an_entry(operation) => {
            answer.is(404, "refused", "not_found");
        }
        _ if operation.kind().is_some() || references_others => {
            answer.is(404, "refused", "not_found");
        }
        _ => assert!(matches!(answer.status, 200..=202), "{name}: {text}"),
    }
    for id in own_ids {
        assert!(!text.contains(id), "{name} shows another tenant's object: {text}");
    }
}

/// Whether the path names an entry, a record or a log.
fn names_an_entry(operation: &Operation) -> bool {
    ["{entry}", "{record}", "{tenant}", "{request}"]
        .iter()
        .any(|place| operation.path.contains(place))
}

/// The ids of everything that the first tenant has.
async fn ids(app: &TestApp) -> Vec<String> {
    let mut ids = Vec::new();
    for kind in [
        "tenants",
        "shops",
        "publishers",
        "campaigns",
        "links",
        "goals",
        "users",
        "api-keys",
        "policies",
        "approvals",
        "holds",
        "operator-grants",
    ] {
        let page = app.manager().get(&format!("/v1/{kind}?limit=100")).await.json();
        let items = page["items"].as_array().expect("items").clone();
        ids.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str().map(str::to_owned)),
        );
    }
    ids
}

/// How many requests came to what.
#[derive(Default)]
struct Count {
    allowed: usize,
    forbidden: usize,
    foreign: usize,
    unauthenticated: usize,
}

/// What callers show: their keys, or tokens that they got for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Key,
    Token,
}

/// Callers by the keys that they have, with what they show.
struct Cast<'a> {
    app: &'a TestApp,
    tokens: HashMap<String, String>,
}

impl<'a> Cast<'a> {
    async fn new(app: &'a TestApp, shown: Shown) -> Self {
        let mut tokens = HashMap::new();
        if shown == Shown::Token {
            for role in Role::ALL {
                for key in [Some(own_key(role).to_owned()), foreign_key(role)]
                    .into_iter()
                    .flatten()
                {
                    tokens.insert(key.clone(), app.token_for(&key).await);
                }
            }
        }
        Self { app, tokens }
    }

    fn holder(&self, key: &str) -> Caller {
        self.app.holder(self.tokens.get(key).map_or(key, String::as_str))
    }
}

/// What came of it, by operation: for each role, and what another tenant's objects were answered with.
type Matrix = BTreeMap<&'static str, Row>;

#[derive(Default)]
struct Row {
    may: BTreeMap<Role, bool>,
    foreign: BTreeMap<u16, usize>,
}

/// One operation by everybody.
async fn play(
    stage: &mut Stage<'_>,
    cast: &Cast<'_>,
    operation: &Operation,
    count: &mut Count,
    row: &mut Row,
) {
    let (app, name) = (stage.app, operation.name);
    let request = stage.request(operation, Role::Manager).await;
    let before = app.ledger.totals().await;
    for caller in [
        app.anonymous(),
        app.holder("ek_test_nobody_knows_this_key"),
        app.holder(&format!("{}x", world::MANAGER)),
    ] {
        request.send(&caller).await.is(401, "refused", "unauthenticated");
        count.unauthenticated += 1;
    }
    for role in Role::ALL.into_iter().filter(|role| !may(*role, name)) {
        let keys = [Some(own_key(role).to_owned()), foreign_key(role)];
        for key in keys.into_iter().flatten() {
            request
                .send(&cast.holder(&key))
                .await
                .is(403, "refused", "forbidden");
            count.forbidden += 1;
        }
        row.may.insert(role, false);
    }
    assert_eq!(
        app.ledger.totals().await,
        before,
        "{name}: refused, and yet something was written"
    );
    for role in Role::ALL.into_iter().filter(|role| may(*role, name)) {
        let request = stage.request(operation, role).await;
        if let Some(key) = foreign_key(role) {
            let own_ids = ids(app).await;
            let answer = request.send(&cast.holder(&key)).await;
            check_foreign(operation, &answer, &own_ids);
            *row.foreign.entry(answer.status).or_default() += 1;
            count.foreign += 1;
        }
        // What the others tried has changed nothing for those who may.
        let answer = request.send(&cast.holder(own_key(role))).await;
        assert!(
            matches!(answer.status, 200..=202),
            "{name} by {role:?}: {} {}",
            answer.status,
            answer.text()
        );
        row.may.insert(role, true);
        count.allowed += 1;
    }
}

/// The page with everything that came of it.
fn page(matrix: &Matrix) -> String {
    let mut page = String::from(
        "# Who may do what\n\nWritten by `tests/it/roles.rs`, which calls every operation with every role, with a key and \
         with a token, about the caller's own tenant and about another one, and without a credential (401). `yes` was done, \
         `no` was refused with 403. The last column is what callers of another tenant with such a role got who named this \
         tenant's objects: 404 is \"there is no such thing\", 403 another shop's door, 2xx concerned their own tenant only. \
         docs/access.md says how to get a token, and what else is needed to see what was sealed: a stated reason, and for the \
         operator a grant of the tenant's, which was given here.\n\n\
         | operation | operator | manager | shop | publisher | auditor | privacy | from another tenant |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (name, _) in TABLE {
        let row = &matrix[name];
        let cells = Role::ALL.map(|role| if row.may[&role] { "yes" } else { "no" });
        let foreign: Vec<String> = row.foreign.keys().map(u16::to_string).collect();
        let foreign = if foreign.is_empty() {
            "-".to_owned()
        } else {
            foreign.join(", ")
        };
        let _ = writeln!(page, "| `{name}` | {} | {foreign} |", cells.join(" | "));
    }
    page.push_str("\n## Open to everybody\n\n");
    for (name, why) in OPEN {
        let _ = writeln!(page, "- `{name}`: {why}");
    }
    page
}

fn hold_page(matrix: &Matrix) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/roles.md");
    let page = page(matrix);
    if std::env::var_os("EINKLANG_BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/roles.md is not what came of it; rerun with EINKLANG_BLESS=1"
    );
}

async fn play_all(app: &TestApp, shown: Shown) {
    let mut stage = Stage::new(app).await;
    let cast = Cast::new(app, shown).await;
    let (mut count, mut matrix) = (Count::default(), Matrix::new());
    for (name, _) in TABLE {
        let row = matrix.entry(name).or_default();
        play(&mut stage, &cast, &Operation::of(name), &mut count, row).await;
    }
    for filter in ["campaigns", "links", "publishers", "goals"] {
        let (name, id) = (filter.trim_end_matches('s'), stage.first_of(filter).await);
        let target = format!("/v1/reports/performance?{name}={id}");
        let foreign = cast.holder(world::FOREIGN_MANAGER).get(&target).await;
        foreign.is(404, "refused", "not_found");
        assert_eq!(app.manager().get(&target).await.status, 200, "{name}");
    }
    hold_page(&matrix);
    println!(
        "{} operations: {} allowed, {} forbidden, {} about another tenant's objects, {} without a known key",
        TABLE.len(),
        count.allowed,
        count.forbidden,
        count.foreign,
        count.unauthenticated
    );
}

both!(
    everybody_may_what_the_table_says_and_nothing_else,
    Setup::default().provision(&BOTH_STAFFED),
    async |app: &TestApp| play_all(app, Shown::Key).await
);

both!(
    a_token_opens_what_its_key_opens_and_nothing_else,
    Setup::default().provision(&BOTH_STAFFED),
    async |app: &TestApp| play_all(app, Shown::Token).await
);

#[test]
fn every_operation_stands_in_the_table_or_in_the_list_of_open_ones() {
    let paths = SPEC["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .flat_map(|item| item.as_object().expect("an item").values());
    let mut documented: Vec<&str> = operations
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    let table = TABLE.iter().map(|(name, _)| *name);
    let mut listed: Vec<&str> = table.chain(OPEN.iter().map(|(name, _)| *name)).collect();
    documented.sort_unstable();
    listed.sort_unstable();
    assert_eq!(documented, listed);
}
