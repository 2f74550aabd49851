//! Copies for quarantine that cannot be kept: the events stay pending until they can.

use std::time::Duration;

use destinations::Vendor;
use journal::model::ModelOptions;
use testkit::net::Faults;

use crate::sick::Sick;
use crate::world::{NO_FAULTS, World};

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_copied_to_quarantine_now_stays_pending_until_it_can() {
    let world = World::new(31, ModelOptions::default());
    world.net.set_faults(Faults { poison: 60, ..NO_FAULTS });
    let sick = Sick::new(&world.journal);
    sick.set_full(true);
    let supervisor = world.supervisor_over(sick.clone()).await;
    world.configure("bulk", Vendor::Elasticsearch, true).await;
    world.append(1_500).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let state = world.books("bulk").await;
    let n_refused = world.net.taken(|taken| taken.refused.len());
    assert!(n_refused > 0, "the faults were not drawn");
    assert_eq!(state.tally.quarantined, 0, "of nothing there is a copy: {:?}", state.tally);
    assert!(state.appended >= state.tally.total() + n_refused as u64, "pending: {:?}", state.tally);

    sick.set_full(false);
    let state = world.settled("bulk").await;
    supervisor.shutdown().await;
    let copies = world.quarantined().await.remove("bulk").unwrap_or_default();
    assert_eq!((state.tally.quarantined, copies.len()), (n_refused as u64, n_refused));
}
