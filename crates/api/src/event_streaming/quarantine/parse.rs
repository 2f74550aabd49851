//! What a caller says about which entries it means.

use base::{EventId, Timestamp};
use delivery::quarantined::{Filter, Order};
use event::Stream;
use event::quarantine::Standing;
use journal::Offset;
use serde_json::Value;

use super::ENTITY;
use crate::error::ApiError;
use crate::fields::{Complaints, Fields, whole};
use crate::query::Query;

/// Entries of a page when the caller does not say.
const DEFAULT_SIZE: u64 = 20;
/// Most entries of a page: each is read from the journal.
const MAX_SIZE: u64 = 200;
/// Most events that one call names.
const MAX_IDS: usize = 10_000;
/// Longest note of an operator, in characters.
const MAX_NOTE: usize = 500;
/// Longest text that is looked for, in characters.
const MAX_TEXT: usize = 200;

const STREAM: &str = "must be accountEvent, auditLog or eventHookLog";
const TIME: &str = "must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z";

/// Which page of which entries.
pub(super) struct Listing {
    pub(super) filter: Filter,
    pub(super) order: Order,
    pub(super) after: Option<Offset>,
    pub(super) size: usize,
}

/// What is to be given up.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    /// Whether its events are named one by one.
    pub(super) names_events: bool,
    /// How many entries the caller expects it to be; `None`: it names them, or only asks.
    pub(super) expected: Option<u64>,
    pub(super) is_dry_run: bool,
    pub(super) note: Option<String>,
}

/// An offset as it is answered.
pub(super) fn offset(text: &str) -> Option<Offset> {
    let (block, index) = text.split_once('.')?;
    Some(Offset { block: block.parse().ok()?, index: index.parse().ok()? })
}

pub(super) fn listing(query: &Query) -> Result<Listing, ApiError> {
    let parsed = |name: &str, message: &str| -> Result<Option<Timestamp>, ApiError> {
        let text = query.one(name)?;
        text.map(Timestamp::parse).transpose().map_err(|_| Query::wrong(name, message))
    };
    let standing = |name: &str| {
        let known = Standing::ALL.into_iter().find(|standing| standing.name() == name);
        known.ok_or_else(|| Query::wrong("standing", "must be quarantined, parked, delivered or discarded"))
    };
    let event = |id: &str| EventId::parse(id).map_err(|_| Query::wrong("eventID", "must be a UUID"));
    let filter = Filter {
        standings: query.all("standing").map(standing).collect::<Result<_, _>>()?,
        stream: query
            .one("stream")?
            .map(str::parse)
            .transpose()
            .map_err(|_| Query::wrong("stream", STREAM))?,
        event_type: query.one("type")?.map(ToOwned::to_owned),
        cause: query.one("cause")?.map(ToOwned::to_owned),
        from: parsed("from", TIME)?,
        until: parsed("to", TIME)?,
        events: query.all("eventID").map(event).collect::<Result<_, _>>()?,
    };
    let order = match query.one("order")? {
        None | Some("newest") => Order::NewestFirst,
        Some("oldest") => Order::OldestFirst,
        Some(_) => return Err(Query::wrong("order", "must be newest or oldest")),
    };
    let cursor =
        |text| offset(text).ok_or_else(|| Query::wrong("cursor", "must be a nextCursor that was answered"));
    Ok(Listing {
        filter,
        order,
        after: query.one("cursor")?.map(cursor).transpose()?,
        size: query.number("size", DEFAULT_SIZE, 1, MAX_SIZE)? as usize,
    })
}

