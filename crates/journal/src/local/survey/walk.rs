//! The walk over all blocks in order: each must follow the one before, and what does not leaves a hole.

use base::Timestamp;

use super::{Gap, KnownHead, Parts, Seen, Survey, Surveyed, Watch, header_of};
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::local::files::{Scan, Step, read_header};
use crate::local::format::block::{BlockHeader, HEADER, StoredBlock};
use crate::local::format::names;
use crate::local::format::segment::{SIZE, SegmentHeader};
use crate::local::timeline::BlockInfo;
use crate::local::verify::check_contents;
use crate::retention::PerStream;

/// Blocks that are gone, and what stands before and behind them.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct Hole {
    pub(in crate::local) from: u64,
    pub(in crate::local) until: u64,
    /// The hash of the block before.
    pub(in crate::local) hash_before: [u8; 32],
    /// The hash of the last one that is gone, when something tells it.
    pub(in crate::local) last_hash: Option<[u8; 32]>,
    pub(in crate::local) events_before: PerStream,
    /// At its end, when something tells it.
    pub(in crate::local) events_after: Option<PerStream>,
    pub(in crate::local) after: Option<Timestamp>,
    pub(in crate::local) before: Option<Timestamp>,
}

impl Hole {
    fn gap(&self) -> Gap {
        let events = self.events_after.map(|after| {
            let mut gained = after;
            for (gained, before) in gained.iter_mut().zip(self.events_before) {
                *gained = gained.saturating_sub(before);
            }
            gained
        });
        Gap { from: self.from, until: self.until, events, after: self.after, before: self.before }
    }
}

/// The last block that counts.
#[derive(Clone, Copy)]
struct Last {
    next: u64,
    hash: [u8; 32],
    /// At the block that follows. None before anything says so.
    events: Option<PerStream>,
    at: Option<Timestamp>,
}

