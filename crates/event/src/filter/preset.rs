//! Rules of ours that a filter takes over by name. What each leaves out is published with it.

use serde::{Deserialize, Serialize};

use crate::header::Header;
use crate::{Record, Stream};

/// A rule of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Leaves out tokens that programs fetch and look at by themselves, as long as it works.
    WithoutTokenNoise,
}

/// What a preset leaves out of one platform's account events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Whose words they are.
    pub platform: &'static str,
    /// The `sourceEventType`s.
    pub source_event_types: &'static [&'static str],
}

/// Log-ins of people, exchanges on behalf of somebody else, reused and revoked tokens are not among them: those are what
/// detections look for. Sources: Auth0's list of log event type codes, Okta's of event types, Keycloak's `EventType`.
const TOKEN_NOISE: [LeftOut; 4] = [
    // For an authorization code, for client credentials, for a refresh token, without a prompt.
    LeftOut { platform: "auth0", source_event_types: &["seacft", "seccft", "sertft", "ssa"] },
    LeftOut {
        platform: "okta",
        source_event_types: &[
            "app.oauth2.as.token.grant",
            "app.oauth2.as.token.grant.access_token",
            "app.oauth2.as.token.grant.id_token",
            "app.oauth2.as.token.grant.refresh_token",
            "app.oauth2.token.grant",
            "app.oauth2.token.grant.access_token",
            "app.oauth2.token.grant.id_token",
            "app.oauth2.token.grant.refresh_token",
        ],
    },
    LeftOut {
        platform: "keycloak",
        source_event_types: &[
            "CLIENT_LOGIN",
            "CODE_TO_TOKEN",
            "INTROSPECT_TOKEN",
            "REFRESH_TOKEN",
            "USER_INFO_REQUEST",
        ],
    },
    LeftOut { platform: "any", source_event_types: &["token_refresh"] },
];

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 1] = [Self::WithoutTokenNoise];

    /// The name in a filter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithoutTokenNoise => "withoutTokenNoise",
        }
    }

    /// Why somebody would want it, in a sentence or two.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::WithoutTokenNoise => {
                "Programs fetch, refresh and look at tokens by themselves, many times for each log-in. Log-ins, \
                 failures, revoked and reused tokens, and exchanges on behalf of others are still sent."
            }
        }
    }

    /// The account events that it leaves out, unless their `outcome` is `failure`.
    pub const fn leaves_out(self) -> &'static [LeftOut] {
        match self {
            Self::WithoutTokenNoise => &TOKEN_NOISE,
        }
    }

    /// Whether it leaves a record out, whose header it is.
    pub(super) fn has_no_use_for(self, record: &Record<'_>, header: &mut Header<'_>) -> bool {
        if record.stream() != Stream::AccountEvent {
            return false;
        }
        let Some(code) = header.text("sourceEventType") else { return false };
        let mut codes = self.leaves_out().iter().flat_map(|each| each.source_event_types);
        codes.any(|each| *each == code) && header.text("outcome").as_deref() != Some("failure")
    }
}
