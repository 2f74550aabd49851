//! The detailed steps of an account event: the prompts that a user went through, and how it ended.
//!
//! Auth0 tells no phases; one action (contract: `ActionResponse`) holds one detail per prompt, then one for the result
//! with what Auth0 says about it.

use base::Timestamp;
use event::model::{AccountEventType, Outcome};
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::text;
use super::item::Log;
use super::times;

/// What the result's metadata are called, and where Auth0 keeps them.
const RESULT: [(&str, &str); 6] = [
    ("description", "/description"),
    ("error", "/details/error"),
    ("failure", "/details/failure_details"),
    ("failureReason", "/details/failure_reason"),
    ("providerError", "/details/provider_error"),
    ("riskAssessment", "/details/riskAssessment"),
];

#[derive(Serialize)]
struct Action<'a> {
    #[serde(rename = "type")]
    kind: AccountEventType,
    timestamp: Timestamp,
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: Map<String, Value>,
}

/// The actions of a log: a JSON array, empty when the log tells nothing beyond its code.
pub(super) fn of(
    log: &Log,
    kind: AccountEventType,
    labels: &[String],
    outcome: Outcome,
    title: &str,
) -> String {
    let prompts = log.data.pointer("/details/prompts").and_then(Value::as_array);
    let mut details: Vec<Detail<'_>> = prompts.into_iter().flatten().filter_map(prompt).collect();
    let metadata = result_metadata(&log.data);
    if !metadata.is_empty() {
        details.push(Detail {
            kind: "result",
            name: title.to_owned(),
            label: labels.last().map(String::as_str),
            outcome: serde_json::to_value(outcome).ok(),
            timestamp: Some(log.date),
            metadata,
        });
    }
    if details.is_empty() {
        return "[]".to_owned();
    }
    let actions = [Action { kind, timestamp: log.date, details }];
    serde_json::to_string(&actions).unwrap_or_else(|_| "[]".to_owned())
}

/// One prompt; `None` for what is no object. Its time is when it was completed, else when it was shown.
fn prompt(value: &Value) -> Option<Detail<'static>> {
    let mut metadata = value.as_object()?.clone();
    let completed = metadata.remove("completedAt").as_ref().and_then(times::read);
    let shown = metadata.get("initiatedAt").and_then(times::read);
    metadata.remove("name");
    metadata.retain(|_, value| !value.is_null());
    Some(Detail {
        kind: "prompt",
        name: text(value, "/name").unwrap_or_else(|| "prompt".to_owned()),
        label: None,
        outcome: Some(if completed.is_some() { "completed".into() } else { "notCompleted".into() }),
        timestamp: completed.or(shown),
        metadata,
    })
}

fn result_metadata(data: &Value) -> Map<String, Value> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let found = RESULT.iter().filter_map(|(name, pointer)| Some((*name, data.pointer(pointer)?)));
    found
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}
