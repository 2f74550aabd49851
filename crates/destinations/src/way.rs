//! The way out that every vendor's requests take: within which limits, packed or not, by which route.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::batching::{Batching, Compression};
use crate::network::{Network, Route};
use crate::reason::Hush;
use crate::registry::SettingsError;
use crate::seam::{BatchLimits, Request};
use crate::secrets::Secrets;

/// A configuration's way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    batching: Batching,
    route: Arc<Route>,
}

impl Way {
    /// From valid settings and secrets. Every secret that does not fit is named.
    pub(crate) fn new(
        network: &Network,
        batching: Batching,
        secrets: &Secrets,
    ) -> Result<Self, Vec<SettingsError>> {
        Ok(Self { batching, route: Arc::new(Route::new(network, secrets)?) })
    }

    /// What the owner set, else what the vendor sets.
    pub(crate) fn limits(&self, vendor: BatchLimits) -> BatchLimits {
        self.batching.limits(vendor)
    }

    /// Whether bodies are packed, which takes a while.
    pub(crate) fn packs(&self) -> bool {
        self.batching.compression == Compression::Gzip
    }

    /// The same, and the credential of the proxy.
    pub(crate) fn hush(&self, hush: Hush) -> Hush {
        hush.and(self.route.sent_secrets())
    }

    /// The body as it is sent; its encoding is put into `headers`.
    pub(crate) fn pack(&self, body: Bytes, headers: &mut HeaderMap) -> Bytes {
        if !self.packs() {
            return body;
        }
        let Some(packed) = gzip(&body) else { return body };
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        packed
    }

    /// A `POST` of a packed body.
    pub(crate) fn post(&self, url: Url, headers: HeaderMap, body: Bytes) -> Request {
        Request { url, method: Method::POST, headers, body, route: Arc::clone(&self.route) }
    }
}

/// Packed fast: these documents repeat themselves so much that more work gains little. `None` never happens: a vector takes
/// what it is given.
fn gzip(body: &[u8]) -> Option<Bytes> {
    let room = Vec::with_capacity(body.len() / 4);
    let mut packing = GzEncoder::new(room, flate2::Compression::fast());
    packing.write_all(body).ok()?;
    packing.finish().ok().map(Bytes::from)
}
