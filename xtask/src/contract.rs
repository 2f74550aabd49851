//! `cargo xtask contract`: schemathesis makes up requests from the contract's files, laid over with what idstream adds, and
//! holds a running server's answers against them; with every right, with none, and with the wrong one.
//!
//! Nothing that is made up leaves this machine: every address in a request becomes that of a stand-in, or of a closed port.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::http::request;
use crate::process::{Server, StandIn, pass, text_field};
use crate::{Failure, say, workspace};

/// A file of the contract that is tested.
struct File {
    /// The middle of its name.
    name: &'static str,
    /// Paths of it that are not answered yet.
    missing: &'static [&'static str],
}

/// All but `account-event-ttl`, of which nothing is answered yet. What the first two do is found by the others.
const FILES: [File; 5] = [
    File { name: "event-streaming", missing: &[] },
    File { name: "native-claim", missing: &[] },
    File {
        name: "account-event",
        missing: &[
            "/admin/api/v1/events/account",
            "/admin/api/v1/events/descriptor",
            "/admin/api/v1/events/notification",
            "/admin/api/v1/events/notification/{eventId}",
        ],
    },
    File { name: "audit-entry", missing: &["/admin/api/v2/admin/events/audit"] },
    File { name: "lifecycle-event-hook-log", missing: &["/admin/api/v1/eventHooks/logs"] },
];
/// No server listens here: the port belongs to tcpmux, which nobody runs.
const CLOSED: &str = "http://127.0.0.1:1/";
/// What an administrator of the contract's calls may do.
const ALL: &str = "read:config_instance write:config_instance read:config_claim write:config_claim \
                   delete:config_claim read:event_account read:admin_event_audit read:event_hook_log";

/// What is tested, and how long.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this file of the contract, by the middle of its name
    #[arg(long, value_name = "FILE", value_parser = FILES.map(|file| file.name))]
    only: Option<String>,
    /// Made-up requests for each call
    #[arg(long, value_name = "N", default_value_t = 200)]
    examples: u32,
    /// Makes up other requests than CI does
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
}

/// Who calls.
struct Caller {
    /// What it is called here.
    name: &'static str,
    token: Option<String>,
    /// What it may do: names with spaces between them.
    scopes: &'static str,
    /// The status that it must get from calls that need more; empty when it may make all.
    refused: &'static str,
}

impl Caller {
    fn new(
        server: &Server,
        name: &'static str,
        scopes: &'static str,
        refused: &'static str,
    ) -> Result<Self, Failure> {
        let token = if scopes.is_empty() { None } else { Some(access_token(server, scopes)?) };
        Ok(Self { name, token, scopes, refused })
    }
}

/// Everything that a run of schemathesis needs.
struct Tool {
    program: PathBuf,
    python: PathBuf,
    /// The folder with the overlay, the hooks and the configuration.
    material: PathBuf,
    /// Where what is made of them goes.
    folder: PathBuf,
    server: SocketAddr,
    destinations: String,
}

/// Installs, builds, starts, tests.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let contract = contract_folder()?;
    let target = workspace::target_directory()?;
    let material = workspace::root().join("xtask/contract");
    let bin = install(&material, &target.join("tools/contract"))?;
    if !workspace::cargo(&["build", "--locked", "--quiet", "--package", "idstream-server"])
        .status()?
        .success()
    {
        return Err("the build failed".into());
    }
    let program = target.join("debug/idstream");
    let folder = tempfile::Builder::new().prefix("contract-").tempdir_in(&target)?;
    let receiver = StandIn::start(&program)?;
    let server = Server::start(&[], &program, &folder.path().join("data"))?;
    let callers = [
        Caller::new(&server, "with every right", ALL, "")?,
        Caller::new(&server, "without a credential", "", "401")?,
        Caller::new(&server, "without the scope", "write:event", "403")?,
    ];
    let tool = Tool {
        program: bin.join("schemathesis"),
        python: bin.join("python"),
        material,
        folder: folder.path().to_owned(),
        server: server.address(),
        destinations: format!("{}/ {CLOSED}", receiver.url()),
    };
    if arguments.only.is_none() {
        tool.check_schemas()?;
    }
    store_events(&server, &tool.events())?;
    let is_wanted = |file: &File| arguments.only.as_ref().is_none_or(|only| only == file.name);
    for file in FILES.into_iter().filter(is_wanted) {
        let description = tool.prepare(&contract, file.name)?;
        for caller in &callers {
            say(&format!("== {}, {}", file.name, caller.name));
            tool.test(&description, file.missing, caller, arguments)?;
        }
    }
    server.stop()
}

