//! Elasticsearch and OpenSearch: `create` actions to `_bulk`, with the eventID as `_id`.
//!
//! `create` with an id of our own makes a repeated request harmless: the second answer is 409, which proves that the
//! event is there. Data streams take nothing but `create`.
//!
//! Deliberately absent: the parameter `include_source_on_error`. OpenSearch and Elasticsearch before 8.18 refuse a
//! request with a parameter that they do not know; reasons are shortened here instead.

mod classify;
mod encode;
mod failure;
mod lookup;
mod settings;
pub mod template;

use base::{EventId, Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use event::native::NativeProfile;
use event::{Record, Stream};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use url::Url;

pub use self::settings::{AuthScheme, Settings};
use crate::credential;
use crate::reason::Hush;
use crate::registry::SettingsError;
use crate::seam::{Answer, BatchLimits, Destination, Frame, Lookup, Request, Verdict};
use crate::secrets::{READ_CREDENTIAL, Secrets};
use crate::session::Session;
use crate::way::Way;

/// Longest bearer token, in characters: a signed token is longer than the contract's keys.
const MAX_BEARER_CHARS: usize = 4096;

/// A cluster that can be sent to.
#[derive(Debug)]
pub struct Elasticsearch {
    endpoint: Url,
    headers: HeaderMap,
    settings: Settings,
    /// Of searches.
    reading: HeaderMap,
    lines: encode::Lines,
    way: Way,
    hush: Hush,
}

impl Elasticsearch {
    /// From valid settings and a credential. An empty credential sends none: a cluster may be open.
    pub(crate) fn new(
        settings: &Settings,
        secrets: &Secrets,
        profile: NativeProfile,
        way: Way,
    ) -> Result<Self, Vec<SettingsError>> {
        let (scheme, credential) = (settings.auth_scheme, secrets.api_key());
        let mut hush = Vec::new();
        let headers = headers("application/x-ndjson", scheme, &credential, &mut hush)?;
        let reader = secrets.read_credential().unwrap_or(&credential);
        let reading = headers_of_searches(scheme, reader, &mut hush)?;
        Ok(Self {
            endpoint: settings.endpoint(),
            headers,
            settings: settings.clone(),
            reading,
            lines: encode::Lines::new(settings, profile),
            hush: way.hush(Hush::new(hush)),
            way,
        })
    }
}

/// The headers of requests with this credential. What is sent of it is put into `hush`.
fn headers(
    content_type: &'static str,
    scheme: AuthScheme,
    credential: &Secret,
    hush: &mut Vec<Secret>,
) -> Result<HeaderMap, Vec<SettingsError>> {
    let max = match scheme {
        AuthScheme::Bearer => MAX_BEARER_CHARS,
        AuthScheme::ApiKey | AuthScheme::Basic => credential::MAX_CHARS,
    };
    credential::check_length(credential, max)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    hush.push(credential.clone());
    if !credential.expose().is_empty() {
        let (scheme, sent) = presented(scheme, credential)?;
        headers.insert(AUTHORIZATION, credential::header(&format!("{scheme} {}", sent.expose()))?);
        hush.push(sent);
    }
    Ok(headers)
}

/// The same for searches; what is wrong is said of the field that brings their credential.
fn headers_of_searches(
    scheme: AuthScheme,
    credential: &Secret,
    hush: &mut Vec<Secret>,
) -> Result<HeaderMap, Vec<SettingsError>> {
    let named = |error: SettingsError| SettingsError::new(READ_CREDENTIAL, error.message);
    headers("application/json", scheme, credential, hush)
        .map_err(|errors| errors.into_iter().map(named).collect())
}

/// The value of an `Authorization` header.
pub fn authorization(scheme: AuthScheme, credential: &Secret) -> Result<HeaderValue, Vec<SettingsError>> {
    let (scheme, sent) = presented(scheme, credential)?;
    credential::header(&format!("{scheme} {}", sent.expose()))
}

/// The scheme and what stands behind it. An API key is given as `id:key` or already encoded.
fn presented(scheme: AuthScheme, credential: &Secret) -> Result<(&'static str, Secret), Vec<SettingsError>> {
    let text = credential.expose();
    let encoded = || Secret::new(STANDARD.encode(text));
    Ok(match scheme {
        AuthScheme::ApiKey if text.contains(':') => ("ApiKey", encoded()),
        AuthScheme::ApiKey => ("ApiKey", credential.clone()),
        AuthScheme::Basic if text.contains(':') => ("Basic", encoded()),
        AuthScheme::Basic => return Err(credential::wrong("must be user:password")),
        AuthScheme::Bearer => ("Bearer", credential.clone()),
    })
}

impl Destination for Elasticsearch {
    fn limits(&self) -> BatchLimits {
        self.way.limits(BatchLimits { max_bytes: 2_000_000, max_events: 4000, max_in_flight: 4 })
    }

    fn frame(&self) -> Frame {
        // The last line, too, must end.
        Frame { open: "", between: "\n", close: "\n" }
    }

    fn encode(&self, record: &Record<'_>, offset: Option<(u64, u32)>, is_replay: bool, out: &mut Vec<u8>) {
        self.lines.append(record, offset, is_replay, out);
    }

    fn request(&self, body: Bytes, _: &Session, _: Timestamp) -> Request {
        let mut headers = self.headers.clone();
        let body = self.way.pack(body, &mut headers);
        self.way.post(self.endpoint.clone(), headers, body)
    }

    fn is_costly(&self) -> bool {
        self.way.packs()
    }

    fn classify(&self, ids: &[EventId], answer: &Answer) -> Verdict {
        classify::classify(ids, answer, &self.hush)
    }

    fn lookup_request(&self, stream: Stream, ids: &[EventId]) -> Option<Request> {
        let search = self.settings.search(stream)?;
        Some(self.way.post(search, self.reading.clone(), lookup::body(ids).into()))
    }

    fn max_lookup(&self) -> usize {
        if self.settings.has_date_math() { 0 } else { lookup::MAX_IDS }
    }

    fn classify_lookup(&self, ids: &[EventId], answer: &Answer) -> Lookup {
        lookup::classify(ids, answer, &self.hush)
    }

    fn scrub(&self, text: &str) -> String {
        self.hush.scrub(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_presented_as_their_scheme_asks() {
        let shown = |scheme, text: &str| {
            presented(scheme, &Secret::new(text)).map(|(scheme, sent)| format!("{scheme} {}", sent.expose()))
        };
        assert_eq!(shown(AuthScheme::ApiKey, "id:key").unwrap(), "ApiKey aWQ6a2V5");
        assert_eq!(shown(AuthScheme::ApiKey, "aWQ6a2V5").unwrap(), "ApiKey aWQ6a2V5");
        assert_eq!(shown(AuthScheme::Basic, "ann:pw").unwrap(), "Basic YW5uOnB3");
        assert_eq!(shown(AuthScheme::Bearer, "a.b.c").unwrap(), "Bearer a.b.c");
        assert!(shown(AuthScheme::Basic, "ann").is_err());
    }
}
