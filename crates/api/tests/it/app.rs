//! An API on a journal and a catalog in memory, and the means to call it.

use std::fmt::Write as _;
use std::sync::Arc;

use alarms::Alarms;
use api::audit::Peer;
use api::{ApiParts, ApiState, BodyLimits, RateLimits, bootstrap_client};
use axum::Router;
use axum::body::{Body, to_bytes};
use base::mask::MaskRule;
use base::{Clock, ManualClock, Random, Secret, Timestamp};
use catalog::{Catalog, CatalogError, Document, Keyring, MemoryStore};
use delivery::{Parts, ResumeLimits, Supervisor};
use event::native::Instance;
use explorer::Explorer;
use http::{HeaderMap, Method, Request, StatusCode};
use intake::{Intake, Limits};
use journal::Journal;
use journal::local::{LocalJournal, LocalOptions};
use journal::model::{ModelJournal, ModelOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::disk::SimDisk;
use testkit::net::{Faults, SimNet};
use tower::ServiceExt;

use crate::hooks::Hooks;

pub(crate) const STREAMING: &str = "/admin/api/v1/instance/eventStreaming";
pub(crate) const CLIENTS: &str = "/admin/api/v1/instance/apiClients";
pub(crate) const SOURCES: &str = "/admin/api/v1/instance/sources";
pub(crate) const CLAIMS: &str = "/admin/api/v1/claim/native";
pub(crate) const EVENTS: &str = "/intake/v1/events";
pub(crate) const ACCOUNT_EVENTS: &str = "/admin/api/v1/events/account";
pub(crate) const AUDIT_LOGS: &str = "/admin/api/v2/admin/events/audit";
pub(crate) const HOOK_LOGS: &str = "/admin/api/v1/eventHooks/logs";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// Small ones, so that tests reach them.
pub(crate) const LIMITS: BodyLimits =
    BodyLimits { max_body: 64 * 1024, max_inflated: 256 * 1024, in_flight: 512 * 1024 };
pub(crate) const MAX_EVENTS: usize = 200;
pub(crate) const MAX_EVENT_BYTES: usize = 16 * 1024;

pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) state: ApiState,
    pub(crate) admin: String,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) catalog: Catalog,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) net: Arc<SimNet>,
    pub(crate) hooks: Arc<Hooks>,
}

/// A stored native claim of any form.
#[derive(Serialize, Deserialize)]
pub(crate) struct RawClaim(pub(crate) Value);

impl Document for RawClaim {
    const KIND: &'static str = "nativeClaim";
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

fn instance() -> Instance {
    Instance {
        name: "test".to_owned(),
        domain: "idp.example.com".to_owned(),
        environment: "test".to_owned(),
        public_url: Some("https://idstream.example.com".to_owned()),
    }
}

impl App {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let journal =
            ModelJournal::new(Arc::clone(&as_clock), Arc::new(Random::from_seed(1)), ModelOptions::default());
        Self::with_journal(Arc::new(journal), clock).await
    }

    pub(crate) async fn with_journal(journal: Arc<dyn Journal>, clock: Arc<ManualClock>) -> Self {
        Self::with_erasing(journal, None, clock, RateLimits::OFF).await
    }

    pub(crate) async fn with_rates(
        journal: Arc<dyn Journal>,
        clock: Arc<ManualClock>,
        rates: RateLimits,
    ) -> Self {
        Self::with_erasing(journal, None, clock, rates).await
    }

