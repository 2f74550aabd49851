//! What is secret in Auth0's items beside what is secret everywhere, and what is not although its name sounds like it.
//!
//! Links with a ticket in them reset a password or accept an invitation, so whoever reads the event could use them first.

use base::mask::MaskRule;
use event::fragment::{FragmentError, Masked, canonical, mask_lenient};

/// Names that are secret in every item of Auth0, compared without separators and case.
pub const SECRET_NAMES: [&str; 8] =
    ["_csrf", "invitation_url", "link", "resetUrl", "ticket", "ticket_id", "ticket_url", "verificationUrl"];

/// Secret only in MFA items (`gd_…`): elsewhere it is an error's code.
pub const SECRET_IN_MFA: &str = "code";

/// Names that sound secret and hold a fact: which secrets were read, which refresh token was revoked, whose tenant and
/// connection were used.
pub const OPEN_NAMES: [&str; 4] = ["accessedSecrets", "credential_id", "credentials_tenant", "token_broker"];

/// Members of a `refresh_token` that is an object: the token's session in a log, a client's settings in a body.
pub const REFRESH_TOKEN_FACTS: [&str; 10] = [
    "access",
    "session_id",
    "expiration_type",
    "idle_token_lifetime",
    "infinite_idle_token_lifetime",
    "infinite_token_lifetime",
    "leeway",
    "policies",
    "rotation_type",
    "token_lifetime",
];

/// The rules for the items of one source: the installation's, with the names above.
#[derive(Clone, Debug)]
pub struct ItemRule {
    every: MaskRule,
    of_factors: MaskRule,
}

impl ItemRule {
    /// The rules of an installation. Names that it adds stay secret, whatever stands above.
    pub fn of(installation: &MaskRule) -> Self {
        let every = installation
            .clone()
            .except(OPEN_NAMES.map(str::to_owned))
            .facts_of("refresh_token", &REFRESH_TOKEN_FACTS)
            .and(SECRET_NAMES.map(str::to_owned));
        let of_factors = every.clone().and([SECRET_IN_MFA.to_owned()]);
        Self { every, of_factors }
    }

    /// The rule for parts of an item whose whole is masked already.
    pub(super) const fn every(&self) -> &MaskRule {
        &self.every
    }
}

/// The item as a masked, canonical fragment.
pub(super) fn fragment(item: &str, rule: &ItemRule) -> Result<String, FragmentError> {
    let masked = canonical(item, &rule.every)?;
    // The canonical form has no space around the colon.
    if masked.contains(r#""type":"gd_"#) { canonical(&masked, &rule.of_factors) } else { Ok(masked) }
}

/// An item that could not be understood, for quarantine.
pub fn refused(item: &str, rule: &ItemRule) -> Masked {
    // Its type cannot be relied upon: any value that looks like an MFA code is enough.
    let is_of_factors = item.contains(r#""gd_"#);
    mask_lenient(item, if is_of_factors { &rule.of_factors } else { &rule.every })
}
