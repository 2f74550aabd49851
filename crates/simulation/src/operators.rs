//! Operators: they create, edit, pause and delete configurations, trim and erase, as the API and the server do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{Clock, Secret};
use catalog::Catalog;
use delivery::{Backlog, Configuration, Resume, ResumeFrom, ResumeLimits, Supervisor};
use destinations::{SecretName, Settings, Vendor};
use journal::{ConsumerCommand, Journal, Offset};

use crate::dice::mix;
use crate::journal::WorldJournal;
use crate::oracle;
use crate::plan::Manner;
use crate::receivers::Site;
use crate::selection::Selected;
use crate::world::{Owned, World};

/// A short time, so that it is exceeded now and then.
const LIMITS: ResumeLimits = ResumeLimits { max_age: Duration::from_mins(20), max_bytes: 1 << 30 };

/// Why a deed was not done: it is left, as a person leaves it who sees an error.
pub(crate) type Left = Box<dyn std::error::Error + Send + Sync>;

/// Those who work on one process.
pub(crate) struct Operators {
    pub(crate) world: Arc<World>,
    pub(crate) journal: Arc<WorldJournal>,
    pub(crate) catalog: Catalog,
    pub(crate) supervisor: Arc<Supervisor>,
}

/// What a change does about a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    AsItIs,
    Disable,
    Enable(Option<ResumeFrom>),
}

