//! The last step out: a finished body becomes a request and is sent.

use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use destinations::{Answer, Destination, Request, Session, Transport, TransportError};
use tokio::time::Instant;

use crate::attempts::Sketch;

/// A request that went out, and what came of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// Where it went; `None` when it could not be made.
    pub(crate) request: Option<Sketch>,
    /// What came back.
    pub(crate) result: Result<Answer, TransportError>,
}

/// Sends `body` as one request of a session. Packing and signing keep no async thread from its work.
pub(crate) async fn send(
    destination: Arc<dyn Destination>,
    transport: Arc<dyn Transport>,
    body: Bytes,
    session: Session,
    now: Timestamp,
) -> Exchange {
    let sent = Instant::now();
    let request = match make(destination, body, session, now).await {
        Ok(request) => request,
        Err(error) => return Exchange { sent, request: None, result: Err(error) },
    };
    let sketch = Sketch::of(&request);
    Exchange { sent, request: Some(sketch), result: transport.send(request).await }
}

async fn make(
    destination: Arc<dyn Destination>,
    body: Bytes,
    session: Session,
    now: Timestamp,
) -> Result<Request, TransportError> {
    if destination.is_costly() {
        let made = tokio::task::spawn_blocking(move || destination.request(body, &session, now)).await;
        made.map_err(|error| TransportError::broken("the request could not be made").caused_by(error))
    } else {
        Ok(destination.request(body, &session, now))
    }
}
