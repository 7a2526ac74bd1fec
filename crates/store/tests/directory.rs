//! Domains, accounts, aliases, app passwords, mailboxes' names.

mod support;

use support::Checked;
use waxwing_store::*;

fn local(resolution: Resolution) -> (Vec<String>, Vec<String>) {
    match resolution {
        Resolution::Local { accounts, remote } => (
            accounts
                .into_iter()
                .map(|a| {
                    a.detail
                        .map_or(a.address.clone(), |d| format!("{}+{d}", a.address))
                })
                .collect(),
            remote,
        ),
        other => panic!("{other:?}"),
    }
}

fn alias(store: &Store, address: &str, targets: &[&str]) -> Result<AliasId> {
    let (address, targets): (String, Vec<String>) = (
        address.into(),
        targets.iter().map(|t| (*t).into()).collect(),
    );
    store.write(move |tx| tx.set_alias(&address, &targets))
}

#[test]
fn addresses_resolve_in_order_and_without_loops() {
    let store = Checked::new();
    store.account("bob@example.test");
    store.account("carol@example.test");
    let resolve = |address: &str| store.read(|s| s.resolve(address)).unwrap();
    assert_eq!(resolve("x@elsewhere.org"), Resolution::Remote);
    assert_eq!(resolve("nobody@example.test"), Resolution::Unknown);
    assert_eq!(resolve("not an address"), Resolution::Unknown);
    assert_eq!(local(resolve("BOB@Example.Test")).0, ["bob@example.test"]);
    assert_eq!(
        local(resolve("bob+lists@example.test")).0,
        ["bob@example.test+lists"]
    );
    alias(
        &store,
        "team@example.test",
        &[
            "bob@example.test",
            "carol+t@example.test",
            "Out@Elsewhere.org",
            "loop@example.test",
        ],
    )
    .unwrap();
    alias(
        &store,
        "loop@example.test",
        &["team@example.test", "bob@example.test", "gone@example.test"],
    )
    .unwrap();
    let (accounts, remote) = local(resolve("Team+x@example.test"));
    assert_eq!(accounts, ["bob@example.test+x", "carol@example.test+t"]);
    assert_eq!(remote, ["Out@elsewhere.org"]);
    alias(&store, "@example.test", &["carol@example.test"]).unwrap();
    assert_eq!(
        local(resolve("nobody@example.test")).0,
        ["carol@example.test"]
    );
    assert_eq!(local(resolve("bob@example.test")).0, ["bob@example.test"]);
    // Only a loop: nobody.
    store.write(|tx| tx.remove_alias("@example.test")).unwrap();
    alias(&store, "a@example.test", &["b@example.test"]).unwrap();
    alias(&store, "b@example.test", &["a@example.test"]).unwrap();
    assert_eq!(resolve("a@example.test"), Resolution::Unknown);
}

