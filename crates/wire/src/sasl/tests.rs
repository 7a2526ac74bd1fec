//! Vectors of the RFCs, both sides against each other, tables of refusals, and arbitrary octets.

use super::client::Credentials;
use super::server::Step;
use super::*;
use proptest::prelude::*;

const EXPORTER: [u8; 32] = [7; 32];

fn binding(tls_exporter: Option<[u8; 32]>, plus_advertised: bool) -> ChannelBinding {
    ChannelBinding {
        tls_exporter,
        plus_advertised,
    }
}

fn server(mechanism: Mechanism, channel_binding: ChannelBinding) -> server::Exchange {
    server::Exchange::new(mechanism, channel_binding, "servernonce".to_owned())
}

fn client(
    mechanism: Mechanism,
    password: &str,
    channel_binding: ChannelBinding,
) -> client::Exchange {
    let credentials = Credentials {
        authzid: None,
        user: "j,o=e@example.org".to_owned(),
        password: password.into(),
    };
    client::Exchange::new(
        mechanism,
        credentials,
        channel_binding,
        "clientnonce".to_owned(),
    )
}

static CACHED_KEYS: std::sync::OnceLock<ScramKeys> = std::sync::OnceLock::new();

fn keys(password: &str) -> ScramKeys {
    ScramKeys::derive(password, b"salt of this user", MIN_ITERATIONS).unwrap()
}

/// Plays client against server until one of them ends it. The server's password is `pencil`.
fn play(mut client: client::Exchange, mut server: server::Exchange) -> Result<Step, Error> {
    let initial = client.initial()?;
    let mut step = server.start(initial.as_deref());
    loop {
        step = match step {
            Step::Challenge(challenge) => server.step(&client.step(&challenge)?),
            Step::NeedScramKeys { .. } => server.scram_keys(keys("pencil")),
            Step::Done { .. }
            | Step::VerifyPassword { .. }
            | Step::VerifyToken { .. }
            | Step::VerifyCertificate { .. } => {
                client.finish()?;
                return Ok(step);
            }
            Step::Failed(error) => return Err(error),
        };
    }
}

#[test]
fn rfc7677_vector() {
    let keys = ScramKeys::derive(
        "pencil",
        &crate::base64::decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(),
        4096,
    );
    let credentials = Credentials {
        authzid: None,
        user: "user".to_owned(),
        password: "pencil".into(),
    };
    let none = ChannelBinding::default();
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let mut client = client::Exchange::new(Mechanism::ScramSha256, credentials, none, nonce);
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let mut server = server::Exchange::new(Mechanism::ScramSha256, none, nonce);

    let first = client.initial().unwrap().unwrap();
    assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_eq!(
        server.step(&first),
        Step::NeedScramKeys {
            authzid: None,
            user: "user".to_owned()
        }
    );
    let server_first =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(
        server.scram_keys(keys.unwrap()),
        Step::Challenge(server_first.to_vec())
    );
    let last = client.step(server_first).unwrap();
    let expected: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(last, expected);
    let verifier = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
    assert_eq!(server.step(&last), Step::Challenge(verifier.clone()));
    assert_eq!(client.step(&verifier), Ok(Vec::new()));
    assert_eq!(
        server.step(b""),
        Step::Done {
            authzid: None,
            user: "user".to_owned()
        }
    );
    assert_eq!(client.finish(), Ok(()));
}

#[test]
fn rfc4013_examples() {
    let cases = [
        ("I\u{ad}X", Some("IX")),
        ("user", Some("user")),
        ("USER", Some("USER")),
        ("\u{aa}", Some("a")),
        ("\u{2168}", Some("IX")),
        ("\u{7}", None),
        ("\u{627}1", None),
        // Younger than Unicode 3.2; with the variation selector that B.1 takes away.
        ("\u{1f600} \u{2764}\u{fe0f}", Some("\u{1f600} \u{2764}")),
        ("", None),
    ];
    for (text, prepared) in cases {
        assert_eq!(prepare(text).as_deref(), prepared, "{text:?}");
    }
}

#[test]
fn equal_passwords_in_other_spelling_have_equal_keys() {
    assert_eq!(keys("I\u{ad}X"), keys("\u{2168}"));
    assert_ne!(keys("pencil"), keys("pencil2"));
}

