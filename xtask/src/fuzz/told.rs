//! What libFuzzer tells of a run.

use std::fmt;

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) executions: u64,
    /// Edges of the code that the first inputs reached, and that all have reached in the end.
    coverage: (u64, u64),
    /// Inputs that each reach something of their own.
    inputs: u64,
    /// The input that failed.
    pub(super) found: Option<String>,
}

impl Told {
    /// Reads the engine's output. A run that ends badly has found something, whatever it says.
    pub(super) fn read(output: &str, ended_well: bool) -> Self {
        let mut told = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1)?.split('/').next()?.parse::<u64>().ok()
            };
            if let Some(reached) = after("cov:") {
                // `INITED` comes after the seeds and what was kept from earlier runs.
                let first = if line.contains("INITED") { reached } else { told.coverage.0 };
                told.coverage = (first, told.coverage.1.max(reached));
                told.inputs = after("corp:").unwrap_or(told.inputs);
            }
            told.executions = after("stat::number_of_executed_units:").unwrap_or(told.executions);
            if let Some((_, path)) = line.split_once("Test unit written to ") {
                told.found = Some(path.to_owned());
            }
        }
        if !ended_well {
            told.found.get_or_insert_with(|| "no input was kept".to_owned());
        }
        told
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.coverage;
        write!(
            f,
            "{} executions, {first} edges at first, {last} in the end, {} inputs kept",
            self.executions, self.inputs
        )?;
        match &self.found {
            Some(found) => write!(f, "; FAILED, see {found}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_and_growth_are_read() {
        let output = "#7\tINITED cov: 400 ft: 500 corp: 6/100b exec/s: 0 rss: 50Mb\n\
                      #99\tNEW    cov: 410 ft: 510 corp: 7/120b lim: 20 exec/s: 9\n\
                      stat::number_of_executed_units: 12345\n";
        let told = Told::read(output, true);
        assert_eq!(told.to_string(), "12345 executions, 400 edges at first, 410 in the end, 7 inputs kept");
        assert_eq!(told.found, None);
    }

    #[test]
    fn a_run_that_ends_badly_has_found_something() {
        let told = Told::read("artifact_prefix='x/'; Test unit written to x/crash-1\n", false);
        assert_eq!(told.found.as_deref(), Some("x/crash-1"));
        assert!(Told::read("", false).found.is_some());
    }
}
