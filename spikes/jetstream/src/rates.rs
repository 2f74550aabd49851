//! Rough figures, as ratios to the local journal in the same run on the same disk.

use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use base::{EventId, Random, SystemClock};
use bytes::Bytes;
use event::{RecordBuilder, Section, Stream, StreamSet};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use journal::conformance::{confirmed, limits, name};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{
    Append, ConsumerCommand, Entry, Journal, LeaseLimits, OnConflict, Producer, Settlement, StartAt,
};

use crate::jet::{JetJournal, Mapping};
use crate::server::{Failure, Server, SyncWhen};

const SHORT: Duration = Duration::from_secs(3);
/// Blocks that are leased and settled.
const BLOCKS: usize = 500;

struct Figures {
    /// Half of the single appends were answered within it.
    latency: Duration,
    events: f64,
    settled: f64,
}

pub async fn run(program: &Path) -> Result<(), Failure> {
    println!(
        "\nRates: one append of one event at a time; four appenders of 100 events of 1 kB; {BLOCKS} blocks settled"
    );
    let folder = tempfile::Builder::new().prefix("local-").tempdir_in(program.parent().unwrap_or(program))?;
    let disk = Arc::new(RealDisk::open(folder.path())?);
    let random = Arc::new(Random::from_system());
    let local = LocalJournal::open(disk, Arc::new(SystemClock), random, LocalOptions::default())?;
    let local = figures(Arc::new(local)).await?;
    tell("local", &local, &local);
    for (text, sync) in [("always", SyncWhen::Always), ("every 2 min", SyncWhen::Interval)] {
        let server = Server::start(program, sync)?;
        for mapping in [Mapping::Pull, Mapping::Cursor] {
            let client = async_nats::connect(server.url()).await?;
            let prefix = format!("rates{mapping:?}");
            let journal = JetJournal::open(client, &prefix, mapping, Arc::new(SystemClock)).await?;
            tell(&format!("JetStream, sync {text}, {mapping:?}"), &figures(Arc::new(journal)).await?, &local);
        }
        let raw = raw(&server).await?;
        println!(
            "  {:<34} {raw:>9.0} events/s, 16 messages of 100 kB in flight, nothing judged",
            format!("JetStream, sync {text}, bare")
        );
    }
    Ok(())
}

fn tell(what: &str, figures: &Figures, local: &Figures) {
    let Figures { latency, events, settled } = figures;
    println!(
        "  {what:<34} {:>6.2} ms ({:>4.1}x) | {events:>7.0} events/s ({:>4.2}x) | {settled:>6.0} blocks/s ({:>4.2}x)",
        latency.as_secs_f64() * 1e3,
        latency.as_secs_f64() / local.latency.as_secs_f64(),
        events / local.events,
        settled / local.settled,
    );
}

fn batch(n: &AtomicU64, n_events: u64) -> Append {
    let entries = (0..n_events).map(|_| {
        let n = n.fetch_add(1, Ordering::Relaxed);
        let time = journal_time();
        let id = EventId::from_bytes(
            (u128::from(n) << 8 | 0x0197_f3a0_6c1e_7000_8000_0000_0000_0000).to_be_bytes(),
        );
        let mut record = RecordBuilder::new(Stream::AccountEvent, id, time, time);
        record.section_with(Section::Raw, |body| body.extend(std::iter::repeat_n('x', 970)));
        let record = record.finish().unwrap_or_default();
        Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }
    });
    Append { stream: Stream::AccountEvent, entries: entries.collect(), request_key: None }
}

fn journal_time() -> base::Timestamp {
    base::Timestamp::from_millis(1_800_000_000_000).unwrap_or_default()
}

async fn figures(journal: Arc<dyn Journal>) -> Result<Figures, Failure> {
    let n = Arc::new(AtomicU64::new(1));
    let streams = StreamSet::product();
    let create = ConsumerCommand::Create { name: name("c"), streams, start: StartAt::Now, until: None };
    journal.consumers(create).await?;
    let mut latencies = Vec::new();
    for _ in 0..BLOCKS {
        let sent = Instant::now();
        journal.append(batch(&n, 1)).await?;
        latencies.push(sent.elapsed());
    }
    latencies.sort();
    let settled = settle(journal.as_ref(), streams).await?;

    let (begin, from) = (Instant::now(), n.load(Ordering::Relaxed));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (journal, n) = (Arc::clone(&journal), Arc::clone(&n));
        tasks.push(tokio::spawn(async move {
            while begin.elapsed() < SHORT {
                journal.append(batch(&n, 100)).await?;
            }
            Ok::<_, journal::AppendError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let n_events = n.load(Ordering::Relaxed) - from;
    let events = n_events as f64 / begin.elapsed().as_secs_f64();
    Ok(Figures { latency: latencies[BLOCKS / 2], events, settled })
}

async fn settle(journal: &dyn Journal, streams: StreamSet) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut n_settled = 0;
    while n_settled < BLOCKS {
        let some = LeaseLimits { max_blocks: 50, ..limits() };
        for lease in journal.lease(&name("c"), streams, some).await? {
            journal.settle(lease.id, Settlement::Done(confirmed(&lease.block))).await?;
            n_settled += 1;
        }
    }
    Ok(n_settled as f64 / begin.elapsed().as_secs_f64())
}

/// What the server takes when nobody asks for an order or for ids.
async fn raw(server: &Server) -> Result<f64, Failure> {
    let context = jetstream::new(async_nats::connect(server.url()).await?);
    let config =
        stream::Config { name: "raw".to_owned(), subjects: vec!["raw".to_owned()], ..Default::default() };
    context.create_stream(config).await?;
    let payload = Bytes::from(vec![b'x'; 100_000]);
    let begin = Instant::now();
    let (mut flying, mut n) = (FuturesUnordered::new(), 0_u64);
    while begin.elapsed() < SHORT {
        while flying.len() < 16 {
            flying.push(context.publish("raw", payload.clone()).await?.into_future());
        }
        if let Some(ack) = flying.next().await {
            ack?;
            n += 1;
        }
    }
    Ok(n as f64 * 100.0 / begin.elapsed().as_secs_f64())
}
