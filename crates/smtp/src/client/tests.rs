//! The client against a written server, and against our own.

use super::*;
use crate::reply;
use crate::server;
use proptest::prelude::*;

fn config(lmtp: bool) -> Config {
    Config {
        lmtp,
        host: "client.example".into(),
        tls: false,
        limits: Limits::default(),
    }
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text.as_bytes(), true).unwrap()
}

fn envelope(to: &[&str]) -> Envelope {
    Envelope {
        from: ReversePath::Mailbox(mailbox("a@b")),
        to: to.iter().map(|text| mailbox(text)).collect(),
        size: Some(9),
        eight_bit: false,
        smtputf8: false,
        parameters: Default::default(),
        recipients: Vec::new(),
    }
}

fn written(session: &mut Session) -> String {
    let mut out = Vec::new();
    while let Some(octets) = session.transmit() {
        out.extend(octets);
    }
    String::from_utf8(out).unwrap()
}

/// A session that has come through EHLO.
fn ready(lmtp: bool, capabilities: &str) -> Session {
    let mut session = Session::new(config(lmtp));
    session.receive(b"220 mx\r\n");
    assert!(session.poll().is_none());
    written(&mut session);
    session.receive(format!("250-mx\r\n{capabilities}250 HELP\r\n").as_bytes());
    assert!(matches!(session.poll(), Some(Event::Ready(_))));
    session
}

