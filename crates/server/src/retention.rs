//! Drops what nobody wants any more: asks the retention rule every minute how far the journal may be trimmed. And watches
//! over backlogs and the disk, so that intake refuses before anything breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use catalog::{Catalog, CatalogError, Found};
use delivery::{Configuration, DiskSpace, Supervisor};
use event::Stream;
use journal::disk::Space;
use journal::local::LocalJournal;
use journal::retention::{Hold, Keep, Policy, SegmentFacts, expiry_points, is_to_be_sealed, trim_point};
use journal::{Consumer, ConsumerCommand, Journal};
use tokio::sync::watch;

use crate::commands::Failure;
use crate::settings::Retention;

const TRIM_EVERY: Duration = Duration::from_mins(1);
/// While there is more to take out of segments: so that it keeps up, and leaves the disk to others in between.
const GO_ON_AFTER: Duration = Duration::from_secs(5);
/// A budget may be exceeded by what comes in meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What comes in meanwhile must fit into the reserve.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// The policy that the settings state; both quarantines are kept as long as audit logs.
pub(crate) fn policy(settings: &Retention) -> Policy {
    let days = |days: u32| Keep { max_age: Some(Duration::from_hours(24) * days), max_bytes: None };
    Policy::default()
        .with(Stream::AccountEvent, days(settings.account_event_days))
        .with(Stream::AuditLog, days(settings.audit_log_days))
        .with(Stream::EventHookLog, days(settings.event_hook_log_days))
        .with(Stream::Quarantine, days(settings.audit_log_days))
        .with(Stream::IntakeQuarantine, days(settings.audit_log_days))
}

/// What is looked after.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) journal: Arc<LocalJournal>,
    pub(crate) catalog: Catalog,
    pub(crate) delivery: Arc<Supervisor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    /// Bytes of the disk that intake leaves free; of a small disk a tenth.
    pub(crate) min_free: u64,
}

/// Trims, and watches over what must not be trimmed, until `stop` turns true.
pub(crate) async fn run(kept: Kept, stop: watch::Receiver<bool>) {
    let (trimming, looking) = (keep_trimming(&kept, stop.clone()), keep_looking(&kept, stop.clone()));
    tokio::join!(trimming, looking, keep_measuring(&kept, stop));
}

async fn keep_trimming(kept: &Kept, mut stop: watch::Receiver<bool>) {
    loop {
        let is_more = trim(kept).await.unwrap_or_else(|error| {
            tracing::error!(%error, "retention could not be applied; trying again in a minute");
            false
        });
        if is_over(if is_more { GO_ON_AFTER } else { TRIM_EVERY }, &mut stop).await {
            return;
        }
    }
}

async fn keep_looking(kept: &Kept, mut stop: watch::Receiver<bool>) {
    loop {
        let kept_from = kept_from(&kept.policy, &kept.journal.segments(), kept.clock.now());
        if let Err(error) = kept.delivery.look_at_backlogs(kept_from, shortest(&kept.policy)).await {
            tracing::error!(%error, "backlogs could not be measured; trying again in ten seconds");
        }
        if is_over(LOOK_EVERY, &mut stop).await {
            return;
        }
    }
}

async fn keep_measuring(kept: &Kept, mut stop: watch::Receiver<bool>) {
    loop {
        measure_disk(kept).await;
        if is_over(MEASURE_EVERY, &mut stop).await {
            return;
        }
    }
}

/// Waits, but no longer than until it is over.
async fn is_over(period: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => true,
        () = tokio::time::sleep(period) => false,
    }
}

/// The block from which on retention keeps everything that is delivered, whoever has settled it.
fn kept_from(policy: &Policy, segments: &[SegmentFacts], now: Timestamp) -> u64 {
    let points = Stream::ALL.into_iter().zip(expiry_points(policy, segments, &[], now));
    points.filter(|(stream, _)| stream.is_product()).map(|(_, point)| point).max().unwrap_or(0)
}

/// The shortest retention of the streams that are delivered.
fn shortest(policy: &Policy) -> Option<Duration> {
    Stream::PRODUCT.into_iter().filter_map(|stream| policy.keep(stream).max_age).min()
}

async fn measure_disk(kept: &Kept) {
    let journal = Arc::clone(&kept.journal);
    let stored = journal.head().stored_bytes;
    let space = tokio::task::spawn_blocking(move || journal.space()).await;
    let space = space.unwrap_or(Ok(None)).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell how much room the journal's disk has");
        None
    });
    let disk = space.map(|space| reserved(space, kept.min_free, stored));
    kept.delivery.backlogs().note_disk(disk, kept.clock.now());
}

