//! What waits for the writer: appends, bounded in bytes, and commands.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::prepared::Prepared;
use crate::{AppendError, Appended, JournalError};

/// An append that waits, and whom to answer.
pub(super) struct Waiting {
    pub(super) prepared: Prepared,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Something else to do for the writer.
pub(super) enum Command {
    /// Save the consumers.
    Checkpoint(Reply),
    /// Drop whole segments below the sequence.
    Trim(u64, Reply),
    /// Begin a new segment, unless the active one is empty.
    Roll(Reply),
    /// Swap in the rewritten file of a segment.
    Swap(super::rewrite::Rewritten, Reply),
    /// Finish what waits, save the consumers, release the directory.
    Close(Reply),
}

pub(super) type Reply = oneshot::Sender<Result<(), JournalError>>;

/// What the writer is to do next.
pub(super) enum Work {
    Group(Vec<Waiting>),
    Command(Command),
    /// Nothing came until the deadline.
    Idle,
    /// Every handle is gone.
    Abandoned,
}

#[derive(Default)]
struct Inside {
    appends: VecDeque<Waiting>,
    commands: VecDeque<Command>,
    /// Bytes of appends that wait or are being written.
    bytes: usize,
    abandoned: bool,
    /// The writer is gone.
    ended: bool,
    /// Someone wants the writer to look at its deadline again.
    nudged: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Queue {
    /// Adds an append, unless more than `limit` bytes wait already.
    pub(super) fn push(&self, waiting: Waiting, limit: usize) -> Result<(), AppendError> {
        let mut inside = self.inside.lock();
        if inside.ended {
            return Err(JournalError::Closed.into());
        }
        // One append is always let in, however large, so that a small limit cannot refuse it for ever.
        if inside.bytes > 0 && inside.bytes + waiting.bytes > limit {
            return Err(AppendError::Busy);
        }
        inside.bytes += waiting.bytes;
        inside.appends.push_back(waiting);
        drop(inside);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds a command. When the writer has ended it is dropped, and so is its reply.
    pub(super) fn command(&self, command: Command) {
        let mut inside = self.inside.lock();
        if !inside.ended {
            inside.commands.push_back(command);
            drop(inside);
            self.changed.notify_one();
        }
    }

    /// Nothing more is taken; what waits is dropped, and so are its replies.
    pub(super) fn end(&self) {
        let mut inside = self.inside.lock();
        inside.ended = true;
        inside.appends.clear();
        inside.commands.clear();
    }

    /// Makes the writer work out anew how long it may sleep.
    pub(super) fn nudge(&self) {
        self.inside.lock().nudged = true;
        self.changed.notify_one();
    }

    /// No handle is left: the writer ends after what it is doing.
    pub(super) fn abandon(&self) {
        self.inside.lock().abandoned = true;
        self.changed.notify_one();
    }

    /// Gives the room of written appends back.
    pub(super) fn release(&self, bytes: usize) {
        let mut inside = self.inside.lock();
        inside.bytes = inside.bytes.saturating_sub(bytes);
    }

    /// What to do next, at once; appends of up to `max_bytes` become one group.
    pub(super) fn try_next(&self, max_bytes: usize) -> Work {
        Self::take(&mut self.inside.lock(), max_bytes).unwrap_or(Work::Idle)
    }

    /// What to do next; waits for it until the deadline, without one as long as it takes.
    pub(super) fn next(&self, max_bytes: usize, deadline: Option<Instant>) -> Work {
        let mut inside = self.inside.lock();
        loop {
            if let Some(work) = Self::take(&mut inside, max_bytes) {
                return work;
            }
            if std::mem::take(&mut inside.nudged) {
                return Work::Idle;
            }
            match deadline {
                None => self.changed.wait(&mut inside),
                Some(deadline) => {
                    if self.changed.wait_until(&mut inside, deadline).timed_out() {
                        return Self::take(&mut inside, max_bytes).unwrap_or(Work::Idle);
                    }
                }
            }
        }
    }

    fn take(inside: &mut Inside, max_bytes: usize) -> Option<Work> {
        if inside.abandoned {
            return Some(Work::Abandoned);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        // Commands are few and go first, but for the last one.
        if inside.commands.front().is_some_and(|command| !matches!(command, Command::Close(_))) {
            return inside.commands.pop_front().map(Work::Command);
        }
        while let Some(next) = inside.appends.front() {
            if !group.is_empty() && bytes + next.bytes > max_bytes {
                break;
            }
            bytes += next.bytes;
            group.extend(inside.appends.pop_front());
        }
        if !group.is_empty() {
            return Some(Work::Group(group));
        }
        inside.commands.pop_front().map(Work::Command)
    }
}
