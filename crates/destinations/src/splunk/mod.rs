//! Splunk's HTTP Event Collector: JSON envelopes to `/services/collector/event`.
//!
//! A 200 proves [`Grade::Accepted`](crate::Grade) and no more: Splunk answers before an event enters its pipeline. Where
//! the token has indexer acknowledgement, what is acknowledged is [`Grade::Confirmed`](crate::Grade).

mod acks;
mod classify;
mod encode;
mod settings;

use base::{EventId, Secret, Timestamp};
use bytes::Bytes;
use event::Record;
use event::native::NativeProfile;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub use self::settings::Settings;
use crate::credential;
use crate::reason::Hush;
use crate::registry::SettingsError;
use crate::seam::{AckVerdict, Acknowledgement, Answer, BatchLimits, Destination, Frame, Request, Verdict};
use crate::session::Session;
use crate::way::Way;

/// Splunk Cloud asks for bodies of at most 1 MB.
const MAX_BODY_BYTES: usize = 1_000_000;

/// A collector that can be sent to.
#[derive(Debug)]
pub struct Splunk {
    endpoint: Url,
    headers: HeaderMap,
    envelope: encode::Envelope,
    acknowledgement: Acknowledgement,
    way: Way,
    hush: Hush,
}

impl Splunk {
    /// From valid settings and a token.
    pub(crate) fn new(
        settings: &Settings,
        token: &Secret,
        host: &str,
        profile: NativeProfile,
        way: Way,
    ) -> Result<Self, Vec<SettingsError>> {
        credential::check_length(token, credential::MAX_CHARS)?;
        if token.expose().is_empty() {
            return Err(credential::wrong("must hold the token of an HTTP Event Collector"));
        }
        let endpoint = settings.endpoint();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, credential::header(&format!("Splunk {}", token.expose()))?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CHANNEL, channel_header(channel(&endpoint, token)));
        let hush = way.hush(Hush::new([token.clone()]));
        let envelope = encode::Envelope::new(settings, host, profile);
        let acknowledgement = settings.acknowledgement;
        Ok(Self { endpoint, headers, envelope, acknowledgement, way, hush })
    }
}

/// Which channel a request belongs to. Collectors want it as soon as the token has indexer acknowledgement.
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// The channel of requests that belong to no session: any GUID will do, as long as it stays the same.
fn channel(endpoint: &Url, token: &Secret) -> EventId {
    EventId::derive(Timestamp::default(), &["splunk request channel", endpoint.as_str(), token.expose()])
}

/// Hexadecimal digits and hyphens: always a header value. Who knows it could ask for acknowledgements.
fn channel_header(channel: EventId) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(&channel.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

impl Splunk {
    /// The headers of a request of this session.
    fn headers(&self, session: &Session) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(channel) = session.channel() {
            headers.insert(CHANNEL, channel_header(channel));
            session.dress(&mut headers);
        }
        headers
    }
}

impl Destination for Splunk {
    fn limits(&self) -> BatchLimits {
        self.way.limits(BatchLimits { max_bytes: MAX_BODY_BYTES, max_events: 4000, max_in_flight: 4 })
    }

    fn frame(&self) -> Frame {
        Frame { open: "", between: "\n", close: "" }
    }

    fn encode(&self, record: &Record<'_>, offset: Option<(u64, u32)>, is_replay: bool, out: &mut Vec<u8>) {
        self.envelope.append(record, offset, is_replay, out);
    }

    fn request(&self, body: Bytes, session: &Session, _: Timestamp) -> Request {
        let mut headers = self.headers(session);
        let body = self.way.pack(body, &mut headers);
        self.way.post(self.endpoint.clone(), headers, body)
    }

    fn is_costly(&self) -> bool {
        self.way.packs()
    }

    fn classify(&self, ids: &[EventId], answer: &Answer) -> Verdict {
        classify::classify(ids.len(), answer, self.acknowledgement, &self.hush)
    }

    fn acknowledgement(&self) -> Acknowledgement {
        self.acknowledgement
    }

    fn ack_request(&self, acks: &[u64], session: &Session) -> Option<Request> {
        let endpoint = acks::endpoint(&self.endpoint, session);
        Some(self.way.post(endpoint, self.headers(session), acks::body(acks)))
    }

    fn classify_acks(&self, acks: &[u64], answer: &Answer) -> AckVerdict {
        acks::classify(acks, answer, &self.hush)
    }

    fn scrub(&self, text: &str) -> String {
        self.hush.scrub(text)
    }
}
