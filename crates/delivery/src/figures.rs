//! How requests fare: counts since the process started, and of the last minutes, in memory of a fixed size.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;
use serde::Serialize;

/// The upper ends of the latencies that are told apart, in milliseconds. What is longer is counted after the last.
pub const LATENCY_BOUNDS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000];
const BUCKETS: usize = LATENCY_BOUNDS_MS.len() + 1;

/// How long a slot is, in milliseconds.
const SLOT_MS: i64 = 10_000;
/// Slots that are remembered: five minutes, and the one that is being filled.
const SLOTS: usize = 31;
/// Status codes that are counted apart.
const MAX_CODES: usize = 32;
/// Causes of errors that are counted apart.
const MAX_CAUSES: usize = 20;

/// How long requests took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Requests by the first of [`LATENCY_BOUNDS_MS`] that they took no longer than; the last of those that took longer.
    pub counts: [u64; BUCKETS],
    /// All of them together, in milliseconds.
    pub sum_ms: u64,
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let at = LATENCY_BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        if let Some(count) = self.counts.get_mut(at.unwrap_or(BUCKETS - 1)) {
            *count += 1;
        }
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    fn plus(mut self, other: &Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
        self
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What `percent` of a hundred requests took no longer than, in milliseconds, as exactly as the bounds tell; `None`
    /// when there are none.
    pub fn percentile_ms(&self, percent: u64) -> Option<u64> {
        let rank = (self.total() * percent).div_ceil(100);
        let mut before = 0;
        let mut lower = 0;
        for (at, count) in self.counts.iter().enumerate().filter(|_| rank > 0) {
            let upper = LATENCY_BOUNDS_MS.get(at).copied().unwrap_or(lower);
            if before + count >= rank {
                return Some(lower + (upper - lower) * (rank - before) / (*count).max(1));
            }
            before += count;
            lower = upper;
        }
        None
    }
}

/// Counts since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by what came back: 1xx and 2xx, 3xx, 4xx, 5xx and above, no answer.
    pub requests: [u64; 5],
    /// How long they took.
    pub latencies: Latencies,
    /// Events that were delivered, in any grade.
    pub events: u64,
    /// Bytes of their documents, before compression.
    pub bytes: u64,
    /// Events that were sent again.
    pub retried: u64,
}

impl Totals {
    /// The names of [`Totals::requests`], in its order.
    pub const CLASSES: [&'static str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: i64,
    events: u64,
    bytes: u64,
    latencies: Latencies,
}

/// What failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The reason, in the destination's own words.
    pub reason: String,
    /// Requests.
    pub count: u64,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
}

/// The figures of one configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    begun: Option<Timestamp>,
    totals: Totals,
    slots: Vec<Slot>,
    codes: BTreeMap<u16, u64>,
    causes: Vec<Cause>,
}

/// What went out in a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Events that were delivered, each second.
    pub events_per_second: f64,
    /// Bytes of their documents, before compression.
    pub bytes_per_second: f64,
}

/// The figures of the last minutes, and of all requests since the process started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recent {
    /// Of the last minute.
    pub last_minute: Rate,
    /// Of the last five minutes.
    pub last_five_minutes: Rate,
    /// What half of the requests of the last five minutes took no longer than, in milliseconds; `null` when there were none.
    pub latency_p50_ms: Option<u64>,
    /// The same of 99 in a hundred.
    pub latency_p99_ms: Option<u64>,
    /// Answers by status code since the process started; 0: there was none; 999: other codes, when there were too many.
    pub answers: BTreeMap<u16, u64>,
    /// What failed since the process started, by reason, the newest first; only the last 20 reasons.
    pub errors: Vec<Cause>,
}

impl Figures {
    fn slot(&mut self, now: Timestamp) -> Option<&mut Slot> {
        self.begun.get_or_insert(now);
        let number = number_of(now);
        self.slots.resize(SLOTS, Slot::default());
        let slot =
            usize::try_from(number.rem_euclid(SLOTS as i64)).ok().and_then(|at| self.slots.get_mut(at))?;
        if slot.number < number {
            *slot = Slot { number, ..Slot::default() };
        }
        Some(slot)
    }

    /// Counts a request whose answer, if there was one, had this status.
    pub(crate) fn answered(&mut self, now: Timestamp, status: Option<u16>, took: Duration) {
        let class = match status {
            None => 4,
            Some(code) => usize::from((code / 100).clamp(2, 5) - 2),
        };
        if let Some(count) = self.totals.requests.get_mut(class) {
            *count += 1;
        }
        self.totals.latencies.add(took);
        let code = status.unwrap_or(0);
        let is_known = self.codes.len() < MAX_CODES || self.codes.contains_key(&code);
        *self.codes.entry(if is_known { code } else { 999 }).or_default() += 1;
        if let Some(slot) = self.slot(now) {
            slot.latencies.add(took);
        }
    }

    /// Counts a request that failed for this reason, wholly or in part.
    pub(crate) fn failed(&mut self, now: Timestamp, reason: &str) {
        if let Some(at) = self.causes.iter().position(|cause| cause.reason == reason) {
            let mut cause = self.causes.remove(at);
            cause.count += 1;
            cause.last_at = now;
            self.causes.insert(0, cause);
            return;
        }
        self.causes.truncate(MAX_CAUSES - 1);
        self.causes.insert(0, Cause { reason: reason.to_owned(), count: 1, first_at: now, last_at: now });
    }

