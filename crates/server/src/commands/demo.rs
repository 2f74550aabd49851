//! `idstream demo`: a server on a journal of its own, two stand-in receivers, two event streaming configurations, and
//! the traffic of an identity platform running through them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Secret, SystemClock};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use traffic::Traffic;

use super::Failure;
use crate::client::Client;
use crate::settings;
use crate::signals::Signals;
use crate::wire::Running;

/// Events of one request when there is no rate to keep.
const BATCH: u64 = 500;
/// How long the demo waits for the last events without any progress.
const STUCK: Duration = Duration::from_mins(1);
/// The story is the same on every run.
const SEED: u64 = 2026;
const CONFIGURATIONS: &str = "admin/api/v1/instance/eventStreaming";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends the traffic after this many events
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Events a second [default: 50; with --exit as fast as it goes]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Ends when all events are settled (20,000 of them unless --events says otherwise)
    #[arg(long)]
    exit: bool,
    /// Prints the result as one line of JSON, and nothing else
    #[arg(long)]
    json: bool,
}

/// One destination of the demo.
struct Leg {
    vendor: &'static str,
    configuration: String,
    receiver: receiver::Receiver,
}

/// What the server says about one configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    delivered: u64,
    quarantined: u64,
    pending: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let directory = tempfile::Builder::new().prefix("idstream-demo-").tempdir()?;
    let data = directory.path().join("data").to_string_lossy().into_owned();
    let settings = settings::read(
        None,
        &[("server.data", Some(data)), ("server.listen", Some("127.0.0.1:0".to_owned()))],
    )?;
    let mut signals = Signals::catch()?;
    let running = Running::start(&settings).await?;
    let admin = running.admin_token().ok_or("the demo's server has no administrator")?;
    let demo = Demo::set_up(&running, &admin).await;
    let done = match demo {
        Ok(demo) => demo.run(&arguments, &running, &mut signals).await,
        Err(error) => Err(error),
    };
    super::serve::stop(running, signals).await;
    done
}

struct Demo {
    admin: Client,
    producer: Client,
    producer_token: Secret,
    legs: Vec<Leg>,
}

impl Demo {
    async fn set_up(running: &Running, admin: &Secret) -> Result<Self, Failure> {
        let base: url::Url = format!("http://{}/", running.address()).parse()?;
        let transport = Arc::new(destinations::transport::HttpTransport::new()?);
        let admin = Client::new(transport.clone(), base.clone(), admin)?;
        let client = json!({"name": "demo platform", "scopes": ["write:event"]});
        let created = admin.json(Method::POST, "admin/api/v1/instance/apiClients", Some(&client)).await?;
        let token =
            created.get("token").and_then(Value::as_str).ok_or("the API client came without a token")?;
        let producer_token = Secret::new(token);
        let producer = Client::new(transport, base, &producer_token)?;
        let mut legs = Vec::new();
        for vendor in ["splunk", "elasticsearch"] {
            legs.push(Self::add_leg(&admin, vendor).await?);
        }
        Ok(Self { admin, producer, producer_token, legs })
    }

    async fn add_leg(admin: &Client, vendor: &'static str) -> Result<Leg, Failure> {
        let receiver =
            receiver::Receiver::start(receiver::Options { check: true, ..Default::default() }).await?;
        let configuration = json!({
            "type": vendor,
            "name": format!("Stand-in for {vendor}"),
            "accountEventStreaming": {
                "enabled": true,
                "nativeClaims": [{"id": "builtin-email"}, {"id": "builtin-country"}],
            },
            "auditLogStreaming": {"enabled": true},
            "eventHookLogStreaming": {"enabled": true},
            "configuration": {"url": format!("http://{}", receiver.address()), "apiKey": "demo-credential"},
        });
        let created = admin.json(Method::POST, CONFIGURATIONS, Some(&configuration)).await?;
        let id = created.get("id").and_then(Value::as_str).ok_or("the configuration came without an id")?;
        Ok(Leg { vendor, configuration: id.to_owned(), receiver })
    }

    #[expect(clippy::print_stdout, reason = "what the demo shows is its output")]
    async fn run(
        self,
        arguments: &Arguments,
        running: &Running,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let n_events = arguments.events.or(arguments.exit.then_some(20_000));
        let rate = arguments.rate.or((!arguments.exit).then_some(50));
        if !arguments.json {
            self.introduce(running);
        }
        let accepted = tokio::select! {
            accepted = self.feed(n_events, rate, !arguments.json) => accepted?,
            () = signals.next() => return Ok(()),
        };
        let settled = tokio::select! {
            settled = self.settle(accepted) => settled,
            () = signals.next() => return Ok(()),
        };
        if arguments.json {
            println!("{}", self.result(accepted).await?);
        } else {
            println!("\nAll {accepted} events are settled:");
            self.show(accepted).await?;
        }
        settled?;
        if !arguments.exit && !arguments.json {
            println!("\nThe server keeps running; Ctrl-C ends it.");
            signals.next().await;
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "what the demo shows is its output")]
    fn introduce(&self, running: &Running) {
        println!("idstream is listening on http://{}", running.address());
        println!("It streams to two stand-in receivers that check and count what they get:");
        for leg in &self.legs {
            println!("  {:14} http://{}", leg.vendor, leg.receiver.address());
        }
        println!("\nSend an event of your own:");
        println!("  curl -s http://{}/intake/v1/events \\", running.address());
        println!("    -H 'Authorization: Bearer {}' \\", self.producer_token.expose());
        println!("    -H 'Content-Type: application/json' \\");
        println!("    -d '{}'\n", own_event(SystemClock.now()));
    }

