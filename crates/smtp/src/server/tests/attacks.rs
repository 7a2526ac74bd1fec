//! Attacks, each named by its number in the list of what a mail server must stand.

use super::*;

const V: [&[u8]; 14] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n. \r\n",
    b"\r\n\x0b.\r\n",
];

/// A1: sequences that some server takes for the end of a message hide a second one. Exactly one message is seen, and
/// it is refused unless the sequence is harmless text.
#[test]
fn a1_smuggling() {
    for (number, v) in V.into_iter().enumerate() {
        for kind in [Kind::Reception, Kind::Submission, Kind::Lmtp] {
            let inner = b"MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nINNER\r\n.\r\n";
            let mut input = conversation(vec![b"DATA\r\nouter".to_vec(), v.to_vec()], kind);
            let attack_from = input.len() - v.len() - 5;
            input.extend(inner);
            input.extend(b"NOOP\r\n");
            let clean = v.iter().all(|octet| !matches!(octet, 0)) && {
                let text = String::from_utf8_lossy(v).replace("\r\n", "");
                !text.contains(['\r', '\n'])
            };
            for cut in attack_from..input.len() {
                let (out, peer, _) = run(config(kind), [&input[..cut], &input[cut..]]);
                let verdict = if clean { 250 } else { 550 };
                assert_eq!(
                    codes(&out),
                    [220, 250, 250, 250, 354, verdict, 250],
                    "{number} {kind:?} {cut}"
                );
                assert_eq!(
                    peer.messages.len(),
                    usize::from(clean),
                    "{number} {kind:?} {cut}"
                );
                let mails = peer
                    .events
                    .iter()
                    .filter(|event| event.starts_with("Mail"))
                    .count();
                assert_eq!(mails, 1, "{number} {kind:?} {cut}");
            }
        }
    }
}

/// A3 (a): the end of DATA is data in a chunk.
#[test]
fn a3_final_dot_in_a_chunk_is_data() {
    let input = conversation(
        vec![b"BDAT 5\r\n\r\n.\r\nBDAT 0 LAST\r\nNOOP\r\n".to_vec()],
        Kind::Reception,
    );
    let (out, peer, _) = run(config(Kind::Reception), [input.as_slice()]);
    assert_eq!(codes(&out), [220, 250, 250, 250, 250, 250, 250]);
    assert_eq!(peer.messages, [b"\r\n.\r\n"]);
}

/// A3 (c): a size that does not parse leaves nobody knowing where commands begin.
#[test]
fn a3_bad_sizes_end_the_session() {
    for size in ["x", "-1", "18446744073709551616", "", "5 FIRST"] {
        let input = conversation(
            vec![format!("BDAT {size}\r\nMAIL FROM:<evil@b>\r\n").into_bytes()],
            Kind::Reception,
        );
        let (out, peer, session) = run(config(Kind::Reception), [input.as_slice()]);
        assert_eq!(codes(&out), [220, 250, 250, 250, 501], "{size}");
        assert!(session.closed());
        assert_eq!(peer.events.len(), 3);
    }
}

/// A3 (c): a million tiny chunks hold no memory in the session.
#[test]
fn a3_tiny_chunks() {
    for chunk in [b"BDAT 0\r\n".as_slice(), b"BDAT 1\r\nx"] {
        let mut config = config(Kind::Reception);
        config.limits.message = u64::MAX;
        let mut session = Session::new(config);
        let mut peer = Peer::default();
        session.receive(&conversation(vec![], Kind::Reception));
        peer.serve(&mut session);
        written(&mut session);
        for _ in 0..1_000_000 {
            session.receive(chunk);
            peer.serve(&mut session);
            peer.body.clear();
            let reply = session.transmit().unwrap();
            assert_eq!(reply, b"250 2.6.0 Chunk received\r\n");
            assert_eq!(session.pending() + session.input.len(), 0);
        }
        assert_eq!(
            peer.events
                .iter()
                .filter(|event| *event == "DataStart")
                .count(),
            1
        );
    }
}

