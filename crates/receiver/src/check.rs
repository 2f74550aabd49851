//! The strict look into a document: valid JSON, no name twice, what idstream promises of every document.

use std::collections::BTreeMap;
use std::fmt;

use base::{EventId, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A JSON value whose objects have unique names. Numbers and truth values are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Object(BTreeMap<String, Json>),
    Array(Vec<Json>),
    Text(String),
    Other,
}

impl Json {
    /// Fails with a description when `bytes` are not one valid JSON value with unique names.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value with unique names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if let Some(twice) = members.insert(name.clone(), value).map(|_| name) {
                return Err(A::Error::custom(format!("the name {twice:?} comes twice")));
            }
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}

/// What is missing or wrong in a streamed document; its id where it has one.
pub(crate) fn document(document: &Json) -> (Option<EventId>, Vec<String>) {
    let id = document.text("eventID").and_then(|text| EventId::parse(text).ok());
    let mut problems = Vec::new();
    if !matches!(document.text("stream"), Some("accountEvent" | "auditLog" | "eventHookLog")) {
        problems.push("stream is none of the three streams".to_owned());
    }
    if document.text("schemaVersion").is_none() {
        problems.push("schemaVersion is missing".to_owned());
    }
    for name in ["name", "domain", "environment"] {
        if document.get("instance").and_then(|instance| instance.text(name)).is_none() {
            problems.push(format!("instance.{name} is missing"));
        }
    }
    if !document.text("receivedAt").is_some_and(is_time) {
        problems.push("receivedAt is not a UTC time in milliseconds".to_owned());
    }
    (id, problems)
}

/// Whether `text` is a time as idstream writes it: RFC 3339, UTC, milliseconds.
pub(crate) fn is_time(text: &str) -> bool {
    Timestamp::parse(text).is_ok_and(|time| time.to_string() == text)
}

/// Whether `text` is a decimal number of seconds with three decimals.
pub(crate) fn is_seconds(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    unsigned.split_once('.').is_some_and(|(whole, rest)| digits(whole) && digits(rest) && rest.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_found_at_any_depth() {
        assert!(Json::parse(br#"{"a":[{"b":1,"c":{"b":1.5,"d":null}}],"b":true}"#).is_ok());
        let error = Json::parse(br#"{"a":[{"b":1,"b":2}]}"#).unwrap_err();
        assert!(error.contains("\"b\" comes twice"), "{error}");
        assert!(Json::parse(b"{} {}").is_err());
    }

    #[test]
    fn times_are_in_one_form() {
        assert!(is_time("2026-01-31T12:00:00.007Z"));
        assert!(!is_time("2026-01-31T12:00:00Z"));
        assert!(is_seconds("1769860800.007") && is_seconds("-1.500"));
        assert!(!is_seconds("1769860800") && !is_seconds("1.7e9") && !is_seconds(".007"));
    }

    #[test]
    fn what_every_document_holds_is_missed() {
        let bare = Json::parse(b"{}").unwrap();
        let (id, problems) = document(&bare);
        assert_eq!((id, problems.len()), (None, 6));
    }
}
