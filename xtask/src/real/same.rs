//! Whether a server holds what was posted: none missing, none invented, each field for field, by the form in which the server
//! gives documents back.

use std::collections::{HashMap, HashSet};

use base::EventId;
use serde_json::{Map, Value};

use crate::Failure;

/// What a server was found to hold.
#[derive(Debug, Default)]
pub(super) struct Found<T> {
    /// Each event once, as the server gives it back.
    pub(super) events: HashMap<EventId, T>,
    /// All that it holds, with events that are there more than once.
    pub(super) total: usize,
}

/// What was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events that were posted; all of them were found.
    pub(super) posted: usize,
    /// Documents that were compared: those, and what idstream told of itself, but for the end of a configuration.
    pub(super) equal: usize,
    /// How many of what is held are there once more.
    pub(super) copies: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { posted, equal, copies } = self;
        write!(f, "{posted} events, 0 missing, {copies} twice, {equal} equal field for field")
    }
}

impl Counts {
    /// An error if something is there twice, at a server that refuses what it has.
    pub(super) fn without_copies(self) -> Result<Self, Failure> {
        if self.copies == 0 {
            Ok(self)
        } else {
            Err(format!("{} events are there twice", self.copies).into())
        }
    }
}

/// Compares what was found with what was posted and with what each document must be.
pub(super) fn compare<T>(
    posted: &[EventId],
    expected: &HashMap<EventId, Value>,
    found: &Found<T>,
    same: impl Fn(&Value, &T) -> Result<(), String>,
) -> Result<Counts, Failure> {
    let posted: HashSet<&EventId> = posted.iter().collect();
    let missing: Vec<String> =
        posted.iter().filter(|id| !found.events.contains_key(id)).map(ToString::to_string).collect();
    if let Some(first) = missing.first() {
        return Err(
            format!("{} of {} events are missing, such as {first}", missing.len(), posted.len()).into()
        );
    }
    let mut equal = 0;
    for (id, document) in &found.events {
        let expected = expected.get(id).ok_or_else(|| format!("{id} is there, which nobody sent"))?;
        if !is_farewell(expected) {
            same(expected, document).map_err(|error| format!("{id} is not what was sent: {error}"))?;
            equal += 1;
        }
    }
    let copies = found.total.checked_sub(found.events.len()).ok_or("fewer are counted than were found")?;
    Ok(Counts { posted: posted.len(), equal, copies })
}

/// Whether this is about the end of a configuration, of which that one is told before it is stored: it has a `receivedAt` of
/// its own there, and no `journalOffset`.
fn is_farewell(document: &Value) -> bool {
    let is = |name: &str, value: &str| document.get(name).and_then(Value::as_str) == Some(value);
    is("entityType", "EventStreaming") && is("action", "Delete")
}

/// The very same document.
pub(super) fn exactly(expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let (Some(left), Some(right)) = (expected.as_object(), found.as_object()) else {
        return Err(format!("{expected} was sent, {found} found"));
    };
    let differs = |name: &&String| left.get(*name) != right.get(*name);
    let name = left.keys().chain(right.keys()).find(differs).map_or("", String::as_str);
    let shown = |side: &Map<String, Value>| side.get(name).map_or("nothing".to_owned(), Value::to_string);
    Err(format!("as {name}, {} was sent, {} found", shown(left), shown(right)))
}

/// What stands in both the event that was posted and its document: checked beside the reference, which idstream made itself.
const KEPT: [&str; 7] =
    ["/eventID", "/type", "/labels", "/subject/userName", "/entityType", "/action", "/hook/id"];

/// A document says what the event said that was posted, where it says it in the same place.
pub(super) fn keeps(posted: &Value, document: &Value) -> Result<(), String> {
    let differs =
        |place: &&&str| posted.pointer(place).is_some_and(|value| document.pointer(place) != Some(value));
    KEPT.iter().find(differs).map_or(Ok(()), |place| Err(format!("{place} is not what was posted")))
}

/// The same document in a row of VictoriaLogs: objects flattened with `.`, all else as text, and what is empty left out.
pub(super) fn flattened(expected: &Value, row: &Map<String, Value>) -> Result<(), String> {
    /// What the server adds.
    const OWN: [&str; 4] = ["_time", "_msg", "_stream", "_stream_id"];
    let mut rest: HashMap<&str, &str> = HashMap::new();
    for (name, value) in row.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        rest.insert(name, value.as_str().ok_or_else(|| format!("{name} is no text"))?);
    }
    let object = expected.as_object().ok_or("no object was sent")?;
    descend("", object, &mut rest)?;
    rest.keys().next().map_or(Ok(()), |name| Err(format!("{name} is there, which was not sent")))
}

