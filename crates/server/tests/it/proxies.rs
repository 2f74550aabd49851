//! Behind proxies: who is said to have made a change, and who may connect at all.

use crate::catcher::Catcher;
use crate::program::{Program, call_with, idstream, serve};

const FORWARDED: &str = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n";

/// The address in the audit log of an API client that is made by a request with these lines in its head.
fn told_address(environment: &[(&str, &str)], head: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = serve(&directory.path().join("data"));
    command.envs(environment.iter().copied());
    let server = Program::start(command);
    let address = server.answers("listening on http://");
    let token = std::fs::read_to_string(directory.path().join("data/admin-token")).unwrap();
    let catcher = Catcher::open();
    catcher.is_destination_of(&address, token.trim(), "x");
    let client = r#"{"name": "made through a proxy", "scopes": ["write:event"]}"#;
    let path = "/admin/api/v1/instance/apiClients";
    let (status, made) = call_with(&address, "POST", path, token.trim(), head, client);
    assert_eq!(status, 201, "{made}");
    let entry = catcher.catches(|document| document["name"] == "made through a proxy").value;
    entry["actor"]["ip"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_audit_log_has_the_address_that_a_trusted_proxy_tells_and_no_other() {
    let trusted = ("IDSTREAM__SERVER__TRUSTED_PROXIES", "127.0.0.1,::1");
    assert_eq!(told_address(&[trusted], FORWARDED), "203.0.113.9");
    assert_eq!(told_address(&[trusted], "X-Forwarded-For: 203.0.113.9, _hidden\r\n"), "127.0.0.1");
    assert_eq!(told_address(&[], FORWARDED), "127.0.0.1", "nobody is trusted");
    let header = ("IDSTREAM__SERVER__FORWARDED_HEADER", "Forwarded");
    let both = format!("{FORWARDED}Forwarded: for=\"[2001:db8::7]:1\";proto=https\r\n");
    assert_eq!(told_address(&[trusted, header], &both), "2001:db8::7");
}

#[test]
fn beyond_loopback_a_server_without_protection_does_not_start_and_says_what_would_do() {
    let refused = |arguments: &[&str], environment: &[(&str, &str)]| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = idstream(&["serve", "--listen", "0.0.0.0:0"]);
        command.current_dir(directory.path()).args(arguments).envs(environment.iter().copied());
        let ended = Program::start(command).ended();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        ended.stderr
    };
    let told = refused(&["--public-url", "https://ids.example.com"], &[]);
    for way in ["tls.cert and tls.key", "server.trusted_proxies", "server.allow_plaintext = true"] {
        assert!(told.contains(way), "{told}");
    }
    let trusted = ("IDSTREAM__SERVER__TRUSTED_PROXIES", "10.0.0.0/8");
    assert!(refused(&[], &[trusted]).contains("instance.public_url"));
    let unfit = ("IDSTREAM__SERVER__TRUSTED_PROXIES", "proxy.example.com");
    let told = refused(&[], &[unfit]);
    assert!(told.contains("proxy.example.com") && told.contains("such as 10.0.0.0/8"), "{told}");
    let unfit = ("IDSTREAM__SERVER__FORWARDED_HEADER", "X-Real-IP");
    let told = refused(&[], &[unfit]);
    assert!(told.contains("X-Forwarded-For") && told.contains("forwarded_header"), "{told}");
}
