//! What can happen to an account: its context, its name and its labels.
//!
//! Labels are those of the reference product. Three are written after its lists where its pages name the event but not
//! the label: `mfa_enrollment`, `mfa_disenrollment`, `token_exchange`.

use crate::hook::{self, Hook};

/// A kind of account event.
#[derive(Debug)]
pub(crate) struct Deed {
    /// The context (`type`).
    pub(crate) kind: &'static str,
    /// The platform's own name of it.
    pub(crate) code: &'static str,
    /// In order of happening; the last one tells how it ended.
    pub(crate) labels: &'static [&'static str],
    /// The hook that listens to it.
    pub(crate) hook: Option<&'static Hook>,
    /// Whether the application does it by itself while the customer looks elsewhere: quick, and no place is looked up.
    pub(crate) is_quiet: bool,
}

impl Deed {
    /// Whether it ended well.
    pub(crate) fn is_success(&self) -> bool {
        self.labels.last().is_none_or(|label| label.starts_with("success:"))
    }

    const fn at_login(code: &'static str, labels: &'static [&'static str]) -> Self {
        Self { kind: "customerFlow", code, labels, hook: None, is_quiet: false }
    }

    const fn by_itself(code: &'static str, labels: &'static [&'static str]) -> Self {
        Self { kind: "selfService", code, labels, hook: None, is_quiet: false }
    }

    const fn of_kind(kind: &'static str, code: &'static str, labels: &'static [&'static str]) -> Self {
        Self { kind, code, labels, hook: None, is_quiet: false }
    }

    const fn heard_by(mut self, hook: &'static Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    const fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }
}

pub(crate) static REGISTRATION: Deed =
    Deed::at_login("registration", &["success:account_creation", "success:registration"])
        .heard_by(&hook::REGISTERED);
pub(crate) static ACTIVATION: Deed = Deed::at_login("account_activation", &["success:account_activation"]);
pub(crate) static ABANDONED: Deed = Deed::at_login("abandoned", &["failure:abandoned"]);
pub(crate) static LOGIN: Deed =
    Deed::at_login("login", &["success:password_authentication", "success:login"]).heard_by(&hook::LOGGED_IN);
pub(crate) static LOGIN_WITH_MFA: Deed = Deed::at_login(
    "login",
    &["success:password_authentication", "success:mfa_authentication", "success:login"],
)
.heard_by(&hook::LOGGED_IN);
pub(crate) static WRONG_PASSWORD: Deed =
    Deed::at_login("login", &["failure:password_authentication", "failure:login"]).heard_by(&hook::DENIED);
pub(crate) static WRONG_CODE: Deed = Deed::at_login(
    "login",
    &["success:password_authentication", "failure:mfa_authentication", "failure:login"],
)
.heard_by(&hook::DENIED);
pub(crate) static LOCK: Deed =
    Deed::at_login("login", &["failure:password_authentication", "failure:account_lock", "failure:login"])
        .heard_by(&hook::DENIED);
pub(crate) static STILL_LOCKED: Deed =
    Deed::at_login("login", &["failure:account_lock", "failure:login"]).heard_by(&hook::DENIED);
/// Nobody of that name, or an account that may not log in. One answer for both, so that it tells nothing.
pub(crate) static REFUSED: Deed =
    Deed::at_login("login", &["failure:identification", "failure:login"]).heard_by(&hook::DENIED);
pub(crate) static FORGOTTEN_PASSWORD: Deed =
    Deed::at_login("forgotten_password_request", &["success:forgotten_password_request"]);
pub(crate) static FORGOTTEN_NAME: Deed =
    Deed::at_login("forgotten_username_request", &["success:forgotten_username_request"]);
pub(crate) static RESET: Deed = Deed::at_login("password_reset", &["success:password_reset"]);
pub(crate) static REFRESH: Deed =
    Deed::at_login("token_refresh", &["success:token_exchange"]).heard_by(&hook::REFRESHED).quiet();
pub(crate) static LOGOUT: Deed = Deed::at_login("logout", &["success:logout"]);
pub(crate) static PROFILING: Deed =
    Deed::at_login("progressive_profiling", &["success:progressiveprofiling", "success:account_update"])
        .heard_by(&hook::UPDATED);

pub(crate) static ENROLLMENT: Deed =
    Deed::by_itself("mfa_enrollment", &["success:mfa_enrollment"]).heard_by(&hook::FACTOR_CHANGED);
pub(crate) static DISENROLLMENT: Deed =
    Deed::by_itself("mfa_disenrollment", &["success:mfa_disenrollment"]).heard_by(&hook::FACTOR_CHANGED);
pub(crate) static PASSWORD_CHANGE: Deed = Deed::by_itself("password_change", &["success:password_change"]);
pub(crate) static DATA_UPDATE: Deed =
    Deed::by_itself("personal_data_update", &["success:personal_data_update", "success:account_update"])
        .heard_by(&hook::UPDATED);
pub(crate) static DATA_REFUSED: Deed =
    Deed::by_itself("personal_data_update", &["failure:personal_data_update"]);
pub(crate) static DATA_DOWNLOAD: Deed =
    Deed::by_itself("personal_data_download", &["success:personal_data_download"]);
pub(crate) static CONSENT: Deed =
    Deed::by_itself("consent_update", &["success:consent_update"]).heard_by(&hook::CONSENTED);
pub(crate) static DELETION: Deed = Deed::by_itself("account_deletion", &["success:account_deletion"]);

pub(crate) static DISABLE: Deed =
    Deed::of_kind("administrative", "account_disable", &["success:account_disable"]);
pub(crate) static ENABLE: Deed =
    Deed::of_kind("administrative", "account_enable", &["success:account_enable"]);
pub(crate) static ROLE: Deed =
    Deed::of_kind("administrative", "role_assignment", &["success:role_assignment"]);
pub(crate) static GROUP: Deed =
    Deed::of_kind("bulkOperation", "group_assignment", &["success:group_assignment"]);
pub(crate) static SESSION_EXPIRY: Deed =
    Deed::of_kind("scheduled", "delete_session", &["success:delete_session"]);
