//! `idstream journal`: whether the journal is what was written, and what can be done when it is not.

mod key;
mod repair;
mod verify;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::{Catalog, SqliteStore};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use journal::local::Gap;

use super::{Failed, Failure};
use crate::output::counted;
use crate::settings;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks every stored event against the hash chain and the signed heads; a server may be running
    Verify(verify::Arguments),
    /// Says what is damaged and what giving it up would cost; does it with --accept-loss
    Repair(repair::Arguments),
    /// Prints the public key that heads are signed with: keep it elsewhere
    Key(key::Arguments),
}

/// Which data directory.
#[derive(clap::Args)]
pub(crate) struct Where {
    /// Settings file (TOML)
    #[arg(long, env = "IDSTREAM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of the server [default: idstream-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Where {
    /// The data directory.
    pub(crate) fn data(&self) -> Result<PathBuf, Failure> {
        let data = self.data.as_ref().map(|path| path.to_string_lossy().into_owned());
        Ok(settings::read(self.config.clone(), &[("server.data", data)])?.server.data)
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Repair(arguments) => repair::run(arguments).await,
        Command::Key(arguments) => key::run(&arguments),
    }
}

/// The catalog as it is, without changing it; `None` when there is none, as in a copy of the journal alone.
pub(crate) fn catalog(data: &Path) -> Result<Option<Catalog>, Failure> {
    let file = data.join(catalog::SqliteStore::FILE);
    if !file.exists() {
        return Ok(None);
    }
    let opened = SqliteStore::open_read_only(&file).map_err(Failure::from);
    let opened = opened.and_then(|store| Ok(Catalog::open(Arc::new(store))?));
    Ok(Some(opened.map_err(Failed::at(format!("cannot read the catalog in {}", file.display())))?))
}

/// Where the journal of a data directory lies.
fn journal_in(data: &Path) -> Result<PathBuf, Failure> {
    let journal = data.join("journal");
    if journal.is_dir() {
        Ok(journal)
    } else {
        Err(format!("there is no journal in {}: name a data directory with --data", data.display()).into())
    }
}

/// Shows on a terminal how far long work is.
pub(crate) fn bar() -> Result<ProgressBar, Failure> {
    let bar = ProgressBar::no_length();
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    bar.set_draw_target(target);
    Ok(bar.with_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}")?))
}

/// Moves the bar on.
pub(crate) fn advance(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}

/// One gap in words.
fn told(gap: &Gap) -> String {
    let blocks = match gap.until - gap.from {
        1 => format!("block {}", gap.from),
        _ => format!("blocks {} to {}", gap.from, gap.until - 1),
    };
    let events = gap.n_events().map_or("an unknown number of events".to_owned(), |n| counted(n, "event"));
    let time = match (gap.after, gap.before) {
        (Some(after), Some(before)) => format!(", stored between {after} and {before}"),
        (Some(after), None) => format!(", stored after {after}"),
        (None, Some(before)) => format!(", stored before {before}"),
        (None, None) => String::new(),
    };
    format!("{blocks}: {events}{time}")
}
