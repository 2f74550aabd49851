//! The one place that knows every vendor. A new one is a folder, a variant and the arms that the compiler then asks for.

use std::fmt;
use std::sync::Arc;

use event::native::{Instance, NativeProfile, Selection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batching::Batching;
use crate::fields::{Address, Fields};
use crate::network::Network;
use crate::seam::Destination;
use crate::secrets::{READ_CREDENTIAL, SIGNING_SECRETS, SecretName, Secrets};
use crate::way::Way;
use crate::{elasticsearch, https, splunk};

/// A kind of destination: the contract's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Splunk's HTTP Event Collector.
    Splunk,
    /// Elasticsearch or OpenSearch.
    Elasticsearch,
    /// Any server that takes documents over HTTPS.
    Https,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 3] = [Self::Splunk, Self::Elasticsearch, Self::Https];

    /// The contract's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Splunk => "splunk",
            Self::Elasticsearch => "elasticsearch",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one field of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct SettingsError {
    /// The field as it is spelled in the contract (`url`, `apiKey`, `network.proxy`, …), or `configuration` for the whole.
    pub field: String,
    /// An end of the sentence "the field …".
    pub message: String,
}

impl SettingsError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// A configuration, valid, without its secrets: the vendor's part, and the parts that are the same for every vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    part: Part,
    network: Network,
    batching: Batching,
}

/// A vendor's own part.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Splunk(splunk::Settings),
    Elasticsearch(elasticsearch::Settings),
    Https(https::Settings),
}

impl Part {
    fn parse(vendor: Vendor, configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        match vendor {
            Vendor::Splunk => splunk::Settings::parse(configuration).map(Self::Splunk),
            Vendor::Elasticsearch => elasticsearch::Settings::parse(configuration).map(Self::Elasticsearch),
            Vendor::Https => https::Settings::parse(configuration).map(Self::Https),
        }
    }
}

impl Settings {
    /// Reads the contract's `configuration` object, `network` and `batch` (ours) included. Secrets in it (see
    /// [`Secrets::parse`]) and fields that are unknown to the contract are passed over; every field that is wrong is named.
    pub fn parse(vendor: Vendor, configuration: &Value) -> Result<Self, Vec<SettingsError>> {
        let part = Part::parse(vendor, configuration);
        let mut fields = Fields::of(configuration);
        let network = Network::parse(&mut fields);
        let batching = Batching::parse(&mut fields, vendor);
        match (part, fields.finish(Some((network, batching)))) {
            (Ok(part), Ok((network, batching))) => Ok(Self { part, network, batching }),
            (part, others) => {
                let mut errors = part.err().unwrap_or_default();
                // What is no object is complained of once.
                errors.extend(others.err().into_iter().flatten().filter(|_| configuration.is_object()));
                Err(errors)
            }
        }
    }

    /// Whose settings these are.
    pub const fn vendor(&self) -> Vendor {
        match self.part {
            Part::Splunk(_) => Vendor::Splunk,
            Part::Elasticsearch(_) => Vendor::Elasticsearch,
            Part::Https(_) => Vendor::Https,
        }
    }

    /// The address.
    pub const fn url(&self) -> &Address {
        match &self.part {
            Part::Splunk(settings) => &settings.url,
            Part::Elasticsearch(settings) => &settings.url,
            Part::Https(settings) => &settings.url,
        }
    }

    /// The contract's response shape; [`Settings::parse`] reads it back. Never holds a secret.
    pub fn to_json(&self) -> Value {
        let mut object = match &self.part {
            Part::Splunk(settings) => settings.to_json(),
            Part::Elasticsearch(settings) => settings.to_json(),
            Part::Https(settings) => settings.to_json(),
        };
        self.network.show(&mut object);
        self.batching.show(&mut object);
        Value::Object(object)
    }

    /// Whether secrets are sent to the same parties as with `other`: to the same address of the same vendor, in the same
    /// header, through the same proxy, vouched for by the same authorities. Otherwise no secret that was given for one may be used with the
    /// other.
    pub fn leads_like(&self, other: &Self) -> bool {
        self.vendor() == other.vendor()
            && self.url() == other.url()
            && self.header_name() == other.header_name()
            && self.network.leads_like(&other.network)
    }

    /// The header of one's own choice that holds the credential. Some are written to logs where others are not.
    fn header_name(&self) -> Option<String> {
        match &self.part {
            Part::Https(settings) => settings.header_name.as_ref().map(|name| name.to_ascii_lowercase()),
            Part::Splunk(_) | Part::Elasticsearch(_) => None,
        }
    }

    /// Whether a secret of this name has a use.
    pub fn has_use_for(&self, name: SecretName) -> bool {
        match name {
            SecretName::ApiKey => true,
            SecretName::ClientKey => self.network.has_client_certificate(),
            SecretName::ProxyCredential => self.network.has_proxy(),
            SecretName::SigningSecret | SecretName::SecondSigningSecret => self.vendor() == Vendor::Https,
            SecretName::ReadCredential => self.vendor() == Vendor::Elasticsearch,
        }
    }

    /// A destination that can be sent to. Fails when a secret is missing, unfit or of no use.
    pub fn build(
        &self,
        secrets: &Secrets,
        instance: &Instance,
        selection: Selection,
    ) -> Result<Arc<dyn Destination>, Vec<SettingsError>> {
        // Whatever the way is, the vendor says what is wrong with its own secrets too.
        let (way, mut errors) = match Way::new(&self.network, self.batching, secrets) {
            Ok(way) => (way, Vec::new()),
            Err(errors) => (Way::default(), errors),
        };
        if self.vendor() != Vendor::Https && secrets.signing().next().is_some() {
            errors.push(SettingsError::new(SIGNING_SECRETS, "are for the type https only"));
        }
        if self.vendor() != Vendor::Elasticsearch && secrets.read_credential().is_some() {
            errors.push(SettingsError::new(READ_CREDENTIAL, "is for the type elasticsearch only"));
        }
        let made = self.made(secrets, instance, NativeProfile::new(instance, selection), way);
        match made {
            Ok(destination) if errors.is_empty() => Ok(destination),
            made => {
                errors.extend(made.err().into_iter().flatten());
                Err(errors)
            }
        }
    }

    fn made(
        &self,
        secrets: &Secrets,
        instance: &Instance,
        profile: NativeProfile,
        way: Way,
    ) -> Result<Arc<dyn Destination>, Vec<SettingsError>> {
        let credential = secrets.api_key();
        Ok(match &self.part {
            Part::Splunk(settings) => {
                Arc::new(splunk::Splunk::new(settings, &credential, &instance.domain, profile, way)?)
            }
            Part::Elasticsearch(settings) => {
                Arc::new(elasticsearch::Elasticsearch::new(settings, secrets, profile, way)?)
            }
            Part::Https(settings) => Arc::new(https::Https::new(settings, secrets, profile, way)?),
        })
    }
}
