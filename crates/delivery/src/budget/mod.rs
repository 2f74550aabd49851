//! The backlog budget of a configuration: how much may gather that it has not delivered, and what happens then.
//!
//! ```text
//!                 keep (unless said otherwise)               release
//!   retention     holds back what is not delivered           removes it: expired
//!   budget spent  intake refuses, until under nine tenths    the oldest expires, at once
//!   disk reserve  intake refuses                             intake refuses, if others fill the disk
//! ```
//!
//! What decides is in values without I/O: [`Budget`], [`judge`], [`time_left`].

mod judging;
mod look;
mod outlook;
mod release;
mod watch;

use std::time::Duration;

use base::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::judging::{Account, DiskSpace, Refusal, Why, judge};
pub(crate) use self::look::look;
pub use self::outlook::{Bounds, Limit, Outlook, Sample, time_left};
pub use self::release::release;
pub use self::watch::{Backlogs, Measures};

use crate::configuration::Configuration;
use crate::resume::Backlog;

/// What may gather, and what happens when it is spent. Without limits: what the disk has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Bytes of events in the journal that are not settled, selected or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Age of the oldest of them, in hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_hours: Option<u32>,
    /// What happens then.
    pub when_spent: WhenSpent,
}

/// What happens when a budget is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenSpent {
    /// Nothing is lost: intake refuses.
    #[default]
    Keep,
    /// Intake goes on: the oldest events expire.
    Release,
}

impl WhenSpent {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Keep, Self::Release];

    /// The name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Release => "release",
        }
    }
}

impl Budget {
    /// Whether it is what a configuration has that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How old the oldest event may be.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age_hours.map(|hours| Duration::from_hours(hours.into()))
    }

    /// The limit that `backlog` has reached. What was spent before stays so until a tenth of it is free again, so that
    /// intake does not open and close with every event.
    pub fn spent(&self, backlog: &Backlog, now: Timestamp, was_spent: bool) -> Option<Limit> {
        let nine_tenths = |limit: u64| if was_spent { limit - limit / 10 } else { limit };
        let age = backlog.oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
        if self.max_bytes.is_some_and(|max| backlog.bytes > nine_tenths(max)) {
            return Some(Limit::Bytes);
        }
        let max_age = self.max_age().map(|max| Duration::from_secs(nine_tenths(max.as_secs())));
        max_age.is_some_and(|max| age > max).then_some(Limit::Age)
    }
}

impl Configuration {
    /// Whether retention must not remove what it has not delivered. One that is disabled keeps its place but holds nothing;
    /// while it is paused, or awaits a choice, it holds what it held.
    pub fn holds_back(&self) -> bool {
        self.enabled && self.backlog.when_spent == WhenSpent::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_above_its_limit_and_free_again_below_nine_tenths() {
        let now = Timestamp::default().plus(Duration::from_hours(100));
        let of = |bytes, hours: u64| Backlog {
            bytes,
            oldest: Some(Timestamp::default().plus(Duration::from_hours(100 - hours))),
            ..Backlog::default()
        };
        let budget = Budget { max_bytes: Some(1_000), max_age_hours: Some(20), ..Budget::default() };
        let spent = |bytes, hours, was_spent| budget.spent(&of(bytes, hours), now, was_spent);
        assert_eq!(spent(1_000, 20, false), None);
        assert_eq!(spent(1_001, 20, false), Some(Limit::Bytes));
        assert_eq!(spent(901, 1, true), Some(Limit::Bytes));
        assert_eq!(spent(900, 18, true), None);
        assert_eq!(spent(0, 21, false), Some(Limit::Age));
        assert_eq!(spent(0, 19, true), Some(Limit::Age));
        assert_eq!(Budget::default().spent(&of(u64::MAX, 100), now, true), None);
        assert_eq!(budget.spent(&Backlog::default(), now, true), None);
    }
}
