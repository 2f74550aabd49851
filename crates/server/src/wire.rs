//! Builds a running server from its settings, part by part in the order of the layers, and takes it down again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::mask::MaskRule;
use base::{Clock, Random, Secret, SystemClock};
use catalog::Catalog;
use delivery::{Parts, ResumeLimits, Supervisor};
use destinations::transport::HttpTransport;
use event::native::Instance;
use explorer::Explorer;
use intake::Intake;
use journal::local::LocalJournal;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::Failure;
use crate::data;
use crate::http;
use crate::http::tls::{self, Keeper};
use crate::keeping::{Keeping, Watching};
use crate::retention;
use crate::settings::{self, Settings};

/// A server that is listening.
pub(crate) struct Running {
    address: SocketAddr,
    speaks_tls: bool,
    admin_token: Option<Secret>,
    admin_token_file: PathBuf,
    journal: Arc<LocalJournal>,
    delivery: Arc<Supervisor>,
    explorer: Arc<Explorer>,
    api: api::ApiState,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    chores: Chores,
}

impl Running {
    /// Opens the data directory, recovers what is in it, and listens.
    pub(crate) async fn start(settings: &Settings) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random = Arc::new(Random::from_system());
        // What does not fit stops the start before anything is made.
        let keeper = settings.tls_files().map(|files| Keeper::open(files, clock.now())).transpose()?;
        let data::Opened { journal, catalog, keyring } = data::open(settings, &clock, &random)?;
        let keyring = Arc::new(keyring);
        let keeping = Keeping::begin(&journal, &catalog, &keyring, &clock, &random).await?;
        let (admin_token_file, admin_token) = first_token(settings, &catalog, &*clock, &random)?;
        let (listener, address) = bind(settings.server.listen).await?;
        let instance = instance(&settings.instance);
        let intake = Arc::new(intake(settings, journal.clone(), &clock, &random));
        let parts = Parts {
            journal: journal.clone(),
            catalog: catalog.clone(),
            keyring: Arc::clone(&keyring),
            transport: Arc::new(HttpTransport::new()?),
            instance: instance.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        };
        let alarms = alarms(&parts, settings, &journal);
        let delivering = Supervisor::start(parts);
        let explorer = Arc::new(data::open_explorer(&settings.server.data, journal.clone(), &clock));
        let delivery = Arc::new(delivering.await);
        let api = api::ApiState::new(api::ApiParts {
            catalog,
            keyring,
            intake,
            delivery: Arc::clone(&delivery),
            explorer: Arc::clone(&explorer),
            journal: journal.clone(),
            clock,
            random,
            limits: body_limits(&settings.intake),
            rates: rate_limits(&settings.limits),
            resume: resume_limits(&settings.delivery.resume),
            instance,
            erasures: Some(keeping.erasures.clone()),
            alarms,
        });
        // Before events are taken: they are sent by the names of their time.
        api::native_claims::begin(&api).await;
        let chores = Chores::start(&api, keeping, settings, |stopped| {
            retention::run(kept(&api, journal.clone(), settings), stopped)
        });
        let ((stop, stopped), speaks_tls) = (watch::channel(false), keeper.is_some());
        let listener = listen(settings, &api, listener, keeper, stopped)?;
        Ok(Self {
            address,
            speaks_tls,
            admin_token,
            admin_token_file,
            journal,
            delivery,
            explorer,
            api,
            stop,
            listener,
            chores,
        })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.speaks_tls { "https" } else { "http" }, self.address)
    }

    /// The first administrator's token, when this start made one.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        self.admin_token.clone()
    }

    /// Where the first administrator's token lies, unless somebody has taken it away.
    pub(crate) fn admin_token_file(&self) -> Option<&Path> {
        self.admin_token_file.exists().then_some(&self.admin_token_file)
    }

    /// Whether every change of its own settings has been told in the audit log.
    pub(crate) fn has_told_its_changes(&self) -> bool {
        self.api.catalog.untold().is_empty()
    }

    /// Stops: intake first, then delivery, then the journal. `at` is told where it is.
    pub(crate) async fn stop(self, at: &watch::Sender<Stage>) {
        let enter = |stage: Stage| {
            at.send_replace(stage);
            tracing::info!("stopping: waiting for {}", stage.waited_for());
        };
        enter(Stage::Requests);
        self.api.begin_shutdown();
        self.stop.send_replace(true);
        if let Err(error) = self.listener.await {
            tracing::error!(%error, "the listener ended badly");
        }
        self.chores.end().await;
        enter(Stage::Delivery);
        self.delivery.shutdown().await;
        enter(Stage::Journal);
        self.explorer.shutdown().await;
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal did not close cleanly; it recovers at the next start");
        }
    }
}

