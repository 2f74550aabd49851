//! The book of alarms: what stands, what was, what is to be told. One step of it is a function of what is found now.
//!
//! An alarm is raised when its condition has lasted, once; it is taken back when the condition has been over for a while,
//! longer each time that it comes back. Time is counted in small pieces between steps, so that a clock that jumps, back or
//! forth, neither raises nor clears anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base::Timestamp;
use catalog::Document;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alarm::{Condition, Findings, Key, Kind, Severity, Subject};
use crate::marks::Marks;
use crate::notice::{Notice, What};
use crate::thresholds::{Thresholds, hours, minutes};

/// Most alarms that stand at a time.
const MAX_STANDING: usize = 500;
/// Most alarms that are over and still shown.
const MAX_OVER: usize = 200;
/// Most notices that are kept for channels that cannot be told now: all that stand may be raised at once, and end at once.
const MAX_NOTICES: usize = 1000;
/// What comes back within this time is the same alarm.
const SAME_WITHIN: Duration = Duration::from_hours(2);
/// Longest time that a condition must be over. Shorter than [`SAME_WITHIN`], so that what flaps stays one alarm.
const LONGEST_CLEAR: Duration = Duration::from_hours(1);
/// The most that one step counts as.
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// Longest silence.
pub(crate) const LONGEST_SILENCE: Duration = Duration::from_hours(24 * 30);

/// An alarm, while it stands and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Its id, a UUID.
    pub id: String,
    /// What is wrong.
    pub kind: Kind,
    /// With what.
    pub subject: Subject,
    /// How badly, now.
    pub severity: Severity,
    /// The worst that was told.
    pub worst: Severity,
    /// In words, as of when it was last told.
    pub text: String,
    /// Since when it is wrong, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was first raised.
    pub raised_at: Timestamp,
    /// When it was last told.
    pub told_at: Timestamp,
    /// How often it was raised: it came back soon after it was over.
    pub count: u32,
    /// When it was over; absent while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// It did not recover: an operator paused, disabled or deleted what it was about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Who has taken notice: no reminders follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Until when no channel is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<Timestamp>,
}

/// That somebody has taken notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The name of the API client.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Alarm {
    /// What it stands for.
    pub fn key(&self) -> Key {
        Key { kind: self.kind, subject: self.subject.id.clone() }
    }

    /// What it is called in audit logs. Not "kind: name": what follows a word like `credential` and a colon is masked.
    pub fn title(&self) -> String {
        format!("{} ({})", self.subject.name, self.kind.name())
    }

    /// Whether it stands.
    pub const fn stands(&self) -> bool {
        self.cleared_at.is_none()
    }

    /// As it is shown: with what to do about it.
    pub fn shown(&self) -> Value {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        if let Some(members) = shown.as_object_mut() {
            members.insert("advice".to_owned(), self.kind.advice().into());
            members.remove("worst");
        }
        shown
    }

    /// No time lies in the future, or the clock was set back.
    fn settle_times(&mut self, now: Timestamp) {
        self.raised_at = self.raised_at.min(now);
        self.told_at = self.told_at.min(now);
        self.cleared_at = self.cleared_at.map(|at| at.min(now));
        self.silenced_until = self.silenced_until.map(|until| until.min(now.plus(LONGEST_SILENCE)));
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.at = acknowledged.at.min(now);
        }
    }

    /// How long its condition must be over: twice as long each time that it came back.
    fn clear_after(&self, thresholds: &Thresholds) -> Duration {
        let doublings = self.count.saturating_sub(1).min(16);
        minutes(thresholds.clear_minutes.max(1)).saturating_mul(1 << doublings).min(LONGEST_CLEAR)
    }

    fn is_to_be_reminded_of(&self, thresholds: &Thresholds, now: Timestamp) -> bool {
        let every = hours(thresholds.remind_hours);
        let is_wanted = !every.is_zero() && self.acknowledged.is_none() && !self.kind.is_deed();
        is_wanted && self.silenced_until.is_none() && now.since(self.told_at) >= every
    }
}

/// How long a condition has lasted, or has been over, while somebody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    held: Duration,
    over: Option<Duration>,
}