#[test]
fn keys_need_rounds_salt_and_permitted_characters() {
    assert_eq!(
        ScramKeys::derive("x", b"salt", 4095),
        Err(Error::Parameters)
    );
    assert_eq!(ScramKeys::derive("x", b"", 4096), Err(Error::Parameters));
    assert_eq!(
        ScramKeys::derive("\u{7}", b"salt", 4096),
        Err(Error::Forbidden)
    );
}

#[test]
fn each_mechanism_succeeds_with_the_right_password() {
    for mechanism in Mechanism::PASSWORD {
        let bound = binding(Some(EXPORTER), true);
        let step = play(client(mechanism, "pencil", bound), server(mechanism, bound));
        let user = "j,o=e@example.org".to_owned();
        let expected = if mechanism.is_cleartext() {
            Step::VerifyPassword {
                authzid: None,
                user,
                password: "pencil".into(),
            }
        } else {
            Step::Done {
                authzid: None,
                user,
            }
        };
        assert_eq!(step, Ok(expected), "{mechanism}");
    }
}

#[test]
fn scram_fails_with_a_wrong_password() {
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let bound = binding(Some(EXPORTER), true);
        let step = play(client(mechanism, "pen", bound), server(mechanism, bound));
        assert_eq!(step, Err(Error::WrongPassword), "{mechanism}");
    }
}

#[test]
fn channel_binding_table() {
    use Error::ChannelBinding as Cb;
    let plain = Mechanism::ScramSha256;
    let plus = Mechanism::ScramSha256Plus;
    let x = Some(EXPORTER);
    let other = Some([8; 32]);
    // Mechanism, the client's view of the connection, the server's view, outcome.
    let cases = [
        (plus, (x, true), (x, true), None),
        // Both can, the server does not offer it, the client says so.
        (plain, (x, false), (x, false), None),
        // Somebody removed the offer.
        (
            plain,
            (x, false),
            (x, true),
            Some(Cb("downgrade: PLUS was offered")),
        ),
        // The client cannot.
        (plain, (None, true), (x, true), None),
        (plain, (None, false), (None, false), None),
        // Two TLS connections with somebody in between.
        (plus, (other, true), (x, true), Some(Cb("data differ"))),
        (
            plus,
            (x, true),
            (None, false),
            Some(Cb("no exporter on this connection")),
        ),
        (
            plus,
            (None, true),
            (x, true),
            Some(Cb("no exporter on this connection")),
        ),
    ];
    for (mechanism, (exporter, advertised), (server_exporter, server_advertised), error) in cases {
        let result = play(
            client(mechanism, "pencil", binding(exporter, advertised)),
            server(mechanism, binding(server_exporter, server_advertised)),
        );
        assert_eq!(
            result.err(),
            error,
            "{mechanism} {exporter:?} {advertised} {server_exporter:?}"
        );
    }
}

#[test]
fn the_flag_must_fit_the_mechanism() {
    let cases: [(Mechanism, &[u8], Error); 4] = [
        (
            Mechanism::ScramSha256,
            b"p=tls-exporter,,n=u,r=x",
            Error::ChannelBinding("flag p without PLUS"),
        ),
        (
            Mechanism::ScramSha256Plus,
            b"n,,n=u,r=x",
            Error::ChannelBinding("PLUS without flag p"),
        ),
        (
            Mechanism::ScramSha256Plus,
            b"y,,n=u,r=x",
            Error::ChannelBinding("PLUS without flag p"),
        ),
        (
            Mechanism::ScramSha256Plus,
            b"p=tls-unique,,n=u,r=x",
            Error::ChannelBinding("unknown type"),
        ),
    ];
    for (mechanism, first, error) in cases {
        let step = server(mechanism, binding(Some(EXPORTER), true)).step(first);
        assert_eq!(step, Step::Failed(error), "{mechanism}");
    }
}

