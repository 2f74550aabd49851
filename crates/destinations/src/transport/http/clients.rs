//! The HTTP clients: one for whoever needs nothing special, one for each other route that is in use.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy};

use super::resolver::Resolver;
use crate::network::Route;
use crate::transport::{FailureKind, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than what servers and balancers keep idle connections for, so that a request seldom meets one just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_IDLE_PER_HOST: usize = 8;
/// Most clients that are kept; beyond, the one that was not used for longest is made anew when it is needed again.
const MAX_CLIENTS: usize = 256;

/// Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    plain: Client,
    special: Arc<Mutex<Vec<Kept>>>,
}

/// A client of a route. It is dropped when nobody holds the route any more, its secrets with it.
#[derive(Debug)]
struct Kept {
    route: Weak<Route>,
    via_proxy: bool,
    client: Client,
}

impl Clients {
    pub(super) fn new() -> Result<Self, TransportError> {
        Ok(Self { plain: build(&Route::default(), false)?, special: Arc::default() })
    }

    /// The client of a route, with or without its proxy.
    pub(super) async fn of(&self, route: &Arc<Route>, via_proxy: bool) -> Result<Client, TransportError> {
        if let Some(client) = self.find(route, via_proxy) {
            return Ok(client);
        }
        // Reads the authorities of this machine from files.
        let of = Arc::clone(route);
        let built = tokio::task::spawn_blocking(move || build(&of, via_proxy)).await;
        let client = built.map_err(|error| unprepared().caused_by(error))??;
        let mut special = self.special.lock();
        if special.len() >= MAX_CLIENTS {
            special.remove(0);
        }
        special.push(Kept { route: Arc::downgrade(route), via_proxy, client: client.clone() });
        Ok(client)
    }

    fn find(&self, route: &Route, via_proxy: bool) -> Option<Client> {
        let mut special = self.special.lock();
        special.retain(|kept| kept.route.strong_count() > 0);
        if !via_proxy && route.authorities().is_none() && route.identity().is_none() {
            return Some(self.plain.clone());
        }
        let is_fit = |kept: &Kept| {
            kept.via_proxy == via_proxy && kept.route.upgrade().is_some_and(|other| other.is_like(route))
        };
        let found = special.iter().position(is_fit).map(|at| special.remove(at))?;
        let client = found.client.clone();
        // The last ones are those that were used last.
        special.push(found);
        Some(client)
    }

    /// How many are kept beside the plain one.
    #[cfg(test)]
    pub(super) fn n_special(&self) -> usize {
        self.special.lock().len()
    }
}

fn build(route: &Route, via_proxy: bool) -> Result<Client, TransportError> {
    let trusting = builder(route, via_proxy)?;
    let built = match route.authorities() {
        Some(authorities) => {
            let only = Certificate::from_pem_bundle(authorities.as_pem().as_bytes()).map_err(unusable)?;
            trusting.tls_certs_only(only).build()
        }
        None => match trusting.build() {
            Ok(client) => Ok(client),
            // This machine trusts nobody.
            Err(_) => builder(route, via_proxy)?.tls_certs_only([]).build(),
        },
    };
    built.map_err(unusable)
}

fn builder(route: &Route, via_proxy: bool) -> Result<ClientBuilder, TransportError> {
    let mut builder = Client::builder()
        .user_agent(concat!("idstream/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(Arc::new(Resolver))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .tcp_nodelay(true);
    if let Some(identity) = route.identity() {
        let pem = [identity.chain.as_pem(), identity.key.expose()].concat();
        let pem = zeroize::Zeroizing::new(pem);
        builder = builder.identity(Identity::from_pem(pem.as_bytes()).map_err(unusable)?);
    }
    if let Some(through) = route.proxy().filter(|_| via_proxy) {
        let mut proxy = Proxy::all(through.url.clone()).map_err(unusable)?;
        if let Some((user, password)) = &through.credential {
            proxy = proxy.basic_auth(user.expose(), password.expose());
        }
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn unusable(error: reqwest::Error) -> TransportError {
    unprepared().caused_by(error.without_url())
}

fn unprepared() -> TransportError {
    TransportError::new(FailureKind::Tls, "cannot prepare the HTTP client")
}
