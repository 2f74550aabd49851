//! A journal on a simulated disk, what it is asked to do, and what it has promised so far.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{EventId, ManualClock, Random};
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, confirmed, entry, id, limits, name, record};
use journal::local::{LocalJournal, LocalOptions, Stepper};
use journal::{
    Append, AppendError, Appended, ConsumerCommand, Entry, Journal, JournalError, LeaseLimits, Offset,
    Receipt, Settlement, StartAt,
};
use testkit::disk::{Faults, SimDisk};

const STREAMS: [Stream; 3] = [Stream::AccountEvent, Stream::AuditLog, Stream::Quarantine];

/// A block as a consumer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenBlock {
    pub(crate) stream: Stream,
    pub(crate) n_records: u64,
}

/// What one consumer was promised.
#[derive(Default)]
pub(crate) struct Promised {
    pub(crate) streams: StreamSet,
    pub(crate) started_at: u64,
    /// Blocks that were settled, whether or not that was saved.
    pub(crate) settled: BTreeSet<u64>,
    /// Those of them that were settled before a checkpoint that went well.
    pub(crate) saved: BTreeSet<u64>,
}

/// What the journal answered, and what it may hold besides.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) acknowledged: BTreeMap<EventId, (Offset, Vec<u8>)>,
    /// Every record that was ever sent.
    pub(crate) sent: BTreeMap<EventId, Vec<u8>>,
    pub(crate) erased: BTreeSet<Offset>,
    pub(crate) maybe_erased: BTreeSet<Offset>,
    /// The highest trim point that was asked for.
    pub(crate) trimmed: u64,
    pub(crate) consumers: BTreeMap<String, Promised>,
    /// Every block that was ever there after a sync.
    pub(crate) blocks: BTreeMap<u64, SeenBlock>,
}

pub(crate) struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    faults: Faults,
    random: Random,
    running: Option<(LocalJournal, Stepper)>,
    next_event: u64,
    pub(crate) promises: Promises,
}

fn stream_of(n: u64) -> Stream {
    STREAMS[(n % 3) as usize]
}

