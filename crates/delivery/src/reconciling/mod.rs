//! Reconciliation: are the events that a configuration has delivered found at its destination, each of them once? Reads the
//! journal on its own, asks the destination, and changes nothing on either side.
//!
//! Only settled blocks are judged, so that what is on its way is no question. An event that is parked, in quarantine, or
//! discarded is not expected. What was stored under settings that are forgotten since is judged by the oldest known ones, and
//! counted apart.

mod expected;

use std::sync::Arc;
use std::time::Duration;

use base::{EventId, Timestamp};
use destinations::{Destination, Lookup, Transport};
use event::{Stream, StreamSet};
use journal::{Block, ConsumerCommand, JournalError, Offset, ReadRange};
use tokio::time::Instant;

pub use self::expected::Expected;
use self::expected::{Expecting, Step};
use crate::configuration::Configuration;
use crate::looking::prepare;
use crate::parking::find;
use crate::places::consumer_name;
use crate::quarantined::{QuarantineError, Quarantined};
use crate::starting::first_since;
use crate::supervisor::Parts;
use crate::trial::TrialError;

/// Most events that one call asks about.
const MAX_EVENTS: usize = 20_000;
/// Most payload bytes that one call reads.
const MAX_BYTES: usize = 128 << 20;
/// And at a time.
const PAGE_BYTES: usize = 4 << 20;
/// How long one call goes on asking.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer of the destination is waited for.
const ANSWER: Duration = Duration::from_secs(30);
/// How much later than it is received an event may be stored: its request waits that long at most for the journal.
const STORED_WITHIN: Duration = Duration::from_hours(1);

/// Which events are reconciled: those received in `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first time.
    pub from: Timestamp,
    /// The first time after it.
    pub until: Timestamp,
}

/// What one call found. The calls of a period are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Events of the period that were looked at.
    pub n_looked_at: u64,
    /// Those that the destination should hold.
    pub n_expected: u64,
    /// Those of them that were sent, if at all, under settings that are not known any more.
    pub n_assumed: u64,
    /// Those that later settings leave out. What was selected when they were stored is not known any more.
    pub n_unknown: u64,
    /// Those that it need not hold, because they are parked, in quarantine or discarded.
    pub n_set_aside: u64,
    /// Blocks that are damaged: nobody knows which events of the period they held.
    pub n_unreadable: u64,
    /// Events that the configuration has given up in all its time: a budget let them expire, or somebody chose so. They are
    /// noted as a number only, so that those of the period are expected, and can be among the missing ones.
    pub n_given_up: u64,
    /// Expected events that were not found.
    pub missing: Vec<Expected>,
    /// Expected events that were found several times, with where that was.
    pub repeated: Vec<(Expected, Vec<String>)>,
    /// How it ended.
    pub ended: Paused,
}

/// Why a call went no further.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Paused {
    /// The period is done.
    #[default]
    Done,
    /// The rest of the period is not settled yet: from here on, events are on their way.
    Unsettled(Offset),
    /// It has done enough: the next call goes on here.
    More(Offset),
    /// The destination did not answer, or not so that it proves anything. The next call goes on here.
    Unanswered(Offset, String),
    /// The destination refuses to be asked, and only an operator can mend that. The next call goes on here.
    Refused(Offset, String),
}

/// Why nothing could be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is in quarantine is not known.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// This destination cannot be asked; the text says why.
    #[error("{0}")]
    Unable(&'static str),
    /// Others are looking. Try again in a few seconds.
    #[error("other events are being looked at")]
    Busy,
}

impl From<tokio::sync::TryAcquireError> for ReconcileError {
    fn from(_: tokio::sync::TryAcquireError) -> Self {
        Self::Busy
    }
}

/// Asks about the events of a period, beginning with the event at `from`.
pub(crate) async fn reconcile(
    parts: &Parts,
    configuration: &Configuration,
    quarantined: &Quarantined,
    period: Period,
    from: Offset,
) -> Result<Reconciled, ReconcileError> {
    let (_, destination) = prepare(parts, configuration)?;
    if destination.max_lookup() == 0 {
        return Err(ReconcileError::Unable(
            "this destination cannot be asked which events it holds: that takes Elasticsearch or OpenSearch, and an index \
             whose name does not depend on the day",
        ));
    }
    let consumers = parts.journal.consumers(ConsumerCommand::List).await?;
    let Some(place) = find(&consumers, consumer_name(&configuration.id)) else {
        return Err(ReconcileError::Unable(
            "the configuration has no place in the journal: it has sent nothing",
        ));
    };
    let first = first_since(&*parts.journal, period.from).await?.map(|block| block.sequence());
    let from = from.max(start(place.started_at.max(first.unwrap_or(u64::MAX))));
    let mut call = Call {
        configuration: &configuration.id,
        quarantined,
        expecting: Expecting::of(configuration, period),
        destination,
        transport: Arc::clone(&parts.transport),
        found: Reconciled {
            n_given_up: place.tally.expired + place.tally.discarded,
            ..Reconciled::default()
        },
        end: Instant::now() + PATIENCE,
        n_bytes: 0,
    };
    call.found.ended = call.go(parts, period, from, place.floor).await?;
    Ok(call.found)
}

/// The first event of a block.
const fn start(block: u64) -> Offset {
    Offset { block, index: 0 }
}

/// One call on its way.
struct Call<'a> {
    configuration: &'a str,
    quarantined: &'a Quarantined,
    expecting: Expecting,
    destination: Arc<dyn Destination>,
    transport: Arc<dyn Transport>,
    found: Reconciled,
    end: Instant,
    n_bytes: usize,
}

