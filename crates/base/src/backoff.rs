//! How long to wait before the next try: exponential with full jitter, never shorter than the other side asked for.

use std::time::Duration;

use crate::Random;

/// A validated back-off: waits double from `first` up to `cap`; each wait is drawn evenly from zero to that bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// `None` unless zero < `first` <= `cap`.
    pub fn new(first: Duration, cap: Duration) -> Option<Self> {
        (!first.is_zero() && first <= cap).then_some(Self { first, cap })
    }

    /// The longest wait before try number `attempt` (1 is the first retry).
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }

    /// The wait before try number `attempt`; at least `asked` (a `Retry-After`), itself held at an hour.
    pub fn delay(&self, attempt: u32, asked: Option<Duration>, random: &Random) -> Duration {
        const LONGEST_ASKED: Duration = Duration::from_hours(1);
        let bound_ms = u64::try_from(self.bound(attempt).as_millis()).unwrap_or(u64::MAX);
        let drawn = Duration::from_millis(random.up_to(bound_ms));
        drawn.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_respect_what_was_asked() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).unwrap();
        assert_eq!(backoff.bound(1), Duration::from_millis(100));
        assert_eq!(backoff.bound(4), Duration::from_millis(800));
        assert_eq!(backoff.bound(400), Duration::from_secs(5));
        let random = Random::from_seed(7);
        for attempt in 1..50 {
            assert!(backoff.delay(attempt, None, &random) <= backoff.bound(attempt));
        }
        let asked = Duration::from_secs(9);
        assert_eq!(backoff.delay(1, Some(asked), &random), asked);
        assert_eq!(Backoff::new(Duration::ZERO, asked), None);
    }
}
