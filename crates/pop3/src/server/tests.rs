//! Dialogs whole, octet by octet and pipelined; the attacks that concern POP3; arbitrary input.

use super::*;
use crate::maildrop::UniqueId;
use proptest::prelude::*;

const MAIL: [&[u8]; 3] = [
    b"Subject: a\r\n\r\none\r\n",
    b"Subject: b\r\n\r\n.dot\r\n..\r\n.\r\nend",
    b"Subject: c\r\n\r\nx\n.\ny\r\n",
];

fn clear_offer() -> Offer {
    Offer {
        stls: true,
        mechanisms: vec![Mechanism::ScramSha256],
        ..Offer::default()
    }
}

fn tls_offer() -> Offer {
    let mechanisms = vec![
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::Plain,
        Mechanism::Login,
    ];
    Offer {
        user: true,
        mechanisms,
        stls: false,
        tls: true,
        login_delay: None,
        expire: None,
    }
}

/// English, and a language of one text.
const LANGUAGES: Languages = Languages {
    all: &[
        Language {
            tag: "en",
            name: "English",
            translate: |_| None,
        },
        Language {
            tag: "de",
            name: "Deutsch",
            translate: |text| {
                (text == "no such message").then(|| "diese Nachricht gibt es nicht: ä".to_owned())
            },
        },
    ],
    preferred: 1,
};

fn session(offer: Offer) -> Session {
    Session::new(Config {
        host: "pop.example.org".to_owned(),
        offer,
        languages: LANGUAGES,
        limits: Limits::default(),
    })
}

/// A session and a handler that knows one user, `u` with password `p q`, and its maildrop.
struct Peer {
    session: Session,
    sent: Vec<u8>,
    removed: Vec<usize>,
    events: Vec<String>,
}

