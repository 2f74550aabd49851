//! Reads bodies: within a limit for each request, decompressed within another, and all together within a budget.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, ErrorKey};
use crate::inflate::{Encoding, InflateError, inflate};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);
/// Memory that is set aside on the word of a `Content-Length` alone.
const MAX_TRUSTED_LENGTH: usize = 1 << 20;

/// Bytes that all requests together may hold.
#[derive(Clone)]
pub(crate) struct Budget {
    left: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = bytes.min(Semaphore::MAX_PERMITS);
        Self { left: Arc::new(Semaphore::new(total)), total }
    }
}

/// A part of the budget. Given back when dropped.
struct Share {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    const fn none(budget: Budget) -> Self {
        Self { budget, permit: None }
    }

    /// Makes the share at least `bytes` large. A request that needs more than there is at all takes all of it: it passes
    /// when it is alone.
    fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.min(self.budget.total);
        let Some(more) = wanted.checked_sub(held).filter(|more| *more > 0) else { return Ok(()) };
        let permit = u32::try_from(more)
            .ok()
            .and_then(|more| Arc::clone(&self.budget.left).try_acquire_many_owned(more).ok())
            .ok_or_else(|| {
                ApiError::new(ErrorKey::Busy, "too many requests are under way; send the same request again")
                    .retry_after(Duration::from_secs(1))
            })?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

/// A body in memory, and the part of the budget that it takes.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    share: Share,
}

/// How much of a body is taken, and what it costs.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes as sent.
    pub(crate) max_body: usize,
    /// Bytes decompressed.
    pub(crate) max_inflated: usize,
    /// Bytes that are needed beside a body of so many, for what is made of it.
    pub(crate) beside: fn(usize) -> usize,
}

/// Reads a whole body. There is room for it, and for what is made of it, before it is in memory.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: Limits,
    budget: &Budget,
) -> Result<Held, ApiError> {
    let encoding = encoding(headers)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let Limits { max_body, max_inflated, beside } = limits;
    if length.is_some_and(|length: usize| length > max_body) {
        return Err(too_large(max_body, ""));
    }
    let beside_sent = if encoding == Encoding::Identity { beside } else { |_| 0 };
    let limits = Limits { beside: beside_sent, ..limits };
    let collected = collect(body, length.unwrap_or(0), limits, Share::none(budget.clone()));
    let held = tokio::time::timeout(BODY_TIMEOUT, collected).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs());
        ApiError::new(ErrorKey::RequestTimeout, detail)
    })??;
    if encoding == Encoding::Identity {
        return Ok(held);
    }
    // Away from the async threads: a small body can be much work.
    let decompressed = tokio::task::spawn_blocking(move || decompress(encoding, held, max_inflated, beside));
    decompressed.await.map_err(ApiError::internal)?
}

async fn collect(body: Body, length: usize, limits: Limits, mut share: Share) -> Result<Held, ApiError> {
    let Limits { max_body: max, beside, .. } = limits;
    let mut frames = body.into_data_stream();
    let mut first = Bytes::new();
    let mut joined: Vec<u8> = Vec::new();
    while let Some(frame) = frames.next().await {
        let frame =
            frame.map_err(|_| ApiError::new(ErrorKey::MalformedBody, "the body ended before its end"))?;
        let n_read = first.len().max(joined.len()) + frame.len();
        if n_read > max {
            return Err(too_large(max, ""));
        }
        if first.is_empty() {
            share.grow_to(n_read + beside(n_read))?;
            first = frame;
            continue;
        }
        if n_read > joined.capacity() {
            // Doubles as a vector would, but never beyond the limit; the frame is held beside it for a moment.
            let capacity = length.min(MAX_TRUSTED_LENGTH).max(joined.capacity() * 2).clamp(n_read, max);
            share.grow_to(capacity + frame.len())?;
            joined.reserve_exact(capacity - joined.len());
        }
        share.grow_to(joined.capacity() + beside(n_read))?;
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&frame);
    }
    let bytes = if joined.is_empty() { first } else { joined.into() };
    Ok(Held { bytes, share })
}

