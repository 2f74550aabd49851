//! When a worker may send: freely while its destination answers, one probe at a time while it does not.

use std::time::Duration;

use base::{Backoff, Random};
use tokio::time::Instant;

/// How long one request at a time is sent after a destination said that it is near its limits.
const SLOW_FOR: Duration = Duration::from_secs(1);
/// More requests than this are never in flight to one destination.
const RAMP_ENDS: usize = 64;
/// Of a wait that was asked for, the part that is added at most, so that all who were asked alike do not come back at once.
const STAGGER: u32 = 8;

/// A breaker of one destination. A request that proves nothing for any of its events closes it; the next waits are
/// longer; a single probe goes out when the wait is over; a proof opens it again, for two requests at first, and for twice
/// as many with each further proof: a destination that has just come back is not met by all that has gathered at once.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    failures: u32,
    deliveries: u64,
    closed_until: Option<Instant>,
    /// Requests that may be in flight since it was opened again; `None` when that was long ago.
    ramp: Option<usize>,
    asked_until: Option<Instant>,
    slow_until: Option<Instant>,
}

impl Gate {
    /// How many of `max` requests may be in flight now.
    pub(crate) fn allowance(&self, now: Instant, max: usize) -> usize {
        let is_asked_to_wait = self.asked_until.is_some_and(|until| now < until);
        match self.closed_until {
            _ if is_asked_to_wait => 0,
            Some(until) if now < until => 0,
            Some(_) => 1,
            None if self.slow_until.is_some_and(|until| now < until) => 1,
            None => self.ramp.map_or(max, |ramp| ramp.min(max)),
        }
    }

    /// When the answer of [`Gate::allowance`] changes by itself.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        [self.closed_until, self.asked_until, self.slow_until]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// A request proved something about at least one event; it may have delivered one. A wait that the destination asked
    /// for goes on all the same.
    pub(crate) fn proved(&mut self, has_delivered: bool) {
        self.failures = 0;
        self.deliveries += u64::from(has_delivered);
        self.closed_until = None;
        self.ramp = self.ramp.map(|ramp| ramp * 2).filter(|ramp| *ramp <= RAMP_ENDS);
    }

    /// Whether the last request proved something, and no wait was asked for.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.closed_until.is_none() && self.asked_until.is_none_or(|until| until <= now)
    }

    /// How many requests have delivered something.
    pub(crate) const fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// The destination asked for a wait: nothing is sent before it is over, and a little longer. A shorter one does not end a
    /// longer one.
    pub(crate) fn wait(&mut self, now: Instant, asked: Duration, random: &Random) {
        let longer = u64::try_from((asked / STAGGER).as_millis()).unwrap_or(u64::MAX);
        let until = now + asked + Duration::from_millis(random.up_to(longer));
        self.asked_until = self.asked_until.max(Some(until));
    }

    /// The destination is near its limits.
    pub(crate) fn slow_down(&mut self, now: Instant) {
        self.slow_until = Some(now + SLOW_FOR);
    }

    /// A request proved nothing. Requests that were in flight together count as one failure.
    pub(crate) fn failed(&mut self, now: Instant, backoff: Backoff, random: &Random) {
        let already_closed = self.closed_until.is_some_and(|until| now < until);
        if !already_closed {
            self.failures = self.failures.saturating_add(1);
            self.ramp = Some(1);
            self.closed_until = Some(now + backoff.delay(self.failures, None, random));
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
        gate.failed(start, backoff, &random);
        gate.failed(start, backoff, &random);
        assert_eq!(gate.failures, 1, "in flight together: one failure");
        assert_eq!(gate.allowance(start, 4), 0);
        let later = gate.changes_at(start).unwrap();
        assert!(later <= start + Duration::from_secs(1));
        assert_eq!(gate.allowance(later, 4), 1);
        gate.failed(later, backoff, &random);
        assert_eq!(gate.allowance(later, 4), 0);
        for (allowed, max) in [(2, 4), (4, 8), (8, 9), (9, 9)] {
            gate.proved(true);
            assert_eq!(gate.allowance(later, max), allowed, "more and more");
        }
        gate.slow_down(later);
        assert_eq!(gate.allowance(later, 4), 1);
        assert_eq!(gate.allowance(later + SLOW_FOR, 4), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_asked_for_is_kept_whatever_other_requests_prove() {
        let mut gate = Gate::default();
        let start = Instant::now();
        let random = Random::from_seed(1);
        gate.wait(start, Duration::from_mins(1), &random);
        gate.wait(start, Duration::from_secs(1), &random);
        gate.proved(true);
        assert_eq!(gate.allowance(start + Duration::from_secs(59), 4), 0);
        let end = gate.changes_at(start).unwrap();
        assert!((60_000..=67_500).contains(&(end - start).as_millis()), "{:?}", end - start);
        assert_eq!(gate.allowance(end, 4), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_were_asked_to_wait_alike_come_back_one_after_another() {
        let (start, random) = (Instant::now(), Random::from_seed(1));
        let ends = (0..10).map(|_| {
            let mut gate = Gate::default();
            gate.wait(start, Duration::from_mins(1), &random);
            gate.changes_at(start).unwrap()
        });
        let ends: std::collections::BTreeSet<Instant> = ends.collect();
        assert!(ends.len() > 8, "{ends:?}");
    }
}
