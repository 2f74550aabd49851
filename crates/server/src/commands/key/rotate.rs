//! Replacing the master key, in steps that each end with what they did on disk.
//!
//! What the next step is follows from what is stored alone. So a rotation that was cut off is not resumed in any special
//! way: it goes on. The keys grow before anything is sealed anew, and shrink only when nothing needs the older ones.

use base::{Clock as _, Random, SystemClock, Timestamp};
use catalog::{Catalog, Credential, KeyFile, Keyring};

use super::{Failure, counts, expect_catalog, open};
use crate::commands::Failed;
use crate::data::{self, MasterKey};
use crate::output::{ReaderGone, answer, counted};
use crate::settings::Settings;

/// Credentials that are named when they cannot be opened; the others are counted.
const MAX_NAMED: usize = 10;

/// What was given to change.
struct Rotation<'a> {
    key: MasterKey,
    catalog: Catalog,
    random: &'a Random,
    now: Timestamp,
}

pub(super) fn run(settings: &Settings, is_dry: bool) -> Result<(), Failure> {
    expect_catalog(settings)?;
    custody::backup::expect_none(&settings.server.data)?;
    let random = Random::from_system();
    // Held to the end: a server would go on sealing with the key that it has read.
    let _lock = if is_dry { None } else { Some(data::lock(settings)?) };
    let (key, catalog) = open(settings, &random)?;
    data::check_key(&key, &catalog, &random)?;
    let mut rotation = Rotation { key, catalog, random: &random, now: SystemClock.now() };
    rotation.check()?;
    if is_dry {
        return rotation.foretell();
    }
    if rotation.is_single() {
        say(rotation.begin()?)?;
    } else {
        say(format!("going on with key {}, the first one", rotation.key.keyring.key_id()))?;
    }
    while let Some(done) = rotation.step()? {
        say(done)?;
    }
    say(rotation.conclusion())
}

/// That nobody reads on is no reason to stop in the middle.
fn say(line: String) -> Result<(), Failure> {
    answer(line).or_else(|error| if error.is::<ReaderGone>() { Ok(()) } else { Err(error) })
}

impl Rotation<'_> {
    fn is_single(&self) -> bool {
        self.key.keyring.key_ids().count() == 1
    }

    /// Fails unless every credential opens with the keys that are here. Before anything is changed.
    fn check(&self) -> Result<(), Failure> {
        let credentials = self.catalog.credentials();
        let unfit = credentials.iter().filter_map(|credential| {
            let error = credential.check(&self.key.keyring).err()?;
            let Credential { kind, id, name, .. } = credential;
            Some(format!("\n  {kind}/{id}, {name}: {error}"))
        });
        let unfit: Vec<String> = unfit.collect();
        if unfit.is_empty() {
            return Ok(());
        }
        let named = unfit.iter().take(MAX_NAMED).map(String::as_str).collect::<String>();
        Err(format!(
            "{} credentials cannot be opened, so nothing is changed: give idstream the keys that are missing, or start the \
             server and give these credentials anew:{named}",
            unfit.len()
        )
        .into())
    }

    fn foretell(&self) -> Result<(), Failure> {
        let n_sealed = self.catalog.credentials().len();
        let sealed = counted(n_sealed as u64, "credential");
        let MasterKey { keyring, origin, file } = &self.key;
        if !self.is_single() {
            let n = n_sealed - counts(&self.catalog).remove(keyring.key_id()).unwrap_or_default();
            return answer(format_args!(
                "would seal {n} of {sealed} with key {}, the first one in {origin}",
                keyring.key_id()
            ));
        }
        if file.is_none() {
            return Err(by_hand(origin).into());
        }
        answer(format_args!(
            "would put a new key before key {} into {origin}, seal {sealed} with it, and leave it there alone; \
             the old key would be kept in a file beside it",
            keyring.key_id()
        ))
    }

    /// Puts a new key before the one that is there. From here on, both open.
    fn begin(&mut self) -> Result<String, Failure> {
        let file = self.key.file.as_mut().ok_or_else(|| by_hand(&self.key.origin))?;
        let added = file.add_fresh(self.random).and_then(|()| file.keyring());
        self.key.keyring = added.map_err(Failed::at(by_hand(&self.key.origin)))?;
        Ok(format!("a new key {} is in {}, before the old one", self.key.keyring.key_id(), self.key.origin))
    }

    /// Does what is to be done next, and says what that was. `None` when nothing is left.
    fn step(&mut self) -> Result<Option<String>, Failure> {
        let keyring = &self.key.keyring;
        let credentials = self.catalog.credentials();
        if let Some(old) = credentials.iter().find(|credential| credential.key_id() != keyring.key_id()) {
            let n = self.catalog.reseal(&old.kind, &old.id, keyring, self.random)?;
            let n = counted(n as u64, "credential");
            return Ok(Some(format!("{}/{}: {n} sealed anew", old.kind, old.id)));
        }
        for credential in &credentials {
            credential.check(keyring)?;
        }
        // The older keys are asked for at every start until all is sealed anew, and not any more after.
        let note = |before: &str| {
            api::audit::key_rotated(before, keyring.key_id(), credentials.len(), self.now, self.random)
        };
        if keyring.adopt(&self.catalog, self.random, note)? {
            let n = counted(credentials.len() as u64, "credential");
            return Ok(Some(format!("every credential opens with the new key ({n})")));
        }
        if self.is_single() {
            return Ok(None);
        }
        self.key.file.as_mut().map(|file| drop_older(file, &mut self.key.keyring)).transpose()
    }

    /// What the operator has to do after.
    fn conclusion(&self) -> String {
        let (id, origin) = (self.key.keyring.key_id(), &self.key.origin);
        let todo = if self.is_single() {
            format!("keep a copy of {origin} in a safe place")
        } else {
            format!("leave it alone in {origin}")
        };
        format!("the master key is {id}: {todo}, then start the server")
    }
}

