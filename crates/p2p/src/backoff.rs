//! Growing waits between attempts (p2p.md 3.7).
//!
//! Pure: the random number comes from the caller. Not here: when an attempt counts as failed.

use std::time::Duration;

/// Factor from one wait to the next.
const MULTIPLIER: f64 = 1.6;
/// Largest share by which chance moves a wait, up or down.
const JITTER: f64 = 0.2;

/// A shape of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// First wait.
    pub base: Duration,
    /// Longest wait before jitter.
    pub max: Duration,
}

impl Profile {
    /// Relay reservations.
    pub const DEFAULT: Self = Self {
        base: Duration::from_secs(1),
        max: Duration::from_secs(120),
    };
    /// Relay look-ups.
    pub const FAST: Self = Self {
        base: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };
    /// Dialling peers.
    pub const PING: Self = Self {
        base: Duration::from_secs(1),
        max: Duration::from_secs(30),
    };

    /// The wait before retry number `retry`, from 0; `random` is uniform in `[0, 1)`. The first wait has no jitter.
    #[must_use]
    pub fn delay(&self, retry: u32, random: f64) -> Duration {
        if retry == 0 {
            return self.base;
        }
        let max = self.max.as_secs_f64();
        let mut wait = self.base.as_secs_f64();
        for _ in 0..retry {
            if wait >= max {
                break;
            }
            wait *= MULTIPLIER;
        }
        Duration::from_secs_f64(wait.min(max) * (1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0)))
    }
}

/// Counts failures and says how long to wait after each.
#[derive(Debug, Clone)]
pub struct Backoff {
    profile: Profile,
    retry: u32,
}

impl Backoff {
    /// Without failures so far.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, retry: 0 }
    }

    /// Counts a failure and gives the wait after it.
    pub fn failed(&mut self, random: f64) -> Duration {
        let wait = self.profile.delay(self.retry, random);
        self.retry = self.retry.saturating_add(1);
        wait
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.retry = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_start_anew_after_a_success() {
        let mut b = Backoff::new(Profile::PING);
        let waits: Vec<_> = (0..20).map(|_| b.failed(0.5)).collect();
        assert!(waits.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!((waits[0], waits[19]), (Duration::from_secs(1), Duration::from_secs(30)));
        b.reset();
        assert_eq!(b.failed(0.9), Duration::from_secs(1));
    }
}
