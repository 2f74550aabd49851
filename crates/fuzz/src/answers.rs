//! What destinations answer. An answer may prove too little; it must never prove what it does not say.

use std::sync::{Arc, OnceLock};

use base::{EventId, Secret};
use destinations::{Ack, AckVerdict, Answer, Destination, Grade, Outcome, Settings, Vendor};
use event::native::{Instance, Selection};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

/// Must not come out again in a reason.
const CREDENTIAL: &str = "9f8e7d6c-credential";

/// Words of a collector's answers.
pub(crate) const HEC_WORDS: &[&str] = &[
    "{\"text\":\"",
    "\"code\":",
    "\"invalid-event-number\":",
    "\"ackId\":",
    "{\"acks\":{\"0\":true",
    "\"1\":false",
    "18446744073709551615",
    CREDENTIAL,
    "\\u0039",
];

/// Words of a cluster's answers.
pub(crate) const BULK_WORDS: &[&str] = &[
    "{\"items\":[",
    "{\"create\":{",
    "\"_id\":\"00000000-0000-0000-0000-000000000001\"",
    "\"_id\":\"00000000-0000-0000-0000-000000000002\"",
    "\"status\":201",
    "\"status\":409",
    "\"status\":429",
    "\"failure_store\":\"used\"",
    "\"error\":{\"type\":\"",
    "version_conflict_engine_exception",
    "mapper_parsing_exception",
    "cluster_block_exception",
    "illegal_argument_exception",
    "\"reason\":\"",
    CREDENTIAL,
];

fn destination(vendor: Vendor, more: &Value) -> Option<Arc<dyn Destination>> {
    let mut configuration = json!({"url": "https://destination.example"});
    if let (Some(to), Some(from)) = (configuration.as_object_mut(), more.as_object()) {
        to.extend(from.clone());
    }
    let instance = Instance {
        name: "Example".to_owned(),
        domain: "id.example".to_owned(),
        environment: "test".to_owned(),
        public_url: None,
    };
    let settings = Settings::parse(vendor, &configuration).ok()?;
    settings.build(&Secret::new(CREDENTIAL).into(), &instance, Selection::default()).ok()
}

/// The destinations of this kind with each value of `acknowledgement`: auto, required, off.
fn collectors() -> &'static [Arc<dyn Destination>] {
    static COLLECTORS: OnceLock<Vec<Arc<dyn Destination>>> = OnceLock::new();
    COLLECTORS.get_or_init(|| {
        let with = |value: &str| destination(Vendor::Splunk, &json!({"acknowledgement": value}));
        ["auto", "required", "off"].into_iter().filter_map(with).collect()
    })
}

fn cluster() -> Option<&'static dyn Destination> {
    static CLUSTER: OnceLock<Option<Arc<dyn Destination>>> = OnceLock::new();
    CLUSTER.get_or_init(|| destination(Vendor::Elasticsearch, &json!({}))).as_deref()
}

/// A request and its answer: how many events it had, and what came back.
struct Case {
    n_events: usize,
    flags: u8,
    answer: Answer,
}

impl Case {
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([n_events, status, flags], body) = bytes.split_first_chunk()?;
        // Mostly the statuses that are answered; the rest reach every number.
        let status = match status {
            0..=99 => 200,
            100..=119 => 400,
            120..=129 => 201,
            n => 100 + (u16::from(*n) - 130) * 4,
        };
        let mut headers = HeaderMap::new();
        if flags & 1 == 0 {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        }
        let body = body.to_vec().into();
        let answer = Answer { status, retry_after: None, headers, body };
        Some(Self { n_events: usize::from(n_events % 9), flags: *flags, answer })
    }

    /// What the body says. Bytes that are not UTF-8 in what nobody looks at make it no other answer.
    fn said(&self) -> Value {
        serde_json::from_str(&String::from_utf8_lossy(&self.answer.body)).unwrap_or_default()
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.answer.status)
    }
}

fn ids(n_events: usize) -> Vec<EventId> {
    (1..=n_events as u128).map(|number| EventId::from_bytes(number.to_be_bytes())).collect()
}

const fn is_delivered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered(_))
}

