//! The rules: what is wrong by the facts of this moment. One cause is one condition: where it is known why a destination
//! gets nothing, its lag is no news.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;

use crate::alarm::{Condition, Findings, Key, Kind, Severity, Subject, SubjectKind};
use crate::facts::{ConfigurationFacts, DiskSpace, Facts, Going, SourceFacts, Then, Unsettled, Unsigned};
use crate::marks::{Growth, Marks};
use crate::thresholds::{Thresholds, hours, minutes};

/// An alarm that stands is taken back at a better value than the one it is raised at: by so much of the threshold.
const BACK_AT_PERCENT: u32 = 80;
/// The same for free room, in points of a percent.
const ROOM_TO_SPARE: u64 = 2;
/// How many times the usual interval a head may stay unsigned.
const UNSIGNED_TIMES: u32 = 3;
/// How long the oldest pending event must be too old: what starts or is resumed catches up first.
const LAG_LASTS: Duration = Duration::from_mins(1);
/// How long one must have listened to say that a source is silent: while idstream was down it could not be heard.
const LISTENS_FOR: Duration = Duration::from_mins(15);
/// How long a backlog must grow before it is believed that it goes on.
const OUTLOOK_LASTS: Duration = Duration::from_mins(5);
/// Longest words of a destination in a text, in characters.
const MAX_WORDS: usize = 300;

/// What is wrong `now`. `standing` are the alarms that stand, with how badly: they end later than they begin.
pub fn rules(
    facts: &Facts,
    marks: &Marks,
    thresholds: &Thresholds,
    standing: &BTreeMap<Key, Severity>,
    now: Timestamp,
) -> Findings {
    let mut rules = Rules { thresholds, standing, now, found: Findings::default() };
    for configuration in &facts.configurations {
        rules.configuration(configuration, marks);
    }
    for gone in &marks.deleted {
        let subject = subject(SubjectKind::Configuration, &gone.id, &gone.name);
        let text = format!("the configuration {:?} was deleted", gone.name);
        rules.wrong(Kind::ConfigurationDeleted, subject, Severity::Warning, Some(gone.at), text);
    }
    for source in &facts.sources {
        rules.source(source, marks);
    }
    rules.instance(facts, marks);
    let mut found = rules.found;
    found.conditions.retain(|condition| !thresholds.off.contains(&condition.kind));
    let is_set_aside = |key: &&Key| is_set_aside(key, facts, thresholds);
    found.set_aside = standing.keys().filter(is_set_aside).cloned().collect();
    found
}

/// Whether an operator has put aside what this is about: then that it is not seen proves nothing.
fn is_set_aside(key: &Key, facts: &Facts, thresholds: &Thresholds) -> bool {
    let goes_on = match key.kind {
        Kind::ConfigurationDisabled
        | Kind::ConfigurationDeleted
        | Kind::Disk
        | Kind::JournalPoisoned
        | Kind::JournalDamaged
        | Kind::HeadUnsigned
        | Kind::IntakeRefuses => true,
        Kind::SourceSilent => {
            facts.sources.iter().any(|source| source.id == key.subject && source.is_watched())
        }
        Kind::Paused => facts.configurations.iter().any(|seen| seen.id == key.subject && seen.is_enabled),
        Kind::Holding
        | Kind::CredentialRejected
        | Kind::Lag
        | Kind::Quarantine
        | Kind::ExpiryAhead
        | Kind::Expired => {
            let is_off = |going| matches!(going, Going::Paused | Going::Disabled);
            facts.configurations.iter().any(|seen| seen.id == key.subject && !is_off(seen.going))
        }
    };
    !goes_on || thresholds.off.contains(&key.kind)
}

struct Rules<'a> {
    thresholds: &'a Thresholds,
    standing: &'a BTreeMap<Key, Severity>,
    now: Timestamp,
    found: Findings,
}

