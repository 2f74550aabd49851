//! Acknowledgements: events that a destination took and has yet to acknowledge, and what can be believed about them.
//!
//! Knows no I/O. The worker notes each request before it is sent and each answer when it comes; here it is decided which
//! ids to ask for, whose events are confirmed, and whose are sent again. `false` is never taken as evidence, and `true`
//! only where it cannot be about another request.

mod lane;

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Random, Timestamp};
use destinations::{Ack, AckVerdict, Acknowledgement, Session};
use http::HeaderMap;
use tokio::time::Instant;

use self::lane::Lane;
use crate::batch::Batch;

/// How often is asked. The first acknowledgement was seen a little over a second after the event.
const EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two questions while they are not answered.
const EVERY_AT_MOST: Duration = Duration::from_secs(30);
/// Most ids of one question.
const MAX_ASKED: usize = 1000;
/// Most requests that wait for an acknowledgement; then no more are sent.
const MAX_WAITING: usize = 1000;
/// Most lanes; what waits in an older one is sent again.
const MAX_LANES: usize = 16;

/// One request, as far as its acknowledgement is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    lane: u64,
    request: u64,
}

/// A question that is due.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) lane: u64,
    pub(crate) acks: Vec<u64>,
    pub(crate) session: Session,
}

/// Whether what is taken is acknowledged, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Unknown,
    Yes,
    No,
}

/// Why events that were taken are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The other side did not acknowledge them in time, or has forgotten them.
    Unacknowledged,
    /// Answers got lost, so that an acknowledgement could be a mistake; or there will be none.
    Unknowable,
}

/// What waits for an acknowledgement.
#[derive(Debug)]
pub(crate) struct Acks {
    wanted: Acknowledgement,
    offered: Offered,
    lanes: BTreeMap<u64, Lane>,
    n_lanes: u64,
    /// Nothing is asked before.
    ask_at: Option<Instant>,
    is_asking: bool,
    /// The lane that was asked about last in this round of questions.
    last_asked: Option<u64>,
    /// Questions in a row without an answer.
    unanswered: u32,
    confirmed: Vec<Batch>,
    again: Vec<(Why, Batch)>,
    /// Something had to be sent again, and nothing was confirmed since.
    is_doubtful: bool,
}

impl Acks {
    pub(crate) const fn new(wanted: Acknowledgement) -> Self {
        Self {
            wanted,
            offered: Offered::Unknown,
            lanes: BTreeMap::new(),
            n_lanes: 0,
            ask_at: None,
            is_asking: false,
            last_asked: None,
            unanswered: 0,
            confirmed: Vec::new(),
            again: Vec::new(),
            is_doubtful: false,
        }
    }

    /// Whether events may be sent: not before a required acknowledgement is known to be offered, nor while too much waits.
    pub(crate) fn may_send(&self) -> bool {
        let is_known = self.wanted != Acknowledgement::Required || self.offered == Offered::Yes;
        is_known && self.n_waiting() < MAX_WAITING
    }

    pub(crate) const fn offered(&self) -> Offered {
        self.offered
    }

    /// Notes that a request is about to be sent, and the session that it belongs to.
    pub(crate) fn post(&mut self, now: Timestamp, random: &Random) -> (Post, Session) {
        let lane = self.open_lane(now, random);
        (Post { lane: lane.number, request: lane.start() }, lane.session.clone())
    }

    fn open_lane(&mut self, now: Timestamp, random: &Random) -> &mut Lane {
        self.lanes.retain(|_, lane| !lane.is_over());
        let newest = self.lanes.last_key_value().filter(|(_, lane)| !lane.is_closed);
        let number = newest.map_or(self.n_lanes, |(number, _)| *number);
        if number == self.n_lanes {
            self.n_lanes += 1;
            if let Some(oldest) = self.lanes.keys().next().copied()
                && self.lanes.len() >= MAX_LANES
            {
                self.abandon(oldest, Why::Unknowable);
            }
        }
        self.lanes.entry(number).or_insert_with(|| Lane::new(number, Session::draw(now, random)))
    }

    /// What waits in a lane is sent again.
    fn abandon(&mut self, number: u64, why: Why) {
        if let Some(lane) = self.lanes.remove(&number) {
            self.is_doubtful |= why == Why::Unacknowledged && !lane.waiting.is_empty();
            self.again.extend(lane.waiting.into_values().map(|waiting| (why, waiting.batch)));
        }
    }

    fn lane(&mut self, number: u64) -> Option<&mut Lane> {
        self.lanes.get_mut(&number)
    }

    /// The answer to a request never came.
    pub(crate) fn lost(&mut self, post: Post, now: Instant) {
        if let Some(lane) = self.lane(post.lane) {
            lane.lost(post.request);
        }
        self.sort(now);
    }

    /// The answer to a request came. `taken` are the events that will be acknowledged under the id that it gives.
    pub(crate) fn answered(
        &mut self,
        post: Post,
        ack: Ack,
        headers: &HeaderMap,
        taken: Option<Batch>,
        now: Instant,
    ) {
        self.ask_at.get_or_insert(now + EVERY);
        if matches!(ack, Ack::Given(_)) {
            self.offered = Offered::Yes;
        }
        let Some(lane) = self.lane(post.lane) else {
            // Its lane is broken: whatever is said of this id may be about another request.
            self.again.extend(taken.map(|batch| (Why::Unacknowledged, batch)));
            return;
        };
        match ack {
            Ack::Given(ack) => {
                lane.session.learn(headers);
                let is_new = lane.took(post.request, ack);
                match taken {
                    Some(batch) if is_new => lane.wait_for(ack, batch, now),
                    _ if is_new => {}
                    taken => {
                        // The other side has begun anew.
                        self.is_doubtful = true;
                        self.again.extend(taken.map(|batch| (Why::Unacknowledged, batch)));
                        self.abandon(post.lane, Why::Unacknowledged);
                    }
                }
            }
            Ack::None => {
                lane.session.learn(headers);
                lane.answered(post.request);
            }
            Ack::Lost => lane.lost(post.request),
        }
        self.sort(now);
    }

