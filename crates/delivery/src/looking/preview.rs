//! The request that a configuration would send for one stored event, made the way the worker makes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::mask::MASK;
use base::{EventId, Timestamp};
use bytes::Bytes;
use destinations::{Destination, Session};
use event::{Record, Stream};
use journal::{Block, Offset};
use tokio::time::Instant;

use super::{LookError, Newest, Step, prepare};
use crate::batch::Filling;
use crate::configuration::Configuration;
use crate::selector::{Selector, Unselected};
use crate::supervisor::Parts;

/// No record has a higher place in its block: it has at least a few bytes.
const MAX_INDEX: u32 = journal::MAX_BLOCK_BYTES as u32;

/// Which events are shown.
#[derive(Clone, Debug)]
pub enum Sought {
    /// The newest one of each stream that the configuration selects, among so many newest ones of all.
    Newest(usize),
    /// The one at this index of a block, whether it is selected or not.
    Event(Arc<Block>, u32),
    /// This record of an event, which lies or lay at the offset.
    Record(Offset, Vec<u8>),
}

/// The requests, by stream, and how many events were looked at to find the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previews {
    /// Each with one event.
    pub requests: Vec<Preview>,
    /// Events that were looked at.
    pub n_looked_at: usize,
}

/// The request that would carry one event alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The event's id.
    pub event_id: EventId,
    /// Its stream.
    pub stream: Stream,
    /// Why it would not be sent, by the settings as they are now; `None` when it would.
    pub why_not: Option<Unselected>,
    /// The request's method.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Its headers; those that hold or prove a credential are masked.
    pub headers: BTreeMap<String, String>,
    /// The body before compression.
    pub body: Bytes,
    /// The body as it is sent.
    pub sent: Bytes,
}

/// Shows the requests for what is `sought`.
pub(crate) async fn preview(
    parts: &Parts,
    configuration: &Configuration,
    sought: Sought,
) -> Result<Previews, LookError> {
    let (selector, destination) = prepare(parts, configuration)?;
    let (found, n_looked_at) = match sought {
        Sought::Newest(max_events) => find(parts, Search::new(selector.clone(), max_events)).await?,
        Sought::Event(block, index) => (vec![(block, index)], 1),
        Sought::Record(offset, record) => (at(offset, record).into_iter().collect(), 1),
    };
    let now = parts.clock.now();
    // Real requests belong to the session of a worker, which nobody else may know; these are as those look.
    let session = Session::draw(now, &parts.random);
    let show = move || {
        let mut requests: Vec<Preview> = found
            .iter()
            .filter_map(|(block, index)| {
                let record = Record::parse(block.record_bytes(*index as usize)?).ok()?;
                let offset = Offset { block: block.sequence(), index: *index };
                Some(shown(&*destination, &selector, offset, &record, (&session, now)))
            })
            .collect();
        requests.sort_by_key(|preview| preview.stream);
        Previews { requests, n_looked_at }
    };
    Ok(tokio::task::spawn_blocking(show).await?)
}

/// An event's place in a block that is held.
type Found = (Arc<Block>, u32);

/// A block that holds nothing but a record, at its offset; `None` when it is no record.
fn at(offset: Offset, record: Vec<u8>) -> Option<Found> {
    let (stream, received_at) = Record::parse(&record).map(|it| (it.stream(), it.received_at())).ok()?;
    let mut ends = vec![0; offset.index.min(MAX_INDEX) as usize];
    ends.push(u32::try_from(record.len()).ok()?);
    let block = Block::new(offset.block, stream, received_at, record.into(), ends);
    Some((Arc::new(block), offset.index.min(MAX_INDEX)))
}

/// Walks back to the events that are sought; and how many were looked at.
async fn find(parts: &Parts, mut search: Search) -> Result<(Vec<Found>, usize), LookError> {
    let mut newest = Newest::of(Arc::clone(&parts.journal));
    while search.goes_on() {
        match newest.next().await? {
            Step::Blocks(blocks) => {
                search = tokio::task::spawn_blocking(move || search.through(&blocks)).await?;
            }
            Step::Ended(_) => break,
        }
    }
    Ok((search.found, search.n_looked_at))
}

/// A search for events, and what it has found.
struct Search {
    selector: Selector,
    n_left: usize,
    n_looked_at: usize,
    missing: Vec<Stream>,
    found: Vec<Found>,
}

impl Search {
    fn new(selector: Selector, n_left: usize) -> Self {
        let streams = selector.streams();
        let missing = Stream::PRODUCT.into_iter().filter(|stream| streams.contains(*stream)).collect();
        Self { selector, n_left, n_looked_at: 0, missing, found: Vec::new() }
    }

    fn goes_on(&self) -> bool {
        self.n_left > 0 && !self.missing.is_empty()
    }

    fn through(mut self, blocks: &[Arc<Block>]) -> Self {
        for block in blocks {
            let records: Vec<(Offset, Record<'_>)> = block.records().collect();
            for (offset, record) in records.iter().rev() {
                if !self.goes_on() {
                    return self;
                }
                self.n_left -= 1;
                self.n_looked_at += 1;
                if self.is_sought(record) {
                    self.found.push((Arc::clone(block), offset.index));
                }
            }
        }
        self
    }

    fn is_sought(&mut self, record: &Record<'_>) -> bool {
        let is_sought = self.missing.contains(&record.stream()) && self.selector.selects(record);
        if is_sought {
            self.missing.retain(|stream| *stream != record.stream());
        }
        is_sought
    }
}

fn shown(
    destination: &dyn Destination,
    selector: &Selector,
    offset: Offset,
    record: &Record<'_>,
    (session, now): (&Session, Timestamp),
) -> Preview {
    let began = Instant::now();
    let mut filling = Filling::new(destination.frame(), began);
    filling.push_record(destination, (offset.block, offset.index), record);
    let body = filling.finish(began).body;
    let request = destination.request(body.clone(), session, now);
    let headers = request.headers.iter().map(|(name, value)| {
        let text = || destination.scrub(&String::from_utf8_lossy(value.as_bytes()));
        (name.as_str().to_owned(), if value.is_sensitive() { MASK.to_owned() } else { text() })
    });
    Preview {
        event_id: record.event_id(),
        stream: record.stream(),
        why_not: selector.why_not(record),
        method: request.method.to_string(),
        url: destination.scrub(request.url.as_str()),
        headers: headers.collect(),
        body,
        sent: request.body,
    }
}
