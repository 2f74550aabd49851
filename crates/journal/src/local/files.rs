//! Reading segments: open files, a segment's blocks one after another, its index, single blocks.

use std::io;

use bytes::Bytes;

use super::format::block::{BlockHeader, HEADER, StoredBlock};
use super::format::segment::{SIZE, SegmentHeader};
use super::format::{FormatError, names};
use super::timeline::{BlockInfo, Index, Segment};
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::seam::NEWER;

/// Bytes read ahead when a segment is scanned.
const CHUNK: usize = 256 * 1024;

/// Says where the journal is damaged.
pub(super) fn damaged(segment: u64, position: u64, what: impl std::fmt::Display) -> JournalError {
    JournalError::Damaged(format!("segment {} at byte {position}: {what}", names::segment(segment)))
}

/// Reads a whole small file; `None` when there is none. At most `limit` bytes.
pub(super) fn read_small(disk: &dyn Disk, name: &str, limit: u64) -> Result<Option<Vec<u8>>, JournalError> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::Read(error)),
    };
    let len = file.len().map_err(JournalError::Read)?;
    if len > limit {
        return Err(JournalError::Damaged(format!("the file {name} is too large")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0).map_err(JournalError::Read)?;
    Ok(Some(bytes))
}

/// A file read through a window that moves forward.
struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self { file, len: file.len()?, start: 0, bytes: Vec::new() })
    }

    /// Up to `n` bytes at `position`; fewer at the end of the file.
    fn get(&mut self, position: u64, n: usize) -> io::Result<&[u8]> {
        let n = n.min(self.len.saturating_sub(position) as usize);
        if n == 0 {
            return Ok(&[]);
        }
        let inside = position >= self.start && position + n as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let ahead = n.max(CHUNK).min(self.len.saturating_sub(position) as usize);
            self.bytes.resize(ahead, 0);
            self.file.read_exact_at(&mut self.bytes, position)?;
            self.start = position;
        }
        let at = position.saturating_sub(self.start) as usize;
        Ok(self.bytes.get(at..at + n).unwrap_or_default())
    }
}

/// The blocks of a segment file, one after another.
pub(super) struct Scan<'a> {
    window: Window<'a>,
    segment: u64,
    pub(super) sequence: u64,
    pub(super) position: u64,
}

/// What a scan found.
#[derive(Debug)]
pub(super) enum Step {
    Block {
        position: u64,
        block: Box<StoredBlock>,
    },
    /// The file ends with the block before.
    End,
    /// What follows is not the next block.
    Broken(&'static str),
}

impl<'a> Scan<'a> {
    /// Begins after the header, with the block of sequence `first`.
    pub(super) fn new(file: &'a dyn DiskFile, segment: u64, first: u64) -> io::Result<Self> {
        Ok(Self { window: Window::new(file)?, segment, sequence: first, position: SIZE as u64 })
    }

    /// The file's length.
    pub(super) const fn len(&self) -> u64 {
        self.window.len
    }

    /// The header at the position, when it is that of the next block. An intact one that a newer version wrote is
    /// refused: it was not torn, whatever it says.
    fn header(&mut self) -> Result<Result<BlockHeader, &'static str>, JournalError> {
        let bytes = self.window.get(self.position, HEADER).map_err(JournalError::Read)?;
        match BlockHeader::parse(bytes) {
            Ok(header) if header.segment == self.segment && header.sequence == self.sequence => {
                Ok(Ok(header))
            }
            Ok(_) => Ok(Err("a block of another segment or sequence")),
            Err(FormatError::Version(_))
                if BlockHeader::place(bytes) == Some((self.segment, self.sequence)) =>
            {
                Err(JournalError::Refused(NEWER))
            }
            Err(_) => Ok(Err("no block where one is expected")),
        }
    }

    /// The next block, checked.
    pub(super) fn step(&mut self) -> Result<Step, JournalError> {
        if self.position == self.window.len {
            return Ok(Step::End);
        }
        let header = match self.header()? {
            Ok(header) => header,
            Err(why) => return Ok(Step::Broken(why)),
        };
        let body = self.window.get(self.position + HEADER as u64, header.body_bytes());
        let body = body.map_err(JournalError::Read)?;
        match StoredBlock::parse(header, Bytes::copy_from_slice(body)) {
            Ok(block) => {
                let position = self.position;
                self.position += header.stored_bytes() as u64;
                self.sequence += 1;
                Ok(Step::Block { position, block: Box::new(block) })
            }
            Err(_) => Ok(Step::Broken("the block's checksum does not fit")),
        }
    }

