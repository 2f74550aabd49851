//! The dedupe window: the ids of the active segment and of the sealed ones that are young enough.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::{EventId, Timestamp};

use super::filter::Probe;
use super::groups::{Asked, Groups, Sealed};
use super::sealed::Ids;
use super::sidecar::{Bounds, Sidecar, Unusable, class};
use super::{KeyUse, Kind, Table};
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::local::files::{Scan, Step};
use crate::local::format::names;
use crate::local::open_files::OpenFiles;
use crate::prepared::Owner;
use crate::retention::believable;

/// How long ids are known, and how much memory the filters may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct WindowOptions {
    pub(in crate::local) events: Duration,
    pub(in crate::local) keys: Duration,
    pub(in crate::local) filter_bytes: usize,
}

/// A sealed segment, as far as its ids matter.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct SealedIds {
    pub(in crate::local) segment: u64,
    pub(in crate::local) first: u64,
    /// The sequence after its last block.
    pub(in crate::local) next: u64,
    pub(in crate::local) last_appended_at: Timestamp,
}

pub(in crate::local) struct Window {
    disk: Arc<dyn Disk>,
    files: Arc<OpenFiles>,
    options: WindowOptions,
    pub(in crate::local) active: Table,
    /// Oldest first.
    sealed: Sealed,
    groups: Groups,
    /// Places in `sealed` that the ids of the current group can be in, newest first.
    near: Vec<usize>,
}

impl Window {
    pub(in crate::local) fn new(
        disk: Arc<dyn Disk>,
        files: Arc<OpenFiles>,
        options: WindowOptions,
        active: Table,
    ) -> Self {
        let groups = Groups::new(Arc::clone(&disk), Arc::clone(&files));
        Self { disk, files, options, active, sealed: VecDeque::new(), groups, near: Vec::new() }
    }

    /// Whether ids of a segment that was last appended to at `last_appended_at` are still known.
    pub(in crate::local) fn covers(&self, last_appended_at: Timestamp, now: Timestamp) -> bool {
        now.since(last_appended_at) <= self.options.events.max(self.options.keys)
    }

    /// Opens the sidecar of a sealed segment, newer than all before, or rebuilds it.
    pub(in crate::local) fn open(&mut self, segment: SealedIds) -> Result<(), JournalError> {
        let ids = match Sidecar::open(&self.files, segment.segment) {
            Ok(sidecar) => Ids::Sidecar(sidecar),
            Err(Unusable) => self.rebuild(segment)?,
        };
        self.sealed.push_back((segment, ids));
        Ok(())
    }

    /// Makes the active table the sidecar of a segment that is sealed now.
    pub(in crate::local) fn seal(&mut self, segment: SealedIds) {
        let table = std::mem::take(&mut self.active);
        self.sealed.push_back((segment, Ids::in_memory(table)));
        self.save();
        self.groups.grow(&self.sealed);
        self.budget();
    }

    /// Opens the groups of filters, after the sidecars.
    pub(in crate::local) fn open_groups(&mut self) -> Result<(), JournalError> {
        self.groups.open(&self.sealed).map_err(JournalError::Read)
    }

    /// Writes the sidecars of ids that are in memory, as long as there is room.
    fn save(&mut self) {
        for (segment, ids) in &mut self.sealed {
            let Ids::Memory(table, _) = ids else { continue };
            match Sidecar::write(self.disk.as_ref(), &self.files, segment.segment, table) {
                Ok(sidecar) => *ids = Ids::Sidecar(sidecar),
                Err(error) => {
                    tracing::warn!(%error, segment = segment.segment, "cannot write a segment's ids; they stay in memory");
                    return;
                }
            }
        }
    }

    /// Replaces the sidecar of a rewritten segment.
    pub(in crate::local) fn refresh(&mut self, segment: u64) -> Result<(), JournalError> {
        if let Some(at) = self.sealed.iter().position(|(of, _)| of.segment == segment) {
            self.repair(at)?;
        }
        Ok(())
    }

    /// Forgets segments that are too old or were dropped (those below `first_kept`), and their files. Keeps the newest
    /// filters in memory, as many as the budget allows.
    pub(in crate::local) fn tidy(&mut self, now: Timestamp, first_kept: u64) {
        let appended_at: Vec<_> = self.sealed.iter().map(|(segment, _)| segment.last_appended_at).collect();
        for appended_at in believable(&appended_at, now) {
            let Some((segment, _)) = self.sealed.front() else { break };
            if self.covers(appended_at, now) && segment.segment >= first_kept {
                break;
            }
            self.files.forget_ids(segment.segment);
            let _ = self.disk.remove(&names::ids(segment.segment));
            self.sealed.pop_front();
        }
        self.groups.tidy(self.sealed.front().map_or(u64::MAX, |(segment, _)| segment.segment));
        self.budget();
    }

    fn budget(&mut self) {
        let mut left = self.options.filter_bytes;
        for (_, ids) in self.sealed.iter_mut().rev() {
            let Ids::Sidecar(sidecar) = ids else { continue };
            let fits = sidecar.filter_bytes() <= left;
            left = if fits { left - sidecar.filter_bytes() } else { 0 };
            if !fits {
                sidecar.filter = None;
            } else if sidecar.filter.is_none() {
                // A filter that cannot be read now is probed, and repaired, on disk.
                let _ = sidecar.load_filter();
            }
        }
    }

