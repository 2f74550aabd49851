//! A run: the ids of the events of some neighbouring blocks, sorted, in one file of checksummed pages of 4 KiB.
//!
//! ```text
//! page 0   magic "idsEVIDS" (8), version 1 (2), 0 (6), from (8), until (8), number of entries (8),
//!          witness: block (8; 0 = none), appended at (8); lowest and highest id (16 + 16) of ids that begin with a
//!          time, and of the others
//! page 1…  170 entries of 24 bytes: id (16), block less `from` (4), index (4)
//! ```
//!
//! Integers are little-endian. Each page ends with the CRC-32C of `from`, `until`, the page's number and what is before.
//! Nothing is synced, so that the journal's syncs never wait for it: whatever a crash leaves is noticed by a checksum
//! when it is read, and made again. A file never changes.

use std::io;
use std::sync::Arc;

use base::{EventId, Timestamp};
use journal::Offset;
use journal::disk::{Disk, DiskFile};

const MAGIC: &[u8; 8] = b"idsEVIDS";
const VERSION: u16 = 1;
const PAGE: usize = 4096;
const BODY: usize = PAGE - 4;
const ENTRY: usize = 24;
const PER_PAGE: usize = BODY / ENTRY;
/// Pages written or read at once when a whole run is.
const AT_ONCE: usize = 32;
/// What a file is called while it is written.
pub(crate) const UNFINISHED: &str = "unfinished";
/// How the names of runs end.
const SUFFIX: &str = ".ids";

/// Where an event lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) at: Offset,
}

/// The last block that a run was made from: when the journal has another one there, it is another journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) block: u64,
    pub(crate) appended_at: Timestamp,
}

/// Block sequences `from..until`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// Why a run does not answer.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It is not what was written: it is to be made again.
    Damaged,
    /// The disk refuses, perhaps only now.
    Disk(io::Error),
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Disk(error),
        }
    }
}

/// A run's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) span: Span,
    pub(crate) n_entries: u64,
    pub(crate) witness: Option<Witness>,
    bounds: [Bounds; 2],
}

/// Between which two ids all ids lie, both included; `None`: there is none.
type Bounds = Option<(EventId, EventId)>;

/// Ids that begin with a time are bounded apart from others: they are close together, so that most runs are passed over
/// without a read.
fn class(id: EventId) -> usize {
    usize::from(!matches!(id.as_bytes()[6] >> 4, 6..=8))
}

impl Run {
    /// Opens the run of this file name: reads its header.
    pub(crate) fn open(disk: &dyn Disk, name: &str) -> Result<Self, RunError> {
        let span = Span::of_name(name).ok_or(RunError::Damaged)?;
        let file = disk.open(name)?;
        let run = Self::parse(span, &read_pages(&*file, span, 0, 1)?).ok_or(RunError::Damaged)?;
        let n_pages = 1 + run.n_entries.div_ceil(PER_PAGE as u64);
        if file.len()? == n_pages * PAGE as u64 { Ok(run) } else { Err(RunError::Damaged) }
    }

    fn parse(span: Span, page: &[u8]) -> Option<Self> {
        let u64_at = |at| array(page, at).map(u64::from_le_bytes);
        let is_ours = page.starts_with(MAGIC) && u16::from_le_bytes(array(page, 8)?) == VERSION;
        let is_this = is_ours && u64_at(16)? == span.from && u64_at(24)? == span.until;
        let millis = array(page, 48).map(i64::from_le_bytes)?;
        let appended_at = Timestamp::from_millis(millis).ok()?;
        let block = u64_at(40)?;
        let mut bounds = [None; 2];
        for (at, bounds) in [56, 88].into_iter().zip(&mut bounds) {
            let (low, high) =
                (EventId::from_bytes(array(page, at)?), EventId::from_bytes(array(page, at + 16)?));
            *bounds = (low <= high).then_some((low, high));
        }
        let witness = (block > 0).then_some(Witness { block, appended_at });
        is_this.then_some(Self { span, n_entries: u64_at(32)?, witness, bounds })
    }

