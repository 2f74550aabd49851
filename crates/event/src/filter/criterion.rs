//! What events can be told apart by, and where each stream keeps it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::header::{elements, member, members, text, text_of};
use crate::{Record, Section, Stream};

/// A property of events that a list of values is compared with, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Criterion {
    /// `type`.
    Types,
    /// `sourceEventType`: the platform's own code or name.
    SourceEventTypes,
    /// Any of `labels`.
    Labels,
    /// The store of the account that it is about: `subject.store`, else `actor.store`; `identityStore` of a hook log.
    IdentityStores,
    /// Id or name of `actorApplication`; of `application` of a hook log.
    Applications,
    /// `entityType`.
    EntityTypes,
    /// `sourceId`.
    Sources,
}

impl Criterion {
    /// Every criterion.
    pub const ALL: [Self; 7] = [
        Self::Types,
        Self::SourceEventTypes,
        Self::Labels,
        Self::IdentityStores,
        Self::Applications,
        Self::EntityTypes,
        Self::Sources,
    ];

    /// The name of its lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Types => "types",
            Self::SourceEventTypes => "sourceEventTypes",
            Self::Labels => "labels",
            Self::IdentityStores => "identityStores",
            Self::Applications => "applications",
            Self::EntityTypes => "entityTypes",
            Self::Sources => "sources",
        }
    }

    /// Whether events of this stream can have it at all. A list says nothing about those that cannot.
    pub const fn concerns(self, stream: Stream) -> bool {
        match self {
            Self::Types | Self::Labels => matches!(stream, Stream::AccountEvent),
            Self::SourceEventTypes => matches!(stream, Stream::AccountEvent | Stream::AuditLog),
            Self::IdentityStores | Self::Applications => {
                matches!(stream, Stream::AccountEvent | Stream::EventHookLog)
            }
            Self::EntityTypes => matches!(stream, Stream::AuditLog),
            Self::Sources => true,
        }
    }

    /// The first value of the record.
    pub fn first_of(self, record: &Record<'_>) -> Option<String> {
        let mut first = None;
        self.any(record, |value| {
            first = Some(value.to_owned());
            true
        });
        first
    }

    /// Whether `is_listed` holds for a value of the record. Never for one that has none.
    pub(super) fn any(self, record: &Record<'_>, mut is_listed: impl FnMut(&str) -> bool) -> bool {
        if self == Self::Sources {
            return record.section(Section::Source).is_some_and(is_listed);
        }
        if !self.concerns(record.stream()) {
            return false;
        }
        let Some(header) = record.section(Section::Header) else { return false };
        let is_hook = record.stream() == Stream::EventHookLog;
        let mut has = |value: Option<Cow<'_, str>>| value.is_some_and(|value| is_listed(&value));
        match self {
            Self::Types => has(text_of(header, "type")),
            Self::SourceEventTypes => has(text_of(header, "sourceEventType")),
            Self::Labels => {
                let labels = member(header, "labels").map(elements).into_iter().flatten();
                labels.filter_map(text).any(|label| is_listed(&label))
            }
            Self::IdentityStores if is_hook => has(text_of(header, "identityStore")),
            Self::IdentityStores => {
                let store = |of| text_of(members(member(header, of)?)?, "store");
                has(store("subject").or_else(|| store("actor")))
            }
            Self::Applications => {
                let name = if is_hook { "application" } else { "actorApplication" };
                let Some(application) = member(header, name).and_then(members) else { return false };
                has(text_of(application, "id")) || has(text_of(application, "name"))
            }
            Self::EntityTypes => has(text_of(header, "entityType")),
            Self::Sources => false,
        }
    }
}
