//! `cargo xtask docs`: runs the `curl` examples of the documents as their readers would, in order, against a running server
//! and a stand-in for destinations, and compares the answers that the documents state.
//!
//! Each document gets a server of its own, and the variables that its readers have: `$BASE`, `$ADMIN`, `$TOKEN`,
//! `$CLIENT_ID`, `$CLIENT_SECRET`; after an answer with an `id`, `$ID` (and `$SOURCE`) is that.

mod blocks;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::blocks::Block;
use crate::process::{Server, StandIn};
use crate::{Failure, say, workspace};

/// Longest time for one document: its examples wait for nothing but answers.
const PATIENCE: &str = "120";

/// Builds, then runs every document's examples.
pub(crate) fn run() -> Result<(), Failure> {
    if !workspace::cargo(&["build", "--locked", "--quiet", "--package", "idstream-server"])
        .status()?
        .success()
    {
        return Err("the build failed".into());
    }
    let target = workspace::target_directory()?;
    let folder = tempfile::Builder::new().prefix("docs-").tempdir_in(&target)?;
    let (mut n_run, mut failures) = (0, Vec::new());
    for path in documents(&workspace::root().join("docs"))? {
        let blocks = blocks::parse(&fs::read_to_string(&path)?)?;
        let place = folder.path().join(n_run.to_string());
        if !blocks.is_empty() {
            fs::create_dir(&place)?;
            let shown = path.strip_prefix(workspace::root()).unwrap_or(&path).display().to_string();
            say(&format!("{shown}: {}", blocks.len()));
            n_run += blocks.len();
            failures.extend(follow(&shown, &blocks, &target.join("debug"), &place)?);
        }
    }
    for failure in &failures {
        say(failure);
    }
    match (failures.len(), n_run) {
        (_, 0) => Err("no example was found".into()),
        (0, _) => {
            say(&format!("all {n_run} examples did what they say"));
            Ok(())
        }
        (n_failed, _) => {
            Err(format!("{n_failed} documents hold an example that does not do what it says").into())
        }
    }
}

/// Every document below a folder, in order.
fn documents(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(documents(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs a document's examples in one shell; what went wrong, if something did.
fn follow(
    document: &str,
    blocks: &[Block],
    programs: &Path,
    place: &Path,
) -> Result<Option<String>, Failure> {
    let program = programs.join("idstream");
    let receiver = StandIn::start(&program)?;
    let server = Server::start(&[], &program, &place.join("data"))?;
    let client =
        server.create_client("the reader", "read:config_instance write:config_instance write:event")?;
    let script = place.join("script");
    fs::write(&script, script_of(blocks, receiver.url()))?;
    let shell = Command::new("timeout")
        .args([PATIENCE, "bash"])
        .arg(&script)
        .current_dir(place)
        .env("PROGRAMS", programs)
        .env("BASE", format!("http://{}", server.address()))
        .envs([("ADMIN", server.token()), ("TOKEN", &client.token)])
        .envs([("CLIENT_ID", &client.id), ("CLIENT_SECRET", &client.secret)])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run bash: {error}"))?;
    server.stop()?;
    let answer = |at: usize| fs::read_to_string(place.join(format!("{at}.out"))).unwrap_or_default();
    if !shell.status.success() {
        let at = (0..blocks.len()).rfind(|at| place.join(format!("{at}.out")).exists()).unwrap_or(0);
        let line = blocks.get(at).map_or(0, |block| block.line);
        let said = String::from_utf8_lossy(&shell.stderr);
        return Ok(Some(format!("{document}:{line}: the example fails: {}\n{said}", answer(at))));
    }
    for (at, block) in blocks.iter().enumerate() {
        if let Some(stated) = &block.answer
            && let Err(difference) = blocks::compare(stated, &answer(at))
        {
            let line = block.line;
            return Ok(Some(format!("{document}:{line}: {difference}; the answer was {}", answer(at))));
        }
    }
    Ok(None)
}

/// The examples as one script. Each one's output goes into a file of its own; a refused call ends it.
fn script_of(blocks: &[Block], receiver: &str) -> String {
    let mut script = "set -euo pipefail\nPATH=$PROGRAMS:$PATH\n\
                      curl() { command curl --silent --show-error --fail-with-body --max-time 60 \"$@\"; }\n"
        .to_owned();
    for (at, block) in blocks.iter().enumerate() {
        let text = blocks::localised(&block.script, receiver);
        let _never_fails_on_a_string = write!(
            script,
            "{{\n{text}\n}} > {at}.out\n\
             made=$(sed -n 's/^{{\"id\":\"\\([^\"]*\\)\".*/\\1/p' {at}.out)\n\
             if [ -n \"$made\" ]; then ID=$made; SOURCE=$made; fi\n"
        );
    }
    script
}
