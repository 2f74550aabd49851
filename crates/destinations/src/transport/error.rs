//! Why a request brought no answer, in words that may be shown to anybody.

use std::error::Error;
use std::fmt;

/// Where a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The host's name has no address.
    Resolve,
    /// No connection: refused, unreachable.
    Connect,
    /// No trusted connection, for another reason than those below.
    Tls,
    /// What listens there does not speak TLS.
    NotTls,
    /// The server's certificate has expired, or is not valid yet.
    CertificateExpired,
    /// Nobody who is trusted vouches for the server's certificate.
    CertificateUntrusted,
    /// The server's certificate is for another name.
    CertificateName,
    /// The server's certificate is none for a server.
    CertificateUnfit,
    /// The server does not trust the client's certificate, or was shown none.
    ClientCertificate,
    /// No connection to the proxy.
    ProxyConnect,
    /// The proxy does not take the credential.
    ProxyCredential,
    /// The proxy does not connect to the destination.
    ProxyRefuses,
    /// It took too long.
    Timeout,
    /// The connection ended before the whole answer was there.
    Broken,
    /// idstream itself does not call this address.
    Refused,
}

/// A request without an answer. Its text names the host and its port at most: never a credential, a path or a query.
#[derive(Debug)]
pub struct TransportError {
    kind: FailureKind,
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// An error of this kind; `text` is public.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    /// The connection ended before the whole answer was there.
    pub fn broken(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Broken, text)
    }

    /// The same, with its cause, which must not hold a URL either.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Where the request failed.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What an operator can look at.
    pub const fn hint(&self) -> &'static str {
        match self.kind {
            FailureKind::Resolve => "check the host name, and the name servers of this machine",
            FailureKind::Connect => "check the port, and whether a firewall stands between",
            FailureKind::Tls => "check the certificate, the host name in it, and who issued it",
            FailureKind::NotTls => "use http:// for this port, or the port that speaks TLS",
            FailureKind::CertificateExpired => {
                "renew the destination's certificate, and check the clock of this machine"
            }
            FailureKind::CertificateUntrusted => {
                "put the certificate of its authority, or its own, into configuration.network.caCertificate"
            }
            FailureKind::CertificateName => {
                "use a host name in configuration.url that the certificate holds, or a certificate that holds this one"
            }
            FailureKind::CertificateUnfit => {
                "give the destination a certificate that an authority has signed, and that authority's to \
                 configuration.network.caCertificate"
            }
            FailureKind::ClientCertificate => {
                "check configuration.network.clientCertificate and clientKey, and whom the destination trusts"
            }
            FailureKind::ProxyConnect => "check configuration.network.proxy, and whether the proxy runs",
            FailureKind::ProxyCredential => "check configuration.network.proxyCredential",
            FailureKind::ProxyRefuses => {
                "check whether the proxy may and can reach the destination, or name its host in \
                 configuration.network.noProxy"
            }
            FailureKind::Timeout => {
                "check whether a firewall drops the connection, and how busy the other side is"
            }
            FailureKind::Broken => "check whether the other side or a proxy closes connections",
            FailureKind::Refused => {
                "use an address that is neither link-local nor a cloud's metadata service"
            }
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
