//! Trying something that needs indexes until they are there: load what is [`Missing`] outside of any lock, try again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::reader::Reader;
use super::timeline::{Index, Missing, Segment};
use crate::JournalError;

/// Indexes that a caller holds on to while it tries, by segment id.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    indexes: HashMap<u64, Arc<Index>>,
    /// Segments to do without, and why.
    unreadable: BTreeMap<u64, JournalError>,
}

/// What a caller has of a segment's index.
pub(super) enum Pin<'a> {
    Index(&'a Index),
    Missing,
    Unreadable,
}

impl Pinned {
    pub(super) fn get(&self, segment: &Segment) -> Pin<'_> {
        if self.unreadable.contains_key(&segment.id) {
            return Pin::Unreadable;
        }
        let index = self.indexes.get(&segment.id).filter(|index| index.generation == segment.generation);
        index.map_or(Pin::Missing, |index| Pin::Index(index))
    }

    /// Why an attempt cannot do without a segment's index.
    pub(super) fn why_unreadable(&self) -> JournalError {
        let first = self.unreadable.values().next();
        first
            .map_or_else(|| JournalError::Damaged("a segment cannot be read".to_owned()), JournalError::again)
    }
}

/// What becomes of a segment whose index cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The attempt fails.
    Fails,
    /// When it is damaged, the attempt does without it. When the disk refused to read, the attempt fails.
    IsPassed,
    /// The attempt does without it, whatever the reason.
    IsAlwaysPassed,
}

/// What is kept between two tries.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) pinned: Pinned,
    unreadable: Unreadable,
    failed: Option<Segment>,
}

impl Attempts {
    pub(super) fn new(unreadable: Unreadable) -> Self {
        Self { pinned: Pinned::default(), unreadable, failed: None }
    }

    /// Loads an index that was missing, so that the next try comes further. Ends: an index that is loaded is the one
    /// that was asked for, and a failure is answered when it comes twice.
    pub(super) fn load(&mut self, Missing(segment): Missing, reader: &Reader) -> Result<(), JournalError> {
        match reader.index(&segment) {
            Ok(index) => {
                self.pinned.indexes.insert(segment.id, index);
                Ok(())
            }
            Err(error) => {
                let Err(error) = self.failed(&segment, error, reader) else { return Ok(()) };
                reader.note_damaged(&segment, &error);
                let passes = match self.unreadable {
                    Unreadable::Fails => false,
                    Unreadable::IsPassed => matches!(error, JournalError::Damaged(_)),
                    Unreadable::IsAlwaysPassed => true,
                };
                if !passes {
                    return Err(error);
                }
                self.pinned.unreadable.insert(segment.id, error);
                Ok(())
            }
        }
    }

    /// Notes that a segment could not be read. The first time it may be a race with a rewrite or a trim: the state is to
    /// be asked again. A second failure of the same segment in the same generation is none.
    pub(super) fn failed(
        &mut self,
        segment: &Segment,
        error: JournalError,
        reader: &Reader,
    ) -> Result<(), JournalError> {
        if self.failed == Some(*segment) {
            return Err(error);
        }
        reader.forget_files(segment.id);
        self.pinned.indexes.clear();
        self.failed = Some(*segment);
        Ok(())
    }
}
