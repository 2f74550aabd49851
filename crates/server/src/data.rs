//! What lies on disk: the data directory is made and what is in it opened. Each failure says which part, where it lies,
//! and what to do.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Random, Secret};
use catalog::{Catalog, Credential, KeyError, KeyFile, Keyring, SqliteStore};
use explorer::Explorer;
use journal::disk::{Disk as _, DiskLock, RealDisk, create_directory};
use journal::local::{LocalJournal, LocalOptions, Recovery};
use journal::{Journal, JournalError};

use crate::commands::journal::catalog;
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
    custody::backup::expect_none(data)?;
    make_directory(data)?;
    // The journal first: its lock keeps a second server away from everything else in the directory.
    let journal = open_journal(settings, clock, random)?;
    let file = catalog_file(settings);
    // The key before the catalog: a first start that is cut short between the two is a first start again.
    let key = master_key(settings, !file.exists(), random)?;
    let catalog = open_catalog(&file)?;
    check_key(&key, &catalog, random)?;
    warn_of_keys(&key, &catalog);
    Ok(Opened { journal, catalog, keyring: key.keyring })
}

/// Where the catalog lies.
pub(crate) fn catalog_file(settings: &Settings) -> PathBuf {
    settings.server.data.join(SqliteStore::FILE)
}

/// Opens it, or makes it.
pub(crate) fn open_catalog(file: &Path) -> Result<Catalog, Failure> {
    let opened = SqliteStore::open(file)
        .map_err(Failure::from)
        .and_then(|store| Ok(Catalog::open(Arc::new(store))?))
        .map_err(Failed::at(format!("cannot open the catalog in {}", file.display())));
    Ok(opened?)
}

/// Fails unless the catalog's credentials are sealed with this key.
pub(crate) fn check_key(key: &MasterKey, catalog: &Catalog, random: &Random) -> Result<(), Failure> {
    Ok(key.keyring.check(catalog, random).map_err(Failed::at(unfit_key(&key.origin)))?)
}

/// Keeps servers away from the data directory until the value is dropped.
pub(crate) fn lock(settings: &Settings) -> Result<DiskLock, Failure> {
    let directory = settings.server.data.join("journal");
    let locked = RealDisk::open(&directory).and_then(|disk| disk.lock());
    locked.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => {
            let data = settings.server.data.display();
            format!("a server is running on {data}: stop it, do this again, and start it after").into()
        }
        _ => format!("cannot lock {}: {error}", directory.display()).into(),
    })
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
        None if matches!(error, JournalError::Damaged(_)) => Failure::from(format!(
            "{}; idstream journal repair says what is lost and what can be done",
            cannot(&error)
        )),
        None => Failure::from(cannot(&error)),
    })?;
    log_recovery(&journal);
    Ok(Arc::new(journal))
}

/// Opens the index of stored events, which follows the journal from then on. Where it cannot be, there is none: events come
/// in and go out without it.
pub(crate) fn open_explorer(data: &Path, journal: Arc<dyn Journal>, clock: &Arc<dyn Clock>) -> Explorer {
    let directory = data.join("explorer");
    let open = |journal| {
        let (disk, clock) = (Arc::new(RealDisk::open(&directory)?), Arc::clone(clock));
        Explorer::start(explorer::Parts { journal, disk, clock, options: explorer::Options::default() })
    };
    open(Arc::clone(&journal)).unwrap_or_else(|error: std::io::Error| {
        tracing::error!(
            %error,
            "cannot use {}: stored events cannot be looked up, and links to them answer 503, until it is put right and the \
             server started again; when its files are at fault, remove them: all but the notes are made again",
            directory.display()
        );
        Explorer::without_index(journal)
    })
}

/// Tells the operator what the last end left behind.
fn log_recovery(journal: &LocalJournal) {
    let (head, recovery) = (journal.head(), journal.recovery());
    let Recovery { cut_bytes, n_unproven, n_dropped, is_cut_kept, n_ids_partial } = recovery;
    tracing::info!(first = head.first, next = head.next, bytes = head.stored_bytes, "the journal is open");
    if cut_bytes > 0 && is_cut_kept {
        tracing::warn!(cut_bytes, "a torn tail that was never acknowledged was moved to lost+found");
    } else if cut_bytes > 0 {
        tracing::warn!(
            cut_bytes,
            "a torn tail that was never acknowledged was cut off; the disk is full, so it was not kept in lost+found"
        );
    }
    if n_ids_partial > 0 {
        tracing::error!(
            segments = n_ids_partial,
            "segments of the journal are damaged and their ids are not all known: idstream journal verify names the place, \
             idstream journal repair says what can be done"
        );
    }
    if n_unproven > 0 || n_dropped > 0 {
        tracing::warn!(
            blocks_kept = n_unproven,
            segments_dropped = n_dropped,
            "the last process did not end cleanly; its last blocks were kept and its last trim was completed"
        );
    }
}

