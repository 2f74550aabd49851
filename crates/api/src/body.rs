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
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
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

    /// Makes the share at least `bytes` large.
    fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = bytes.checked_sub(held).filter(|more| *more > 0) else { return Ok(()) };
        let permit = u32::try_from(more)
            .ok()
            .and_then(|more| Arc::clone(&self.budget.0).try_acquire_many_owned(more).ok())
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

/// Reads a whole body: at most `max_body` bytes as sent, at most `max_inflated` decompressed.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    max_body: usize,
    max_inflated: usize,
    budget: &Budget,
) -> Result<Held, ApiError> {
    let encoding = encoding(headers)?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > max_body) {
        return Err(too_large(max_body, ""));
    }
    let collected = collect(body, length.unwrap_or(0), max_body, Share::none(budget.clone()));
    let held = tokio::time::timeout(BODY_TIMEOUT, collected).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs());
        ApiError::new(ErrorKey::RequestTimeout, detail)
    })??;
    if encoding == Encoding::Identity {
        return Ok(held);
    }
    // Away from the async threads: a small body can be much work.
    tokio::task::spawn_blocking(move || decompress(encoding, held, max_inflated))
        .await
        .map_err(ApiError::internal)?
}

async fn collect(body: Body, length: usize, max: usize, mut share: Share) -> Result<Held, ApiError> {
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
        share.grow_to(n_read)?;
        if first.is_empty() {
            first = frame;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(length.min(MAX_TRUSTED_LENGTH).max(n_read));
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&frame);
    }
    let bytes = if joined.is_empty() { first } else { joined.into() };
    Ok(Held { bytes, share })
}

fn decompress(encoding: Encoding, held: Held, max: usize) -> Result<Held, ApiError> {
    let Held { bytes, mut share } = held;
    let inflated =
        inflate(encoding, &bytes, max, |n_bytes| share.grow_to(n_bytes)).map_err(|error| match error {
            InflateError::TooLarge => too_large(max, " decompressed"),
            InflateError::Damaged(cause) => ApiError::new(
                ErrorKey::MalformedBody,
                format!("the body is not well-formed {}", encoding.name()),
            )
            .caused_by(cause),
            InflateError::Refused(refused) => refused,
        })?;
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
