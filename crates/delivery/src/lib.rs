//! Delivery: one worker per event streaming configuration leases blocks, selects events, encodes them, sends them and
//! settles what is proven.
//!
//! Invariants: knows no vendor's format (destinations do) and no file (the journal does). Nothing is dropped: an event
//! is skipped by its settings, delivered in a named grade, copied to quarantine, or still pending (some of them parked).

mod acks;
mod answers;
mod batch;
mod configuration;
mod confirming;
mod crew;
mod gate;
mod ledger;
mod outgoing;
mod parked;
mod parking;
mod places;
mod quarantine;
mod sorted;
mod status;
mod supervisor;
mod trial;
mod worker;

pub use configuration::{AccountSwitch, AuditSwitch, Configuration, Epoch, HookSwitch, seal};
pub use parking::books;
pub use places::{admit, configuration_id, consumer_name, dismiss, is_for_parked};
pub use status::{Acknowledging, State, Status};
pub use supervisor::{Parts, Supervisor};
pub use trial::{Trial, TrialError};
pub use worker::Pace;
