//! Ids for lines that have none, made from what they say: the same line has the same id however often, in whatever
//! file and between whatever other lines it is sent, so that sending it again stores nothing twice.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base::{EventId, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

/// Names lines. Remembers what it has seen, because equal lines of one file are events of their own.
#[derive(Debug)]
pub(super) struct Names {
    /// Whose events these are: another sender's equal line is another event.
    owner: String,
    /// Makes all ids differ from those of other runs, when it is not empty.
    salt: String,
    /// Hashes of lines. Most lines are there once, so that counts are kept apart: 10 bytes a line, not 30.
    seen: HashSet<u64>,
    repeated: HashMap<u64, u64>,
}

/// What a name needs to know about an event. Everything else is the server's to judge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "eventID", alias = "eventId", alias = "id", default)]
    id: Given,
    end_timestamp: Option<Timestamp>,
    start_timestamp: Option<Timestamp>,
    date: Option<Timestamp>,
    timestamp: Option<Timestamp>,
}

/// Whether a field is there, whatever it holds.
#[derive(Default)]
struct Given(bool);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

impl Names {
    /// For the API client with this token. A `salt` makes lines new that were sent before.
    pub(super) fn new(token: &str, salt: String) -> Self {
        // A token is ids_CLIENT_SECRET: the client is what the server knows as an event's owner.
        let client = token.strip_prefix("ids_").and_then(|rest| rest.split('_').next());
        Self {
            owner: client.unwrap_or_default().to_owned(),
            salt,
            seen: HashSet::new(),
            repeated: HashMap::new(),
        }
    }

    /// The line with an `eventID`, when it is an event that has none. A line that is not understood stays as it is: the
    /// server says what is wrong with it.
    pub(super) fn name<'a>(&mut self, line: &'a str) -> Cow<'a, str> {
        let Ok(event) = serde_json::from_str::<Event>(line) else { return Cow::Borrowed(line) };
        let (false, Some(members)) = (event.id.0, line.strip_prefix('{')) else { return Cow::Borrowed(line) };
        let time = event.end_timestamp.or(event.start_timestamp).or(event.date).or(event.timestamp);
        let nth = self.nth(line).to_string();
        let id = EventId::derive(time.unwrap_or_default(), &["send", &self.owner, &self.salt, line, &nth]);
        let comma = if members.trim_start().starts_with('}') { "" } else { "," };
        Cow::Owned(format!("{{\"eventID\":\"{id}\"{comma}{members}"))
    }

    /// How many equal lines came before.
    fn nth(&mut self, line: &str) -> u64 {
        let hash = content_hash(line.as_bytes());
        if self.seen.insert(hash) {
            return 0;
        }
        let count = self.repeated.entry(hash).or_default();
        *count += 1;
        *count
    }
}

/// A hash that is the same on every run (FNV-1a, 64 bits): tells lines apart, protects nothing.
pub(super) fn content_hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"type":"selfService","endTimestamp":"2026-01-31T12:00:00Z"}"#;

    fn names() -> Names {
        Names::new("ids_client-1_secret", String::new())
    }

    #[test]
    fn the_name_follows_from_the_line_alone() {
        let first = names().name(LINE).into_owned();
        let mut other = names();
        assert_ne!(other.name(&LINE.replace("12:00", "12:01")), first);
        assert_eq!(other.name(LINE), first);
        assert!(first.starts_with("{\"eventID\":\"019c1"), "the id begins with the event's time: {first}");
        let parsed = event::model::incoming::parse(&first, &base::mask::MaskRule::default()).unwrap();
        assert!(parsed.event_id().is_some());
    }

    #[test]
    fn equal_lines_other_owners_and_salts_have_other_names() {
        let mut names = names();
        let mut all =
            vec![names.name(LINE).into_owned(), names.name(LINE).into_owned(), names.name(LINE).into_owned()];
        all.push(Names::new("ids_client-2_secret", String::new()).name(LINE).into_owned());
        all.push(Names::new("ids_client-1_secret", "salt".to_owned()).name(LINE).into_owned());
        let distinct: HashSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
        let other_secret = Names::new("ids_client-1_other", String::new()).name(LINE).into_owned();
        assert_eq!(other_secret, all[0]);
    }

    #[test]
    fn a_line_that_has_an_id_or_is_not_understood_stays_as_it_is() {
        for line in [
            r#"{"eventID":"x","type":"selfService"}"#,
            r#"{"eventId":null}"#,
            r#"{"type":"selfService","id":7}"#,
            r#"{"id":"a","eventID":"b"}"#,
            r#"{"endTimestamp":"yesterday"}"#,
            "{broken",
            "[]",
        ] {
            assert_eq!(names().name(line), line);
        }
        assert!(names().name("{ }").ends_with("\" }"));
    }

    proptest! {
        #[test]
        fn a_named_line_differs_by_its_name_only(members in proptest::collection::btree_map("[a-c]{1,3}", any::<u32>(), 0..4)) {
            let line = serde_json::to_string(&members).unwrap();
            let named: serde_json::Value = serde_json::from_str(&names().name(&line)).unwrap();
            let mut without = named.clone();
            let id = without.as_object_mut().unwrap().remove("eventID");
            prop_assert!(EventId::parse(id.unwrap().as_str().unwrap()).is_ok());
            prop_assert_eq!(without, serde_json::to_value(&members).unwrap());
        }
    }
}
