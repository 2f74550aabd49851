//! Where a new configuration begins: now, with the oldest stored event, or with those of some time.

use std::fmt;
use std::sync::Arc;

use base::Timestamp;
use event::StreamSet;
use journal::{Block, ConsumerCommand, ConsumerState, Journal, JournalError, ReadRange, StartAt};
use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::places::named;

/// Where a new configuration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum StartFrom {
    /// With what is accepted from now on.
    Now,
    /// With the oldest stored event.
    Earliest,
    /// With what was accepted at this time or later.
    Time(Timestamp),
}

/// What [`StartFrom`] may be.
#[derive(Debug, thiserror::Error)]
#[error("must be now, earliest, or an RFC 3339 date-time such as 2026-01-31T12:00:00Z")]
pub struct UnknownStart;

impl StartFrom {
    /// From the name in requests.
    pub fn parse(text: &str) -> Result<Self, UnknownStart> {
        match text {
            "now" => Ok(Self::Now),
            "earliest" => Ok(Self::Earliest),
            time => Timestamp::parse(time).map(Self::Time).map_err(|_| UnknownStart),
        }
    }
}

impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Earliest => f.write_str("earliest"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl From<StartFrom> for String {
    fn from(start: StartFrom) -> Self {
        start.to_string()
    }
}

impl TryFrom<String> for StartFrom {
    type Error = UnknownStart;

    fn try_from(text: String) -> Result<Self, UnknownStart> {
        Self::parse(&text)
    }
}

/// What lies before a configuration that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartsAt {
    /// The block sequence at which it begins.
    pub block: u64,
    /// When the first block that is for it was appended; `None` when there is none yet.
    pub appended_at: Option<Timestamp>,
    /// Events that are stored from there on, of all streams, whether the settings select them or not.
    pub events: u64,
    /// Their bytes in the journal.
    pub bytes: u64,
    /// Whether what was asked for may have been there once: retention has removed all that is older than this.
    pub is_trimmed: bool,
}

impl Configuration {
    /// Events that were received before are not sent.
    pub(crate) fn sends_since(&self) -> Option<Timestamp> {
        match self.start_from? {
            StartFrom::Time(time) => Some(time),
            StartFrom::Now | StartFrom::Earliest => None,
        }
    }
}

/// Gives a new configuration its place in the journal: there, unless it has one.
pub async fn admit_from(
    journal: &dyn Journal,
    id: &str,
    from: StartFrom,
) -> Result<Option<StartsAt>, JournalError> {
    let start = match from {
        StartFrom::Now => StartAt::Now,
        StartFrom::Earliest => StartAt::Earliest,
        StartFrom::Time(time) => match first_since(journal, time).await? {
            Some(block) => StartAt::Block(block.sequence()),
            None => StartAt::Now,
        },
    };
    let create =
        ConsumerCommand::Create { name: named(id)?, streams: StreamSet::product(), start, until: None };
    let made = journal.consumers(create).await?.into_iter().next();
    let first = journal.head().first;
    Ok(made.map(|made| starts_at(&made.state, first, from)))
}

fn starts_at(state: &ConsumerState, first: u64, from: StartFrom) -> StartsAt {
    let begins_with_the_oldest = first > 1 && state.started_at <= first;
    StartsAt {
        block: state.started_at,
        appended_at: state.oldest_pending,
        events: state.appended.saturating_sub(state.tally.total()),
        bytes: state.pending_bytes,
        is_trimmed: begins_with_the_oldest && from != StartFrom::Now,
    }
}

/// Whether a configuration that was given a start has not come further yet: what lies before it is what was asked for, and
/// did not gather in a pause.
pub async fn is_at_its_start(
    journal: &dyn Journal,
    configuration: &Configuration,
) -> Result<bool, JournalError> {
    if configuration.start_from.is_none() {
        return Ok(false);
    }
    let name = named(&configuration.id)?;
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let own = consumers.iter().find(|consumer| consumer.name == name);
    // What retention has removed meanwhile was not sent either.
    Ok(own.is_some_and(|own| own.state.tally.total() == own.state.tally.expired))
}

