//! How a configuration's requests get to its destination: whom they trust, how they present themselves, through which
//! proxy, how long they wait. The same for every vendor.

mod no_proxy;
mod pem;
mod proxy;
mod route;

use std::time::Duration;

use serde_json::{Map, Value};

use self::no_proxy::NoProxy;
pub(crate) use self::pem::Certificates;
use self::proxy::ProxyAddress;
pub use self::route::Route;
pub(crate) use self::route::Through;
use crate::fields::Fields;

/// The object within `configuration`.
const NETWORK: &str = "network";
/// The fields with its secrets, as they are named in errors.
pub(crate) const CLIENT_KEY: &str = "network.clientKey";
pub(crate) const PROXY_CREDENTIAL: &str = "network.proxyCredential";
/// Its fields. Those that say which secrets are set are answered, and passed over when they are sent back.
const FIELDS: [&str; 9] = [
    "caCertificate",
    "clientCertificate",
    "clientKey",
    "clientKeySet",
    "proxy",
    "proxyCredential",
    "proxyCredentialSet",
    "noProxy",
    "timeoutSeconds",
];

/// Longest PEM of the authorities and of the client's chain, in bytes each.
const MAX_PEM: usize = 64 << 10;
/// How long an answer is waited for, in seconds.
const MIN_TIMEOUT: u64 = 1;
const MAX_TIMEOUT: u64 = 300;
const DEFAULT_TIMEOUT: u64 = 60;

/// The valid `network` object of a configuration, without its secrets. The default is what holds without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// The only authorities that are trusted; those of this machine when absent.
    ca_certificate: Option<Certificates>,
    /// The chain that is shown to a server that asks for one, the client's own certificate first.
    client_certificate: Option<Certificates>,
    /// What requests go through.
    proxy: Option<ProxyAddress>,
    /// What is called without it.
    no_proxy: NoProxy,
    /// How long an answer is waited for, 1 to 300 seconds.
    timeout_seconds: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            ca_certificate: None,
            client_certificate: None,
            proxy: None,
            no_proxy: NoProxy::default(),
            timeout_seconds: DEFAULT_TIMEOUT,
        }
    }
}

impl Network {
    /// Reads the `network` object of a configuration; complains about every field that is wrong.
    pub(crate) fn parse(configuration: &mut Fields<'_>) -> Self {
        let Some(mut fields) = configuration.nested(NETWORK) else { return Self::default() };
        fields.only(&FIELDS);
        let proxy = proxy::parse(&mut fields);
        let no_proxy = no_proxy::parse(&mut fields);
        if proxy.is_none() && !no_proxy.is_empty() && !fields.has("proxy") {
            fields.complain("noProxy", "must come with a proxy");
        }
        let network = Self {
            ca_certificate: pem::parse(&mut fields, "caCertificate", MAX_PEM, pem::Use::Authority),
            client_certificate: pem::parse(&mut fields, "clientCertificate", MAX_PEM, pem::Use::Client),
            proxy,
            no_proxy,
            timeout_seconds: fields
                .number("timeoutSeconds", MIN_TIMEOUT, MAX_TIMEOUT)
                .unwrap_or(DEFAULT_TIMEOUT),
        };
        configuration.absorb(fields);
        network
    }

    /// Puts the response shape into a configuration's; nothing when all is as without it.
    pub(crate) fn show(&self, configuration: &mut Map<String, Value>) {
        let mut object = Map::new();
        let texts = [
            ("caCertificate", self.ca_certificate.as_ref().map(Certificates::as_pem)),
            ("clientCertificate", self.client_certificate.as_ref().map(Certificates::as_pem)),
            ("proxy", self.proxy.as_ref().map(ProxyAddress::as_str)),
        ];
        for (name, text) in texts {
            object.extend(text.map(|text| (name.to_owned(), text.into())));
        }
        if !self.no_proxy.is_empty() {
            object.insert("noProxy".to_owned(), self.no_proxy.to_json());
        }
        if self.timeout_seconds != DEFAULT_TIMEOUT {
            object.insert("timeoutSeconds".to_owned(), self.timeout_seconds.into());
        }
        if !object.is_empty() {
            configuration.insert(NETWORK.to_owned(), object.into());
        }
    }

    /// Whether secrets go to the same parties as with `other`: through the same proxy, to whom the same authorities
    /// vouch for.
    pub(crate) fn leads_like(&self, other: &Self) -> bool {
        self.proxy == other.proxy && self.ca_certificate == other.ca_certificate
    }

    /// Whether a client certificate is shown, which takes its key.
    pub(crate) const fn has_client_certificate(&self) -> bool {
        self.client_certificate.is_some()
    }

    /// Whether there is a proxy, which may take a credential.
    pub(crate) const fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests;
