//! The way in for API clients: `POST /intake/v1/events`.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use intake::{Posted, ProducerIdentity};
use tokio::time::Instant;

use crate::body;
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};

const LINES: &str = "application/x-ndjson";
const TYPES: [&str; 2] = ["application/json", LINES];
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Takes one event, an array or lines. Answers what became of each, when all that is accepted is durable.
pub(crate) async fn post(call: Call) -> Answer {
    let state = call.state.clone();
    let answer = take(call).await;
    if let Err(error) = &answer {
        state.counts().refused(error.key());
    }
    answer
}

async fn take(mut call: Call) -> Answer {
    if let Some(given) = call.parts.headers.get(CONTENT_TYPE) {
        body::expect_type(given.to_str().unwrap_or_default(), &TYPES)?;
    }
    let are_lines = call.header(CONTENT_TYPE).is_some_and(|given| body::expect_type(given, &[LINES]).is_ok());
    let key = idempotency_key(&call)?;
    call.state.check_room()?;
    let held = call.events().await?;
    let producer = ProducerIdentity {
        id: format!("client:{}", call.who.id),
        source: std::mem::take(&mut call.who.name),
    };
    let posted = Posted { body: &held.bytes, are_lines, idempotency_key: key.as_deref() };
    let begun = Instant::now();
    let receipts = call.state.intake.accept(&producer, posted).await;
    call.state.counts().worked(held.bytes.len(), begun.elapsed());
    let receipts = receipts?;
    call.state.counts().receipts(&receipts);
    if receipts.accepted.is_empty() && !receipts.rejected.is_empty() {
        let detail = format!("none of {} events was accepted: see rejected", receipts.rejected.len());
        return Err(ApiError::new(ErrorKey::NoEventAccepted, detail).with_receipts(receipts));
    }
    call::json(StatusCode::OK, &receipts)
}

fn idempotency_key(call: &Call) -> Result<Option<String>, ApiError> {
    let mut values = call.parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_fit = |text: &&str| (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let key = value.to_str().ok().filter(is_fit).filter(|_| values.next().is_none());
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = "Idempotency-Key must be 1 to 255 visible ASCII characters, once";
        ApiError::new(ErrorKey::IdempotencyKeyInvalid, detail)
    })
}
