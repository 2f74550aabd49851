//! A run as it is answered.

use base::Timestamp;
use delivery::{Figures, Picked, Progress, Run, RunKind, RunShown};
use event::Stream;
use event::filter::Filter;
use serde::Serialize;

/// A run and how far it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunOut {
    #[serde(flatten)]
    what: WhatOut,
    state: RunShown,
    /// What it waits for, while it is to go on and does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    /// Why it cannot be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    books: BooksOut,
    progress: ProgressOut,
}

/// What was asked for: also what audit logs show.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WhatOut {
    id: String,
    kind: RunKind,
    created_at: Timestamp,
    created_by: String,
    events: PickedOut,
    range: RangeOut,
    /// `null`: as fast as the destination takes it.
    max_events_per_second: Option<u32>,
}

/// Which events were picked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PickedOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_offset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_offset: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<Stream>,
    #[serde(skip_serializing_if = "Filter::is_empty")]
    filter: Filter,
    /// Of a redrive: of this kind.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// Of a redrive: refused for this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// How many events were named.
    #[serde(rename = "eventIDs", skip_serializing_if = "Option::is_none")]
    n_events: Option<u64>,
}

/// Blocks of the journal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RangeOut {
    from_block: u64,
    /// The first one beyond.
    until_block: u64,
}

/// `total` is the sum of all others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BooksOut {
    #[serde(flatten)]
    figures: Figures,
    pending: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressOut {
    percent: u64,
    /// Delivered in a second, since it was started or last began to go on; `null` while it does not.
    events_per_second: Option<f64>,
    /// When it will be over if it goes on like that.
    ends_at: Option<Timestamp>,
    /// Requests since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    /// The destination's last complaint since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl RangeOut {
    pub(super) const fn of(from_block: u64, until_block: u64) -> Self {
        Self { from_block, until_block }
    }
}

impl RunOut {
    pub(super) fn of(run: &Run, progress: Progress) -> Self {
        let live = progress.live;
        Self {
            what: WhatOut::of(run),
            state: progress.state,
            waits_for: progress.waits_for,
            failure: run.failure.clone(),
            ended_at: run.ended_at,
            books: BooksOut { figures: progress.figures, pending: progress.figures.pending() },
            progress: ProgressOut {
                percent: progress.percent,
                events_per_second: progress.events_per_second,
                ends_at: progress.ends_at,
                requests: live.as_ref().map(|live| live.requests),
                last_error: live.and_then(|live| live.last_error),
            },
        }
    }
}

impl WhatOut {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            id: run.id.clone(),
            kind: run.kind,
            created_at: run.created_at,
            created_by: run.created_by.clone(),
            events: PickedOut::of(&run.picked),
            range: RangeOut::of(run.from, run.until),
            max_events_per_second: run.max_events_per_second,
        }
    }
}

impl PickedOut {
    fn of(picked: &Picked) -> Self {
        let offset = |place: Option<(u64, u32)>| place.map(|(block, index)| format!("{block}.{index}"));
        Self {
            from: picked.received_from,
            to: picked.received_until,
            from_offset: offset(picked.from_offset),
            to_offset: offset(picked.until_offset),
            streams: picked.streams.clone(),
            filter: picked.filter.clone(),
            event_type: picked.event_type.clone(),
            cause: picked.cause.clone(),
            n_events: picked.n_events,
        }
    }
}