/// Stream and content follow from the number, so that an event sent again is the same.
fn event_number(n: u64) -> Entry {
    let text = format!("\"{}\"", "x".repeat((n * 37 % 400) as usize));
    Entry { record: record(stream_of(n), n, &text), ..entry(stream_of(n), n) }
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut world = Self {
            disk: SimDisk::new(seed),
            clock: Arc::new(clock()),
            faults,
            random: Random::from_seed(seed ^ 0x5eed),
            running: None,
            next_event: 0,
            promises: Promises::default(),
        };
        world.disk.set_faults(faults);
        world.running = world.open().ok();
        world
    }

    fn open(&self) -> Result<(LocalJournal, Stepper), JournalError> {
        let options = LocalOptions {
            segment_bytes: 1 + self.up_to(6_000),
            cache_bytes: self.up_to(4_000) as usize,
            filter_bytes: self.up_to(300) as usize,
            ..LocalOptions::default()
        };
        let random = Arc::new(Random::from_seed(self.up_to(u64::MAX)));
        let clock = Arc::clone(&self.clock);
        LocalJournal::open_stepped(Arc::new(self.disk.clone()), clock, random, options)
    }

    fn up_to(&self, bound: u64) -> u64 {
        self.random.up_to(bound)
    }

    pub(crate) fn journal(&self) -> Result<LocalJournal, String> {
        self.running.as_ref().map(|(journal, _)| journal.clone()).ok_or_else(|| "not open".to_owned())
    }

    /// Drives a call to its end.
    pub(crate) async fn drive<T: Send + 'static>(
        &mut self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        let task = tokio::spawn(call);
        self.drive_until(|| task.is_finished()).await?;
        task.await.map_err(|error| error.to_string())
    }

    async fn drive_until(&mut self, is_done: impl Fn() -> bool) -> Result<(), String> {
        for _ in 0..1_000_000 {
            tokio::task::yield_now().await;
            if is_done() {
                return Ok(());
            }
            if let Some((_, stepper)) = &mut self.running {
                stepper.step();
            }
        }
        Err("a call does not end".to_owned())
    }

    /// Does this and that until the disk is dark.
    pub(crate) async fn work_until_the_power_fails(&mut self) -> Result<(), String> {
        let lasts = 1 + self.up_to(120);
        self.disk.set_faults(Faults { power_lasts: Some(lasts), ..self.faults });
        while self.disk.counts().changes <= lasts {
            self.clock.advance(Duration::from_millis(self.up_to(500)));
            match self.up_to(11) {
                0..6 => self.append_some().await?,
                6..8 => self.consume().await?,
                8 => self.save(),
                9 => self.create_consumer().await?,
                10 => self.trim().await?,
                _ => self.erase().await?,
            }
        }
        Ok(())
    }

    /// One to four appends that may become one group; some events are sent again.
    async fn append_some(&mut self) -> Result<(), String> {
        let mut tasks = Vec::new();
        for _ in 0..=self.up_to(3) {
            let sent = self.some_events();
            for entry in &sent.entries {
                let id = event::Record::parse(&entry.record).expect("a record").event_id();
                self.promises.sent.insert(id, entry.record.clone());
            }
            let journal = self.journal()?;
            tasks.push((sent.clone(), tokio::spawn(async move { journal.append(sent).await })));
        }
        self.drive_until(|| tasks.iter().all(|(_, task)| task.is_finished())).await?;
        for (sent, task) in tasks {
            self.note(&sent, task.await.map_err(|error| error.to_string())?)?;
        }
        Ok(())
    }

    fn some_events(&mut self) -> Append {
        let stream = STREAMS[self.up_to(2) as usize];
        let mut sent = append(stream, []);
        for _ in 0..=self.up_to(4) {
            let again = self.up_to(4) == 0 && self.next_event > 0;
            let n = if again { self.up_to(self.next_event - 1) } else { self.next_event };
            self.next_event = self.next_event.max(n + 1);
            if stream_of(n) == stream {
                sent.entries.push(event_number(n));
            }
        }
        sent
    }

    fn note(&mut self, sent: &Append, answer: Result<Appended, AppendError>) -> Result<(), String> {
        let Ok(appended) = answer else { return Ok(()) };
        for (entry, receipt) in sent.entries.iter().zip(&appended.receipts) {
            let id = event::Record::parse(&entry.record).expect("a record").event_id();
            match receipt {
                Receipt::Stored(offset) => {
                    let before = self.promises.acknowledged.insert(id, (*offset, entry.record.clone()));
                    // The id of an event that was trimmed or erased is forgotten.
                    let first = self.journal()?.head().first;
                    if let Some((before, _)) = before
                        && before.block >= first
                        && !self.promises.maybe_erased.contains(&before)
                    {
                        return Err(format!("{id} was acknowledged at {before} and again at {offset}"));
                    }
                    let block = SeenBlock { stream: sent.stream, n_records: 0 };
                    let block = self.promises.blocks.entry(offset.block).or_insert(block);
                    block.n_records = block.n_records.max(u64::from(offset.index) + 1);
                }
                Receipt::Duplicate => {}
                other => return Err(format!("{id} was answered {other:?}")),
            }
        }
        Ok(())
    }

    fn some_consumer(&self) -> Option<String> {
        let last = self.promises.consumers.len().checked_sub(1)?;
        self.promises.consumers.keys().nth(self.up_to(last as u64) as usize).cloned()
    }

    /// Leases some blocks; settles some, hands some back, keeps some.
    async fn consume(&mut self) -> Result<(), String> {
        let Some(consumer) = self.some_consumer() else { return Ok(()) };
        let limits = LeaseLimits { max_blocks: 1 + self.up_to(5) as usize, ..limits() };
        let (journal, named) = (self.journal()?, name(&consumer));
        let all = Stream::ALL.into_iter().collect();
        let leased = self.drive(async move { journal.lease(&named, all, limits).await }).await?;
        for lease in leased.map_err(|error| error.to_string())? {
            let settlement = match self.up_to(4) {
                0 => continue,
                1 => Settlement::HandBack(Duration::ZERO),
                _ => Settlement::Done(confirmed(&lease.block)),
            };
            let journal = self.journal()?;
            let answer = self.drive(async move { journal.settle(lease.id, settlement).await }).await?;
            answer.map_err(|error| error.to_string())?;
            if let (Settlement::Done(_), Some(promised)) =
                (settlement, self.promises.consumers.get_mut(&consumer))
            {
                promised.settled.insert(lease.block.sequence());
            }
        }
        Ok(())
    }

    fn save(&mut self) {
        if let Some((_, stepper)) = &mut self.running {
            stepper.checkpoint();
        }
        if !self.is_dark() {
            self.saved();
        }
    }

    fn is_dark(&self) -> bool {
        self.running.as_ref().is_none_or(|(journal, _)| journal.head().poisoned)
    }

    fn saved(&mut self) {
        for promised in self.promises.consumers.values_mut() {
            promised.saved.clone_from(&promised.settled);
        }
    }

    async fn create_consumer(&mut self) -> Result<(), String> {
        let consumer = format!("c{}", self.promises.consumers.len());
        if self.promises.consumers.len() > 4 {
            return Ok(());
        }
        let streams: StreamSet =
            if self.up_to(1) == 0 { STREAMS[self.up_to(2) as usize].into() } else { StreamSet::product() };
        let start = if self.up_to(1) == 0 { StartAt::Earliest } else { StartAt::Now };
        let command = ConsumerCommand::Create { name: name(&consumer), streams, start, until: None };
        let journal = self.journal()?;
        let created = self.drive(async move { journal.consumers(command).await }).await?;
        if let Some(created) = created.ok().and_then(|mut created| created.pop()) {
            self.saved();
            // An earlier attempt that was not answered may have created it differently.
            let (streams, started_at) = (created.streams, created.state.started_at);
            self.promises.consumers.insert(consumer, Promised { streams, started_at, ..Promised::default() });
        }
        Ok(())
    }

    async fn trim(&mut self) -> Result<(), String> {
        let journal = self.journal()?;
        let head = journal.head();
        let up_to = head.first + self.up_to((head.next - head.first) / 2 + 1);
        self.promises.trimmed = self.promises.trimmed.max(up_to);
        if self.drive(async move { journal.trim(up_to).await }).await?.is_ok()
            && self.journal()?.head().first > head.first
        {
            self.saved();
        }
        Ok(())
    }

    async fn erase(&mut self) -> Result<(), String> {
        let first = self.journal()?.head().first;
        let stored: Vec<Offset> = self.promises.acknowledged.values().map(|(offset, _)| *offset).collect();
        let Some(last) = stored.len().checked_sub(1) else { return Ok(()) };
        let offset = stored[self.up_to(last as u64) as usize];
        if offset.block < first {
            return Ok(());
        }
        self.promises.maybe_erased.insert(offset);
        let journal = self.journal()?;
        if self.drive(async move { journal.erase(&[offset]).await }).await?.is_ok() {
            self.promises.erased.insert(offset);
        }
        Ok(())
    }

    /// Cuts the power, now and then once more while the journal is being opened, and opens it again.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        self.running = None;
        self.disk.crash();
        if self.up_to(2) == 0 {
            self.disk.set_faults(Faults { power_lasts: Some(self.up_to(8)), ..self.faults });
            drop(self.open());
            self.disk.crash();
        }
        self.disk.set_faults(self.faults);
        self.running = Some(self.open().map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Sends an event with a number that was never used, to see that the journal goes on.
    pub(crate) async fn append_one_more(&mut self) -> Result<(), String> {
        let n = self.next_event.next_multiple_of(3);
        self.next_event = n + 1;
        let sent = Append { entries: vec![event_number(n)], ..append(STREAMS[0], []) };
        self.promises.sent.insert(id(n), sent.entries[0].record.clone());
        let (journal, call) = (self.journal()?, sent.clone());
        let answer = self.drive(async move { journal.append(call).await }).await?;
        if let Err(error) = &answer {
            return Err(format!("the journal does not go on: {error}"));
        }
        self.note(&sent, answer)
    }
}