    /// On a journal in files, which can erase.
    pub(crate) async fn local() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let disk = Arc::new(SimDisk::new(1));
        let as_clock: Arc<dyn Clock> = clock.clone();
        let random = Arc::new(Random::from_seed(1));
        let journal = LocalJournal::open(disk, as_clock, random, LocalOptions::default()).unwrap();
        let journal = Arc::new(journal);
        let app = Self::with_erasing(journal.clone(), Some(journal), clock, RateLimits::OFF).await;
        // Never stopped: it ends with the runtime.
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let erasing = api::carry_out_erasures(app.state.clone(), stopped);
        tokio::spawn(async move {
            erasing.await;
            drop(stop);
        });
        app
    }

    async fn with_erasing(
        journal: Arc<dyn Journal>,
        local: Option<Arc<LocalJournal>>,
        clock: Arc<ManualClock>,
        rates: RateLimits,
    ) -> Self {
        let as_clock: Arc<dyn Clock> = clock.clone();
        let random = Arc::new(Random::from_seed(2));
        let catalog = Catalog::open(Arc::new(MemoryStore::default())).unwrap();
        let keyring = Arc::new(Keyring::new(&[7; 32]));
        let instance = instance();
        let admin =
            bootstrap_client::<CatalogError>(&catalog, &*clock, &random, |_| Ok(())).unwrap().unwrap();
        let limits = Limits { max_events: MAX_EVENTS, max_event_bytes: MAX_EVENT_BYTES };
        let intake_random = Arc::new(Random::from_seed(3));
        let intake = Intake::new(
            Arc::clone(&journal),
            Arc::clone(&as_clock),
            intake_random,
            MaskRule::default(),
            limits,
        );
        let net = Arc::new(SimNet::new(4, Faults::default()));
        let delivery = Supervisor::start(Parts {
            journal: Arc::clone(&journal),
            catalog: catalog.clone(),
            keyring: Arc::clone(&keyring),
            transport: net.clone(),
            instance: instance.clone(),
            clock: Arc::clone(&as_clock),
            random: Arc::new(Random::from_seed(5)),
        })
        .await;
        let erasures = local.map(|journal| erasures(journal, &catalog, &keyring, &as_clock));
        let explorer = Explorer::start(explorer::Parts {
            journal: Arc::clone(&journal),
            disk: Arc::new(SimDisk::new(6)),
            clock: Arc::clone(&as_clock),
            options: explorer::Options::default(),
        })
        .unwrap();
        let hooks = Arc::new(Hooks::new(net.clone()));
        let alarms = alarms(catalog.clone(), &keyring, &hooks, as_clock.clone(), &instance);
        let state = ApiState::new(ApiParts {
            erasures,
            alarms,
            catalog: catalog.clone(),
            keyring,
            intake: Arc::new(intake),
            delivery: Arc::new(delivery),
            explorer: Arc::new(explorer),
            journal: Arc::clone(&journal),
            clock: as_clock,
            random,
            limits: LIMITS,
            rates,
            resume: ResumeLimits::default(),
            instance,
        });
        let router = api::router(state.clone());
        Self { router, state, admin: admin.expose().to_owned(), clock, catalog, journal, net, hooks }
    }

    /// The API anew, on the same catalog and journal.
    pub(crate) fn restarted(&self) -> Self {
        let parts = &self.state;
        let state = ApiState::new(ApiParts {
            catalog: parts.catalog.clone(),
            keyring: parts.keyring.clone(),
            intake: parts.intake.clone(),
            delivery: parts.delivery.clone(),
            explorer: parts.explorer.clone(),
            journal: parts.journal.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            limits: parts.limits,
            rates: parts.rates,
            resume: parts.resume,
            instance: parts.instance.clone(),
            erasures: parts.erasures.clone(),
            alarms: self.alarms_anew(),
        });
        Self {
            router: api::router(state.clone()),
            state,
            admin: self.admin.clone(),
            clock: self.clock.clone(),
            catalog: self.catalog.clone(),
            journal: self.journal.clone(),
            net: self.net.clone(),
            hooks: self.hooks.clone(),
        }
    }

    /// The alarms as after a restart.
    fn alarms_anew(&self) -> Arc<Alarms> {
        alarms(
            self.catalog.clone(),
            &self.state.keyring,
            &self.hooks,
            self.clock.clone(),
            &self.state.instance,
        )
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        self.answer(request(method, path, headers, body)).await
    }

    /// The same from a known address.
    pub(crate) async fn send_from(
        &self,
        address: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = request(method, path, headers, body);
        request.extensions_mut().insert(Peer(address.parse().unwrap()));
        self.answer(request).await
    }

    async fn answer(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Calls as the administrator, with a JSON body unless it is null.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        let authorization = format!("Bearer {}", self.admin);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("authorization", &authorization), JSON], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, Value::Null).await
    }

    /// The token of a new client with these scopes.
    pub(crate) async fn client(&self, name: &str, scopes: &[&str]) -> Secret {
        let reply = self.call(Method::POST, CLIENTS, json!({"name": name, "scopes": scopes})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        Secret::new(reply.json()["token"].as_str().unwrap())
    }

    /// What a creating call as the administrator answers.
    pub(crate) async fn create(&self, path: &str, body: Value) -> Value {
        let reply = self.call(Method::POST, path, body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        reply.json()
    }

    /// Posts events as the administrator, who has every scope.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let authorization = format!("Bearer {}", self.admin);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        self.send(Method::POST, EVENTS, &headers, body).await
    }

    /// How many events are stored.
    pub(crate) async fn n_stored(&self) -> u64 {
        let range = journal::ReadRange {
            streams: event::StreamSet::product(),
            from: 0,
            until: u64::MAX,
            max_bytes: usize::MAX,
        };
        self.journal.read(range).await.unwrap().iter().map(|block| block.n_records() as u64).sum()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `errorKey`, checked to be in a whole envelope.
    pub(crate) fn error_key(&self) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], self.status.as_u16());
        for member in ["title", "detail", "path"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        let key = problem["errorKey"].as_str().unwrap().to_owned();
        assert_eq!(problem["message"], format!("error.{key}"));
        assert!(problem["params"].is_array() && problem["fieldErrors"].is_array(), "{problem}");
        key
    }

    /// The fields that are named as wrong.
    pub(crate) fn wrong_fields(&self) -> Vec<String> {
        assert_eq!(self.error_key(), "validation", "{}", self.text);
        let errors = self.json()["fieldErrors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    /// For snapshots: status, the headers that matter, the body; ids and tokens replaced.
    pub(crate) fn shown(&self) -> String {
        let mut out = self.status.to_string();
        for name in ["allow", "etag", "location", "retry-after", "www-authenticate"] {
            if let Some(value) = self.headers.get(name) {
                write!(out, "\n{name}: {}", value.to_str().unwrap()).unwrap();
            }
        }
        if !self.text.is_empty() {
            write!(out, "\n{:#}", self.json()).unwrap();
        }
        without_ids(&out)
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// Replaces UUIDs, and what follows one in a token.
fn without_ids(text: &str) -> String {
    let is_in_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if is_in_token(c) {
            word.push(c);
            continue;
        }
        let is_uuid = uuid::Uuid::try_parse(&word).is_ok() && word.len() == 36;
        let shown = if is_uuid {
            "[id]"
        } else if word.starts_with("ids_0") {
            "[token]"
        } else if word.len() == 43 {
            "[secret]"
        } else {
            &word
        };
        out.push_str(shown);
        out.push(c);
        word.clear();
    }
    out.trim_end().to_owned()
}

fn alarms(
    catalog: Catalog,
    keyring: &Arc<Keyring>,
    hooks: &Arc<Hooks>,
    clock: Arc<dyn Clock>,
    instance: &Instance,
) -> Arc<Alarms> {
    Arc::new(Alarms::open(alarms::Parts {
        catalog,
        keyring: Arc::clone(keyring),
        transport: hooks.clone(),
        mailer: Arc::new(alarms::SmtpMailer),
        clock,
        random: Arc::new(Random::from_seed(7)),
        instance: instance.clone(),
        surroundings: alarms::Surroundings::default(),
    }))
}

/// A believable event; `more` are further members, beginning with a comma.
pub(crate) fn event(more: &str) -> String {
    format!(r#"{{"type":"selfService","endTimestamp":"2026-01-31T11:59:00Z"{more}}}"#)
}

fn erasures(
    journal: Arc<LocalJournal>,
    catalog: &Catalog,
    keyring: &Arc<Keyring>,
    clock: &Arc<dyn Clock>,
) -> custody::erasure::Erasures {
    custody::erasure::Erasures {
        journal,
        catalog: catalog.clone(),
        keyring: Arc::clone(keyring),
        clock: Arc::clone(clock),
        random: Arc::new(Random::from_seed(6)),
    }
}

/// A valid configuration for Splunk.
pub(crate) fn splunk(name: &str) -> Value {
    json!({
        "name": name,
        "type": "splunk",
        "configuration": {"url": "https://splunk.example.com:8088", "apiKey": "hec-token-1", "index": "identity"},
        "accountEventStreaming": {
            "enabled": true,
            "nativeClaims": [{"id": "builtin-email"}, {"id": "builtin-country"}],
        },
        "auditLogStreaming": {"enabled": true},
        "eventHookLogStreaming": {"enabled": false},
    })
}

/// `value` with the member at `pointer` replaced, or removed when `member` is null.
pub(crate) fn with(mut value: Value, pointer: &str, member: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let object = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if member.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), member);
    }
    value
}
