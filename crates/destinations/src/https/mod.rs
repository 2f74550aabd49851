//! Any server that takes documents over HTTPS: a JSON array or JSON lines, with one header of the owner's choice.

mod classify;
mod settings;

use base::Secret;
use bytes::Bytes;
use event::Record;
use event::native::NativeProfile;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

pub use self::settings::{Format, Settings};
use crate::credential;
use crate::reason::Hush;
use crate::registry::SettingsError;
use crate::seam::{Answer, BatchLimits, Destination, Frame, Request, Verdict};

/// A server that can be sent to.
#[derive(Debug)]
pub struct Https {
    endpoint: Url,
    headers: HeaderMap,
    format: Format,
    profile: NativeProfile,
    hush: Hush,
}

impl Https {
    /// From valid settings and a credential. Without a header name or a credential, no such header is sent.
    pub(crate) fn new(
        settings: &Settings,
        credential: &Secret,
        profile: NativeProfile,
    ) -> Result<Self, Vec<SettingsError>> {
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
        let hush = Hush::new([credential.clone()]);
        Ok(Self { endpoint: settings.url.url().clone(), headers, format: settings.format, profile, hush })
    }
}

impl Destination for Https {
    fn limits(&self) -> BatchLimits {
        BatchLimits { max_bytes: 1_000_000, max_events: 1000, max_in_flight: 2 }
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

    fn request(&self, body: Bytes) -> Request {
        Request { url: self.endpoint.clone(), method: Method::POST, headers: self.headers.clone(), body }
    }

    fn classify(&self, n_events: usize, answer: &Answer) -> Verdict {
        classify::classify(n_events, answer, &self.hush)
    }

    fn scrub(&self, text: &str) -> String {
        self.hush.scrub(text)
    }
}
