//! What following and finding share: the runs, the ids that are in no run yet, the notes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Clock, EventId, Timestamp};
use event::{Record, StreamSet};
use journal::disk::Disk;
use journal::{Block, Head, Journal, JournalError, Offset, ReadRange};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::notes::Notes;
use crate::run::{Run, RunError, Span, UNFINISHED, Witness};
use crate::shelf::Shelf;
use crate::{Options, Parts, Status};

/// Widest range of blocks of a run: places are kept in 4 bytes.
const WIDEST: u64 = 1 << 31;

pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) state: Mutex<State>,
    /// Up to which block everything was in the index when it was last complete; 0 when something is missing below. Changed
    /// only under the lock of `state`.
    pub(crate) complete: watch::Sender<u64>,
    /// Somebody waits for the index.
    pub(crate) wanted: Notify,
    pub(crate) n_unreadable: AtomicU64,
    /// Held while the notes change, so that the file is never older than what was answered.
    changing_notes: tokio::sync::Mutex<()>,
}

pub(crate) struct State {
    pub(crate) shelf: Shelf,
    pub(crate) tail: Tail,
    pub(crate) notes: Notes,
    pub(crate) complete_as_of: Option<Timestamp>,
}

/// The run that is being made, in memory.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) span: Span,
    pub(crate) entries: HashMap<EventId, Offset>,
    pub(crate) witness: Option<Witness>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The index is complete.
    None,
    /// The tail becomes a run.
    Seal,
    /// These blocks are read into the tail.
    Read(Span),
}

impl Tail {
    /// Begins anew before a block.
    pub(crate) fn restart(&mut self, from: u64) {
        *self = Self { span: Span { from, until: from }, ..Self::default() };
    }

    /// Takes in the ids of a block. Of two events with one id the newer one is found.
    pub(crate) fn add(&mut self, block: &Block) {
        self.entries.extend(block.records().map(|(offset, record)| (record.event_id(), offset)));
        self.witness = Some(Witness { block: block.sequence(), appended_at: block.appended_at() });
        self.span.until = block.sequence() + 1;
    }
}

impl State {
    /// What is to be done next, when the journal is there.
    pub(crate) fn work(&mut self, journal: Span, options: &Options) -> Work {
        let Some(gap) = self.shelf.gap(journal) else {
            self.tail.restart(journal.until);
            return Work::None;
        };
        let Span { from, until } = self.tail.span;
        if self.tail.span.is_empty() || until < gap.from {
            // Nothing is in it, or nothing that is still there.
            self.tail.restart(gap.from);
        } else if from > gap.from {
            // A run is missing before it: it is kept, and that one is made again first.
            return Work::Seal;
        }
        let Span { from, until } = self.tail.span;
        if until >= gap.until {
            return if gap.until < journal.until { Work::Seal } else { Work::None };
        }
        if self.tail.entries.len() >= options.run_entries || until - from >= WIDEST {
            return Work::Seal;
        }
        Work::Read(Span { from: until, until: gap.until.min(from + WIDEST) })
    }
}

impl Shared {
    pub(crate) fn open(parts: Parts) -> io::Result<Self> {
        let Parts { journal, disk, clock, options } = parts;
        let mut runs = Vec::new();
        for name in disk.list("")? {
            let opened = if name == UNFINISHED {
                Err(RunError::Damaged)
            } else if Span::of_name(&name).is_some() {
                Run::open(&*disk, &name)
            } else {
                continue;
            };
            match opened {
                Ok(run) => runs.push(run),
                Err(RunError::Damaged) => disk.remove(&name)?,
                Err(RunError::Disk(error)) => return Err(error),
            }
        }
        let (shelf, others) = Shelf::of(runs);
        for run in others {
            run.remove(&*disk)?;
        }
        let notes = Notes::read(&*disk);
        let state = State { shelf, tail: Tail::default(), notes, complete_as_of: None };
        Ok(Self {
            journal,
            disk,
            clock,
            options,
            state: Mutex::new(state),
            complete: watch::Sender::new(0),
            wanted: Notify::new(),
            n_unreadable: AtomicU64::new(0),
            changing_notes: tokio::sync::Mutex::default(),
        })
    }

    /// Takes a run away that is not right; its blocks are read again. False when it was not there any more.
    pub(crate) fn reject(&self, run: &Run) -> bool {
        let mut state = self.state.lock();
        let was_there = state.shelf.take(run);
        if was_there {
            self.complete.send_replace(0);
            self.wanted.notify_one();
        }
        drop(state);
        if was_there {
            tracing::warn!(file = run.span.name(), "a file of the explorer is not right and is made again");
            if let Err(error) = run.remove(&*self.disk) {
                tracing::warn!(%error, "a file of the explorer that is not right cannot be removed");
            }
        }
        was_there
    }

    /// The same for whatever says where an event of a block lies.
    pub(crate) fn reject_covering(&self, block: u64) {
        let mut state = self.state.lock();
        let run = state.shelf.covering(block).cloned();
        if run.is_none() {
            let from = state.tail.span.from;
            state.tail.restart(from);
            self.complete.send_replace(0);
        }
        drop(state);
        if let Some(run) = run {
            self.reject(&run);
        }
    }

    /// Changes the notes and writes them down. What cannot be written is known until the process ends.
    pub(crate) async fn change_notes(self: &Arc<Self>, change: impl FnOnce(&mut Notes)) {
        let _one_at_a_time = self.changing_notes.lock().await;
        let notes = {
            let mut state = self.state.lock();
            change(&mut state.notes);
            state.notes.clone()
        };
        let disk = Arc::clone(&self.disk);
        let written = tokio::task::spawn_blocking(move || notes.write(&*disk)).await;
        if let Err(error) = written.unwrap_or_else(|ended| Err(io::Error::other(ended))) {
            tracing::warn!(%error, "the explorer's notes cannot be written: after a restart they are forgotten");
        }
    }

    /// One block, if it is still there and of `streams`.
    pub(crate) async fn block(
        &self,
        sequence: u64,
        streams: StreamSet,
    ) -> Result<Option<Arc<Block>>, JournalError> {
        let range = ReadRange { streams, from: sequence, until: sequence.saturating_add(1), max_bytes: 1 };
        let blocks = self.journal.read(range).await?;
        Ok(blocks.into_iter().find(|block| block.sequence() == sequence))
    }

    pub(crate) fn status(&self) -> Status {
        let journal = span_of(&self.journal.head());
        let state = self.state.lock();
        let tail = state.tail.span;
        let in_tail = tail.until.min(journal.until).saturating_sub(tail.from.max(journal.from));
        Status {
            complete_as_of: state.complete_as_of,
            blocks_behind: state.shelf.n_missing(journal).saturating_sub(in_tail),
            blocks_unreadable: self.n_unreadable.load(Ordering::Relaxed),
        }
    }
}

/// The blocks that are stored.
pub(crate) const fn span_of(head: &Head) -> Span {
    Span { from: head.first, until: head.next }
}

/// Whether the record at `index` is that of the event; `None` when it was erased.
pub(crate) fn is_of(block: &Block, index: u32, id: EventId) -> Option<bool> {
    let bytes = block.record_bytes(index as usize).unwrap_or(b"none");
    if bytes.is_empty() {
        return None;
    }
    Some(Record::parse(bytes).is_ok_and(|record| record.event_id() == id))
}
