//! The things that administrators configure: each has a setting that takes one value after another.

use crate::dice::Dice;

/// What kind of thing, and what can be set about it. All values are JSON.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The entity type.
    pub(crate) name: &'static str,
    /// Where things of this kind are in the admin API.
    pub(crate) path: &'static str,
    /// What this one is called.
    pub(crate) title: &'static str,
    /// What else the entity says: members of a JSON object.
    pub(crate) rest: &'static str,
    /// The setting's name.
    pub(crate) setting: &'static str,
    pub(crate) values: &'static [&'static str],
    /// The name of the credential that is sent with a change, for kinds that have one.
    pub(crate) secret: Option<&'static str>,
    /// Whether things of this kind come and go.
    pub(crate) is_temporary: bool,
    /// Whether its bodies are too bulky to be logged, as those of some policies of the reference product are.
    pub(crate) is_bulky: bool,
}

const PLAIN: Kind = Kind {
    name: "",
    path: "",
    title: "",
    rest: "",
    setting: "",
    values: &[],
    secret: None,
    is_temporary: false,
    is_bulky: false,
};

/// Everything that is ever changed.
pub(crate) static KINDS: [Kind; 9] = [
    Kind {
        name: "PasswordPolicy",
        path: "policies/password",
        title: "Customers",
        rest: r#""description":"What a password of a customer must be like","rejectCommon":true,"history":5"#,
        setting: "minLength",
        values: &["8", "10", "12", "14"],
        ..PLAIN
    },
    Kind {
        name: "AdaptiveAccessPolicy",
        path: "policies/adaptiveAccess",
        title: "Unknown device",
        rest: r#""description":"Applies when a device is seen for the first time","conditions":["newDevice","newCountry"]"#,
        setting: "reaction",
        values: &["\"allow\"", "\"challenge\"", "\"deny\""],
        ..PLAIN
    },
    Kind {
        name: "AdminRole",
        path: "admin/identityStore/roles",
        title: "Helpdesk",
        rest: r#""description":"Answers the questions of customers","global":true"#,
        setting: "scopes",
        values: &[
            r#"["read:account"]"#,
            r#"["read:account","read:event_account"]"#,
            r#"["read:account","write:account","read:event_account"]"#,
        ],
        ..PLAIN
    },
    Kind {
        name: "Application",
        path: "applications",
        title: "Web shop",
        rest: r#""grantTypes":["authorization_code","refresh_token"],"redirectUris":["https://shop.example.com/callback"]"#,
        setting: "sessionMinutes",
        values: &["30", "60", "120", "480"],
        secret: Some("client_secret"),
        ..PLAIN
    },
    Kind {
        name: "ExternalLoginProvider",
        path: "externalLoginProviders",
        title: "Example ID",
        rest: r#""issuer":"https://login.example.org","clientId":"platform","onlyStoreMappedValues":true"#,
        setting: "enabled",
        values: &["true", "false"],
        secret: Some("clientSecret"),
        ..PLAIN
    },
    Kind {
        name: "EventStreaming",
        path: "instance/eventStreaming",
        title: "Security monitoring",
        rest: r#""type":"splunk","accountEventStreaming":{"enabled":true,"includeActions":false,"nativeClaims":[]}"#,
        setting: "enabled",
        values: &["true", "false"],
        secret: Some("apiKey"),
        ..PLAIN
    },
    Kind {
        name: "NotificationPolicy",
        path: "policies/notification",
        title: "Account messages",
        rest: r#""description":"Mails and short messages about the account","channels":["email","sms"]"#,
        setting: "validMinutes",
        values: &["10", "15", "30"],
        ..PLAIN
    },
    Kind {
        name: "BrandingPolicy",
        path: "policies/branding",
        title: "Seasonal look",
        setting: "theme",
        values: &["\"spring\"", "\"summer\"", "\"autumn\"", "\"winter\""],
        is_bulky: true,
        ..PLAIN
    },
    Kind {
        name: "AdminRole",
        path: "admin/identityStore/roles",
        title: "Campaign desk",
        rest: r#""description":"For the time of a campaign","global":false,"policyTags":["campaign"]"#,
        setting: "scopes",
        values: &[r#"["read:account"]"#, r#"["read:account","write:account"]"#],
        is_temporary: true,
        ..PLAIN
    },
];

/// What is done to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

impl Action {
    /// Its name in the reference product, and the HTTP method that does it.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("Create", "POST"),
            Self::Update => ("Update", "PUT"),
            Self::Delete => ("Delete", "DELETE"),
        }
    }
}

/// A thing as it is now.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) kind: &'static Kind,
    pub(crate) id: crate::dice::Uuid,
    /// Counts its states from 1; 0 while it does not exist.
    version: u32,
    at_value: usize,
}

/// A change from one state to the next.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) version: u32,
    pub(crate) before: Option<&'static str>,
    pub(crate) after: Option<&'static str>,
}

impl Entity {
    /// A thing that exists from before the story, unless its kind comes and goes.
    pub(crate) fn new(kind: &'static Kind, dice: &mut Dice) -> Self {
        let version = if kind.is_temporary { 0 } else { dice.between(1, 40) as u32 };
        Self { kind, id: dice.uuid(), version, at_value: dice.index(kind.values.len()) }
    }

    /// Creates, changes or deletes it.
    pub(crate) fn change(&mut self, dice: &mut Dice) -> Step {
        let values = self.kind.values;
        let before = values[self.at_value];
        if self.version == 0 {
            (self.id, self.version) = (dice.uuid(), 1);
            return Step { action: Action::Create, version: 1, before: None, after: Some(before) };
        }
        if self.kind.is_temporary && dice.chance(40) {
            let version = std::mem::take(&mut self.version);
            return Step { action: Action::Delete, version, before: Some(before), after: None };
        }
        self.version += 1;
        self.at_value = (self.at_value + 1 + dice.index(values.len() - 1)) % values.len();
        let after = Some(values[self.at_value]);
        Step { action: Action::Update, version: self.version, before: Some(before), after }
    }
}
