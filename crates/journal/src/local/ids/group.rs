//! Filters of neighbouring sidecars in one file, laid out so that one read asks all of them.
//!
//! A random id can be in any segment. Without this, each segment whose filter is not in memory costs a read. The bits are
//! those of the sidecars' own filters, cut at the same hash: page p of P holds of each filter the blocks from hash p / P
//! to (p + 1) / P. Nothing else changes: a group only tells which sidecars need not be asked, and is left out when it is
//! missing or damaged.

use std::sync::Arc;

use super::filter::{BLOCK, Probe};
use super::sidecar::{Sidecar, Unusable, page_sum, read_page};
use crate::disk::{Disk, DiskFile};
use crate::local::durable::{or_without, remove_if_there};
use crate::local::format::names;
use crate::local::format::wire::{Fields, Put};
use crate::local::open_files::{FileOf, OpenFiles};

const MAGIC: &[u8; 8] = b"idsIDGRP";
const VERSION: u16 = 1;
/// Bytes of the header's page.
const HEADER: usize = 4096;
/// Most blocks of one filter that are believed.
const MAX_BLOCKS: u32 = 1 << 16;
/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;

/// Groups are made of this many sidecars, and of this many groups.
pub(super) const FAN: usize = 16;
/// Most sidecars of a group.
pub(super) const MAX: usize = FAN * FAN;

/// Which of a group's sidecars may hold an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask([u64; MAX / 64]);

impl Mask {
    fn set(&mut self, nth: usize) {
        if let Some(word) = self.0.get_mut(nth / 64) {
            *word |= 1 << (nth % 64);
        }
    }

    pub(super) fn has(&self, nth: usize) -> bool {
        self.0.get(nth / 64).is_some_and(|word| word >> (nth % 64) & 1 == 1)
    }
}

/// How the filters of a group are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    first: u64,
    /// Blocks of each sidecar's filter.
    blocks: Vec<u32>,
    n_pages: u32,
    page_bytes: u32,
}

/// The blocks of a filter of `n` that lie in page `p` of `n_pages`.
fn slice(n: u32, p: u32, n_pages: u32) -> std::ops::Range<usize> {
    let (n, p, n_pages) = (u64::from(n), u64::from(p), u64::from(n_pages));
    (p * n / n_pages) as usize..((p + 1) * n).div_ceil(n_pages) as usize
}

impl Layout {
    fn new(first: u64, blocks: Vec<u32>) -> Self {
        let n_pages = blocks.iter().copied().max().unwrap_or(1).max(1);
        let bytes = |p| blocks.iter().map(|n| slice(*n, p, n_pages).len() * BLOCK).sum::<usize>();
        let page_bytes = (0..n_pages).map(bytes).max().unwrap_or(0) as u32 + 4;
        Self { first, blocks, n_pages, page_bytes }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u16(VERSION);
        bytes.put_u16(self.blocks.len() as u16);
        bytes.put_u32(self.n_pages);
        bytes.put_u64(self.first);
        bytes.put_u32(self.page_bytes);
        for n in &self.blocks {
            bytes.put_u32(*n);
        }
        bytes.resize(HEADER - 4, 0);
        bytes.put_u32(page_sum(self.first, 0, &bytes));
        bytes
    }

    fn parse(page: &[u8], first: u64, n: usize) -> Result<Self, Unusable> {
        let mut fields = Fields(page);
        if fields.take(8)? != MAGIC || fields.u16()? != VERSION || usize::from(fields.u16()?) != n {
            return Err(Unusable);
        }
        let found = Self {
            n_pages: fields.u32()?,
            first: fields.u64()?,
            page_bytes: fields.u32()?,
            blocks: (0..n).map(|_| fields.u32()).collect::<Result<_, _>>()?,
        };
        if found.blocks.iter().any(|n| !(1..=MAX_BLOCKS).contains(n)) {
            return Err(Unusable);
        }
        let expected = Self::new(first, found.blocks.clone());
        if found == expected { Ok(found) } else { Err(Unusable) }
    }

    const fn position(&self, p: u32) -> u64 {
        HEADER as u64 + p as u64 * self.page_bytes as u64
    }
}

/// The filters of the sidecars of `n` segments from `first` on.
pub(super) struct Group {
    layout: Layout,
    files: Arc<OpenFiles>,
}

impl Group {
    /// Lays the filters of sidecars out that follow each other.
    pub(super) fn write(
        disk: &dyn Disk,
        files: &Arc<OpenFiles>,
        sidecars: &[&Sidecar],
    ) -> std::io::Result<Self> {
        let first = sidecars.first().map_or(0, |sidecar| sidecar.segment());
        let blocks = sidecars.iter().map(|sidecar| (sidecar.filter_bytes() / BLOCK) as u32).collect();
        let layout = Layout::new(first, blocks);
        let name = names::filters(first, sidecars.len());
        files.forget_filters(first);
        remove_if_there(disk, &name)?;
        // Not synced: what does not survive is not used.
        or_without(disk, &name, || fill(disk.create(&name)?.as_ref(), &layout, sidecars))?;
        Ok(Self { layout, files: Arc::clone(files) })
    }

