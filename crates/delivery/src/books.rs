//! The books of a configuration: its consumers, of all events, of the parked ones, and of what became of entries in
//! quarantine, taken together.

use std::collections::BTreeMap;

use base::{EventId, Timestamp};
use event::StreamSet;
use event::quarantine::{Change, Standing};
use journal::{AppendError, ConsumerCommand, ConsumerState, Journal, JournalError, StartAt, Tally};

use crate::parking::{Told, each_block, find, original_block, told};
use crate::places::{consumer_name, parked_name};
use crate::quarantine::{KeepError, note};
use crate::quarantined::afterwards::moved;

/// Why a parked event is in quarantine that was given up after a pause.
const GIVEN_UP: &str =
    "given up with all else that had gathered in a pause; until then the destination stumbled over it";

/// The copy of an event that is still parked.
#[derive(Clone, Copy, Debug)]
struct Copied {
    /// The block of the original; 0 when it cannot be told.
    from: u64,
    /// The event's own time.
    time: Timestamp,
    since: Timestamp,
    bytes: u64,
}

/// What is parked of a configuration, by event.
type Parked = BTreeMap<EventId, Copied>;

/// The two consumers of a configuration; `None` for one that is not there.
async fn consumers(
    journal: &dyn Journal,
    id: &str,
) -> Result<(Option<ConsumerState>, Option<ConsumerState>), JournalError> {
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    Ok((find(&consumers, consumer_name(id)), find(&consumers, parked_name(id))))
}

/// Reads what is parked, from the first block on that the consumer of parked events has not settled.
async fn parked(journal: &dyn Journal, id: &str, from: u64) -> Result<Parked, JournalError> {
    let mut parked = Parked::new();
    each_block(journal, from, |block| {
        for (offset, record) in block.records() {
            match told(&record, id) {
                Some(Told::Parked(reason)) => {
                    let copied = Copied {
                        from: original_block(&reason).unwrap_or_default(),
                        time: record.time(),
                        since: block.appended_at(),
                        bytes: block.record_bytes(offset.index as usize).map_or(0, |copy| copy.len() as u64),
                    };
                    parked.insert(reason.event_id, copied);
                }
                Some(Told::Ended(event, _)) => drop(parked.remove(&event)),
                Some(Told::Refused(_)) | None => {}
            }
        }
    })
    .await?;
    Ok(parked)
}

/// The books of a configuration, parked events put where they belong: those that are still parked are pending, those whose
/// parking ended are in the column of their end. `None` when it has no place in the journal.
pub async fn books(journal: &dyn Journal, id: &str) -> Result<Option<ConsumerState>, JournalError> {
    let books = match consumers(journal, id).await? {
        (Some(main), Some(own)) => {
            let parked = parked(journal, id, own.floor).await?;
            Some(together(main, &own.tally, &parked))
        }
        (main, _) => main,
    };
    let Some(books) = books else { return Ok(None) };
    Ok(Some(afterwards(books, &moved(journal, id).await?)))
}

/// The first block of which an event may still be sent: it is not settled, or the event is parked. 0 when the configuration
/// has no place. It is saved when it is told: after a crash no block below comes again, so that what was selected there may be
/// forgotten.
pub(crate) async fn floor(journal: &dyn Journal, id: &str) -> Result<u64, JournalError> {
    let (Some(main), own) = consumers(journal, id).await? else { return Ok(0) };
    let parked = match own {
        Some(own) => parked(journal, id, own.floor).await?,
        None => Parked::new(),
    };
    if let Some(name) = consumer_name(id) {
        // Creating what is there changes nothing, and is durable when it returns: with it, what was settled before.
        let (streams, start) = (StreamSet::product(), StartAt::Now);
        journal.consumers(ConsumerCommand::Create { name, streams, start, until: None }).await?;
    }
    Ok(parked.values().map(|copied| copied.from).fold(main.floor, u64::min))
}

/// Leaves all parked events in quarantine: they are tried no more. Doing it again does nothing.
pub(crate) async fn give_up_parked(
    journal: &dyn Journal,
    id: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let (_, Some(own)) = consumers(journal, id).await? else { return Ok(()) };
    for (event_id, copied) in parked(journal, id, own.floor).await? {
        let change = Change {
            reason: Some(GIVEN_UP.to_owned()),
            ..Change::new(id.to_owned(), event_id, now, Standing::Quarantined)
        };
        note(journal, &change, copied.time).await.map_err(refused)?;
    }
    Ok(())
}

