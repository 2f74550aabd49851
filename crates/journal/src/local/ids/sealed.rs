//! The ids of one sealed segment: in a sidecar, or in memory while there is no room for one.

use base::EventId;

use super::sidecar::{Bounds, Sidecar, Unusable, class};
use super::{KeyUse, Kind, Table};
use crate::prepared::Owner;

pub(super) enum Ids {
    Sidecar(Sidecar),
    /// The sidecar could not be written. It is tried again when the next segment is sealed.
    Memory(Box<Table>, [Bounds; 3]),
    /// The segment is damaged: these are the ids of what can be read of it. They never become a sidecar, which would pass
    /// for the ids of all.
    Partial(Box<Table>, [Bounds; 3]),
}

impl Ids {
    pub(super) fn in_memory(table: Table) -> Self {
        let bounds = bounds_of(&table);
        Self::Memory(Box::new(table), bounds)
    }

    pub(super) fn partial(table: Table) -> Self {
        let bounds = bounds_of(&table);
        Self::Partial(Box::new(table), bounds)
    }

    pub(super) fn bounds(&self, class: usize) -> Bounds {
        match self {
            Self::Sidecar(sidecar) => sidecar.bounds(class),
            Self::Memory(_, bounds) | Self::Partial(_, bounds) => {
                bounds.get(class).copied().unwrap_or_default()
            }
        }
    }

    /// Whether asking costs a read even when the answer is no.
    pub(super) const fn asks_the_disk(&self) -> bool {
        matches!(self, Self::Sidecar(sidecar) if sidecar.filter.is_none())
    }

    pub(super) fn event(&self, id: EventId) -> Result<Option<Owner>, Unusable> {
        match self {
            Self::Sidecar(sidecar) => sidecar.event(id),
            Self::Memory(table, _) | Self::Partial(table, _) => Ok(table.events.get(&id).copied()),
        }
    }

    pub(super) fn key(&self, id: EventId) -> Result<Option<KeyUse>, Unusable> {
        match self {
            Self::Sidecar(sidecar) => sidecar.key(id),
            Self::Memory(table, _) | Self::Partial(table, _) => Ok(table.keys.get(&id).copied()),
        }
    }
}

fn bounds_of(table: &Table) -> [Bounds; 3] {
    let mut bounds = [Bounds::default(); 3];
    let events = table.events.keys().map(|id| (Kind::Event, *id));
    for (kind, id) in events.chain(table.keys.keys().map(|id| (Kind::Request, *id))) {
        if let Some(bounds) = bounds.get_mut(class(kind, id)) {
            bounds.add(id);
        }
    }
    bounds
}
