//! How a destination fares, judged from what its answers prove: calm enough that one failure among thousands says nothing,
//! and that one which comes and goes does not change its state with each answer.
//!
//! A bucket fills while nothing is proven, and drains at half that speed while something is. Full: degraded. Empty: well
//! again. So five seconds of silence are told, a second of it is not; who fails a third of the time stays degraded; and ten
//! quiet seconds end it.

use std::time::Duration;

use base::Timestamp;
use tokio::time::Instant;

/// How long nothing must be proven before it is told.
const FULL: Duration = Duration::from_secs(5);
/// The bucket drains so many times slower than it fills.
const DRAINS_SLOWER: u32 = 2;
/// As long as an operator is asked for again within this time, other failures in between do not hide that.
const HOLD_LASTS: Duration = Duration::from_mins(5);

/// What an answer, or the lack of one, says about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Something was proven about an event.
    Proof,
    /// A request proved nothing. It was sent at this instant.
    Nothing {
        /// When the request was sent.
        sent: Instant,
    },
    /// What was waited for long enough already did not come.
    Overdue,
    /// Only an operator can mend it.
    Hold,
}

/// The judgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is known yet.
    #[default]
    Fresh,
    /// It proves what it gets.
    Well,
    /// It proves little or nothing.
    Degraded,
    /// Only an operator can mend it.
    Holding,
}

/// The health of one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    standing: Standing,
    since: Option<Timestamp>,
    level: Duration,
    /// Up to when the level is known.
    at: Option<Instant>,
    last_proof: Option<Instant>,
    /// Whether the last signal proved nothing.
    is_down: bool,
    /// When the bucket began to fill.
    began: Option<Timestamp>,
    /// When it began to drain.
    eased: Option<Timestamp>,
    held: Option<Instant>,
}

impl Health {
    /// What it is, as of the last signal or call of [`Health::pass`].
    pub(crate) const fn standing(&self) -> Standing {
        self.standing
    }

    /// Since when.
    pub(crate) const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Takes a signal in that came at `at`, which is `now` for people.
    pub(crate) fn hear(&mut self, signal: Signal, at: Instant, now: Timestamp) {
        self.pass(at);
        if signal == Signal::Proof {
            self.last_proof = Some(at);
            if self.is_down || self.standing == Standing::Fresh {
                self.eased = Some(now);
            }
            self.is_down = false;
            if self.standing == Standing::Fresh {
                self.turn(Standing::Well, Some(now));
            }
            return;
        }
        if self.level.is_zero() && !self.is_down {
            self.began = Some(now);
        }
        match signal {
            Signal::Proof => {}
            // That time is counted already.
            Signal::Nothing { .. } if self.is_down => {}
            Signal::Nothing { sent } => {
                // The time of waiting for it counts, but for the part in which something else was proven.
                let silent = self.last_proof.map_or(sent, |proof| proof.max(sent));
                self.fill(at.saturating_duration_since(silent));
            }
            Signal::Overdue => self.fill(FULL),
            Signal::Hold => {
                self.fill(FULL);
                self.held = Some(at);
                if self.standing != Standing::Holding {
                    self.turn(Standing::Holding, Some(now));
                }
            }
        }
        self.is_down = true;
        self.at = Some(at);
        self.judge(at);
    }

    /// Takes in that time has passed without a signal.
    pub(crate) fn pass(&mut self, at: Instant) {
        let passed = self.at.map_or(Duration::ZERO, |since| at.saturating_duration_since(since));
        self.at = self.at.max(Some(at));
        if self.is_down {
            self.fill(passed);
        } else {
            self.level = self.level.saturating_sub(passed / DRAINS_SLOWER);
        }
        self.judge(at);
    }

    fn fill(&mut self, more: Duration) {
        self.level = (self.level + more).min(FULL);
    }

    fn judge(&mut self, at: Instant) {
        let is_held = self.held.is_some_and(|held| at.saturating_duration_since(held) <= HOLD_LASTS);
        match self.standing {
            Standing::Degraded | Standing::Holding if self.level.is_zero() && !self.is_down => {
                self.held = None;
                self.turn(Standing::Well, self.eased);
            }
            Standing::Holding if !is_held => self.turn(Standing::Degraded, self.began),
            Standing::Fresh | Standing::Well if self.level >= FULL => {
                self.turn(Standing::Degraded, self.began);
            }
            _ => {}
        }
    }

