//! Logins against a store: every mechanism, the memory of passwords, unknown users.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use store::{Options, Store};
use wire::sasl::{ChannelBinding, client, nonce};

use super::*;

const ALICE: &str = "alice@example.test";

struct Fixture {
    auth: Auth,
    store: Store,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let secrets: Vec<_> = ["secret", "secret"]
        .map(|text| password::seal(&Secret::from(text)).unwrap())
        .into();
    store
        .write(move |tx| {
            tx.add_domain("example.test")?;
            tx.add_account(ALICE, secrets.first(), None)?;
            tx.add_account("bob@example.test", secrets.last(), None)?;
            tx.add_account("app@example.test", None, None).map(drop)
        })
        .unwrap();
    let options = AuthOptions {
        failures_per_minute: 0,
        ..AuthOptions::default()
    };
    let auth = Auth::new(Db::new(store.clone()), options).unwrap();
    Fixture {
        auth,
        store,
        _folder: folder,
    }
}

fn peer(ip: &str) -> Peer {
    Peer::tcp(SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 1), None)
}

fn tls() -> TlsInfo {
    TlsInfo {
        version: "TLSv1.3",
        cipher: String::new(),
        exporter: Some([9; 32]),
        server_name: None,
        client: Vec::new(),
    }
}

impl Fixture {
    async fn login(&self, ip: &str, user: &str, password: &str) -> Result<Identity, Refusal> {
        let peer = peer(ip);
        self.auth
            .login(
                Origin {
                    peer: &peer,
                    service: Service::Imap,
                },
                user,
                &Secret::from(password),
            )
            .await
    }

