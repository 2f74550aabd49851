//! The groups of filters of a window: in tiers, so that an id asks about as many as the logarithm of the number of
//! segments.

use std::collections::VecDeque;
use std::sync::Arc;

use super::filter::Probe;
use super::group::{FAN, Group, MAX, Mask};
use super::sealed::Ids;
use super::window::SealedIds;
use crate::disk::Disk;
use crate::local::format::names;
use crate::local::open_files::OpenFiles;

/// What is sealed, oldest first.
pub(super) type Sealed = VecDeque<(SealedIds, Ids)>;

pub(super) struct Groups {
    disk: Arc<dyn Disk>,
    files: Arc<OpenFiles>,
    /// In order of their segments; none overlap.
    all: Vec<Group>,
}

/// What groups answered about one id.
#[derive(Default)]
pub(super) struct Asked(Vec<(u64, Mask)>);

impl Groups {
    pub(super) const fn new(disk: Arc<dyn Disk>, files: Arc<OpenFiles>) -> Self {
        Self { disk, files, all: Vec::new() }
    }

    /// Opens the files of filters of which some segment is sealed, the largest first, and removes all others.
    pub(super) fn open(&mut self, sealed: &Sealed) -> std::io::Result<()> {
        let mut found: Vec<(u64, usize)> =
            self.disk.list("")?.iter().filter_map(|name| names::filters_of(name)).collect();
        found.sort_unstable_by_key(|(first, n)| (std::cmp::Reverse(*n), *first));
        let is_sealed = |id| sealed.iter().any(|(segment, _)| segment.segment == id);
        for (first, n) in found {
            let overlaps = self.all.iter().any(|group| {
                first < group.first() + group.n() as u64 && group.first() < first.saturating_add(n as u64)
            });
            match Group::open(&self.files, first, n) {
                Ok(group) if !overlaps && is_sealed(first.saturating_add(n as u64 - 1)) => {
                    self.all.push(group);
                }
                _ => self.remove(first, n),
            }
        }
        self.all.sort_unstable_by_key(Group::first);
        Ok(())
    }

    fn remove(&self, first: u64, n: usize) {
        self.files.forget_filters(first);
        let _ = self.disk.remove(&names::filters(first, n));
    }

    /// Removes the groups of which no segment is left.
    pub(super) fn tidy(&mut self, first_kept: u64) {
        while let Some(group) = self.all.first()
            && group.first() + group.n() as u64 <= first_kept
        {
            self.remove(group.first(), group.n());
            self.all.remove(0);
        }
    }

    /// Makes one more group when there are enough sidecars, or groups, to make it of. Without room there is none.
    pub(super) fn grow(&mut self, sealed: &Sealed) {
        let Some((first, n)) = self.next_group(sealed) else { return };
        let members: Vec<_> = sealed
            .iter()
            .filter(|(segment, _)| (first..first + n as u64).contains(&segment.segment))
            .filter_map(|(_, ids)| if let Ids::Sidecar(sidecar) = ids { Some(sidecar) } else { None })
            .collect();
        if members.len() != n {
            return;
        }
        match Group::write(self.disk.as_ref(), &self.files, &members) {
            Ok(group) => {
                let (merged, kept) = std::mem::take(&mut self.all)
                    .into_iter()
                    .partition::<Vec<_>, _>(|old| group.place(old.first()).is_some());
                self.all = kept;
                for old in merged {
                    // One of the same name has been replaced.
                    if old.n() != group.n() {
                        let _ = self.disk.remove(&names::filters(old.first(), old.n()));
                        self.files.forget_filters(old.first());
                    }
                }
                self.all.push(group);
                self.all.sort_unstable_by_key(Group::first);
            }
            Err(error) => {
                tracing::warn!(%error, segment = first, "cannot write the filters of a group of segments");
            }
        }
    }

    /// The first segment of the next group, and how many it has.
    fn next_group(&self, sealed: &Sealed) -> Option<(u64, usize)> {
        let oldest = sealed.front()?.0.segment;
        let small: Vec<_> =
            self.all.iter().filter(|group| group.n() == FAN && group.first() >= oldest).collect();
        let merge = small.windows(FAN).find(|groups| {
            groups.windows(2).all(|pair| matches!(pair, [a, b] if a.first() + FAN as u64 == b.first()))
        });
        if let Some(group) = merge.and_then(|groups| groups.first()) {
            return Some((group.first(), MAX));
        }
        let mut free = 0;
        for (segment, ids) in sealed {
            let is_free = matches!(ids, Ids::Sidecar(_)) && self.of(segment.segment).is_none();
            free = if is_free { free + 1 } else { 0 };
            if free == FAN {
                return Some((segment.segment + 1 - FAN as u64, FAN));
            }
        }
        None
    }

    fn of(&self, segment: u64) -> Option<(usize, usize)> {
        let at = self.all.partition_point(|group| group.first() <= segment).checked_sub(1)?;
        Some((at, self.all.get(at)?.place(segment)?))
    }

    /// Whether a segment's sidecar may hold an id. `true` without a group that knows.
    pub(super) fn may_hold(&mut self, segment: u64, probe: Probe, asked: &mut Asked) -> bool {
        let Some((at, nth)) = self.of(segment) else { return true };
        let Some(group) = self.all.get(at) else { return true };
        if let Some((_, mask)) = asked.0.iter().find(|(first, _)| *first == group.first()) {
            return mask.has(nth);
        }
        if let Ok(mask) = group.ask(probe) {
            asked.0.push((group.first(), mask));
            return mask.has(nth);
        }
        tracing::warn!(segment = group.first(), "the filters of a group of segments are broken");
        let broken = self.all.remove(at);
        self.remove(broken.first(), broken.n());
        true
    }
}
