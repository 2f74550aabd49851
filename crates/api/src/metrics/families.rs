//! Which samples there are, made of what is known at the moment.

use std::sync::atomic::{AtomicU64, Ordering};

use base::Timestamp;
use catalog::Found;
use delivery::{LATENCY_BOUNDS_MS, Report, State, Totals};
use intake::Source;

use super::counts::{BOUNDS_MS, Counts, REJECTED};
use super::process::Facts;
use super::sample::{Family, Labels, Value};
use crate::error::ErrorKey;
use crate::health::is_ready;
use crate::state::ApiState;

/// Configurations, and sources, that are told of: the first by their ids.
const MAX_EACH: usize = 500;

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1e3
}

fn load(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

/// Times by their bounds in milliseconds; the last count is of those beyond all bounds.
fn histogram(bounds: &[u64], counts: impl IntoIterator<Item = u64>, sum_ms: u64) -> Value {
    let counts: Vec<u64> = counts.into_iter().collect();
    let total = counts.iter().sum();
    let bounds = bounds.iter().map(|ms| *ms as f64 / 1e3);
    Value::Histogram(bounds.zip(counts).collect(), total, sum_ms as f64 / 1e3)
}

pub(super) fn instance(state: &ApiState) -> Vec<Family> {
    let reasons = state.unready();
    let head = state.journal.head();
    let explorer = state.explorer.status();
    let disk = state.delivery.backlogs().disk();
    let mut families = vec![
        Family::new("idstream_build_info", "The version; always 1.")
            .with(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], Value::Gauge(1.0)),
        Family::new("idstream_ready", "1 while /ready is green, else 0.")
            .gauge(f64::from(u8::from(is_ready(&reasons)))),
        Family::new("idstream_takes_events", "1 while events are taken, 0 while all are refused.")
            .gauge(f64::from(u8::from(reasons.is_empty()))),
        Family::new("idstream_journal_stored_bytes", "Bytes of the journal.").gauge(head.stored_bytes as f64),
        Family::new("idstream_journal_first_block", "The sequence of the oldest stored block.")
            .gauge(head.first as f64),
        Family::new("idstream_journal_next_block", "The sequence that the next block will have.")
            .gauge(head.next as f64),
        Family::new("idstream_journal_poisoned", "1 after a write failed: nothing is taken until a restart.")
            .gauge(f64::from(u8::from(head.poisoned))),
        Family::new("idstream_explorer_behind_blocks", "Blocks that the explorer has not indexed yet.")
            .gauge(explorer.blocks_behind as f64),
        Family::new("idstream_explorer_unreadable_blocks", "Blocks that the explorer could not read.")
            .gauge(explorer.blocks_unreadable as f64),
        Family::new(
            "idstream_quarantine_unreadable_blocks",
            "Blocks that could not be read where the quarantine stream was.",
        )
        .gauge(state.delivery.n_unreadable() as f64),
    ];
    if let Some(disk) = disk {
        families.push(
            Family::new("idstream_disk_free_bytes", "Room on the journal's disk.").gauge(disk.free as f64),
        );
        families.push(
            Family::new("idstream_disk_reserve_bytes", "Room below which nothing more is taken in.")
                .gauge(disk.reserve as f64),
        );
    }
    families
}

pub(super) fn intake(counts: &Counts) -> Vec<Family> {
    let mut rejected = Family::new("idstream_intake_rejected_events", "Events that were refused, by reason.");
    for (reason, count) in REJECTED.iter().chain(&["other"]).zip(&counts.rejected) {
        rejected = rejected.with(vec![("reason", (*reason).to_owned())], Value::Counter(load(count)));
    }
    let mut refused = Family::new(
        "idstream_intake_refused_requests",
        "Deliveries that were refused as a whole, by error key.",
    );
    // Those that say that there is no room are always there, so that their growth can be seen.
    let always = [ErrorKey::Busy, ErrorKey::Unavailable, ErrorKey::BacklogSpent];
    for (key, count) in ErrorKey::ALL.iter().zip(&counts.refused) {
        if load(count) > 0 || always.contains(key) {
            let labels =
                vec![("error_key", key.name().to_owned()), ("code", key.status().as_u16().to_string())];
            refused = refused.with(labels, Value::Counter(load(count)));
        }
    }
    let times = histogram(&BOUNDS_MS, counts.times.iter().map(load), load(&counts.time_ms));
    vec![
        Family::new("idstream_intake_accepted_events", "Events that were stored, durably.")
            .counter(load(&counts.accepted)),
        Family::new("idstream_intake_duplicate_events", "Events that had been stored before.")
            .counter(load(&counts.duplicates)),
        rejected,
        refused,
        Family::new("idstream_intake_bytes", "Bytes of deliveries, decompressed.")
            .counter(load(&counts.bytes)),
        Family::new("idstream_intake_duration_seconds", "From a read body to its durable receipts.")
            .with(Labels::new(), times),
    ]
}

pub(super) fn sources(state: &ApiState) -> Vec<Family> {
    let mut last = Family::new(
        "idstream_source_last_event_timestamp_seconds",
        "When a source last brought an event since the process started.",
    );
    let mut accepted = Family::new("idstream_source_accepted_events", "Events of a source that were stored.");
    let mut duplicates =
        Family::new("idstream_source_duplicate_events", "Events of a source that had been stored before.");
    let mut quarantined = Family::new(
        "idstream_source_quarantined_items",
        "Items of a source that are no events, kept in intake quarantine.",
    );
    let counted = state.counts().sources.lock();
    let known = state.catalog.list_each::<Source>().into_iter().filter_map(|(_, found)| found.ok());
    for Found { value: source, .. } in known.take(MAX_EACH) {
        let from = counted.get(&source.id).copied().unwrap_or_default();
        let labels = || vec![("id", source.id.clone()), ("name", source.name.clone())];
        if let Some(at) = from.last {
            last = last.with(labels(), Value::Gauge(seconds(at)));
        }
        accepted = accepted.with(labels(), Value::Counter(from.accepted));
        duplicates = duplicates.with(labels(), Value::Counter(from.duplicates));
        quarantined = quarantined.with(labels(), Value::Counter(from.quarantined));
    }
    vec![last, accepted, duplicates, quarantined]
}

