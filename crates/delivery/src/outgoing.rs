//! The last step out: a finished body becomes a request and is sent.

use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use destinations::{Answer, Destination, Session, Transport, TransportError};
use tokio::time::Instant;

/// A request that went out, and what came of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When it was sent.
    pub(crate) sent: Instant,
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
    let result = try_to_send(destination, transport, body, session, now).await;
    Exchange { sent, result }
}

async fn try_to_send(
    destination: Arc<dyn Destination>,
    transport: Arc<dyn Transport>,
    body: Bytes,
    session: Session,
    now: Timestamp,
) -> Result<Answer, TransportError> {
    let request = if destination.is_costly() {
        let made = tokio::task::spawn_blocking(move || destination.request(body, &session, now)).await;
        made.map_err(|error| TransportError::broken("the request could not be made").caused_by(error))?
    } else {
        destination.request(body, &session, now)
    };
    transport.send(request).await
}
