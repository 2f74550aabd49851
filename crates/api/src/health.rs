//! Whether the process lives, and whether events should be sent to it. Open to everybody: the reasons are of a short list,
//! and name nothing. And what there is to say of the instance, for those who may see it.

use base::Timestamp;
use event::StreamSet;
use http::StatusCode;
use journal::ReadRange;
use serde::Serialize;
use serde_json::json;

use crate::call::{self, Answer, Call};

/// Why events are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Unready {
    /// The server is stopping.
    Stopping,
    /// A write to the journal failed.
    JournalPoisoned,
    /// The disk is nearly full, or a backlog budget is spent.
    NoRoom,
}

impl Unready {
    /// What it means, and what to do.
    const fn what(self) -> &'static str {
        match self {
            Self::Stopping => "the server is stopping: send elsewhere, or again when it is back",
            Self::JournalPoisoned => {
                "a write to the journal failed, and nothing is accepted until a restart: see to the disk, then restart"
            }
            Self::NoRoom => {
                "the disk is nearly full, or a backlog budget is spent: nothing is accepted until there is room; the log \
                 and the status say which"
            }
        }
    }
}

#[derive(Serialize)]
struct ReasonOut {
    reason: Unready,
    what: &'static str,
}

fn out(reasons: &[Unready]) -> Vec<ReasonOut> {
    reasons.iter().map(|reason| ReasonOut { reason: *reason, what: reason.what() }).collect()
}

/// The process lives.
pub(crate) async fn health(_call: Call<()>) -> Answer {
    call::json(StatusCode::OK, &json!({"status": "up"}))
}

/// The journal takes events.
pub(crate) async fn ready(call: Call<()>) -> Answer {
    let reasons = call.state.unready();
    let (status, word) = if is_ready(&reasons) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    if reasons.is_empty() {
        return call::json(status, &json!({"status": word}));
    }
    call::json(status, &json!({"status": word, "reasons": out(&reasons)}))
}

/// Whether requests should be sent here. For want of room events are refused, but whoever mends that has to get through.
pub(crate) fn is_ready(reasons: &[Unready]) -> bool {
    reasons.iter().all(|reason| *reason == Unready::NoRoom)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceOut {
    name: String,
    environment: String,
    version: &'static str,
    /// Whether events are taken.
    takes_events: bool,
    /// Why not.
    reasons: Vec<ReasonOut>,
    journal: JournalOut,
    /// Room on the journal's disk in bytes, and how much of it is kept free; `null` when that cannot be told.
    disk: Option<DiskOut>,
    explorer_behind_blocks: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JournalOut {
    stored_bytes: u64,
    first_block: u64,
    next_block: u64,
    poisoned: bool,
    /// When the oldest stored block was stored; `null` when there is none, or it cannot be read.
    oldest: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiskOut {
    free_bytes: u64,
    reserve_bytes: u64,
}

/// The instance in brief.
pub(crate) async fn instance(call: Call) -> Answer {
    let state = &call.state;
    let head = state.journal.head();
    let range = ReadRange { streams: StreamSet::product(), from: head.first, until: u64::MAX, max_bytes: 1 };
    // What is damaged is told elsewhere.
    let oldest = state.journal.read(range).await.ok().and_then(|blocks| Some(blocks.first()?.appended_at()));
    let reasons = state.unready();
    let out = InstanceOut {
        name: state.instance.name.clone(),
        environment: state.instance.environment.clone(),
        version: env!("CARGO_PKG_VERSION"),
        takes_events: reasons.is_empty(),
        reasons: out(&reasons),
        journal: JournalOut {
            stored_bytes: head.stored_bytes,
            first_block: head.first,
            next_block: head.next,
            poisoned: head.poisoned,
            oldest,
        },
        disk: state
            .delivery
            .backlogs()
            .disk()
            .map(|disk| DiskOut { free_bytes: disk.free, reserve_bytes: disk.reserve }),
        explorer_behind_blocks: state.explorer.status().blocks_behind,
    };
    call::json(StatusCode::OK, &out)
}