/// What is found, once the conditions are taken in.
struct Seen {
    /// What is wrong, in words.
    texts: BTreeMap<Key, String>,
    unsure: BTreeSet<Key>,
    set_aside: BTreeSet<Key>,
}

/// The book. What a restart forgets is how long conditions have lasted that are no alarms yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Book {
    /// The number of the next notice.
    next: u64,
    alarms: Vec<Alarm>,
    notices: VecDeque<Notice>,
    pub(crate) marks: Marks,
    #[serde(skip)]
    progress: BTreeMap<Key, Progress>,
    #[serde(skip)]
    last_step: Option<Timestamp>,
}

impl Document for Book {
    const KIND: &'static str = "alarmBook";
}

impl Book {
    /// The alarms that stand, the newest first, then those that are over, the last one first.
    pub fn alarms(&self) -> Vec<&Alarm> {
        let mut alarms: Vec<&Alarm> = self.alarms.iter().collect();
        alarms.sort_by_key(|alarm| {
            (
                std::cmp::Reverse(alarm.cleared_at.map_or(i64::MAX, Timestamp::as_millis)),
                std::cmp::Reverse(alarm.raised_at),
            )
        });
        alarms
    }

    /// What stands, and how badly.
    pub fn standing(&self) -> BTreeMap<Key, Severity> {
        let standing = self.alarms.iter().filter(|alarm| alarm.stands());
        standing.map(|alarm| (alarm.key(), alarm.severity)).collect()
    }