fn descend(prefix: &str, object: &Map<String, Value>, rest: &mut HashMap<&str, &str>) -> Result<(), String> {
    for (name, value) in object {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match (value, rest.remove(name.as_str())) {
            (Value::Object(inner), None) => descend(&name, inner, rest)?,
            (Value::Null, None) => {}
            (Value::String(text), None) if text.is_empty() => {}
            (Value::String(text), Some(found)) if text == found || is_shorter_decimal(text, found) => {}
            (Value::String(_) | Value::Null, found) => {
                return Err(format!("as {name}, {value} was sent, {found:?} found"));
            }
            (_, Some(found)) if serde_json::from_str::<Value>(found).is_ok_and(|found| found == *value) => {}
            (_, found) => return Err(format!("as {name}, {value} was sent, {found:?} found")),
        }
    }
    Ok(())
}

/// VictoriaLogs keeps a text that is a decimal number as one: `37.380`, a `journalOffset`, comes back as `37.38`.
fn is_shorter_decimal(text: &str, found: &str) -> bool {
    text.contains('.')
        && text.parse::<f64>().is_ok()
        && text.trim_end_matches('0').trim_end_matches('.') == found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(n: u8) -> EventId {
        EventId::from_bytes([n; 16])
    }

    #[test]
    fn what_is_missing_invented_or_changed_is_named() {
        let expected: HashMap<_, _> = (1..4).map(|n| (id(n), json!({"n": n}))).collect();
        let found = |ids: &[u8], total| Found {
            events: ids.iter().map(|n| (id(*n), json!({"n": n}))).collect(),
            total,
        };
        let counts = |posted: &[u8], found: Found<Value>| {
            let posted: Vec<EventId> = posted.iter().map(|n| id(*n)).collect();
            compare(&posted, &expected, &found, exactly).map_err(|error| error.to_string())
        };
        assert_eq!(counts(&[1, 2], found(&[1, 2, 3], 4)), Ok(Counts { posted: 2, equal: 3, copies: 1 }));
        assert!(counts(&[1, 2], found(&[1], 1)).unwrap_err().starts_with("1 of 2 events are missing"));
        assert!(counts(&[1], found(&[1, 9], 2)).unwrap_err().contains("which nobody sent"));
        let mut changed = found(&[1], 1);
        changed.events.insert(id(1), json!({"n": 5}));
        assert!(counts(&[1], changed).unwrap_err().ends_with("as n, 1 was sent, 5 found"));
        assert!(counts(&[1], found(&[1], 2)).unwrap().without_copies().is_err());
    }

    #[test]
    fn a_flattened_row_holds_every_field_and_no_other() {
        let sent = json!({"a": {"b": [1, {"c": null}], "n": null, "e": {}}, "t": "x", "f": 1.5, "ok": true, "z": ""});
        let row =
            json!({"a.b": "[1,{\"c\":null}]", "t": "x", "f": "1.5", "ok": "true", "_time": "", "_msg": "m"});
        let check = |row: &Value| flattened(&sent, row.as_object().unwrap());
        assert_eq!(check(&row), Ok(()));
        for (name, value) in
            [("t", "y"), ("f", "1.6"), ("a.b", "[]"), ("ok", "false"), ("more", "1"), ("z", "1")]
        {
            let mut bad = row.clone();
            bad[name] = json!(value);
            assert!(check(&bad).is_err(), "{name}");
        }
        for name in ["t", "f", "a.b", "ok"] {
            let mut bad = row.clone();
            bad.as_object_mut().unwrap().remove(name);
            assert!(check(&bad).is_err(), "{name}");
        }
        let whole =
            json!({"a": "{\"b\":[1,{\"c\":null}],\"n\":null,\"e\":{}}", "t": "x", "f": "1.5", "ok": "true"});
        assert_eq!(check(&whole), Ok(()), "an object with a long name stays one text");
    }

    #[test]
    fn a_text_that_is_a_decimal_may_lose_the_zeros_behind_it() {
        assert!(is_shorter_decimal("37.380", "37.38") && is_shorter_decimal("37.0", "37"));
        assert!(!is_shorter_decimal("37.38", "37.3") && !is_shorter_decimal("a.0", "a"));
        assert!(!is_shorter_decimal("370", "37"));
    }

    #[test]
    fn only_of_its_own_end_a_configuration_is_told_before_that_is_stored() {
        assert!(is_farewell(&json!({"entityType": "EventStreaming", "action": "Delete"})));
        assert!(!is_farewell(&json!({"entityType": "EventStreaming", "action": "Update"})));
    }

    #[test]
    fn a_document_keeps_what_was_posted() {
        let posted = json!({"type": "a", "subject": {"userName": "u"}});
        assert_eq!(
            keeps(&posted, &json!({"type": "a", "subject": {"userName": "u"}, "labels": ["x"]})),
            Ok(())
        );
        assert!(keeps(&posted, &json!({"type": "b", "subject": {"userName": "u"}})).is_err());
        assert!(keeps(&posted, &json!({"type": "a", "subject": {}})).is_err());
    }
}
