//! Simulation: the whole pipeline in one thread, on a simulated clock, disk and network, drawn from a seed. Producers post
//! to the intake, the journal keeps, the supervisor's workers deliver with the real vendors' code to stand-in receivers, and
//! the process dies again and again. In the end faults stop, and the oracle judges whether every receipt was honoured.
//!
//! Invariants: a run is a function of its seed and the journal's shape. Nothing here reads the real clock, the disk or the
//! network, and nothing here is part of the product.

mod content;
mod counts;
mod dice;
mod journal;
mod life;
mod network;
mod operators;
mod oracle;
mod plan;
mod producers;
mod receivers;
mod selection;
mod time;
mod trace;
mod world;

use std::sync::Arc;

pub use counts::{Counts, MUST};

use life::{Purpose, live};
use world::World;

/// Most lives of one run.
const MAX_LIVES: u32 = 30;

/// Which journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In files, on a disk that loses its power. The process's death is the journal's.
    Local,
    /// In a store elsewhere, with the manners of a message broker, that outlives the process.
    Model,
}

impl Shape {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Model];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Model => "model",
        }
    }
}

/// What a run has shown.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be; empty when all went well.
    pub violations: Vec<String>,
    /// What happened how often.
    pub counts: Counts,
    /// The same for every run of this seed.
    pub hash: u64,
    /// The last lines of the trace, or all of them.
    pub trace: Vec<String>,
}

/// Runs a seed to its end.
pub fn run(seed: u64, shape: Shape, keeps_trace: bool) -> Outcome {
    let world = Arc::new(World::new(seed, shape, keeps_trace));
    let plan = format!("{:?}", world.plan);
    world.note(format_args!("{plan}"));
    let mut purpose = Purpose::Trouble;
    for n in 0..MAX_LIVES {
        let is_over = world.producers.lock().is_quiet() && world.dice.up_to(1) == 0;
        if is_over || n + 1 == MAX_LIVES {
            purpose = Purpose::Settling;
        }
        if let Err(error) = live(&world, purpose) {
            world.violated(format!("the simulation failed: {error}"));
        }
        if purpose == Purpose::Settling || world.is_violated() {
            break;
        }
    }
    let n_crashes = world.known.lock().n_crashes;
    world.count_many("crashes", n_crashes);
    match Arc::try_unwrap(world) {
        Ok(world) => {
            let (violations, counts, hash, trace) = world.into_ends();
            Outcome { violations, counts, hash, trace }
        }
        Err(_) => Outcome {
            violations: vec!["the simulation failed: a dead process holds the world".to_owned()],
            counts: Counts::default(),
            hash: 0,
            trace: Vec::new(),
        },
    }
}
