//! What the journal cannot tell: when retention removed what, and which ids belong to made-up events. A small file,
//! replaced as a whole.
//!
//! It is the one thing of the explorer that cannot be made again. When it is lost, "removed on DATE" becomes a later date
//! or "unknown", and nothing else suffers.

use std::collections::VecDeque;
use std::io;

use base::{EventId, Timestamp};
use journal::disk::Disk;
use serde::{Deserialize, Serialize};

const FILE: &str = "notes.json";
const NEW_FILE: &str = "notes.new";
/// Days of removals that are remembered apart. Those before count as removed on the oldest of them.
const MAX_REMOVALS: usize = 1_000;
/// Made-up events that are remembered.
const MAX_TESTS: usize = 1_000;
/// Largest file that is read, in bytes: what the lists can hold at most, and some.
const MAX_BYTES: u64 = 4 << 20;
const DAY_MS: i64 = 86_400_000;

/// A made-up event that was sent to try a configuration out. Nothing of it is stored but this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestNote {
    /// The id that the destination received.
    #[serde(rename = "eventID")]
    pub event_id: EventId,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The name of the API client that had it sent.
    pub sent_by: String,
    /// The name of the event streaming configuration.
    pub configuration: String,
}

/// When something was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// When it was noticed.
    pub at: Timestamp,
    /// Whether it was noticed only at a start, so that it may have happened long before.
    pub or_before: bool,
}

/// What retention removed in one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Removal {
    /// Every block below this sequence.
    pub(crate) below: u64,
    /// Everything that was received before this.
    pub(crate) received_before: Timestamp,
    /// When that was last noticed that day.
    pub(crate) removed: Removed,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// In order.
    removals: VecDeque<Removal>,
    /// Oldest first.
    tests: VecDeque<TestNote>,
}

impl Notes {
    /// No note.
    pub(crate) const fn none() -> Self {
        Self { removals: VecDeque::new(), tests: VecDeque::new() }
    }

    /// Reads the file; one that is missing or damaged is an empty one.
    pub(crate) fn read(disk: &dyn Disk) -> Self {
        let read = || -> io::Result<Self> {
            let file = disk.open(FILE)?;
            let len = file.len()?;
            if len > MAX_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        read().unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "the explorer's notes cannot be read: it forgets when older events were removed");
            }
            Self::none()
        })
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let file = disk.create(NEW_FILE)?;
        file.write_all_at(&serde_json::to_vec(self)?, 0)?;
        file.sync_data()?;
        disk.rename(NEW_FILE, FILE)?;
        disk.sync_dir("")
    }

    /// Below which block all has been noted as removed.
    pub(crate) fn removed_below(&self) -> u64 {
        // Blocks are numbered from 1.
        self.removals.back().map_or(1, |last| last.below)
    }

    /// Adds a removal: to that of the same day, so that years are remembered however often something is removed.
    pub(crate) fn add_removal(&mut self, removal: Removal) {
        let day = |removal: &Removal| {
            (removal.removed.at.as_millis().div_euclid(DAY_MS), removal.removed.or_before)
        };
        let received_before = self
            .removals
            .back()
            .map_or(removal.received_before, |last| last.received_before.max(removal.received_before));
        if self.removals.back().is_some_and(|last| day(last) == day(&removal)) {
            self.removals.pop_back();
        }
        self.removals.push_back(Removal { received_before, ..removal });
        while self.removals.len() > MAX_REMOVALS {
            self.removals.pop_front();
        }
    }

    /// The journal begins earlier than what was noted: it is an older copy, or another one.
    pub(crate) fn forget_removals_above(&mut self, first: u64) {
        self.removals.retain(|removal| removal.below <= first);
    }

    /// When a block was removed; `None` when it was not, as far as is noted.
    pub(crate) fn removal_of(&self, block: u64) -> Option<Removed> {
        self.removals.iter().find(|removal| block < removal.below).map(|removal| removal.removed)
    }

    /// When an event was removed, if it is of the time that its id says and was ever stored.
    pub(crate) fn removal_by_time(&self, id: EventId) -> Option<Removed> {
        let time = time_of(id)?;
        self.removals.iter().find(|removal| time < removal.received_before).map(|removal| removal.removed)
    }

    /// Adds made-up events; the oldest go.
    pub(crate) fn add_tests(&mut self, notes: Vec<TestNote>) {
        self.tests.extend(notes);
        while self.tests.len() > MAX_TESTS {
            self.tests.pop_front();
        }
    }

    /// The made-up event of this id.
    pub(crate) fn test(&self, id: EventId) -> Option<&TestNote> {
        self.tests.iter().rev().find(|note| note.event_id == id)
    }
}

