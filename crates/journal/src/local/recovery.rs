//! Opening a journal: what is there, what of it counts, and what is cut off.
//!
//! The table of all cases is in `docs/JOURNAL-FORMAT.md`.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Clock, Timestamp};

use super::active_end::End;
use super::attempts::{Attempts, Unreadable};
use super::durable::{create_segment, replace};
use super::files::{damaged, read_header, read_small};
use super::format::anchor::Anchor;
use super::format::block::HEADER;
use super::format::checkpoint::{self, Checkpoint};
use super::format::segment::{SIZE, SegmentHeader};
use super::format::{FormatError, names};
use super::ids::window::{SealedIds, Window, WindowOptions};
use super::open_files::OpenFiles;
use super::reader::Reader;
use super::state::State;
use super::timeline::{Segment, Timeline};
use super::writer::Tail;
use crate::JournalError;
use crate::disk::{Disk, DiskFile};
use crate::retention::believable;

/// Checkpoints and anchors larger than this are not read.
const MAX_SMALL_FILE: u64 = 256 * 1024 * 1024;

/// What opening the journal found to do. All zeros after a clean end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn, never acknowledged group that were cut off and kept in `lost+found/`.
    pub cut_bytes: u64,
    /// Whole blocks at the end of which no trace says that they were durable. They are now, and they are kept: they may
    /// have been acknowledged.
    pub n_unproven: usize,
    /// Segments whose removal had been begun and was completed.
    pub n_dropped: usize,
    /// Whether the bytes that were cut off are in `lost+found/`: without room there they are not.
    pub is_cut_kept: bool,
    /// Damaged segments of which not all ids are known: an event in the damaged part would be stored again.
    pub n_ids_partial: usize,
}

/// A journal that can go on.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) tail: Tail,
    pub(super) files: Arc<OpenFiles>,
    pub(super) recovery: Recovery,
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
        None => Anchor { sequence: 0, hash: [0; 32], seal: None },
    };
    let Headers { mut segments, mut unfinished } = read_headers(disk.as_ref(), &ids, &anchor)?;
    if segments.is_empty() {
        let first = first_segment(disk.as_ref(), checkpoint.next, now)?;
        // An earlier start may have left this very file unfinished: it is finished now.
        unfinished = unfinished.filter(|(id, _)| *id != first.0.id);
        segments.push(first);
    }
    check_front(&segments, &anchor)?;
    let (sealed, active) = arrange(segments)?;
    // The others are opened when they are read: there may be more of them than files that a process may open.
    let file = disk.open(&names::segment(active.id)).map_err(JournalError::Read)?;
    let end = End::of(file.as_ref(), active, checkpoint.next - 1);
    let end = end.map_err(|error| with_unfinished(error, unfinished.as_ref()))?;
    if let Some((id, _)) = unfinished {
        disk.remove(&names::segment(id)).map_err(JournalError::Disk)?;
        disk.sync_dir("").map_err(JournalError::Disk)?;
    }
    let is_cut_kept = end.make_durable(disk.as_ref(), file.as_ref(), active.id, now)?;
    let (cut_bytes, n_unproven) = (end.cut_bytes(), end.n_unproven);
    let mut recovery = Recovery { cut_bytes, n_unproven, is_cut_kept, ..Recovery::default() };
    let mut state = State::new(Timeline::new(sealed, active), checkpoint.consumers);
    for block in end.blocks {
        state.push(block);
    }
    state.dirty = false;
    let files = Arc::new(OpenFiles::new(Arc::clone(disk)));
    complete(&mut state, &Reader::new(Arc::clone(&files), 0), anchor.sequence + 1)?;
    let first = state.timeline.first_segment().id;
    let doomed: Vec<u64> = ids.into_iter().filter(|id| *id < first).collect();
    recovery.n_dropped = doomed.len();
    let mut window = Window::new(Arc::clone(disk), Arc::clone(&files), window, end.ids);
    open_ids(disk.as_ref(), &state, &mut window, now)?;
    recovery.n_ids_partial = window.n_partial();
    Ok(Recovered { state, tail: Tail { file, hash: end.hash, window, doomed }, files, recovery })
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

/// When blocks are missing that were durable, the last file was not being created: it is what is damaged.
fn with_unfinished(error: JournalError, unfinished: Option<&(u64, JournalError)>) -> JournalError {
    match (error, unfinished) {
        (JournalError::Damaged(missing), Some((_, JournalError::Damaged(what)))) => {
            JournalError::Damaged(format!("{what}; {missing}"))
        }
        (error, _) => error,
    }
}

