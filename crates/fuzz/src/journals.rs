//! Bytes of the journal's files: read for what they are, or refused; never taken for something that was not written.

use std::sync::{Arc, OnceLock};

use base::Random;
use event::{Stream, StreamSet};
use journal::conformance::{append, clock, entry, limits, name};
use journal::disk::Disk;
use journal::local::{LocalJournal, LocalOptions, fuzz};
use journal::{ConsumerCommand, Journal, ReadRange, StartAt};
use testkit::disk::SimDisk;

/// Events of the journal that is meddled with.
const EVENTS: u64 = 12;
/// Bytes of the headers of a segment and of a block; the last four are a checksum.
const SEGMENT_HEADER: usize = 192;
const BLOCK_HEADER: usize = 168;
/// Bytes of a sidecar's page.
const PAGE: usize = 4096;

/// One format after another, by the first byte; checksums are made to fit.
pub(crate) fn format(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 4 {
        0 => fuzz::block(bytes),
        1 => fuzz::segment_header(bytes),
        2 => fuzz::checkpoint(bytes),
        _ => fuzz::anchor(bytes),
    }
}

/// One of each format, out of a journal.
pub(crate) fn format_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (file, bytes) in files() {
        let kind = match file.as_str() {
            "consumers" => 2,
            "anchor" => 3,
            _ if bytes.starts_with(b"idsSEGMT") => 1,
            _ => continue,
        };
        seeds.push([&[kind], bytes.get(..bytes.len() - 4).unwrap_or_default()].concat());
        if let Some(block) = bytes.get(SEGMENT_HEADER..).filter(|_| kind == 1) {
            seeds.push([&[0], block].concat());
            let header = bytes.get(..SEGMENT_HEADER - 4).unwrap_or_default();
            seeds.push([&[1], header].concat());
        }
    }
    seeds
}

/// The files of a journal of several segments, with a consumer and an anchor.
fn files() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let disk = SimDisk::new(1);
        block_on(fill(&disk));
        let mut files = disk.list("").unwrap_or_default();
        files.retain(|file| file != "lock");
        files.sort();
        files.into_iter().filter_map(|file| Some((file.clone(), disk.bytes(&file)?))).collect()
    })
}

async fn fill(disk: &SimDisk) -> Option<()> {
    let journal = open(disk)?;
    let streams = StreamSet::product();
    let command = ConsumerCommand::Create { name: name("c"), streams, start: StartAt::Earliest, until: None };
    journal.consumers(command).await.ok()?;
    for n in (0..EVENTS).step_by(2) {
        journal.append(append(Stream::AccountEvent, [n, n + 1])).await.ok()?;
    }
    journal.trim(2).await.ok()?;
    journal.close().await.ok()
}

fn open(disk: &SimDisk) -> Option<LocalJournal> {
    let options = LocalOptions { segment_bytes: 900, cache_bytes: 0, ..LocalOptions::default() };
    LocalJournal::open(Arc::new(disk.clone()), Arc::new(clock()), Arc::new(Random::from_seed(1)), options)
        .ok()
}

/// A journal some of whose bytes are other ones: opened, read, verified, written to. Each change is a file (1), a place (2),
/// how many bytes (1), and these; the first byte says whether checksums are made to fit.
pub(crate) fn directory(bytes: &[u8]) {
    let Some((flags, mut changes)) = bytes.split_first() else { return };
    let mut files = files().to_vec();
    while let Some(([file, high, low, n], rest)) = changes.split_first_chunk() {
        let (with, rest) = rest.split_at(usize::from(n % 24).min(rest.len()));
        changes = rest;
        let at = usize::from(*file) % files.len().max(1);
        let Some((_, bytes)) = files.get_mut(at) else { return };
        let place = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        let end = bytes.len().min(place + with.len());
        match n / 24 {
            0..=7 => drop(bytes.splice(place..end, with.iter().copied())),
            8 => bytes.truncate(place),
            _ => drop(bytes.splice(place..place, with.iter().copied())),
        }
        if flags & 1 == 1 {
            seal(bytes);
        }
    }
    block_on(run(files));
}

/// Makes the checksums of a file fit what it holds, as far as they can be found.
fn seal(bytes: &mut [u8]) {
    if bytes.starts_with(b"idsIDTAB") {
        // A page's checksum covers its segment and its number, too.
        let segment = bytes.get(16..24).map(<[u8]>::to_vec).unwrap_or_default();
        for (number, page) in bytes.chunks_mut(PAGE).enumerate() {
            let place = crc32c::crc32c_append(crc32c::crc32c(&segment), &(number as u64).to_le_bytes());
            put_sum(page, |body| crc32c::crc32c_append(place, body));
        }
    } else if bytes.starts_with(b"idsSEGMT") {
        let (segment, block) = bytes.split_at_mut(SEGMENT_HEADER.min(bytes.len()));
        put_sum(segment, crc32c::crc32c);
        if let Some(header) = block.get_mut(..BLOCK_HEADER) {
            put_sum(header, crc32c::crc32c);
        }
    } else {
        put_sum(bytes, crc32c::crc32c);
    }
}

fn put_sum(bytes: &mut [u8], sum: impl Fn(&[u8]) -> u32) {
    if let Some((body, place)) = bytes.split_last_chunk_mut::<4>() {
        *place = sum(body).to_le_bytes();
    }
}

async fn run(files: Vec<(String, Vec<u8>)>) {
    let disk = SimDisk::new(1);
    for (file, bytes) in files {
        disk.set_bytes(&file, bytes);
    }
    let Some(journal) = open(&disk) else { return };
    // Each answers or fails; what may not happen is that one of them panics, or hangs.
    let _answer = journal.verify().await;
    let _answer = journal.append(append(Stream::AccountEvent, [3, EVENTS - 1])).await;
    let _answer = journal.consumers(ConsumerCommand::List).await;
    for from in 1..8 {
        let range = ReadRange { streams: StreamSet::product(), from, until: from + 1, max_bytes: 1 };
        for block in journal.read(range).await.unwrap_or_default() {
            for (_, record) in block.records() {
                let was_written =
                    (0..EVENTS).any(|n| entry(Stream::AccountEvent, n).record == record.as_bytes());
                assert!(was_written, "a record that was never written is read");
            }
        }
    }
    let _answer = journal.lease(&name("c"), StreamSet::product(), limits()).await;
    let _answer = journal.trim(4).await;
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        std::process::exit(2)
    };
    runtime.block_on(future)
}

/// Changes of each kind.
pub(crate) fn directory_seeds() -> Vec<Vec<u8>> {
    let change =
        |file: u8, at: u16, n: u8, with: &[u8]| [&[file], &at.to_be_bytes()[..], &[n], with].concat();
    (0..files().len() as u8)
        .flat_map(|file| {
            [
                [&[1], &change(file, 30, 4, &[1, 2, 3, 4])[..]].concat(),
                [&[0], &change(file, 200, 8 * 24, &[])[..]].concat(),
                [&[1], &change(file, 100, 9 * 24 + 2, &[0, 0])[..]].concat(),
                [&[1], &change(file, 20, 1, &[0])[..], &change(file + 1, 40, 1, &[9])[..]].concat(),
            ]
        })
        .collect()
}
