//! The sidecar: the ids of one sealed segment, sorted, in checksummed pages of 4 KiB.
//!
//! Page 0 is the header, then come the pages of the filter, of the events, of the request keys. A page's checksum
//! covers the segment's id and the page's number, so that a page of another file never passes.

use std::sync::Arc;

use base::{EventId, Timestamp};

use super::filter::{BLOCK, Probe, n_blocks};
use super::{KeyUse, Kind, Table};
use crate::disk::{Disk, DiskFile};
use crate::local::durable::{or_without, remove_if_there};
use crate::local::format::wire::{Fields, Put};
use crate::local::format::{FormatError, names};
use crate::local::open_files::{FileOf, OpenFiles};
use crate::prepared::Owner;
use crate::seam::Producer;

const MAGIC: &[u8; 8] = b"idsIDTAB";
const VERSION: u16 = 1;
const PAGE: usize = 4096;
/// Bytes of a page before its checksum.
const BODY: usize = PAGE - 4;
const ENTRY: usize = 32;
const ENTRIES_PER_PAGE: usize = BODY / ENTRY;
const BLOCKS_PER_PAGE: usize = BODY / BLOCK;

type Value = [u8; 16];
type Sorted = Vec<(EventId, Value)>;

/// Why a sidecar cannot answer: it is to be rebuilt.
#[derive(Debug)]
pub(in crate::local) struct Unusable;

impl From<std::io::Error> for Unusable {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<FormatError> for Unusable {
    fn from(_: FormatError) -> Self {
        Self
    }
}

/// Between which two ids all ids of a class lie, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds(Option<(EventId, EventId)>);

impl Bounds {
    pub(super) fn add(&mut self, id: EventId) {
        let (low, high) = self.0.unwrap_or((id, id));
        self.0 = Some((low.min(id), high.max(id)));
    }

    pub(super) fn contain(&self, id: EventId) -> bool {
        self.0.is_some_and(|(low, high)| (low..=high).contains(&id))
    }

    pub(super) fn meet(&self, other: &Self) -> bool {
        matches!((self.0, other.0), (Some((low, high)), Some((from, to))) if low <= to && from <= high)
    }
}

/// The classes that are bounded apart: ids that begin with a time, other ids, request keys. Ids that begin with a time
/// are close together, so that most segments are passed over without a probe.
pub(super) fn class(kind: Kind, id: EventId) -> usize {
    match (kind, id.as_bytes().get(6).map(|byte| byte >> 4)) {
        (Kind::Request, _) => 2,
        (Kind::Event, Some(6..=8)) => 0,
        (Kind::Event, _) => 1,
    }
}

/// A sidecar's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    segment: u64,
    n_events: u32,
    n_keys: u32,
    bounds: [Bounds; 3],
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u16(VERSION);
        bytes.put_u16(0);
        bytes.put_u32(0);
        bytes.put_u64(self.segment);
        bytes.put_u32(self.n_events);
        bytes.put_u32(self.n_keys);
        for bounds in self.bounds {
            let (low, high) =
                bounds.0.unwrap_or((EventId::from_bytes([0xff; 16]), EventId::from_bytes([0; 16])));
            bytes.put(low.as_bytes());
            bytes.put(high.as_bytes());
        }
        bytes
    }

    fn parse(page: &[u8]) -> Result<Self, FormatError> {
        let mut fields = Fields(page);
        if fields.take(8)? != MAGIC || fields.u16()? != VERSION {
            return Err(FormatError::Malformed("not a sidecar"));
        }
        fields.take(6)?;
        let (segment, n_events, n_keys) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let mut bounds = [Bounds::default(); 3];
        for bounds in &mut bounds {
            let (low, high) = (EventId::from_bytes(fields.array()?), EventId::from_bytes(fields.array()?));
            bounds.0 = (low <= high).then_some((low, high));
        }
        Ok(Self { segment, n_events, n_keys, bounds })
    }

    fn n_filter_blocks(&self) -> usize {
        n_blocks(self.n_events as usize + self.n_keys as usize)
    }

    fn n_filter_pages(&self) -> usize {
        self.n_filter_blocks().div_ceil(BLOCKS_PER_PAGE)
    }

    /// The first page of a kind's entries, and how many entries there are.
    fn entries(&self, kind: Kind) -> (usize, usize) {
        let events = 1 + self.n_filter_pages();
        match kind {
            Kind::Event => (events, self.n_events as usize),
            Kind::Request => {
                (events + (self.n_events as usize).div_ceil(ENTRIES_PER_PAGE), self.n_keys as usize)
            }
        }
    }

    fn n_pages(&self) -> usize {
        let (first, n) = self.entries(Kind::Request);
        first + n.div_ceil(ENTRIES_PER_PAGE)
    }
}

/// One sealed segment's ids.
pub(in crate::local) struct Sidecar {
    header: Header,
    files: Arc<OpenFiles>,
    /// The filter, while it is kept in memory.
    pub(super) filter: Option<Vec<u8>>,
}

