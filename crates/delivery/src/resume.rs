//! Going on after a pause: with what has gathered meanwhile, or, when that is too much to be sent unasked, as an operator
//! chooses.
//!
//! ```text
//!   disabled ──enable──▶ running                        the backlog is within the limits
//!   paused ────resume──▶    ┆
//!       └──────────────▶ awaiting choice ──continue──▶ running
//!                                       └───now──▶ giving up ──the journal has moved──▶ running
//! ```

use std::time::Duration;

use base::Timestamp;
use catalog::{Catalog, CatalogError, Found};
use journal::{ConsumerCommand, ConsumerState, Journal, JournalError, StartAt};
use serde::{Deserialize, Serialize};

use crate::books::give_up_parked;
use crate::configuration::Configuration;
use crate::places::consumer_name;

/// How often a backlog is measured again when events came in between.
const MEASURES: usize = 10;

/// What may be sent after a pause without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeLimits {
    /// How old its oldest event may be.
    pub max_age: Duration,
    /// How many bytes it may have in the journal.
    pub max_bytes: u64,
}

impl Default for ResumeLimits {
    fn default() -> Self {
        Self { max_age: Duration::from_hours(24), max_bytes: 1 << 30 }
    }
}

/// Where an operator lets a configuration go on after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeFrom {
    /// With the oldest event that is not settled.
    Continue,
    /// With what is accepted from now on; the backlog is given up.
    Now,
}

impl ResumeFrom {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Continue, Self::Now];

    /// The name in requests and audit logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Now => "now",
        }
    }
}

/// What a configuration keeps of a pause that is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resume {
    /// Since when it awaits the choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits_since: Option<Timestamp>,
    /// The choice was `now`: the block sequence at which it goes on, until the journal has moved it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives_up_below: Option<u64>,
}

impl Resume {
    /// Whether nothing is sent yet, although the configuration is enabled.
    pub const fn is_waiting(&self) -> bool {
        self.awaits_since.is_some() || self.gives_up_below.is_some()
    }

    /// What is kept while the configuration is disabled: a question that nobody has answered.
    #[must_use]
    pub const fn while_disabled(self) -> Self {
        Self { awaits_since: self.awaits_since, gives_up_below: None }
    }

    /// What becomes of a configuration that shall go on. `self` is what it kept until now; without a choice it goes on by
    /// itself when `backlog` is within `limits`, unless it was waiting already.
    #[must_use]
    pub fn next(
        self,
        backlog: &Backlog,
        choice: Option<ResumeFrom>,
        limits: ResumeLimits,
        now: Timestamp,
    ) -> Self {
        match choice {
            // Should the journal not be moved, it can be chosen again.
            Some(ResumeFrom::Now) => {
                Self { awaits_since: self.awaits_since.or(Some(now)), gives_up_below: Some(backlog.next) }
            }
            Some(ResumeFrom::Continue) => Self::default(),
            None if self.is_waiting() => self,
            None => Self { awaits_since: backlog.exceeds(limits, now).then_some(now), gives_up_below: None },
        }
    }
}

impl Configuration {
    /// Whether a worker runs for it.
    pub const fn runs(&self) -> bool {
        self.enabled && self.paused_since.is_none() && !self.resume.is_waiting()
    }
}

/// What has gathered for a configuration: all that is not settled, whether its settings select it or not. Not the parked
/// events, whose blocks are settled: they are few, tried alone and slowly, and an old one is no reason to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events.
    pub events: u64,
    /// Their bytes in the journal.
    pub bytes: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
    /// The first block sequence that is not part of it.
    pub next: u64,
}

impl Backlog {
    /// The backlog of the configuration with this id; nothing when it has no place in the journal. While events come in
    /// faster than it is measured, some of the newest may be counted that come after [`Backlog::next`].
    pub async fn of(journal: &dyn Journal, id: &str) -> Result<Self, JournalError> {
        let name = consumer_name(id);
        let mut measured = Self::default();
        for _ in 0..MEASURES {
            let next = journal.head().next;
            let consumers = journal.consumers(ConsumerCommand::List).await?;
            let state = consumers.into_iter().find(|each| Some(&each.name) == name.as_ref());
            let nothing = Self { next, ..Self::default() };
            measured = state.map_or(nothing, |consumer| Self::of_state(&consumer.state, next));
            if journal.head().next == next {
                break;
            }
        }
        Ok(measured)
    }

    /// What a consumer has not settled of the blocks below `next`.
    pub(crate) fn of_state(state: &ConsumerState, next: u64) -> Self {
        Self {
            events: state.appended.saturating_sub(state.tally.total()),
            bytes: state.pending_bytes,
            oldest: state.oldest_pending,
            next,
        }
    }

