//! What is told of an alarm: to channels in their forms, and to the other destinations as an audit log.

use base::{Random, Timestamp};
use catalog::Note;
use event::native::Instance;
use event::own::audit_log;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ENTITY_TYPE;
use crate::alarm::Severity;
use crate::book::Alarm;

/// What has become of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// It was raised.
    Raised,
    /// It stands, and has become critical.
    Worse,
    /// It still stands.
    Reminder,
    /// What was wrong is mended.
    Cleared,
    /// An operator paused, disabled or deleted what it was about: nobody knows whether it is mended.
    Withdrawn,
    /// Somebody tries a channel out.
    Test,
}

impl What {
    /// Its name in what is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Worse => "worse",
            Self::Reminder => "reminder",
            Self::Cleared => "cleared",
            Self::Withdrawn => "withdrawn",
            Self::Test => "test",
        }
    }
}

/// Something that is told, once to each channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Its number: each is one higher than the one before.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// The alarm, as it was then.
    pub alarm: Alarm,
    /// The alarm was silenced: no channel is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_silenced: bool,
}

impl Notice {
    /// What it is called, in every form and every try the same.
    pub fn id(&self) -> String {
        format!("{}-{}", self.alarm.id, self.number)
    }

    /// The worst that it is about: the recovery of a critical alarm goes where the alarm went.
    pub fn severity(&self) -> Severity {
        self.alarm.worst.max(self.alarm.severity)
    }

    /// One line.
    pub fn headline(&self) -> String {
        let head = match self.what {
            What::Raised => self.alarm.severity.name(),
            What::Worse => "now critical",
            What::Reminder => "still wrong",
            What::Cleared => "recovered",
            What::Withdrawn => "ended by an operator",
            What::Test => "test",
        };
        format!("[{head}] {}", self.alarm.text)
    }

    /// What to do, where there is something.
    pub fn advice(&self) -> Option<&'static str> {
        (!matches!(self.what, What::Cleared | What::Withdrawn | What::Test)).then(|| self.alarm.kind.advice())
    }

    /// The JSON document that webhooks get: the members of Standard Webhooks, and `text`, which chat systems show.
    pub fn document(&self, instance: &Instance) -> Value {
        let text = match self.advice() {
            Some(advice) => format!("{}: {}\nWhat to do: {advice}.", instance.name, self.headline()),
            None => format!("{}: {}", instance.name, self.headline()),
        };
        json!({
            "type": format!("alarm.{}", self.what.name()),
            "timestamp": self.at,
            "text": text,
            "data": {
                "noticeId": self.id(),
                "instance": {"name": instance.name, "domain": instance.domain, "environment": instance.environment},
                "alarm": self.alarm.shown(),
            },
        })
    }

    /// The audit log of it. Reminders and tests are none: nothing has changed.
    pub(crate) fn note(&self, random: &Random) -> Option<Note> {
        let action = match self.what {
            What::Raised | What::Worse => "Raise",
            What::Cleared => "Clear",
            What::Withdrawn => "Withdraw",
            What::Reminder | What::Test => return None,
        };
        let alarm = &self.alarm;
        // Texts only: a destination that has learned one type for `after` refuses others.
        let after = |path: &str, value: String| json!({"path": path, "after": value});
        let mut changes = vec![
            after("/alarmId", alarm.id.clone()),
            after("/kind", alarm.kind.name().to_owned()),
            after("/severity", alarm.severity.name().to_owned()),
            after("/subject/kind", alarm.subject.kind.name().to_owned()),
            after("/subject/id", alarm.subject.id.clone()),
            after("/subject/name", alarm.subject.name.clone()),
            after("/text", alarm.text.clone()),
            after("/raisedAt", alarm.raised_at.to_string()),
            after("/count", alarm.count.to_string()),
        ];
        changes.extend(alarm.cleared_at.map(|at| after("/clearedAt", at.to_string())));
        let mut note = audit_log(action, ENTITY_TYPE, &alarm.title(), (self.at, random));
        note["changes"] = changes.into();
        Some(note)
    }
}
