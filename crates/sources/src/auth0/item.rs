//! One item of a delivery: found its log, its time, its code and its id.

use std::sync::LazyLock;

use base::mask::MaskRule;
use base::{EventId, Timestamp};
use serde_json::Value;

use super::fields::text;
use super::masking::{self, ItemRule};
use super::times;
use crate::Unparseable;

/// A log, with nothing secret in it.
#[derive(Debug)]
pub(super) struct Log {
    /// The whole item, canonical.
    pub(super) raw: String,
    /// The log: the item's `data`, or the item itself.
    pub(super) data: Value,
    /// Whether the log is wrapped in `{"data": …}`.
    pub(super) is_wrapped: bool,
    /// When it happened.
    pub(super) date: Timestamp,
    /// The log type code.
    pub(super) code: String,
    /// The same for the same log, however often it is sent.
    pub(super) id: EventId,
}

impl Log {
    /// Reads the text of one item.
    pub(super) fn read(item: &str, tenant: &str, rule: &ItemRule) -> Result<Self, Unparseable> {
        let raw = masking::fragment(item, rule).map_err(|error| refused(no_json(&error.reason)))?;
        let mut value: Value =
            serde_json::from_str(&raw).map_err(|error| refused(no_json(&error.to_string())))?;
        let is_wrapped = value.get("data").is_some_and(Value::is_object);
        let log_id = first_id(&value);
        let data = if is_wrapped { value.get_mut("data").map(Value::take) } else { Some(value) };
        let data = data.filter(Value::is_object).ok_or_else(|| refused("the item is not a JSON object"))?;
        let code = text(&data, "/type").ok_or_else(|| refused("the log has no `type`"))?;
        let date = data.get("date").ok_or_else(|| refused("the log has no `date`"))?;
        let date = times::read(date).ok_or_else(|| refused("the log's `date` is not a time"))?;
        let id = match log_id {
            Some(log_id) => EventId::derive(date, &["auth0", tenant, &log_id]),
            None => id_of_content(item, date, tenant)?,
        };
        Ok(Self { raw, data, is_wrapped, date, code, id })
    }

    /// The keys that lead from the item to a part of the log.
    pub(super) fn keys<'a>(&self, within: &[&'a str]) -> Vec<&'a str> {
        let wrapper: &[&str] = if self.is_wrapped { &["data"] } else { &[] };
        wrapper.iter().chain(within).copied().collect()
    }
}

/// Auth0's id: of the item, else of its log, by either of its names.
fn first_id(item: &Value) -> Option<String> {
    ["/log_id", "/data/log_id", "/_id", "/data/_id"].iter().find_map(|pointer| text(item, pointer))
}

static BUILT_IN: LazyLock<ItemRule> = LazyLock::new(|| ItemRule::of(&MaskRule::default()));

/// The id of a log that has none: from its content, under the built-in masks only, so that a name which the
/// installation adds to its rule later does not give it another id.
fn id_of_content(item: &str, date: Timestamp, tenant: &str) -> Result<EventId, Unparseable> {
    let content = masking::fragment(item, &BUILT_IN).map_err(|error| refused(no_json(&error.reason)))?;
    Ok(EventId::derive(date, &["auth0", tenant, "content", &content]))
}

/// The whole reason: what [`masking::fragment`] says begins with a verb, what the JSON parser says does not.
fn no_json(reason: &str) -> String {
    if reason.starts_with("is ") || reason.starts_with("holds ") {
        format!("the item {reason}")
    } else {
        format!("the item is not well-formed JSON: {reason}")
    }
}

fn refused(reason: impl Into<String>) -> Unparseable {
    Unparseable { reason: reason.into() }
}
