//! Finding: an id → where the index says that it lies → the record that lies there.

use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use event::{Record, RecordError, StreamSet};
use journal::{Block, Offset};
use tokio::time::timeout;

use crate::FindError;
use crate::notes::{Removed, TestNote};
use crate::run::{Run, RunError};
use crate::shared::{Shared, is_of};

/// How long a look-up waits for events that are not indexed yet: somebody sits before it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a look-up begins anew because the index changed under it.
const ATTEMPTS: usize = 4;

/// What is known of an id.
#[derive(Clone, Debug)]
pub enum Found {
    /// The event is stored.
    Stored(Stored),
    /// Events are stored that are not indexed yet; it may be one of them. Ask again in a moment.
    BeingIndexed,
    /// It was stored, and retention has removed it.
    Removed(Removed),
    /// It is not stored. Its id says that it is of a time of which retention has removed everything.
    ProbablyRemoved(Removed),
    /// It was stored, and was erased, or retention took it from beside what it keeps. When, the journal does not keep.
    Erased,
    /// It was stored, and lost when its block was damaged: an operator gave it up in a repair.
    Lost,
    /// A made-up event; it was never stored.
    Test(TestNote),
    /// No such event is stored.
    Unknown,
}

/// A stored event.
#[derive(Clone, Debug)]
pub struct Stored {
    block: Arc<Block>,
    offset: Offset,
}

impl Stored {
    /// Where it lies.
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// The block that holds it, and its index there.
    pub fn into_place(self) -> (Arc<Block>, u32) {
        (self.block, self.offset.index)
    }

    /// Its record.
    pub fn record(&self) -> Result<Record<'_>, RecordError> {
        Record::parse(self.block.record_bytes(self.offset.index as usize).unwrap_or_default())
    }
}

pub(crate) async fn find(shared: &Arc<Shared>, id: EventId) -> Result<Found, FindError> {
    let next = shared.journal.head().next;
    let was_complete = *shared.complete.borrow() >= next;
    if let Some(found) = indexed(shared, id).await? {
        return Ok(found);
    }
    if let Some(note) = shared.state.lock().notes.test(id) {
        return Ok(Found::Test(note.clone()));
    }
    if !was_complete || *shared.complete.borrow() < next {
        shared.wanted.notify_one();
        let mut complete = shared.complete.subscribe();
        let is_late = timeout(PATIENCE, complete.wait_for(|up_to| *up_to >= next)).await.is_err();
        if let Some(found) = indexed(shared, id).await? {
            return Ok(found);
        }
        // Looking may have met damage, and so have made it incomplete again.
        if is_late || *shared.complete.borrow() < next {
            return Ok(Found::BeingIndexed);
        }
    }
    let removed = shared.state.lock().notes.removal_by_time(id);
    Ok(removed.map_or(Found::Unknown, Found::ProbablyRemoved))
}

/// What became of the event that the index knows; `None` when it knows none.
async fn indexed(shared: &Arc<Shared>, id: EventId) -> Result<Option<Found>, FindError> {
    for _ in 0..ATTEMPTS {
        match look(shared, id).await? {
            Look::None => return Ok(None),
            Look::At(offset) => {
                if let Some(found) = read(shared, id, offset).await? {
                    return Ok(Some(found));
                }
                shared.reject_covering(offset.block);
            }
            Look::Again => {}
        }
    }
    Ok(None)
}

enum Look {
    At(Offset),
    None,
    /// The index changed meanwhile.
    Again,
}

/// Looks into the index, newest part first.
async fn look(shared: &Arc<Shared>, id: EventId) -> Result<Look, FindError> {
    let (in_tail, runs) = {
        let state = shared.state.lock();
        let in_tail = state.tail.entries.get(&id).copied();
        let from = state.tail.span.from;
        // While a run is made again, the tail lies between others: of two events with one id the newer one counts.
        let newer = |run: &&Run| in_tail.is_none() || run.span.from > from;
        let runs = state.shelf.runs().iter().rev().filter(newer).filter(|run| run.may_hold(id));
        (in_tail, runs.cloned().collect::<Vec<Run>>())
    };
    let otherwise = in_tail.map_or(Look::None, Look::At);
    if runs.is_empty() {
        return Ok(otherwise);
    }
    let shared = Arc::clone(shared);
    let looked = tokio::task::spawn_blocking(move || {
        for run in &runs {
            match run.find(&*shared.disk, id) {
                Ok(Some(offset)) => return Ok(Look::At(offset)),
                Ok(None) => {}
                Err(RunError::Damaged) => {
                    shared.reject(run);
                    return Ok(Look::Again);
                }
                Err(RunError::Disk(error)) => return Err(FindError::Disk(error)),
            }
        }
        Ok(otherwise)
    });
    looked.await.unwrap_or_else(|ended| Err(FindError::Disk(std::io::Error::other(ended))))
}

/// The record at an offset; `None` when another one lies there, so that the index is wrong.
async fn read(shared: &Shared, id: EventId, offset: Offset) -> Result<Option<Found>, FindError> {
    let removed = || {
        let noted = shared.state.lock().notes.removal_of(offset.block);
        Found::Removed(noted.unwrap_or_else(|| Removed { at: shared.clock.now(), or_before: false }))
    };
    let block = shared.block(offset.block, StreamSet::product()).await?;
    let Some(block) = block else {
        let is_removed = offset.block < shared.journal.head().first;
        return Ok(is_removed.then(removed));
    };
    if block.is_lost() {
        return Ok(Some(Found::Lost));
    }
    Ok(match is_of(&block, offset.index, id) {
        Some(true) => Some(Found::Stored(Stored { block, offset })),
        Some(false) => None,
        None => Some(Found::Erased),
    })
}