fn decompress(
    encoding: Encoding,
    held: Held,
    max: usize,
    beside: fn(usize) -> usize,
) -> Result<Held, ApiError> {
    let Held { bytes, mut share } = held;
    // Both are in memory until the whole is decompressed.
    let n_compressed = bytes.len();
    let inflated =
        inflate(encoding, &bytes, max, |n_bytes| share.grow_to(n_compressed + n_bytes)).map_err(|error| {
            match error {
                InflateError::TooLarge => too_large(max, " decompressed"),
                InflateError::Damaged(cause) => ApiError::new(
                    ErrorKey::MalformedBody,
                    format!("the body is not well-formed {}", encoding.name()),
                )
                .caused_by(cause),
                InflateError::Refused(refused) => refused,
            }
        })?;
    share.grow_to(inflated.capacity() + beside(inflated.len()))?;
    Ok(Held { bytes: inflated.into(), share })
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Encoding::Identity) };
    let named = value.to_str().ok().and_then(Encoding::from_name).filter(|_| values.next().is_none());
    named.ok_or_else(|| {
        ApiError::new(ErrorKey::UnsupportedEncoding, "Content-Encoding must be gzip, zstd or identity, once")
            .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, identity"))
    })
}

/// Fails unless `given`, without its parameters, is one of the content types in `taken`.
pub(crate) fn expect_type(given: &str, taken: &[&'static str]) -> Result<(), ApiError> {
    let essence = given.split(';').next().unwrap_or_default().trim();
    if taken.iter().any(|each| essence.eq_ignore_ascii_case(each)) {
        return Ok(());
    }
    let list = taken.join(", ");
    let error = ApiError::new(ErrorKey::UnsupportedMediaType, format!("Content-Type must be one of: {list}"));
    Err(match HeaderValue::from_str(&list) {
        Ok(list) => error.with_header(ACCEPT, list),
        Err(_) => error,
    })
}

fn too_large(max: usize, how: &str) -> ApiError {
    ApiError::new(ErrorKey::BodyTooLarge, format!("the body has more than {max} bytes{how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back_and_never_exceeds_the_budget() {
        let budget = Budget::new(10);
        let mut one = Share::none(budget.clone());
        one.grow_to(6).unwrap();
        one.grow_to(4).unwrap();
        let mut two = Share::none(budget.clone());
        two.grow_to(4).unwrap();
        assert!(two.grow_to(5).is_err());
        drop(one);
        two.grow_to(10).unwrap();
        drop(two);
        // More than there is: all of it, when nobody else holds any.
        let mut large = Share::none(budget.clone());
        large.grow_to(1_000).unwrap();
        assert!(Share::none(budget.clone()).grow_to(1).is_err());
        drop(large);
        let mut small = Share::none(budget.clone());
        small.grow_to(1).unwrap();
        assert!(Share::none(budget).grow_to(1_000).is_err());
    }

    /// What a request holds of a budget of `total` bytes, once its body is read.
    async fn held(headers: &HeaderMap, body: &[u8], total: usize, beside: fn(usize) -> usize) -> usize {
        let budget = Budget::new(total);
        let frames: Vec<Result<Bytes, std::io::Error>> =
            body.chunks(1_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let body = Body::from_stream(futures::stream::iter(frames));
        let limits = Limits { max_body: total, max_inflated: total, beside };
        let _held = read(headers, body, limits, &budget).await.unwrap();
        total - budget.left.available_permits()
    }

    #[tokio::test]
    async fn a_request_is_charged_for_its_body_in_both_forms_and_for_what_is_made_of_it() {
        const TOTAL: usize = 10 << 20;
        let numbers = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 8);
        let text: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
        let plain = HeaderMap::new();
        let body_only = held(&plain, &text, TOTAL, |_| 0).await;
        assert!((text.len()..3 * text.len()).contains(&body_only), "{body_only}");
        let taken = held(&plain, &text, TOTAL, |bytes| 3 * bytes).await;
        assert!(taken >= 4 * text.len(), "{taken}");

        let packed = zstd::encode_all(&text[..], 1).unwrap();
        let zstd = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("zstd"))]);
        let taken = held(&zstd, &packed, TOTAL, |_| 0).await;
        assert!(taken >= packed.len() + text.len(), "{taken} for {} and {}", packed.len(), text.len());
        let taken = held(&zstd, &packed, TOTAL, |bytes| 3 * bytes).await;
        assert!(taken >= 4 * text.len(), "{taken}");
    }

    #[test]
    fn content_types_are_compared_without_case_and_parameters() {
        for given in ["application/json", "Application/JSON; charset=utf-8", " application/json ;x"] {
            assert!(expect_type(given, &["application/json"]).is_ok(), "{given}");
        }
        for given in ["", "text/plain", "application/json, text/plain", "application/jsonp"] {
            assert!(expect_type(given, &["application/json"]).is_err(), "{given}");
        }
    }
}
