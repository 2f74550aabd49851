//! Who may call: API clients, their tokens and scopes.

mod admission;
mod attempt;
mod basic;
mod client;
mod scope;
mod secret;
mod token;

pub(crate) use self::admission::{BEARER, Denied, admit, lacks};
pub(crate) use self::attempt::{Attempt, Reason};
pub(crate) use self::basic::{BASIC, admit_to_page, basic};
pub use self::client::{ApiClient, bootstrap_client};
pub(crate) use self::client::{Made, NewClient, authenticate, make};
pub use self::scope::Scope;
pub(crate) use self::secret::{is_same, sha256_hex};
pub(crate) use self::token::issue;