/// What is free, and how much of it intake leaves: of a small disk a tenth.
const fn reserved(space: Space, min_free: u64, stored: u64) -> DiskSpace {
    let tenth = space.total / 10;
    DiskSpace { free: space.free, reserve: if min_free < tenth { min_free } else { tenth }, stored }
}

/// Whether what a configuration has not delivered must stay. One that cannot be read may deliver again once it is mended.
fn holds_back(found: &Result<Found<Configuration>, CatalogError>) -> bool {
    match found {
        Ok(found) => found.value.holds_back(),
        Err(error) => {
            tracing::error!(%error, "retention keeps what this configuration has not delivered");
            true
        }
    }
}

/// Applies retention once: seals a segment that is old, drops those that nobody wants, and takes out of the others what need
/// not stay. Answers whether there is more of the latter.
async fn trim(kept: &Kept) -> Result<bool, Failure> {
    let Kept { journal, clock, policy, .. } = kept;
    let holds = holds(kept).await?;
    if journal.segments().last().is_some_and(|active| is_to_be_sealed(active, clock.now())) {
        journal.seal().await?;
    }
    let (segments, now) = (journal.segments(), clock.now());
    let point = trim_point(policy, &segments, &holds, now);
    if segments.first().is_some_and(|segment| segment.first < point) {
        tracing::info!(up_to = point, "dropping what retention no longer keeps");
        journal.trim(point).await?;
    }
    let expiry = journal.expire(expiry_points(policy, &segments, &holds, now)).await?;
    if expiry.n_rewritten > 0 {
        tracing::info!(
            segments = expiry.n_rewritten,
            "took out what retention no longer keeps beside what it keeps"
        );
    }
    Ok(expiry.is_more)
}

