//! What one destination does concerns no other: neither its speed, nor the memory, nor the host when it comes back.

use std::time::Duration;

use base::{Clock, EventId};
use destinations::Vendor;
use event::{RecordBuilder, Section, Stream};
use journal::model::ModelOptions;
use journal::{Append, Entry, Journal, OnConflict, Producer};
use serde_json::json;
use testkit::net::Faults;
use tokio::time::Instant;

use crate::world::{NO_FAULTS, World};

const HEALTHY: &str = "192.0.2.1";
/// Payload bytes of a block, about.
const BLOCK: usize = 64 * 1024;
/// Blocks of a load.
const N_BLOCKS: usize = 200;

/// What destinations do that take nothing, each for ever.
const DEAD: [(&str, Faults); 6] = [
    ("192.0.2.11", Faults { hang: 100, ..NO_FAULTS }),
    ("192.0.2.12", Faults { lost_request: 100, ..NO_FAULTS }),
    ("192.0.2.13", Faults { lost_answer: 100, ..NO_FAULTS }),
    ("192.0.2.14", Faults { broken: 100, ..NO_FAULTS }),
    ("192.0.2.15", Faults { busy: 100, ..NO_FAULTS }),
    ("192.0.2.16", Faults { unfit: 100, ..NO_FAULTS }),
];

fn at(host: &str) -> serde_json::Value {
    json!({"url": format!("http://{host}:8088")})
}

/// Appends blocks of 64 KiB; how long that took.
async fn append_blocks(world: &World, n_blocks: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n_blocks {
        let raw = format!("\"{}\"", "x".repeat(2_000));
        let entries = (0..BLOCK / 2_000).map(|_| {
            let now = world.clock.now();
            let id = EventId::draw(now, &world.random);
            let mut builder = RecordBuilder::new(Stream::AccountEvent, id, now, now);
            builder.section(Section::Source, "simulated");
            builder.section(Section::Header, "\"type\":\"customerFlow\"");
            builder.section(Section::Raw, &raw);
            Entry {
                record: builder.finish().unwrap(),
                producer: Producer(1),
                on_conflict: OnConflict::Refuse,
            }
        });
        let append = Append { stream: Stream::AccountEvent, entries: entries.collect(), request_key: None };
        world.journal.append(append).await.unwrap();
    }
    start.elapsed()
}

/// Returns when nothing is left to do for a destination.
async fn delivered(world: &World, id: &str) {
    loop {
        let state = world.state(id).await;
        if state.tally.total() == state.appended {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How long a healthy destination takes for a load, and intake to store it, beside six others.
async fn time_of_the_healthy(others: &[(&str, Faults); 6]) -> (Duration, Duration, World) {
    let world = World::new(5, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    let supervisor = world.supervisor().await;
    for (host, faults) in others {
        world.net.set_faults_of(host, *faults);
        world.configure_at(host, Vendor::Splunk, at(host), false).await;
    }
    world.configure_at("healthy", Vendor::Splunk, at(HEALTHY), false).await;
    append_blocks(&world, N_BLOCKS).await;
    delivered(&world, "healthy").await;
    // The others have gone through what they do when nothing works, and have their windows full.
    tokio::time::sleep(Duration::from_mins(20)).await;
    let (start, stored) = (Instant::now(), append_blocks(&world, N_BLOCKS).await);
    delivered(&world, "healthy").await;
    let took = start.elapsed();
    drop(supervisor);
    (took, stored, world)
}

#[tokio::test(start_paused = true)]
async fn destinations_that_hang_refuse_and_fail_slow_no_other_and_hold_no_more_than_their_share() {
    let (before, stored_before, _) = time_of_the_healthy(&DEAD.map(|(host, _)| (host, NO_FAULTS))).await;
    let (beside, stored_beside, world) = time_of_the_healthy(&DEAD).await;
    assert!(beside <= before + before / 20, "{beside:?}, and {before:?} while the others were healthy too");
    assert!(stored_beside <= stored_before + Duration::from_millis(1), "intake: {stored_beside:?}");

    let share = (16 << 20) / (DEAD.len() + 1);
    for (host, _) in DEAD {
        let state = world.state(host).await;
        assert!(state.n_leased * BLOCK <= share + BLOCK, "{host} holds {} blocks", state.n_leased);
        assert_eq!(state.appended, (2 * N_BLOCKS * (BLOCK / 2_000)) as u64, "{host} has all of it to come");
        assert_eq!(state.tally.delivered(), 0, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_full_of_hanging_requests_is_as_large_after_days_as_after_minutes() {
    let world = World::new(6, ModelOptions::default());
    world.net.set_faults(Faults { hang: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    world.configure_at("hung", Vendor::Splunk, at(HEALTHY), false).await;
    append_blocks(&world, 100).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let early = world.state("hung").await.n_leased;
    append_blocks(&world, 200).await;
    tokio::time::sleep(Duration::from_hours(72)).await;
    let late = world.state("hung").await.n_leased;
    assert!(early > 0 && late <= early + 1, "{early} blocks, then {late}");

    world.net.set_faults(NO_FAULTS);
    let state = world.settled("hung").await;
    assert_eq!(state.tally.accepted, state.appended, "all of it is delivered in the end");
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_comes_back_meets_one_probe_of_each_configuration_and_then_more_and_more() {
    let world = World::new(7, ModelOptions::default());
    world.net.set_faults(Faults { lost_request: 100, ..NO_FAULTS });
    let supervisor = world.supervisor().await;
    // One host, by eight names, so that the network can tell whose requests are whose.
    let names: Vec<String> = (0..8).map(|n| format!("192.0.2.{}", 21 + n)).collect();
    for name in &names {
        world.configure_at(name, Vendor::Splunk, at(name), false).await;
    }
    append_blocks(&world, 50).await;
    tokio::time::sleep(Duration::from_hours(6)).await;
    let back = Instant::now();
    world.net.set_faults(NO_FAULTS);
    for name in &names {
        delivered(&world, name).await;
    }
    world.net.taken(|taken| {
        let since = |name: &String, from: Instant, until: Instant| -> Vec<Instant> {
            taken.attempts[name].iter().filter(|at| (from..until).contains(*at)).copied().collect()
        };
        let mut first = Vec::new();
        for name in &names {
            let in_the_last_hour = since(name, back - Duration::from_hours(1), back).len();
            assert!((60..600).contains(&in_the_last_hour), "{in_the_last_hour} requests in the last hour");
            let after = since(name, back, Instant::now());
            assert!(after[1] > after[0], "the probe was alone");
            first.push(after[0]);
        }
        first.sort_unstable();
        let apart = first[7] - first[0];
        assert!(apart > Duration::from_secs(1), "eight configurations came back within {apart:?}");
    });
    supervisor.shutdown().await;
}
