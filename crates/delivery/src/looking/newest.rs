//! The newest stored events, newest first: the journal reads forwards only, so it is walked back in steps.

use std::sync::Arc;

use event::StreamSet;
use journal::{Block, Journal, JournalError, ReadRange};
use serde::Serialize;
use tokio::time::Instant;

use super::{MAX_BYTES, PATIENCE};

/// Blocks of the first step back.
const FIRST_STEP: u64 = 16;
/// Most blocks of a step.
const LONGEST_STEP: u64 = 1024;
/// Payload bytes above which a step is too long, and a quarter of which make the next one longer.
const STEP_BYTES: usize = 8 << 20;

/// Why a look went no further back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ended {
    /// It has seen what it was to see.
    Enough,
    /// There are no older events.
    AllSeen,
    /// It has read as many bytes as it may.
    Bytes,
    /// It has taken as long as it may.
    Time,
}

/// One step back.
pub(super) enum Step {
    /// The next blocks, newest first, perhaps none.
    Blocks(Vec<Arc<Block>>),
    /// There are no more.
    Ended(Ended),
}

/// A walk from the newest block to the oldest.
pub(super) struct Newest {
    journal: Arc<dyn Journal>,
    /// What is left to be seen lies below.
    until: u64,
    step: u64,
    n_bytes: usize,
    end: Instant,
}

impl Newest {
    /// A walk that begins with the newest block that is stored now.
    pub(super) fn of(journal: Arc<dyn Journal>) -> Self {
        let until = journal.head().next;
        Self { journal, until, step: FIRST_STEP, n_bytes: 0, end: Instant::now() + PATIENCE }
    }

    /// Goes one step back.
    pub(super) async fn next(&mut self) -> Result<Step, JournalError> {
        let first = self.journal.head().first;
        let ended = match () {
            () if self.until <= first => Some(Ended::AllSeen),
            () if self.n_bytes >= MAX_BYTES => Some(Ended::Bytes),
            () if Instant::now() >= self.end => Some(Ended::Time),
            () => None,
        };
        if let Some(ended) = ended {
            return Ok(Step::Ended(ended));
        }
        let from = self.until.saturating_sub(self.step).max(first);
        let Some((mut blocks, n_bytes)) = self.range(from).await? else {
            self.step = (self.step / 4).max(1);
            return Ok(Step::Blocks(Vec::new()));
        };
        if n_bytes < STEP_BYTES / 4 {
            self.step = (self.step * 2).min(LONGEST_STEP);
        }
        self.until = from;
        self.n_bytes += n_bytes;
        blocks.reverse();
        Ok(Step::Blocks(blocks))
    }

    /// The blocks of a step, oldest first, and their payload bytes. `None` when they are too many to be held. What is
    /// damaged is passed over.
    async fn range(&self, from: u64) -> Result<Option<(Vec<Arc<Block>>, usize)>, JournalError> {
        let (mut blocks, mut n_bytes, mut at) = (Vec::new(), 0, from);
        while at < self.until {
            let range = ReadRange {
                streams: StreamSet::product(),
                from: at,
                until: self.until,
                max_bytes: STEP_BYTES,
            };
            let read = match self.journal.read(range).await {
                Ok(read) => read,
                Err(JournalError::Damaged(what)) => {
                    tracing::warn!(block = at, what, "a damaged block is not looked at");
                    at += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = read.last() else { break };
            at = last.sequence() + 1;
            n_bytes += read.iter().map(|block| block.payload_bytes()).sum::<usize>();
            blocks.extend(read);
            if n_bytes > STEP_BYTES && self.step > 1 {
                return Ok(None);
            }
        }
        Ok(Some((blocks, n_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use base::{Clock, EventId, ManualClock, Random, Timestamp};
    use event::{RecordBuilder, Section, Stream};
    use journal::model::{ModelJournal, ModelOptions};
    use journal::{Append, Entry, OnConflict, Producer};

    use super::*;

    async fn journal(sizes: &[usize]) -> Arc<dyn Journal> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::default()));
        let random = Arc::new(Random::from_seed(1));
        let journal = ModelJournal::new(clock, Arc::clone(&random), ModelOptions::default());
        for size in sizes {
            let id = EventId::draw(Timestamp::default(), &random);
            let mut builder =
                RecordBuilder::new(Stream::AuditLog, id, Timestamp::default(), Timestamp::default());
            builder.section(Section::Raw, &"x".repeat(*size));
            let record = builder.finish().unwrap();
            let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
            journal.append(Append { stream: Stream::AuditLog, entries, request_key: None }).await.unwrap();
        }
        Arc::new(journal)
    }

    async fn walked(journal: Arc<dyn Journal>) -> (Vec<u64>, Ended) {
        let mut newest = Newest::of(journal);
        let mut seen = Vec::new();
        loop {
            match newest.next().await.unwrap() {
                Step::Blocks(blocks) => seen.extend(blocks.iter().map(|block| block.sequence())),
                Step::Ended(ended) => return (seen, ended),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_block_is_seen_once_newest_first_whatever_their_sizes() {
        for sizes in [vec![], vec![10; 1], vec![10; 3000], vec![500_000; 100]] {
            let newest_first: Vec<u64> = (1..=sizes.len() as u64).rev().collect();
            assert_eq!(walked(journal(&sizes).await).await, (newest_first, Ended::AllSeen));
        }
        let mut mixed = vec![500_000; 60];
        mixed.extend(vec![10; 2000]);
        let newest_first: Vec<u64> = (1..=mixed.len() as u64).rev().collect();
        assert_eq!(walked(journal(&mixed).await).await.0, newest_first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_ends_when_it_has_read_enough() {
        let (seen, ended) = walked(journal(&vec![500_000; 400]).await).await;
        assert_eq!(ended, Ended::Bytes);
        assert!((260..300).contains(&seen.len()), "{}", seen.len());
    }
}
