//! What events can be told apart by, and where each stream keeps it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::header::{Header, elements, text};
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
        let mut header = Header::of(record.section(Section::Header).unwrap_or_default());
        let mut first = None;
        self.any(record, &mut header, |value| {
            first = Some(value.to_owned());
            true
        });
        first
    }

    /// Whether `is_listed` holds for a value of the record, whose header it is. Never for one that has none.
    pub(super) fn any(
        self,
        record: &Record<'_>,
        header: &mut Header<'_>,
        mut is_listed: impl FnMut(&str) -> bool,
    ) -> bool {
        if !self.concerns(record.stream()) {
            return false;
        }
        let is_hook = record.stream() == Stream::EventHookLog;
        let mut has = |value: Option<Cow<'_, str>>| value.is_some_and(|value| is_listed(&value));
        match self {
            Self::Types => has(header.text("type")),
            Self::SourceEventTypes => has(header.text("sourceEventType")),
            Self::Labels => {
                let labels = header.member("labels").map(elements).into_iter().flatten();
                labels.filter_map(text).any(|label| is_listed(&label))
            }
            Self::IdentityStores if is_hook => has(header.text("identityStore")),
            Self::IdentityStores => {
                let subject = header.text_in("subject", "store");
                has(subject.or_else(|| header.text_in("actor", "store")))
            }
            Self::Applications => {
                let name = if is_hook { "application" } else { "actorApplication" };
                has(header.text_in(name, "id")) || has(header.text_in(name, "name"))
            }
            Self::EntityTypes => has(header.text("entityType")),
            Self::Sources => record.section(Section::Source).is_some_and(is_listed),
        }
    }
}
