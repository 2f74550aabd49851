//! What lies on disk: the data directory is made and what is in it opened. Each failure says which part, where it lies,
//! and what to do.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Random, Secret};
use catalog::{Catalog, Keyring, SqliteStore};
use explorer::Explorer;
use journal::Journal;
use journal::disk::{RealDisk, create_directory};
use journal::local::{LocalJournal, LocalOptions, Recovery};

use crate::commands::{Failed, Failure};
use crate::settings::{KEY_VARIABLE, Settings};

/// Everything that a server keeps.
pub(crate) struct Opened {
    pub(crate) journal: Arc<LocalJournal>,
    pub(crate) catalog: Catalog,
    pub(crate) keyring: Keyring,
}

/// Makes the data directory when it is not there, and opens what is in it.
pub(crate) fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Result<Opened, Failure> {
    let data = &settings.server.data;
    make_directory(data)?;
    // The journal first: its lock keeps a second server away from everything else in the directory.
    let journal = open_journal(settings, clock, random)?;
    let file = data.join("catalog.sqlite");
    let is_first_start = !file.exists();
    // The key before the catalog: a first start that is cut short between the two is a first start again.
    let (keyring, origin) = open_keyring(settings, is_first_start, random)?;
    let catalog = SqliteStore::open(&file)
        .map_err(Failure::from)
        .and_then(|store| Ok(Catalog::open(Arc::new(store))?))
        .map_err(Failed::at(format!("cannot open the catalog in {}", file.display())))?;
    keyring.check(&catalog, random).map_err(Failed::at(unfit_key(&origin)))?;
    Ok(Opened { journal, catalog, keyring })
}

fn make_directory(data: &Path) -> Result<(), Failure> {
    let metadata = create_directory(data).and_then(|()| std::fs::metadata(data)).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists => "it, or a part of its path, is not a directory".to_owned(),
            ErrorKind::PermissionDenied => "this user may not make it".to_owned(),
            _ => error.to_string(),
        };
        let data = data.display();
        format!("cannot use the data directory {data}: {why}; name another with --data or server.data")
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let data = data.display();
        tracing::warn!(
            "other users of this machine may look into the data directory (mode {mode:04o}), though not into its files: \
             chmod 700 {data}"
        );
    }
    Ok(())
}

fn open_journal(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Result<Arc<LocalJournal>, Failure> {
    let directory = settings.server.data.join("journal");
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot open the journal in {}: {error}", directory.display())
    };
    let disk = RealDisk::open(&directory).map_err(|error| cannot(&error))?;
    let options = LocalOptions {
        segment_bytes: settings.journal.segment.0,
        queue_bytes: settings.journal.queue.as_usize(),
        cache_bytes: settings.journal.cache.as_usize(),
        dedupe_window: Duration::from_hours(u64::from(settings.journal.dedupe_hours)),
        ..LocalOptions::default()
    };
    let journal = LocalJournal::open(Arc::new(disk), Arc::clone(clock), Arc::clone(random), options);
    let journal = journal.map_err(|error| match std::error::Error::source(&error) {
        Some(_) => Failed::at(format!("cannot open the journal in {}", directory.display()))(error).into(),
        None => Failure::from(cannot(&error)),
    })?;
    log_recovery(&journal);
    Ok(Arc::new(journal))
}

/// Opens the index of stored events, which follows the journal from then on.
pub(crate) fn open_explorer(
    data: &Path,
    journal: Arc<dyn Journal>,
    clock: &Arc<dyn Clock>,
) -> Result<Explorer, Failure> {
    let directory = data.join("explorer");
    let open = || {
        let (disk, clock) = (Arc::new(RealDisk::open(&directory)?), Arc::clone(clock));
        Explorer::start(explorer::Parts { journal, disk, clock, options: explorer::Options::default() })
    };
    let cannot = format!(
        "cannot open the index of stored events in {}; when its files are at fault, remove them: all but the notes are \
         made again",
        directory.display()
    );
    Ok(open().map_err(Failed::at(cannot))?)
}

/// Tells the operator what the last end left behind.
fn log_recovery(journal: &LocalJournal) {
    let (head, Recovery { cut_bytes, n_unproven, n_dropped }) = (journal.head(), journal.recovery());
    tracing::info!(first = head.first, next = head.next, bytes = head.stored_bytes, "the journal is open");
    if cut_bytes > 0 {
        tracing::warn!(cut_bytes, "a torn tail that was never acknowledged was moved to lost+found");
    }
    if n_unproven > 0 || n_dropped > 0 {
        tracing::warn!(
            blocks_kept = n_unproven,
            segments_dropped = n_dropped,
            "the last process did not end cleanly; its last blocks were kept and its last trim was completed"
        );
    }
}

/// The master key, and where it came from: the environment, else the file that is set, else a file beside the data
/// directory, made at the first start.
fn open_keyring(
    settings: &Settings,
    is_first_start: bool,
    random: &Random,
) -> Result<(Keyring, String), Failure> {
    if let Some(text) = &settings.key.value {
        let keyring = Keyring::from_text(text).map_err(Failed::at(unfit_key(KEY_VARIABLE)))?;
        return Ok((keyring, KEY_VARIABLE.to_owned()));
    }
    if let Some(file) = &settings.key.file {
        let origin = file.display().to_string();
        return Ok((Keyring::from_file(file).map_err(Failed::at(unfit_key(&origin)))?, origin));
    }
    let mut beside = settings.server.data.clone().into_os_string();
    beside.push(".key");
    let beside = PathBuf::from(beside);
    let origin = beside.display().to_string();
    if !is_first_start && !beside.exists() {
        // Another key would open nothing, and would be taken for the right one.
        return Err(format!(
            "the master key {origin} is missing, but credentials are sealed with it: put it back, or name it with \
             --key-file, key.file or {KEY_VARIABLE}"
        )
        .into());
    }
    let (keyring, made) =
        Keyring::from_file_or_new(&beside, random).map_err(Failed::at(unfit_key(&origin)))?;
    if made {
        tracing::warn!(
            file = origin,
            "a master key was generated: keep a copy of this file in a safe place; without it credentials are lost"
        );
    }
    Ok((keyring, origin))
}

fn unfit_key(origin: &str) -> String {
    format!("cannot use the master key in {origin}")
}

/// Writes the first administrator's token. Durable when it returns, the file's name included.
pub(crate) fn write_token(path: &Path, token: &Secret) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        writeln!(file, "{}", token.expose())?;
        file.sync_all()?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| {
        format!("cannot write the administrator's token to {}: {error}", path.display()).into()
    })
}
