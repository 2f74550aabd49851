//! One bucket: so many calls in a stretch of time that begins with the first of them.

use std::time::Duration;

use base::Timestamp;

/// How many calls are allowed in how long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// 0: there is no limit.
    pub(super) most: u32,
    pub(super) period: Duration,
}

impl Quota {
    pub(super) const fn per_second(most: u32) -> Self {
        Self { most, period: Duration::from_secs(1) }
    }

    pub(super) const fn per_minute(most: u32) -> Self {
        Self { most, period: Duration::from_mins(1) }
    }

    pub(super) const fn is_off(self) -> bool {
        self.most == 0
    }
}

/// What has been used of a quota, and until when that counts. A fresh one has ended already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    used: u32,
    ends: Timestamp,
}

impl Window {
    /// The window that `now` is in. A clock that was set back by more than the period begins a new one: nobody waits for
    /// an end that is hours away.
    pub(super) fn at(self, now: Timestamp, period: Duration) -> Self {
        if self.is_over(now) || self.ends > now.plus(period) {
            return Self { used: 0, ends: now.plus(period) };
        }
        self
    }

    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.ends <= now
    }

    pub(super) const fn ends(self) -> Timestamp {
        self.ends
    }

    pub(super) const fn left(self, quota: Quota) -> u32 {
        quota.most.saturating_sub(self.used)
    }

    pub(super) const fn take(&mut self) {
        self.used = self.used.saturating_add(1);
    }
}

/// Whole seconds until `ends`, rounded up, at least one: who waits as long as that finds a new window.
pub(super) fn seconds_until(ends: Timestamp, now: Timestamp) -> u64 {
    ends.since(now).as_millis().div_ceil(1000).max(1) as u64
}