/// Leaves the newest key alone in its file.
fn drop_older(file: &mut KeyFile, keyring: &mut Keyring) -> Result<String, Failure> {
    let kept = file.keep_newest()?;
    *keyring = file.keyring()?;
    let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    Ok(format!(
        "the old key is in {}: copies of the data directory made before need it; delete it when you have none",
        kept.join(", ")
    ))
}

fn by_hand(origin: &str) -> String {
    format!(
        "idstream cannot put a new key into {origin}: put one before the old one there yourself, with a space or a new line \
         between (head -c 32 /dev/urandom | base64 makes one), and do this again"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base::Secret;
    use serde_json::{Value, json};

    use super::*;

    const THINGS: [&str; 3] = ["1", "2", "3"];

    /// A document with two credentials.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Thing(Value);

    impl catalog::Document for Thing {
        const KIND: &'static str = "thing";
    }

    fn settings(directory: &Path) -> Settings {
        let data = directory.join("data").display().to_string();
        crate::settings::read(None, &[("server.data", Some(data))]).unwrap()
    }

    fn seal(keyring: &Keyring, id: &str, name: &str, random: &Random) -> Value {
        let secret = Secret::new(format!("{name} of {id}"));
        serde_json::to_value(keyring.seal(&secret, &catalog::place("thing", id, name), random).unwrap())
            .unwrap()
    }

    /// A data directory with its key beside it, as a server leaves them.
    fn prepare(settings: &Settings, random: &Random) {
        std::fs::create_dir_all(&settings.server.data).unwrap();
        let key = data::master_key(settings, true, random).unwrap();
        let catalog = data::open_catalog(&data::catalog_file(settings)).unwrap();
        data::check_key(&key, &catalog, random).unwrap();
        for id in THINGS {
            let thing = Thing(json!({
                "a": seal(&key.keyring, id, "a", random), "b": seal(&key.keyring, id, "b", random),
            }));
            catalog.create(id, &thing, None).unwrap();
        }
    }

    /// What a start of the server would find.
    fn found<'a>(settings: &Settings, random: &'a Random) -> Rotation<'a> {
        let (key, catalog) = open(settings, random).unwrap();
        data::check_key(&key, &catalog, random).unwrap();
        let rotation = Rotation { key, catalog, random, now: Timestamp::from_millis(0).unwrap() };
        rotation.check().unwrap();
        assert_eq!(rotation.catalog.credentials().len(), 6);
        rotation
    }

    /// Does so many steps, the beginning included, and no more. False when all was done before.
    fn go(settings: &Settings, random: &Random, n_steps: usize) -> bool {
        let mut rotation = found(settings, random);
        let mut n_done = 0;
        if rotation.is_single() {
            rotation.begin().unwrap();
            n_done = 1;
        }
        while n_done < n_steps {
            if rotation.step().unwrap().is_none() {
                return false;
            }
            n_done += 1;
        }
        true
    }

    #[test]
    fn cut_off_after_any_step_all_stays_readable_and_the_rotation_goes_on() {
        for n_steps in 1.. {
            let random = Random::from_seed(1);
            let directory = tempfile::tempdir().unwrap();
            let settings = settings(directory.path());
            prepare(&settings, &random);
            let old = found(&settings, &random).key.keyring.key_id().to_owned();
            if !go(&settings, &random, n_steps) {
                assert_eq!(n_steps, 7, "a key, three documents, what a start asks for, the old key, nothing");
                return;
            }
            let cut_off = found(&settings, &random);
            let new = cut_off.key.keyring.key_id().to_owned();
            let is_done = cut_off.is_single();
            drop(cut_off);
            if !is_done {
                go(&settings, &random, usize::MAX);
            }
            let after = found(&settings, &random);
            assert!(after.is_single() && after.key.keyring.key_id() == new && new != old, "{n_steps}");
            assert!(counts(&after.catalog).into_keys().eq([&*new]));
            let notes: Vec<_> = after.catalog.untold().into_iter().flat_map(|untold| untold.notes).collect();
            assert_eq!(notes.len(), 1, "it is told once: {notes:?}");
            assert_eq!(
                (&notes[0]["response"]["keyId"], &notes[0]["entityType"]),
                (&json!(new), &json!("MasterKey"))
            );
            let previous = directory.path().join(format!("data.key.previous-{old}"));
            assert_eq!(KeyFile::read(&previous).unwrap().keyring().unwrap().key_id(), old);
        }
    }

    #[test]
    fn a_new_key_that_cannot_be_put_down_changes_nothing_and_is_told() {
        let random = Random::from_seed(1);
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        prepare(&settings, &random);
        // Even for the superuser: a draft cannot be written where a directory is.
        std::fs::create_dir(directory.path().join("data.key.new")).unwrap();
        let error = found(&settings, &random).begin().unwrap_err();
        assert!(error.to_string().contains("put one before the old one there yourself"), "{error}");
        assert!(found(&settings, &random).is_single());
    }

    #[test]
    fn a_credential_that_cannot_be_opened_is_named_before_anything_is_changed() {
        let random = Random::from_seed(1);
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        prepare(&settings, &random);
        let rotation = found(&settings, &random);
        let other = Keyring::new(&[9; 32]);
        let thing = Thing(json!({"a": seal(&other, "4", "a", &random)}));
        rotation.catalog.create("4", &thing, None).unwrap();
        let error = rotation.check().unwrap_err().to_string();
        assert!(
            error.contains("nothing is changed") && error.contains("thing/4, a: sealed with key"),
            "{error}"
        );
    }
}
