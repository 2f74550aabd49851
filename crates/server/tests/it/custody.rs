//! Verifying, mending, backing up, restoring and erasing, as an operator does it with the binary.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use custody::heads::{self, HeadText};
use serde_json::{Value, json};

use crate::program::{Program, call, idstream, serve};

/// Runs a command of the binary to its end.
fn run(arguments: &[&str]) -> Output {
    idstream(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {} {}", stdout(&output), stderr(&output));
    stdout(&output)
}

#[track_caller]
fn fails(arguments: &[&str]) -> (String, String) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stdout(&output));
    (stdout(&output), stderr(&output))
}

struct Server {
    program: Program,
    address: String,
    token: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let program = Program::start(serve(data));
        let address = program.answers("listening on http://");
        // A restored directory has no token: tokens are no secret that a backup holds.
        let token = std::fs::read_to_string(data.join("admin-token")).unwrap_or_default().trim().to_owned();
        Self { program, address, token }
    }

    fn post(&self, number: u64) -> Value {
        post(&self.address, &self.token, number)
    }

    fn stop(self) {
        self.program.signal("TERM");
        let ended = self.program.ended();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    }
}

/// Posts one event of a user of its own; answers what became of it.
fn post(address: &str, token: &str, number: u64) -> Value {
    let body = json!({
        "type": "selfService", "endTimestamp": "2026-11-25T12:00:00Z",
        "eventID": format!("0197f3a0-6c1e-7000-8000-{number:012}"),
        "actor": {"userName": format!("user-{number}@example.com")},
    });
    let (status, answer) = call(address, "POST", "/intake/v1/events", token, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    answer
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn is_duplicate(receipt: &Value) -> bool {
    receipt.to_string().contains("\"duplicate\":true")
}

fn newest_head(data: &Path) -> HeadText {
    let store = catalog::SqliteStore::open_read_only(&data.join("catalog.sqlite")).unwrap();
    let catalog = catalog::Catalog::open(Arc::new(store)).unwrap();
    HeadText::from(&heads::newest(&catalog).unwrap().unwrap())
}

/// Changes a byte of the block that holds `text`. Its number in the first segment, and where it begins.
fn damage(segment: &Path, text: &[u8]) -> (usize, usize) {
    let mut bytes = std::fs::read(segment).unwrap();
    let within = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"iBLK");
    let starts: Vec<usize> = starts.map(|(at, _)| at).take_while(|at| *at < within).collect();
    bytes[within] ^= 1;
    std::fs::write(segment, bytes).unwrap();
    (starts.len(), starts[starts.len() - 1])
}

#[test]
fn a_running_server_is_verified_and_damage_is_named_mended_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    for n in 0..20 {
        server.post(n);
    }
    let verify = ["journal", "verify", "--data", text(&data)];
    let said = succeeds(&verify);
    assert!(said.contains("chain: intact") && said.contains("blocks 1 to 2"), "{said}");
    let (_, why) = fails(&["journal", "repair", "--accept-loss", "--data", text(&data)]);
    assert!(why.contains("stop it first"), "{why}");
    server.stop();

    let head = newest_head(&data);
    let key = succeeds(&["journal", "key", "--data", text(&data)]);
    assert_eq!(key.trim(), head.public_key);
    let exported = directory.path().join("heads.ndjson");
    std::fs::write(&exported, json!({"_source": {"changes": [{"after": head}]}}).to_string()).unwrap();
    let with_heads =
        ["journal", "verify", "--data", text(&data), "--heads", text(&exported), "--key", key.trim()];
    let said = succeeds(&with_heads);
    assert!(said.contains("heads from elsewhere: 1 fit"), "{said}");
    // The server may have signed its own first audit log, too.
    let own = said.contains("heads in the journal: 1 fit") || said.contains("heads in the journal: 2 fit");
    assert!(own, "the last head was told before it stopped: {said}");

    // Blocks behind it knew that it was durable.
    let segment = data.join("journal/0000000000000001.segment");
    let (block, start) = damage(&segment, b"user-5@example.com");
    let (_, why) = fails(&verify);
    let place = format!("0000000000000001.segment at byte {start}: block {block}");
    let lost = format!("block {block}: 1 event");
    assert!(why.contains(&place) && why.contains(&format!("lost: {lost}, stored between")), "{why}");
    let (answer, _) = fails(&["journal", "verify", "--json", "--data", text(&data)]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["sound"], &answer["problems"][0]["block"]), (&json!(false), &json!(block)));
    let refused = Program::start(serve(&data)).ended();
    assert!(refused.stderr.contains("idstream journal repair"), "{refused:?}");

    let planned = succeeds(&["journal", "repair", "--data", text(&data)]);
    assert!(
        planned.contains(&format!("given up: {lost}")) && planned.contains("Nothing was changed"),
        "{planned}"
    );
    fails(&verify);
    let mended = succeeds(&["journal", "repair", "--accept-loss", "--data", text(&data)]);
    assert!(mended.contains("The journal is mended"), "{mended}");
    assert!(std::fs::read_dir(data.join("journal/lost+found")).unwrap().count() == 1);
    let said = succeeds(&with_heads);
    assert!(
        said.contains(&format!("given up before: {lost}")) && said.contains("heads from elsewhere: 1 fit"),
        "{said}"
    );
    assert!(succeeds(&["journal", "repair", "--data", text(&data)]).contains("nothing to repair"));

    let server = Server::start(&data);
    let again: Vec<_> = (0..20).filter(|n| !is_duplicate(&server.post(*n))).collect();
    assert_eq!(again, [5], "the lost one can be sent again");
    server.stop();
    let stored = std::fs::read(&segment).unwrap();
    assert!(stored.windows(6).any(|window| window == b"Repair"), "it is told in the audit log");
    succeeds(&verify);
}

