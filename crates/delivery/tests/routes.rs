//! The way to a destination is the same for trying it out and for delivering: through its proxy, with its certificates.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, EventId, ManualClock, Random, Timestamp};
use catalog::{Catalog, Keyring, MemoryStore};
use delivery::{AccountSwitch, AuditSwitch, Configuration, HookSwitch, Parts, Supervisor};
use destinations::transport::HttpTransport;
use destinations::{Secrets, Settings, Vendor};
use event::filter::Filter;
use event::native::Instance;
use event::{RecordBuilder, Section, Stream};
use journal::model::{ModelJournal, ModelOptions};
use journal::{Append, Entry, OnConflict, Producer};
use receiver::{Options, Receiver};
use serde_json::{Value, json};
use testkit::proxy::{ForwardProxy, ProxyOptions};
use testkit::tls::{Authority, TlsDoor};
use tokio::sync::mpsc;

/// Longer than any healthy run takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A receiver that takes clients of an authority only, behind a proxy that asks for a credential.
struct World {
    authority: Authority,
    door: TlsDoor,
    proxy: ForwardProxy,
    receiver: Receiver,
    arrived: mpsc::UnboundedReceiver<Vec<u8>>,
    parts: Parts,
}

impl World {
    async fn new() -> Self {
        let authority = Authority::new("private").unwrap();
        let (sink, arrived) = mpsc::unbounded_channel();
        let on_event: receiver::OnEvent = Arc::new(move |bytes| sink.send(bytes.to_vec()).unwrap());
        let options = Options { check: true, on_event: Some(on_event), ..Options::default() };
        let receiver = Receiver::start(options).await.unwrap();
        let shown = authority.certify(&["localhost"]).unwrap();
        let door = TlsDoor::open(receiver.address(), &shown, Some(&authority)).await.unwrap();
        let authorization = Some("Basic dXNlcjpwYXNzd29yZA==".to_owned());
        let proxy = ForwardProxy::start(ProxyOptions { authorization, ..ProxyOptions::default() }).await;
        let clock: Arc<dyn Clock> =
            Arc::new(ManualClock::new(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()));
        let random = Arc::new(Random::from_seed(1));
        let journal = ModelJournal::new(Arc::clone(&clock), Arc::clone(&random), ModelOptions::default());
        let parts = Parts {
            journal: Arc::new(journal),
            catalog: Catalog::open(Arc::new(MemoryStore::default())).unwrap(),
            keyring: Arc::new(Keyring::new(&[7; 32])),
            transport: Arc::new(HttpTransport::new().unwrap()),
            instance: Instance {
                name: "routed".to_owned(),
                domain: "idp.example.com".to_owned(),
                environment: "test".to_owned(),
                public_url: None,
            },
            clock,
            random,
        };
        Self { authority, door, proxy: proxy.unwrap(), receiver, arrived, parts }
    }

    /// A configuration of the receiver, reached as it wants to be.
    fn configuration(&self) -> Value {
        let client = self.authority.certify(&["idstream"]).unwrap();
        json!({
            "url": format!("https://localhost:{}/in", self.door.address().port()),
            "apiKey": "key", "headerName": "x-key",
            "signingSecrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            "batch": {"compression": "gzip", "maxInFlight": 1},
            "network": {
                "caCertificate": self.authority.pem(),
                "clientCertificate": client.pem, "clientKey": client.key_pem,
                "proxy": self.proxy.url(), "proxyCredential": "user:password",
            },
        })
    }

    fn stored(&self, configuration: &Value) -> Configuration {
        let secrets = Secrets::parse(configuration).unwrap();
        let sealed =
            secrets.iter().filter(|(_, secret)| !secret.expose().is_empty()).map(|(name, secret)| {
                let parts = &self.parts;
                (name, delivery::seal(&parts.keyring, "routed", name, secret, &parts.random).unwrap())
            });
        Configuration {
            id: "routed".to_owned(),
            name: "routed".to_owned(),
            description: None,
            enabled: true,
            vendor: Vendor::Https,
            settings: Settings::parse(Vendor::Https, configuration).unwrap().to_json(),
            secrets: sealed.collect::<BTreeMap<_, _>>(),
            account: AccountSwitch { enabled: true, ..AccountSwitch::default() },
            audit: AuditSwitch::default(),
            hook: HookSwitch::default(),
            filter: Filter::default(),
            earlier: Vec::new(),
            sends_from: None,
            start_from: None,
            resume: delivery::Resume::default(),
        }
    }

    async fn append(&self) -> EventId {
        let now = self.parts.clock.now();
        let id = EventId::draw(now, &self.parts.random);
        let mut builder = RecordBuilder::new(Stream::AccountEvent, id, now, now);
        builder.section(Section::Source, "routed");
        builder.section(Section::Header, "\"type\":\"customerFlow\"");
        let record = builder.finish().unwrap();
        let entry = Entry { record, producer: Producer(1), on_conflict: OnConflict::Refuse };
        let append = Append { stream: Stream::AccountEvent, entries: vec![entry], request_key: None };
        self.parts.journal.append(append).await.unwrap();
        id
    }

    async fn next(&mut self) -> Value {
        let bytes = tokio::time::timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

#[tokio::test]
async fn trying_out_and_delivering_go_the_same_way() {
    let mut world = World::new().await;
    let supervisor = Supervisor::start(world.parts.clone()).await;
    let configuration = world.stored(&world.configuration());
    let trial = supervisor.try_out(&configuration, &supervisor.test_events(&configuration)).await.unwrap();
    assert_eq!((trial.status, &*trial.body), (200, "{}"));
    assert_eq!(world.next().await["test"], true);

    delivery::admit(&*world.parts.journal, "routed").await.unwrap();
    world.parts.catalog.create("routed", &configuration, None).unwrap();
    let id = world.append().await;
    assert_eq!(world.next().await["eventID"], id.to_string());
    supervisor.shutdown().await;
    let target = format!("localhost:{}", world.door.address().port());
    let asked = world.proxy.asked();
    assert!(!asked.is_empty(), "it went through the proxy");
    assert!(asked.iter().all(|asked| *asked == ("CONNECT".to_owned(), target.clone())), "{asked:?}");
    assert_eq!(world.receiver.stats().n_problems, 0, "{:?}", world.receiver.stats());
}

#[tokio::test]
async fn trying_out_tells_what_is_wrong_with_the_way_and_what_to_change() {
    let world = World::new().await;
    let supervisor = Supervisor::start(world.parts.clone()).await;
    let said = async |field: &str, value: Value| {
        let mut configuration = world.configuration();
        configuration["network"][field] = value;
        let configuration = world.stored(&configuration);
        let events = supervisor.test_events(&configuration);
        let trial = supervisor.try_out(&configuration, &events).await.unwrap();
        assert_eq!(trial.status, 0);
        trial.body
    };
    let other = Authority::new("other").unwrap();
    let untrusted = said("caCertificate", json!(other.pem())).await;
    assert!(untrusted.contains("not trusted: put the certificate of its authority"), "{untrusted}");
    let unwelcome = said("proxyCredential", json!("user:CANARY")).await;
    assert!(unwelcome.ends_with("(407): check configuration.network.proxyCredential"), "{unwelcome}");
    let gone = said("proxy", json!("http://no-such-proxy.invalid:3128")).await;
    assert!(gone.ends_with("check configuration.network.proxy, and whether the proxy runs"), "{gone}");
    supervisor.shutdown().await;
}
