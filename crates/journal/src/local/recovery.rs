//! Opening a journal: what is there, what of it counts, and what is cut off.
//!
//! Nothing that may have been acknowledged is ever cut off. The decision is [`judge`]; the table of all cases is in
//! `docs/JOURNAL-FORMAT.md`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use base::{Clock, Timestamp};

use super::attempts::{Attempts, Unreadable};
use super::durable::{create_segment, replace};
use super::files::{Scan, Step, damaged, read_header, read_small};
use super::format::anchor::Anchor;
use super::format::checkpoint::{self, Checkpoint};
use super::format::segment::{SIZE, SegmentHeader};
use super::format::{FormatError, names};
use super::ids::Table;
use super::ids::window::{SealedIds, Window, WindowOptions};
use super::open_files::OpenFiles;
use super::reader::Reader;
use super::state::State;
use super::timeline::{BlockInfo, Segment, Timeline};
use super::writer::Tail;
use crate::JournalError;
use crate::disk::{Disk, DiskFile};

/// Checkpoints and anchors larger than this are not read.
const MAX_SMALL_FILE: u64 = 256 * 1024 * 1024;

/// What opening the journal did to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn, never acknowledged group that were cut off and kept in `lost+found/`.
    pub cut_bytes: u64,
}

/// A journal that can go on.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) tail: Tail,
    pub(super) files: Arc<OpenFiles>,
    pub(super) recovery: Recovery,
}

/// What the end of the last segment means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All blocks are there.
    Intact,
    /// The rest was being written when the power failed, and was never acknowledged.
    Torn,
    /// Blocks are missing or broken that were known to be durable.
    Damaged,
}

/// Judges the place at which the last segment's intact blocks end. `missing`: the sequence that is expected there;
/// `known_durable`: the highest sequence that any trace says was durable.
fn judge(at_end_of_file: bool, missing: u64, known_durable: u64) -> Verdict {
    if known_durable >= missing {
        Verdict::Damaged
    } else if at_end_of_file {
        Verdict::Intact
    } else {
        Verdict::Torn
    }
}

/// Brings the journal of a directory up. The caller holds the directory's lock.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    clock: &dyn Clock,
    window: WindowOptions,
) -> Result<Recovered, JournalError> {
    let now = clock.now();
    let ids = list(disk.as_ref())?;
    let checkpoint = match read_small(disk.as_ref(), names::CONSUMERS, MAX_SMALL_FILE)? {
        Some(bytes) => Checkpoint::parse(&bytes).map_err(|error| unreadable(names::CONSUMERS, error))?,
        None if ids.is_empty() => begin(disk.as_ref())?,
        None => return Err(JournalError::Damaged("the file consumers is missing".to_owned())),
    };
    let anchor = match read_small(disk.as_ref(), names::ANCHOR, MAX_SMALL_FILE)? {
        Some(bytes) => Anchor::parse(&bytes).map_err(|error| unreadable(names::ANCHOR, error))?,
        None => Anchor { sequence: 0, hash: [0; 32] },
    };
    let segments = read_headers(disk.as_ref(), ids, checkpoint.next, now)?;
    check_front(&segments, &anchor)?;
    let (sealed, active) = arrange(segments)?;
    // The others are opened when they are read: there may be more of them than files that a process may open.
    let file = disk.open(&names::segment(active.id)).map_err(JournalError::Read)?;
    let end = scan_active(file.as_ref(), active, checkpoint.next - 1)?;
    let recovery = cut(disk.as_ref(), file.as_ref(), &end, active.id, now)?;
    // Blocks and names that were seen but not synced before a crash of the process alone count from here on. To sync is
    // not enough: after a failed sync what is seen may be in the page cache alone, and counts as clean there.
    write_again(file.as_ref(), end.known..end.position)?;
    file.sync_data().map_err(JournalError::Disk)?;
    disk.sync_dir("").map_err(JournalError::Disk)?;
    let mut state = State::new(Timeline::new(sealed, active), checkpoint.consumers);
    for block in end.blocks {
        state.push(block);
    }
    state.dirty = false;
    let files = Arc::new(OpenFiles::new(Arc::clone(disk)));
    let reader = Reader::new(Arc::clone(&files), 0);
    finish_trim(disk.as_ref(), &mut state, &reader, anchor.sequence + 1)?;
    let mut window = Window::new(Arc::clone(disk), Arc::clone(&files), window, end.ids);
    open_ids(disk.as_ref(), &state, &mut window, now)?;
    Ok(Recovered { state, tail: Tail { file, hash: end.hash, window }, files, recovery })
}

fn unreadable(name: &str, error: FormatError) -> JournalError {
    match error {
        FormatError::Version(_) => JournalError::Refused(crate::seam::NEWER),
        FormatError::Malformed(_) => JournalError::Damaged(format!("the file {name}: {error}")),
    }
}