impl Rules<'_> {
    fn wrong(
        &mut self,
        kind: Kind,
        subject: Subject,
        severity: Severity,
        since: Option<Timestamp>,
        text: String,
    ) {
        self.found.conditions.push(Condition { kind, subject, severity, since, text, after: Duration::ZERO });
    }

    /// What was found last is an alarm only when it lasts.
    fn must_last(&mut self, after: Duration) {
        if let Some(condition) = self.found.conditions.last_mut() {
            condition.after = after;
        }
    }

    fn unsure(&mut self, kind: Kind, subject: &str) {
        self.found.unsure.insert(Key { kind, subject: subject.to_owned() });
    }

    fn standing(&self, kind: Kind, subject: &str) -> Option<Severity> {
        self.standing.get(&Key { kind, subject: subject.to_owned() }).copied()
    }

    /// The threshold, or a part of it where an alarm of that severity stands.
    fn eased(threshold: Duration, standing: Option<Severity>, severity: Severity) -> Duration {
        if standing >= Some(severity) { threshold * BACK_AT_PERCENT / 100 } else { threshold }
    }

    fn configuration(&mut self, seen: &ConfigurationFacts, marks: &Marks) {
        self.going(seen);
        let Some(mark) = marks.configurations.get(&seen.id) else { return };
        if let Some(at) = mark.disabled_at {
            let left = seen.unsettled.and_then(|unsettled| unsettled.spent_at);
            let text = match left.map(|at| in_words(at.since(self.now))) {
                Some(left) => format!(
                    "the configuration {:?} was disabled, and its pending events will be given up in {left}",
                    seen.name
                ),
                None => format!("the configuration {:?} was disabled", seen.name),
            };
            self.wrong(Kind::ConfigurationDisabled, of(seen), Severity::Warning, Some(at), text);
        }
        let Some(unsettled) = seen.unsettled else {
            for kind in [Kind::Lag, Kind::ExpiryAhead, Kind::Quarantine, Kind::Expired] {
                self.unsure(kind, &seen.id);
            }
            return;
        };
        self.growth(Kind::Quarantine, seen, &mark.quarantined);
        // That what is switched off loses what it does not deliver is told with that it is switched off.
        if seen.going != Going::Disabled {
            self.lag(seen, unsettled);
            self.expiry(seen, unsettled);
            self.growth(Kind::Expired, seen, &mark.expired);
        }
    }

    fn going(&mut self, seen: &ConfigurationFacts) {
        let words = seen.last_error.as_deref().unwrap_or("it does not say why");
        let words: String = words.chars().take(MAX_WORDS).collect();
        let name = &seen.name;
        let (kind, text) = match seen.going {
            // It has not proved that what was wrong is mended.
            Going::Unknown | Going::Struggling if seen.is_enabled => {
                self.unsure(Kind::Holding, &seen.id);
                self.unsure(Kind::CredentialRejected, &seen.id);
                return;
            }
            Going::Unknown | Going::Struggling | Going::Flowing | Going::Disabled => return,
            Going::Paused => return self.paused(seen),
            Going::CredentialRejected => {
                self.unsure(Kind::Holding, &seen.id);
                let text = format!("the destination of {name:?} refuses the credential, and says: {words}");
                (Kind::CredentialRejected, text)
            }
            Going::Holding => {
                self.unsure(Kind::CredentialRejected, &seen.id);
                (Kind::Holding, format!("nothing is delivered to {name:?} until somebody mends it: {words}"))
            }
            Going::AwaitsChoice => {
                let text = format!("{name:?} waits for somebody to say what becomes of what has gathered");
                (Kind::Holding, text)
            }
            Going::Stopped => (Kind::Holding, format!("{name:?} cannot be started: {words}")),
        };
        let after = minutes(self.thresholds.holding_minutes);
        let condition = Condition {
            kind,
            subject: of(seen),
            severity: Severity::Critical,
            since: seen.since,
            text,
            after,
        };
        self.found.conditions.push(condition);
    }

    fn paused(&mut self, seen: &ConfigurationFacts) {
        let limit = hours(self.thresholds.paused_hours);
        let Some(since) = seen.since.filter(|since| !limit.is_zero() && self.now.since(*since) >= limit)
        else {
            return;
        };
        let text = format!("{:?} has been paused for {}", seen.name, in_words(self.now.since(since)));
        self.wrong(Kind::Paused, of(seen), Severity::Warning, Some(since), text);
    }

    fn lag(&mut self, seen: &ConfigurationFacts, unsettled: Unsettled) {
        match seen.going {
            Going::Paused | Going::Disabled => return,
            // The cause has an alarm of its own.
            Going::Holding | Going::CredentialRejected | Going::AwaitsChoice | Going::Stopped => {
                return self.unsure(Kind::Lag, &seen.id);
            }
            Going::Unknown | Going::Flowing | Going::Struggling => {}
        }
        let Some(oldest) = unsettled.oldest_pending else { return };
        let lag = self.now.since(oldest);
        let standing = self.standing(Kind::Lag, &seen.id);
        let over = |severity, threshold| lag > Self::eased(minutes(threshold), standing, severity);
        let severity = if over(Severity::Critical, self.thresholds.lag_critical_minutes) {
            Severity::Critical
        } else if over(Severity::Warning, self.thresholds.lag_warning_minutes) {
            Severity::Warning
        } else {
            return;
        };
        let why = match &seen.last_error {
            Some(words) if seen.going == Going::Struggling => format!(": {words}"),
            _ => String::new(),
        };
        let text =
            format!("the oldest pending event of {:?} has waited for {}{why}", seen.name, in_words(lag));
        self.wrong(Kind::Lag, of(seen), severity, Some(oldest), text);
        self.must_last(LAG_LASTS);
    }

    fn expiry(&mut self, seen: &ConfigurationFacts, unsettled: Unsettled) {
        let (Some(at), Some(oldest)) = (unsettled.spent_at, unsettled.oldest_pending) else { return };
        let left = at.since(self.now);
        if left.is_zero() && unsettled.then == Then::IntakeRefuses {
            // It has come to that, and has an alarm of its own.
            return self.unsure(Kind::ExpiryAhead, &seen.id);
        }
        let ahead = hours(self.thresholds.expiry_ahead_hours);
        let standing = self.standing(Kind::ExpiryAhead, &seen.id);
        // The other way round: an alarm that stands is taken back when there is more time than it was raised at.
        let spare = |limit: Duration, severity| {
            if standing >= Some(severity) { limit * 100 / BACK_AT_PERCENT } else { limit }
        };
        if ahead.is_zero() || left >= spare(ahead, Severity::Warning) {
            return;
        }
        let is_near = left < spare(ahead / 4, Severity::Critical);
        let severity = if is_near { Severity::Critical } else { Severity::Warning };
        let (name, left) = (&seen.name, in_words(left));
        let text = match unsettled.then {
            Then::GivenUp => format!("pending events of {name:?} will be given up in {left}"),
            Then::IntakeRefuses => {
                format!(
                    "the backlog of {name:?} will be as large as it may be in {left}; then intake refuses all events"
                )
            }
        };
        self.wrong(Kind::ExpiryAhead, of(seen), severity, Some(oldest), text);
        self.must_last(OUTLOOK_LASTS);
    }

    fn growth(&mut self, kind: Kind, seen: &ConfigurationFacts, growth: &Growth) {
        let Some(n) = growth.grown() else { return };
        let events = if n == 1 { "1 event".to_owned() } else { format!("{n} events") };
        let (severity, text) = match kind {
            Kind::Expired => {
                (Severity::Critical, format!("{events} of {:?} were given up undelivered", seen.name))
            }
            _ => {
                (Severity::Warning, format!("{events} for {:?} went to quarantine, or are parked", seen.name))
            }
        };
        self.wrong(kind, of(seen), severity, growth.since, text);
    }

    fn source(&mut self, seen: &SourceFacts, marks: &Marks) {
        let Some(limit) = seen.silent_after.filter(|_| seen.is_enabled) else { return };
        let Some(heard) = marks.sources.get(&seen.id).copied().max(seen.heard) else { return };
        if self.now.since(seen.listened_to_since) < limit.min(LISTENS_FOR) {
            self.unsure(Kind::SourceSilent, &seen.id);
            return;
        }
        let silent = self.now.since(heard);
        if silent > limit {
            let text = format!("nothing has come from {:?} for {}", seen.name, in_words(silent));
            let subject = subject(SubjectKind::Source, &seen.id, &seen.name);
            self.wrong(Kind::SourceSilent, subject, Severity::Warning, Some(heard), text);
        }
    }

    fn instance(&mut self, facts: &Facts, marks: &Marks) {
        if facts.is_poisoned {
            let text = "a write to the journal failed, and nothing more is accepted".to_owned();
            self.wrong(Kind::JournalPoisoned, ourselves(), Severity::Critical, None, text);
        }
        if let Some(words) = &facts.refusal {
            self.wrong(Kind::IntakeRefuses, ourselves(), Severity::Critical, None, words.clone());
        }
        if facts.n_damaged > 0 {
            let text = format!("damage to the journal: {} of its blocks cannot be read", facts.n_damaged);
            self.wrong(Kind::JournalDamaged, ourselves(), Severity::Critical, None, text);
        }
        match facts.disk {
            Some(space) => self.disk(space, marks),
            None => self.unsure(Kind::Disk, ""),
        }
        if let Some(Unsigned { since, every }) = facts.unsigned_for {
            let unsigned = self.now.since(since);
            if unsigned > every * UNSIGNED_TIMES {
                let text = format!("the journal has grown for {} without a signed head", in_words(unsigned));
                self.wrong(Kind::HeadUnsigned, ourselves(), Severity::Warning, Some(since), text);
            }
        }
    }

    fn disk(&mut self, space: DiskSpace, marks: &Marks) {
        let standing = self.standing(Kind::Disk, "");
        let percent = u128::from(space.free) * 100 / u128::from(space.total.max(1));
        let percent = u64::try_from(percent).unwrap_or(100);
        let below = |limit: u32, severity| {
            let spare = if standing >= Some(severity) { ROOM_TO_SPARE } else { 0 };
            limit > 0 && percent < u64::from(limit) + spare
        };
        let days = hours(24 * self.thresholds.disk_days_left);
        let days = if standing.is_some() { days * 100 / BACK_AT_PERCENT } else { days };
        let left = marks.disk.left();
        let is_full_soon = left.is_some_and(|left| left < days);
        let severity = if below(self.thresholds.disk_critical_percent, Severity::Critical) {
            Severity::Critical
        } else if is_full_soon || below(self.thresholds.disk_warning_percent, Severity::Warning) {
            Severity::Warning
        } else {
            if left.is_none() {
                self.unsure(Kind::Disk, "");
            }
            return;
        };
        let soon = match left {
            Some(left) if is_full_soon => {
                format!(", and at the pace of the last hours it is full in {}", in_words(left))
            }
            _ => String::new(),
        };
        let text = format!("{percent} % of the disk is free{soon}");
        self.wrong(Kind::Disk, ourselves(), severity, None, text);
        self.must_last(Duration::from_mins(1));
    }
}

fn subject(kind: SubjectKind, id: &str, name: &str) -> Subject {
    Subject { kind, id: id.to_owned(), name: name.to_owned() }
}

fn of(seen: &ConfigurationFacts) -> Subject {
    subject(SubjectKind::Configuration, &seen.id, &seen.name)
}

fn ourselves() -> Subject {
    subject(SubjectKind::Instance, "", crate::OURSELVES)
}

/// A duration as people say it: of its two largest units, the second only where it matters.
fn in_words(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    let unit = |n: u64, unit: &str| if n == 1 { format!("1 {unit}") } else { format!("{n} {unit}s") };
    match minutes {
        0 => "less than a minute".to_owned(),
        1..=119 => unit(minutes, "minute"),
        120..=2879 => unit(minutes / 60, "hour"),
        _ => unit(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests;
