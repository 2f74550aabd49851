//! Calls to servers that are not ours, by the transport that delivers: chunked answers, TLS with a private authority, no
//! redirects followed.

use std::sync::Arc;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method};
use bytes::Bytes;
use destinations::transport::HttpTransport;
use destinations::{Answer, Request, Route, Transport};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::Failure;

/// Characters of a refusal that are shown.
const SHOWN: usize = 600;

/// Where a server is, and who calls.
pub(super) struct Web {
    runtime: Runtime,
    transport: HttpTransport,
    route: Arc<Route>,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Web {
    /// Calls `base`, such as `http://127.0.0.1:45678`, without a credential.
    pub(super) fn new(base: &str) -> Result<Self, Failure> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            transport: HttpTransport::new()?,
            route: Arc::new(Route::default()),
            base: Url::parse(base)?,
            authorization: None,
        })
    }

    /// The answer, whatever its status.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let request = Request {
            url: self.base.join(path)?,
            method,
            headers,
            body: body.into(),
            route: Arc::clone(&self.route),
        };
        Ok(self.runtime.block_on(self.transport.send(request))?)
    }

    /// The text of an answer, which must be a 2xx.
    pub(super) fn text(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<String, Failure> {
        let answer = self.call(method.clone(), path, content_type, body)?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if (200..300).contains(&answer.status) {
            return Ok(text);
        }
        let said: String = text.chars().take(SHOWN).collect();
        Err(format!("{method} {path} was answered {}: {said}", answer.status).into())
    }

    /// The JSON of an answer, which must be a 2xx.
    pub(super) fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        Ok(serde_json::from_str(&self.text(method, path, "application/json", body)?)?)
    }

    /// The status of an answer to `GET`; `None` when there is no answer.
    pub(super) fn status(&self, path: &str) -> Option<u16> {
        Some(self.call(Method::GET, path, "text/plain", Bytes::new()).ok()?.status)
    }
}

/// One JSON value in each line.
pub(super) fn json_lines(text: &str) -> Result<Vec<Value>, Failure> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// A form with one field.
pub(super) fn form(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}
