//! Where the active segment ends: what of it counts after a crash, and what is cut off.
//!
//! Nothing that may have been acknowledged is ever cut off. The decision is [`judge`].

use std::ops::Range;

use base::Timestamp;

use super::durable::{is_full, or_without};
use super::files::{Scan, Step, damaged};
use super::format::names;
use super::ids::Table;
use super::timeline::{BlockInfo, Segment};
use crate::JournalError;
use crate::disk::{Disk, DiskFile};

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

/// What the active segment holds.
pub(super) struct End {
    pub(super) blocks: Vec<BlockInfo>,
    pub(super) ids: Table,
    /// The hash of the last block.
    pub(super) hash: [u8; 32],
    /// The last blocks that no trace knows to be durable.
    pub(super) n_unproven: usize,
    /// Where the bytes end of which it is known that they are durable.
    known: u64,
    /// Where the intact blocks end.
    position: u64,
    len: u64,
}

impl End {
    /// Reads the active segment. `checkpointed`: the highest sequence that the checkpoint knows to be durable.
    pub(super) fn of(file: &dyn DiskFile, active: Segment, checkpointed: u64) -> Result<Self, JournalError> {
        let mut scan = Scan::new(file, active.id, active.first).map_err(JournalError::Read)?;
        let mut events = active.before.events;
        let mut known_durable = checkpointed;
        let mut end = Self {
            blocks: Vec::new(),
            ids: Table::default(),
            hash: active.previous_hash,
            n_unproven: 0,
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
        let proven = end.blocks.iter().take_while(|block| block.sequence <= known_durable);
        let (n_proven, last) = (proven.clone().count(), proven.last());
        // The header is known to be durable when a block is that was written after it.
        end.known = last.map_or(0, |block| block.position + u64::from(block.stored_bytes));
        end.n_unproven = end.blocks.len() - n_proven;
        match judge(at_end, scan.sequence, known_durable) {
            Verdict::Damaged => Err(damaged(
                active.id,
                end.position,
                format_args!("block {} was durable (up to {known_durable}), but {why}", scan.sequence),
            )),
            Verdict::Intact | Verdict::Torn => Ok(end),
        }
    }

    /// Bytes that do not count.
    pub(super) const fn cut_bytes(&self) -> u64 {
        self.len - self.position
    }

    /// Cuts a torn tail off, and makes durable what is left.
    ///
    /// Blocks and names that were seen but not synced before a crash of the process alone count from here on. To sync is
    /// not enough: after a failed sync what is seen may be in the page cache alone, and counts as clean there.
    ///
    /// Answers whether something was cut off and kept.
    pub(super) fn make_durable(
        &self,
        disk: &dyn Disk,
        file: &dyn DiskFile,
        segment: u64,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        let is_kept = self.cut_bytes() > 0 && self.cut(disk, file, segment, now)?;
        copy(file, self.known..self.position, file, self.known)?;
        // The length as well, or bytes that were cut off come back behind what is written next. To set the length that is
        // seen already would change nothing.
        file.set_len(self.position + 1).map_err(JournalError::Disk)?;
        file.set_len(self.position).map_err(JournalError::Disk)?;
        file.sync_data().map_err(JournalError::Disk)?;
        disk.sync_dir("").map_err(JournalError::Disk)?;
        Ok(is_kept)
    }

    /// Cuts a torn tail off. Its bytes are durable in `lost+found/` before. When there is no room for them the journal
    /// still opens: they were never acknowledged, and only a journal that is open can drop what retention no longer keeps.
    /// Answers whether they were kept.
    fn cut(
        &self,
        disk: &dyn Disk,
        file: &dyn DiskFile,
        segment: u64,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        let kept = keep_aside(disk, file, segment, self.position..self.len, now);
        let is_kept = match &kept {
            Ok(_) => true,
            Err(JournalError::Disk(error)) if is_full(error) => false,
            Err(_) => return kept.map(|_| false),
        };
        file.set_len(self.position).map_err(JournalError::Disk)?;
        tracing::warn!(
            segment,
            position = self.position,
            cut_bytes = self.cut_bytes(),
            kept_in = kept.as_deref().unwrap_or("nothing: the disk is full"),
            "the journal's last group was torn; it was never acknowledged and has been cut off"
        );
        Ok(is_kept)
    }
}

/// Copies a part of a segment to `lost+found/`. Answers the new file's name; it is durable.
pub(super) fn keep_aside(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    segment: u64,
    part: Range<u64>,
    now: Timestamp,
) -> Result<String, JournalError> {
    let name = names::cut(segment, part.start, now.as_millis());
    or_without(disk, &name, || {
        let lost = disk.create(&name).map_err(JournalError::Disk)?;
        copy(file, part, lost.as_ref(), 0)?;
        lost.sync_data().map_err(JournalError::Disk)
    })?;
    disk.sync_dir(crate::disk::LOST_AND_FOUND).map_err(JournalError::Disk)?;
    Ok(name)
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
