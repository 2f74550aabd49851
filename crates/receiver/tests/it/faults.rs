//! What goes wrong when it is told to, and what the sender makes of it.

use std::time::Duration;

use destinations::Vendor;
use destinations::transport::FailureKind;
use receiver::{Items, Misbehaviour, Options, Receiver, What, When};

use crate::sender::{Sender, id};

async fn receiver(when: When, what: What) -> Receiver {
    let misbehaviour = vec![Misbehaviour { when, what }];
    Receiver::start(Options { misbehaviour, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn a_status_is_answered_for_a_while_and_nothing_taken() {
    for (vendor, status, expected) in [
        (Vendor::Splunk, 404, "RR"),
        (Vendor::Splunk, 413, "SS"),
        (Vendor::Elasticsearch, 503, "RR"),
        (Vendor::Https, 403, "HH"),
    ] {
        let receiver = receiver(When::First(2), What::status(status)).await;
        let sender = Sender::to(&receiver, vendor);
        assert_eq!(sender.outcomes(&[1, 2]).await, expected);
        assert_eq!(sender.outcomes(&[1, 2]).await, expected);
        assert_eq!((receiver.stats().events, receiver.stats().refused), (0, 2));
        assert_eq!(sender.outcomes(&[1, 2]).await, "DD");
    }
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let what = What::Answer { status: 429, retry_after: Some(3), body: "slow".to_owned() };
    let receiver = receiver(When::Always, what).await;
    let sender = Sender::to(&receiver, Vendor::Https);
    let answer = sender.send(sender.request(&[1])).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(3))));
}

#[tokio::test]
async fn the_collectors_codes_take_events_only_when_they_say_so() {
    for (code, expected, taken) in
        [(9, "RR", 0), (4, "HH", 0), (6, "SS", 0), (24, "DD!", 2), (25, "DD!", 2), (26, "RR", 0)]
    {
        let receiver = receiver(When::Always, What::Hec(code)).await;
        assert_eq!(Sender::to(&receiver, Vendor::Splunk).outcomes(&[1, 2]).await, expected, "{code}");
        assert_eq!(receiver.stats().events, taken, "{code}");
    }
}

#[tokio::test]
async fn a_bad_event_ends_what_is_taken() {
    let receiver = receiver(When::First(1), What::HecBadEvent(2)).await;
    let sender = Sender::to(&receiver, Vendor::Splunk);
    assert_eq!(sender.outcomes(&[1, 2, 3, 4]).await, "DDQR");
    assert!(receiver.has(&id(2)) && !receiver.has(&id(3)) && !receiver.has(&id(4)));
    assert_eq!(sender.outcomes(&[4]).await, "D");
    assert_eq!((receiver.stats().distinct, receiver.stats().duplicates), (3, 0));
}

#[tokio::test]
async fn single_items_are_refused() {
    let poison = receiver(When::Always, What::Items(Items::poison(|each| each == id(2)))).await;
    assert_eq!(Sender::to(&poison, Vendor::Elasticsearch).outcomes(&[1, 2, 3]).await, "DQD");
    assert_eq!(poison.stats().distinct, 2);
    let busy = receiver(When::Always, What::Items(Items::busy(2))).await;
    let sender = Sender::to(&busy, Vendor::Elasticsearch);
    assert_eq!(sender.outcomes(&[1, 2, 3]).await, "DRD!");
    assert_eq!(sender.outcomes(&[2]).await, "R!");
    assert_eq!(sender.outcomes(&[2]).await, "D");
}

#[tokio::test]
async fn connections_are_closed_before_or_within_an_answer() {
    for (what, taken) in [(What::Close, 0), (What::TakeAndCloseMidAnswer, 1)] {
        let receiver = receiver(When::First(1), what).await;
        let sender = Sender::to(&receiver, Vendor::Splunk);
        let error = sender.send(sender.request(&[1])).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Broken, "{error}");
        assert_eq!(receiver.stats().events, taken);
        assert_eq!(sender.outcomes(&[1]).await, "D");
        assert_eq!((receiver.stats().distinct, receiver.stats().duplicates), (1, taken));
    }
}

#[tokio::test]
async fn a_request_that_hangs_is_given_up_by_the_sender() {
    for (what, taken) in [(What::Hang, 0), (What::TakeAndHang, 1)] {
        let receiver = receiver(When::Always, what).await;
        let sender = Sender::to(&receiver, Vendor::Elasticsearch);
        let sending = sender.send(sender.request(&[1]));
        let arrived = async {
            while receiver.stats().requests == 0 || receiver.stats().events < taken {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = sending => panic!("{answer:?}"),
            () = arrived => {}
        }
        assert_eq!(receiver.stats().events, taken);
    }
}

#[tokio::test]
async fn a_slow_answer_still_comes() {
    let receiver = receiver(When::Always, What::Slow(Duration::from_millis(1))).await;
    assert_eq!(Sender::to(&receiver, Vendor::Https).outcomes(&[1]).await, "D");
}

#[tokio::test]
async fn behaviour_can_be_mended_while_it_runs_and_a_dropped_receiver_is_gone() {
    let receiver = receiver(When::Always, What::status(500)).await;
    let sender = Sender::to(&receiver, Vendor::Splunk);
    assert_eq!(sender.outcomes(&[1]).await, "R");
    receiver.misbehave(Vec::new());
    assert_eq!(sender.outcomes(&[1]).await, "D");
    drop(receiver);
    tokio::task::yield_now().await;
    assert!(sender.send(sender.request(&[1])).await.is_err());
}
