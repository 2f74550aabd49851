//! Requests over real sockets. The only file that knows the HTTP client.
//!
//! Invariants: redirects are not followed, the environment names no proxy, link-local and metadata addresses are not
//! called however they are written or resolved, no error holds a URL. Connections are kept for each scheme, host and
//! port apart, without an upper bound, so that a host that hangs takes none from another.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Host;

use crate::address;
use crate::seam::{Answer, Request};
use crate::transport::{FailureKind, Transport, TransportError, retry_after};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Shorter than what servers and balancers keep idle connections for, so that a request seldom meets one just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_IDLE_PER_HOST: usize = 8;
/// Most bytes of an answer that are kept; the rest is not read.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Speaks HTTP/1.1, and HTTP/2 where TLS agrees on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// With the certificate authorities that this machine trusts. A machine that trusts none can still call plain
    /// HTTP; its TLS connections fail one by one.
    pub fn new() -> Result<Self, TransportError> {
        // Whoever comes first installs the same provider; a second try changes nothing.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        let client = client.map_err(|error| {
            TransportError::new(FailureKind::Tls, "cannot prepare the HTTP client").caused_by(error)
        })?;
        Ok(Self { client })
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("idstream/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(Arc::new(Resolver))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .tcp_nodelay(true)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        let host = match request.url.host() {
            Some(Host::Ipv4(v4)) if address::is_refused(v4.into()) => return Err(refused()),
            Some(Host::Ipv6(v6)) if address::is_refused(v6.into()) => return Err(refused()),
            Some(host) => host.to_string(),
            None => return Err(TransportError::new(FailureKind::Resolve, "the address names no host")),
        };
        let Request { url, method, headers, body } = request;
        let sent = self.client.request(method, url).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|error| explained(error, &host))?;
        let mut kept = BytesMut::new();
        while kept.len() < MAX_ANSWER_BYTES {
            let Some(chunk) = response.chunk().await.map_err(|error| explained(error, &host))? else { break };
            kept.extend_from_slice(&chunk);
        }
        kept.truncate(MAX_ANSWER_BYTES);
        let headers = std::mem::take(response.headers_mut());
        let retry_after = retry_after::read(&headers);
        Ok(Answer { status: response.status().as_u16(), retry_after, headers, body: kept.freeze() })
    }
}

/// The system's name resolution, without the addresses that are never called.
struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("the name has no address")]
struct Unresolved(#[source] std::io::Error);

#[derive(Debug, thiserror::Error)]
#[error("the name leads to a link-local or cloud metadata address")]
struct RefusedAddress;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved)?;
            let all: Vec<SocketAddr> = found.collect();
            Ok(Box::new(allowed(all)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be called; an error when there were some, and none may.
fn allowed(all: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, RefusedAddress> {
    let had_some = !all.is_empty();
    let allowed: Vec<_> = all.into_iter().filter(|found| !address::is_refused(found.ip())).collect();
    if had_some && allowed.is_empty() { Err(RefusedAddress) } else { Ok(allowed) }
}

fn refused() -> TransportError {
    TransportError::new(FailureKind::Refused, "link-local and cloud metadata addresses are not called")
}

fn explained(error: reqwest::Error, host: &str) -> TransportError {
    let error = error.without_url();
    let kind = if find::<RefusedAddress>(&error).is_some() {
        return refused().caused_by(error);
    } else if error.is_timeout() {
        FailureKind::Timeout
    } else if find::<Unresolved>(&error).is_some() {
        FailureKind::Resolve
    } else if find::<rustls::Error>(&error).is_some() {
        FailureKind::Tls
    } else if error.is_connect() {
        FailureKind::Connect
    } else {
        FailureKind::Broken
    };
    let cause = find::<rustls::Error>(&error).map(ToString::to_string).or_else(|| io_words(&error));
    let what = match kind {
        FailureKind::Timeout => format!("no answer from {host} in time"),
        FailureKind::Resolve => format!("the host name {host} cannot be resolved"),
        FailureKind::Tls => format!("no trusted connection to {host}"),
        FailureKind::Connect => format!("cannot connect to {host}"),
        FailureKind::Broken | FailureKind::Refused => {
            format!("the connection to {host} ended before the whole answer was there")
        }
    };
    let text = match cause {
        Some(cause) if kind != FailureKind::Timeout => format!("{what}: {cause}"),
        _ => what,
    };
    TransportError::new(kind, text).caused_by(error)
}

/// The first error of this type among the causes, also within an I/O error, whose content is not one of its causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let content = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = content.and_then(|content| find(content as &(dyn Error + 'static))) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn io_words(error: &(dyn Error + 'static)) -> Option<String> {
    find::<std::io::Error>(error).map(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests;