    /// Counts what was delivered.
    pub(crate) fn delivered(&mut self, now: Timestamp, events: u64, bytes: u64) {
        self.totals.events += events;
        self.totals.bytes += bytes;
        if let Some(slot) = self.slot(now) {
            slot.events += events;
            slot.bytes += bytes;
        }
    }

    /// Counts events that are sent again.
    pub(crate) fn retried(&mut self, events: u64) {
        self.totals.retried += events;
    }

    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn recent(&self, now: Timestamp) -> Recent {
        let latencies = self.last(now, 30).fold(Latencies::default(), |all, slot| all.plus(&slot.latencies));
        Recent {
            last_minute: self.rate(now, 6),
            last_five_minutes: self.rate(now, 30),
            latency_p50_ms: latencies.percentile_ms(50),
            latency_p99_ms: latencies.percentile_ms(99),
            answers: self.codes.clone(),
            errors: self.causes.clone(),
        }
    }

    /// The slot that is being filled, and `n` before it.
    fn last(&self, now: Timestamp, n: i64) -> impl Iterator<Item = &Slot> {
        let newest = number_of(now);
        self.slots.iter().filter(move |slot| (newest - n..=newest).contains(&slot.number))
    }

    fn rate(&self, now: Timestamp, n: i64) -> Rate {
        let (events, bytes) = self
            .last(now, n)
            .fold((0, 0), |(events, bytes), slot| (events + slot.events, bytes + slot.bytes));
        // Of a time that is as long as the slots, or as the process has been at it; never so short that one batch looks
        // like a flood.
        let into = now.as_millis().rem_euclid(SLOT_MS) + n * SLOT_MS;
        let known = self.begun.map_or(0, |begun| now.as_millis() - begun.as_millis());
        let seconds = known.clamp(SLOT_MS, into.max(SLOT_MS)) as f64 / 1e3;
        let per_second = |n: u64| (n as f64 / seconds * 10.0).round() / 10.0;
        Rate { events_per_second: per_second(events), bytes_per_second: per_second(bytes) }
    }
}

fn number_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(SLOT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn rates_are_of_the_last_minutes_and_fade() {
        let mut figures = Figures::default();
        for second in 0..600 {
            figures.delivered(at(second), 20, 1_000);
        }
        let recent = figures.recent(at(600));
        assert_eq!(
            (recent.last_minute.events_per_second, recent.last_minute.bytes_per_second),
            (20.0, 1_000.0)
        );
        assert_eq!(recent.last_five_minutes.events_per_second, 20.0);
        let later = figures.recent(at(700));
        assert_eq!(later.last_minute.events_per_second, 0.0);
        assert!((10.0..16.0).contains(&later.last_five_minutes.events_per_second), "{later:?}");
        assert_eq!(figures.recent(at(2_000)).last_five_minutes.events_per_second, 0.0);
        assert_eq!(figures.totals().events, 12_000);
    }

    #[test]
    fn a_first_batch_is_no_flood() {
        let mut figures = Figures::default();
        figures.delivered(at(0), 100, 1);
        assert_eq!(figures.recent(at(0)).last_minute.events_per_second, 10.0);
    }

    #[test]
    fn percentiles_are_within_their_bounds() {
        let mut figures = Figures::default();
        assert_eq!(figures.recent(at(0)).latency_p50_ms, None);
        for ms in 1..=1_000 {
            figures.answered(at(0), Some(200), Duration::from_millis(ms));
        }
        figures.answered(at(0), None, Duration::from_secs(300));
        let recent = figures.recent(at(1));
        assert_eq!((recent.latency_p50_ms, recent.latency_p99_ms), (Some(501), Some(991)));
        let latencies = figures.totals().latencies;
        assert_eq!((latencies.percentile_ms(100), latencies.total()), (Some(60_000), 1_001));
        assert_eq!(figures.recent(at(400)).latency_p50_ms, None, "of the last minutes only");
    }

    #[test]
    fn answers_are_counted_by_code_and_class_and_few_of_them_apart() {
        let mut figures = Figures::default();
        for code in [Some(200), Some(201), Some(302), Some(404), Some(503), Some(100), None, None] {
            figures.answered(at(0), code, Duration::ZERO);
        }
        assert_eq!(figures.totals().requests, [3, 1, 1, 1, 2]);
        assert_eq!(figures.recent(at(0)).answers[&0], 2);
        for code in 300..400 {
            figures.answered(at(0), Some(code), Duration::ZERO);
        }
        let answers = figures.recent(at(0)).answers;
        assert!(answers.len() <= MAX_CODES + 1 && answers[&999] > 0, "{answers:?}");
    }

    #[test]
    fn errors_are_grouped_by_reason_and_the_oldest_reason_goes_first() {
        let mut figures = Figures::default();
        for n in 0..100 {
            figures.failed(at(n), &format!("reason {n}"));
            figures.failed(at(n), "always");
        }
        let errors = figures.recent(at(100)).errors;
        assert_eq!((errors.len(), errors[0].reason.as_str(), errors[0].count), (MAX_CAUSES, "always", 100));
        assert_eq!((errors[0].first_at, errors[0].last_at), (at(0), at(99)));
        assert_eq!(errors[1].reason, "reason 99");
    }
}
