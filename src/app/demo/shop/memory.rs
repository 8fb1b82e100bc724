//! What the shop remembers, in memory and within bounds: tokens that wait for a decision, accounts, short codes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

/// Entries of one kind; the oldest gives way.
const ENTRIES: usize = 1_000;

/// A customer's account. The record carries the token, so that an order from another device carries it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub number: String,
    /// What opens it, beside the number.
    pub pin: String,
    /// The session of the browser that opened it.
    pub session: String,
    /// The token, once the shop may keep one.
    pub token: Option<String>,
}

/// What a short code stands for: a token, or an order without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(pub Option<String>);

/// Entries under a name, the oldest first.
struct Shelf<T>(VecDeque<(String, T)>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Shelf<T> {
    fn put(&mut self, name: String, entry: T) {
        if self.0.len() >= ENTRIES {
            self.0.pop_front();
        }
        self.0.push_back((name, entry));
    }

    fn take(&mut self, name: &str) -> Option<T> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        self.0.remove(place).map(|(_, entry)| entry)
    }

    fn find(&mut self, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.0
            .iter_mut()
            .map(|(_, entry)| entry)
            .find(|entry| is_it(entry))
    }
}

#[derive(Default)]
struct Shelves {
    waiting: Shelf<String>,
    codes: Shelf<Kept>,
    accounts: Shelf<Account>,
}

/// The shop's memory.
#[derive(Default)]
pub struct Memory(Mutex<Shelves>);

impl Memory {
    fn open(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a token until the visitor decides, under a name that is in the page only: nothing is stored on the device.
    pub fn hold(&self, visit: String, token: String) {
        self.open().waiting.put(visit, token);
    }

    /// Whether a token waits under this name.
    pub fn is_waiting(&self, visit: &str) -> bool {
        self.open().waiting.0.iter().any(|(name, _)| name == visit)
    }

    /// Hands over the token that waits under this name.
    pub fn decide(&self, visit: &str) -> Option<String> {
        self.open().waiting.take(visit)
    }

    /// A short code for an order by SMS. Someone without a token can order that way too.
    pub fn add_code(&self, code: String, token: Option<String>) {
        self.open().codes.put(code, Kept(token));
    }

    /// Uses a code up, and hands over what it stood for; none if there is no such code.
    pub fn use_code(&self, code: &str) -> Option<Kept> {
        self.open().codes.take(code)
    }

    /// Adds an account.
    pub fn add_account(&self, account: Account) {
        self.open().accounts.put(account.number.clone(), account);
    }

    /// The account of a browser's session.
    pub fn account_of(&self, session: &str) -> Option<Account> {
        self.open()
            .accounts
            .find(|account| account.session == session)
            .cloned()
    }

    /// The account with this number and PIN.
    pub fn sign_in(&self, number: &str, pin: &str) -> Option<Account> {
        let right = |account: &Account| {
            account.number == number && account.pin.as_bytes().ct_eq(pin.as_bytes()).into()
        };
        self.open().accounts.find(right).cloned()
    }

    /// Keeps a token with an account.
    pub fn keep(&self, session: &str, token: &str) {
        if let Some(account) = self.open().accounts.find(|account| account.session == session) {
            account.token = Some(token.to_owned());
        }
    }

    /// Forgets a token everywhere.
    pub fn forget(&self, token: &str) {
        let mut shelves = self.open();
        for (_, account) in &mut shelves.accounts.0 {
            account.token.take_if(|kept| kept == token);
        }
        for (_, Kept(token_of_code)) in &mut shelves.codes.0 {
            token_of_code.take_if(|kept| kept == token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(session: &str) -> Account {
        let [number, pin, session] = ["K-1", "1234", session].map(str::to_owned);
        Account {
            number,
            pin,
            session,
            token: None,
        }
    }

    #[test]
    fn a_forgotten_token_is_nowhere_and_orders_go_on() {
        let memory = Memory::default();
        memory.add_account(account("s"));
        memory.keep("s", "token");
        memory.add_code("CODE".to_owned(), Some("token".to_owned()));
        assert_eq!(
            memory
                .sign_in("K-1", "1234")
                .and_then(|account| account.token)
                .as_deref(),
            Some("token")
        );
        assert_eq!(memory.sign_in("K-1", "1235"), None);
        memory.forget("token");
        assert_eq!(memory.account_of("s").and_then(|account| account.token), None);
        assert_eq!(memory.use_code("CODE"), Some(Kept(None)));
        assert_eq!(memory.use_code("CODE"), None);
    }

    #[test]
    fn a_waiting_token_is_handed_over_once_and_the_oldest_gives_way() {
        let memory = Memory::default();
        for place in 0..=ENTRIES {
            memory.hold(format!("v{place}"), format!("t{place}"));
        }
        assert!(!memory.is_waiting("v0") && memory.is_waiting("v1"));
        assert_eq!(memory.decide("v1").as_deref(), Some("t1"));
        assert_eq!(memory.decide("v1"), None);
    }
}