    fn header(&self) -> Vec<u8> {
        let mut page = MAGIC.to_vec();
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.resize(16, 0);
        for number in
            [self.span.from, self.span.until, self.n_entries, self.witness.map_or(0, |witness| witness.block)]
        {
            page.extend_from_slice(&number.to_le_bytes());
        }
        let appended_at = self.witness.map_or(0, |witness| witness.appended_at.as_millis());
        page.extend_from_slice(&appended_at.to_le_bytes());
        for bounds in self.bounds {
            let (low, high) =
                bounds.unwrap_or((EventId::from_bytes([0xff; 16]), EventId::from_bytes([0; 16])));
            page.extend_from_slice(low.as_bytes());
            page.extend_from_slice(high.as_bytes());
        }
        page
    }

    /// Whether the id may be in it.
    pub(crate) fn may_hold(&self, id: EventId) -> bool {
        let bounds = self.bounds.get(class(id)).copied().flatten();
        bounds.is_some_and(|(low, high)| (low..=high).contains(&id))
    }

    /// Where the event of this id lies.
    pub(crate) fn find(&self, disk: &dyn Disk, id: EventId) -> Result<Option<Offset>, RunError> {
        if !self.may_hold(id) {
            return Ok(None);
        }
        let file = disk.open(&self.span.name())?;
        let n_pages = self.n_entries.div_ceil(PER_PAGE as u64);
        // The entry, if there is one, is in a page of low..high.
        let (mut low, mut high) = (0, n_pages);
        while low < high {
            let middle = low.midpoint(high);
            let page = read_pages(&*file, self.span, 1 + middle, 1)?;
            let n = (self.n_entries - middle * PER_PAGE as u64).min(PER_PAGE as u64) as usize;
            let entries = page.as_chunks::<ENTRY>().0.get(..n).unwrap_or_default();
            match entries.binary_search_by(|entry| entry.first_chunk::<16>().cmp(&Some(id.as_bytes()))) {
                Ok(at) => return Ok(entries.get(at).map(|entry| self.entry(entry).at)),
                Err(0) => high = middle,
                Err(at) if at == n => low = middle + 1,
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn entry(&self, bytes: &[u8; ENTRY]) -> Entry {
        let number = |at| u32::from_le_bytes(array(bytes, at).unwrap_or_default());
        Entry {
            id: EventId::from_bytes(array(bytes, 0).unwrap_or_default()),
            at: Offset { block: self.span.from + u64::from(number(16)), index: number(20) },
        }
    }

    /// Reads all of its entries, a few pages at a time.
    pub(crate) fn entries(&self, disk: &dyn Disk) -> Result<Entries, RunError> {
        let file = disk.open(&self.span.name())?;
        Ok(Entries { run: self.clone(), file, n_read: 0, page: 1, waiting: Vec::new().into_iter() })
    }

    /// Removes its file.
    pub(crate) fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        match disk.remove(&self.span.name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Span {
    pub(crate) const fn is_empty(self) -> bool {
        self.from >= self.until
    }

    pub(crate) fn name(self) -> String {
        format!("{:016x}-{:016x}{SUFFIX}", self.from, self.until)
    }

    /// From the name of a file; `None` when it is not one of a run.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let (from, until) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let number = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?;
        let span = Self { from: number(from)?, until: number(until)? };
        (!span.is_empty() && span.name() == name).then_some(span)
    }
}

/// The entries of a run in order of ids.
pub(crate) struct Entries {
    run: Run,
    file: Arc<dyn DiskFile>,
    n_read: u64,
    page: u64,
    waiting: std::vec::IntoIter<Entry>,
}

impl Entries {
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, RunError> {
        if let Some(entry) = self.waiting.next() {
            return Ok(Some(entry));
        }
        let left = self.run.n_entries - self.n_read;
        if left == 0 {
            return Ok(None);
        }
        let n_pages = left.div_ceil(PER_PAGE as u64).min(AT_ONCE as u64);
        let pages = read_pages(&*self.file, self.run.span, self.page, n_pages as usize)?;
        let bodies =
            pages.chunks_exact(PAGE).flat_map(|page| page.as_chunks::<ENTRY>().0.iter().take(PER_PAGE));
        let entries: Vec<Entry> = bodies.take(left as usize).map(|bytes| self.run.entry(bytes)).collect();
        (self.n_read, self.page) = (self.n_read + entries.len() as u64, self.page + n_pages);
        self.waiting = entries.into_iter();
        Ok(self.waiting.next())
    }
}

/// Writes a run: entries in order of ids, then [`RunWriter::finish`].
pub(crate) struct RunWriter<'a> {
    disk: &'a dyn Disk,
    file: Arc<dyn DiskFile>,
    run: Run,
    /// Pages that are not written yet; the last one may be growing.
    pages: Vec<u8>,
    n_in_page: usize,
    next_page: u64,
}

impl<'a> RunWriter<'a> {
    /// Begins the run of these blocks, of which the last is the witness.
    pub(crate) fn new(disk: &'a dyn Disk, span: Span, witness: Option<Witness>) -> io::Result<Self> {
        let file = disk.create(UNFINISHED)?;
        let run = Run { span, n_entries: 0, witness, bounds: [None; 2] };
        Ok(Self { disk, file, run, pages: Vec::with_capacity(AT_ONCE * PAGE), n_in_page: 0, next_page: 1 })
    }

    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<()> {
        // Ids come in order: the first one is the lowest of its class.
        if let Some(bounds) = self.run.bounds.get_mut(class(entry.id)) {
            *bounds = Some((bounds.map_or(entry.id, |(low, _)| low), entry.id));
        }
        self.run.n_entries += 1;
        self.pages.extend_from_slice(entry.id.as_bytes());
        self.pages.extend_from_slice(&((entry.at.block - self.run.span.from) as u32).to_le_bytes());
        self.pages.extend_from_slice(&entry.at.index.to_le_bytes());
        self.n_in_page += 1;
        if self.n_in_page == PER_PAGE { self.end_page() } else { Ok(()) }
    }

    fn end_page(&mut self) -> io::Result<()> {
        let begun = self.pages.len() - self.n_in_page * ENTRY;
        let number = self.next_page + (begun / PAGE) as u64;
        seal(&mut self.pages, begun, self.run.span, number);
        self.n_in_page = 0;
        if self.pages.len() == AT_ONCE * PAGE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pages, self.next_page * PAGE as u64)?;
        self.next_page += (self.pages.len() / PAGE) as u64;
        self.pages.clear();
        Ok(())
    }

    /// Writes the rest and gives the file its name.
    pub(crate) fn finish(mut self) -> io::Result<Run> {
        if self.n_in_page > 0 {
            self.end_page()?;
        }
        self.write()?;
        let mut header = self.run.header();
        seal(&mut header, 0, self.run.span, 0);
        self.file.write_all_at(&header, 0)?;
        self.disk.rename(UNFINISHED, &self.run.span.name())?;
        Ok(self.run)
    }
}

/// Fills the page that begins at `begun` up, checksum included.
fn seal(pages: &mut Vec<u8>, begun: usize, span: Span, number: u64) {
    pages.resize(begun + BODY, 0);
    let sum = checksum(span, number, pages.get(begun..).unwrap_or_default());
    pages.extend_from_slice(&sum.to_le_bytes());
}

fn checksum(span: Span, number: u64, body: &[u8]) -> u32 {
    let mut place = [0; 24];
    for (to, from) in place.as_chunks_mut::<8>().0.iter_mut().zip([span.from, span.until, number]) {
        *to = from.to_le_bytes();
    }
    crc32c::crc32c_append(crc32c::crc32c(&place), body)
}

/// Reads neighbouring pages and checks each.
fn read_pages(file: &dyn DiskFile, span: Span, first: u64, n: usize) -> Result<Vec<u8>, RunError> {
    let mut pages = vec![0; n * PAGE];
    file.read_exact_at(&mut pages, first * PAGE as u64)?;
    for (number, page) in (first..).zip(pages.chunks_exact(PAGE)) {
        let (body, sum) = page.split_at(BODY);
        if sum != checksum(span, number, body).to_le_bytes() {
            return Err(RunError::Damaged);
        }
    }
    Ok(pages)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use testkit::disk::SimDisk;

    use super::*;

    fn id(n: u128, version: u8) -> EventId {
        let mut bytes = (n << 80).to_be_bytes();
        bytes[6] = version << 4;
        EventId::from_bytes(bytes)
    }

    /// Entries of two kinds of ids, in order.
    fn entries(n: u64) -> Vec<Entry> {
        let entry = |n: u64| Entry {
            id: id(u128::from(n) * 3, if n.is_multiple_of(2) { 7 } else { 4 }),
            at: Offset { block: 100 + n, index: n as u32 % 7 },
        };
        (1..=n).map(entry).collect()
    }

    fn written(disk: &SimDisk, entries: &[Entry]) -> Run {
        let span = Span { from: 100, until: 101 + entries.len() as u64 };
        let witness = Some(Witness { block: 101, appended_at: Timestamp::default() });
        let mut writer = RunWriter::new(disk, span, witness).unwrap();
        for entry in entries {
            writer.push(*entry).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn every_entry_is_found_and_read_back_whatever_the_number_of_pages() {
        for n in [0, 1, 169, 170, 171, 340, 32 * 170, 32 * 170 + 1, 70 * 170 - 1] {
            let (disk, entries) = (SimDisk::new(1), entries(n));
            let run = written(&disk, &entries);
            assert_eq!(Run::open(&disk, &run.span.name()).unwrap(), run);
            let mut reader = run.entries(&disk).unwrap();
            let read: Vec<Entry> = std::iter::from_fn(|| reader.next().unwrap()).collect();
            assert_eq!(read, entries);
            for entry in entries.iter().step_by(97).chain(entries.last()) {
                assert_eq!(run.find(&disk, entry.id).unwrap(), Some(entry.at), "{n}");
            }
            for absent in [1, 4, u128::from(n) * 3 + 1, 1 << 40] {
                assert_eq!(run.find(&disk, id(absent, 7)).unwrap(), None);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_in_every_page() {
        let (disk, entries) = (SimDisk::new(1), entries(400));
        let run = written(&disk, &entries);
        let name = run.span.name();
        let whole = disk.bytes(&name).unwrap();
        for page in 0..whole.len() / PAGE {
            let mut bytes = whole.clone();
            bytes[page * PAGE + 30] ^= 1;
            disk.set_bytes(&name, bytes);
            let is_noticed = match Run::open(&disk, &name) {
                Err(RunError::Damaged) => true,
                Ok(run) => entries.iter().any(|entry| run.find(&disk, entry.id).is_err()),
                Err(RunError::Disk(error)) => panic!("{error}"),
            };
            assert!(is_noticed, "page {page}");
        }
        disk.set_bytes(&name, whole[..whole.len() - 1].to_vec());
        assert!(matches!(Run::open(&disk, &name), Err(RunError::Damaged)), "a torn end");
        let other = Span { from: 101, ..run.span };
        disk.set_bytes(&other.name(), whole);
        assert!(matches!(Run::open(&disk, &other.name()), Err(RunError::Damaged)), "another one's pages");
    }

    #[test]
    fn names_are_those_of_spans_and_nothing_else() {
        let span = Span { from: 1, until: 0xabc };
        assert_eq!(span.name(), "0000000000000001-0000000000000abc.ids");
        assert_eq!(Span::of_name(&span.name()), Some(span));
        for name in [
            "",
            "notes.json",
            "1-2.ids",
            "0000000000000002-0000000000000001.ids",
            "+000000000000001-0000000000000abc.ids",
        ] {
            assert_eq!(Span::of_name(name), None, "{name}");
        }
    }
}
