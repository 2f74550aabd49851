//! The stand-ins, row by row of what was measured on real collectors and clusters: a simulation is worth as much as its fakes.

use std::sync::Arc;
use std::time::Duration;

use base::EventId;
use http::request::Parts;
use http::{Method, Request};
use receiver::{Items, Judgement, Options, StandIn, Told, What};
use serde_json::{Value, json};

const CHANNEL: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
const OTHER_CHANNEL: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e52";

fn id(n: u8) -> EventId {
    EventId::from_bytes([n; 16])
}

fn judged(judgement: Judgement, of: u8) -> Options {
    let judge = move |event| if event == id(of) { judgement } else { Judgement::Fine };
    Options { judge: Some(Arc::new(judge)), ..Options::default() }
}

fn parts(path: &str, channel: Option<&str>) -> Parts {
    let mut request = Request::builder().method(Method::POST).uri(format!("http://stand-in{path}"));
    if let Some(channel) = channel {
        request = request.header("x-splunk-request-channel", channel);
    }
    request.body(()).unwrap().into_parts().0
}

/// A collector, or a cluster, that is sent events by their numbers.
struct Far(StandIn);

impl Far {
    fn new(options: Options) -> Self {
        Self(StandIn::new(&options))
    }

    fn hec(&self, numbers: &[u8], what: Option<&What>) -> (u16, Value) {
        self.hec_in(CHANNEL, numbers, what, 0)
    }

    fn hec_in(&self, channel: &str, numbers: &[u8], what: Option<&What>, at: u64) -> (u16, Value) {
        let events = numbers.iter().map(|n| json!({"event": {"eventID": id(*n).to_string()}}).to_string());
        let body = events.collect::<Vec<_>>().join("\n");
        let parts = parts("/services/collector/event", Some(channel));
        told(self.0.answer(&parts, body.as_bytes(), what, Duration::from_secs(at)))
    }

    fn acks(&self, channel: &str, acks: &[u64], at: u64) -> Value {
        let parts = parts("/services/collector/ack", Some(channel));
        let body = json!({"acks": acks}).to_string();
        told(self.0.answer(&parts, body.as_bytes(), None, Duration::from_secs(at))).1
    }

    fn bulk(&self, numbers: &[u8], what: Option<&What>) -> (u16, Value) {
        let lines = numbers.iter().map(|n| {
            let id = id(*n).to_string();
            format!("{}\n{}\n", json!({"create": {"_index": "i", "_id": id}}), json!({"eventID": id}))
        });
        let body: String = lines.collect();
        told(self.0.answer(&parts("/_bulk", None), body.as_bytes(), what, Duration::ZERO))
    }

    fn taken(&self) -> Vec<u8> {
        (1..=9).filter(|n| self.0.has(&id(*n))).collect()
    }
}

fn told(told: Told) -> (u16, Value) {
    (told.status.as_u16(), serde_json::from_str(&told.body).unwrap_or(Value::String(told.body)))
}

fn statuses(answer: &Value) -> Vec<u64> {
    let items = answer["items"].as_array().unwrap();
    items.iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect()
}

#[test]
fn hec_takes_what_stands_before_a_bad_event_and_numbers_it_from_zero() {
    let far = Far::new(judged(Judgement::Unfit, 3));
    let said = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": 2});
    assert_eq!(far.hec(&[1, 2, 3, 4], None), (400, said));
    assert_eq!(far.taken(), [1, 2]);
}

#[test]
fn hec_names_the_event_after_the_one_with_a_wrong_index() {
    let far = Far::new(Options::default());
    let said = json!({"text": "Incorrect index", "code": 7, "invalid-event-number": 2});
    assert_eq!(far.hec(&[1, 2, 3], Some(&What::HecWrongIndex(1))), (400, said));
    assert_eq!(far.taken(), [1]);
}

#[test]
fn hec_names_the_first_event_of_a_body_that_is_too_large_and_takes_nothing() {
    let small = Options { max_body_bytes: 80, ..Options::default() };
    let far = Far::new(Options { names_first_when_too_large: true, ..small.clone() });
    let said = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": 0});
    assert_eq!(far.hec(&[1, 2], None), (400, said));
    assert_eq!(far.taken(), [0_u8; 0]);
    assert_eq!(far.hec(&[1], None).0, 200);
    assert_eq!(Far::new(small).hec(&[1, 2], None).0, 413);
}

#[test]
fn hec_takes_nothing_when_it_is_busy_and_everything_when_it_is_only_near_its_limits() {
    let far = Far::new(Options::default());
    for (code, status) in [(9, 503), (26, 429), (27, 429), (23, 503), (8, 500), (4, 403), (1, 403)] {
        let (answered, said) = far.hec(&[1], Some(&What::Hec(code)));
        assert_eq!((answered, said["code"].as_u64()), (status, Some(code.into())));
    }
    assert_eq!(far.taken(), [0_u8; 0]);
    for (code, n) in [(24, 1), (25, 2)] {
        assert_eq!(far.hec(&[n], Some(&What::Hec(code))).0, 200);
    }
    assert_eq!(far.taken(), [1, 2]);
    let page = What::Answer { status: 404, retry_after: None, body: "<html>".to_owned() };
    assert_eq!(far.hec(&[3], Some(&page)), (404, "<html>".into()), "as a hosted one for some seconds");
}

