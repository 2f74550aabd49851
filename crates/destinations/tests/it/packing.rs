//! Packed and signed bodies, as they arrive.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use destinations::transport::HttpTransport;
use destinations::{BatchLimits, Request, Session, Transport as _, Vendor};
use receiver::{OnEvent, Options, Receiver};
use serde_json::{Value, json};

use crate::material::TOKEN;
use crate::wires::{body, configured, now};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
    unpacked
}

fn text(request: &Request, name: &str) -> String {
    request.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_packed_body_arrives_as_what_was_packed() {
    for (vendor, path) in [(Vendor::Splunk, ""), (Vendor::Elasticsearch, ""), (Vendor::Https, "/in")] {
        let arrived: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let sink = Arc::clone(&arrived);
        let on_event: OnEvent = Arc::new(move |bytes| sink.lock().unwrap().push(bytes.to_vec()));
        let options = Options { check: true, on_event: Some(on_event), ..Options::default() };
        let receiver = Receiver::start(options).await.unwrap();
        let configuration = |batch: Value| {
            json!({
                "url": format!("http://{}{path}", receiver.address()),
                "apiKey": TOKEN, "headerName": "x-key", "batch": batch,
            })
        };
        let packing = configured(vendor, &configuration(json!({"compression": "gzip"})));
        let plain = configured(vendor, &configuration(json!({"compression": "none"})));
        assert!(packing.is_costly() && !plain.is_costly());
        let limited = configured(vendor, &configuration(json!({"maxInFlight": 1, "maxEvents": 7})));
        let expected = BatchLimits { max_in_flight: 1, max_events: 7, ..plain.limits() };
        assert_eq!(limited.limits(), expected, "{vendor}");
        let (packed, unpacked) = (
            packing.request(body(&*packing), &Session::default(), now()),
            plain.request(body(&*plain), &Session::default(), now()),
        );
        assert_eq!(
            (text(&packed, "content-encoding"), text(&unpacked, "content-encoding")),
            ("gzip".into(), String::new())
        );
        assert_eq!(gunzip(&packed.body), unpacked.body);
        let transport = HttpTransport::new().unwrap();
        for request in [packed, unpacked] {
            assert_eq!(transport.send(request).await.unwrap().status, 200, "{vendor}");
        }
        let arrived = arrived.lock().unwrap();
        assert_eq!((arrived.len(), receiver.stats().n_problems), (2, 0), "{vendor}");
        assert_eq!(arrived[0], arrived[1], "{vendor}");
    }
}

#[test]
fn what_is_signed_is_the_body_that_is_sent() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    for compression in ["none", "gzip"] {
        let destination = configured(
            Vendor::Https,
            &json!({
                "url": "https://h.example/in", "apiKey": "", "headerName": "",
                "batch": {"compression": compression}, "signingSecrets": [SECRET],
            }),
        );
        let request = destination.request(body(&*destination), &Session::default(), now());
        let mut expected = Hmac::<sha2::Sha256>::new_from_slice(
            &STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        )
        .unwrap();
        expected.update(format!("{}.1769860802.", text(&request, "webhook-id")).as_bytes());
        expected.update(&request.body);
        let expected = format!("v1,{}", STANDARD.encode(expected.finalize().into_bytes()));
        assert_eq!(text(&request, "webhook-timestamp"), "1769860802");
        assert_eq!(text(&request, "webhook-signature"), expected, "{compression}");
    }
}

#[test]
fn a_request_that_is_sent_again_has_its_id_and_a_new_time() {
    let configuration = json!({
        "url": "https://h.example/in", "apiKey": "", "headerName": "", "signingSecrets": [SECRET, SECRET],
    });
    let destination = configured(Vendor::Https, &configuration);
    let first = destination.request(body(&*destination), &Session::default(), now());
    let again = destination.request(
        body(&*destination),
        &Session::default(),
        now().plus(std::time::Duration::from_mins(1)),
    );
    assert_eq!(text(&first, "webhook-id"), text(&again, "webhook-id"));
    assert_ne!(text(&first, "webhook-timestamp"), text(&again, "webhook-timestamp"));
    assert_eq!(text(&first, "webhook-signature").split(' ').count(), 2);
}

#[test]
fn signing_secrets_are_for_servers_of_ones_own() {
    use destinations::{Secrets, Settings};
    let configuration = json!({"url": "https://s.example/", "apiKey": TOKEN, "signingSecrets": [SECRET]});
    let secrets = Secrets::parse(&configuration).unwrap();
    let settings = Settings::parse(Vendor::Splunk, &configuration).unwrap();
    let instance = event::native::Instance {
        name: String::new(),
        domain: String::new(),
        environment: String::new(),
        public_url: None,
    };
    let refused = |secrets: &Secrets| {
        let built = settings.build(secrets, &instance, event::native::Selection::default());
        built.err().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(refused(&secrets), ["signingSecrets are for the type https only"]);
    let all_wrong = json!({"apiKey": "", "network": {"proxyCredential": "a:b"}, "signingSecrets": [SECRET]});
    assert_eq!(
        refused(&Secrets::parse(&all_wrong).unwrap()),
        [
            "network.proxyCredential must come with proxy",
            "signingSecrets are for the type https only",
            "apiKey must hold the token of an HTTP Event Collector",
        ]
    );
}
