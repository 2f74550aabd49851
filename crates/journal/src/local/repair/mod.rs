//! Giving up what is damaged, by an operator's word: lost blocks are replaced by markers that count them, so that the
//! journal opens, the chain goes on, and every book says what was given up.
//!
//! Nothing here is done by itself: [`Repair::plan`] only says what would be given up.

mod markers;
mod plan;
mod rewrite;

use std::sync::Arc;

use base::{Clock, Random};
use event::StreamSet;

use self::plan::Plan;
use super::cursor::Cursor;
use super::durable::{remove_if_there, replace};
use super::format::{checkpoint, names};
use super::survey::{Gap, Survey};
use super::timeline::Totals;
use super::{LocalJournal, LocalOptions};
use crate::disk::{Disk, DiskLock};
use crate::{ConsumerName, JournalError};

/// What mending a journal takes, and costs.
#[derive(Debug)]
pub struct Repair {
    survey: Survey,
    plan: Plan,
}

/// A consumer that is begun anew at the oldest event, because nobody knows any more how far it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reborn {
    /// Its name.
    pub name: ConsumerName,
    /// The streams that its books count.
    pub streams: StreamSet,
}

impl Repair {
    /// Works out what mends the journal that was surveyed. Nothing is changed.
    ///
    /// [`JournalError::Refused`] when nothing is left that could be mended.
    pub fn plan(survey: Survey) -> Result<Self, JournalError> {
        let plan = Plan::of(&survey)?;
        Ok(Self { survey, plan })
    }

    /// What was found.
    pub const fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Whether anything is to be done.
    pub fn is_needed(&self) -> bool {
        !self.plan.segments.is_empty()
            || !self.plan.dropped.is_empty()
            || self.survey.parts.anchor_is_damaged
            || self.is_checkpoint_lost()
    }

    /// Blocks that are given up.
    pub fn gives_up(&self) -> &[Gap] {
        &self.survey.lost
    }

    /// Whether nobody knows any more how far the consumers are: they begin anew at the oldest event, and what was
    /// delivered is delivered again.
    pub const fn is_checkpoint_lost(&self) -> bool {
        self.survey.parts.checkpoint.is_none()
    }

    /// Names of the segments that are written anew.
    pub fn rewrites(&self) -> Vec<String> {
        self.plan.segments.iter().map(|segment| names::segment(segment.header.id)).collect()
    }

    /// Does it. What is taken out of files is in `lost+found/` before. `reborn`: the consumers, for when nobody knows how
    /// far they are. Each step can be repeated: after a crash, survey and plan again.
    ///
    /// The caller holds `lock`, since before it surveyed; it is handed on to the journal, which is opened to mend the
    /// books and closed again.
    pub async fn carry_out(
        self,
        disk: Arc<dyn Disk>,
        lock: DiskLock,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
        reborn: &[Reborn],
    ) -> Result<(), JournalError> {
        self.mend_files(&disk, clock.as_ref(), reborn)?;
        drop(lock);
        let journal = LocalJournal::open(disk, clock, random, LocalOptions::default())?;
        journal.give_up(&self.survey.lost).await?;
        journal.close().await
    }

    fn mend_files(
        &self,
        disk: &Arc<dyn Disk>,
        clock: &dyn Clock,
        reborn: &[Reborn],
    ) -> Result<(), JournalError> {
        let now = clock.now();
        if self.survey.parts.anchor_is_damaged {
            let mended = match &self.survey.parts.anchor {
                Some(anchor) => replace(disk.as_ref(), names::ANCHOR, &anchor.encode()),
                // Nothing was ever dropped.
                None => remove_if_there(disk.as_ref(), names::ANCHOR).and_then(|()| disk.sync_dir("")),
            };
            mended.map_err(JournalError::Disk)?;
        }
        for segment in &self.plan.segments {
            rewrite::rewrite(disk.as_ref(), segment, now)?;
            let ids = names::ids(segment.header.id);
            remove_if_there(disk.as_ref(), &ids).map_err(JournalError::Disk)?;
        }
        for dropped in &self.plan.dropped {
            rewrite::drop_whole(disk.as_ref(), dropped.id, dropped.len, now)?;
        }
        if self.is_checkpoint_lost() {
            let bytes = self.new_checkpoint(reborn);
            replace(disk.as_ref(), names::CONSUMERS, &bytes).map_err(JournalError::Disk)?;
        }
        Ok(())
    }

    fn new_checkpoint(&self, reborn: &[Reborn]) -> Vec<u8> {
        let Totals { events, bytes } = self.plan.totals_at_first;
        let start = Totals { events, bytes };
        let cursor = |reborn: &Reborn| Cursor::new(reborn.streams, self.survey.first, None, start);
        let consumers: Vec<_> = reborn.iter().map(|reborn| (&reborn.name, cursor(reborn))).collect();
        checkpoint::encode(self.plan.end, consumers.iter().map(|(name, cursor)| (*name, cursor)))
    }
}
