//! When a worker may send: freely while its destination answers, one probe at a time while it does not.

use std::time::Duration;

use base::{Backoff, Random};
use tokio::time::Instant;

/// How long one request at a time is sent after a destination said that it is near its limits.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// A breaker of one destination. A request that proves nothing for any of its events closes it; the next waits are
/// longer; a single probe goes out when the wait is over; a proof opens it again.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    failures: u32,
    closed_until: Option<Instant>,
    slow_until: Option<Instant>,
}

impl Gate {
    /// How many of `max` requests may be in flight now.
    pub(crate) fn allowance(&self, now: Instant, max: usize) -> usize {
        match self.closed_until {
            Some(until) if now < until => 0,
            Some(_) => 1,
            None if self.slow_until.is_some_and(|until| now < until) => 1,
            None => max,
        }
    }

    /// When the answer of [`Gate::allowance`] changes by itself.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        self.closed_until.into_iter().chain(self.slow_until).filter(|at| *at > now).min()
    }

    /// A request proved something about at least one event.
    pub(crate) fn proved(&mut self) {
        self.failures = 0;
        self.closed_until = None;
    }

    /// The destination is near its limits.
    pub(crate) fn slow_down(&mut self, now: Instant) {
        self.slow_until = Some(now + SLOW_FOR);
    }

    /// A request proved nothing. Requests that were in flight together count as one failure.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        backoff: Backoff,
        asked: Option<Duration>,
        random: &Random,
    ) {
        let already_closed = self.closed_until.is_some_and(|until| now < until);
        if !already_closed {
            self.failures = self.failures.saturating_add(1);
            self.closed_until = Some(now + backoff.delay(self.failures, asked, random));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_destination_gets_one_probe_at_a_time_until_it_proves_something() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1)).unwrap();
        let random = Random::from_seed(1);
        let mut gate = Gate::default();
        let start = Instant::now();
        assert_eq!(gate.allowance(start, 4), 4);
        let asked = Some(Duration::from_secs(9));
        gate.failed(start, backoff, asked, &random);
        gate.failed(start, backoff, asked, &random);
        assert_eq!(gate.failures, 1, "in flight together: one failure");
        assert_eq!(gate.allowance(start, 4), 0);
        let later = start + Duration::from_secs(9);
        assert_eq!(gate.changes_at(start), Some(later));
        assert_eq!(gate.allowance(later, 4), 1);
        gate.failed(later, backoff, asked, &random);
        assert_eq!(gate.allowance(later, 4), 0);
        gate.proved();
        assert_eq!(gate.allowance(later, 4), 4);
        gate.slow_down(later);
        assert_eq!(gate.allowance(later, 4), 1);
        assert_eq!(gate.allowance(later + SLOW_FOR, 4), 4);
    }
}
