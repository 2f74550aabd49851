//! Verifying a journal against its own chain, its signatures, and heads that were kept elsewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::Timestamp;
use catalog::Catalog;
use event::{Section, Stream};
use journal::JournalError;
use journal::Producer;
use journal::disk::Disk;
use journal::local::{KnownHead, Seen, Survey, Watch};
use journal::signing::{PublicKey, SignedHead};
use serde_json::Value;

use crate::{OURSELVES, heads};

/// Hashes of the newest blocks that are remembered. A head is in the journal shortly behind the block that it signs.
const REMEMBERED: usize = 100_000;
/// Heads of the journal itself beyond are counted only.
const MAX_FAULTS: usize = 100;

/// What a journal is verified against.
#[derive(Debug, Default)]
pub struct Against {
    /// The block that the catalog says the journal has.
    pub known: Option<KnownHead>,
    /// The key whose signatures count; all genuine ones when it is not known.
    pub key: Option<PublicKey>,
    /// Heads that were kept elsewhere.
    pub heads: Vec<SignedHead>,
    /// Restores that the journal does not tell of yet, see [`untold_restores`].
    pub restores: Vec<PastRestore>,
}

/// What became of the heads.
#[derive(Debug, Default)]
pub struct Heads {
    /// Those whose block has the hash that was signed.
    pub n_fit: u64,
    /// Those below the anchor: the signed anchor vouches for what was dropped.
    pub n_dropped: u64,
    /// Heads of blocks that a restore of a backup has replaced, and that it has told of.
    pub n_replaced: u64,
    /// Heads in the journal whose block is too far away to be compared.
    pub n_passed: u64,
    /// What does not fit, in words; at most 100.
    pub faults: Vec<String>,
}

/// What was found.
#[derive(Debug)]
pub struct Verdict {
    /// The journal's files.
    pub survey: Survey,
    /// Signed heads of the journal itself.
    pub own: Heads,
    /// Heads that were kept elsewhere.
    pub elsewhere: Heads,
    /// Restores that the journal tells of, and those that it will tell of at the next start.
    pub restores: Vec<PastRestore>,
    /// Whose signatures were found.
    pub keys: BTreeSet<PublicKey>,
}

/// A restore of a backup, as its audit log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastRestore {
    /// The last block that the backup had.
    pub up_to: u64,
    /// When it was restored.
    pub at: Timestamp,
}

impl Verdict {
    /// Whether everything is what was written and signed.
    pub const fn is_sound(&self) -> bool {
        self.survey.problems.is_empty() && self.own.faults.is_empty() && self.elsewhere.faults.is_empty()
    }
}

/// Reads the whole journal. It may be open and written to meanwhile. `progress` is told how many bytes of how many are
/// done.
pub fn verify(
    disk: &dyn Disk,
    against: &Against,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verdict, JournalError> {
    let mut reader = Reader {
        progress,
        key: against.key,
        ours: Producer::of(OURSELVES),
        wanted: against.heads.iter().map(|head| head.sequence).collect(),
        found: Found::default(),
        recent: VecDeque::new(),
    };
    let survey = Survey::of(disk, against.known, &mut reader)?;
    let mut found = reader.found;
    let untold = against.restores.iter().filter(|restored| !found.restores.contains(restored));
    let untold: Vec<_> = untold.copied().collect();
    found.restores.extend(untold);
    let elsewhere = elsewhere(&survey, &found, against);
    let Found { own, mut keys, restores, .. } = found;
    keys.extend(survey.anchor.and_then(|anchor| anchor.signed_by));
    let mut verdict = Verdict { survey, own, elsewhere, restores, keys };
    if let (Some(key), Some(anchor)) = (against.key, verdict.survey.anchor)
        && anchor.signed_by.is_some_and(|by| by != key)
    {
        verdict.own.fault(format!(
            "the anchor at block {} is signed with another key: {}",
            anchor.sequence,
            anchor.signed_by.map(|by| by.to_string()).unwrap_or_default()
        ));
    }
    Ok(verdict)
}

impl Heads {
    fn fault(&mut self, what: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(what);
        }
    }
}

