//! Restoring a backup into a data directory of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base::{Random, Timestamp};
use catalog::{Catalog, SqliteStore};
use journal::disk::create_directory;
use serde_json::json;

use super::{BackupError, CATALOG, JOURNAL, MANIFEST, Manifest, VERSION, at, check, copy, make_empty};
use crate::told::{after, note, tell};
use crate::verify::RESTORE_PATH;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// Copies the backup in `from` to the data directory `data`, which must be empty or not there. The backup is verified
/// before anything is written: every file by its digest, the journal by its chain and its signed head.
///
/// The restored catalog holds a note of it, which becomes an audit log at the next start.
pub fn restore(
    from: &Path,
    data: &Path,
    now: Timestamp,
    random: &Random,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, BackupError> {
    let manifest = read_manifest(from)?;
    for entry in &manifest.files {
        if copy::entry(from, entry.name.clone())? != *entry {
            let what = "it is not the file that was backed up: this backup is damaged".to_owned();
            return Err(BackupError::Unfit { path: from.join(&entry.name), what });
        }
    }
    let verdict = check(from, progress)?;
    if verdict.survey.next != manifest.last_block + 1 {
        let what =
            format!("the journal ends with block {}, not {}", verdict.survey.next - 1, manifest.last_block);
        return Err(BackupError::Unfit { path: from.join(JOURNAL), what });
    }
    make_empty(data)?;
    let journal = data.join(JOURNAL);
    create_directory(&journal).map_err(at(&journal))?;
    // The catalog last: without it a server that is started meanwhile finds no installation.
    for entry in manifest.files.iter().filter(|entry| entry.name != CATALOG) {
        copy::file(&from.join(&entry.name), &data.join(&entry.name))?;
    }
    fs::File::open(&journal).and_then(|directory| directory.sync_all()).map_err(at(&journal))?;
    copy::file(&from.join(CATALOG), &data.join(CATALOG))?;
    fs::File::open(data).and_then(|directory| directory.sync_all()).map_err(at(data))?;
    leave_note(data, &manifest, now, random)?;
    let bytes = manifest.files.iter().map(|entry| entry.bytes).sum();
    Ok(Restored { manifest, bytes })
}

fn read_manifest(from: &Path) -> Result<Manifest, BackupError> {
    let path = from.join(MANIFEST);
    let unfit = |what: String| BackupError::Unfit { path: path.clone(), what };
    let bytes = fs::read(&path).map_err(|error| {
        unfit(format!("it cannot be read ({error}): name the directory of a backup that was finished"))
    })?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| unfit(format!("it is no backup's manifest: {error}")))?;
    if manifest.version != VERSION {
        return Err(unfit(format!("a newer idstream made this backup (version {})", manifest.version)));
    }
    // Names come from a file that anybody may have written: none leads out of the backup.
    let is_inside = |name: &str| {
        let file = name.strip_prefix(JOURNAL).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
        !file.is_empty() && !file.contains('/') && !file.starts_with('.')
    };
    match manifest.files.iter().find(|entry| !is_inside(&entry.name)) {
        Some(entry) => Err(unfit(format!("it names a file outside of the backup: {:?}", entry.name))),
        None => Ok(manifest),
    }
}

/// Heads that were signed after the backup was made lead nowhere from here on: whoever keeps them learns why.
fn leave_note(data: &Path, manifest: &Manifest, now: Timestamp, random: &Random) -> Result<(), BackupError> {
    let catalog = Catalog::open(Arc::new(SqliteStore::open(&data.join(CATALOG))?))?;
    let restored = json!({
        "upToBlock": manifest.last_block,
        "blockHash": manifest.block_hash,
        "completeUpTo": manifest.complete_up_to,
        "restoredAt": now,
    });
    let changes = json!([after(RESTORE_PATH, restored)]);
    Ok(tell(&catalog, "restore", now, note("Restore", "Journal", "journal", changes, (now, random)))?)
}
