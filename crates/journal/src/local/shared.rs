//! What the handles and the writer share.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::LocalOptions;
use super::attempts::{Attempts, Pinned, Unreadable};
use super::consumer::Taken;
use super::open_files::OpenFiles;
use super::queue::{Command, Queue, Reply};
use super::reader::Reader;
use super::state::{State, Stop};
use super::timeline::{Look, Missing, Segment};
use crate::disk::Disk;
use crate::signing::SigningKey;
use crate::{Block, Consumer, ConsumerName, JournalError, Offset, ReadRange, Settlement};

/// Most blocks of one read, so that small blocks do not hold the state's lock for long.
const MAX_READ: usize = 1024;

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) queue: Queue,
    pub(super) reader: Reader,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: LocalOptions,
    /// Something can be leased that could not before, or the journal was closed.
    pub(super) changed: Notify,
    pub(super) poisoned: AtomicBool,
    pub(super) closed: AtomicBool,
    /// Records that are being erased: nobody reads them any more, whether or not their bytes are gone.
    pub(super) hidden: Mutex<BTreeSet<Offset>>,
    /// A stepper is in the writer's place: reads of the disk are done where they are asked for, so that everything happens
    /// in a chosen order.
    pub(super) is_stepped: AtomicBool,
    /// Signs anchors, once it is known.
    pub(super) signing_key: OnceLock<Arc<SigningKey>>,
}

