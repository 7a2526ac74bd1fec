//! The session against tables, against every cut of its input, and against a reference model.

mod attacks;
mod burl;
mod model;

use super::*;
use proptest::prelude::*;
use wire::base64;

/// A handler with fixed opinions: `refused@…` is no sender, `unknown@…` no recipient, `full@…` over quota; a message
/// with a line `REFUSE` is refused, by LMTP for every second recipient only; the password is `right`.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub events: Vec<String>,
    pub messages: Vec<Vec<u8>>,
    body: Vec<u8>,
    recipients: usize,
}

pub(super) fn config(kind: Kind) -> Config {
    Config {
        extensions: Extensions::default(),
        kind,
        host: "mx.example".into(),
        tls: false,
        starttls: true,
        mechanisms: vec![Mechanism::Plain, Mechanism::Login],
        mechanisms_clear: vec![Mechanism::Plain],
        strict_pipelining: false,
        quirks: Quirks::default(),
        limits: Limits {
            message: 1_000,
            recipients: 3,
            ..Limits::default()
        },
    }
}

impl Peer {
    /// Answers everything that can be answered now.
    pub fn serve(&mut self, session: &mut Session) {
        while let Some(event) = session.poll() {
            if !matches!(event, Event::Data(_)) {
                self.events.push(format!("{event:?}"));
            }
            self.one(session, event);
        }
    }

    fn one(&mut self, session: &mut Session, event: Event) {
        let ok = Ok(Accepted::default());
        match event {
            Event::Hello { .. } => {
                self.forget();
                session.answer(ok);
            }
            Event::Mail { from, .. } => {
                let refused = from.to_string().starts_with("refused@");
                session.answer(if refused {
                    Err(reply::SENDER_NOT_OWNED)
                } else {
                    ok
                });
            }
            Event::Recipient { to, .. } => match to.to_string().split('@').next() {
                Some("unknown") => session.answer(Err(reply::MAILBOX_UNKNOWN)),
                Some("full") => session.answer(Err(reply::MAILBOX_FULL)),
                _ => {
                    self.recipients += 1;
                    session.answer(ok);
                }
            },
            Event::DataStart => session.answer(ok),
            Event::Data(octets) => self.body.extend(octets),
            // `imap:SIZE` is that many octets; other URLs name nothing.
            Event::Url(url) => {
                let size = url.strip_prefix("imap:").and_then(|n| n.parse().ok());
                let line = |size| b"A: bcdef\r\n".iter().copied().cycle().take(size).collect();
                session.answer_url(match url.as_str() {
                    "imap:unclean" => Ok(b"A\n".to_vec()),
                    "imap:refused" => Ok(b"REFUSE\r\n".to_vec()),
                    _ => size.map(line).ok_or(reply::URL_NOT_RESOLVED),
                });
            }
            Event::DataEnd => {
                let refuse = self.body.windows(6).any(|octets| octets == b"REFUSE");
                let verdict = |n: usize| {
                    if refuse && n.is_multiple_of(2) {
                        Err(reply::LOOP)
                    } else {
                        Ok(Accepted::default())
                    }
                };
                session.answer_recipients((0..self.recipients).map(verdict).collect());
                self.messages.push(std::mem::take(&mut self.body));
                self.forget();
            }
            Event::Reset => self.forget(),
            Event::StartTls => {
                self.forget();
                session.answer(ok);
            }
            Event::Authenticate { initial: None, .. } => session.challenge(b""),
            Event::Authenticate {
                initial: Some(response),
                ..
            }
            | Event::SaslResponse(response) => {
                let right = response.ends_with(b"right");
                session.answer(if right {
                    ok
                } else {
                    Err(reply::AUTHENTICATION_FAILED)
                });
            }
            Event::SaslAborted => {}
            Event::Client(client) => {
                self.forget();
                let known = client.login.known().is_none_or(|login| login == "right");
                session.answer(if known {
                    ok
                } else {
                    Err(reply::AUTHENTICATION_FAILED)
                });
            }
            Event::Forwarded(_) => session.answer(ok),
            Event::Etrn { domain, .. } => session.answer(if domain == "kept.example" {
                Ok(Accepted::with(reply::QUEUE_STARTED))
            } else {
                Err(reply::NODE_NOT_ALLOWED)
            }),
        }
    }

