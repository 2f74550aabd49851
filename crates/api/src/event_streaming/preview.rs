//! The exact request that a configuration would send for a stored event. An addition to the contract.

use std::collections::BTreeMap;

use base::EventId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use delivery::{Configuration, Preview, Sought};
use http::StatusCode;
use serde::Serialize;

use super::dry_run::{max_events, unseen};
use super::find;
use super::unsaved::unsaved_of;
use crate::access::ApiClient;
use crate::call::{self, Answer, Call};
use crate::error::ApiError;
use crate::query::Query;
use crate::state::ApiState;
use crate::stored;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviewsOut {
    content: Vec<PreviewOut>,
    looked_at: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreviewOut {
    #[serde(rename = "eventID")]
    event_id: String,
    stream: event::Stream,
    selected: bool,
    /// The field that leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out_by: Option<String>,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    /// Before compression.
    body: String,
    body_bytes: usize,
    /// As it is sent, in base64; only when it is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed_body: Option<String>,
}

pub(crate) async fn of_stored(call: Call) -> Answer {
    let found = find(&call.state.catalog, call.id())?;
    answer(call, &found.value).await
}

pub(crate) async fn of_unsaved(mut call: Call) -> Answer {
    let configuration = unsaved_of(&mut call).await?;
    answer(call, &configuration).await
}

async fn answer(call: Call, configuration: &Configuration) -> Answer {
    let query = call.query();
    let max_events = max_events(&query)?;
    let sought = match query.one("eventID")? {
        None => Sought::Newest(max_events),
        Some(id) => event(&call.state, &call.who, id).await?,
    };
    let found = call.state.delivery.preview(configuration, sought).await.map_err(unseen)?;
    let content = found.requests.into_iter().map(PreviewOut::from).collect();
    call::json(StatusCode::OK, &PreviewsOut { content, looked_at: found.n_looked_at })
}

async fn event(state: &ApiState, who: &ApiClient, id: &str) -> Result<Sought, ApiError> {
    EventId::parse(id).map_err(|_| Query::wrong("eventID", "must be a UUID"))?;
    let (block, index) = stored::find(state, who, id).await?.into_place();
    Ok(Sought::Event(block, index))
}

impl From<Preview> for PreviewOut {
    fn from(preview: Preview) -> Self {
        let is_compressed = preview.sent != preview.body;
        Self {
            event_id: preview.event_id.to_string(),
            stream: preview.stream,
            selected: preview.why_not.is_none(),
            left_out_by: preview.why_not.map(|why| why.to_string()),
            method: preview.method,
            url: preview.url,
            headers: preview.headers,
            body: String::from_utf8_lossy(&preview.body).into_owned(),
            body_bytes: preview.body.len(),
            compressed_body: is_compressed.then(|| STANDARD.encode(&preview.sent)),
        }
    }
}
