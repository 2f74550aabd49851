//! What a survey knows of one segment's file.

use std::ops::Range;

use crate::local::format::block::BlockHeader;
use crate::local::format::segment::SegmentHeader;
use crate::local::format::wire::add;
use crate::retention::PerStream;

/// An intact block.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct Piece {
    pub(in crate::local) position: u64,
    pub(in crate::local) header: BlockHeader,
}

/// One segment's file.
#[derive(Debug)]
pub(in crate::local) struct Surveyed {
    pub(in crate::local) id: u64,
    pub(in crate::local) is_there: bool,
    /// Bytes of the file.
    pub(in crate::local) len: u64,
    /// None when it cannot be read or does not fit.
    pub(in crate::local) header: Option<SegmentHeader>,
    /// Intact blocks in order. Not kept of a segment that is sound.
    pub(in crate::local) pieces: Vec<Piece>,
    /// Payload bytes of the intact blocks as they were appended.
    pub(in crate::local) bytes: PerStream,
    /// Bytes that are not what was written.
    pub(in crate::local) broken: Vec<Range<u64>>,
    /// Nothing of it is missing or broken.
    pub(in crate::local) is_sound: bool,
}

impl Surveyed {
    pub(super) fn new(id: u64, is_there: bool, len: u64) -> Self {
        Self {
            id,
            is_there,
            len,
            header: None,
            pieces: Vec::new(),
            bytes: PerStream::default(),
            broken: Vec::new(),
            is_sound: is_there,
        }
    }

    pub(super) fn push(&mut self, position: u64, header: BlockHeader) {
        add(&mut self.bytes, header.stream, u64::from(header.appended_bytes));
        self.pieces.push(Piece { position, header });
    }

    pub(super) fn broke(&mut self, part: Range<u64>) {
        self.is_sound = false;
        let part = part.start..part.end.min(self.len);
        if !part.is_empty() {
            self.broken.push(part);
        }
    }
}
