//! Why a request brought no answer: the HTTP client's errors, told apart and put into words.

use std::error::Error;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::resolver::{RefusedAddress, Unresolved};
use crate::transport::{FailureKind, TransportError};

/// What the client says when a proxy did not let a connection through. It has no type of its own.
const TUNNEL: &str = "tunnel error: ";
const TUNNEL_UNWELCOME: &str = "tunnel error: proxy authorization required";
const TUNNEL_REFUSED: &str = "tunnel error: unsuccessful";

/// Whom a request is for.
#[derive(Debug)]
pub(super) struct Errand {
    /// The destination's host.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// `host:port` of the proxy that it goes through.
    pub(super) proxy: Option<String>,
}

pub(super) fn refused() -> TransportError {
    TransportError::new(FailureKind::Refused, "link-local and cloud metadata addresses are not called")
}

impl Errand {
    /// The proxy wants a credential, or another one.
    pub(super) fn unwelcome(&self) -> TransportError {
        let proxy = self.proxy.as_deref().unwrap_or_default();
        let text = format!("the proxy {proxy} asks for a credential, or does not take this one (407)");
        TransportError::new(FailureKind::ProxyCredential, text)
    }

    pub(super) fn explained(&self, error: reqwest::Error) -> TransportError {
        let error = error.without_url();
        let explained = if find::<RefusedAddress>(&error).is_some() {
            refused()
        } else if error.is_timeout() {
            let host = &self.host;
            TransportError::new(FailureKind::Timeout, format!("no answer from {host} in time"))
        } else if let Some(tls) = find::<rustls::Error>(&error) {
            self.mistrusted(tls)
        } else if let Some(proxy) = &self.proxy
            && let Some(explained) = self.by_proxy(proxy, &error)
        {
            explained
        } else {
            self.unreached(&error)
        };
        explained.caused_by(error)
    }

    /// The proxy cannot be had, or does not do as it is asked.
    fn by_proxy(&self, proxy: &str, error: &reqwest::Error) -> Option<TransportError> {
        let host = &self.host;
        let tunnel = words(error, TUNNEL);
        let is_resolved = find::<Unresolved>(error).is_none();
        Some(match tunnel.as_deref() {
            Some(TUNNEL_UNWELCOME) => self.unwelcome(),
            Some(TUNNEL_REFUSED) => TransportError::new(
                FailureKind::ProxyRefuses,
                format!("the proxy {proxy} does not let a connection to {host} through"),
            ),
            _ if !error.is_connect() => return None,
            _ if !is_resolved => TransportError::new(
                FailureKind::ProxyConnect,
                format!("the host name of the proxy {proxy} cannot be resolved"),
            ),
            _ => {
                let cause = io_words(error).map(|cause| format!(": {cause}")).unwrap_or_default();
                let text = format!("cannot connect to the proxy {proxy}{cause}");
                TransportError::new(FailureKind::ProxyConnect, text)
            }
        })
    }

    /// There is no connection, or not for long enough.
    fn unreached(&self, error: &reqwest::Error) -> TransportError {
        let Self { host, port, .. } = self;
        let (kind, what) = if let Some(unresolved) = find::<Unresolved>(error) {
            // The system's error has no kind of its own, and would only be called uncategorized.
            let text = format!("the host name {host} cannot be resolved{}", unresolved.why());
            return TransportError::new(FailureKind::Resolve, text);
        } else if error.is_connect() {
            (FailureKind::Connect, format!("cannot connect to {host}:{port}"))
        } else {
            let what = format!("the connection to {host} ended before the whole answer was there");
            (FailureKind::Broken, what)
        };
        match io_words(error) {
            Some(cause) => TransportError::new(kind, format!("{what}: {cause}")),
            None => TransportError::new(kind, what),
        }
    }

    /// One side does not trust the other.
    fn mistrusted(&self, error: &rustls::Error) -> TransportError {
        use CertificateError as Bad;
        let Self { host, port, .. } = self;
        let (kind, text) = match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => (FailureKind::NotTls, format!("what listens at {host}:{port} does not speak TLS")),
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                (FailureKind::CertificateExpired, format!("the certificate of {host} has expired"))
            }
            rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
                (FailureKind::CertificateExpired, format!("the certificate of {host} is not valid yet"))
            }
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
                (FailureKind::CertificateName, format!("the certificate of {host} is for another name"))
            }
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => (
                FailureKind::CertificateUntrusted,
                format!("the certificate of {host} is self-signed, or of an authority that is not trusted"),
            ),
            rustls::Error::InvalidCertificate(other)
                if format!("{other:?}").contains("CaUsedAsEndEntity") =>
            {
                (
                    FailureKind::CertificateUnfit,
                    format!("the certificate of {host} is that of an authority, not of a server"),
                )
            }
            rustls::Error::AlertReceived(alert) if is_about_us(*alert) => (
                FailureKind::ClientCertificate,
                format!("{host} asks for a client certificate that it trusts: {alert:?}"),
            ),
            other => (FailureKind::Tls, format!("no trusted connection to {host}: {other}")),
        };
        TransportError::new(kind, text)
    }
}

/// Whether the other side complains about the certificate that it was shown, or was not.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
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

/// The words of the first cause that begins so.
fn words(error: &(dyn Error + 'static), beginning: &str) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.starts_with(beginning) {
            return Some(text);
        }
        next = error.source();
    }
    None
}

fn io_words(error: &(dyn Error + 'static)) -> Option<String> {
    find::<std::io::Error>(error).map(|error| error.kind().to_string())
}
