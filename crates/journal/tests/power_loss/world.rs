//! A journal on a simulated disk, what it is asked to do, and what it has promised so far.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::consumers::Promised;
use base::{EventId, ManualClock, Random};
use event::Stream;
use journal::conformance::{append, clock, entry, id, record};
use journal::local::{LocalJournal, LocalOptions, Stepper};
use journal::{Append, AppendError, Appended, Entry, Journal, JournalError, Offset, Receipt, RequestKey};
use testkit::disk::{Faults, SimDisk};

pub(crate) const STREAMS: [Stream; 3] = [Stream::AccountEvent, Stream::AuditLog, Stream::Quarantine];

/// A block as a consumer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenBlock {
    pub(crate) stream: Stream,
    pub(crate) n_records: u64,
}

/// What the journal answered, and what it may hold besides.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) acknowledged: BTreeMap<EventId, (Offset, Vec<u8>)>,
    /// Every record that was ever sent.
    pub(crate) sent: BTreeMap<EventId, BTreeSet<Vec<u8>>>,
    /// Request keys that were accepted: the digest, and a sequence at or before which the key is stored.
    keys: BTreeMap<EventId, ([u8; 8], u64)>,
    /// Every key and digest that was ever sent, and the journal's end before the first time.
    keys_sent: BTreeMap<EventId, BTreeMap<[u8; 8], u64>>,
    pub(crate) erased: BTreeSet<Offset>,
    pub(crate) maybe_erased: BTreeSet<Offset>,
    /// The highest trim point that was asked for.
    pub(crate) trimmed: u64,
    pub(crate) consumers: BTreeMap<String, Promised>,
    pub(crate) removed: BTreeSet<String>,
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
    /// How often the power failed or the process was killed.
    pub(crate) n_cuts: u64,
    pub(crate) promises: Promises,
}

fn stream_of(n: u64) -> Stream {
    STREAMS[(n % 3) as usize]
}

fn id_of(entry: &Entry) -> EventId {
    event::Record::parse(&entry.record).expect("a record").event_id()
}

