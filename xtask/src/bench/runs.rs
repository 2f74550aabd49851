//! The runs. Each has a server, a data directory and a receiver of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Random;
use tempfile::TempDir;

use super::events::Run;
use super::load::{Pace, Sent, Target, post};
use super::receiver::{Arrivals, Mode, Receiver};
use super::report::{Backlog, FullSpeed, Latency, Report, percentile};
use super::{Plan, Which, api, one_down, report, yardstick};
use crate::process::Server;
use crate::{Failure, say};

/// Events a second of the latency run.
const STEADY: u64 = 2_000;

/// A server with one destination that counts, and what belongs to it. Fields end in this order.
pub(super) struct Setting {
    server: Server,
    receiver: Receiver,
    run: Arc<Run>,
    token: String,
    _data: TempDir,
}

impl Setting {
    /// With one destination, and another one when its address is given.
    pub(super) fn start(target: &Path, other: Option<SocketAddr>) -> Result<Self, Failure> {
        let data = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        // One below, because the master key is generated beside the server's data directory.
        let server = Server::start(&[], &target.join("release/idstream"), &data.path().join("data"))?;
        let run = Arc::new(Run::new(&Random::from_system()));
        let receiver = Receiver::start(Mode::Hec(Arc::clone(&run)))?;
        let admin = Target { address: server.address(), token: server.token() };
        let token = api::create_client(admin)?;
        api::create_destination(admin, "bench", receiver.address())?;
        if let Some(other) = other {
            api::create_destination(admin, "other", other)?;
        }
        Ok(Self { server, receiver, run, token, _data: data })
    }

    fn target(&self) -> Target<'_> {
        Target { address: self.server.address(), token: &self.token }
    }

    /// Posts, waits until all has arrived, and tells the CPU seconds of a million events.
    pub(super) fn drained(&self, pace: Pace) -> Result<(Sent, Arrivals, f64), Failure> {
        let before = self.server.cpu_seconds()?;
        let sent = post(self.target(), &self.run, pace)?;
        let arrivals = self.receiver.wait_for(sent.accepted)?;
        let cpu = self.server.cpu_seconds()? - before;
        Ok((sent, arrivals, cpu * 1e6 / sent.accepted.max(1) as f64))
    }
}

/// Measures all that the plan asks for.
pub(super) fn all(target: &Path, plan: &Plan) -> Result<Report, Failure> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
    say("yardsticks");
    let yardstick = yardstick::measure(folder.path(), plan.yardstick)?;
    let mut report = Report {
        event_bytes: Run::new(&Random::from_system()).mean_bytes(),
        full_speed: None,
        latency: None,
        backlog: None,
        one_down: None,
        yardstick,
        targets: Vec::new(),
    };
    if plan.wants(&[Which::FullSpeed, Which::Backlog]) {
        say("full speed");
        report.full_speed = Some(full_speed(target, plan.full_speed)?);
    }
    if plan.wants(&[Which::Latency]) {
        say("latency");
        report.latency = Some(latency(target, plan.latency)?);
    }
    if plan.wants(&[Which::Backlog]) {
        say("backlog");
        report.backlog = Some(backlog(target, plan.backlog)?);
    }
    if plan.wants(&[Which::OneDown]) {
        say("one of two destinations down");
        report.one_down = Some(one_down::measure(target, plan.rounds)?);
    }
    report.targets = report::Target::all(&report);
    Ok(report)
}

fn full_speed(target: &Path, time: Duration) -> Result<FullSpeed, Failure> {
    let setting = Setting::start(target, None)?;
    let (sent, arrivals, cpu_s_per_million) = setting.drained(Pace::FullSpeed(time))?;
    Ok(FullSpeed {
        accepted: sent.accepted,
        distinct: arrivals.distinct,
        repeated: arrivals.total - arrivals.distinct,
        busy: sent.busy,
        accepted_per_s: per_second(sent.accepted, sent.took),
        end_to_end_per_s: per_second(arrivals.distinct, arrivals.last),
        cpu_s_per_million,
        peak_mb: setting.server.peak_mb()?,
    })
}

fn latency(target: &Path, time: Duration) -> Result<Latency, Failure> {
    let setting = Setting::start(target, None)?;
    let (sent, mut arrivals, cpu_s_per_million) = setting.drained(Pace::Steady(STEADY, time))?;
    let mut age_ms =
        |percent| percentile(&mut arrivals.ages, percent).map_or(0.0, |micros| f64::from(micros) / 1e3);
    Ok(Latency {
        events_per_s: STEADY,
        accepted: sent.accepted,
        p50_ms: age_ms(50),
        p99_ms: age_ms(99),
        distinct: arrivals.distinct,
        cpu_s_per_million,
    })
}

fn backlog(target: &Path, count: u64) -> Result<Backlog, Failure> {
    let setting = Setting::start(target, None)?;
    setting.receiver.set_down(true);
    let sent = post(setting.target(), &setting.run, Pace::Count(count))?;
    let peak_mb_down = setting.server.peak_mb()?;
    setting.receiver.set_down(false);
    say("backlog: catching up");
    let arrivals = setting.receiver.wait_for(sent.accepted)?;
    let catching_up = arrivals.last.saturating_sub(arrivals.first.unwrap_or_default());
    Ok(Backlog {
        accepted: sent.accepted,
        size_mb: sent.accepted as f64 * setting.run.mean_bytes() / 1e6,
        distinct: arrivals.distinct,
        accepted_per_s: per_second(sent.accepted, sent.took),
        catch_up_per_s: per_second(arrivals.distinct, catching_up),
        peak_mb_down,
        peak_mb: setting.server.peak_mb()?,
    })
}

pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-3)
}
