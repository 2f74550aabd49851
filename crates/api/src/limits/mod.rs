//! How many administrative calls are taken: of the whole instance and of each address, in a second and in a minute.
//!
//! All of it is a function of time and state. Own code, because what libraries offer (governor) refills steadily: it knows
//! neither the end of a window, which the contract's headers name, nor how to take from four buckets or from none.

mod addresses;
mod layer;
mod window;

use std::net::IpAddr;

use base::Timestamp;
use parking_lot::Mutex;

use self::addresses::{Addresses, Origin, Used};
pub(crate) use self::layer::limit;
use self::window::{Quota, Window, seconds_until};

/// How many calls are taken; 0 takes any number. The defaults are those of the contract's admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// From all addresses together, in a second.
    pub instance_per_second: u32,
    /// The same in a minute.
    pub instance_per_minute: u32,
    /// From one IPv4 address or IPv6 network (/64), in a second.
    pub address_per_second: u32,
    /// The same in a minute.
    pub address_per_minute: u32,
    /// Wrong credentials from one address in a minute; further ones are answered without a word about them.
    pub failures_per_minute: u32,
}

impl RateLimits {
    /// Takes any number of calls.
    pub const OFF: Self = Self {
        instance_per_second: 0,
        instance_per_minute: 0,
        address_per_second: 0,
        address_per_minute: 0,
        failures_per_minute: 0,
    };
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            instance_per_second: 50,
            instance_per_minute: 500,
            address_per_second: 10,
            address_per_minute: 100,
            failures_per_minute: 10,
        }
    }
}

/// One bucket after a call: what the answer's headers say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    quota: Quota,
    remaining: u32,
    /// Seconds until the bucket is full again.
    reset: u64,
}

/// What becomes of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// Those that are not switched off: the instance's second and minute, then the address's.
    buckets: Vec<Bucket>,
    /// The first bucket that is empty: the call is refused.
    refused: Option<Refused>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused {
    quota: Quota,
    is_by_address: bool,
    /// Seconds until a call can be taken: when every empty bucket is full again.
    wait: u64,
}

/// A bucket while a call is decided on.
struct Meter {
    quota: Quota,
    window: Window,
    is_by_address: bool,
}

impl Meter {
    const fn is_empty(&self) -> bool {
        !self.quota.is_off() && self.window.left(self.quota) == 0
    }
}

/// Counts calls. One lock, held for a few comparisons.
pub(crate) struct Limiter(Mutex<Counts>);

impl Limiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self(Mutex::new(Counts {
            limits,
            second: Window::default(),
            minute: Window::default(),
            addresses: Addresses::default(),
        }))
    }

    fn take(&self, address: Option<IpAddr>, now: Timestamp) -> Verdict {
        self.0.lock().take(address.map(Origin::of), now)
    }

    /// Notes a wrong credential. Answers how many seconds to wait when there have been too many from this address.
    pub(crate) fn failed(&self, address: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        self.0.lock().failed(address.map(Origin::of)?, now)
    }
}

struct Counts {
    limits: RateLimits,
    second: Window,
    minute: Window,
    addresses: Addresses,
}

impl Counts {
    /// Takes one call from each bucket, or from none when one is empty: who is refused uses up nobody else's.
    fn take(&mut self, origin: Option<Origin>, now: Timestamp) -> Verdict {
        let known = origin.map(|origin| (origin, self.addresses.get(origin)));
        let mut meters = self.meters(known.map(|(_, used)| used));
        for meter in &mut meters {
            meter.window = meter.window.at(now, meter.quota.period);
        }
        let empty = || meters.iter().filter(|meter| meter.is_empty());
        let wait = empty().map(|meter| seconds_until(meter.window.ends(), now)).max();
        let refused = empty().next().zip(wait).map(|(first, wait)| Refused {
            quota: first.quota,
            is_by_address: first.is_by_address,
            wait,
        });
        if refused.is_none() {
            for meter in &mut meters {
                meter.window.take();
            }
            self.store(known, &meters, now);
        }
        let on = meters.iter().filter(|meter| !meter.quota.is_off());
        let buckets = on.map(|meter| Bucket {
            quota: meter.quota,
            remaining: meter.window.left(meter.quota),
            reset: seconds_until(meter.window.ends(), now),
        });
        Verdict { buckets: buckets.collect(), refused }
    }

    /// The instance's second and minute, then the address's.
    fn meters(&self, used: Option<Used>) -> Vec<Meter> {
        let limits = self.limits;
        let meter = |quota, window, is_by_address| Meter { quota, window, is_by_address };
        let mut meters = vec![
            meter(Quota::per_second(limits.instance_per_second), self.second, false),
            meter(Quota::per_minute(limits.instance_per_minute), self.minute, false),
        ];
        if let Some(used) = used {
            meters.push(meter(Quota::per_second(limits.address_per_second), used.second, true));
            meters.push(meter(Quota::per_minute(limits.address_per_minute), used.minute, true));
        }
        meters
    }

    /// The reverse.
    fn store(&mut self, known: Option<(Origin, Used)>, meters: &[Meter], now: Timestamp) {
        let mut windows = meters.iter().map(|meter| meter.window);
        self.second = windows.next().unwrap_or_default();
        self.minute = windows.next().unwrap_or_default();
        if let (Some((origin, used)), Some(second), Some(minute)) = (known, windows.next(), windows.next()) {
            self.addresses.put(origin, Used { second, minute, ..used }, now);
        }
    }

    fn failed(&mut self, origin: Origin, now: Timestamp) -> Option<u64> {
        let quota = Quota::per_minute(self.limits.failures_per_minute);
        if quota.is_off() {
            return None;
        }
        let used = self.addresses.get(origin);
        let mut failures = used.failures.at(now, quota.period);
        let is_too_many = failures.left(quota) == 0;
        failures.take();
        self.addresses.put(origin, Used { failures, ..used }, now);
        is_too_many.then(|| seconds_until(failures.ends(), now))
    }
}

#[cfg(test)]
mod tests;
