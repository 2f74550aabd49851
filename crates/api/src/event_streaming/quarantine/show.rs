//! Entries as they are answered.

use base::Timestamp;
use delivery::Preview;
use delivery::quarantined::{Entry, Full, Listed, Step, Totals};
use event::Stream;
use event::native::Instance;
use event::quarantine::Standing;
use serde::Serialize;

/// Most causes that are answered.
const MAX_CAUSES: usize = 50;
/// Most of a document that is shown, in bytes.
const MAX_DOCUMENT: usize = 64 << 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOut {
    content: Vec<EntryOut>,
    /// For the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Entries that the parameters mean, on all pages.
    matching: u64,
    /// All entries of the configuration.
    totals: TotalsOut,
    /// The same by cause, those with most entries first, at most 50.
    causes: Vec<CauseOut>,
    /// Entries that are not listed, for want of memory.
    #[serde(skip_serializing_if = "is_zero")]
    unlisted: u64,
    /// Blocks of the journal that are damaged: what they held of these entries is missing.
    #[serde(skip_serializing_if = "is_zero")]
    unreadable: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsOut {
    quarantined: u64,
    parked: u64,
    delivered: u64,
    discarded: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CauseOut {
    cause: String,
    #[serde(flatten)]
    totals: TotalsOut,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryOut {
    #[serde(rename = "eventID")]
    event_id: String,
    stream: Stream,
    #[serde(skip_serializing_if = "String::is_empty")]
    r#type: String,
    time: Timestamp,
    received_at: Timestamp,
    quarantined_at: Timestamp,
    standing: Standing,
    reason: String,
    cause: String,
    attempts: u32,
    journal_offset: String,
    /// The replay that met the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_link: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FullOut {
    #[serde(flatten)]
    entry: EntryOut,
    /// Oldest first.
    history: Vec<StepOut>,
    /// Whether steps after the first one are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    history_cut: bool,
    document: DocumentOut,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepOut {
    standing: Standing,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    grade: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// What the destination would get now.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentOut {
    /// Why it cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The field of the configuration that leaves the event out now.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The first 64 KiB of the body, before compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    body_cut: bool,
}

impl From<Totals> for TotalsOut {
    fn from(totals: Totals) -> Self {
        let Totals { quarantined, parked, delivered, discarded } = totals;
        Self { quarantined, parked, delivered, discarded }
    }
}

impl ListOut {
    pub(super) fn of(listed: Listed, instance: &Instance) -> Self {
        let cause = |(cause, totals): (String, Totals)| CauseOut { cause, totals: totals.into() };
        Self {
            content: listed.entries.into_iter().map(|entry| EntryOut::of(entry, instance)).collect(),
            next_cursor: listed.next.map(|offset| offset.to_string()),
            matching: listed.n_matching,
            totals: listed.totals.into(),
            causes: listed.causes.into_iter().take(MAX_CAUSES).map(cause).collect(),
            unlisted: listed.n_unlisted,
            unreadable: listed.n_unreadable,
        }
    }
}

impl EntryOut {
    fn of(entry: Entry, instance: &Instance) -> Self {
        Self {
            event_link: instance.event_link(entry.event_id),
            event_id: entry.event_id.to_string(),
            stream: entry.stream,
            r#type: entry.kind,
            time: entry.time,
            received_at: entry.received_at,
            quarantined_at: entry.quarantined_at,
            standing: entry.standing,
            reason: entry.reason,
            cause: entry.cause,
            attempts: entry.attempts,
            journal_offset: entry.journal_offset,
            run: entry.run,
        }
    }
}

impl FullOut {
    pub(super) fn of(full: Full, document: DocumentOut, instance: &Instance) -> Self {
        Self {
            entry: EntryOut::of(full.entry, instance),
            history: full.history.into_iter().map(StepOut::from).collect(),
            history_cut: full.is_cut,
            document,
        }
    }
}

impl From<Step> for StepOut {
    fn from(step: Step) -> Self {
        let Step { standing, at, grade, reason, attempts, by } = step;
        Self { standing, at, grade, reason, attempts, by }
    }
}

impl DocumentOut {
    pub(super) fn none(error: &str) -> Self {
        Self { error: Some(error.to_owned()), ..Self::default() }
    }

    pub(super) fn of(preview: &Preview) -> Self {
        let text = String::from_utf8_lossy(&preview.body);
        let shown = text.get(..text.floor_char_boundary(MAX_DOCUMENT)).unwrap_or_default();
        Self {
            error: None,
            left_out_by: preview.why_not.map(|why| why.to_string()),
            method: Some(preview.method.clone()),
            url: Some(preview.url.clone()),
            body_cut: shown.len() < text.len(),
            body: Some(shown.to_owned()),
            body_bytes: Some(preview.body.len()),
        }
    }
}
