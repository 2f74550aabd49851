//! A destination with a transport, as `delivery` would use it, and events to send.

use std::sync::Arc;

use base::{EventId, Secret, Timestamp};
use bytes::Bytes;
use destinations::transport::HttpTransport;
use destinations::{
    Answer, Destination, Outcome, Request, Session, Settings, Transport, TransportError, Vendor,
};
use event::native::{Instance, Selection};
use event::{Record, RecordBuilder, Section, Stream};
use receiver::Receiver;
use serde_json::json;

pub(crate) const TOKEN: &str = "9f8e7d6c-token";

pub(crate) struct Sender {
    pub(crate) destination: Arc<dyn Destination>,
    transport: HttpTransport,
}

/// The id of event number `number`.
pub(crate) fn id(number: u8) -> EventId {
    let mut bytes = [0x70; 16];
    bytes[15] = number;
    EventId::from_bytes(bytes)
}

impl Sender {
    pub(crate) fn to(receiver: &Receiver, vendor: Vendor) -> Self {
        let path = if vendor == Vendor::Https { "/in" } else { "" };
        let configuration =
            json!({"url": format!("http://{}{path}", receiver.address()), "headerName": "X-Key"});
        let instance = Instance {
            name: "Example".to_owned(),
            domain: "id.example".to_owned(),
            environment: "test".to_owned(),
            public_url: None,
        };
        let settings = Settings::parse(vendor, &configuration).unwrap();
        let destination =
            settings.build(&Secret::new(TOKEN).into(), &instance, Selection::default()).unwrap();
        Self { destination, transport: HttpTransport::new().unwrap() }
    }

    /// A request with these events.
    pub(crate) fn request(&self, numbers: &[u8]) -> Request {
        self.request_in(&Session::default(), numbers)
    }

    /// The same, in a session.
    pub(crate) fn request_in(&self, session: &Session, numbers: &[u8]) -> Request {
        let frame = self.destination.frame();
        let mut body = frame.open.as_bytes().to_vec();
        for (at, number) in numbers.iter().enumerate() {
            if at > 0 {
                body.extend_from_slice(frame.between.as_bytes());
            }
            let time = Timestamp::parse("2026-01-31T12:00:00.007Z").unwrap();
            let stream = Stream::PRODUCT[usize::from(*number) % 3];
            let mut builder = RecordBuilder::new(stream, id(*number), time, time);
            builder.section(Section::Header, r#""type":"x","text":"a \"}{\" \n""#);
            let record = builder.finish().unwrap();
            self.destination.encode(&Record::parse(&record).unwrap(), Some((1, 0)), false, &mut body);
        }
        body.extend_from_slice(frame.close.as_bytes());
        self.destination.request(Bytes::from(body), session, Timestamp::default())
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        self.transport.send(request).await
    }

    /// Sends these events; one letter for each outcome: Delivered, Retry, Hold, Quarantine, Split; `!` for slow down.
    pub(crate) async fn outcomes(&self, numbers: &[u8]) -> String {
        let answer = self.send(self.request(numbers)).await.unwrap();
        let ids: Vec<EventId> = numbers.iter().copied().map(id).collect();
        let verdict = self.destination.classify(&ids, &answer);
        let letters = verdict.outcomes.iter().map(|outcome| match outcome {
            Outcome::Delivered(_) => 'D',
            Outcome::Retry { .. } => 'R',
            Outcome::Hold { .. } => 'H',
            Outcome::Quarantine { .. } => 'Q',
            Outcome::Split { .. } => 'S',
        });
        letters.chain(verdict.slow_down.then_some('!')).collect()
    }
}
