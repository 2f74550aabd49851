//! One event streaming configuration, as the catalog keeps it.

use std::collections::BTreeMap;

use base::{Random, Secret};
use catalog::{KeyError, Keyring, Sealed};
use destinations::{SecretName, Secrets, Vendor};
use event::filter::Filter;
use event::native::Selection;
use event::{Stream, StreamSet};
use serde::{Deserialize, Serialize};

/// What its owner set: where to, which streams, how much of each event. The secrets are sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Its id, a UUID; also the name of its consumer (`cfg/{id}`).
    pub id: String,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it delivers. A disabled one keeps its place.
    pub enabled: bool,
    /// The vendor.
    #[serde(rename = "type")]
    pub vendor: Vendor,
    /// The vendor's settings, valid for [`destinations::Settings::parse`].
    pub settings: serde_json::Value,
    /// Its secrets by name, each sealed for its own place (see [`seal`]).
    pub secrets: BTreeMap<SecretName, Sealed>,
    /// Account events.
    pub account: AccountSwitch,
    /// Audit logs.
    pub audit: AuditSwitch,
    /// Event hook logs.
    pub hook: HookSwitch,
    /// Which events of these streams.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
    /// What was selected before, oldest first, as long as events of that time are not settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Epoch>,
}

impl catalog::Document for Configuration {
    const KIND: &'static str = "eventStreaming";
}

/// What was selected up to a place in the journal. An event is selected by the settings in force when it was appended,
/// however late it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Epoch {
    /// The first block sequence that it does not apply to.
    pub until: u64,
    /// Account events.
    pub account: AccountSwitch,
    /// Audit logs.
    pub audit: AuditSwitch,
    /// Event hook logs.
    pub hook: HookSwitch,
    /// Which events of these streams.
    #[serde(default, skip_serializing_if = "Filter::is_empty")]
    pub filter: Filter,
}

/// What of account events is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// With their detailed steps.
    pub include_actions: bool,
    /// With the event as its source sent it.
    pub include_raw: bool,
    /// Names of the native claims that are sent.
    pub claims: Vec<String>,
}

/// What of audit logs is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// With request and response bodies. On unless said otherwise: the contract streams the entire entry.
    pub include_bodies: bool,
    /// With the event as its source sent it, which holds the bodies too.
    pub include_raw: bool,
}

impl Default for AuditSwitch {
    fn default() -> Self {
        Self { enabled: false, include_bodies: true, include_raw: false }
    }
}

/// What of event hook logs is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookSwitch {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// With the event as its source sent it.
    pub include_raw: bool,
}

/// Seals a secret for `eventStreaming/{id}/{name}`: nowhere else can it be opened, not even in place of another secret of
/// the same configuration.
pub fn seal(
    keyring: &Keyring,
    id: &str,
    name: SecretName,
    secret: &Secret,
    random: &Random,
) -> Result<Sealed, KeyError> {
    keyring.seal(secret, &place(id, name), random)
}

fn place(id: &str, name: SecretName) -> String {
    format!("eventStreaming/{id}/{}", name.name())
}

impl Configuration {
    /// Its secrets. Fails when they were sealed with another key, or for another place.
    pub fn open(&self, keyring: &Keyring) -> Result<Secrets, KeyError> {
        let open = |name: &SecretName| Ok(self.open_one(keyring, *name)?.map(|secret| (*name, secret)));
        self.secrets.keys().filter_map(|name| open(name).transpose()).collect()
    }

    /// The secret with this name, when it is set.
    pub fn open_one(&self, keyring: &Keyring, name: SecretName) -> Result<Option<Secret>, KeyError> {
        let open = |sealed| keyring.open(sealed, &place(&self.id, name));
        self.secrets.get(&name).map(open).transpose()
    }

