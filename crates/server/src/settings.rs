//! The settings of `serve`: embedded defaults, then a file, then the environment, then flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use base::{ByteSize, Secret, Subnet};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::http::ForwardedHeader;
use crate::http::tls::TlsFiles;

/// The defaults, which are also the reference manual.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");
/// Environment variables: `IDSTREAM__SECTION__KEY`.
const PREFIX: &str = "IDSTREAM";
/// The longest retention of a stream, in days: a hundred years, as good as for ever.
const MAX_RETENTION_DAYS: u32 = 36_500;
/// The variable that holds the master key itself.
pub(crate) const KEY_VARIABLE: &str = "IDSTREAM_MASTER_KEY";

/// Everything that `serve` can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) instance: Instance,
    pub(crate) server: Server,
    pub(crate) tls: Tls,
    pub(crate) limits: Limits,
    pub(crate) intake: Intake,
    pub(crate) journal: Journal,
    pub(crate) delivery: Delivery,
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
    #[serde(default, deserialize_with = "deserialize_url")]
    pub(crate) public_url: Option<url::Url>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(deserialize_with = "deserialize_address")]
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) max_connections: usize,
    pub(crate) allow_plaintext: bool,
    #[serde(deserialize_with = "deserialize_subnets")]
    pub(crate) trusted_proxies: Vec<Subnet>,
    #[serde(deserialize_with = "deserialize_header")]
    pub(crate) forwarded_header: ForwardedHeader,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) enabled: bool,
    pub(crate) instance_per_second: u32,
    pub(crate) instance_per_minute: u32,
    pub(crate) address_per_second: u32,
    pub(crate) address_per_minute: u32,
    pub(crate) failures_per_minute: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intake {
    pub(crate) max_body: ByteSize,
    pub(crate) max_inflated: ByteSize,
    pub(crate) max_events: usize,
    pub(crate) max_event: ByteSize,
    pub(crate) in_flight: ByteSize,
    #[serde(deserialize_with = "deserialize_names")]
    pub(crate) mask: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    pub(crate) segment: ByteSize,
    pub(crate) queue: ByteSize,
    pub(crate) cache: ByteSize,
    pub(crate) dedupe_hours: u32,
    pub(crate) sign_minutes: u32,
    pub(crate) min_free: ByteSize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delivery {
    pub(crate) resume: Resume,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    pub(crate) max_age_hours: u32,
    pub(crate) max_bytes: ByteSize,
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
    /// The file cannot be read.
    #[error("settings: cannot read {file}: {cause}; --config or IDSTREAM_CONFIG names it")]
    File {
        /// Which file.
        file: String,
        /// Why, without being a source: it is told already.
        cause: std::io::Error,
    },
    /// A value is of the wrong kind or unknown. The text of the cause says where it stands.
    #[error("settings: {0}\nEvery setting with its default: idstream serve --print-settings")]
    Unreadable(Box<config::ConfigError>),
    /// The values do not fit together.
    #[error("settings: {0}")]
    Unfit(String),
}

impl From<config::ConfigError> for SettingsError {
    fn from(error: config::ConfigError) -> Self {
        Self::Unreadable(Box::new(error))
    }
}

/// An address to listen on, as flags and settings give it.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7600".to_owned())
}

/// Where a server is reached, as flags and settings give it.
pub(crate) fn parse_url(text: &str) -> Result<url::Url, String> {
    let url: url::Url = text
        .parse()
        .map_err(|error| format!("expected an address such as https://idstream.example.com ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "expected an address that begins with http:// or https:// and has neither ? nor #".to_owned()
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "an address that is put into every document must not hold a user name or a password".to_owned()
        );
    }
    Ok(url)
}

fn deserialize_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn deserialize_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<url::Url>, D::Error> {
    parse_url(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// Texts: a list, or, as variables give it, one text with commas between them. Those that are empty are nobody's.
fn deserialize_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list, or a text with commas between its parts")]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let texts = match Given::deserialize(deserializer)? {
        Given::List(texts) => texts,
        Given::Text(text) => text.split(',').map(ToOwned::to_owned).collect(),
    };
    let given = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    Ok(given.map(ToOwned::to_owned).collect())
}

/// Addresses and networks, see [`deserialize_names`].
fn deserialize_subnets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Subnet>, D::Error> {
    let read = |text: &String| text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")));
    deserialize_names(deserializer)?.iter().map(read).collect()
}

