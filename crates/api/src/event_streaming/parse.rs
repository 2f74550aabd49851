//! A request's body, read into what its sender wants.

use base::Timestamp;
use base::mask::MaskRule;
use delivery::{
    AccountSwitch, AuditSwitch, Budget, Configuration, HookSwitch, ResumeFrom, SelectedClaim, StartFrom,
};
use destinations::{SecretName, Secrets, Settings, Vendor};
use event::filter::Filter;
use serde_json::Value;

use super::pause::PAUSED;
use super::show::AWAITING;
use super::{ENTITY, backlog, field_error, filter, resume, start};
use crate::error::ApiError;
use crate::fields::{Complaints, Fields};
use crate::native_claims::ClaimNames;

/// The fields of a request: the contract's, and what an answer has more.
const FIELDS: [&str; 15] = [
    "id",
    "name",
    "description",
    "enabled",
    "type",
    "configuration",
    "accountEventStreaming",
    "auditLogStreaming",
    "eventHookLogStreaming",
    "filter",
    backlog::FIELD,
    resume::FIELD,
    start::FIELD,
    AWAITING,
    PAUSED,
];

/// Names of query parameters that hold a credential, beside those that are masked everywhere.
const SECRET_PARAMETERS: [&str; 6] = ["auth", "code", "key", "sig", "signature", "subscription-key"];

/// Most claims of one configuration: the audit log of a change holds them three times, with their names, and has to fit
/// into an event.
const MAX_CLAIMS: usize = 200;

/// What a valid request asks for.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) settings: Settings,
    /// The secrets that it brings; what is empty, but for the credential, shall be none.
    pub(super) secrets: Secrets,
    pub(super) account: AccountSwitch,
    pub(super) audit: AuditSwitch,
    pub(super) hook: HookSwitch,
    pub(super) filter: Filter,
    pub(super) backlog: Budget,
    /// What becomes of its backlog, when this enables it after a pause.
    pub(super) resume_from: Option<ResumeFrom>,
    /// Where it begins, when it is new.
    pub(super) start_from: Option<StartFrom>,
}

/// What a replacing request is compared with.
pub(super) struct Known {
    id: String,
    settings: Settings,
    secrets: Vec<SecretName>,
}

impl Known {
    /// Of a stored configuration. Fails when its settings are not valid any more.
    pub(super) fn of(configuration: &Configuration) -> Result<Self, String> {
        let id = configuration.id.clone();
        match Settings::parse(configuration.vendor, &configuration.settings) {
            Ok(settings) => {
                Ok(Self { id, settings, secrets: configuration.secrets.keys().copied().collect() })
            }
            Err(errors) => {
                Err(format!("the stored settings of configuration {id} are not valid: {errors:?}"))
            }
        }
    }
}

/// Reads a request that creates, or replaces what is `known`. Every field that is wrong is named. `names` are those of the
/// claims that there are.
pub(super) fn wanted(
    body: &Value,
    known: Option<&Known>,
    names: &ClaimNames,
    now: Timestamp,
) -> Result<Wanted, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&FIELDS, &mut complaints);
    if let Some(known) = known {
        check_id(&fields, known, &mut complaints);
    }
    let name = fields.name(&mut complaints);
    let description = fields.text("description", 0, 1024, &mut complaints);
    let enabled = fields.boolean("enabled", &mut complaints);
    let settings = settings(&fields, body, &mut complaints);
    let secrets = secrets(&fields, settings.as_ref(), known, &mut complaints);
    let account = account(&fields.object("accountEventStreaming", &mut complaints), names, &mut complaints);
    let audit = audit(&fields.object("auditLogStreaming", &mut complaints), &mut complaints);
    let hook = hook(&fields.object("eventHookLogStreaming", &mut complaints), &mut complaints);
    let filter = filter::filter(&fields, &mut complaints);
    let backlog = backlog::budget(&fields, &mut complaints);
    let resume_from = resume::choice(&fields, &mut complaints);
    if known.is_none() && resume_from.is_some() {
        fields.complain(
            resume::FIELD,
            "must be left out: a new configuration has no pause behind it; startFrom says where it begins",
            &mut complaints,
        );
    }
    let start_from = start::choice(&fields, known.is_some(), now, &mut complaints);
    complaints.finish(name.zip(settings).map(|(name, settings)| Wanted {
        name: name.to_owned(),
        description: description.filter(|text| !text.is_empty()).map(ToOwned::to_owned),
        enabled,
        settings,
        secrets,
        account,
        audit,
        hook,
        filter,
        backlog,
        resume_from,
        start_from,
    }))
}

