//! `idstream journal repair`: says what is damaged and what giving it up would cost; does it when it is told to.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use base::{Clock, Random, SystemClock, Timestamp};
use catalog::{Catalog, Found, SqliteStore};
use custody::heads;
use delivery::{Configuration, Resume};
use event::StreamSet;
use journal::JournalError;
use journal::disk::{Disk, RealDisk};
use journal::local::{Reborn, Repair, Seen, Survey, Watch};

use super::{Where, advance, bar, catalog, journal_in, told};
use crate::commands::{Failed, Failure};
use crate::output::answer;

#[derive(clap::Args)]
#[command(after_help = "\
Without --accept-loss nothing is changed: it says what is damaged, which blocks would be given up, how many
events were in them, and when they were stored. First see whether a backup has them.

With --accept-loss the server must be stopped. Damaged blocks are replaced by markers that count their
events; what was in their place is kept in journal/lost+found. Each configuration's books count what it
had not delivered of them as discarded, and the next start tells it as an audit log (action Repair).
")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// Gives up what is lost, and mends the journal
    #[arg(long)]
    accept_loss: bool,
}

/// Shows how far the survey is.
struct Bar(indicatif::ProgressBar);

impl Watch for Bar {
    fn progress(&mut self, done: u64, total: u64) {
        advance(&self.0, done, total);
    }

    fn restart(&mut self) {}

    fn block(&mut self, _: &Seen<'_>) {}
}

fn survey(disk: &dyn Disk, catalog: Option<&Catalog>) -> Result<Survey, Failure> {
    let known = catalog.map(heads::known).transpose()?.flatten();
    let mut bar = Bar(bar()?);
    let survey = Survey::of(disk, known, &mut bar);
    bar.0.finish_and_clear();
    Ok(survey.map_err(Failed::at("cannot read the journal".to_owned()))?)
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let data = arguments.place.data()?;
    let directory = journal_in(&data)?;
    if !arguments.accept_loss {
        let disk = RealDisk::open_read_only(&directory)?;
        let repair = Repair::plan(survey(&disk, catalog(&data)?.as_ref())?)?;
        say(&repair)?;
        if repair.is_needed() {
            answer("Nothing was changed. With the server stopped, --accept-loss gives this up for good.")?;
        }
        return Ok(());
    }
    custody::backup::expect_none(&data)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&directory)?);
    let lock = disk.lock().map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => format!("a server is running on {}: stop it first", data.display()),
        _ => format!("cannot lock {}: {error}", directory.display()),
    })?;
    let catalog = writable(&data)?;
    let repair = Repair::plan(survey(disk.as_ref(), catalog.as_ref())?)?;
    say(&repair)?;
    if !repair.is_needed() {
        return Ok(());
    }
    let (clock, random) = (Arc::new(SystemClock), Arc::new(Random::from_system()));
    let now = clock.now();
    let note = custody::repaired(repair.gives_up(), repair.is_checkpoint_lost(), now, &random);
    let reborn = match &catalog {
        Some(catalog) if repair.is_checkpoint_lost() => reborn(catalog, now)?,
        _ => Vec::new(),
    };
    if repair.is_checkpoint_lost() && catalog.is_none() {
        return Err(
            "nobody knows who reads the journal: its consumers and its catalog are both missing".into()
        );
    }
    // The note before the deed: what was done is never left untold.
    if let Some(catalog) = &catalog {
        custody::tell(catalog, "repair", now, note)?;
    }
    let mended = repair.carry_out(disk, lock, clock, random, &reborn).await;
    mended.map_err(Failed::at("the journal could not be mended; do it again".to_owned()))?;
    answer("The journal is mended. What was taken out of it is in journal/lost+found.")
}

fn writable(data: &Path) -> Result<Option<Catalog>, Failure> {
    let file = data.join(SqliteStore::FILE);
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(Catalog::open(Arc::new(SqliteStore::open(&file)?))?))
}

/// The consumers of all configurations, when nobody knows how far they are. None begins with events that it was not meant
/// to get: each begins where its configuration did. One of which that is not known awaits a choice.
fn reborn(catalog: &Catalog, now: Timestamp) -> Result<Vec<Reborn>, Failure> {
    let streams = StreamSet::product();
    let mut all = Vec::new();
    for (id, found) in catalog.list_each::<Configuration>() {
        let name = delivery::consumer_name(&id).ok_or(JournalError::Refused("an id names no consumer"))?;
        let from = match found {
            Ok(Found { value: Configuration { sends_from: Some(from), name, .. }, .. }) => {
                answer(format_args!("begun anew: {name:?} gets what is stored from block {from} on"))?;
                from
            }
            Ok(mut found) => {
                found.value.resume = Resume { awaits_since: Some(now), gives_up_below: None };
                catalog.replace(&id, &found.value, found.revision, None)?;
                answer(format_args!(
                    "begun anew: {:?} awaits a choice, for nobody knows where it began: resumeFrom continue sends all \
                     stored events, now gives them up",
                    found.value.name
                ))?;
                0
            }
            Err(error) => {
                answer(format_args!(
                    "begun anew: {id} gets only what comes, for it cannot be read: {error}"
                ))?;
                u64::MAX
            }
        };
        all.push(Reborn { name, streams, from });
    }
    Ok(all)
}

fn say(repair: &Repair) -> Result<(), Failure> {
    let survey = repair.survey();
    if !repair.is_needed() {
        return answer("The journal is sound: there is nothing to repair.");
    }
    for problem in &survey.problems {
        answer(format_args!("damaged: {problem}"))?;
    }
    for gap in repair.gives_up() {
        answer(format_args!("given up: {}", told(gap)))?;
    }
    if repair.gives_up().is_empty() {
        answer("given up: no event")?;
    }
    if repair.is_checkpoint_lost() {
        answer(
            "begun anew: nobody knows what was delivered any more; every destination gets again, with the same eventIDs, \
             what is stored since its configuration began, and its books begin anew",
        )?;
    }
    for name in repair.rewrites() {
        answer(format_args!("written anew: {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use catalog::MemoryStore;
    use serde_json::{Value, json};

    use super::*;

    fn configuration(id: &str, sends_from: Value) -> Configuration {
        let mut document = json!({
            "id": id, "name": id, "enabled": true, "type": "splunk", "settings": {}, "secrets": {},
            "account": {}, "audit": {}, "hook": {},
        });
        if !sends_from.is_null() {
            document["sendsFrom"] = sends_from;
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_destination_is_begun_where_its_configuration_was_or_is_asked_about() {
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        for (id, from) in [("known", json!(7)), ("older", Value::Null)] {
            catalog.create(id, &configuration(id, from), None).unwrap();
        }
        let now = Timestamp::default();
        let begun = reborn(&catalog, now).unwrap();
        let from =
            |id: &str| begun.iter().find(|each| each.name.as_str() == format!("cfg/{id}")).unwrap().from;
        assert_eq!((from("known"), from("older")), (7, 0));
        let awaits = |id: &str| catalog.get::<Configuration>(id).unwrap().value.resume.awaits_since;
        assert_eq!((awaits("known"), awaits("older")), (None, Some(now)));
    }
}
