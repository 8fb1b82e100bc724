//! A person of a request: as they are described, and what a case keeps of that.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::super::keyring::KeyRing;
use super::super::token;

/// A person's name as it was sent, one of these. Wiped when dropped, and stored nowhere.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub enum Handle {
    /// The click of a token.
    Token(String),
    /// The click behind a shop's order.
    Order {
        /// The shop's order id.
        order_id: String,
        /// The goal; `order` if none is named.
        goal: Option<String>,
        /// The shop's number; any if none is named.
        shop: Option<i64>,
    },
    /// Every click of a shop's customer.
    Customer(String),
    /// A name of a kind that nothing is held under.
    Nothing,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Handle::Token(_) => "Token(..)",
            Handle::Order { .. } => "Order(..)",
            Handle::Customer(_) => "Customer(..)",
            Handle::Nothing => "Nothing",
        })
    }
}

/// What is to be corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The conversion.
    pub conversion: Uuid,
    /// Its right status.
    pub status: Option<String>,
    /// Its right amount, a decimal string.
    pub amount: Option<String>,
}

/// A person as a request describes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The names; all of one person.
    pub handles: Vec<Handle>,
    /// For a rectification.
    pub wish: Option<Wish>,
    /// Where OpenDSR callbacks go.
    pub callbacks: Vec<String>,
}

impl Person {
    /// Narrows orders down to one shop.
    pub fn narrow_to(&mut self, number: i64) {
        for handle in &mut self.handles {
            if let Handle::Order { shop, .. } = handle {
                *shop = Some(number);
            }
        }
    }
}

/// A person's name as a case keeps it: what look-ups need, and nothing of what was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// A click.
    Click {
        /// When it happened, in ticks since 1970.
        issued_at_ticks: i64,
        /// The click.
        click: [u8; 16],
    },
    /// The keyed hash of an order.
    Order {
        /// The hash.
        hash: [u8; 16],
        /// The goal; `order` if none is named.
        goal: Option<String>,
        /// The shop's number; any if none is named.
        shop: Option<i64>,
    },
    /// The keyed hashes of a customer reference, one for each shop.
    Customer(Vec<[u8; 16]>),
    /// Nothing is held under this name.
    Nothing,
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Name(..)")
    }
}

impl Name {
    /// What is kept of a name that was sent. Whether anything is held under it is not looked at.
    pub fn of(keys: &KeyRing, shops: impl Iterator<Item = i64>, handle: &Handle) -> Self {
        match handle {
            Handle::Token(text) => match token::open(keys, text) {
                Ok(claims) => Name::Click {
                    issued_at_ticks: i64::try_from(claims.issued_at_ticks).unwrap_or(0),
                    click: claims.click.0,
                },
                Err(_) => Name::Nothing,
            },
            Handle::Order { order_id, goal, shop } => Name::Order {
                hash: keys.order_hash(order_id),
                goal: goal.clone(),
                shop: *shop,
            },
            Handle::Customer(reference) => {
                Name::Customer(shops.map(|shop| keys.customer_hash(shop, reference)).collect())
            }
            Handle::Nothing => Name::Nothing,
        }
    }
}

/// What names the person of a case, and what is asked for about it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The names; all of one person.
    pub names: Vec<Name>,
    /// For a rectification.
    pub wish: Option<Wish>,
    /// Where OpenDSR callbacks go.
    pub callbacks: Vec<String>,
}