    /// The next block's place, from its header alone. `None` at the end of the file.
    fn step_header(&mut self) -> Result<Result<Option<BlockInfo>, &'static str>, JournalError> {
        if self.position == self.window.len {
            return Ok(Ok(None));
        }
        Ok(self.header()?.and_then(|header| {
            let info = BlockInfo::new(&header, self.position);
            let end = self.position + header.stored_bytes() as u64;
            if end > self.window.len {
                return Err("the file ends in a block");
            }
            (self.position, self.sequence) = (end, self.sequence + 1);
            Ok(Some(info))
        }))
    }

    /// The next place from `at` on that begins like a block.
    fn next_magic(&mut self, mut at: u64) -> Result<Option<u64>, JournalError> {
        let magic = super::format::block::MAGIC;
        while at + HEADER as u64 <= self.window.len {
            let bytes = self.window.get(at, CHUNK / 2).map_err(JournalError::Read)?;
            if let Some(found) = bytes.windows(magic.len()).position(|window| window == magic) {
                return Ok(Some(at + found as u64));
            }
            at += (bytes.len() - magic.len() + 1) as u64;
        }
        Ok(None)
    }

    /// The largest durable-up-to in intact headers after the position, wherever they lie.
    pub(super) fn later_durable_up_to(&mut self) -> Result<u64, JournalError> {
        let (mut highest, mut at) = (0, self.position);
        while let Some(found) = self.next_magic(at)? {
            let bytes = self.window.get(found, HEADER).map_err(JournalError::Read)?;
            let place = BlockHeader::place(bytes);
            if place.is_some_and(|(segment, sequence)| segment == self.segment && sequence >= self.sequence) {
                match BlockHeader::parse(bytes) {
                    Ok(header) => highest = highest.max(header.durable_up_to),
                    // What it knew to be durable cannot be read.
                    Err(FormatError::Version(_)) => return Err(JournalError::Refused(NEWER)),
                    Err(FormatError::Malformed(_)) => {}
                }
            }
            at = found + 1;
        }
        Ok(highest)
    }

    /// Moves on over what is broken to the next intact block of the segment, wherever it lies. `false` when there is none;
    /// nothing has moved then.
    pub(super) fn resume(&mut self) -> Result<bool, JournalError> {
        let mut at = self.position;
        while let Some(found) = self.next_magic(at)? {
            let bytes = self.window.get(found, HEADER).map_err(JournalError::Read)?;
            if let Ok(header) = BlockHeader::parse(bytes)
                && header.segment == self.segment
                && header.sequence >= self.sequence
            {
                let body = self.window.get(found + HEADER as u64, header.body_bytes());
                let body = Bytes::copy_from_slice(body.map_err(JournalError::Read)?);
                if StoredBlock::parse(header, body).is_ok() {
                    (self.position, self.sequence) = (found, header.sequence);
                    return Ok(true);
                }
            }
            at = found + 1;
        }
        Ok(false)
    }
}

/// Reads the header of a segment file.
pub(super) fn read_header(file: &dyn DiskFile, id: u64) -> Result<SegmentHeader, JournalError> {
    let mut bytes = [0; SIZE];
    file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(id, 0, "the header is cut short"),
        _ => JournalError::Read(error),
    })?;
    let header = SegmentHeader::parse(&bytes).map_err(|error| match error {
        FormatError::Version(_) => JournalError::Refused(NEWER),
        FormatError::Malformed(_) => damaged(id, 0, error),
    })?;
    if header.id == id { Ok(header) } else { Err(damaged(id, 0, "the header is that of another segment")) }
}

/// Reads the index of a sealed segment, which must be complete.
pub(super) fn read_index(file: &dyn DiskFile, segment: &Segment) -> Result<Index, JournalError> {
    let header = read_header(file, segment.id)?;
    if header.generation != segment.generation {
        return Err(damaged(segment.id, 0, format_args!("generation {} of the segment", header.generation)));
    }
    let mut scan = Scan::new(file, segment.id, segment.first).map_err(JournalError::Read)?;
    let mut blocks = Vec::with_capacity((segment.next - segment.first).min(1 << 20) as usize);
    loop {
        match scan.step_header()? {
            Ok(Some(block)) => blocks.push(block),
            Ok(None) if scan.sequence == segment.next => {
                return Ok(Index { generation: header.generation, blocks });
            }
            Ok(None) => return Err(damaged(segment.id, scan.position, "the segment ends too early")),
            Err(why) => return Err(damaged(segment.id, scan.position, why)),
        }
    }
}

/// Reads one block.
pub(super) fn read_block(
    file: &dyn DiskFile,
    segment: u64,
    place: &BlockInfo,
) -> Result<StoredBlock, JournalError> {
    let mut bytes = vec![0; place.stored_bytes as usize];
    file.read_exact_at(&mut bytes, place.position).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(segment, place.position, "the file ends in a block"),
        _ => JournalError::Read(error),
    })?;
    let header = BlockHeader::parse(&bytes).map_err(|error| match error {
        FormatError::Version(_) => JournalError::Refused(NEWER),
        FormatError::Malformed(_) => damaged(segment, place.position, error),
    })?;
    if header.segment != segment || header.sequence != place.sequence {
        return Err(damaged(segment, place.position, "a block of another segment or sequence"));
    }
    let body = Bytes::from(bytes).slice(HEADER..);
    StoredBlock::parse(header, body)
        .map_err(|error| damaged(segment, place.position, format_args!("block {}: {error}", place.sequence)))
}