/// Nothing secret, and not more than fits a status page, comes out of an answer.
fn check_reasons(outcomes: &[Outcome]) {
    for outcome in outcomes {
        match outcome {
            Outcome::Delivered(_) => {}
            Outcome::Retry { reason }
            | Outcome::Hold { reason }
            | Outcome::Quarantine { reason }
            | Outcome::Split { reason } => check_reason(reason),
        }
    }
}

fn check_reason(reason: &str) {
    assert!(!reason.contains(CREDENTIAL), "the credential in {reason:?}");
    assert!(reason.len() <= 4096, "a reason of {} bytes", reason.len());
}

/// A collector's answer to a request for events.
pub(crate) fn hec(bytes: &[u8]) {
    let Some(case) = Case::read(bytes) else { return };
    let wanted = usize::from(case.flags >> 1) % 3;
    let Some(collector) = collectors().get(wanted) else { return };
    let verdict = collector.classify(&ids(case.n_events), &case.answer);
    assert_eq!(verdict.outcomes.len(), case.n_events, "one outcome for each event");
    check_reasons(&verdict.outcomes);
    let said = case.said();
    let (code, number) = (said["code"].as_u64(), said["invalid-event-number"].as_u64());
    let n_delivered = verdict.outcomes.iter().filter(|outcome| is_delivered(outcome)).count();
    let n_first = verdict.outcomes.iter().take_while(|outcome| is_delivered(outcome)).count();
    assert_eq!(n_delivered, n_first, "what was taken is what stands first");
    if n_delivered == case.n_events && n_delivered > 0 {
        assert!(case.answer.status == 200 && matches!(code, Some(0 | 24 | 25)) && number.is_none());
    } else if n_delivered > 0 {
        assert!((400..500).contains(&case.answer.status) && number >= Some(n_delivered as u64));
    }
    let refused: Vec<usize> = (0..case.n_events)
        .filter(|at| matches!(verdict.outcomes.get(*at), Some(Outcome::Quarantine { .. })))
        .collect();
    assert!(refused.is_empty() || (refused.len() == 1 && refused.first().map(|at| *at as u64) == number));
    assert!(
        verdict
            .outcomes
            .iter()
            .all(|outcome| { !matches!(outcome, Outcome::Delivered(grade) if *grade != Grade::Accepted) })
    );
    if let Ack::Given(ack) = verdict.ack {
        assert_eq!(said["ackId"].as_u64(), Some(ack), "an id that was not given");
        assert!(wanted != 2);
    } else if wanted == 1 {
        assert_eq!(n_delivered, 0, "required, and not given");
    }
}

/// A collector's answer to a question about acknowledgements.
pub(crate) fn acks(bytes: &[u8]) {
    let Some(case) = Case::read(bytes) else { return };
    let Some(collector) = collectors().first() else { return };
    let asked: Vec<u64> = (0..case.n_events as u64).map(|n| n * u64::from(case.flags)).collect();
    let said = case.said();
    match collector.classify_acks(&asked, &case.answer) {
        AckVerdict::Acknowledged(acks) => {
            assert_eq!(case.answer.status, 200);
            for ack in acks {
                assert!(asked.contains(&ack), "{ack} was not asked for");
                assert_eq!(said["acks"][ack.to_string()], Value::Bool(true), "{ack}");
            }
        }
        AckVerdict::Off { reason }
        | AckVerdict::Hold { reason }
        | AckVerdict::Unanswered { reason }
        | AckVerdict::Lost { reason } => check_reason(&reason),
    }
}

/// A cluster's answer to a bulk request.
pub(crate) fn bulk(bytes: &[u8]) {
    let (Some(case), Some(cluster)) = (Case::read(bytes), cluster()) else { return };
    let ids = ids(case.n_events);
    let verdict = cluster.classify(&ids, &case.answer);
    assert_eq!(verdict.outcomes.len(), case.n_events, "one outcome for each event");
    check_reasons(&verdict.outcomes);
    let said = case.said();
    let items = said["items"].as_array().cloned().unwrap_or_default();
    for (at, outcome) in verdict.outcomes.iter().enumerate() {
        let item = items.get(at).map(|item| item["create"].clone()).unwrap_or_default();
        match outcome {
            Outcome::Delivered(grade) => {
                assert!(case.is_success() && items.len() == case.n_events);
                check_delivered(&item, *grade, ids.get(at).copied());
            }
            Outcome::Quarantine { .. } => {
                assert!(case.is_success() && items.len() == case.n_events);
                assert!(item["status"] == 400 && item["error"].is_object(), "{item}");
            }
            Outcome::Split { .. } => assert!(!case.is_success()),
            Outcome::Retry { .. } | Outcome::Hold { .. } => {}
        }
    }
}