#[test]
fn long_chains_and_wide_aliases_fail_instead_of_losing_recipients() {
    let store = Checked::new();
    store.account("bob@example.test");
    for n in 0..11 {
        alias(
            &store,
            &format!("c{n}@example.test"),
            &[&format!("c{}@example.test", n + 1)],
        )
        .unwrap();
    }
    assert_eq!(
        store.read(|s| s.resolve("c0@example.test")),
        Err(Error::Limit("aliases behind one another"))
    );
    let many: Vec<String> = (0..1_001).map(|n| format!("u{n}@elsewhere.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        alias(&store, "many@example.test", &many),
        Err(Error::Limit("targets of an alias"))
    );
}

#[test]
fn names_are_unique_over_accounts_and_aliases() {
    let store = Checked::new();
    store.account("bob@example.test");
    assert_eq!(
        alias(&store, "Bob@example.test", &["x@y.org"]),
        Err(Error::Exists("account"))
    );
    alias(&store, "all@example.test", &["x@y.org"]).unwrap();
    assert_eq!(
        store.write(|tx| tx.add_account("ALL@example.test", None, None)),
        Err(Error::Exists("alias"))
    );
    assert_eq!(
        store.write(|tx| tx.add_account("bob@EXAMPLE.test", None, None)),
        Err(Error::Exists("account"))
    );
    assert_eq!(
        store.write(|tx| tx.add_account("bob@other.test", None, None)),
        Err(Error::NotFound("domain"))
    );
    assert!(matches!(
        store.write(|tx| tx.remove_domain("example.test")),
        Err(Error::Conflict(_))
    ));
}

#[test]
fn credentials_and_app_passwords() {
    let store = Checked::new();
    let bob = store.account("bob@example.test");
    assert!(
        store
            .read(|s| s.credentials("bob@example.test"))
            .unwrap()
            .unwrap()
            .secret
            .is_none()
    );
    let scram = ScramKeys {
        salt: vec![1, 2],
        iterations: 4096,
        stored_key: vec![3; 32],
        server_key: vec![4; 32],
    };
    let secret = Secret {
        argon2: "$argon2id$x".into(),
        scram: Some(scram),
    };
    let kept = secret.clone();
    store
        .write(move |tx| tx.set_secret(bob, Some(&secret)))
        .unwrap();
    store
        .write(move |tx| tx.add_app_password(bob, "phone", &[7; 32]))
        .unwrap();
    assert_eq!(
        store.write(move |tx| tx.add_app_password(bob, "phone", &[8; 32])),
        Err(Error::Exists("app password"))
    );
    let found = store
        .read(|s| s.credentials("BOB@example.test"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            found.secret.as_ref(),
            found.has_app_passwords,
            found.disabled
        ),
        (Some(&kept), true, false)
    );
    assert!(
        !format!("{found:?}").contains("argon2id"),
        "secrets stay out of logs"
    );
    let app = store
        .read(|s| s.app_password(bob, &[7; 32]))
        .unwrap()
        .unwrap();
    assert!(
        store
            .read(|s| s.app_password(bob, &[9; 32]))
            .unwrap()
            .is_none()
    );
    store
        .write(move |tx| tx.touch_app_password(bob, app.id))
        .unwrap();
    assert!(
        store.read(|s| s.app_passwords(bob)).unwrap()[0]
            .last_used
            .is_some()
    );
    store
        .write(move |tx| tx.remove_app_password(bob, "phone"))
        .unwrap();
    store.write(move |tx| tx.set_disabled(bob, true)).unwrap();
    assert!(
        store
            .read(|s| s.credentials("bob@example.test"))
            .unwrap()
            .unwrap()
            .disabled
    );
}

#[test]
fn a_removed_account_leaves_nothing_behind() {
    let store = Checked::new();
    let (bob, carol) = (
        store.account("bob@example.test"),
        store.account("carol@example.test"),
    );
    store.send(&[bob, carol], &support::message(1));
    let view = store.view(bob, store.inbox(bob)).unwrap();
    store.write(move |tx| tx.remove_account(bob)).unwrap();
    assert!(view.snapshot().gone());
    assert_eq!(
        store.octets(carol, store.inbox(carol), 1),
        support::message(1)
    );
    let again = store.account("bob@example.test");
    assert!(again != bob);
    assert_eq!(store.read(|s| s.maildrop(again)).unwrap().messages.len(), 0);
}

#[test]
fn mailbox_names_are_checked_and_normalised() {
    let store = Checked::new();
    let bob = store.account("bob@example.test");
    let create = |name: &str| {
        let name = name.to_owned();
        store.write(move |tx| tx.create_mailbox(bob, &name, None))
    };
    assert_eq!(create("inbox").unwrap_err(), Error::Exists("mailbox"));
    assert_eq!(create("iNbOx/Sub").unwrap().name, "INBOX/Sub");
    assert_eq!(create("Projects/2024/").unwrap().name, "Projects/2024");
    assert!(
        store
            .read(|s| s.mailbox(bob, "Projects"))
            .unwrap()
            .is_some()
    );
    assert_eq!(create("u\u{308}ber").unwrap().name, "\u{fc}ber");
    for wrong in ["", "/", "a//b", "/a", "a*", "a%b", "a\u{0}b", "a\nb"] {
        assert!(matches!(create(wrong), Err(Error::Invalid(_))), "{wrong:?}");
    }
    assert!(matches!(create(&"x".repeat(1_001)), Err(Error::Limit(_))));
    let drafts =
        store.write(move |tx| tx.create_mailbox(bob, "More drafts", Some(SpecialUse::Drafts)));
    assert!(matches!(drafts, Err(Error::Conflict(_))));
}

#[test]
fn the_list_of_mailboxes_is_told() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    #[derive(Default)]
    struct Count(AtomicU32);
    impl Notify for Count {
        fn notify(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let store = Checked::new();
    let (bob, carol) = (
        store.account("bob@example.test"),
        store.account("carol@example.test"),
    );
    let count = Arc::new(Count::default());
    let subscription = store.subscribe_account(bob, count.clone());
    // Notices come before the answer: what follows it, on another connection too, finds that who watches knows.
    let settled = || count.0.load(Ordering::Relaxed);
    store
        .write(move |tx| tx.create_mailbox(bob, "x", None))
        .unwrap();
    store
        .write(move |tx| tx.create_mailbox(carol, "x", None))
        .unwrap();
    assert_eq!(settled(), 1);
    store.send(&[bob], b"x");
    assert_eq!(settled(), 1);
    store
        .write(move |tx| tx.rename_mailbox(bob, "x", "y"))
        .unwrap();
    assert_eq!(settled(), 2);
    drop(subscription);
    store.write(move |tx| tx.delete_mailbox(bob, "y")).unwrap();
    assert_eq!(settled(), 2);
    let view = store.view(bob, store.inbox(bob)).unwrap();
    let _subscription = view.subscribe(count.clone());
    store.send(&[bob, carol, bob], b"x");
    assert_eq!(settled(), 3);
}
