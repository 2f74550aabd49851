//! Which entries are meant.

use base::{EventId, Timestamp};
use event::Stream;
use event::quarantine::Standing;

use super::causes::Texts;
use super::entries::Slot;

/// Which entries are meant: those that have all that is said. Says nothing: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where they stand: one of these. None: anywhere.
    pub standings: Vec<Standing>,
    /// The event's stream.
    pub stream: Option<Stream>,
    /// The kind of event: `type` of account events, `entityType` of audit logs, else `sourceEventType`.
    pub event_type: Option<String>,
    /// A text in their cause, in any case.
    pub cause: Option<String>,
    /// Copied at this time or later.
    pub from: Option<Timestamp>,
    /// Copied before this time.
    pub until: Option<Timestamp>,
    /// One of these events. Empty: any.
    pub events: Vec<EventId>,
}

/// A filter that is compared with numbers instead of texts.
#[derive(Debug)]
pub(crate) struct Prepared {
    filter: Filter,
    causes: Option<Vec<bool>>,
    kinds: Option<Vec<bool>>,
}

impl Prepared {
    pub(crate) fn new(filter: &Filter, causes: &Texts, kinds: &Texts) -> Self {
        let sought = filter.cause.as_ref().map(|cause| cause.to_lowercase());
        Self {
            causes: sought.map(|sought| causes.fitting(|text| text.to_lowercase().contains(&sought))),
            kinds: filter.event_type.as_ref().map(|kind| kinds.fitting(|text| text == kind)),
            filter: filter.clone(),
        }
    }

    pub(crate) fn lets_pass(&self, slot: &Slot, cause: u16, kind: u16) -> bool {
        let is_among = |among: &Option<Vec<bool>>, number: u16| {
            among.as_ref().is_none_or(|among| among.get(usize::from(number)).copied().unwrap_or(false))
        };
        let filter = &self.filter;
        (filter.standings.is_empty() || filter.standings.contains(&slot.standing))
            && filter.stream.is_none_or(|stream| stream == slot.stream)
            && filter.from.is_none_or(|from| slot.since >= from)
            && filter.until.is_none_or(|until| slot.since < until)
            && is_among(&self.causes, cause)
            && is_among(&self.kinds, kind)
            && (filter.events.is_empty() || filter.events.contains(&slot.id))
    }
}