    fn forget(&mut self) {
        self.body.clear();
        self.recipients = 0;
    }
}

pub(super) fn written(session: &mut Session) -> String {
    let mut out = Vec::new();
    while let Some(octets) = session.transmit() {
        out.extend(octets);
    }
    String::from_utf8(out).unwrap()
}

/// Feeds `pieces` and returns all output, the peer and the session.
pub(super) fn run<'a>(
    config: Config,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Peer, Session) {
    let mut session = Session::new(config);
    let mut peer = Peer::default();
    let mut out = written(&mut session);
    for piece in pieces {
        session.receive(piece);
        peer.serve(&mut session);
        out += &written(&mut session);
    }
    (out, peer, session)
}

/// The codes of all final lines, after the greeting and the first EHLO's answer.
fn codes(out: &str) -> Vec<u16> {
    out.lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| line[..3].parse().unwrap())
        .collect()
}

fn talk(kind: Kind, text: &str) -> Vec<u16> {
    let hello = if kind == Kind::Lmtp {
        "LHLO c\r\n"
    } else {
        "EHLO c\r\n"
    };
    let input = format!("{hello}{}", text.replace('\n', "\r\n"));
    let (out, ..) = run(config(kind), [input.as_bytes()]);
    codes(&out).split_off(2)
}

#[test]
fn greeting_and_capabilities() {
    let (out, ..) = run(config(Kind::Submission), [b"EHLO c\r\n".as_slice()]);
    assert_eq!(
        out,
        "220 mx.example ESMTP Waxwing\r\n250-mx.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
    );
    let tls = Config {
        tls: true,
        ..config(Kind::Submission)
    };
    let (out, ..) = run(tls, [b"EHLO c\r\n".as_slice()]);
    assert!(!out.contains("STARTTLS"));
    assert!(out.ends_with("250 AUTH PLAIN LOGIN\r\n"));
    let bare = Config {
        mechanisms_clear: vec![],
        starttls: false,
        ..config(Kind::Reception)
    };
    let (out, ..) = run(bare, [b"EHLO c\r\n".as_slice()]);
    assert!(out.ends_with("250 SIZE 1000\r\n"));
    assert!(!out.contains("BINARYMIME"));
    let (out, ..) = run(config(Kind::Reception), [b"HELO c\r\n".as_slice()]);
    assert!(out.ends_with("\r\n250 mx.example\r\n"));
}

