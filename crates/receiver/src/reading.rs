//! What a request's body was found to hold.

use base::EventId;
use serde::Deserialize;
use std::borrow::Cow;

/// One event of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Its eventID; `None` when it has none that is a UUID.
    pub(crate) id: Option<EventId>,
    /// HEC: the envelope. Bulk: the document's line. Plain: the document.
    pub(crate) bytes: &'a [u8],
}

/// The events of a body in order, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Reading<'a> {
    pub(crate) pieces: Vec<Piece<'a>>,
    /// Departures from what idstream promises to send; they do not change the answer.
    pub(crate) problems: Vec<String>,
}

impl<'a> Reading<'a> {
    /// Adds an event, and a problem when it has no id.
    pub(crate) fn add(&mut self, id: Option<EventId>, bytes: &'a [u8]) {
        if id.is_none() {
            self.problems.push(format!("event {} has no eventID that is a UUID", self.pieces.len()));
        }
        self.pieces.push(Piece { id, bytes });
    }
}

/// The part of a document that is always read.
#[derive(Deserialize)]
pub(crate) struct Document<'a> {
    #[serde(borrow, rename = "eventID", default)]
    event_id: Cow<'a, str>,
}

impl Document<'_> {
    pub(crate) fn id(&self) -> Option<EventId> {
        EventId::parse(&self.event_id).ok()
    }
}

/// The lines of a body without their ends; the last one may lack it. Found by the standard library's byte search.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let all = rest;
        let length = std::io::BufRead::skip_until(&mut rest, b'\n').ok()?;
        let line = all.get(..length)?;
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_every_end() {
        let cut = |text: &'static str| lines(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(cut(""), Vec::<&[u8]>::new());
        assert_eq!(cut("a\n\nb"), [&b"a"[..], b"", b"b"]);
        assert_eq!(cut("a\nb\n"), [b"a", b"b"]);
    }
}
