//! A small client of idstream's own API, for the commands that call a server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use bytes::Bytes;
use destinations::transport::FailureKind;
use destinations::{Answer, Request, Route, Transport, TransportError};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

/// How often a call is made that the server has no room for.
const MAX_CALLS: u32 = 5;
/// How long to wait in between at most; the server's limits are of minutes.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Entries of one call for a list.
const PAGE: usize = 2000;

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
    /// It is no answer of idstream: a proxy before it, or another server.
    #[error(
        "{url} answered {status}, but not as idstream does: {text:?}; check that the address is that of an idstream server, \
         http:// or https:// as it speaks, and what a proxy before it refuses"
    )]
    Foreign {
        /// What was called.
        url: String,
        /// The status.
        status: u16,
        /// How the answer begins.
        text: String,
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
            FailureKind::Refused | FailureKind::NotTls => Some(error.hint()),
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

    /// A call with JSON both ways that must succeed. When the server asks to come again later, that is done.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<serde_json::Value, ClientError> {
        let body = Bytes::from(body.map(serde_json::Value::to_string).unwrap_or_default());
        let mut answer = self.call(method.clone(), path, "application/json", body.clone()).await?;
        for _ in 1..MAX_CALLS {
            let Some(wait) = answer.retry_after.filter(|_| answer.status == 429) else { break };
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            answer = self.call(method.clone(), path, "application/json", body.clone()).await?;
        }
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(path, &answer));
        }
        if answer.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|_| self.foreign(path, &answer))
    }

    /// All entries of a list, by name, page by page.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<serde_json::Value>, ClientError> {
        let mut all = Vec::new();
        loop {
            let number = all.len() / PAGE;
            let path = format!("{path}?sort=name&size={PAGE}&page={number}");
            let page = self.json(Method::GET, &path, None).await?;
            let content = page["content"].as_array().cloned().unwrap_or_default();
            let is_last = content.len() < PAGE;
            all.extend(content);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The error of an answer that idstream did not give.
    pub(crate) fn foreign(&self, path: &str, answer: &Answer) -> ClientError {
        ClientError::Foreign { url: self.url(path), status: answer.status, text: beginning(&answer.body) }
    }

    fn url(&self, path: &str) -> String {
        self.base.join(path).unwrap_or_else(|_| self.base.clone()).into()
    }

    /// The error that an answer tells.
    pub(crate) fn refused(&self, path: &str, answer: &Answer) -> ClientError {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = problem
            .get("detail")
            .and_then(serde_json::Value::as_str)
            .map_or_else(|| beginning(&answer.body), ToOwned::to_owned);
        ClientError::Refused { url: self.url(path), status: answer.status, detail }
    }
}

/// How a body begins that may be anything, fit for a terminal: up to 200 characters, without control characters.
fn beginning(body: &[u8]) -> String {
    // No character of UTF-8 is longer than 4 bytes.
    let text = String::from_utf8_lossy(body.get(..4 * 200).unwrap_or(body));
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use destinations::TransportError;
    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::*;

    /// Answers with these, one after another; `Some` are refusals with the seconds to wait.
    struct Script(Mutex<VecDeque<Option<u64>>>);

    #[async_trait::async_trait]
    impl Transport for Script {
        async fn send(&self, _request: Request) -> Result<Answer, TransportError> {
            let refused = self.0.lock().pop_front().flatten();
            Ok(Answer {
                status: if refused.is_some() { 429 } else { 200 },
                retry_after: refused.map(Duration::from_secs),
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"{}"),
            })
        }
    }

    async fn call(script: impl IntoIterator<Item = Option<u64>>) -> (bool, Duration) {
        let transport = Arc::new(Script(Mutex::new(script.into_iter().collect())));
        let base = "http://127.0.0.1:1/".parse().unwrap();
        let client = Client::new(transport, base, &Secret::new("t")).unwrap();
        let begun = Instant::now();
        (client.json(Method::GET, "x", None).await.is_ok(), begun.elapsed())
    }

    /// A list of so many entries.
    struct Long(usize);

    #[async_trait::async_trait]
    impl Transport for Long {
        async fn send(&self, request: Request) -> Result<Answer, TransportError> {
            let query: std::collections::HashMap<_, _> = request.url.query_pairs().into_owned().collect();
            let (page, size): (usize, usize) =
                (query["page"].parse().unwrap(), query["size"].parse().unwrap());
            let content: Vec<usize> = (0..self.0).skip(page * size).take(size).collect();
            let body = serde_json::json!({"content": content}).to_string().into();
            Ok(Answer { status: 200, retry_after: None, headers: HeaderMap::new(), body })
        }
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        for n in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7] {
            let base = "http://127.0.0.1:1/".parse().unwrap();
            let client = Client::new(Arc::new(Long(n)), base, &Secret::new("t")).unwrap();
            assert_eq!(client.list("x").await.unwrap().len(), n);
        }
    }

    #[test]
    fn what_another_server_answers_is_shown_short_and_harmless() {
        assert_eq!(beginning(b"<html>\r\n\x1b[31m<b>Bad\tGateway\x00"), "<html> [31m<b>Bad Gateway");
        assert_eq!(beginning("ü".repeat(500).as_bytes()), "ü".repeat(200));
        assert_eq!(beginning(b"\xff"), "\u{fffd}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_there_is_no_room_for_is_made_again_when_the_server_says() {
        assert_eq!(call([Some(1), Some(59), None]).await, (true, Duration::from_mins(1)));
        assert_eq!(call([Some(9999), None]).await, (true, LONGEST_WAIT), "nobody waits for hours");
        assert!(!call([Some(1); 5]).await.0, "it is not made for ever");
    }
}
