//! What was seen before: without it nobody can tell that something has changed, or grows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::{ConfigurationFacts, DiskSpace, Facts, SourceFacts};
use crate::thresholds::{Thresholds, minutes};

/// How long a deleted configuration is told of.
const DELETED_FOR: Duration = Duration::from_hours(24);
/// Most deleted configurations that are told of at a time.
const MAX_DELETED: usize = 100;
/// When a source was heard is kept to so small a part of its limit: not every event is worth a write.
const GRAINS: u32 = 20;
/// How far apart the looks at the disk are that its pace is told from.
const LOOK_EVERY: Duration = Duration::from_mins(30);
/// How many of them are kept: two days.
const MAX_LOOKS: usize = 96;
/// From how long on the pace is believed.
const BELIEVED_AFTER: Duration = Duration::from_hours(3);

/// What was seen before. Kept with the alarms, so that nothing that happens around a restart is missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Marks {
    /// It has been looked at all before.
    has_begun: bool,
    pub(crate) configurations: BTreeMap<String, Mark>,
    pub(crate) deleted: Vec<Deleted>,
    /// When each source that may not be silent was last heard, or began to be listened to: it was made, enabled or limited.
    pub(crate) sources: BTreeMap<String, Timestamp>,
    /// Begins anew with the process.
    #[serde(skip)]
    pub(crate) disk: Trend,
}

/// What was seen of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Mark {
    name: String,
    is_enabled: bool,
    /// When it was seen to be switched off, until it is on again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) quarantined: Growth,
    pub(crate) expired: Growth,
}

/// A configuration that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
}

/// A count that should not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Growth {
    count: u64,
    /// What it was before it last began to grow.
    before: u64,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// When it last grew.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    /// How much of it is our own telling of alarms; `None`: nobody counted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<u64>,
}

impl Growth {
    /// `own`: how much is our own telling of alarms. That it grows is no news, or an alarm would feed itself.
    fn note(&mut self, count: u64, own: Option<u64>, now: Timestamp, window: Duration) {
        // A clock that was set back must not make it last.
        self.last = self.last.map(|last| last.min(now));
        self.since = self.since.map(|since| since.min(now));
        if self.last.is_some_and(|last| now.since(last) >= window) {
            (self.since, self.last) = (None, None);
        }
        let n_own = self.own.zip(own).map_or(0, |(before, now)| now.saturating_sub(before));
        self.own = own.or(self.own);
        // As if what is our own had been there before.
        let known = self.count.saturating_add(n_own).min(count.max(self.count));
        if self.since.is_some() {
            self.before = self.before.saturating_add(known - self.count);
        }
        if count > known {
            if self.since.is_none() {
                (self.before, self.since) = (known, Some(now));
            }
            self.last = Some(now);
        }
        self.count = count;
    }

    /// By how much it has grown, while it does.
    pub(crate) fn grown(&self) -> Option<u64> {
        self.since.map(|_| self.count.saturating_sub(self.before).max(1))
    }
}

impl Marks {
    /// Takes note of what is seen now.
    pub(crate) fn note(&mut self, facts: &Facts, thresholds: &Thresholds, now: Timestamp) {
        self.hear(&facts.sources, now);
        let window = minutes(thresholds.quarantine_minutes);
        for seen in &facts.configurations {
            let has_begun = self.has_begun;
            let mark = self.configurations.entry(seen.id.clone()).or_insert_with(|| first(seen, has_begun));
            mark.note(seen, now, window);
        }
        let is_there = |id: &str| facts.configurations.iter().any(|seen| seen.id == id);
        for (id, mark) in self.configurations.extract_if(.., |id, _| !is_there(id)) {
            self.deleted.push(Deleted { id, name: mark.name, at: now });
        }
        for gone in &mut self.deleted {
            gone.at = gone.at.min(now);
        }
        self.deleted.retain(|gone| now.since(gone.at) < DELETED_FOR && !is_there(&gone.id));
        let n_too_many = self.deleted.len().saturating_sub(MAX_DELETED);
        self.deleted.drain(..n_too_many);
        if let Some(space) = facts.disk {
            self.disk.note(space, now);
        }
        self.has_begun = true;
    }
}

impl Marks {
    fn hear(&mut self, sources: &[SourceFacts], now: Timestamp) {
        let is_watched = |id: &str| sources.iter().any(|seen| seen.id == id && seen.is_watched());
        self.sources.retain(|id, _| is_watched(id));
        for seen in sources.iter().filter(|seen| seen.is_watched()) {
            let mark = self.sources.entry(seen.id.clone()).or_insert(now);
            // A clock that was set back must not make it last.
            *mark = (*mark).min(now);
            let grain = seen.silent_after.unwrap_or_default() / GRAINS;
            if let Some(heard) = seen.heard.filter(|heard| *heard <= now && heard.since(*mark) >= grain) {
                *mark = heard;
            }
        }
    }

