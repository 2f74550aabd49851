//! Looking at a journal's files without changing them: what is there, what is damaged, what was given up before.
//!
//! It needs no lock: a journal that is open and written to is read up to where it was durable. Every problem is listed, not
//! only the first, so that a repair can say what it would give up.

mod segment;
mod sidecars;
mod walk;

use std::fmt;

use base::Timestamp;

use self::walk::Walk;
use super::files::read_small;
use super::format::anchor::{Anchor, AnchorSeal};
use super::format::checkpoint::Checkpoint;
use super::format::segment::SegmentHeader;
use super::format::{FormatError, names};
use crate::disk::Disk;
use crate::retention::PerStream;
use crate::seam::{NEWER, Producer};
use crate::signing::{PublicKey, is_genuine_anchor};
use crate::{Block, JournalError};

pub(super) use self::segment::{Piece, Surveyed};
pub(super) use self::walk::Hole;

/// Checkpoints and anchors larger than this are not read.
const MAX_SMALL_FILE: u64 = 256 * 1024 * 1024;
/// Problems beyond are counted only.
const MAX_PROBLEMS: usize = 1_000;
/// How often a journal that drops segments meanwhile is looked at anew.
const TRIES: usize = 5;

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in the file, in bytes.
    pub position: u64,
    /// The block that is expected there; none where a file as a whole is at fault.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.file, self.position)?;
        if let Some(sequence) = self.sequence {
            write!(f, "block {sequence}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Blocks that are gone: damaged, or given up before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first block that is gone.
    pub from: u64,
    /// The first one after it that is there, or the end.
    pub until: u64,
    /// Events that were in them, for each stream by number; none when nothing that is left says so.
    pub events: Option<PerStream>,
    /// When the last block before was appended.
    pub after: Option<Timestamp>,
    /// When the first block behind was appended.
    pub before: Option<Timestamp>,
}

impl Gap {
    /// Events of all streams; none when nobody knows.
    pub fn n_events(&self) -> Option<u64> {
        self.events.map(|events| events.iter().sum())
    }
}

/// The block that a journal is known to have had, by what lies outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// Its sequence.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What the file `anchor` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorFacts {
    /// The last block that was dropped.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Whose signature it carries.
    pub signed_by: Option<PublicKey>,
    /// When it was signed.
    pub signed_at: Option<Timestamp>,
    /// The signature does not fit: somebody moved the journal's beginning.
    pub is_forged: bool,
}

impl AnchorFacts {
    fn of(anchor: &Anchor) -> Self {
        let Anchor { sequence, hash, seal } = anchor;
        let genuine = |seal: &AnchorSeal| {
            is_genuine_anchor(&PublicKey(seal.public_key), (*sequence, hash, seal.at), &seal.signature)
        };
        Self {
            sequence: *sequence,
            hash: *hash,
            signed_by: seal.as_ref().map(|seal| PublicKey(seal.public_key)),
            signed_at: seal.as_ref().map(|seal| seal.at),
            is_forged: seal.as_ref().is_some_and(|seal| !genuine(seal)),
        }
    }
}

/// An intact block, shown while a journal is surveyed.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Its hash.
    pub hash: [u8; 32],
    /// Its records.
    pub block: &'a Block,
    /// Who brought each record.
    pub producers: Vec<Producer>,
}

/// What is told and asked while a journal is surveyed.
pub trait Watch {
    /// `done` of `total` bytes have been read.
    fn progress(&mut self, done: u64, total: u64);

    /// The survey begins anew: what was shown before is shown again.
    fn restart(&mut self);

    /// An intact block, in order of sequence. Not those that were given up.
    fn block(&mut self, seen: &Seen<'_>);
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// The oldest block that should be there.
    pub first: u64,
    /// The sequence after the last block that is there.
    pub next: u64,
    /// The hash of the last block.
    pub hash: [u8; 32],
    /// When the last block was appended.
    pub last_appended_at: Option<Timestamp>,
    /// Intact blocks.
    pub n_blocks: u64,
    /// Records whose bytes were checked.
    pub n_records: u64,
    /// Erased records, of which only the digest is left.
    pub n_erased: u64,
    /// Bytes of the segments.
    pub n_bytes: u64,
    /// Bytes at the end that were never acknowledged: being written now, or to be cut off at the next start.
    pub torn_bytes: u64,
    /// Where blocks were dropped, and what the chain goes on from.
    pub anchor: Option<AnchorFacts>,
    /// Files of ids and filters, all and those that will be rebuilt.
    pub n_sidecars: usize,
    /// Names of those that will be rebuilt.
    pub bad_sidecars: Vec<String>,
    /// Blocks that an operator gave up before.
    pub given_up: Vec<Gap>,
    /// Everything that is damaged, in order; at most 1,000.
    pub problems: Vec<Problem>,
    /// Blocks that are gone with it.
    pub lost: Vec<Gap>,
    pub(super) parts: Parts,
}

/// What a repair works with.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) anchor: Option<Anchor>,
    pub(super) anchor_is_damaged: bool,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) segments: Vec<Surveyed>,
    /// The oldest segments, when nothing of them is left.
    pub(super) abandoned: Vec<Surveyed>,
    pub(super) holes: Vec<Hole>,
    /// Events of intact blocks that each consumer has not settled, in the order of the checkpoint.
    pub(super) pending: Vec<u64>,
}

