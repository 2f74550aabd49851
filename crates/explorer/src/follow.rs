//! Following: the gaps of the index are filled from the journal, bit by bit, for as long as the server runs.
//!
//! It reads, and leases nothing: a consumer would hold retention back, and have books that nobody needs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Timestamp;
use event::{Stream, StreamSet};
use journal::disk::Disk;
use journal::{Block, Head, JournalError, ReadRange};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::notes::{Removal, Removed};
use crate::run::{Entries, Entry, Run, RunError, RunWriter, Span};
use crate::shared::{Shared, Tail, Work, span_of};

/// How often it looks whether there is something new. Long enough to find many events at once, short enough that they are
/// still in the journal's memory.
const EVERY: Duration = Duration::from_millis(200);
/// How long it waits after a failure.
const AGAIN: Duration = Duration::from_secs(5);
/// Bytes of events that are read at once.
const READ_BYTES: usize = 4 << 20;
/// How often it tries to read a block before it passes over it, when the disk may give it yet.
const PATIENCE: u32 = 5;

/// Why a step could not be done. It is tried again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    #[error("the explorer's files cannot be written")]
    Disk(#[from] io::Error),
}

/// Follows the journal until `stop` turns true.
pub(crate) async fn follow(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut follower = Follower { shared, is_recognised: false, n_failed_reads: 0 };
    while !*stop.borrow() {
        let began = Instant::now();
        let pause = match follower.step().await {
            Ok(true) => EVERY,
            // There is more: as long as it worked it rests, so that it never takes more than half of a core.
            Ok(false) => began.elapsed(),
            Err(StepError::Journal(JournalError::Closed)) => return,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, "the explorer falls behind; trying again in a few seconds");
                AGAIN
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = follower.shared.wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Follower {
    shared: Arc<Shared>,
    /// Whether the journal was found to be the one that the runs are of.
    is_recognised: bool,
    n_failed_reads: u32,
}

impl Follower {
    /// Does one bit of work. True when there was none.
    async fn step(&mut self) -> Result<bool, StepError> {
        let now = self.shared.clock.now();
        let head = self.shared.journal.head();
        let is_start = !self.is_recognised;
        if is_start {
            self.recognise(&head).await?;
            self.is_recognised = true;
        }
        self.drop_removed(&head, Removed { at: now, or_before: is_start }).await;
        let work = {
            let mut state = self.shared.state.lock();
            let work = state.work(span_of(&head), &self.shared.options);
            if work == Work::None {
                state.complete_as_of = Some(now);
                self.shared.complete.send_replace(head.next);
            }
            work
        };
        match work {
            Work::None => Ok(true),
            Work::Seal => {
                let shared = Arc::clone(&self.shared);
                let sealed = tokio::task::spawn_blocking(move || {
                    seal(&shared)?;
                    merge(&shared)
                });
                sealed.await.map_err(io::Error::other)??;
                Ok(false)
            }
            Work::Read(span) => self.read(span).await.map(|()| false),
        }
    }

    /// Takes away what was made from another journal, or from a later state of this one. What runs have in common with the
    /// journal is a beginning: it is enough to find the newest that fits. One whose witness cannot be read tells nothing.
    async fn recognise(&self, head: &Head) -> Result<(), StepError> {
        let runs = self.shared.state.lock().shelf.runs().to_vec();
        for run in runs.iter().rev() {
            if run.span.until <= head.next {
                let Some(witness) = run.witness.filter(|witness| witness.block >= head.first) else {
                    continue;
                };
                match self.shared.block(witness.block, StreamSet::product()).await {
                    Ok(Some(block)) if block.appended_at() == witness.appended_at => break,
                    Ok(_) => {}
                    Err(JournalError::Closed) => return Err(JournalError::Closed.into()),
                    Err(_) => continue,
                }
            }
            self.shared.reject(run);
        }
        let noted = self.shared.state.lock().notes.removed_below();
        if noted > head.first {
            self.shared.change_notes(|notes| notes.forget_removals_above(head.first)).await;
        }
        Ok(())
    }

    /// Notes what retention has removed, and drops the runs of which nothing is left.
    async fn drop_removed(&self, head: &Head, removed: Removed) {
        if head.first > self.shared.state.lock().notes.removed_below() {
            let oldest = self.shared.block(head.first, Stream::ALL.into_iter().collect()).await;
            let received_before = match oldest {
                Ok(Some(block)) => block.appended_at(),
                Ok(None) => removed.at,
                // Its time cannot be read: ids without an entry are then "unknown".
                Err(_) => Timestamp::default(),
            };
            let removal = Removal { below: head.first, received_before, removed };
            self.shared.change_notes(|notes| notes.add_removal(removal)).await;
        }
        let gone = self.shared.state.lock().shelf.take_below(head.first);
        if gone.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let removing = tokio::task::spawn_blocking(move || remove_all(&shared, &gone));
        if let Err(error) = removing.await {
            tracing::warn!(%error, "files of the explorer were not removed");
        }
    }

    /// Reads some of the blocks into the tail.
    async fn read(&mut self, span: Span) -> Result<(), StepError> {
        let blocks = match self.blocks(span, READ_BYTES).await {
            Ok(blocks) => blocks,
            Err(JournalError::Closed) => return Err(JournalError::Closed.into()),
            Err(error) if error.is_retryable() && self.n_failed_reads < PATIENCE => {
                self.n_failed_reads += 1;
                return Err(error.into());
            }
            Err(error) => {
                let until = self.end_of_unreadable(span).await;
                tracing::error!(%error, from = span.from, until, "the explorer passes over blocks that cannot be read");
                self.shared.n_unreadable.fetch_add(until - span.from, Ordering::Relaxed);
                extend(&self.shared, span.from, |tail| tail.span.until = until);
                return Ok(());
            }
        };
        self.n_failed_reads = 0;
        let shared = Arc::clone(&self.shared);
        let adding = tokio::task::spawn_blocking(move || {
            if blocks.is_empty() {
                extend(&shared, span.from, |tail| tail.span.until = span.until);
            }
            let mut from = span.from;
            for block in blocks {
                // Block by block, so that nobody waits long for the lock.
                let n = extend(&shared, from, |tail| tail.add(&block));
                if n >= shared.options.run_entries {
                    break;
                }
                from = block.sequence() + 1;
            }
        });
        Ok(adding.await.map_err(io::Error::other)?)
    }

    async fn blocks(&self, span: Span, max_bytes: usize) -> Result<Vec<Arc<Block>>, JournalError> {
        let Span { from, until } = span;
        self.shared.journal.read(ReadRange { streams: StreamSet::product(), from, until, max_bytes }).await
    }

    /// Where blocks can be read again after one that cannot: by growing steps, then between the last two, so that a
    /// damaged file of many blocks takes few reads. Whole ones between damaged ones may be passed over.
    async fn end_of_unreadable(&self, span: Span) -> u64 {
        let (mut bad, mut good) = (span.from, span.from + 1);
        while good < span.until && self.blocks(Span { from: good, ..span }, 1).await.is_err() {
            (bad, good) = (good, good.saturating_add(2 * (good - span.from)).min(span.until));
        }
        while good - bad > 1 {
            let middle = bad.midpoint(good);
            if self.blocks(Span { from: middle, ..span }, 1).await.is_err() {
                bad = middle;
            } else {
                good = middle;
            }
        }
        good
    }
}

/// Changes the tail, if it still ends where it did. Returns how many ids are in it.
fn extend(shared: &Shared, from: u64, change: impl FnOnce(&mut Tail)) -> usize {
    let mut state = shared.state.lock();
    if state.tail.span.until == from {
        change(&mut state.tail);
    }
    state.tail.entries.len()
}

/// Makes a run of the tail.
fn seal(shared: &Shared) -> io::Result<()> {
    let (span, witness, mut entries) = {
        let tail = &shared.state.lock().tail;
        let entries: Vec<Entry> = tail.entries.iter().map(|(id, at)| Entry { id: *id, at: *at }).collect();
        (tail.span, tail.witness, entries)
    };
    entries.sort_unstable();
    let mut writer = RunWriter::new(&*shared.disk, span, witness)?;
    for entry in entries {
        writer.push(entry)?;
    }
    let run = writer.finish()?;
    let mut state = shared.state.lock();
    if state.tail.span == span {
        state.shelf.add(run);
        state.tail.restart(span.until);
        return Ok(());
    }
    // It was found to be wrong meanwhile.
    drop(state);
    run.remove(&*shared.disk)
}

/// Why runs were not merged.
enum MergeError {
    /// This one is not what was written.
    Damaged(Run),
    Disk(io::Error),
}

impl MergeError {
    fn of(run: &Run, error: RunError) -> Self {
        match error {
            RunError::Damaged => Self::Damaged(run.clone()),
            RunError::Disk(error) => Self::Disk(error),
        }
    }
}

impl From<io::Error> for MergeError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Makes one run of many small ones, as long as there are many.
fn merge(shared: &Shared) -> io::Result<()> {
    // A tail is sealed after the block that fills it.
    let (n, small) = (shared.options.merge_runs, shared.options.run_entries.saturating_mul(2));
    loop {
        let runs = shared.state.lock().shelf.mergeable(n, small).map(<[Run]>::to_vec);
        let Some(runs) = runs else { return Ok(()) };
        let merged = match merged(&*shared.disk, &runs) {
            Ok(merged) => merged,
            Err(MergeError::Damaged(run)) => {
                shared.reject(&run);
                return Ok(());
            }
            Err(MergeError::Disk(error)) => return Err(error),
        };
        let are_there = {
            let mut state = shared.state.lock();
            let are_there = runs.iter().all(|run| state.shelf.runs().contains(run));
            if are_there {
                for run in &runs {
                    state.shelf.take(run);
                }
                state.shelf.add(merged.clone());
            }
            are_there
        };
        if !are_there {
            // One was found to be wrong meanwhile.
            return merged.remove(&*shared.disk);
        }
        remove_all(shared, &runs);
    }
}

/// Writes neighbouring runs as one. Of two events with one id the newer one stays.
fn merged(disk: &dyn Disk, runs: &[Run]) -> Result<Run, MergeError> {
    let mut heads: Vec<(Entry, Entries, &Run)> = Vec::with_capacity(runs.len());
    for run in runs {
        let fault = |error| MergeError::of(run, error);
        let mut entries = run.entries(disk).map_err(fault)?;
        if let Some(first) = entries.next().map_err(fault)? {
            heads.push((first, entries, run));
        }
    }
    let from = runs.first().map_or(0, |run| run.span.from);
    let until = runs.last().map_or(0, |run| run.span.until);
    let witness = runs.iter().rev().find_map(|run| run.witness);
    let mut writer = RunWriter::new(disk, Span { from, until }, witness)?;
    let mut newest: Option<Entry> = None;
    // The lowest id; the runs are few.
    while let Some(at) = (0..heads.len()).min_by_key(|at| heads.get(*at).map(|(entry, ..)| *entry)) {
        let Some((entry, entries, run)) = heads.get_mut(at) else { break };
        let lowest = *entry;
        match entries.next().map_err(|error| MergeError::of(run, error))? {
            Some(next) => *entry = next,
            None => drop(heads.swap_remove(at)),
        }
        if let Some(before) = newest.filter(|before| before.id != lowest.id) {
            writer.push(before)?;
        }
        newest = Some(lowest);
    }
    if let Some(last) = newest {
        writer.push(last)?;
    }
    Ok(writer.finish()?)
}

/// Removes files. One that stays is in nobody's way: it is looked at again at the next start.
fn remove_all(shared: &Shared, runs: &[Run]) {
    for run in runs {
        if let Err(error) = run.remove(&*shared.disk) {
            tracing::warn!(%error, file = run.span.name(), "a file of the explorer is not removed");
        }
    }
}