    /// Events of a configuration that had gone to quarantine at the last look.
    pub(crate) fn quarantined(&self, id: &str) -> u64 {
        self.configurations.get(id).map_or(0, |mark| mark.quarantined.count)
    }
}

/// The mark of a configuration that is seen for the first time. What is there when alarms begin is no news; what a new
/// configuration has done since it was made is.
fn first(seen: &ConfigurationFacts, has_begun: bool) -> Mark {
    let known = seen.unsettled.filter(|_| !has_begun).unwrap_or_default();
    Mark {
        name: seen.name.clone(),
        is_enabled: seen.is_enabled,
        disabled_at: None,
        quarantined: Growth {
            count: known.quarantined,
            own: if known.quarantined == 0 { Some(0) } else { known.quarantined_alarms },
            ..Growth::default()
        },
        expired: Growth { count: known.expired, ..Growth::default() },
    }
}

impl Mark {
    fn note(&mut self, seen: &ConfigurationFacts, now: Timestamp, window: Duration) {
        self.name.clone_from(&seen.name);
        self.disabled_at = match (self.is_enabled, seen.is_enabled) {
            (true, false) => Some(now),
            (false, false) => self.disabled_at.map(|at| at.min(now)),
            (_, true) => None,
        };
        self.is_enabled = seen.is_enabled;
        if let Some(unsettled) = seen.unsettled {
            self.quarantined.note(unsettled.quarantined, unsettled.quarantined_alarms, now, window);
            self.expired.note(unsettled.expired, None, now, window);
        }
    }
}

/// The pace at which the disk fills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trend {
    looks: VecDeque<(Timestamp, u64)>,
    free: u64,
    at: Timestamp,
}

impl Trend {
    fn note(&mut self, space: DiskSpace, now: Timestamp) {
        (self.free, self.at) = (space.free, now);
        if self.looks.back().is_some_and(|(at, _)| *at > now) {
            self.looks.clear();
        }
        if self.looks.back().is_none_or(|(at, _)| now.since(*at) >= LOOK_EVERY) {
            self.looks.push_back((now, space.free));
        }
        if self.looks.len() > MAX_LOOKS {
            self.looks.pop_front();
        }
    }

