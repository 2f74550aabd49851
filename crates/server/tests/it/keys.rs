//! `key`: the master key is replaced, the server goes on with the new one, and no key is ever shown.

use std::path::{Path, PathBuf};

use crate::catcher::Catcher;
use crate::program::{Ended, Program, call, idstream, serve};

const EVENT: &str = r#"{"type": "customerFlow", "endTimestamp": "2026-01-31T12:00:00Z"}"#;

struct Place {
    directory: tempfile::TempDir,
    catcher: Catcher,
}

impl Place {
    /// A data directory with one configuration, whose server has ended.
    fn new(environment: &[(&str, &str)]) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), catcher: Catcher::open() };
        let (server, address) = place.start(environment);
        place.catcher.is_destination_of(&address, &place.token(), "the-credential");
        place.catcher.catches(|document| document["stream"] == "auditLog");
        server.signal("TERM");
        assert_eq!(server.ended().status.code(), Some(0));
        place
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn key_file(&self) -> PathBuf {
        self.directory.path().join("data.key")
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.data().join("admin-token")).unwrap().trim().to_owned()
    }

    fn start(&self, environment: &[(&str, &str)]) -> (Program, String) {
        let mut command = serve(&self.data());
        command.envs(environment.iter().copied());
        let server = Program::start(command);
        let address = server.answers("listening on http://");
        (server, address)
    }

    fn key(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = idstream(&["key"]);
        command.args(arguments).arg("--data").arg(self.data()).envs(environment.iter().copied());
        Program::start(command).ended()
    }

    /// Starts the server and sees an event delivered with the credential that was given before.
    fn delivers(&self, environment: &[(&str, &str)]) -> Program {
        let (server, address) = self.start(environment);
        let (status, receipt) = call(&address, "POST", "/intake/v1/events", &self.token(), EVENT);
        assert_eq!(status, 200, "{receipt}");
        let id = &receipt["accepted"][0]["eventID"];
        let document = self.catcher.catches(|document| document["eventID"] == *id);
        assert_eq!(document.credential, "the-credential");
        server
    }
}

/// The environment of a server whose key comes from there.
fn variable(value: &str) -> [(&str, &str); 1] {
    [("IDSTREAM_MASTER_KEY", value)]
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn a_rotated_key_opens_what_the_old_one_sealed_and_the_change_is_an_audit_log() {
    let place = Place::new(&[]);
    let old = read(&place.key_file());
    let told = place.key(&["rotate", "--dry-run"], &[]);
    assert!(told.status.success() && told.stdout.contains("would put a new key before key"), "{told:?}");
    assert_eq!(read(&place.key_file()), old, "it was a dry run");

    let rotated = place.key(&["rotate"], &[]);
    assert!(rotated.status.success() && rotated.stdout.contains("1 credential sealed anew"), "{rotated:?}");
    let new = read(&place.key_file());
    assert!(new != old && new.lines().count() == 1);
    let shown = place.key(&["show"], &[]);
    assert!(shown.stdout.contains("seals and opens, 2 credentials"), "{shown:?}");
    for said in [&told, &rotated, &shown] {
        let said = format!("{said:?}");
        assert!(![&old, &new].iter().any(|key| said.contains(key.as_str())), "a key is shown: {said}");
    }

    let server = place.delivers(&[]);
    let entry = place.catcher.catches(|document| document["entityType"] == "MasterKey").value;
    assert_eq!((&entry["action"], &entry["stream"]), (&"Update".into(), &"auditLog".into()), "{entry}");
    assert_eq!(entry["name"], "rotated, 2 credentials sealed anew", "{entry}");
    assert_eq!(entry["actor"]["userName"], "idstream", "{entry}");
    assert!(!entry.to_string().contains(&new) && !entry.to_string().contains(&old), "{entry}");
    drop(server);

    let mut beside = std::fs::read_dir(place.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let previous = beside.find(|path| path.to_string_lossy().contains("data.key.previous-")).unwrap();
    assert_eq!(read(&previous), old);
    let mut command = serve(&place.data());
    command.arg("--key-file").arg(&previous);
    let refused = Program::start(command).ended();
    assert!(refused.stderr.contains("give idstream the key that it had before"), "{refused:?}");
}

#[test]
fn a_key_from_the_environment_is_replaced_by_giving_both_for_a_while() {
    let (old, new) = ("07".repeat(32), "08".repeat(32));
    let both = format!("{new} {old}");
    let place = Place::new(&variable(&old));
    let alone = place.key(&["rotate"], &variable(&old));
    assert!(
        alone.stderr.contains("cannot put a new key into IDSTREAM_MASTER_KEY: put one before the old one"),
        "{alone:?}"
    );
    // A server runs with both as well, at any time before and after.
    drop(place.delivers(&variable(&both)));
    let rotated = place.key(&["rotate"], &variable(&both));
    assert!(
        rotated.status.success() && rotated.stdout.contains("leave it alone in IDSTREAM_MASTER_KEY"),
        "{rotated:?}"
    );
    drop(place.delivers(&variable(&both)));
    drop(place.delivers(&variable(&new)));
    let again = place.key(&["rotate"], &variable(&both));
    assert!(again.status.success() && !again.stdout.contains("sealed anew"), "{again:?}");
}

#[test]
fn a_rotation_is_not_left_in_the_middle_because_nobody_reads_what_it_says() {
    let place = Place::new(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = idstream(&["key", "rotate", "--data"]);
    assert!(command.arg(place.data()).stdout(writer).status().unwrap().success());
    assert_eq!(read(&place.key_file()).lines().count(), 1);
    let shown = place.key(&["show"], &[]);
    assert!(shown.stdout.contains("seals and opens, 2 credentials"), "{shown:?}");
    assert_eq!(shown.stdout.lines().count(), 2, "{shown:?}");
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 3, "data, key and old key");
}

#[test]
fn a_key_is_not_replaced_while_a_server_runs_or_where_no_catalog_is() {
    let place = Place::new(&[]);
    let old = read(&place.key_file());
    let (server, _) = place.start(&[]);
    let refused = place.key(&["rotate"], &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("a server is running on") && refused.stderr.contains("stop it"),
        "{refused:?}"
    );
    let shown = place.key(&["show"], &[]);
    assert!(shown.status.success(), "looking is free: {shown:?}");
    assert_eq!(read(&place.key_file()), old);
    drop(server);

    let empty = tempfile::tempdir().unwrap();
    let mut command = idstream(&["key", "rotate"]);
    command.current_dir(empty.path());
    let refused = Program::start(command).ended();
    assert!(refused.stderr.contains("there is no catalog in idstream-data"), "{refused:?}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn credentials_that_need_a_key_that_is_gone_are_told_about_at_the_start() {
    let (old, new) = ("07".repeat(32), "08".repeat(32));
    let place = Place::new(&variable(&old));
    let both = format!("{new} {old}");
    // Sealed with the new key, but not rotated: the server still asks for the old one.
    let (server, address) = place.start(&variable(&both));
    server.tells("idstream key rotate seals everything with the first");
    Catcher::open().is_destination_of(&address, &place.token(), "another");
    drop(server);
    let (server, _) = place.start(&variable(&old));
    let told = server.tells("some credentials are sealed with keys that are not here");
    assert!(told.contains("credentials=1"), "{told}");
    drop(server);
    let shown = place.key(&["show"], &variable(&old));
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    assert!(shown.stdout.contains("is not here, 1 credential that cannot be opened"), "{shown:?}");
    assert!(shown.stderr.contains("give idstream the keys that are missing"), "{shown:?}");
}
