//! Any server that takes documents over HTTPS: a JSON array or JSON lines, with one header of the owner's choice,
//! signed when there is a secret to sign with.

mod classify;
mod settings;
mod signature;

use base::{EventId, Timestamp};
use bytes::Bytes;
use event::Record;
use event::native::NativeProfile;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub use self::settings::{Format, Settings};
use self::signature::Signer;
use crate::credential;
use crate::reason::Hush;
use crate::registry::SettingsError;
use crate::seam::{Answer, BatchLimits, Destination, Frame, Request, Verdict};
use crate::secrets::Secrets;
use crate::session::Session;
use crate::way::Way;

/// A server that can be sent to.
#[derive(Debug)]
pub struct Https {
    endpoint: Url,
    headers: HeaderMap,
    format: Format,
    profile: NativeProfile,
    signer: Option<Signer>,
    way: Way,
    hush: Hush,
    /// For what the server says: some repeat the address, and for some it is the credential.
    words: Hush,
}

impl Https {
    /// From valid settings and a credential. Without a header name or a credential, no such header is sent.
    pub(crate) fn new(
        settings: &Settings,
        secrets: &Secrets,
        profile: NativeProfile,
        way: Way,
    ) -> Result<Self, Vec<SettingsError>> {
        let credential = &secrets.api_key();
        credential::check_length(credential, credential::MAX_CHARS)?;
        let mut headers = HeaderMap::new();
        let kind = match settings.format {
            Format::Array => "application/json",
            Format::Ndjson => "application/x-ndjson",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let value = credential::header(credential.expose())?;
        if let Some(name) = &settings.header_name
            && !value.is_empty()
        {
            let unfit = |_| vec![SettingsError::new("headerName", "must be the name of an HTTP header")];
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(unfit)?, value);
        }
        let signer = Signer::new(secrets)?;
        let hush = way.hush(Hush::new([credential.clone()]).and(secrets.signing().cloned()));
        Ok(Self {
            endpoint: settings.url.url().clone(),
            headers,
            format: settings.format,
            profile,
            signer,
            words: hush.clone().and_address(settings.url.url()),
            hush,
            way,
        })
    }
}

impl Destination for Https {
    fn limits(&self) -> BatchLimits {
        self.way.limits(BatchLimits { max_bytes: 1_000_000, max_events: 1000, max_in_flight: 2 })
    }

    fn frame(&self) -> Frame {
        match self.format {
            Format::Array => Frame { open: "[", between: ",", close: "]" },
            Format::Ndjson => Frame { open: "", between: "\n", close: "\n" },
        }
    }

    fn encode(&self, record: &Record<'_>, offset: Option<(u64, u32)>, is_replay: bool, out: &mut Vec<u8>) {
        out.push(b'{');
        self.profile.append_members(record, offset, is_replay, out);
        out.push(b'}');
    }

    fn request(&self, body: Bytes, _: &Session, now: Timestamp) -> Request {
        let mut headers = self.headers.clone();
        let id = self.signer.as_ref().map(|_| signature::message_id(&body));
        let body = self.way.pack(body, &mut headers);
        if let (Some(signer), Some(id)) = (&self.signer, id) {
            signer.sign(&mut headers, &id, now, &body);
        }
        self.way.post(self.endpoint.clone(), headers, body)
    }

    fn is_costly(&self) -> bool {
        self.way.packs() || self.signer.is_some()
    }

    fn classify(&self, ids: &[EventId], answer: &Answer) -> Verdict {
        classify::classify(ids.len(), answer, &self.words)
    }

    fn scrub(&self, text: &str) -> String {
        self.hush.scrub(text)
    }
}
