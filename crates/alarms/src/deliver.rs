//! Telling the channels: each has a task of its own, which tries again what was not taken, in order, within bounds. One that
//! fails holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Backoff, EventId};
use bytes::Bytes;
use catalog::{CatalogError, Found};
use destinations::{Outcome, SettingsError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::alarm::{Kind, Severity, Subject, SubjectKind};
use crate::book::Alarm;
use crate::channel::{self, Channel, Medium, Opened};
use crate::mail::Mail;
use crate::notice::{Notice, What};
use crate::service::{Alarms, Told};

/// The first wait before a notice is sent again, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// How often a notice is sent at most: about six hours.
const MAX_TRIES: u32 = 40;
/// And one that the other side has refused for good.
const MAX_REFUSALS: u32 = 3;
/// How long to wait where only an operator can mend it: a server that counts wrong passwords must not lock anybody out.
const HELD_WAIT: Duration = Duration::from_mins(30);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait before what could not be stored is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a channel was not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// In the other side's own words, without secrets.
    pub reason: String,
    /// What helps.
    pub remedy: Remedy,
}

/// What helps when a channel was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Time.
    Wait,
    /// An operator: the credential, or another setting, is refused, whatever is sent. Nothing is given up for it.
    Operator,
    /// Nothing: the other side will never take this notice.
    Nothing,
}

impl Undelivered {
    fn later(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: Remedy::Wait }
    }
}

/// Tells every channel of every notice, until `stop` turns true. What was not told by then is told after the next start.
pub async fn deliver(alarms: Arc<Alarms>, mut stop: watch::Receiver<bool>) {
    let mut changes = alarms.parts.catalog.watch();
    let mut crew: HashMap<String, (u64, JoinHandle<()>)> = HashMap::new();
    loop {
        changes.borrow_and_update();
        adjust(&alarms, &mut crew).await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = changes.changed() => if changed.is_err() { break },
        }
    }
    for (_, task) in crew.into_values() {
        task.abort();
    }
}

/// Makes the tasks that run those that the catalog asks for.
async fn adjust(alarms: &Arc<Alarms>, crew: &mut HashMap<String, (u64, JoinHandle<()>)>) {
    let channels: Vec<Found<Channel>> =
        alarms.parts.catalog.list_each().into_iter().filter_map(|(_, found)| found.ok()).collect();
    let is_wanted = |id: &String, revision: u64| {
        channels
            .iter()
            .any(|found| found.value.enabled && found.value.id == *id && found.revision == revision)
    };
    for (_, (_, task)) in crew.extract_if(|id, (revision, _)| !is_wanted(id, *revision)) {
        task.abort();
    }
    let ids: Vec<String> =
        alarms.parts.catalog.list_each::<Channel>().into_iter().map(|(id, _)| id).collect();
    alarms.keep_health_of(&ids);
    for (id, _) in alarms.parts.catalog.list_each::<Told>() {
        if !ids.contains(&id) {
            forget(alarms, id).await;
        }
    }
    for found in channels {
        if !found.value.enabled {
            rest(alarms, &found.value.id).await;
        }
        if found.value.enabled && !crew.contains_key(&found.value.id) {
            let (id, revision) = (found.value.id.clone(), found.revision);
            let task = tokio::spawn(tell(Arc::clone(alarms), found.value));
            crew.insert(id, (revision, task));
        }
    }
}

async fn forget(alarms: &Alarms, id: String) {
    let catalog = alarms.parts.catalog.clone();
    let gone = tokio::task::spawn_blocking(move || {
        let revision = catalog.revision::<Told>(&id)?;
        catalog.delete::<Told>(&id, revision, None)
    });
    if let Ok(Err(error)) = gone.await {
        tracing::warn!(%error, "what a deleted channel has been told could not be removed");
    }
}

/// A channel that is switched off: what happens until it is on again is not for it.
async fn rest(alarms: &Alarms, id: &str) {
    if let Ok(found) = alarms.parts.catalog.get::<Told>(id)
        && !found.value.rests
    {
        save(alarms, id, Told { rests: true, ..found.value }).await;
    }
}