#[test]
fn dialogs() {
    use Kind::*;
    let table: &[(Kind, &str, &[u16])] = &[
        (
            Reception,
            "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nx\n.\nQUIT\n",
            &[250, 250, 354, 250, 221],
        ),
        (
            Reception,
            "RCPT TO:<c@d>\nDATA\nBDAT 0 LAST\n",
            &[503, 503, 503],
        ),
        (
            Reception,
            "MAIL FROM:<a@b>\nMAIL FROM:<a@b>\nDATA\nRSET\nDATA\n",
            &[250, 503, 554, 250, 503],
        ),
        (
            Reception,
            "MAIL FROM:<a@b>\nRCPT TO:<unknown@d>\nRCPT TO:<full@d>\nDATA\n",
            &[250, 550, 452, 554],
        ),
        (
            Reception,
            "MAIL FROM:<refused@b>\nRCPT TO:<c@d>\n",
            &[550, 503],
        ),
        (
            Reception,
            "MAIL FROM:<a@b>\nRCPT TO:<1@d>\nRCPT TO:<2@d>\nRCPT TO:<3@d>\nRCPT TO:<4@d>\n",
            &[250, 250, 250, 250, 452],
        ),
        (
            Reception,
            "MAIL FROM:<a@b> SIZE=1001\nMAIL FROM:<a@b> SIZE=1000\n",
            &[552, 250],
        ),
        (
            Reception,
            "MAIL FROM:<a@b> X=1\nMAIL FROM:a\nMAIL TO:<a@b>\n",
            &[555, 501, 501],
        ),
        (
            Reception,
            "MAIL FROM:<>\nRCPT TO:<ü@d>\nRSET\nMAIL FROM:<> SMTPUTF8\nRCPT TO:<ü@d>\n",
            &[250, 553, 250, 250, 250],
        ),
        (
            Reception,
            "VRFY x\nEXPN x\nHELP\nNOOP x\nTURN\nFOO\nLHLO x\n",
            &[252, 502, 214, 250, 502, 500, 500],
        ),
        (
            Reception,
            "MAIL FROM:<a@b>\nEHLO again\nRCPT TO:<c@d>\n",
            &[250, 250, 503],
        ),
        (Lmtp, "HELO x\nEHLO x\nAUTH PLAIN\n", &[500, 500, 502]),
        (
            Lmtp,
            "MAIL FROM:<a@b>\nDATA\nBDAT 0 LAST\nNOOP\n",
            &[250, 503, 250],
        ),
        (
            Lmtp,
            "MAIL FROM:<a@b>\nRCPT TO:<1@d>\nRCPT TO:<2@d>\nDATA\nx\n.\n",
            &[250, 250, 250, 354, 250, 250],
        ),
        (
            Lmtp,
            "MAIL FROM:<a@b>\nRCPT TO:<1@d>\nRCPT TO:<2@d>\nDATA\nREFUSE\n.\n",
            &[250, 250, 250, 354, 554, 250],
        ),
        (
            Submission,
            "AUTH PLAIN =\nAUTH LOGIN\nAUTH PLAIN !\nAUTH\n",
            &[535, 504, 501, 501],
        ),
        (
            Submission,
            "AUTH PLAIN\ncmlnaHQ=\nAUTH PLAIN\n",
            &[334, 235, 503],
        ),
        (
            Submission,
            "AUTH PLAIN\n*\nAUTH PLAIN\n?\nNOOP\n",
            &[334, 501, 334, 501, 250],
        ),
        (
            Submission,
            "MAIL FROM:<a@b>\nAUTH PLAIN\nHELO c\nAUTH PLAIN\n",
            &[250, 503, 250, 503],
        ),
        (Reception, "BDAT x\nNOOP\n", &[501]),
        (
            Reception,
            "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nBDAT 6\nA:\n\nBDAT 0 LAST\n",
            &[250, 250, 250, 250],
        ),
        (
            Reception,
            "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nBDAT 2\n\nDATA\nRCPT TO:<e@d>\nBDAT 0 LAST\n",
            &[250, 250, 250, 503, 503, 250],
        ),
    ];
    for (kind, text, expected) in table {
        assert_eq!(talk(*kind, text), *expected, "{kind:?} {text}");
    }
}

#[test]
fn message_octets() {
    let (_, peer, _) = run(
        config(Kind::Reception),
        [
            b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..a\r\n.b\r\n\r\n...\r\n.\r\n"
                .as_slice(),
        ],
    );
    assert_eq!(peer.messages, [b".a\r\nb\r\n\r\n..\r\n"]);
    // The line end of the command is its own; those of the message may lie across chunks.
    let chunks = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\na\rBDAT 1 LAST\r\n\n";
    let (_, peer, _) = run(config(Kind::Reception), [chunks.as_slice()]);
    assert_eq!(peer.messages, [b"a\r\n"]);
    let ends_in_cr = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2 LAST\r\na\r";
    let (out, peer, _) = run(config(Kind::Reception), [ends_in_cr.as_slice()]);
    assert_eq!(codes(&out), [220, 250, 250, 250, 550]);
    assert!(peer.messages.is_empty());
}

