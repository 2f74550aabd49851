//! The alarms of a running installation: the book and its place in the catalog.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Random, Timestamp};
use catalog::{Catalog, CatalogError, Document, Found, Keyring, Note};
use destinations::Transport;
use event::native::Instance;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::book::{Alarm, Book, LONGEST_SILENCE};
use crate::channel::Channel;
use crate::facts::{DiskSpace, Facts};
use crate::mail::Mailer;
use crate::notice::{Notice, What};
use crate::rules::rules;
use crate::thresholds::Thresholds;

/// The only document of its kind.
const ID: &str = "1";

/// What is known of the machine and its settings, for facts.
#[derive(Clone)]
pub struct Surroundings {
    /// Room on the disk of the data directory.
    pub disk: Arc<dyn Fn() -> Option<DiskSpace> + Send + Sync>,
    /// How often heads are signed; `None`: nobody does.
    pub sign_every: Option<Duration>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { disk: Arc::new(|| None), sign_every: None }
    }
}

/// What alarms are made of.
pub struct Parts {
    /// Where the book, the thresholds and the channels lie.
    pub catalog: Catalog,
    /// Opens channels' secrets.
    pub keyring: Arc<Keyring>,
    /// Sends requests to webhooks.
    pub transport: Arc<dyn Transport>,
    /// Sends mails.
    pub mailer: Arc<dyn Mailer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub random: Arc<Random>,
    /// Named in what is told.
    pub instance: Instance,
    /// For facts.
    pub surroundings: Surroundings,
}

/// Why an alarm was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// No alarm with this id stands.
    #[error("no alarm with this id stands")]
    NotStanding,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// How a channel fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Why the last try failed, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Timestamp>,
    /// When it last took something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// Notices that it has not been told yet.
    pub waiting: u64,
    /// Notices that it never took, since it was made.
    pub given_up: u64,
}

/// How far a channel has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    /// The number of the next notice.
    pub(crate) next: u64,
    #[serde(default)]
    pub(crate) given_up: u64,
    /// The channel was switched off since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rests: bool,
}

impl Document for Told {
    const KIND: &'static str = "alarmChannelTold";
}

/// The book as it is in memory, which is ahead of the catalog when that could not be written.
struct Kept {
    book: Book,
    /// The text that is stored, to write only what is new.
    stored: String,
    /// Audit logs that wait for the next writing.
    notes: Vec<Note>,
}

/// The alarms. What is found is believed even where it cannot be stored: a disk that is full is worth an alarm.
pub struct Alarms {
    pub(crate) parts: Parts,
    kept: Mutex<Kept>,
    /// Held over a writing of the book, so that there is one at a time.
    writing: tokio::sync::Mutex<()>,
    health: Mutex<HashMap<String, Health>>,
    /// The number of the next notice.
    next: watch::Sender<u64>,
    began: Timestamp,
}

impl Alarms {
    /// Goes on where the last process ended. A book that cannot be read is begun anew.
    pub fn open(parts: Parts) -> Self {
        let book = match parts.catalog.get::<Book>(ID) {
            Ok(found) => found.value,
            Err(CatalogError::NotFound) => Book::default(),
            Err(error) => {
                tracing::error!(%error, "the alarms that stood cannot be read; what is wrong is raised again");
                Book::default()
            }
        };
        let stored = text(&book);
        let (next, _) = watch::channel(book.next());
        let began = parts.clock.now();
        let kept = Mutex::new(Kept { book, stored, notes: Vec::new() });
        Self { parts, kept, writing: tokio::sync::Mutex::default(), health: Mutex::default(), next, began }
    }

    /// For facts.
    pub const fn surroundings(&self) -> &Surroundings {
        &self.parts.surroundings
    }

    /// When the process began to look.
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// Takes in what is known now.
    pub async fn observe(&self, facts: &Facts) {
        let thresholds = self.thresholds().map(|found| found.value).unwrap_or_default();
        let now = self.parts.clock.now();
        let next = {
            let mut kept = self.kept.lock();
            let book = &mut kept.book;
            book.marks.note(facts, &thresholds, now);
            let found = rules(facts, &book.marks, &thresholds, &book.standing(), now);
            let notices = book.step(found, &thresholds, now, || self.new_id(now));
            let next = book.next();
            for notice in &notices {
                say(notice);
                kept.notes.extend(notice.note(&self.parts.random));
            }
            next
        };
        if let Err(error) = self.write().await {
            tracing::error!(%error, "alarms could not be stored; they are told all the same, and stored later");
        }
        // Last: a channel is told of what is stored, where it can be.
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
    }

    /// Events of a configuration that had gone to quarantine when it was last looked: for facts.
    pub fn quarantined(&self, id: &str) -> u64 {
        self.kept.lock().book.marks.quarantined(id)
    }

    fn new_id(&self, now: Timestamp) -> String {
        let ms = u64::try_from(now.as_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &self.parts.random.bytes()).into_uuid().to_string()
    }

