//! The words: what can be wrong, with what, how badly.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Timestamp;
use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Nothing is delivered until somebody does something.
    Holding,
    /// The destination refuses the credential.
    CredentialRejected,
    /// The oldest pending event is old.
    Lag,
    /// Events were refused for good, one by one.
    Quarantine,
    /// The backlog will come to its limit soon.
    ExpiryAhead,
    /// Pending events were given up.
    Expired,
    /// Somebody has switched a configuration off.
    ConfigurationDisabled,
    /// Somebody has deleted a configuration.
    ConfigurationDeleted,
    /// Somebody paused a configuration hours ago.
    Paused,
    /// Nothing comes from a source.
    SourceSilent,
    /// The disk is getting full.
    Disk,
    /// The journal takes nothing more until a restart.
    JournalPoisoned,
    /// Blocks of the journal cannot be read.
    JournalDamaged,
    /// The journal's head was not signed for long.
    HeadUnsigned,
    /// Producers are refused: a backlog budget is spent, or the disk is full but for its reserve.
    IntakeRefuses,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Holding,
        Self::CredentialRejected,
        Self::Lag,
        Self::Quarantine,
        Self::ExpiryAhead,
        Self::Expired,
        Self::ConfigurationDisabled,
        Self::ConfigurationDeleted,
        Self::Paused,
        Self::SourceSilent,
        Self::Disk,
        Self::JournalPoisoned,
        Self::JournalDamaged,
        Self::HeadUnsigned,
        Self::IntakeRefuses,
    ];

    /// Its name in answers and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::CredentialRejected => "credentialRejected",
            Self::Lag => "lag",
            Self::Quarantine => "quarantine",
            Self::ExpiryAhead => "expiryAhead",
            Self::Expired => "expired",
            Self::ConfigurationDisabled => "configurationDisabled",
            Self::ConfigurationDeleted => "configurationDeleted",
            Self::Paused => "paused",
            Self::SourceSilent => "sourceSilent",
            Self::Disk => "disk",
            Self::JournalPoisoned => "journalPoisoned",
            Self::JournalDamaged => "journalDamaged",
            Self::HeadUnsigned => "headUnsigned",
            Self::IntakeRefuses => "intakeRefuses",
        }
    }

    /// Whether it tells of something that happened, rather than of something that lasts: then there is no recovery to tell,
    /// and no reminder.
    pub const fn is_deed(self) -> bool {
        matches!(self, Self::ConfigurationDisabled | Self::ConfigurationDeleted)
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Holding => {
                "read the destination's words in the configuration's status, and mend what they name; everything is kept, \
                 and delivery goes on by itself"
            }
            Self::CredentialRejected => {
                "give the configuration a credential that the destination takes; everything is kept, and delivery goes on by \
                 itself"
            }
            Self::Lag => {
                "see the configuration's status: a destination that is down recovers by itself; one that is slow may take \
                 larger batches or more requests in flight"
            }
            Self::Quarantine => {
                "see why the destination refused these events; their copies are kept in the quarantine stream"
            }
            Self::ExpiryAhead => {
                "mend the destination, enable the configuration, or raise its backlog budget before the time is over"
            }
            Self::Expired => {
                "these events were not delivered and will not be; mend the destination to lose no more"
            }
            Self::ConfigurationDisabled => {
                "the audit log says who did it; it goes on from its place when it is enabled again, but retention does not \
                 wait for it"
            }
            Self::ConfigurationDeleted => {
                "the audit log says who did it; what it had not delivered stays in the journal for its retention"
            }
            Self::Paused => {
                "the audit log says who did it; what comes is kept for it within its backlog budget: resume it, or disable it"
            }
            Self::SourceSilent => {
                "look at the platform's log streaming: is it paused, or does it post elsewhere, or with another credential?"
            }
            Self::Disk => "make room, give the data directory a larger disk, or shorten the retention",
            Self::JournalPoisoned => {
                "a write to the disk failed: check the disk, then restart; producers are answered 503 until then, and nothing \
                 that was accepted is lost"
            }
            Self::JournalDamaged => {
                "idstream journal verify names the place; all else goes on. Put the files back from a backup while idstream is \
                 stopped, or see what idstream journal repair would give up"
            }
            Self::HeadUnsigned => "the server's diagnostics say why the journal's head cannot be signed",
            Self::IntakeRefuses => {
                "do one of what the alarm names; producers are answered 503 until then and send again, nothing that was accepted \
                 is lost, and it goes on by itself"
            }
        }
    }
}

/// How badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// To be looked at today.
    Warning,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// Its name in answers and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// With what kind of thing something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubjectKind {
    /// An event streaming configuration.
    Configuration,
    /// A source.
    Source,
    /// The installation itself.
    Instance,
}

impl SubjectKind {
    /// Its name in answers and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Source => "source",
            Self::Instance => "instance",
        }
    }
}

/// With what something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its id; empty for the installation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What makes two conditions the same: one alarm stands for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What is wrong.
    pub kind: Kind,
    /// The id of the subject; empty for the installation.
    pub subject: String,
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What.
    pub kind: Kind,
    /// With what.
    pub subject: Subject,
    /// How badly.
    pub severity: Severity,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// In words, without a full stop.
    pub text: String,
    /// How long it must last before it is an alarm.
    pub after: Duration,
}

impl Condition {
    /// What makes it the same as another one.
    pub fn key(&self) -> Key {
        Key { kind: self.kind, subject: self.subject.id.clone() }
    }
}

/// What is wrong now, and what is not to be taken for mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong.
    pub conditions: Vec<Condition>,
    /// What cannot be told now: nothing of it is raised, and nothing is taken back.
    pub unsure: BTreeSet<Key>,
    /// What stands and was put aside by an operator, who paused, disabled or deleted what it is about: it ends, and nobody
    /// says that it has recovered.
    pub set_aside: BTreeSet<Key>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_stored_under_the_name_that_readers_see() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for severity in [Severity::Warning, Severity::Critical] {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.name());
        }
        for kind in [SubjectKind::Configuration, SubjectKind::Source, SubjectKind::Instance] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
