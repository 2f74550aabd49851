//! Reading the quarantine stream: a part at a time, from a block on. What is damaged is passed over in few steps.

use std::sync::Arc;

use event::{Stream, StreamSet};
use journal::{Block, Journal, JournalError, Offset, ReadRange};

/// Bytes of the stream that are read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// A part of the stream.
pub(crate) enum Page {
    /// What comes first, and more of what follows.
    Blocks(Vec<Arc<Block>>),
    /// What comes first cannot be read: nothing below this sequence can.
    Damaged(u64),
    /// Nothing comes any more.
    End,
}

/// The part of the stream that begins with the sequence `from`, of about so many bytes.
pub(crate) async fn page(journal: &dyn Journal, from: u64, max_bytes: usize) -> Result<Page, JournalError> {
    match read(journal, from, max_bytes).await {
        Ok(blocks) if blocks.is_empty() => Ok(Page::End),
        Ok(blocks) => Ok(Page::Blocks(blocks)),
        Err(JournalError::Damaged(what)) => {
            let until = end_of_damage(journal, from).await?;
            tracing::error!(from, until, what, "damaged blocks of the quarantine stream are passed over");
            Ok(Page::Damaged(until))
        }
        Err(error) => Err(error),
    }
}

/// How far somebody has read the stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// The first sequence that was not read.
    pub(crate) next: u64,
    /// Sequences that could not be read.
    pub(crate) n_unreadable: u64,
}

impl Reading {
    /// Shows `look` every block that was not read yet. When it fails, it goes on there the next time.
    pub(crate) async fn go_on(
        &mut self,
        journal: &dyn Journal,
        mut look: impl FnMut(&Block) + Send,
    ) -> Result<(), JournalError> {
        self.next = self.next.max(journal.head().first);
        loop {
            match page(journal, self.next, PAGE_BYTES).await? {
                Page::Blocks(blocks) => {
                    for block in &blocks {
                        self.next = block.sequence() + 1;
                        look(block);
                    }
                }
                Page::Damaged(until) => {
                    self.n_unreadable += until - self.next;
                    self.next = until;
                }
                Page::End => return Ok(()),
            }
        }
    }
}

/// Shows `look` every block of the stream from a sequence on.
pub(crate) async fn each_block(
    journal: &dyn Journal,
    from: u64,
    look: impl FnMut(&Block) + Send,
) -> Result<(), JournalError> {
    Reading { next: from, n_unreadable: 0 }.go_on(journal, look).await
}

/// Where blocks can be read again after one that cannot: by growing steps, then between the last two, so that a damaged file
/// of many blocks takes few reads. Whole ones between damaged ones may be passed over.
async fn end_of_damage(journal: &dyn Journal, from: u64) -> Result<u64, JournalError> {
    let until = journal.head().next.max(from + 1);
    let (mut bad, mut good) = (from, from + 1);
    while good < until && is_damaged(journal, good).await? {
        (bad, good) = (good, good.saturating_add(2 * (good - from)).min(until));
    }
    while good - bad > 1 {
        let middle = bad.midpoint(good);
        if is_damaged(journal, middle).await? {
            bad = middle;
        } else {
            good = middle;
        }
    }
    Ok(good)
}

async fn is_damaged(journal: &dyn Journal, from: u64) -> Result<bool, JournalError> {
    match read(journal, from, 1).await {
        Ok(_) => Ok(false),
        Err(JournalError::Damaged(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn read(journal: &dyn Journal, from: u64, max_bytes: usize) -> Result<Vec<Arc<Block>>, JournalError> {
    let streams = StreamSet::from_iter([Stream::Quarantine]);
    journal.read(ReadRange { streams, from, until: u64::MAX, max_bytes }).await
}

/// An offset as it is printed: `block.index`.
pub(crate) fn parsed(text: &str) -> Option<Offset> {
    let (block, index) = text.split_once('.')?;
    Some(Offset { block: block.parse().ok()?, index: index.parse().ok()? })
}
