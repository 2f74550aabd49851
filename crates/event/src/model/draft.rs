//! A draft: an event with all that its producer said, before it has an id and a place.

use std::io::{self, Write};

use base::mask::{MaskRule, is_plain};
use base::{EventId, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use serde_json::value::RawValue;

use super::field_path;
use super::hook::HookLine;
use super::incoming::without_position;
use super::reading::Object;
use crate::fragment::{append_string, canonical, mask_text, members, tidy_members};
use crate::record::RecordError;
use crate::{RecordBuilder, Section, Stream};

/// Why an event is refused. The texts are for its producer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DraftError {
    /// The field at fault.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl DraftError {
    /// An error of one field.
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Most native claims of one event.
const MAX_CLAIMS: usize = 512;

/// The free-form parts of an event, each already a masked, canonical fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreeForm {
    /// Claims in order of names, each one member: `"email":"ann@example.com"`.
    pub native_claims: Vec<String>,
    /// An account event's actions: a JSON array.
    pub actions: Option<String>,
    /// An audit log's request body: a JSON string.
    pub request: Option<String>,
    /// An audit log's response body: a JSON string.
    pub response: Option<String>,
    /// An audit log's changes: a JSON array.
    pub changes: Option<String>,
    /// An event hook log's lines: a JSON array.
    pub logs: Option<String>,
    /// The event as its source sent it.
    pub raw: Option<String>,
}

impl FreeForm {
    /// Takes native claims from a JSON object. Claims that are `null` are left out.
    pub fn set_claims(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        let fail = |reason: String| DraftError::field("nativeClaims", reason);
        let members = members(json, crate::claims::MAX_NAME, rule).map_err(|error| fail(error.reason))?;
        if members.len() > MAX_CLAIMS {
            return Err(fail(format!("more than {MAX_CLAIMS} claims")));
        }
        self.native_claims = members;
        Ok(())
    }

    /// Takes actions from a JSON array of objects.
    pub fn set_actions(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        let masked = canonical(json, rule).map_err(|error| DraftError::field("actions", error.reason))?;
        let steps: Option<Vec<&RawValue>> = serde_json::from_str(&masked).ok();
        if !steps.is_some_and(|steps| steps.iter().all(|step| step.get().starts_with('{'))) {
            return Err(DraftError::field("actions", "must be an array of objects"));
        }
        self.actions = (masked != "[]").then_some(masked);
        Ok(())
    }

    /// Takes the raw event: any JSON value.
    pub fn set_raw(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        self.raw = Some(canonical(json, rule).map_err(|error| DraftError::field("raw", error.reason))?);
        Ok(())
    }

    /// Takes an audit log's request body: a JSON string (whose text may be JSON or a form) or any other JSON value.
    pub fn set_request(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        self.request = body(json, rule).map_err(|reason| DraftError::field("request", reason))?;
        Ok(())
    }

    /// Takes an audit log's response body, like the request body.
    pub fn set_response(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        self.response = body(json, rule).map_err(|reason| DraftError::field("response", reason))?;
        Ok(())
    }

    /// Takes an audit log's changes from a JSON array. A change of a secret keeps its path and loses its values.
    pub fn set_changes(&mut self, json: &str, rule: &MaskRule) -> Result<(), DraftError> {
        /// One changed value. `before` is absent when there was none, `after` when there is none.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Change {
            #[serde(rename = "path")]
            _path: String,
            #[serde(default, rename = "before")]
            _before: IgnoredAny,
            #[serde(default, rename = "after")]
            _after: IgnoredAny,
        }
        let fail = |reason: String| DraftError::field("changes", reason);
        let masked = canonical(json, rule).map_err(|error| fail(error.reason))?;
        serde_json::from_str::<Vec<Object<Change>>>(json).map_err(|error| {
            let path = field_path::of_error(json, &error);
            DraftError::field(format!("changes{path}"), without_position(&error))
        })?;
        self.changes = (masked != "[]").then_some(masked);
        Ok(())
    }

    /// Takes an event hook log's lines.
    pub fn set_logs(&mut self, lines: &[HookLine], rule: &MaskRule) -> Result<(), DraftError> {
        let json =
            serde_json::to_string(lines).map_err(|error| DraftError::field("logs", error.to_string()))?;
        let masked = canonical(&json, rule).map_err(|error| DraftError::field("logs", error.reason))?;
        self.logs = (!lines.is_empty()).then_some(masked);
        Ok(())
    }
}

/// A body as the contract has it: one JSON string. `null`, `""` and `{}` are no body.
fn body(json: &str, rule: &MaskRule) -> Result<Option<String>, String> {
    let text = match serde_json::from_str::<serde_json::Value>(json).map_err(|error| error.to_string())? {
        serde_json::Value::String(text) => mask_text(&text, rule).into_owned(),
        serde_json::Value::Null => return Ok(None),
        _ => canonical(json, rule).map_err(|error| error.reason)?,
    };
    if text.is_empty() || text == "{}" {
        return Ok(None);
    }
    let mut spelled = String::with_capacity(text.len() + 16);
    append_string(&text, &mut spelled);
    Ok(Some(spelled))
}

