//! How many events are due: the traffic keeps its rate whatever single requests cost, as far as the machine can.

use std::time::Duration;

/// Most events of one request.
const BATCH: u64 = 500;
/// How long to gather events that are due before they are sent, unless a whole request is due.
const TICK: Duration = Duration::from_millis(20);

/// A rate, and when to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Events a second; without it, as many as are taken.
    pub(super) rate: Option<u64>,
    /// Events in all.
    pub(super) n_events: Option<u64>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send so many events.
    Send(u64),
    /// Nothing is due yet.
    Wait(Duration),
    /// All have been sent.
    End,
}

impl Pace {
    /// What to do `elapsed` after the start, when `sent` events have been sent.
    pub(super) fn next(self, elapsed: Duration, sent: u64) -> Next {
        let left = self.n_events.map_or(u64::MAX, |n_events| n_events.saturating_sub(sent));
        if left == 0 {
            return Next::End;
        }
        let Some(rate) = self.rate else { return Next::Send(left.min(BATCH)) };
        let ticks = elapsed.as_nanos() / TICK.as_nanos();
        let due = |ticks: u128| {
            let events = u128::from(rate) * TICK.as_nanos() * ticks / 1_000_000_000;
            u64::try_from(events).unwrap_or(u64::MAX).saturating_add(1)
        };
        match due(ticks).saturating_sub(sent).min(left).min(BATCH) {
            0 => {
                let next_tick = TICK.saturating_mul(u32::try_from(ticks + 1).unwrap_or(u32::MAX));
                Next::Wait(next_tick.saturating_sub(elapsed))
            }
            events => Next::Send(events),
        }
    }

    /// The rate that was reached, when the one asked for was not.
    pub(super) fn missed(self, elapsed: Duration, sent: u64) -> Option<u64> {
        let reached = sent as f64 / elapsed.as_secs_f64().max(TICK.as_secs_f64());
        self.rate.filter(|rate| reached < *rate as f64 * 0.9).map(|_| reached as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent in `time` at this rate, when a request takes `cost`.
    fn simulate(rate: u64, time: Duration, cost: Duration) -> u64 {
        let pace = Pace { rate: Some(rate), n_events: None };
        let (mut elapsed, mut sent) = (Duration::ZERO, 0);
        while elapsed < time {
            match pace.next(elapsed, sent) {
                Next::Send(events) => {
                    assert!((1..=BATCH).contains(&events));
                    sent += events;
                    elapsed += cost;
                }
                Next::Wait(wait) => {
                    assert!(!wait.is_zero() && wait <= TICK);
                    elapsed += wait;
                }
                Next::End => panic!("there is no end"),
            }
        }
        sent
    }

    #[test]
    fn every_rate_is_kept_that_the_machine_can_keep() {
        for rate in [1, 7, 50, 1_000, 24_999, 25_001, 60_000, 100_000] {
            let sent = simulate(rate, Duration::from_secs(10), Duration::from_micros(100));
            let tick = rate / 50 + 1;
            assert!((rate * 10 - tick..=rate * 10 + tick).contains(&sent), "{rate}: {sent}");
        }
        let slow = simulate(100_000, Duration::from_secs(10), Duration::from_millis(10));
        assert!((499_000..=500_000).contains(&slow), "what a request every 10 ms can carry: {slow}");
    }

    #[test]
    fn a_rate_that_is_not_reached_is_told() {
        let pace = Pace { rate: Some(100_000), n_events: None };
        assert_eq!(pace.missed(Duration::from_secs(2), 60_000), Some(30_000));
        assert_eq!(pace.missed(Duration::from_secs(2), 199_000), None);
        assert_eq!(Pace { rate: None, ..pace }.missed(Duration::from_secs(2), 1), None);
    }

    #[test]
    fn it_ends_with_the_last_event() {
        for rate in [None, Some(1_000_000)] {
            let pace = Pace { rate, n_events: Some(510) };
            let elapsed = Duration::from_secs(1);
            assert_eq!(pace.next(elapsed, 0), Next::Send(500));
            assert_eq!(pace.next(elapsed, 500), Next::Send(10));
            assert_eq!(pace.next(elapsed, 510), Next::End);
        }
    }
}
