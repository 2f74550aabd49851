//! What a configuration would send of the newest stored events, and how much that would be in a day.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use destinations::Destination;
use event::filter::Criterion;
use event::{Record, Stream};
use journal::{Block, Offset};

use super::{Ended, LookError, Newest, Step, prepare};
use crate::configuration::Configuration;
use crate::selector::{Selector, Unselected};
use crate::supervisor::Parts;
use crate::volume::PerDay;

/// Most kinds of events that are named of a stream.
const MAX_KINDS: usize = 20;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// Events that were looked at.
    pub n_looked_at: usize,
    /// Why no more were.
    pub ended: Ended,
    /// When the oldest of them was received; `None` when there is none.
    pub since: Option<Timestamp>,
    /// Now.
    pub until: Timestamp,
    /// By stream, in the order of the streams.
    pub streams: Vec<StreamRun>,
    /// What the matching ones are in a day, when they go on as they came between `since` and `until`. `None` when that
    /// is less than a minute.
    pub per_day: Option<PerDay>,
}

/// What was found of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRun {
    /// The stream.
    pub stream: Stream,
    /// Events that were looked at.
    pub n_looked_at: u64,
    /// Those that would be sent.
    pub n_matched: u64,
    /// Bytes of their documents in their envelopes, before compression.
    pub bytes: u64,
    /// The most frequent kinds of those that would be sent, at most 20.
    pub kinds: Vec<Kind>,
    /// How many would not be sent, by what says so.
    pub left_out: Vec<(Unselected, u64)>,
}

/// Events of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `type` of account events.
    pub event_type: Option<String>,
    /// `sourceEventType`.
    pub source_event_type: Option<String>,
    /// `entityType` of audit logs.
    pub entity_type: Option<String>,
    /// How many.
    pub n_events: u64,
    /// Bytes of their documents in their envelopes, before compression.
    pub bytes: u64,
}

/// Looks at the newest `max_events` stored events.
pub(crate) async fn dry_run(
    parts: &Parts,
    configuration: &Configuration,
    max_events: usize,
) -> Result<DryRun, LookError> {
    let (selector, destination) = prepare(parts, configuration)?;
    let mut counts = Counts::new(selector, destination, max_events);
    let mut newest = Newest::of(Arc::clone(&parts.journal));
    let ended = loop {
        if counts.n_left == 0 {
            break Ended::Enough;
        }
        match newest.next().await? {
            Step::Blocks(blocks) => {
                counts = tokio::task::spawn_blocking(move || counts.with(&blocks)).await?;
            }
            Step::Ended(ended) => break ended,
        }
    };
    Ok(counts.finish(ended, parts.clock.now()))
}

/// What tells the kinds of events apart.
type KindKey = [Option<String>; 3];

#[derive(Default)]
struct StreamCount {
    n_looked_at: u64,
    n_matched: u64,
    bytes: u64,
    kinds: BTreeMap<KindKey, (u64, u64)>,
    left_out: BTreeMap<Unselected, u64>,
}

/// What was counted so far.
struct Counts {
    selector: Selector,
    destination: Arc<dyn Destination>,
    n_left: usize,
    n_looked_at: usize,
    oldest: Option<Timestamp>,
    streams: BTreeMap<Stream, StreamCount>,
    /// One document at a time.
    scratch: Vec<u8>,
}

impl Counts {
    fn new(selector: Selector, destination: Arc<dyn Destination>, n_left: usize) -> Self {
        Self {
            selector,
            destination,
            n_left,
            n_looked_at: 0,
            oldest: None,
            streams: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    /// With these blocks, which are in order, newest first.
    fn with(mut self, blocks: &[Arc<Block>]) -> Self {
        for block in blocks {
            let records: Vec<(Offset, Record<'_>)> = block.records().collect();
            for (offset, record) in records.iter().rev().take(self.n_left) {
                self.look_at(*offset, record);
            }
            self.n_left -= records.len().min(self.n_left);
        }
        self
    }

    fn look_at(&mut self, offset: Offset, record: &Record<'_>) {
        self.n_looked_at += 1;
        let received_at = record.received_at();
        self.oldest = Some(self.oldest.map_or(received_at, |oldest| oldest.min(received_at)));
        let count = self.streams.entry(record.stream()).or_default();
        count.n_looked_at += 1;
        if let Some(why) = self.selector.why_not(record) {
            *count.left_out.entry(why).or_default() += 1;
            return;
        }
        self.scratch.clear();
        self.destination.encode(record, Some((offset.block, offset.index)), false, &mut self.scratch);
        let bytes = self.scratch.len() as u64;
        count.n_matched += 1;
        count.bytes += bytes;
        let by = [Criterion::Types, Criterion::SourceEventTypes, Criterion::EntityTypes];
        let key = by.map(|criterion| criterion.first_of(record));
        if key.iter().any(Option::is_some) {
            let (n_events, n_bytes) = count.kinds.entry(key).or_default();
            *n_events += 1;
            *n_bytes += bytes;
        }
    }

    fn finish(self, ended: Ended, now: Timestamp) -> DryRun {
        let matched = self
            .streams
            .values()
            .fold((0, 0), |(n_events, bytes), stream| (n_events + stream.n_matched, bytes + stream.bytes));
        let per_day = self.oldest.and_then(|oldest| PerDay::of(matched.0, matched.1, now.since(oldest)));
        DryRun {
            n_looked_at: self.n_looked_at,
            ended,
            since: self.oldest,
            until: now,
            streams: self.streams.into_iter().map(|(stream, count)| count.finish(stream)).collect(),
            per_day,
        }
    }
}

impl StreamCount {
    fn finish(self, stream: Stream) -> StreamRun {
        let mut kinds: Vec<Kind> = self
            .kinds
            .into_iter()
            .map(|([event_type, source_event_type, entity_type], (n_events, bytes))| Kind {
                event_type,
                source_event_type,
                entity_type,
                n_events,
                bytes,
            })
            .collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.n_events));
        kinds.truncate(MAX_KINDS);
        StreamRun {
            stream,
            n_looked_at: self.n_looked_at,
            n_matched: self.n_matched,
            bytes: self.bytes,
            kinds,
            left_out: self.left_out.into_iter().collect(),
        }
    }
}
