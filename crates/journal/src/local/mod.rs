//! The journal in the files of one directory.
//!
//! ```text
//!   append ──▶ queue ──▶ writer (one thread): plan ─▶ write ─▶ sync ─▶ remember ─▶ answer
//!   (digests)                                                      │
//!   lease, read ◀── reader (recent blocks, files) ◀── state (timeline, consumers) ◀┘
//! ```
//!
//! The format is in `docs/JOURNAL-FORMAT.md`, the decisions are plain functions: `plan` (what is
//! stored), `cursor` and `consumer` (who has seen what), `recovery` (what counts after a crash). Memory does not grow
//! with the backlog: per sealed segment only a few numbers are kept.

mod active_end;
mod attempts;
mod consumer;
mod cursor;
mod durable;
mod erase;
mod expire;
mod files;
mod format;
mod ids;
mod open_files;
mod plan;
mod queue;
mod ranges;
mod reader;
mod recovery;
mod repair;
mod rewrite;
mod shared;
mod state;
mod survey;
mod timeline;
mod verify;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use base::{Clock, Random};
use event::{Stream, StreamSet};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use self::expire::Expiry;
#[cfg(feature = "fuzz")]
pub use self::format::fuzz;
pub use self::recovery::Recovery;
pub use self::repair::{Reborn, Repair};
pub use self::survey::{AnchorFacts, Gap, KnownHead, Problem, Seen, Survey, Watch};
pub use self::verify::Verified;

use self::attempts::{Pinned, Unreadable};
use self::consumer::{Basket, Taken};
use self::durable::WriteError;
use self::ids::window::WindowOptions;
use self::queue::{Command, Waiting};
use self::shared::Shared;
use self::state::State;
use self::writer::Writer;
use crate::disk::{Disk, Space};
use crate::prepared::Prepared;
use crate::retention::{PerStream, SegmentFacts};
use crate::seam::LONGEST;
use crate::signing::SigningKey;
use crate::{
    Append, AppendError, Appended, Block, Consumer, ConsumerCommand, ConsumerName, Head, Journal,
    JournalError, Lease, LeaseError, LeaseId, LeaseLimits, Offset, ReadRange, Settlement,
};

/// What a consumer has had of some blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledBy {
    /// The consumer.
    pub consumer: ConsumerName,
    /// For each block that is for it: its place in the question, and whether it is settled.
    pub blocks: Vec<(usize, bool)>,
}

/// Sizes and times of a local journal.
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// A segment is sealed when it has this many bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Appends that wait for the disk may hold this many bytes; over it they are refused as busy. Default 32 MiB.
    pub queue_bytes: usize,
    /// Bytes of fresh blocks kept in memory for consumers. Default 32 MiB.
    pub cache_bytes: usize,
    /// How long event ids are known, at least. Default 72 hours.
    pub dedupe_window: Duration,
    /// How long request keys are known. Default 24 hours.
    pub request_key_window: Duration,
    /// Bytes of id filters kept in memory. Default 16 MiB.
    pub filter_bytes: usize,
    /// How often cursors are saved while they move. A crash repeats at most this much work. Default 1 second.
    pub checkpoint_every: Duration,
}

impl Default for LocalOptions {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            segment_bytes: 64 * MIB as u64,
            queue_bytes: 32 * MIB,
            cache_bytes: 32 * MIB,
            dedupe_window: Duration::from_hours(72),
            request_key_window: Duration::from_hours(24),
            filter_bytes: 16 * MIB,
            checkpoint_every: Duration::from_secs(1),
        }
    }
}

/// The journal in files. Clones share it; when the last one is dropped without [`LocalJournal::close`], the writer
/// stops without saving cursors, as in a crash.
#[derive(Clone)]
pub struct LocalJournal {
    shared: Arc<Shared>,
    random: Arc<Random>,
    recovery: Recovery,
    rewriting: Arc<tokio::sync::Mutex<()>>,
    writer: Arc<WriterThread>,
}

/// The writer's thread; `None` when a [`Stepper`] is in its place.
struct WriterThread {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.shared.queue.abandon();
        if let Some(thread) = self.thread.get_mut().take() {
            let _ = thread.join();
        }
    }
}