impl Sidecar {
    /// Writes the table of a segment as its sidecar.
    pub(super) fn write(
        disk: &dyn Disk,
        files: &Arc<OpenFiles>,
        segment: u64,
        table: &Table,
    ) -> std::io::Result<Self> {
        let events = sorted(table.events.iter().map(|(id, owner)| (*id, event_value(owner))));
        let keys = sorted(table.keys.iter().map(|(id, key)| (*id, key_value(key))));
        let mut bounds = [Bounds::default(); 3];
        for (kind, id) in kinds(&events, &keys) {
            if let Some(bounds) = bounds.get_mut(class(kind, id)) {
                bounds.add(id);
            }
        }
        let header = Header { segment, n_events: events.len() as u32, n_keys: keys.len() as u32, bounds };
        let mut filter = vec![0; header.n_filter_blocks() * BLOCK];
        for (kind, id) in kinds(&events, &keys) {
            let probe = Probe::new(kind, &id);
            let at = probe.block(header.n_filter_blocks()) * BLOCK;
            if let Some(block) = filter.get_mut(at..at + BLOCK) {
                probe.set(block);
            }
        }
        let mut pages = Pages { segment, bytes: Vec::with_capacity(header.n_pages() * PAGE) };
        pages.push(&header.encode());
        filter.chunks(BLOCKS_PER_PAGE * BLOCK).for_each(|page| pages.push(page));
        for entries in [&events, &keys] {
            for page in entries.chunks(ENTRIES_PER_PAGE) {
                let page: Vec<u8> =
                    page.iter().flat_map(|(id, value)| [*id.as_bytes(), *value]).flatten().collect();
                pages.push(&page);
            }
        }
        files.forget_ids(segment);
        // Never over the bytes of an older sidecar: after a crash its pages would pass beside new ones.
        remove_if_there(disk, &names::ids(segment))?;
        or_without(disk, &names::ids(segment), || {
            let file = disk.create(&names::ids(segment))?;
            file.write_all_at(&pages.bytes, 0)?;
            // Not needed for safety: a sidecar that did not survive is rebuilt. It saves the time after a crash.
            file.sync_data()
        })?;
        Ok(Self { header, files: Arc::clone(files), filter: Some(filter) })
    }

    /// Opens the sidecar of a segment.
    pub(super) fn open(files: &Arc<OpenFiles>, segment: u64) -> Result<Self, Unusable> {
        let file = files.get(FileOf::Ids(segment))?;
        let header = Header::parse(&read_page(file.as_ref(), segment, 0)?)?;
        if header.segment != segment || file.len()? != (header.n_pages() * PAGE) as u64 {
            return Err(Unusable);
        }
        Ok(Self { header, files: Arc::clone(files), filter: None })
    }

    pub(super) fn bounds(&self, class: usize) -> Bounds {
        self.header.bounds.get(class).copied().unwrap_or_default()
    }

    pub(super) fn filter_bytes(&self) -> usize {
        self.header.n_filter_blocks() * BLOCK
    }

    pub(super) const fn segment(&self) -> u64 {
        self.header.segment
    }

    /// Reads the filter's blocks from the first to the last.
    pub(super) const fn filter_reader(&self) -> FilterReader<'_> {
        FilterReader { sidecar: self, number: 0, page: [0; PAGE] }
    }

    /// Reads the filter into memory.
    pub(super) fn load_filter(&mut self) -> Result<(), Unusable> {
        let mut filter = Vec::with_capacity(self.header.n_filter_pages() * PAGE);
        for page in 0..self.header.n_filter_pages() {
            filter.extend_from_slice(self.page(1 + page)?.get(..BLOCKS_PER_PAGE * BLOCK).unwrap_or_default());
        }
        filter.truncate(self.filter_bytes());
        self.filter = Some(filter);
        Ok(())
    }

    pub(super) fn event(&self, id: EventId) -> Result<Option<Owner>, Unusable> {
        Ok(self.find(Kind::Event, id)?.map(|value| {
            let (producer, content) = halves(value);
            Owner { producer: Producer(u64::from_le_bytes(producer)), content }
        }))
    }

    pub(super) fn key(&self, id: EventId) -> Result<Option<KeyUse>, Unusable> {
        let Some(value) = self.find(Kind::Request, id)? else { return Ok(None) };
        let (digest, at) = halves(value);
        Ok(Some(KeyUse { digest, at: Timestamp::from_millis(i64::from_le_bytes(at)).map_err(|_| Unusable)? }))
    }

    fn find(&self, kind: Kind, id: EventId) -> Result<Option<Value>, Unusable> {
        if !self.bounds(class(kind, id)).contain(id) || !self.may_hold(kind, id)? {
            return Ok(None);
        }
        let (first_page, n) = self.header.entries(kind);
        let (mut low, mut high) = (0, n.div_ceil(ENTRIES_PER_PAGE));
        // The entry, if there is one, is in a page of low..high.
        while low < high {
            let middle = low.midpoint(high);
            let page = self.page(first_page + middle)?;
            let in_page = (n - middle * ENTRIES_PER_PAGE).min(ENTRIES_PER_PAGE);
            let entries = page.as_chunks::<ENTRY>().0.get(..in_page).unwrap_or_default();
            match entries.binary_search_by(|entry| entry.first_chunk::<16>().cmp(&Some(id.as_bytes()))) {
                Ok(at) => return Ok(entries.get(at).and_then(|entry| entry.last_chunk()).copied()),
                Err(0) => high = middle,
                Err(at) if at == in_page => low = middle + 1,
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn may_hold(&self, kind: Kind, id: EventId) -> Result<bool, Unusable> {
        let probe = Probe::new(kind, &id);
        let block = probe.block(self.header.n_filter_blocks());
        if let Some(filter) = &self.filter {
            return Ok(filter.get(block * BLOCK..).is_some_and(|rest| probe.is_set(rest)));
        }
        let page = self.page(1 + block / BLOCKS_PER_PAGE)?;
        Ok(page.get(block % BLOCKS_PER_PAGE * BLOCK..).is_some_and(|rest| probe.is_set(rest)))
    }

    fn page(&self, number: usize) -> Result<[u8; PAGE], Unusable> {
        let file = self.files.get(FileOf::Ids(self.header.segment))?;
        read_page(file.as_ref(), self.header.segment, number)
    }
}

pub(super) fn read_page(file: &dyn DiskFile, segment: u64, number: usize) -> Result<[u8; PAGE], Unusable> {
    let mut page = [0; PAGE];
    file.read_exact_at(&mut page, (number * PAGE) as u64)?;
    let (body, sum) = page.split_last_chunk::<4>().ok_or(Unusable)?;
    if page_sum(segment, number, body) == u32::from_le_bytes(*sum) { Ok(page) } else { Err(Unusable) }
}

pub(super) fn page_sum(segment: u64, number: usize, body: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&segment.to_le_bytes()), &(number as u64).to_le_bytes());
    crc32c::crc32c_append(place, body)
}

