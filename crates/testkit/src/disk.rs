//! A disk in memory that can lose its power: what was not synced is lost, wholly or in parts.

mod changes;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use base::Random;
use journal::disk::{Disk, DiskFile, DiskLock, Space};
use parking_lot::Mutex;

use self::changes::{Change, NameChange, folder_of, survive};

/// A directory in memory. Clones share it.
///
/// Semantics, those of [`Disk`] at their weakest:
///
/// * A read sees every write at once. [`DiskFile::sync_data`] makes the file's bytes and length durable,
///   [`Disk::sync_dir`] the names of one folder; nothing else makes anything durable.
/// * [`SimDisk::crash`]: of the writes to a file since its last sync, any subset survives, each of them torn at any
///   byte; of the changes of names since the last sync of their folder, any subset survives. What survives is drawn
///   from the seed. Open files and locks of before are dead.
/// * A file whose name survives but whose bytes were never synced may be empty, cut or hold zeros.
/// * A failed `sync_data` leaves a lie behind, as operating systems do: of what it was to make durable any part
///   survives, readers see all of it, and no later sync makes it durable.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What the disk does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// `sync_data` of files whose names end so answers well and does nothing.
    pub sync_data_lies: Option<&'static str>,
    /// `sync_dir` answers well and does nothing.
    pub sync_dir_lies: bool,
    /// After this many changes (writes, syncs, creations, renames, removals) the power is gone: everything fails.
    pub power_lasts: Option<u64>,
    /// The write after this many good ones fails, once.
    pub fail_write_after: Option<u64>,
    /// The `sync_data` after this many good ones fails, once. The bytes it was to make durable may be lost, also when a
    /// later one succeeds.
    pub fail_sync_after: Option<u64>,
    /// Most bytes that all files together may have; a write beyond fails half-way with `StorageFull`.
    pub capacity: Option<u64>,
    /// Most files; a creation beyond fails with `StorageFull`.
    pub max_files: Option<usize>,
}

/// How often the disk was asked to do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes of any kind, as counted by [`Faults::power_lasts`].
    pub changes: u64,
    /// Writes to files.
    pub writes: u64,
    /// `sync_data`s of files.
    pub syncs: u64,
    /// `sync_dir`s.
    pub dir_syncs: u64,
}

struct State {
    random: Random,
    faults: Faults,
    counts: Counts,
    /// Names as they are seen now, and the files they lead to.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of their folder, in order.
    unsynced_names: Vec<NameChange>,
    files: Vec<Bytes>,
    /// Grows with each crash; files and locks opened before it are dead.
    epoch: u64,
    lock: Weak<()>,
}

/// One file's bytes.
#[derive(Clone, Default)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
}

fn no_power() -> io::Error {
    io::Error::other("the power is gone")
}

impl SimDisk {
    /// An empty disk; what survives a crash is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Random::from_seed(seed),
            faults: Faults::default(),
            counts: Counts::default(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            files: Vec::new(),
            epoch: 0,
            lock: Weak::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets what goes wrong from now on. Counts of `Faults` begin anew.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state.lock();
        state.faults = faults;
        state.counts = Counts::default();
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        self.state.lock().faults
    }

    /// What the disk was asked to do since the start or the last [`SimDisk::set_faults`].
    pub fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Cuts the power and gives it back: what was not synced survives in parts or not at all, faults are over.
    pub fn crash(&self) {
        self.state.lock().crash();
    }