/// The members of a header, without braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderText {
    members: String,
    /// Nothing in it is empty, and no text in it can hold a secret.
    is_plain: bool,
}

pub(super) fn header(value: &impl Serialize) -> Result<HeaderText, DraftError> {
    let fail = |reason: String| DraftError::field("event", format!("cannot be written: {reason}"));
    let mut bytes = Vec::with_capacity(1024);
    let mut watch = Watch { is_plain: true, is_empty: false };
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, &mut watch);
    value.serialize(&mut serializer).map_err(|error| fail(error.to_string()))?;
    let mut members = String::from_utf8(bytes).map_err(|error| fail(error.to_string()))?;
    members.pop();
    if !members.is_empty() {
        members.remove(0);
    }
    Ok(HeaderText { members, is_plain: watch.is_plain })
}

/// Writes compact JSON and watches what is written, so that nearly every header need not be read again.
struct Watch {
    is_plain: bool,
    /// Nothing was written since a text or an object began.
    is_empty: bool,
}

impl Watch {
    const fn end(&mut self) {
        self.is_plain &= !self.is_empty;
        self.is_empty = false;
    }
}

impl Formatter for &mut Watch {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.is_empty = true;
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end();
        writer.write_all(b"\"")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.is_empty = true;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end();
        writer.write_all(b"}")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        self.is_empty = false;
        self.is_plain &= is_plain(text);
        writer.write_all(text.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        // The text is in pieces: as a whole it has to be looked at again.
        (self.is_empty, self.is_plain) = (false, false);
        CompactFormatter.write_char_escape(writer, escape)
    }
}

/// An event with all that its producer said, before it has an id and a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    stream: Stream,
    event_id: Option<EventId>,
    time: Timestamp,
    header: HeaderText,
    parts: Vec<(Section, String)>,
    is_test: bool,
}

impl Draft {
    pub(super) fn new(
        stream: Stream,
        event_id: Option<EventId>,
        time: Timestamp,
        header: HeaderText,
    ) -> Self {
        Self { stream, event_id, time, header, parts: Vec::with_capacity(4), is_test: false }
    }

    pub(super) fn claims(&mut self, claims: Vec<String>) {
        self.parts.extend(claims.into_iter().map(|claim| (Section::Claim, claim)));
    }

    pub(super) fn part(&mut self, kind: Section, fragment: Option<String>) {
        self.parts.extend(fragment.map(|fragment| (kind, fragment)));
    }

    /// Its native claims in order of names, each one member: `"email":"ann@example.com"`.
    pub fn native_claims(&self) -> impl Iterator<Item = &str> {
        let claims = self.parts.iter().filter(|(kind, _)| *kind == Section::Claim);
        claims.map(|(_, text)| text.as_str())
    }

    /// Marks it as a test event.
    #[must_use]
    pub fn test(mut self) -> Self {
        self.is_test = true;
        self
    }

    /// Leaves empty header fields out and masks what is secret within the texts of the others; sources and the intake API
    /// both end with it. The fields' names decide nothing: they are the contract's.
    pub fn tidied(mut self, rule: &MaskRule) -> Result<Self, DraftError> {
        if !self.header.is_plain {
            self.header.members = tidy_members(&self.header.members, rule)
                .map_err(|error| DraftError::field("event", error.reason))?;
        }
        Ok(self)
    }

    /// About how many bytes it holds.
    pub fn size(&self) -> usize {
        self.header.members.len() + self.parts.iter().map(|(_, text)| text.len()).sum::<usize>()
    }

    /// Puts a note of its size in the place of a part, or nothing where no note fits: the rest may then fit into a record.
    pub fn omit(&mut self, kind: Section) {
        let Some(at) = self.parts.iter().position(|(each, _)| *each == kind) else { return };
        let (_, text) = self.parts.remove(at);
        let size = text.len();
        let note = match kind {
            Section::Raw => format!(r#"{{"omitted":"too large for a record","bytes":{size}}}"#),
            Section::Request | Section::Response => format!(r#""[omitted: {size} bytes]""#),
            _ => return,
        };
        self.parts.insert(at, (kind, note));
    }

    /// The stream that it belongs to.
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// The id that its producer gave it.
    pub const fn event_id(&self) -> Option<EventId> {
        self.event_id
    }

    /// The event's own time.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// The record of this event. `source_event_id` is the producer's id when `id` had to be another one.
    pub fn record(
        &self,
        id: EventId,
        received_at: Timestamp,
        source: &str,
        source_event_id: Option<EventId>,
    ) -> Result<Vec<u8>, RecordError> {
        let mut builder = RecordBuilder::new(self.stream, id, self.time, received_at);
        if self.is_test {
            builder = builder.test();
        }
        builder.section(Section::Source, source);
        if let Some(original) = source_event_id {
            builder.section(Section::SourceEventId, &format!("\"{original}\""));
        }
        builder.section(Section::Header, &self.header.members);
        for (kind, text) in &self.parts {
            builder.section(*kind, text);
        }
        builder.finish()
    }
}
