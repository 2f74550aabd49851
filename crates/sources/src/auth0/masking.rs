//! Secrets that Auth0 keeps under names that are not secret elsewhere.
//!
//! The installation's rule is applied first; these names come on top. Links with a ticket in them reset a password or
//! accept an invitation, so whoever reads the event could use them first.

use std::sync::LazyLock;

use base::mask::MaskRule;
use event::fragment::{FragmentError, canonical};

/// Names that are secret in every item of Auth0, compared without separators and case.
pub const SECRET_NAMES: [&str; 8] =
    ["_csrf", "invitation_url", "link", "resetUrl", "ticket", "ticket_id", "ticket_url", "verificationUrl"];

/// Secret only in MFA items (`gd_…`): elsewhere it is an error's code.
pub const SECRET_IN_MFA: &str = "code";

static RULE: LazyLock<MaskRule> = LazyLock::new(|| MaskRule::with(SECRET_NAMES.map(str::to_owned)));
static MFA_RULE: LazyLock<MaskRule> = LazyLock::new(|| MaskRule::with([SECRET_IN_MFA.to_owned()]));

/// The item as a masked, canonical fragment.
pub(super) fn fragment(item: &str, rule: &MaskRule) -> Result<String, FragmentError> {
    let masked = canonical(&canonical(item, rule)?, &RULE)?;
    // The canonical form has no space around the colon.
    if masked.contains(r#""type":"gd_"#) { canonical(&masked, &MFA_RULE) } else { Ok(masked) }
}
