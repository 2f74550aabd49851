//! `idstream key`: what the master keys are, and how the key is replaced. No key is ever shown.

mod rotate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::Random;
use catalog::{Catalog, Credential};

use super::Failure;
use crate::data::{self, MasterKey};
use crate::output::{answer, counted};
use crate::settings::{self, Settings};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Shows the ids of the master keys, and how many credentials each has sealed
    Show(Where),
    /// Replaces the master key: makes a new one and seals every credential with it. The server must not run
    #[command(after_help = "\
Interrupted at any moment, everything stays readable; the same command goes on where it was. The old key is
kept beside the new one, for copies of the data directory that were made before.

A key that does not lie in a file that may be written (IDSTREAM_MASTER_KEY, a secret that is mounted) is
changed by whoever gives it: give the new key before the old one, with a space or a new line between, run
this, then give the new one alone. docs/guides/keys.md has it step by step.
")]
    Rotate {
        #[command(flatten)]
        place: Where,
        /// Says what would be done, and changes nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// The same as for `serve`.
#[derive(clap::Args)]
struct Where {
    /// Settings file (TOML) of the server
    #[arg(long, env = "IDSTREAM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory [default: idstream-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// File with the master key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Show(place) => show(&place.settings()?),
        Command::Rotate { place, dry_run } => rotate::run(&place.settings()?, dry_run),
    }
}

impl Where {
    fn settings(self) -> Result<Settings, Failure> {
        let path = |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned());
        let flags = [("server.data", path(self.data)), ("key.file", path(self.key_file))];
        Ok(settings::read(self.config, &flags)?)
    }
}

fn show(settings: &Settings) -> Result<(), Failure> {
    let data = &settings.server.data;
    // Read only: what is looked at may be a backup.
    let catalog = super::journal::catalog(data)?.ok_or_else(|| no_catalog(data))?;
    let key = data::master_key(settings, false, &Random::from_system())?;
    answer(format_args!("the master key in {}", key.origin))?;
    let mut counts = counts(&catalog);
    for (at, id) in key.keyring.key_ids().enumerate() {
        let use_ = if at == 0 { "seals and opens" } else { "opens only" };
        let n = counted(counts.remove(id).unwrap_or_default() as u64, "credential");
        answer(format_args!("{id}  {use_}, {n}"))?;
    }
    for (id, n) in &counts {
        let n = counted(*n as u64, "credential");
        answer(format_args!("{id}  is not here, {n} that cannot be opened"))?;
    }
    match counts.values().sum::<usize>() {
        0 => Ok(()),
        n => Err(format!(
            "{} cannot be opened: give idstream the keys that are missing, behind the first one in {}, or give these \
             credentials anew",
            counted(n as u64, "credential"),
            key.origin
        )
        .into()),
    }
}

/// Fails unless there is a catalog: none must be made.
fn expect_catalog(settings: &Settings) -> Result<(), Failure> {
    if data::catalog_file(settings).exists() {
        return Ok(());
    }
    Err(no_catalog(&settings.server.data))
}

fn no_catalog(data: &Path) -> Failure {
    format!("there is no catalog in {}: name the server's data directory with --data", data.display()).into()
}

/// The keys, and the catalog that is there already.
fn open(settings: &Settings, random: &Random) -> Result<(MasterKey, Catalog), Failure> {
    let key = data::master_key(settings, false, random)?;
    Ok((key, data::open_catalog(&data::catalog_file(settings))?))
}

/// How many credentials are sealed with each key.
fn counts(catalog: &Catalog) -> BTreeMap<String, usize> {
    catalog.credentials().iter().map(Credential::key_id).fold(BTreeMap::new(), |mut counts, id| {
        *counts.entry(id.to_owned()).or_default() += 1;
        counts
    })
}
