//! What became of entries after they were put into quarantine, in the books: counted by a consumer of the quarantine stream
//! for each configuration, `cfg/{id}/afterwards`.
//!
//! The configuration's own consumer has counted an entry as `quarantined` when its block was settled, and nothing of that is
//! ever changed. This consumer's tally says how many of those are somewhere else by now: delivered in a grade, or discarded.
//! The journal saves it in one checkpoint with how far it has come, so a crash counts nothing twice, and it stays when
//! retention removes the entry. It takes one block at a time and settles it before the next one: all that it has counted lies
//! below its floor, and what lies above is counted by whoever looks. It is made before the first change is stored.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, CatalogError};
use event::quarantine::{Change, Standing, unwrap_change};
use event::{Record, Stream, StreamSet};
use journal::{
    Block, ConsumerCommand, Journal, JournalError, LeaseError, LeaseLimits, Settlement, StartAt, Tally,
};
use tokio::sync::watch;

use crate::configuration::Configuration;
use crate::parking::{each_block, find};
use crate::places::{afterwards_name, counted_afterwards};

/// How long a block may take to be counted.
const TTL: Duration = Duration::from_secs(30);
/// How often changes are counted.
const EVERY: Duration = Duration::from_mins(1);

/// Makes sure that changes are counted from now on.
pub(crate) async fn open(journal: &dyn Journal, id: &str) -> Result<(), JournalError> {
    let name = afterwards_name(id).ok_or(JournalError::Refused("the id cannot name a consumer"))?;
    let (streams, start) = (StreamSet::from_iter([Stream::Quarantine]), StartAt::Now);
    journal.consumers(ConsumerCommand::Create { name, streams, start, until: None }).await.map(drop)
}

/// Where entries of a configuration have gone from quarantine: in the columns where they are now.
pub(crate) async fn moved(journal: &dyn Journal, id: &str) -> Result<Tally, JournalError> {
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let Some(own) = find(&consumers, afterwards_name(id)) else { return Ok(Tally::default()) };
    let mut moved = Tally { skipped: 0, expired: 0, ..own.tally };
    each_block(journal, own.floor, |block| moved = moved.plus(&counted(block, id))).await?;
    Ok(moved)
}

/// Counts what the stream says by now, so that nobody has to read far.
pub(crate) async fn count(journal: &dyn Journal, id: &str) -> Result<(), LeaseError> {
    let Some(name) = afterwards_name(id) else { return Ok(()) };
    let streams = StreamSet::from_iter([Stream::Quarantine]);
    let limits = LeaseLimits { max_blocks: 1, max_bytes: 1, ttl: TTL, wait: Duration::ZERO };
    loop {
        let leases = match journal.lease(&name, streams, limits).await {
            Err(LeaseError::NoConsumer) => return Ok(()),
            leases => leases?,
        };
        if leases.is_empty() {
            return Ok(());
        }
        for lease in leases {
            let n_records = lease.block.n_records() as u64;
            let counted = counted(&lease.block, id);
            let tally = Tally { skipped: n_records.saturating_sub(counted.total()), ..counted };
            match journal.settle(lease.id, Settlement::Done(tally)).await {
                Ok(()) | Err(LeaseError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Counts for every configuration, and takes the places of those away that are gone.
pub(crate) async fn count_all(journal: &dyn Journal, catalog: &Catalog) {
    let consumers = match journal.consumers(ConsumerCommand::List).await {
        Ok(consumers) => consumers,
        Err(error) => {
            tracing::error!(%error, "what became of entries in quarantine cannot be counted; trying again in a minute");
            return;
        }
    };
    for consumer in consumers {
        let Some(id) = counted_afterwards(&consumer.name) else { continue };
        let counted = if matches!(catalog.revision::<Configuration>(id), Err(CatalogError::NotFound)) {
            let remove = ConsumerCommand::Remove { name: consumer.name.clone() };
            journal.consumers(remove).await.map(drop).map_err(LeaseError::from)
        } else {
            count(journal, id).await
        };
        if let Err(error) = counted {
            tracing::error!(configuration = id, %error, "what became of its entries in quarantine cannot be counted yet");
        }
    }
}

/// Counts every minute until `stop` turns true.
pub(crate) async fn keep_counting(
    journal: Arc<dyn Journal>,
    catalog: Catalog,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        count_all(&*journal, &catalog).await;
    }
}

/// What a block of the quarantine stream moves.
fn counted(block: &Block, id: &str) -> Tally {
    let changes = block.records().filter_map(|(_, record)| of(&record, id));
    changes.fold(Tally::default(), |tally, change| tally.plus(&column(&change)))
}

fn of(record: &Record<'_>, id: &str) -> Option<Change> {
    unwrap_change(record)
        .filter(|change| change.configuration_id == id && change.turn > 0 && !change.is_of_run)
}

/// One event, in the column that a change moves it to; nothing when it stays in quarantine.
fn column(change: &Change) -> Tally {
    match (change.standing, change.grade.as_deref()) {
        (Standing::Delivered, Some("confirmed")) => Tally { confirmed: 1, ..Tally::default() },
        (Standing::Delivered, Some("diverted")) => Tally { diverted: 1, ..Tally::default() },
        (Standing::Delivered, _) => Tally { accepted: 1, ..Tally::default() },
        (Standing::Discarded, _) => Tally { discarded: 1, ..Tally::default() },
        (Standing::Quarantined | Standing::Parked, _) => Tally::default(),
    }
}