impl Survey {
    /// Looks at the journal in `disk`. `known` is the highest block that it must have.
    ///
    /// [`JournalError::Refused`] when a newer idstream wrote it; [`JournalError::Read`] when the disk does not answer.
    pub fn of(
        disk: &dyn Disk,
        known: Option<KnownHead>,
        watch: &mut dyn Watch,
    ) -> Result<Self, JournalError> {
        for _ in 1..TRIES {
            match once(disk, known, watch) {
                // Retention drops segments while they are read: what is missing is missed for good only where the journal
                // still says that it begins.
                Err(JournalError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Ok(survey) if !survey.problems.is_empty() && survey.has_moved(disk)? => {}
                answer => return answer,
            }
            watch.restart();
        }
        once(disk, known, watch)
    }

    /// Whether the journal begins elsewhere by now.
    fn has_moved(&self, disk: &dyn Disk) -> Result<bool, JournalError> {
        let mut now = Self::default();
        let anchor = now.small(disk, names::ANCHOR, Anchor::parse)?;
        Ok(now.problems.is_empty() && anchor.as_ref().map(AnchorFacts::of) != self.anchor)
    }

    /// Notes a problem.
    fn problem(&mut self, file: String, position: u64, sequence: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { file, position, sequence, what: what.into() });
        }
    }

    /// Reads a small file; what cannot be read is a problem.
    fn small<T>(
        &mut self,
        disk: &dyn Disk,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<Option<T>, JournalError> {
        let bytes = match read_small(disk, name, MAX_SMALL_FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(JournalError::Damaged(what)) => {
                self.problem(name.to_owned(), 0, None, what);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match parse(&bytes) {
            Ok(found) => Ok(Some(found)),
            Err(FormatError::Version(_)) => Err(JournalError::Refused(NEWER)),
            Err(FormatError::Malformed(what)) => {
                self.problem(name.to_owned(), 0, None, what);
                Ok(None)
            }
        }
    }
}

/// The ids of all segment files, in order.
fn list(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    let names = disk.list("").map_err(JournalError::Read)?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| names::segment_id(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn once(disk: &dyn Disk, known: Option<KnownHead>, watch: &mut dyn Watch) -> Result<Survey, JournalError> {
    let mut survey = Survey::default();
    // The checkpoint first: what it knows to be durable is in the segments that are read after it.
    let checkpoint = survey.small(disk, names::CONSUMERS, Checkpoint::parse)?;
    let anchor = survey.small(disk, names::ANCHOR, Anchor::parse)?;
    survey.parts.anchor_is_damaged = survey.problems.iter().any(|problem| problem.file == names::ANCHOR);
    let ids = list(disk)?;
    if checkpoint.is_none() && !survey.problems.iter().any(|problem| problem.file == names::CONSUMERS) {
        if ids.is_empty() && anchor.is_none() && known.is_none() {
            return Ok(Survey { first: 1, next: 1, ..survey });
        }
        survey.problem(names::CONSUMERS.to_owned(), 0, None, "the file is missing");
    }
    let checkpointed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next - 1);
    survey.parts.checkpoint = checkpoint;
    survey.parts.anchor = anchor;
    survey.anchor = anchor.as_ref().map(AnchorFacts::of);
    if survey.anchor.is_some_and(|anchor| anchor.is_forged) {
        survey.problem(names::ANCHOR.to_owned(), 56, None, "its signature does not fit what it says");
        survey.parts.anchor_is_damaged = true;
        // What a repair puts in its place claims nothing.
        survey.parts.anchor = anchor.map(|anchor| Anchor { seal: None, ..anchor });
    }
    let mut walk = Walk::new(survey, checkpointed, known, watch);
    walk.all(disk, &ids)?;
    let mut survey = walk.finish();
    sidecars::check(disk, &mut survey)?;
    Ok(survey)
}

/// The header of a segment, when it can be read; else what is wrong.
fn header_of(error: JournalError) -> Result<(Option<SegmentHeader>, String), JournalError> {
    match error {
        JournalError::Damaged(what) => {
            // The file and the position are said beside it.
            let what = what.split_once(": ").map_or(what.clone(), |(_, what)| what.to_owned());
            Ok((None, what))
        }
        error => Err(error),
    }
}