/// A3 (d), (e): after a failed chunk the transaction is gone, its octets never were commands, and RSET is clean.
#[test]
fn a3_failed_chunk_clears_the_transaction() {
    let bad = b"BDAT 29\r\nMAIL FROM:<evil@b>\r\nNOOP\n\r\n\r\n".to_vec();
    let input = conversation(
        vec![
            bad,
            b"BDAT 0 LAST\r\nDATA\r\nRCPT TO:<c@d>\r\nNOOP\r\n".to_vec(),
        ],
        Kind::Reception,
    );
    let (out, peer, _) = run(config(Kind::Reception), [input.as_slice()]);
    assert_eq!(codes(&out), [220, 250, 250, 250, 250, 550, 503, 503, 250]);
    assert!(peer.messages.is_empty());
    let over = [
        b"BDAT 1001\r\n".as_slice(),
        &[b'\n'; 1_001],
        b"DATA\r\nRSET\r\nDATA\r\n",
    ]
    .concat();
    let (out, ..) = run(
        config(Kind::Reception),
        [conversation(vec![over], Kind::Reception).as_slice()],
    );
    assert_eq!(codes(&out), [220, 250, 250, 250, 552, 503, 250, 503]);
    let input = conversation(
        vec![b"BDAT 3\r\nabcRSET\r\nBDAT 3 LAST\r\nxyzDATA\r\n".to_vec()],
        Kind::Reception,
    );
    let (out, peer, _) = run(config(Kind::Reception), [input.as_slice()]);
    assert_eq!(codes(&out), [220, 250, 250, 250, 250, 250, 503, 503]);
    assert!(peer.messages.is_empty());
}

/// A5: input before the greeting, behind EHLO and behind DATA.
#[test]
fn a5_early_talk() {
    let strict = Config {
        strict_pipelining: true,
        ..config(Kind::Reception)
    };
    let mut early = Session::new(strict.clone());
    early.receive(b"EHLO x\r\n");
    assert!(early.poll().is_none());
    assert_eq!(codes(&written(&mut early)), [554]);
    assert!(early.closed());
    let (out, peer, session) = run(
        strict.clone(),
        [b"EHLO c\r\nMAIL FROM:<a@b>\r\n".as_slice()],
    );
    assert_eq!(codes(&out), [220, 554]);
    assert!(session.closed() && peer.events.is_empty());
    let (out, _, session) = run(
        strict.clone(),
        [
            b"EHLO c\r\n".as_slice(),
            b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n",
        ],
    );
    assert_eq!(codes(&out), [220, 250, 250, 250, 554]);
    assert!(session.closed());
    // What PIPELINING allows stays allowed, behind the final dot too.
    let (out, ..) = run(
        strict,
        [
            b"EHLO c\r\n".as_slice(),
            b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
            b"x\r\n.\r\nMAIL FROM:<a@b>\r\nRSET\r\n",
        ],
    );
    assert_eq!(codes(&out), [220, 250, 250, 250, 354, 250, 250, 250]);
}

/// A5, A9: HTTP ends the session at its first line, and nothing of it comes back.
#[test]
fn a5_http() {
    for line in [
        "GET /<script> HTTP/1.1",
        "POST / HTTP/1.1",
        "CONNECT a:25 HTTP/1.1",
    ] {
        let (out, peer, session) = run(
            config(Kind::Submission),
            [format!("{line}\r\nEHLO c\r\n").as_bytes()],
        );
        assert_eq!(codes(&out), [220, 554]);
        assert!(session.closed() && peer.events.is_empty());
        assert!(!out.contains("script"));
    }
}

