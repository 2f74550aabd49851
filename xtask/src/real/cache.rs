//! Where what was fetched stays, outside the tree: one folder for each server and recipe. A folder is there only when it is
//! complete, so an interrupted run leaves nothing that looks done.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::needs::Needs;
use crate::{Failure, say};

/// The cache, and what fills it.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    needs: Needs,
}

impl Cache {
    /// `$IDSTREAM_REAL_CACHE`, else `idstream-real` in `$XDG_CACHE_HOME` or in `$HOME/.cache`.
    pub(super) fn open(needs: Needs) -> Result<Self, Failure> {
        let root = place(|name| env::var_os(name).map(PathBuf::from))
            .ok_or("nowhere to keep what is fetched: set IDSTREAM_REAL_CACHE or HOME")?;
        fs::create_dir_all(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
        Ok(Self { root, needs })
    }

    /// The home of the JDK.
    pub(super) fn jdk(&self) -> Result<&Path, Failure> {
        self.needs.jdk.as_deref().ok_or_else(|| "no JDK was looked for".into())
    }

    /// The cache's own folder, for what tools keep there.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that `make` fills: from an earlier run with the same recipe, or now.
    pub(super) fn ready(
        &self,
        name: &str,
        recipe: &[u8],
        make: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let folder = self.root.join(format!("{name}-{}", short_hash(recipe)));
        if folder.exists() {
            return Ok(folder);
        }
        say(&format!("fetching {name}"));
        let part = tempfile::Builder::new().prefix("part-").tempdir_in(&self.root)?;
        make(part.path()).map_err(|error| format!("cannot fetch {name}: {error}"))?;
        match fs::rename(part.path(), &folder) {
            // Another run was faster: what it made is as good.
            Err(_) if folder.exists() => {}
            renamed => renamed?,
        }
        Ok(folder)
    }
}

fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|path| path.is_absolute());
    set("IDSTREAM_REAL_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("idstream-real")))
        .or_else(|| Some(set("HOME")?.join(".cache/idstream-real")))
}

/// The first 8 hexadecimal digits of SHA-256.
fn short_hash(recipe: &[u8]) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(recipe));
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(root: &Path) -> Cache {
        Cache { root: root.to_owned(), needs: Needs::default() }
    }

    #[test]
    fn a_fetch_that_failed_leaves_nothing_that_looks_done() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let failed = cache.ready("a", b"1", |part| {
            fs::write(part.join("half"), b"")?;
            Err("the line went dead".into())
        });
        assert_eq!(failed.unwrap_err().to_string(), "cannot fetch a: the line went dead");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_is_fetched_again_only_for_another_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let make = |part: &Path| Ok(fs::write(part.join("file"), b"")?);
        let first = cache.ready("a", b"1", make).unwrap();
        assert!(first.join("file").exists());
        assert_eq!(cache.ready("a", b"1", |_| Err("fetched twice".into())).unwrap(), first);
        assert_ne!(cache.ready("a", b"2", make).unwrap(), first);
    }

    #[test]
    fn the_cache_is_where_the_caller_wants_it() {
        let of = |set: &[(&str, &str)]| {
            place(|name| set.iter().find(|(key, _)| *key == name).map(|(_, path)| PathBuf::from(path)))
        };
        let all = [("IDSTREAM_REAL_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(of(&all), Some("/a".into()));
        assert_eq!(of(&all[1..]), Some("/b/idstream-real".into()));
        assert_eq!(of(&all[2..]), Some("/c/.cache/idstream-real".into()));
        assert_eq!(of(&[("HOME", "")]), None);
    }
}