    pub(super) fn open(files: &Arc<OpenFiles>, first: u64, n: usize) -> Result<Self, Unusable> {
        if !(1..=MAX).contains(&n) {
            return Err(Unusable);
        }
        let file = files.get(FileOf::Filters { first, n })?;
        let layout = Layout::parse(&read_page(file.as_ref(), first, 0)?, first, n)?;
        if file.len()? != layout.position(layout.n_pages) {
            return Err(Unusable);
        }
        Ok(Self { layout, files: Arc::clone(files) })
    }

    pub(super) const fn first(&self) -> u64 {
        self.layout.first
    }

    pub(super) fn n(&self) -> usize {
        self.layout.blocks.len()
    }

    /// The place of a segment's sidecar in the group.
    pub(super) fn place(&self, segment: u64) -> Option<usize> {
        let nth = usize::try_from(segment.checked_sub(self.first())?).ok()?;
        (nth < self.n()).then_some(nth)
    }

    /// Which sidecars may hold the id. One read.
    pub(super) fn ask(&self, probe: Probe) -> Result<Mask, Unusable> {
        let layout = &self.layout;
        let p = probe.block(layout.n_pages as usize) as u32;
        let file = self.files.get(FileOf::Filters { first: self.first(), n: self.n() })?;
        let mut page = vec![0; layout.page_bytes as usize];
        file.read_exact_at(&mut page, layout.position(p))?;
        let (body, sum) = page.split_last_chunk::<4>().ok_or(Unusable)?;
        if page_sum(layout.first, 1 + p as usize, body) != u32::from_le_bytes(*sum) {
            return Err(Unusable);
        }
        let (mut mask, mut at) = (Mask::default(), 0);
        for (nth, n) in layout.blocks.iter().enumerate() {
            let slice = slice(*n, p, layout.n_pages);
            let block = at + (probe.block(*n as usize) - slice.start) * BLOCK;
            if body.get(block..block + BLOCK).is_some_and(|block| probe.is_set(block)) {
                mask.set(nth);
            }
            at += slice.len() * BLOCK;
        }
        Ok(mask)
    }
}

/// Whether every page of a group of filters is what was written.
pub(in crate::local) fn is_intact(file: &dyn DiskFile, first: u64, n: usize) -> bool {
    let check = || {
        let layout = Layout::parse(&read_page(file, first, 0)?, first, n)?;
        let mut page = vec![0; layout.page_bytes as usize];
        for p in 0..layout.n_pages {
            file.read_exact_at(&mut page, layout.position(p))?;
            let (body, sum) = page.split_last_chunk::<4>().ok_or(Unusable)?;
            if page_sum(first, 1 + p as usize, body) != u32::from_le_bytes(*sum) {
                return Err(Unusable);
            }
        }
        if file.len()? == layout.position(layout.n_pages) { Ok(()) } else { Err(Unusable) }
    };
    check().is_ok()
}

/// Writes the pages one after another, each from a piece of every filter.
fn fill(file: &dyn DiskFile, layout: &Layout, sidecars: &[&Sidecar]) -> std::io::Result<()> {
    let mut bytes = layout.encode();
    let mut written = 0;
    let mut readers: Vec<_> = sidecars.iter().map(|sidecar| sidecar.filter_reader()).collect();
    for p in 0..layout.n_pages {
        let start = bytes.len();
        for (reader, n) in readers.iter_mut().zip(&layout.blocks) {
            for block in slice(*n, p, layout.n_pages) {
                let block = reader.block(block).map_err(|Unusable| std::io::ErrorKind::InvalidData)?;
                bytes.put(&block);
            }
        }
        bytes.resize(start + layout.page_bytes as usize - 4, 0);
        bytes.put_u32(page_sum(layout.first, 1 + p as usize, bytes.get(start..).unwrap_or_default()));
        if bytes.len() > CHUNK || p + 1 == layout.n_pages {
            file.write_all_at(&bytes, written)?;
            written += bytes.len() as u64;
            bytes.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_layout_is_where_the_format_says_and_is_read_back() {
        let mut blocks = vec![2; FAN];
        blocks[1] = 5;
        let layout = Layout::new(7, blocks);
        // The page in the middle needs both blocks of the filters of two, and one of the filter of five.
        assert_eq!((layout.n_pages, layout.page_bytes), (5, 15 * 2 * 64 + 64 + 4));
        let bytes = layout.encode();
        assert_eq!(&bytes[..16], b"idsIDGRP\x01\0\x10\0\x05\0\0\0");
        assert_eq!(
            &bytes[16..36],
            [[7, 0, 0, 0], [0; 4], [0xc4, 7, 0, 0], [2, 0, 0, 0], [5, 0, 0, 0]].as_flattened()
        );
        assert_eq!(Layout::parse(&bytes, 7, FAN).unwrap(), layout);
        for (first, n) in [(8, FAN), (7, MAX), (7, FAN - 1)] {
            assert!(Layout::parse(&bytes, first, n).is_err());
        }
        let huge = Layout { blocks: vec![u32::MAX; FAN], ..layout };
        assert!(Layout::parse(&huge.encode(), 7, FAN).is_err());
    }

    proptest! {
        #[test]
        fn the_page_of_a_hash_holds_its_block_of_every_filter(hash: u32, n in 1_u32..5000, n_pages in 1_u32..5000) {
            let of = |n: u32| ((u64::from(hash) * u64::from(n)) >> 32) as usize;
            prop_assert!(slice(n, of(n_pages) as u32, n_pages).contains(&of(n)));
        }
    }
}
