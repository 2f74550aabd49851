//! The one way out: a request goes in, an answer or the reason why there is none comes back.

mod error;
mod http;
mod retry_after;

use async_trait::async_trait;

pub use self::error::{FailureKind, TransportError};
pub use self::http::HttpTransport;
use crate::seam::{Answer, Request};

/// Carries requests to destinations. [`HttpTransport`] in production, a simulated network in tests.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and waits for the whole answer, whatever its status. An error proves nothing about what the
    /// other side did with the request. Dropping the future gives the request up.
    async fn send(&self, request: Request) -> Result<Answer, TransportError>;
}
