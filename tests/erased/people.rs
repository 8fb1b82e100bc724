//! People with a text of their own in every place that can hold one, and the doors through which they are erased.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::binary::einklang;
use crate::client::Caller;
use crate::needles::canary;
use crate::place::{Server, token_in};
use crate::world;

/// Places that end in something that is kept, if only sealed.
const KEPT: [&str; 18] = [
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "sub6",
    "sub7",
    "sub8",
    "sub9",
    "sub10",
    "order_id",
    "coupon",
    "customer_ref",
    "adv1",
    "adv2",
    "adv3",
    "adv4",
    "adv5",
];
/// Places of which nothing is kept of anybody.
const PASSING: [&str; 4] = ["user_agent", "referer", "cookie", "unknown"];

/// Somebody.
pub struct Person {
    pub number: usize,
    pub token: String,
}

/// What stands in a person's place.
pub fn text(number: usize, place: &str) -> String {
    canary(&format!("{place} of {number}"))
}

impl Person {
    /// Every text of this person's.
    pub fn texts(&self) -> Vec<String> {
        let places = KEPT.iter().chain(&PASSING).chain(&["sku"]);
        let mut texts: Vec<String> = places.map(|place| text(self.number, place)).collect();
        texts.push(self.price());
        texts.push(self.token.clone());
        texts
    }

    /// A number that nobody else has.
    fn price(&self) -> String {
        format!(
            "{}.{:02}",
            481_516_234_u64 + 7_919 * self.number as u64,
            self.number % 100
        )
    }
}

/// A click, an order and a later confirmation.
pub async fn arrive(server: &Server, number: usize) -> Person {
    let of = |place: &str| text(number, place);
    let mut query = format!("consent=granted&unknown={}", of("unknown"));
    for sub in 1..=10 {
        write!(query, "&sub{sub}={}", of(&format!("sub{sub}"))).expect("written");
    }
    let visitor = server
        .anonymous()
        .with(
            "user-agent",
            &format!("Mozilla/5.0 (X11) {} Firefox/140.0", of("user_agent")),
        )
        .with("referer", &format!("https://www.example/{}", of("referer")))
        .with("cookie", &format!("session={}", of("cookie")));
    let answer = visitor.get(&format!("/c/Ab3xK9?{query}")).await;
    let token = token_in(answer.header("location").expect("a redirect")).expect("a token");
    let person = Person { number, token };
    let mut order = json!({"token": person.token, "amount": "49.90", "consent": "granted",
        "items": [{"sku": of("sku"), "quantity": "1", "price": person.price()}]});
    for place in &KEPT[10..] {
        order[*place] = Value::from(of(place));
    }
    let shop = server.holder(world::SHOP);
    shop.post("/postback", &order)
        .await
        .is(200, "recorded", "accepted");
    let again = json!({"token": person.token, "consent": "granted"});
    assert_eq!(
        shop.post("/v1/consent-signals", &again).await.member("outcome"),
        "applied"
    );
    person
}

/// Erases somebody through one of the doors, which take turns.
pub async fn erase(server: &Server, person: &Person, folder: &Path, database: &str) {
    let (shop, privacy) = (server.holder(world::SHOP), server.holder(world::PRIVACY));
    let of = |place: &str| text(person.number, place);
    match person.number % 6 {
        0 => done(&privacy, &json!({"token": person.token})).await,
        1 => {
            let body = json!({"order_id": of("order_id"), "reason": "objection"});
            done(&privacy, &body).await;
        }
        2 => done(&privacy, &json!({"customer_ref": of("customer_ref")})).await,
        3 => {
            let body = json!({"token": person.token, "consent": "denied"});
            assert_eq!(
                shop.post("/v1/consent-signals", &body).await.member("outcome"),
                "applied"
            );
        }
        4 => {
            let pairs = [
                ("token", person.token.as_str()),
                ("order_id", "another"),
                ("consent", "denied"),
            ];
            shop.postback(&pairs).await.is(403, "refused", "consent_denied");
        }
        _ => on_the_command_line(&of("customer_ref"), folder, database),
    }
}

async fn done(privacy: &Caller, body: &Value) {
    let answer = privacy.post("/v1/erasures", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let act = privacy
        .get(&format!("/v1/erasures/{}", answer.member("id")))
        .await
        .json();
    assert_eq!(act["clicks"], 1, "{act}");
}

/// Beside the running server; what names the person comes on standard input.
fn on_the_command_line(customer: &str, folder: &Path, database: &str) {
    let mut command = einklang(
        folder,
        [
            "erase",
            "--json",
            "--tenant",
            "acme",
            "--customer",
            "-",
            "--database-url",
            database,
        ],
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{customer}").expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("\"clicks\":1"),
        "{said}{failed}"
    );
}
