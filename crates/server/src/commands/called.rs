//! Which server a command calls, and as whom: the arguments of every command that does.

use std::path::PathBuf;
use std::sync::Arc;

use base::Secret;
use destinations::transport::HttpTransport;

use super::Failure;
use crate::client::Client;
use crate::settings::parse_url;

#[derive(clap::Args)]
pub(crate) struct Called {
    /// The server's address
    #[arg(long, env = "IDSTREAM_URL", default_value = "http://127.0.0.1:7600", value_name = "URL", value_parser = parse_url)]
    url: url::Url,
    /// File with the authority's certificate (PEM), when no public one vouches for the server: then only it is trusted
    #[arg(long, alias = "ca", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Token of an API client with the scope that this needs: write:event to send, delete:event to erase, read:config_instance to see the status
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
        match (&self.token, &self.token_file) {
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