#[test]
fn a_server_does_not_start_on_an_older_copy_of_its_journal() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    server.post(1);
    server.stop();
    let older = directory.path().join("older");
    std::fs::create_dir(&older).unwrap();
    for file in std::fs::read_dir(data.join("journal")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), older.join(file.file_name())).unwrap();
        }
    }
    let server = Server::start(&data);
    for n in 2..9 {
        server.post(n);
    }
    server.stop();
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    std::fs::rename(&older, data.join("journal")).unwrap();
    let refused = Program::start(serve(&data)).ended();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("an older copy of the journal"), "{refused:?}");
    let (_, why) = fails(&["journal", "verify", "--data", text(&data)]);
    assert!(why.contains("was durable"), "{why}");
    succeeds(&["journal", "repair", "--accept-loss", "--data", text(&data)]);
    let server = Server::start(&data);
    assert!(!is_duplicate(&server.post(5)), "it was lost, and can be sent again");
    server.stop();
    succeeds(&["journal", "verify", "--data", text(&data)]);
}

#[test]
fn every_event_accepted_before_a_backup_of_a_busy_server_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (address, token, stop) = (server.address.clone(), server.token.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut n = 100_000;
            while !stop.load(Ordering::SeqCst) {
                post(&address, &token, n);
                n += 1;
            }
        })
    };
    for n in 0..50 {
        server.post(n);
    }
    let backup = directory.path().join("backup");
    let said = succeeds(&["backup", "--data", text(&data), "--to", text(&backup)]);
    assert!(said.contains("complete up to") && said.contains("the master key is not in it"), "{said}");
    stop.store(true, Ordering::SeqCst);
    load.join().unwrap();
    let token = server.token.clone();
    server.stop();

    let key = std::fs::read_to_string(directory.path().join("data.key")).unwrap();
    let mut files = vec![backup.clone()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in [key.trim(), &token] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }

    let restored = directory.path().join("restored");
    let (_, why) = fails(&["restore", "--from", text(&backup), "--data", text(&data)]);
    assert!(why.contains("is not empty"), "{why}");
    let said = succeeds(&["restore", "--from", text(&backup), "--data", text(&restored)]);
    assert!(said.contains("put the master key to"), "{said}");
    let refused = Program::start(serve(&restored)).ended();
    assert!(
        refused.stderr.contains("the master key") && refused.stderr.contains("is missing"),
        "{refused:?}"
    );
    std::fs::copy(directory.path().join("data.key"), directory.path().join("restored.key")).unwrap();
    let server = Server { token, ..Server::start(&restored) };
    for n in 0..50 {
        assert!(is_duplicate(&server.post(n)), "event {n} is there");
    }
    server.stop();
    let said = succeeds(&["journal", "verify", "--data", text(&restored)]);
    assert!(said.contains("restored from a backup on"), "{said}");
}

