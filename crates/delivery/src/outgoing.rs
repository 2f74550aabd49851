//! The last step out: a finished body becomes a request and is sent.

use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use destinations::{Answer, Destination, Transport, TransportError};

/// Sends `body`. Packing and signing keep no async thread from its work.
pub(crate) async fn send(
    destination: Arc<dyn Destination>,
    transport: Arc<dyn Transport>,
    body: Bytes,
    now: Timestamp,
) -> Result<Answer, TransportError> {
    let request = if destination.is_costly() {
        let made = tokio::task::spawn_blocking(move || destination.request(body, now)).await;
        made.map_err(|error| TransportError::broken("the request could not be made").caused_by(error))?
    } else {
        destination.request(body, now)
    };
    transport.send(request).await
}
