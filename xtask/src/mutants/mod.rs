//! `cargo xtask mutants`: breaks a promise on purpose, again and again, and demands that a test notices.
//!
//! All mutations are put into one copy of the tree, each behind a switch, so that one build serves all of them: a run of
//! its tests with the switch on must fail, by a failing test, where the same run without it passes.

mod copy;
mod list;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use self::list::{Mutant, TestName};
use self::verdict::Verdict;
use crate::{Failure, say, workspace};

/// The mutations.
const LIST: &str = "xtask/mutants.toml";
/// The longest run of one test: a mutation may make it wait for ever, which is no catch.
const PATIENCE: Duration = Duration::from_mins(3);

/// Which mutations.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these; without names all of them
    names: Vec<String>,
    /// Only those that the issue tracker's promises name
    #[arg(long, conflicts_with = "names")]
    required: bool,
    /// Only see that each still has its place in the code, and its tests
    #[arg(long)]
    check: bool,
}

/// Applies, builds, runs, judges.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = workspace::root();
    let all = list::read(&root.join(LIST))?;
    let mutated = list::apply(&all, |file| Ok(std::fs::read_to_string(root.join(file))?))?;
    list::find_tests(&all, root)?;
    if arguments.check {
        say(&format!("{} mutations, each has its place and its tests", all.len()));
        return Ok(());
    }
    let chosen = choose(all, arguments)?;
    let folder = workspace::target_directory()?.join("mutants");
    let tree = folder.join("tree");
    copy::copy(root, &tree, &mutated)?;
    let tests: BTreeSet<&TestName> = chosen.iter().flat_map(|mutant| &mutant.tests).collect();
    let runner = Runner { tree: &tree, target: &folder.join("target") };
    runner.build(&tests)?;
    for test in &tests {
        let verdict = runner.judge(test, None)?;
        if verdict != Verdict::Passes {
            return Err(format!("{test} without any mutation: {verdict}").into());
        }
    }
    let mut n_caught = 0;
    for mutant in &chosen {
        let verdicts = mutant.tests.iter().map(|test| runner.judge(test, Some(&mutant.name)));
        let verdicts = verdicts.collect::<Result<Vec<_>, _>>()?;
        let is_caught = verdicts.iter().all(|verdict| *verdict == Verdict::Fails);
        n_caught += usize::from(is_caught);
        say(&format!("{} {:38} {}", if is_caught { "caught" } else { "MISSED" }, mutant.name, mutant.what));
        for (test, verdict) in mutant.tests.iter().zip(&verdicts) {
            say(&format!("           {test}: {verdict}"));
        }
    }
    say(&format!("{} mutations, {n_caught} caught", chosen.len()));
    if n_caught == chosen.len() { Ok(()) } else { Err("a broken promise goes unnoticed".into()) }
}

fn choose(all: Vec<Mutant>, arguments: &Arguments) -> Result<Vec<Mutant>, Failure> {
    if let Some(unknown) = arguments.names.iter().find(|name| all.iter().all(|mutant| mutant.name != **name))
    {
        return Err(format!("there is no mutation {unknown}; {LIST} lists them").into());
    }
    let is_chosen = |mutant: &Mutant| match (arguments.required, arguments.names.as_slice()) {
        (true, _) => mutant.required,
        (false, []) => true,
        (false, names) => names.contains(&mutant.name),
    };
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// Builds and runs tests of the copy. It has a target directory of its own, which is kept for the next time.
struct Runner<'a> {
    tree: &'a Path,
    target: &'a Path,
}

impl Runner<'_> {
    fn cargo(&self, package: &str) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(self.tree).env("CARGO_TARGET_DIR", self.target);
        command.args(["test", "--locked", "--quiet", "--package", package]);
        command
    }

    /// Builds the tests. What does not compile with the switches in it is a mistake of the list.
    fn build(&self, tests: &BTreeSet<&TestName>) -> Result<(), Failure> {
        let mut binaries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for test in tests {
            binaries.entry(&test.package).or_default().insert(&test.binary);
        }
        for (package, binaries) in binaries {
            let mut command = self.cargo(package);
            command.arg("--no-run");
            for binary in binaries {
                command.args(of_binary(binary));
            }
            if !command.status()?.success() {
                return Err(
                    format!("the tests of {package} do not compile with the mutations in them").into()
                );
            }
        }
        Ok(())
    }

    /// Runs one test, with a mutation switched on or none.
    fn judge(&self, test: &TestName, mutant: Option<&str>) -> Result<Verdict, Failure> {
        let mut command = self.cargo(&test.package);
        command.args(of_binary(&test.binary)).args(["--", "--exact", &test.path]);
        command.env(list::SWITCH, mutant.unwrap_or_default()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Some(output) = within(PATIENCE, command)? else { return Ok(Verdict::DoesNotEnd) };
        Ok(verdict::of(&String::from_utf8_lossy(&output.stdout)))
    }
}

fn of_binary(binary: &str) -> Vec<&str> {
    if binary == "lib" { vec!["--lib"] } else { vec!["--test", binary] }
}

/// The output of a command, unless it takes too long; then it is ended, with all that it began.
fn within(patience: Duration, mut command: Command) -> Result<Option<Output>, Failure> {
    use std::os::unix::process::CommandExt;
    let child = command.process_group(0).spawn()?;
    let group = format!("-{}", child.id());
    let waiting = thread::spawn(move || child.wait_with_output());
    let start = Instant::now();
    while !waiting.is_finished() {
        if start.elapsed() > patience {
            Command::new("kill").args(["-KILL", "--", &group]).status()?;
            let _ended = waiting.join();
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = waiting.join().map_err(|_| "waiting for a test broke down")??;
    Ok(Some(output))
}