/// Whether every page of a segment's sidecar is what was written.
pub(in crate::local) fn is_intact(file: &dyn DiskFile, segment: u64) -> bool {
    let check = || {
        let header = Header::parse(&read_page(file, segment, 0)?)?;
        if header.segment != segment || file.len()? != (header.n_pages() * PAGE) as u64 {
            return Err(Unusable);
        }
        (1..header.n_pages()).try_for_each(|page| read_page(file, segment, page).map(drop))
    };
    check().is_ok()
}

/// Reads the blocks of a filter in order, from memory or page by page.
pub(super) struct FilterReader<'a> {
    sidecar: &'a Sidecar,
    /// The page that is in `page`; 0: none.
    number: usize,
    page: [u8; PAGE],
}

impl FilterReader<'_> {
    pub(super) fn block(&mut self, nth: usize) -> Result<[u8; BLOCK], Unusable> {
        if let Some(filter) = &self.sidecar.filter {
            return filter.get(nth * BLOCK..).and_then(|rest| rest.first_chunk()).copied().ok_or(Unusable);
        }
        let number = 1 + nth / BLOCKS_PER_PAGE;
        if number != self.number {
            self.page = self.sidecar.page(number)?;
            self.number = number;
        }
        let rest = self.page.get(nth % BLOCKS_PER_PAGE * BLOCK..);
        rest.and_then(|rest| rest.first_chunk()).copied().ok_or(Unusable)
    }
}

struct Pages {
    segment: u64,
    bytes: Vec<u8>,
}

impl Pages {
    fn push(&mut self, body: &[u8]) {
        let start = self.bytes.len();
        self.bytes.put(body);
        self.bytes.resize(start + BODY, 0);
        let sum = page_sum(self.segment, start / PAGE, self.bytes.get(start..).unwrap_or_default());
        self.bytes.put_u32(sum);
    }
}

fn sorted(entries: impl Iterator<Item = (EventId, Value)>) -> Sorted {
    let mut entries: Sorted = entries.collect();
    entries.sort_unstable_by_key(|(id, _)| *id);
    entries
}

fn kinds<'a>(events: &'a Sorted, keys: &'a Sorted) -> impl Iterator<Item = (Kind, EventId)> + 'a {
    let events = events.iter().map(|(id, _)| (Kind::Event, *id));
    events.chain(keys.iter().map(|(id, _)| (Kind::Request, *id)))
}

fn event_value(owner: &Owner) -> Value {
    join(owner.producer.0.to_le_bytes(), owner.content)
}

fn key_value(key: &KeyUse) -> Value {
    join(key.digest, key.at.as_millis().to_le_bytes())
}

fn join(a: [u8; 8], b: [u8; 8]) -> Value {
    (u128::from(u64::from_le_bytes(a)) | u128::from(u64::from_le_bytes(b)) << 64).to_le_bytes()
}

const fn halves(value: Value) -> ([u8; 8], [u8; 8]) {
    let n = u128::from_le_bytes(value);
    ((n as u64).to_le_bytes(), ((n >> 64) as u64).to_le_bytes())
}