/// A6: commands pipelined behind STARTTLS: no handshake, and nothing is answered to them.
#[test]
fn a6_injection_behind_starttls() {
    for kind in [Kind::Reception, Kind::Submission, Kind::Lmtp] {
        let (out, peer, session) = run(config(kind), [b"STARTTLS\r\nEHLO inj\r\n".as_slice()]);
        assert_eq!(codes(&out), [220, 554]);
        assert!(session.closed() && peer.events.is_empty());
        // In a later segment, but before TLS is up.
        let (out, peer, session) = run(config(kind), [b"STARTTLS\r\n".as_slice(), b"EHLO inj\r\n"]);
        assert_eq!(codes(&out), [220, 220]);
        assert!(session.closed());
        assert_eq!(peer.events, ["StartTls"]);
    }
}

/// A7: nothing learned in the clear survives; twice is refused; AUTH in the clear gets no challenge.
#[test]
fn a7_state_before_tls() {
    let mut session = Session::new(config(Kind::Submission));
    let mut peer = Peer::default();
    session.receive(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\n");
    peer.serve(&mut session);
    session.tls_started();
    written(&mut session);
    session.receive(b"DATA\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN\r\nSTARTTLS\r\nEHLO c\r\nSTARTTLS\r\n");
    peer.serve(&mut session);
    assert_eq!(
        codes(&written(&mut session)),
        [503, 503, 503, 503, 503, 250, 503]
    );

    let (out, ..) = run(
        config(Kind::Submission),
        [b"EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\nSTARTTLS\r\n".as_slice()],
    );
    assert_eq!(codes(&out), [220, 250, 235, 503]);

    let clear = Config {
        mechanisms_clear: vec![],
        ..config(Kind::Submission)
    };
    let (out, peer, _) = run(
        clear,
        [b"EHLO c\r\nAUTH PLAIN\r\nAUTH PLAIN AGEAcmlnaHQ=\r\n".as_slice()],
    );
    assert_eq!(codes(&out), [220, 250, 538, 538]);
    assert_eq!(peer.events.len(), 1);
}

/// A7: TLS that starts unasked is a fault of the driver; the session does not go on in an unknown state.
#[test]
fn a7_tls_out_of_turn() {
    let mut session = Session::new(config(Kind::Reception));
    session.tls_started();
    assert!(session.closed());
}

/// A11: 64 MiB without CRLF. One reply, closed by 16 KiB, and no more memory than that.
#[test]
fn a11_endless_line() {
    let piece = vec![b'A'; 4_096];
    let mut login = config(Kind::Submission);
    login.limits.message = u64::MAX;
    for start in [
        b"".as_slice(),
        b"EHLO c\r\n",
        b"EHLO c\r\nAUTH PLAIN\r\n",
        b"EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\n",
    ] {
        let mut session = Session::new(login.clone());
        let mut peer = Peer::default();
        session.receive(start);
        peer.serve(&mut session);
        written(&mut session);
        let mut taken = 0;
        while !session.closed() {
            session.receive(&piece);
            peer.serve(&mut session);
            taken += piece.len();
            assert!(session.input.len() <= 16_384);
            assert!(taken <= 20_480);
        }
        let codes = codes(&written(&mut session));
        assert!(codes == [500], "{codes:?}");
    }
    // One octet at a time it ends at the same place.
    let mut session = Session::new(login);
    written(&mut session);
    let mut taken = 0;
    while !session.closed() {
        session.receive(b"A");
        assert!(session.poll().is_none());
        taken += 1;
    }
    assert_eq!(taken, 16_385);
}

/// A27: NUL and controls in commands.
#[test]
fn a27_controls_in_commands() {
    let long = b"EHLO c\0\r\nEHLO c\x1b\r\nMAIL FROM:<a\0@b>\r\nNOOP\rQUIT\r\nNOOP\nMAIL FROM:<a@b\xe2\x80\xa8> SMTPUTF8\r\n";
    let (out, peer, _) = run(config(Kind::Reception), [long.as_slice()]);
    assert_eq!(codes(&out), [220, 500, 500, 500, 500, 500, 501]);
    assert!(peer.events.is_empty());
}