    /// The selections by where they apply, oldest first. There is at least one, and the last one has no end.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.earlier.iter().cloned().chain([self.current()]).collect()
    }

    /// The selection in force now.
    pub fn current(&self) -> Epoch {
        self.epoch(u64::MAX)
    }

    /// Whether it selects, and sends of each event, the same as another one.
    pub(crate) fn selects_like(&self, other: &Self) -> bool {
        self.current() == other.current()
    }

    /// Notes what the document that this one replaces has selected: it stays in force for the blocks below `next`. Those
    /// below `floor` are settled.
    pub(crate) fn succeed(&mut self, before: &Self, floor: u64, next: u64) {
        self.earlier.clone_from(&before.earlier);
        if !self.selects_like(before) {
            self.earlier.push(before.epoch(next));
        }
        self.earlier.retain(|epoch| epoch.until > floor);
    }

    fn epoch(&self, until: u64) -> Epoch {
        Epoch {
            until,
            account: self.account.clone(),
            audit: self.audit.clone(),
            hook: self.hook.clone(),
            filter: self.filter.clone(),
        }
    }
}

impl Epoch {
    /// The streams that are switched on.
    pub fn streams(&self) -> StreamSet {
        [
            (Stream::AccountEvent, self.account.enabled),
            (Stream::AuditLog, self.audit.enabled),
            (Stream::EventHookLog, self.hook.enabled),
        ]
        .into_iter()
        .filter_map(|(stream, on)| on.then_some(stream))
        .collect()
    }

    /// What of each event is sent.
    pub fn selection(&self) -> Selection {
        Selection {
            claims: self.account.claims.clone(),
            include_actions: self.account.include_actions,
            include_bodies: self.audit.include_bodies,
            include_raw: self.account.include_raw,
            include_audit_raw: self.audit.include_raw,
            include_hook_raw: self.hook.include_raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        Configuration {
            id: "c".to_owned(),
            name: "c".to_owned(),
            description: None,
            enabled: true,
            vendor: Vendor::Splunk,
            settings: serde_json::json!({}),
            secrets: BTreeMap::new(),
            account: AccountSwitch::default(),
            audit: AuditSwitch::default(),
            hook: HookSwitch::default(),
            filter: Filter::default(),
            earlier: Vec::new(),
        }
    }

    #[test]
    fn a_secret_opens_only_in_its_own_place() {
        let (random, keyring) = (Random::from_seed(1), Keyring::new(&[7; 32]));
        let mut configuration = configuration();
        let sealed = seal(&keyring, "c", SecretName::ApiKey, &Secret::new("x"), &random).unwrap();
        configuration.secrets.insert(SecretName::ApiKey, sealed.clone());
        assert_eq!(configuration.open(&keyring).unwrap().api_key().expose(), "x");
        configuration.secrets = BTreeMap::from([(SecretName::ProxyCredential, sealed)]);
        assert!(matches!(configuration.open(&keyring), Err(KeyError::Damaged)));
    }

    #[test]
    fn a_selection_stays_in_force_for_events_appended_under_it_until_they_are_settled() {
        let untils = |configuration: &Configuration| -> Vec<u64> {
            configuration.epochs().iter().map(|epoch| epoch.until).collect()
        };
        let first = configuration();
        let mut second =
            Configuration { hook: HookSwitch { enabled: true, ..HookSwitch::default() }, ..first.clone() };
        second.succeed(&first, 3, 10);
        assert_eq!(untils(&second), [10, u64::MAX]);
        assert_eq!(second.epochs()[0].hook, first.hook);

        let mut renamed = Configuration { name: "d".to_owned(), ..second.clone() };
        renamed.succeed(&second, 9, 20);
        assert_eq!(untils(&renamed), [10, u64::MAX], "nothing else is selected");

        let mut third = Configuration { hook: HookSwitch::default(), ..renamed.clone() };
        third.succeed(&renamed, 10, 20);
        assert_eq!(untils(&third), [20, u64::MAX], "the first one's events are settled");
    }
}
