//! A credential that opened nothing: who seems to have been meant, and why it opened nothing. Never what was tried.

use uuid::Uuid;

use super::client::ApiClient;

/// Why a credential opened nothing. The caller is not told unknown and wrong apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// There is no client with this id.
    UnknownClient,
    /// The client's secret is another one.
    WrongSecret,
    /// The client, or its access token, has come to its end.
    Expired,
    /// It is no token of ours, or not any more.
    WrongToken,
}

impl Reason {
    /// The name in events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UnknownClient => "unknown_client",
            Self::WrongSecret => "wrong_secret",
            Self::Expired => "expired",
            Self::WrongToken => "wrong_token",
        }
    }
}

/// A credential that opened nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) reason: Reason,
    /// The id of the client that was meant, when it is known or at least a UUID: anything else may be a secret that was put
    /// into the wrong field.
    pub(crate) client_id: Option<String>,
    /// The client's name, when it is known.
    pub(crate) client_name: Option<String>,
}

impl Attempt {
    pub(crate) fn of(reason: Reason, client: &ApiClient) -> Self {
        Self { reason, client_id: Some(client.id.clone()), client_name: Some(client.name.clone()) }
    }

    pub(crate) fn by_unknown(id: &str) -> Self {
        let client_id = Uuid::try_parse(id).ok().map(|id| id.to_string());
        Self { reason: Reason::UnknownClient, client_id, client_name: None }
    }

    pub(crate) const fn with_wrong_token() -> Self {
        Self { reason: Reason::WrongToken, client_id: None, client_name: None }
    }

    /// Whether it may have been a guess. What has expired was right once, and honest clients try it until they are told.
    pub(crate) fn is_guess(&self) -> bool {
        self.reason != Reason::Expired
    }
}
