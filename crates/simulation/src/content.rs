//! The content of events: a function of the event's number, so that the oracle can say what must have arrived.

use base::mask::MASK;
use base::{EventId, Timestamp};
use event::Stream;
use serde_json::{Value, json};

use crate::dice::mix;
use crate::selection::Selected;

/// What must never leave: it stands in every field that is to be masked.
pub(crate) const SECRET: &str = "hunter2-do-not-send";
/// Longest filling of an event, in characters; a large one is longer.
const FILLING: u64 = 300;
const LARGE: usize = 9_000;

/// What an event holds: which one it is, and in which of two versions. Producers that make mistakes send both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) version: u8,
}

impl Content {
    fn draw(&self, what: u64, bound: u64) -> u64 {
        mix(self.seed ^ mix(self.number ^ mix(what))) % (bound + 1)
    }

    pub(crate) fn stream(&self) -> Stream {
        match self.draw(1, 9) {
            0..6 => Stream::AccountEvent,
            6..9 => Stream::AuditLog,
            _ => Stream::EventHookLog,
        }
    }

    /// The type of an account event, or what kind of thing an audit log is about.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.stream(), self.draw(2, 1)) {
            (Stream::AuditLog, 0) => "Policy",
            (Stream::AuditLog, _) => "User",
            (_, 0) => "customerFlow",
            (_, _) => "selfService",
        }
    }

    /// The platform's own word for it.
    pub(crate) fn code(&self) -> &'static str {
        if self.draw(3, 2) == 0 { "sertft" } else { "login" }
    }

    fn city(&self) -> &'static str {
        match (self.version, self.draw(4, 1)) {
            (0, 0) => "Graz",
            (0, _) => "Wien",
            (_, _) => "elsewhere",
        }
    }

    fn has_email(&self) -> bool {
        self.draw(5, 2) > 0
    }

    fn time(&self) -> Timestamp {
        let base = Timestamp::parse("2026-01-31T11:00:00Z").unwrap_or_default();
        base.plus(std::time::Duration::from_millis(self.number * 37))
    }

    fn filling(&self) -> String {
        let len = if self.draw(6, 199) == 0 { LARGE } else { self.draw(7, FILLING) as usize };
        "x".repeat(len)
    }

    /// The mark by which the event is known again.
    pub(crate) fn mark(&self) -> String {
        format!("n{}v{}", self.number, self.version)
    }

    /// The content whose mark a text holds.
    pub(crate) fn of_mark(seed: u64, text: &str) -> Option<Self> {
        let (number, version) = text.strip_prefix('n')?.split_once('v')?;
        Some(Self { seed, number: number.parse().ok()?, version: version.parse().ok()? })
    }

    /// The field that holds the mark.
    pub(crate) const fn mark_field(stream: Stream) -> &'static str {
        match stream {
            Stream::AuditLog => "name",
            Stream::EventHookLog => "accountEventId",
            _ => "loginSessionId",
        }
    }

    /// The id that its producer gives it.
    pub(crate) fn own_id(&self) -> EventId {
        EventId::derive(self.time(), &["simulation", &self.seed.to_string(), &self.number.to_string()])
    }

    /// The event as it is posted.
    pub(crate) fn posted(&self, id: Option<EventId>) -> String {
        let raw = json!({"filling": self.filling(), "password": SECRET});
        let mut posted = match self.stream() {
            Stream::AuditLog => json!({
                "stream": "auditLog", "date": self.time(), "action": "Update", "entityType": self.kind(),
                "sourceEventType": self.code(), "name": self.mark(),
                "request": {"client_secret": SECRET, "city": self.city()}, "raw": raw,
            }),
            Stream::EventHookLog => json!({
                "stream": "eventHookLog", "timestamp": self.time(), "accountEventId": self.mark(),
                "logs": [{"level": "info", "message": self.city()}], "raw": raw,
            }),
            _ => {
                let mut claims = json!({"city": self.city(), "access_token": SECRET});
                if self.has_email() {
                    claims["email"] = format!("{}@example.com", self.number).into();
                }
                json!({
                    "stream": "accountEvent", "type": self.kind(), "sourceEventType": self.code(),
                    "endTimestamp": self.time(), "loginSessionId": self.mark(), "nativeClaims": claims, "raw": raw,
                })
            }
        };
        if let Some(id) = id {
            posted["eventID"] = id.to_string().into();
        }
        posted.to_string()
    }

    /// What of a document is not as it must be under the settings that selected it.
    pub(crate) fn flaw_of(&self, document: &Value, selected: &Selected) -> Option<String> {
        let time = self.time().to_string();
        let raw = json!({"filling": self.filling(), "password": MASK});
        let stream = self.stream();
        let mut expected: Vec<(&str, Value)> = vec![("stream", stream.name().into())];
        let mark = (Self::mark_field(stream), Value::from(self.mark()));
        let has_raw = selected.raw && (stream != Stream::AuditLog || selected.bodies);
        match stream {
            Stream::AuditLog => {
                expected.extend([("date", time.into()), ("entityType", self.kind().into()), mark]);
                // Bodies are texts.
                let body = json!({"city": self.city(), "client_secret": MASK}).to_string();
                expected.push(("request", if selected.bodies { body.into() } else { Value::Null }));
            }
            Stream::EventHookLog => {
                expected.extend([("timestamp", time.into()), mark]);
                expected.push(("logs", json!([{"level": "info", "message": self.city()}])));
            }
            _ => {
                let kind = ("type", self.kind().into());
                expected.extend([
                    ("endTimestamp", time.into()),
                    kind,
                    mark,
                    ("nativeClaims", self.claims(selected)),
                ]);
            }
        }
        expected.push(("raw", if has_raw { raw } else { Value::Null }));
        let differs = |(name, value): &&(&str, Value)| document.get(name).unwrap_or(&Value::Null) != value;
        let (name, value) = expected.iter().find(differs)?;
        Some(format!("{name} is {}, and should be {value}", document.get(name).unwrap_or(&Value::Null)))
    }

    /// The claims that are to be sent; `null` when there are none.
    fn claims(&self, selected: &Selected) -> Value {
        let mut claims = serde_json::Map::new();
        for name in &selected.claims {
            match *name {
                "city" => drop(claims.insert("city".to_owned(), self.city().into())),
                "access_token" => drop(claims.insert("access_token".to_owned(), MASK.into())),
                "email" if self.has_email() => {
                    claims.insert("email".to_owned(), format!("{}@example.com", self.number).into());
                }
                _ => {}
            }
        }
        if claims.is_empty() { Value::Null } else { claims.into() }
    }
}
