//! The oracle: turns every receipt into an obligation, and judges in the end whether each was met.

use base::EventId;
use delivery::Configuration;
use destinations::Vendor;
use event::{Record, Section, Stream, StreamSet, quarantine};
use journal::{Block, ConsumerState, Journal, JournalError, ReadRange};

use crate::content::Content;
use crate::receivers::{Arrivals, Site};
use crate::world::{Known, Owned, Standing, Stored, World};

/// Notes what has been stored since the last look. What can be read is durable.
pub(crate) async fn look(world: &World, journal: &dyn Journal) -> Result<(), JournalError> {
    loop {
        let from = world.known.lock().read_up_to;
        let streams: StreamSet = Stream::ALL.into_iter().collect();
        let range = ReadRange { streams, from, until: u64::MAX, max_bytes: 1 << 20 };
        let blocks = journal.read(range).await?;
        if blocks.is_empty() {
            return Ok(());
        }
        let mut known = world.known.lock();
        if known.read_up_to > from {
            // Somebody else has looked meanwhile.
            continue;
        }
        for block in &blocks {
            known.read_up_to = block.sequence() + 1;
            note_block(world, &mut known, block);
        }
    }
}

fn note_block(world: &World, known: &mut Known, block: &Block) {
    known.blocks.insert(block.sequence(), (block.stream(), block.n_records() as u64));
    for (offset, record) in block.records() {
        if block.stream() == Stream::Quarantine {
            note_copy(world, known, block.sequence(), &record);
            continue;
        }
        let id = record.event_id();
        match content_of(world.seed, &record) {
            Some(content) => {
                let stored = Stored { block: block.sequence(), index: offset.index, content };
                known.stored.entry(id).or_default().push(stored);
            }
            None => world.violated(format!("{id} at {offset} is no event that was sent")),
        }
    }
}

fn content_of(seed: u64, record: &Record<'_>) -> Option<Content> {
    let field = format!("\"{}\":\"", Content::mark_field(record.stream()));
    let (_, rest) = record.section(Section::Header)?.split_once(&field)?;
    Content::of_mark(seed, rest.split('"').next()?).filter(|content| content.stream() == record.stream())
}

fn note_copy(world: &World, known: &mut Known, block: u64, copy: &Record<'_>) {
    if let Some(change) = quarantine::unwrap_change(copy) {
        let standing = match change.standing {
            // Nobody gives up entries here.
            quarantine::Standing::Quarantined | quarantine::Standing::Discarded => Standing::Quarantined,
            quarantine::Standing::Delivered => Standing::Delivered,
            quarantine::Standing::Parked => return,
        };
        known.quarantine.insert((change.configuration_id, change.event_id), standing);
        return;
    }
    let Some((reason, original)) = quarantine::unwrap(copy) else {
        world.violated(format!("block {block}: an entry of quarantine cannot be read"));
        return;
    };
    let original = Record::parse(&original).ok().and_then(|record| content_of(world.seed, &record));
    let stored = known.stored.get(&reason.event_id);
    if !stored.is_some_and(|all| all.iter().any(|stored| Some(stored.content) == original)) {
        world.violated(format!("{}: its copy in quarantine is of something else", reason.event_id));
    }
    let standing = match reason.standing {
        quarantine::Standing::Parked => Standing::Parked { block },
        _ => Standing::Quarantined,
    };
    world.count(if standing == Standing::Quarantined { "quarantined" } else { "parked" });
    known.quarantine.insert((reason.configuration_id, reason.event_id), standing);
}

