//! The dialogs that are not ours to choose, held with other servers.
//!
//! Without `ORACLE=1` nothing is started: `make test-oracle` sets it.

use std::path::{Path, PathBuf};
use testkit::Server;
use testkit::oracle::explain::Differences;
use testkit::oracle::{Summary, Target, ask, dovecot, given};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn wanted() -> bool {
    let wanted = std::env::var("ORACLE").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("skipped: ORACLE=1 asks for other servers");
    }
    wanted
}

fn compare(name: &str, target: &dyn Target, differences: &Differences) -> Summary {
    let dialogs = tests().join("dialogs");
    let (imap, pop3) = (dialogs.join("imap"), dialogs.join("pop3"));
    let summary = ask(target, &[&imap, &pop3], differences);
    eprintln!("{name}: {summary}");
    assert!(
        summary.failures.is_empty(),
        "{} unexplained:\n\n{}",
        summary.failures.len(),
        summary.failures.join("\n")
    );
    summary
}

/// What the dialogs say of the built server is what this judge finds, too.
#[test]
fn ourselves() {
    if wanted() {
        let server = Server::start().expect("start");
        let summary = compare("Waxwing", &server, &Differences::default());
        assert_eq!(summary.lacking, 0, "a dialog needs what is not announced");
    }
}

#[test]
fn dovecot_agrees_or_is_explained() {
    if !wanted() {
        return;
    }
    if let Some(missing) = dovecot::missing() {
        panic!("there is no Dovecot here: {missing}");
    }
    let file = tests().join("oracle/dovecot.toml");
    let differences = Differences::read(&file).expect("differences");
    let server = dovecot::Dovecot::start().expect("start");
    let compared = std::panic::catch_unwind(|| compare("Dovecot", &server, &differences));
    if let Err(failed) = compared {
        let log = server.log();
        let errors = log
            .lines()
            .filter(|l| l.contains("Error") || l.contains("Panic"));
        errors.for_each(|line| eprintln!("{line}"));
        std::panic::resume_unwind(failed);
    }
}

/// `ORACLE_IMAP=127.0.0.1:143 DIALOG=objectid`: what another server says, to be looked at. Nothing is asserted.
#[test]
fn another_server() {
    let Ok(address) = std::env::var("ORACLE_IMAP") else {
        eprintln!("skipped: ORACLE_IMAP names a server");
        return;
    };
    let given = given::Given(address.parse().expect("ORACLE_IMAP=ADDRESS:PORT"));
    let imap = tests().join("dialogs/imap");
    let summary = ask(&given, &[&imap], &Differences::default());
    eprintln!("{summary}\n\n{}", summary.failures.join("\n"));
}
