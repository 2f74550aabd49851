//! Installing templates on a cluster that no public authority vouches for.

use testkit::tls::{Authority, TlsDoor};

use crate::program::{Ended, Program, idstream};

fn install(arguments: &[&str]) -> Ended {
    Program::start(idstream(&[&["template", "opensearch", "--apply", "--url"], arguments].concat())).ended()
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_installed_on_a_cluster_of_a_private_authority() {
    let authority = Authority::new("private").unwrap();
    let cluster = receiver::Receiver::start(receiver::Options::default()).await.unwrap();
    let shown = authority.certify(&["localhost"]).unwrap();
    let door = TlsDoor::open(cluster.address(), &shown, None).await.unwrap();
    let url = format!("https://localhost:{}", door.address().port());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let file = file.to_str().unwrap();

    let untrusted = install(&[&url]);
    assert!(untrusted.stderr.contains("not trusted: name its authority's certificate"), "{untrusted:?}");
    std::fs::write(directory.path().join("none.pem"), "none").unwrap();
    let none = install(&[&url, "--ca-file", directory.path().join("none.pem").to_str().unwrap()]);
    assert!(none.stderr.contains("must be one or more certificates in PEM"), "{none:?}");
    let installed = install(&[&url, "--ca-file", file]);
    assert_eq!(installed.status.code(), Some(0), "{installed:?}");
    assert!(installed.stdout.contains("installed"), "{installed:?}");
}