fn refused(error: KeepError) -> JournalError {
    match error {
        KeepError::Journal(AppendError::Journal(error)) | KeepError::Consumer(error) => error,
        error => JournalError::Disk(std::io::Error::other(error)),
    }
}

fn together(main: ConsumerState, own: &Tally, parked: &Parked) -> ConsumerState {
    let mut tally = Tally {
        confirmed: main.tally.confirmed + own.confirmed,
        diverted: main.tally.diverted + own.diverted,
        accepted: main.tally.accepted + own.accepted,
        quarantined: main.tally.quarantined.saturating_sub(own.delivered() + parked.len() as u64),
        ..main.tally
    };
    // A parked event was delivered while its block was open, and the block was given up with it.
    let n_twice = tally.total().saturating_sub(main.appended);
    tally.discarded = tally.discarded.saturating_sub(n_twice);
    if tally.total() >= main.appended {
        // At most the settling of a block is.
        return ConsumerState { tally, pending_bytes: 0, oldest_pending: None, ..main };
    }
    let bytes: u64 = parked.values().map(|copied| copied.bytes).sum();
    let oldest = parked.values().map(|copied| copied.since).chain(main.oldest_pending).min();
    ConsumerState { tally, pending_bytes: main.pending_bytes + bytes, oldest_pending: oldest, ..main }
}

/// Puts entries where they are that have left quarantine. One of an event whose block is not settled yet was pending until
/// then; one whose block was given up or trimmed meanwhile is counted once.
fn afterwards(books: ConsumerState, moved: &Tally) -> ConsumerState {
    let quarantined = books.tally.quarantined.saturating_sub(moved.total());
    let mut tally = Tally { quarantined, ..books.tally }.plus(moved);
    let mut n_twice = tally.total().saturating_sub(books.appended);
    for column in [&mut tally.discarded, &mut tally.expired, &mut tally.erased, &mut tally.skipped] {
        let n = n_twice.min(*column);
        *column -= n;
        n_twice -= n;
    }
    if tally.total() >= books.appended {
        return ConsumerState { tally, pending_bytes: 0, oldest_pending: None, ..books };
    }
    ConsumerState { tally, ..books }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main(tally: Tally) -> ConsumerState {
        let oldest_pending = Some(Timestamp::default());
        ConsumerState { appended: 10, tally, pending_bytes: 7, oldest_pending, ..ConsumerState::default() }
    }

    fn copies(n: u8) -> Parked {
        let copied = Copied { from: 1, time: Timestamp::default(), since: Timestamp::default(), bytes: 5 };
        (0..n).map(|n| (EventId::from_bytes([n; 16]), copied)).collect()
    }

    #[test]
    fn what_is_parked_is_pending_with_the_bytes_of_its_copy() {
        let settled = ConsumerState {
            pending_bytes: 0,
            oldest_pending: None,
            ..main(Tally { confirmed: 8, quarantined: 2, ..Tally::default() })
        };
        let books = together(settled, &Tally::default(), &copies(1));
        assert_eq!((books.tally.total(), books.tally.quarantined), (9, 1));
        assert_eq!((books.pending_bytes, books.oldest_pending), (5, Some(Timestamp::default())));
        let books = together(settled, &Tally { accepted: 1, ..Tally::default() }, &copies(0));
        assert_eq!((books.tally.total(), books.tally.quarantined, books.tally.accepted), (10, 1, 1));
        assert_eq!((books.pending_bytes, books.oldest_pending), (0, None));
    }

    #[test]
    fn an_event_that_was_delivered_from_parking_is_not_given_up_with_its_block() {
        let given_up = main(Tally { confirmed: 4, discarded: 6, ..Tally::default() });
        let books = together(given_up, &Tally { confirmed: 1, ..Tally::default() }, &copies(0));
        let expected = Tally { confirmed: 5, discarded: 5, ..Tally::default() };
        assert_eq!((books.tally, books.pending_bytes), (expected, 0));
    }
}