#[test]
fn size_limit_counts_octets_without_stuffing() {
    let line = "x".repeat(98) + "\n";
    let fits = format!(
        "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n{}.\n",
        line.repeat(10)
    );
    assert_eq!(talk(Kind::Reception, &fits), [250, 250, 354, 250]);
    let over = format!(
        "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n{}y\n.\nRCPT TO:<c@d>\n",
        line.repeat(10)
    );
    assert_eq!(talk(Kind::Reception, &over), [250, 250, 354, 552, 503]);
    let stuffed = format!(
        "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n{}.\n",
        format!(".{}", ".".repeat(98) + "\n").repeat(10)
    );
    assert_eq!(talk(Kind::Reception, &stuffed), [250, 250, 354, 250]);
    let chunk = format!(
        "MAIL FROM:<a@b>\nRCPT TO:<c@d>\nBDAT 1001\n{}BDAT 0 LAST\nNOOP\n",
        "x".repeat(1001)
    );
    assert_eq!(talk(Kind::Reception, &chunk), [250, 250, 552, 503, 250]);
}

#[test]
fn lmtp_clients_that_pipeline_chunks_get_a_reply_per_recipient() {
    let text = format!(
        "MAIL FROM:<a@b>\nRCPT TO:<1@d>\nRCPT TO:<2@d>\nBDAT 1001\n{}BDAT 1 LAST\nxNOOP\n",
        "x".repeat(1001)
    );
    assert_eq!(talk(Kind::Lmtp, &text), [250, 250, 250, 552, 503, 503, 250]);
}

#[test]
fn limits_end_the_session() {
    let mut config = config(Kind::Reception);
    config.limits.unknown_commands = 2;
    let (out, _, session) = run(config.clone(), [b"A\r\nB\r\nC\r\nNOOP\r\n".as_slice()]);
    assert_eq!(codes(&out), [220, 500, 500, 421]);
    assert!(session.closed());
    config.limits.errors = 2;
    let (out, _, session) = run(config, [b"DATA\r\nDATA\r\nDATA\r\nNOOP\r\n".as_slice()]);
    assert_eq!(codes(&out), [220, 503, 503, 503, 421]);
    assert!(session.closed());
}

#[test]
fn sasl_lines_may_be_long_but_not_endless() {
    let long = base64::encode(&[b'x'; 9_000]);
    assert_eq!(
        talk(
            Kind::Submission,
            &format!("AUTH PLAIN {long}\nAUTH PLAIN\n{long}\n")
        ),
        [535, 334, 535]
    );
    assert_eq!(
        talk(
            Kind::Submission,
            &format!("AUTH PLAIN\n{}\nNOOP\n", "x".repeat(12_300))
        ),
        [334, 500, 250]
    );
    assert_eq!(
        talk(
            Kind::Submission,
            &format!("NOOP {}\nNOOP\n", "x".repeat(2_050))
        ),
        [500, 250]
    );
}

