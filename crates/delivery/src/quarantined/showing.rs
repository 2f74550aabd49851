//! Entries as they are shown: what the view knows of them, and what their records in the journal say.

use std::sync::Arc;

use base::{EventId, Timestamp};
use event::quarantine::{self, Change, Reason, Standing};
use event::{Record, Stream, StreamSet};
use journal::{Block, JournalError, Offset, ReadRange};

use super::entries::Slot;
use super::{Filter, Order, QuarantineError, Quarantined, Totals};
use crate::copies::parsed;

/// Most changes of an entry that are shown, newest of them.
const MAX_STEPS: usize = 50;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event's id.
    pub event_id: EventId,
    /// Its stream.
    pub stream: Stream,
    /// What kind of event it is; empty when it has none.
    pub kind: String,
    /// The event's own time.
    pub time: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was copied.
    pub quarantined_at: Timestamp,
    /// Where it stands.
    pub standing: Standing,
    /// Why it was refused last, in the destination's words.
    pub reason: String,
    /// The same without what differs from event to event.
    pub cause: String,
    /// How often it was sent.
    pub attempts: u32,
    /// Where the original lies: `block.index`.
    pub journal_offset: String,
    /// The replay that copied it.
    pub run: Option<String>,
    /// Where the copy lies.
    pub copy: Offset,
}

/// One page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The entries.
    pub entries: Vec<Entry>,
    /// What to go on after; `None` at the end.
    pub next: Option<Offset>,
    /// How many entries the filter means.
    pub n_matching: u64,
    /// How many entries there are.
    pub totals: Totals,
    /// The same by cause, most frequent first.
    pub causes: Vec<(String, Totals)>,
    /// Entries that are not listed, for want of room.
    pub n_unlisted: u64,
    /// Blocks of the journal that are damaged: what they held of this list is missing from it.
    pub n_unreadable: u64,
}

/// Where an entry stood, from when on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stood.
    pub standing: Standing,
    /// From when on.
    pub at: Timestamp,
    /// In which grade it was delivered.
    pub grade: Option<String>,
    /// Why: in the destination's words, or the operator's.
    pub reason: Option<String>,
    /// How often it was sent until then.
    pub attempts: Option<u32>,
    /// Who did it; `None`: the configuration's own worker.
    pub by: Option<String>,
}

/// Everything about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// The entry.
    pub entry: Entry,
    /// Where it stood, oldest first.
    pub history: Vec<Step>,
    /// Whether there were more steps between the first and the second one.
    pub is_cut: bool,
    /// The record of the event.
    pub original: Vec<u8>,
}

impl Quarantined {
    /// A page of at most `size` entries of a configuration, after the entry whose copy lies at `after`.
    pub async fn list(
        &self,
        id: &str,
        filter: &Filter,
        order: Order,
        after: Option<Offset>,
        size: usize,
    ) -> Result<Listed, QuarantineError> {
        self.read_on().await?;
        let (slots, mut listed) = {
            let view = self.0.view.lock();
            let n_unreadable = view.n_unreadable;
            let Some(entries) = view.entries(id) else {
                return Ok(Listed { n_unreadable, ..Listed::default() });
            };
            let prepared = entries.prepare(filter);
            let mut passing = entries.passing(&prepared, order, after);
            let slots: Vec<(Slot, String, String)> = passing
                .by_ref()
                .take(size)
                .map(|slot| (*slot, entries.kind(slot).to_owned(), entries.cause(slot).to_owned()))
                .collect();
            let has_more = passing.next().is_some();
            let listed = Listed {
                entries: Vec::new(),
                next: slots.last().filter(|_| has_more).map(|(slot, ..)| slot.copy),
                n_matching: entries.passing(&prepared, order, None).count() as u64,
                totals: entries.totals(),
                causes: entries.by_cause(),
                n_unlisted: entries.n_unlisted(),
                n_unreadable,
            };
            (slots, listed)
        };
        let mut blocks = Blocks::new(self);
        for (slot, kind, cause) in slots {
            listed.entries.extend(blocks.entry(&slot, kind, cause).await?.map(|(entry, _)| entry));
        }
        Ok(listed)
    }