/// The time that an id begins with: that of receipt or of the event in ids of ours (UUIDv7, v8).
fn time_of(id: EventId) -> Option<Timestamp> {
    let number = u128::from_be_bytes(*id.as_bytes());
    let (millis, version) = ((number >> 80) as i64, (number >> 76) & 15);
    if matches!(version, 7 | 8) { Timestamp::from_millis(millis).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::Random;
    use testkit::disk::SimDisk;

    use super::*;

    fn at(day: u32) -> Timestamp {
        Timestamp::parse("2026-01-31T12:00:00Z").unwrap().plus(Duration::from_hours(24) * day)
    }

    fn on(day: u32) -> Removed {
        Removed { at: at(day), or_before: false }
    }

    fn removal(below: u64, received: u32, removed: u32) -> Removal {
        Removal { below, received_before: at(received), removed: on(removed) }
    }

    #[test]
    fn the_day_of_a_removal_is_told_by_block_and_by_the_time_in_an_id() {
        let mut notes = Notes::none();
        notes.add_removal(removal(10, 1, 30));
        notes.add_removal(removal(20, 2, 31));
        assert_eq!(notes.removed_below(), 20);
        assert_eq!(
            [9, 10, 19, 20].map(|block| notes.removal_of(block)),
            [Some(on(30)), Some(on(31)), Some(on(31)), None]
        );
        let random = Random::from_seed(1);
        let by_time = |day| notes.removal_by_time(EventId::draw(at(day), &random));
        assert_eq!([by_time(0), by_time(1), by_time(2)], [Some(on(30)), Some(on(31)), None]);
        assert_eq!(notes.removal_by_time(EventId::from_bytes([0x40; 16])), None, "an id without a time");
    }

    #[test]
    fn a_day_is_one_removal_and_the_oldest_days_become_one() {
        let mut notes = Notes::none();
        for n in 0..3 {
            notes.add_removal(Removal {
                removed: Removed { at: at(30).plus(Duration::from_mins(n)), or_before: false },
                ..removal(10 + n, 1, 30)
            });
        }
        assert_eq!(notes.removals.len(), 1);
        let noticed_late = Removed { or_before: true, ..on(30) };
        notes.add_removal(Removal { removed: noticed_late, ..removal(11, 1, 30) });
        assert_eq!(notes.removals.len(), 2, "what is known exactly stays so");
        notes.removals.pop_back();
        assert_eq!(notes.removed_below(), 12);
        for day in 0..=MAX_REMOVALS as u32 {
            notes.add_removal(removal(100 + u64::from(day), day, 31 + day));
        }
        assert_eq!(notes.removals.len(), MAX_REMOVALS);
        assert_eq!(notes.removal_of(1), Some(on(32)), "at the latest");
        assert_eq!(notes.removal_of(1_000), Some(on(932)));
    }

    #[test]
    fn the_file_stays_readable() {
        let mut notes = Notes::none();
        notes.add_removal(removal(10, 1, 30));
        notes.add_tests(vec![TestNote {
            event_id: EventId::from_bytes([0x70; 16]),
            sent_at: at(0),
            sent_by: "ann".to_owned(),
            configuration: "Splunk".to_owned(),
        }]);
        let file = concat!(
            r#"{"removals":[{"below":10,"receivedBefore":"2026-02-01T12:00:00.000Z","#,
            r#""removed":{"at":"2026-03-02T12:00:00.000Z","orBefore":false}}],"#,
            r#""tests":[{"eventID":"70707070-7070-7070-7070-707070707070","sentAt":"2026-01-31T12:00:00.000Z","#,
            r#""sentBy":"ann","configuration":"Splunk"}]}"#,
        );
        assert_eq!(serde_json::to_string(&notes).unwrap(), file);
        assert_eq!(serde_json::from_str::<Notes>(file).unwrap(), notes);
    }

    #[test]
    fn the_newest_tests_are_kept_and_all_comes_back_from_the_disk() {
        let (disk, random) = (SimDisk::new(1), Random::from_seed(1));
        let note = || TestNote {
            event_id: EventId::draw(at(0), &random),
            sent_at: at(0),
            sent_by: "x".repeat(300),
            configuration: "y".repeat(300),
        };
        let all: Vec<_> = (0..=MAX_TESTS).map(|_| note()).collect();
        let mut notes = Notes::none();
        notes.add_removal(removal(10, 1, 30));
        notes.add_tests(all.clone());
        assert_eq!(notes.test(all[0].event_id), None);
        assert_eq!(notes.test(all[1].event_id), all.get(1));
        notes.write(&disk).unwrap();
        disk.crash();
        assert_eq!(Notes::read(&disk), notes);

        disk.set_bytes(FILE, b"{".to_vec());
        assert_eq!(Notes::read(&disk), Notes::none());
    }
}
