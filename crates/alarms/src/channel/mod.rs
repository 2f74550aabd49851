//! Channels: where people are told of alarms. Each is a document of the catalog, its secrets sealed and never shown.

mod mail;
mod webhook;

use std::collections::BTreeMap;

use base::{Random, Secret};
use catalog::{Document, KeyError, Keyring, Sealed};
use destinations::SettingsError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::mail::PASSWORD;
pub use self::mail::{MailSettings, Security};
pub(crate) use self::webhook::destination;
use crate::alarm::Severity;

/// Most channels of an installation.
pub const MAX_CHANNELS: usize = 20;

/// One channel, as the catalog keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Its id, a UUID.
    pub id: String,
    /// Its name, unique among channels.
    pub name: String,
    /// Whether it is told.
    pub enabled: bool,
    /// From which severity on.
    pub min_severity: Severity,
    /// What kind of channel it is, and its settings, without secrets.
    #[serde(flatten)]
    pub medium: Medium,
    /// Its secrets by name, each sealed for its own place.
    pub secrets: BTreeMap<String, Sealed>,
}

impl Document for Channel {
    const KIND: &'static str = "alarmChannel";
}

/// How a channel is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "settings", rename_all = "camelCase")]
pub enum Medium {
    /// By a signed `POST`: valid settings of an HTTPS destination, but for the address, which is a secret.
    Webhook(Value),
    /// By mail.
    Mail(MailSettings),
}

/// Secrets by name, in the clear. Not printable.
pub type Secrets = BTreeMap<String, Secret>;

/// A channel's settings and secrets, valid together.
#[derive(Clone, Debug)]
pub struct Opened {
    /// How it is told.
    pub medium: Medium,
    /// Its secrets.
    pub secrets: Secrets,
}

/// Which kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediumKind {
    /// By a signed `POST`.
    Webhook,
    /// By mail.
    Mail,
}

impl MediumKind {
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "webhook" => Some(Self::Webhook),
            "mail" => Some(Self::Mail),
            _ => None,
        }
    }

    /// The fields of a `configuration` of this kind.
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => webhook::FIELDS,
            Self::Mail => mail::FIELDS,
        }
    }

    /// Reads a request's `configuration`. What it leaves out of the secrets is taken from `before`, unless they would be
    /// sent elsewhere. Every field that is wrong is named, and no value is repeated.
    pub fn parse(self, configuration: &Value, before: Option<&Opened>) -> Result<Opened, Vec<SettingsError>> {
        match self {
            Self::Webhook => webhook::parse(configuration, before),
            Self::Mail => mail::parse(configuration, before),
        }
    }
}

impl Opened {
    /// Seals the secrets for the channel with this id. Empty ones are none.
    pub fn seal(
        &self,
        id: &str,
        keyring: &Keyring,
        random: &Random,
    ) -> Result<BTreeMap<String, Sealed>, KeyError> {
        let set = self.secrets.iter().filter(|(_, secret)| !secret.expose().is_empty());
        let seal = |(name, secret): (&String, &Secret)| {
            let sealed = keyring.seal(secret, &catalog::place(Channel::KIND, id, name), random)?;
            Ok((name.clone(), sealed))
        };
        set.map(seal).collect()
    }
}

impl Channel {
    /// The settings with the secrets. Fails when they were sealed with another key, or for another place.
    pub fn open(&self, keyring: &Keyring) -> Result<Opened, KeyError> {
        let open = |(name, sealed): (&String, &Sealed)| {
            let place = catalog::place(Self::KIND, &self.id, name);
            Ok((name.clone(), keyring.open(sealed, &place)?))
        };
        let secrets = self.secrets.iter().map(open).collect::<Result<Secrets, KeyError>>()?;
        Ok(Opened { medium: self.medium.clone(), secrets })
    }

    /// Its settings as they are shown: never a secret, only which ones are set. The address of a webhook is cut off after its host,
    /// since the rest of it is all that protects many of them.
    pub fn shown(&self, keyring: &Keyring) -> Value {
        match &self.medium {
            Medium::Webhook(settings) => {
                let url =
                    self.open(keyring).ok().and_then(|opened| opened.secrets.get(webhook::URL).cloned());
                webhook::shown(settings, url.as_ref(), &self.secrets)
            }
            Medium::Mail(settings) => mail::shown(settings, &self.secrets),
        }
    }

    /// The name of its kind.
    pub const fn kind(&self) -> &'static str {
        match self.medium {
            Medium::Webhook(_) => "webhook",
            Medium::Mail(_) => "mail",
        }
    }
}

/// What is wrong with a field.
fn wrong(field: &str, message: impl Into<String>) -> SettingsError {
    SettingsError { field: field.to_owned(), message: message.into() }
}

/// About a secret that would be sent elsewhere.
const ELSEWHERE: &str =
    "must be given again when the address changes, or whom to trust: a stored secret is never sent elsewhere";
