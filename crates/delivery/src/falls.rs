//! Workers that ended badly: each is started again, after a wait that grows as long as it goes on falling.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The first wait; each one after is twice as long.
const FIRST: Duration = Duration::from_secs(5);
/// The longest. One that went well for that long begins anew.
const LONGEST: Duration = Duration::from_mins(5);

#[derive(Clone, Copy)]
struct Fall {
    revision: u64,
    wait: Duration,
    until: Instant,
}

/// By what the worker is for. What is changed since is tried at once.
#[derive(Default)]
pub(crate) struct Falls(BTreeMap<String, Fall>);

impl Falls {
    /// A worker has ended badly that was made from this revision of its configuration.
    pub(crate) fn note(&mut self, id: &str, revision: u64, now: Instant) {
        let before = self.0.get(id).filter(|fall| fall.revision == revision && now < fall.until + LONGEST);
        let wait = before.map_or(FIRST, |before| before.wait.saturating_mul(2).min(LONGEST));
        self.0.insert(id.to_owned(), Fall { revision, wait, until: now + wait });
    }

    /// Why none is to be started now; `None` when one may be.
    pub(crate) fn reason(&self, id: &str, revision: u64, now: Instant) -> Option<String> {
        let fall = self.0.get(id).filter(|fall| fall.revision == revision && now < fall.until)?;
        Some(format!(
            "its worker ended badly, through a defect of this program: the log says where. It is started again within {} \
             seconds",
            fall.wait.as_secs()
        ))
    }

    /// Forgets those that are not wanted any more.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_wanted(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_begin_anew_after_a_good_while() {
        let (mut falls, mut now) = (Falls::default(), Instant::now());
        assert_eq!(falls.reason("a", 1, now), None);
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            falls.note("a", 1, now);
            let wait = Duration::from_secs(wait);
            let just_before = now + wait - Duration::from_millis(1);
            assert!(falls.reason("a", 1, just_before).is_some() && falls.reason("b", 1, now).is_none());
            now += wait;
            assert_eq!(falls.reason("a", 1, now), None, "{wait:?}");
        }
        now += LONGEST;
        falls.note("a", 1, now);
        assert_eq!(falls.reason("a", 1, now + FIRST), None);
    }

    #[test]
    fn what_was_changed_is_tried_at_once() {
        let (mut falls, now) = (Falls::default(), Instant::now());
        falls.note("a", 1, now);
        assert!(falls.reason("a", 1, now).is_some() && falls.reason("a", 2, now).is_none());
        falls.retain(|id| id != "a");
        assert_eq!(falls.reason("a", 1, now), None);
    }
}