/// Tells one channel, for as long as it is as it is.
async fn tell(alarms: Arc<Alarms>, channel: Channel) {
    let opened = match channel.open(&alarms.parts.keyring) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(channel = channel.id, %error, "a channel for alarms cannot be used");
            let reason = "its secrets cannot be opened: the master key is another one".to_owned();
            return note_failure(&alarms, &channel.id, reason);
        }
    };
    let mut new = alarms.watch();
    let mut told = match alarms.parts.catalog.get::<Told>(&channel.id) {
        Ok(found) if found.value.rests => {
            let given_up = found.value.given_up;
            save(&alarms, &channel.id, Told { next: alarms.next(), given_up, rests: false }).await
        }
        // A book that was begun anew counts from the beginning.
        Ok(found) => Told { next: found.value.next.min(alarms.next()), ..found.value },
        // What was before it is not for it.
        Err(_) => save(&alarms, &channel.id, Told { next: alarms.next(), ..Told::default() }).await,
    };
    loop {
        new.borrow_and_update();
        let Some(notice) = alarms.notice_from(told.next) else {
            if new.changed().await.is_err() {
                return;
            }
            continue;
        };
        let n_forgotten = notice.number - told.next;
        let is_for_it = !notice.is_silenced && notice.severity() >= channel.min_severity;
        let is_told = !is_for_it || tell_at_last(&alarms, &channel, &opened, &notice).await;
        let given_up = told.given_up + n_forgotten + u64::from(!is_told);
        told = save(&alarms, &channel.id, Told { next: notice.number + 1, given_up, rests: false }).await;
    }
}

/// Tries until it is taken. False when that is given up.
async fn tell_at_last(alarms: &Alarms, channel: &Channel, opened: &Opened, notice: &Notice) -> bool {
    let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let (mut n_tries, mut n_refusals) = (0, 0);
    loop {
        let error = match send(alarms, opened, notice).await {
            Ok(()) => {
                alarms.note_health(&channel.id, |health, now| {
                    health.last_success_at = Some(now);
                    (health.last_error, health.last_error_at) = (None, None);
                });
                return true;
            }
            Err(error) => error,
        };
        tracing::warn!(channel = channel.id, reason = error.reason, "a channel for alarms did not take one");
        note_failure(alarms, &channel.id, error.reason);
        if error.remedy == Remedy::Operator {
            tokio::time::sleep(HELD_WAIT).await;
            continue;
        }
        n_tries += 1;
        n_refusals += u32::from(error.remedy == Remedy::Nothing);
        if n_refusals >= MAX_REFUSALS || n_tries >= MAX_TRIES {
            return false;
        }
        let wait = backoff.map_or(LONGEST_WAIT, |backoff| backoff.delay(n_tries, None, &alarms.parts.random));
        tokio::time::sleep(wait).await;
    }
}

fn note_failure(alarms: &Alarms, id: &str, reason: String) {
    alarms.note_health(id, |health, now| {
        (health.last_error, health.last_error_at) = (Some(reason), Some(now));
    });
}

