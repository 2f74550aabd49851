//! Workers that end badly, through a defect: they are started again, not without a pause, and their status says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use delivery::{State, Supervisor};
use destinations::{Answer, Request, Transport, TransportError, Vendor};
use journal::model::ModelOptions;

use crate::world::{NO_FAULTS, World};

/// A way out that makes whoever uses it fall, while it is told to.
struct Trap {
    world: World,
    is_set: AtomicBool,
    n_fallen: AtomicU64,
}

#[async_trait]
impl Transport for Trap {
    async fn send(&self, request: Request) -> Result<Answer, TransportError> {
        if self.is_set.load(Ordering::Relaxed) {
            self.n_fallen.fetch_add(1, Ordering::Relaxed);
            panic!("the trap");
        }
        self.world.net.send(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_falls_is_started_again_after_waits_that_grow() {
    let world = World::new(1, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    world.configure("a", Vendor::Https, true).await;
    let trap = Arc::new(Trap { world, is_set: AtomicBool::new(true), n_fallen: AtomicU64::new(0) });
    let parts = delivery::Parts { transport: trap.clone(), ..trap.world.parts() };
    let supervisor = Supervisor::start(parts).await;
    trap.world.append(50).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let n_fallen = trap.n_fallen.load(Ordering::Relaxed);
    assert!((3..=9).contains(&n_fallen), "{n_fallen} falls in ten minutes");
    let status = supervisor.status("a").unwrap();
    assert_eq!(status.state(), State::Stopped);
    let said = status.last_error.unwrap();
    assert!(said.contains("ended badly") && !said.contains("the trap"), "{said}");

    trap.is_set.store(false, Ordering::Relaxed);
    trap.world.settled("a").await;
    assert_eq!(supervisor.status("a").unwrap().state(), State::Active);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_is_tried_at_once_whatever_fell_before() {
    let world = World::new(2, ModelOptions::default());
    world.net.set_faults(NO_FAULTS);
    world.configure("a", Vendor::Https, true).await;
    let trap = Arc::new(Trap { world, is_set: AtomicBool::new(true), n_fallen: AtomicU64::new(0) });
    let parts = delivery::Parts { transport: trap.clone(), ..trap.world.parts() };
    let supervisor = Supervisor::start(parts).await;
    trap.world.append(10).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(supervisor.status("a").unwrap().state(), State::Stopped);
    trap.is_set.store(false, Ordering::Relaxed);
    trap.world
        .change(&supervisor, "a", |configuration| configuration.description = Some("new".to_owned()))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        supervisor.status("a").unwrap().state(),
        State::Starting,
        "it waits for what the other had leased"
    );
    trap.world.settled("a").await;
    supervisor.shutdown().await;
}
