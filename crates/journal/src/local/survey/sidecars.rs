//! Files of ids and filters: whether each of their pages is what was written. They are caches, so none is a problem.

use super::Survey;
use crate::JournalError;
use crate::disk::Disk;
use crate::local::format::names;
use crate::local::ids::{filters_are_intact, ids_are_intact};

/// Counts the files, and names those that will be rebuilt.
pub(super) fn check(disk: &dyn Disk, survey: &mut Survey) -> Result<(), JournalError> {
    let mut names = disk.list("").map_err(JournalError::Read)?;
    names.sort_unstable();
    for name in names {
        let (of_ids, of_filters) = (names::ids_of(&name), names::filters_of(&name));
        if of_ids.is_none() && of_filters.is_none() {
            continue;
        }
        let file = match disk.open(&name) {
            Ok(file) => file,
            // It was removed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(JournalError::Read(error)),
        };
        survey.n_sidecars += 1;
        let is_intact = match (of_ids, of_filters) {
            (Some(segment), _) => ids_are_intact(file.as_ref(), segment),
            (_, Some((first, n))) => filters_are_intact(file.as_ref(), first, n),
            _ => true,
        };
        if !is_intact {
            survey.bad_sidecars.push(name);
        }
    }
    Ok(())
}