/// What there is of each configuration: the name, its help, and how its samples are made.
type Row = (&'static str, &'static str, fn(&Report, Timestamp) -> Vec<(Labels, Value)>);

fn one(value: Value) -> Vec<(Labels, Value)> {
    vec![(Labels::new(), value)]
}

fn gauge(value: u64) -> Vec<(Labels, Value)> {
    one(Value::Gauge(value as f64))
}

const ROWS: [Row; 13] = [
    ("idstream_streaming_state", "1 for the state that a configuration is in, 0 for the others.", |of, _| {
        let is = |state: State| f64::from(u8::from(of.shown.state == state));
        let samples = State::ALL.into_iter();
        samples.map(|state| (vec![("state", state.name().to_owned())], Value::Gauge(is(state)))).collect()
    }),
    (
        "idstream_streaming_events",
        "The books of a configuration since its start: settled events, by what became of them.",
        books,
    ),
    (
        "idstream_streaming_appended_events",
        "Events that were accepted since a configuration's start.",
        |of, _| one(Value::Counter(of.books.appended)),
    ),
    ("idstream_streaming_pending_events", "Events that are not settled.", |of, _| gauge(of.n_pending())),
    ("idstream_streaming_pending_bytes", "Bytes of the journal that hold them.", |of, _| {
        gauge(of.books.pending_bytes)
    }),
    (
        "idstream_streaming_lag_seconds",
        "How long ago the oldest of them was stored, parked ones left aside; 0 when there is none.",
        |of, now| gauge(of.lag_seconds(now)),
    ),
    ("idstream_streaming_parked_events", "Events that the destination stumbles over.", |of, _| {
        gauge(of.parked)
    }),
    ("idstream_streaming_in_flight_requests", "Requests in flight.", |of, _| {
        gauge(of.live.as_ref().map_or(0, |live| live.in_flight as u64))
    }),
    (
        "idstream_streaming_requests",
        "Requests since the process started, by the class of the answer's status.",
        |of, _| {
            let classes = Totals::CLASSES.into_iter().zip(of.totals.requests);
            classes.map(|(class, n)| (vec![("code", class.to_owned())], Value::Counter(n))).collect()
        },
    ),
    ("idstream_streaming_request_duration_seconds", "How long requests took.", |of, _| {
        let latencies = &of.totals.latencies;
        one(histogram(&LATENCY_BOUNDS_MS, latencies.counts, latencies.sum_ms))
    }),
    (
        "idstream_streaming_delivered_events",
        "Events that were delivered since the process started, in any grade.",
        |of, _| one(Value::Counter(of.totals.events)),
    ),
    ("idstream_streaming_delivered_bytes", "Bytes of their documents, before compression.", |of, _| {
        one(Value::Counter(of.totals.bytes))
    }),
    (
        "idstream_streaming_retried_events",
        "Events that were sent again since the process started.",
        |of, _| one(Value::Counter(of.totals.retried)),
    ),
];

/// An event that is parked can leave a column of the books again, so that they are no counters.
fn books(of: &Report, _: Timestamp) -> Vec<(Labels, Value)> {
    // Half of the books would look like events that move.
    if of.unread.is_some() {
        return Vec::new();
    }
    let tally = &of.books.tally;
    let columns = [
        ("skipped", tally.skipped),
        ("confirmed", tally.confirmed),
        ("diverted", tally.diverted),
        ("accepted", tally.accepted),
        ("quarantined", tally.quarantined),
        ("discarded", tally.discarded),
        ("expired", tally.expired),
        ("erased", tally.erased),
    ];
    columns.into_iter().map(|(end, n)| (vec![("end", end.to_owned())], Value::Gauge(n as f64))).collect()
}

pub(super) fn streaming(reports: &[Report], now: Timestamp) -> Vec<Family> {
    let family = |(name, help, samples): Row| {
        let mut family = Family::new(name, help);
        for report in reports.iter().take(MAX_EACH) {
            let vendor = report.configuration.as_ref().map_or("", |found| found.vendor.name());
            for (more, value) in samples(report, now) {
                let mut labels = vec![
                    ("id", report.id.clone()),
                    ("name", report.name().to_owned()),
                    ("type", vendor.to_owned()),
                ];
                labels.extend(more);
                family = family.with(labels, value);
            }
        }
        family
    };
    ROWS.into_iter().map(family).collect()
}

pub(super) fn process(facts: &Facts) -> Vec<Family> {
    let gauge = |name, help, value: Option<u64>| {
        let family = Family::new(name, help);
        value.map_or(family.clone(), |value| family.gauge(value as f64))
    };
    let cpu = Family::new("process_cpu_seconds", "Time of processors that was used.");
    vec![
        gauge("process_resident_memory_bytes", "Memory that is in use.", facts.resident_bytes),
        gauge("process_open_fds", "Files and connections that are open.", facts.open_files),
        gauge("process_max_fds", "How many may be.", facts.max_files),
        facts.cpu_seconds.map_or(cpu.clone(), |seconds| cpu.with(Labels::new(), Value::Seconds(seconds))),
    ]
}
