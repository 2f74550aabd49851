//! How long a backlog may go on growing, and what happens then: a pure function of two looks at it.

use std::time::Duration;

use base::Timestamp;
use serde::Serialize;

use super::{Budget, WhenSpent};

/// What a budget can be spent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// `maxBytes` of the budget.
    Bytes,
    /// `maxAgeHours` of the budget.
    Age,
    /// The reserve of the journal's disk.
    Disk,
    /// The retention of the events' stream.
    Retention,
}

/// One look at a backlog and at the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Bytes that are not settled.
    pub bytes: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
    /// Bytes that may still be written to the disk; `None` when nobody knows.
    pub free: Option<u64>,
}

/// What bounds every backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the disk below which nothing more is taken in.
    pub reserve: u64,
    /// How long events are kept whoever has them: the shortest retention of all product streams.
    pub retention: Option<Duration>,
}

/// What becomes of a backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// What is reached first, when it goes on as it did lately; `None` when nothing is.
    pub limit: Option<Limit>,
    /// In how long; zero when it is reached.
    pub left: Option<Duration>,
}

impl Outlook {
    /// Whether it has come to that.
    pub fn is_spent(&self) -> bool {
        self.left == Some(Duration::ZERO)
    }
}

/// What a backlog comes to first, judged by what changed from `before` to `now`. `holds`: it keeps retention from removing
/// what is in it (see [`Configuration::holds_back`](crate::Configuration::holds_back)).
pub fn time_left(budget: &Budget, holds: bool, bounds: &Bounds, before: &Sample, now: &Sample) -> Outlook {
    let took = now.at.since(before.at);
    let bytes = budget.max_bytes.and_then(|max| {
        let grown = now.bytes.checked_sub(before.bytes);
        reach(max.saturating_sub(now.bytes), grown, took)
    });
    let disk = now.free.and_then(|free| {
        let used = before.free.and_then(|before| before.checked_sub(free));
        reach(free.saturating_sub(bounds.reserve), used, took)
    });
    let by = |max: Option<Duration>| max.and_then(|max| ages(max, before, now));
    let of = |limit, left: Option<Duration>| left.map(|left| (left, limit));
    let keeps = budget.when_spent == WhenSpent::Keep;
    let first = [
        of(Limit::Bytes, bytes.filter(|_| holds || !keeps)),
        of(Limit::Age, by(budget.max_age()).filter(|_| holds || !keeps)),
        of(Limit::Disk, disk.filter(|_| holds && now.oldest.is_some())),
        of(Limit::Retention, by(bounds.retention).filter(|_| !holds)),
    ];
    let first = first.into_iter().flatten().min_by_key(|(left, _)| *left);
    Outlook { limit: first.map(|(_, limit)| limit), left: first.map(|(left, _)| left) }
}

/// When what is left is used up, of which `used` went in `took`; `None` when none did.
fn reach(left: u64, used: Option<u64>, took: Duration) -> Option<Duration> {
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let used = used.filter(|used| *used > 0)?;
    let millis = took.as_millis().checked_mul(left.into())? / u128::from(used);
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

/// When the oldest event is as old as it may be. It grows older as time goes by, less what it is followed up with; one that
/// was not there before has been waited for by nobody yet.
fn ages(max: Duration, before: &Sample, now: &Sample) -> Option<Duration> {
    let oldest = now.oldest?;
    let age = now.at.since(oldest);
    let left = max.saturating_sub(age);
    let took = now.at.since(before.at);
    let Some(was) = before.oldest.filter(|_| !took.is_zero()) else { return Some(left) };
    let moved_up = oldest.since(was);
    if moved_up >= took && !left.is_zero() {
        return None;
    }
    let aged = took.saturating_sub(moved_up).as_millis().max(1);
    let millis = took.as_millis().checked_mul(left.as_millis())? / aged;
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> Timestamp {
        Timestamp::default().plus(HOUR * hours)
    }

    fn sample(hour: u32, bytes: u64, oldest: Option<u32>, free: u64) -> Sample {
        Sample { at: at(hour), bytes, oldest: oldest.map(at), free: Some(free) }
    }

    fn limited(max_bytes: u64, max_age_hours: u32) -> Budget {
        Budget { max_bytes: Some(max_bytes), max_age_hours: Some(max_age_hours), ..Budget::default() }
    }

    const BOUNDS: Bounds = Bounds { reserve: 100, retention: Some(Duration::from_hours(720)) };

    fn left(budget: &Budget, holds: bool, before: &Sample, now: &Sample) -> Option<(Limit, u64)> {
        let outlook = time_left(budget, holds, &BOUNDS, before, now);
        outlook.limit.zip(outlook.left.map(|left| left.as_secs() / 3600))
    }

    #[test]
    fn what_grows_fastest_is_spent_first() {
        let (before, now) = (sample(1, 100, Some(0), 5_000), sample(2, 200, Some(0), 4_900));
        let budgets = [(limited(1_000, 100), Limit::Bytes, 8), (limited(100_000, 10), Limit::Age, 8)];
        for (budget, limit, hours) in budgets {
            assert_eq!(left(&budget, true, &before, &now), Some((limit, hours)));
        }
        assert_eq!(left(&Budget::default(), true, &before, &now), Some((Limit::Disk, 48)));
        let releases = Budget { when_spent: WhenSpent::Release, ..Budget::default() };
        assert_eq!(left(&releases, false, &before, &now), Some((Limit::Retention, 718)));
    }

    #[test]
    fn what_does_not_grow_is_never_spent() {
        let (before, now) = (sample(1, 200, Some(0), 5_000), sample(2, 100, Some(1), 5_000));
        assert_eq!(left(&limited(1_000, 100), true, &before, &now), None);
        let empty = sample(2, 0, None, 4_000);
        assert_eq!(left(&limited(1_000, 100), true, &before, &empty), None, "nothing waits");
        let first = sample(2, 100, Some(0), 5_000);
        assert_eq!(
            left(&limited(1_000, 100), true, &first, &first),
            Some((Limit::Age, 98)),
            "time is known to pass"
        );
    }

    #[test]
    fn a_backlog_that_is_caught_up_slowly_lasts_longer() {
        // An hour older in two hours.
        let (before, now) = (sample(10, 100, Some(9), 5_000), sample(12, 100, Some(10), 5_000));
        assert_eq!(left(&limited(1_000, 12), true, &before, &now), Some((Limit::Age, 20)));
    }

    #[test]
    fn what_is_spent_has_no_time_left() {
        let now = sample(30, 2_000, Some(0), 50);
        for (budget, limit) in [(limited(1_000, 100), Limit::Bytes), (limited(5_000, 20), Limit::Age)] {
            let outlook = time_left(&budget, true, &BOUNDS, &now, &Sample { free: None, ..now });
            assert!(outlook.is_spent() && outlook.limit == Some(limit), "{outlook:?}");
        }
        assert_eq!(left(&Budget::default(), true, &now, &now), Some((Limit::Disk, 0)));
    }

    #[test]
    fn a_disabled_configuration_has_what_retention_leaves_it() {
        let now = sample(30, 2_000, Some(0), 50);
        assert_eq!(left(&limited(1_000, 20), false, &now, &now), Some((Limit::Retention, 690)));
    }
}