#[test]
fn hec_refuses_a_whole_request_or_stumbles_over_it_and_takes_nothing() {
    for (judgement, status, code) in [(Judgement::UnfitWhole, 400, 6), (Judgement::Stumbles, 500, 8)] {
        let far = Far::new(judged(judgement, 2));
        let (answered, said) = far.hec(&[1, 2], None);
        assert_eq!(
            (answered, &said["code"], &said["invalid-event-number"]),
            (status, &json!(code), &Value::Null)
        );
        assert_eq!(far.taken(), [0_u8; 0]);
    }
}

#[test]
fn hec_acknowledges_by_channel_once_and_only_what_is_stored() {
    let seconds = Some(Duration::from_secs(2));
    let options = Options { acknowledges_after: seconds, ..judged(Judgement::Unfit, 3) };
    let far = Far::new(options);
    assert_eq!(far.hec(&[1], None).1["ackId"], 0);
    let (status, prefix) = far.hec(&[2, 3], None);
    assert_eq!((status, &prefix["ackId"]), (400, &json!(1)), "the prefix has an id of its own");
    assert_eq!(far.hec_in(OTHER_CHANNEL, &[4], None, 0).1["ackId"], 0, "each channel counts from zero");
    assert_eq!(far.acks(CHANNEL, &[0, 1, 7], 1), json!({"acks": {"0": false, "1": false, "7": false}}));
    assert_eq!(far.acks(OTHER_CHANNEL, &[1], 3), json!({"acks": {"1": false}}), "of another channel");
    assert_eq!(far.acks(CHANNEL, &[0], 3), json!({"acks": {"0": true}}));
    assert_eq!(far.acks(CHANNEL, &[0], 3), json!({"acks": {"0": false}}), "told once, and forgotten");
    assert_eq!(far.0.n_stored(id(2), Duration::from_secs(3)), 1);
}

#[test]
fn hec_loses_what_is_not_stored_when_an_indexer_restarts() {
    let far = Far::new(Options { acknowledges_after: Some(Duration::from_secs(2)), ..Options::default() });
    far.hec_in(CHANNEL, &[1], None, 0);
    far.hec_in(CHANNEL, &[2], None, 3);
    far.hec_in(CHANNEL, &[3], Some(&What::NeverStored), 3);
    far.0.restart(Duration::from_secs(4));
    let n_stored = |n| far.0.n_stored(id(n), Duration::from_mins(1));
    assert_eq!([n_stored(1), n_stored(2), n_stored(3)], [1, 0, 0]);
    assert_eq!(far.acks(CHANNEL, &[0], 60), json!({"acks": {"0": false}}));
    assert_eq!(far.hec_in(CHANNEL, &[4], None, 60).1["ackId"], 0, "the count begins anew");
}

#[test]
fn bulk_creates_once_and_answers_each_item() {
    let far = Far::new(judged(Judgement::Unfit, 3));
    let (status, answer) = far.bulk(&[1, 2, 3], None);
    assert_eq!((status, statuses(&answer), &answer["errors"]), (200, vec![201, 201, 400], &json!(true)));
    assert_eq!(answer["items"][2]["create"]["error"]["type"], "mapper_parsing_exception");
    let (_, again) = far.bulk(&[2, 4], None);
    assert_eq!(statuses(&again), [409, 201]);
    assert_eq!(again["items"][0]["create"]["error"]["type"], "version_conflict_engine_exception");
    let (_, busy) = far.bulk(&[5, 6], Some(&What::Items(Items::busy(2))));
    assert_eq!(statuses(&busy).iter().filter(|status| **status == 429).count(), 1);
    assert_eq!(far.taken().len(), 4);
}

#[test]
fn bulk_says_of_a_diverted_document_that_it_is_created() {
    let far = Far::new(judged(Judgement::Diverted, 2));
    let (_, answer) = far.bulk(&[1, 2], None);
    assert_eq!((statuses(&answer), &answer["errors"]), (vec![201, 201], &json!(false)));
    assert_eq!(answer["items"][1]["create"], json!({"status": 201, "failure_store": "used"}));
}

#[test]
fn bulk_answers_more_items_than_it_was_sent_when_it_is_told_to() {
    let far = Far::new(Options::default());
    let (_, answer) = far.bulk(&[1, 2], Some(&What::ItemTooMany));
    assert_eq!((statuses(&answer).len(), far.taken()), (3, vec![1, 2]));
}

#[test]
fn bulk_refuses_a_whole_request_and_takes_nothing_of_it() {
    let whole = Far::new(judged(Judgement::UnfitWhole, 2));
    let (status, answer) = whole.bulk(&[1, 2], None);
    assert_eq!((status, &answer["error"]["type"]), (400, &json!("x_content_parse_exception")));
    let stumbles = Far::new(judged(Judgement::Stumbles, 2));
    assert_eq!(stumbles.bulk(&[1, 2], None).0, 500);
    let small = Far::new(Options { max_body_bytes: 80, ..Options::default() });
    assert_eq!(small.bulk(&[1, 2], None).0, 413);
    let block = What::Answer { status: 403, retry_after: None, body: String::new() };
    assert_eq!(small.bulk(&[1], Some(&block)).0, 403);
    for far in [whole, stumbles, small] {
        assert_eq!(far.taken(), [0_u8; 0]);
    }
}
