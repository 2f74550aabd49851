//! Records, destinations and answers that the tests share.

use std::sync::Arc;

use base::{EventId, Secret, Timestamp};
use bytes::Bytes;
use destinations::{Answer, Destination, Settings, Vendor};
use event::native::{Instance, Selection};
use event::{RecordBuilder, Section, Stream};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "9f8e7d6c-token";

pub(crate) fn destination(vendor: Vendor, configuration: &Value) -> Arc<dyn Destination> {
    let instance = Instance {
        name: "Example".to_owned(),
        domain: "id.example".to_owned(),
        environment: "test".to_owned(),
        public_url: Some("https://console.example".to_owned()),
    };
    let selection =
        Selection { claims: vec!["email".to_owned()], include_bodies: true, ..Selection::default() };
    let settings = Settings::parse(vendor, configuration).unwrap();
    settings.build(&Secret::new(TOKEN).into(), &instance, selection).unwrap()
}

/// Of each vendor, as little configured as possible.
pub(crate) fn plain(vendor: Vendor) -> Arc<dyn Destination> {
    let configuration = match vendor {
        Vendor::Splunk => json!({"url": "https://splunk.example:8088"}),
        Vendor::Elasticsearch => json!({"url": "https://search.example:9200"}),
        Vendor::Https => json!({"url": "https://hook.example/in", "headerName": "X-Key"}),
    };
    destination(vendor, &configuration)
}

pub(crate) fn record(stream: Stream) -> Vec<u8> {
    let sections: &[(Section, &str)] = match stream {
        Stream::AccountEvent => &[
            (Section::Source, "main"),
            (Section::Header, r#""type":"customerFlow","outcome":"success","labels":["LOGIN"]"#),
            (Section::Claim, r#""email":"ann@example.com""#),
            (Section::Claim, r#""phone":"+43 1 234""#),
            (Section::Actions, r#"[{"name":"password"}]"#),
        ],
        Stream::AuditLog => &[
            (Section::Source, "main"),
            (Section::Header, r#""method":"PATCH","url":"/policies/7","actor":"Zoë \"Z\" Ü""#),
            (Section::Request, r#""{\"a\":1}""#),
        ],
        _ => {
            &[(Section::Header, r#""hookName":"enrich""#), (Section::Logs, r#"[{"message":"line\nbreak"}]"#)]
        }
    };
    let number = stream as u8;
    let id = EventId::parse(&format!("0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5{number}")).unwrap();
    let time = Timestamp::parse("2026-01-31T12:00:00.007Z").unwrap();
    let received_at = Timestamp::parse("2026-01-31T12:00:01.500Z").unwrap();
    let mut builder = RecordBuilder::new(stream, id, time, received_at);
    for (kind, text) in sections {
        builder.section(*kind, text);
    }
    builder.finish().unwrap()
}

/// The ids of `n_events` different events.
pub(crate) fn ids(n_events: usize) -> Vec<EventId> {
    (0..n_events as u128).map(|number| EventId::from_bytes((7 << 76 | number).to_be_bytes())).collect()
}

pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer { status, retry_after: None, headers: http::HeaderMap::new(), body: body.into() }
}

/// One letter for each outcome: Confirmed, diVerted, Accepted, Retry, Hold, Quarantine, Split; `!` for slow down.
pub(crate) fn letters(destination: &dyn Destination, n_events: usize, answer: &Answer) -> String {
    use destinations::{Grade, Outcome};
    let verdict = destination.classify(&ids(n_events), answer);
    let mut letters: String = verdict
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Delivered(Grade::Confirmed) => 'C',
            Outcome::Delivered(Grade::Diverted) => 'V',
            Outcome::Delivered(Grade::Accepted) => 'A',
            Outcome::Retry { .. } => 'R',
            Outcome::Hold { .. } => 'H',
            Outcome::Quarantine { .. } => 'Q',
            Outcome::Split { .. } => 'S',
        })
        .collect();
    if verdict.slow_down {
        letters.push('!');
    }
    letters
}
