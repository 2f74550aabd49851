//! Real receivers behind TLS and proxies, and a sender that is configured to reach them.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{Secret, Timestamp};
use bytes::Bytes;
use destinations::transport::HttpTransport;
use destinations::{Answer, Destination, Secrets, Session, Settings, Transport, TransportError, Vendor};
use event::native::{Instance, Selection};
use event::{Record, Stream};
use receiver::{Options, Receiver};
use serde_json::{Value, json};
use testkit::proxy::{ForwardProxy, ProxyOptions};
use testkit::tls::{Authority, Certified, TlsDoor};

use crate::material::{TOKEN, record};

/// What a collector's stand-in takes is counted there.
pub(crate) async fn receiver() -> Receiver {
    let options = Options { token: Some(TOKEN.to_owned()), check: true, ..Options::default() };
    Receiver::start(options).await.unwrap()
}

/// A receiver that speaks TLS, known to be `localhost` by an authority of its own.
pub(crate) struct Secured {
    pub(crate) authority: Authority,
    pub(crate) receiver: Receiver,
    pub(crate) door: TlsDoor,
}

impl Secured {
    pub(crate) async fn new() -> Self {
        let authority = Authority::new("private").unwrap();
        let shown = authority.certify(&["localhost", "collector.intern"]).unwrap();
        let receiver = receiver().await;
        let door = TlsDoor::open(receiver.address(), &shown, None).await.unwrap();
        Self { authority, receiver, door }
    }

    /// Its address under a name.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("https://{name}:{}", self.door.address().port())
    }
}

/// A door that shows `shown`, in front of a fresh receiver.
pub(crate) async fn door(shown: &Certified, asks: Option<&Authority>) -> (Receiver, TlsDoor) {
    let receiver = receiver().await;
    let door = TlsDoor::open(receiver.address(), shown, asks).await.unwrap();
    (receiver, door)
}

pub(crate) fn localhost(door: SocketAddr) -> String {
    format!("https://localhost:{}", door.port())
}

pub(crate) async fn proxy(options: ProxyOptions) -> ForwardProxy {
    ForwardProxy::start(options).await.unwrap()
}

/// A destination of this configuration, its secrets among it.
pub(crate) fn configured(vendor: Vendor, configuration: &Value) -> Arc<dyn Destination> {
    let instance = Instance {
        name: "Example".to_owned(),
        domain: "id.example".to_owned(),
        environment: "test".to_owned(),
        public_url: Some("https://console.example".to_owned()),
    };
    let secrets = Secrets::parse(configuration).unwrap();
    let settings = Settings::parse(vendor, configuration).unwrap();
    settings.build(&secrets, &instance, Selection::default()).unwrap()
}

/// A collector at `url`, reached as `network` says.
pub(crate) fn collector(url: &str, network: Value) -> Arc<dyn Destination> {
    configured(Vendor::Splunk, &json!({"url": url, "apiKey": TOKEN, "network": network}))
}

/// Sends one event.
pub(crate) async fn send(destination: &dyn Destination) -> Result<Answer, TransportError> {
    send_by(&HttpTransport::new().unwrap(), destination).await
}

pub(crate) async fn send_by(
    transport: &HttpTransport,
    destination: &dyn Destination,
) -> Result<Answer, TransportError> {
    transport.send(destination.request(body(destination), &Session::default(), now())).await
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T12:00:02Z").unwrap()
}

/// A finished body of one event.
pub(crate) fn body(destination: &dyn Destination) -> Bytes {
    let frame = destination.frame();
    let mut body = frame.open.as_bytes().to_vec();
    let bytes = record(Stream::AccountEvent);
    destination.encode(&Record::parse(&bytes).unwrap(), Some((7, 0)), false, &mut body);
    body.extend_from_slice(frame.close.as_bytes());
    body.into()
}

/// Why a request fails and what to look at; it must not tell a secret.
pub(crate) async fn failure(destination: &dyn Destination) -> String {
    let error = send(destination).await.unwrap_err();
    let shown = format!("{error:?}");
    for secret in ["CANARY", TOKEN, &Secret::new(TOKEN).expose().to_uppercase()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    format!("{error} ({})", error.hint())
}