#[test]
fn malformed_first_messages() {
    let scram: [&[u8]; 12] = [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=u",
        b"n,,n=u,x=1",
        b"n,,n=,r=x",
        b"n,,n=u=2c,r=x",
        b"n,,n=u,r=",
        b"n,,n=u,r=a b",
        b"n,b=x,n=u,r=x",
        b"n,,n=\xff,r=x",
    ];
    for first in scram {
        let step = server(Mechanism::ScramSha256, binding(None, false)).step(first);
        assert!(
            matches!(step, Step::Failed(Error::Malformed(_))),
            "{first:?}: {step:?}"
        );
    }
    let step = server(Mechanism::ScramSha256, binding(None, false)).step(b"n,,m=1,n=u,r=x");
    assert_eq!(step, Step::Failed(Error::Extension));
    let plain: [&[u8]; 7] = [
        b"",
        b"u\0p",
        b"\0u\0",
        b"\0\0p",
        b"\0u\0p\0",
        b"\0u\0\xff",
        b"a\0u\0p\0x",
    ];
    for message in plain {
        let step = server(Mechanism::Plain, binding(None, false)).step(message);
        assert!(
            matches!(step, Step::Failed(Error::Malformed(_))),
            "{message:?}: {step:?}"
        );
    }
}

#[test]
fn plain_and_login_give_what_the_client_wrote() {
    let mut exchange = server(Mechanism::Plain, binding(None, false));
    assert_eq!(exchange.start(None), Step::Challenge(Vec::new()));
    let expected = Step::VerifyPassword {
        authzid: Some("boss".to_owned()),
        user: "u".to_owned(),
        password: "p w".into(),
    };
    assert_eq!(exchange.step(b"boss\0u\0p w"), expected);
    assert_eq!(exchange.step(b"boss\0u\0p w"), Step::Failed(Error::Order));

    let mut exchange = server(Mechanism::Login, binding(None, false));
    assert_eq!(exchange.start(None), Step::Challenge(b"Username:".to_vec()));
    assert_eq!(exchange.step(b"u"), Step::Challenge(b"Password:".to_vec()));
    let expected = Step::VerifyPassword {
        authzid: None,
        user: "u".to_owned(),
        password: "p".into(),
    };
    assert_eq!(exchange.step(b"p"), expected);
}

/// A13: a message of a SCRAM exchange is good once, and a nonce for one exchange.
#[test]
fn a13_scram_replay() {
    let mut exchange = server(Mechanism::ScramSha256, binding(None, false));
    let mut peer = client(Mechanism::ScramSha256, "pencil", binding(None, false));
    let first = peer.initial().unwrap().unwrap();
    exchange.step(&first);
    let Step::Challenge(server_first) = exchange.scram_keys(keys("pencil")) else {
        panic!("no challenge")
    };
    let last = peer.step(&server_first).unwrap();
    assert!(matches!(exchange.step(&last), Step::Challenge(_)));
    assert!(matches!(
        exchange.step(&last),
        Step::Failed(Error::Malformed(_))
    ));
    assert_eq!(exchange.step(b""), Step::Failed(Error::Order));
    // The recorded messages against another exchange, which has another nonce.
    let nonce = "another".to_owned();
    let mut second = server::Exchange::new(Mechanism::ScramSha256, binding(None, false), nonce);
    second.step(&first);
    second.scram_keys(keys("pencil"));
    assert_eq!(second.step(&last), Step::Failed(Error::Nonce));
}

#[test]
fn a_server_that_does_not_prove_itself_is_not_believed() {
    let start = || {
        let mut peer = client(Mechanism::ScramSha256, "pencil", binding(None, false));
        peer.initial().unwrap();
        peer
    };
    let first = b"r=clientnonceservernonce,s=c2FsdA==,i=4096";
    let mut peer = start();
    peer.step(first).unwrap();
    assert_eq!(peer.finish(), Err(Error::ServerProof));
    let wrong = format!("v={}", crate::base64::encode(&[0; 32]));
    for (verifier, error) in [
        (wrong.as_bytes(), Error::ServerProof),
        (b"v=AAAA", Error::ServerProof),
        (b"e=other-error", Error::Refused),
        (b"", Error::Malformed("server's final message")),
    ] {
        let mut peer = start();
        peer.step(first).unwrap();
        assert_eq!(peer.step(verifier), Err(error));
        assert_eq!(peer.finish(), Err(Error::ServerProof));
    }
    let firsts: [(&[u8], Error); 7] = [
        (b"r=clientnonce,s=c2FsdA==,i=4096", Error::Nonce),
        (b"r=other,s=c2FsdA==,i=4096", Error::Nonce),
        (b"r=clientnoncex,s=c2FsdA==,i=1", Error::Parameters),
        (b"r=clientnoncex,s=c2FsdA==,i=4294967295", Error::Parameters),
        (b"r=clientnoncex,s=,i=4096", Error::Parameters),
        (
            b"r=clientnoncex,s=c2FsdA==,i=99999999999",
            Error::Malformed("iteration count"),
        ),
        (b"m=x,r=clientnoncex,s=c2FsdA==,i=4096", Error::Extension),
    ];
    for (first, error) in firsts {
        assert_eq!(start().step(first), Err(error));
    }
}