/// Stores how far a channel has been told. Until that works nothing more is told, or a restart would tell it all again.
async fn save(alarms: &Alarms, id: &str, told: Told) -> Told {
    for _ in 0..3 {
        let (catalog, id, value) = (alarms.parts.catalog.clone(), id.to_owned(), told.clone());
        let saved = tokio::task::spawn_blocking(move || match catalog.revision::<Told>(&id) {
            Ok(revision) => catalog.replace(&id, &value, revision, None),
            Err(CatalogError::NotFound) => catalog.create(&id, &value, None),
            Err(error) => Err(error),
        });
        match saved.await.unwrap_or(Err(CatalogError::Conflict)) {
            Ok(_) => break,
            // A disk that is full must not keep anybody from hearing of it.
            Err(error) => {
                tracing::error!(%error, "how far a channel was told of alarms could not be stored");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    told
}

/// One try.
async fn send(alarms: &Alarms, opened: &Opened, notice: &Notice) -> Result<(), Undelivered> {
    let sending = async {
        match &opened.medium {
            Medium::Webhook(_) => post(alarms, opened, notice).await,
            Medium::Mail(settings) => {
                let password = opened.secrets.get(channel::PASSWORD);
                let sent = alarms.parts.mailer.send(settings, password, mail(alarms, notice)).await;
                sent.map_err(|error| Undelivered { reason: error.reason, remedy: error.remedy })
            }
        }
    };
    let late = || Err(Undelivered::later(format!("no answer within {} seconds", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(|_| late())
}

async fn post(alarms: &Alarms, opened: &Opened, notice: &Notice) -> Result<(), Undelivered> {
    let unfit = |errors: Vec<SettingsError>| {
        let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Undelivered::later(format!("the settings are not valid any more: {}", reasons.join("; ")))
    };
    let destination = channel::destination(opened, &alarms.parts.instance).map_err(unfit)?;
    let body = Bytes::from(notice.document(&alarms.parts.instance).to_string());
    let now = alarms.parts.clock.now();
    let request = destination.request(body, &destinations::Session::default(), now);
    let answer = alarms.parts.transport.send(request).await;
    let answer = answer.map_err(|error| Undelivered::later(format!("{error}: {}", error.hint())))?;
    let verdict = destination.classify(&[EventId::from_bytes([0; 16])], &answer);
    match verdict.outcomes.into_iter().next() {
        Some(Outcome::Delivered(_)) => Ok(()),
        Some(Outcome::Quarantine { reason } | Outcome::Split { reason }) => {
            Err(Undelivered { reason, remedy: Remedy::Nothing })
        }
        Some(Outcome::Hold { reason }) => Err(Undelivered { reason, remedy: Remedy::Operator }),
        Some(Outcome::Retry { reason }) => Err(Undelivered::later(reason)),
        None => Err(Undelivered::later("the answer says nothing")),
    }
}

fn mail(alarms: &Alarms, notice: &Notice) -> Mail {
    let (instance, alarm) = (&alarms.parts.instance, &notice.alarm);
    let advice = notice.advice().map(|advice| format!("What to do: {advice}.\n\n")).unwrap_or_default();
    let over = if alarm.withdrawn { "Ended by an operator" } else { "Recovered" };
    let recovered = alarm.cleared_at.map(|at| format!("{over}: {at}\n")).unwrap_or_default();
    let body = format!(
        "{}\n\n{advice}Installation: {} ({})\nAlarm: {}\nAbout: {}\nRaised: {}\n{recovered}Id: {}\n",
        notice.headline(),
        instance.name,
        instance.environment,
        alarm.kind.name(),
        alarm.subject.name,
        alarm.raised_at,
        alarm.id,
    );
    Mail {
        id: notice.id(),
        at: notice.at,
        subject: format!("{}: {}", instance.name, notice.headline()),
        body,
        domain: instance.domain.clone(),
    }
}

/// Sends a made-up notice to a channel, enabled or not, at once and once.
pub async fn try_out(alarms: &Alarms, channel: &Channel) -> Result<(), Undelivered> {
    let opened = channel
        .open(&alarms.parts.keyring)
        .map_err(|_| Undelivered::later("its secrets cannot be opened: the master key is another one"))?;
    let now = alarms.parts.clock.now();
    let alarm = Alarm {
        id: EventId::draw(now, &alarms.parts.random).to_string(),
        kind: Kind::Holding,
        subject: Subject {
            kind: SubjectKind::Instance,
            id: String::new(),
            name: crate::OURSELVES.to_owned(),
        },
        severity: Severity::Warning,
        worst: Severity::Warning,
        text: "this is a test of the channel: nothing is wrong".to_owned(),
        since: None,
        raised_at: now,
        told_at: now,
        count: 1,
        cleared_at: None,
        withdrawn: false,
        acknowledged: None,
        silenced_until: None,
    };
    let notice = Notice { number: 0, at: now, what: What::Test, alarm, is_silenced: false };
    send(alarms, &opened, &notice).await
}