/// What goes on beside the requests, and a little longer: what the last ones have left is told too.
struct Chores {
    stop: watch::Sender<bool>,
    /// With what they are called when they end badly.
    running: Vec<(&'static str, JoinHandle<()>)>,
    /// Ends last: it tells what the others leave to be told.
    watching: Watching,
}

impl Chores {
    fn start<R>(
        api: &api::ApiState,
        keeping: Keeping,
        settings: &Settings,
        retention: impl FnOnce(watch::Receiver<bool>) -> R,
    ) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let watching = keeping.watch(api, settings.journal.sign_minutes, stopped.clone());
        let running = vec![
            ("noting the use of API clients", tokio::spawn(api::uses::run(api.clone(), stopped.clone()))),
            ("telling of sign-ins", tokio::spawn(api::sign_in::run(api.clone(), stopped.clone()))),
            ("looking for what is wrong", tokio::spawn(api::alarming::run(api.clone(), stopped.clone()))),
            ("noticing new claims", tokio::spawn(api::native_claims::run(api.clone(), stopped.clone()))),
            ("retention", tokio::spawn(retention(stopped))),
        ];
        Self { stop, running, watching }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        for (name, chore) in self.running {
            if let Err(error) = chore.await {
                tracing::error!(%error, "{name} ended badly");
            }
        }
        self.watching.end().await;
    }
}

/// What a server that stops is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Requests that were under way.
    Requests,
    /// Destinations that have not answered yet.
    Delivery,
    /// The last writes.
    Journal,
}

impl Stage {
    const fn waited_for(self) -> &'static str {
        match self {
            Self::Requests => "requests under way, at most 10 seconds; a second signal ends it at once",
            Self::Delivery => "answers of destinations; what is not delivered stays in the journal",
            Self::Journal => "the journal to save where each destination stands",
        }
    }

    /// What it means for those concerned that the wait was ended.
    pub(crate) const fn cut_off(self) -> &'static str {
        match self {
            Self::Requests => {
                "requests under way got no answer, so their senders send them again; what was accepted is in the journal"
            }
            Self::Delivery => {
                "destinations were not heard to the end, so what they have taken last is sent again after the next \
                 start, with the same eventID"
            }
            Self::Journal => {
                "the journal was not closed, so it recovers at the next start, and what was delivered in the last second \
                 is sent again, with the same eventID"
            }
        }
    }
}

/// Serves, and looks after the certificate where there is one.
fn listen(
    settings: &Settings,
    api: &api::ApiState,
    listener: TcpListener,
    keeper: Option<Keeper>,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let tls = keeper.as_ref().map(|keeper| http::Tls::new(keeper.watch()));
    let router = api::router(api.clone());
    let serving = http::serve(listener, router, door(settings, tls), stopped.clone());
    let Some(keeper) = keeper else { return Ok(tokio::spawn(serving)) };
    let keeping = tls::keep(keeper, Arc::clone(&api.clock), tls::hangups()?, stopped);
    Ok(tokio::spawn(async {
        tokio::join!(serving, keeping);
    }))
}

