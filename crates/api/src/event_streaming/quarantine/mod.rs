//! The events that a configuration's destination will never take, or stumbles over: what there is, everything about one, and
//! giving some up. Additions to the contract.

mod discard;
mod parse;
mod show;

use std::time::Duration;

use base::EventId;
use catalog::CatalogError;
use delivery::quarantined::QuarantineError;
use delivery::{Configuration, LookError, Sought};
use http::StatusCode;
use journal::Offset;

pub(crate) use self::discard::discard;
pub(super) use self::discard::forget;
use self::parse::Listing;
pub(super) use self::parse::{events, filter};
use self::show::{DocumentOut, FullOut, ListOut};
use super::{ENTITY, find};
use crate::call::{self, Answer, Call};
use crate::error::{ApiError, ErrorKey};
use crate::state::ApiState;

/// When to ask again while the stream is being read.
const AGAIN: Duration = Duration::from_secs(2);

/// What there is.
pub(crate) async fn list(call: Call) -> Answer {
    check(&call.state, call.id())?;
    let Listing { filter, order, after, size } = parse::listing(&call.query())?;
    let quarantined = call.state.delivery.quarantined();
    let listed = quarantined.list(call.id(), &filter, order, after, size).await.map_err(untold)?;
    call::json(StatusCode::OK, &ListOut::of(listed, &call.state.instance))
}

/// Everything about one event.
pub(crate) async fn inspect(call: Call) -> Answer {
    let configuration = find(&call.state.catalog, call.id())?.value;
    let event = EventId::parse(call.last_of_path()).map_err(|_| unknown())?;
    let quarantined = call.state.delivery.quarantined();
    let full = quarantined.find(call.id(), event).await.map_err(untold)?.ok_or_else(unknown)?;
    let place = parse::offset(&full.entry.journal_offset);
    let document = match place {
        Some(place) => document(&call.state, &configuration, place, &full.original).await,
        None => DocumentOut::none("where the original lay cannot be told"),
    };
    call::json(StatusCode::OK, &FullOut::of(full, document, &call.state.instance))
}

/// The request that the destination would get now. That there is none hides nothing else.
async fn document(
    state: &ApiState,
    configuration: &Configuration,
    place: Offset,
    original: &[u8],
) -> DocumentOut {
    let sought = Sought::Record(place, original.to_vec());
    match state.delivery.preview(configuration, sought).await {
        Ok(found) => match found.requests.into_iter().next() {
            Some(preview) => DocumentOut::of(&preview),
            None => DocumentOut::none("the copy cannot be read"),
        },
        Err(LookError::Busy) => {
            DocumentOut::none("other events are being looked at: ask again in a few seconds")
        }
        Err(_) => DocumentOut::none("the configuration's settings cannot be used now"),
    }
}

/// Whether there is such a configuration, be it one that cannot be read.
fn check(state: &ApiState, id: &str) -> Result<(), ApiError> {
    match state.catalog.revision::<Configuration>(id) {
        Ok(_) | Err(CatalogError::Damaged { .. }) => Ok(()),
        Err(error) => Err(ApiError::from(error).about(ENTITY)),
    }
}

fn unknown() -> ApiError {
    let detail = "the event is not in this configuration's quarantine, or not any more: retention or an erasure has removed \
                  its copy";
    ApiError::new(ErrorKey::NotFound, detail).about(ENTITY)
}

pub(super) fn untold(error: QuarantineError) -> ApiError {
    let detail = match &error {
        QuarantineError::BeingRead { .. } => format!("{error}: ask again"),
        QuarantineError::Journal(_) => {
            "the quarantine stream cannot be read, or no change of it be stored".to_owned()
        }
        QuarantineError::Keep(_) => "what becomes of entries cannot be stored now: try again".to_owned(),
    };
    let told = ApiError::new(ErrorKey::Unavailable, detail).about(ENTITY).retry_after(AGAIN);
    if matches!(error, QuarantineError::BeingRead { .. }) { told } else { told.caused_by(error) }
}
