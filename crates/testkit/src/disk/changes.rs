//! Changes that were made and not synced, and what is left of them without power.

use std::collections::BTreeMap;

use base::Random;

#[derive(Clone)]
pub(super) enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Clone)]
pub(super) enum NameChange {
    Link { name: String, file: usize },
    Rename { from: String, to: String, file: usize },
    Unlink { name: String },
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
        }
    }

    pub(super) fn is_in(&self, folder: &str) -> bool {
        let (Self::Link { name, .. } | Self::Rename { to: name, .. } | Self::Unlink { name }) = self;
        folder_of(name) == folder
    }
}

pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Change {
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => {
                let end = position + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(place) = to.get_mut(*position..end) {
                    place.copy_from_slice(bytes);
                }
            }
            Self::SetLen(len) => to.resize(*len, 0),
        }
    }
}

/// Lets a change survive wholly, in part, or not. A byte that is overwritten is the old or the new one.
pub(super) fn survive(random: &Random, change: Change, durable: &mut Vec<u8>) {
    let change = match (random.up_to(3), change) {
        (0, _) => return,
        (1, Change::Write { position, mut bytes }) => {
            bytes.truncate(random.up_to(bytes.len() as u64) as usize);
            Change::Write { position, bytes }
        }
        (2, Change::Write { position, mut bytes }) => {
            // The length reached the disk, a piece in the middle did not: what was there before is there, else zeros.
            let hole = random.up_to(bytes.len() as u64) as usize;
            let end = hole + random.up_to((bytes.len() - hole) as u64) as usize;
            for (at, byte) in bytes.iter_mut().enumerate().take(end).skip(hole) {
                *byte = durable.get(position + at).copied().unwrap_or(0);
            }
            Change::Write { position, bytes }
        }
        (_, change) => change,
    };
    change.apply(durable);
}
