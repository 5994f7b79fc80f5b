//! Waits between attempts: a table of profiles and one formula (core.md 13.3).
//!
//! Guarantees: pure; the first wait is exact, later ones vary by the profile's jitter.
//! Not here: waiting.

use std::time::Duration;

use crate::ports::Entropy;

/// A way in which waits grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    base: Duration,
    factor: f64,
    jitter: f64,
    longest: Duration,
}

/// For outages that may last.
pub const DEFAULT: Backoff = Backoff {
    base: Duration::from_secs(1),
    factor: 1.6,
    jitter: 0.2,
    longest: Duration::from_secs(120),
};
/// For things that are expected to work in a moment.
pub const FAST: Backoff = Backoff {
    base: Duration::from_millis(100),
    factor: 1.6,
    jitter: 0.2,
    longest: Duration::from_secs(5),
};
/// For steps of duties.
pub const RETRYER: Backoff = Backoff {
    base: Duration::from_millis(250),
    factor: 1.6,
    jitter: 0.1,
    longest: Duration::from_secs(12),
};

impl Backoff {
    /// The wait after failure number `n` (from 0); `noise` in -1..1.
    #[must_use]
    pub fn wait(&self, n: u32, noise: f64) -> Duration {
        let Some(exponent) = i32::try_from(n.min(64)).ok().filter(|n| *n > 0) else {
            return self.base;
        };
        let grown = self.base.as_secs_f64() * self.factor.powi(exponent);
        let capped = grown.min(self.longest.as_secs_f64());
        Duration::from_secs_f64(capped * self.jitter.mul_add(noise.clamp(-1.0, 1.0), 1.0))
    }
}

/// A number in -1..1.
#[must_use]
pub fn noise(entropy: &dyn Entropy) -> f64 {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    f64::from(i32::from_le_bytes(bytes)) / 2_147_483_648.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_their_factor_up_to_the_longest() {
        let ms = |profile: Backoff, n| profile.wait(n, 0.0).as_millis();
        assert_eq!([0, 1, 2, 3, 4].map(|n| ms(RETRYER, n)), [250, 400, 640, 1024, 1638]);
        assert_eq!(
            (ms(RETRYER, 20), ms(FAST, 20), ms(DEFAULT, 99)),
            (12_000, 5_000, 120_000)
        );
    }

    #[test]
    fn jitter_is_at_most_the_profiles_part_and_the_first_wait_has_none() {
        assert_eq!(DEFAULT.wait(0, 1.0), Duration::from_secs(1));
        assert_eq!(FAST.wait(1, 1.0), Duration::from_micros(192_000));
        assert_eq!(FAST.wait(1, -9.0), Duration::from_micros(128_000));
    }
}
