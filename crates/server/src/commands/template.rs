//! `idstream template`: index templates for the documents that Elasticsearch and OpenSearch receive.

use std::path::PathBuf;
use std::sync::Arc;

use base::Secret;
use destinations::elasticsearch::template::{Flavour, Step, Target, steps};
use destinations::elasticsearch::{AuthScheme, authorization};
use destinations::transport::{FailureKind, HttpTransport};
use destinations::{Answer, Request, Route, Transport, TransportError};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::Failure;
use crate::output::answer;

#[derive(clap::Args)]
#[command(
    after_help = "Without --apply the calls are printed, in the form that the consoles of Kibana and OpenSearch \
    Dashboards take. The lifecycle is an example: change it to what you must keep. Installing again changes nothing \
    but what differs; data streams follow with their next index."
)]
pub(crate) struct Arguments {
    /// Whose: elasticsearch or opensearch
    #[arg(value_parser = flavour)]
    flavour: Flavour,
    /// For one data stream of this name, which a configuration has as its `index`; default: a data stream for each stream
    #[arg(long, value_name = "NAME", value_parser = target)]
    index: Option<Target>,
    /// Installs them instead of printing them
    #[arg(long, requires = "url")]
    apply: bool,
    /// The cluster's address
    #[arg(long, value_name = "URL")]
    url: Option<url::Url>,
    /// File that holds the credential; it needs the privileges manage_index_templates and manage_ilm
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
    /// How the credential is presented: apiKey, basic (user:password) or bearer
    #[arg(long, value_name = "SCHEME", default_value = "apiKey", value_parser = scheme)]
    auth_scheme: AuthScheme,
    /// File with the authority's certificate (PEM), when no public one vouches for the cluster: then only it is trusted
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

fn flavour(name: &str) -> Result<Flavour, String> {
    match name {
        "elasticsearch" => Ok(Flavour::Elasticsearch),
        "opensearch" => Ok(Flavour::OpenSearch),
        _ => Err("must be elasticsearch or opensearch".to_owned()),
    }
}

fn target(name: &str) -> Result<Target, &'static str> {
    Target::named(name)
}

fn scheme(name: &str) -> Result<AuthScheme, String> {
    AuthScheme::from_name(name).ok_or_else(|| "must be apiKey, basic or bearer".to_owned())
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let steps = steps(arguments.flavour, arguments.index.as_ref().unwrap_or(&Target::Streams));
    let Some(url) = arguments.url.as_ref().filter(|_| arguments.apply) else {
        for Step { path, body, purpose } in steps {
            answer(format_args!("# {purpose}\nPUT {path}\n{}\n", serde_json::to_string_pretty(&body)?))?;
        }
        return Ok(());
    };
    let cluster = Cluster::new(url, &arguments)?;
    for step in steps {
        answer(format_args!("{}: {}", step.path, cluster.install(&step).await?))?;
    }
    Ok(())
}

struct Cluster<'a> {
    url: &'a url::Url,
    headers: HeaderMap,
    transport: HttpTransport,
    route: Arc<Route>,
}

impl<'a> Cluster<'a> {
    fn new(url: &'a url::Url, arguments: &Arguments) -> Result<Self, Failure> {
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(file) = &arguments.credential_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read the credential from {}: {error}", file.display()))?;
            let credential = Secret::new(text.trim().to_owned());
            let value = authorization(arguments.auth_scheme, &credential)
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
            headers.insert(AUTHORIZATION, value);
        }
        let route = match &arguments.ca_file {
            None => Route::default(),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("cannot read certificates from {}: {error}", file.display()))?;
                Route::trusting(&text).map_err(|error| format!("{error}: {}", file.display()))?
            }
        };
        Ok(Self { url, headers, transport: HttpTransport::new()?, route: Arc::new(route) })
    }

    /// What became of one step, in a word or two.
    async fn install(&self, step: &Step) -> Result<&'static str, Failure> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{}", self.url.path().trim_end_matches('/'), step.path));
        let body = serde_json::to_vec(&step.body)?.into();
        let request = Request {
            url,
            method: Method::PUT,
            headers: self.headers.clone(),
            body,
            route: Arc::clone(&self.route),
        };
        let said =
            self.transport.send(request).await.map_err(|error| format!("{error}: {}", hint(&error)))?;
        outcome(step, &said)
    }
}

/// What an operator can look at: here an authority is named by an argument.
fn hint(error: &TransportError) -> &'static str {
    match error.kind() {
        FailureKind::CertificateUntrusted => "name its authority's certificate, or its own, with --ca-file",
        _ => error.hint(),
    }
}

fn outcome(step: &Step, said: &Answer) -> Result<&'static str, Failure> {
    let is_lifecycle = !step.path.contains("template");
    match said.status {
        200 | 201 => Ok("installed"),
        // An existing ISM policy is changed only by who knows its version.
        409 if is_lifecycle => Ok("exists, left as it is"),
        400 | 404 | 405 if is_lifecycle => Ok("left out: this cluster has no lifecycle management"),
        status => {
            let words = String::from_utf8_lossy(said.body.get(..500).unwrap_or(&said.body)).into_owned();
            let hint = match status {
                401 | 403 => "; the credential needs manage_index_templates and manage_ilm",
                _ => "",
            };
            Err(format!("{} answered {status}: {words}{hint}", step.path).into())
        }
    }
}