    /// Whether it is too much to be sent unasked.
    pub fn exceeds(&self, limits: ResumeLimits, now: Timestamp) -> bool {
        let is_old = self.oldest.is_some_and(|oldest| now.since(oldest) > limits.max_age);
        is_old || self.bytes > limits.max_bytes
    }
}

/// Why a backlog was not given up. What was chosen stays chosen, or was replaced by somebody.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// The place in the journal was not moved.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The end of the pause was not stored; [`CatalogError::Conflict`] when something else was chosen meanwhile.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The configuration with this id, when the choice stands to give up what is below `below`.
pub(crate) fn chosen(catalog: &Catalog, id: &str, below: u64) -> Result<Found<Configuration>, CatalogError> {
    let found = catalog.get::<Configuration>(id)?;
    if found.value.resume.gives_up_below == Some(below) { Ok(found) } else { Err(CatalogError::Conflict) }
}

/// Moves a configuration's place up to the block sequence `below`; what is passed counts as discarded. Parked events stay in
/// quarantine. Doing it again does nothing.
pub(crate) async fn give_up(
    journal: &dyn Journal,
    id: &str,
    below: u64,
    now: Timestamp,
) -> Result<(), JournalError> {
    let name = consumer_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))?;
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let floor = consumers.iter().find(|each| each.name == name).map(|each| each.state.floor);
    if below > journal.head().next {
        // An older copy of the journal does not hold what was given up.
        return Ok(());
    }
    give_up_parked(journal, id, now).await?;
    if floor.is_some_and(|floor| floor < below) {
        journal.consumers(ConsumerCommand::Seek { name, to: StartAt::Block(below) }).await?;
    }
    Ok(())
}

/// The end of a pause whose backlog below `below` is given up: stored once the journal has moved. Answers what is stored.
pub fn end_pause(catalog: &Catalog, id: &str, below: u64) -> Result<Found<Configuration>, CatalogError> {
    let mut found = chosen(catalog, id, below)?;
    // What was given up is not to be sent either when its place is lost.
    found.value.sends_from = found.value.sends_from.max(Some(below));
    found.value.resume = Resume::default();
    found.value.paused_since = None;
    found.revision = catalog.replace(id, &found.value, found.revision, None)?;
    Ok(found)
}

/// Carries out what was chosen before a crash. One that fails is left as it is: it goes on waiting.
pub(crate) async fn carry_out_all(journal: &dyn Journal, catalog: &Catalog, now: Timestamp) {
    for (id, found) in catalog.list_each::<Configuration>() {
        let Some(below) = found.ok().and_then(|found| found.value.resume.gives_up_below) else { continue };
        let ended = match give_up(journal, &id, below, now).await {
            Ok(()) => end_pause(catalog, &id, below).map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = ended {
            tracing::error!(
                configuration = id,
                error,
                "its backlog could not be given up; it goes on waiting"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ResumeLimits = ResumeLimits { max_age: Duration::from_hours(24), max_bytes: 1000 };

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap()
    }

    fn backlog(age: Duration, bytes: u64) -> Backlog {
        Backlog { events: 5, bytes, oldest: Some(now().minus(age)), next: 9 }
    }

    #[test]
    fn only_what_is_beyond_a_limit_is_asked_about() {
        let day = Duration::from_hours(24);
        for (age, bytes, is_asked) in
            [(day, 1000, false), (day + Duration::from_millis(1), 1000, true), (day, 1001, true)]
        {
            let next = Resume::default().next(&backlog(age, bytes), None, LIMITS, now());
            assert_eq!(next.awaits_since, is_asked.then(now), "{age:?} {bytes}");
        }
        let nothing = Backlog { next: 9, ..Backlog::default() };
        assert!(!Resume::default().next(&nothing, None, LIMITS, now()).is_waiting());
    }

    #[test]
    fn a_choice_settles_it_and_none_leaves_it_open() {
        let much = backlog(Duration::from_hours(48), 1);
        let waiting = Resume::default().next(&much, None, LIMITS, now());
        let later = now().plus(Duration::from_hours(1));
        assert_eq!(waiting.next(&Backlog::default(), None, LIMITS, later), waiting, "it was asked already");
        assert_eq!(waiting.next(&much, Some(ResumeFrom::Continue), LIMITS, later), Resume::default());
        let given_up = waiting.next(&much, Some(ResumeFrom::Now), LIMITS, later);
        assert_eq!((given_up.gives_up_below, given_up.awaits_since), (Some(9), waiting.awaits_since));
        let at_once = Resume::default().next(&much, Some(ResumeFrom::Now), LIMITS, later);
        assert_eq!((at_once.gives_up_below, at_once.awaits_since), (Some(9), Some(later)));
    }
}
