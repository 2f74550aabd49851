//! The limits around the router: which calls they are for, and what the answers say of them.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Refused, Verdict};
use crate::audit::Peer;
use crate::console;
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;

/// The contract's names.
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What is limited: the admin API, access tokens and pages. The intake has a budget of its own.
const LIMITED: [&str; 3] = ["/admin/", "/oauth2/", "/console/"];

/// Whether the limits are for calls of this path.
fn is_limited(path: &str) -> bool {
    LIMITED.iter().any(|prefix| path.starts_with(prefix))
}

/// Takes a call or refuses it, before anything is known about it but where it comes from.
pub(crate) async fn limit(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !is_limited(path) {
        return next.run(request).await;
    }
    let address = request.extensions().get::<Peer>().map(|peer| peer.0);
    let verdict = state.limiter().take(address, state.clock.now());
    let mut response = match verdict.refused {
        Some(refused) => console::refused(refusal(refused), &request),
        None => next.run(request).await,
    };
    tell(&verdict, response.headers_mut());
    response
}

fn refusal(refused: Refused) -> ApiError {
    let Refused { quota, is_by_address, wait } = refused;
    let span = if quota.period < Duration::from_mins(1) { "second" } else { "minute" };
    let whose = if is_by_address { "one address" } else { "all addresses together" };
    let most = quota.most;
    let detail =
        format!("more than {most} calls in one {span} from {whose}: nothing was done, send it again later");
    ApiError::new(ErrorKey::TooManyRequests, detail).retry_after(Duration::from_secs(wait))
}

/// Each header once for every bucket, in one order: the first of each belong together.
fn tell(verdict: &Verdict, headers: &mut HeaderMap) {
    for bucket in &verdict.buckets {
        let (most, seconds) = (bucket.quota.most, bucket.quota.period.as_secs());
        if let Ok(limit) = HeaderValue::from_str(&format!("{most}, {most};w={seconds}")) {
            headers.append(LIMIT, limit);
            headers.append(REMAINING, HeaderValue::from(bucket.remaining));
            headers.append(RESET, HeaderValue::from(bucket.reset));
        }
    }
}
