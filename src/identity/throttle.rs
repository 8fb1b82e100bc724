//! Slowing down whoever guesses passwords, by address and by account, without locking out anybody else.
//!
//! Each address may fail a few times; from then on it waits, twice as long after every further failure. An account that is
//! being guessed at makes addresses wait that have failed before. An address that has not failed is never made to wait:
//! whoever knows the password gets in, however many others guess. State is bounded; times are arguments.

use core::net::IpAddr;
use std::collections::HashMap;

/// Failures that an address has before it waits.
const FREE_BY_ADDRESS: u32 = 5;
/// Failures that an account has, from anywhere, before addresses that failed wait for it.
const FREE_BY_ACCOUNT: u32 = 10;
/// The longest wait, in milliseconds: 15 minutes.
const WAIT_MAX_MS: i64 = 900_000;
/// After how many milliseconds without a failure they are forgotten: an hour.
const FORGET_MS: i64 = 3_600_000;
/// Most addresses and accounts that are remembered.
const REMEMBERED_MAX: usize = 65_536;

/// Whose failures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Address(IpAddr),
    Account([u8; 32]),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: i64,
}

impl Failures {
    /// How long after the last failure the next attempt is taken.
    fn wait_ms(self, free: u32) -> i64 {
        match self.count.checked_sub(free) {
            None | Some(0) => 0,
            Some(beyond) => WAIT_MAX_MS.min(1_000_i64 << beyond.saturating_sub(1).min(10)),
        }
    }
}

/// The failures that are remembered.
#[derive(Debug, Default)]
pub struct Throttle(HashMap<Whose, Failures>);

impl Throttle {
    /// Begins an attempt: it counts as a failure until it has succeeded, so that many at once get no further than one
    /// after another. The error says how many milliseconds to wait.
    pub fn begin(&mut self, address: IpAddr, account: [u8; 32], now_ms: i64) -> Result<(), i64> {
        let by_address = self.failures(Whose::Address(address), now_ms);
        let mut left_ms = by_address.last_ms + by_address.wait_ms(FREE_BY_ADDRESS) - now_ms;
        if by_address.count > 0 {
            let by_account = self.failures(Whose::Account(account), now_ms);
            left_ms = left_ms.max(by_account.last_ms + by_account.wait_ms(FREE_BY_ACCOUNT) - now_ms);
        }
        if left_ms > 0 {
            return Err(left_ms);
        }
        for whose in [Whose::Address(address), Whose::Account(account)] {
            let count = self.failures(whose, now_ms).count.saturating_add(1);
            self.remember(
                whose,
                Failures {
                    count,
                    last_ms: now_ms,
                },
            );
        }
        Ok(())
    }

    /// The attempt has succeeded: it was no failure. Those before it stay: who knows one password may guess at another.
    pub fn succeed(&mut self, address: IpAddr, account: [u8; 32]) {
        for whose in [Whose::Address(address), Whose::Account(account)] {
            if let Some(failures) = self.0.get_mut(&whose) {
                failures.count = failures.count.saturating_sub(1);
                if failures.count == 0 {
                    self.0.remove(&whose);
                }
            }
        }
    }

    fn failures(&self, whose: Whose, now_ms: i64) -> Failures {
        let found = self.0.get(&whose).copied();
        let found = found.filter(|failures| now_ms - failures.last_ms < FORGET_MS);
        found.unwrap_or(Failures {
            count: 0,
            last_ms: now_ms,
        })
    }

    fn remember(&mut self, whose: Whose, failures: Failures) {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&whose) {
            // Half of them, so that it is rarely done; the oldest, so that guessing goes on being slow.
            let mut times: Vec<i64> = self.0.values().map(|failures| failures.last_ms).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            let mut room = REMEMBERED_MAX / 2;
            self.0.retain(|_, failures| {
                let keep = failures.last_ms >= median && room > 0;
                room -= usize::from(keep);
                keep
            });
        }
        self.0.insert(whose, failures);
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const ACCOUNT: [u8; 32] = [1; 32];

    fn address(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(last))
    }

    #[test]
    fn an_address_that_fails_waits_twice_as_long_each_time() {
        let mut throttle = Throttle::default();
        let mut now_ms = NOW;
        for _ in 0..6 {
            assert_eq!(throttle.begin(address(1), ACCOUNT, now_ms), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..14 {
            let Err(left_ms) = throttle.begin(address(1), ACCOUNT, now_ms) else {
                panic!("a wait")
            };
            waits.push(left_ms / 1_000);
            now_ms += left_ms;
            assert_eq!(throttle.begin(address(1), ACCOUNT, now_ms), Ok(()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        assert_eq!(throttle.begin(address(1), ACCOUNT, now_ms + FORGET_MS), Ok(()));
    }

    #[test]
    fn an_address_that_did_not_fail_never_waits() {
        let mut throttle = Throttle::default();
        for guesser in 2..10_000 {
            let _ = throttle.begin(address(guesser), ACCOUNT, NOW);
        }
        assert_eq!(throttle.begin(address(1), ACCOUNT, NOW), Ok(()));
        throttle.succeed(address(1), ACCOUNT);
        assert_eq!(
            throttle.begin(address(1), ACCOUNT, NOW),
            Ok(()),
            "again and again"
        );
        assert!(
            throttle.begin(address(2), ACCOUNT, NOW).is_err(),
            "a guesser's second try"
        );
        assert_eq!(
            throttle.begin(address(2), [2; 32], NOW),
            Ok(()),
            "for another account"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut throttle = Throttle::default();
        for guesser in 0..100_000_u32 {
            let mut account = [0; 32];
            account[..4].copy_from_slice(&guesser.to_be_bytes());
            let _ = throttle.begin(address(guesser), account, NOW + i64::from(guesser));
        }
        assert!(throttle.0.len() <= REMEMBERED_MAX);
    }
}
