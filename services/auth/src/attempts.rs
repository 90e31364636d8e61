//! Limits on failed logins: per address and user, per user, and per address (spec auth.md 5.3).
//!
//! An attempt is counted before the password is looked at and given back when it was right, so a thousand attempts at
//! once are not a thousand free ones. Keys are hashed and held in bounded maps: a flood costs a fixed amount of memory.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cc_runtime::clock::Clock;
use sha2::{Digest, Sha256};

use crate::bounded::Bounded;

/// Failures in a row, and how long until one of them is forgotten.
#[derive(Debug, Clone, Copy)]
struct Limit {
    burst: i64,
    period_ms: i64,
}

/// One account from everywhere: slows guessing from many machines, and is loose enough that keeping somebody out takes
/// an effort that the log shows.
const USER: Limit = Limit { burst: 30, period_ms: 60_000 };
/// One place, all accounts: slows trying one password on everybody. Loose, since a whole site may share an address.
const ADDRESS: Limit = Limit { burst: 100, period_ms: 10_000 };

/// Most keys of each kind that are remembered.
const KEYS_MAX: usize = 20_000;
/// Longest memory of one failure, whatever is configured: a day.
const PERIOD_MS_MAX: i64 = 24 * 3600 * 1000;

type Key = [u8; 16];

/// The limiter. State is per process and in memory.
#[derive(Debug)]
pub struct Attempts {
    clock: Clock,
    /// One person at one place.
    pair: Limit,
    buckets: Mutex<Buckets>,
}

/// Per key the time at which all its failures will be forgotten, Unix milliseconds.
#[derive(Debug)]
struct Buckets {
    pairs: Bounded<Key, i64>,
    users: Bounded<Key, i64>,
    addresses: Bounded<Key, i64>,
}

/// A counted attempt.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    attempts: &'a Attempts,
    pair: Key,
    user: Key,
    address: Key,
}

/// Too many failures; nothing was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too many login attempts, try again in a few minutes")]
pub struct TooMany {
    /// Seconds until the next attempt is looked at.
    pub retry_after_s: u32,
}

impl Attempts {
    /// A limiter without history: `attempts` failures of one user at one address are free, and one more each time that
    /// part of `window` has passed (`limits.login-attempts`, `limits.login-window`; the reference: 5 in 15 minutes).
    pub fn new(clock: Clock, attempts: u32, window: Duration) -> Self {
        let burst = i64::from(attempts.max(1));
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let pair = Limit { burst, period_ms: (window_ms / burst).clamp(1, PERIOD_MS_MAX) };
        let buckets = Buckets {
            pairs: Bounded::new(KEYS_MAX),
            users: Bounded::new(KEYS_MAX),
            addresses: Bounded::new(KEYS_MAX),
        };
        Self { clock, pair, buckets: Mutex::new(buckets) }
    }

    /// Counts an attempt from `address` (as text; IPv6 counts by its /64, which one customer owns) to log in as
    /// `username`.
    ///
    /// # Errors
    /// [`TooMany`], and then nothing is counted.
    pub fn begin(&self, address: &str, username: &str) -> Result<Attempt<'_>, TooMany> {
        let network = network(address);
        let attempt = Attempt {
            attempts: self,
            pair: key(&[&network, username]),
            user: key(&[username]),
            address: key(&[&network]),
        };
        let now = self.clock.now().as_millisecond();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let wait_ms = buckets
            .of(&attempt, self.pair)
            .into_iter()
            .map(|(bucket, key, limit)| wait_ms(bucket, &key, limit, now))
            .max()
            .unwrap_or_default();
        if wait_ms > 0 {
            let retry_after_s = u32::try_from(wait_ms.div_euclid(1000) + 1).unwrap_or(u32::MAX);
            return Err(TooMany { retry_after_s });
        }
        for (bucket, key, limit) in buckets.of(&attempt, self.pair) {
            let until = bucket.get_mut(&key).map_or(now, |until| (*until).max(now));
            bucket.insert(key, until + limit.period_ms);
        }
        Ok(attempt)
    }
}

impl Buckets {
    fn of(&mut self, attempt: &Attempt<'_>, pair: Limit) -> [(&mut Bounded<Key, i64>, Key, Limit); 3] {
        [
            (&mut self.pairs, attempt.pair, pair),
            (&mut self.users, attempt.user, USER),
            (&mut self.addresses, attempt.address, ADDRESS),
        ]
    }
}