#[test]
fn timeouts_and_shutdown() {
    let (_, _, mut session) = run(
        config(Kind::Reception),
        [b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n".as_slice()],
    );
    assert_eq!(session.timeout(), Duration::from_secs(300));
    session.receive(b"DATA\r\nhalf");
    Peer::default().serve(&mut session);
    assert_eq!(session.timeout(), Duration::from_secs(180));
    // A message may end after the server was told to stop.
    session.shutdown();
    assert!(session.poll().is_none());
    assert!(!session.closed());
    session.receive(b"\r\n.\r\n");
    Peer {
        recipients: 1,
        ..Peer::default()
    }
    .serve(&mut session);
    assert!(session.closed());
    assert_eq!(codes(&written(&mut session)), [354, 250, 421]);

    let (_, _, mut idle) = run(config(Kind::Reception), [b"EHLO c\r\n".as_slice()]);
    idle.handle_timeout();
    assert_eq!(codes(&written(&mut idle)), [421]);
    assert!(idle.closed());
}

#[test]
fn a_verdict_of_421_ends_the_session() {
    let mut session = Session::new(config(Kind::Reception));
    session.receive(b"EHLO c\r\nNOOP\r\n");
    assert!(matches!(
        session.poll(),
        Some(Event::Hello { extended: true, .. })
    ));
    assert!(session.poll().is_none());
    session.answer(Err(reply::TOO_MANY_CONNECTIONS));
    assert!(session.closed());
    assert_eq!(codes(&written(&mut session)), [220, 421]);
    session.answer(Ok(Accepted::default()));
    assert!(session.transmit().is_none());
}

/// Pieces of real and broken conversations, to be strung together.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"EHLO c\r\n".to_vec()),
        Just(b"LHLO c\r\n".to_vec()),
        Just(b"MAIL FROM:<a@b>\r\n".to_vec()),
        Just(b"RCPT TO:<c@d>\r\n".to_vec()),
        Just(b"RCPT TO:<unknown@d>\r\n".to_vec()),
        Just(b"DATA\r\n".to_vec()),
        Just(b"A: b\r\n\r\n..x\r\n.\r\n".to_vec()),
        Just(b"\n.\r\n".to_vec()),
        Just(b"\r.\r\n.\r\n".to_vec()),
        Just(b"BDAT 3\r\nabc".to_vec()),
        Just(b"BDAT 3\r\na\nc".to_vec()),
        Just(b"BDAT 2 LAST\r\n\r\n".to_vec()),
        Just(b"BDAT 0 LAST\r\n".to_vec()),
        Just(b"RSET\r\n".to_vec()),
        Just(b"NOOP\n".to_vec()),
        Just(b"AUTH PLAIN\r\n".to_vec()),
        Just(b"cmlnaHQ=\r\n".to_vec()),
        Just(b"*\r\n".to_vec()),
        Just([b"NOOP ".as_slice(), &[b'x'; 2_100], b"\r\n"].concat()),
        Just(vec![b'y'; 9_000]),
        Just(b"\r\n".to_vec()),
        Just(b"QUIT\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,30}\r\n".prop_map(String::into_bytes),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Reception),
        Just(Kind::Submission),
        Just(Kind::Lmtp)
    ]
}

/// A MAIL and RCPT in front, so that most inputs get as far as a message.
fn conversation(fragments: Vec<Vec<u8>>, kind: Kind) -> Vec<u8> {
    let hello = if kind == Kind::Lmtp {
        "LHLO c\r\n"
    } else {
        "EHLO c\r\n"
    };
    let mut input = format!("{hello}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n").into_bytes();
    input.extend(fragments.concat());
    input
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// However the input is cut, the output, the events and the messages are the same.
    #[test]
    fn any_cut(kind in kind(), fragments in proptest::collection::vec(fragment(), 0..20), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10)) {
        let input = conversation(fragments, kind);
        let (whole_out, whole, session) = run(config(kind), [input.as_slice()]);
        let (bytes_out, bytes, slow) = run(config(kind), input.chunks(1));
        prop_assert_eq!(&whole_out, &bytes_out);
        prop_assert_eq!(&whole.events, &bytes.events);
        prop_assert_eq!(&whole.messages, &bytes.messages);
        prop_assert_eq!(session.closed(), slow.closed());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        places.extend([0, input.len()]);
        places.sort_unstable();
        let (cut_out, cut, _) = run(config(kind), places.windows(2).map(|pair| &input[pair[0]..pair[1]]));
        prop_assert_eq!(&whole_out, &cut_out);
        prop_assert_eq!(&whole.events, &cut.events);
        prop_assert_eq!(&whole.messages, &cut.messages);
    }

    /// Nothing that was received as part of an accepted message holds a bare CR, a bare LF or a NUL.
    #[test]
    fn accepted_messages_are_clean(kind in kind(), fragments in proptest::collection::vec(fragment(), 0..20)) {
        let input = conversation(fragments, kind);
        let (_, peer, _) = run(config(kind), [input.as_slice()]);
        for message in peer.messages {
            let text = message.as_slice();
            for (at, octet) in text.iter().enumerate() {
                prop_assert_ne!(*octet, 0);
                if *octet == b'\n' { prop_assert!(at > 0 && text[at - 1] == b'\r'); }
                if *octet == b'\r' { prop_assert_eq!(text.get(at + 1), Some(&b'\n')); }
            }
        }
    }
}