#[test]
fn secrets_are_not_printed() {
    assert!(!format!("{:?}", Secret::from("hunter2")).contains("hunter2"));
    assert!(
        !format!(
            "{:?}",
            client(Mechanism::Plain, "hunter2", binding(None, false))
        )
        .contains("hunter2")
    );
    let printed = format!("{:?}", keys("hunter2"));
    assert_eq!(printed, "ScramKeys { iterations: 4096, .. }");
}

#[test]
fn names_round_trip() {
    for mechanism in Mechanism::ALL {
        assert_eq!(
            Mechanism::from_name(mechanism.name().to_lowercase().as_bytes()),
            Some(mechanism)
        );
    }
    assert_eq!(Mechanism::from_name(b"CRAM-MD5"), None);
    assert_eq!(Mechanism::from_name(b"PLAIN "), None);
}

proptest! {
    /// A13: whatever a client sends, an exchange ends in a defined step and never in success.
    #[test]
    fn a13_arbitrary_responses(
        which in 0_usize..7,
        responses in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                "[nyp]?(=tls-exporter)?,(a=[a-z=,23CD]{0,4})?,(n=[a-z=,23CD]{0,6})?(,r=[!-~]{0,8})?".prop_map(String::into_bytes),
                "[ny],(a=[a-z]{0,3})?,?\u{1}?(auth=Bearer [a-z=]{0,3}\u{1})?\u{1}?".prop_map(String::into_bytes),
                "(user=[a-z]{0,3})?\u{1}(auth=Bearer [a-z=]{0,3}\u{1})?\u{1}?".prop_map(String::into_bytes),
                "(c=[A-Za-z0-9+/=]{0,8})?,(r=[!-~]{0,16})?,(p=[A-Za-z0-9+/=]{0,44})?".prop_map(String::into_bytes),
            ],
            1..5,
        ),
    ) {
        let mechanism = Mechanism::ALL[which];
        let mut exchange = server(mechanism, binding(Some(EXPORTER), true));
        let stored = ScramKeys { salt: vec![1], iterations: 4096, stored_key: [1; 32], server_key: [2; 32] };
        for response in responses {
            let step = match exchange.step(&response) {
                Step::NeedScramKeys { .. } => exchange.scram_keys(stored.clone()),
                step => step,
            };
            match step {
                Step::Challenge(challenge) => prop_assert!(!challenge.starts_with(b"v=")),
                Step::VerifyPassword { user, password, .. } => {
                    prop_assert!(mechanism.is_cleartext() && !user.is_empty() && !password.is_empty());
                }
                Step::VerifyToken { token, .. } => {
                    prop_assert!(mechanism.is_token() && !token.is_empty());
                }
                Step::VerifyCertificate { .. } => prop_assert_eq!(mechanism, Mechanism::External),
                Step::Failed(_) => prop_assert_eq!(exchange.step(&response), Step::Failed(Error::Order)),
                step => prop_assert!(false, "{:?}", step),
            }
        }
    }

    #[test]
    fn names_are_escaped_and_read_back(name in "[^\0]{1,20}") {
        prop_assert_eq!(scram::unescape(&scram::escape(&name)), Ok(name));
    }

    /// A message changed on its way, at any octet, ends the exchange without success on the side that reads it.
    #[test]
    fn a_changed_message_never_succeeds(which in 0_usize..3, place in any::<proptest::sample::Index>(), flip in 1_u8..) {
        let bound = binding(Some(EXPORTER), true);
        let mut peer = client(Mechanism::ScramSha256Plus, "pencil", bound);
        let mut exchange = server(Mechanism::ScramSha256Plus, bound);
        let change = |turn: usize, mut message: Vec<u8>| {
            if turn == which {
                let place = place.index(message.len());
                message[place] ^= flip;
            }
            message
        };
        let stored = CACHED_KEYS.get_or_init(|| keys("pencil")).clone();
        let first = change(0, peer.initial().unwrap().unwrap());
        let outcome = (|| {
            let Step::NeedScramKeys { .. } = exchange.step(&first) else { return None };
            let Step::Challenge(server_first) = exchange.scram_keys(stored) else { return None };
            let last = peer.step(&change(1, server_first)).ok()?;
            let Step::Challenge(verifier) = exchange.step(&change(2, last)) else { return None };
            peer.step(&verifier).ok()
        })();
        prop_assert_eq!(outcome, None);
        prop_assert_eq!(peer.finish(), Err(Error::ServerProof));
    }

    /// Whatever a server sends, a client's exchange ends in an error or a response, and SCRAM's never in success.
    #[test]
    fn arbitrary_challenges(
        which in 0_usize..4,
        challenges in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                "(r=clientnonce[!-~]{0,8})?,(s=[A-Za-z0-9+/=]{0,8})?,(i=(1|4096|4097|9999999999))?".prop_map(String::into_bytes),
                "(v|e)=[A-Za-z0-9+/=]{0,44}".prop_map(String::into_bytes),
            ],
            1..4,
        ),
    ) {
        let mechanism = Mechanism::ALL[which];
        let mut peer = client(mechanism, "pencil", binding(Some(EXPORTER), true));
        let _ = peer.initial();
        for challenge in challenges {
            let _ = peer.step(&challenge);
        }
        prop_assert!(peer.finish().is_err() || mechanism.is_cleartext());
    }
}

