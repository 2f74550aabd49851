//! Backups of a data directory, also of one that a server is writing to, and their restore.
//!
//! A backup holds the catalog as it was at one moment, and the journal up to a block that was durable at a later one. It
//! holds no master key: what is sealed in the catalog opens with that alone.

mod copy;
mod restore;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Timestamp;
use catalog::{Catalog, CatalogError, SqliteStore, StoreError};
use journal::JournalError;
use journal::disk::{RealDisk, create_directory};
use journal::signing::to_hex;
use serde::{Deserialize, Serialize};

use crate::verify::{Against, Verdict, verify};
use crate::{heads, key};

pub use restore::{Restored, restore};

/// The file that says what a backup holds. It is written last.
const MANIFEST: &str = "backup.json";
const CATALOG: &str = SqliteStore::FILE;
const JOURNAL: &str = "journal";
/// The form of the manifest.
const VERSION: u32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of this file: 1.
    pub version: u32,
    /// Every event that was accepted before this time is in the backup, unless retention had dropped it.
    pub complete_up_to: Timestamp,
    /// The oldest block.
    pub first_block: u64,
    /// The last block.
    pub last_block: u64,
    /// Its hash, 64 hex digits.
    pub block_hash: String,
    /// Records, without erased ones.
    pub records: u64,
    /// The public key of the journal's signatures, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Every file but this one.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the backup.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
}

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is something already where the copy should go.
    #[error("{0} is not empty: name a directory that is not there yet")]
    NotEmpty(PathBuf),
    /// It would be changed, and be a backup no more.
    #[error(
        "{path} is a backup, and stays one only while nothing changes it; restore it to a directory of its own: idstream \
         restore --from {path} --data DIR", path = .0.display()
    )]
    IsBackup(PathBuf),
    /// It is no data directory, no backup, or not one that this version can read.
    #[error("{path}: {what}")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The journal is damaged, so that the copy would be too.
    #[error("the journal in {path} is damaged: {what}; idstream journal verify says more")]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// The first problem.
        what: String,
    },
    /// The journal drops segments faster than they are copied.
    #[error("the journal changed all the time while it was copied; try again")]
    Restless,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog's file cannot be read or written.
    #[error("the catalog cannot be copied")]
    Store(#[from] StoreError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |cause| BackupError::File { path, cause }
}

/// Copies the data directory `data` to the directory `to`, which must be empty or not there. A server may be running.
/// `now` is when it begins. `progress` is told how many bytes of how many are done.
///
/// When it fails, what it has copied is left without a manifest, and is no backup.
pub fn back_up(
    data: &Path,
    to: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, BackupError> {
    let store = SqliteStore::open_read_only(&data.join(CATALOG)).map_err(|error| BackupError::Unfit {
        path: data.to_owned(),
        what: format!("it holds no catalog that can be read ({error}): name a data directory"),
    })?;
    make_empty(to)?;
    // The catalog before the journal: whatever it knows of the journal, the journal has.
    store.copy_to(&to.join(CATALOG))?;
    let journal = to.join(JOURNAL);
    create_directory(&journal).map_err(at(&journal))?;
    copy::journal(&data.join(JOURNAL), &journal)?;
    let verdict = check(to, progress)?;
    if verdict.survey.torn_bytes > 0 {
        copy::cut(&journal, verdict.survey.torn_bytes)?;
    }
    let catalog = open_catalog(to)?;
    let public_key = key::public_key(&catalog).ok().flatten().map(|key| key.to_string());
    let manifest = Manifest {
        version: VERSION,
        complete_up_to: now,
        first_block: verdict.survey.first,
        last_block: verdict.survey.next - 1,
        block_hash: to_hex(&verdict.survey.hash),
        records: verdict.survey.n_records,
        public_key,
        files: entries(to)?,
    };
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    copy::write(&to.join(MANIFEST), &bytes)?;
    Ok(manifest)
}

/// Fails when `data` is a backup. To be asked before anything is opened to be written in it: a backup whose files change is
/// refused by [`restore()`], and is lost.
pub fn expect_none(data: &Path) -> Result<(), BackupError> {
    if data.join(MANIFEST).exists() { Err(BackupError::IsBackup(data.to_owned())) } else { Ok(()) }
}

/// An empty directory of which others see nothing.
fn make_empty(directory: &Path) -> Result<(), BackupError> {
    create_directory(directory).map_err(at(directory))?;
    if fs::read_dir(directory).map_err(at(directory))?.next().is_some() {
        return Err(BackupError::NotEmpty(directory.to_owned()));
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(at(directory))
}

fn open_catalog(directory: &Path) -> Result<Catalog, BackupError> {
    Ok(Catalog::open(Arc::new(SqliteStore::open_read_only(&directory.join(CATALOG))?))?)
}

/// Verifies the journal of a copy against the catalog beside it.
fn check(directory: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verdict, BackupError> {
    let path = directory.join(JOURNAL);
    let against = Against { known: heads::known(&open_catalog(directory)?)?, ..Against::default() };
    let disk = RealDisk::open_read_only(&path).map_err(at(&path))?;
    let verdict = verify(&disk, &against, progress)?;
    let faults = verdict.own.faults.iter().cloned();
    let problem = verdict.survey.problems.iter().map(ToString::to_string).chain(faults).next();
    match problem {
        Some(what) => Err(BackupError::Damaged { path, what }),
        None => Ok(verdict),
    }
}

/// Every file of a copy, with its digest.
fn entries(directory: &Path) -> Result<Vec<Entry>, BackupError> {
    let mut names = vec![CATALOG.to_owned()];
    let journal = directory.join(JOURNAL);
    for file in fs::read_dir(&journal).map_err(at(&journal))? {
        let file = file.map_err(at(&journal))?;
        names.push(format!("{JOURNAL}/{}", file.file_name().to_string_lossy()));
    }
    names.sort();
    names.into_iter().map(|name| copy::entry(directory, name)).collect()
}
