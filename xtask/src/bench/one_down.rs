//! One destination beside another that is down: its rate with and without the other, by turns in one run, so that whatever
//! else the machine does meets both alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Random;

use super::events::Run;
use super::load::Pace;
use super::receiver::{Mode, Receiver};
use super::report::{OneDown, median};
use super::runs::{Setting, per_second};
use crate::Failure;

/// Measures for so many rounds, each time for so long at full speed. The other one hangs in every second round and closes
/// its connections in the rest.
pub(super) fn measure(target: &Path, (rounds, time): (usize, Duration)) -> Result<OneDown, Failure> {
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let other = Receiver::start(Mode::Hec(Arc::new(Run::new(&Random::from_system()))))?;
        if round % 2 == 0 {
            other.hang();
        } else {
            other.set_down(true);
        }
        let without = || rate(&Setting::start(target, None)?, time);
        let with = || rate(&Setting::start(target, Some(other.address()))?, time);
        // Who comes first changes too: a machine that grows busier would favour the first.
        let (one, two) = if round / 2 % 2 == 0 {
            let one = without()?;
            (one, with()?)
        } else {
            let two = with()?;
            (without()?, two)
        };
        alone.push(one);
        beside.push(two);
        ratios.push(two / one.max(1.0));
    }
    Ok(OneDown {
        rounds,
        alone_per_s: median(&mut alone),
        beside_per_s: median(&mut beside),
        ratio: median(&mut ratios),
        ratios,
    })
}

/// Distinct events a second at the receiver that is up.
fn rate(setting: &Setting, time: Duration) -> Result<f64, Failure> {
    let (_, arrivals, _) = setting.drained(Pace::FullSpeed(time))?;
    Ok(per_second(arrivals.distinct, arrivals.last))
}
