//! The settings of `serve`: embedded defaults, then a file, then the environment, then flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use base::{ByteSize, Secret};
use serde::Deserialize;

/// The defaults, which are also the reference manual.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");
/// Environment variables: `IDSTREAM__SECTION__KEY`.
const PREFIX: &str = "IDSTREAM";
/// The variable that holds the master key itself.
const KEY_VARIABLE: &str = "IDSTREAM_MASTER_KEY";

/// Everything that `serve` can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) instance: Instance,
    pub(crate) server: Server,
    pub(crate) intake: Intake,
    pub(crate) journal: Journal,
    pub(crate) retention: Retention,
    pub(crate) key: Key,
    pub(crate) log: Log,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) environment: String,
    pub(crate) public_url: Option<url::Url>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) max_connections: usize,
    pub(crate) allow_plaintext: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intake {
    pub(crate) max_body: ByteSize,
    pub(crate) max_inflated: ByteSize,
    pub(crate) max_events: usize,
    pub(crate) max_event: ByteSize,
    pub(crate) in_flight: ByteSize,
    pub(crate) mask: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    pub(crate) segment: ByteSize,
    pub(crate) queue: ByteSize,
    pub(crate) cache: ByteSize,
    pub(crate) dedupe_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "a setting's name says its unit")]
pub(crate) struct Retention {
    pub(crate) account_event_days: u32,
    pub(crate) audit_log_days: u32,
    pub(crate) event_hook_log_days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) file: Option<PathBuf>,
    /// From the environment only.
    #[serde(skip)]
    pub(crate) value: Option<Secret>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Why the settings cannot be used: which one, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A file or variable is not readable, or a value is of the wrong kind or unknown.
    #[error("settings: {0}")]
    Unreadable(#[from] config::ConfigError),
    /// The values do not fit together.
    #[error("settings: {0}")]
    Unfit(String),
}

/// Reads the settings. `overrides` are flags: the setting's path and its value.
pub(crate) fn read(
    file: Option<PathBuf>,
    overrides: &[(&str, Option<String>)],
) -> Result<Settings, SettingsError> {
    let defaults = config::File::from_str(DEFAULTS, config::FileFormat::Toml);
    let environment =
        config::Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").try_parsing(true);
    let mut builder = config::Config::builder().add_source(defaults);
    if let Some(file) = file {
        builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
    }
    builder = builder.add_source(environment);
    for (path, value) in overrides {
        builder = builder.set_override_option(*path, value.clone())?;
    }
    let mut settings: Settings = builder.build()?.try_deserialize()?;
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let key = std::env::var(KEY_VARIABLE).ok();
    settings.key.value = key.map(Secret::new);
    settings.check()?;
    Ok(settings)
}

impl Settings {
    fn check(&self) -> Result<(), SettingsError> {
        let unfit = |text: &str| Err(SettingsError::Unfit(text.to_owned()));
        let is_public = !self.server.listen.ip().is_loopback();
        if is_public && !self.server.allow_plaintext {
            return unfit(
                "server.listen is not a loopback address and there is no TLS: listen on 127.0.0.1 behind a proxy, or set \
                 server.allow_plaintext = true",
            );
        }
        if is_public && self.instance.public_url.is_none() {
            return unfit("instance.public_url is required when server.listen is not a loopback address");
        }
        if self.intake.max_event.as_usize() > 512 * 1024 || self.intake.max_event.0 == 0 {
            return unfit("intake.max_event must be between 1 B and 512 KiB");
        }
        if self.intake.max_events == 0 || self.server.max_connections == 0 {
            return unfit("intake.max_events and server.max_connections must be at least 1");
        }
        if self.intake.in_flight < self.intake.max_inflated {
            return unfit(
                "intake.in_flight must be at least intake.max_inflated, or the largest request could never pass",
            );
        }
        if self.journal.segment < ByteSize(4 << 20) || self.journal.segment > ByteSize(1 << 30) {
            return unfit("journal.segment must be between 4 MiB and 1 GiB");
        }
        if self.journal.dedupe_hours == 0 || self.journal.dedupe_hours > 24 * 31 {
            return unfit("journal.dedupe_hours must be between 1 and 744");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_listen_on_loopback_only() {
        let settings = read(None, &[]).unwrap();
        assert!(settings.server.listen.ip().is_loopback());
    }

    #[test]
    fn flags_win_and_unfit_values_say_what_to_do() {
        let settings = read(None, &[("server.listen", Some("127.0.0.1:0".to_owned()))]).unwrap();
        assert_eq!(settings.server.listen.port(), 0);
        let refused =
            read(None, &[("server.listen", Some("0.0.0.0:7600".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("server.allow_plaintext"), "{refused}");
        let refused = read(None, &[("journal.segment", Some("1 KiB".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("between 4 MiB and 1 GiB"), "{refused}");
        let refused = read(None, &[("server.lissten", Some("x".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("lissten"), "{refused}");
    }
}