    /// Ends the process that uses the disk, but not the power: nothing is lost, faults are over, files and locks of
    /// before are dead.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.epoch += 1;
        state.faults = Faults::default();
        state.lock = Weak::new();
    }

    /// A file's bytes, for tests that look or meddle.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        Some(state.files.get(*state.names.get(name)?)?.seen.clone())
    }

    /// Replaces a file's bytes, durably.
    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        let file = state.files.len();
        state.files.push(Bytes { seen: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    /// Removes a name, durably.
    pub fn forget(&self, name: &str) {
        let mut state = self.state.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }
}

impl State {
    /// Counts one change; `Err` when the power is gone.
    fn change(&mut self) -> io::Result<()> {
        self.counts.changes += 1;
        if self.is_dark() { Err(no_power()) } else { Ok(()) }
    }

    fn is_dark(&self) -> bool {
        self.faults.power_lasts.is_some_and(|lasts| self.counts.changes > lasts)
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        self.change()?;
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        Ok(())
    }

    fn file(&mut self, file: usize, epoch: u64) -> io::Result<&mut Bytes> {
        if epoch != self.epoch {
            return Err(no_power());
        }
        self.files.get_mut(file).ok_or_else(no_power)
    }

    fn stored(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(*file)).map(|file| file.seen.len() as u64).sum()
    }

    /// How many of `bytes` may be written, and the error when it is not all.
    fn write_limit(&mut self, file: usize, position: u64, len: usize) -> (usize, io::Result<()>) {
        let was_dark = self.is_dark();
        if let Err(error) = self.change() {
            // The write that the power failed in may have reached the disk in part; later ones have not.
            return (if was_dark { 0 } else { self.random.up_to(len as u64) as usize }, Err(error));
        }
        self.counts.writes += 1;
        if self.faults.fail_write_after.is_some_and(|good| self.counts.writes == good + 1) {
            return (self.random.up_to(len as u64) as usize, Err(io::Error::other("injected write error")));
        }
        let file_len = self.files.get(file).map_or(0, |file| file.seen.len() as u64);
        let grows = (position + len as u64).saturating_sub(file_len);
        if self.faults.capacity.is_some_and(|capacity| self.stored() + grows > capacity) {
            return (len / 2, Err(io::ErrorKind::StorageFull.into()));
        }
        (len, Ok(()))
    }

    fn write(&mut self, file: usize, epoch: u64, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file(file, epoch)?;
        let (limit, answer) = self.write_limit(file, position, bytes.len());
        let bytes = bytes.iter().copied().take(limit).collect();
        let change = Change::Write { position: position as usize, bytes };
        let file = self.file(file, epoch)?;
        change.apply(&mut file.seen);
        file.unsynced.push(change);
        answer
    }

    fn sync(&mut self, file: usize, epoch: u64) -> io::Result<()> {
        self.file(file, epoch)?;
        self.change()?;
        self.counts.syncs += 1;
        if self.faults.fail_sync_after.is_some_and(|good| self.counts.syncs == good + 1) {
            self.forsake(file);
            return Err(io::Error::other("injected sync error"));
        }
        if self.faults.sync_data_lies.is_some_and(|end| self.is_called(file, end)) {
            return Ok(());
        }
        let file = self.file(file, epoch)?;
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    fn is_called(&self, file: usize, end: &str) -> bool {
        self.names.iter().any(|(name, of)| *of == file && name.ends_with(end))
    }

    /// What was to be synced counts as clean from now on, whatever of it is durable.
    fn forsake(&mut self, file: usize) {
        if let Some(file) = self.files.get_mut(file) {
            for change in file.unsynced.drain(..) {
                survive(&self.random, change, &mut file.durable);
            }
        }
    }

    fn sync_dir(&mut self, folder: &str) -> io::Result<()> {
        self.change()?;
        self.counts.dir_syncs += 1;
        if self.faults.sync_dir_lies {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.unsynced_names);
        for change in changes {
            if change.is_in(folder) {
                change.apply(&mut self.durable_names);
            } else {
                self.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn crash(&mut self) {
        for change in self.unsynced_names.drain(..) {
            if self.random.up_to(1) == 0 {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
        for file in 0..self.files.len() {
            self.forsake(file);
        }
        for file in &mut self.files {
            file.seen.clone_from(&file.durable);
        }
        self.epoch += 1;
        self.faults = Faults::default();
        self.lock = Weak::new();
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { state: Arc::clone(&self.state), file, epoch: state.epoch }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if let Some(file) = state.names.get(name).copied() {
            state.change()?;
            let epoch = state.epoch;
            let bytes = state.file(file, epoch)?;
            bytes.seen.clear();
            bytes.unsynced.push(Change::SetLen(0));
        } else {
            if state.faults.max_files.is_some_and(|most| state.names.len() >= most) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let file = state.files.len();
            state.change_names(NameChange::Link { name: name.to_owned(), file })?;
            state.files.push(Bytes::default());
        }
        drop(state);
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(NameChange::Unlink { name: name.to_owned() })
    }

    /// As far as [`Faults::capacity`] says.
    fn space(&self) -> io::Result<Option<Space>> {
        let state = self.state.lock();
        let capacity = state.faults.capacity;
        Ok(capacity.map(|total| Space { free: total.saturating_sub(state.stored()), total }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let names = state.names.keys().filter(|name| folder_of(name) == folder);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned()).collect())
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        self.state.lock().sync_dir(folder)
    }

    fn lock(&self) -> io::Result<DiskLock> {
        let mut state = self.state.lock();
        if state.lock.strong_count() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let held = Arc::new(());
        state.lock = Arc::downgrade(&held);
        Ok(Box::new(held))
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    file: usize,
    epoch: u64,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().file(self.file, self.epoch)?.seen.len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let seen = &state.file(self.file, self.epoch)?.seen;
        let start = position as usize;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(seen.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.state.lock().write(self.file, self.epoch, bytes, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.file(self.file, self.epoch)?;
        state.change()?;
        let file = state.file(self.file, self.epoch)?;
        let change = Change::SetLen(len as usize);
        change.apply(&mut file.seen);
        file.unsynced.push(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.lock().sync(self.file, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_and_what_was_not_need_not() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            let file = disk.create("a").unwrap();
            file.write_all_at(b"durable", 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir("").unwrap();
            file.write_all_at(b"fleeting", 7).unwrap();
            disk.create("b").unwrap();
            disk.crash();
            assert!(file.len().is_err(), "a file opened before the crash is dead");
            let bytes = disk.bytes("a").unwrap();
            assert!(bytes.starts_with(b"durable"));
            lost += u32::from(bytes != b"durablefleeting") + u32::from(disk.bytes("b").is_none());
        }
        assert!(lost > 25, "{lost}");
    }

    #[test]
    fn a_file_without_a_synced_name_is_lost_with_its_bytes() {
        let lost = (0..50).filter(|seed| {
            let disk = SimDisk::new(*seed);
            let file = disk.create("a").unwrap();
            file.write_all_at(b"x", 0).unwrap();
            file.sync_data().unwrap();
            disk.crash();
            disk.bytes("a").is_none()
        });
        assert!(lost.count() > 10);
    }

    #[test]
    fn what_a_failed_sync_left_is_seen_but_no_later_sync_makes_it_durable() {
        let lost = (0..50).filter(|seed| {
            let disk = SimDisk::new(*seed);
            let file = disk.create("a").unwrap();
            disk.sync_dir("").unwrap();
            file.write_all_at(b"fleeting", 0).unwrap();
            disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
            file.sync_data().unwrap_err();
            file.sync_data().unwrap();
            assert_eq!(disk.bytes("a").unwrap(), b"fleeting");
            disk.crash();
            disk.bytes("a").unwrap() != b"fleeting"
        });
        assert!(lost.count() > 25);
        let disk = SimDisk::new(1);
        let file = disk.create("a").unwrap();
        disk.sync_dir("").unwrap();
        disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
        file.write_all_at(b"fleeting", 0).unwrap();
        file.sync_data().unwrap_err();
        file.write_all_at(b"fleeting", 0).unwrap();
        file.sync_data().unwrap();
        disk.crash();
        assert_eq!(disk.bytes("a").unwrap(), b"fleeting", "written again, it is durable");
    }

    #[test]
    fn injected_errors_come_when_they_are_due() {
        let disk = SimDisk::new(1);
        disk.set_faults(Faults { capacity: Some(4), fail_sync_after: Some(1), ..Faults::default() });
        let file = disk.create("a").unwrap();
        file.write_all_at(b"abcd", 0).unwrap();
        assert_eq!(file.write_all_at(b"ef", 4).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.sync_data().unwrap();
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(disk.counts().syncs, 3);
        disk.set_faults(Faults { power_lasts: Some(1), ..Faults::default() });
        file.sync_data().unwrap();
        assert!(file.sync_data().is_err() && disk.sync_dir("").is_err());
    }
}
