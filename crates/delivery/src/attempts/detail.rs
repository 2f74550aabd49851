//! What a request and its answer held, cut and without a credential.

use std::collections::BTreeMap;

use base::EventId;
use base::mask::MASK;
use bytes::Bytes;
use destinations::{Answer, Destination, Request};
use http::HeaderMap;
use http::header::{COOKIE, SET_COOKIE};
use serde::Serialize;

use crate::batch::Batch;

/// Bytes of a body that are kept.
pub(crate) const MAX_BODY: usize = 4 << 10;
/// No credential is longer in any form in which it is sent, in bytes.
const LONGEST_SECRET: usize = 8 << 10;
/// Ids of events that are kept.
const MAX_IDS: usize = 500;
/// Bytes of a header's value that are kept.
const MAX_HEADER: usize = 256;
/// Headers that are kept.
const MAX_HEADERS: usize = 40;
/// What a header takes beside its text.
const OVERHEAD: usize = 64;

/// Where a request went, and with which headers: taken before it is sent, masked when it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    method: http::Method,
    url: String,
    headers: HeaderMap,
}

impl Sketch {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.to_string(),
            headers: request.headers.clone(),
        }
    }
}

/// Headers and the beginning of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shot {
    /// The headers; those that hold or prove a credential are masked.
    pub headers: BTreeMap<String, String>,
    /// How the body begins, before compression.
    pub body: String,
    /// Whether there is more of it.
    pub is_cut: bool,
}

/// What was sent and received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// The method.
    pub method: String,
    /// Where to.
    pub url: String,
    /// What was sent.
    pub request: Shot,
    /// What came back; `None` when nothing did.
    pub answer: Option<Shot>,
    /// The events, at most 500 of them.
    #[serde(rename = "eventIDs")]
    pub event_ids: Vec<EventId>,
}

impl Detail {
    /// Bytes that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let of = |shot: &Shot| {
            let headers = shot.headers.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD);
            headers.sum::<usize>() + shot.body.len()
        };
        let ids = self.event_ids.len() * size_of::<EventId>();
        self.url.len() + of(&self.request) + self.answer.as_ref().map_or(0, of) + ids
    }
}

/// What is kept of an attempt. `None` when no request could be made.
pub(crate) fn detail(
    destination: &dyn Destination,
    batch: &Batch,
    request: Option<&Sketch>,
    answer: Option<&Answer>,
) -> Option<Detail> {
    let sketch = request?;
    let shot = |headers: &HeaderMap, body: &Bytes| Shot {
        headers: shown(destination, headers),
        body: beginning(destination, body),
        is_cut: body.len() > MAX_BODY,
    };
    Some(Detail {
        method: sketch.method.to_string(),
        url: destination.scrub(&sketch.url),
        request: shot(&sketch.headers, &batch.body),
        answer: answer.map(|answer| shot(&answer.headers, &answer.body)),
        event_ids: batch.items.iter().take(MAX_IDS).map(|item| item.id).collect(),
    })
}

fn shown(destination: &dyn Destination, headers: &HeaderMap) -> BTreeMap<String, String> {
    let kept = headers.iter().take(MAX_HEADERS).map(|(name, value)| {
        let is_secret = value.is_sensitive() || *name == SET_COOKIE || *name == COOKIE;
        let text = if is_secret {
            MASK.to_owned()
        } else {
            let mut text = destination.scrub(&String::from_utf8_lossy(value.as_bytes()));
            cut(&mut text, MAX_HEADER);
            text
        };
        (name.as_str().to_owned(), text)
    });
    kept.collect()
}

/// How a body begins, masked before it is cut: half a credential would not be found.
fn beginning(destination: &dyn Destination, body: &Bytes) -> String {
    let window = body.get(..MAX_BODY + LONGEST_SECRET).unwrap_or(body);
    let mut text = destination.scrub(&String::from_utf8_lossy(window));
    cut(&mut text, MAX_BODY);
    text
}

/// Cuts a text that will be kept, and gives the rest of its memory back: what is counted is what is held.
fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_cut_holds_no_more_memory_than_is_counted() {
        let mut text = "ä".repeat(MAX_BODY + LONGEST_SECRET);
        cut(&mut text, MAX_BODY - 1);
        assert_eq!(text.len(), MAX_BODY - 2, "no character is halved");
        assert!(text.capacity() < 2 * MAX_BODY, "{}", text.capacity());
    }
}