    /// Stores the book, when it differs from what is stored, with the audit logs that wait.
    async fn write(&self) -> Result<(), CatalogError> {
        let _one_at_a_time = self.writing.lock().await;
        let (book, notes, stored) = {
            let kept = self.kept.lock();
            (kept.book.clone(), kept.notes.clone(), kept.stored.clone())
        };
        let text = text(&book);
        if text == stored && notes.is_empty() {
            return Ok(());
        }
        let (catalog, n_notes) = (self.parts.catalog.clone(), notes.len());
        let written = tokio::task::spawn_blocking(move || match catalog.revision::<Book>(ID) {
            Ok(revision) => catalog.replace_and_tell(ID, &book, revision, notes),
            // An empty one first: a crash in between raises anew what this one would have told.
            Err(CatalogError::NotFound) => {
                let revision = catalog.create(ID, &Book::default(), None);
                revision.and_then(|revision| catalog.replace_and_tell(ID, &book, revision, notes))
            }
            Err(error) => Err(error),
        });
        written.await.unwrap_or(Err(CatalogError::Conflict))?;
        let mut kept = self.kept.lock();
        kept.stored = text;
        kept.notes.drain(..n_notes);
        Ok(())
    }

    /// The alarms that stand, then those that are over.
    pub fn list(&self) -> Vec<Alarm> {
        self.kept.lock().book.alarms().into_iter().cloned().collect()
    }

    /// Notes that somebody has taken notice. `note` makes the audit log of it.
    pub async fn acknowledge(
        &self,
        id: &str,
        by: &str,
        note: impl FnOnce(&Alarm, &Alarm) -> Note,
    ) -> Result<Alarm, AlarmError> {
        let now = self.parts.clock.now();
        self.change(id, |book| book.acknowledge(id, by, now), note).await
    }

    /// Tells no channel of it until then, 30 days from now at most.
    pub async fn silence(
        &self,
        id: &str,
        until: Timestamp,
        note: impl FnOnce(&Alarm, &Alarm) -> Note,
    ) -> Result<Alarm, AlarmError> {
        let until = until.min(self.parts.clock.now().plus(LONGEST_SILENCE));
        self.change(id, |book| book.silence(id, until), note).await
    }

    async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Book) -> Option<Alarm>,
        note: impl FnOnce(&Alarm, &Alarm) -> Note,
    ) -> Result<Alarm, AlarmError> {
        let after = {
            let mut kept = self.kept.lock();
            let before = kept.book.alarms().into_iter().find(|alarm| alarm.id == id).cloned();
            let before = before.ok_or(AlarmError::NotStanding)?;
            let after = change(&mut kept.book).ok_or(AlarmError::NotStanding)?;
            let note = note(&before, &after);
            kept.notes.push(note);
            after
        };
        self.write().await?;
        Ok(after)
    }

    /// The thresholds; revision 0 when they were never set.
    pub fn thresholds(&self) -> Result<Found<Thresholds>, CatalogError> {
        match self.parts.catalog.get::<Thresholds>(ID) {
            Err(CatalogError::NotFound) => Ok(Found { value: Thresholds::default(), revision: 0 }),
            found => found,
        }
    }

    /// Sets the thresholds that are at revision `expected`. Durable when it returns.
    pub fn set_thresholds(
        catalog: &Catalog,
        thresholds: &Thresholds,
        expected: u64,
        note: Note,
    ) -> Result<u64, CatalogError> {
        match expected {
            0 => catalog.create(ID, thresholds, Some(note)),
            expected => catalog.replace(ID, thresholds, expected, Some(note)),
        }
    }

    /// How a channel fares.
    pub fn health(&self, id: &str) -> Health {
        let known = self.health.lock().get(id).cloned().unwrap_or_default();
        let told = self.parts.catalog.get::<Told>(id).map(|found| found.value);
        let next = self.kept.lock().book.next();
        let told = told.unwrap_or(Told { next, ..Told::default() });
        let waiting = if told.rests { 0 } else { next.saturating_sub(told.next) };
        Health { waiting, given_up: told.given_up, ..known }
    }

    pub(crate) fn note_health(&self, id: &str, note: impl FnOnce(&mut Health, Timestamp)) {
        note(self.health.lock().entry(id.to_owned()).or_default(), self.parts.clock.now());
    }

    /// Forgets channels that are gone.
    pub(crate) fn keep_health_of(&self, ids: &[String]) {
        self.health.lock().retain(|id, _| ids.contains(id));
    }

    /// Ticks with every notice.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    /// The number of the next notice.
    pub(crate) fn next(&self) -> u64 {
        self.kept.lock().book.next()
    }

    /// The first notice from `number` on that is still kept.
    pub(crate) fn notice_from(&self, number: u64) -> Option<Notice> {
        self.kept.lock().book.notice_from(number).cloned()
    }

    /// The channel with this id.
    pub fn channel(&self, id: &str) -> Result<Found<Channel>, CatalogError> {
        self.parts.catalog.get::<Channel>(id)
    }
}

fn text(book: &Book) -> String {
    serde_json::to_string(book).unwrap_or_default()
}

/// For the diagnostics, which need no channel.
fn say(notice: &Notice) {
    let (kind, subject) = (notice.alarm.kind.name(), notice.alarm.subject.name.as_str());
    if matches!(notice.what, What::Cleared | What::Withdrawn) {
        tracing::info!(kind, subject, "{}", notice.headline());
    } else {
        tracing::warn!(kind, subject, "{}", notice.headline());
    }
}
