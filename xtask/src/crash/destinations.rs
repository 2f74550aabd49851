//! The destinations: one of each kind, in this process, so that they outlive every server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use receiver::{OnEvent, Options, Receiver};
use serde_json::json;

use super::arrivals::Arrivals;
use crate::Failure;
use crate::http::request;
use crate::process::{STREAMING, Server, text_field};

/// From taking to storing, at the collector that acknowledges.
const ACKNOWLEDGES_AFTER: Duration = Duration::from_millis(200);
/// Cursors are saved each second; between a delivery and its settling lie its request's answer, the rest of its block, and a
/// checkpoint's sync, on a machine that is busy: a second more.
const WINDOW: Duration = Duration::from_secs(2);
/// Before it is settled, an event also waits for its acknowledgement: it is stored, and asked for each second.
const WINDOW_ACKNOWLEDGED: Duration = Duration::from_millis(3_200);

/// What is promised of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    vendor: &'static str,
    acknowledges: bool,
    /// An event that came longer before a kill than this does not come again; `None`: what comes again is refused.
    pub(super) window: Option<Duration>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "Splunk", vendor: "splunk", acknowledges: false, window: Some(WINDOW) },
    Kind {
        name: "Splunk with acknowledgement",
        vendor: "splunk",
        acknowledges: true,
        window: Some(WINDOW_ACKNOWLEDGED),
    },
    Kind { name: "Elasticsearch", vendor: "elasticsearch", acknowledges: false, window: None },
    Kind { name: "HTTPS", vendor: "https", acknowledges: false, window: Some(WINDOW) },
];

/// The running receivers, and what each has taken.
pub(super) struct Destinations(Vec<(Kind, Receiver, Arc<Arrivals>)>);

impl Destinations {
    /// Starts all of them, on the current runtime.
    pub(super) async fn start(start: Instant) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for kind in KINDS {
            let arrivals = Arc::new(Arrivals::new(start));
            let notes = Arc::clone(&arrivals);
            let on_event: OnEvent = Arc::new(move |bytes| notes.note(bytes));
            let options = Options {
                on_event: Some(on_event),
                acknowledges_after: kind.acknowledges.then_some(ACKNOWLEDGES_AFTER),
                ..Options::default()
            };
            all.push((kind, Receiver::start(options).await?, arrivals));
        }
        Ok(Self(all))
    }

    /// Creates a configuration for each; their ids.
    pub(super) fn configure(&self, server: &Server) -> Result<Vec<String>, Failure> {
        self.0.iter().map(|(kind, receiver, _)| configure(server, *kind, receiver)).collect()
    }

    /// What each has taken.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = (Kind, &Arrivals)> {
        self.0.iter().map(|(kind, _, arrivals)| (*kind, &**arrivals))
    }
}

fn configure(server: &Server, kind: Kind, receiver: &Receiver) -> Result<String, Failure> {
    let mut configuration =
        json!({"url": format!("http://{}", receiver.address()), "apiKey": "crash-credential"});
    if kind.vendor == "https"
        && let Some(fields) = configuration.as_object_mut()
    {
        fields.insert("headerName".to_owned(), json!("X-Key"));
    }
    let body = json!({
        "name": kind.name,
        "type": kind.vendor,
        "configuration": configuration,
        "accountEventStreaming": {"enabled": true, "nativeClaims": []},
        "auditLogStreaming": {"enabled": false},
        "eventHookLogStreaming": {"enabled": false},
    });
    let made = server.call(&request(
        "POST",
        STREAMING,
        server.token(),
        "application/json",
        body.to_string().as_bytes(),
    ))?;
    text_field(&made, "id")
}