/// What each consumer holds back. Removes the places of configurations that are gone.
async fn holds(kept: &Kept) -> Result<Vec<Hold>, Failure> {
    let Kept { journal, catalog, clock, .. } = kept;
    let known: HashMap<String, bool> =
        catalog.list_each().into_iter().map(|(id, found)| (id, holds_back(&found))).collect();
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let mut holds = Vec::new();
    for Consumer { name, streams, state } in consumers {
        let configuration = delivery::configuration_id(&name);
        // One that is disabled, or lets its oldest events go, keeps its place but holds nothing back; nor does one that is not
        // there: it is being created, a crash left it behind, or an older copy of the catalog was restored. Such a place
        // goes when retention has passed it.
        // Copies in quarantine hold nothing back either: an event that a destination never takes must not keep a disk full.
        let holds_back = match delivery::run_of(&name) {
            Some(_) => delivery::holds_retention(catalog, &name, clock.now()),
            None => {
                !delivery::is_of_copies(&name)
                    && configuration.is_none_or(|id| known.get(id).copied().unwrap_or(false))
            }
        };
        holds.push(Hold { floor: state.floor, streams, holds: holds_back });
        if let Some(id) = configuration.filter(|id| !known.contains_key(*id) && state.tally.expired > 0) {
            tracing::warn!(id, "removing the place of a configuration that does not exist");
            if let Err(error) = delivery::dismiss(&**journal, id).await {
                tracing::error!(id, %error, "the place of a configuration that does not exist could not be removed");
            }
        }
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use base::{EventId, ManualClock, Random};
    use catalog::{Document, Keyring, MemoryStore};
    use event::native::Instance;
    use event::{RecordBuilder, StreamSet};
    use journal::local::LocalOptions;
    use journal::{Append, Entry, OnConflict, Producer, ReadRange};
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};
    use testkit::disk::SimDisk;
    use testkit::net::{Faults, SimNet};

    use super::*;

    /// A stored configuration of any form.
    #[derive(Serialize, Deserialize)]
    struct Raw(Value);

    impl Document for Raw {
        const KIND: &'static str = Configuration::KIND;
    }

    #[test]
    fn what_is_enabled_and_keeps_holds_retention_back_and_so_does_what_cannot_be_read() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let stored = |enabled: bool, resume: Value, backlog: Value| {
            json!({
                "id": "c", "name": "c", "enabled": enabled, "type": "splunk", "settings": {}, "secrets": {},
                "account": {}, "audit": {}, "hook": {}, "resume": resume, "backlog": backlog,
            })
        };
        let (over, spent) = (json!({}), json!({"whenSpent": "release"}));
        let since = json!({"awaitsSince": "2026-01-31T12:00:00.000Z"});
        for (id, document, expected) in [
            ("enabled", stored(true, over.clone(), json!({"maxBytes": 1})), true),
            ("releasing", stored(true, over.clone(), spent.clone()), false),
            ("disabled", stored(false, over, json!({})), false),
            ("waiting", stored(true, since.clone(), json!({})), true),
            ("waiting and releasing", stored(true, since, spent), false),
            ("from a newer version", json!({"id": 1}), true),
        ] {
            catalog.create(id, &Raw(document), None).unwrap();
            let each = catalog.list_each::<Configuration>();
            let (_, found) = each.iter().find(|(known, _)| known == id).unwrap();
            assert_eq!(holds_back(found), expected, "{id}: {found:?}");
            assert_eq!(found.is_err(), id == "from a newer version");
        }
    }

    async fn kept() -> (Kept, Arc<ManualClock>, Arc<Random>) {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let (as_clock, random) = (Arc::clone(&clock), Arc::new(Random::from_seed(1)));
        let as_clock: Arc<dyn Clock> = as_clock;
        let (disk, options) = (Arc::new(SimDisk::new(1)), LocalOptions::default());
        let journal = LocalJournal::open(disk, Arc::clone(&as_clock), Arc::clone(&random), options).unwrap();
        let (journal, catalog) =
            (Arc::new(journal), Catalog::open(Arc::new(MemoryStore::default())).unwrap());
        let text = |text: &str| text.to_owned();
        let parts = delivery::Parts {
            journal: journal.clone(),
            catalog: catalog.clone(),
            keyring: Arc::new(Keyring::new(&[7; 32])),
            transport: Arc::new(SimNet::new(1, Faults::default())),
            instance: Instance {
                name: text("a"),
                domain: text("b"),
                environment: text("c"),
                public_url: None,
            },
            clock: Arc::clone(&as_clock),
            random: Arc::clone(&random),
        };
        let delivery = Arc::new(Supervisor::start(parts).await);
        let kept =
            Kept { journal, catalog, delivery, clock: as_clock, policy: Policy::default(), min_free: 0 };
        (kept, clock, random)
    }

    /// The streams of the events that can still be read.
    async fn there(kept: &Kept) -> Vec<(Stream, usize)> {
        let range =
            ReadRange { streams: StreamSet::product(), from: 0, until: u64::MAX, max_bytes: usize::MAX };
        let blocks = kept.journal.read(range).await.unwrap();
        let count =
            |stream| blocks.iter().filter(|of| of.stream() == stream).map(|of| of.records().count()).sum();
        Stream::PRODUCT.into_iter().map(|stream| (stream, count(stream))).collect()
    }

    #[tokio::test]
    async fn account_events_are_gone_after_their_thirty_days_although_audit_logs_keep_coming() {
        let (kept, clock, random) = kept().await;
        let mut at_most = 0;
        for hour in (0..33 * 24).step_by(6) {
            let streams = [Some(Stream::AuditLog), (hour == 0).then_some(Stream::AccountEvent)];
            for stream in streams.into_iter().flatten() {
                let now = clock.now();
                let record =
                    RecordBuilder::new(stream, EventId::draw(now, &random), now, now).finish().unwrap();
                let entries = vec![Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }];
                kept.journal.append(Append { stream, entries, request_key: None }).await.unwrap();
            }
            while trim(&kept).await.unwrap() {}
            let account = there(&kept).await.iter().find(|(of, _)| *of == Stream::AccountEvent).unwrap().1;
            assert!(account == 1 || hour > 30 * 24, "gone at hour {hour}");
            at_most = if account == 1 { hour } else { at_most };
            clock.advance(Duration::from_hours(6));
        }
        assert!((30 * 24..=31 * 24 + 12).contains(&at_most), "{at_most} hours");
        let audit = there(&kept).await.iter().find(|(of, _)| *of == Stream::AuditLog).unwrap().1;
        assert_eq!(audit, 33 * 4, "they stay a year");
        kept.journal.verify().await.unwrap();
        kept.delivery.shutdown().await;
    }

    #[test]
    fn the_reserve_is_a_tenth_of_a_small_disk() {
        let reserve = |total, min_free| reserved(Space { free: 5, total }, min_free, 7);
        assert_eq!(reserve(100 << 30, 1 << 30), DiskSpace { free: 5, reserve: 1 << 30, stored: 7 });
        assert_eq!(reserve(1 << 30, 1 << 30).reserve, (1 << 30) / 10);
        assert_eq!(reserve(100 << 30, 0).reserve, 0);
        assert_eq!(shortest(&Policy::default()), Some(Duration::from_hours(720)));
    }
}
