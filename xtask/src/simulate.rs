//! `cargo xtask simulate`: the whole pipeline in simulation, seed after seed. The program is the crate `simulation`'s, built
//! for release: most of the time goes into it.

use crate::{Failure, workspace};

/// Which seeds, and on which journal; see `crates/simulation/src/main.rs`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 300)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Runs this seed only, and prints what happened in it
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// The journal in files, the one shaped like a message broker, or both
    #[arg(long, value_parser = ["local", "model", "both"], default_value = "both")]
    journal: String,
    /// With --seed: the diagnostics of the product, too
    #[arg(long, requires = "seed")]
    diagnostics: bool,
}

/// Builds and runs the simulation; fails when it does.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let build = ["run", "--release", "--locked", "--quiet", "--package", "idstream-simulation", "--"];
    let mut command = workspace::cargo(&build);
    command.args(words(arguments));
    if command.status()?.success() { Ok(()) } else { Err("the simulation found something".into()) }
}

/// The arguments as the program takes them.
fn words(arguments: &Arguments) -> Vec<String> {
    let mut words = vec!["--journal".to_owned(), arguments.journal.clone()];
    match arguments.seed {
        Some(seed) => words.extend(["--seed".to_owned(), seed.to_string()]),
        None => words.extend([
            "--seeds".to_owned(),
            arguments.seeds.to_string(),
            "--from".to_owned(),
            arguments.from.to_string(),
        ]),
    }
    words.extend(arguments.diagnostics.then(|| "--diagnostics".to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_replayed_and_many_are_counted() {
        let many =
            Arguments { seeds: 7, from: 3, seed: None, journal: "both".to_owned(), diagnostics: false };
        assert_eq!(words(&many), ["--journal", "both", "--seeds", "7", "--from", "3"]);
        let one = Arguments { seed: Some(9), diagnostics: true, ..many };
        assert_eq!(words(&one), ["--journal", "both", "--seed", "9", "--diagnostics"]);
    }
}
