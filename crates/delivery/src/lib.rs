//! Delivery: one worker per event streaming configuration leases blocks, selects events, encodes them, sends them and
//! settles what is proven.
//!
//! Invariants: knows no vendor's format (destinations do) and no file (the journal does). Nothing is dropped: an event
//! is skipped by its settings, delivered in a named grade, copied to quarantine, or still pending (some of them parked).

mod acks;
mod answers;
mod attempts;
mod batch;
mod books;
mod budget;
mod configuration;
mod confirming;
mod copies;
mod crew;
mod falls;
mod fence;
mod figures;
mod gate;
mod health;
mod kept;
mod lasting;
mod ledger;
mod looking;
mod outgoing;
mod parked;
mod parking;
mod places;
mod quarantine;
pub mod quarantined;
mod reconciling;
mod report;
mod resume;
mod runs;
mod selector;
mod shown;
mod sorted;
mod starting;
mod status;
mod supervisor;
mod trial;
mod volume;
mod worker;

pub use attempts::{Attempt, Detail, MAX_FAILED, MAX_RECENT, Outcomes, Seen, Shot};
pub use books::books;
pub use budget::{
    Account, Backlogs, Bounds, Budget, DiskSpace, Limit, Measures, Outlook, Refusal, Sample, WhenSpent, Why,
    judge, release, time_left,
};
pub use configuration::{
    AccountSwitch, AuditSwitch, Configuration, Epoch, HookSwitch, MAX_EARLIER, SelectedClaim, seal,
};
pub use fence::HandOver;
pub use figures::{Cause, LATENCY_BOUNDS_MS, Latencies, Rate, Recent, Totals};
pub use looking::{DryRun, Ended, Kind, LookError, MAX_EVENTS, Preview, Previews, Sought, StreamRun};
pub use places::{admit, configuration_id, consumer_name, dismiss, is_admitted, is_of_copies, run_of};
pub use quarantined::{QuarantineError, Quarantined};
pub use reconciling::{Expected, Paused, Period, ReconcileError, Reconciled};
pub use report::{Report, ReportError};
pub use resume::{Backlog, PauseError, Resume, ResumeFrom, ResumeLimits, end_pause};
pub use runs::{
    Counted, Deed, Figures, MAX_KEPT_RUNS, MAX_OPEN_RUNS, Picked, Progress, Run, RunError, RunKind, RunShown,
    RunState, Span, enter_run, find_run, holds_retention, runs_of,
};
pub use selector::Unselected;
pub use shown::{Shown, shown};
pub use starting::{StartFrom, StartsAt, admit_from, is_at_its_start};
pub use status::{Acknowledging, State, Status};
pub use supervisor::{Parts, Standstill, Supervisor};
pub use trial::{Trial, TrialError};
pub use volume::{Measured, PerDay};
pub use worker::Pace;
