//! Ids of events: kept, derived or drawn, always UUIDs (RFC 9562).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Random, Timestamp};

/// The `eventID`: a UUID that stays the same however often the event is retried, replayed or pulled again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// A text that is not a UUID in its 36-character form.
#[derive(Debug, thiserror::Error)]
#[error("not a UUID such as 0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e5f")]
pub struct IdError;

impl EventId {
    /// From the 16 bytes of a UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the UUID.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Parses the hyphenated form, upper or lower case; other forms (braces, URN, no hyphens) and the nil UUID are
    /// refused so that one event has one spelling.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() != 36 {
            return Err(IdError);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| IdError)?;
        if uuid.is_nil() { Err(IdError) } else { Ok(Self(uuid)) }
    }

    /// A fresh id for an event that has none: UUIDv7 of `now`.
    pub fn draw(now: Timestamp, random: &Random) -> Self {
        let ms = u64::try_from(now.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &random.bytes()).into_uuid())
    }

    /// The id of an event that its platform has named: UUIDv8, 48 bits of event time in milliseconds, then a hash of
    /// `parts`. The parts are the platform's identity (issuer, tenant, realm) and the vendor's own id; they are hashed
    /// with their lengths, so that no two lists of parts collide by concatenation.
    pub fn derive(time: Timestamp, parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"idstream event id v1");
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut bytes = [0_u8; 16];
        let ms = u64::try_from(time.as_millis()).unwrap_or(0).to_be_bytes();
        for (to, from) in bytes.iter_mut().zip(ms.iter().skip(2).chain(&digest)) {
            *to = *from;
        }
        Self(Uuid::new_v8(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EventId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EventId, E> {
                EventId::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_every_part_and_on_the_time() {
        let t = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let id = EventId::derive(t, &["auth0", "tenant", "900"]);
        assert_eq!(id, EventId::derive(t, &["auth0", "tenant", "900"]));
        assert_ne!(id, EventId::derive(t, &["auth0", "tenant9", "00"]));
        assert_ne!(
            id,
            EventId::derive(t.plus(std::time::Duration::from_millis(1)), &["auth0", "tenant", "900"])
        );
        assert!(id.to_string().starts_with("019c13ec-"), "{id}");
        assert_eq!(id.to_string().as_bytes().get(14), Some(&b'8'));
    }

    #[test]
    fn one_event_has_one_spelling() {
        let id = "0197F3A0-6C1E-7C3A-9D2B-0A1B2C3D4E5F";
        assert_eq!(EventId::parse(id).unwrap().to_string(), id.to_lowercase());
        for text in ["", "0197f3a06c1e7c3a9d2b0a1b2c3d4e5f", "00000000-0000-0000-0000-000000000000", "x"] {
            assert!(EventId::parse(text).is_err(), "{text}");
        }
    }
}
