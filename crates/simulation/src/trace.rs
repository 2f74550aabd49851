//! What happened, in order: a hash of it always, its lines when somebody reads them.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::dice::mix;

/// Lines that are kept of a run that nobody reads.
const LAST: usize = 25;

/// The trace of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    keeps_all: bool,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(keeps_all: bool) -> Self {
        Self { keeps_all, ..Self::default() }
    }

    pub(crate) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        let line = format!("{:>12.3}  {what}", at.as_secs_f64());
        for chunk in line.as_bytes().chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
            self.hash = mix(self.hash ^ word);
        }
        if !self.keeps_all && self.lines.len() >= LAST {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
