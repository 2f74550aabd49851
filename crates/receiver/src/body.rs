//! Bodies: reading a request's whole, unpacking it, and sending an answer's whole or half.

use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use hyper::body::{Body, Frame, SizeHint};

/// Why a body could not be had.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// The gzip stream is damaged.
    NotGzip,
    /// The connection ended.
    Lost(io::Error),
}

/// The whole body, at most `limit` bytes.
pub(crate) async fn whole<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
{
    let mut body = pin!(body);
    // A body that comes in one piece is not copied.
    let mut only: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|error| BodyError::Lost(io::Error::other(error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if only.as_ref().map_or(all.len(), Bytes::len) + data.len() > limit {
            return Err(BodyError::TooLarge);
        }
        if all.is_empty() && only.is_none() {
            only = Some(data);
            continue;
        }
        if let Some(first) = only.take() {
            let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            all.reserve(first.len() + data.len() + expected.min(limit));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(only.unwrap_or_else(|| all.freeze()))
}

/// The unpacked body, at most `limit` bytes.
pub(crate) fn gunzip(packed: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let mut unpacked = Vec::new();
    let more_than_limit = limit as u64 + 1;
    MultiGzDecoder::new(packed)
        .take(more_than_limit)
        .read_to_end(&mut unpacked)
        .map_err(|_| BodyError::NotGzip)?;
    if unpacked.len() > limit { Err(BodyError::TooLarge) } else { Ok(unpacked.into()) }
}

/// An answer's body: whole, or announced whole and broken off.
#[derive(Debug)]
pub(crate) struct Reply {
    left: Bytes,
    announced: u64,
    breaks_off: bool,
}

impl Reply {
    pub(crate) fn new(body: impl Into<Bytes>) -> Self {
        let left = body.into();
        Self { announced: left.len() as u64, left, breaks_off: false }
    }

    /// The same body, of which only the first half is sent before the connection is closed.
    pub(crate) fn broken_off(body: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(body);
        reply.left.truncate(reply.left.len() / 2);
        reply.breaks_off = true;
        reply
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = std::mem::take(&mut self.left);
        if !next.is_empty() {
            self.announced = self.announced.saturating_sub(next.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(next))));
        }
        let broken = std::mem::take(&mut self.breaks_off);
        Poll::Ready(broken.then(|| Err(io::Error::other("broken off as told"))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.breaks_off
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
