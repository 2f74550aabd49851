//! Quarantine records: a copy of a record that a destination will never take, with the reason.
//!
//! The copy is a record of the stream [`Stream::Quarantine`] with the sections of the original and a
//! [`Section::Reason`]; its id is derived from the configuration and the original id, so that quarantining twice (after
//! a crash) stores it once.

use base::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::record::RecordError;
use crate::{Record, RecordBuilder, Section, Stream};

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

/// The reason and the original record, from a copy.
pub fn unwrap(copy: &Record<'_>) -> Option<(Reason, Vec<u8>)> {
    let reason: Reason = serde_json::from_str(copy.section(Section::Reason)?).ok()?;
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
        };
        let copy = wrap(&Record::parse(&original).unwrap(), &reason, time).unwrap();
        let copy = Record::parse(&copy).unwrap();
        assert_eq!(copy.stream(), Stream::Quarantine);
        assert_ne!(copy.event_id(), id);
        assert_eq!(unwrap(&copy).unwrap(), (reason, original));
    }
}
