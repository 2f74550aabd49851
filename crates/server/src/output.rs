//! What a command says: answers go to standard output, everything else to standard error.
//!
//! Who reads may go away at any time (`idstream demo | head`). That is no fault, and nobody is left to be told about it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::commands::Failure;

/// Nobody reads the answers any more. The program ends quietly.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(crate) struct ReaderGone;

/// Writes a line of an answer. [`ReaderGone`] when nobody reads it.
pub(crate) fn answer(line: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(format!("cannot write to standard output: {error}").into()),
    }
}

/// Tells the person at the terminal something. That it cannot be written is no reason to stop.
pub(crate) fn tell(line: impl Display) {
    let _nobody_left_to_tell = writeln!(io::stderr(), "{line}");
}

/// A number with its noun: `1 event`, `2 events`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
