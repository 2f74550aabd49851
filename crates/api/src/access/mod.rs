//! Who may call: API clients, their tokens and scopes.

mod basic;
mod client;
mod scope;
mod secret;
mod token;

pub(crate) use self::basic::{BASIC, basic, sign_in};
pub use self::client::{ApiClient, bootstrap_client};
pub(crate) use self::client::{Made, NewClient, admit, authenticate, lacks, make};
pub use self::scope::Scope;
pub(crate) use self::secret::{is_same, sha256_hex};
pub(crate) use self::token::issue;