fn codes(event: Option<Event>) -> Vec<Result<u16, u16>> {
    match event {
        Some(Event::Sent(verdicts)) => verdicts
            .into_iter()
            .map(|v| v.map(|reply| reply.code).map_err(|reply| reply.code))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    let mut session = ready(false, "");
    session.send(envelope(&["c@d", "e@f"])).unwrap();
    for (line, answer) in [
        ("MAIL FROM:<a@b>\r\n", "250 ok\r\n"),
        ("RCPT TO:<c@d>\r\n", "550 5.1.1 no\r\n"),
        ("RCPT TO:<e@f>\r\n", "250 ok\r\n"),
        ("DATA\r\n", "354 go\r\n"),
    ] {
        assert_eq!(written(&mut session), line);
        session.receive(answer.as_bytes());
        let event = session.poll();
        assert_eq!(
            event,
            if answer.starts_with("354") {
                Some(Event::SendBody)
            } else {
                None
            }
        );
    }
    session.body(b"A: b\r\n\r\n.x\r");
    session.body(b"\n..");
    session.body_end();
    assert_eq!(session.timeout(), Duration::from_secs(600));
    assert_eq!(written(&mut session), "A: b\r\n\r\n..x\r\n...\r\n.\r\n");
    session.receive(b"250 2.0.0 stored\r\n");
    assert_eq!(codes(session.poll()), [Err(550), Ok(250)]);
    session.quit();
    assert_eq!(written(&mut session), "QUIT\r\n");
    session.receive(b"221 bye\r\n");
    assert_eq!(session.poll(), Some(Event::Quit));
    assert!(session.closed());
}

#[test]
fn everything_at_once_with_pipelining() {
    let mut session = ready(
        false,
        "250-PIPELINING\r\n250-SIZE 100\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n",
    );
    session
        .send(Envelope {
            eight_bit: true,
            ..envelope(&["c@d", "ü@f"])
        })
        .unwrap();
    assert_eq!(
        written(&mut session),
        "MAIL FROM:<a@b> SIZE=9 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<c@d>\r\nRCPT TO:<ü@f>\r\nDATA\r\n"
    );
    session.receive(b"250 ok\r\n550 no\r\n452 full\r\n354 go\r\n");
    assert!(session.poll().is_none());
    // Nobody was accepted, and the server wants a message all the same.
    assert_eq!(written(&mut session), ".\r\n");
    session.receive(b"554 no valid recipients\r\n");
    assert_eq!(codes(session.poll()), [Err(550), Err(452)]);
    session.send(envelope(&["c@d"])).unwrap();
    written(&mut session);
    session.receive(b"451 later\r\n503 no\r\n503 no\r\n");
    assert_eq!(codes(session.poll()), [Err(451)]);
    // What was left open is reset before the next transaction.
    session.send(envelope(&["c@d"])).unwrap();
    assert!(written(&mut session).starts_with("RSET\r\nMAIL FROM"));
    session.receive(b"250 ok\r\n250 ok\r\n250 ok\r\n554 no\r\n");
    assert_eq!(codes(session.poll()), [Err(554)]);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let mut session = ready(false, "250-PIPELINING\r\n");
    session.send(envelope(&vec!["c@d"; 250])).unwrap();
    assert_eq!(written(&mut session).lines().count(), 100);
    session.receive(&b"250 ok\r\n".repeat(60));
    assert!(session.poll().is_none());
    assert_eq!(written(&mut session).lines().count(), 60);
}

#[test]
fn lmtp_has_a_verdict_per_recipient() {
    let mut session = ready(true, "250-PIPELINING\r\n");
    session.send(envelope(&["1@d", "2@d", "3@d"])).unwrap();
    session.receive(b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
    assert_eq!(session.poll(), Some(Event::SendBody));
    session.body_end();
    session.receive(b"250 ok\r\n");
    assert!(session.poll().is_none());
    session.receive(b"452 full\r\n");
    assert_eq!(codes(session.poll()), [Ok(250), Err(550), Err(452)]);
}

#[test]
fn what_the_server_cannot_is_not_asked_of_it() {
    let mut session = ready(false, "250-SIZE 8\r\n");
    assert_eq!(session.send(envelope(&["c@d"])), Err(Error::TooBig(8)));
    assert_eq!(
        session.send(Envelope {
            size: None,
            ..envelope(&["ü@d"])
        }),
        Err(Error::NoUtf8)
    );
    session
        .send(Envelope {
            size: None,
            eight_bit: true,
            ..envelope(&["c@d"])
        })
        .unwrap();
    assert_eq!(session.send(envelope(&["c@d"])), Err(Error::Order));
    written(&mut session);
    session.receive(b"421 4.3.2 going down\r\n");
    assert!(
        matches!(session.poll(), Some(Event::Failed(Error::Refused(reply))) if reply.code == 421)
    );
    assert!(session.closed());
}

#[test]
fn old_servers_get_helo() {
    let mut session = Session::new(config(false));
    session.receive(b"220 old\r\n");
    assert!(session.poll().is_none());
    session.receive(b"502 what\r\n");
    assert!(session.poll().is_none());
    assert_eq!(
        written(&mut session),
        "EHLO client.example\r\nHELO client.example\r\n"
    );
    session.receive(b"250 old\r\n");
    assert_eq!(session.poll(), Some(Event::Ready(Capabilities::default())));
}

#[test]
fn authentication() {
    let mut session = ready(false, "250-AUTH PLAIN LOGIN\r\n");
    session.authenticate(Mechanism::Plain, Some(b""));
    session.receive(b"334 YWJj\r\n");
    assert_eq!(session.poll(), Some(Event::Challenge(b"abc".to_vec())));
    session.respond(Some(b"x"));
    session.receive(b"334 \r\n");
    assert_eq!(session.poll(), Some(Event::Challenge(vec![])));
    session.respond(None);
    assert_eq!(written(&mut session), "AUTH PLAIN =\r\neA==\r\n*\r\n");
    session.receive(b"501 5.7.0 cancelled\r\n");
    assert!(matches!(session.poll(), Some(Event::Authenticated(Err(_)))));
    session.authenticate(Mechanism::Plain, None);
    session.receive(b"235 in\r\n");
    assert_eq!(session.poll(), Some(Event::Authenticated(Ok(()))));
}

/// A2: what cannot be sent safely is not sent: the final dot never goes out.
#[test]
fn a2_bare_line_ends_are_not_sent() {
    for bad in [
        b"a\n.\r\n".as_slice(),
        b"a\r.\r\n",
        b"a\0",
        b"a\r\n.\r\r\n",
        b"ends\r",
    ] {
        let mut session = ready(false, "");
        session.send(envelope(&["c@d"])).unwrap();
        session.receive(b"250 ok\r\n");
        session.poll();
        session.receive(b"250 ok\r\n");
        session.poll();
        session.receive(b"354 ok\r\n");
        assert_eq!(session.poll(), Some(Event::SendBody));
        written(&mut session);
        for octet in bad {
            session.body(&[*octet]);
        }
        session.body_end();
        assert!(!written(&mut session).ends_with("\r\n.\r\n"), "{bad:?}");
        assert_eq!(
            session.poll(),
            Some(Event::Failed(Error::BadContent)),
            "{bad:?}"
        );
        assert!(session.closed());
    }
}

/// A8: what a server says in the clear behind its answer to STARTTLS, and servers that refuse TLS.
#[test]
fn a8_injection_behind_starttls() {
    let mut session = ready(false, "250-STARTTLS\r\n");
    session.start_tls();
    session.receive(b"220 go\r\n250-AUTH PLAIN\r\n250 X\r\n");
    assert_eq!(session.poll(), Some(Event::Failed(Error::Injection)));
    assert!(session.closed());

    let mut session = ready(false, "250-STARTTLS\r\n");
    session.start_tls();
    session.receive(b"220 go\r\n");
    assert_eq!(session.poll(), Some(Event::StartTls));
    session.receive(b"250 X\r\n");
    assert_eq!(session.poll(), Some(Event::Failed(Error::Injection)));

    let mut session = ready(false, "250-STARTTLS\r\n");
    session.start_tls();
    session.receive(b"454 no\r\n");
    assert_eq!(session.poll(), Some(Event::Failed(Error::NoTls)));

    let mut stripped = ready(false, "");
    stripped.start_tls();
    assert_eq!(stripped.poll(), Some(Event::Failed(Error::NoTls)));

    let mut session = ready(false, "250-STARTTLS\r\n250-SIZE 5\r\n");
    session.start_tls();
    session.receive(b"220 go\r\n");
    session.poll();
    session.tls_started();
    assert_eq!(session.capabilities(), &Capabilities::default());
    assert_eq!(
        written(&mut session).lines().last(),
        Some("EHLO client.example")
    );
}

#[test]
fn replies_that_nothing_waits_for() {
    let mut session = ready(false, "");
    session.receive(b"250 surprise\r\n");
    assert_eq!(session.poll(), Some(Event::Failed(Error::Malformed)));
    let mut session = Session::new(config(false));
    session.handle_timeout();
    assert_eq!(session.poll(), Some(Event::Failed(Error::TimedOut)));
}

/// Both of our sides together: what is sent is what arrives.
#[test]
fn client_and_server_understand_each_other() {
    for lmtp in [false, true] {
        let kind = if lmtp {
            server::Kind::Lmtp
        } else {
            server::Kind::Reception
        };
        let mut server = server::Session::new(server::Config {
            extensions: server::Extensions::default(),
            kind,
            host: "mx.example".into(),
            tls: false,
            starttls: false,
            mechanisms: vec![],
            mechanisms_clear: vec![],
            strict_pipelining: true,
            quirks: server::Quirks::default(),
            limits: server::Limits::default(),
        });
        let mut client = Session::new(config(lmtp));
        let message = b"Subject: x\r\n\r\n.\r\n..\r\n.x\r\nno end".to_vec();
        let (mut arrived, mut sent) = (Vec::new(), None);
        for _ in 0..20 {
            while let Some(octets) = server.transmit() {
                client.receive(&octets);
            }
            while let Some(event) = client.poll() {
                match event {
                    Event::Ready(_) => client
                        .send(envelope(&["known@d", "unknown@d", "known@e"]))
                        .unwrap(),
                    Event::SendBody => {
                        message.chunks(3).for_each(|piece| client.body(piece));
                        client.body_end();
                    }
                    Event::Sent(verdicts) => sent = Some(verdicts),
                    other => panic!("{other:?}"),
                }
            }
            while let Some(octets) = client.transmit() {
                server.receive(&octets);
            }
            while let Some(event) = server.poll() {
                match event {
                    server::Event::Data(octets) => arrived.extend(octets),
                    server::Event::Recipient { to, .. }
                        if to.to_string().starts_with("unknown") =>
                    {
                        server.answer(Err(reply::MAILBOX_UNKNOWN));
                    }
                    _ => server.answer(Ok(server::Accepted::default())),
                }
            }
        }
        assert_eq!(arrived, [message, b"\r\n".to_vec()].concat());
        let codes: Vec<_> = sent
            .unwrap()
            .into_iter()
            .map(|v| v.map_or_else(|r| r.code, |r| r.code))
            .collect();
        assert_eq!(codes, [250, 550, 250]);
    }
}

/// What servers say, and what they should not.
fn said() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("220 mx\r\n"),
        Just("250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 5\r\n"),
        Just("250 2.1.0 ok\r\n"),
        Just("354 go\r\n"),
        Just("550-5.1.1 no\r\n550 5.1.1 such\r\n"),
        Just("421 bye\r\n"),
        Just("334 YWJj\r\n"),
        Just("250 ok\n"),
        Just("garbage\r\n"),
    ];
    prop_oneof![
        8 => line.prop_map(|line| line.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..30),
    ]
}