impl Operators {
    /// Does one thing after another, until the process dies.
    pub(crate) async fn work(&self) {
        let dice = &self.world.dice;
        let longest = (self.world.plan.life.as_millis() as u64 / 6).clamp(500, 600_000);
        loop {
            if let Err(error) = self.deed().await {
                self.world.note(format_args!("an operator's deed failed: {error}"));
            }
            tokio::time::sleep(dice.millis(100, longest)).await;
            if self.world.is_fair.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    async fn deed(&self) -> Result<(), Left> {
        let (dice, deeds) = (&self.world.dice, self.world.plan.operators);
        let ids = self.ids();
        if ids.len() < self.world.plan.n_configurations {
            return self.create().await;
        }
        let Some(last) = ids.len().checked_sub(1) else { return Ok(()) };
        let Some(id) = ids.get(dice.up_to(last as u64) as usize) else { return Ok(()) };
        match dice.up_to(7) {
            0 | 1 if deeds.edits => self.edit(id).await,
            2 | 3 if deeds.pauses => self.pause(id).await,
            4 if deeds.deletions && dice.up_to(2) == 0 => self.delete(id).await,
            5 if deeds.trims => self.trim().await,
            6 if deeds.erasures => self.erase().await,
            _ => {
                self.weather();
                Ok(())
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.catalog.list_each::<Configuration>().into_iter().map(|(id, _)| id).collect()
    }

    /// The weather changes at one site, and somebody may set the machine's clock.
    fn weather(&self) {
        let (world, dice) = (&self.world, &self.world.dice);
        if world.plan.clock_jumps && dice.up_to(9) == 0 {
            let by = dice.between(1, 7_200_000) as i64;
            let is_back = dice.up_to(1) == 0;
            world.count(if is_back { "clock set back" } else { "clock set forward" });
            world.clock.jump(if is_back { -by } else { by });
        }
        if !world.plan.has_weather {
            return;
        }
        let sites = world.sites.lock();
        let at = dice.up_to(sites.len().saturating_sub(1) as u64) as usize;
        if let Some((host, site)) = sites.iter().nth(at) {
            let weather = crate::receivers::Weather::draw(dice);
            *site.weather.lock() = weather;
            world.note(format_args!("{host}: {weather:?}"));
        }
    }

    async fn create(&self) -> Result<(), Left> {
        let world = &self.world;
        let n = {
            let mut known = world.known.lock();
            known.n_configurations += 1;
            known.n_configurations
        };
        let (id, host) = (format!("c{n}"), format!("c{n}.example.com"));
        let manner = Manner::draw(&world.dice);
        delivery::admit(&*self.journal, &id).await?;
        let name = delivery::consumer_name(&id).ok_or("no name")?;
        let consumers = self.journal.consumers(ConsumerCommand::List).await?;
        let place = consumers.into_iter().find(|each| each.name == name).ok_or("no place")?;
        let selected = if world.dice.up_to(1) == 0 { Selected::all() } else { Selected::draw(&world.dice) };
        let mut configuration = self.configuration(&id, &host, manner)?;
        selected.apply(&mut configuration);
        let site = Site::new(mix(world.seed) ^ n, manner, world.plan.unfit);
        world.sites.lock().insert(host.clone(), Arc::new(site));
        self.catalog.create(&id, &configuration, None)?;
        world.note(format_args!("{id} created: {manner:?} {selected:?}"));
        world.count("configuration created");
        let epochs = vec![(u64::MAX, selected)];
        let started_at = place.state.started_at;
        let owned = Owned { host, started_at, epochs, given_up: 0, is_deleted: false };
        world.known.lock().configurations.insert(id, owned);
        Ok(())
    }

    fn configuration(&self, id: &str, host: &str, manner: Manner) -> Result<Configuration, Left> {
        let url = match manner.vendor {
            Vendor::Splunk => serde_json::json!({
                "url": format!("http://{host}:8088"), "acknowledgement": manner.wanted,
            }),
            Vendor::Elasticsearch => serde_json::json!({"url": format!("http://{host}:9200")}),
            Vendor::Https => serde_json::json!({
                "url": format!("http://{host}/in"), "headerName": "x-key",
                "format": if manner.is_ndjson { "ndjson" } else { "array" },
            }),
        };
        let settings = Settings::parse(manner.vendor, &url).map_err(|errors| format!("{errors:?}"))?;
        let secret = Secret::new("credential-of-the-simulation");
        let sealed =
            delivery::seal(&self.world.keyring, id, SecretName::ApiKey, &secret, &self.world.random)?;
        Ok(Configuration {
            id: id.to_owned(),
            name: id.to_owned(),
            description: None,
            enabled: true,
            vendor: manner.vendor,
            settings: settings.to_json(),
            secrets: BTreeMap::from([(SecretName::ApiKey, sealed)]),
            account: delivery::AccountSwitch::default(),
            audit: delivery::AuditSwitch::default(),
            hook: delivery::HookSwitch::default(),
            filter: event::filter::Filter::default(),
            earlier: Vec::new(),
            sends_from: None,
            start_from: None,
            paused_since: None,
            disabled_since: None,
            backlog: delivery::Budget::default(),
            resume: Resume::default(),
        })
    }

    async fn edit(&self, id: &str) -> Result<(), Left> {
        self.world.count("configuration edited");
        let selected = Selected::draw(&self.world.dice);
        let pause = Pause::AsItIs;
        if self.world.dice.up_to(5) == 0 {
            return self.change(id, None, pause).await;
        }
        self.change(id, Some(selected), pause).await
    }

    async fn pause(&self, id: &str) -> Result<(), Left> {
        let dice = &self.world.dice;
        let found = self.catalog.get::<Configuration>(id)?;
        let choice = dice.pick(None, &[Some(ResumeFrom::Continue), Some(ResumeFrom::Now)]);
        if found.value.runs() {
            self.world.count("configuration paused");
            self.change(id, None, Pause::Disable).await
        } else {
            self.change(id, None, Pause::Enable(choice)).await
        }
    }

    /// Opens a configuration wide: everything is selected and goes on.
    pub(crate) async fn open(&self, id: &str) -> Result<(), Left> {
        self.change(id, Some(Selected::all()), Pause::Enable(Some(ResumeFrom::Continue))).await
    }

    /// Replaces a configuration as the API does.
    async fn change(&self, id: &str, selected: Option<Selected>, pause: Pause) -> Result<(), Left> {
        let world = &self.world;
        let _turn = self.supervisor.turn(id).await;
        let found = self.catalog.get::<Configuration>(id)?;
        let mut after = found.value.clone();
        after.description = Some(format!("changed at {}", world.clock.elapsed().as_millis()));
        if let Some(selected) = &selected {
            selected.apply(&mut after);
        }
        match pause {
            Pause::Disable => {
                after.enabled = false;
                after.resume = found.value.resume.while_disabled();
            }
            Pause::Enable(choice) if !found.value.runs() => {
                after.enabled = true;
                let backlog = Backlog::of(&*self.journal, id).await?;
                after.resume = found.value.resume.next(&backlog, choice, LIMITS, world.clock.now());
                if choice == Some(ResumeFrom::Continue) {
                    world.count("resumed with the backlog");
                }
            }
            Pause::AsItIs | Pause::Enable(_) => {}
        }
        let floor = self.supervisor.floor(id).await?;
        // From here on nothing else happens until it is stored.
        let next = self.journal.head().next;
        let hand_over = self.supervisor.hand_over(&found, &mut after, floor);
        if after.is_overfull() {
            return Err("it remembers too much".into());
        }
        self.catalog.replace(id, &after, found.revision, None)?;
        hand_over.complete();
        let given_up = after.resume.gives_up_below;
        world.note(format_args!(
            "{id} changed from block {next} on: {pause:?} {selected:?} {:?}",
            after.resume
        ));
        if let Some(owned) = world.known.lock().configurations.get_mut(id) {
            if let Some(selected) = selected {
                owned.epochs.last_mut().into_iter().for_each(|(until, _)| *until = next);
                owned.epochs.push((u64::MAX, selected));
            }
            owned.given_up = owned.given_up.max(given_up.unwrap_or_default());
        }
        if let Some(below) = given_up {
            self.supervisor.give_up(id, below).await?;
            delivery::end_pause(&self.catalog, id, below)?;
            world.count("given up after a pause");
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), Left> {
        let world = &self.world;
        let _turn = self.supervisor.turn(id).await;
        let found = self.catalog.get::<Configuration>(id)?;
        self.catalog.delete::<Configuration>(id, found.revision, None)?;
        if let Some(owned) = world.known.lock().configurations.get_mut(id) {
            owned.is_deleted = true;
        }
        world.note(format_args!("{id} deleted"));
        world.count("configuration deleted");
        Ok(delivery::dismiss(&*self.journal, id).await?)
    }

    /// Drops what retention may drop: nothing that a running configuration has not settled.
    async fn trim(&self) -> Result<(), Left> {
        let world = &self.world;
        let consumers = self.journal.consumers(ConsumerCommand::List).await?;
        let head = self.journal.head();
        let holds = |consumer: &&journal::Consumer| {
            let configuration = delivery::configuration_id(&consumer.name);
            let found = configuration.and_then(|id| self.catalog.get::<Configuration>(id).ok());
            found.is_some_and(|found| found.value.runs())
        };
        let floors = consumers.iter().filter(holds).map(|consumer| consumer.state.floor);
        let limit = floors.min().unwrap_or(head.next).min(head.next);
        let up_to = head.first + world.dice.up_to(limit.saturating_sub(head.first));
        oracle::look(world, &*self.journal).await?;
        {
            let mut known = world.known.lock();
            known.trimmed = known.trimmed.max(up_to);
        }
        self.journal.trim(up_to).await?;
        world.note(format_args!("trimmed up to {up_to}"));
        world.count("trimmed");
        Ok(())
    }

    async fn erase(&self) -> Result<(), Left> {
        let world = &self.world;
        oracle::look(world, &*self.journal).await?;
        let chosen = {
            let mut known = world.known.lock();
            let at = world.dice.up_to(known.stored.len().saturating_sub(1) as u64) as usize;
            let found = known.stored.iter().nth(at).and_then(|(id, stored)| Some((*id, *stored.last()?)));
            let Some((id, stored)) = found else { return Ok(()) };
            known.erased.insert(id);
            stored
        };
        self.journal.erase(&[Offset { block: chosen.block, index: chosen.index }]).await?;
        world.count("erased");
        Ok(())
    }
}
