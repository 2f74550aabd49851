//! Requests over real sockets. The only file that knows the HTTP client, with [`failure`] beside it.
//!
//! Invariants: redirects are not followed, the environment names no proxy, link-local and metadata addresses are not
//! called however they are written or resolved, no error holds a URL. Connections are kept for each route, scheme, host
//! and port apart, without an upper bound, so that a host that hangs takes none from another.

mod clients;
mod failure;
mod resolver;

use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;

use self::clients::Clients;
use self::failure::Errand;
use self::resolver::leads_only_to_refused;
use crate::address;
use crate::network::Through;
use crate::seam::{Answer, Request};
use crate::transport::{FailureKind, Transport, TransportError, retry_after};

/// Most bytes of an answer that are kept; the rest is not read.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// What a proxy answers to who must present a credential.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;
/// How long the address of a name that a proxy will resolve is asked for here. A machine behind a proxy may have no name
/// server that knows it.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Speaks HTTP/1.1, and HTTP/2 where TLS agrees on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    clients: Clients,
}

impl HttpTransport {
    /// With the certificate authorities that this machine trusts. A machine that trusts none can still call plain
    /// HTTP, and whom a route vouches for; its other TLS connections fail one by one.
    pub fn new() -> Result<Self, TransportError> {
        // Whoever comes first installs the same provider; a second try changes nothing.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { clients: Clients::new()? })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let Request { url, method, headers, body, route } = request;
        if address::names_refused(&url) {
            return Err(failure::refused());
        }
        let Some(host) = url.host_str().map(ToOwned::to_owned) else {
            return Err(TransportError::new(FailureKind::Resolve, "the address names no host"));
        };
        let port = url.port_or_known_default().unwrap_or_default();
        let through = route.proxy_for(&url);
        if let Some(proxy) = through
            && (address::names_refused(&proxy.url) || leads_only_to_refused(&url, LOOK_UP).await)
        {
            return Err(failure::refused());
        }
        let errand = Errand { host, port, proxy: through.map(Through::name) };
        let is_plain = url.scheme() == "http";
        let client = self.clients.of(&route, through.is_some()).await?;
        let request = client.request(method, url).headers(headers).body(body).timeout(route.timeout());
        let mut response = request.send().await.map_err(|error| errand.explained(error))?;
        if through.is_some() && is_plain && response.status().as_u16() == PROXY_AUTHENTICATION_REQUIRED {
            return Err(errand.unwelcome());
        }
        let mut kept = BytesMut::new();
        while kept.len() < MAX_ANSWER_BYTES {
            let Some(chunk) = response.chunk().await.map_err(|error| errand.explained(error))? else { break };
            kept.extend_from_slice(&chunk);
        }
        kept.truncate(MAX_ANSWER_BYTES);
        let headers = std::mem::take(response.headers_mut());
        let retry_after = retry_after::read(&headers);
        Ok(Answer { status: response.status().as_u16(), retry_after, headers, body: kept.freeze() })
    }
}

#[cfg(test)]
mod tests;