    /// Everything about one entry; `None` when it is not there, or not any more.
    pub async fn find(&self, id: &str, event: EventId) -> Result<Option<Full>, QuarantineError> {
        self.read_on().await?;
        let found = {
            let view = self.0.view.lock();
            view.entries(id).and_then(|entries| {
                let slot = entries.find(event)?;
                Some((slot, entries.kind(&slot).to_owned(), entries.cause(&slot).to_owned()))
            })
        };
        let Some((slot, kind, cause)) = found else { return Ok(None) };
        let mut blocks = Blocks::new(self);
        let Some((entry, (reason, original))) = blocks.entry(&slot, kind, cause).await? else {
            return Ok(None);
        };
        let mut history = Vec::new();
        let mut at = (slot.last != slot.copy).then_some(slot.last);
        while let Some(offset) = at.filter(|_| history.len() < MAX_STEPS) {
            let Some(change) = blocks.change(offset).await? else { break };
            at = change.previous.as_deref().and_then(parsed);
            history.push(Step::of(&change));
        }
        history.push(Step {
            standing: reason.standing,
            at: slot.since,
            grade: None,
            reason: Some(reason.reason),
            attempts: Some(reason.attempts),
            by: reason.run,
        });
        history.reverse();
        Ok(Some(Full { entry, history, is_cut: at.is_some(), original }))
    }
}

impl Step {
    fn of(change: &Change) -> Self {
        Self {
            standing: change.standing,
            at: change.changed_at,
            grade: change.grade.clone(),
            reason: change.reason.clone(),
            attempts: change.attempts,
            by: change.by.clone(),
        }
    }
}

/// Reads records one after another; those of one block are read once.
pub(super) struct Blocks<'a> {
    of: &'a Quarantined,
    last: Option<Arc<Block>>,
}

impl<'a> Blocks<'a> {
    pub(super) const fn new(of: &'a Quarantined) -> Self {
        Self { of, last: None }
    }

    /// The record at an offset; `None` when it is gone.
    async fn record(&mut self, at: Offset) -> Result<Option<Vec<u8>>, JournalError> {
        if self.last.as_ref().is_none_or(|block| block.sequence() != at.block) {
            let streams = StreamSet::from_iter([Stream::Quarantine]);
            let range = ReadRange { streams, from: at.block, until: at.block + 1, max_bytes: 1 };
            self.last = self.of.0.journal.read(range).await?.into_iter().next();
        }
        let bytes = self.last.as_ref().and_then(|block| block.record_bytes(at.index as usize));
        Ok(bytes.filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec))
    }

    pub(super) async fn change(&mut self, at: Offset) -> Result<Option<Change>, JournalError> {
        let record = self.record(at).await?;
        Ok(record.and_then(|bytes| quarantine::unwrap_change(&Record::parse(&bytes).ok()?)))
    }

    /// The change that says how it was refused last; `None`: its copy does, or it is too long ago.
    async fn last_refusal(&mut self, slot: &Slot) -> Result<Option<Change>, JournalError> {
        let mut at = (slot.last != slot.copy).then_some(slot.last);
        for _ in 0..MAX_STEPS {
            let Some(offset) = at else { return Ok(None) };
            let Some(change) = self.change(offset).await? else { return Ok(None) };
            if change.standing == Standing::Quarantined {
                return Ok(Some(change));
            }
            at = change.previous.as_deref().and_then(parsed);
        }
        Ok(None)
    }

    /// An entry, with the reason of its copy and the original; `None` when it is gone.
    async fn entry(
        &mut self,
        slot: &Slot,
        kind: String,
        cause: String,
    ) -> Result<Option<(Entry, (Reason, Vec<u8>))>, JournalError> {
        let Some(copy) = self.record(slot.copy).await? else { return Ok(None) };
        let Some((time, (reason, original))) =
            Record::parse(&copy).ok().and_then(|copy| Some((copy.time(), quarantine::unwrap(&copy)?)))
        else {
            return Ok(None);
        };
        let again = self.last_refusal(slot).await?;
        let (said, attempts) = again.map_or((None, None), |change| (change.reason, change.attempts));
        let entry = Entry {
            event_id: slot.id,
            stream: slot.stream,
            kind,
            time,
            received_at: reason.received_at,
            quarantined_at: slot.since,
            standing: slot.standing,
            reason: said.unwrap_or_else(|| reason.reason.clone()),
            cause,
            attempts: attempts.unwrap_or(reason.attempts),
            journal_offset: reason.journal_offset.clone(),
            run: reason.run.clone(),
            copy: slot.copy,
        };
        Ok(Some((entry, (reason, original))))
    }
}
