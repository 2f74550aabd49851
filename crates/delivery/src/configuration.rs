//! One event streaming configuration, as the catalog keeps it.

use std::collections::BTreeMap;

use base::{Random, Secret};
use catalog::{Document as _, KeyError, Keyring, Sealed};
use destinations::{SecretName, Secrets, Vendor};
use event::filter::Filter;
use event::native::Selection;
use event::{Stream, StreamSet, claims};
use serde::{Deserialize, Serialize};

use crate::resume::Resume;
use crate::starting::StartFrom;

/// How many earlier selections are remembered, each until its events are settled. Without a bound the documents of one that
/// delivers nothing, and is changed all the time, would grow with every change.
pub const MAX_EARLIER: usize = 100;

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
    /// The first block sequence whose events it may be sent, should its place be lost: it began there, what it selected
    /// before is forgotten, or what came before was given up. `None`: nobody knows; it was stored before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends_from: Option<u64>,
    /// Where it began, when that was chosen. Kept for good: what was received before the time is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
    /// A pause that is not over although it is enabled again.
    #[serde(default, skip_serializing_if = "is_over")]
    pub resume: Resume,
}

/// Whether there is nothing to keep of a pause.
fn is_over(resume: &Resume) -> bool {
    *resume == Resume::default()
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
    /// The native claims that are sent.
    pub claims: Vec<SelectedClaim>,
}

/// A native claim that is sent: selected by its id, sent by the name that it had when the events were appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredClaim")]
pub struct SelectedClaim {
    /// Its id in the catalog of claims.
    pub id: String,
    /// Its name in events and documents.
    pub name: String,
}

/// A selected claim as it is stored, or was by the first versions: by the name of a built-in claim alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredClaim {
    Selected { id: String, name: String },
    Name(String),
}

impl TryFrom<StoredClaim> for SelectedClaim {
    type Error = String;

    fn try_from(stored: StoredClaim) -> Result<Self, String> {
        match stored {
            StoredClaim::Selected { id, name } => Ok(Self { id, name }),
            StoredClaim::Name(name) => match claims::id_of(&name) {
                Some(id) => Ok(Self { id: id.to_owned(), name }),
                None => Err(format!("{name:?} is not the name of a built-in claim")),
            },
        }
    }
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
    catalog::place(Configuration::KIND, id, name.name())
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

    /// Notes what the document that this one replaces has selected: it stays in force for the blocks below `next`. Of
    /// those below `floor` nothing is sent any more; 0: its place was lost, so that it begins anew.
    pub(crate) fn succeed(&mut self, before: &Self, floor: u64, next: u64) {
        self.earlier.clone_from(&before.earlier);
        if !self.selects_like(before) {
            self.earlier.push(before.epoch(next));
        }
        self.sends_from = if floor == 0 { Some(next) } else { before.sends_from };
        if let Some(forgotten) = self.earlier.extract_if(.., |epoch| epoch.until <= floor).last() {
            self.sends_from = self.sends_from.max(Some(forgotten.until));
        }
        self.merge_epochs();
    }

    /// Whether it remembers more earlier selections than it may: such a change must wait until events are settled.
    pub const fn is_overfull(&self) -> bool {
        self.earlier.len() > MAX_EARLIER
    }

    /// Drops epochs in which nothing was appended, and makes one of neighbours that select the same.
    fn merge_epochs(&mut self) {
        let current = self.current();
        let mut merged: Vec<Epoch> = Vec::new();
        for epoch in std::mem::take(&mut self.earlier) {
            if merged.last().is_some_and(|last| last.until >= epoch.until) {
                continue;
            }
            merged.pop_if(|last| last.selects_like(&epoch));
            merged.push(epoch);
        }
        merged.pop_if(|last| last.selects_like(&current));
        self.earlier = merged;
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
    fn selects_like(&self, other: &Self) -> bool {
        Self { until: other.until, ..self.clone() } == *other
    }

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
            claims: self.account.claims.iter().map(|claim| claim.name.clone()).collect(),
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
            sends_from: None,
            start_from: None,
            resume: Resume::default(),
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
    fn claims_that_were_stored_by_name_are_read_and_stored_with_their_ids() {
        let stored =
            serde_json::json!({"enabled": true, "includeActions": false, "claims": ["email", "locality"]});
        let read: AccountSwitch = serde_json::from_value(stored).unwrap();
        let pairs: Vec<_> =
            read.claims.iter().map(|claim| (claim.id.as_str(), claim.name.as_str())).collect();
        assert_eq!(pairs, [("builtin-email", "email"), ("builtin-locality", "locality")]);
        let again = serde_json::to_value(&read).unwrap();
        assert_eq!(again["claims"][0], serde_json::json!({"id": "builtin-email", "name": "email"}));
        assert_eq!(serde_json::from_value::<AccountSwitch>(again).unwrap(), read, "it selects the same");
        let unknown = serde_json::from_value::<AccountSwitch>(serde_json::json!({"claims": ["shoe_size"]}));
        assert!(unknown.is_err(), "only built-in claims were ever stored by name");
    }

    #[test]
    fn a_claim_that_is_renamed_keeps_its_old_name_for_events_appended_before() {
        let named = |name: &str| {
            let claim = SelectedClaim { id: "1".to_owned(), name: name.to_owned() };
            let account = AccountSwitch { enabled: true, claims: vec![claim], ..AccountSwitch::default() };
            Configuration { account, ..configuration() }
        };
        let (before, mut after) = (named("tier"), named("level"));
        after.succeed(&before, 0, 10);
        let names: Vec<_> = after.epochs().iter().map(|epoch| epoch.selection().claims).collect();
        assert_eq!(names, [["tier"], ["level"]]);
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

        let mut back = Configuration { hook: HookSwitch::default(), ..renamed.clone() };
        back.succeed(&renamed, 9, 10);
        assert_eq!(
            untils(&back),
            [u64::MAX],
            "nothing was appended in between, and it selects the same again"
        );

        let mut third = Configuration { hook: HookSwitch::default(), ..renamed.clone() };
        assert_eq!(renamed.sends_from, None, "nobody knows");
        third.succeed(&renamed, 10, 20);
        assert_eq!(third.sends_from, Some(10), "what it selected before is forgotten");
        third.succeed(&Configuration { sends_from: Some(12), ..renamed.clone() }, 10, 20);
        assert_eq!(third.sends_from, Some(12));
        third.succeed(&renamed, 0, 20);
        assert_eq!(third.sends_from, Some(20), "it has a new place");
        third.succeed(&renamed, 10, 20);
        assert_eq!(untils(&third), [20, u64::MAX], "the first one's events are settled");
    }
}