    /// Events were taken that will not be acknowledged.
    pub(crate) const fn took_for_good(&mut self) {
        self.offered = Offered::No;
        self.is_doubtful = false;
    }

    /// Keeps the cookies that the answer to a question sets.
    pub(crate) fn learn(&mut self, question: &Question, headers: &HeaderMap) {
        if let Some(lane) = self.lane(question.lane) {
            lane.session.learn(headers);
        }
    }

    /// Questions in a row without an answer.
    pub(crate) const fn n_unanswered(&self) -> u32 {
        self.unanswered
    }

    /// A required acknowledgement may not be offered any more: that is asked before anything else is sent.
    pub(crate) fn question_offer(&mut self) {
        if self.wanted == Acknowledgement::Required {
            self.offered = Offered::Unknown;
        }
    }

    /// Goes on in a new session.
    pub(crate) fn leave(&mut self, post: Post) {
        if let Some(lane) = self.lane(post.lane) {
            lane.is_closed = true;
        }
    }

    /// The next question, when one is due. Its answer must be told before there is another one.
    pub(crate) fn question(&mut self, now: Instant, time: Timestamp, random: &Random) -> Option<Question> {
        if self.is_asking || self.ask_at.is_some_and(|at| now < at) {
            return None;
        }
        let probes = self.wanted == Acknowledgement::Required && self.offered != Offered::Yes;
        if probes && self.n_waiting() == 0 {
            let lane = self.open_lane(time, random);
            let question = Question { lane: lane.number, acks: vec![0], session: lane.session.clone() };
            self.is_asking = true;
            return Some(question);
        }
        let lane = self.next_lane().or_else(|| self.lanes.values().find(|lane| lane.has_questions()))?;
        let question =
            Question { lane: lane.number, acks: lane.asked(MAX_ASKED), session: lane.session.clone() };
        self.is_asking = true;
        self.last_asked = Some(question.lane);
        Some(question)
    }

    /// The next lane to be asked about in this round: all are asked about before the pause.
    fn next_lane(&self) -> Option<&Lane> {
        self.lanes.values().find(|lane| Some(lane.number) > self.last_asked && lane.has_questions())
    }

    /// What the answer to a question proves.
    pub(crate) fn told(&mut self, question: &Question, verdict: &AckVerdict, now: Instant) {
        self.is_asking = false;
        self.unanswered = if matches!(verdict, AckVerdict::Acknowledged(_)) {
            0
        } else {
            self.unanswered.saturating_add(1)
        };
        let pause = (EVERY * (1 << self.unanswered.min(5))).min(EVERY_AT_MOST);
        if self.unanswered > 0 || self.next_lane().is_none() {
            self.last_asked = None;
            self.ask_at = Some(now + pause);
        }
        match verdict {
            AckVerdict::Acknowledged(acks) => {
                self.offered = Offered::Yes;
                if let Some(lane) = self.lane(question.lane) {
                    lane.told(&question.acks, acks, now);
                }
            }
            AckVerdict::Off { .. } => {
                self.offered = Offered::No;
                while let Some(number) = self.lanes.keys().next().copied() {
                    self.abandon(number, Why::Unknowable);
                }
            }
            AckVerdict::Lost { .. } => {
                if let Some(lane) = self.lane(question.lane) {
                    lane.doubt(&question.acks);
                }
            }
            AckVerdict::Unanswered { .. } | AckVerdict::Hold { .. } => {}
        }
        self.sort(now);
    }

    /// Moves what is decided out of the lanes.
    pub(crate) fn sort(&mut self, now: Instant) {
        for lane in self.lanes.values_mut() {
            let overdue = lane.take_overdue(now);
            self.is_doubtful |= !overdue.is_empty();
            self.again.extend(overdue.into_iter().map(|batch| (Why::Unacknowledged, batch)));
            self.again.extend(lane.take_unbelievable().into_iter().map(|batch| (Why::Unknowable, batch)));
            let confirmed = lane.take_confirmed();
            self.is_doubtful &= confirmed.is_empty();
            self.confirmed.extend(confirmed);
        }
        self.lanes.retain(|_, lane| !lane.is_over());
    }

    /// Takes the events that are confirmed.
    pub(crate) fn take_confirmed(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.confirmed)
    }

    /// Takes the events that must be sent again.
    pub(crate) fn take_again(&mut self) -> Vec<(Why, Batch)> {
        std::mem::take(&mut self.again)
    }

    /// When something becomes due that no answer will tell.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        let probes = self.wanted == Acknowledgement::Required && self.offered != Offered::Yes;
        let has_questions = probes || self.lanes.values().any(Lane::has_questions);
        let ask = self.ask_at.filter(|_| has_questions && !self.is_asking);
        let overdue =
            self.lanes.values().flat_map(|lane| lane.waiting.values()).map(|waiting| waiting.until).min();
        ask.into_iter().chain(overdue).filter(|at| *at > now).min()
    }

    /// Whether what was taken was not acknowledged lately.
    pub(crate) const fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    fn n_waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    /// How many events wait, and the bytes of their bodies.
    pub(crate) fn amount(&self) -> (u64, usize) {
        let batches =
            self.lanes.values().flat_map(|lane| lane.waiting.values()).map(|waiting| &waiting.batch);
        batches.fold((0, 0), |(events, bytes), batch| {
            (events + batch.items.len() as u64, bytes + batch.body.len())
        })
    }
}

#[cfg(test)]
mod tests;