    /// Prepares for a group of ids: which segments can hold any of them.
    pub(in crate::local) fn focus(&mut self, now: Timestamp, ids: impl Iterator<Item = (Kind, EventId)>) {
        let mut group = [Bounds::default(); 3];
        for (kind, id) in ids {
            if let Some(bounds) = group.get_mut(class(kind, id)) {
                bounds.add(id);
            }
        }
        let near = self.sealed.iter().enumerate().rev().filter(|(_, (segment, ids))| {
            self.covers(segment.last_appended_at, now)
                && group.iter().enumerate().any(|(class, bounds)| bounds.meet(&ids.bounds(class)))
        });
        self.near = near.map(|(at, _)| at).collect();
    }

    /// Who stored this id, if that is known. Only for ids that the window is focused on.
    pub(in crate::local) fn event(
        &mut self,
        id: EventId,
        now: Timestamp,
    ) -> Result<Option<Owner>, JournalError> {
        if let Some(owner) = self.active.events.get(&id) {
            return Ok(Some(*owner));
        }
        let oldest = now.minus(self.options.events);
        self.search(Kind::Event, id, oldest, |ids| ids.event(id))
    }

    /// How this request key was used, if that is known. Only for ids that the window is focused on.
    pub(in crate::local) fn key(
        &mut self,
        id: EventId,
        now: Timestamp,
    ) -> Result<Option<KeyUse>, JournalError> {
        let oldest = now.minus(self.options.keys);
        let found = match self.active.keys.get(&id) {
            Some(key) => Some(*key),
            None => self.search(Kind::Request, id, oldest, |ids| ids.key(id))?,
        };
        Ok(found.filter(|key| key.at >= oldest))
    }

    fn search<T>(
        &mut self,
        kind: Kind,
        id: EventId,
        oldest: Timestamp,
        find: impl Fn(&Ids) -> Result<Option<T>, Unusable>,
    ) -> Result<Option<T>, JournalError> {
        if self.near.is_empty() {
            return Ok(None);
        }
        let (probe, mut asked) = (Probe::new(kind, &id), Asked::default());
        for nth in 0..self.near.len() {
            let Some(at) = self.near.get(nth).copied() else { break };
            let Some((segment, ids)) = self.sealed.get(at) else { continue };
            if segment.last_appended_at < oldest || !ids.bounds(class(kind, id)).contain(id) {
                continue;
            }
            if ids.asks_the_disk() && !self.groups.may_hold(segment.segment, probe, &mut asked) {
                continue;
            }
            let found = if let Ok(found) = find(ids) {
                found
            } else {
                self.repair(at)?;
                let (segment, ids) = self.sealed.get(at).ok_or(JournalError::Closed)?;
                find(ids).map_err(|Unusable| damaged_ids(segment.segment))?
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn repair(&mut self, at: usize) -> Result<(), JournalError> {
        let Some((segment, _)) = self.sealed.get(at) else { return Ok(()) };
        let ids = self.rebuild(*segment)?;
        if let Some(place) = self.sealed.get_mut(at) {
            place.1 = ids;
        }
        Ok(())
    }

    /// Reads the ids of a segment, and writes them as its sidecar if there is room. Of a damaged segment the ids of what
    /// can be read are known: an event whose id went with its block is stored again when it is sent again, which is better
    /// than a journal that does not open.
    fn rebuild(&self, segment: SealedIds) -> Result<Ids, JournalError> {
        tracing::warn!(segment = segment.segment, "rebuilding the ids of a segment");
        let (table, is_whole) = match self.disk.open(&names::segment(segment.segment)) {
            Ok(file) => read_ids(file.as_ref(), segment)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Table::default(), false),
            Err(error) => return Err(JournalError::Read(error)),
        };
        if !is_whole {
            tracing::error!(
                segment = segment.segment,
                "a segment and its ids are damaged: events in the damaged part are not known any more, and would be stored \
                 again; idstream journal verify names the place"
            );
            return Ok(Ids::partial(table));
        }
        match Sidecar::write(self.disk.as_ref(), &self.files, segment.segment, &table) {
            Ok(sidecar) => Ok(Ids::Sidecar(sidecar)),
            Err(error) => {
                tracing::warn!(%error, segment = segment.segment, "cannot write a segment's ids; they stay in memory");
                Ok(Ids::in_memory(table))
            }
        }
    }

    /// Segments of which only some ids are known.
    pub(in crate::local) fn n_partial(&self) -> usize {
        self.sealed.iter().filter(|(_, ids)| matches!(ids, Ids::Partial(..))).count()
    }
}

/// The ids of all blocks of a segment that can be read, and whether these are all.
fn read_ids(file: &dyn DiskFile, segment: SealedIds) -> Result<(Table, bool), JournalError> {
    let mut scan = Scan::new(file, segment.segment, segment.first).map_err(JournalError::Read)?;
    let (mut table, mut is_whole) = (Table::default(), true);
    while scan.sequence < segment.next {
        match scan.step()? {
            Step::Block { block, .. } => table.add(&block),
            Step::Broken(_) if scan.resume()? => is_whole = false,
            Step::End | Step::Broken(_) => return Ok((table, false)),
        }
    }
    Ok((table, is_whole))
}

fn damaged_ids(segment: u64) -> JournalError {
    JournalError::Damaged(format!("the file {} cannot be read back", names::ids(segment)))
}
