//! How much goes out: measured by the hour, over the last day, and told per day.

use std::time::Duration;

use base::Timestamp;
use serde::Serialize;

/// Hours that are remembered, the current one among them.
const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;
const DAY_SECONDS: f64 = 86_400.0;
/// Nothing is said about a day after a shorter time.
const SHORTEST: Duration = Duration::from_mins(1);

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PerDay {
    /// Events.
    pub events_per_day: u64,
    /// Bytes of documents in their envelopes, before compression, in units of 10^9; to the kilobyte.
    pub gigabytes_per_day: f64,
}

impl PerDay {
    /// The rate of so much within a time; `None` when the time is too short to tell.
    pub(crate) fn of(events: u64, bytes: u64, within: Duration) -> Option<Self> {
        let days = within.as_secs_f64() / DAY_SECONDS;
        (within >= SHORTEST).then(|| Self {
            events_per_day: (events as f64 / days).round() as u64,
            gigabytes_per_day: (bytes as f64 / days / 1e3).round() / 1e6,
        })
    }
}

/// What was delivered since a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Since when: the beginning of the hour that is 23 hours back, or the first start of a worker in this process.
    pub since: Timestamp,
    /// Events that were delivered, in any grade.
    pub events: u64,
    /// Bytes of their documents in their envelopes, before compression.
    pub bytes: u64,
    /// What that is in a day; absent during the first minute.
    #[serde(flatten)]
    pub per_day: Option<PerDay>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    number: i64,
    events: u64,
    bytes: u64,
}

/// Counts by the hour.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    since: Timestamp,
    hours: [Hour; HOURS],
}

impl Volume {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { since: now, hours: [Hour::default(); HOURS] }
    }

    /// Counts what was delivered now.
    pub(crate) fn add(&mut self, now: Timestamp, events: u64, bytes: u64) {
        let number = number_of(now);
        let Some(hour) =
            usize::try_from(number.rem_euclid(HOURS as i64)).ok().and_then(|at| self.hours.get_mut(at))
        else {
            return;
        };
        if hour.number < number {
            *hour = Hour { number, ..Hour::default() };
        }
        hour.events += events;
        hour.bytes += bytes;
    }

    /// What was delivered in the last day.
    pub(crate) fn measured(&self, now: Timestamp) -> Measured {
        let oldest = number_of(now) - (HOURS as i64 - 1);
        let begin = Timestamp::from_millis(oldest.saturating_mul(HOUR_MS)).unwrap_or(self.since);
        let since = self.since.max(begin);
        let recent = self.hours.iter().filter(|hour| hour.number >= oldest);
        let (events, bytes) =
            recent.fold((0, 0), |(events, bytes), hour| (events + hour.events, bytes + hour.bytes));
        Measured { since, events, bytes, per_day: PerDay::of(events, bytes, now.since(since)) }
    }
}

fn number_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_day_is_forgotten_hour_by_hour() {
        let start = Timestamp::parse("2026-01-31T12:30:00Z").unwrap();
        let mut volume = Volume::new(start);
        assert_eq!(volume.measured(start).per_day, None, "nobody knows yet");
        for hour in 0..48 {
            volume.add(start.plus(Duration::from_hours(hour)), 10, 1_000_000);
        }
        let now = start.plus(Duration::from_hours(47));
        let measured = volume.measured(now);
        assert_eq!((measured.events, measured.bytes), (240, 24_000_000));
        assert_eq!(measured.since.to_string(), "2026-02-01T12:00:00.000Z");
        let per_day = measured.per_day.unwrap();
        assert_eq!(per_day.events_per_day, 245, "240 in 23.5 hours");
        assert!((per_day.gigabytes_per_day - 0.024_511).abs() < 1e-9, "{per_day:?}");
        let later = volume.measured(now.plus(Duration::from_hours(30)));
        assert_eq!((later.events, later.per_day.unwrap().events_per_day), (0, 0));
    }

    #[test]
    fn the_first_hours_are_told_from_when_they_began() {
        let start = Timestamp::parse("2026-01-31T12:30:00Z").unwrap();
        let mut volume = Volume::new(start);
        volume.add(start, 3, 500);
        let measured = volume.measured(start.plus(Duration::from_mins(90)));
        assert_eq!((measured.since, measured.events), (start, 3));
        assert_eq!(measured.per_day.unwrap().events_per_day, 48);
    }
}
