//! The wire formats, byte by byte.

use base::{Random, Timestamp};
use bytes::Bytes;
use destinations::{Destination, Request, Session, Vendor};
use event::{Record, Stream};
use serde_json::json;

use crate::material::{destination, plain, record};
use crate::wires::configured;

/// One request with an event of every stream, as text: request line, headers, body.
fn sent(destination: &dyn Destination) -> String {
    let frame = destination.frame();
    let mut body = frame.open.as_bytes().to_vec();
    for (index, stream) in (0_u32..).zip(Stream::PRODUCT) {
        if index > 0 {
            body.extend_from_slice(frame.between.as_bytes());
        }
        let bytes = record(stream);
        let replayed = stream == Stream::EventHookLog;
        destination.encode(&Record::parse(&bytes).unwrap(), Some((7, index)), replayed, &mut body);
    }
    body.extend_from_slice(frame.close.as_bytes());
    let now = Timestamp::parse("2026-01-31T12:00:02Z").unwrap();
    let Request { url, method, headers, body, .. } =
        destination.request(Bytes::from(body), &Session::default(), now);
    let mut lines = vec![format!("{method} {url}")];
    lines.extend(headers.iter().map(|(name, value)| {
        let is_signature = name == "webhook-signature";
        let shown = value.to_str().unwrap();
        format!("{name}: {}", if value.is_sensitive() && !is_signature { "(sensitive)" } else { shown })
    }));
    lines.sort();
    format!("{}\n\n{}", lines.join("\n"), String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn splunk_by_default() {
    insta::assert_snapshot!(sent(&*plain(Vendor::Splunk)));
}

#[test]
fn splunk_with_everything_set() {
    let configuration = json!({
        "url": "https://splunk.example/services/collector", "index": "identity", "sourceType": "a:\"b\"", "source": "s",
    });
    insta::assert_snapshot!(sent(&*destination(Vendor::Splunk, &configuration)));
}

#[test]
fn elasticsearch_with_data_streams() {
    insta::assert_snapshot!(sent(&*plain(Vendor::Elasticsearch)));
}

#[test]
fn elasticsearch_with_one_index() {
    let configuration = json!({"url": "https://search.example/_bulk?pipeline=geo", "index": "identity"});
    insta::assert_snapshot!(sent(&*destination(Vendor::Elasticsearch, &configuration)));
}

#[test]
fn elasticsearch_whose_address_names_the_index() {
    let configuration = json!({"url": "https://search.example/identity/_bulk"});
    insta::assert_snapshot!(sent(&*destination(Vendor::Elasticsearch, &configuration)));
}

#[test]
fn https_as_an_array() {
    insta::assert_snapshot!(sent(&*plain(Vendor::Https)));
}

#[test]
fn https_as_lines() {
    let configuration = json!({"url": "https://hook.example/", "headerName": "", "format": "ndjson"});
    insta::assert_snapshot!(sent(&*destination(Vendor::Https, &configuration)));
}

#[test]
fn https_signed_with_two_secrets() {
    let configuration = json!({
        "url": "https://hook.example/in", "apiKey": "9f8e7d6c-token", "headerName": "X-Key",
        "signingSecrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
    });
    insta::assert_snapshot!(sent(&*configured(Vendor::Https, &configuration)));
}

#[test]
fn a_test_event_lies_nowhere() {
    let bytes = record(Stream::AccountEvent);
    let mut out = Vec::new();
    plain(Vendor::Https).encode(&Record::parse(&bytes).unwrap(), None, false, &mut out);
    assert!(!String::from_utf8(out).unwrap().contains("journalOffset"));
}

#[test]
fn requests_of_one_session_show_the_same_channel_and_the_cookies_that_answers_set() {
    let splunk = plain(Vendor::Splunk);
    let now = Timestamp::default();
    let mut session = Session::draw(now, &Random::from_seed(1));
    let set = http::HeaderValue::from_static("AWSALB=a1; Path=/");
    session.learn(&http::HeaderMap::from_iter([(http::header::SET_COOKIE, set)]));
    let events = splunk.request(Bytes::from_static(b"{}"), &session, now);
    let question = splunk.ack_request(&[0, 1], &session).unwrap();
    let channel = session.channel().unwrap().to_string();
    for request in [&events, &question] {
        assert_eq!(request.headers["x-splunk-request-channel"], channel.as_str());
        assert_eq!(request.headers["cookie"], "AWSALB=a1");
        assert!(request.headers["cookie"].is_sensitive());
        assert!(request.headers.contains_key("authorization"));
    }
    let asked = format!("https://splunk.example:8088/services/collector/ack?channel={channel}");
    assert_eq!(question.url.as_str(), asked);
    let another = Session::draw(now, &Random::from_seed(2));
    assert_ne!(another.channel(), session.channel());
    assert!(!splunk.request(Bytes::new(), &another, now).headers.contains_key("cookie"));
    for vendor in [Vendor::Elasticsearch, Vendor::Https] {
        assert!(plain(vendor).ack_request(&[0], &session).is_none());
    }
}