    /// How long until the disk is full at the pace of the last hours, two days at most. `None`: nobody can tell yet.
    /// [`Duration::MAX`]: it does not fill.
    pub(crate) fn left(&self) -> Option<Duration> {
        let (first, free_then) = *self.looks.front()?;
        let span = self.at.since(first);
        if span < BELIEVED_AFTER {
            return None;
        }
        let used = free_then.saturating_sub(self.free);
        let seconds = u128::from(self.free) * u128::from(span.as_secs());
        let left = seconds.checked_div(u128::from(used)).map(|left| u64::try_from(left).unwrap_or(u64::MAX));
        Some(left.map_or(Duration::MAX, Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Unsettled;

    const START: i64 = 1_800_000_000_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(START + minute * 60_000).unwrap()
    }

    fn facts(configurations: &[(&str, bool, u64)]) -> Facts {
        let configuration = |(id, is_enabled, quarantined): &(&str, bool, u64)| ConfigurationFacts {
            id: (*id).to_owned(),
            name: format!("named {id}"),
            is_enabled: *is_enabled,
            unsettled: Some(Unsettled { quarantined: *quarantined, ..Unsettled::default() }),
            ..ConfigurationFacts::default()
        };
        Facts { configurations: configurations.iter().map(configuration).collect(), ..Facts::default() }
    }

    fn looked(looks: &[(i64, Facts)]) -> Marks {
        let mut marks = Marks::default();
        for (minute, facts) in looks {
            marks.note(facts, &Thresholds::default(), at(*minute));
        }
        marks
    }

    #[test]
    fn what_is_there_when_alarms_begin_is_no_news_and_what_comes_later_is() {
        let grown = |looks: &[(i64, Facts)]| looked(looks).configurations["a"].quarantined.grown();
        assert_eq!(grown(&[(0, facts(&[("a", true, 7)]))]), None);
        assert_eq!(grown(&[(0, facts(&[("a", true, 7)])), (1, facts(&[("a", true, 9)]))]), Some(2));
        assert_eq!(grown(&[(0, facts(&[])), (1, facts(&[("a", true, 3)]))]), Some(3), "a new one");
        let (nine, eight) = (facts(&[("a", true, 9)]), facts(&[("a", true, 8)]));
        let first = (0, facts(&[("a", true, 7)]));
        let grows = [first.clone(), (1, eight.clone()), (10, nine.clone())];
        assert_eq!(grown(&grows), Some(2), "it is one growth as long as it goes on");
        assert_eq!(grown(&[&grows[..], &[(20, nine.clone())]].concat()), None, "it has stopped");
        assert_eq!(grown(&[&grows[..], &[(-500, nine.clone()), (-489, nine)]].concat()), None, "the clock");
        assert_eq!(grown(&[first, (1, facts(&[("a", true, 2)]))]), None, "some were taken out of it");
    }

    #[test]
    fn our_own_telling_of_alarms_does_not_make_an_alarm_grow() {
        let seen = |quarantined, quarantined_alarms| {
            let mut facts = facts(&[("a", true, 0)]);
            let unsettled = Unsettled { quarantined, quarantined_alarms, ..Unsettled::default() };
            facts.configurations[0].unsettled = Some(unsettled);
            facts
        };
        let grown = |looks: &[(i64, Facts)]| looked(looks).configurations["a"].quarantined.grown();
        let (none, first) = ((0, seen(0, None)), (1, seen(1, Some(0))));
        assert_eq!(grown(&[none.clone(), (1, seen(1, Some(1)))]), None, "it is one of ours");
        let own = [none.clone(), first.clone(), (5, seen(2, Some(1)))];
        assert_eq!(grown(&own), Some(1), "one of two is ours");
        assert_eq!(grown(&[&own[..], &[(11, seen(2, None))]].concat()), None, "ours does not make it last");
        assert_eq!(grown(&[&own[..], &[(12, seen(4, Some(2)))]].concat()), Some(1), "the other is news");
        assert_eq!(grown(&[none, first, (2, seen(2, None))]), Some(2), "nobody counted");
    }

    #[test]
    fn when_a_source_was_heard_is_kept_roughly_and_only_while_it_is_watched() {
        let seen = |minutes: Option<u64>, heard: Option<i64>| {
            let source = SourceFacts {
                id: "s".to_owned(),
                name: "Auth0".to_owned(),
                is_enabled: true,
                silent_after: minutes.map(Duration::from_mins),
                heard: heard.map(at),
                listened_to_since: at(0),
            };
            Facts { sources: vec![source], ..Facts::default() }
        };
        let kept = |looks: &[(i64, Facts)]| looked(looks).sources.get("s").copied();
        let first = (0, seen(Some(60), None));
        assert_eq!(kept(std::slice::from_ref(&first)), Some(at(0)));
        assert_eq!(kept(&[first.clone(), (2, seen(Some(60), Some(2)))]), Some(at(0)), "not worth a write");
        assert_eq!(kept(&[first.clone(), (5, seen(Some(60), Some(4)))]), Some(at(4)));
        assert_eq!(kept(&[first.clone(), (5, seen(None, Some(4)))]), None);
        let again = (90, seen(Some(60), None));
        assert_eq!(kept(&[first.clone(), (5, seen(None, None)), again]), Some(at(90)), "it begins anew");
        assert_eq!(kept(&[first, (-50, seen(Some(60), None))]), Some(at(-50)), "the clock");
    }

    #[test]
    fn what_is_switched_off_or_deleted_is_told_once_and_by_its_name() {
        let on = (0, facts(&[("a", true, 0), ("b", false, 0)]));
        assert_eq!(
            looked(std::slice::from_ref(&on)).configurations["b"].disabled_at,
            None,
            "nobody switched it off"
        );
        let off = (1, facts(&[("a", false, 0), ("b", false, 0)]));
        let marks = looked(&[on.clone(), off.clone(), (2, off.1.clone())]);
        assert_eq!(marks.configurations["a"].disabled_at, Some(at(1)));
        assert_eq!(looked(&[on.clone(), off, (2, on.1.clone())]).configurations["a"].disabled_at, None);
        let gone = looked(&[on.clone(), (3, facts(&[("b", false, 0)]))]).deleted;
        assert_eq!(gone, [Deleted { id: "a".to_owned(), name: "named a".to_owned(), at: at(3) }]);
        let later = facts(&[("b", false, 0)]);
        assert_eq!(looked(&[on, (3, later.clone()), (3 + 24 * 60, later)]).deleted, []);
    }

    #[test]
    fn the_pace_of_the_disk_is_told_after_hours_and_forgotten_when_the_clock_is_set_back() {
        let left = |looks: &[(i64, u64)]| {
            let mut trend = Trend::default();
            for (minute, free) in looks {
                trend.note(DiskSpace { free: *free, total: 1000 }, at(*minute));
            }
            trend.left()
        };
        assert_eq!(left(&[]), None);
        assert_eq!(left(&[(0, 900), (60, 800)]), None, "too early");
        assert_eq!(left(&[(0, 900), (240, 700)]), Some(Duration::from_hours(14)));
        assert_eq!(left(&[(0, 700), (240, 900)]), Some(Duration::MAX));
        assert_eq!(left(&[(0, 900), (240, 700), (-1000, 600)]), None);
        let many: Vec<(i64, u64)> = (0..500).map(|n| (n * 30, 1000)).collect();
        assert_eq!(left(&many), Some(Duration::MAX));
    }
}
