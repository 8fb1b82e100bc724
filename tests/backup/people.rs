//! People who click and order, half of whom are erased later, and a crowd that keeps the server busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Caller;
use crate::place::{Server, token_in};
use crate::setting::Setting;
use crate::world;

/// Ways to be erased.
const DOORS: usize = 9;

struct Person {
    token: String,
    order: String,
    conversion: String,
    is_erased: bool,
}

/// People whose orders are known.
pub struct People(Vec<Person>);

/// Erases somebody by one of the doors.
async fn erase(person: &Person, door: usize, server: &Server, setting: &Setting) {
    let (shop, privacy) = (server.holder(world::SHOP), server.holder(world::PRIVACY));
    let (token, order) = (person.token.as_str(), person.order.as_str());
    match door {
        0 => {
            let signal = json!({"token": token, "consent": "denied"});
            let answer = shop.post("/v1/consent-signals", &signal).await;
            assert_eq!(answer.member("outcome"), "applied", "{}", answer.text());
        }
        1 => {
            let signal = json!({"customer_ref": order, "consent": "denied"});
            let answer = shop.post("/v1/consent-signals", &signal).await;
            assert_eq!(answer.member("outcome"), "applied", "{}", answer.text());
        }
        2 => {
            let pairs = [("token", token), ("order_id", "late"), ("consent", "denied")];
            shop.postback(&pairs).await.is(403, "refused", "consent_denied");
        }
        3 => erased(&privacy, &json!({"token": token})).await,
        4 => erased(&privacy, &json!({"order_id": order, "reason": "objection"})).await,
        5 => erased(&privacy, &json!({"customer_ref": order})).await,
        6 | 7 => {
            let kind = ["erasure", "objection"][door - 6];
            let asked = json!({"kind": kind, "customer_ref": order});
            let asked = privacy.post("/v1/subject-requests", &asked).await;
            let path = format!("/v1/subject-requests/{}/execution", asked.member("id"));
            let done = privacy.post(&path, &json!({})).await.json();
            assert_eq!(done["request"]["status"], "completed", "{done}");
        }
        _ => {
            let args = ["erase", "--json", "--tenant", "acme", "--shop", "main", "--order"];
            let told = setting.json(&[&args[..], &[order]].concat());
            assert_eq!(told["clicks"], 1, "{told}");
        }
    }
}

async fn erased(privacy: &Caller, body: &Value) {
    let answer = privacy.post("/v1/erasures", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn click(visitor: &Caller) -> String {
    let answer = visitor.get("/c/Ab3xK9?consent=granted").await;
    token_in(answer.header("location").expect("a redirect")).expect("a token")
}

impl People {
    pub async fn come(server: &Server, count: usize) -> Self {
        let (visitor, shop) = (server.visitor(), server.holder(world::SHOP));
        let mut people = Vec::new();
        for number in 0..count {
            let (token, order) = (click(&visitor).await, format!("A-{number}"));
            let pairs = [
                ("token", token.as_str()),
                ("order_id", order.as_str()),
                ("amount", "49.90"),
                ("customer_ref", order.as_str()),
                ("consent", "granted"),
            ];
            let answer = shop.postback(&pairs).await;
            answer.is(200, "recorded", "accepted");
            let conversion = answer.member("conversion_id");
            people.push(Person {
                token,
                order,
                conversion,
                is_erased: false,
            });
        }
        Self(people)
    }

    /// Every second one, by every door in turn.
    pub async fn erase_half(&mut self, server: &Server, setting: &Setting) {
        let half = self.0.iter_mut().step_by(2);
        for (place, person) in half.enumerate() {
            erase(person, place % DOORS, server, setting).await;
            person.is_erased = true;
        }
    }

    /// Everybody who is left.
    pub async fn erase_rest(&mut self, server: &Server, setting: &Setting) {
        let rest = self.0.iter_mut().filter(|person| !person.is_erased);
        for (place, person) in rest.enumerate() {
            erase(person, place % DOORS, server, setting).await;
            person.is_erased = true;
        }
    }

    /// Whoever was erased is gone for everybody, and everybody else is there as before.
    pub async fn check(&self, server: &Server) {
        let shop = server.holder(world::SHOP);
        for person in &self.0 {
            let pairs = [
                ("token", person.token.as_str()),
                ("order_id", person.order.as_str()),
                ("amount", "49.90"),
                ("customer_ref", person.order.as_str()),
                ("consent", "granted"),
            ];
            let answer = shop.postback(&pairs).await;
            if person.is_erased {
                answer.is(410, "refused", "consent_withdrawn");
            } else {
                answer.is(200, "duplicate", "duplicate");
                assert_eq!(answer.member("conversion_id"), person.conversion);
            }
        }
        let privacy = server.holder(world::PRIVACY);
        for person in &self.0 {
            let page = privacy
                .get(&format!("/v1/consent-records?token={}", person.token))
                .await
                .json();
            let shown = page["items"].as_array().expect("items").len();
            // The click's and the postback's.
            assert_eq!(shown, if person.is_erased { 0 } else { 2 }, "{page}");
        }
    }
}

/// Visitors who click without end.
pub struct Crowd {
    goes_on: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    visitors: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub fn begin(server: &Server, visitors: usize) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let answered = Arc::new(AtomicUsize::new(0));
        let visitors = (0..visitors).map(|_| {
            let (visitor, goes_on) = (server.visitor(), Arc::clone(&goes_on));
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                while goes_on.load(Ordering::SeqCst) {
                    click(&visitor).await;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        Self {
            visitors: visitors.collect(),
            goes_on,
            answered,
        }
    }

    /// Ends it, and says how many were answered.
    pub async fn end(self) -> usize {
        self.goes_on.store(false, Ordering::SeqCst);
        for visitor in self.visitors {
            visitor.await.expect("a visitor");
        }
        self.answered.load(Ordering::SeqCst)
    }
}
