//! The system's name resolution, without the addresses that are never called.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address;

pub(super) struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("the name has no address")]
pub(super) struct Unresolved(#[source] std::io::Error);

impl Unresolved {
    /// What the system says of it, as far as its words are known: it tells the reason in no other way.
    pub(super) fn why(&self) -> &'static str {
        let words = self.0.to_string();
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        // The words of glibc, musl and macOS.
        if says(&["Name or service not known", "Name does not resolve", "nodename nor servname"]) {
            ": there is no such name"
        } else if says(&["No address associated", "Name has no usable address"]) {
            ": the name has no address"
        } else if says(&["Temporary failure", "Try again"]) {
            ": no name server answered"
        } else {
            ""
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the name leads to a link-local or cloud metadata address")]
pub(super) struct RefusedAddress;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unresolved)?;
            let all: Vec<SocketAddr> = found.collect();
            Ok(Box::new(allowed(all)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be called; an error when there were some, and none may.
pub(super) fn allowed(all: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, RefusedAddress> {
    let had_some = !all.is_empty();
    let allowed: Vec<_> = all.into_iter().filter(|found| !address::is_refused(found.ip())).collect();
    if had_some && allowed.is_empty() { Err(RefusedAddress) } else { Ok(allowed) }
}

/// Whether this machine knows the name in `url`, and knows it for one that leads nowhere else. A proxy resolves names by
/// itself, so this is as far as one can see from here: a name that is not known here is the proxy's to judge.
pub(super) async fn leads_only_to_refused(url: &Url, patience: Duration) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    match tokio::time::timeout(patience, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => allowed(found.collect()).is_err(),
        Ok(Err(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_there_is_told_apart_from_a_name_server_that_is_not() {
        let why = |words: &str| {
            Unresolved(std::io::Error::other(format!("failed to lookup address information: {words}"))).why()
        };
        assert_eq!(why("Name or service not known"), ": there is no such name");
        assert_eq!(why("Temporary failure in name resolution"), ": no name server answered");
        assert_eq!(why("Try again"), ": no name server answered");
        assert_eq!(why("No address associated with hostname"), ": the name has no address");
        assert_eq!(why("something else"), "");
    }
}
