//! Copying files, those of a journal that is written to meanwhile among them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use journal::signing::to_hex;
use sha2::{Digest, Sha256};

use super::{BackupError, Entry, at};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// How often a journal that drops segments meanwhile is looked at anew.
const TRIES: usize = 10;
/// Bytes of a segment's header; its generation is in it.
const HEADER: usize = 192;

/// Copies a journal. Files of ids and filters are left out: they are made again.
///
/// What a consumer had settled is read before the segments, so that no cursor is ahead of them; where the journal begins
/// is read before and after, so that no segment is missing behind it.
pub(super) fn journal(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut copied = BTreeMap::new();
    for _ in 0..TRIES {
        let anchor = read_if_there(&from.join("anchor"))?;
        let consumers = fs::read(from.join("consumers")).map_err(at(&from.join("consumers")))?;
        let segments = segments(from)?;
        if !all(from, to, &segments, &mut copied)? || read_if_there(&from.join("anchor"))? != anchor {
            continue;
        }
        for dropped in copied.keys().filter(|name| !segments.contains(name)) {
            fs::remove_file(to.join(dropped)).map_err(at(&to.join(dropped)))?;
        }
        write(&to.join("consumers"), &consumers)?;
        if let Some(anchor) = anchor {
            write(&to.join("anchor"), &anchor)?;
        }
        return File::open(to).and_then(|directory| directory.sync_all()).map_err(at(to));
    }
    Err(BackupError::Restless)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Names of segment files, oldest first.
fn segments(directory: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for file in fs::read_dir(directory).map_err(at(directory))? {
        let file = file.map_err(at(directory))?;
        names.extend(
            file.file_name().into_string().ok().filter(|name| name.strip_suffix(".segment").is_some()),
        );
    }
    names.sort();
    Ok(names)
}

/// What tells whether a segment is still the one that was copied: its header, and its size.
type Copied = BTreeMap<String, (Vec<u8>, u64)>;

/// Copies the segments that were not copied yet. False when one was dropped meanwhile.
fn all(from: &Path, to: &Path, segments: &[String], copied: &mut Copied) -> Result<bool, BackupError> {
    for name in segments {
        let path = from.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(at(&path)(error)),
        };
        let state = state(&file).map_err(at(&path))?;
        if copied.get(name) != Some(&state) {
            let target = to.join(name);
            copy(&file, &target).map_err(at(&target))?;
            copied.insert(name.clone(), state);
        }
    }
    Ok(true)
}

fn state(mut file: &File) -> io::Result<(Vec<u8>, u64)> {
    let mut header = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut header)?;
    io::Seek::rewind(&mut file)?;
    Ok((header, file.metadata()?.len()))
}

/// Copies a file from where it stands, durably.
fn copy(mut from: &File, to: &Path) -> io::Result<()> {
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()
}

/// Copies a file to a new one, durably.
pub(super) fn file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let source = File::open(from).map_err(at(from))?;
    copy(&source, to).map_err(at(to))
}

/// Writes a file in one durable step.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let draft = path.with_added_extension("tmp");
    let write = || {
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(at(path))
}

/// Cuts bytes off the last segment that were never acknowledged.
pub(super) fn cut(journal: &Path, n_bytes: u64) -> Result<(), BackupError> {
    let Some(last) = segments(journal)?.pop() else { return Ok(()) };
    let path = journal.join(last);
    let cut = || {
        let file = File::options().write(true).open(&path)?;
        let len = file.metadata()?.len();
        if n_bytes >= len {
            // Not even its header was finished.
            drop(file);
            return fs::remove_file(&path);
        }
        file.set_len(len - n_bytes)?;
        file.sync_all()
    };
    cut().map_err(at(&path))
}

/// A file of a backup, read anew.
pub(super) fn entry(directory: &Path, name: String) -> Result<Entry, BackupError> {
    let path: PathBuf = directory.join(&name);
    let digest = || {
        let mut file = File::open(&path)?;
        let (mut hash, mut chunk, mut bytes) = (Sha256::new(), vec![0; CHUNK], 0);
        loop {
            let n = file.read(&mut chunk)?;
            if n == 0 {
                return Ok((bytes, to_hex(&<[u8; 32]>::from(hash.finalize()))));
            }
            hash.update(chunk.get(..n).unwrap_or_default());
            bytes += n as u64;
        }
    };
    let (bytes, sha256) = digest().map_err(at(&path))?;
    Ok(Entry { name, bytes, sha256 })
}
