//! Splunk's HTTP Event Collector: its bodies and its answers.

use std::fmt::Write as _;

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::check::{self, Json};
use crate::reading::{Document, Reading, lines};

/// The keys of an envelope that Splunk knows.
const KEYS: [&str; 7] = ["time", "host", "source", "sourcetype", "index", "event", "fields"];
/// Where our envelopes hold the document.
const DOCUMENT: &str = "\"event\":{\"eventID\":\"";
/// Length of a UUID's text.
const UUID: usize = 36;

/// One answer of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: u32,
    /// The place of the object that was refused.
    pub(crate) number: Option<usize>,
}

impl Said {
    pub(crate) const SUCCESS: Self = Self { code: 0, number: None };

    const fn at(code: u32, number: usize) -> Self {
        Self { code, number: Some(number) }
    }

    /// Whether the events were taken.
    pub(crate) const fn is_success(self) -> bool {
        matches!(self.code, 0 | 24 | 25)
    }

    /// The status and the body.
    pub(crate) fn answer(self) -> (StatusCode, String) {
        self.answer_with(None)
    }

    /// The same, with the id under which what was taken is acknowledged.
    pub(crate) fn answer_with(self, ack: Option<u64>) -> (StatusCode, String) {
        let (status, text) = catalogue(self.code);
        let mut body = format!("{{\"text\":\"{text}\",\"code\":{}", self.code);
        if let Some(number) = self.number {
            let _infallible = write!(body, ",\"invalid-event-number\":{number}");
        }
        if let Some(ack) = ack {
            let _infallible = write!(body, ",\"ackId\":{ack}");
        }
        body.push('}');
        (status, body)
    }
}

/// Status and text of the collector's codes.
fn catalogue(code: u32) -> (StatusCode, &'static str) {
    match code {
        0 => (StatusCode::OK, "Success"),
        1 => (StatusCode::FORBIDDEN, "Token disabled"),
        2 => (StatusCode::UNAUTHORIZED, "Token is required"),
        3 => (StatusCode::UNAUTHORIZED, "Invalid authorization"),
        4 => (StatusCode::FORBIDDEN, "Invalid token"),
        5 => (StatusCode::BAD_REQUEST, "No data"),
        6 => (StatusCode::BAD_REQUEST, "Invalid data format"),
        7 => (StatusCode::BAD_REQUEST, "Incorrect index"),
        8 => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
        9 => (StatusCode::SERVICE_UNAVAILABLE, "Server is busy"),
        10 | 28 => (StatusCode::BAD_REQUEST, "Data channel is missing"),
        11 => (StatusCode::BAD_REQUEST, "Invalid data channel"),
        12 => (StatusCode::BAD_REQUEST, "Event field is required"),
        13 => (StatusCode::BAD_REQUEST, "Event field cannot be blank"),
        14 => (StatusCode::BAD_REQUEST, "ACK is disabled"),
        15 => (StatusCode::BAD_REQUEST, "Error in handling indexed fields"),
        16 => (StatusCode::BAD_REQUEST, "Query string authorization is not enabled"),
        17 => (StatusCode::OK, "HEC is healthy"),
        18 => (StatusCode::SERVICE_UNAVAILABLE, "HEC is unhealthy, queues are full"),
        19 => (StatusCode::SERVICE_UNAVAILABLE, "HEC is unhealthy, ack service unavailable"),
        20 => (StatusCode::SERVICE_UNAVAILABLE, "HEC is unhealthy, queues are full, ack service unavailable"),
        23 => (StatusCode::SERVICE_UNAVAILABLE, "Server is shutting down"),
        24 => (StatusCode::OK, "HEC queue is approaching its capacity limit"),
        25 => (StatusCode::OK, "HEC ACK is approaching its capacity limit"),
        26 => {
            (StatusCode::TOO_MANY_REQUESTS, "HEC queue is at capacity and cannot process any more requests")
        }
        27 => (
            StatusCode::TOO_MANY_REQUESTS,
            "HEC ACK channel is at capacity and cannot process any more requests",
        ),
        _ => (StatusCode::BAD_REQUEST, "Unknown"),
    }
}

/// Reads the events up to the first one that is refused. Splunk takes what stands before it.
pub(crate) fn read(body: &[u8], checks: bool) -> (Reading<'_>, Said) {
    if body.trim_ascii().is_empty() {
        return (Reading::default(), Said { code: 5, number: None });
    }
    let quick = if checks { None } else { quick(body) };
    quick.map_or_else(|| careful(body, checks), |reading| (reading, Said::SUCCESS))
}

/// Our own form, one envelope a line: finds the ids without parsing. `None` when the body may look otherwise.
fn quick(body: &[u8]) -> Option<Reading<'_>> {
    let text = std::str::from_utf8(body).ok()?;
    // Two objects on one line have one of these between them (a line break is not written within a JSON string).
    if text.contains("}{") || text.contains("} ") || text.contains('\t') || text.contains('\r') {
        return None;
    }
    let mut reading = Reading::default();
    for line in lines(body) {
        if !(line.starts_with(b"{") && line.ends_with(b"}}")) {
            return None;
        }
        let line_text = std::str::from_utf8(line).ok()?;
        let at = line_text.find(DOCUMENT)? + DOCUMENT.len();
        let id = base::EventId::parse(line_text.get(at..at + UUID)?).ok()?;
        reading.add(Some(id), line);
    }
    Some(reading)
}

