//! Blocks for readers: the recent ones from memory, older ones from their files.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::attempts::{Attempts, Pinned, Unreadable};
use super::files::{read_block, read_index};
use super::format::block::StoredBlock;
use super::open_files::{FileOf, OpenFiles};
use super::timeline::{Index, Look, Missing, Segment};
use crate::{Block, JournalError};

/// Blocks on their way from appends to consumers, and indexes of segments that are read.
pub(super) struct Reader {
    files: Arc<OpenFiles>,
    recent: Mutex<Recent>,
    indexes: Mutex<Indexes>,
    /// Segments whose index was found to be damaged, and how: generation, what.
    damaged: Mutex<HashMap<u64, (u32, String)>>,
}

/// The newest blocks, without gaps.
struct Recent {
    blocks: VecDeque<Arc<Block>>,
    bytes: usize,
    max_bytes: usize,
}

/// Indexes that were needed last, the last one at the back.
struct Indexes {
    indexes: VecDeque<(u64, Arc<Index>)>,
    n_blocks: usize,
}

/// Most blocks that cached indexes know: about 10 MB.
const MAX_INDEXED: usize = 200_000;

impl Reader {
    pub(super) fn new(files: Arc<OpenFiles>, max_bytes: usize) -> Self {
        Self {
            files,
            recent: Mutex::new(Recent { blocks: VecDeque::new(), bytes: 0, max_bytes }),
            indexes: Mutex::new(Indexes { indexes: VecDeque::new(), n_blocks: 0 }),
            damaged: Mutex::default(),
        }
    }

    /// Keeps blocks that just became durable.
    pub(super) fn keep(&self, blocks: impl Iterator<Item = Arc<Block>>) {
        let mut recent = self.recent.lock();
        for block in blocks {
            recent.bytes += cost(&block);
            recent.blocks.push_back(block);
        }
        while recent.bytes > recent.max_bytes
            && let Some(block) = recent.blocks.pop_front()
        {
            recent.bytes -= cost(&block);
        }
    }

    /// A recent block.
    pub(super) fn recent(&self, sequence: u64) -> Option<Arc<Block>> {
        let recent = self.recent.lock();
        let at = sequence.checked_sub(recent.blocks.front()?.sequence())?;
        recent.blocks.get(usize::try_from(at).ok()?).cloned()
    }

    /// Drops what the memory of trimmed or rewritten segments holds.
    pub(super) fn forget(&self, segment: &Segment) {
        self.forget_files(segment.id);
        self.damaged.lock().remove(&segment.id);
        let mut recent = self.recent.lock();
        while recent.blocks.front().is_some_and(|block| block.sequence() < segment.next) {
            if let Some(block) = recent.blocks.pop_front() {
                recent.bytes -= cost(&block);
            }
        }
    }

    /// Keeps the index of a segment.
    pub(super) fn keep_index(&self, segment: u64, index: Arc<Index>) {
        self.indexes.lock().keep(segment, index);
    }

    /// The index of a segment, if it is in memory.
    pub(super) fn cached_index(&self, segment: &Segment) -> Option<Arc<Index>> {
        self.indexes.lock().get(segment.id).filter(|index| index.generation == segment.generation)
    }

    /// The index of a segment in its generation; reads it when it is not in memory.
    pub(super) fn index(&self, segment: &Segment) -> Result<Arc<Index>, JournalError> {
        if let Some(index) = self.cached_index(segment) {
            return Ok(index);
        }
        if let Some(why) = self.why_damaged(segment) {
            return Err(why);
        }
        let index = Arc::new(read_index(self.file(segment)?.as_ref(), segment)?);
        self.keep_index(segment.id, Arc::clone(&index));
        Ok(index)
    }

    /// Remembers that a segment's index is damaged, so that it is not read at every turn.
    pub(super) fn note_damaged(&self, segment: &Segment, error: &JournalError) {
        if let JournalError::Damaged(what) = error
            && self.damaged.lock().insert(segment.id, (segment.generation, what.clone())).is_none()
        {
            tracing::error!(segment = segment.id, what, "a segment of the journal is damaged");
        }
    }

    /// Why a segment's index cannot be read, as far as that is remembered.
    pub(super) fn why_damaged(&self, segment: &Segment) -> Option<JournalError> {
        let damaged = self.damaged.lock();
        let (generation, what) = damaged.get(&segment.id)?;
        (*generation == segment.generation).then(|| JournalError::Damaged(what.clone()))
    }

    /// Closes the files of a segment.
    pub(super) fn forget_files(&self, segment: u64) {
        self.files.forget_segment(segment);
        self.indexes.lock().forget(segment);
    }

    /// Reads a block. `look` finds its place anew for each try, because its segment may be rewritten or trimmed
    /// meanwhile; `None` when it is gone.
    pub(super) fn read(
        &self,
        look: impl Fn(&Pinned) -> Result<(Option<Segment>, Look), Missing>,
    ) -> Result<Option<Arc<Block>>, JournalError> {
        Ok(self.stored(look)?.map(|block| Arc::new(block.to_block())))
    }

    /// The hash of a block, found in the same way. That of a lost one nobody knows.
    pub(super) fn hash(
        &self,
        look: impl Fn(&Pinned) -> Result<(Option<Segment>, Look), Missing>,
    ) -> Result<Option<[u8; 32]>, JournalError> {
        Ok(self.stored(look)?.filter(|block| !block.header.lost).map(|block| block.header.hash))
    }

    fn stored(
        &self,
        look: impl Fn(&Pinned) -> Result<(Option<Segment>, Look), Missing>,
    ) -> Result<Option<StoredBlock>, JournalError> {
        let mut attempts = Attempts::new(Unreadable::Fails);
        loop {
            match look(&attempts.pinned) {
                Ok((Some(segment), Look::Block(place))) => {
                    let block =
                        self.file(&segment).and_then(|file| read_block(file.as_ref(), segment.id, &place));
                    match block {
                        Ok(block) => return Ok(Some(block)),
                        Err(error) => attempts.failed(&segment, error, self)?,
                    }
                }
                Ok(_) => return Ok(None),
                Err(missing) => attempts.load(missing, self)?,
            }
        }
    }

    fn file(&self, segment: &Segment) -> Result<Arc<dyn crate::disk::DiskFile>, JournalError> {
        let which = FileOf::Segment { id: segment.id, generation: segment.generation };
        self.files.get(which).map_err(JournalError::Read)
    }
}

fn cost(block: &Block) -> usize {
    block.payload_bytes() + block.n_records() * 4 + 128
}

impl Indexes {
    fn get(&mut self, segment: u64) -> Option<Arc<Index>> {
        let at = self.indexes.iter().position(|(of, _)| *of == segment)?;
        let entry = self.indexes.remove(at)?;
        let index = Arc::clone(&entry.1);
        self.indexes.push_back(entry);
        Some(index)
    }

    fn forget(&mut self, segment: u64) {
        self.indexes.retain(|(of, _)| *of != segment);
        self.n_blocks = self.indexes.iter().map(|(_, index)| index.blocks.len()).sum();
    }

    fn keep(&mut self, segment: u64, index: Arc<Index>) {
        self.forget(segment);
        self.n_blocks += index.blocks.len();
        self.indexes.push_back((segment, index));
        while self.n_blocks > MAX_INDEXED
            && self.indexes.len() > 1
            && let Some((_, index)) = self.indexes.pop_front()
        {
            self.n_blocks -= index.blocks.len();
        }
    }
}