/// Where the contract's files are: they are not part of the repository.
fn contract_folder() -> Result<PathBuf, Failure> {
    let shared = std::env::var_os("IDSTREAM_SHARED").map_or_else(
        || workspace::root().parent().unwrap_or(workspace::root()).join("shared"),
        PathBuf::from,
    );
    let folder = shared.join("reference/openapi");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(format!("the contract's files are not in {}: set IDSTREAM_SHARED", folder.display()).into())
}

/// Makes an environment for Python with the pinned packages, unless it is there; the folder of its programs.
fn install(material: &Path, environment: &Path) -> Result<PathBuf, Failure> {
    let pins = material.join("requirements.txt");
    let stamp = environment.join("installed.txt");
    let bin = environment.join("bin");
    if fs::read(&stamp).ok() == Some(fs::read(&pins)?) {
        return Ok(bin);
    }
    say("installing schemathesis");
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err("Python 3 with venv is needed (Debian: apt-get install python3-venv)".into());
    }
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&pins);
    pass(&mut pip)?;
    fs::copy(&pins, &stamp)?;
    Ok(bin)
}

/// Stores events to be found, and waits until they are.
fn store_events(server: &Server, events: &Path) -> Result<(), Failure> {
    let producer = server.create_client("contract producer", "write:event")?;
    let events = fs::read(events)?;
    let post = request("POST", "/intake/v1/events", &producer.token, "application/x-ndjson", &events);
    let answer = server.call(&post)?;
    if answer["rejected"].as_array().is_none_or(|rejected| !rejected.is_empty()) {
        return Err(format!("events were rejected: {}", answer["rejected"]).into());
    }
    // The call waits for the index itself: what was stored before the last of them is indexed by then.
    let last = events.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let last: Value = serde_json::from_slice(last)?;
    let path = format!("/admin/api/v1/eventHooks/logs/{}", text_field(&last, "eventID")?);
    server.call(&request("GET", &path, server.token(), "application/json", b"")).map(drop)
}

/// Gets an access token, as the contract's clients do, for a new API client with these scopes.
fn access_token(server: &Server, scopes: &str) -> Result<String, Failure> {
    let client = server.create_client(&format!("contract ({} scopes)", scopes.split(' ').count()), scopes)?;
    let form = format!(
        "grant_type=client_credentials&audience=http://{}&scope={}&client_id={}&client_secret={}",
        server.address(),
        scopes.replace(' ', "+"),
        client.id,
        client.secret,
    );
    let head =
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded";
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len());
    text_field(&server.call(request.as_bytes())?, "access_token")
}

impl Tool {
    /// The events that are stored before anything is tested, a line each.
    fn events(&self) -> PathBuf {
        self.material.join("events.ndjson")
    }

    /// Lays the overlay over a file of the contract.
    fn prepare(&self, contract: &Path, file: &str) -> Result<PathBuf, Failure> {
        let output = self.folder.join(format!("{file}.json"));
        let source = contract.join(format!("strivacity-{file}-api-openapi.yml"));
        let mut command = Command::new(&self.python);
        command.arg(self.material.join("prepare.py"));
        pass(command.args([&source, &self.material.join("overlay.yaml"), &output]))?;
        Ok(output)
    }

    /// Holds the schemas that the server publishes against JSON Schema itself, with a validator of others.
    fn check_schemas(&self) -> Result<(), Failure> {
        let mut command = Command::new(&self.python);
        command.arg(self.material.join("schemas.py")).arg(format!("http://{}", self.server));
        pass(command.arg(workspace::root().join("docs/EVENTS.md")))
    }

    fn test(
        &self,
        description: &Path,
        missing: &[&str],
        caller: &Caller,
        arguments: &Arguments,
    ) -> Result<(), Failure> {
        let Caller { token, scopes, refused, .. } = caller;
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("PYTHONPATH", &self.material);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("CONTRACT_DESTINATIONS", &self.destinations).env("CONTRACT_EVENTS", self.events());
        command.env("CONTRACT_SCOPES", scopes).env("CONTRACT_REFUSED", refused);
        command.arg("--config-file").arg(self.material.join("schemathesis.toml"));
        command.arg("run").arg(description).args(["--url", &format!("http://{}", self.server)]);
        for path in missing {
            command.args(["--exclude-path", path]);
        }
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        // Whoever has no rights gets no further than that: fewer requests show it.
        let (phases, examples) = match *refused {
            "" => ("examples,coverage,fuzzing,stateful", arguments.examples),
            _ => ("coverage,fuzzing", arguments.examples.div_ceil(4)),
        };
        command.args(["--phases", phases, "--max-examples", &examples.to_string()]);
        if !refused.is_empty() {
            // They say that every call is refused, which is the point.
            command.args(["--warnings", "off"]);
        }
        if let Some(seed) = arguments.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        pass(&mut command)
    }
}
