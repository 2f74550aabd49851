//! Which records are to be erased: those with an event id, or those that name a subject.

use base::EventId;
use event::quarantine;
use event::{Record, Section};
use serde_json::Value;

/// Texts within texts beyond are not looked into.
const MAX_DEPTH: usize = 64;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Event(EventId),
    /// In lower case.
    Subject(String),
}

impl Wanted {
    pub(super) fn subject(text: &str) -> Self {
        Self::Subject(text.to_ascii_lowercase())
    }

    /// Whether the record, or the one that it is about, is meant.
    pub(super) fn is_in(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Event(id) => record.event_id() == *id || event_of(record) == *id,
            Self::Subject(subject) => record.sections().any(|(kind, text)| names(kind, text, subject)),
        }
    }
}

/// The event that a record is about: of a copy in quarantine, and of what is told about one later, the original's.
pub(super) fn event_of(record: &Record<'_>) -> EventId {
    let of_copy = || quarantine::reason(record).map(|reason| reason.event_id);
    let of_change = || quarantine::unwrap_change(record).map(|change| change.event_id);
    of_copy().or_else(of_change).unwrap_or_else(|| record.event_id())
}

/// Whether any value in a section is the subject.
fn names(kind: Section, text: &str, subject: &str) -> bool {
    // Parsing is for the few that may match. What JSON escapes can be spelled in more than one way.
    let is_plain = subject.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\' && b != b'/');
    if is_plain && !text.to_ascii_lowercase().contains(subject) {
        return false;
    }
    let parsed = match kind {
        Section::Source => return false,
        Section::Header | Section::Claim => serde_json::from_str(&format!("{{{text}}}")),
        _ => serde_json::from_str(text),
    };
    parsed.is_ok_and(|value| holds(&value, subject, 0))
}

fn holds(value: &Value, subject: &str, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match value {
        Value::String(text) => {
            if text.to_ascii_lowercase() == *subject {
                return true;
            }
            // Bodies are JSON in a text.
            let is_json = text.starts_with(['{', '[']);
            is_json && serde_json::from_str(text).is_ok_and(|inner| holds(&inner, subject, depth + 1))
        }
        Value::Number(number) => number.to_string() == *subject,
        Value::Array(items) => items.iter().any(|item| holds(item, subject, depth + 1)),
        Value::Object(members) => members.values().any(|member| holds(member, subject, depth + 1)),
        Value::Null | Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use base::Timestamp;
    use event::quarantine::{Change, Reason, Standing};
    use event::{RecordBuilder, Stream};

    use super::*;

    fn record(sections: &[(Section, &str)]) -> Vec<u8> {
        let at = Timestamp::default();
        let mut builder = RecordBuilder::new(Stream::AuditLog, EventId::derive(at, &["1"]), at, at);
        for (kind, text) in sections {
            builder.section(*kind, text);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn a_subject_is_found_as_a_whole_value_wherever_it_stands() {
        let wanted = Wanted::subject("Ann@Example.com");
        for (kind, text, expected) in [
            (Section::Header, r#""actor":{"userName":"ann@example.com"}"#, true),
            (Section::Claim, r#""email":"ANN@example.com""#, true),
            (Section::Changes, r#"[{"path":"/x","before":"ann@example.com"}]"#, true),
            (Section::Request, r#""{\"mail\":[\"ann@example.com\"]}""#, true),
            (Section::Raw, r#"{"a":{"b":["ann@example.com"]}}"#, true),
            (Section::Header, r#""actor":{"userName":"joann@example.com"}"#, false),
            (Section::Header, r#""name":"mail to ann@example.com failed""#, false),
            (Section::Header, r#""ann@example.com":1"#, false),
        ] {
            let bytes = record(&[(kind, text)]);
            assert_eq!(wanted.is_in(&Record::parse(&bytes).unwrap()), expected, "{text}");
        }
        let bytes = record(&[(Section::Raw, r#"{"id":4711,"note":"a\/b"}"#)]);
        let record = Record::parse(&bytes).unwrap();
        assert!(Wanted::subject("4711").is_in(&record) && Wanted::subject("a/b").is_in(&record));
    }

    #[test]
    fn an_event_is_found_with_its_copies_in_quarantine_and_what_became_of_them() {
        let original = record(&[(Section::Header, "\"date\":\"x\"")]);
        let original = Record::parse(&original).unwrap();
        let reason = Reason {
            configuration_id: "c".to_owned(),
            event_id: original.event_id(),
            stream: Stream::AuditLog,
            journal_offset: "1.0".to_owned(),
            received_at: Timestamp::default(),
            reason: "no".to_owned(),
            attempts: 1,
            standing: Standing::Parked,
            run: None,
        };
        let copy = event::quarantine::wrap(&original, &reason, Timestamp::default()).unwrap();
        let copy = Record::parse(&copy).unwrap();
        let wanted = Wanted::Event(original.event_id());
        assert!(wanted.is_in(&original) && wanted.is_in(&copy));
        assert!(!Wanted::Event(copy.event_id()).is_in(&original));
        let id = original.event_id();
        let change = Change {
            reason: Some("cannot parse 'ann@example.com'".to_owned()),
            ..Change::new("c".to_owned(), id, Timestamp::default(), Standing::Quarantined)
        };
        let change = quarantine::wrap_change(&change, Timestamp::default()).unwrap();
        let change = Record::parse(&change).unwrap();
        assert!(wanted.is_in(&change));
        let found = [&original, &copy, &change].map(|record| event_of(record));
        assert_eq!(found, [original.event_id(); 3]);
    }
}
