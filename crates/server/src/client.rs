//! A small client of idstream's own API, for `send` and `demo`.

use std::path::Path;
use std::sync::Arc;

use base::Secret;
use bytes::Bytes;
use destinations::transport::FailureKind;
use destinations::{Answer, Request, Route, Transport, TransportError};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

/// Calls one server with one token.
#[derive(Clone)]
pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    base: Url,
    token: HeaderValue,
    route: Arc<Route>,
}

/// Why a call did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The server was not reached, or did not answer.
    #[error("no answer from {0}")]
    Transport(String, #[source] TransportError),
    /// The server refused, and said why.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// What was called.
        url: String,
        /// The status.
        status: u16,
        /// In the server's words.
        detail: String,
    },
    /// The address or the token cannot be used.
    #[error("{0}")]
    Unfit(String),
}

impl ClientError {
    /// What to do about a failure that no waiting mends. `None` when the same call may succeed later.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        let Self::Transport(_, error) = self else { return None };
        match error.kind() {
            FailureKind::CertificateUntrusted => {
                Some("name the certificate of the server's authority, or its own, with --ca-file")
            }
            FailureKind::CertificateExpired => {
                Some("renew the server's certificate, and check the clock of this machine")
            }
            FailureKind::CertificateName => Some("call the server by a name that its certificate holds"),
            FailureKind::CertificateUnfit => Some(
                "give the server a certificate that an authority has signed, and name that authority's with --ca-file",
            ),
            FailureKind::ClientCertificate => {
                Some("use another address: what answers there asks for a client certificate")
            }
            FailureKind::Refused => Some(error.hint()),
            _ => None,
        }
    }
}

impl Client {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        mut base: Url,
        token: &Secret,
    ) -> Result<Self, ClientError> {
        // Paths are joined below the address, not beside its last part.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut token = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ClientError::Unfit("the token holds characters that no token has".to_owned()))?;
        token.set_sensitive(true);
        Ok(Self { transport, base, token, route: Arc::default() })
    }

    /// Trusts the authorities in this file (PEM), and no others.
    pub(crate) fn trusting(mut self, file: &Path) -> Result<Self, ClientError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            ClientError::Unfit(format!("cannot read certificates from {}: {error}", file.display()))
        })?;
        let route = Route::trusting(&text)
            .map_err(|error| ClientError::Unfit(format!("{error}: {}", file.display())))?;
        self.route = Arc::new(route);
        Ok(self)
    }

    /// Sends `body` as `content_type` and returns the answer whatever its status.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, ClientError> {
        self.call_with(method, path, content_type, body, None).await
    }

    /// The same, under an idempotency key.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
        key: Option<HeaderValue>,
    ) -> Result<Answer, ClientError> {
        let url = self.base.join(path).map_err(|error| ClientError::Unfit(error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.token.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(key.map(|key| (HeaderName::from_static("idempotency-key"), key)));
        let request =
            Request { url: url.clone(), method, headers, body: body.into(), route: Arc::clone(&self.route) };
        self.transport.send(request).await.map_err(|error| ClientError::Transport(url.into(), error))
    }

    /// A call with JSON both ways that must succeed.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<serde_json::Value, ClientError> {
        let body = body.map(serde_json::Value::to_string).unwrap_or_default();
        let answer = self.call(method, path, "application/json", body).await?;
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(path, &answer));
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The error that an answer tells.
    pub(crate) fn refused(&self, path: &str, answer: &Answer) -> ClientError {
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = problem.get("detail").and_then(serde_json::Value::as_str).map_or_else(
            || String::from_utf8_lossy(answer.body.get(..200).unwrap_or(&answer.body)).into_owned(),
            ToOwned::to_owned,
        );
        ClientError::Refused { url: url.into(), status: answer.status, detail }
    }
}