fn deserialize_header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ForwardedHeader, D::Error> {
    let expected = || D::Error::custom("expected X-Forwarded-For or Forwarded");
    ForwardedHeader::from_name(&String::deserialize(deserializer)?).ok_or_else(expected)
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
        // Read here first: config says of a file that it may not read only that something is denied.
        std::fs::read_to_string(&file)
            .map_err(|cause| SettingsError::File { file: file.display().to_string(), cause })?;
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
    /// The server's certificate and key, when it speaks TLS.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        let Tls { cert, key } = self.tls.clone();
        Some(TlsFiles { cert: cert?, key: key? })
    }

    /// Whether only proxies may connect: there is no TLS, and nobody has said that there need be none.
    pub(crate) fn is_for_proxies_only(&self) -> bool {
        let is_plain = self.tls_files().is_none();
        is_plain && !self.server.listen.ip().is_loopback() && !self.server.allow_plaintext
    }

    fn check_listening(&self) -> Result<(), SettingsError> {
        let unfit = |text: &str| Err(SettingsError::Unfit(text.to_owned()));
        let Server { listen, trusted_proxies, .. } = &self.server;
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            return unfit("tls.cert and tls.key belong together: give both, or none");
        }
        if self.is_for_proxies_only() && trusted_proxies.is_empty() {
            return unfit(
                "server.listen is not a loopback address, and nothing protects what is said there: give a certificate with \
                 tls.cert and tls.key, or name the proxies that speak TLS for the server in server.trusted_proxies, or set \
                 server.allow_plaintext = true",
            );
        }
        if let Some(everybody) = trusted_proxies.iter().find(|subnet| subnet.is_everything()) {
            return Err(SettingsError::Unfit(format!(
                "server.trusted_proxies: {everybody} is everybody; name the addresses of the proxies"
            )));
        }
        if !listen.ip().is_loopback() && self.instance.public_url.is_none() {
            return unfit(
                "instance.public_url is required when server.listen is not a loopback address: links in documents lead \
                 there; set it, or --public-url, to where browsers reach this server, such as \
                 https://idstream.example.com",
            );
        }
        Ok(())
    }

    fn check_retention(&self) -> Result<(), SettingsError> {
        let Retention { account_event_days, audit_log_days, event_hook_log_days } = self.retention;
        let all = [
            ("account_event_days", account_event_days),
            ("audit_log_days", audit_log_days),
            ("event_hook_log_days", event_hook_log_days),
        ];
        match all.iter().find(|(_, days)| !(1..=MAX_RETENTION_DAYS).contains(days)) {
            None => Ok(()),
            Some((name, days)) => Err(SettingsError::Unfit(format!(
                "retention.{name} must be between 1 and {MAX_RETENTION_DAYS} days, not {days}: what is older is dropped for \
                 good; {MAX_RETENTION_DAYS} keeps it for a hundred years"
            ))),
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        let unfit = |text: &str| Err(SettingsError::Unfit(text.to_owned()));
        self.check_listening()?;
        self.check_retention()?;
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
        if self.journal.sign_minutes == 0 || self.journal.sign_minutes > 24 * 60 {
            return unfit("journal.sign_minutes must be between 1 and 1440");
        }
        let is_level = |part: &str| {
            ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|level| level.eq_ignore_ascii_case(part))
        };
        // A word without = would be taken for a part of the program, and nothing else would be told.
        let unfit_part = |part: &&str| !part.contains('=') && !is_level(part);
        if let Some(part) = self.log.level.split(',').map(str::trim).find(unfit_part) {
            return Err(SettingsError::Unfit(format!(
                "log.level: {part:?} is none of off, error, warn, info, debug, trace, nor PART=LEVEL such as \
                 delivery=debug"
            )));
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
    fn nothing_is_kept_for_no_time_at_all() {
        for name in ["account_event_days", "audit_log_days", "event_hook_log_days"] {
            let path = format!("retention.{name}");
            let read = |days: &str| read(None, &[(&path, Some(days.to_owned()))]);
            for days in ["0", "36501"] {
                let refused = read(days).unwrap_err().to_string();
                assert!(refused.contains(&path) && refused.contains("between 1 and 36500"), "{refused}");
            }
            for days in ["1", "36500"] {
                assert!(read(days).is_ok(), "{path} = {days}");
            }
        }
    }

    #[test]
    fn lists_are_given_with_commas_where_only_text_can_be() {
        for (given, expected) in [("pin, otp_seed,", &["pin", "otp_seed"][..]), ("pin", &["pin"]), ("", &[])]
        {
            let settings = read(None, &[("intake.mask", Some(given.to_owned()))]).unwrap();
            assert_eq!(settings.intake.mask, expected, "{given:?}");
        }
    }

    #[test]
    fn flags_win_and_unfit_values_say_what_to_do() {
        let settings = read(None, &[("server.listen", Some("127.0.0.1:0".to_owned()))]).unwrap();
        assert_eq!(settings.server.listen.port(), 0);
        let refused =
            read(None, &[("server.listen", Some("0.0.0.0:7600".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("server.allow_plaintext"), "{refused}");
        let public = [
            ("server.listen", Some("0.0.0.0:7600".to_owned())),
            ("server.allow_plaintext", Some("true".to_owned())),
        ];
        let refused = read(None, &public).unwrap_err().to_string();
        assert!(refused.contains("instance.public_url is required"), "{refused}");
        let secret = Some("https://user:secret@ids.example.com".to_owned());
        let refused = read(None, &[("instance.public_url", secret)]).unwrap_err().to_string();
        assert!(refused.contains("must not hold a user name"), "{refused}");
        let from_proxies = |proxies: &str| {
            let flags = [
                ("server.listen", "0.0.0.0:7600"),
                ("server.trusted_proxies", proxies),
                ("instance.public_url", "https://ids.example.com"),
            ];
            read(None, &flags.map(|(path, value)| (path, Some(value.to_owned()))))
        };
        let settings = from_proxies("10.0.0.1, fd00::/8").unwrap();
        assert_eq!(settings.server.trusted_proxies.len(), 2);
        assert!(settings.is_for_proxies_only());
        for (proxies, expected) in
            [("::/0", "is everybody"), ("10.0.0.0/33", "such as 10.0.0.0/8"), ("", "trusted_proxies")]
        {
            let refused = from_proxies(proxies).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        let refused = read(None, &[("journal.segment", Some("1 KiB".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("between 4 MiB and 1 GiB"), "{refused}");
        let refused = read(None, &[("server.lissten", Some("x".to_owned()))]).unwrap_err().to_string();
        assert!(refused.contains("lissten"), "{refused}");
    }
}
