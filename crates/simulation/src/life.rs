//! One life of the process: from its start to its death, or to its end in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Clock;
use catalog::Catalog;
use delivery::{Parts, Supervisor};
use destinations::Transport;
use journal::{Journal, JournalError};
use parking_lot::Mutex;
use testkit::disk::Faults;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Shape;
use crate::content::Content;
use crate::journal::{WorldJournal, open};
use crate::network::WorldNetwork;
use crate::operators::{Left, Operators};
use crate::oracle;
use crate::producers::produce;
use crate::world::World;

/// How often the world is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long everything may take to settle once faults are over.
const SETTLES_WITHIN: Duration = Duration::from_hours(12);
/// How long a process may take to end in order.
const ENDS_WITHIN: Duration = Duration::from_mins(5);

/// What a life is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Faults, traffic, deeds; it ends as it comes.
    Trouble,
    /// Faults are over: everything is to settle.
    Settling,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    AtACall,
    InTime,
    Poisoned,
    InOrder,
}

/// What the process shows of itself.
#[derive(Default)]
struct Window {
    journal: Mutex<Option<Arc<WorldJournal>>>,
}

/// Lives once. The runtime is the process: when it is dropped, everything in it is gone wherever it stood.
pub(crate) fn live(world: &Arc<World>, purpose: Purpose) -> Result<(), Left> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build()?;
    runtime.block_on(life(world, purpose))?;
    drop(runtime);
    Ok(())
}

async fn life(world: &Arc<World>, purpose: Purpose) -> Result<(), Left> {
    world.clock.begin();
    if let Some(left_at) = *world.left_at.lock() {
        world.model.carry_over(left_at, Instant::now());
    }
    let trouble = purpose == Purpose::Trouble;
    let dice = &world.dice;
    let crashes = world.plan.crashes;
    let n_calls = if trouble && crashes.at_calls {
        1 + dice.up_to(dice.pick(20, &[200, 2_000, 8_000]))
    } else {
        u64::MAX
    };
    world.fate.live(n_calls);
    if trouble {
        set_disk_faults(world);
    }
    let window = Arc::new(Window::default());
    let (end_in_order, ends) = watch::channel(false);
    let process = tokio::spawn(process(Arc::clone(world), Arc::clone(&window), ends, purpose));
    let end = if trouble {
        let lasts = dice.millis(200, world.plan.life.as_millis() as u64);
        trouble_until(world, &window, lasts).await
    } else {
        End::InOrder
    };
    if end == End::InOrder {
        let within = if trouble { ENDS_WITHIN } else { SETTLES_WITHIN + ENDS_WITHIN };
        end_in_order.send_replace(true);
        match tokio::time::timeout(within, process).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) if trouble => world.note(format_args!("it did not end well: {error}")),
            Ok(Ok(Err(error))) => world.violated(error.to_string()),
            Ok(Err(error)) => world.violated(format!("the process panicked: {error}")),
            // Some of its calls are never answered: it is killed.
            Err(_) if trouble => {}
            Err(_) => world.violated("stuck: the process does not end in order".to_owned()),
        }
    }
    last_look(world, &window).await;
    die(world, end, trouble);
    *world.left_at.lock() = Some(Instant::now());
    world.clock.end();
    Ok(())
}

/// Until the life is over, in one way or another.
async fn trouble_until(world: &Arc<World>, window: &Window, lasts: Duration) -> End {
    let until = Instant::now() + lasts;
    loop {
        tokio::select! {
            biased;
            () = world.fate.died.notified() => return End::AtACall,
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
        }
        let journal = window.journal.lock().clone();
        if journal.is_some_and(|journal| journal.head().poisoned) {
            world.count("poisoned");
            tokio::time::sleep(world.dice.millis(0, 60_000)).await;
            return End::Poisoned;
        }
        if world.plan.disk.fills_up && world.dice.up_to(9) == 0 {
            // Somebody makes room, or takes it.
            let is_full = world.dice.up_to(2) == 0;
            let capacity = is_full.then(|| world.dice.up_to(60_000));
            world.disk.set_faults(Faults { capacity, ..Faults::default() });
            if is_full {
                world.count("disk full");
            }
        }
        let is_quiet = world.producers.lock().is_quiet() && world.dice.up_to(9) == 0;
        if Instant::now() >= until || is_quiet {
            let in_order = world.plan.crashes.in_order && world.dice.up_to(1) == 0;
            return if in_order { End::InOrder } else { End::InTime };
        }
    }
}

fn set_disk_faults(world: &World) {
    let (dice, disk) = (&world.dice, world.plan.disk);
    let mut faults = Faults::default();
    match dice.up_to(3) {
        0 if disk.write_errors => faults.fail_write_after = Some(dice.up_to(150)),
        1 if disk.sync_errors => faults.fail_sync_after = Some(dice.up_to(100)),
        2 if disk.dies_in_the_middle => faults.power_lasts = Some(dice.up_to(400)),
        _ => {}
    }
    world.disk.set_faults(faults);
}

/// What the disk holds when the process is gone.
fn die(world: &World, end: End, trouble: bool) {
    let faults = world.disk.faults();
    let counts = world.disk.counts();
    let is_dark = faults.power_lasts.is_some_and(|lasts| counts.changes > lasts);
    if faults.fail_write_after.is_some_and(|good| counts.writes > good) {
        world.count("failed write");
    }
    if faults.fail_sync_after.is_some_and(|good| counts.syncs > good) {
        world.count("failed sync");
    }
    world.count(match end {
        End::AtACall => "crash at a call",
        End::InTime => "crash in time",
        End::Poisoned => "crash after poison",
        End::InOrder => "end in order",
    });
    world.note(format_args!("the process ends: {end:?}"));
    if world.shape == Shape::Local {
        if is_dark || (world.plan.crashes.power && world.dice.up_to(1) == 0) {
            world.count(if is_dark { "crash in mid-write" } else { "crash with power" });
            world.disk.crash();
        } else {
            world.count("crash without power loss");
            world.disk.kill();
        }
    }
    if trouble {
        world.known.lock().n_crashes += u64::from(end != End::InOrder);
        world.clock.pass(world.dice.millis(0, 300_000));
    }
}