/// Whether everything that is left to do is done. What is not, otherwise.
pub(crate) async fn unsettled(world: &World, journal: &dyn Journal) -> Result<Option<String>, JournalError> {
    if !world.producers.lock().is_quiet() {
        return Ok(Some("a producer waits for its receipt".to_owned()));
    }
    let ids: Vec<String> = {
        let known = world.known.lock();
        let there = known.configurations.iter().filter(|(_, owned)| !owned.is_deleted);
        there.map(|(id, _)| id.clone()).collect()
    };
    for id in ids {
        let Some(state) = delivery::books(journal, &id).await? else {
            return Ok(Some(format!("{id} has no place in the journal")));
        };
        if state.appended != state.tally.total() {
            let pending = state.appended - state.tally.total().min(state.appended);
            return Ok(Some(format!(
                "{id}: {pending} of {} events are pending: {:?}",
                state.appended, state.tally
            )));
        }
    }
    Ok(None)
}

/// Judges a run whose faults are over and that has settled.
pub(crate) async fn judge(world: &World, journal: &dyn Journal) -> Result<(), JournalError> {
    look(world, journal).await?;
    {
        let known = world.known.lock();
        for (id, contents) in &known.receipts {
            let stored = known.stored.get(id).map_or(&[][..], Vec::as_slice);
            for content in contents {
                let is_there = stored.iter().any(|stored| stored.content == *content);
                if !is_there && !known.erased.contains(id) {
                    world
                        .violated(format!("lost: {id} ({}) has a receipt and is not stored", content.mark()));
                }
            }
        }
    }
    let configurations = world.known.lock().configurations.clone();
    for (id, owned) in &configurations {
        let site = world.sites.lock().get(&owned.host).cloned();
        let Some(site) = site else { continue };
        judge_arrivals(world, id, owned, &site);
        if owned.is_deleted {
            continue;
        }
        let Some(state) = delivery::books(journal, id).await? else { continue };
        let n_delivered = judge_events(world, id, owned, &site, &state);
        judge_books(world, id, owned, &state, n_delivered);
    }
    Ok(())
}

/// What arrived is what was accepted and selected, whole and without secrets.
fn judge_arrivals(world: &World, id: &str, owned: &Owned, site: &Site) {
    let arrivals = site.arrivals.lock();
    let known = world.known.lock();
    world.count_many("delivered", arrivals.n_events);
    if arrivals.n_leaks > 0 {
        world.violated(format!("{id}: a secret has left"));
    }
    if let Some(flaw) = arrivals.flaws.first() {
        world.violated(format!("{id}: {flaw}"));
    }
    for problem in site.stand_in.stats().problems.iter().take(1) {
        world.violated(format!("{id}: {problem}"));
    }
    for ((event, offset), (document, _)) in &arrivals.documents {
        let stored = known.stored.get(event).map_or(&[][..], Vec::as_slice);
        let found = stored.iter().find(|stored| format!("{}.{}", stored.block, stored.index) == *offset);
        let Some(stored) = found else {
            if !known.erased.contains(event) {
                world.violated(format!("{id}: {event} at {offset} was delivered and never stored"));
            }
            continue;
        };
        let selected = owned.at(stored.block).filter(|selected| selected.selects(&stored.content));
        match selected {
            Some(selected) if stored.block >= owned.started_at => {
                if let Some(flaw) = stored.content.flaw_of(document, selected) {
                    world.violated(format!("{id}: {event} at {offset}: {flaw}"));
                }
            }
            _ => world.violated(format!("{id}: {event} at {offset} was delivered against the settings")),
        }
    }
}