impl Shared {
    pub(super) fn new(
        state: State,
        files: Arc<OpenFiles>,
        disk: Arc<dyn Disk>,
        options: LocalOptions,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            queue: Queue::default(),
            reader: Reader::new(files, options.cache_bytes),
            disk,
            options,
            changed: Notify::new(),
            poisoned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            hidden: Mutex::default(),
            is_stepped: AtomicBool::new(true),
            signing_key: OnceLock::new(),
        }
    }

    /// Runs what reads the disk where it may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        if self.is_stepped.load(Ordering::Relaxed) {
            return work();
        }
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(JournalError::Closed))
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    /// Fails when nothing is answered any more.
    pub(super) fn check_open(&self) -> Result<(), JournalError> {
        if self.closed.load(Ordering::SeqCst) { Err(JournalError::Closed) } else { Ok(()) }
    }

    /// Fails when nothing can be changed any more. What is changed in memory would never be saved.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        self.check_open()?;
        if self.is_poisoned() { Err(JournalError::Poisoned) } else { Ok(()) }
    }

    /// Has the writer carry out a command.
    pub(super) async fn order(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        self.queue.command(command(reply));
        answer.await.map_err(|_| self.ended())?
    }

    /// Why the writer does not answer any more.
    pub(super) fn ended(&self) -> JournalError {
        self.check().err().unwrap_or(JournalError::Closed)
    }

    /// Tries something with the state until all indexes that it needs are in memory.
    pub(super) async fn attempt<T, E: From<JournalError>>(
        self: &Arc<Self>,
        unreadable: Unreadable,
        mut attempt: impl FnMut(&mut State, &Pinned) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        let mut attempts = Attempts::new(unreadable);
        loop {
            let stop = match attempt(&mut self.state.lock(), &attempts.pinned) {
                Ok(done) => return Ok(done),
                Err(stop) => stop,
            };
            match stop {
                Stop::Failed(error) => return Err(error),
                Stop::Missing(missing) if self.reader.cached_index(&missing.0).is_some() => {
                    attempts.load(missing, &self.reader)?;
                }
                Stop::Missing(missing) => {
                    let shared = Arc::clone(self);
                    let loading = move || attempts.load(missing, &shared.reader).map(|()| attempts);
                    attempts = self.blocking(loading).await?;
                }
            }
        }
    }

    /// The same for the writer, which may block.
    pub(super) fn with_indexes<T>(
        &self,
        unreadable: Unreadable,
        mut attempt: impl FnMut(&mut State, &Pinned) -> Result<T, Missing>,
    ) -> Result<T, JournalError> {
        let mut attempts = Attempts::new(unreadable);
        loop {
            let missing = match attempt(&mut self.state.lock(), &attempts.pinned) {
                Ok(done) => return Ok(done),
                Err(missing) => missing,
            };
            attempts.load(missing, &self.reader)?;
        }
    }

    pub(super) async fn describe(
        self: &Arc<Self>,
        names: &[ConsumerName],
    ) -> Result<Vec<Consumer>, JournalError> {
        self.attempt(Unreadable::IsPassed, |state, pinned| state.describe(names, pinned)).await
    }

    /// Hands leases back that nobody will settle.
    pub(super) fn hand_back(&self, taken: &[Taken], delay: Duration) {
        if taken.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for taken in taken {
            let _ = state.settle(taken.lease, Settlement::HandBack(delay));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Why a consumer does not see all of its blocks.
    pub(super) fn unreadable(&self, consumer: &ConsumerName) -> Option<JournalError> {
        let state = self.state.lock();
        let id = state.consumers.get(consumer)?.first_unreadable()?;
        let segment = state.timeline.sealed().iter().find(|segment| segment.id == id)?;
        self.reader.why_damaged(segment)
    }

    /// Blocks by their sequences, each with an answer of its own; `None` for those that are gone. Without the records that
    /// are being erased.
    pub(super) async fn blocks(
        self: &Arc<Self>,
        sequences: Vec<u64>,
    ) -> Vec<Result<Option<Arc<Block>>, JournalError>> {
        // What is hidden before: it may be read as it was before its bytes went, and not be hidden any more afterwards. What
        // is hidden after: it was asked for meanwhile.
        let hidden_before = self.hidden_in(&sequences);
        let mut blocks = self.whole_blocks(sequences).await;
        let hidden = self.hidden.lock();
        if !hidden.is_empty() || !hidden_before.is_empty() {
            for block in blocks.iter_mut().flatten().flatten() {
                let sequence = block.sequence();
                let is_hidden = |index| {
                    let offset = Offset { block: sequence, index };
                    hidden.contains(&offset) || hidden_before.contains(&offset)
                };
                if [&*hidden, &hidden_before]
                    .iter()
                    .any(|hidden| hidden.range(all_of(sequence)).next().is_some())
                {
                    *block = Arc::new(block.without(is_hidden));
                }
            }
        }
        blocks
    }

    /// The records of the blocks that are being erased.
    fn hidden_in(&self, sequences: &[u64]) -> BTreeSet<Offset> {
        let hidden = self.hidden.lock();
        if hidden.is_empty() {
            return BTreeSet::new();
        }
        sequences.iter().flat_map(|sequence| hidden.range(all_of(*sequence))).copied().collect()
    }

    async fn whole_blocks(
        self: &Arc<Self>,
        sequences: Vec<u64>,
    ) -> Vec<Result<Option<Arc<Block>>, JournalError>> {
        let recent: Vec<_> = sequences.iter().map(|sequence| self.reader.recent(*sequence)).collect();
        if recent.iter().all(Option::is_some) {
            return recent.into_iter().map(Ok).collect();
        }
        let (shared, n) = (Arc::clone(self), sequences.len());
        let read = self.blocking(move || {
            let blocks = sequences.into_iter().zip(recent);
            let blocks = blocks
                .map(|(sequence, recent)| if recent.is_some() { Ok(recent) } else { shared.read(sequence) });
            Ok(blocks.collect())
        });
        read.await.unwrap_or_else(|_| (0..n).map(|_| Err(JournalError::Closed)).collect())
    }

    fn read(&self, sequence: u64) -> Result<Option<Arc<Block>>, JournalError> {
        self.reader.read(|pinned| {
            let state = self.state.lock();
            Ok((state.timeline.segment_of(sequence).copied(), state.timeline.look(sequence, pinned)?))
        })
    }

    /// The hash of a block, or of the last one that was dropped; `None` when it is not known here, as of a block that was
    /// lost.
    pub(super) fn hash_of(&self, sequence: u64) -> Result<Option<[u8; 32]>, JournalError> {
        let hash = self.reader.hash(|pinned| {
            let state = self.state.lock();
            Ok((state.timeline.segment_of(sequence).copied(), state.timeline.look(sequence, pinned)?))
        })?;
        let state = self.state.lock();
        let first = state.timeline.first_segment();
        Ok(hash.or_else(|| (first.first == sequence + 1).then_some(first.previous_hash)))
    }

    /// All segments as they are now, and the hash before the first.
    pub(super) fn snapshot(&self) -> (Vec<Segment>, [u8; 32]) {
        let state = self.state.lock();
        let segments: Vec<_> =
            state.timeline.sealed().iter().chain(std::iter::once(state.timeline.active())).copied().collect();
        let anchor = segments.first().map_or([0; 32], |segment| segment.previous_hash);
        (segments, anchor)
    }

    /// The sealed segments that hold any of the offsets.
    pub(super) fn sealed_with(&self, offsets: &BTreeSet<Offset>) -> Vec<Segment> {
        let first = |block| Offset { block, index: 0 };
        let state = self.state.lock();
        let sealed = state.timeline.sealed().iter();
        sealed
            .filter(|segment| offsets.range(first(segment.first)..first(segment.next)).next().is_some())
            .copied()
            .collect()
    }
}

/// Where the records of a block can lie.
const fn all_of(block: u64) -> RangeInclusive<Offset> {
    Offset { block, index: 0 }..=Offset { block, index: u32::MAX }
}

/// The sequences of the blocks that a read answers. Moves `range.from` on over what is not in it.
pub(super) fn find(
    state: &mut State,
    pinned: &Pinned,
    range: &mut ReadRange,
) -> Result<Vec<u64>, Stop<JournalError>> {
    let timeline = &state.timeline;
    let until = range.until.min(timeline.next());
    let (mut found, mut bytes, mut at) = (Vec::new(), 0, range.from);
    while at < until && found.len() < MAX_READ {
        if let Some(end) = timeline.end_of_segment_without(at, range.streams) {
            at = end;
        } else {
            match timeline.look(at, pinned)? {
                Look::Block(block) if block.n_records > 0 && range.streams.contains(block.stream) => {
                    bytes += block.appended_bytes as usize;
                    if bytes > range.max_bytes && !found.is_empty() {
                        break;
                    }
                    found.push(at);
                    at += 1;
                }
                Look::Block(_) => at += 1,
                Look::Trimmed(first) => at = first,
                Look::Unreadable(_) if found.is_empty() => return Err(Stop::Failed(pinned.why_unreadable())),
                Look::Unreadable(_) | Look::End => break,
            }
        }
        if found.is_empty() {
            range.from = at;
        }
    }
    Ok(found)
}
