//! `idstream demo`: a server on a journal of its own, two stand-in receivers, two event streaming configurations, and
//! the traffic of an identity platform running through them.

mod pace;
mod planted;
mod report;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Secret, SystemClock};
use http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::Instant;
use traffic::Traffic;

use super::Failure;
use crate::client::Client;
use crate::output::{answer, tell};
use crate::settings;
use crate::signals::Signals;
use crate::wire::Running;
use pace::{Next, Pace};
use planted::Watch;
use report::{Leg, Report, thousands};

/// How long the demo waits for the last events without any progress.
const STUCK: Duration = Duration::from_mins(1);
/// The story is the same on every run.
const SEED: u64 = 2026;
const CONFIGURATIONS: &str = "admin/api/v1/instance/eventStreaming";
const INTERRUPTED: &str = "interrupted before all events were settled";

#[derive(clap::Args)]
#[command(after_help = "\
Everything runs in this one process, and its data is gone when it ends. The two receivers are stand-ins
for Splunk and Elasticsearch on this machine: they check every document strictly.

    idstream demo                                   until Ctrl-C
    idstream demo --events 20000 --exit --json      ends by itself: not with 0 unless all arrived
")]
pub(crate) struct Arguments {
    /// Ends the traffic after this many events
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Events a second [default: 50; with --exit as fast as they are taken]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Ends when all events are settled (20,000 of them unless --events says otherwise)
    #[arg(long)]
    exit: bool,
    /// Prints the result as one line of JSON, and nothing else; ends as with --exit
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Whether it ends by itself.
    const fn ends(&self) -> bool {
        self.exit || self.json
    }

    fn pace(&self) -> Pace {
        Pace {
            rate: self.rate.or((!self.ends()).then_some(50)),
            n_events: self.events.or(self.ends().then_some(20_000)),
        }
    }
}

/// One destination of the demo.
struct Wired {
    vendor: &'static str,
    configuration: String,
    receiver: receiver::Receiver,
    /// Audit logs that idstream wrote about the demo's own set-up; no part of what the demo counts.
    n_own: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let directory = tempfile::Builder::new().prefix("idstream-demo-").tempdir()?;
    let data = directory.path().join("data").to_string_lossy().into_owned();
    let settings = settings::read(
        None,
        &[
            ("server.data", Some(data)),
            ("server.listen", Some("127.0.0.1:0".to_owned())),
            // It looks at the books many times a second.
            ("limits.enabled", Some("false".to_owned())),
        ],
    )?;
    let mut signals = Signals::catch()?;
    let running = Running::start(&settings).await?;
    let admin = running.admin_token().ok_or("the demo's server has no administrator")?;
    let demo = Demo::set_up(&running, &admin, arguments.json).await;
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
    legs: Vec<Wired>,
    progress: Progress,
}

impl Demo {
    async fn set_up(running: &Running, admin: &Secret, is_silent: bool) -> Result<Self, Failure> {
        let base: url::Url = running.url().parse()?;
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
        let progress = Progress::new(is_silent)?;
        let mut demo = Self { admin, producer, producer_token, legs, progress };
        demo.set_own_aside(running).await?;
        Ok(demo)
    }

