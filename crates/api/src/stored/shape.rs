//! Records as the contract's REST answers: pure functions, spliced from the record's sections.
//!
//! The REST shapes spell an id `eventId` or `id`, streamed documents `eventID`. Beside the contract's fields stand those
//! of ours that the header of a record has (`outcome`, `durationMs`, `sourceEventType`) and an audit log's `changes`.

use event::{Record, Section};

/// `AccountEventResponse`.
pub(super) fn account_event(record: &Record<'_>) -> String {
    spliced("eventId", record, &[("actions", Section::Actions)])
}

/// `AuditEntry`.
pub(super) fn audit_log(record: &Record<'_>) -> String {
    let parts =
        [("request", Section::Request), ("response", Section::Response), ("changes", Section::Changes)];
    spliced("id", record, &parts)
}

/// `EventHookLogResponse`.
pub(super) fn hook_log(record: &Record<'_>) -> String {
    spliced("id", record, &[("logs", Section::Logs)])
}

/// The id, the header, and these sections where there are any: empty fields are left out.
fn spliced(id: &str, record: &Record<'_>, parts: &[(&str, Section)]) -> String {
    let mut out = format!("{{\"{id}\":\"{}\"", record.event_id());
    if let Some(header) = record.section(Section::Header) {
        out.push(',');
        out.push_str(header);
    }
    for (name, kind) in parts {
        if let Some(text) = record.section(*kind) {
            out.extend([",\"", name, "\":", text]);
        }
    }
    out.push('}');
    out
}
