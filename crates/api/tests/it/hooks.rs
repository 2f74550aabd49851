//! A network in which one host is a webhook of ours: what is posted there is kept, everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use destinations::{Answer, Request, Transport, TransportError};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;
use testkit::net::SimNet;

/// The host that is kept.
const HOST: &str = "hook.example.com";

/// What was posted to it.
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

pub(crate) struct Hooks {
    net: Arc<SimNet>,
    status: AtomicU16,
    got: Mutex<Vec<Got>>,
}

impl Hooks {
    pub(crate) fn new(net: Arc<SimNet>) -> Self {
        Self { net, status: AtomicU16::new(200), got: Mutex::default() }
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What has come since the last time.
    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut *self.got.lock())
    }
}

#[async_trait]
impl Transport for Hooks {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        if request.url.host_str() != Some(HOST) {
            return self.net.send(request).await;
        }
        let (path, headers) = (request.url.path().to_owned(), request.headers);
        self.got.lock().push(Got { path, headers, body: request.body });
        let status = self.status.load(Ordering::SeqCst);
        Ok(Answer { status, retry_after: None, headers: HeaderMap::new(), body: Bytes::from("what it says") })
    }
}