/// The master key, and where it came from.
pub(crate) struct MasterKey {
    pub(crate) keyring: Keyring,
    /// The file or the variable.
    pub(crate) origin: String,
    /// Absent when it came from the environment.
    pub(crate) file: Option<KeyFile>,
}

/// Finds the master key: in the environment, else in the file that is set, else in a file beside the data directory, which
/// is made at the first start.
pub(crate) fn master_key(
    settings: &Settings,
    is_first_start: bool,
    random: &Random,
) -> Result<MasterKey, Failure> {
    if let Some(text) = &settings.key.value {
        let keyring = Keyring::from_text(text).map_err(Failed::at(unfit_key(KEY_VARIABLE)))?;
        return Ok(MasterKey { keyring, origin: KEY_VARIABLE.to_owned(), file: None });
    }
    if let Some(path) = &settings.key.file {
        let origin = path.display().to_string();
        let needed = if path.exists() { String::new() } else { needed_key(settings) };
        let file = KeyFile::read(path).map_err(Failed::at(format!("{}{needed}", unfit_key(&origin))))?;
        return of_file(Ok(file), origin);
    }
    let mut beside = settings.server.data.clone().into_os_string();
    beside.push(".key");
    let beside = PathBuf::from(beside);
    let origin = beside.display().to_string();
    if !is_first_start && !beside.exists() {
        // Another key would open nothing, and would be taken for the right one.
        return Err(format!(
            "the master key {origin} is missing, but credentials are sealed with it{}: put it back, or name it with \
             --key-file, key.file or {KEY_VARIABLE}",
            needed_key(settings)
        )
        .into());
    }
    let (file, made) = KeyFile::read_or_new(&beside, random).map_err(Failed::at(unfit_key(&origin)))?;
    if made {
        tracing::warn!(
            file = origin,
            "a master key was generated: keep a copy of this file in a safe place; without it credentials are lost"
        );
    }
    of_file(Ok(file), origin)
}

/// Names the key that credentials are sealed with, for who has to find it; nothing when that is not known.
fn needed_key(settings: &Settings) -> String {
    let catalog = catalog(&settings.server.data).ok().flatten();
    let id = catalog.and_then(|catalog| Keyring::needed(&catalog));
    id.map(|id| format!(" (the key with the id {id} is needed)")).unwrap_or_default()
}

fn of_file(file: Result<KeyFile, KeyError>, origin: String) -> Result<MasterKey, Failure> {
    let read = file.and_then(|file| Ok((file.keyring()?, file)));
    let (keyring, file) = read.map_err(Failed::at(unfit_key(&origin)))?;
    Ok(MasterKey { keyring, origin, file: Some(file) })
}

/// Tells what of the keys an operator has to look after.
fn warn_of_keys(MasterKey { keyring, origin, file }: &MasterKey, catalog: &Catalog) {
    if file.as_ref().is_some_and(KeyFile::is_open_to_others) {
        tracing::warn!(
            file = origin,
            "every user of this machine may read the master key: chmod 600 {origin}"
        );
    }
    if keyring.key_ids().count() > 1 {
        tracing::warn!(
            origin,
            "there are several master keys: idstream key rotate seals everything with the first, then the others can go"
        );
    }
    let credentials = catalog.credentials();
    let is_missing = |id: &str| keyring.key_ids().all(|known| known != id);
    let missing: BTreeSet<&str> =
        credentials.iter().map(Credential::key_id).filter(|id| is_missing(id)).collect();
    if !missing.is_empty() {
        let n = credentials.iter().filter(|credential| is_missing(credential.key_id())).count();
        tracing::error!(
            credentials = n,
            keys = ?missing,
            "some credentials are sealed with keys that are not here: give idstream those too, behind the first one in \
             {origin}, or give the credentials anew"
        );
    }
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