pub(super) fn wanted(body: &Value) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&["eventIDs", "filter", "all", "expectedCount", "dryRun", "note"], &mut complaints);
    let is_all = fields.boolean("all", &mut complaints) == Some(true);
    let ways = [fields.get("eventIDs").is_some(), fields.get("filter").is_some(), is_all];
    if ways.iter().filter(|is_given| **is_given).count() != 1 {
        fields.complain(
            "eventIDs",
            "or filter or \"all\": true must be given, and only one of them",
            &mut complaints,
        );
    }
    let events = events(&fields, &mut complaints);
    let names_events = fields.get("eventIDs").is_some();
    let filter = match fields.optional_object("filter", &mut complaints) {
        Some(inner) => filter(&inner, &mut complaints),
        None => Filter { events, ..Filter::default() },
    };
    if fields.get("filter").is_some() && filter == Filter::default() {
        fields.complain("filter", "must say something; \"all\": true means all", &mut complaints);
    }
    let is_dry_run = fields.boolean("dryRun", &mut complaints).unwrap_or(false);
    let expected = fields.get("expectedCount");
    if expected.is_some_and(|expected| whole(expected).is_none()) {
        fields.complain("expectedCount", "must be a whole number, 0 or more", &mut complaints);
    }
    if expected.is_none() && !is_dry_run && !names_events {
        let message = "must be given, so that nobody gives up more than they have seen: \"dryRun\": true tells how many it is";
        fields.complain("expectedCount", message, &mut complaints);
    }
    let note = fields.text("note", 1, MAX_NOTE, &mut complaints).map(ToOwned::to_owned);
    let expected = expected.and_then(whole);
    complaints.finish(Some(Wanted { filter, names_events, expected, is_dry_run, note }))
}

/// The events that the field `eventIDs` names, each once.
pub(in crate::event_streaming) fn events(fields: &Fields<'_>, complaints: &mut Complaints) -> Vec<EventId> {
    const FIELD: &str = "eventIDs";
    let Some(given) = fields.list(FIELD, complaints) else { return Vec::new() };
    if given.is_empty() || given.len() > MAX_IDS {
        fields.complain(FIELD, format!("must have 1 to {MAX_IDS} elements"), complaints);
        return Vec::new();
    }
    let mut events = Vec::with_capacity(given.len());
    for (at, element) in given.iter().enumerate() {
        match element.as_str().map(EventId::parse) {
            Some(Ok(event)) => events.push(event),
            _ => fields.complain(
                &format!("{FIELD}[{at}]"),
                "must be the eventID of an event: a UUID",
                complaints,
            ),
        }
    }
    events.sort_unstable();
    events.dedup();
    events
}

/// Which entries a filter means: the same fields as a list has as parameters.
pub(in crate::event_streaming) fn filter(fields: &Fields<'_>, complaints: &mut Complaints) -> Filter {
    fields.only(&["stream", "type", "cause", "from", "to"], complaints);
    let stream = fields.text("stream", 1, 64, complaints).and_then(|text| {
        let stream: Result<Stream, _> = text.parse();
        stream.map_err(|_| fields.complain("stream", STREAM, complaints)).ok()
    });
    let time = |field: &str, complaints: &mut Complaints| {
        let text = fields.text(field, 1, 64, complaints)?;
        Timestamp::parse(text).map_err(|_| fields.complain(field, TIME, complaints)).ok()
    };
    Filter {
        stream,
        event_type: fields.text("type", 1, MAX_TEXT, complaints).map(ToOwned::to_owned),
        cause: fields.text("cause", 1, MAX_TEXT, complaints).map(ToOwned::to_owned),
        from: time("from", complaints),
        until: time("to", complaints),
        ..Filter::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_given_up_by_a_call_that_does_not_say_what_and_how_many() {
        let id = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";
        for body in [
            json!({}),
            json!({"all": true}),
            json!({"all": false, "expectedCount": 1}),
            json!({"filter": {}, "expectedCount": 1}),
            json!({"filter": {"cause": "x"}}),
            json!({"filter": {"reason": "x"}, "expectedCount": 1}),
            json!({"filter": {"cause": "x"}, "all": true, "expectedCount": 1}),
            json!({"eventIDs": [], "expectedCount": 0}),
            json!({"eventIDs": [id, "x"]}),
            json!({"all": true, "expectedCount": -1}),
            json!({"all": true, "expectedCount": 1, "force": true}),
        ] {
            assert!(wanted(&body).is_err(), "{body}");
        }
        for body in [
            json!({"eventIDs": [id, id]}),
            json!({"all": true, "dryRun": true}),
            json!({"all": true, "expectedCount": 3, "note": "gone"}),
            json!({"filter": {"cause": "x", "from": "2026-01-31T12:00:00Z"}, "expectedCount": 3}),
        ] {
            let wanted = wanted(&body).unwrap();
            assert_eq!(wanted.filter.events.len(), usize::from(wanted.names_events), "{body}");
        }
    }
}