impl Peer {
    fn new(offer: Offer) -> Peer {
        Peer {
            session: session(offer),
            sent: Vec::new(),
            removed: Vec::new(),
            events: Vec::new(),
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        self.session.receive(octets);
        loop {
            while let Some(event) = self.session.poll() {
                self.handle(event);
            }
            if self.session.pending() == 0 {
                return;
            }
            assert!(self.session.pending() < 2 * OUTPUT_LIMIT);
            while let Some(chunk) = self.session.transmit() {
                self.sent.extend_from_slice(&chunk);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.events.push(format!("{event:?}"));
        let session = &mut self.session;
        match event {
            Event::Login { user, password } if user == "u" && password.expose() == "p q" => {
                session.login(maildrop())
            }
            Event::Login { .. } => session.refuse(&reply::WRONG_CREDENTIALS),
            Event::Authenticate {
                mechanism: Mechanism::Plain,
                initial: Some(response),
            }
            | Event::SaslResponse(response) => {
                if response == b"\0u\0p q" {
                    session.login(maildrop());
                } else {
                    session.refuse(&reply::WRONG_CREDENTIALS);
                }
            }
            Event::Authenticate { .. } => session.challenge(b""),
            Event::SaslAborted => {}
            Event::StartTls => session.start_tls(),
            Event::Retrieve { index: 2, .. } => session.refuse(&reply::GONE),
            Event::Retrieve { index, .. } => session.message(MAIL[index].to_vec()),
            Event::Update { deleted } => {
                self.removed = deleted;
                session.updated();
            }
        }
    }
}

fn maildrop() -> Vec<Message> {
    let message = |(uid, mail): (u32, &&[u8])| Message {
        size: mail.len() as u64,
        unique_id: UniqueId::Numbered { validity: 7, uid },
    };
    (3..).zip(&MAIL).map(message).collect()
}

/// What is answered to `commands`, one string per run; all ways of cutting must agree.
fn dialog(offer: &Offer, commands: &str) -> (String, Vec<usize>) {
    let octets = commands.replace('\n', "\r\n").into_bytes();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut peer = Peer::new(offer.clone());
        peer.receive(b"");
        pieces.for_each(|piece| peer.receive(piece));
        (
            String::from_utf8(peer.sent).unwrap().replace("\r\n", "\n"),
            peer.removed,
        )
    };
    let whole = run(&mut std::iter::once(octets.as_slice()));
    assert_eq!(run(&mut octets.chunks(1)), whole, "octet by octet");
    assert_eq!(run(&mut octets.chunks(5)), whole, "in pieces of 5");
    assert_eq!(
        run(&mut octets.split_inclusive(|&octet| octet == b'\n')),
        whole,
        "by lines"
    );
    whole
}

const GREETING: &str = "+OK pop.example.org POP3 ready\n";
const LOGIN: &str = "USER u\nPASS p q\n";
const LOGGED_IN: &str = "+OK\n+OK 3 messages (70 octets)\n";

/// What is answered to `commands` after the greeting.
fn answers(offer: Offer, commands: &str) -> String {
    let (sent, _) = dialog(&offer, commands);
    sent.strip_prefix(GREETING).unwrap().to_owned()
}

/// What is answered to `commands` after login.
fn after_login(commands: &str) -> String {
    let sent = answers(tls_offer(), &format!("{LOGIN}{commands}"));
    sent.strip_prefix(LOGGED_IN).unwrap().to_owned()
}

#[test]
fn before_login() {
    let wrong = "-ERR [AUTH] wrong name or password\n";
    let cases = [
        ("QUIT\nNOOP\n", "+OK bye\n".to_owned()),
        ("NOOP\nQUIT\n", "-ERR not now\n+OK bye\n".to_owned()),
        ("PASS x\n", "-ERR USER first\n".to_owned()),
        (
            "USER u\nCAPX\nPASS p q\n",
            "+OK\n-ERR unknown command\n-ERR USER first\n".to_owned(),
        ),
        (
            "USER u\nPASS x\nPASS p q\n",
            format!("+OK\n{wrong}-ERR USER first\n"),
        ),
        (
            "USER nobody\nPASS x\nUSER u\nPASS p q\n",
            format!("+OK\n{wrong}{LOGGED_IN}"),
        ),
        (
            "AUTH PLAIN AHUAcCBx\nAUTH PLAIN AHUAcCBx\n",
            "+OK 3 messages (70 octets)\n-ERR not now\n".to_owned(),
        ),
        (
            "AUTH PLAIN\nAHUAcCBx\nSTAT\n",
            "+ \n+OK 3 messages (70 octets)\n+OK 3 70\n".to_owned(),
        ),
        (
            "AUTH PLAIN\n*\nAUTH PLAIN AHUAcCBx\n",
            "+ \n-ERR authentication aborted\n+OK 3 messages (70 octets)\n".to_owned(),
        ),
        (
            "AUTH PLAIN =AAA\n",
            "-ERR authentication aborted\n".to_owned(),
        ),
        (
            "AUTH PLAIN\nAAA=BBB\nNOOP\n",
            "+ \n-ERR authentication aborted\n-ERR not now\n".to_owned(),
        ),
        ("AUTH PLAIN =\n", wrong.to_owned()),
        (
            "AUTH CRAM-MD5\nAUTH\n",
            "-ERR mechanism not offered\n-ERR arguments not understood\n".to_owned(),
        ),
        (
            "APOP u c4c9334bac560ecc979e58001b3e22fb\n",
            "-ERR unknown command\n".to_owned(),
        ),
        ("STLS\n", "-ERR TLS is active already\n".to_owned()),
    ];
    for (commands, expected) in cases {
        assert_eq!(answers(tls_offer(), commands), expected, "{commands}");
    }
}

#[test]
fn after_login_all_commands() {
    let cases = [
        (
            "STAT\nLIST\nUIDL\n",
            "+OK 3 70\n+OK 3 messages (70 octets)\n1 19\n2 30\n3 21\n.\n+OK 3 messages (70 octets)\n1 7.3\n2 7.4\n3 7.5\n.\n",
        ),
        (
            "LIST 2\nUIDL 2\nLIST 4\nUIDL 0\n",
            "+OK 2 30\n+OK 2 7.4\n-ERR no such message\n-ERR no such message\n",
        ),
        ("RETR 1\n", "+OK 19 octets\nSubject: a\n\none\n.\n"),
        (
            "RETR 2\n",
            "+OK 30 octets\nSubject: b\n\n..dot\n...\n..\nend\n.\n",
        ),
        (
            "RETR 3\nRETR 9\n",
            "-ERR message was removed meanwhile\n-ERR no such message\n",
        ),
        (
            "TOP 2 1\nTOP 1 0\n",
            "+OK\nSubject: b\n\n..dot\n.\n+OK\nSubject: a\n\n.\n",
        ),
        (
            "DELE 2\nDELE 2\nRETR 2\nTOP 2 0\nLIST 2\nSTAT\nLIST\n",
            "+OK message 2 deleted\n-ERR no such message\n-ERR no such message\n-ERR no such message\n-ERR no such message\n+OK 2 40\n+OK 2 messages (40 octets)\n1 19\n3 21\n.\n",
        ),
        (
            "DELE 1\nRSET\nSTAT\nQUIT\n",
            "+OK message 1 deleted\n+OK 3 messages (70 octets)\n+OK 3 70\n+OK bye\n",
        ),
        (
            "NOOP\nnoop\nXTND\nLIST x\n",
            "+OK\n+OK\n-ERR unknown command\n-ERR arguments not understood\n",
        ),
        (
            "USER u\nPASS x\nAUTH PLAIN\nSTLS\n",
            "-ERR not now\n-ERR not now\n-ERR not now\n-ERR not now\n",
        ),
    ];
    for (commands, expected) in cases {
        assert_eq!(after_login(commands), expected, "{commands}");
    }
}

#[test]
fn only_quit_removes() {
    let removed = |commands: &str| dialog(&tls_offer(), &format!("{LOGIN}{commands}")).1;
    assert_eq!(removed("DELE 3\nDELE 1\nQUIT\n"), [0, 2]);
    assert_eq!(removed("DELE 3\nRSET\nDELE 2\nQUIT\n"), [1]);
    assert!(removed("DELE 3\nDELE 1\n").is_empty());
    assert!(removed("DELE 3\nDELE 1\nQUIT").is_empty());
    let mut peer = Peer::new(tls_offer());
    peer.receive(b"USER u\r\nPASS p q\r\nDELE 1\r\n");
    peer.session.handle_timeout();
    assert_eq!((peer.session.pending(), peer.session.closed()), (0, true));
    peer.receive(b"QUIT\r\n");
    assert!(peer.removed.is_empty());
}

#[test]
fn a_failed_removal_is_told_and_closes() {
    let mut peer = Peer::new(tls_offer());
    peer.receive(b"USER u\r\nPASS p q\r\nDELE 1\r\n");
    peer.session.receive(b"QUIT\r\nNOOP\r\n");
    assert_eq!(
        peer.session.poll(),
        Some(Event::Update { deleted: vec![0] })
    );
    peer.session.refuse(&reply::NOT_REMOVED);
    assert_eq!(
        peer.session.transmit().unwrap(),
        reply::NOT_REMOVED.line(None).as_bytes()
    );
    assert!(peer.session.closed() && peer.session.poll().is_none());
}

#[test]
fn capabilities_by_state() {
    let common =
        "+OK\nTOP\nUIDL\nRESP-CODES\nAUTH-RESP-CODE\nPIPELINING\nEXPIRE NEVER\nUTF8 USER\nLANG\n";
    let end = "IMPLEMENTATION Waxwing\n.\n";
    let clear = format!("{common}SASL SCRAM-SHA-256\nSTLS\n{end}");
    assert_eq!(answers(clear_offer(), "CAPA\n"), clear);
    let tls = format!("{common}USER\nSASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\n{end}");
    assert_eq!(answers(tls_offer(), "CAPA\n"), tls);
    assert_eq!(after_login("CAPA\n"), tls);
    assert_eq!(
        answers(Offer::default(), "CAPA\n"),
        format!("{common}{end}")
    );
    let both = Offer {
        stls: true,
        user: true,
        ..Offer::default()
    };
    let sent = answers(both, &format!("CAPA\n{LOGIN}CAPA\n"));
    assert_eq!(
        sent,
        format!("{common}USER\nSTLS\n{end}{LOGGED_IN}{common}USER\n{end}")
    );
}

/// RFC 2449 §4: commands of 255 octets, no longer ones.
#[test]
fn line_limits() {
    let longest = format!("USER {}\n", "x".repeat(255 - 7));
    let longer = format!("USER {}\n", "x".repeat(255 - 6));
    let sent = answers(tls_offer(), &format!("{longest}{longer}{longest}"));
    assert_eq!(sent, "+OK\n-ERR line too long\n+OK\n");
    // Inside AUTH lines are longer.
    let sent = answers(
        tls_offer(),
        &format!("AUTH PLAIN\n{}\nNOOP\n", "AAAA".repeat(3072)),
    );
    assert_eq!(
        sent,
        "+ \n-ERR [AUTH] wrong name or password\n-ERR not now\n"
    );
    let sent = answers(
        tls_offer(),
        &format!("AUTH PLAIN\n{}\nNOOP\n", "AAAA".repeat(3073)),
    );
    assert_eq!(sent, "+ \n-ERR line too long\n");
}

/// Lists longer than the output limit come in portions and whole.
#[test]
fn long_lists() {
    let mut peer = Peer::new(tls_offer());
    let count = 50_000_u32;
    let message = |uid| Message {
        size: 1,
        unique_id: UniqueId::Numbered {
            validity: u32::MAX,
            uid,
        },
    };
    peer.receive(b"");
    peer.sent.clear();
    peer.session
        .receive(b"USER u\r\nPASS x\r\nUIDL\r\nDELE 2\r\nLIST\r\nNOOP\r\n");
    assert!(peer.session.poll().is_some());
    peer.session.login((0..count).map(message).collect());
    peer.receive(b"");
    let sent = String::from_utf8(peer.sent).unwrap();
    let lines: Vec<&str> = sent.lines().collect();
    assert_eq!(lines.len(), 3 + 50_000 + 3 + 49_999 + 2);
    assert_eq!(lines[50_001], "49999 4294967295.49998");
    assert_eq!(
        lines[50_004..50_008],
        [
            "+OK message 2 deleted",
            "+OK 49999 messages (49999 octets)",
            "1 1",
            "3 1"
        ]
    );
    assert_eq!(lines.last(), Some(&"+OK"));
}

/// A large message with dots is encoded as it leaves, and what follows it stays behind it.
#[test]
fn large_messages() {
    for lines in [1000, 4096, 40_000] {
        let message = [
            b"Subject: x\r\n\r\n".to_vec(),
            b".line of 16 oct\n".repeat(lines),
            b"end".to_vec(),
        ]
        .concat();
        let mut peer = Peer::new(tls_offer());
        peer.receive(b"USER u\r\nPASS p q\r\n");
        let session = &mut peer.session;
        session.receive(b"RETR 1\r\nRETR 2\r\nNOOP\r\n");
        let mut sent = Vec::new();
        loop {
            while let Some(event) = session.poll() {
                assert!(matches!(event, Event::Retrieve { .. }));
                session.message(message.clone());
            }
            if session.pending() == 0 {
                break;
            }
            let chunk = session.transmit().unwrap();
            assert!(!chunk.is_empty() && chunk.len() <= 2 * OUTPUT_LIMIT);
            sent.extend_from_slice(&chunk);
        }
        assert_eq!(session.transmit(), None);
        let answer = format!("+OK {} octets\r\n", message.len()).into_bytes();
        let answer = [answer, dots::encode(&message, BareNewlines::Canonical)].concat();
        assert!(
            sent == [answer.as_slice(), &answer, b"+OK\r\n"].concat(),
            "{lines}"
        );
    }
}

#[test]
fn shutdown_lets_the_command_in_hand_end() {
    let stopping = "-ERR [SYS/TEMP] server is stopping\r\n";
    let mut peer = Peer::new(tls_offer());
    peer.receive(b"");
    peer.sent.clear();
    peer.session.shutdown();
    peer.receive(b"");
    assert_eq!(
        (peer.sent.as_slice(), peer.session.closed()),
        (stopping.as_bytes(), true)
    );

    let mut peer = Peer::new(tls_offer());
    peer.receive(b"USER u\r\nPASS p q\r\nDELE 1\r\n");
    peer.session.receive(b"QUIT\r\n");
    let event = peer.session.poll().unwrap();
    peer.session.shutdown();
    assert!(peer.session.poll().is_none() && !peer.session.closed());
    peer.handle(event);
    assert_eq!(
        (peer.removed.as_slice(), peer.session.closed()),
        (&[0][..], true)
    );
    assert_eq!(peer.session.transmit().unwrap(), b"+OK bye\r\n");
}

/// A6: commands behind STLS are never answered, and there is no handshake.
#[test]
fn a6_stls_injection() {
    let mut peer = Peer::new(clear_offer());
    peer.receive(b"STLS\r\nCAPA\r\n");
    assert!(
        peer.sent
            .ends_with(b"ready\r\n-ERR commands behind STLS\r\n")
            && peer.session.closed()
    );
    assert!(peer.events.is_empty());
    // The rest of a half line counts as well.
    let mut peer = Peer::new(clear_offer());
    peer.receive(b"STLS\r\nC");
    assert!(peer.session.closed() && peer.events.is_empty());
    // They come after the answer but in clear: the session ends, and TLS does not revive it.
    let mut peer = Peer::new(clear_offer());
    peer.receive(b"STLS\r\n");
    assert_eq!(peer.events, ["StartTls"]);
    peer.receive(b"CAPA\r\n");
    assert!(peer.session.closed() && peer.sent.ends_with(b"ready\r\n+OK begin TLS\r\n"));
    peer.session.tls_started(tls_offer());
    assert!(peer.session.closed());
}

/// A7: nothing learned in clear is known under TLS, and clear is no place for passwords.
#[test]
fn a7_stls_state_carry_over() {
    let mut peer = Peer::new(Offer {
        user: true,
        ..clear_offer()
    });
    peer.receive(b"USER u\r\n");
    peer.receive(b"STLS\r\n");
    peer.session.tls_started(tls_offer());
    peer.sent.clear();
    peer.receive(b"PASS p q\r\nSTLS\r\nUSER u\r\nPASS p q\r\nSTLS\r\n");
    let sent = String::from_utf8(peer.sent).unwrap().replace("\r\n", "\n");
    assert_eq!(
        sent,
        format!("-ERR USER first\n-ERR TLS is active already\n{LOGGED_IN}-ERR not now\n")
    );

    let refused = "-ERR [AUTH] not without TLS\n";
    let sent = answers(
        clear_offer(),
        "USER u\nPASS p q\nAUTH PLAIN\nAUTH PLAIN AHUAcCBx\nAUTH LOGIN\n",
    );
    assert_eq!(sent, refused.repeat(5));
}

/// A9: a browser gets one answer, other strangers three.
#[test]
fn a9_other_protocols() {
    let sent = answers(tls_offer(), "GET /<script> HTTP/1.1\nUSER u\nPASS p q\n");
    assert_eq!(sent, "-ERR unknown command\n");
    let sent = answers(tls_offer(), "EHLO a\nMAIL FROM:<>\nRCPT TO:<a@b>\nUSER u\n");
    assert_eq!(
        sent,
        format!(
            "{}-ERR too many errors\n",
            "-ERR unknown command\n".repeat(3)
        )
    );
}

/// A11: an endless line is cut off at 2 KiB, before and after login and inside AUTH, at whatever pace it comes.
#[test]
fn a11_endless_command_line() {
    let most = Limits::default().sasl_line;
    for (start, limit) in [
        ("", 2048),
        ("USER u\r\nPASS p q\r\n", 2048),
        ("AUTH PLAIN\r\n", most),
    ] {
        for size in [1, 1000, 65_536] {
            let mut peer = Peer::new(tls_offer());
            peer.receive(start.as_bytes());
            peer.sent.clear();
            let mut fed = 0;
            while !peer.session.closed() {
                peer.receive(&vec![b'A'; size]);
                fed += size;
                assert!(fed < limit + size, "{start:?}");
                assert!(peer.session.input.len() <= limit);
            }
            assert_eq!(peer.sent, b"-ERR line too long\r\n");
            peer.receive(b"\r\nQUIT\r\n");
            assert_eq!(peer.sent, b"-ERR line too long\r\n");
        }
    }
}

/// A13: aborted and broken exchanges cost nothing, end the connection after some, and help no later login.
#[test]
fn a13_aborted_sasl() {
    for abort in [
        "AUTH PLAIN\r\n*\r\n",
        "AUTH PLAIN =A\r\n",
        "AUTH PLAIN\r\n====\r\n",
        "AUTH SCRAM-SHA-256\r\n*\r\n",
    ] {
        let mut peer = Peer::new(tls_offer());
        let mut count = 0;
        while !peer.session.closed() {
            peer.receive(abort.as_bytes());
            count += 1;
            assert_eq!(peer.session.input.len(), 0);
        }
        assert_eq!(count, Limits::default().errors);
        assert!(peer.sent.ends_with(b"-ERR too many errors\r\n"));
    }
    let sent = answers(tls_offer(), &"AUTH PLAIN AHUAeA==\n".repeat(9));
    assert_eq!(sent, "-ERR [AUTH] wrong name or password\n".repeat(5));
}

/// A27: control characters and octets that are no UTF-8 reach no handler.
#[test]
fn a27_controls() {
    for line in [
        &b"USER a\0b\r\n"[..],
        b"USER a\rb\r\n",
        b"USER \x1b[2J\r\n",
        b"USER \xc3\x28\r\n",
        b"\0\r\n",
    ] {
        let mut peer = Peer::new(tls_offer());
        peer.receive(line);
        assert!(
            peer.sent
                .ends_with(b"ready\r\n-ERR forbidden octets in the line\r\n"),
            "{line:?}"
        );
    }
}

/// A54: nothing of the peer's words comes back, and events that are logged by mistake show no password.
#[test]
fn a54_no_reflection_and_no_secrets() {
    let mut peer = Peer::new(tls_offer());
    peer.receive(b"USER <script>\r\nPASS hunter2\r\n<script>\r\nLIST <script>\r\n");
    assert!(!String::from_utf8_lossy(&peer.sent).contains("script"));
    assert!(!peer.events.concat().contains("hunter2"));
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "(USER u|PASS p q|STAT|LIST|UIDL|LIST 2|RETR [1-4]|TOP [12] [0-3]|DELE [1-4]|RSET|NOOP|CAPA|STLS|QUIT|AUTH PLAIN( [A-Za-z0-9+/]{4}|=)?|\\*|AHUAcCBx)\r?\n"
            .prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (240_usize..2100).prop_map(|length| [vec![b'x'; length], b"\r\n".to_vec()].concat()),
    ]
}

proptest! {
    /// Whatever a client sends, and however it is cut: the same answers, each with its line, and removal by QUIT
    /// alone.
    #[test]
    fn arbitrary_dialogs(
        lines in proptest::collection::vec(line(), 0..25),
        login in any::<bool>(),
        size in 1_usize..40,
    ) {
        let mut octets = if login { b"USER u\r\nPASS p q\r\n".to_vec() } else { Vec::new() };
        octets.extend(lines.concat());
        let run = |size: usize| {
            let mut peer = Peer::new(tls_offer());
            peer.receive(b"");
            octets.chunks(size).for_each(|piece| peer.receive(piece));
            (peer.sent, peer.removed, peer.session.closed())
        };
        let whole = run(octets.len().max(1));
        prop_assert_eq!(&run(1), &whole);
        prop_assert_eq!(&run(size), &whole);
        let (sent, removed, closed) = whole;
        prop_assert!(sent.ends_with(b"\r\n"));
        prop_assert!(removed.is_empty() || (closed && sent.ends_with(b"+OK bye\r\n")));
    }

    /// The client's session understands the server's answers to any commands it can send.
    #[test]
    fn client_and_server_understand_each_other(
        commands in proptest::collection::vec(
            prop_oneof![
                Just(Command::Stat), Just(Command::List(None)), Just(Command::Uidl(None)), Just(Command::Capa),
                (1_u32..5).prop_map(|number| Command::List(Some(number))),
                (1_u32..5).prop_map(Command::Retr),
                (1_u32..5).prop_map(Command::Dele),
                (1_u32..5, 0_u32..4).prop_map(|(number, lines)| Command::Top { number, lines }),
                Just(Command::Rset), Just(Command::Noop),
            ],
            0..20,
        ),
        size in 1_usize..50,
    ) {
        let mut client = crate::client::Session::new();
        client.send(&Command::User("u".to_owned())).unwrap();
        client.send(&Command::Pass("p q".into())).unwrap();
        for command in &commands {
            client.send(command).unwrap();
        }
        client.send(&Command::Quit).unwrap();
        let mut peer = Peer::new(tls_offer());
        while let Some(chunk) = client.transmit() {
            peer.receive(&chunk);
        }
        for piece in peer.sent.chunks(size) {
            client.receive(piece);
            while client.poll().unwrap().is_some() {}
        }
        prop_assert_eq!(client.outstanding(), 0);
    }
}

/// RFC 6856 §3.2: listed in any state, told by its tag, kept where there is no such language.
#[test]
fn lang_changes_the_words_and_nothing_else() {
    let commands = "LANG\nLANG mul\nLANG de de\nUSER u\nPASS p q\nLIST 9\nLANG de-AT\nLIST 9\nLIST 1\nLANG mul\n\
        LIST 9\nLANG en\nLIST 9\nLANG *\nLIST 9\n";
    let (answers, _) = dialog(&tls_offer(), commands);
    let expected = "+OK the languages are\nen English\nde Deutsch\n.\n-ERR this language is not known here\n\
        -ERR arguments not understood\n+OK\n+OK 3 messages (70 octets)\n-ERR no such message\n\
        +OK de this is the language from here on\n-ERR diese Nachricht gibt es nicht: ä\n+OK 1 19\n\
        -ERR this language is not known here\n-ERR diese Nachricht gibt es nicht: ä\n\
        +OK en this is the language from here on\n-ERR no such message\n+OK de this is the language from here on\n\
        -ERR diese Nachricht gibt es nicht: ä\n";
    assert_eq!(
        answers.split_once('\n').map(|(_, answers)| answers),
        Some(expected)
    );
}

/// RFC 6856 §2: before login only, and nothing but a login behind it.
#[test]
fn utf8_belongs_before_login() {
    let offer = Offer {
        stls: true,
        user: true,
        ..Offer::default()
    };
    let commands = "UTF8\nSTLS\nUTF8\nUSER u\nPASS p q\nUTF8\n";
    let (answers, _) = dialog(&offer, commands);
    let expected = "+OK UTF-8 from here on\n-ERR STLS comes before UTF8\n+OK UTF-8 from here on\n+OK\n\
        +OK 3 messages (70 octets)\n-ERR not now\n";
    assert_eq!(
        answers.split_once('\n').map(|(_, answers)| answers),
        Some(expected)
    );
    let mut peer = Peer::new(tls_offer());
    assert!(!peer.session.utf8());
    peer.receive(b"UTF8\r\nUSER u\r\nPASS p q\r\n");
    assert!(peer.session.utf8());
}

/// RFC 6856 §2.2: names are prepared, and what RFC 4013 §2.3 forbids is refused.
#[test]
fn names_beyond_ascii_are_prepared() {
    let mut peer = Peer::new(tls_offer());
    peer.receive("USER ﬁ@x\r\nPASS ﬁ\r\n".as_bytes());
    assert!(
        peer.events[0].contains("user: \"fi@x\""),
        "{:?}",
        peer.events
    );
    let (answers, _) = dialog(&tls_offer(), "USER a\u{fffd}\nUSER u\nPASS \u{e000}\n");
    assert!(
        answers.ends_with(
            "-ERR characters that no name and no password has\n+OK\n\
             -ERR characters that no name and no password has\n"
        ),
        "{answers}"
    );
}
