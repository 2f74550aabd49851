//! What an API client may do, in the contract's words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A permission. The names are the contract's, but for `write:event`, `delete:event`, `read:metrics`, `read:alarm` and
/// `write:alarm`, which are idstream's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Post events.
    #[serde(rename = "write:event")]
    WriteEvent,
    /// Erase stored events for good.
    #[serde(rename = "delete:event")]
    DeleteEvent,
    /// Read the metrics, and nothing else.
    #[serde(rename = "read:metrics")]
    ReadMetrics,
    /// See event streaming configurations, sources and API clients.
    #[serde(rename = "read:config_instance")]
    ReadConfigInstance,
    /// Change them.
    #[serde(rename = "write:config_instance")]
    WriteConfigInstance,
    /// See customers' account events.
    #[serde(rename = "read:event_account")]
    ReadEventAccount,
    /// See administrators' account events.
    #[serde(rename = "read:admin_event_account")]
    ReadAdminEventAccount,
    /// See audit logs.
    #[serde(rename = "read:admin_event_audit")]
    ReadAdminEventAudit,
    /// See event hook logs.
    #[serde(rename = "read:event_hook_log")]
    ReadEventHookLog,
    /// See native claims.
    #[serde(rename = "read:config_claim")]
    ReadConfigClaim,
    /// Create and change them.
    #[serde(rename = "write:config_claim")]
    WriteConfigClaim,
    /// Delete them.
    #[serde(rename = "delete:config_claim")]
    DeleteConfigClaim,
    /// See alarms, their thresholds and their channels.
    #[serde(rename = "read:alarm")]
    ReadAlarm,
    /// Acknowledge and silence alarms, set thresholds, change and try channels.
    #[serde(rename = "write:alarm")]
    WriteAlarm,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 14] = [
        Self::WriteEvent,
        Self::DeleteEvent,
        Self::ReadMetrics,
        Self::ReadConfigInstance,
        Self::WriteConfigInstance,
        Self::ReadEventAccount,
        Self::ReadAdminEventAccount,
        Self::ReadAdminEventAudit,
        Self::ReadEventHookLog,
        Self::ReadConfigClaim,
        Self::WriteConfigClaim,
        Self::DeleteConfigClaim,
        Self::ReadAlarm,
        Self::WriteAlarm,
    ];

    /// The name in tokens, requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WriteEvent => "write:event",
            Self::DeleteEvent => "delete:event",
            Self::ReadMetrics => "read:metrics",
            Self::ReadConfigInstance => "read:config_instance",
            Self::WriteConfigInstance => "write:config_instance",
            Self::ReadEventAccount => "read:event_account",
            Self::ReadAdminEventAccount => "read:admin_event_account",
            Self::ReadAdminEventAudit => "read:admin_event_audit",
            Self::ReadEventHookLog => "read:event_hook_log",
            Self::ReadConfigClaim => "read:config_claim",
            Self::WriteConfigClaim => "write:config_claim",
            Self::DeleteConfigClaim => "delete:config_claim",
            Self::ReadAlarm => "read:alarm",
            Self::WriteAlarm => "write:alarm",
        }
    }

    /// The scope with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_stored_under_the_name_that_callers_use() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
        }
        assert_eq!(Scope::from_name("write"), None);
    }
}
