//! Mail: which server takes it, from whom, to whom.

use std::collections::BTreeMap;

use base::Secret;
use catalog::Sealed;
use destinations::SettingsError;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ELSEWHERE, Medium, Opened, Secrets, wrong};

/// The name of the password among the secrets.
pub(crate) const PASSWORD: &str = "password";

pub(super) const FIELDS: &[&str] =
    &["host", "port", "security", "username", PASSWORD, "passwordSet", "from", "to", "caCertificate"];

/// Most recipients.
const MAX_TO: usize = 10;
/// Longest address of a person, in characters.
const MAX_ADDRESS: usize = 320;
/// Longest host name, in characters.
const MAX_HOST: usize = 253;
/// Longest user name and password, in characters.
const MAX_LOGIN: usize = 256;
/// Longest PEM of an authority, in bytes.
const MAX_PEM: usize = 64 << 10;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// It begins in plain text and must change to TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: without a user name only.
    None,
}

impl Security {
    const ALL: [(&'static str, Self, u16); 3] =
        [("starttls", Self::StartTls, 587), ("tls", Self::Tls, 465), ("none", Self::None, 25)];
}

/// The valid settings, without the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Who signs in; nobody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Who writes.
    pub from: String,
    /// Who reads, 1 to 10.
    pub to: Vec<String>,
    /// The only authority that is trusted, in PEM; those of this machine when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
}

impl MailSettings {
    /// Whether a password goes to the same party as with `other`.
    fn leads_like(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            (it.host.clone(), it.port, it.security, it.username.clone(), it.ca_certificate.clone())
        };
        of(self) == of(other)
    }
}

/// Reads one field after the other, keeping what is wrong.
struct Reading<'a> {
    members: &'a Map<String, Value>,
    errors: Vec<SettingsError>,
}

impl<'a> Reading<'a> {
    fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(wrong(field, message));
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.members.get(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &str, max: usize) -> Option<&'a str> {
        let value = self.get(field)?;
        let text = value.as_str().filter(|text| (1..=max).contains(&text.chars().count()));
        if text.is_none() {
            self.wrong(field, format!("must be a string of 1 to {max} characters"));
        }
        text
    }

    fn required(&mut self, field: &str, max: usize) -> Option<&'a str> {
        if self.get(field).is_none() {
            self.wrong(field, "must not be null");
        }
        self.text(field, max)
    }

    fn host(&mut self) -> Option<String> {
        let host = self.required("host", MAX_HOST)?;
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:_".contains(&b)) {
            self.wrong("host", "must be the name or the address of a mail server, without a port");
            return None;
        }
        if host.parse().is_ok_and(destinations::is_refused) {
            self.wrong("host", "must not lead to a link-local or cloud metadata address");
            return None;
        }
        Some(host.to_owned())
    }

    fn security(&mut self) -> Option<(Security, u16)> {
        let Some(name) = self.text("security", 16) else {
            return self.get("security").is_none().then_some((Security::StartTls, 587));
        };
        let found = Security::ALL.into_iter().find(|(known, ..)| *known == name);
        if found.is_none() {
            self.wrong("security", "must be one of: starttls, tls, none");
        }
        found.map(|(_, security, port)| (security, port))
    }

    fn port(&mut self, usual: u16) -> Option<u16> {
        let Some(value) = self.get("port") else { return Some(usual) };
        let port = value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.is_none() {
            self.wrong("port", "must be a whole number from 1 to 65535");
        }
        port
    }

    fn mailbox(&mut self, field: &str, text: &str) -> Option<String> {
        let is_one = text.chars().count() <= MAX_ADDRESS
            && !text.chars().any(char::is_control)
            && text.parse::<Mailbox>().is_ok();
        if !is_one {
            self.wrong(field, "must be a mail address, such as Alarms <alarms@example.com>");
        }
        is_one.then(|| text.to_owned())
    }

    fn to(&mut self) -> Option<Vec<String>> {
        let texts: Vec<&str> = self
            .get("to")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let n_given = self.get("to").and_then(Value::as_array).map_or(0, Vec::len);
        if texts.len() != n_given || !(1..=MAX_TO).contains(&n_given) {
            self.wrong("to", format!("must be a list of 1 to {MAX_TO} mail addresses"));
            return None;
        }
        texts.into_iter().enumerate().map(|(at, text)| self.mailbox(&format!("to[{at}]"), text)).collect()
    }

    fn authority(&mut self) -> Option<String> {
        let pem = self.text("caCertificate", MAX_PEM)?;
        let is_one =
            pem.contains("-----BEGIN CERTIFICATE-----") && Certificate::from_pem(pem.as_bytes()).is_ok();
        if !is_one {
            self.wrong("caCertificate", "must be a certificate in PEM");
        }
        is_one.then(|| pem.to_owned())
    }
}

pub(super) fn parse(configuration: &Value, before: Option<&Opened>) -> Result<Opened, Vec<SettingsError>> {
    let Some(members) = configuration.as_object() else {
        return Err(vec![wrong("configuration", "must be an object")]);
    };
    let mut reading = Reading { members, errors: Vec::new() };
    let host = reading.host();
    let security = reading.security();
    let port = reading.port(security.map_or(587, |(_, port)| port));
    let username = reading.text("username", MAX_LOGIN).map(ToOwned::to_owned);
    let from = reading.required("from", MAX_ADDRESS).and_then(|text| reading.mailbox("from", text));
    let to = reading.to();
    let ca_certificate = reading.authority();
    let given = reading.text(PASSWORD, MAX_LOGIN).map(Secret::new);
    if username.is_some() && security.is_some_and(|(security, _)| security == Security::None) {
        reading.wrong("username", "must be left out without TLS: the password would be sent in plain text");
    }
    let settings = (|| {
        Some(MailSettings {
            host: host?,
            port: port?,
            security: security?.0,
            username: username.clone(),
            from: from?,
            to: to?,
            ca_certificate,
        })
    })();
    let mut secrets = Secrets::new();
    if let Some(settings) = &settings {
        let stored = before.and_then(|before| match &before.medium {
            Medium::Mail(known) => Some((known, before.secrets.get(PASSWORD)?)),
            Medium::Webhook(_) => None,
        });
        match (given, stored) {
            (Some(password), _) => drop(secrets.insert(PASSWORD.to_owned(), password)),
            (None, Some((known, password))) if settings.leads_like(known) => {
                secrets.insert(PASSWORD.to_owned(), password.clone());
            }
            (None, Some(_)) if settings.username.is_some() => reading.wrong(PASSWORD, ELSEWHERE),
            (None, _) => {}
        }
        if settings.username.is_some() != secrets.contains_key(PASSWORD) && reading.errors.is_empty() {
            reading.wrong(PASSWORD, "must come with username, and username with it");
        }
    }
    match settings {
        Some(settings) if reading.errors.is_empty() => Ok(Opened { medium: Medium::Mail(settings), secrets }),
        _ => Err(reading.errors),
    }
}

pub(super) fn shown(settings: &MailSettings, secrets: &BTreeMap<String, Sealed>) -> Value {
    let mut shown = serde_json::to_value(settings).unwrap_or_default();
    if let Some(members) = shown.as_object_mut() {
        members.insert("passwordSet".to_owned(), secrets.contains_key(PASSWORD).into());
    }
    shown
}
