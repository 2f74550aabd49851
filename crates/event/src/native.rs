//! The native profile: a record as the document that destinations receive, spliced from its sections.
//!
//! The members are the same for every vendor; only the envelope around them differs. Searched keys come first, large
//! ones (`nativeClaims`, `actions`, `changes`, `request`, `response`, `logs`, `raw`) last.

use base::EventId;

use crate::fragment::append_string;
use crate::{Record, Section, Stream};

/// The version in every document. Additions only within a major version.
pub const SCHEMA_VERSION: &str = "1.0";

/// The installation that streams: named in every document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its domain; Splunk's `host`.
    pub domain: String,
    /// Such as `production` or `staging`.
    pub environment: String,
    /// Where its console is reached, without a trailing slash. `None`: documents carry no `eventLink`.
    pub public_url: Option<String>,
}

impl Instance {
    /// The address that leads back to an event in the console.
    pub fn event_link(&self, id: EventId) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{url}/console/e/{id}"))
    }
}

/// What one destination is given of each event. Each switch is for one stream and says nothing about the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The names of the native claims to send with account events; the other streams have none.
    pub claims: Vec<String>,
    /// Send the detailed steps of account events.
    pub include_actions: bool,
    /// Send request and response bodies of audit logs.
    pub include_bodies: bool,
    /// Send account events as their sources sent them, too.
    pub include_raw: bool,
    /// Send audit logs as their sources sent them, too: bodies included, so only together with `include_bodies`.
    pub include_audit_raw: bool,
    /// Send event hook logs as their sources sent them, too.
    pub include_hook_raw: bool,
}

impl Selection {
    fn has_raw(&self, stream: Stream) -> bool {
        match stream {
            Stream::AccountEvent => self.include_raw,
            Stream::AuditLog => self.include_audit_raw && self.include_bodies,
            Stream::EventHookLog => self.include_hook_raw,
            Stream::Quarantine | Stream::IntakeQuarantine => false,
        }
    }
}

/// A prepared writer of documents for one destination.
#[derive(Clone, Debug)]
pub struct NativeProfile {
    /// `,"schemaVersion":…,"eventLink":"https://…/console/e/`, up to where the id goes.
    before_link_id: String,
    /// The rest of the fixed members: `","instance":{…}`, or without the quote when there is no link.
    after_link_id: String,
    has_link: bool,
    /// Spelled names (quoted, escaped), sorted.
    claims: Vec<String>,
    selection: Selection,
}

impl NativeProfile {
    /// Prepares the parts that are the same in every document.
    pub fn new(instance: &Instance, selection: Selection) -> Self {
        let mut before_link_id = format!(",\"schemaVersion\":\"{SCHEMA_VERSION}\"");
        let has_link = instance.public_url.is_some();
        if let Some(url) = &instance.public_url {
            let mut spelled = String::new();
            append_string(&format!("{url}/console/e/"), &mut spelled);
            before_link_id.push_str(",\"eventLink\":");
            before_link_id.push_str(spelled.trim_end_matches('"'));
        }
        let mut after_link_id = String::from(if has_link { "\",\"instance\":{" } else { ",\"instance\":{" });
        let members =
            [("name", &instance.name), ("domain", &instance.domain), ("environment", &instance.environment)];
        for (at, (name, value)) in members.into_iter().enumerate() {
            if at > 0 {
                after_link_id.push(',');
            }
            append_string(name, &mut after_link_id);
            after_link_id.push(':');
            append_string(value, &mut after_link_id);
        }
        after_link_id.push('}');
        let mut claims: Vec<String> = selection.claims.iter().map(|name| spelled(name)).collect();
        claims.sort();
        claims.dedup();
        Self { before_link_id, after_link_id, has_link, claims, selection }
    }

    /// Appends the document's members, without braces: `"eventID":"…","stream":…`. `offset` is where the record lies in
    /// the journal; `None` for a test event, which lies nowhere. `is_replay` marks what was sent before.
    pub fn append_members(
        &self,
        record: &Record<'_>,
        offset: Option<(u64, u32)>,
        is_replay: bool,
        out: &mut Vec<u8>,
    ) {
        let id = record.event_id().to_string();
        put(
            out,
            &["\"eventID\":\"", &id, "\",\"stream\":\"", record.stream().name(), "\"", &self.before_link_id],
        );
        if self.has_link {
            put(out, &[&id]);
        }
        put(out, &[&self.after_link_id]);
        if let Some(source) = record.section(Section::Source) {
            let spelled = spelled(source);
            put(out, &[",\"sourceId\":", &spelled]);
        }
        if let Some((block, index)) = offset {
            put(out, &[",\"journalOffset\":\"", &format!("{block}.{index}"), "\""]);
        }
        put(out, &[",\"receivedAt\":\"", &record.received_at().to_string(), "\""]);
        if record.is_test() {
            put(out, &[",\"test\":true"]);
        }
        if is_replay {
            put(out, &[",\"replay\":true"]);
        }
        self.append_sections(record, out);
    }

    fn append_sections(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let has_claims = record.stream() == Stream::AccountEvent;
        let has_raw = self.selection.has_raw(record.stream());
        let mut claims_open = false;
        for (kind, text) in record.sections() {
            if claims_open && kind != Section::Claim {
                put(out, &["}"]);
                claims_open = false;
            }
            match kind {
                Section::Header => put(out, &[",", text]),
                Section::SourceEventId => put(out, &[",\"sourceEventId\":", text]),
                Section::Claim if has_claims && self.selects(text) => {
                    put(out, &[if claims_open { "," } else { ",\"nativeClaims\":{" }, text]);
                    claims_open = true;
                }
                Section::Actions if self.selection.include_actions => put(out, &[",\"actions\":", text]),
                Section::Changes => put(out, &[",\"changes\":", text]),
                Section::Request if self.selection.include_bodies => put(out, &[",\"request\":", text]),
                Section::Response if self.selection.include_bodies => put(out, &[",\"response\":", text]),
                Section::Logs => put(out, &[",\"logs\":", text]),
                Section::Raw if has_raw => put(out, &[",\"raw\":", text]),
                Section::Source
                | Section::Claim
                | Section::Actions
                | Section::Request
                | Section::Response
                | Section::Raw
                | Section::Reason => {}
            }
        }
        if claims_open {
            put(out, &["}"]);
        }
    }

    /// Whether a claim is sent. No spelled name is the beginning of another, so the member's own is the last one that sorts
    /// before it.
    fn selects(&self, member: &str) -> bool {
        let n_before = self.claims.partition_point(|name| name.as_str() <= member);
        let name = n_before.checked_sub(1).and_then(|last| self.claims.get(last));
        name.and_then(|name| member.strip_prefix(name.as_str())).is_some_and(|rest| rest.starts_with(':'))
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    append_string(text, &mut out);
    out
}
