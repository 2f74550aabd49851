//! What a replay would send, without sending it: as far as that can be counted while somebody waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use destinations::Destination;
use event::{Record, Stream, StreamSet};
use journal::{Block, JournalError, Offset, ReadRange};
use tokio::time::Instant;

use super::document::Picked;
use super::sift::Sift;
use super::span::Span;
use crate::configuration::Configuration;
use crate::looking::{LookError, prepare};
use crate::selector::Selector;
use crate::supervisor::Parts;

/// Most payload bytes that one count reads.
const MAX_BYTES: usize = 256 << 20;
/// And at a time.
const STEP_BYTES: usize = 8 << 20;
/// How long one count may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// What would be sent, by stream: events, and bytes of their documents in their envelopes, before compression.
    pub streams: BTreeMap<Stream, (u64, u64)>,
    /// Events that are picked, and not selected by the configuration as it is now.
    pub n_unselected: u64,
    /// When the oldest event that would be sent was received.
    pub oldest: Option<Timestamp>,
    /// When the newest was.
    pub newest: Option<Timestamp>,
    /// Blocks of the range that were counted.
    pub n_blocks: u64,
    /// Blocks of the range.
    pub of_blocks: u64,
}

impl Counted {
    /// Whether the whole range was counted.
    pub const fn is_complete(&self) -> bool {
        self.n_blocks == self.of_blocks
    }

    /// Events that would be sent, and their bytes.
    pub fn sum(&self) -> (u64, u64) {
        self.streams.values().fold((0, 0), |(n, bytes), (more, more_bytes)| (n + more, bytes + more_bytes))
    }
}

struct Counting {
    sift: Sift,
    selector: Selector,
    destination: Arc<dyn Destination>,
    counted: Counted,
    scratch: Vec<u8>,
}

/// Counts what of a range would be sent.
pub(crate) async fn count(
    parts: &Parts,
    configuration: &Configuration,
    picked: &Picked,
    span: Span,
) -> Result<Counted, LookError> {
    let (selector, destination) = prepare(parts, configuration)?;
    let of_blocks = span.until.saturating_sub(span.from);
    let counted = Counted { of_blocks, ..Counted::default() };
    let mut counting =
        Counting { sift: Sift::of(picked), selector, destination, counted, scratch: Vec::new() };
    let (mut at, mut n_bytes, end) = (span.from, 0, Instant::now() + PATIENCE);
    while n_bytes < MAX_BYTES && Instant::now() < end {
        let Some((from, until)) = counting.sift.next(at).filter(|(from, _)| *from < span.until) else {
            at = span.until;
            break;
        };
        let until = until.min(span.until);
        let range = ReadRange { streams: StreamSet::product(), from, until, max_bytes: STEP_BYTES };
        match parts.journal.read(range).await {
            Ok(blocks) => {
                at = blocks.last().map_or(until, |last| last.sequence() + 1);
                n_bytes += blocks.iter().map(|block| block.payload_bytes()).sum::<usize>();
                counting = tokio::task::spawn_blocking(move || counting.with(&blocks)).await?;
            }
            Err(JournalError::Damaged(what)) => {
                tracing::warn!(block = from, what, "a damaged block is not counted");
                at = from + 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    counting.counted.n_blocks = at.min(span.until).saturating_sub(span.from);
    Ok(counting.counted)
}

impl Counting {
    fn with(mut self, blocks: &[Arc<Block>]) -> Self {
        for block in blocks {
            if !self.sift.concerns(block) {
                continue;
            }
            for (offset, record) in block.records() {
                self.look_at(offset, &record);
            }
        }
        self
    }

    fn look_at(&mut self, offset: Offset, record: &Record<'_>) {
        if !self.sift.picks(offset, record) {
            return;
        }
        if !self.selector.selects(record) {
            self.counted.n_unselected += 1;
            return;
        }
        self.scratch.clear();
        self.destination.encode(record, Some((offset.block, offset.index)), true, &mut self.scratch);
        let (n_events, bytes) = self.counted.streams.entry(record.stream()).or_default();
        *n_events += 1;
        *bytes += self.scratch.len() as u64;
        let received_at = record.received_at();
        self.counted.oldest = Some(self.counted.oldest.map_or(received_at, |oldest| oldest.min(received_at)));
        self.counted.newest = self.counted.newest.max(Some(received_at));
    }
}