impl Attempt<'_> {
    /// The password was right: the attempt does not count.
    pub fn succeeded(self) {
        let mut buckets = self.attempts.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, key, limit) in buckets.of(&self, self.attempts.pair) {
            if let Some(until) = bucket.get_mut(&key) {
                *until -= limit.period_ms;
            }
        }
    }
}

/// Milliseconds until this key may try again; 0 = now.
fn wait_ms(bucket: &mut Bounded<Key, i64>, key: &Key, limit: Limit, now: i64) -> i64 {
    let until = bucket.get_mut(key).map_or(now, |until| *until);
    (until - (limit.burst - 1) * limit.period_ms - now).max(0)
}

fn network(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(address) => match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
        },
        Err(_) => address.to_owned(),
    }
}

fn key(parts: &[&str]) -> Key {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    key
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn attempts() -> (Clock, Attempts) {
        let clock = Clock::fixed(Timestamp::from_second(1_795_000_000).unwrap());
        (clock.clone(), Attempts::new(clock, 5, Duration::from_mins(15)))
    }

    fn fail(attempts: &Attempts, address: &str, username: &str) -> Result<(), TooMany> {
        attempts.begin(address, username).map(drop)
    }

    #[test]
    fn the_sixth_failure_of_a_pair_is_not_looked_at_and_one_more_every_three_minutes() {
        let (clock, attempts) = attempts();
        for _ in 0..5 {
            fail(&attempts, "10.0.0.1", "bob").unwrap();
        }
        assert_eq!(fail(&attempts, "10.0.0.1", "bob"), Err(TooMany { retry_after_s: 181 }));
        fail(&attempts, "10.0.0.1", "alice").unwrap();
        fail(&attempts, "10.0.0.2", "bob").unwrap();
        clock.advance(SignedDuration::from_secs(179));
        assert_eq!(fail(&attempts, "10.0.0.1", "bob"), Err(TooMany { retry_after_s: 2 }));
        clock.advance(SignedDuration::from_secs(1));
        fail(&attempts, "10.0.0.1", "bob").unwrap();
        assert!(fail(&attempts, "10.0.0.1", "bob").is_err());
        clock.advance(SignedDuration::from_mins(15));
        for _ in 0..5 {
            fail(&attempts, "10.0.0.1", "bob").unwrap();
        }
    }

    #[test]
    fn successes_do_not_count() {
        let (_, attempts) = attempts();
        for _ in 0..1_000 {
            attempts.begin("10.0.0.1", "bob").unwrap().succeeded();
        }
        for _ in 0..5 {
            fail(&attempts, "10.0.0.1", "bob").unwrap();
        }
        assert!(fail(&attempts, "10.0.0.1", "bob").is_err());
    }

    #[test]
    fn attempts_in_flight_count_as_failures_until_they_succeed() {
        let (_, attempts) = attempts();
        let open: Vec<_> = (0..5).map(|_| attempts.begin("10.0.0.1", "bob").unwrap()).collect();
        assert!(attempts.begin("10.0.0.1", "bob").is_err());
        for attempt in open {
            attempt.succeeded();
        }
        assert!(attempts.begin("10.0.0.1", "bob").is_ok());
    }

    #[test]
    fn one_user_from_many_addresses_is_limited() {
        let (_, attempts) = attempts();
        let failures = (0..200).filter(|n| fail(&attempts, &format!("10.0.{n}.1"), "bob").is_ok()).count();
        assert_eq!(failures, 30);
        fail(&attempts, "10.1.0.1", "alice").unwrap();
    }

    #[test]
    fn many_users_from_one_address_are_limited() {
        let (_, attempts) = attempts();
        let failures = (0..500).filter(|n| fail(&attempts, "2001:db8::1", &format!("u{n}")).is_ok()).count();
        assert_eq!(failures, 100);
        assert!(fail(&attempts, "2001:db8::ffff:2", "x").is_err(), "the same /64");
        fail(&attempts, "2001:db8:0:1::1", "x").unwrap();
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(network("no address"), "no address");
    }

    #[test]
    fn memory_is_bounded() {
        let (_, attempts) = attempts();
        for n in 0..100_000 {
            let _ =
                fail(&attempts, &format!("10.{}.{}.{}", n / 65536, n / 256 % 256, n % 256), &format!("u{n}"));
        }
        let buckets = attempts.buckets.lock().unwrap();
        for bucket in [&buckets.pairs, &buckets.users, &buckets.addresses] {
            assert!(bucket.len() <= KEYS_MAX);
        }
    }
}
