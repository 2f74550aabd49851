//! Intake quarantine: what a platform sent and no event could be made of, masked, with the reason.

use base::{EventId, Timestamp};
use event::fragment::{Masked, append_string};
use event::{RecordBuilder, Section, Stream};
use journal::{Append, Entry, MAX_RECORD_BYTES, Receipt};

use crate::delivery::{Delivery, SLICE_BYTES};
use crate::receipt::IntakeError;

/// Bytes that are kept of an item that is too large for a record. Escaped they are at most six times as many.
const CUT_BYTES: usize = 64 * 1024;

/// Bytes that are looked at of an item, so that masking takes no more room for one that is larger still.
const SEEN_BYTES: usize = 1 << 20;

/// An item for quarantine.
pub(crate) struct Refused<'a> {
    /// As it came; its id follows from it.
    pub(crate) item: &'a str,
    /// What [`seen`] shows of it, masked.
    pub(crate) masked: Masked,
    pub(crate) reason: String,
}

/// What is looked at of an item.
pub(crate) fn seen(item: &str) -> &str {
    item.get(..item.floor_char_boundary(SEEN_BYTES)).unwrap_or_default()
}

/// Keeps items. Returns how many were stored, and how many had been before.
pub(crate) async fn keep<'a>(
    delivery: &Delivery<'_>,
    refused: impl Iterator<Item = Refused<'a>> + Send,
) -> Result<(usize, usize), IntakeError> {
    let (mut kept, mut entries, mut bytes) = ((0, 0), Vec::new(), 0);
    for refused in refused {
        let record = record(delivery, &refused);
        bytes += record.len();
        entries.push(delivery.entry(record));
        if bytes >= SLICE_BYTES {
            append(delivery, std::mem::take(&mut entries), &mut kept).await?;
            bytes = 0;
        }
    }
    if !entries.is_empty() {
        append(delivery, entries, &mut kept).await?;
    }
    Ok(kept)
}

async fn append(
    delivery: &Delivery<'_>,
    entries: Vec<Entry>,
    (stored, known): &mut (usize, usize),
) -> Result<(), IntakeError> {
    let append = Append { stream: Stream::IntakeQuarantine, entries, request_key: None };
    for receipt in delivery.journal.append(append).await?.receipts {
        match receipt {
            Receipt::Stored(_) => *stored += 1,
            // The same item of the same producer, always: its id follows from both.
            Receipt::Duplicate | Receipt::Conflict | Receipt::Foreign => *known += 1,
        }
    }
    Ok(())
}

/// The record of an item. One that is too large for a record is cut, after it was masked, and its size is told.
fn record(delivery: &Delivery<'_>, refused: &Refused<'_>) -> Vec<u8> {
    let id = EventId::derive(Timestamp::default(), &["unparseable", delivery.identity, refused.item]);
    let lay_out = |reason: &str, raw: &Masked| {
        let received_at = delivery.received_at;
        let mut builder = RecordBuilder::new(Stream::IntakeQuarantine, id, received_at, received_at);
        builder.section(Section::Source, delivery.source);
        builder.section_with(Section::Reason, |out| append_string(reason, out));
        builder.section_with(Section::Raw, |out| match raw {
            Masked::Json(json) => out.push_str(json),
            Masked::Text(text) => append_string(text, out),
        });
        builder.finish().unwrap_or_default()
    };
    let is_seen = refused.item.len() <= SEEN_BYTES;
    let fits = |record: &Vec<u8>| is_seen && !record.is_empty() && record.len() <= MAX_RECORD_BYTES;
    Some(lay_out(&refused.reason, &refused.masked)).filter(fits).unwrap_or_else(|| {
        let (Masked::Json(text) | Masked::Text(text)) = &refused.masked;
        let cut = text.get(..text.floor_char_boundary(CUT_BYTES)).unwrap_or_default().to_owned();
        let (whole, n_kept) = (refused.item.len(), cut.len());
        let reason = format!("{}; of its {whole} bytes the first {n_kept} are kept, masked", refused.reason);
        lay_out(&reason, &Masked::Text(cut))
    })
}