/// Compares heads that were kept elsewhere with the blocks that are there.
fn elsewhere(survey: &Survey, found: &Found, against: &Against) -> Heads {
    let mut heads = Heads::default();
    for head in &against.heads {
        let SignedHead { sequence, at, public_key, .. } = head;
        let hash = match survey.anchor.filter(|anchor| anchor.sequence == *sequence) {
            Some(anchor) => Some(anchor.hash),
            None => found.hashes.get(sequence).copied(),
        };
        let is_gap = |gap: &journal::local::Gap| (gap.from..gap.until).contains(sequence);
        if !head.is_genuine() {
            heads.fault(format!(
                "the head of block {sequence}, signed on {at}, is forged: its signature does not fit"
            ));
        } else if against.key.is_some_and(|key| key != *public_key) {
            heads.fault(format!(
                "the head of block {sequence}, signed on {at}, is signed with another key: {public_key}"
            ));
        } else if hash == Some(head.hash) {
            heads.n_fit += 1;
        } else if found.restores.iter().any(|restored| restored.at >= *at && restored.up_to < *sequence) {
            heads.n_replaced += 1;
        } else if *sequence < survey.first {
            heads.n_dropped += 1;
        } else if *sequence >= survey.next {
            heads.fault(format!(
                "block {sequence} was signed on {at}, but the journal ends with block {}: its end is missing",
                survey.next - 1
            ));
        } else if survey.given_up.iter().chain(&survey.lost).any(is_gap) {
            heads.n_passed += 1;
        } else {
            heads.fault(format!(
                "block {sequence} is not the one that was signed on {at}: history was rewritten"
            ));
        }
    }
    heads
}

/// What the walk over the blocks brings.
#[derive(Default)]
struct Found {
    /// Of the blocks that were signed elsewhere.
    hashes: BTreeMap<u64, [u8; 32]>,
    own: Heads,
    keys: BTreeSet<PublicKey>,
    restores: Vec<PastRestore>,
}

/// Looks at every block: collects hashes, and checks the heads that the journal itself holds.
struct Reader<'p> {
    progress: &'p mut dyn FnMut(u64, u64),
    key: Option<PublicKey>,
    ours: Producer,
    wanted: BTreeSet<u64>,
    found: Found,
    recent: VecDeque<(u64, [u8; 32])>,
}

impl Watch for Reader<'_> {
    fn progress(&mut self, done: u64, total: u64) {
        (self.progress)(done, total);
    }

    fn restart(&mut self) {
        (self.found, self.recent) = (Found::default(), VecDeque::new());
    }

    fn block(&mut self, seen: &Seen<'_>) {
        let sequence = seen.block.sequence();
        if self.wanted.contains(&sequence) {
            self.found.hashes.insert(sequence, seen.hash);
        }
        self.recent.push_back((sequence, seen.hash));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        if seen.block.stream() == Stream::AuditLog && seen.producers.contains(&self.ours) {
            self.ours_in(seen);
        }
    }
}

impl Reader<'_> {
    /// Reads what idstream itself told in a block. Whatever others wrote there is passed over.
    fn ours_in(&mut self, seen: &Seen<'_>) {
        for (offset, record) in seen.block.records() {
            let producer = seen.producers.get(offset.index as usize);
            let Some(changes) = record.section(Section::Changes).filter(|_| producer == Some(&self.ours))
            else {
                continue;
            };
            let Ok(changes) = serde_json::from_str::<Value>(changes) else { continue };
            let mut signed = BTreeMap::new();
            heads::find(&changes, &mut signed);
            for head in signed.into_values() {
                self.own_head(&head);
            }
            self.found.restores.extend(restored(&changes));
        }
    }

    fn own_head(&mut self, head: &SignedHead) {
        let SignedHead { sequence, at, public_key, .. } = head;
        let own = &mut self.found.own;
        if !head.is_genuine() {
            return own.fault(format!(
                "the head of block {sequence}, signed on {at}, is forged: its signature does not fit"
            ));
        }
        self.found.keys.insert(*public_key);
        if self.key.is_some_and(|key| key != *public_key) {
            own.fault(format!(
                "the head of block {sequence}, signed on {at}, is signed with another key: {public_key}"
            ));
        }
        let place = self.recent.binary_search_by_key(sequence, |(sequence, _)| *sequence);
        match place.ok().and_then(|at| self.recent.get(at)) {
            Some((_, hash)) if *hash == head.hash => own.n_fit += 1,
            Some(_) => own.fault(format!("block {sequence} is not the one that was signed on {at}")),
            None => own.n_passed += 1,
        }
    }
}

/// Restores whose audit logs wait in the catalog: no server has run since.
pub fn untold_restores(catalog: &Catalog) -> Vec<PastRestore> {
    let untold = catalog.untold();
    let notes = untold.iter().flat_map(|untold| &untold.notes);
    notes.filter_map(|note| restored(note.get("changes")?)).collect()
}

/// The restore that an audit log tells of.
fn restored(changes: &Value) -> Option<PastRestore> {
    let changes = changes.as_array()?.iter();
    let mut restores =
        changes.filter(|change| change.get("path").and_then(Value::as_str) == Some(RESTORE_PATH));
    let after = restores.find_map(|change| change.get("after"))?;
    Some(PastRestore {
        up_to: after.get("upToBlock")?.as_u64()?,
        at: Timestamp::parse(after.get("restoredAt")?.as_str()?).ok()?,
    })
}

/// Where the audit log of a restore says what it did.
pub(crate) const RESTORE_PATH: &str = "/restore";