/// The item says itself that this very event is there.
fn check_delivered(item: &Value, grade: Grade, id: Option<EventId>) {
    let is_stored = matches!(item["status"].as_u64(), Some(200 | 201)) && item["error"].is_null();
    let is_known = item["status"] == 409 && item["error"]["type"] == "version_conflict_engine_exception";
    let is_diverted = item["failure_store"] == "used";
    let is_so = match grade {
        Grade::Diverted => is_stored && is_diverted,
        Grade::Confirmed => is_known || (is_stored && !is_diverted),
        Grade::Accepted => false,
    };
    assert!(is_so, "{grade:?} by {item}");
    if let Some(named) = item["_id"].as_str().filter(|_| !is_diverted) {
        assert_eq!(EventId::parse(named).ok(), id, "another event: {item}");
    }
}

fn case(n_events: u8, status: u8, flags: u8, body: &Value) -> Vec<u8> {
    [&[n_events, status, flags], body.to_string().as_bytes()].concat()
}

/// A collector's answers of each kind.
pub(crate) fn hec_seeds() -> Vec<Vec<u8>> {
    let codes = [0_u32, 3, 4, 5, 6, 7, 8, 9, 12, 14, 24, 27];
    let plain = codes.map(|code| case(5, u8::from(code > 0) * 100, 0, &json!({"text": "t", "code": code})));
    let numbered = [0_u32, 1, 3, 5].map(|number| {
        case(5, 100, 2, &json!({"text": "bad", "code": 6, "invalid-event-number": number, "ackId": 7}))
    });
    let more = [
        case(3, 0, 2, &json!({"text": "Success", "code": 0, "ackId": 9})),
        case(3, 0, 4, &json!({"text": CREDENTIAL, "code": 0, "ackId": "9"})),
        case(3, 200, 1, &json!("<html>")),
    ];
    plain.into_iter().chain(numbered).chain(more).collect()
}

/// Answers about acknowledgements.
pub(crate) fn acks_seeds() -> Vec<Vec<u8>> {
    vec![
        case(4, 0, 1, &json!({"acks": {"0": true, "1": false, "2": true, "7": true}})),
        case(2, 100, 1, &json!({"text": "ACK is disabled", "code": 14})),
        case(2, 0, 200, &json!({"acks": {"200": true}})),
        case(2, 200, 0, &json!({"code": 9, "text": "busy"})),
    ]
}

/// A cluster's answers of each kind.
pub(crate) fn bulk_seeds() -> Vec<Vec<u8>> {
    let id = |n: usize| ids(n).last().map(ToString::to_string);
    let failed = |status: u16, kind: &str| json!({"create": {"_id": id(1), "status": status, "error": {"type": kind, "reason": "r"}}});
    let stored = |n| json!({"create": {"_id": id(n), "_index": "i", "status": 201, "result": "created"}});
    let diverted = json!({"create": {"_id": "other", "status": 201, "failure_store": "used"}});
    let whole = |items: Vec<Value>| json!({"took": 1, "errors": true, "items": items});
    vec![
        case(2, 0, 0, &whole(vec![stored(1), stored(2)])),
        case(2, 0, 0, &whole(vec![stored(2), stored(1)])),
        case(1, 0, 0, &whole(vec![diverted])),
        case(1, 0, 0, &whole(vec![failed(409, "version_conflict_engine_exception")])),
        case(1, 0, 0, &whole(vec![failed(429, "es_rejected_execution_exception")])),
        case(1, 0, 0, &whole(vec![failed(400, "mapper_parsing_exception")])),
        case(2, 0, 0, &whole(vec![stored(1), json!(7)])),
        case(1, 100, 0, &json!({"error": {"type": "illegal_argument_exception", "reason": CREDENTIAL}})),
        case(1, 209, 0, &json!({"error": {"type": "cluster_block_exception"}, "status": 403})),
    ]
}
