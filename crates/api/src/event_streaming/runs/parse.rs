//! What a caller says about what is to be sent again.

use base::{EventId, Timestamp};
use delivery::Picked;
use event::{Stream, StreamSet};
use serde_json::Value;

use super::ENTITY;
use crate::error::ApiError;
use crate::event_streaming::filter::filter;
use crate::event_streaming::quarantine::events;
use crate::fields::{Complaints, Fields, whole};

/// The field of the rate.
pub(super) const RATE: &str = "maxEventsPerSecond";
/// The largest rate.
const MAX_RATE: u64 = 1_000_000;
/// What `from` may say instead of a time.
const EARLIEST: &str = "earliest";

/// A replay that is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) picked: Picked,
    /// The events that are named.
    pub(super) events: Option<Vec<EventId>>,
    pub(super) rate: Option<u32>,
    pub(super) is_dry_run: bool,
}

pub(super) fn replay(body: &Value) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    let known = ["from", "to", "fromOffset", "toOffset", "streams", "filter", "eventIDs", "dryRun", RATE];
    fields.only(&known, &mut complaints);
    let starts = ["from", "fromOffset", "eventIDs"].map(|field| fields.get(field).is_some());
    if starts.iter().filter(|is_given| **is_given).count() != 1 {
        let message = "or fromOffset or eventIDs must be given, and only one of them; \"from\": \"earliest\" means all that is stored";
        fields.complain("from", message, &mut complaints);
    }
    if fields.get("to").is_some() && fields.get("toOffset").is_some() {
        fields.complain("to", "must not be given together with toOffset", &mut complaints);
    }
    let names_events = fields.get("eventIDs").is_some();
    for field in ["to", "toOffset", "streams", "filter"] {
        if names_events && fields.get(field).is_some() {
            fields.complain(field, "must not be given together with eventIDs", &mut complaints);
        }
    }
    let picked = Picked {
        received_from: time(&fields, "from", Some(EARLIEST), &mut complaints),
        received_until: time(&fields, "to", None, &mut complaints),
        from_offset: offset(&fields, "fromOffset", &mut complaints),
        until_offset: offset(&fields, "toOffset", &mut complaints),
        streams: streams(&fields, &mut complaints),
        filter: filter(&fields, &mut complaints),
        ..Picked::default()
    };
    if picked.received_from.zip(picked.received_until).is_some_and(|(from, to)| from >= to) {
        fields.complain("to", "must be later than from", &mut complaints);
    }
    let events = names_events.then(|| events(&fields, &mut complaints));
    let rate = rate(&fields, &mut complaints);
    let is_dry_run = fields.boolean("dryRun", &mut complaints).unwrap_or(false);
    complaints.finish(Some(Wanted { picked, events, rate, is_dry_run }))
}

fn time(
    fields: &Fields<'_>,
    field: &str,
    instead: Option<&str>,
    complaints: &mut Complaints,
) -> Option<Timestamp> {
    let text = fields.text(field, 1, 64, complaints)?;
    if instead == Some(text) {
        return None;
    }
    let parsed = Timestamp::parse(text);
    if parsed.is_err() {
        let or = instead.map_or_else(String::new, |word| format!(", or {word}"));
        fields.complain(
            field,
            format!("must be an RFC 3339 date-time such as 2026-01-31T12:00:00Z{or}"),
            complaints,
        );
    }
    parsed.ok()
}

fn offset(fields: &Fields<'_>, field: &str, complaints: &mut Complaints) -> Option<(u64, u32)> {
    let text = fields.text(field, 1, 64, complaints)?;
    let parsed =
        text.split_once('.').and_then(|(block, index)| Some((block.parse().ok()?, index.parse().ok()?)));
    if parsed.is_none() {
        fields.complain(field, "must be the journalOffset of a document, such as 17.4", complaints);
    }
    parsed
}

fn streams(fields: &Fields<'_>, complaints: &mut Complaints) -> Vec<Stream> {
    let Some(given) = fields.list("streams", complaints) else { return Vec::new() };
    if given.is_empty() {
        fields.complain("streams", "must name one at least; left out it means all", complaints);
    }
    let mut named = Vec::new();
    for (at, element) in given.iter().enumerate() {
        if let Some(Ok(stream)) = element.as_str().map(str::parse::<Stream>) {
            named.push(stream);
        } else {
            let message = "must be accountEvent, auditLog or eventHookLog";
            fields.complain(&format!("streams[{at}]"), message, complaints);
        }
    }
    let streams: StreamSet = named.into_iter().collect();
    Stream::PRODUCT.into_iter().filter(|stream| streams.contains(*stream)).collect()
}

/// Events in a second; `None`: as many as the destination takes.
pub(super) fn rate(fields: &Fields<'_>, complaints: &mut Complaints) -> Option<u32> {
    let given = fields.get(RATE)?;
    let rate = whole(given).filter(|rate| (1..=MAX_RATE).contains(rate));
    if rate.is_none() {
        fields.complain(RATE, format!("must be a whole number from 1 to {MAX_RATE}"), complaints);
    }
    rate.and_then(|rate| u32::try_from(rate).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51";

    #[test]
    fn a_replay_says_where_it_begins_and_nothing_that_contradicts() {
        for body in [
            json!({}),
            json!({"to": "2026-01-31T12:00:00Z"}),
            json!({"from": "yesterday"}),
            json!({"from": "earliest", "fromOffset": "1.0"}),
            json!({"from": "earliest", "eventIDs": [ID]}),
            json!({"from": "2026-01-31T12:00:00Z", "to": "2026-01-31T12:00:00Z"}),
            json!({"from": "earliest", "to": "2026-01-31T12:00:00Z", "toOffset": "7.0"}),
            json!({"fromOffset": "7"}),
            json!({"from": "earliest", "streams": []}),
            json!({"from": "earliest", "streams": ["quarantine"]}),
            json!({"from": "earliest", "filter": {"include": {"colours": ["red"]}}}),
            json!({"eventIDs": []}),
            json!({"eventIDs": ["x"]}),
            json!({"eventIDs": [ID], "streams": ["auditLog"]}),
            json!({"from": "earliest", "maxEventsPerSecond": 0}),
            json!({"from": "earliest", "fast": true}),
        ] {
            assert!(replay(&body).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_said_is_picked() {
        let wanted = replay(&json!({
            "from": "2026-01-31T12:00:00Z", "toOffset": "9.3", "streams": ["auditLog", "accountEvent", "auditLog"],
            "filter": {"exclude": {"entityTypes": ["Role"]}}, "maxEventsPerSecond": 50, "dryRun": true,
        }))
        .unwrap();
        assert_eq!(wanted.picked.streams, [Stream::AccountEvent, Stream::AuditLog]);
        assert_eq!(
            (wanted.picked.until_offset, wanted.rate, wanted.is_dry_run),
            (Some((9, 3)), Some(50), true)
        );
        assert!(wanted.picked.received_from.is_some() && !wanted.picked.filter.is_empty());
        let named = replay(&json!({"eventIDs": [ID, ID]})).unwrap();
        assert_eq!(named.events.unwrap().len(), 1, "each once");
        let all = replay(&json!({"from": "earliest"})).unwrap();
        assert_eq!((all.picked, all.events), (Picked::default(), None));
    }
}