fn check_id(fields: &Fields<'_>, known: &Known, complaints: &mut Complaints) {
    let id = fields.required_text("id", 1, 64, complaints);
    if id.is_some_and(|id| id != known.id) {
        fields.complain("id", "must be the id of the path", complaints);
    }
}

/// The secrets that the request brings. When it leads elsewhere than what is known, it must bring all that are stored: to
/// the proxy of somebody else, or to a server that somebody else vouches for, they would be sent as well.
fn secrets(
    fields: &Fields<'_>,
    settings: Option<&Settings>,
    known: Option<&Known>,
    complaints: &mut Complaints,
) -> Secrets {
    const ELSEWHERE: &str = "must be given when type, url, headerName, proxy or caCertificate changes: a stored secret is never sent elsewhere";
    let configuration = fields.object("configuration", complaints);
    let Some(value) =
        fields.require("configuration", &mut Complaints::about(ENTITY)).filter(|it| it.is_object())
    else {
        return Secrets::default();
    };
    let found = Secrets::parse(value).unwrap_or_else(|errors| {
        complain(errors, complaints);
        Secrets::default()
    });
    match (known, settings) {
        (None, _) => drop(configuration.require("apiKey", complaints)),
        (Some(known), Some(settings)) if !settings.leads_like(&known.settings) => {
            let stored = known.secrets.iter().filter(|name| settings.has_use_for(**name));
            let mut missing: Vec<&str> =
                stored.filter(|name| found.get(**name).is_none()).map(|name| name.field()).collect();
            missing.dedup();
            for field in missing {
                configuration.complain(field, ELSEWHERE, complaints);
            }
        }
        (Some(_), _) => {}
    }
    found
}

/// Notes a vendor's complaints, named as the caller spelled the fields.
fn complain(errors: Vec<destinations::SettingsError>, complaints: &mut Complaints) {
    for error in errors.into_iter().map(field_error) {
        complaints.add(error.field, error.message);
    }
}

fn settings(fields: &Fields<'_>, body: &Value, complaints: &mut Complaints) -> Option<Settings> {
    let name = fields.required_text("type", 1, 64, complaints)?;
    let Some(vendor) = Vendor::ALL.into_iter().find(|vendor| vendor.name() == name) else {
        let names: Vec<&str> = Vendor::ALL.iter().map(|vendor| vendor.name()).collect();
        fields.complain("type", format!("must be one of: {}", names.join(", ")), complaints);
        return None;
    };
    let configuration = body.get("configuration").filter(|value| value.is_object())?;
    fields.object("configuration", complaints).only(fields_of(vendor), complaints);
    let settings =
        Settings::parse(vendor, configuration).map_err(|errors| complain(errors, complaints)).ok()?;
    if let Some(parameter) = secret_parameter(&settings) {
        // Its name may be quoted, unless it is so odd that it may be the credential itself.
        let named = if parameter.len() <= 32 { format!(" ({parameter})") } else { String::new() };
        let message = format!("must not hold a credential{named}: it is shown to all readers; use apiKey");
        complaints.add("configuration.url", message);
    }
    Some(settings)
}

