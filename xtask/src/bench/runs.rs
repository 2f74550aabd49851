//! The three runs. Each has a server, a data directory and a receiver of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Random;
use tempfile::TempDir;

use super::events::Run;
use super::load::{Pace, Sent, Target, post};
use super::receiver::{Arrivals, Mode, Receiver};
use super::report::{Backlog, FullSpeed, Latency, Report, percentile};
use super::{Plan, api, report, yardstick};
use crate::process::Server;
use crate::{Failure, say};

/// Events a second of the latency run.
const STEADY: u64 = 2_000;

/// A server with one destination, and what belongs to it. Fields end in this order.
struct Setting {
    server: Server,
    receiver: Receiver,
    run: Arc<Run>,
    token: String,
    _data: TempDir,
}

impl Setting {
    fn start(target: &Path) -> Result<Self, Failure> {
        let data = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        // One below, because the master key is generated beside the server's data directory.
        let server = Server::start(&[], &target.join("release/idstream"), &data.path().join("data"))?;
        let run = Arc::new(Run::new(&Random::from_system()));
        let receiver = Receiver::start(Mode::Hec(Arc::clone(&run)))?;
        let admin = Target { address: server.address(), token: server.token() };
        let token = api::create_client(admin)?;
        api::create_destination(admin, receiver.address())?;
        Ok(Self { server, receiver, run, token, _data: data })
    }

    fn target(&self) -> Target<'_> {
        Target { address: self.server.address(), token: &self.token }
    }

    /// Posts, waits until all has arrived, and tells the CPU seconds of a million events.
    fn drained(&self, pace: Pace) -> Result<(Sent, Arrivals, f64), Failure> {
        let before = self.server.cpu_seconds()?;
        let sent = post(self.target(), &self.run, pace)?;
        let arrivals = self.receiver.wait_for(sent.accepted)?;
        let cpu = self.server.cpu_seconds()? - before;
        Ok((sent, arrivals, cpu * 1e6 / sent.accepted.max(1) as f64))
    }
}

/// Measures all that the plan asks for.
pub(super) fn all(target: &Path, plan: Plan) -> Result<Report, Failure> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
    say("yardsticks");
    let yardstick = yardstick::measure(folder.path(), plan.yardstick)?;
    say("full speed");
    let full_speed = full_speed(target, plan.full_speed)?;
    say("latency");
    let latency = latency(target, plan.latency)?;
    say("backlog");
    let backlog = backlog(target, plan.backlog)?;
    let event_bytes = Run::new(&Random::from_system()).mean_bytes();
    let targets = report::Target::all(&full_speed, &latency, &backlog);
    Ok(Report { event_bytes, full_speed, latency, backlog, yardstick, targets })
}

fn full_speed(target: &Path, time: Duration) -> Result<FullSpeed, Failure> {
    let setting = Setting::start(target)?;
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
    let setting = Setting::start(target)?;
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
    let setting = Setting::start(target)?;
    setting.receiver.set_down(true);
    let sent = post(setting.target(), &setting.run, Pace::Count(count))?;
    let peak_mb_down = setting.server.peak_mb()?;
    setting.receiver.set_down(false);
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

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-3)
}