/// Drives the writer by hand, in place of its thread: for simulation, where everything happens in a chosen order.
pub struct Stepper(Writer);

impl Stepper {
    /// Does one thing that waits: commits one group, or carries out one command. `false` when nothing waited.
    pub fn step(&mut self) -> bool {
        self.0.step()
    }

    /// Saves the consumers, as the writer's thread does within a second.
    pub fn checkpoint(&mut self) {
        let _ = self.0.checkpoint();
    }
}

impl LocalJournal {
    /// Opens or creates the journal of a directory and starts its writer. Blocks while it reads the last segment.
    ///
    /// [`JournalError::Refused`] when another process has it open or a newer version wrote it;
    /// [`JournalError::Damaged`] when something is missing or broken that was durable: nothing is changed then.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
        options: LocalOptions,
    ) -> Result<Self, JournalError> {
        let (journal, Stepper(writer)) = Self::open_stepped(disk, clock, random, options)?;
        journal.shared.is_stepped.store(false, Ordering::Relaxed);
        let ended = Ended(Arc::clone(&journal.shared));
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let _ended = ended;
            writer.run();
        });
        *journal.writer.thread.lock() = Some(thread.map_err(JournalError::Disk)?);
        Ok(journal)
    }

    /// Like [`LocalJournal::open`], but nothing is committed until the stepper is told to.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
        options: LocalOptions,
    ) -> Result<(Self, Stepper), JournalError> {
        let lock = disk.lock().map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => JournalError::Refused(crate::seam::IN_USE),
            _ => JournalError::Disk(error),
        })?;
        let window = WindowOptions {
            events: options.dedupe_window,
            keys: options.request_key_window,
            filter_bytes: options.filter_bytes,
        };
        let recovered = recovery::recover(&disk, clock.as_ref(), window)?;
        let shared = Arc::new(Shared::new(recovered.state, recovered.files, Arc::clone(&disk), options));
        let mut writer = Writer::new(Arc::clone(&shared), disk, clock, recovered.tail, lock);
        writer.complete().map_err(WriteError::into_journal_error)?;
        let thread = WriterThread { shared: Arc::clone(&shared), thread: Mutex::new(None) };
        let journal = Self {
            shared,
            random,
            recovery: recovered.recovery,
            rewriting: Arc::default(),
            writer: Arc::new(thread),
        };
        Ok((journal, Stepper(writer)))
    }

    /// What opening it did to the journal's end.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Writes what waits, saves the consumers and frees the directory. Everything afterwards answers
    /// [`JournalError::Closed`].
    pub async fn close(&self) -> Result<(), JournalError> {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
        // Nobody rewrites a file of a directory that belongs to somebody else.
        let _none = self.rewriting.lock().await;
        self.shared.order(Command::Close).await
    }

    /// From now on, what is dropped leaves an anchor that is signed with this key. The first key stays.
    pub fn sign_with(&self, key: Arc<SigningKey>) {
        let _first_stays = self.shared.signing_key.set(key);
    }

    /// The hash of a block, which covers all blocks before it; `None` when it was dropped or is not there yet. Of the last
    /// one that was dropped it is still known.
    pub async fn hash_of(&self, sequence: u64) -> Result<Option<[u8; 32]>, JournalError> {
        self.shared.check_open()?;
        let shared = Arc::clone(&self.shared);
        self.shared.blocking(move || shared.hash_of(sequence)).await
    }

    /// The segments, for [`crate::retention::trim_point`].
    pub fn segments(&self) -> Vec<SegmentFacts> {
        self.shared.state.lock().timeline.facts()
    }

    /// How much room the journal's disk has; `None` when that cannot be told. Blocks for a moment.
    pub fn space(&self) -> std::io::Result<Option<Space>> {
        self.shared.disk.space()
    }

    /// Reads everything and checks it against the hash chain. [`JournalError::Damaged`] names the first bad block.
    pub async fn verify(&self) -> Result<Verified, JournalError> {
        self.shared.check_open()?;
        let (segments, anchor) = self.shared.snapshot();
        let shared = Arc::clone(&self.shared);
        self.shared.blocking(move || verify::verify(shared.disk.as_ref(), &segments, anchor)).await
    }

    /// From now on nobody reads these records any more: for readers and consumers they are erased. Their bytes are there
    /// until [`LocalJournal::erase`] is done, and a restart shows them again.
    pub fn hide(&self, offsets: &[Offset]) {
        self.shared.hidden.lock().extend(offsets);
    }

    /// Which consumers the blocks are for, and how many of them each has settled.
    pub fn settled_by(&self, blocks: &[(u64, Stream)]) -> Vec<SettledBy> {
        self.shared.state.lock().settled_by(blocks)
    }

    /// Erases the bytes of records for good, and hides them at once. Their digests stay, so that [`LocalJournal::verify`] still passes; events
    /// that are not there any more are no error. Rewrites every segment that holds one of them, also when the caller does
    /// not wait for it.
    pub async fn erase(&self, offsets: &[Offset]) -> Result<(), JournalError> {
        self.shared.check()?;
        self.hide(offsets);
        let erased = Arc::new(offsets.iter().copied().collect());
        let erase = erase::erase(Arc::clone(&self.shared), Arc::clone(&self.rewriting), erased);
        tokio::spawn(erase).await.unwrap_or(Err(JournalError::Closed))
    }

    /// Seals the active segment, unless it has no block.
    pub async fn seal(&self) -> Result<(), JournalError> {
        self.shared.check()?;
        self.shared.order(Command::Roll).await
    }

    /// Takes the bytes of what has expired out of sealed segments: of each stream what lies below its point, see
    /// [`crate::retention::expiry_points`]. Digests stay, so that [`LocalJournal::verify`] still passes. What a consumer had
    /// not settled of it counts as expired. A round's worth, oldest first; the answer says whether there is more.
    pub async fn expire(&self, points: PerStream) -> Result<Expiry, JournalError> {
        self.shared.check()?;
        let expire = expire::expire(Arc::clone(&self.shared), Arc::clone(&self.rewriting), points);
        tokio::spawn(expire).await.unwrap_or(Err(JournalError::Closed))
    }

    /// Notes in every consumer's books what was given up: what it had not settled of it counts as discarded. Saved at the
    /// next checkpoint.
    async fn give_up(&self, gaps: &[Gap]) -> Result<(), JournalError> {
        let mut gaps: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.until)).collect();
        gaps.sort_unstable();
        let give_up = |state: &mut State, pinned: &Pinned| state.give_up(&gaps, pinned);
        self.shared.attempt(Unreadable::Fails, give_up).await
    }

    /// Leases what can be leased now. What cannot be read comes again later and does not hold up the rest.
    async fn take(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
        now: Instant,
    ) -> Result<Vec<Lease>, LeaseError> {
        let mut basket = Held::new(&self.shared, Basket::new(limits, now));
        let lease =
            |state: &mut State, pinned: &Pinned| state.lease(consumer, streams, &mut basket.basket, pinned);
        self.shared.attempt(Unreadable::IsPassed, lease).await?;
        let sequences = basket.basket.taken.iter().map(|taken| taken.block.sequence).collect();
        let blocks = self.shared.blocks(sequences).await;
        let (mut leases, mut failed) = (Vec::new(), None);
        for (taken, block) in basket.keep().into_iter().zip(blocks) {
            match block {
                Ok(Some(block)) => {
                    leases.push(Lease { id: taken.lease, block, deliveries: taken.deliveries });
                }
                // Trimmed meanwhile.
                Ok(None) => {}
                Err(error) => {
                    self.shared.hand_back(&[taken], UNREADABLE_AGAIN);
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) if leases.is_empty() => Err(error.into()),
            _ => Ok(leases),
        }
    }
}

