//! A lane: the requests of one session, and which of their acknowledgements can be believed.
//!
//! A collector counts its ids from 0 in each channel and forgets them when it restarts. Then it gives out the same ids
//! again, and `true` may be about another request. Two rules find that out without a false alarm in ordinary times:
//!
//! * An answer that brings an id which was given before shows that the count began anew: nothing of the lane is believed.
//! * A request whose answer never came may have been given any id. To reach the id *n* again, a count that begins anew
//!   must give out all ids below it; as long as fewer requests than that are without a known id, *n* is believed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use destinations::Session;
use tokio::time::Instant;

use crate::batch::Batch;

/// How long an acknowledgement is waited for: as in Splunk's description of the protocol.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// The same from the next answer on after one got lost, which may have held it: an acknowledgement is told once.
pub(super) const DOUBTED: Duration = Duration::from_secs(30);
/// Ids below the highest one that are remembered as not yet seen.
const MAX_GAPS: u64 = 1024;

/// Events that were taken and are not acknowledged.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) batch: Batch,
    pub(super) until: Instant,
    /// An answer about it got lost.
    is_doubted: bool,
    /// It was acknowledged, when so many requests of the lane had been started.
    proven_at: Option<u64>,
}

/// The requests of one session.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u64,
    pub(super) session: Session,
    /// No more requests are sent in it.
    pub(super) is_closed: bool,
    n_started: u64,
    /// Requests without an answer, by the order in which they were started.
    in_flight: BTreeSet<u64>,
    /// Requests whose answer will never come.
    n_lost: u64,
    highest: Option<u64>,
    /// Ids below the highest one that no answer has brought.
    gaps: BTreeSet<u64>,
    pub(super) waiting: BTreeMap<u64, Waiting>,
}

impl Lane {
    pub(super) const fn new(number: u64, session: Session) -> Self {
        Self {
            number,
            session,
            is_closed: false,
            n_started: 0,
            in_flight: BTreeSet::new(),
            n_lost: 0,
            highest: None,
            gaps: BTreeSet::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Notes that a request is sent; its number.
    pub(super) fn start(&mut self) -> u64 {
        let number = self.n_started;
        self.n_started += 1;
        self.in_flight.insert(number);
        number
    }

    /// A request was answered, and no id was given out for it.
    pub(super) fn answered(&mut self, request: u64) {
        self.in_flight.remove(&request);
    }

    /// Nobody knows what became of a request, or under which id. No more are sent in this lane.
    pub(super) fn lost(&mut self, request: u64) {
        if self.in_flight.remove(&request) {
            self.n_lost += 1;
            self.is_closed = true;
        }
    }

    /// A request was answered with an id. False when the id was given before: the lane is broken.
    #[must_use]
    pub(super) fn took(&mut self, request: u64, ack: u64) -> bool {
        self.in_flight.remove(&request);
        match self.highest {
            Some(highest) if ack <= highest => self.gaps.remove(&ack),
            highest => {
                let first = highest.map_or(0, |highest| highest + 1).max(ack.saturating_sub(MAX_GAPS));
                self.gaps.extend(first..ack);
                while self.gaps.len() as u64 > MAX_GAPS {
                    self.gaps.pop_first();
                }
                self.highest = Some(ack);
                true
            }
        }
    }

    /// Waits for an acknowledgement of these events.
    pub(super) fn wait_for(&mut self, ack: u64, batch: Batch, now: Instant) {
        self.waiting
            .insert(ack, Waiting { batch, until: now + PATIENCE, is_doubted: false, proven_at: None });
    }

    /// Whether there are ids to ask for.
    pub(super) fn has_questions(&self) -> bool {
        self.waiting.values().any(|waiting| waiting.proven_at.is_none())
    }

    /// The ids to ask for.
    pub(super) fn asked(&self, max: usize) -> Vec<u64> {
        let open = self.waiting.iter().filter(|(_, waiting)| waiting.proven_at.is_none());
        open.map(|(ack, _)| *ack).take(max).collect()
    }

    /// Of the ids that were asked for, these are acknowledged.
    pub(super) fn told(&mut self, asked: &[u64], acks: &[u64], now: Instant) {
        let acks: HashSet<u64> = acks.iter().copied().collect();
        for ack in asked {
            let Some(waiting) = self.waiting.get_mut(ack) else { continue };
            if acks.contains(ack) {
                waiting.proven_at = waiting.proven_at.or(Some(self.n_started));
            } else if waiting.is_doubted {
                waiting.until = waiting.until.min(now + DOUBTED);
            }
        }
    }

    /// The answer about these ids got lost.
    pub(super) fn doubt(&mut self, asked: &[u64]) {
        for ack in asked {
            if let Some(waiting) = self.waiting.get_mut(ack) {
                waiting.is_doubted = true;
            }
        }
    }

    /// Takes out the events whose acknowledgement is believed.
    pub(super) fn take_confirmed(&mut self) -> Vec<Batch> {
        self.take(|lane, ack, waiting| {
            waiting.proven_at.is_some_and(|started| {
                let unknown = lane.n_lost + lane.in_flight.range(..started).count() as u64;
                lane.needed(ack) >= unknown
            })
        })
    }

    /// Takes out the events whose acknowledgement did not come in time.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<Batch> {
        let overdue = self.take(|_, _, waiting| waiting.proven_at.is_none() && waiting.until <= now);
        self.is_closed |= !overdue.is_empty();
        overdue
    }

    /// Takes out the events whose acknowledgement could not be believed if it came.
    pub(super) fn take_unbelievable(&mut self) -> Vec<Batch> {
        self.take(|lane, ack, _| lane.needed(ack) < lane.n_lost)
    }

    fn take(&mut self, which: impl Fn(&Self, u64, &Waiting) -> bool) -> Vec<Batch> {
        let waiting = self.waiting.iter();
        let acks: Vec<u64> =
            waiting.filter(|(ack, waiting)| which(self, **ack, waiting)).map(|(ack, _)| *ack).collect();
        acks.iter().filter_map(|ack| self.waiting.remove(ack)).map(|waiting| waiting.batch).collect()
    }

    /// How many requests without a known id it takes, beside the one that gets it, to reach this id once more.
    fn needed(&self, ack: u64) -> u64 {
        ack - self.gaps.range(..ack).count() as u64
    }

    /// Whether nothing is to come any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed && self.in_flight.is_empty() && self.waiting.is_empty()
    }
}
