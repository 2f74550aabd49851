//! What arrives is taken, checked and counted.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use destinations::{Answer, Request, Vendor};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Method};
use parking_lot::Mutex;
use receiver::{Options, Receiver};

use crate::sender::{Sender, TOKEN, id};

#[tokio::test]
async fn what_our_destinations_send_passes_the_strict_check() {
    for vendor in Vendor::ALL {
        for check in [false, true] {
            let receiver = Receiver::start(Options { check, ..Options::default() }).await.unwrap();
            let sender = Sender::to(&receiver, vendor);
            assert_eq!(sender.outcomes(&[1, 2, 3]).await, "DDD", "{vendor}");
            let stats = receiver.stats();
            assert_eq!(stats.problems, Vec::<String>::new(), "{vendor}");
            assert_eq!((stats.requests, stats.events, stats.distinct), (1, 3, 3), "{vendor} {stats}");
            assert!(receiver.has(&id(2)) && !receiver.has(&id(4)));
        }
    }
}

#[tokio::test]
async fn events_that_come_again_are_duplicates_everywhere_and_conflicts_in_a_cluster() {
    for vendor in Vendor::ALL {
        let receiver = Receiver::start(Options::default()).await.unwrap();
        let sender = Sender::to(&receiver, vendor);
        assert_eq!(sender.outcomes(&[1, 2]).await, "DD");
        let answer = sender.send(sender.request(&[2, 3, 3])).await.unwrap();
        let conflicts =
            String::from_utf8_lossy(&answer.body).matches("version_conflict_engine_exception").count();
        assert_eq!(conflicts, if vendor == Vendor::Elasticsearch { 2 } else { 0 });
        let stats = receiver.stats();
        assert_eq!((stats.events, stats.distinct, stats.duplicates), (5, 3, 2), "{vendor}");
    }
}

#[tokio::test]
async fn only_the_right_credential_is_let_in() {
    for vendor in Vendor::ALL {
        for (token, expected) in [(TOKEN, "D"), ("another", "H")] {
            let options = Options { token: Some(token.to_owned()), ..Options::default() };
            let receiver = Receiver::start(options).await.unwrap();
            assert_eq!(Sender::to(&receiver, vendor).outcomes(&[1]).await, expected, "{vendor} {token}");
            assert_eq!(receiver.stats().distinct, u64::from(expected == "D"));
        }
    }
}

#[tokio::test]
async fn each_event_is_handed_on_as_it_came() {
    for vendor in Vendor::ALL {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let on_event =
            Arc::new(move |bytes: &[u8]| into.lock().push(String::from_utf8_lossy(bytes).into_owned()));
        let receiver =
            Receiver::start(Options { on_event: Some(on_event), ..Options::default() }).await.unwrap();
        assert_eq!(Sender::to(&receiver, vendor).outcomes(&[1, 2]).await, "DD");
        let seen = seen.lock();
        assert_eq!(seen.len(), 2, "{vendor}");
        assert!(seen[1].contains(&id(2).to_string()) && seen[1].ends_with('}'), "{vendor} {}", seen[1]);
    }
}

async fn post(
    receiver: &Receiver,
    method: Method,
    path: &str,
    encoding: Option<&'static str>,
    body: Vec<u8>,
) -> Answer {
    let sender = Sender::to(receiver, Vendor::Splunk);
    let mut headers = http::HeaderMap::new();
    if let Some(encoding) = encoding {
        headers.insert("content-encoding", HeaderValue::from_static(encoding));
    }
    let url = url::Url::parse(&format!("http://{}{path}", receiver.address())).unwrap();
    sender
        .send(Request { url, method, headers, body: Bytes::from(body), route: Arc::default() })
        .await
        .unwrap()
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn packed_bodies_are_unpacked_within_the_limit() {
    let receiver = Receiver::start(Options { max_body_bytes: 10_000, ..Options::default() }).await.unwrap();
    let event = Sender::to(&receiver, Vendor::Splunk).request(&[1]).body;
    let path = "/services/collector/event";
    let gzip = Some("gzip");
    assert_eq!(post(&receiver, Method::POST, path, gzip, packed(&event)).await.status, 200);
    assert_eq!(post(&receiver, Method::POST, path, gzip, packed(&vec![b' '; 1_000_000])).await.status, 413);
    assert_eq!(post(&receiver, Method::POST, path, None, vec![b' '; 20_000]).await.status, 413);
    let damaged = post(&receiver, Method::POST, path, gzip, b"not gzip".to_vec()).await;
    assert_eq!((damaged.status, &*damaged.body), (400, &br#"{"text":"Invalid data format","code":6}"#[..]));
    assert_eq!(receiver.stats().distinct, 1);
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let numbers: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let sender = Sender::to(&receiver, Vendor::Elasticsearch);
    assert!(sender.outcomes(&numbers).await.bytes().all(|letter| letter == b'D'));
    assert_eq!((receiver.stats().events, receiver.stats().distinct), (5_000, 256));
}

#[tokio::test]
async fn health_wrong_methods_and_wrong_paths_are_answered_as_a_collector_does() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    for (method, path, status) in [
        (Method::GET, "/services/collector/health", 200),
        (Method::GET, "/services/collector/event", 405),
        (Method::POST, "/services/collector/nowhere", 404),
        (Method::GET, "/_bulk", 405),
    ] {
        assert_eq!(post(&receiver, method, path, None, Vec::new()).await.status, status, "{path}");
    }
    assert_eq!(receiver.stats().requests, 0);
}

#[tokio::test]
async fn what_departs_from_the_promises_is_told() {
    let receiver = Receiver::start(Options { check: true, ..Options::default() }).await.unwrap();
    let body = format!("{{\"create\":{{\"_index\":\"i\",\"_id\":\"{}\"}}}}\n{{\"eventID\":\"x\"}}\n", id(1));
    assert_eq!(post(&receiver, Method::POST, "/_bulk", None, body.into()).await.status, 200);
    let stats = receiver.stats();
    assert!(stats.problems.iter().any(|problem| problem.contains("_id is not the eventID")), "{stats:?}");
    assert!(serde_json::to_string(&stats).unwrap().contains("\"nProblems\":"));
    assert!(stats.to_string().contains("first: "), "{stats}");
}

#[tokio::test]
async fn templates_and_policies_are_taken_as_by_a_cluster_and_are_no_events() {
    let options = Options { check: true, token: Some(TOKEN.to_owned()), ..Options::default() };
    let closed = Receiver::start(options).await.unwrap();
    let receiver = Receiver::start(Options { check: true, ..Options::default() }).await.unwrap();
    for path in [
        "/_index_template/idstream",
        "/_component_template/idstream-mappings",
        "/_ilm/policy/idstream",
        "/below/_plugins/_ism/policies/idstream",
    ] {
        let body = br#"{"template": {"mappings": {}}}"#.to_vec();
        let taken = post(&receiver, Method::PUT, path, None, body.clone()).await;
        assert_eq!((taken.status, &*taken.body), (200, &br#"{"acknowledged":true}"#[..]), "{path}");
        assert_eq!(post(&receiver, Method::PUT, path, None, b"[".to_vec()).await.status, 400, "{path}");
        assert_eq!(post(&closed, Method::PUT, path, None, body).await.status, 401, "{path}");
    }
    let stats = receiver.stats();
    assert_eq!((stats.requests, stats.events, stats.problems.len()), (0, 0, 0), "{stats:?}");
}
