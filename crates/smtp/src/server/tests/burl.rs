//! BURL beside BDAT, and what becomes of a transaction in which it fails.

use super::*;

fn offering() -> Config {
    let mut config = config(Kind::Submission);
    config.extensions.burl = Some(vec!["imap".into(), "imap://mx.example".into()]);
    config.extensions.binary_mime = true;
    config
}

fn after_login(text: &str) -> (Vec<String>, Peer, Session) {
    let login = "EHLO c\nAUTH PLAIN cmlnaHQ=\n";
    let text = format!("{login}{text}").replace('\n', "\r\n");
    let (out, peer, session) = run(offering(), [text.as_bytes()]);
    let told = out.split_once("235 ").unwrap().1;
    let lines = told.lines().skip(1).map(str::to_owned).collect();
    (lines, peer, session)
}

/// The code and the enhanced code of each reply.
fn told(text: &str) -> (Vec<String>, Vec<Vec<u8>>) {
    let (lines, peer, _) = after_login(text);
    let short = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    (lines.into_iter().map(short).collect(), peer.messages)
}

const OPEN: &str = "MAIL FROM:<a@b>\nRCPT TO:<c@d>\n";

#[test]
fn arguments_are_told_once_somebody_has_logged_in() {
    let text = b"EHLO c\r\nAUTH PLAIN cmlnaHQ=\r\nEHLO c\r\n";
    let (out, ..) = run(offering(), [text.as_slice()]);
    let lines: Vec<&str> = out.lines().filter(|line| line.contains("BURL")).collect();
    assert_eq!(lines, ["250-BURL", "250-BURL imap imap://mx.example"]);
}

#[test]
fn alone_and_between_chunks() {
    let (codes, messages) = told(&format!("{OPEN}BURL imap:10 LAST\n"));
    assert_eq!(codes, ["250 2.1.0", "250 2.1.5", "250 2.6.0"]);
    assert_eq!(messages, [b"A: bcdef\r\n"]);
    let mixed = format!(
        "{OPEN}BDAT 6\nX: y\nBURL imap:10\nBURL imap:0\nBDAT 0\nBURL imap:10\nBDAT 0 LAST\n"
    );
    let (codes, messages) = told(&mixed);
    assert_eq!(
        codes[2..],
        [
            "250 2.6.0",
            "250 2.5.0",
            "250 2.5.0",
            "250 2.6.0",
            "250 2.5.0",
            "250 2.6.0"
        ]
    );
    assert_eq!(messages, [b"X: y\r\nA: bcdef\r\nA: bcdef\r\n"]);
    let (codes, _) = told(&format!(
        "{OPEN}BURL imap:10\nDATA\nRCPT TO:<e@f>\nBURL imap:0 LAST\n"
    ));
    assert_eq!(
        codes[2..],
        ["250 2.5.0", "503 5.5.1", "503 5.5.1", "250 2.6.0"]
    );
}

/// RFC 4468 §3.2: a URL that cannot be fetched fails the entire transaction, and what was pipelined behind it as well.
#[test]
fn failures_end_the_transaction() {
    for (failing, code) in [
        ("BURL imap:nothing", "554 5.6.6"),
        ("BURL imap:nothing LAST", "554 5.6.6"),
        ("BURL imap:1001", "554 5.3.4"),
        ("BURL imap:1001 LAST", "554 5.3.4"),
        ("BURL imap:unclean", "554 5.6.3"),
        ("BURL imap:unclean LAST", "554 5.6.3"),
        // A lone CR at the end of the message.
        ("BURL imap:9 LAST", "554 5.6.3"),
        ("BURL relative", "501 5.5.4"),
        ("BURL imap:10 FIRST", "501 5.5.4"),
    ] {
        let text = format!("{OPEN}BDAT 6\nX: y\n{failing}\nBDAT 5 LAST\nx\n\nMAIL FROM:<a@b>\n");
        let (codes, messages) = told(&text);
        assert_eq!(
            codes[2..],
            ["250 2.6.0", code, "503 5.5.1", "250 2.1.0"][..],
            "{failing}"
        );
        assert!(messages.is_empty(), "{failing}");
    }
    let long = format!("{OPEN}BURL imap:{} LAST\nBDAT 0 LAST\n", "1".repeat(9_000));
    let (codes, messages) = told(&long);
    assert_eq!(codes[2..], ["500 5.5.2", "503 5.5.1"]);
    assert!(messages.is_empty());
    let (codes, _) = told(&format!("{OPEN}BURL imap:{} LAST\n", "0".repeat(8_000)));
    assert_eq!(codes[2..], ["250 2.6.0"], "long URLs are read");
}

#[test]
fn sizes_count_together() {
    let (codes, _) = told(&format!("{OPEN}BURL imap:500\nBURL imap:500 LAST\n"));
    assert_eq!(codes[2..], ["250 2.5.0", "250 2.6.0"]);
    let (codes, _) = told(&format!("{OPEN}BURL imap:500\nBURL imap:510 LAST\n"));
    assert_eq!(codes[2..], ["250 2.5.0", "554 5.3.4"]);
}

#[test]
fn binary_where_it_is_declared() {
    let open = "MAIL FROM:<a@b> BODY=BINARYMIME\nRCPT TO:<c@d>\n";
    let (codes, messages) = told(&format!("{open}BURL imap:unclean LAST\n"));
    assert_eq!(codes[2..], ["250 2.6.0"]);
    assert_eq!(messages, [b"A\n"]);
}

#[test]
fn order() {
    let (codes, _) = told("BURL imap:10 LAST\nMAIL FROM:<a@b>\nBURL imap:10\nBDAT 0 LAST\n");
    assert_eq!(codes, ["503 5.5.1", "250 2.1.0", "554 5.5.0", "503 5.5.1"]);
    let unoffered = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBURL imap:1 LAST\r\n";
    let (out, ..) = run(config(Kind::Reception), [unoffered.as_slice()]);
    assert!(out.ends_with("502 5.5.1 Command not implemented\r\n"));
}

/// Tokens of URLs are not written into logs.
#[test]
fn urls_are_not_shown() {
    let shown = format!("{:?}", Event::Url("imap://secret".into()));
    assert!(!shown.contains("secret"));
}

#[test]
fn verdicts_of_another_kind_are_refusals() {
    for (verdict, code) in [(Ok(Accepted::default()), "451"), (Err(reply::BUSY), "451")] {
        let (_, _, mut session) = after_login(OPEN);
        session.receive(b"BURL imap:10 LAST\r\n");
        assert_eq!(session.poll(), Some(Event::DataStart));
        session.answer(Ok(Accepted::default()));
        assert!(matches!(session.poll(), Some(Event::Url(_))));
        session.answer(verdict);
        assert_eq!(session.poll(), Some(Event::Reset));
        assert!(written(&mut session).starts_with(code));
        session.answer_url(Ok(b"late".to_vec()));
        assert_eq!(session.poll(), None);
    }
}