/// When a block that could not be read is tried again.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(10);

/// What a call is leasing. Dropped before the call ends, it hands the blocks back.
struct Held {
    shared: Arc<Shared>,
    basket: Basket,
}

impl Held {
    fn new(shared: &Arc<Shared>, basket: Basket) -> Self {
        Self { shared: Arc::clone(shared), basket }
    }

    /// The caller has them.
    fn keep(mut self) -> Vec<Taken> {
        std::mem::take(&mut self.basket.taken)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.hand_back(&self.basket.taken, Duration::ZERO);
    }
}

/// Notes that the writer's thread has ended, whatever the reason.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poisoned.store(true, Ordering::SeqCst);
        }
        self.0.queue.end();
    }
}

#[async_trait]
impl Journal for LocalJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.shared.check()?;
        let prepared = Prepared::new(append, &self.random)?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { bytes: prepared.size(), prepared, reply };
        self.shared.queue.push(waiting, self.shared.options.queue_bytes)?;
        answer.await.unwrap_or_else(|_| Err(self.shared.ended().into()))
    }

    async fn lease(
        &self,
        consumer: &ConsumerName,
        streams: StreamSet,
        limits: LeaseLimits,
    ) -> Result<Vec<Lease>, LeaseError> {
        let deadline = Instant::now() + limits.wait.min(LONGEST);
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            self.shared.check()?;
            let now = Instant::now();
            let leases = self.take(consumer, streams, limits, now).await?;
            if !leases.is_empty() {
                return Ok(leases);
            }
            if Instant::now() >= deadline {
                // There is nothing else: say what cannot be had.
                return self.shared.unreadable(consumer).map_or(Ok(Vec::new()), |error| Err(error.into()));
            }
            let release = self.shared.state.lock().next_release(consumer, streams, now);
            let until = release.map_or(deadline, |release| release.min(deadline));
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }

    async fn extend(&self, lease: LeaseId, ttl: Duration) -> Result<(), LeaseError> {
        self.shared.check()?;
        if self.shared.state.lock().extend(lease, ttl)? {
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    async fn settle(&self, lease: LeaseId, settlement: Settlement) -> Result<(), LeaseError> {
        self.shared.check()?;
        let (was_dirty, answer) = {
            let mut state = self.shared.state.lock();
            (state.dirty, state.settle(lease, settlement))
        };
        match settlement {
            Settlement::Done(_) if !was_dirty => self.shared.queue.nudge(),
            Settlement::Done(_) => {}
            Settlement::HandBack(_) => self.shared.changed.notify_waiters(),
        }
        answer
    }

    async fn read(&self, range: ReadRange) -> Result<Vec<Arc<Block>>, JournalError> {
        let mut range = range;
        loop {
            self.shared.check_open()?;
            let find = |state: &mut State, pinned: &Pinned| shared::find(state, pinned, &mut range);
            let found = self.shared.attempt(Unreadable::IsPassed, find).await?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            let mut blocks = Vec::with_capacity(found.len());
            for block in self.shared.blocks(found).await {
                match block {
                    Ok(block) => blocks.extend(block),
                    Err(error) if blocks.is_empty() => return Err(error),
                    // The next read begins with what cannot be read.
                    Err(_) => break,
                }
            }
            // All of them were trimmed meanwhile: look again.
            if !blocks.is_empty() {
                return Ok(blocks);
            }
        }
    }

    async fn consumers(&self, command: ConsumerCommand) -> Result<Vec<Consumer>, JournalError> {
        let changes = command != ConsumerCommand::List;
        if changes { self.shared.check() } else { self.shared.check_open() }?;
        let removed = match &command {
            ConsumerCommand::Remove { name } => self.shared.describe(std::slice::from_ref(name)).await?,
            _ => Vec::new(),
        };
        let names = self
            .shared
            .attempt(Unreadable::IsPassed, |state, pinned| state.command(&command, pinned))
            .await?;
        if changes {
            self.shared.changed.notify_waiters();
            self.shared.order(Command::Checkpoint).await?;
        }
        if removed.is_empty() { self.shared.describe(&names).await } else { Ok(removed) }
    }

    async fn trim(&self, up_to: u64) -> Result<(), JournalError> {
        self.shared.check()?;
        self.shared.order(|reply| Command::Trim(up_to, reply)).await
    }

    fn head(&self) -> Head {
        let state = self.shared.state.lock();
        Head {
            first: state.timeline.first(),
            next: state.timeline.next(),
            stored_bytes: state.timeline.stored_bytes(),
            poisoned: self.shared.is_poisoned(),
        }
    }
}