/// Drives a session with `pieces`, doing the next thing at each event.
fn drive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Vec<Event>) {
    let mut session = Session::new(config(false));
    let (mut out, mut events) = (String::new(), Vec::new());
    for piece in pieces {
        session.receive(piece);
        while let Some(event) = session.poll() {
            match &event {
                Event::Ready(_) | Event::Authenticated(_) => {
                    let _ = session.send(envelope(&["c@d", "e@f"]));
                }
                Event::SendBody => {
                    session.body(b".x");
                    session.body_end();
                }
                Event::Sent(_) => session.authenticate(Mechanism::Plain, None),
                Event::Challenge(_) => session.respond(None),
                Event::StartTls | Event::Failed(_) | Event::Quit => {}
            }
            events.push(event);
        }
        out += &written(&mut session);
    }
    (out, events)
}

proptest! {
    /// However the server's octets are cut, the client does and reports the same.
    #[test]
    fn any_cut(pieces in proptest::collection::vec(said(), 0..20)) {
        let mut input = b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n".to_vec();
        input.extend(pieces.concat());
        let whole = drive([input.as_slice()]);
        prop_assert_eq!(drive(input.chunks(1)), whole.clone());
        prop_assert_eq!(drive(input.chunks(7)), whole);
    }
}

/// A session whose server takes chunks, with one recipient accepted and the message wanted.
fn chunking(offered: &str, envelope: Envelope) -> Session {
    let mut session = ready(false, offered);
    session.send(envelope).unwrap();
    session.receive(b"250 ok\r\n");
    session.poll();
    session.receive(b"250 ok\r\n");
    assert_eq!(session.poll(), Some(Event::SendBody));
    written(&mut session);
    session
}

