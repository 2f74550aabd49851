//! Fences: a worker that does not know yet that its settings were replaced takes no event that belongs to the new ones.
//!
//! A replacing call first closes the fence, then looks where the journal ends, then lets the worker go on up to there. So
//! the border between two selections is the same for the document and for every worker, however long the old worker lives
//! on: it may be waiting for a destination that hangs.

use std::sync::Arc;

use parking_lot::Mutex;

/// Workers with the settings of `revision` or of an earlier one take no block from `until` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Border {
    revision: u64,
    until: u64,
}

impl Border {
    /// No worker is outdated.
    const NONE: Self = Self { revision: 0, until: u64::MAX };
}

/// The border of one configuration.
#[derive(Debug)]
pub(crate) struct Fence(Mutex<Border>);

impl Default for Fence {
    fn default() -> Self {
        Self(Mutex::new(Border::NONE))
    }
}

impl Fence {
    /// Whether a worker with the settings of `revision` must leave a block to its successor.
    pub(crate) fn is_beyond(&self, block: u64, revision: u64) -> bool {
        let border = *self.0.lock();
        revision <= border.revision && block >= border.until
    }

    /// Whether a worker with the settings of `revision` has a border before it: settings that followed have begun there.
    pub(crate) fn concerns(&self, revision: u64) -> bool {
        revision <= self.0.lock().revision
    }

    /// A worker starts with the settings of `revision`, now that those before it are gone.
    pub(crate) fn begin(&self, revision: u64) {
        let mut border = self.0.lock();
        if border.revision < revision {
            *border = Border::NONE;
        }
    }

    /// Ends the settings of `revision` where the journal ends: `next` tells the sequence of the next block.
    pub(crate) fn close(self: Arc<Self>, revision: u64, next: impl FnOnce() -> u64) -> (u64, HandOver) {
        // What was taken before this lies below what `next` says after it.
        let before = {
            let mut border = self.0.lock();
            // A call that is too late, and about to be refused, opens no border of a change that was stored.
            let revision = revision.max(border.revision);
            std::mem::replace(&mut *border, Border { revision, until: 0 })
        };
        let until = next();
        let revision = revision.max(before.revision);
        // One worker may have missed several changes: the first one is its border.
        *self.0.lock() = Border { revision, until: until.min(before.until) };
        (until, HandOver(Some((self, before))))
    }
}

/// A replacement under way. Dropped, it did not happen, and the old settings stay in force.
#[must_use]
pub struct HandOver(Option<(Arc<Fence>, Border)>);

impl HandOver {
    /// Nothing changes that a worker would have to be kept from.
    pub(crate) const fn of_nothing() -> Self {
        Self(None)
    }

    /// The replacement is stored.
    pub fn complete(mut self) {
        self.0 = None;
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        if let Some((fence, before)) = self.0.take() {
            *fence.0.lock() = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_stays_on_its_side_of_the_border_until_the_change_is_given_up() {
        let fence = Arc::new(Fence::default());
        assert!(!fence.is_beyond(u64::MAX, 1), "no border was drawn");
        let (until, hand_over) = Arc::clone(&fence).close(1, || {
            assert!(fence.is_beyond(0, 1), "nothing is taken while the border is drawn");
            7
        });
        assert_eq!((until, fence.is_beyond(6, 1), fence.is_beyond(7, 1)), (7, false, true));
        assert!(!fence.is_beyond(7, 2), "the successor");
        drop(hand_over);
        assert!(!fence.is_beyond(7, 1));
    }

    #[test]
    fn a_worker_that_missed_several_changes_stops_at_the_first() {
        let fence = Arc::new(Fence::default());
        for (revision, next) in [(1, 7), (2, 9)] {
            let (until, hand_over) = Arc::clone(&fence).close(revision, || next);
            assert_eq!(until, next);
            hand_over.complete();
        }
        assert!(fence.is_beyond(7, 1) && !fence.is_beyond(6, 1));
        fence.begin(2);
        assert!(fence.is_beyond(9, 2), "it is outdated already");
        fence.begin(3);
        let (_, hand_over) = Arc::clone(&fence).close(3, || 12);
        assert!(!fence.is_beyond(11, 3), "what was before concerns nobody any more");
        hand_over.complete();
    }

    #[test]
    fn a_call_that_is_too_late_opens_nobody_elses_border() {
        let fence = Arc::new(Fence::default());
        let (_, stored) = Arc::clone(&fence).close(2, || 7);
        stored.complete();
        let (_, late) = Arc::clone(&fence).close(1, || {
            assert!(fence.is_beyond(7, 2), "not while the border is drawn");
            9
        });
        assert!(fence.is_beyond(7, 2));
        drop(late);
        assert!(fence.is_beyond(7, 2) && !fence.is_beyond(6, 2));
    }
}
