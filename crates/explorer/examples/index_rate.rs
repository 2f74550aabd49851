//! What the explorer costs: CPU seconds per million events, events per second while it catches up, and how long a look-up
//! takes.
//!
//! `cargo run --release -p idstream-explorer --example index_rate -- DIRECTORY [MILLIONS]`. Fills a journal in DIRECTORY
//! with events of about 1 KB, half of them with ids in no order, then indexes it from the beginning. CPU time is that of
//! the whole process, from `/proc/self/stat`; it includes reading the journal.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program for developers")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, EventId, Random, SystemClock, Timestamp};
use event::{RecordBuilder, Section, Stream};
use explorer::{Explorer, Found, Options, Parts};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{Append, Entry, Journal, OnConflict, Producer};

/// Events of one block.
const EVENTS: u64 = 100;
const MILLION: u64 = 1_000_000;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("give a directory");
    let n = arguments.next().map_or(1, |text| text.parse::<u64>().expect("a number of millions")) * MILLION;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(Random::from_system()));
    let disk =
        |name: &str| Arc::new(RealDisk::open(Path::new(&directory).join(name)).expect("open the directory"));
    let options = LocalOptions::default();
    let journal = LocalJournal::open(disk("journal"), clock.clone(), random, options).expect("open");
    let begin = clock.now();
    for from in (0..n).step_by(EVENTS as usize) {
        journal.append(batch(begin, from)).await.expect("append");
    }

    let parts = Parts {
        journal: Arc::new(journal.clone()),
        disk: disk("explorer"),
        clock,
        options: Options::default(),
    };
    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let explorer = Explorer::start(parts.clone()).expect("start");
    while explorer.status().complete_as_of.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    println!("{:.0} events/s while it catches up", n as f64 / elapsed);
    println!("{:.2} CPU seconds per million events", cpu / n as f64 * 1e6);
    explorer.shutdown().await;

    let started = Instant::now();
    let explorer = Explorer::start(parts).expect("start again");
    println!("{:.1} ms to open", started.elapsed().as_secs_f64() * 1e3);
    for (parity, kind) in ["with a time", "in no order"].into_iter().enumerate() {
        let (started, step) = (Instant::now(), n / 1_000 * 2);
        for at in (0..500).map(|at| at * step + parity as u64) {
            let found = explorer.find(id(begin, at % n)).await.expect("find");
            assert!(matches!(found, Found::Stored(_)), "{at}: {found:?}");
        }
        println!("{:.2} ms to find an id {kind}", started.elapsed().as_secs_f64() * 1e3 / 500.0);
    }
    explorer.shutdown().await;
    journal.close().await.expect("close");
}

/// The id of the event with this number: even ones begin with a time, odd ones do not.
fn id(begin: Timestamp, n: u64) -> EventId {
    let time = begin.plus(Duration::from_micros(n * 20));
    let random = Random::from_seed(n);
    if n.is_multiple_of(2) {
        return EventId::draw(time, &random);
    }
    let mut bytes = random.bytes::<16>();
    bytes[6] = 0x40 | bytes[6] & 15;
    EventId::from_bytes(bytes)
}

fn batch(begin: Timestamp, from: u64) -> Append {
    let entries = (from..from + EVENTS).map(|n| {
        let mut record = RecordBuilder::new(Stream::AccountEvent, id(begin, n), begin, begin);
        record.section_with(Section::Raw, |body| body.extend(std::iter::repeat_n('x', 970)));
        let record = record.finish().expect("a record");
        Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse }
    });
    Append { stream: Stream::AccountEvent, entries: entries.collect(), request_key: None }
}

/// User and system time of this process, in seconds (Linux: fields 14 and 15 of `/proc/self/stat`, 100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("read /proc/self/stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
