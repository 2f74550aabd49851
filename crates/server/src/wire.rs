//! Builds a running server from its settings, part by part in the order of the layers, and takes it down again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::mask::MaskRule;
use base::{Clock, Random, Secret, SystemClock};
use delivery::{Parts, Supervisor};
use destinations::transport::HttpTransport;
use event::native::Instance;
use intake::Intake;
use journal::local::LocalJournal;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::Failure;
use crate::data;
use crate::http;
use crate::http::tls::{self, Keeper};
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
    api: api::ApiState,
    stop: watch::Sender<bool>,
    tasks: Tasks,
}

/// What runs until it is told to stop, by name.
type Tasks = Vec<(&'static str, JoinHandle<()>)>;

impl Running {
    /// Opens the data directory, recovers what is in it, and listens.
    pub(crate) async fn start(settings: &Settings) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random = Arc::new(Random::from_system());
        // What does not fit stops the start before anything is made.
        let keeper = settings.tls_files().map(|files| Keeper::open(files, clock.now())).transpose()?;
        let data::Opened { journal, catalog, keyring } = data::open(settings, &clock, &random)?;
        let keyring = Arc::new(keyring);
        let admin_token_file = settings.server.data.join("admin-token");
        let hand_over = |token: &Secret| data::write_token(&admin_token_file, token);
        let admin_token = api::bootstrap_client(&catalog, &*clock, &random, hand_over)?;
        let (listener, address) = bind(settings.server.listen).await?;
        let instance = instance(&settings.instance);
        let intake = Arc::new(intake(settings, journal.clone(), &clock, &random));
        let delivery = Supervisor::start(Parts {
            journal: journal.clone(),
            catalog: catalog.clone(),
            keyring: Arc::clone(&keyring),
            transport: Arc::new(HttpTransport::new()?),
            instance: instance.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        });
        let delivery = Arc::new(delivery.await);
        let api = api::ApiState::new(api::ApiParts {
            catalog,
            keyring,
            intake,
            delivery: Arc::clone(&delivery),
            journal: journal.clone(),
            clock,
            random,
            limits: body_limits(&settings.intake),
            instance,
        });
        // Before events are taken: they are sent by the names of their time.
        api::native_claims::begin(&api).await;
        let (stop, stopped) = watch::channel(false);
        let speaks_tls = keeper.is_some();
        let serving = listen(settings, &api, listener, keeper, &stopped)?;
        let tasks = tasks(settings, &api, journal.clone(), serving, &stopped);
        Ok(Self { address, speaks_tls, admin_token, admin_token_file, journal, delivery, api, stop, tasks })
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
        for (name, task) in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "{name} ended badly");
            }
        }
        enter(Stage::Delivery);
        self.delivery.shutdown().await;
        enter(Stage::Journal);
        if let Err(error) = self.journal.close().await {
            tracing::error!(%error, "the journal did not close cleanly; it recovers at the next start");
        }
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
    stopped: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let tls = keeper.as_ref().map(|keeper| http::Tls::new(keeper.watch()));
    let router = api::router(api.clone());
    let serving = http::serve(listener, router, door(settings, tls), stopped.clone());
    let Some(keeper) = keeper else { return Ok(tokio::spawn(serving)) };
    let keeping = tls::keep(keeper, Arc::clone(&api.clock), tls::hangups()?, stopped.clone());
    Ok(tokio::spawn(async {
        tokio::join!(serving, keeping);
    }))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| http::cannot_listen(address, &error, "--listen or server.listen"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn tasks(
    settings: &Settings,
    api: &api::ApiState,
    journal: Arc<LocalJournal>,
    serving: JoinHandle<()>,
    stopped: &watch::Receiver<bool>,
) -> Tasks {
    let stopped = || stopped.clone();
    let policy = retention::policy(&settings.retention);
    let retention = retention::run(journal, api.catalog.clone(), Arc::clone(&api.clock), policy, stopped());
    vec![
        ("the listener", serving),
        ("retention", tokio::spawn(retention)),
        ("the audit of idstream itself", tokio::spawn(api::audit::run(api.clone(), stopped()))),
        ("noticing new claims", tokio::spawn(api::native_claims::run(api.clone(), stopped()))),
    ]
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
    use base::EventId;

    use super::*;

    #[test]
    fn documents_carry_a_link_only_when_there_is_a_public_url() {
        let link = |public_url: Option<&str>| {
            let flag = ("instance.public_url", public_url.map(ToOwned::to_owned));
            let settings = settings::read(None, &[flag]).unwrap();
            instance(&settings.instance).event_link(EventId::from_bytes([1; 16]))
        };
        assert_eq!(link(None), None);
        let id = EventId::from_bytes([1; 16]);
        for public_url in ["https://ids.example.com", "https://ids.example.com/"] {
            assert_eq!(link(Some(public_url)), Some(format!("https://ids.example.com/console/e/{id}")));
        }
    }
}
