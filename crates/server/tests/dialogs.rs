//! Every file under `tests/dialogs/`, three ways, against the built binary.

use std::path::Path;
use testkit::dialog::run_folder;

fn folder(protocol: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogs");
    run_folder(&root.join(protocol));
}

#[test]
fn smtp() {
    folder("smtp");
}

#[test]
fn submission() {
    folder("submission");
}

#[test]
fn lmtp() {
    folder("lmtp");
}

#[test]
fn imap() {
    folder("imap");
}

#[test]
fn pop3() {
    folder("pop3");
}
