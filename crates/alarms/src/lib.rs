//! Alarms: what is wrong now, raised once, told to people, and taken back when it is mended.
//!
//! The heart is pure: [`rules()`] turns facts into conditions, [`Book::step`] turns conditions into alarms and notices.
//! Around it, [`Alarms`] keeps the book in the catalog and [`deliver()`] tells the channels.
//!
//! Invariants: knows no worker, no journal and no API: facts are handed in. Everything is bounded: alarms, notices, tries.
//! An alarm that stands is raised once, however often it is seen and however often the process restarts. A channel that
//! fails holds up no other, and no alarm.

use event::own::OURSELVES;

mod alarm;
mod book;
pub mod channel;
mod deliver;
mod facts;
mod mail;
mod marks;
mod notice;
mod rules;
mod service;
mod thresholds;

pub use alarm::{Condition, Findings, Key, Kind, Severity, Subject, SubjectKind};
pub use book::{Acknowledged, Alarm, Book};
pub use deliver::{Remedy, Undelivered, deliver, try_out};
pub use facts::{ConfigurationFacts, DiskSpace, Facts, Going, SourceFacts, Then, Unsettled, Unsigned};
pub use mail::{Mail, MailError, Mailer, SmtpMailer};
pub use marks::Marks;
pub use notice::{Notice, What};
pub use rules::rules;
pub use service::{AlarmError, Alarms, Health, Parts, Surroundings};
pub use thresholds::Thresholds;

/// The kind of entity that audit logs of alarms are about.
pub const ENTITY_TYPE: &str = "Alarm";