/// The segments that follow each other up to the last one.
#[derive(Default)]
struct Headers {
    /// Headers of segment files, and the lengths of the files.
    segments: Vec<(SegmentHeader, u64)>,
    /// A last file without a readable header and without room for a block, and what is wrong with it.
    unfinished: Option<(u64, JournalError)>,
}

/// Reads the headers of all segments that follow each other up to the last one.
///
/// Below the anchor segments may be missing: they were being removed, and any of the removals may have survived a loss
/// of power. What is left before a gap is to be removed too.
fn read_headers(disk: &dyn Disk, ids: &[u64], anchor: &Anchor) -> Result<Headers, JournalError> {
    let mut found = Headers::default();
    let mut gap: Option<JournalError> = None;
    for (at, id) in ids.iter().copied().enumerate() {
        let segments = &mut found.segments;
        if let Some((before, _)) = segments.last()
            && before.id + 1 != id
        {
            let name = names::segment(before.id + 1);
            gap = Some(JournalError::Damaged(format!("segment {name} is missing")));
            segments.clear();
        }
        let file = disk.open(&names::segment(id)).map_err(JournalError::Read)?;
        match read_header(file.as_ref(), id) {
            Ok(header) if header.first > anchor.sequence + 1 && gap.is_some() => break,
            Ok(header) => {
                gap = None;
                segments.push((header, file.len().map_err(JournalError::Read)?));
            }
            // No block is written before the header is durable, so this file never had one, unless one is missed.
            Err(error @ JournalError::Damaged(_))
                if at + 1 == ids.len() && holds_no_block(file.as_ref())? =>
            {
                found.unfinished = Some((id, error));
            }
            Err(error @ JournalError::Damaged(_)) => {
                gap = Some(error);
                segments.clear();
            }
            Err(error) => return Err(error),
        }
    }
    gap.map_or(Ok(found), Err)
}

fn first_segment(disk: &dyn Disk, next: u64, now: Timestamp) -> Result<(SegmentHeader, u64), JournalError> {
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
    Ok((header, SIZE as u64))
}

fn holds_no_block(file: &dyn DiskFile) -> Result<bool, JournalError> {
    Ok(file.len().map_err(JournalError::Read)? < (SIZE + HEADER) as u64)
}

/// The oldest segment must be where the anchor says, or before when a trim was interrupted.
fn check_front(segments: &[(SegmentHeader, u64)], anchor: &Anchor) -> Result<(), JournalError> {
    let begins = segments.iter().find(|(header, _)| header.first == anchor.sequence + 1);
    match begins {
        Some((header, _)) if header.previous_hash == anchor.hash => Ok(()),
        Some((header, _)) => Err(damaged(header.id, 0, "the segment does not follow the anchor")),
        None => Err(JournalError::Damaged(format!("no segment begins with block {}", anchor.sequence + 1))),
    }
}

/// What the headers tell of the segments: the sealed ones, and the active one.
fn arrange(segments: Vec<(SegmentHeader, u64)>) -> Result<(VecDeque<Segment>, Segment), JournalError> {
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

/// Works out what a crash kept from being saved: the ends that consumers passed, and what a trim expired whose anchor
/// is durable. What it drops is removed after the next checkpoint.
fn complete(state: &mut State, reader: &Reader, first: u64) -> Result<(), JournalError> {
    // What cannot be read must not keep the journal from opening.
    let mut attempts = Attempts::new(Unreadable::IsAlwaysPassed);
    while let Err(missing) = state.find_ends(&attempts.pinned) {
        attempts.load(missing, reader)?;
    }
    if state.timeline.first() < first {
        while let Err(missing) = state.expire(first, &attempts.pinned) {
            attempts.load(missing, reader)?;
        }
        state.timeline.drop_below(first);
        state.dirty = true;
    }
    Ok(())
}

/// Opens the sidecars of the segments that are young enough, and removes all others.
fn open_ids(disk: &dyn Disk, state: &State, window: &mut Window, now: Timestamp) -> Result<(), JournalError> {
    let sealed = state.timeline.sealed();
    let appended_at: Vec<_> = sealed.iter().map(|segment| segment.last_appended_at).collect();
    let young = sealed.iter().zip(believable(&appended_at, now));
    let young: Vec<SealedIds> = young
        .filter(|(_, appended_at)| window.covers(*appended_at, now))
        .map(|(segment, _)| SealedIds {
            segment: segment.id,
            first: segment.first,
            next: segment.next,
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
    window.open_groups()?;
    window.tidy(now, 0);
    Ok(())
}