    fn turn(&mut self, standing: Standing, since: Option<Timestamp>) {
        self.standing = standing;
        self.since = since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A destination and its clocks.
    struct Watched {
        health: Health,
        begin: Instant,
        at: Duration,
    }

    impl Watched {
        fn new() -> Self {
            Self { health: Health::default(), begin: Instant::now(), at: Duration::ZERO }
        }

        fn wall(at: Duration) -> Timestamp {
            Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(at)
        }

        fn hear(&mut self, signal: Signal) {
            self.health.hear(signal, self.begin + self.at, Self::wall(self.at));
        }

        fn fail(&mut self) {
            self.hear(Signal::Nothing { sent: self.begin + self.at });
        }

        fn wait(&mut self, ms: u64) -> Standing {
            self.at += Duration::from_millis(ms);
            self.health.pass(self.begin + self.at);
            self.health.standing()
        }
    }

    #[tokio::test]
    async fn one_failure_among_thousands_says_nothing() {
        let mut watched = Watched::new();
        for n in 0..100_000 {
            if n % 100 == 0 {
                watched.fail()
            } else {
                watched.hear(Signal::Proof)
            }
            assert_ne!(watched.wait(1), Standing::Degraded, "request {n}");
        }
        assert_eq!(
            watched.health.since(),
            Some(Watched::wall(Duration::from_millis(1))),
            "since its first proof"
        );
    }

    #[tokio::test]
    async fn silence_is_told_since_it_began_and_ten_quiet_seconds_end_it() {
        let mut watched = Watched::new();
        watched.hear(Signal::Proof);
        watched.wait(60_000);
        watched.fail();
        assert_eq!(watched.wait(4_999), Standing::Well);
        assert_eq!(watched.wait(1), Standing::Degraded);
        assert_eq!(watched.health.since(), Some(Watched::wall(Duration::from_mins(1))));
        watched.wait(600_000);
        watched.hear(Signal::Proof);
        let proven = watched.at;
        assert_eq!(watched.wait(9_999), Standing::Degraded);
        assert_eq!(watched.wait(1), Standing::Well);
        assert_eq!(watched.health.since(), Some(Watched::wall(proven)), "since its proof");
    }

    #[tokio::test]
    async fn one_that_comes_and_goes_stays_degraded() {
        let mut watched = Watched::new();
        let mut changes = 0;
        let mut last = Standing::Well;
        watched.hear(Signal::Proof);
        for _ in 0..200 {
            watched.fail();
            watched.wait(2_000);
            watched.hear(Signal::Proof);
            let standing = watched.wait(2_000);
            changes += u32::from(standing != last);
            last = standing;
        }
        assert_eq!((last, changes), (Standing::Degraded, 1));
    }

    #[tokio::test]
    async fn what_an_operator_must_mend_is_told_at_once_and_stays_told_among_other_failures() {
        let mut watched = Watched::new();
        watched.hear(Signal::Proof);
        watched.wait(1_000);
        watched.hear(Signal::Hold);
        assert_eq!(watched.health.standing(), Standing::Holding);
        for _ in 0..10 {
            watched.wait(20_000);
            watched.fail();
            assert_eq!(watched.health.standing(), Standing::Holding);
        }
        watched.hear(Signal::Hold);
        assert_eq!(
            watched.health.since(),
            Some(Watched::wall(Duration::from_secs(1))),
            "since the first time"
        );
        assert_eq!(
            watched.wait(300_001),
            Standing::Degraded,
            "nobody is asked for any more, and it does not answer"
        );
        watched.hear(Signal::Proof);
        assert_eq!(watched.wait(10_000), Standing::Well);
    }

    #[tokio::test]
    async fn the_time_of_a_request_that_timed_out_counts_but_for_what_others_proved_in_it() {
        let mut watched = Watched::new();
        watched.wait(30_000);
        let sent = watched.begin;
        watched.hear(Signal::Nothing { sent });
        assert_eq!(watched.health.standing(), Standing::Degraded);

        let mut watched = Watched::new();
        watched.wait(29_000);
        watched.hear(Signal::Proof);
        watched.wait(1_000);
        let sent = watched.begin;
        watched.hear(Signal::Nothing { sent });
        assert_eq!(watched.health.standing(), Standing::Well);
        watched.hear(Signal::Overdue);
        assert_eq!(watched.health.standing(), Standing::Degraded);
    }
}
