//! How fast the local journal appends durably: four appenders, 100 events of about 1 KB an append.
//!
//! `cargo run --release -p idstream-journal --example append_rate -- DIRECTORY [SECONDS]`. The directory is on the disk
//! to measure and is filled with about 100 MB a second. CPU time is that of the whole process, from `/proc/self/stat`;
//! it includes building the records.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program for developers")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{EventId, Random, SystemClock, Timestamp};
use event::{RecordBuilder, Section, Stream};
use journal::disk::RealDisk;
use journal::local::{LocalJournal, LocalOptions};
use journal::{Append, AppendError, Entry, Journal, OnConflict, Producer};

const APPENDERS: u64 = 4;
const EVENTS: u64 = 100;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("give a directory");
    let seconds = arguments.next().map_or(10, |text| text.parse().expect("a number of seconds"));
    let disk = Arc::new(RealDisk::open(directory).expect("open the directory"));
    let random = Arc::new(Random::from_system());
    let journal = LocalJournal::open(disk, Arc::new(SystemClock), random, LocalOptions::default());
    let journal = Arc::new(journal.expect("open the journal"));

    let (n_events, slowest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let cpu_before = cpu_seconds();
    let appenders = (0..APPENDERS).map(|appender| {
        let (journal, n_events, slowest) =
            (Arc::clone(&journal), Arc::clone(&n_events), Arc::clone(&slowest));
        tokio::spawn(async move {
            let mut n = appender << 40;
            while begin.elapsed() < Duration::from_secs(seconds) {
                let append = batch(&mut n);
                let sent = Instant::now();
                match journal.append(append).await {
                    Ok(_) => n_events.fetch_add(EVENTS, Ordering::Relaxed),
                    Err(AppendError::Busy) => 0,
                    Err(error) => return Err(error),
                };
                slowest.fetch_max(sent.elapsed().as_micros() as u64, Ordering::Relaxed);
            }
            Ok(())
        })
    });
    for appender in appenders.collect::<Vec<_>>() {
        appender.await.expect("an appender").expect("append");
    }
    let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let n = n_events.load(Ordering::Relaxed) as f64;
    println!("{:.0} events/s, durable", n / elapsed);
    println!("{:.2} CPU seconds per million events", cpu / n * 1e6);
    println!("{:.1} ms slowest append", slowest.load(Ordering::Relaxed) as f64 / 1e3);
    println!("{} MB on disk", journal.head().stored_bytes / 1_000_000);
    journal.close().await.expect("close");
}

fn batch(n: &mut u64) -> Append {
    let entries = (0..EVENTS).map(|_| {
        *n += 1;
        let time = Timestamp::from_millis(1_800_000_000_000 + (*n & 0xff_ffff) as i64).expect("a time");
        let mut id = (u128::from(1_800_000_000_000 + (*n & 0xff_ffff)) << 80).to_be_bytes();
        id[6] = 0x80;
        for (to, from) in id.iter_mut().skip(8).zip(n.to_be_bytes()) {
            *to = from;
        }
        let mut record = RecordBuilder::new(Stream::AccountEvent, EventId::from_bytes(id), time, time);
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
