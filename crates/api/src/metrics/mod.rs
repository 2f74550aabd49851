//! `GET /metrics`: everything that idstream counts, in the text format of Prometheus. Each name stands in docs/METRICS.md.
//!
//! Nothing is counted for it on the way of an event but in atomic numbers; all else is read when somebody asks.

mod counts;
mod families;
mod process;
mod sample;

use axum::response::IntoResponse;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

pub(crate) use self::counts::Counts;
use self::sample::encode;
use crate::call::{Answer, Call};
use crate::error::ApiError;

/// All of it.
pub(crate) async fn metrics(call: Call) -> Answer {
    let state = &call.state;
    let reports = state.delivery.reports().await.map_err(ApiError::internal)?;
    let mut families = families::instance(state);
    families.extend(families::intake(state.counts()));
    families.extend(families::sources(state));
    families.extend(families::streaming(&reports, state.clock.now()));
    // A few small files of the system's, which come from memory.
    let facts = tokio::task::spawn_blocking(process::facts).await.map_err(ApiError::internal)?;
    families.extend(families::process(&facts));
    let text = encode(families).map_err(ApiError::internal)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}
