//! What is believed of acknowledgements, told by the worker in one order or another.

use base::{EventId, Random, Timestamp};
use destinations::{Ack, AckVerdict, Acknowledgement, Frame};
use http::HeaderMap;

use super::lane::{DOUBTED, PATIENCE};
use super::*;
use crate::batch::Filling;

/// Acknowledgements with what their tests need, at a time that tests move on.
struct Rig {
    acks: Acks,
    random: Random,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::wanting(Acknowledgement::Auto)
    }

    fn wanting(wanted: Acknowledgement) -> Self {
        Self { acks: Acks::new(wanted), random: Random::from_seed(1), now: Instant::now() }
    }

    fn post(&mut self) -> Post {
        self.acks.post(Timestamp::default(), &self.random).0
    }

    fn took(&mut self, post: Post, ack: u64, name: u64) {
        let headers = HeaderMap::new();
        self.acks.answered(post, Ack::Given(ack), &headers, Some(batch(name, self.now)), self.now);
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.acks.sort(self.now);
    }

    fn question(&mut self) -> Option<Question> {
        self.acks.question(self.now, Timestamp::default(), &self.random)
    }

    /// Asks, and tells that `known` are acknowledged.
    fn tell(&mut self, known: &[u64]) {
        self.wait(EVERY);
        let question = self.question().unwrap();
        let known = known.iter().copied().filter(|ack| question.acks.contains(ack)).collect();
        self.acks.told(&question, &AckVerdict::Acknowledged(known), self.now);
    }

    fn confirmed(&mut self) -> Vec<u64> {
        names(self.acks.take_confirmed())
    }

    fn again(&mut self) -> Vec<u64> {
        names(self.acks.take_again().into_iter().map(|(_, batch)| batch).collect())
    }
}

fn batch(name: u64, now: Instant) -> Batch {
    let mut filling = Filling::new(Frame { open: "", between: "", close: "" }, now);
    filling.push((name, 0), EventId::from_bytes([0; 16]), |body| body.push(b'x'));
    filling.finish(now)
}

fn names(batches: Vec<Batch>) -> Vec<u64> {
    batches.iter().flat_map(|batch| batch.items.iter().map(|item| item.block)).collect()
}

#[test]
fn what_is_acknowledged_is_confirmed_and_nothing_else() {
    let mut rig = Rig::new();
    for name in 0..3 {
        let post = rig.post();
        rig.took(post, name, 10 + name);
    }
    rig.tell(&[0, 2]);
    assert_eq!(rig.confirmed(), [10, 12]);
    rig.wait(EVERY);
    assert_eq!(rig.question().unwrap().acks, [1], "what is confirmed is not asked for again");
    assert_eq!((rig.again(), rig.acks.amount()), (vec![], (1, 1)));
}

#[test]
fn what_is_not_acknowledged_in_time_is_sent_again_in_a_new_session() {
    let mut rig = Rig::new();
    let post = rig.post();
    rig.took(post, 0, 10);
    rig.tell(&[]);
    rig.wait(PATIENCE);
    assert_eq!((rig.again(), rig.confirmed()), (vec![10], vec![]));
    assert!(rig.acks.is_doubtful());
    assert_ne!(rig.post().lane, post.lane);
}

#[test]
fn a_lost_answer_about_acknowledgements_is_waited_out_for_a_shorter_time() {
    let mut rig = Rig::new();
    let post = rig.post();
    rig.took(post, 0, 10);
    rig.wait(EVERY);
    let question = rig.question().unwrap();
    rig.acks.told(&question, &AckVerdict::Lost { reason: String::new() }, rig.now);
    rig.wait(DOUBTED * 2);
    assert_eq!(rig.again(), [0_u64; 0], "as long as nobody answers, more copies help nobody");
    rig.tell(&[]);
    rig.wait(DOUBTED);
    assert_eq!(rig.again(), [10]);
}

#[test]
fn a_question_that_was_refused_leaves_no_doubt() {
    let mut rig = Rig::new();
    let post = rig.post();
    rig.took(post, 0, 10);
    rig.wait(EVERY);
    let question = rig.question().unwrap();
    rig.acks.told(&question, &AckVerdict::Unanswered { reason: String::new() }, rig.now);
    rig.wait(DOUBTED);
    rig.tell(&[]);
    rig.wait(DOUBTED);
    assert_eq!(rig.again(), [0_u64; 0]);
    rig.tell(&[0]);
    assert_eq!(rig.confirmed(), [10]);
}

#[test]
fn a_count_that_begins_anew_sends_everything_of_its_session_again() {
    let mut rig = Rig::new();
    for name in 0..3 {
        let post = rig.post();
        rig.took(post, name, 10 + name);
    }
    let (late, reset) = (rig.post(), rig.post());
    rig.took(reset, 0, 20);
    assert_eq!(rig.again(), [20, 10, 11, 12]);
    rig.took(late, 1, 21);
    assert_eq!(rig.again(), [21], "its session is not believed any more");
    assert_eq!(rig.confirmed(), [0_u64; 0]);
}