/// The first block of events that was appended at `time` or later. Halves the journal: at most 64 blocks are read. Where a
/// clock was set back, it may be a later one of several such blocks.
async fn first_since(journal: &dyn Journal, time: Timestamp) -> Result<Option<Arc<Block>>, JournalError> {
    let head = journal.head();
    let (mut from, mut until, mut found) = (head.first, head.next, None);
    while from < until {
        let middle = from + (until - from) / 2;
        match next_block(journal, middle, until).await? {
            Some(block) if block.appended_at() < time => from = block.sequence() + 1,
            Some(block) => {
                until = middle;
                found = Some(block);
            }
            None => until = middle,
        }
    }
    Ok(found)
}

/// The first block of events in a range; what is damaged is passed over.
async fn next_block(
    journal: &dyn Journal,
    mut from: u64,
    until: u64,
) -> Result<Option<Arc<Block>>, JournalError> {
    while from < until {
        let range = ReadRange { streams: StreamSet::product(), from, until, max_bytes: 1 };
        match journal.read(range).await {
            Ok(blocks) => return Ok(blocks.into_iter().next()),
            Err(JournalError::Damaged(_)) => from += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::{Clock, EventId, ManualClock, Random};
    use event::{RecordBuilder, Stream};
    use journal::model::{ModelJournal, ModelOptions};
    use journal::{Append, Entry, OnConflict, Producer};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// One block a minute, from minute 0 on: of events, or of quarantine.
    async fn journal(streams: &[Stream]) -> ModelJournal {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let random = Arc::new(Random::from_seed(1));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let journal = ModelJournal::new(as_clock, Arc::clone(&random), ModelOptions::default());
        for stream in streams {
            let id = EventId::draw(clock.now(), &random);
            let record = RecordBuilder::new(*stream, id, clock.now(), clock.now()).finish().unwrap();
            let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
            journal.append(Append { stream: *stream, entries, request_key: None }).await.unwrap();
            clock.advance(MINUTE);
        }
        journal
    }

    fn at(minutes: u32) -> Timestamp {
        Timestamp::default().plus(MINUTE * minutes)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_block_of_a_time_is_found_wherever_it_lies() {
        use Stream::{AccountEvent, AuditLog, Quarantine};
        let streams = [AccountEvent, Quarantine, AuditLog, Quarantine, Quarantine, AccountEvent, Quarantine];
        let journal = journal(&streams).await;
        for (time, expected) in [
            (at(0), Some(1)),
            (at(1), Some(3)),
            (at(2), Some(3)),
            (at(2).plus(Duration::from_millis(1)), Some(6)),
            (at(5), Some(6)),
            (at(6), None),
        ] {
            let found = first_since(&journal, time).await.unwrap();
            assert_eq!(found.map(|block| block.sequence()), expected, "{time}");
        }
        journal.trim(4).await.unwrap();
        assert_eq!(first_since(&journal, at(0)).await.unwrap().unwrap().sequence(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_what_lies_before_a_start_and_whether_older_events_are_gone() {
        let journal = journal(&[Stream::AccountEvent; 10]).await;
        let starts = |from| {
            let (journal, id) = (&journal, format!("c-{from}").replace(':', "-"));
            async move { admit_from(journal, &id, from).await.unwrap().unwrap() }
        };
        let all = starts(StartFrom::Earliest).await;
        assert_eq!((all.block, all.events, all.appended_at, all.is_trimmed), (1, 10, Some(at(0)), false));
        let some = starts(StartFrom::Time(at(7))).await;
        assert_eq!((some.block, some.events, some.appended_at, some.is_trimmed), (8, 3, Some(at(7)), false));
        let none = starts(StartFrom::Time(at(60))).await;
        assert_eq!((none.block, none.events, none.appended_at), (11, 0, None));
        assert_eq!(starts(StartFrom::Now).await, none);
        journal.trim(6).await.unwrap();
        let left = starts(StartFrom::Time(at(2))).await;
        assert_eq!((left.block, left.events, left.is_trimmed), (6, 5, true));
    }

    #[test]
    fn a_start_is_spelled_as_in_requests() {
        for text in ["now", "earliest", "2026-01-31T12:00:00.000Z"] {
            let start = StartFrom::parse(text).unwrap();
            assert_eq!(serde_json::to_value(start).unwrap(), text);
            assert_eq!(serde_json::from_value::<StartFrom>(text.into()).unwrap(), start);
        }
        for text in ["", "Now", "yesterday", "2026-01-31"] {
            assert!(StartFrom::parse(text).is_err(), "{text}");
        }
    }
}
