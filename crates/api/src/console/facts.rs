//! What an event says at a glance: a title and a few facts, taken from its header.

use event::{Record, Section, Stream};
use explorer::Stored;
use serde_json::Value;

/// A title, and facts by name.
pub(super) struct Facts {
    pub(super) title: String,
    pub(super) rows: Vec<(&'static str, String)>,
}

pub(super) fn of(record: &Record<'_>, stored: &Stored) -> Facts {
    let header = format!("{{{}}}", record.section(Section::Header).unwrap_or_default());
    let header: Value = serde_json::from_str(&header).unwrap_or_default();
    let (kind, title) = match record.stream() {
        Stream::AuditLog => ("Audit log", audit_title(&header)),
        Stream::EventHookLog => ("Event hook log", first(&header, &["/hook/name", "/hook/type", "/hook/id"])),
        _ => ("Account event", account_title(&header)),
    };
    let mut rows = vec![
        ("Kind", kind.to_owned()),
        ("When", record.time().to_string()),
        ("Who", who(&header)),
        ("Address", first(&header, &["/actor/ip"])),
        ("Subject", first(&header, &["/subject/userName", "/subject/accountId"])),
        ("Application", named(&header, &["/actorApplication", "/application"])),
        ("Client", named(&header, &["/actorClient", "/client"])),
        ("Request", [first(&header, &["/method"]), first(&header, &["/url"])].join(" ").trim().to_owned()),
        ("Source's own code", first(&header, &["/sourceEventType"])),
        ("Outcome", outcome(&header)),
        ("Source", record.section(Section::Source).unwrap_or_default().to_owned()),
        ("Received", record.received_at().to_string()),
        ("Event ID", record.event_id().to_string()),
        ("Journal offset", stored.offset().to_string()),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    Facts { title: if title.is_empty() { kind.to_owned() } else { title }, rows }
}

/// The first of these members that has a text.
fn first(header: &Value, pointers: &[&str]) -> String {
    let mut texts = pointers.iter().filter_map(|pointer| header.pointer(pointer)?.as_str());
    texts.find(|text| !text.is_empty()).unwrap_or_default().to_owned()
}

fn named(header: &Value, pointers: &[&str]) -> String {
    let each = |pointer: &&str| first(header, &[&format!("{pointer}/name"), &format!("{pointer}/id")]);
    pointers.iter().map(each).find(|name| !name.is_empty()).unwrap_or_default()
}

fn who(header: &Value) -> String {
    first(
        header,
        &["/actor/userName", "/actor/accountId", "/actorClient/name", "/actorClient/id", "/accountId"],
    )
}

/// The last label says how it ended; the type is the context.
fn account_title(header: &Value) -> String {
    let label = header["labels"].as_array().and_then(|labels| labels.last()?.as_str());
    let kind = first(header, &["/type"]);
    label.map_or(kind.clone(), |label| format!("{kind}: {label}"))
}

fn audit_title(header: &Value) -> String {
    let name = first(header, &["/name"]);
    let words = [first(header, &["/action"]), first(header, &["/entityType"])];
    let quoted = if name.is_empty() { name } else { format!("“{name}”") };
    words.into_iter().chain([quoted]).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn outcome(header: &Value) -> String {
    match header.pointer("/logSummary") {
        Some(summary) if summary["exception"] == true => "the hook threw an exception".to_owned(),
        Some(summary) => format!("{} lines of level error", summary["error"].as_i64().unwrap_or(0)),
        None => first(header, &["/outcome"]),
    }
}
