//! What a seed has in store: each takes some of the faults and features, so that rare mixes come up.

use std::time::Duration;

use destinations::Vendor;

use crate::Shape;
use crate::dice::Dice;

/// The mix of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Events that producers post, at least.
    pub(crate) n_events: u64,
    pub(crate) n_producers: usize,
    /// Most of a request.
    pub(crate) max_batch: u64,
    /// The longest pause between two requests of a producer.
    pub(crate) pause: Duration,
    pub(crate) n_configurations: usize,
    /// The longest life of a process.
    pub(crate) life: Duration,
    pub(crate) crashes: Crashes,
    pub(crate) disk: DiskFaults,
    pub(crate) producers: Mistakes,
    pub(crate) operators: Deeds,
    /// The worst that a request meets, per mille.
    pub(crate) flaky: u64,
    /// Whether sites have bad times.
    pub(crate) has_weather: bool,
    /// Events that destinations refuse or stumble over, per mille.
    pub(crate) unfit: u64,
    /// Whether the machine's clock is set now and then.
    pub(crate) clock_jumps: bool,
    /// The model: settles of a hundred that are lost, and that answer stale.
    pub(crate) lost_settles: u8,
    /// The model: appends of a thousand whose answer is lost.
    pub(crate) lost_appends: u64,
}

/// How lives end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crashes {
    /// A life ends at a call of the process to the world outside.
    pub(crate) at_calls: bool,
    /// A life ends in order.
    pub(crate) in_order: bool,
    /// Together with the process the power fails.
    pub(crate) power: bool,
}

/// What the disk does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskFaults {
    pub(crate) write_errors: bool,
    pub(crate) sync_errors: bool,
    pub(crate) dies_in_the_middle: bool,
    pub(crate) fills_up: bool,
    pub(crate) is_slow: bool,
}

/// What producers do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mistakes {
    pub(crate) keys: bool,
    pub(crate) own_ids: bool,
    pub(crate) repeats: bool,
    pub(crate) conflicts: bool,
    pub(crate) foreign_ids: bool,
    pub(crate) bad_events: bool,
    pub(crate) reused_keys: bool,
}

/// What operators do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deeds {
    pub(crate) edits: bool,
    pub(crate) pauses: bool,
    pub(crate) deletions: bool,
    pub(crate) trims: bool,
    pub(crate) erasures: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &Dice, shape: Shape) -> Self {
        let maybe = || dice.up_to(1) == 0;
        let is_local = shape == Shape::Local;
        Self {
            n_events: dice.between(100, 500),
            n_producers: dice.between(1, 3) as usize,
            max_batch: dice.pick(1, &[5, 20, 60]),
            pause: Duration::from_millis(dice.pick(50, &[500, 5_000, 60_000])),
            n_configurations: dice.between(1, 4) as usize,
            life: Duration::from_secs(dice.pick(2, &[20, 120, 1_200, 20_000])),
            crashes: Crashes { at_calls: maybe(), in_order: maybe(), power: is_local && maybe() },
            disk: DiskFaults {
                write_errors: is_local && dice.up_to(3) == 0,
                sync_errors: is_local && dice.up_to(3) == 0,
                dies_in_the_middle: is_local && maybe(),
                fills_up: is_local && dice.up_to(3) == 0,
                is_slow: maybe(),
            },
            producers: Mistakes {
                keys: maybe(),
                own_ids: dice.up_to(3) > 0,
                repeats: maybe(),
                conflicts: maybe(),
                foreign_ids: maybe(),
                bad_events: maybe(),
                reused_keys: maybe(),
            },
            operators: Deeds {
                edits: maybe(),
                pauses: maybe(),
                deletions: dice.up_to(3) == 0,
                trims: maybe(),
                erasures: is_local && dice.up_to(3) == 0,
            },
            flaky: dice.pick(0, &[20, 100, 300]),
            has_weather: dice.up_to(3) > 0,
            unfit: dice.pick(0, &[0, 5, 30]),
            clock_jumps: dice.up_to(3) == 0,
            lost_settles: if is_local { 0 } else { dice.pick(0, &[5, 20]) },
            lost_appends: if is_local { 0 } else { dice.pick(0, &[20, 100]) },
        }
    }
}

/// A destination as it stays: its vendor, and how it acknowledges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) vendor: Vendor,
    /// Splunk: how acknowledgement is wanted.
    pub(crate) wanted: &'static str,
    /// Splunk: from taking to storing, when the token has acknowledgement.
    pub(crate) acknowledges_after: Option<Duration>,
    /// The largest body, in bytes.
    pub(crate) max_body: usize,
    /// Splunk: a larger one is code 6 naming the first event.
    pub(crate) names_first: bool,
    /// Lines instead of an array.
    pub(crate) is_ndjson: bool,
}

impl Manner {
    pub(crate) fn draw(dice: &Dice) -> Self {
        let vendor = dice.pick(Vendor::Splunk, &[Vendor::Splunk, Vendor::Elasticsearch, Vendor::Https]);
        let (wanted, delay) = dice.pick(
            ("auto", None),
            &[("auto", Some(1_200)), ("auto", Some(45_000)), ("required", Some(1_200)), ("off", None)],
        );
        Self {
            vendor,
            wanted,
            acknowledges_after: delay.filter(|_| vendor == Vendor::Splunk).map(Duration::from_millis),
            max_body: dice.pick(64 << 20, &[64 << 20, 20_000]),
            names_first: dice.up_to(1) == 0,
            is_ndjson: dice.up_to(1) == 0,
        }
    }
}
