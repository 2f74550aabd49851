//! Quarantine records: a copy of a record that a destination will never take, or stumbles over, with the reason.
//!
//! The copy is a record of the stream [`Stream::Quarantine`] with the sections of the original and a
//! [`Section::Reason`]; its id is derived from the configuration and the original id, so that quarantining twice (after
//! a crash) stores it once. What becomes of it later is appended to the same stream as a *change*: a record with nothing
//! but a [`Section::Reason`] of another form.

use base::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::record::RecordError;
use crate::{Record, RecordBuilder, Section, Stream};

/// Where an entry stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// The destination proved that it will never take it.
    #[default]
    Quarantined,
    /// The destination stumbles over it and proves nothing: it is tried again, alone, and still pending.
    Parked,
    /// The destination took it after all. The grade of that is a word of the books.
    Delivered,
}

/// Why, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The event streaming configuration whose destination refused it.
    pub configuration_id: String,
    /// The event's own id.
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// The event's own stream.
    pub stream: Stream,
    /// Where the original lies: `block.index`.
    pub journal_offset: String,
    /// When the original was received.
    pub received_at: Timestamp,
    /// In the destination's words.
    pub reason: String,
    /// How often it was sent.
    pub attempts: u32,
    /// Where the entry stood when it was made.
    #[serde(default)]
    pub standing: Standing,
}

/// What became of an entry later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The entry's configuration.
    pub configuration_id: String,
    /// The event's own id.
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// When.
    pub changed_at: Timestamp,
    /// Where the entry stands from then on.
    pub standing: Standing,
    /// When it was delivered: `confirmed`, `diverted` or `accepted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<String>,
    /// When it was refused: why, in the destination's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The record of a change. The same change of an entry has the same id, so that it is stored once; `time` is the event's.
pub fn wrap_change(change: &Change, time: Timestamp) -> Result<Vec<u8>, RecordError> {
    let standing = match change.standing {
        Standing::Quarantined => "quarantined",
        Standing::Parked => "parked",
        Standing::Delivered => "delivered",
    };
    let original = change.event_id.to_string();
    let id = EventId::derive(time, &["quarantine change", &change.configuration_id, &original, standing]);
    let mut builder = RecordBuilder::new(Stream::Quarantine, id, time, change.changed_at);
    builder.section(Section::Reason, &serde_json::to_string(change).unwrap_or_default());
    builder.finish()
}

/// The change that a record of the quarantine stream tells; `None` for a copy.
pub fn unwrap_change(record: &Record<'_>) -> Option<Change> {
    serde_json::from_str(record.section(Section::Reason)?).ok()
}

/// The copy of `record` for quarantine.
pub fn wrap(record: &Record<'_>, reason: &Reason, now: Timestamp) -> Result<Vec<u8>, RecordError> {
    let original = record.event_id().to_string();
    let id = EventId::derive(record.time(), &["quarantine", &reason.configuration_id, &original]);
    let mut builder = RecordBuilder::new(Stream::Quarantine, id, record.time(), now);
    builder.section(Section::Reason, &serde_json::to_string(reason).unwrap_or_default());
    for (kind, text) in record.sections() {
        builder.section(kind, text);
    }
    builder.finish()
}

/// The reason, from a copy; `None` for a change.
pub fn reason(copy: &Record<'_>) -> Option<Reason> {
    serde_json::from_str(copy.section(Section::Reason)?).ok()
}

/// The reason and the original record, from a copy; `None` for a change.
pub fn unwrap(copy: &Record<'_>) -> Option<(Reason, Vec<u8>)> {
    let reason = reason(copy)?;
    let mut builder = RecordBuilder::new(reason.stream, reason.event_id, copy.time(), reason.received_at);
    for (kind, text) in copy.sections().filter(|(kind, _)| *kind != Section::Reason) {
        builder.section(kind, text);
    }
    Some((reason, builder.finish().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_comes_back_byte_for_byte() {
        let time = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let id = EventId::derive(time, &["x"]);
        let mut builder = RecordBuilder::new(Stream::AuditLog, id, time, time);
        builder.section(Section::Source, "s");
        builder.section(Section::Header, "\"date\":\"x\"");
        let original = builder.finish().unwrap();
        let reason = Reason {
            configuration_id: "c".to_owned(),
            event_id: id,
            stream: Stream::AuditLog,
            journal_offset: "7.1".to_owned(),
            received_at: time,
            reason: "mapper_parsing_exception".to_owned(),
            attempts: 1,
            standing: Standing::Parked,
        };
        let copy = wrap(&Record::parse(&original).unwrap(), &reason, time).unwrap();
        let copy = Record::parse(&copy).unwrap();
        assert_eq!(copy.stream(), Stream::Quarantine);
        assert_ne!(copy.event_id(), id);
        assert_eq!(unwrap_change(&copy), None);
        assert_eq!(unwrap(&copy).unwrap(), (reason, original));
    }

    #[test]
    fn a_change_is_told_from_a_copy_and_stored_once() {
        let time = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let mut change = Change {
            configuration_id: "c".to_owned(),
            event_id: EventId::derive(time, &["x"]),
            changed_at: time,
            standing: Standing::Delivered,
            grade: Some("confirmed".to_owned()),
            reason: None,
        };
        let first = wrap_change(&change, time).unwrap();
        let first = Record::parse(&first).unwrap();
        assert_eq!((unwrap_change(&first).as_ref(), unwrap(&first)), (Some(&change), None));
        change.changed_at = time.plus(std::time::Duration::from_secs(1));
        let again = wrap_change(&change, time).unwrap();
        assert_eq!(Record::parse(&again).unwrap().event_id(), first.event_id());
    }

    #[test]
    fn a_copy_of_an_older_version_is_quarantined() {
        let text = r#"{"configurationId":"c","eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51","stream":"auditLog",
            "journalOffset":"7.1","receivedAt":"2026-01-31T12:00:00.000Z","reason":"r","attempts":1}"#;
        let reason: Reason = serde_json::from_str(text).unwrap();
        assert_eq!(reason.standing, Standing::Quarantined);
    }
}
