//! Quarantine records: a copy of a record that a destination will never take, or stumbles over, with the reason.
//!
//! The copy is a record of the stream [`Stream::Quarantine`] with the sections of the original and a
//! [`Section::Reason`]; its id is derived from the configuration and the original id, so that quarantining twice (after
//! a crash) stores it once. What becomes of it later is appended to the same stream as a *change*: a record with nothing
//! but a [`Section::Reason`] of another form. The changes of an entry in quarantine are numbered: no two can follow the same
//! state, whoever makes them.

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
    /// An operator gave it up.
    Discarded,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Quarantined, Self::Parked, Self::Delivered, Self::Discarded];

    /// The name in records and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarantined => "quarantined",
            Self::Parked => "parked",
            Self::Delivered => "delivered",
            Self::Discarded => "discarded",
        }
    }

    /// Whether nothing follows it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Discarded)
    }
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
    /// The replay in which it was refused, which keeps books of its own. Absent: the configuration's own delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
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
    /// When it was refused: why, in the destination's words. When it was discarded: what the operator noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which change of an entry in quarantine this is, from 1. 0: the end of a parking.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn: u32,
    /// How often it was sent until then, when it was sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Who changed it, or what: an API client, a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Where the change before this one lies: `block.index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Whether the entry has a [`Reason::run`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_of_run: bool,
}

impl Change {
    /// The end of a parking, with nothing but where the entry stands.
    pub const fn new(
        configuration_id: String,
        event_id: EventId,
        changed_at: Timestamp,
        standing: Standing,
    ) -> Self {
        Self {
            configuration_id,
            event_id,
            changed_at,
            standing,
            grade: None,
            reason: None,
            turn: 0,
            attempts: None,
            by: None,
            previous: None,
            is_of_run: false,
        }
    }
}

/// Whether there is no number to keep.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Whether there is nothing to say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(yes: &bool) -> bool {
    !*yes
}

/// The record of a change. `time` is the event's, or when it was copied: the same for all changes of an entry that have a
/// turn. The end of a parking has an id of its own for each standing, so that it is stored once. Changes with the same turn
/// have the same id, whatever they say: only the first one is stored.
pub fn wrap_change(change: &Change, time: Timestamp) -> Result<Vec<u8>, RecordError> {
    let original = change.event_id.to_string();
    let turn = change.turn.to_string();
    let which = if change.turn == 0 { change.standing.name() } else { &turn };
    let id = EventId::derive(time, &["quarantine change", &change.configuration_id, &original, which]);
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
            run: None,
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
        let event_id = EventId::derive(time, &["x"]);
        let mut change = Change {
            grade: Some("confirmed".to_owned()),
            ..Change::new("c".to_owned(), event_id, time, Standing::Delivered)
        };
        let first = wrap_change(&change, time).unwrap();
        let first = Record::parse(&first).unwrap();
        assert_eq!((unwrap_change(&first).as_ref(), unwrap(&first)), (Some(&change), None));
        change.changed_at = time.plus(std::time::Duration::from_secs(1));
        let again = wrap_change(&change, time).unwrap();
        assert_eq!(Record::parse(&again).unwrap().event_id(), first.event_id());
    }

    #[test]
    fn no_two_changes_of_an_entry_follow_the_same_state() {
        let time = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let event_id = EventId::derive(time, &["x"]);
        let id = |standing, turn| {
            let change = Change { turn, ..Change::new("c".to_owned(), event_id, time, standing) };
            Record::parse(&wrap_change(&change, time).unwrap()).unwrap().event_id()
        };
        assert_eq!(id(Standing::Discarded, 1), id(Standing::Delivered, 1));
        assert_ne!(
            id(Standing::Quarantined, 1),
            id(Standing::Quarantined, 2),
            "it is refused again and again"
        );
        assert_ne!(id(Standing::Quarantined, 0), id(Standing::Quarantined, 1));
        assert_ne!(id(Standing::Quarantined, 0), id(Standing::Delivered, 0));
    }

    #[test]
    fn a_change_of_an_older_version_is_the_end_of_a_parking() {
        let text = r#"{"configurationId":"c","eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51",
            "changedAt":"2026-01-31T12:00:00.000Z","standing":"delivered","grade":"accepted"}"#;
        let change: Change = serde_json::from_str(text).unwrap();
        assert_eq!((change.turn, change.grade.as_deref(), change.by), (0, Some("accepted"), None));
        let again = serde_json::to_value(Change { by: None, ..change }).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(text).unwrap(),
            "and is written as it was"
        );
    }

    #[test]
    fn a_copy_of_an_older_version_is_quarantined() {
        let text = r#"{"configurationId":"c","eventID":"0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51","stream":"auditLog",
            "journalOffset":"7.1","receivedAt":"2026-01-31T12:00:00.000Z","reason":"r","attempts":1}"#;
        let reason: Reason = serde_json::from_str(text).unwrap();
        assert_eq!(reason.standing, Standing::Quarantined);
    }
}
