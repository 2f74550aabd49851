//! The file of refused lines: each with its reason in a comment above it, so that it can be mended and sent as it is.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::lines::Refused;
use crate::commands::Failure;

/// How many files beside one another are looked at for a free name.
const MAX_NAMES: u32 = 1_000;

/// Made when the first line is refused. A file that is there is never written over: somebody may be mending it.
pub(super) struct Rejects {
    path: PathBuf,
    is_chosen: bool,
    file: Option<File>,
}

impl Rejects {
    /// At `chosen`, where nothing may be yet, or beside the file that is sent.
    pub(super) fn new(chosen: Option<PathBuf>, sent: &Path) -> Result<Self, Failure> {
        if let Some(path) = chosen {
            if path.exists() {
                return Err(format!(
                    "{} is there already: name a file that is not, with --rejects",
                    path.display()
                )
                .into());
            }
            return Ok(Self { path, is_chosen: true, file: None });
        }
        let mut path = if sent.as_os_str() == "-" { "stdin".into() } else { sent.as_os_str().to_owned() };
        path.push(".rejected");
        Ok(Self { path: path.into(), is_chosen: false, file: None })
    }

    /// The file, when a line was refused.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// Keeps refused lines.
    pub(super) fn add(&mut self, refused: &[Refused]) -> Result<(), Failure> {
        if refused.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for Refused { line, reason } in refused {
            let reason = reason.replace(['\n', '\r'], " ");
            text.extend_from_slice(format!("# line {}: {reason}\n", line.number).as_bytes());
            text.extend_from_slice(&line.text);
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        file.write_all(&text).map_err(|error| self.unwritable(&error))?;
        self.file = Some(file);
        Ok(())
    }

    fn create(&mut self) -> Result<File, Failure> {
        let first = self.path.clone();
        for nth in 1..=MAX_NAMES {
            if nth > 1 {
                self.path = first.with_added_extension(nth.to_string());
            }
            // Events are about people: nobody else reads them.
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&self.path) {
                Ok(mut file) => {
                    let head =
                        "# Mend the lines below and send this file. Lines that begin with # are not sent.\n";
                    file.write_all(head.as_bytes()).map_err(|error| self.unwritable(&error))?;
                    return Ok(file);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !self.is_chosen => {}
                Err(error) => return Err(self.unwritable(&error)),
            }
        }
        Err(self.unwritable(&ErrorKind::AlreadyExists.into()))
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        let path = self.path.display();
        format!("cannot write refused lines to {path}: {error}; name another file with --rejects").into()
    }
}
