//! The writer: the one owner of the active segment. It commits groups, begins segments, trims, saves consumers.
//!
//! The order that everything rests on: a group is written, then synced, and only then remembered, shown to consumers and
//! answered. No group is written before the sync of the one before has returned. A new segment's header and name are
//! durable before any block is written to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Clock, Timestamp};
use bytes::Bytes;
use tokio::time::Instant;

use super::Shared;
use super::attempts::Unreadable;
use super::durable::{WriteError, create_segment, is_full, remove_if_there, replace};
use super::format::anchor::{Anchor, AnchorSeal};
use super::format::segment::SegmentHeader;
use super::format::{checkpoint, names};
use super::ids::Kind;
use super::ids::window::{SealedIds, Window};
use super::plan::{Answer, Encoded, Place, Plan, WindowAt, encode, ends, plan};
use super::queue::{Command, Waiting, Work};
use super::timeline::Segment;
use crate::disk::{Disk, DiskFile, DiskLock};
use crate::{AppendError, Appended, Block};

/// A group takes up to this many bytes of what waits.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// A segment is sealed when it holds this many ids, so that its table stays small.
const MAX_IDS: usize = 250_000;

/// What the writer needs to go on where the journal ends.
pub(super) struct Tail {
    pub(super) file: Arc<dyn DiskFile>,
    /// The hash of the last block.
    pub(super) hash: [u8; 32],
    pub(super) window: Window,
    /// Dropped segments whose files go after the next checkpoint.
    pub(super) doomed: Vec<u64>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    tail: Tail,
    last_checkpoint: Instant,
    _lock: DiskLock,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        tail: Tail,
        lock: DiskLock,
    ) -> Self {
        Self { shared, disk, clock, tail, last_checkpoint: Instant::now(), _lock: lock }
    }

    /// Saves what opening the journal worked out. Without room it is tried again within a second.
    pub(super) fn complete(&mut self) -> Result<(), WriteError> {
        if !self.shared.state.lock().dirty && self.tail.doomed.is_empty() {
            return Ok(());
        }
        match self.checkpoint() {
            Err(WriteError::Full) => Ok(()),
            answer => answer,
        }
    }

    /// Works until the journal is closed or abandoned.
    pub(super) fn run(mut self) {
        loop {
            let due = self.save_when_due();
            match self.shared.queue.next(GROUP_BYTES, due.map(Instant::into_std)) {
                Work::Command(Command::Close(reply)) => {
                    let saved = self.checkpoint().map_err(WriteError::into_journal_error);
                    // Whoever is answered finds the directory free.
                    drop(self);
                    let _ = reply.send(saved);
                    return;
                }
                Work::Abandoned => return,
                work => self.work(work),
            }
        }
    }

    /// Does one thing that waits, after the consumers were saved if it is time. `false` when there was none.
    pub(super) fn step(&mut self) -> bool {
        self.save_when_due();
        let work = self.shared.queue.try_next(GROUP_BYTES);
        let found = !matches!(work, Work::Idle | Work::Abandoned);
        self.work(work);
        found
    }

    /// Saves the consumers when they moved and it is time. Answers when it is time again.
    fn save_when_due(&mut self) -> Option<Instant> {
        let every = self.shared.options.checkpoint_every;
        let is_dirty = || self.shared.state.lock().dirty && !self.shared.is_poisoned();
        if is_dirty() && Instant::now() >= self.last_checkpoint + every {
            // Room may come back: try again in a while.
            if let Err(error) = self.checkpoint() {
                tracing::error!(error = ?error, "cannot save the journal's consumers");
            }
        }
        let is_dirty = self.shared.state.lock().dirty && !self.shared.is_poisoned();
        is_dirty.then(|| self.last_checkpoint + every)
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Group(group) => self.commit(group),
            Work::Command(command) => self.command(command),
            Work::Idle | Work::Abandoned => {}
        }
    }

    /// Carries out a command. On a poisoned journal there is none that could be.
    fn command(&mut self, command: Command) {
        let (answer, reply) = match command {
            Command::Trim(_, reply)
            | Command::Roll(reply)
            | Command::Swap(_, reply)
            | Command::Checkpoint(reply)
            | Command::Close(reply)
                if self.shared.is_poisoned() =>
            {
                (Err(WriteError::Poisoned), reply)
            }
            Command::Trim(up_to, reply) => (self.trim(up_to), reply),
            Command::Roll(reply) => (self.roll(), reply),
            Command::Swap(rewritten, reply) => (self.swap(rewritten), reply),
            Command::Checkpoint(reply) | Command::Close(reply) => (self.checkpoint(), reply),
        };
        let _ = reply.send(answer.map_err(WriteError::into_journal_error));
    }

    /// Makes a group durable and answers it.
    fn commit(&mut self, group: Vec<Waiting>) {
        let now = self.clock.now();
        let bytes = group.iter().map(|waiting| waiting.bytes).sum();
        let prepared = group.iter().map(|waiting| &waiting.prepared);
        self.tail.window.focus(now, prepared.clone().flat_map(ids_of));
        let next = self.shared.state.lock().timeline.next();
        let planned = plan(prepared, next, now, &mut WindowAt(&mut self.tail.window, now));
        let outcome = planned.map_err(WriteError::from).and_then(|plan| self.store(plan, now));
        match outcome {
            Ok(answers) => {
                for (waiting, answer) in group.into_iter().zip(answers) {
                    let _ = waiting.reply.send(match answer {
                        Answer::Receipts(receipts) => Ok(Appended { receipts }),
                        Answer::KeyReused => Err(AppendError::KeyReused),
                    });
                }
            }
            Err(error) => {
                for waiting in group {
                    let _ = waiting.reply.send(Err(error.to_append_error()));
                }
            }
        }
        self.shared.queue.release(bytes);
    }

    /// Writes and syncs a plan's blocks, then remembers them.
    fn store(&mut self, plan: Plan<'_>, now: Timestamp) -> Result<Vec<Answer>, WriteError> {
        if self.shared.is_poisoned() {
            return Err(WriteError::Poisoned);
        }
        if plan.blocks.is_empty() {
            return Ok(plan.answers);
        }
        self.roll_when_full()?;
        let place = self.place(now);
        let encoded = encode(&plan.blocks, &place);
        self.write(&encoded.bytes, place.position)?;
        self.tail.file.sync_data().map_err(|error| self.poison("sync a segment", &error))?;
        self.tail.hash = encoded.hash;
        self.tail.window.active.merge(plan.ids);
        self.remember(&plan.blocks, encoded, now);
        Ok(plan.answers)
    }

    fn place(&self, now: Timestamp) -> Place {
        let state = self.shared.state.lock();
        let active = state.timeline.active();
        Place {
            segment: active.id,
            position: active.stored_bytes,
            appended_at: now,
            durable_up_to: active.next - 1,
            totals: *state.timeline.totals(),
            previous_hash: self.tail.hash,
        }
    }

    /// Writes to the active segment. When there is no room, what was written is cut off again.
    fn write(&self, bytes: &[u8], position: u64) -> Result<(), WriteError> {
        let Err(error) = self.tail.file.write_all_at(bytes, position) else { return Ok(()) };
        if is_full(&error) {
            let cut = self.tail.file.set_len(position).and_then(|()| self.tail.file.sync_data());
            return Err(match cut {
                Ok(()) => WriteError::Full,
                Err(error) => self.poison("cut a segment", &error),
            });
        }
        Err(self.poison("write a segment", &error))
    }

    /// Shows durable blocks to readers and consumers.
    fn remember(&self, planned: &[super::plan::PlannedBlock<'_>], encoded: Encoded, now: Timestamp) {
        let bytes = Bytes::from(encoded.bytes);
        let mut end = 0;
        let blocks = planned.iter().zip(&encoded.blocks).map(|(planned, info)| {
            end += info.stored_bytes as usize;
            let payload = bytes.slice(end - planned.payload_bytes..end);
            Arc::new(Block::new(info.sequence, info.stream, now, payload, ends(planned)))
        });
        self.shared.reader.keep(blocks);
        let mut state = self.shared.state.lock();
        for block in encoded.blocks {
            state.push(block);
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Nothing is known about the disk any more: accept nothing.
    fn poison(&self, what: &str, error: &io::Error) -> WriteError {
        if !self.shared.poisoned.swap(true, Ordering::SeqCst) {
            tracing::error!(%error, "cannot {what}; the journal accepts nothing until idstream is restarted");
            // Whoever waits for a block is told.
            self.shared.changed.notify_waiters();
        }
        WriteError::Poisoned
    }

    fn roll_when_full(&mut self) -> Result<(), WriteError> {
        let full =
            self.shared.state.lock().timeline.active().stored_bytes >= self.shared.options.segment_bytes;
        if full || self.tail.window.active.len() >= MAX_IDS { self.roll() } else { Ok(()) }
    }

    /// Seals the active segment and begins the next, unless the active one has no block.
    fn roll(&mut self) -> Result<(), WriteError> {
        let (active, totals) = {
            let state = self.shared.state.lock();
            (*state.timeline.active(), *state.timeline.totals())
        };
        if active.is_empty() {
            return Ok(());
        }
        let header = SegmentHeader {
            generation: 0,
            id: active.id + 1,
            first: active.next,
            created_at: self.clock.now(),
            previous_appended_at: active.last_appended_at,
            events_before: totals.events,
            bytes_before: totals.bytes,
            previous_hash: self.tail.hash,
        };
        let file = match create_segment(self.disk.as_ref(), &header) {
            Ok(file) => file,
            Err(error) if is_full(&error) => {
                // The name must be gone for good before the active segment grows on: the new header says that it ends.
                let removed = remove_if_there(self.disk.as_ref(), &names::segment(header.id));
                let removed = removed.and_then(|()| self.disk.sync_dir(""));
                return Err(removed
                    .map_or_else(|error| self.poison("remove a segment", &error), |()| WriteError::Full));
            }
            Err(error) => return Err(self.poison("begin a segment", &error)),
        };
        self.tail.window.seal(SealedIds {
            segment: active.id,
            first: active.first,
            next: active.next,
            last_appended_at: active.last_appended_at,
        });
        self.tail.window.tidy(header.created_at, 0);
        self.tail.file = file;
        let index = self.shared.state.lock().roll(Segment::new(&header, super::format::segment::SIZE as u64));
        self.shared.reader.keep_index(active.id, Arc::new(index));
        Ok(())
    }

    /// Saves every consumer's cursor and books.
    pub(super) fn checkpoint(&mut self) -> Result<(), WriteError> {
        if self.shared.is_poisoned() {
            return Err(WriteError::Poisoned);
        }
        let bytes = {
            let mut state = self.shared.state.lock();
            state.dirty = false;
            checkpoint::encode(state.timeline.next(), state.cursors().into_iter())
        };
        self.last_checkpoint = Instant::now();
        self.replace(names::CONSUMERS, &bytes).inspect_err(|_| self.shared.state.lock().dirty = true)?;
        self.remove_doomed()
    }

    fn remove_doomed(&mut self) -> Result<(), WriteError> {
        if self.tail.doomed.is_empty() {
            return Ok(());
        }
        for segment in std::mem::take(&mut self.tail.doomed) {
            remove_if_there(self.disk.as_ref(), &names::segment(segment))
                .map_err(|error| self.poison("remove a segment", &error))?;
        }
        self.disk.sync_dir("").map_err(|error| self.poison("remove segments", &error))
    }

    /// Replaces a small file in one durable step.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        replace(self.disk.as_ref(), name, bytes).map_err(|error| {
            if is_full(&error) { WriteError::Full } else { self.poison("save a file of the journal", &error) }
        })
    }

    /// Drops whole segments below `up_to`. First the anchor is durable, then the consumers' new floors, then the files
    /// go: a crash in between is completed at the next start.
    fn trim(&mut self, up_to: u64) -> Result<(), WriteError> {
        let next = self.shared.state.lock().timeline.next();
        if up_to >= next {
            self.roll()?;
        }
        let dropped = {
            let state = self.shared.state.lock();
            let sealed = state.timeline.sealed().iter();
            sealed.take_while(|segment| segment.next <= up_to).copied().collect::<Vec<_>>()
        };
        let Some(last) = dropped.last() else { return Ok(()) };
        // What can fail comes before the anchor: after it there is no way back.
        self.shared
            .with_indexes(Unreadable::IsPassed, |state, pinned| state.can_expire(last.next, pinned))?;
        // Ids of dropped segments are forgotten first: that makes room for the anchor on a full disk.
        self.tail.window.tidy(self.clock.now(), last.id + 1);
        let hash = self.hash_before(last.id + 1);
        self.replace(names::ANCHOR, &self.anchor(last.next - 1, hash).encode())?;
        self.shared
            .with_indexes(Unreadable::IsAlwaysPassed, |state, pinned| state.expire(last.next, pinned))?;
        self.shared.state.lock().timeline.drop_below(last.next);
        for segment in &dropped {
            self.shared.reader.forget(segment);
        }
        self.tail.doomed.extend(dropped.iter().map(|segment| segment.id));
        self.checkpoint()
    }

    /// The anchor at a block, signed when there is a key.
    fn anchor(&self, sequence: u64, hash: [u8; 32]) -> Anchor {
        let at = self.clock.now();
        let seal = self.shared.signing_key.get().map(|key| AnchorSeal {
            at,
            public_key: key.public_key().0,
            signature: key.sign_anchor(sequence, &hash, at),
        });
        Anchor { sequence, hash, seal }
    }

    fn hash_before(&self, segment: u64) -> [u8; 32] {
        let state = self.shared.state.lock();
        let mut segments = state.timeline.sealed().iter().chain(std::iter::once(state.timeline.active()));
        segments.find(|found| found.id == segment).map_or(self.tail.hash, |found| found.previous_hash)
    }

    /// Puts the rewritten file of a segment in the old one's place.
    fn swap(&mut self, rewritten: super::rewrite::Rewritten) -> Result<(), WriteError> {
        let name = names::segment(rewritten.segment);
        let segment =
            self.shared.state.lock().timeline.sealed().iter().find(|of| of.id == rewritten.segment).copied();
        let Some(segment) = segment else { return Ok(()) };
        let renamed = self.disk.rename(&names::rewritten(segment.id, rewritten.generation), &name);
        renamed.map_err(|error| self.poison("swap a rewritten segment", &error))?;
        // Readers find the new file from here on, whether or not its name is durable.
        let (generation, bytes) = (rewritten.generation, rewritten.stored_bytes);
        self.shared.state.lock().timeline.rewritten(segment.id, generation, bytes);
        self.shared.reader.forget(&segment);
        self.disk.sync_dir("").map_err(|error| self.poison("swap a rewritten segment", &error))?;
        Ok(self.tail.window.refresh(segment.id)?)
    }
}

fn ids_of(prepared: &crate::prepared::Prepared) -> impl Iterator<Item = (Kind, base::EventId)> + Clone {
    let events = prepared.entries.iter().map(|entry| (Kind::Event, entry.id));
    events.chain(prepared.request_key.iter().map(|key| (Kind::Request, key.id)))
}
