//! The copy of the tree that is mutated. Nothing is written outside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Failure;

/// Makes `to` a copy of the files that git knows or would take in, with these texts in the place of theirs. A file that is
/// the same already is left alone, so that only what has changed is built again.
pub(super) fn copy(from: &Path, to: &Path, instead: &BTreeMap<String, String>) -> Result<(), Failure> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(listed).current_dir(from).output()?;
    if !listed.status.success() {
        return Err("git cannot list the files of the repository".into());
    }
    let names: BTreeSet<String> =
        String::from_utf8(listed.stdout)?.split_terminator('\0').map(str::to_owned).collect();
    for name in &names {
        let text = match instead.get(name) {
            Some(text) => text.clone().into_bytes(),
            // One that was removed and is still known to git.
            None if !from.join(name).exists() => continue,
            None => fs::read(from.join(name))?,
        };
        let place = to.join(name);
        if fs::read(&place).is_ok_and(|there| there == text) {
            continue;
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(place, text)?;
    }
    remove_others(to, to, &names, from)
}

/// Removes what is not in the repository any more.
fn remove_others(root: &Path, folder: &Path, names: &BTreeSet<String>, from: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if path.is_dir() {
            remove_others(root, &path, names, from)?;
        } else if !names.contains(&name) || !from.join(&name).exists() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
