//! What each Auth0 log type code means here: stream, context, labels, outcome and a title in our own words.
//!
//! The codes are those of Auth0's published list of log event types and of its log schema. The rule of the table: what
//! reads or changes the platform's configuration is an audit log; everything else is an account event, also when no
//! account is concerned (a notice), because it tells how the platform served its accounts. Labels are the contract's
//! where the meaning is the same.

use event::model::AccountEventType::{
    self, Administrative, BulkOperation, CustomerFlow, Scheduled, SelfService, SystemInitiatedOperation,
};
use event::model::Outcome::{self, Failure, Success, Unknown};

/// One log type code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// As Auth0 spells it in `type`.
    pub code: &'static str,
    /// Which stream it belongs to, and how.
    pub meaning: Meaning,
    /// A few words for people.
    pub title: &'static str,
}

/// What becomes of an event with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// An account event.
    Account {
        /// Its context.
        kind: AccountEventType,
        /// Its labels, in order of happening; none for what neither worked nor failed.
        labels: &'static [&'static str],
    },
    /// An audit log.
    Audit {
        /// The outcome, unless the event carries the status code of an answer.
        outcome: Outcome,
        /// The kind of thing, unless the event carries the path of a request. Empty: unknown.
        entity_type: &'static str,
        /// The action, unless the event carries the method of a request. Empty: unknown.
        action: &'static str,
    },
}

impl Code {
    /// How an event with this code ended, judged by the code alone.
    pub fn outcome(&self) -> Outcome {
        match self.meaning {
            Meaning::Account { labels, .. } => match labels.last().and_then(|label| label.split_once(':')) {
                Some(("success", _)) => Success,
                Some(("failure", _)) => Failure,
                _ => Unknown,
            },
            Meaning::Audit { outcome, .. } => outcome,
        }
    }
}

/// The meaning of a code; `None` for one that this version does not know.
pub fn find(code: &str) -> Option<&'static Code> {
    let at = CODES.binary_search_by(|row| row.code.cmp(code)).ok()?;
    CODES.get(at)
}

const fn account(
    code: &'static str,
    kind: AccountEventType,
    labels: &'static [&'static str],
    title: &'static str,
) -> Code {
    Code { code, meaning: Meaning::Account { kind, labels }, title }
}

const fn audit(
    code: &'static str,
    outcome: Outcome,
    entity_type: &'static str,
    action: &'static str,
    title: &'static str,
) -> Code {
    Code { code, meaning: Meaning::Audit { outcome, entity_type, action }, title }
}

