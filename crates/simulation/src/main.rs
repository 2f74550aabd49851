//! `simulate`: runs many seeds, or one with its trace. Called by `cargo xtask simulate`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use simulation::{Counts, Outcome, Shape, run};

/// Of so many seeds one is run twice, to see that it is the same run.
const TWICE: u64 = 50;
/// From so many seeds on, everything must have been hit.
const ENOUGH: u64 = 1_000;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(5);

/// Runs the whole pipeline in simulation and judges every run.
#[derive(Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs one seed and prints its trace.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Which journal.
    #[arg(long, default_value = "both")]
    journal: Which,
    /// With `--seed`: prints the diagnostics of the product, too.
    #[arg(long, requires = "seed")]
    diagnostics: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Local,
    Model,
    Both,
}

impl Which {
    const fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Local => &[Shape::Local],
            Self::Model => &[Shape::Model],
            Self::Both => &Shape::ALL,
        }
    }
}

/// What all runs have shown so far.
#[derive(Default)]
struct Shown {
    counts: Counts,
    n_runs: u64,
    n_stuck: u64,
    n_books: u64,
    n_other: u64,
}

struct Campaign {
    next: AtomicU64,
    until: u64,
    shapes: &'static [Shape],
    shown: Mutex<Shown>,
    is_over: AtomicBool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_well = match arguments.seed {
        Some(seed) => replay(seed, arguments.journal, arguments.diagnostics),
        None => campaign(&arguments),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells the person at the terminal something; nobody may be there.
fn say(text: &str) {
    let _nobody_listens = writeln!(std::io::stdout(), "{text}");
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replay(seed: u64, which: Which, diagnostics: bool) -> bool {
    if diagnostics {
        tracing_subscriber::fmt().without_time().with_env_filter("debug").init();
    }
    let mut is_well = true;
    for shape in which.shapes() {
        let outcome = run(seed, *shape, true);
        outcome.trace.iter().for_each(|line| say(line));
        say(&format!("seed {seed} on {}: trace {:016x}", shape.name(), outcome.hash));
        outcome.violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
        is_well &= outcome.violations.is_empty();
    }
    is_well
}

fn campaign(arguments: &Arguments) -> bool {
    let campaign = Campaign {
        next: AtomicU64::new(arguments.from),
        until: arguments.from + arguments.seeds,
        shapes: arguments.journal.shapes(),
        shown: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let started = Instant::now();
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..n_threads).map(|_| scope.spawn(|| campaign.work())).collect();
        scope.spawn(|| campaign.tell(started));
        for worker in workers {
            if worker.join().is_err() {
                locked(&campaign.shown).n_other += 1;
            }
        }
        campaign.is_over.store(true, Ordering::Relaxed);
    });
    campaign.sum_up(arguments, started)
}

impl Campaign {
    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.until {
                return;
            }
            for shape in self.shapes {
                let mut outcome = run(seed, *shape, false);
                if seed.is_multiple_of(TWICE) {
                    let again = run(seed, *shape, false);
                    if again.hash != outcome.hash {
                        outcome.violations.push("two runs of one seed differ".to_owned());
                    }
                }
                self.note(seed, *shape, &outcome);
            }
        }
    }

    fn note(&self, seed: u64, shape: Shape, outcome: &Outcome) {
        let mut shown = locked(&self.shown);
        shown.n_runs += 1;
        shown.counts.merge(&outcome.counts);
        let Some(first) = outcome.violations.first() else { return };
        let count = match first.split(':').next() {
            Some("stuck") => &mut shown.n_stuck,
            Some("books") => &mut shown.n_books,
            _ => &mut shown.n_other,
        };
        *count += 1;
        let n_failed = shown.n_stuck + shown.n_books + shown.n_other;
        drop(shown);
        if n_failed > 20 {
            say(&format!("seed {seed} on {}: {first}", shape.name()));
            return;
        }
        say(&format!("\nFAILED: seed {seed} on {}", shape.name()));
        outcome.trace.iter().for_each(|line| say(line));
        outcome.violations.iter().for_each(|violation| say(&format!("VIOLATION {violation}")));
        say(&format!("again with: cargo xtask simulate --seed {seed} --journal {}", shape.name()));
    }

    fn tell(&self, started: Instant) {
        let mut told = started;
        while !self.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            if told.elapsed() >= TELL {
                told = Instant::now();
                let shown = locked(&self.shown);
                say(&format!(
                    "{} runs in {} s, {} events accepted, {} crashes",
                    shown.n_runs,
                    started.elapsed().as_secs(),
                    shown.counts.get("accepted"),
                    shown.counts.get("crashes"),
                ));
            }
        }
    }

    fn sum_up(&self, arguments: &Arguments, started: Instant) -> bool {
        let shown = locked(&self.shown);
        say(&format!("\n{}", shown.counts));
        let is_asked = |name: &str| match arguments.journal {
            Which::Local => name != "append: answer lost",
            Which::Model => !is_of_a_disk(name),
            Which::Both => true,
        };
        let missing = if arguments.seeds >= ENOUGH { shown.counts.missing(is_asked) } else { Vec::new() };
        if !missing.is_empty() {
            say(&format!("never hit: {}", missing.join(", ")));
        }
        let is_fault = |name: &str| simulation::MUST.contains(&name) && !name.starts_with("receipt");
        let names: Vec<_> = self.shapes.iter().map(|shape| shape.name()).collect();
        say(&format!(
            "{} seeds on {} in {} s: {} events accepted, {} deliveries, {} crashes, {} faults and deeds; {} lost or wrong, \
             {} stuck, {} books unbalanced",
            arguments.seeds,
            names.join(" and "),
            started.elapsed().as_secs(),
            shown.counts.get("accepted"),
            shown.counts.get("delivered"),
            shown.counts.get("crashes"),
            shown.counts.of_kinds(is_fault),
            shown.n_other,
            shown.n_stuck,
            shown.n_books,
        ));
        missing.is_empty() && shown.n_stuck + shown.n_books + shown.n_other == 0
    }
}

/// Whether only a journal on a disk meets it.
fn is_of_a_disk(name: &str) -> bool {
    [
        "append: busy or unavailable",
        "crash in mid-write",
        "crash with power",
        "crash without power loss",
        "disk full",
        "erased",
        "failed sync",
        "failed write",
        "poisoned",
    ]
    .contains(&name)
}