/// The oracle looks past the process: what can be read has been stored.
async fn last_look(world: &World, window: &Window) {
    let journal = window.journal.lock().clone();
    if let Some(journal) = journal
        && let Err(error) = oracle::look(world, journal.past_the_process()).await
    {
        world.note(format_args!("the last look fails: {error}"));
    }
}

/// A disk that fails may keep a process from starting; nothing else may.
fn does_not_start(world: &World, error: &JournalError) {
    world.note(format_args!("it does not start: {error}"));
    if !matches!(error, JournalError::Disk(_) | JournalError::Poisoned | JournalError::Read(_)) {
        world.violated(format!("it does not start: {error}"));
    }
    world.fate.die();
}

/// The process.
async fn process(
    world: Arc<World>,
    window: Arc<Window>,
    mut ends: watch::Receiver<bool>,
    purpose: Purpose,
) -> Result<(), Left> {
    let opened = match open(&world) {
        Ok(journal) => Arc::new(journal),
        Err(error) if purpose == Purpose::Settling => {
            return Err(format!("stuck: it does not start: {error}").into());
        }
        Err(error) => {
            does_not_start(&world, &error);
            return Ok(());
        }
    };
    *window.journal.lock() = Some(Arc::clone(&opened));
    let clock: Arc<dyn Clock> = Arc::<crate::time::SimClock>::clone(&world.clock);
    let transport: Arc<dyn Transport> = Arc::new(WorldNetwork(Arc::clone(&world)));
    let journal: Arc<dyn Journal> = Arc::<WorldJournal>::clone(&opened);
    let catalog = Catalog::open(Arc::<catalog::MemoryStore>::clone(&world.documents))?;
    let parts = Parts {
        journal: Arc::clone(&journal),
        catalog: catalog.clone(),
        keyring: Arc::clone(&world.keyring),
        transport,
        instance: World::instance(),
        clock,
        random: Arc::clone(&world.random),
    };
    let supervisor = Arc::new(Supervisor::start(parts).await);
    let intake = Arc::new(world.intake(Arc::clone(&journal)));
    for at in 0..world.plan.n_producers {
        tokio::spawn(produce(Arc::clone(&world), at, Arc::clone(&intake)));
    }
    let operators = Operators {
        world: Arc::clone(&world),
        journal: Arc::clone(&opened),
        catalog,
        supervisor: Arc::clone(&supervisor),
    };
    if purpose == Purpose::Settling {
        settle(&world, &operators, &intake).await?;
        oracle::judge(&world, &*journal).await?;
    } else {
        tokio::select! {
            biased;
            _ = ends.wait_for(|ends| *ends) => {}
            () = operators.work() => {}
        }
    }
    supervisor.shutdown().await;
    Ok(opened.close().await?)
}

/// Mends everything, opens every configuration, and waits until all is settled. Traffic goes on meanwhile, a little: an event
/// that is refused as a whole is proven unfit only by another one that is taken.
async fn settle(world: &Arc<World>, operators: &Operators, intake: &intake::Intake) -> Result<(), Left> {
    world.is_fair.store(true, Ordering::Relaxed);
    let sites: Vec<_> = world.sites.lock().values().cloned().collect();
    for site in &sites {
        site.mend();
    }
    for configuration in oracle::all_of(&operators.catalog) {
        operators.open(&configuration.id).await?;
    }
    let until = Instant::now() + SETTLES_WITHIN;
    let mut n_beats = 0;
    loop {
        let Some(left) = oracle::unsettled(world, &*operators.journal).await? else { return Ok(()) };
        if Instant::now() >= until {
            return Err(format!("stuck: {left}").into());
        }
        if n_beats < 40 {
            beat(world, intake, n_beats).await?;
            n_beats += 1;
        }
        tokio::time::sleep(Duration::from_secs(10 + n_beats * 2)).await;
    }
}

/// One more event, that no destination minds.
async fn beat(world: &Arc<World>, intake: &intake::Intake, n: u64) -> Result<(), Left> {
    let sites: Vec<_> = world.sites.lock().values().cloned().collect();
    let numbers = (0..1_000).map(|attempt| 1_000_000 + n * 1_000 + attempt);
    let mut contents = numbers.map(|number| Content { seed: world.seed, number, version: 0 });
    let is_fine = |content: &Content| {
        sites.iter().all(|site| site.judge(content.own_id()) == receiver::Judgement::Fine)
            && content.stream() == event::Stream::AccountEvent
    };
    let Some(content) = contents.find(is_fine) else { return Ok(()) };
    let identity = intake::ProducerIdentity { id: "client:beat".to_owned(), source: "simulated".to_owned() };
    let body = content.posted(Some(content.own_id()));
    let posted = intake::Posted { body: body.as_bytes(), are_lines: false, idempotency_key: None };
    let receipts = intake.accept(&identity, posted).await?;
    for accepted in receipts.accepted {
        world.known.lock().receipts.entry(accepted.event_id).or_default().insert(content);
        world.count("accepted");
    }
    Ok(())
}
