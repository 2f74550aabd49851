//! What the output of a test run says.

use std::fmt;

/// What became of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was run and passes.
    Passes,
    /// It was run and fails: what a mutation must bring about.
    Fails,
    /// It was not run: there is none of this name, or nothing was built.
    IsNotRun,
    /// It ran for too long and was ended.
    DoesNotEnd,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passes => "passes",
            Self::Fails => "fails",
            Self::IsNotRun => "is not run",
            Self::DoesNotEnd => "does not end",
        })
    }
}

/// Reads the output of a run of one test.
pub(super) fn of(output: &str) -> Verdict {
    let result = output.lines().find(|line| line.starts_with("test result:")).unwrap_or_default();
    let has = |what: &str| result.contains(what);
    // A process that ended itself leaves no result, and a failing test says where it panicked.
    match (has(" 1 passed;"), has(" 1 failed;")) {
        (true, false) => Verdict::Passes,
        (false, true) if output.contains("panicked at") => Verdict::Fails,
        _ => Verdict::IsNotRun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_ran_and_panicked_has_failed() {
        let failed = "\nrunning 1 test\na --- FAILED\nthread 'a' (7) panicked at x.rs:1:2:\nleft: 1\n\
                      test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out\n";
        assert_eq!(of(failed), Verdict::Fails);
        assert_eq!(of("test result: ok. 1 passed; 0 failed; 0 ignored"), Verdict::Passes);
        assert_eq!(of("test result: ok. 0 passed; 0 failed; 0 ignored; 4 filtered out"), Verdict::IsNotRun);
        assert_eq!(of("error: could not compile"), Verdict::IsNotRun);
    }
}