/// What retention looks after.
fn kept(api: &api::ApiState, journal: Arc<LocalJournal>, settings: &Settings) -> retention::Kept {
    retention::Kept {
        journal,
        catalog: api.catalog.clone(),
        delivery: Arc::clone(&api.delivery),
        clock: Arc::clone(&api.clock),
        policy: retention::policy(&settings.retention),
        min_free: settings.journal.min_free.0,
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| http::cannot_listen(address, &error, "--listen or server.listen"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn intake(
    settings: &Settings,
    journal: Arc<LocalJournal>,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Intake {
    let limits = intake::Limits {
        max_events: settings.intake.max_events,
        max_event_bytes: settings.intake.max_event.as_usize(),
    };
    let rule = MaskRule::with(settings.intake.mask.iter().cloned());
    Intake::new(journal, Arc::clone(clock), Arc::clone(random), rule, limits)
}

/// Where the first administrator's token lies, and the token when this start makes it.
fn first_token(
    settings: &Settings,
    catalog: &Catalog,
    clock: &dyn Clock,
    random: &Random,
) -> Result<(PathBuf, Option<Secret>), Failure> {
    let file = settings.server.data.join("admin-token");
    let token = api::bootstrap_client(catalog, clock, random, |token| data::write_token(&file, token))?;
    Ok((file, token))
}

/// The alarms, told by the same way out as events.
fn alarms(parts: &Parts, settings: &Settings, journal: &Arc<LocalJournal>) -> Arc<alarms::Alarms> {
    Arc::new(alarms::Alarms::open(alarms::Parts {
        catalog: parts.catalog.clone(),
        keyring: Arc::clone(&parts.keyring),
        transport: Arc::clone(&parts.transport),
        mailer: Arc::new(alarms::SmtpMailer),
        clock: Arc::clone(&parts.clock),
        random: Arc::clone(&parts.random),
        instance: parts.instance.clone(),
        surroundings: surroundings(settings, journal),
    }))
}

/// What alarms are told of the machine.
fn surroundings(settings: &Settings, journal: &Arc<LocalJournal>) -> alarms::Surroundings {
    let journal = Arc::clone(journal);
    let space = move || journal.space().ok().flatten();
    alarms::Surroundings {
        disk: Arc::new(move || {
            space().map(|space| alarms::DiskSpace { free: space.free, total: space.total })
        }),
        sign_every: Some(Duration::from_mins(settings.journal.sign_minutes.into())),
    }
}

fn body_limits(settings: &settings::Intake) -> api::BodyLimits {
    api::BodyLimits {
        max_body: settings.max_body.as_usize(),
        max_inflated: settings.max_inflated.as_usize(),
        in_flight: settings.in_flight.as_usize(),
    }
}

fn door(settings: &Settings, tls: Option<http::Tls>) -> http::Door {
    let settings::Server { trusted_proxies, forwarded_header, max_connections, .. } = &settings.server;
    http::Door {
        max_connections: *max_connections,
        trusted: http::Trusted { proxies: trusted_proxies.clone(), header: *forwarded_header },
        is_for_proxies_only: settings.is_for_proxies_only(),
        tls,
    }
}

fn resume_limits(settings: &settings::Resume) -> ResumeLimits {
    let max_age = Duration::from_hours(settings.max_age_hours.into());
    ResumeLimits { max_age, max_bytes: settings.max_bytes.0 }
}

const fn rate_limits(settings: &settings::Limits) -> api::RateLimits {
    if !settings.enabled {
        return api::RateLimits::OFF;
    }
    api::RateLimits {
        instance_per_second: settings.instance_per_second,
        instance_per_minute: settings.instance_per_minute,
        address_per_second: settings.address_per_second,
        address_per_minute: settings.address_per_minute,
        failures_per_minute: settings.failures_per_minute,
    }
}

/// Without a public address documents carry no link: where the server happens to listen is no address for whoever reads
/// them, and with port 0 it is another one after each start.
fn instance(settings: &settings::Instance) -> Instance {
    let public_url = settings.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
    Instance {
        name: settings.name.clone(),
        domain: settings.domain.clone(),
        environment: settings.environment.clone(),
        public_url,
    }
}

#[cfg(test)]
mod tests {
    use api::RateLimits;
    use base::EventId;

    use super::*;

    #[test]
    fn the_limits_are_the_contracts_and_one_setting_switches_them_off() {
        let limits =
            |flags: &[(&str, Option<String>)]| rate_limits(&settings::read(None, flags).unwrap().limits);
        assert_eq!(limits(&[]), RateLimits::default());
        assert_eq!(limits(&[("limits.enabled", Some("false".to_owned()))]), RateLimits::OFF);
        let one = limits(&[("limits.address_per_second", Some("0".to_owned()))]);
        assert_eq!(one, RateLimits { address_per_second: 0, ..RateLimits::default() });
    }

    #[test]
    fn the_limits_of_a_backlog_are_those_of_delivery() {
        let settings = settings::read(None, &[]).unwrap();
        assert_eq!(resume_limits(&settings.delivery.resume), ResumeLimits::default());
    }

    #[test]
    fn documents_carry_a_link_only_when_there_is_a_public_url() {
        let link = |public_url: Option<&str>| {
            let flag = ("instance.public_url", public_url.map(ToOwned::to_owned));
            let settings = settings::read(None, &[flag]).unwrap();
            instance(&settings.instance).event_link(EventId::from_bytes([1; 16]))
        };
        assert_eq!(link(None), None);
        let id = EventId::from_bytes([1; 16]);
        for (public_url, before) in [
            ("https://ids.example.com", "https://ids.example.com"),
            ("https://ids.example.com/", "https://ids.example.com"),
            (
                "https://ids.example.com:8443/identity/stream//",
                "https://ids.example.com:8443/identity/stream",
            ),
            ("HTTPS://IDs.Example.com/a%20b", "https://ids.example.com/a%20b"),
        ] {
            assert_eq!(link(Some(public_url)), Some(format!("{before}/console/e/{id}")));
        }
    }
}