    /// The first notice from `number` on that is still kept.
    pub fn notice_from(&self, number: u64) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.number >= number)
    }

    /// The number that the next notice will have.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Takes what is found `now` in. Returns what is to be told.
    pub fn step(
        &mut self,
        found: Findings,
        thresholds: &Thresholds,
        now: Timestamp,
        new_id: impl Fn() -> String,
    ) -> Vec<Notice> {
        let elapsed = self.last_step.map_or(Duration::ZERO, |last| now.since(last)).min(LONGEST_STEP);
        self.last_step = Some(now);
        self.alarms.iter_mut().for_each(|alarm| alarm.settle_times(now));
        let first = self.next;
        let texts = found.conditions.iter().map(|condition| (condition.key(), condition.text.clone()));
        let seen = Seen { texts: texts.collect(), unsure: found.unsure, set_aside: found.set_aside };
        for condition in found.conditions {
            let held = self.holds(condition.key(), elapsed);
            match self.alarms.iter().position(|alarm| alarm.stands() && alarm.key() == condition.key()) {
                Some(at) => self.again(at, condition, now),
                None if held >= condition.after => self.raise(condition, now, &new_id),
                None => {}
            }
        }
        for at in 0..self.alarms.len() {
            self.look_after(at, &seen, thresholds, (now, elapsed));
        }
        let standing = self.standing();
        let is_known = |key: &Key| {
            seen.texts.contains_key(key) || seen.unsure.contains(key) || standing.contains_key(key)
        };
        self.progress.retain(|key, _| is_known(key));
        self.forget();
        self.notices.iter().filter(|notice| notice.number >= first).cloned().collect()
    }

    /// Its condition is there. How long it has been.
    fn holds(&mut self, key: Key, elapsed: Duration) -> Duration {
        let is_new = !self.progress.contains_key(&key);
        let progress = self.progress.entry(key).or_default();
        if progress.over.take().is_none() && !is_new {
            progress.held += elapsed;
        } else {
            progress.held = Duration::ZERO;
        }
        progress.held
    }

    /// The condition of an alarm that stands was seen again.
    fn again(&mut self, at: usize, condition: Condition, now: Timestamp) {
        let Some(alarm) = self.alarms.get_mut(at) else { return };
        alarm.severity = condition.severity;
        alarm.subject = condition.subject;
        if condition.severity > alarm.worst {
            alarm.worst = condition.severity;
            alarm.text = condition.text;
            self.tell(at, What::Worse, now);
        }
    }

    fn raise(&mut self, condition: Condition, now: Timestamp, new_id: &impl Fn() -> String) {
        let key = condition.key();
        let is_same = |alarm: &Alarm| {
            alarm.key() == key && alarm.cleared_at.is_some_and(|cleared| now.since(cleared) < SAME_WITHIN)
        };
        let at = if let Some(at) = self.alarms.iter().position(is_same) {
            at
        } else if self.standing().len() < MAX_STANDING {
            self.alarms.push(Alarm {
                id: new_id(),
                kind: condition.kind,
                subject: condition.subject.clone(),
                severity: condition.severity,
                worst: condition.severity,
                text: String::new(),
                since: None,
                raised_at: now,
                told_at: now,
                count: 0,
                cleared_at: None,
                withdrawn: false,
                acknowledged: None,
                silenced_until: None,
            });
            self.alarms.len() - 1
        } else {
            return;
        };
        let Some(alarm) = self.alarms.get_mut(at) else { return };
        alarm.count = alarm.count.saturating_add(1);
        alarm.subject = condition.subject;
        (alarm.severity, alarm.worst) = (condition.severity, condition.severity);
        (alarm.text, alarm.since) = (condition.text, condition.since);
        (alarm.cleared_at, alarm.acknowledged, alarm.withdrawn) = (None, None, false);
        self.tell(at, What::Raised, now);
    }

    /// What becomes of an alarm by the passing of time.
    fn look_after(
        &mut self,
        at: usize,
        seen: &Seen,
        thresholds: &Thresholds,
        (now, elapsed): (Timestamp, Duration),
    ) {
        let Some(alarm) = self.alarms.get_mut(at).filter(|alarm| alarm.stands()) else { return };
        let key = alarm.key();
        let text = seen.texts.get(&key);
        if text.is_none() && !seen.unsure.contains(&key) {
            let is_set_aside = seen.set_aside.contains(&key);
            let progress = self.progress.entry(key).or_default();
            let over = progress.over.map_or(Duration::ZERO, |over| over + elapsed);
            progress.over = Some(over);
            if over >= alarm.clear_after(thresholds) {
                (alarm.cleared_at, alarm.withdrawn) = (Some(now), is_set_aside);
                if !alarm.kind.is_deed() {
                    self.tell(at, if is_set_aside { What::Withdrawn } else { What::Cleared }, now);
                }
            }
            return;
        }
        let was_silenced = alarm.silenced_until.take_if(|until| *until <= now).is_some();
        if (was_silenced && alarm.acknowledged.is_none()) || alarm.is_to_be_reminded_of(thresholds, now) {
            if let Some(text) = text {
                alarm.text.clone_from(text);
            }
            self.tell(at, What::Reminder, now);
        }
    }

    fn tell(&mut self, at: usize, what: What, now: Timestamp) {
        let Some(alarm) = self.alarms.get_mut(at) else { return };
        alarm.told_at = now;
        let is_silenced = alarm.silenced_until.is_some_and(|until| until > now);
        let alarm = alarm.clone();
        self.notices.push_back(Notice { number: self.next, at: now, what, alarm, is_silenced });
        self.next += 1;
    }

    /// Keeps the book within its bounds.
    fn forget(&mut self) {
        let mut over: Vec<Timestamp> = self.alarms.iter().filter_map(|alarm| alarm.cleared_at).collect();
        over.sort_unstable();
        for _ in MAX_OVER..over.len() {
            let oldest = self.alarms.iter().enumerate().filter(|(_, alarm)| !alarm.stands());
            if let Some((at, _)) = oldest.min_by_key(|(_, alarm)| alarm.cleared_at) {
                self.alarms.remove(at);
            }
        }
        let n_too_many = self.notices.len().saturating_sub(MAX_NOTICES);
        self.notices.drain(..n_too_many);
    }

    fn standing_with(&mut self, id: &str) -> Option<&mut Alarm> {
        self.alarms.iter_mut().find(|alarm| alarm.id == id && alarm.stands())
    }

    /// Somebody has taken notice. `None`: no such alarm stands.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: Timestamp) -> Option<Alarm> {
        let alarm = self.standing_with(id)?;
        alarm.acknowledged = Some(Acknowledged { by: by.to_owned(), at: now });
        Some(alarm.clone())
    }

    /// No channel is told of it until then. `None`: no such alarm stands.
    pub fn silence(&mut self, id: &str, until: Timestamp) -> Option<Alarm> {
        let alarm = self.standing_with(id)?;
        alarm.silenced_until = Some(until);
        Some(alarm.clone())
    }
}

#[cfg(test)]
mod tests;
