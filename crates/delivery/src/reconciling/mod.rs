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
use journal::{Block, ConsumerCommand, JournalError, ReadRange};
use tokio::time::Instant;

pub use self::expected::Expected;
use self::expected::Expecting;
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
    /// The rest of the period is not settled yet: from this block on, events are on their way.
    Unsettled(u64),
    /// It has done enough: the next call goes on with this block.
    More(u64),
    /// The destination did not answer, or not so that it proves anything. The next call goes on with this block.
    Unanswered(u64, String),
    /// The destination refuses to be asked, and only an operator can mend that. The next call goes on with this block.
    Refused(u64, String),
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

/// Asks about the events of a period, beginning with the block `from`.
pub(crate) async fn reconcile(
    parts: &Parts,
    configuration: &Configuration,
    quarantined: &Quarantined,
    period: Period,
    from: u64,
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
    let from = from.max(place.started_at).max(first.unwrap_or(u64::MAX));
    let mut call = Call {
        configuration: &configuration.id,
        quarantined,
        expecting: Expecting::of(configuration, period),
        destination,
        transport: Arc::clone(&parts.transport),
        found: Reconciled::default(),
        end: Instant::now() + PATIENCE,
        n_bytes: 0,
    };
    call.found.ended = call.go(parts, period, from, place.floor).await?;
    Ok(call.found)
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
        from: u64,
        floor: u64,
    ) -> Result<Paused, ReconcileError> {
        let mut at = from;
        while at < floor {
            if self.has_done_enough() {
                return Ok(Paused::More(at));
            }
            let range =
                ReadRange { streams: StreamSet::product(), from: at, until: floor, max_bytes: PAGE_BYTES };
            let blocks = parts.journal.read(range).await?;
            let Some(last) = blocks.last() else { break };
            let next = last.sequence() + 1;
            self.n_bytes += blocks.iter().map(|block| block.payload_bytes()).sum::<usize>();
            let mut found = Reconciled::default();
            let expected = self.expected(&blocks, &mut found).await?;
            match self.ask_about(&expected, &mut found).await {
                Ok(()) => self.found.add(found),
                Err(Refusal::Unanswered(reason)) => return Ok(Paused::Unanswered(at, reason)),
                Err(Refusal::Refused(reason)) => return Ok(Paused::Refused(at, reason)),
            }
            at = next;
            if last.appended_at() >= period.until.plus(STORED_WITHIN) {
                return Ok(Paused::Done);
            }
        }
        // What is stored from now on is received now.
        let is_all = parts.clock.now() >= period.until && parts.journal.head().next <= floor;
        Ok(if is_all { Paused::Done } else { Paused::Unsettled(at.max(floor)) })
    }

    fn has_done_enough(&self) -> bool {
        self.found.n_expected >= MAX_EVENTS as u64 || self.n_bytes >= MAX_BYTES || Instant::now() >= self.end
    }

    /// The events of some blocks that the destination should hold.
    async fn expected(
        &self,
        blocks: &[Arc<Block>],
        found: &mut Reconciled,
    ) -> Result<Vec<Expected>, ReconcileError> {
        let mut expected = self.expecting.of_blocks(blocks, found);
        let ids: Vec<EventId> = expected.iter().map(|event| event.id).collect();
        let set_aside = self.quarantined.undelivered(self.configuration, &ids).await?;
        expected.retain(|event| !set_aside.contains(&event.id));
        found.n_set_aside = set_aside.len() as u64;
        found.n_expected = expected.len() as u64;
        found.n_assumed = expected.iter().filter(|event| event.is_assumed).count() as u64;
        Ok(expected)
    }

    /// Asks about these events. What was found counts only when all is answered.
    async fn ask_about(&self, expected: &[Expected], found: &mut Reconciled) -> Result<(), Refusal> {
        for stream in Stream::PRODUCT {
            let of_stream: Vec<&Expected> =
                expected.iter().filter(|expected| expected.stream == stream).collect();
            for asked in of_stream.chunks(self.destination.max_lookup()) {
                let ids: Vec<EventId> = asked.iter().map(|expected| expected.id).collect();
                let held = self.look_up(stream, &ids).await?;
                for (expected, places) in asked.iter().zip(held) {
                    match places.len() {
                        0 => found.missing.push((*expected).clone()),
                        1 => {}
                        _ => found.repeated.push(((*expected).clone(), places)),
                    }
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