#[test]
fn chunks_where_they_are_offered() {
    let envelope = Envelope {
        size: Some(7),
        ..envelope(&["c@d"])
    };
    let mut whole = chunking("250-CHUNKING\r\n", envelope.clone());
    whole.body(b".a\r\n.\r\n");
    whole.body_end();
    assert_eq!(written(&mut whole), "BDAT 7 LAST\r\n.a\r\n.\r\n");
    whole.receive(b"250 stored\r\n");
    assert_eq!(codes(whole.poll()), [Ok(250)]);

    let mut pieces = chunking("250-CHUNKING\r\n", envelope.clone());
    pieces.body(b".a\r");
    pieces.body(b"\n");
    pieces.body_end();
    assert_eq!(written(&mut pieces), "BDAT 3\r\n.a\rBDAT 1 LAST\r\n\n");
    pieces.receive(b"552 5.3.4 too big\r\n503 no\r\n");
    assert_eq!(codes(pieces.poll()), [Err(552)]);

    // Nobody was accepted: nothing of the message goes out.
    let mut session = ready(false, "250-CHUNKING\r\n");
    session.send(envelope).unwrap();
    session.receive(b"250 ok\r\n");
    session.poll();
    session.receive(b"550 no\r\n");
    assert_eq!(codes(session.poll()), [Err(550)]);
    assert!(!written(&mut session).contains("BDAT"));
}

