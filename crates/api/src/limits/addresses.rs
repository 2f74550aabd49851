//! What each address has used, for a bounded number of addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use base::Timestamp;

use super::window::Window;

/// Most addresses that are known at once. As long as the whole instance takes 500 calls a minute there are never as many.
pub(super) const MAX_ADDRESSES: usize = 10_000;

/// Whose calls count together: an IPv4 address, or the /64 network of an IPv6 address, which is what one subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4([u8; 4]),
    V6(u64),
}

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// What one address has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) second: Window,
    pub(super) minute: Window,
    /// Credentials that were wrong.
    pub(super) failures: Window,
}

impl Used {
    /// From when on nothing of it counts any more.
    fn ends(&self) -> Timestamp {
        self.second.ends().max(self.minute.ends()).max(self.failures.ends())
    }
}

/// All that is known, by address.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<Origin, Used>);

impl Addresses {
    /// What an address has used; nothing when it is not known.
    pub(super) fn get(&self, origin: Origin) -> Used {
        self.0.get(&origin).copied().unwrap_or_default()
    }

    /// Notes what an address has used. When there is no room, those go of which nothing counts any more, and else the one
    /// that would have gone next: who has many addresses could use each of them anyway.
    pub(super) fn put(&mut self, origin: Origin, used: Used, now: Timestamp) {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&origin) {
            self.0.retain(|_, used| used.ends() > now);
            if self.0.len() >= MAX_ADDRESSES
                && let Some(first) =
                    self.0.iter().min_by_key(|(_, used)| used.ends()).map(|(first, _)| *first)
            {
                self.0.remove(&first);
            }
        }
        self.0.insert(origin, used);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