/// Every code, in order of codes.
#[rustfmt::skip]
pub static CODES: [Code; 172] = [
    account("acls_summary", SystemInitiatedOperation, &[], "Matches of the network access list, summed up"),
    account("actions_execution_failed", SystemInitiatedOperation, &["failure:action_execution"], "An action failed to run"),
    account("acul_sdk_notice", SystemInitiatedOperation, &[], "Notice about the universal login kit"),
    account("api_limit", SystemInitiatedOperation, &["failure:rate_limit"], "Requests refused: API rate limit reached"),
    account("api_limit_warning", SystemInitiatedOperation, &[], "API rate limit nearly reached"),
    account("appi", SystemInitiatedOperation, &[], "Higher API rate limit in force"),
    account("ciba_exchange_failed", CustomerFlow, &["failure:token_exchange"], "No token for a backchannel log-in request"),
    account("ciba_exchange_succeeded", CustomerFlow, &["success:token_exchange"], "Token given for a backchannel log-in request"),
    account("ciba_start_failed", CustomerFlow, &["failure:backchannel_login_request"], "Backchannel log-in could not be started"),
    account("ciba_start_succeeded", CustomerFlow, &["success:backchannel_login_request"], "Backchannel log-in started"),
    account("cls", CustomerFlow, &["success:passwordless_notification"], "Passwordless code or link sent"),
    account("connected_accounts_connection_failed", SelfService, &["failure:connected_account_addition"], "Third-party account not connected"),
    account("connected_accounts_connection_succeeded", SelfService, &["success:connected_account_addition"], "Third-party account connected"),
    account("connected_accounts_delete_failed", SelfService, &["failure:connected_account_removal"], "Third-party account not removed"),
    account("connected_accounts_delete_succeeded", SelfService, &["success:connected_account_removal"], "Third-party account removed"),
    account("cs", CustomerFlow, &["success:passwordless_notification"], "Passwordless code sent"),
    audit("custom_domain_verification_failed", Failure, "custom-domains", "Update", "Custom domain could not be verified"),
    account("depnote", SystemInitiatedOperation, &[], "A feature in use is deprecated"),
    account("directory_sync_completed", Scheduled, &["success:directory_sync"], "Directory synchronised"),
    account("directory_sync_failed", Scheduled, &["failure:directory_sync"], "Directory synchronisation failed"),
    account("directory_sync_started", Scheduled, &[], "Directory synchronisation started"),
    account("f", CustomerFlow, &["failure:login"], "Log-in failed"),
    account("failed_on_behalf_of_token_exchange", CustomerFlow, &["failure:token_exchange"], "No token for acting on behalf of a user"),
    account("fc", CustomerFlow, &["failure:connector"], "Directory connector failed"),
    account("fce", SelfService, &["failure:email_change"], "Email address not changed"),
    account("fco", CustomerFlow, &["failure:cors"], "Origin not allowed for the application"),
    account("fcoa", CustomerFlow, &["failure:cross_origin_authentication", "failure:login"], "Cross-origin log-in failed"),
    account("fcp", SelfService, &["failure:password_change"], "Password not changed"),
    account("fcph", SystemInitiatedOperation, &["failure:post_password_change_hook"], "Hook after a password change failed"),
    account("fcpn", SelfService, &["failure:phone_number_change"], "Phone number not changed"),
    account("fcpr", SelfService, &["failure:forgotten_password_request"], "Password reset request failed"),
    audit("fcpro", Failure, "connectors", "Create", "Directory connector could not be set up"),
    account("fcu", SelfService, &["failure:username_change"], "User name not changed"),
    account("fd", CustomerFlow, &["failure:token_exchange"], "No delegation token"),
    account("fdeac", CustomerFlow, &["failure:device_activation"], "Device not activated"),
    account("fdeaz", CustomerFlow, &["failure:device_authorization"], "Device authorization request failed"),
    account("fdecc", CustomerFlow, &["failure:device_activation"], "User did not confirm the device"),
    account("fdeleacft", CustomerFlow, &["failure:token_exchange"], "No token for a delegated authorization code"),
    account("fdelsa", CustomerFlow, &["failure:silent_authentication"], "Delegated silent log-in failed"),
    account("fdu", Administrative, &["failure:account_deletion"], "Account not deleted"),
    account("feacft", CustomerFlow, &["failure:token_exchange"], "No token for an authorization code"),
    account("feccft", SystemInitiatedOperation, &["failure:token_exchange"], "No token for client credentials"),
    account("fecte", CustomerFlow, &["failure:token_exchange"], "Custom token exchange failed"),
    account("fede", CustomerFlow, &["failure:token_exchange"], "No token for a device code"),
    account("federated_logout_failed", CustomerFlow, &["failure:federated_logout"], "Log-out at the upstream identity provider failed"),
    account("fens", CustomerFlow, &["failure:login"], "Native social log-in failed"),
    account("feoobft", CustomerFlow, &["failure:token_exchange"], "No token for password and out-of-band factor"),
    account("feotpft", CustomerFlow, &["failure:token_exchange"], "No token for password and one-time code"),
    account("fepft", CustomerFlow, &["failure:token_exchange"], "No token for a password"),
    account("fepotpft", CustomerFlow, &["failure:token_exchange"], "No token for a passwordless code"),
    account("fercft", CustomerFlow, &["failure:token_exchange"], "No token for password and recovery code"),
    account("ferrt", CustomerFlow, &["failure:refresh_token_rotation", "failure:token_exchange"], "Rotating refresh token refused, possibly reused"),
    account("fertft", CustomerFlow, &["failure:token_exchange"], "No token for a refresh token"),
    account("feta", CustomerFlow, &["failure:token_exchange"], "Token vault exchange failed"),
    account("fi", CustomerFlow, &["failure:invitation_acceptance"], "Invitation not accepted"),
    account("flo", CustomerFlow, &["failure:logout"], "Log-out failed"),
    account("flows_execution_completed", SystemInitiatedOperation, &["success:flow_execution"], "A flow ran to its end"),
    account("flows_execution_failed", SystemInitiatedOperation, &["failure:flow_execution"], "A flow failed"),
    account("fn", SystemInitiatedOperation, &["failure:notification"], "Notification not sent"),
    account("forms_submission_failed", CustomerFlow, &["failure:form_submission"], "Form not submitted"),
    account("forms_submission_succeeded", CustomerFlow, &["success:form_submission"], "Form submitted"),
    account("fp", CustomerFlow, &["failure:password_authentication", "failure:login"], "Log-in failed: wrong password"),
    account("fpar", CustomerFlow, &["failure:pushed_authorization_request"], "Pushed authorization request failed"),
    account("fpurh", SystemInitiatedOperation, &["failure:post_registration_hook"], "Hook after registration failed"),
    account("fs", CustomerFlow, &["failure:registration"], "Registration failed"),
    account("fsa", CustomerFlow, &["failure:silent_authentication"], "Silent log-in failed"),
    account("fscim", Administrative, &["failure:provisioning"], "Provisioning over SCIM failed"),
    account("fu", CustomerFlow, &["failure:identification", "failure:login"], "Log-in failed: unknown user"),
    account("fui", BulkOperation, &["failure:account_import"], "Import of accounts failed"),
    account("fv", SelfService, &["failure:email_verification"], "Email address not verified"),
    account("fvr", SelfService, &["failure:email_verification_request"], "Verification email not sent"),
    account("gd_auth_email_verification", CustomerFlow, &["success:email_verification"], "Email address verified for MFA"),
    account("gd_auth_fail_email_verification", CustomerFlow, &["failure:email_verification"], "Email address not verified for MFA"),
    account("gd_auth_failed", CustomerFlow, &["failure:mfa_authentication"], "Second factor failed"),
    account("gd_auth_rejected", CustomerFlow, &["failure:mfa_authentication"], "Second factor rejected by the user"),
    account("gd_auth_succeed", CustomerFlow, &["success:mfa_authentication"], "Second factor passed"),
    account("gd_enrollment_complete", SelfService, &["success:mfa_enrollment"], "Second factor enrolled"),
    account("gd_otp_rate_limit_exceed", CustomerFlow, &["failure:mfa_authentication", "failure:mfa_rate_limit"], "Too many wrong one-time codes"),
    account("gd_recovery_failed", CustomerFlow, &["failure:mfa_recovery", "failure:mfa_authentication"], "Wrong recovery code"),
    account("gd_recovery_rate_limit_exceed", CustomerFlow, &["failure:mfa_recovery", "failure:mfa_rate_limit"], "Too many wrong recovery codes"),
    account("gd_recovery_succeed", CustomerFlow, &["success:mfa_recovery", "success:mfa_authentication"], "Second factor passed with a recovery code"),
    account("gd_send_email", CustomerFlow, &["success:mfa_notification"], "MFA email sent"),
    account("gd_send_email_verification", CustomerFlow, &["success:email_verification_request"], "Verification email for MFA sent"),
    account("gd_send_email_verification_failure", CustomerFlow, &["failure:email_verification_request"], "Verification email for MFA not sent"),
    account("gd_send_pn", CustomerFlow, &["success:mfa_notification"], "MFA push notification sent"),
    account("gd_send_pn_failure", CustomerFlow, &["failure:mfa_notification"], "MFA push notification not sent"),
    account("gd_send_sms", CustomerFlow, &["success:mfa_notification"], "MFA text message sent"),
    account("gd_send_sms_failure", CustomerFlow, &["failure:mfa_notification"], "MFA text message not sent"),
    account("gd_send_voice", CustomerFlow, &["success:mfa_notification"], "MFA voice call made"),
    account("gd_send_voice_failure", CustomerFlow, &["failure:mfa_notification"], "MFA voice call failed"),
    account("gd_start_auth", CustomerFlow, &[], "Second factor asked for"),
    account("gd_start_enroll", SelfService, &[], "Enrolment of a second factor started"),
    account("gd_start_enroll_failed", SelfService, &["failure:mfa_enrollment"], "Enrolment of a second factor could not start"),
    audit("gd_tenant_update", Success, "guardian", "Update", "MFA settings of the tenant changed"),
    account("gd_unenroll", SelfService, &["success:mfa_disenrollment"], "Second factor removed"),
    account("gd_update_device_account", SelfService, &["success:mfa_device_update"], "Device of a second factor changed"),
    account("gd_webauthn_challenge_failed", CustomerFlow, &["failure:mfa_authentication"], "WebAuthn factor failed"),
    account("gd_webauthn_enrollment_failed", SelfService, &["failure:mfa_enrollment"], "WebAuthn factor not enrolled"),
    account("idjag_exchange_failed", CustomerFlow, &["failure:token_exchange"], "No token for an identity assertion grant"),
    account("idjag_exchange_succeeded", CustomerFlow, &["success:token_exchange"], "Token given for an identity assertion grant"),
    account("jwt_bearer_exchange_failed", CustomerFlow, &["failure:token_exchange"], "No token for a JWT bearer assertion"),
    audit("kms_key_management_failure", Failure, "keys", "Update", "Key operation failed"),
    audit("kms_key_management_success", Success, "keys", "Update", "Key operation done"),
    audit("kms_key_state_changed", Success, "keys", "Update", "State of a key changed"),
    account("limit_delegation", CustomerFlow, &["failure:rate_limit"], "Too many delegation requests"),
    account("limit_mu", SystemInitiatedOperation, &["failure:ip_block"], "IP address blocked: too many failed log-ins or registrations"),
    account("limit_phone", CustomerFlow, &["failure:rate_limit"], "Too many text messages or calls"),
    account("limit_sul", CustomerFlow, &["failure:account_lock"], "Account blocked: too many log-ins from one IP address"),
    account("limit_wc", CustomerFlow, &["failure:account_lock"], "IP address blocked for an account: too many failed log-ins"),
    account("mfar", CustomerFlow, &[], "MFA required"),
    audit("mgmt_api_read", Success, "", "Read", "Secret read over the management API"),
    account("my_account_authentication_method_failed", SelfService, &["failure:authentication_method_update"], "Own authentication method not changed"),
    account("my_account_authentication_method_succeeded", SelfService, &["success:authentication_method_update"], "Own authentication method changed"),
    account("oidc_backchannel_logout_failed", SystemInitiatedOperation, &["failure:backchannel_logout"], "Backchannel log-out request failed"),
    account("oidc_backchannel_logout_succeeded", SystemInitiatedOperation, &["success:backchannel_logout"], "Backchannel log-out request sent"),
    account("organization_member_added", SystemInitiatedOperation, &["success:organization_member_addition"], "Account added to an organization"),
    account("passkey_challenge_failed", CustomerFlow, &["failure:passkey_challenge"], "Passkey challenge failed"),
    account("passkey_challenge_started", CustomerFlow, &[], "Passkey challenge started"),
    account("pla", CustomerFlow, &[], "Bot detection looked at a log-in to come"),
    account("pwd_leak", CustomerFlow, &["failure:breached_password"], "Log-in tried with a leaked password"),
    account("reset_pwd_leak", CustomerFlow, &["failure:breached_password"], "Password reset tried with a leaked password"),
    account("resource_cleanup", SystemInitiatedOperation, &["success:resource_cleanup"], "Surplus resources removed"),
    account("rich_consents_access_error", CustomerFlow, &["failure:consent_access"], "Consent record could not be read"),
    account("s", CustomerFlow, &["success:login"], "Logged in"),
    audit("sapi", Success, "", "", "Management API operation"),
    account("sce", SelfService, &["success:email_change"], "Email address changed"),
    account("scoa", CustomerFlow, &["success:cross_origin_authentication"], "Cross-origin credentials accepted"),
    account("scp", SelfService, &["success:password_change"], "Password changed"),
    account("scpn", SelfService, &["success:phone_number_change"], "Phone number changed"),
    account("scpr", SelfService, &["success:forgotten_password_request"], "Password reset requested"),
    account("scu", SelfService, &["success:username_change"], "User name changed"),
    account("scv", CustomerFlow, &["success:password_authentication"], "Credentials accepted"),
    account("sd", CustomerFlow, &["success:token_exchange"], "Delegation token given"),
    account("sdel", CustomerFlow, &["success:delegated_login"], "Delegated log-in"),
    account("sdeleacft", CustomerFlow, &["success:token_exchange"], "Token given for a delegated authorization code"),
    account("sdelsa", CustomerFlow, &["success:silent_authentication"], "Delegated silent log-in"),
    account("sdu", Administrative, &["success:account_deletion"], "Account deleted"),
    account("seacft", CustomerFlow, &["success:token_exchange"], "Token given for an authorization code"),
    account("seccft", SystemInitiatedOperation, &["success:token_exchange"], "Token given for client credentials"),
    account("secte", CustomerFlow, &["success:token_exchange"], "Custom token exchanged"),
    account("sede", CustomerFlow, &["success:token_exchange"], "Token given for a device code"),
    account("sens", CustomerFlow, &["success:login"], "Native social log-in"),
    account("seoobft", CustomerFlow, &["success:token_exchange"], "Token given for password and out-of-band factor"),
    account("seotpft", CustomerFlow, &["success:token_exchange"], "Token given for password and one-time code"),
    account("sepft", CustomerFlow, &["success:token_exchange"], "Token given for a password"),
    account("sepkoobft", CustomerFlow, &["success:token_exchange"], "Token given for passkey and out-of-band factor"),
    account("sepkotpft", CustomerFlow, &["success:token_exchange"], "Token given for passkey and one-time code"),
    account("sepkrcft", CustomerFlow, &["success:token_exchange"], "Token given for passkey and recovery code"),
    account("sercft", CustomerFlow, &["success:token_exchange"], "Token given for password and recovery code"),
    account("sertft", CustomerFlow, &["success:token_exchange"], "Token given for a refresh token"),
    account("seta", CustomerFlow, &["success:token_exchange"], "Token vault exchange done"),
    account("si", CustomerFlow, &["success:invitation_acceptance"], "Invitation accepted"),
    account("signup_pwd_leak", CustomerFlow, &["failure:breached_password"], "Registration tried with a leaked password"),
    account("slo", CustomerFlow, &["success:logout"], "Logged out"),
    account("srrt", SelfService, &["success:token_revocation"], "Refresh token revoked"),
    account("ss", CustomerFlow, &["success:registration"], "Registered"),
    audit("ss_sso_failure", Failure, "self-service-sso", "Update", "Self-service SSO set-up failed"),
    audit("ss_sso_info", Unknown, "self-service-sso", "Update", "Self-service SSO set-up told of a step"),
    audit("ss_sso_success", Success, "self-service-sso", "Update", "Self-service SSO set-up done"),
    account("ssa", CustomerFlow, &["success:silent_authentication"], "Silent log-in"),
    account("sscim", Administrative, &["success:provisioning"], "Provisioned over SCIM"),
    account("success_on_behalf_of_token_exchange", CustomerFlow, &["success:token_exchange"], "Token given for acting on behalf of a user"),
    account("sui", BulkOperation, &["success:account_import"], "Accounts imported"),
    account("sv", SelfService, &["success:email_verification"], "Email address verified"),
    account("svr", SelfService, &["success:email_verification_request"], "Verification email asked for"),
    account("too_many_records", SelfService, &["failure:mfa_enrollment"], "No more second factors allowed"),
    account("ublkdu", Administrative, &["success:account_unlock"], "Block of an account lifted"),
    account("universal_logout_failed", SystemInitiatedOperation, &["failure:universal_logout"], "Universal log-out failed"),
    account("universal_logout_succeeded", SystemInitiatedOperation, &["success:universal_logout"], "Universal log-out done"),
    account("w", CustomerFlow, &[], "Warning during a log-in"),
    account("wn", SystemInitiatedOperation, &[], "Warning while sending a notification"),
    account("wum", Administrative, &[], "Warning while managing accounts"),];