/// A2: chunks carry no bare line ends either, unless both sides agreed on binary messages.
#[test]
fn a2_chunks_without_bare_line_ends() {
    for bad in ["a\n", "a\rb", "a\r\n.\r\r\n", "a\0", "ends\r"] {
        let sized = |body| Envelope {
            size: Some(bad.len() as u64),
            parameters: parameters::Mail {
                body,
                ..Default::default()
            },
            ..envelope(&["c@d"])
        };
        let mut session = chunking("250-CHUNKING\r\n", sized(parameters::Body::SevenBit));
        session.body(bad.as_bytes());
        session.body_end();
        assert_eq!(
            session.poll(),
            Some(Event::Failed(Error::BadContent)),
            "{bad:?}"
        );
        assert!(!written(&mut session).contains("LAST"), "{bad:?}");

        let binary = "250-CHUNKING\r\n250-BINARYMIME\r\n";
        let mut session = chunking(binary, sized(parameters::Body::BinaryMime));
        session.body(bad.as_bytes());
        session.body_end();
        assert!(written(&mut session).ends_with(&format!("LAST\r\n{bad}")));
    }
    let mut session = ready(false, "250-CHUNKING\r\n");
    let binary = Envelope {
        parameters: parameters::Mail {
            body: parameters::Body::BinaryMime,
            ..Default::default()
        },
        ..envelope(&["c@d"])
    };
    assert_eq!(session.send(binary), Err(Error::NoBinary));
}

#[test]
fn pieces_that_the_server_fetches() {
    let url = "imap://a@mx/INBOX/;uid=1;urlauth=submit+a:internal:01";
    let mut session = chunking("250-CHUNKING\r\n250-BURL imap\r\n", envelope(&["c@d"]));
    session.body(b"A: b\r\n\r\n");
    session.body_url(url).unwrap();
    session.body(b"end");
    session.body_end();
    assert_eq!(
        written(&mut session),
        format!("BDAT 8\r\nA: b\r\n\r\nBURL {url}\r\nBDAT 5 LAST\r\nend\r\n")
    );
    session.receive(b"250 ok\r\n250 2.5.0 ok\r\n250 2.6.0 stored\r\n");
    assert_eq!(codes(session.poll()), [Ok(250)]);

    let mut session = chunking("250-CHUNKING\r\n250-BURL imap\r\n", envelope(&["c@d"]));
    assert_eq!(session.body_url("a b"), Err(Error::BadContent));
    session.body_url(url).unwrap();
    session.body_end();
    assert_eq!(written(&mut session), format!("BURL {url} LAST\r\n"));
    session.receive(b"554 5.7.0 IMAP URL authorization failed\r\n");
    assert_eq!(codes(session.poll()), [Err(554)]);

    let mut session = chunking("250-CHUNKING\r\n", envelope(&["c@d"]));
    assert_eq!(session.body_url(url), Err(Error::NoUrls));
    let mut session = ready(false, "250-BURL imap\r\n");
    assert_eq!(session.body_url(url), Err(Error::Order));
}