    /// A whole exchange with our own client; `seen` is the exporter value that the client sees.
    async fn sasl(
        &self,
        mechanism: Mechanism,
        user: &str,
        password: &str,
        seen: [u8; 32],
    ) -> Result<Identity, Refusal> {
        let (peer, tls) = (peer("192.0.2.1"), tls());
        let origin = Origin {
            peer: &peer,
            service: Service::Submission,
        };
        let credentials = client::Credentials {
            authzid: None,
            user: user.to_owned(),
            password: Secret::from(password),
        };
        let binding = ChannelBinding {
            tls_exporter: Some(seen),
            plus_advertised: true,
        };
        let mut client = client::Exchange::new(mechanism, credentials, binding, nonce(random()));
        let mut server = Exchange::new(mechanism, Some(&tls));
        let initial = client.initial().unwrap();
        let mut outcome = server.start(&self.auth, origin, initial.as_deref()).await;
        loop {
            match outcome {
                Outcome::Done(identity) => {
                    client.finish().expect("the server proved itself");
                    return Ok(identity);
                }
                Outcome::Failed(refusal) => return Err(refusal),
                Outcome::Challenge(challenge) => {
                    let response = client.step(&challenge).unwrap();
                    outcome = server.step(&self.auth, origin, &response).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn every_mechanism_lets_the_right_one_in_and_no_other() {
    let fixture = fixture();
    for mechanism in Mechanism::PASSWORD {
        let identity = fixture
            .sasl(mechanism, ALICE, "secret", [9; 32])
            .await
            .unwrap();
        assert_eq!(identity.address, ALICE);
        let name = mechanism.name();
        assert_eq!(
            fixture.sasl(mechanism, ALICE, "Secret", [9; 32]).await,
            Err(Refusal::Wrong),
            "{name}"
        );
        assert_eq!(
            fixture
                .sasl(mechanism, "no@example.test", "secret", [9; 32])
                .await,
            Err(Refusal::Wrong),
            "{name}"
        );
        assert_eq!(
            fixture
                .sasl(mechanism, "app@example.test", "secret", [9; 32])
                .await,
            Err(Refusal::Wrong),
            "{name}"
        );
    }
    let between = fixture
        .sasl(Mechanism::ScramSha256Plus, ALICE, "secret", [8; 32])
        .await;
    assert_eq!(between, Err(Refusal::Wrong), "somebody stands in between");
}

#[tokio::test]
async fn the_tenth_connection_costs_no_hashing_and_a_new_password_counts_at_once() {
    let fixture = fixture();
    fixture.login("192.0.2.1", ALICE, "secret").await.unwrap();
    fixture.auth.hasher.close();
    for _ in 0..9 {
        fixture.login("192.0.2.1", ALICE, "secret").await.unwrap();
    }
    assert_eq!(
        fixture
            .login("192.0.2.1", "bob@example.test", "secret")
            .await,
        Err(Refusal::Wrong),
        "same password"
    );
    assert_eq!(
        fixture.login("192.0.2.1", ALICE, "other").await,
        Err(Refusal::Wrong)
    );
    let secret = password::seal(&Secret::from("changed")).unwrap();
    let change = move |tx: &mut store::Tx<'_>| {
        let account = tx
            .account(ALICE)?
            .ok_or(store::Error::NotFound("account"))?;
        tx.set_secret(account.id, Some(&secret))
    };
    fixture.store.write(change).unwrap();
    assert_eq!(
        fixture.login("192.0.2.1", ALICE, "secret").await,
        Err(Refusal::Wrong),
        "the old one is forgotten"
    );
}

#[tokio::test]
async fn disabled_accounts_stay_out_by_every_way() {
    let fixture = fixture();
    let app = password::new_app_password();
    let hash = password::app_password_hash(&app);
    let add = move |tx: &mut store::Tx<'_>| {
        let account = tx
            .account(ALICE)?
            .ok_or(store::Error::NotFound("account"))?;
        tx.add_app_password(account.id, "phone", &hash).map(drop)
    };
    fixture.store.write(add).unwrap();
    fixture.login("192.0.2.1", ALICE, "secret").await.unwrap();
    fixture
        .login("192.0.2.1", ALICE, app.expose())
        .await
        .unwrap();
    let disable = |tx: &mut store::Tx<'_>| {
        let account = tx
            .account(ALICE)?
            .ok_or(store::Error::NotFound("account"))?;
        tx.set_disabled(account.id, true)
    };
    fixture.store.write(disable).unwrap();
    assert_eq!(
        fixture.login("192.0.2.1", ALICE, "secret").await,
        Err(Refusal::Wrong)
    );
    assert_eq!(
        fixture.login("192.0.2.1", ALICE, app.expose()).await,
        Err(Refusal::Wrong)
    );
    for mechanism in Mechanism::PASSWORD {
        assert_eq!(
            fixture.sasl(mechanism, ALICE, "secret", [9; 32]).await,
            Err(Refusal::Wrong)
        );
    }
}

/// Attack A43: the salt of an unknown user must look like a real one, which is the same each time.
#[tokio::test]
async fn unknown_users_have_a_salt_that_stays_over_restarts() {
    let fixture = fixture();
    let first = async |auth: &Auth, user: &str| {
        let peer = peer("192.0.2.1");
        let mut exchange = Exchange::new(Mechanism::ScramSha256, None);
        let message = format!("n,,n={user},r=abcdefghijklmnopqrstuvwx");
        let origin = Origin {
            peer: &peer,
            service: Service::Imap,
        };
        match exchange.start(auth, origin, Some(message.as_bytes())).await {
            Outcome::Challenge(challenge) => {
                let text = String::from_utf8(challenge).unwrap();
                text.split(',')
                    .skip(1)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let unknown = first(&fixture.auth, "no@example.test").await;
    let known = first(&fixture.auth, ALICE).await;
    assert_eq!(unknown[1], known[1], "the same number of rounds");
    assert_eq!(unknown[0].len(), known[0].len());
    assert_ne!(first(&fixture.auth, "nn@example.test").await[0], unknown[0]);
    let again = Auth::new(Db::new(fixture.store.clone()), AuthOptions::default()).unwrap();
    assert_eq!(first(&again, "no@example.test").await, unknown);
}

/// Attack A43: an account without a password is refused like one that is not there, whatever is tried.
#[tokio::test]
async fn a43_no_password_and_no_account_are_refused_alike() {
    let fixture = fixture();
    let long = "x".repeat(1 << 20);
    for user in [
        "app@example.test",
        "nobody@example.test",
        ALICE,
        long.as_str(),
    ] {
        for password in ["", "guess", "\0", "$argon2id$v=19$m=8,t=1,p=1$", &long] {
            let refused = fixture.login("192.0.2.1", user, password).await;
            assert_eq!(refused, Err(Refusal::Wrong));
        }
        for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
            if user.len() < 1000 {
                let refused = fixture.sasl(mechanism, user, "guess", [9; 32]).await;
                assert_eq!(refused, Err(Refusal::Wrong), "{user} {mechanism:?}");
            }
        }
    }
}

/// Attack A42: whoever goes from address to address of one /64 is one guesser, and his neighbours are others.
#[tokio::test(start_paused = true)]
async fn a42_a_network_is_one_guesser() {
    let fixture = fixture();
    fixture.auth.set_options(AuthOptions {
        failures_per_minute: 3,
        ..AuthOptions::default()
    });
    let mut throttled = 0;
    for n in 1..=12 {
        let ip = format!("2001:db8:1:2::{n:x}");
        let refused = fixture.login(&ip, ALICE, "guess").await.unwrap_err();
        throttled += usize::from(refused == Refusal::Throttled);
    }
    assert!(throttled >= 3, "{throttled} of 12");
    // The right password is of no use there, and works next door.
    let here = loop {
        let tried = fixture.login("2001:db8:1:2:ffff::1", ALICE, "guess").await;
        if tried == Err(Refusal::Throttled) {
            break fixture.login("2001:db8:1:2:ffff::2", ALICE, "secret").await;
        }
    };
    assert_eq!(here, Err(Refusal::Throttled));
    fixture
        .login("2001:db8:1:3::1", ALICE, "secret")
        .await
        .unwrap();
}

/// Attack A42: the allowance is shared by all services of a network, and the owner's known place stays open.
#[tokio::test(start_paused = true)]
async fn guesses_are_counted_over_services() {
    let fixture = fixture();
    fixture.auth.set_options(AuthOptions {
        failures_per_minute: 3,
        ..AuthOptions::default()
    });
    fixture
        .login("198.51.100.7", ALICE, "secret")
        .await
        .unwrap();
    let peer = Arc::new(peer("192.0.2.1"));
    let mut refused = Vec::new();
    for service in [
        Service::Imap,
        Service::Pop3s,
        Service::Submission,
        Service::Imaps,
    ] {
        // The clock stands still unless somebody waits: undo what the delays refill by guessing in vain more often.
        let guess = Secret::from("guess");
        for _ in 0..3 {
            refused.push(
                fixture
                    .auth
                    .login(
                        Origin {
                            peer: &peer,
                            service,
                        },
                        ALICE,
                        &guess,
                    )
                    .await
                    .unwrap_err(),
            );
        }
    }
    assert_eq!(refused.first(), Some(&Refusal::Wrong));
    assert!(refused.contains(&Refusal::Throttled), "{refused:?}");
    fixture
        .login("198.51.100.7", ALICE, "secret")
        .await
        .unwrap();
}

#[tokio::test]
async fn cleartext_is_for_tls_and_exempted_loopback() {
    let fixture = fixture();
    let (near, far) = (peer("127.0.0.1"), peer("192.0.2.1"));
    assert!(fixture.auth.mechanisms(&near, None).is_empty());
    fixture.auth.set_options(AuthOptions {
        cleartext_on_loopback: true,
        ..AuthOptions::default()
    });
    assert_eq!(
        fixture.auth.mechanisms(&near, None),
        [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login],
        "no channel to bind to"
    );
    assert!(fixture.auth.mechanisms(&far, None).is_empty());
    assert_eq!(
        fixture.auth.mechanisms(&far, Some(&tls())),
        Mechanism::PASSWORD
    );
}

/// EXTERNAL: one account among the names of the certificate, or the one that is asked for; nobody else's.
#[tokio::test]
async fn certificates_let_in_whom_they_name() {
    let fixture = fixture();
    let peer = peer("192.0.2.1");
    let origin = Origin {
        peer: &peer,
        service: Service::Imaps,
    };
    let table: [(&[&str], &[u8], Option<&str>); 8] = [
        (&[ALICE], b"", Some(ALICE)),
        (&["nobody@example.test", ALICE], b"", Some(ALICE)),
        (&[ALICE, "bob@example.test"], b"", None),
        (
            &[ALICE, "bob@example.test"],
            b"Bob@example.test",
            Some("bob@example.test"),
        ),
        (&[ALICE], b"bob@example.test", None),
        (&["nobody@example.test"], b"", None),
        (&[], b"", None),
        (&[], ALICE.as_bytes(), None),
    ];
    for (names, wanted, expected) in table {
        let tls = TlsInfo {
            client: names.iter().map(|name| (*name).to_owned()).collect(),
            ..tls()
        };
        let offered = fixture.auth.mechanisms(&peer, Some(&tls));
        assert_eq!(offered.contains(&Mechanism::External), !names.is_empty());
        let mut exchange = Exchange::new(Mechanism::External, Some(&tls));
        let outcome = exchange.start(&fixture.auth, origin, Some(wanted)).await;
        let address = match outcome {
            Outcome::Done(identity) => Some(identity.address),
            Outcome::Failed(Refusal::Wrong) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(address.as_deref(), expected, "{names:?}");
    }
}