pub(super) struct Walk<'w> {
    survey: Survey,
    last: Last,
    /// Something before the next block is broken, so that its link to the last one says nothing.
    is_broken: bool,
    /// Payload bytes at the next segment, when everything since the last header is there.
    bytes: Option<PerStream>,
    known_durable: u64,
    known: Option<KnownHead>,
    watch: &'w mut dyn Watch,
    /// Bytes of all segments.
    total_bytes: u64,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        survey: Survey,
        checkpointed: u64,
        known: Option<KnownHead>,
        watch: &'w mut dyn Watch,
    ) -> Self {
        let (sequence, hash) = survey.anchor.map_or((0, [0; 32]), |anchor| (anchor.sequence, anchor.hash));
        let events = (sequence == 0 && !survey.parts.anchor_is_damaged).then(PerStream::default);
        let last = Last { next: sequence + 1, hash, events, at: None };
        let known_durable = known.map_or(0, |known| known.sequence).max(checkpointed);
        let bytes = events;
        Self { survey, last, is_broken: false, bytes, known_durable, known, watch, total_bytes: 0 }
    }

    /// Walks over all segments from the anchor on.
    pub(super) fn all(&mut self, disk: &dyn Disk, ids: &[u64]) -> Result<(), JournalError> {
        let headers = self.headers(disk, ids)?;
        let begin = self.front(&headers);
        let headers = headers.get(begin..).unwrap_or_default();
        self.survey.first = self.last.next;
        let n = headers.len();
        for (at, (id, len, header)) in headers.iter().enumerate() {
            self.missing(*id);
            let is_last = at + 1 == n;
            let file = disk.open(&names::segment(*id)).map_err(JournalError::Read)?;
            let is_unfinished = is_last
                && header.is_err()
                && *len < (SIZE + HEADER) as u64
                && self.last.next > self.known_durable;
            if is_unfinished {
                self.survey.torn_bytes = *len;
                break;
            }
            self.segment(file.as_ref(), *id, header, is_last)?;
        }
        self.end();
        Ok(())
    }

    /// What the headers say: id, bytes of the file, header or what is wrong with it.
    fn headers(&mut self, disk: &dyn Disk, ids: &[u64]) -> Result<Vec<Header>, JournalError> {
        let mut headers = Vec::with_capacity(ids.len());
        for id in ids {
            let file = match disk.open(&names::segment(*id)) {
                Ok(file) => file,
                // It was dropped meanwhile; a file that should be there is missed by its number.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && headers.is_empty() => continue,
                Err(error) => return Err(JournalError::Read(error)),
            };
            let len = file.len().map_err(JournalError::Read)?;
            self.total_bytes += len;
            let header = match read_header(file.as_ref(), *id) {
                Ok(header) => Ok(header),
                Err(error) => Err(header_of(error)?.1),
            };
            headers.push((*id, len, header));
        }
        Ok(headers)
    }

    /// The place of the first segment from the anchor on. Those before it were being removed.
    fn front(&mut self, headers: &[Header]) -> usize {
        let first = |header: &Header| header.2.as_ref().ok().map(|header| header.first);
        let begins = headers.iter().position(|header| first(header) == Some(self.last.next));
        let below =
            headers.iter().rposition(|header| first(header).is_some_and(|first| first < self.last.next));
        if let Some(at) = begins {
            return at;
        }
        let at = below.map_or(0, |below| below + 1);
        // Nobody says where the journal begins any more: with the first segment that says so itself.
        let Some((id, _, Ok(header))) = headers.get(at) else { return at };
        let name = names::segment(*id);
        let what = format!("blocks {} to {} are missing before it", self.last.next, header.first - 1);
        self.survey.problem(name, 0, Some(self.last.next), what);
        self.re_anchor(header.first, header.previous_hash);
        at
    }

    /// Begins anew with block `first`; what should be before it is lost.
    fn re_anchor(&mut self, first: u64, hash: [u8; 32]) {
        if first > self.last.next {
            let gap = Gap { from: self.last.next, until: first, events: None, after: None, before: None };
            self.survey.lost.push(gap);
        }
        let abandoned = std::mem::take(&mut self.survey.parts.segments);
        self.survey.parts.abandoned.extend(abandoned);
        self.survey.first = first;
        self.survey.parts.anchor_is_damaged = true;
        self.survey.parts.anchor = Some(super::Anchor { sequence: first - 1, hash, seal: None });
        self.last = Last { next: first, hash, events: None, at: None };
        self.bytes = None;
    }

    /// Notes the files that are missing before the segment `id`.
    fn missing(&mut self, id: u64) {
        let Some(before) = self.survey.parts.segments.last().map(|segment| segment.id) else { return };
        for missing in before + 1..id {
            self.survey.problem(names::segment(missing), 0, Some(self.last.next), "the file is missing");
            self.survey.parts.segments.push(Surveyed::new(missing, false, 0));
            self.is_broken = true;
        }
    }

    fn segment(
        &mut self,
        file: &dyn DiskFile,
        id: u64,
        header: &Result<SegmentHeader, String>,
        is_last: bool,
    ) -> Result<(), JournalError> {
        let mut segment = Surveyed::new(id, true, file.len().map_err(JournalError::Read)?);
        match header.as_ref().map_err(String::clone).and_then(|header| self.follows(header)) {
            Ok(header) => {
                segment.header = Some(header);
                self.begins(&header);
            }
            Err(what) => {
                self.survey.problem(names::segment(id), 0, Some(self.last.next), what);
                segment.broke(0..SIZE as u64);
                self.is_broken = true;
                self.bytes = None;
            }
        }
        let mut scan = Scan::new(file, id, self.last.next).map_err(JournalError::Read)?;
        let done = self.survey.n_bytes;
        loop {
            let at = scan.position;
            match scan.step()? {
                Step::Block { position, block } => self.block(&mut segment, position, &block),
                Step::End => break,
                Step::Broken(what) => {
                    if is_last && self.is_torn(&mut scan)? {
                        self.survey.torn_bytes = scan.len().saturating_sub(at);
                        break;
                    }
                    self.survey.problem(names::segment(id), at, Some(scan.sequence), what);
                    self.is_broken = true;
                    let goes_on = scan.resume()?;
                    segment.broke(at..if goes_on { scan.position } else { scan.len() });
                    if !goes_on {
                        break;
                    }
                }
            }
            self.survey.n_bytes = done + scan.position.min(scan.len());
            // The last one may have grown since.
            self.watch.progress(self.survey.n_bytes, self.total_bytes.max(self.survey.n_bytes));
        }
        self.survey.n_bytes = done + scan.len();
        self.survey.parts.segments.push(segment);
        Ok(())
    }

    /// Whether what is broken here was never known to be durable.
    fn is_torn(&mut self, scan: &mut Scan<'_>) -> Result<bool, JournalError> {
        self.known_durable = self.known_durable.max(scan.later_durable_up_to()?);
        Ok(scan.sequence > self.known_durable)
    }

    /// Checks a segment's header against what is before it.
    fn follows(&mut self, header: &SegmentHeader) -> Result<SegmentHeader, String> {
        let goes_on = header.first == self.last.next && !self.is_broken;
        if header.first < self.last.next || (goes_on && header.previous_hash != self.last.hash) {
            return Err("the segment does not follow the one before".to_owned());
        }
        let counts = |counted: Option<PerStream>, says| counted.is_none_or(|counted| counted == says);
        if goes_on
            && !(counts(self.last.events, header.events_before) && counts(self.bytes, header.bytes_before))
        {
            return Err("the segment does not count what was appended before it".to_owned());
        }
        Ok(*header)
    }

    /// A segment whose header fits begins.
    fn begins(&mut self, header: &SegmentHeader) {
        if header.first > self.last.next {
            let (sequence, id) = (self.last.next, header.id - 1);
            if !self.is_broken {
                let at = self.survey.parts.segments.last().map_or(0, |segment| segment.len);
                let what =
                    format!("the segment ends too early: it should go on to block {}", header.first - 1);
                self.survey.problem(names::segment(id), at, Some(sequence), what);
            }
            if self.knows_nothing() {
                self.re_anchor(header.first, header.previous_hash);
            } else {
                self.hole(header.first, Some(header.previous_hash), Some(header.events_before), None);
                if let Some(before) = self.survey.parts.segments.last_mut() {
                    before.is_sound = false;
                }
            }
        }
        // All before it is as it should be: what is known of a sound segment is not needed any more.
        if let Some(before) = self.survey.parts.segments.last_mut()
            && before.is_sound
        {
            before.pieces = Vec::new();
        }
        let at = self.last.at.or(Some(header.previous_appended_at));
        self.last =
            Last { next: header.first, hash: header.previous_hash, events: Some(header.events_before), at };
        self.bytes = Some(header.bytes_before);
        self.is_broken = false;
    }

    /// Notes that the blocks up to `until` are gone.
    fn hole(
        &mut self,
        until: u64,
        last_hash: Option<[u8; 32]>,
        events_after: Option<PerStream>,
        before: Option<Timestamp>,
    ) {
        let hole = Hole {
            from: self.last.next,
            until,
            hash_before: self.last.hash,
            last_hash,
            events_before: self.last.events.or(events_after).unwrap_or_default(),
            events_after,
            after: self.last.at,
            before,
        };
        self.survey.lost.push(hole.gap());
        self.survey.parts.holes.push(hole);
        self.bytes = None;
    }

    fn block(&mut self, segment: &mut Surveyed, position: u64, block: &StoredBlock) {
        let header = block.header;
        let is_next = header.sequence == self.last.next && !self.is_broken;
        let links = if is_next { self.link(&header) } else { Ok(()) };
        if let Err(what) = links.and_then(|()| self.contents(block)) {
            self.survey.problem(names::segment(segment.id), position, Some(header.sequence), what);
            segment.broke(position..position + header.stored_bytes() as u64);
            self.is_broken = true;
            return;
        }
        if header.sequence > self.last.next {
            self.gone_before(segment, &header);
        }
        if header.lost {
            self.given_up(&header);
        } else {
            self.seen(block);
        }
        self.pending(&BlockInfo::new(&header, position));
        self.last = Last {
            next: header.sequence + 1,
            hash: header.hash,
            events: Some(header.events_after()),
            at: Some(header.appended_at),
        };
        self.is_broken = false;
        segment.push(position, header);
        if let Some(bytes) = &mut self.bytes {
            crate::local::format::wire::add(bytes, header.stream, u64::from(header.appended_bytes));
        }
    }

    /// Whether no block has been seen yet, and nothing says how many events were before the first.
    const fn knows_nothing(&self) -> bool {
        self.last.events.is_none()
    }

    /// A block is there, but not those before it.
    fn gone_before(&mut self, segment: &mut Surveyed, header: &BlockHeader) {
        if self.knows_nothing() {
            // The oldest segment does not say any more what was before it.
            self.re_anchor(header.sequence, header.previous_hash);
            return;
        }
        self.hole(
            header.sequence,
            Some(header.previous_hash),
            Some(header.events_before),
            Some(header.appended_at),
        );
        segment.is_sound = false;
    }

    /// What a block must say of the one before it.
    fn link(&self, header: &BlockHeader) -> Result<(), &'static str> {
        if header.previous_hash != self.last.hash {
            return Err("its previous hash is not that of the block before");
        }
        if self.last.events.is_some_and(|events| events != header.events_before) {
            return Err("it does not count what was appended before it");
        }
        Ok(())
    }

    /// What a block must say of its own records, and be by what lies elsewhere.
    fn contents(&self, block: &StoredBlock) -> Result<(), &'static str> {
        let known = self.known.filter(|known| known.sequence == block.header.sequence && !block.header.lost);
        if known.is_some_and(|known| known.hash != block.header.hash) {
            return Err("its hash is not the one that was signed");
        }
        check_contents(block)
    }

    fn seen(&mut self, block: &StoredBlock) {
        let n_erased = block.rows.iter().filter(|row| row.erased).count() as u64;
        self.survey.n_blocks += 1;
        self.survey.n_erased += n_erased;
        self.survey.n_records += block.rows.len() as u64 - n_erased;
        let producers = block.rows.iter().map(|row| row.producer).collect();
        self.watch.block(&Seen { hash: block.header.hash, block: &block.to_block(), producers });
    }

    /// Counts a block for the consumers that have not settled it.
    fn pending(&mut self, block: &BlockInfo) {
        let Parts { checkpoint, pending, .. } = &mut self.survey.parts;
        let cursors = checkpoint.iter().flat_map(|checkpoint| checkpoint.consumers.values());
        for (nth, cursor) in cursors.enumerate() {
            if pending.len() <= nth {
                pending.push(0);
            }
            if let Some(pending) = pending.get_mut(nth)
                && cursor.is_pending(block)
            {
                *pending += u64::from(block.n_records);
            }
        }
    }

    /// Notes a block that an operator gave up.
    fn given_up(&mut self, header: &BlockHeader) {
        let given_up = &mut self.survey.given_up;
        let joins = given_up.last().is_some_and(|gap| gap.until == header.sequence);
        if !joins {
            let (from, after) = (header.sequence, self.last.at);
            given_up.push(Gap { from, until: from, events: Some(PerStream::default()), after, before: None });
        }
        if let Some(gap) = given_up.last_mut() {
            gap.until = header.sequence + 1;
            if let Some(events) = &mut gap.events {
                crate::local::format::wire::add(events, header.stream, u64::from(header.n_records));
            }
        }
    }

    /// What was known to be durable and is not there at the end is gone.
    fn end(&mut self) {
        if self.last.next > self.known_durable {
            return;
        }
        let last_hash =
            self.known.filter(|known| known.sequence == self.known_durable).map(|known| known.hash);
        let (id, at) = self.survey.parts.segments.last().map_or((1, 0), |segment| (segment.id, segment.len));
        if !self.is_broken {
            let what = format!("the journal ends, but block {} was durable", self.known_durable);
            self.survey.problem(names::segment(id), at, Some(self.last.next), what);
        }
        self.hole(self.known_durable + 1, last_hash, None, None);
    }

    pub(super) fn finish(self) -> Survey {
        let Self { mut survey, last, .. } = self;
        survey.next = last.next;
        survey.hash = last.hash;
        survey.last_appended_at = last.at;
        survey
    }
}

type Header = (u64, u64, Result<SegmentHeader, String>);
