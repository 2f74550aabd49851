//! What a caller of `append` works out before the journal's one writer sees the entry: validity and digests.

use base::{EventId, Random};
use event::{Record, Stream};

use crate::error::AppendError;
use crate::seam::{Append, OnConflict, Producer, Receipt, RequestKey, max_record_bytes};

/// An append whose entries are valid and digested.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) stream: Stream,
    pub(crate) entries: Vec<PreparedEntry>,
    pub(crate) request_key: Option<RequestKey>,
}

/// A valid record with everything that is derived from its bytes.
#[derive(Debug)]
pub(crate) struct PreparedEntry {
    pub(crate) record: Vec<u8>,
    pub(crate) id: EventId,
    pub(crate) owner: Owner,
    pub(crate) on_conflict: OnConflict,
    pub(crate) salt: [u8; 16],
    pub(crate) digest: [u8; 32],
}

/// Who stored an id, and with what content: the first 8 bytes of the content digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) producer: Producer,
    pub(crate) content: [u8; 8],
}

impl Prepared {
    /// Checks and digests the entries. The costly part of an append; it runs in the caller's task.
    pub(crate) fn new(append: Append, random: &Random) -> Result<Self, AppendError> {
        let mut salts = vec![0; append.entries.len() * 16];
        random.fill(&mut salts);
        let mut entries = Vec::with_capacity(append.entries.len());
        for ((index, entry), salt) in append.entries.into_iter().enumerate().zip(salts.as_chunks().0) {
            let record = Record::parse(&entry.record).map_err(|_| AppendError::Invalid { index })?;
            if record.stream() != append.stream || entry.record.len() > max_record_bytes(append.stream) {
                return Err(AppendError::Invalid { index });
            }
            let content_digest = record.content_digest();
            let digest = record.salted_digest(salt, &content_digest);
            let id = record.event_id();
            let owner = Owner { producer: entry.producer, content: first_8(&content_digest) };
            let on_conflict = entry.on_conflict;
            entries.push(PreparedEntry { record: entry.record, id, owner, on_conflict, salt: *salt, digest });
        }
        Ok(Self { stream: append.stream, entries, request_key: append.request_key })
    }

    /// About how many bytes it will add to the journal.
    pub(crate) fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.record.len() + 64).sum::<usize>() + 256
    }
}

/// What becomes of an entry whose id is known already.
pub(crate) fn judge(known: Owner, new: Owner, on_conflict: OnConflict) -> Receipt {
    if known.producer != new.producer {
        Receipt::Foreign
    } else if known.content == new.content || on_conflict == OnConflict::KeepFirst {
        Receipt::Duplicate
    } else {
        Receipt::Conflict
    }
}

/// The first 8 bytes of a digest.
pub(crate) fn first_8(digest: &[u8; 32]) -> [u8; 8] {
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_belongs_to_its_producer_and_the_first_content_wins_or_is_refused() {
        let owner = |producer, content| Owner { producer: Producer(producer), content: [content; 8] };
        let known = owner(1, 1);
        for (new, on_conflict, receipt) in [
            (owner(1, 1), OnConflict::Refuse, Receipt::Duplicate),
            (owner(1, 1), OnConflict::KeepFirst, Receipt::Duplicate),
            (owner(1, 2), OnConflict::Refuse, Receipt::Conflict),
            (owner(1, 2), OnConflict::KeepFirst, Receipt::Duplicate),
            (owner(2, 1), OnConflict::KeepFirst, Receipt::Foreign),
            (owner(2, 2), OnConflict::Refuse, Receipt::Foreign),
        ] {
            assert_eq!(judge(known, new, on_conflict), receipt, "{new:?} {on_conflict:?}");
        }
    }
}
