//! What the server says when it cannot start: what, which one, why, and what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::{Ended, Program, idstream, serve};

/// Starts `serve` in `directory` on the data directory `data`; it must not start.
fn refused(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = idstream(&["serve"]);
    command.current_dir(directory).args(arguments).env("IDSTREAM__SERVER__LISTEN", "127.0.0.1:0");
    command.envs(environment.iter().copied());
    let ended = Program::start(command).ended();
    assert!(matches!(ended.status.code(), Some(1 | 2)), "{arguments:?} {environment:?}: {ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().map(|line| line.trim_start_matches("  because: ")).collect();
    let repeated = lines.windows(2).any(|pair| pair[0].ends_with(pair[1]) && !pair[1].is_empty());
    assert!(!repeated, "it says the same twice: {ended:?}");
    ended
}

/// Starts the server and ends it again.
fn start_once(directory: &Path, data: &str) {
    let server = Program::start(serve(&directory.join(data)));
    server.answers("listening on http://");
    server.signal("TERM");
    assert_eq!(server.ended().status.code(), Some(0));
}

#[test]
fn unfit_settings_are_named_with_where_they_stand_and_what_would_fit() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("broken.toml", "x = [");
    write("unknown.toml", "[server]\nlissten = \"x\"\n");
    write("unfit.toml", "[intake]\nmax_body = \"8 MiBs\"\n");
    std::fs::create_dir(directory.path().join("folder.toml")).unwrap();
    let config = |name: &'static str| vec!["--config", name];
    for (arguments, environment, expected) in [
        (config("nowhere.toml"), None, &["settings: cannot read nowhere.toml: No such file", "--config"][..]),
        (config("folder.toml"), None, &["settings: cannot read folder.toml: Is a directory"]),
        (config("broken.toml"), None, &["settings: ", "line 1, column 6", "broken.toml"]),
        (config("unknown.toml"), None, &["`lissten`", "`listen`", "`server`", "--print-settings"]),
        (config("unfit.toml"), None, &["64 KiB", "`intake.max_body`"]),
        (vec![], Some(("IDSTREAM__SERVER__LISTEN", "7600")), &["such as 127.0.0.1:7600", "`server.listen`"]),
        (
            vec!["--listen", "localhost:7600"],
            None,
            &["--listen", "an IP address and a port, such as 127.0.0.1:7600"],
        ),
        (
            vec!["--public-url", "idstream.example.com"],
            None,
            &["--public-url", "such as https://idstream.example.com"],
        ),
        (
            vec![],
            Some(("IDSTREAM__INSTANCE__PUBLIC_URL", "ftp://x")),
            &["instance.public_url", "http:// or https://"],
        ),
        (vec![], Some(("IDSTREAM__LOG__LEVEL", "loud")), &["log.level", "\"loud\"", "info"]),
        (
            vec![],
            Some(("IDSTREAM__SERVER__MAX_CONNECTIONS", "x")),
            &["`server.max_connections`", "environment"],
        ),
    ] {
        let ended = refused(directory.path(), &arguments, environment.as_slice());
        for part in expected {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
    let made: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made.len(), 4, "nothing is made before the settings are known to fit: {made:?}");
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let why = "it, or a part of its path, is not a directory";
    for data in ["file", "file/below"] {
        let ended = refused(directory.path(), &["--data", data], &[]);
        let expected = format!("cannot use the data directory {data}: {why}");
        assert!(ended.stderr.contains(&expected) && ended.stderr.contains("--data"), "{ended:?}");
    }
    let running = Program::start(serve(&directory.path().join("data")));
    running.answers("listening on http://");
    let ended = refused(directory.path(), &["--data", "data"], &[]);
    assert!(
        ended.stderr.contains("cannot open the journal in data/journal: another process has"),
        "{ended:?}"
    );
}

#[test]
fn a_data_directory_that_others_may_look_into_is_told_about_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mode = || std::fs::metadata(&data).unwrap().permissions().mode() & 0o777;
    start_once(directory.path(), "data");
    assert_eq!(mode(), 0o700);
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Program::start(serve(&data));
    let told = server.tells("other users of this machine");
    assert!(told.contains("0755") && told.contains("chmod 700"), "{told}");
    assert_eq!(mode(), 0o755);
}

#[test]
fn a_master_key_that_does_not_fit_is_named_with_where_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    start_once(directory.path(), "data");
    let key = directory.path().join("data.key");
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    std::fs::write(directory.path().join("other.key"), other).unwrap();
    std::fs::write(directory.path().join("short.key"), "short").unwrap();
    let data = &["--data", "data"][..];
    for (arguments, environment, expected) in [
        (&["--key-file", "other.key"][..], None, &["the master key in other.key", "it had before"][..]),
        (&["--key-file", "short.key"], None, &["the master key in short.key", "32 bytes in base64"]),
        (&["--key-file", "nowhere"], None, &["nowhere", "No such file", "the key with the id "]),
        (
            &[],
            Some(("IDSTREAM_MASTER_KEY", other)),
            &["the master key in IDSTREAM_MASTER_KEY", "it had before"],
        ),
        (&[], Some(("IDSTREAM_MASTER_KEY", "short")), &["in IDSTREAM_MASTER_KEY", "32 bytes in base64"]),
    ] {
        let ended = refused(directory.path(), &[data, arguments].concat(), environment.as_slice());
        for part in expected {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
    // Lost: another one would be of no use, and would look as if it were the right one.
    std::fs::remove_file(&key).unwrap();
    let ended = refused(directory.path(), data, &[]);
    assert!(
        ended.stderr.contains("data.key is missing")
            && ended.stderr.contains("the key with the id ")
            && ended.stderr.contains("put it back"),
        "{ended:?}"
    );
    assert!(!key.exists());
}

#[test]
fn diagnostics_in_a_file_hold_no_colours() {
    let directory = tempfile::tempdir().unwrap();
    let server = Program::start(serve(&directory.path().join("data")));
    let told = server.tells("a master key was generated");
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn the_administrators_token_is_named_as_long_as_its_file_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for _ in 0..2 {
        let server = Program::start(serve(&data));
        assert!(server.answers("the administrator's token is in ").ends_with("data/admin-token"));
    }
    std::fs::remove_file(data.join("admin-token")).unwrap();
    let server = Program::start(serve(&data));
    server.answers("listening on http://");
    server.signal("TERM");
    assert_eq!(server.ended().stdout, "");
}