/// Stream and content follow from the number, so that an event sent again is the same, unless it is to be another.
fn event_number(n: u64, other_content: bool) -> Entry {
    let letter = if other_content { "y" } else { "x" };
    let text = format!("\"{}\"", letter.repeat(1 + (n * 37 % 400) as usize));
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
            n_cuts: 0,
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

    pub(crate) fn up_to(&self, bound: u64) -> u64 {
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
        let faults = match self.up_to(3) {
            0 => Faults { fail_sync_after: Some(self.up_to(20)), ..self.faults },
            1 => Faults { fail_write_after: Some(self.up_to(20)), ..self.faults },
            _ => Faults { power_lasts: Some(lasts), ..self.faults },
        };
        self.disk.set_faults(faults);
        while self.disk.counts().changes <= lasts && !self.is_dark() {
            self.clock.advance(Duration::from_millis(self.up_to(500)));
            match self.up_to(16) {
                0..7 => self.append_some().await?,
                7..10 => self.consume().await?,
                10 => self.save(),
                11 => self.create_consumer().await?,
                12 => self.seek().await?,
                13 => self.remove_consumer().await?,
                14 => self.trim().await?,
                15 => self.expire().await?,
                _ => self.erase().await?,
            }
        }
        Ok(())
    }

    /// One to four appends that may become one group; some events and request keys are sent again.
    async fn append_some(&mut self) -> Result<(), String> {
        let mut tasks = Vec::new();
        let next = self.journal()?.head().next;
        for _ in 0..=self.up_to(3) {
            let sent = self.some_events();
            for entry in &sent.entries {
                self.promises.sent.entry(id_of(entry)).or_default().insert(entry.record.clone());
            }
            let journal = self.journal()?;
            tasks.push((sent.clone(), tokio::spawn(async move { journal.append(sent).await })));
        }
        self.drive_until(|| tasks.iter().all(|(_, task)| task.is_finished())).await?;
        for (sent, task) in tasks {
            self.note(&sent, next, task.await.map_err(|error| error.to_string())?)?;
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
                let other_content = again && self.up_to(3) == 0;
                sent.entries.push(event_number(n, other_content));
            }
        }
        if self.up_to(5) == 0 {
            let digest = [self.up_to(1) as u8; 8];
            sent.request_key =
                Some(RequestKey { id: id(1_000_000 + 10 * (self.n_cuts / 3) + self.up_to(5)), digest });
        }
        sent
    }

    /// `next`: the journal's end before the append.
    fn note(
        &mut self,
        sent: &Append,
        next: u64,
        answer: Result<Appended, AppendError>,
    ) -> Result<(), String> {
        if let Some(key) = sent.request_key {
            self.note_key(key, next, &answer)?;
        }
        let Ok(appended) = answer else { return Ok(()) };
        for (entry, receipt) in sent.entries.iter().zip(&appended.receipts) {
            self.note_receipt(sent.stream, entry, *receipt)?;
        }
        Ok(())
    }

    /// A key with another body is refused from its first use on, until it is trimmed.
    fn note_key(
        &mut self,
        key: RequestKey,
        next: u64,
        answer: &Result<Appended, AppendError>,
    ) -> Result<(), String> {
        let first = self.journal()?.head().first;
        let known = self.promises.keys.get(&key.id).filter(|(_, from)| *from >= first);
        let other = known.is_some_and(|(digest, _)| *digest != key.digest);
        match answer {
            Ok(_) if other => return Err(format!("request key {} was taken twice", key.id)),
            Ok(_) if known.is_none() => {
                // It may have been stored before, by an append that was not answered.
                let from =
                    *self.promises.keys_sent.entry(key.id).or_default().entry(key.digest).or_insert(next);
                self.promises.keys.insert(key.id, (key.digest, from));
            }
            Err(AppendError::KeyReused) => {
                let sent = self.promises.keys_sent.get(&key.id);
                if !sent.is_some_and(|sent| sent.keys().any(|digest| *digest != key.digest)) {
                    return Err(format!("request key {} was never used with another body", key.id));
                }
            }
            _ => {}
        }
        self.promises.keys_sent.entry(key.id).or_default().entry(key.digest).or_insert(next);
        Ok(())
    }

    fn note_receipt(&mut self, stream: Stream, entry: &Entry, receipt: Receipt) -> Result<(), String> {
        let (id, first) = (id_of(entry), self.journal()?.head().first);
        // The id of an event that was trimmed or erased is forgotten.
        let known = self.promises.acknowledged.get(&id);
        let known =
            known.filter(|(at, _)| at.block >= first && !self.promises.maybe_erased.contains(at)).cloned();
        match (receipt, known) {
            (Receipt::Stored(offset), None) => {
                self.promises.acknowledged.insert(id, (offset, entry.record.clone()));
                let block = SeenBlock { stream, n_records: 0 };
                let block = self.promises.blocks.entry(offset.block).or_insert(block);
                block.n_records = block.n_records.max(u64::from(offset.index) + 1);
                Ok(())
            }
            (Receipt::Stored(offset), Some((before, _))) => {
                Err(format!("{id} was acknowledged at {before} and again at {offset}"))
            }
            (Receipt::Duplicate, Some((_, record))) if record == entry.record => Ok(()),
            (Receipt::Conflict, Some((_, record))) if record != entry.record => Ok(()),
            (Receipt::Duplicate | Receipt::Conflict, None)
                if self.promises.maybe_erased.iter().any(|at| at.block >= first) =>
            {
                Ok(())
            }
            (other, known) => {
                Err(format!("{id} was answered {other:?}, but {:?} was promised", known.map(|(at, _)| at)))
            }
        }
    }

    fn save(&mut self) {
        if let Some((_, stepper)) = &mut self.running {
            stepper.checkpoint();
        }
        if !self.is_dark() {
            self.saved();
        }
    }

    pub(crate) fn is_dark(&self) -> bool {
        self.running.as_ref().is_none_or(|(journal, _)| journal.head().poisoned)
    }

    pub(crate) fn saved(&mut self) {
        for promised in self.promises.consumers.values_mut() {
            promised.saved.clone_from(&promised.settled);
        }
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

    /// Lets a stream expire up to where some segment begins.
    async fn expire(&mut self) -> Result<(), String> {
        let journal = self.journal()?;
        let segments = journal.segments();
        let point = segments[self.up_to(segments.len() as u64 - 1) as usize].first;
        let expiring = STREAMS[self.up_to(2) as usize];
        let points = Stream::ALL.map(|stream| if stream == expiring { point } else { 0 });
        let seen = self.promises.blocks.range(..point).filter(|(_, block)| block.stream == expiring);
        let blocks: BTreeSet<u64> = seen.map(|(sequence, _)| *sequence).collect();
        for promised in self.promises.consumers.values_mut() {
            promised.gone.extend(&blocks);
        }
        let stored = self.promises.acknowledged.values().map(|(offset, _)| *offset);
        let offsets: BTreeSet<_> = stored.filter(|offset| blocks.contains(&offset.block)).collect();
        self.promises.maybe_erased.extend(&offsets);
        let expired = self.drive(async move { journal.expire(points).await }).await?;
        if expired.is_ok_and(|expiry| !expiry.is_more) {
            self.promises.erased.extend(&offsets);
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

    /// Cuts the power or ends the process alone, now and then once more while the journal is being opened, and opens it
    /// again.
    pub(crate) fn reopen(&mut self) -> Result<(), String> {
        self.running = None;
        self.cut();
        while self.up_to(2) == 0 {
            let faults = if self.up_to(1) == 0 {
                Faults { power_lasts: Some(self.up_to(8)), ..self.faults }
            } else {
                Faults { fail_sync_after: Some(self.up_to(2)), ..self.faults }
            };
            self.disk.set_faults(faults);
            drop(self.open());
            self.cut();
        }
        self.disk.set_faults(self.faults);
        self.running = Some(self.open().map_err(|error| error.to_string())?);
        Ok(())
    }

    fn cut(&mut self) {
        self.n_cuts += 1;
        if self.up_to(1) == 0 { self.disk.crash() } else { self.disk.kill() }
    }

    /// Sends an event with a number that was never used, to see that the journal goes on.
    pub(crate) async fn append_one_more(&mut self) -> Result<(), String> {
        let n = self.next_event.next_multiple_of(3);
        self.next_event = n + 1;
        let sent = Append { entries: vec![event_number(n, false)], ..append(STREAMS[0], []) };
        self.promises.sent.entry(id(n)).or_default().insert(sent.entries[0].record.clone());
        let (journal, call) = (self.journal()?, sent.clone());
        let next = journal.head().next;
        let answer = self.drive(async move { journal.append(call).await }).await?;
        if let Err(error) = &answer {
            return Err(format!("the journal does not go on: {error}"));
        }
        self.note(&sent, next, answer)
    }
}