/// The ids of all segment files, in order. Files that were never finished are removed.
fn list(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    let mut ids = Vec::new();
    for name in disk.list("").map_err(JournalError::Read)? {
        if name.ends_with(names::UNFINISHED) {
            disk.remove(&name).map_err(JournalError::Disk)?;
        }
        ids.extend(names::segment_id(&name));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The checkpoint of a new journal, durable before its first segment, so that a journal without one is damaged.
fn begin(disk: &dyn Disk) -> Result<Checkpoint, JournalError> {
    let checkpoint = Checkpoint { next: 1, ..Checkpoint::default() };
    let bytes = checkpoint::encode(checkpoint.next, checkpoint.consumers.iter());
    replace(disk, names::CONSUMERS, &bytes).map_err(JournalError::Disk)?;
    Ok(checkpoint)
}

/// Headers of segment files, and the lengths of the files.
type Headers = Vec<(SegmentHeader, u64)>;

/// Reads the headers of all segments. A last segment that was being created is removed; a journal without
/// a block gets its first segment.
fn read_headers(disk: &dyn Disk, ids: Vec<u64>, next: u64, now: Timestamp) -> Result<Headers, JournalError> {
    let mut segments = Headers::new();
    let last = ids.last().copied();
    for id in ids {
        if let Some((before, _)) = segments.last()
            && before.id + 1 != id
        {
            return Err(JournalError::Damaged(format!(
                "segment {} is missing",
                names::segment(before.id + 1)
            )));
        }
        let file = disk.open(&names::segment(id)).map_err(JournalError::Read)?;
        match read_header(file.as_ref(), id) {
            Ok(header) => segments.push((header, file.len().map_err(JournalError::Read)?)),
            // No block is written before the header is durable, so this file never had one.
            Err(JournalError::Damaged(_)) if Some(id) == last && holds_no_block(file.as_ref())? => {
                disk.remove(&names::segment(id)).map_err(JournalError::Disk)?;
                disk.sync_dir("").map_err(JournalError::Disk)?;
            }
            Err(error) => return Err(error),
        }
    }
    if segments.is_empty() {
        if next > 1 {
            return Err(JournalError::Damaged("all segments are missing".to_owned()));
        }
        let header = SegmentHeader {
            generation: 0,
            id: 1,
            first: 1,
            created_at: now,
            previous_appended_at: now,
            events_before: Default::default(),
            bytes_before: Default::default(),
            previous_hash: [0; 32],
        };
        create_segment(disk, &header).map_err(JournalError::Disk)?;
        segments.push((header, SIZE as u64));
    }
    Ok(segments)
}

fn holds_no_block(file: &dyn DiskFile) -> Result<bool, JournalError> {
    Ok(file.len().map_err(JournalError::Read)? <= SIZE as u64)
}

/// The oldest segment must be where the anchor says, or before when a trim was interrupted.
fn check_front(segments: &Headers, anchor: &Anchor) -> Result<(), JournalError> {
    let begins = segments.iter().find(|(header, _)| header.first == anchor.sequence + 1);
    match begins {
        Some((header, _)) if header.previous_hash == anchor.hash => Ok(()),
        Some((header, _)) => Err(damaged(header.id, 0, "the segment does not follow the anchor")),
        None => Err(JournalError::Damaged(format!("no segment begins with block {}", anchor.sequence + 1))),
    }
}

/// What the headers tell of the segments: the sealed ones, and the active one.
fn arrange(segments: Headers) -> Result<(VecDeque<Segment>, Segment), JournalError> {
    let mut sealed: VecDeque<Segment> = VecDeque::with_capacity(segments.len());
    let mut active: Option<Segment> = None;
    for (header, len) in segments {
        if let Some(mut before) = active.take() {
            seal(&mut before, &header)?;
            sealed.push_back(before);
        }
        active = Some(Segment::new(&header, len));
    }
    let mut active = active.ok_or_else(|| JournalError::Damaged("all segments are missing".to_owned()))?;
    active.stored_bytes = SIZE as u64;
    Ok((sealed, active))
}

/// Completes a segment from the header of the one after it.
fn seal(segment: &mut Segment, after: &SegmentHeader) -> Result<(), JournalError> {
    if after.first <= segment.first {
        return Err(damaged(after.id, 0, "the segment does not follow the one before"));
    }
    segment.next = after.first;
    segment.last_appended_at = after.previous_appended_at;
    Ok(())
}

/// What the active segment holds.
struct End {
    blocks: Vec<BlockInfo>,
    ids: Table,
    hash: [u8; 32],
    /// Where the bytes end of which it is known that they are durable.
    known: u64,
    /// Where the intact blocks end.
    position: u64,
    len: u64,
}

fn scan_active(file: &dyn DiskFile, active: Segment, checkpointed: u64) -> Result<End, JournalError> {
    let mut scan = Scan::new(file, active.id, active.first).map_err(JournalError::Read)?;
    let mut events = active.before.events;
    let mut known_durable = checkpointed;
    let mut end = End {
        blocks: Vec::new(),
        ids: Table::default(),
        hash: active.previous_hash,
        known: 0,
        position: scan.position,
        len: scan.len(),
    };
    let (at_end, why) = loop {
        match scan.step()? {
            Step::End => break (true, "the file ends too early"),
            Step::Broken(why) => break (false, why),
            Step::Block { position, block } => {
                known_durable = known_durable.max(block.header.durable_up_to);
                if block.header.previous_hash != end.hash || block.header.events_before != events {
                    (scan.position, scan.sequence) = (position, block.header.sequence);
                    break (false, "the block does not follow the one before");
                }
                events = block.header.events_after();
                end.hash = block.header.hash;
                end.ids.add(&block);
                end.blocks.push(BlockInfo::new(&block.header, position));
            }
        }
    };
    end.position = scan.position;
    known_durable = known_durable.max(scan.later_durable_up_to()?);
    // The header is known to be durable when a block is that was written after it.
    let last_known = end.blocks.iter().take_while(|block| block.sequence <= known_durable).last();
    end.known = last_known.map_or(0, |block| block.position + u64::from(block.stored_bytes));
    match judge(at_end, scan.sequence, known_durable) {
        Verdict::Damaged => Err(damaged(
            active.id,
            end.position,
            format_args!("block {} was durable (up to {known_durable}), but {why}", scan.sequence),
        )),
        Verdict::Intact | Verdict::Torn => Ok(end),
    }
}

/// Writes a part of a file over itself, so that the next sync takes it to the disk, whatever became of the last one.
fn write_again(file: &dyn DiskFile, part: Range<u64>) -> Result<(), JournalError> {
    copy(file, part.clone(), file, part.start)
}

fn copy(from: &dyn DiskFile, part: Range<u64>, to: &dyn DiskFile, at: u64) -> Result<(), JournalError> {
    let mut chunk = Vec::new();
    let mut position = part.start;
    while position < part.end {
        chunk.resize((part.end - position).min(1 << 20) as usize, 0);
        from.read_exact_at(&mut chunk, position).map_err(JournalError::Read)?;
        to.write_all_at(&chunk, at + (position - part.start)).map_err(JournalError::Disk)?;
        position += chunk.len() as u64;
    }
    Ok(())
}

/// Cuts a torn tail off. Its bytes are durable in `lost+found/` before.
fn cut(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    end: &End,
    segment: u64,
    now: Timestamp,
) -> Result<Recovery, JournalError> {
    let cut_bytes = end.len - end.position;
    if cut_bytes == 0 {
        return Ok(Recovery::default());
    }
    let name = names::cut(segment, end.position, now.as_millis());
    let lost = disk.create(&name).map_err(JournalError::Disk)?;
    copy(file, end.position..end.len, lost.as_ref(), 0)?;
    lost.sync_data().map_err(JournalError::Disk)?;
    disk.sync_dir(crate::disk::LOST_AND_FOUND).map_err(JournalError::Disk)?;
    file.set_len(end.position).map_err(JournalError::Disk)?;
    tracing::warn!(
        segment,
        position = end.position,
        cut_bytes,
        kept_in = name,
        "the journal's last group was torn; it was never acknowledged and has been cut off"
    );
    Ok(Recovery { cut_bytes })
}

/// Completes a trim that was interrupted after its anchor was durable.
fn finish_trim(disk: &dyn Disk, state: &mut State, reader: &Reader, first: u64) -> Result<(), JournalError> {
    if state.timeline.first() >= first {
        return Ok(());
    }
    let mut attempts = Attempts::new(Unreadable::IsAlwaysPassed);
    while let Err(missing) = state.expire(first, &attempts.pinned) {
        attempts.load(missing, reader)?;
    }
    let dropped = state.timeline.drop_below(first);
    let bytes = checkpoint::encode(state.timeline.next(), state.cursors().into_iter());
    replace(disk, names::CONSUMERS, &bytes).map_err(JournalError::Disk)?;
    state.dirty = false;
    for segment in dropped {
        disk.remove(&names::segment(segment.id)).map_err(JournalError::Disk)?;
    }
    disk.sync_dir("").map_err(JournalError::Disk)
}

/// Opens the sidecars of the segments that are young enough, and removes all others.
fn open_ids(disk: &dyn Disk, state: &State, window: &mut Window, now: Timestamp) -> Result<(), JournalError> {
    let young = state.timeline.sealed().iter().filter(|segment| window.covers(segment.last_appended_at, now));
    let young: Vec<SealedIds> = young
        .map(|segment| SealedIds {
            segment: segment.id,
            first: segment.first,
            last_appended_at: segment.last_appended_at,
        })
        .collect();
    for name in disk.list("").map_err(JournalError::Read)? {
        if names::ids_of(&name).is_some_and(|id| !young.iter().any(|segment| segment.segment == id)) {
            disk.remove(&name).map_err(JournalError::Disk)?;
        }
    }
    for segment in young {
        window.open(segment)?;
    }
    window.tidy(now, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_knew_to_be_durable_is_cut_off() {
        for (at_end_of_file, missing, known_durable, verdict) in [
            (true, 5, 4, Verdict::Intact),
            (true, 5, 0, Verdict::Intact),
            (true, 5, 5, Verdict::Damaged),
            (false, 5, 4, Verdict::Torn),
            (false, 5, 5, Verdict::Damaged),
            (false, 5, 9, Verdict::Damaged),
        ] {
            assert_eq!(judge(at_end_of_file, missing, known_durable), verdict, "{missing} {known_durable}");
        }
    }
}