#[test]
fn heads_that_others_posted_are_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    server.post(1);
    server.stop();
    let head = newest_head(&data);
    let forged =
        json!({"sourceId": "shop", "changes": [{"after": HeadText { sequence: 1, ..head.clone() }}]});
    let told = json!({"_source": {"sourceId": "idstream", "changes": [{"after": head}]}});
    let exported = directory.path().join("heads.ndjson");
    let verify = ["journal", "verify", "--data", text(&data), "--heads", text(&exported)];
    std::fs::write(&exported, format!("{told}\n{forged}\n")).unwrap();
    let said = succeeds(&verify);
    assert!(said.contains("heads from elsewhere: 1 fit; not from idstream, left out: 1"), "{said}");
    let said = succeeds(&[&verify[..], &["--json"]].concat());
    assert!(said.contains("\"headsNotFromIdstream\": 1"), "{said}");
    std::fs::write(&exported, forged.to_string()).unwrap();
    let (_, why) = fails(&verify);
    assert!(why.contains("no signed head in it; not from idstream, left out: 1"), "{why}");
}

#[test]
fn a_backup_is_refused_where_it_would_be_changed_and_is_still_restored_after() {
    let directory = tempfile::tempdir().unwrap();
    let (data, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let server = Server::start(&data);
    server.post(1);
    succeeds(&["backup", "--data", text(&data), "--to", text(&backup)]);
    server.stop();
    let key = directory.path().join("data.key");
    let before = files(directory.path());
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["key", "rotate", "--key-file", text(&key)],
        &["key", "rotate", "--dry-run", "--key-file", text(&key)],
        &["journal", "repair", "--accept-loss"],
    ] {
        let (_, why) = fails(&[command, &["--data", text(&backup)]].concat());
        let expected = format!("idstream restore --from {} --data", backup.display());
        assert!(why.contains(&expected), "{command:?}: {why}");
        assert_eq!(files(directory.path()), before, "{command:?}");
    }
    succeeds(&["key", "show", "--key-file", text(&key), "--data", text(&backup)]);
    succeeds(&["journal", "repair", "--data", text(&backup)]);
    let restored = directory.path().join("restored");
    succeeds(&["restore", "--from", text(&backup), "--data", text(&restored)]);
}

/// Every file below a directory, with its content.
fn files(directory: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut paths = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn a_subject_is_erased_and_the_journal_still_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&data);
    for n in 0..5 {
        server.post(n);
    }
    let url = format!("http://{}", server.address);
    let token = data.join("admin-token");
    let erase = ["erase", "--url", &url, "--token-file", text(&token), "--subject", "user-3@example.com"];
    let dry = [&erase[..], &["--dry-run"]].concat();
    assert!(succeeds(&dry).contains("1 event would be erased"));
    assert!(succeeds(&erase).contains("1 event erased"));
    assert!(succeeds(&erase).contains("0 events erased"));
    server.stop();
    let said = succeeds(&["journal", "verify", "--data", text(&data)]);
    assert!(said.contains("1 erased"), "{said}");
    let mut left = Vec::new();
    for file in std::fs::read_dir(data.join("journal")).unwrap() {
        left.extend(std::fs::read(file.unwrap().path()).unwrap_or_default());
    }
    left.extend(std::fs::read(data.join("catalog.sqlite")).unwrap());
    let holds = |text: &str| left.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("user-2@example.com") && !holds("user-3@example.com"));
}

#[test]
fn a_server_takes_events_without_the_index_of_stored_events() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("explorer"), "in the way").unwrap();
    let server = Server::start(&data);
    assert!(!is_duplicate(&server.post(1)));
    server.stop();
}