/// Why a batch of questions ended.
enum Refusal {
    Unanswered(String),
    Refused(String),
}

impl Call<'_> {
    async fn go(
        &mut self,
        parts: &Parts,
        period: Period,
        from: Offset,
        floor: u64,
    ) -> Result<Paused, ReconcileError> {
        let mut at = from;
        while at.block < floor {
            if self.has_done_enough() {
                return Ok(Paused::More(at));
            }
            let (streams, from) = (StreamSet::product(), at.block);
            let range = ReadRange { streams, from, until: floor, max_bytes: PAGE_BYTES };
            let blocks = match parts.journal.read(range).await {
                Ok(blocks) => blocks,
                Err(JournalError::Damaged(what)) => {
                    tracing::warn!(block = from, what, "a damaged block is passed over in reconciliation");
                    self.found.n_unreadable += 1;
                    at = start(from + 1);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(last) = blocks.last() else { break };
            self.n_bytes += blocks.iter().map(|block| block.payload_bytes()).sum::<usize>();
            if let Some(paused) = self.page(&blocks, &mut at).await? {
                return Ok(paused);
            }
            if last.appended_at() >= period.until.plus(STORED_WITHIN) {
                return Ok(Paused::Done);
            }
        }
        // What is stored from now on is received now.
        let is_all = parts.clock.now() >= period.until && parts.journal.head().next <= floor;
        Ok(if is_all { Paused::Done } else { Paused::Unsettled(at.max(start(floor))) })
    }

    fn has_done_enough(&self) -> bool {
        self.found.n_expected >= MAX_EVENTS as u64 || self.n_bytes >= MAX_BYTES || Instant::now() >= self.end
    }

    /// Goes through some blocks, a question's worth of events at a time. What was found counts when all of it is answered.
    async fn page(
        &mut self,
        blocks: &[Arc<Block>],
        at: &mut Offset,
    ) -> Result<Option<Paused>, ReconcileError> {
        let end = blocks.last().map_or(at.block, |last| last.sequence() + 1);
        loop {
            let mut step = self.expecting.step(blocks, *at, self.destination.max_lookup());
            let mut found = self.without_set_aside(&mut step).await?;
            match self.ask_about(&step.expected, &mut found).await {
                Ok(()) => self.found.add(found),
                Err(Refusal::Unanswered(reason)) => return Ok(Some(Paused::Unanswered(*at, reason))),
                Err(Refusal::Refused(reason)) => return Ok(Some(Paused::Refused(*at, reason))),
            }
            *at = step.next;
            if at.block >= end {
                return Ok(None);
            }
            if self.has_done_enough() {
                return Ok(Some(Paused::More(*at)));
            }
        }
    }

    /// Takes out the events that the destination need not hold, and counts.
    async fn without_set_aside(&self, step: &mut Step) -> Result<Reconciled, ReconcileError> {
        let ids: Vec<EventId> = step.expected.iter().map(|event| event.id).collect();
        let set_aside = self.quarantined.undelivered(self.configuration, &ids).await?;
        step.expected.retain(|event| !set_aside.contains(&event.id));
        Ok(Reconciled {
            n_looked_at: step.n_looked_at,
            n_unknown: step.n_unknown,
            n_set_aside: set_aside.len() as u64,
            n_expected: step.expected.len() as u64,
            n_assumed: step.expected.iter().filter(|event| event.is_assumed).count() as u64,
            ..Reconciled::default()
        })
    }

    /// Asks about these events, of which one question holds all of a stream.
    async fn ask_about(&self, expected: &[Expected], found: &mut Reconciled) -> Result<(), Refusal> {
        for stream in Stream::PRODUCT {
            let asked: Vec<&Expected> =
                expected.iter().filter(|expected| expected.stream == stream).collect();
            if asked.is_empty() {
                continue;
            }
            let ids: Vec<EventId> = asked.iter().map(|expected| expected.id).collect();
            let held = self.look_up(stream, &ids).await?;
            for (expected, places) in asked.into_iter().zip(held) {
                match places.len() {
                    0 => found.missing.push(expected.clone()),
                    1 => {}
                    _ => found.repeated.push((expected.clone(), places)),
                }
            }
        }
        Ok(())
    }

    async fn look_up(&self, stream: Stream, ids: &[EventId]) -> Result<Vec<Vec<String>>, Refusal> {
        let Some(request) = self.destination.lookup_request(stream, ids) else {
            return Err(Refusal::Refused("the destination cannot be asked".to_owned()));
        };
        let answer = match tokio::time::timeout(ANSWER, self.transport.send(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Refusal::Unanswered(format!("{error}: {}", error.hint()))),
            Err(_) => {
                return Err(Refusal::Unanswered(format!("no answer within {} seconds", ANSWER.as_secs())));
            }
        };
        match self.destination.classify_lookup(ids, &answer) {
            Lookup::Held(held) => Ok(held),
            Lookup::Unanswered { reason } => Err(Refusal::Unanswered(reason)),
            Lookup::Refused { reason } => Err(Refusal::Refused(reason)),
        }
    }
}

impl Reconciled {
    fn add(&mut self, more: Self) {
        self.n_looked_at += more.n_looked_at;
        self.n_expected += more.n_expected;
        self.n_assumed += more.n_assumed;
        self.n_unknown += more.n_unknown;
        self.n_set_aside += more.n_set_aside;
        self.missing.extend(more.missing);
        self.repeated.extend(more.repeated);
    }
}
