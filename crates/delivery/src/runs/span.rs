//! The blocks that a run is about, fixed when it is made.

use std::time::Duration;

use base::Timestamp;
use event::StreamSet;
use journal::{Block, ConsumerCommand, Journal, JournalError, ReadRange};

use super::document::Picked;
use crate::parking::find;
use crate::places::consumer_name;

/// An event is received a little before its block is appended; and clocks are set back now and then. By so much more is
/// searched, on both sides; each event is looked at by its own time.
const SLACK: Duration = Duration::from_hours(1);

/// Blocks of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: u64,
    /// The first one beyond.
    pub until: u64,
    /// Whether what was asked for begins before the oldest block that is stored.
    pub begins_before_stored: bool,
}

/// The blocks that can hold what is picked, as far as the configuration is done with them: what is pending for it comes
/// anyway.
pub(crate) async fn span(
    journal: &dyn Journal,
    configuration_id: &str,
    picked: &Picked,
) -> Result<Span, JournalError> {
    let head = journal.head();
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let floor = find(&consumers, consumer_name(configuration_id)).map_or(head.next, |state| state.floor);
    let end = floor.min(head.next);
    let mut until =
        picked.until_offset.map_or(end, |(block, index)| end.min(block.saturating_add(u64::from(index > 0))));
    if let Some(time) = picked.received_until {
        until = first_since(journal, (head.first, until), time.plus(SLACK), End::Until).await?;
    }
    let mut from = picked.from_offset.map_or(head.first, |(block, _)| block);
    if let (Some((first, _)), Some((last, _))) = (picked.places.first(), picked.places.last()) {
        (from, until) = (*first, until.min(last.saturating_add(1)));
    }
    let mut begins_before_stored = from < head.first;
    from = from.max(head.first);
    if let Some(time) = picked.received_from {
        let oldest = block_at(journal, (head.first, head.next)).await?;
        begins_before_stored |= head.first > 1 && oldest.is_none_or(|block| block.appended_at() > time);
        from = first_since(journal, (from, until), time.minus(SLACK), End::From).await?;
    }
    Ok(Span { from, until: until.max(from), begins_before_stored })
}

/// Which end is searched: what cannot be read lies within.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    From,
    Until,
}

/// The first block of a range that was appended at a time or later.
async fn first_since(
    journal: &dyn Journal,
    (mut low, mut high): (u64, u64),
    time: Timestamp,
    end: End,
) -> Result<u64, JournalError> {
    while low < high {
        let middle = low + (high - low) / 2;
        let block = match block_at(journal, (middle, high)).await {
            Ok(block) => block,
            Err(JournalError::Damaged(what)) => {
                tracing::warn!(block = middle, what, "a damaged block is passed over in a search by time");
                if end == End::From {
                    high = middle;
                } else {
                    low = middle + 1;
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        match block {
            Some(block) if block.appended_at() < time => low = block.sequence() + 1,
            // Between the middle and the block there is none of an event.
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The first block of a range.
async fn block_at(
    journal: &dyn Journal,
    (from, until): (u64, u64),
) -> Result<Option<std::sync::Arc<Block>>, JournalError> {
    let range = ReadRange { streams: StreamSet::product(), from, until, max_bytes: 1 };
    Ok(journal.read(range).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::{Clock, EventId, ManualClock, Random};
    use event::{RecordBuilder, Stream};
    use journal::model::{ModelJournal, ModelOptions};
    use journal::{Append, Entry, OnConflict, Producer, StartAt};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// Ten blocks, one every three hours, of which the configuration `c` has settled those below `floor`.
    async fn journal(floor: u64) -> (ModelJournal, Timestamp) {
        let begin = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let clock = Arc::new(ManualClock::new(begin));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let random = Arc::new(Random::from_seed(1));
        let journal = ModelJournal::new(as_clock, Arc::clone(&random), ModelOptions::default());
        for _ in 0..10 {
            let now = clock.now();
            let record = RecordBuilder::new(Stream::AccountEvent, EventId::draw(now, &random), now, now)
                .finish()
                .unwrap();
            let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
            journal
                .append(Append { stream: Stream::AccountEvent, entries, request_key: None })
                .await
                .unwrap();
            clock.advance(3 * HOUR);
        }
        let create = ConsumerCommand::Create {
            name: consumer_name("c").unwrap(),
            streams: StreamSet::product(),
            start: StartAt::Block(floor),
            until: None,
        };
        journal.consumers(create).await.unwrap();
        (journal, begin)
    }

    #[tokio::test(start_paused = true)]
    async fn times_become_blocks_that_hold_all_that_was_received_then() {
        let (journal, begin) = journal(11).await;
        let of = async |from: Option<u32>, until: Option<u32>| {
            let picked = Picked {
                received_from: from.map(|hours| begin.plus(HOUR * hours)),
                received_until: until.map(|hours| begin.plus(HOUR * hours)),
                ..Picked::default()
            };
            let span = span(&journal, "c", &picked).await.unwrap();
            (span.from, span.until)
        };
        assert_eq!(of(None, None).await, (1, 11));
        assert_eq!(of(Some(0), Some(1)).await, (1, 2));
        assert_eq!(of(Some(6), Some(12)).await, (3, 6));
        assert_eq!(of(Some(7), Some(13)).await, (3, 6), "by an hour more on both sides");
        assert_eq!(of(Some(100), None).await, (11, 11));
        assert_eq!(of(Some(9), Some(3)).await.0, of(Some(9), Some(3)).await.1, "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_pending_is_no_part_and_what_is_gone_is_told() {
        let (journal, begin) = journal(8).await;
        let all = span(&journal, "c", &Picked::default()).await.unwrap();
        assert_eq!(all, Span { from: 1, until: 8, begins_before_stored: false });
        journal.trim(4).await.unwrap();
        let by_offset = Picked { from_offset: Some((2, 0)), until_offset: Some((6, 1)), ..Picked::default() };
        let expected = Span { from: 4, until: 7, begins_before_stored: true };
        assert_eq!(span(&journal, "c", &by_offset).await.unwrap(), expected);
        let far = Picked { until_offset: Some((u64::MAX, 1)), ..Picked::default() };
        assert_eq!(span(&journal, "c", &far).await.unwrap().until, 8);
        let by_time = Picked { received_from: Some(begin), ..Picked::default() };
        assert!(span(&journal, "c", &by_time).await.unwrap().begins_before_stored);
        let recent = Picked { received_from: Some(begin.plus(HOUR * 12)), ..Picked::default() };
        let expected = Span { from: 5, until: 8, begins_before_stored: false };
        assert_eq!(span(&journal, "c", &recent).await.unwrap(), expected);
        let listed = Picked { places: vec![(5, 0), (6, 0)], n_events: Some(2), ..Picked::default() };
        let expected = Span { from: 5, until: 7, begins_before_stored: false };
        assert_eq!(span(&journal, "c", &listed).await.unwrap(), expected);
        let far = Picked { until_offset: Some((u64::MAX, 1)), ..Picked::default() };
        assert_eq!(span(&journal, "c", &far).await.unwrap().until, 8);
    }
}