/// The fields of a vendor's configuration.
const fn fields_of(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::Splunk => &[
            "url",
            "apiKey",
            "apiKeySet",
            "index",
            "source",
            "sourceType",
            "acknowledgement",
            "network",
            "batch",
        ],
        Vendor::Elasticsearch => &[
            "url",
            "apiKey",
            "apiKeySet",
            "readCredential",
            "readCredentialSet",
            "index",
            "authScheme",
            "network",
            "batch",
        ],
        Vendor::Https => &[
            "url",
            "apiKey",
            "apiKeySet",
            "headerName",
            "format",
            "signingSecrets",
            "signingSecretsSet",
            "network",
            "batch",
        ],
    }
}

/// The first parameter of the address's query whose name says that it holds a credential.
fn secret_parameter(settings: &Settings) -> Option<String> {
    let rule = MaskRule::with(SECRET_PARAMETERS.map(str::to_owned));
    let mut pairs = settings.url().url().query_pairs();
    pairs.find(|(name, value)| rule.is_secret(name) && !value.is_empty()).map(|(name, _)| name.into_owned())
}

fn is_on(fields: &Fields<'_>, field: &str, complaints: &mut Complaints) -> bool {
    fields.boolean(field, complaints).unwrap_or(false)
}

fn account(fields: &Fields<'_>, names: &ClaimNames, complaints: &mut Complaints) -> AccountSwitch {
    fields.only(&["enabled", "includeActions", "includeRaw", "nativeClaims"], complaints);
    AccountSwitch {
        enabled: is_on(fields, "enabled", complaints),
        include_actions: is_on(fields, "includeActions", complaints),
        include_raw: is_on(fields, "includeRaw", complaints),
        claims: claims(fields, names, complaints),
    }
}

fn audit(fields: &Fields<'_>, complaints: &mut Complaints) -> AuditSwitch {
    fields.only(&["enabled", "includeBodies", "includeRaw"], complaints);
    let default = AuditSwitch::default();
    let switch = AuditSwitch {
        enabled: is_on(fields, "enabled", complaints),
        include_bodies: fields.boolean("includeBodies", complaints).unwrap_or(default.include_bodies),
        include_raw: is_on(fields, "includeRaw", complaints),
    };
    if switch.include_raw && !switch.include_bodies {
        let message =
            "must be false while includeBodies is: the event as its source sent it holds the bodies";
        fields.complain("includeRaw", message, complaints);
    }
    switch
}

fn hook(fields: &Fields<'_>, complaints: &mut Complaints) -> HookSwitch {
    fields.only(&["enabled", "includeRaw"], complaints);
    HookSwitch {
        enabled: is_on(fields, "enabled", complaints),
        include_raw: is_on(fields, "includeRaw", complaints),
    }
}

/// The claims whose ids are given.
fn claims(fields: &Fields<'_>, names: &ClaimNames, complaints: &mut Complaints) -> Vec<SelectedClaim> {
    const FIELD: &str = "nativeClaims";
    fields.require(FIELD, complaints);
    let given = fields.list(FIELD, complaints).unwrap_or_default();
    if given.len() > MAX_CLAIMS {
        fields.complain(FIELD, format!("must have at most {MAX_CLAIMS} elements"), complaints);
        return Vec::new();
    }
    let mut selected: Vec<SelectedClaim> = Vec::new();
    for (at, element) in given.iter().enumerate() {
        fields.element(FIELD, at, element).only(&["id"], complaints);
        let field = format!("{FIELD}[{at}].id");
        let Some(id) = element.get("id").and_then(Value::as_str).filter(|id| is_claim_id(id)) else {
            fields.complain(&field, "must be 1 to 36 letters, digits and hyphens", complaints);
            continue;
        };
        match names.name_of(id) {
            None => fields.complain(&field, "must be the id of a native claim", complaints),
            Some(_) if selected.iter().any(|other| other.id == id) => {
                fields.complain(&field, "must not be given twice", complaints);
            }
            Some(name) => selected.push(SelectedClaim { id: id.to_owned(), name: name.to_owned() }),
        }
    }
    selected
}

/// The contract's `^[a-zA-Z0-9-]{1,36}$`.
fn is_claim_id(id: &str) -> bool {
    (1..=36).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
