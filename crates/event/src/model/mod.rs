//! Events as typed values: what the contract names, validated once.
//!
//! A source builds [`AccountEvent`], [`AuditLog`] or [`EventHookLog`] itself; the intake API parses them from JSON with
//! [`incoming::parse`]. Both become a [`Draft`], which becomes a record.

mod account;
mod audit;
mod draft;
mod field_path;
mod hook;
pub mod incoming;
mod reading;

pub use account::{AccountEvent, AccountEventType, Actor, Feature, Geometry, Named, Outcome, Subject, Token};
pub use audit::{AuditActor, AuditLog};
pub use draft::{Draft, DraftError, FreeForm};
pub use hook::{EventHookLog, Hook, HookLine, LogSummary};
pub use reading::parse_address;