fn careful(body: &[u8], checks: bool) -> (Reading<'_>, Said) {
    let mut reading = Reading::default();
    let envelopes: Box<dyn Iterator<Item = serde_json::Result<&RawValue>>> =
        if body.trim_ascii_start().starts_with(b"[") {
            match serde_json::from_slice::<Vec<&RawValue>>(body) {
                Ok(all) => Box::new(all.into_iter().map(Ok)),
                Err(_) => return (reading, Said::at(6, 0)),
            }
        } else {
            Box::new(serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>())
        };
    for (at, envelope) in envelopes.enumerate() {
        let Ok(envelope) = envelope else { return (reading, Said::at(6, at)) };
        let refused = if checks { strict(envelope, &mut reading) } else { lax(envelope, &mut reading) };
        match refused {
            Ok(()) => {}
            // Splunk answers success, yet keeps nothing from an object with an unknown key on.
            Err(Refused::Silently) => return (reading, Said::SUCCESS),
            Err(Refused::With(code)) => return (reading, Said::at(code, at)),
        }
    }
    (reading, Said::SUCCESS)
}

/// How an event is refused.
#[derive(Clone, Copy)]
enum Refused {
    /// With a code.
    With(u32),
    /// It and all that follows is lost without a word.
    Silently,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

fn lax<'a>(envelope: &'a RawValue, reading: &mut Reading<'a>) -> Result<(), Refused> {
    let parsed: Envelope<'_> = serde_json::from_str(envelope.get()).map_err(|_| Refused::With(6))?;
    let event = parsed.event.ok_or(Refused::With(12))?;
    if matches!(event.get(), "\"\"" | "null") {
        return Err(Refused::With(13));
    }
    let id = serde_json::from_str::<Document<'_>>(event.get()).ok().and_then(|document| document.id());
    reading.add(id, envelope.get().as_bytes());
    Ok(())
}

fn strict<'a>(envelope: &'a RawValue, reading: &mut Reading<'a>) -> Result<(), Refused> {
    let at = reading.pieces.len();
    let json = Json::parse(envelope.get().as_bytes()).map_err(|problem| {
        reading.problems.push(format!("event {at}: {problem}"));
        Refused::With(6)
    })?;
    let Json::Object(members) = &json else { return Err(Refused::With(6)) };
    if let Some(unknown) = members.keys().find(|name| !KEYS.contains(&name.as_str())) {
        reading
            .problems
            .push(format!("event {at}: Splunk knows no key {unknown:?}; it and all after it are lost"));
        return Err(Refused::Silently);
    }
    let event = members.get("event").ok_or(Refused::With(12))?;
    if *event == Json::Text(String::new()) {
        return Err(Refused::With(13));
    }
    if is_nested(members.get("fields")) {
        return Err(Refused::With(15));
    }
    let (id, mut problems) = check::document(event);
    if !json.text("time").is_some_and(check::is_seconds) {
        problems.push("time is not a text of seconds with three decimals".to_owned());
    }
    for name in ["host", "source", "sourcetype"] {
        if json.text(name).is_none_or(str::is_empty) {
            problems.push(format!("{name} is missing"));
        }
    }
    if members.get("fields").and_then(|fields| fields.text("idstream_id")) != event.text("eventID") {
        problems.push("fields.idstream_id is not the eventID".to_owned());
    }
    reading.problems.extend(problems.into_iter().map(|problem| format!("event {at}: {problem}")));
    reading.add(id, envelope.get().as_bytes());
    Ok(())
}

/// Whether indexed fields hold anything but plain values.
fn is_nested(fields: Option<&Json>) -> bool {
    match fields {
        None => false,
        Some(Json::Object(members)) => members.values().any(|value| matches!(value, Json::Object(_))),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"host":"h","event":{"eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51","x":{}}}"#;
    const TWO: &str = r#"{"event":{"a":"{","eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e52"}}"#;

    fn read_all(body: &str, checks: bool) -> (Vec<String>, Said) {
        let (reading, said) = read(body.as_bytes(), checks);
        let ids = reading.pieces.iter().map(|piece| piece.id.map_or_else(String::new, |id| id.to_string()));
        (ids.collect(), said)
    }

    #[test]
    fn every_way_to_join_events_is_read() {
        let ids = ["0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51", "0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e52"];
        for body in [
            format!("{ONE}\n{TWO}"),
            format!("{ONE}\n{TWO}\n"),
            format!("{ONE}{TWO}"),
            format!("[{ONE},{TWO}]"),
            format!("{ONE} \r\n {TWO}"),
        ] {
            for checks in [false, true] {
                let (found, said) = read_all(&body, checks);
                assert_eq!((found.as_slice(), said), (&ids.map(str::to_owned)[..], Said::SUCCESS), "{body}");
            }
        }
    }

    #[test]
    fn the_first_bad_event_is_numbered_and_what_stands_before_it_is_read() {
        for (bad, code) in [("{\"event\":", 6), ("{}", 12), ("{\"event\":\"\"}", 13), ("7", 6)] {
            for checks in [false, true] {
                let (found, said) = read_all(&format!("{ONE}\n{bad}"), checks);
                assert_eq!((found.len(), said), (1, Said::at(code, 1)), "{bad}");
            }
        }
        let nested = r#"{"event":{"a":1},"fields":{"x":{"y":1}}}"#;
        assert_eq!(read_all(&format!("{ONE}{nested}"), true).1, Said::at(15, 1));
        assert_eq!(read_all(" \n", false).1, Said { code: 5, number: None });
    }

    #[test]
    fn an_unknown_key_loses_the_rest_without_a_word() {
        let (reading, said) = read(br#"{"event":{"a":1}}{"event":{"a":1},"evnt":1}{"event":{"a":1}}"#, true);
        assert_eq!((reading.pieces.len(), said), (1, Said::SUCCESS));
        assert!(reading.problems.iter().any(|problem| problem.contains("evnt")), "{:?}", reading.problems);
    }
}
