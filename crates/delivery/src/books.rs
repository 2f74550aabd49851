//! The books of a configuration: its consumers, of all events, of the parked ones, and of what became of entries in
//! quarantine, taken together.

use std::collections::HashMap;

use base::Timestamp;
use event::StreamSet;
use event::quarantine::{Change, Standing};
use journal::{AppendError, ConsumerCommand, ConsumerState, Journal, JournalError, StartAt, Tally};

use crate::kept::{Beyond, Kept, Parked, Places};
use crate::places::consumer_name;
use crate::quarantine::{KeepError, note};

/// Why a parked event is in quarantine that was given up after a pause.
const GIVEN_UP: &str =
    "given up with all else that had gathered in a pause; until then the destination stumbled over it";

/// The books of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    /// Of all its events.
    pub(crate) all: ConsumerState,
    /// Without parked events, which hold up no other: what became of those that are settled, and what has gathered.
    pub(crate) main: ConsumerState,
    /// Events that are parked.
    pub(crate) n_parked: u64,
    /// Why it is not known what is parked, nor what became of entries in quarantine: then `all` says nothing about it.
    pub(crate) unread: Option<String>,
}

/// The books of all configurations that have a place in the journal.
pub(crate) async fn all_books(
    kept: &Kept,
    journal: &dyn Journal,
) -> Result<HashMap<String, Books>, JournalError> {
    let seen = kept.see(journal).await?;
    let failed = seen.failed.map(|error| error.to_string());
    let books = seen.all.into_iter().filter_map(|(id, (places, beyond))| {
        let reads = places.own.is_some() || places.afterwards.is_some();
        let unread = failed.clone().filter(|_| reads);
        let all = if unread.is_none() { of(&places, &beyond)? } else { places.main? };
        Some((id, Books { all, main: places.main?, n_parked: beyond.parked.len() as u64, unread }))
    });
    Ok(books.collect())
}

/// The books of a configuration, parked events put where they belong: those that are still parked are pending, those whose
/// parking ended are in the column of their end. `None` when it has no place in the journal.
pub async fn books(journal: &dyn Journal, id: &str) -> Result<Option<ConsumerState>, JournalError> {
    let (places, beyond) = seen(&Kept::default(), journal, id).await?;
    Ok(of(&places, &beyond))
}

/// What is known of one configuration.
async fn seen(kept: &Kept, journal: &dyn Journal, id: &str) -> Result<(Places, Beyond), JournalError> {
    let mut seen = kept.see(journal).await?;
    match seen.failed {
        Some(error) => Err(error),
        None => Ok(seen.all.remove(id).unwrap_or_default()),
    }
}

fn of(places: &Places, beyond: &Beyond) -> Option<ConsumerState> {
    let main = places.main?;
    let books = places.own.map_or(main, |own| together(main, &own.tally, &beyond.parked));
    let Some(counted) = places.afterwards else { return Some(books) };
    let counted = Tally { skipped: 0, expired: 0, ..counted.tally };
    Some(afterwards(books, &counted.plus(&beyond.moved())))
}

/// The first block of which an event may still be sent: it is not settled, or the event is parked. 0 when the configuration
/// has no place. It is saved when it is told: after a crash no block below comes again, so that what was selected there may be
/// forgotten.
pub(crate) async fn floor(kept: &Kept, journal: &dyn Journal, id: &str) -> Result<u64, JournalError> {
    let (places, beyond) = seen(kept, journal, id).await?;
    let Some(main) = places.main else { return Ok(0) };
    if let Some(name) = consumer_name(id) {
        // Creating what is there changes nothing, and is durable when it returns: with it, what was settled before.
        let (streams, start) = (StreamSet::product(), StartAt::Now);
        journal.consumers(ConsumerCommand::Create { name, streams, start, until: None }).await?;
    }
    Ok(beyond.parked.values().map(|copied| copied.from).fold(main.floor, u64::min))
}

/// Leaves all parked events in quarantine: they are tried no more. Doing it again does nothing.
pub(crate) async fn give_up_parked(
    journal: &dyn Journal,
    id: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let (_, beyond) = seen(&Kept::default(), journal, id).await?;
    for (event_id, copied) in beyond.parked {
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
    use base::EventId;

    use super::*;
    use crate::kept::Copied;

    fn main(tally: Tally) -> ConsumerState {
        let oldest_pending = Some(Timestamp::default());
        ConsumerState { appended: 10, tally, pending_bytes: 7, oldest_pending, ..ConsumerState::default() }
    }

    fn copies(n: u8) -> Parked {
        let (time, since) = (Timestamp::default(), Timestamp::default());
        let copied = Copied { block: 2, from: 1, time, since, bytes: 5 };
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
