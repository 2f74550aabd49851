//! A route: network settings together with their secrets, as a request carries them to the transport.

use std::fmt;
use std::time::Duration;

use base::Secret;
use sha2::{Digest, Sha256};
use url::Url;

use super::no_proxy::NoProxy;
use super::pem::{self, Certificates};
use super::{CLIENT_KEY, MAX_PEM, Network, PROXY_CREDENTIAL, proxy};
use crate::registry::SettingsError;
use crate::secrets::{SecretName, Secrets};

/// How a request gets to its destination. Equal routes may share connections. The default one trusts the authorities of
/// this machine, shows no certificate and uses no proxy.
#[derive(Clone, Debug)]
pub struct Route {
    timeout: Duration,
    authorities: Option<Certificates>,
    identity: Option<Identity>,
    proxy: Option<Through>,
    no_proxy: NoProxy,
    likeness: Likeness,
}

/// What a client shows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its chain, its own certificate first.
    pub(crate) chain: Certificates,
    /// The key of its own certificate, in PEM.
    pub(crate) key: Secret,
}

/// A proxy, and who asks it.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    /// `http://host:port`.
    pub(crate) url: Url,
    /// User and password.
    pub(crate) credential: Option<(Secret, Secret)>,
}

impl Through {
    /// `host:port`, as errors name it.
    pub(crate) fn name(&self) -> String {
        proxy::name(&self.url)
    }
}

/// A digest of all that makes connections differ. Not printed: it covers secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Likeness([u8; 32]);

impl fmt::Debug for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Likeness")
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.likeness == other.likeness && self.timeout == other.timeout && self.no_proxy == other.no_proxy
    }
}

impl Eq for Route {}

impl Default for Route {
    fn default() -> Self {
        Self::made(&Network::default(), None, None)
    }
}

impl Route {
    /// From valid settings and secrets. Every secret that is missing, unfit or of no use is named by its field.
    pub(crate) fn new(network: &Network, secrets: &Secrets) -> Result<Self, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let identity = identity(network, secrets).unwrap_or_else(|message| {
            errors.push(SettingsError::new(CLIENT_KEY, message));
            None
        });
        let through = through(network, secrets).unwrap_or_else(|message| {
            errors.push(SettingsError::new(PROXY_CREDENTIAL, message));
            None
        });
        if errors.is_empty() { Ok(Self::made(network, identity, through)) } else { Err(errors) }
    }

    /// A route to servers that these authorities (one or more certificates in PEM) vouch for, and no others.
    pub fn trusting(authorities: &str) -> Result<Self, SettingsError> {
        let authorities = pem::read(authorities, MAX_PEM, pem::Use::Authority)
            .map_err(|message| SettingsError::new("the file of certificates", message))?;
        let network = Network { ca_certificate: Some(authorities), ..Network::default() };
        Ok(Self::made(&network, None, None))
    }

    fn made(network: &Network, identity: Option<Identity>, proxy: Option<Through>) -> Self {
        let authorities = network.ca_certificate.clone();
        let likeness = likeness(authorities.as_ref(), identity.as_ref(), proxy.as_ref());
        Self {
            timeout: network.timeout(),
            authorities,
            identity,
            proxy,
            no_proxy: network.no_proxy.clone(),
            likeness,
        }
    }

    /// How long an answer is waited for.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The only authorities that are trusted; `None`: those of this machine.
    pub(crate) const fn authorities(&self) -> Option<&Certificates> {
        self.authorities.as_ref()
    }

    /// What is shown to a server that asks for a certificate.
    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The proxy, whether or not some hosts are called without it.
    pub(crate) const fn proxy(&self) -> Option<&Through> {
        self.proxy.as_ref()
    }

    /// The proxy that a request to `url` goes through.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Through> {
        self.proxy.as_ref().filter(|_| !self.no_proxy.covers(url))
    }

    /// Whether connections of one route may be used for the other; they may wait for different times.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.likeness == other.likeness
    }

    /// Every form in which the proxy's credential is sent, for masking.
    pub(crate) fn sent_secrets(&self) -> Vec<Secret> {
        use base64::Engine as _;
        let Some((user, password)) = self.proxy.as_ref().and_then(|proxy| proxy.credential.as_ref()) else {
            return Vec::new();
        };
        let whole = Secret::new(format!("{}:{}", user.expose(), password.expose()));
        let sent = Secret::new(base64::engine::general_purpose::STANDARD.encode(whole.expose()));
        vec![sent, whole, password.clone()]
    }
}

fn given(secrets: &Secrets, name: SecretName) -> Option<&Secret> {
    secrets.get(name).filter(|secret| !secret.expose().is_empty())
}

fn identity(network: &Network, secrets: &Secrets) -> Result<Option<Identity>, &'static str> {
    match (&network.client_certificate, given(secrets, SecretName::ClientKey)) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("must come with clientCertificate"),
        (Some(_), None) => Err("must be given with clientCertificate"),
        (Some(chain), Some(key)) => {
            pem::check_key(chain, key)?;
            Ok(Some(Identity { chain: chain.clone(), key: key.clone() }))
        }
    }
}

fn through(network: &Network, secrets: &Secrets) -> Result<Option<Through>, &'static str> {
    let credential = given(secrets, SecretName::ProxyCredential);
    let Some(proxy) = &network.proxy else {
        return if credential.is_some() { Err("must come with proxy") } else { Ok(None) };
    };
    let credential = match credential.map(|credential| credential.expose().split_once(':')) {
        None => None,
        Some(None | Some(("", _))) => return Err("must be user:password"),
        Some(Some((user, password))) => {
            if user.chars().chain(password.chars()).any(char::is_control) {
                return Err("must not contain control characters");
            }
            Some((Secret::new(user), Secret::new(password)))
        }
    };
    Ok(Some(Through { url: proxy.url().clone(), credential }))
}

/// What a part is: a digest over its length and its bytes, so that two parts are never taken for one.
fn likeness(
    authorities: Option<&Certificates>,
    identity: Option<&Identity>,
    proxy: Option<&Through>,
) -> Likeness {
    let credential = proxy.and_then(|proxy| proxy.credential.as_ref());
    let parts = [
        authorities.map(Certificates::as_pem),
        identity.map(|identity| identity.chain.as_pem()),
        identity.map(|identity| identity.key.expose()),
        proxy.map(|proxy| proxy.url.as_str()),
        credential.map(|(user, _)| user.expose()),
        credential.map(|(_, password)| password.expose()),
    ];
    let mut digest = Sha256::new();
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        digest.update(length.to_be_bytes());
        digest.update(part.unwrap_or_default());
    }
    Likeness(digest.finalize().into())
}