#[test]
fn answers_may_come_in_another_order_than_their_ids() {
    let mut rig = Rig::new();
    let posts = [rig.post(), rig.post(), rig.post()];
    rig.took(posts[1], 2, 12);
    rig.took(posts[0], 0, 10);
    rig.took(posts[2], 1, 11);
    rig.tell(&[0, 1, 2]);
    assert_eq!((rig.confirmed(), rig.again()), (vec![10, 11, 12], vec![]));
}

#[test]
fn an_id_that_a_lost_request_may_have_been_given_once_more_is_not_believed() {
    let mut rig = Rig::new();
    for name in 0..2 {
        let post = rig.post();
        rig.took(post, name, 10 + name);
    }
    // The collector restarts; this request is given the id 0 again, and its answer is lost.
    let lost = rig.post();
    rig.tell(&[0]);
    assert_eq!(rig.confirmed(), [0_u64; 0], "the request in flight may be the one");
    rig.acks.lost(lost, rig.now);
    assert_eq!((rig.confirmed(), rig.again()), (vec![], vec![10]));
    assert!(!rig.acks.is_doubtful(), "nobody is to blame but the network");
    rig.tell(&[1]);
    assert_eq!(rig.confirmed(), [11], "one lost request cannot have been given two ids");
}

#[test]
fn an_acknowledgement_is_believed_when_the_requests_in_flight_have_ids_of_their_own() {
    let mut rig = Rig::new();
    let first = rig.post();
    rig.took(first, 0, 10);
    let second = rig.post();
    rig.tell(&[0]);
    assert_eq!(rig.confirmed(), [0_u64; 0]);
    let third = rig.post();
    rig.took(second, 1, 11);
    assert_eq!(rig.confirmed(), [10], "what was sent after it does not matter");
    rig.acks.lost(third, rig.now);
}

#[test]
fn every_session_that_waits_is_asked_about_before_the_pause() {
    let mut rig = Rig::new();
    for name in 0..3 {
        let (first, second, lost) = (rig.post(), rig.post(), rig.post());
        rig.took(first, 0, 20 + name);
        rig.took(second, 1, 10 + name);
        rig.acks.lost(lost, rig.now);
    }
    assert_eq!(rig.again(), [20, 21, 22], "the lost requests may have been given these ids once more");
    rig.wait(EVERY);
    for _ in 0..3 {
        let question = rig.question().unwrap();
        assert!(rig.question().is_none(), "one at a time");
        rig.acks.told(&question, &AckVerdict::Acknowledged(vec![1]), rig.now);
    }
    assert_eq!(rig.confirmed(), [10, 11, 12]);
    assert!(rig.question().is_none());
}

#[test]
fn a_token_without_acknowledgement_is_told_from_one_with() {
    let mut rig = Rig::new();
    let post = rig.post();
    rig.acks.took_for_good();
    rig.acks.answered(post, Ack::None, &HeaderMap::new(), None, rig.now);
    assert_eq!(rig.acks.offered(), Offered::No);
    assert!(rig.acks.may_send());
}

#[test]
fn a_required_acknowledgement_is_asked_about_before_anything_is_sent() {
    let mut rig = Rig::wanting(Acknowledgement::Required);
    assert!(!rig.acks.may_send());
    let question = rig.question().unwrap();
    rig.acks.told(&question, &AckVerdict::Off { reason: String::new() }, rig.now);
    assert!(!rig.acks.may_send() && rig.question().is_none());
    rig.wait(EVERY_AT_MOST);
    let question = rig.question().unwrap();
    rig.acks.told(&question, &AckVerdict::Acknowledged(vec![]), rig.now);
    assert!(rig.acks.may_send());
    rig.acks.question_offer();
    assert!(!rig.acks.may_send());
}

#[test]
fn acknowledgement_that_is_switched_off_meanwhile_sends_what_waits_again() {
    let mut rig = Rig::new();
    let post = rig.post();
    rig.took(post, 0, 10);
    rig.wait(EVERY);
    let question = rig.question().unwrap();
    rig.acks.told(&question, &AckVerdict::Off { reason: String::new() }, rig.now);
    assert_eq!((rig.again(), rig.acks.offered()), (vec![10], Offered::No));
}

#[test]
fn what_waits_is_bounded() {
    let mut rig = Rig::new();
    for ack in 0..MAX_WAITING as u64 {
        let post = rig.post();
        rig.took(post, ack, ack);
    }
    assert!(!rig.acks.may_send());
    let mut rig = Rig::new();
    for name in 0..3 * MAX_LANES as u64 {
        let (first, second, lost) = (rig.post(), rig.post(), rig.post());
        rig.took(first, 0, name);
        rig.took(second, 1, name);
        rig.acks.lost(lost, rig.now);
    }
    assert!(rig.acks.lanes.len() <= MAX_LANES);
    assert_eq!(rig.again().len() + rig.acks.n_waiting(), 6 * MAX_LANES, "none is forgotten");
}
