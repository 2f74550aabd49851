//! Which server a command calls, and as whom: the arguments of every command that does.

use std::path::PathBuf;
use std::sync::Arc;

use base::Secret;
use destinations::transport::HttpTransport;

use super::Failure;
use crate::client::Client;
use crate::settings::parse_url;

/// Most configurations that are named where one is not found.
const MAX_NAMED: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Called {
    /// The server's address
    #[arg(long, env = "IDSTREAM_URL", default_value = "http://127.0.0.1:7600", value_name = "URL", value_parser = parse_url)]
    url: url::Url,
    /// File with the authority's certificate (PEM), when no public one vouches for the server: then only it is trusted
    #[arg(long, alias = "ca", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Token of an API client with the scopes that this needs; to send that is write:event, for other commands see below
    #[arg(long, env = "IDSTREAM_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the token; other users of this machine can see --token, but not this
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Called {
    /// A client for this server, with this token.
    pub(crate) fn client(&self, token: &Secret) -> Result<Client, Failure> {
        let client = Client::new(Arc::new(HttpTransport::new()?), self.url.clone(), token)?;
        Ok(match &self.ca_file {
            Some(file) => client.trusting(file)?,
            None => client,
        })
    }

    /// The token, from where it was given.
    pub(crate) fn token(&self) -> Result<Secret, Failure> {
        // A variable that is set to nothing is as good as none.
        match (self.token.as_deref().filter(|token| !token.trim().is_empty()), &self.token_file) {
            (_, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("cannot read the token from {}: {error}", file.display()))?;
                Ok(Secret::new(text.trim()))
            }
            (Some(token), None) => Ok(Secret::new(token.trim())),
            (None, None) => Err("a token is needed: --token, --token-file or IDSTREAM_TOKEN".into()),
        }
    }
}

/// Why a configuration is not found, by name or id, among these.
pub(crate) fn unknown(wanted: &str, all: &[serde_json::Value]) -> String {
    let names: Vec<&str> = all.iter().filter_map(|each| each["name"].as_str()).take(MAX_NAMED).collect();
    match all.len().saturating_sub(names.len()) {
        _ if all.is_empty() => format!("there is no configuration {wanted:?}, nor any other"),
        0 => format!("there is no configuration {wanted:?}; there are: {}", names.join(", ")),
        more => {
            format!("there is no configuration {wanted:?}; there are: {}, and {more} more", names.join(", "))
        }
    }
}
