//! Runs: stored events that are sent to one destination once more, because somebody asks for it. A replay sends stored
//! events again; a redrive tries events in quarantine again.
//!
//! A run is a document in the catalog and a consumer in the journal with an end. Its worker is the one that also delivers
//! what is new, with orders: which events, how fast, and to stand back while the destination takes nothing. Books are its
//! own; `next` says how document and consumer stay in step.

mod count;
mod crew;
mod document;
mod next;
mod orders;
mod progress;
mod redrive;
mod register;
mod sift;
mod span;
mod throttle;

pub use self::count::Counted;
pub(crate) use self::count::count;
pub(crate) use self::crew::{Lives, RunCrew};
pub use self::document::{Figures, MAX_KEPT_RUNS, MAX_OPEN_RUNS, Picked, Run, RunKind, RunState};
pub(crate) use self::orders::Orders;
pub(crate) use self::progress::progress;
pub use self::progress::{Progress, RunShown, holds_retention};
pub use self::register::{Deed, RunError, enter_run, find_run, runs_of};
pub use self::span::Span;
pub(crate) use self::span::span;