    /// Waits until what idstream tells of the set-up has arrived everywhere.
    async fn set_own_aside(&mut self, running: &Running) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < STUCK {
            // In this order: what has been told by now is in the books.
            let has_told = running.has_told_its_changes();
            let report = self.report(0).await?;
            if has_told && report.legs.iter().all(|leg| leg.pending == 0 && leg.distinct > 0) {
                for (leg, counted) in self.legs.iter_mut().zip(report.legs) {
                    leg.n_own = counted.delivered;
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the audit logs of the demo's own set-up did not arrive".into())
    }

    async fn add_leg(admin: &Client, vendor: &'static str) -> Result<Wired, Failure> {
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
        Ok(Wired { vendor, configuration: id.to_owned(), receiver, n_own: 0 })
    }

    async fn run(
        self,
        arguments: &Arguments,
        running: &Running,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let pace = arguments.pace();
        let mut traffic = Traffic::new(SEED, SystemClock.now());
        let mut watch = Watch::new(traffic.planted());
        if !arguments.json {
            self.introduce(running, pace, watch.first_event())?;
        }
        let feed_and_settle = async {
            let accepted = self.feed(&mut traffic, &mut watch, pace).await?;
            self.settle(accepted).await
        };
        let settled = tokio::select! {
            settled = feed_and_settle => settled,
            () = signals.next() => {
                self.progress.clear();
                return if arguments.ends() { Err(INTERRUPTED.into()) } else { Ok(()) };
            }
        };
        self.progress.clear();
        let report = settled?;
        if arguments.json {
            answer(report.json())?;
        } else {
            let all = if report.is_settled() { "All" } else { "Not all" };
            answer(format_args!("{all} {} events are settled:\n", thousands(report.accepted)))?;
            answer(report.table())?;
        }
        // While it goes on, events of one's own may be on their way.
        let may_go_on = !arguments.ends() && report.is_settled();
        if let Some(fault) = if may_go_on { report.complaint() } else { report.fault() } {
            return Err(fault.into());
        }
        if !arguments.ends() {
            answer("\nThe server keeps running; Ctrl-C ends it.")?;
            signals.next().await;
        }
        Ok(())
    }

    fn introduce(&self, running: &Running, pace: Pace, first_attack: Option<u64>) -> Result<(), Failure> {
        answer(format_args!("idstream is listening on {}", running.url()))?;
        answer("It streams to two stand-in receivers that check and count what they get:")?;
        for leg in &self.legs {
            answer(format_args!("  {:14} http://{}", leg.vendor, leg.receiver.address()))?;
        }
        answer("\nSend an event of your own:")?;
        answer(format_args!("  curl -s {}/intake/v1/events \\", running.url()))?;
        answer(format_args!("    -H 'Authorization: Bearer {}' \\", self.producer_token.expose()))?;
        answer("    -H 'Content-Type: application/json' \\")?;
        answer(format_args!("    -d '{}'\n", own_event(SystemClock.now())))?;
        let is_in_reach = |first: &u64| pace.n_events.is_none_or(|n_events| *first < n_events);
        if let Some(first) = first_attack.filter(is_in_reach) {
            let seconds = pace.rate.map(|rate| first / rate).filter(|seconds| *seconds > 0);
            let when = seconds.map(|seconds| format!(" (in {seconds} seconds)")).unwrap_or_default();
            let first = thousands(first);
            answer(
                "Now and then somebody tries a few passwords at many accounts. These attacks are planted: the",
            )?;
            answer(format_args!("first from event {first} on{when}. Each is told here when it is over.\n"))?;
        }
        Ok(())
    }

    /// Posts the traffic; the number of events that were accepted.
    async fn feed(&self, traffic: &mut Traffic, watch: &mut Watch, pace: Pace) -> Result<u64, Failure> {
        let started = Instant::now();
        let mut shown = started;
        let (mut sent, mut accepted) = (0, 0);
        loop {
            match pace.next(started.elapsed(), sent) {
                Next::End => break,
                Next::Wait(wait) => tokio::time::sleep(wait).await,
                Next::Send(n_events) => {
                    let mut lines = Vec::new();
                    let mut attacks = Vec::new();
                    for number in sent..sent + n_events {
                        let now = SystemClock.now();
                        lines.push(traffic.next(now).json);
                        attacks.extend(watch.note(number, now));
                    }
                    accepted += self.post(lines.join("\n")).await?;
                    sent += n_events;
                    for attack in attacks {
                        self.progress.answer(attack)?;
                    }
                }
            }
            if shown.elapsed() >= Duration::from_secs(1) {
                shown = Instant::now();
                self.show(accepted).await?;
                if let (Some(asked), Some(reached)) = (pace.rate, pace.missed(started.elapsed(), sent)) {
                    let (asked, reached) = (thousands(asked), thousands(reached));
                    self.progress.tell(format!("  {reached} events a second, not the {asked} asked for"));
                }
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

    /// Waits until nothing is pending at any destination, or nothing moves any more.
    async fn settle(&self, accepted: u64) -> Result<Report, Failure> {
        let mut last = Report::default();
        let mut moved = Instant::now();
        let mut shown = moved;
        loop {
            let report = self.report(accepted).await?;
            if report.is_settled() || moved.elapsed() > STUCK {
                return Ok(report);
            }
            if report != last {
                moved = Instant::now();
            }
            last = report;
            if shown.elapsed() >= Duration::from_secs(1) {
                shown = Instant::now();
                self.show(accepted).await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn report(&self, accepted: u64) -> Result<Report, Failure> {
        let mut legs = Vec::new();
        for leg in &self.legs {
            let path = format!("{CONFIGURATIONS}/{}/status", leg.configuration);
            let status = self.admin.json(Method::GET, &path, None).await?;
            let count =
                |name: &str| status.pointer(&format!("/books/{name}")).and_then(Value::as_u64).unwrap_or(0);
            // After the books: what they call delivered has been received.
            let stats = leg.receiver.stats();
            legs.push(Leg {
                vendor: leg.vendor,
                delivered: (count("confirmed") + count("diverted") + count("accepted"))
                    .saturating_sub(leg.n_own),
                quarantined: count("quarantined"),
                pending: count("pending"),
                distinct: stats.distinct.saturating_sub(leg.n_own),
                n_problems: stats.n_problems,
                first_problem: stats.problems.into_iter().next(),
            });
        }
        Ok(Report { accepted, legs })
    }

    /// Shows how far it is; fails as soon as a receiver complains.
    async fn show(&self, accepted: u64) -> Result<(), Failure> {
        let report = self.report(accepted).await?;
        if let Some(complaint) = report.complaint() {
            return Err(complaint.into());
        }
        self.progress.show(report.progress());
        Ok(())
    }
}

/// Where the demo is: one line that is rewritten at a terminal, a line each second elsewhere. On standard error, so that
/// standard output holds what stays true.
struct Progress {
    bar: ProgressBar,
    is_silent: bool,
}

impl Progress {
    fn new(is_silent: bool) -> Result<Self, Failure> {
        let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template("{msg}")?);
        bar.set_draw_target(if is_silent {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        Ok(Self { bar, is_silent })
    }

    fn show(&self, line: String) {
        if self.bar.is_hidden() && !self.is_silent {
            tell(line);
        } else {
            self.bar.set_message(line);
        }
    }

    fn tell(&self, line: String) {
        self.bar.suspend(|| tell(line));
    }

    fn answer(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        if self.is_silent { Ok(()) } else { self.bar.suspend(|| answer(text)) }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
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