    /// Posts the traffic; the number of events that were accepted.
    async fn feed(&self, n_events: Option<u64>, rate: Option<u64>, show: bool) -> Result<u64, Failure> {
        let mut traffic = Traffic::new(SEED, SystemClock.now());
        let started = Instant::now();
        let mut shown = started;
        let (mut sent, mut accepted) = (0, 0);
        while n_events.is_none_or(|n| sent < n) {
            let due =
                rate.map_or(u64::MAX, |rate| (started.elapsed().as_secs_f64() * rate as f64) as u64 + 1);
            let room = due.saturating_sub(sent).min(n_events.map_or(u64::MAX, |n| n - sent)).min(BATCH);
            if room > 0 {
                let lines: Vec<String> = (0..room).map(|_| traffic.next(SystemClock.now()).json).collect();
                accepted += self.post(lines.join("\n")).await?;
                sent += room;
            }
            if rate.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if show && shown.elapsed() >= Duration::from_secs(1) {
                shown = Instant::now();
                self.show(accepted).await?;
            }
        }
        Ok(accepted)
    }

    async fn post(&self, body: String) -> Result<u64, Failure> {
        loop {
            let answer = self
                .producer
                .call(Method::POST, "intake/v1/events", "application/x-ndjson", body.clone())
                .await?;
            if answer.status == 429 || answer.status == 503 {
                tokio::time::sleep(answer.retry_after.unwrap_or(Duration::from_millis(200))).await;
                continue;
            }
            let receipts: Value = serde_json::from_slice(&answer.body)?;
            let count = |name: &str| receipts.get(name).and_then(Value::as_array).map_or(0, Vec::len) as u64;
            if answer.status != 200 || count("rejected") > 0 {
                return Err(self.producer.refused("intake/v1/events", &answer).into());
            }
            return Ok(count("accepted"));
        }
    }

    /// Waits until nothing is pending at any destination.
    async fn settle(&self, accepted: u64) -> Result<(), Failure> {
        let mut last = Vec::new();
        let mut moved = Instant::now();
        loop {
            let mut books = Vec::new();
            for leg in &self.legs {
                books.push(self.books(leg).await?);
            }
            if books.iter().all(|books| books.pending == 0 && books.delivered + books.quarantined >= accepted)
            {
                return Ok(());
            }
            if books != last {
                moved = Instant::now();
            } else if moved.elapsed() > STUCK {
                return Err(format!("nothing moved for {} seconds: {books:?}", STUCK.as_secs()).into());
            }
            last = books;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn books(&self, leg: &Leg) -> Result<Books, Failure> {
        let path = format!("{CONFIGURATIONS}/{}/status", leg.configuration);
        let status = self.admin.json(Method::GET, &path, None).await?;
        let count =
            |name: &str| status.pointer(&format!("/books/{name}")).and_then(Value::as_u64).unwrap_or(0);
        Ok(Books {
            delivered: count("confirmed") + count("diverted") + count("accepted"),
            quarantined: count("quarantined"),
            pending: count("pending"),
        })
    }

    #[expect(clippy::print_stdout, reason = "what the demo shows is its output")]
    async fn show(&self, accepted: u64) -> Result<(), Failure> {
        let mut line = format!("accepted {accepted:>8}");
        for leg in &self.legs {
            let books = self.books(leg).await?;
            let stats = leg.receiver.stats();
            write!(
                line,
                "  |  {} delivered {:>8}, distinct {:>8}, pending {:>6}, quarantined {}",
                leg.vendor, books.delivered, stats.distinct, books.pending, books.quarantined
            )?;
            if let Some(problem) = stats.problems.first() {
                return Err(format!("the receiver for {} found a fault: {problem}", leg.vendor).into());
            }
        }
        println!("{line}");
        Ok(())
    }

    async fn result(&self, accepted: u64) -> Result<Value, Failure> {
        let mut legs = Vec::new();
        for leg in &self.legs {
            let books = self.books(leg).await?;
            legs.push(json!({
                "type": leg.vendor,
                "delivered": books.delivered,
                "distinct": leg.receiver.stats().distinct,
                "quarantined": books.quarantined,
                "pending": books.pending,
            }));
        }
        Ok(json!({"accepted": accepted, "destinations": legs}))
    }
}

fn own_event(now: base::Timestamp) -> Value {
    json!({
        "stream": "accountEvent",
        "type": "customerFlow",
        "labels": ["success:login"],
        "endTimestamp": now,
        "subject": {"userName": "you@example.com"},
    })
}
