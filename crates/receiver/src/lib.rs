//! Stand-in receivers: one loopback server that speaks Splunk's HEC, the bulk API and plain HTTP, counts what it gets,
//! and misbehaves when it is told to.
//!
//! It answers as the measured servers do where a sender could tell the difference: a collector takes what stands before
//! a bad object and forgets an acknowledgement that it told, a cluster answers 409 for an id that it has. Unless it is
//! told to check, it looks no deeper into a document than its id, so that it can run beside the server that it measures.
//!
//! Deliberately absent: storage, search, TLS.

mod acks;
mod body;
mod bulk;
mod check;
mod door;
mod hec;
mod misbehave;
mod plain;
mod reading;
mod search;
mod server;
mod stand_in;
mod tally;

pub use misbehave::{FORMS, Items, Judge, Judgement, Misbehaviour, Misspelt, What, When};
pub use server::{OnEvent, Options, Receiver};
pub use stand_in::{StandIn, Told};
pub use tally::Stats;
