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
use event::quarantine::{Change, Standing};
use event::{Stream, StreamSet};
use journal::{
    Block, ConsumerCommand, ConsumerName, ConsumerState, Journal, JournalError, LeaseError, LeaseLimits,
    Settlement, StartAt, Tally,
};
use tokio::sync::watch;

use crate::configuration::Configuration;
use crate::copies::{Page, page};
use crate::parking::{Told, find, told};
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

/// Counts what the stream says by now, so that nobody has to read far. Nothing is counted above damage before the consumer is
/// moved past it: whoever looks counts all above the floor himself.
pub(crate) async fn count(journal: &dyn Journal, id: &str) -> Result<(), LeaseError> {
    let Some(name) = afterwards_name(id) else { return Ok(()) };
    let mut floor = None;
    loop {
        let past = past_damage(journal, &name).await?;
        // Where it has not moved, what lies before the damage is leased still: it is counted the next time.
        if past.is_none()
            || past == floor
            || !count_from(journal, id, &name, past.unwrap_or_default()).await?
        {
            return Ok(());
        }
        floor = past;
    }
}

/// Moves the consumer past damage that it has come to. What that held back counts as `expired` here, which nobody adds to the
/// books: those entries stay where they were. Answers its floor; `None`: it is not there.
async fn past_damage(journal: &dyn Journal, name: &ConsumerName) -> Result<Option<u64>, JournalError> {
    let consumers = journal.consumers(ConsumerCommand::List).await?;
    let Some(ConsumerState { mut floor, .. }) = find(&consumers, Some(name.clone())) else { return Ok(None) };
    while let Page::Damaged(until) = page(journal, floor, 1).await? {
        let to = StartAt::Block(until);
        journal.consumers(ConsumerCommand::Expire { name: name.clone(), to }).await?;
        floor = until;
    }
    Ok(Some(floor))
}

/// Counts from a sequence on. True when it has come to damage.
async fn count_from(
    journal: &dyn Journal,
    id: &str,
    name: &ConsumerName,
    mut from: u64,
) -> Result<bool, LeaseError> {
    let streams = StreamSet::from_iter([Stream::Quarantine]);
    let limits = LeaseLimits { max_blocks: 1, max_bytes: 1, ttl: TTL, wait: Duration::ZERO };
    loop {
        let leases = match journal.lease(name, streams, limits).await {
            Err(LeaseError::NoConsumer) => return Ok(false),
            // Nothing but damage is left, at the end.
            Err(LeaseError::Journal(JournalError::Damaged(_))) => return Ok(true),
            leases => leases?,
        };
        let Some(lease) = leases.into_iter().next() else { return Ok(false) };
        let sequence = lease.block.sequence();
        while from < sequence {
            match page(journal, from, 1).await? {
                Page::Blocks(blocks) => from = blocks.first().map_or(sequence, |block| block.sequence() + 1),
                Page::Damaged(_) => {
                    journal.settle(lease.id, Settlement::HandBack(Duration::ZERO)).await?;
                    return Ok(true);
                }
                Page::End => break,
            }
        }
        from = sequence + 1;
        let counted = counted(&lease.block, id);
        let n_skipped = (lease.block.n_records() as u64).saturating_sub(counted.total());
        match journal.settle(lease.id, Settlement::Done(Tally { skipped: n_skipped, ..counted })).await {
            Ok(()) | Err(LeaseError::Stale) => {}
            Err(error) => return Err(error),
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
    block.records().fold(Tally::default(), |tally, (_, record)| match told(&record) {
        Some((of, Told::Changed(change))) if of == id => tally.plus(&column(&change)),
        _ => tally,
    })
}

/// One event, in the column that a change moves it to; nothing when it stays in quarantine.
pub(crate) fn column(change: &Change) -> Tally {
    match (change.standing, change.grade.as_deref()) {
        (Standing::Delivered, Some("confirmed")) => Tally { confirmed: 1, ..Tally::default() },
        (Standing::Delivered, Some("diverted")) => Tally { diverted: 1, ..Tally::default() },
        (Standing::Delivered, _) => Tally { accepted: 1, ..Tally::default() },
        (Standing::Discarded, _) => Tally { discarded: 1, ..Tally::default() },
        (Standing::Quarantined | Standing::Parked, _) => Tally::default(),
    }
}
