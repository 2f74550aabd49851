//! Indexer acknowledgement as a sender meets it: the behaviour that was measured on Splunk.

use std::time::Duration;

use base::{Random, Timestamp};
use destinations::{Ack, AckVerdict, Session, Vendor};
use receiver::{Options, Receiver};

use crate::sender::Sender;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const NEVER: Option<Duration> = Some(Duration::from_hours(1));

async fn collector(acknowledges_after: Option<Duration>) -> (Receiver, Sender) {
    let receiver = Receiver::start(Options { acknowledges_after, ..Options::default() }).await.unwrap();
    let sender = Sender::to(&receiver, Vendor::Splunk);
    (receiver, sender)
}

fn session(seed: u64) -> Session {
    Session::draw(Timestamp::default(), &Random::from_seed(seed))
}

impl Sender {
    async fn post(&self, session: &Session, numbers: &[u8]) -> Ack {
        let answer = self.send(self.request_in(session, numbers)).await.unwrap();
        self.destination.classify(&[crate::sender::id(1)], &answer).ack
    }

    async fn ask(&self, session: &Session, acks: &[u64]) -> AckVerdict {
        let answer = self.send(self.destination.ack_request(acks, session).unwrap()).await.unwrap();
        self.destination.classify_acks(acks, &answer)
    }
}

#[tokio::test]
async fn ids_count_from_zero_in_each_channel() {
    let (_receiver, sender) = collector(AT_ONCE).await;
    let (first, second) = (session(1), session(2));
    assert_eq!(sender.post(&first, &[1]).await, Ack::Given(0));
    assert_eq!(sender.post(&first, &[2]).await, Ack::Given(1));
    assert_eq!(sender.post(&second, &[3]).await, Ack::Given(0));
}

#[tokio::test]
async fn what_is_stored_is_told_once_and_in_its_own_channel() {
    let (receiver, sender) = collector(AT_ONCE).await;
    let (own, other) = (session(1), session(2));
    sender.post(&own, &[1]).await;
    assert_eq!(sender.ask(&other, &[0]).await, AckVerdict::Acknowledged(vec![]));
    assert_eq!(sender.ask(&own, &[0, 7]).await, AckVerdict::Acknowledged(vec![0]));
    assert_eq!(sender.ask(&own, &[0]).await, AckVerdict::Acknowledged(vec![]));
    sender.post(&own, &[2]).await;
    receiver.forget_acknowledgements();
    assert_eq!(sender.ask(&own, &[1]).await, AckVerdict::Acknowledged(vec![]));
    assert_eq!(sender.post(&own, &[3]).await, Ack::Given(0), "the count begins anew");
    assert_eq!(receiver.stats().requests, 3, "questions carry no events");
}

#[tokio::test]
async fn what_is_not_stored_is_not_acknowledged() {
    let (_receiver, sender) = collector(NEVER).await;
    let session = session(1);
    assert_eq!(sender.post(&session, &[1]).await, Ack::Given(0));
    assert_eq!(sender.ask(&session, &[0]).await, AckVerdict::Acknowledged(vec![]));
}

#[tokio::test]
async fn a_channel_is_needed_where_the_token_has_acknowledgement() {
    let (_receiver, sender) = collector(AT_ONCE).await;
    for (channel, code) in [(None, "\"code\":10"), (Some("x"), "\"code\":11")] {
        let mut request = sender.request(&[1]);
        request.headers.remove("x-splunk-request-channel");
        if let Some(channel) = channel {
            request.headers.insert("x-splunk-request-channel", channel.parse().unwrap());
        }
        let answer = sender.send(request).await.unwrap();
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8_lossy(&answer.body).contains(code));
    }
}

#[tokio::test]
async fn a_token_without_acknowledgement_says_so() {
    let (_receiver, sender) = collector(None).await;
    assert_eq!(sender.post(&session(1), &[1]).await, Ack::None);
    let AckVerdict::Off { reason } = sender.ask(&session(1), &[0]).await else { panic!() };
    assert!(reason.starts_with("HEC code 14: ACK is disabled"), "{reason}");
}
