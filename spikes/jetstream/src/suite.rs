//! The conformance suite over a real server, as a table.

use std::sync::Arc;
use std::time::Duration;

use journal::Journal;
use journal::conformance::{self, Pace, Rig};

use crate::jet::{JetJournal, Mapping};
use crate::server::Failure;

/// How long a second of the suite lasts: long enough for the server's timers, which are a few hundredths late.
const SECOND: Duration = Duration::from_millis(200);
/// No test may take longer.
const PATIENCE: Duration = Duration::from_secs(90);
/// Tests that run at once.
const AT_ONCE: usize = 6;

/// Runs the suite; the number of tests that failed.
pub async fn run(url: &str, mapping: Mapping) -> Result<usize, Failure> {
    let at_once = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for (number, test) in conformance::all().into_iter().enumerate() {
        let (url, at_once) = (url.to_owned(), Arc::clone(&at_once));
        let prefix = format!("{mapping:?}{number}").to_lowercase();
        let task = tokio::spawn(async move {
            let _permit = at_once.acquire_owned().await;
            let clock = Arc::new(conformance::clock());
            let client = async_nats::connect(url).await.expect("connect");
            let as_clock: Arc<dyn base::Clock> = Arc::clone(&clock) as _;
            let journal: Arc<dyn Journal> =
                Arc::new(JetJournal::open(client, &prefix, mapping, as_clock).await.expect("open"));
            let rig = Rig { journal, clock, pace: Pace::Real(SECOND) };
            tokio::time::timeout(PATIENCE, (test.run)(rig)).await.expect("an end in time");
        });
        running.push((test.name, task));
    }
    println!("\n{mapping:?}: the conformance suite");
    let (mut n_tests, mut n_failed) = (0, 0);
    for (name, task) in running {
        let passed = task.await.is_ok();
        n_tests += 1;
        n_failed += usize::from(!passed);
        println!("  {name:<66} {}", if passed { "passes" } else { "FAILS" });
    }
    println!("  {} of {n_tests} pass", n_tests - n_failed);
    Ok(n_failed)
}