/// A token that is good ends the exchange at once; one that is not, after the client's answer to why (RFC 7628 §3.2.3).
#[test]
fn tokens_both_sides() {
    for (mechanism, dummy) in [
        (Mechanism::OAuthBearer, b"\x01".as_slice()),
        (Mechanism::XOAuth2, b""),
    ] {
        let none = ChannelBinding::default();
        let played = play(client(mechanism, "a.b.c", none), server(mechanism, none));
        let Ok(Step::VerifyToken { user, token }) = played else {
            panic!("{mechanism}: {played:?}");
        };
        assert_eq!(user.as_deref(), Some("j,o=e@example.org"));
        assert_eq!(token.expose(), "a.b.c");

        let (mut client, mut server) = (client(mechanism, "a.b.c", none), server(mechanism, none));
        let said = client.initial().unwrap().unwrap();
        assert!(matches!(server.step(&said), Step::VerifyToken { .. }));
        let why = "{\"status\":\"invalid_token\"}";
        assert_eq!(
            server.refuse_token(why),
            Step::Challenge(why.as_bytes().to_vec())
        );
        let answer = client.step(why.as_bytes()).unwrap();
        assert_eq!(answer, dummy);
        assert_eq!(server.step(&answer), Step::Failed(Error::WrongToken));
        assert_eq!(server.step(&said), Step::Failed(Error::Order));
        assert_eq!(server.refuse_token(why), Step::Failed(Error::Order));
        assert!(client.finish().is_err(), "a refused client is not in");
    }
    let none = ChannelBinding::default();
    let mut bad = client(Mechanism::XOAuth2, "a b", none);
    assert_eq!(bad.initial(), Err(Error::Forbidden));
}

/// RFC 4422 Appendix A
#[test]
fn certificates_both_sides() {
    let none = ChannelBinding::default();
    let played = play(
        client(Mechanism::External, "", none),
        server(Mechanism::External, none),
    );
    assert_eq!(played, Ok(Step::VerifyCertificate { authzid: None }));
    let named = server(Mechanism::External, none).step(b"bob@example.org");
    let authzid = Some("bob@example.org".to_owned());
    assert_eq!(named, Step::VerifyCertificate { authzid });
    assert!(matches!(
        server(Mechanism::External, none).step(b"a\0b"),
        Step::Failed(_)
    ));
}