/// Every event that is selected is delivered, in quarantine, or was given up. Returns how many are delivered.
fn judge_events(world: &World, id: &str, owned: &Owned, site: &Site, state: &ConsumerState) -> u64 {
    let arrivals = site.arrivals.lock();
    let known = world.known.lock();
    let now = world.clock.elapsed();
    let (mut n_delivered, mut n_selected, mut n_entries) = (0, 0, 0);
    for (event, all) in &known.stored {
        for stored in all.iter().filter(|stored| stored.block >= owned.started_at) {
            if !owned.at(stored.block).is_some_and(|selected| selected.selects(&stored.content)) {
                continue;
            }
            n_selected += 1;
            let is_delivered = is_delivered(site, &arrivals, *event, stored, now);
            n_delivered += u64::from(is_delivered);
            let is_excused = stored.block < owned.given_up
                || (stored.block < known.trimmed && state.tally.expired > 0)
                || known.erased.contains(event);
            let entry = known.quarantine.get(&(id.to_owned(), *event));
            n_entries += u64::from(entry.is_some());
            let is_kept = match entry {
                Some(Standing::Quarantined) => true,
                // Its copy went with the retention of its stream.
                Some(Standing::Parked { block }) => *block < known.trimmed,
                Some(Standing::Delivered) | None => false,
            };
            if !(is_delivered || is_excused || is_kept) {
                let (mark, block) = (stored.content.mark(), stored.block);
                world.violated(format!(
                    "lost: {id}: {event} ({mark}, block {block}) is selected and not delivered; quarantine: {entry:?}"
                ));
            }
        }
    }
    let tally = &state.tally;
    if tally.quarantined > n_entries || tally.delivered() > n_delivered {
        world.violated(format!(
            "books: {id}: {n_delivered} of {n_selected} arrived, {n_entries} in quarantine: {tally:?}"
        ));
    }
    if tally.diverted > 0 {
        world.count_many("diverted", tally.diverted);
    }
    if tally.expired > 0 {
        world.count_many("trimmed before delivery", tally.expired);
    }
    n_delivered
}

/// Whether the receiver has an event for good, as far as the configuration's manner lets it be known.
fn is_delivered(
    site: &Site,
    arrivals: &Arrivals,
    event: EventId,
    stored: &Stored,
    now: std::time::Duration,
) -> bool {
    let has_acks = site.manner.vendor == Vendor::Splunk && site.manner.acknowledges_after.is_some();
    if has_acks {
        return site.stand_in.n_stored(event, now) > 0;
    }
    // In a cluster an id is there once, wherever the event lay in the journal.
    let offset = format!("{}.{}", stored.block, stored.index);
    let is_cluster = site.manner.vendor == Vendor::Elasticsearch;
    arrivals.documents.contains_key(&(event, offset)) || (is_cluster && site.stand_in.has(&event))
}

/// The books balance, and say what happened.
fn judge_books(world: &World, id: &str, owned: &Owned, state: &ConsumerState, n_delivered: u64) {
    let known = world.known.lock();
    let product = StreamSet::product();
    let is_its = |stream: Stream| product.contains(stream);
    let appended: u64 = known
        .blocks
        .range(owned.started_at..)
        .filter(|(_, (stream, _))| is_its(*stream))
        .map(|(_, (_, n_records))| n_records)
        .sum();
    let tally = &state.tally;
    if state.appended != appended || tally.total() != appended {
        world.violated(format!("books: {id}: {appended} were appended: {} {tally:?}", state.appended));
    }
    let selects =
        |stored: &&Stored| owned.at(stored.block).is_some_and(|selected| selected.selects(&stored.content));
    let its = || known.stored.values().flatten().filter(|stored| stored.block >= owned.started_at);
    let n_selected = its().filter(selects).count() as u64;
    let n_skipped = its().count() as u64 - n_selected;
    let n_gone = tally.expired + tally.discarded + tally.erased;
    let skips = tally.skipped <= n_skipped && tally.skipped + n_gone >= n_skipped;
    let ends = tally.delivered() + tally.quarantined;
    let sends = ends <= n_selected && ends + n_gone >= n_selected;
    if known.erased.is_empty() && !(skips && sends) {
        world.violated(format!(
            "books: {id}: {n_selected} selected ({n_delivered} arrived), {n_skipped} not: {tally:?}"
        ));
    }
}

/// Whether a configuration is there, for those who look at the catalog.
pub(crate) fn all_of(catalog: &catalog::Catalog) -> Vec<Configuration> {
    catalog
        .list_each::<Configuration>()
        .into_iter()
        .filter_map(|(_, found)| Some(found.ok()?.value))
        .collect()
}
