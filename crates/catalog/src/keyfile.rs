//! The file that master keys lie in: made once, and changed so that a crash leaves either the old or the new content.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::{Random, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{KeyError, Keyring};

/// Longest file, in bytes: eight keys are not half of it.
const MAX_BYTES: u64 = 4096;

/// A file of master keys, one a line, the newest first.
pub struct KeyFile {
    /// Where it lies, links followed: a new content must not replace a link.
    path: PathBuf,
    keys: Vec<Secret>,
}

impl KeyFile {
    /// Reads it. What it holds may still be no key, see [`KeyFile::keyring`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let read = || {
            // As large as it can become: a text that grows leaves copies behind.
            let mut text = String::with_capacity(2 * MAX_BYTES as usize);
            File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
            Ok((std::fs::canonicalize(path)?, Secret::new(text)))
        };
        let (real, text) = read().map_err(|cause| file_error(path, cause))?;
        Ok(Self { path: real, keys: text.expose().split_whitespace().map(Secret::new).collect() })
    }

    /// The same of a file that is made, with a fresh key, when it is not there. True when it was made.
    pub fn read_or_new(path: &Path, random: &Random) -> Result<(Self, bool), KeyError> {
        if path.exists() {
            return Self::read(path).map(|file| (file, false));
        }
        let draft = path.with_added_extension(format!("{:016x}.new", random.up_to(u64::MAX)));
        write_new(&draft, path, &fresh(random)).map_err(|cause| file_error(path, cause))?;
        Self::read(path).map(|file| (file, true))
    }

    /// Whether users other than its owner and its group may read it.
    pub fn is_open_to_others(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.mode() & 0o007 != 0)
    }

    /// The keys that it holds.
    pub fn keyring(&self) -> Result<Keyring, KeyError> {
        Keyring::from_text(&joined(&self.keys))
    }

    /// Puts a fresh key before the others. Durable when it returns.
    pub fn add_fresh(&mut self, random: &Random) -> Result<(), KeyError> {
        let keys: Vec<Secret> = [fresh(random)].into_iter().chain(self.keys.iter().cloned()).collect();
        self.replace(&keys)?;
        self.keys = keys;
        Ok(())
    }

    /// Leaves the newest key alone in the file. Each older one is kept in a file of its own beside it, named by its id, so
    /// that copies of the catalog that were made before can still be opened. Returns those files. Durable when it returns.
    pub fn keep_newest(&mut self) -> Result<Vec<PathBuf>, KeyError> {
        let mut kept = Vec::new();
        for key in self.keys.iter().skip(1) {
            let path =
                self.path.with_added_extension(format!("previous-{}", Keyring::from_text(key)?.key_id()));
            // A crash may have come between this and the next: then it is there, whole, for its name is part of its content.
            if !path.exists() {
                let draft = path.with_added_extension("new");
                let written = self.write_like(&draft, key).and_then(|()| std::fs::rename(&draft, &path));
                written.and_then(|()| sync_directory_of(&path)).map_err(|cause| file_error(&path, cause))?;
            }
            kept.push(path);
        }
        let newest: Vec<Secret> = self.keys.first().cloned().into_iter().collect();
        if !kept.is_empty() {
            self.replace(&newest)?;
        }
        self.keys = newest;
        Ok(kept)
    }

    /// Replaces the content in one step: whoever reads it at any moment, a crash included, finds the old or the new one.
    fn replace(&self, keys: &[Secret]) -> Result<(), KeyError> {
        let draft = self.path.with_added_extension("new");
        let written =
            self.write_like(&draft, &joined(keys)).and_then(|()| std::fs::rename(&draft, &self.path));
        written.and_then(|()| sync_directory_of(&self.path)).map_err(|cause| file_error(&self.path, cause))
    }

    /// Writes another file for those who may read this one: the server may be another user than who replaces its key.
    fn write_like(&self, path: &Path, text: &Secret) -> io::Result<()> {
        let like = std::fs::metadata(&self.path)?;
        let written = write_for(path, &like, text);
        if written.is_err() {
            let _only_tidying_up = std::fs::remove_file(path);
        }
        written
    }
}

fn write_for(path: &Path, like: &Metadata, text: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    // After the owner: what is opened to a group must not be opened to the wrong one.
    file.set_permissions(std::fs::Permissions::from_mode(like.mode() & 0o777 | 0o600))?;
    writeln!(file, "{}", text.expose())?;
    file.sync_all()
}

/// Writes the whole file under the name `draft` first: a crash never leaves half a key under the name `path`, and a key
/// that somebody else put there in the meantime is never replaced.
fn write_new(draft: &Path, path: &Path, text: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let written = writeln!(file, "{}", text.expose())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(draft, path));
    std::fs::remove_file(draft)?;
    written?;
    sync_directory_of(path)
}

/// A key must outlive a loss of power as surely as what it seals: its name is synced too.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn fresh(random: &Random) -> Secret {
    Secret::new(STANDARD.encode(random.bytes::<32>()))
}

fn joined(keys: &[Secret]) -> Secret {
    let mut text = String::with_capacity(MAX_BYTES as usize);
    for (at, key) in keys.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "\n" });
        text.push_str(key.expose());
    }
    Secret::new(text)
}

fn file_error(path: &Path, cause: io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn id(path: &Path) -> String {
        KeyFile::read(path).unwrap().keyring().unwrap().key_id().to_owned()
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_only() {
        let random = Random::from_seed(1);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let (first, made) = KeyFile::read_or_new(&path, &random).unwrap();
        assert!(made && !first.is_open_to_others());
        let (again, made) = KeyFile::read_or_new(&path, &random).unwrap();
        assert!(!made);
        assert_eq!(first.keyring().unwrap().key_id(), again.keyring().unwrap().key_id());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn a_key_is_replaced_through_a_link_for_the_same_readers_and_the_old_one_is_kept() {
        let random = Random::from_seed(1);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        KeyFile::read_or_new(&path, &random).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let old = id(&path);

        let mut file = KeyFile::read(&link).unwrap();
        file.add_fresh(&random).unwrap();
        let ring = KeyFile::read(&link).unwrap().keyring().unwrap();
        let ids: Vec<&str> = ring.key_ids().collect();
        assert!(ids.len() == 2 && ids[1] == old, "{ids:?}");
        let kept = file.keep_newest().unwrap();
        assert_eq!((kept.len(), id(&kept[0])), (1, old));
        assert_eq!(id(&path), ring.key_id());
        assert!(link.is_symlink());
        assert_eq!((mode(&path), mode(&kept[0])), (0o640, 0o640));
        assert!(file.keep_newest().unwrap().is_empty());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3, "no draft is left");
    }

    #[test]
    fn a_key_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nowhere");
        let Err(error) = KeyFile::read(&path) else { panic!("there is none") };
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
