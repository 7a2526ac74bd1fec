//! What attackers send, named after the rows of the attack list.

use super::*;
use crate::server::State;

/// What a session holds between two segments: its input, the command it gathers, and its output.
fn held(session: &Session) -> usize {
    session.input.len() + session.text.capacity() + session.pending()
}

const SEGMENT: usize = 16 * 1024;

/// Feeds a segment again and again, answering all; the most the session held, and what it said.
fn flood(session: &mut Session, segment: &[u8], times: usize) -> (usize, String) {
    let mut most = 0;
    let mut said = String::new();
    for _ in 0..times {
        feed(session, segment);
        most = most.max(held(session));
        said.push_str(&output(session));
        if session.closed() {
            break;
        }
    }
    (most, said)
}

#[test]
fn a06_octets_behind_starttls_close_the_connection_unanswered() {
    for injected in ["X NOOP\r\n", "X", "\r\n", "X LOGIN u p\r\n"] {
        let mut session = fresh(clear());
        let events = feed(&mut session, format!("a STARTTLS\r\n{injected}").as_bytes());
        assert_eq!(events, [""; 0]);
        assert_eq!(output(&mut session), "* BYE Octets behind STARTTLS\r\n");
        assert!(session.closed());
        // And between the answer and the handshake.
        let mut session = fresh(clear());
        assert_eq!(feed(&mut session, b"a STARTTLS\r\n"), ["StartTls"]);
        assert_eq!(feed(&mut session, injected.as_bytes()), [""; 0]);
        assert_eq!(output(&mut session), "a OK done\r\n");
        session.tls_started();
        assert!(session.closed());
    }
}

#[test]
fn a07_nothing_is_carried_into_tls_and_no_password_is_pulled_in_clear() {
    let mut session = fresh(clear());
    feed(
        &mut session,
        b"a LOGIN {1}\r\nb LOGIN u p\r\nc AUTHENTICATE PLAIN\r\nd AUTHENTICATE PLAIN AGEAYg==\r\n",
    );
    let expected = "a NO [PRIVACYREQUIRED] LOGIN needs TLS\r\nb NO [PRIVACYREQUIRED] LOGIN needs TLS\r\n\
                    c NO [PRIVACYREQUIRED] That mechanism needs TLS\r\nd NO [PRIVACYREQUIRED] That mechanism needs TLS\r\n";
    assert_eq!(output(&mut session), expected);
    feed(
        &mut session,
        b"e ID (\"name\" \"before\")\r\nf ENABLE IMAP4rev2\r\n",
    );
    assert!(output(&mut session).ends_with("f BAD Log in first\r\n"));
    feed(&mut session, b"g STARTTLS\r\n");
    session.tls_started();
    assert_eq!(
        (session.client_id(), session.state()),
        (None, State::NotAuthenticated)
    );
    assert!(!session.is_enabled(&crate::Capability::Imap4rev2));
}

#[test]
fn a09_http_ends_at_its_first_line() {
    for verb in [
        "GET / HTTP/1.1",
        "POST /x HTTP/1.0",
        "CONNECT a:25 HTTP/1.1",
    ] {
        let mut session = fresh(clear());
        feed(
            &mut session,
            format!("{verb}\r\nHost: <script>\r\n\r\na LOGIN u p\r\n").as_bytes(),
        );
        assert_eq!(output(&mut session), "* BYE This is an IMAP server\r\n");
        assert!(session.closed());
    }
    let mut session = fresh(clear());
    feed(
        &mut session,
        b"<script>\r\nalert(1)\r\n</script>\r\na NOOP\r\n",
    );
    assert!(session.closed());
    assert!(!output(&mut session).contains("script"));
}

#[test]
fn a11_endless_line() {
    let endless = vec![b'A'; SEGMENT];
    for (mut session, limit) in [(fresh(clear()), 8 * 1024), (logged_in(true), 256 * 1024)] {
        let (most, said) = flood(&mut session, &endless, 4096);
        assert!(session.closed());
        assert!(most <= limit + SEGMENT, "{most}");
        assert_eq!(said, "* BYE [TOOBIG] The command is too long\r\n");
    }
    // One octet at a time, and inside of IDLE and AUTHENTICATE.
    let mut session = fresh(clear());
    let mut sent = 0;
    while !session.closed() {
        feed(&mut session, b"A");
        sent += 1;
    }
    assert_eq!(sent, 8 * 1024);
    for start in ["i IDLE\r\n", "s SEARCH FROM {1+}\r\nx"] {
        let mut session = logged_in(true);
        feed(&mut session, start.as_bytes());
        let (most, _) = flood(&mut session, &endless, 4096);
        assert!(
            session.closed() && most <= 256 * 1024 * 2 + SEGMENT,
            "{most}"
        );
    }
}

#[test]
fn a12_parentheses_without_end() {
    let parens = vec![b'('; SEGMENT];
    for start in ["a NOOP ", "a LOGIN ", "a ID ", ""] {
        let mut session = fresh(config());
        feed(&mut session, start.as_bytes());
        let (most, _) = flood(&mut session, &parens, 64);
        assert!(session.closed() && most <= 64 * 1024);
    }
    for start in ["a SEARCH ", "a FETCH 1 ", "a LIST ", "a STORE 1 FLAGS "] {
        let text = format!("{start}{}\r\nz NOOP\r\n", "(".repeat(100_000));
        let said = says(text.as_bytes());
        assert!(
            said.starts_with("a BAD ") || said.starts_with("a NO [LIMIT]"),
            "{said}"
        );
        assert!(said.ends_with("z OK done\r\n"));
    }
}

#[test]
fn a12_literals_before_login() {
    for (literal, said) in [
        ("{4294967295}", "a BAD [TOOBIG] The literal is too big\r\n"),
        ("{8192}", "a BAD [TOOBIG] The literal is too big\r\n"),
        (
            "{999999999+}",
            "a BAD [TOOBIG] The literal is too big\r\n* BYE [TOOBIG] The literal is too big\r\n",
        ),
        (
            "{99999999999999999999}",
            "a BAD LOGIN: expected the size of a literal at octet 10\r\n",
        ),
        (
            "{99999999999999999999+}",
            "a BAD LOGIN: expected the size of a literal at octet 10\r\n",
        ),
        ("{8000}", "+ Ready for the literal\r\n"),
    ] {
        let mut session = fresh(config());
        feed(&mut session, format!("a LOGIN {literal}\r\n").as_bytes());
        assert!(
            held(&session) <= 1024,
            "nothing is taken for what is only announced"
        );
        assert_eq!(output(&mut session), said);
    }
}

#[test]
fn a12_many_literals_in_search() {
    let mut session = logged_in(true);
    let mut start = b"a SEARCH".to_vec();
    let mut segment = b" TO {102400+}\r\n".to_vec();
    segment.extend_from_slice(&[b'x'; 102_400]);
    start.extend_from_slice(&segment);
    feed(&mut session, &start);
    let (most, said) = flood(&mut session, &segment, 10_000);
    assert!(most <= 1 << 20, "{most}");
    assert!(
        said.starts_with("a BAD [TOOBIG] The literal is too big\r\n"),
        "{}",
        &said[..100]
    );
    // Small ones, too many of them.
    let text = format!("a SEARCH{}\r\nz NOOP\r\n", " TO {1+}\r\nx".repeat(10_000));
    let said = says(text.as_bytes());
    assert_eq!(
        said,
        "a BAD [TOOBIG] The literal is too big\r\n* 3 EXISTS\r\n* 0 RECENT\r\nz OK done\r\n"
    );
}

#[test]
fn a12_endless_base64() {
    for start in ["a AUTHENTICATE PLAIN ", "a AUTHENTICATE PLAIN\r\n"] {
        let mut session = fresh(config());
        feed(&mut session, start.as_bytes());
        let (most, said) = flood(&mut session, &vec![b'A'; SEGMENT], 6400);
        assert!(session.closed() && most <= 64 * 1024, "{most}");
        assert!(said.ends_with("* BYE [TOOBIG] The command is too long\r\n"));
    }
}

#[test]
fn a12_append_above_the_limit_is_refused_before_it_is_sent() {
    let limit = Limits::default().append;
    let said = says(format!("a APPEND x {{{}}}\r\nb CHECK\r\n", limit + 1).as_bytes());
    assert_eq!(
        said,
        "a NO [TOOBIG] The message is too big\r\nb OK done\r\n"
    );
    let said = says(format!("a APPEND x {{{}+}}\r\nb CHECK\r\n", limit + 1).as_bytes());
    assert_eq!(
        said,
        "a NO [TOOBIG] The message is too big\r\n* BYE [TOOBIG] The literal is too big\r\n"
    );
}

#[test]
fn a13_aborted_sasl_leaves_nothing_behind() {
    let mut session = fresh(Config {
        limits: Limits {
            bad_before_login: u32::MAX,
            ..Limits::default()
        },
        ..config()
    });
    let (most, said) = flood(&mut session, b"a AUTHENTICATE PLAIN\r\n*\r\n", 100_000);
    assert!(most <= 1024, "{most}");
    assert_eq!(said.matches("a BAD AUTHENTICATE").count(), 100_000);
    let mut session = fresh(config());
    flood(&mut session, b"a AUTHENTICATE PLAIN\r\n=\r\n", 10);
    assert!(
        session.closed(),
        "a client that never does it right is a stranger"
    );
}

#[test]
fn a17_nesting_in_a_whole_session() {
    for keys in [
        "OR ",
        "NOT ",
        "(",
        "NOT OR ",
        "(OR SEEN ",
        "OR FUZZY ",
        "NOT FUZZY ",
        "FUZZY (",
    ] {
        let said = says(format!("a SEARCH {}\r\nz CHECK\r\n", keys.repeat(20_000)).as_bytes());
        assert!(
            said.starts_with("a NO [LIMIT] SEARCH ") || said.starts_with("a BAD SEARCH: "),
            "{said}"
        );
        assert!(said.ends_with("z OK done\r\n"));
    }
}

#[test]
fn a21_asking_twice_does_not_get_it_twice() {
    let mut session = logged_in(true);
    session.receive(format!("a FETCH 1:* ({}FLAGS)\r\n", "BODY[] ".repeat(1000)).as_bytes());
    let Some(Event::Command {
        command: Command::Fetch { attributes, .. },
        ..
    }) = session.poll()
    else {
        panic!()
    };
    assert_eq!(attributes.len(), 2);
}

#[test]
fn a26_one_mailbox_has_one_name() {
    for wrong in [
        "&AC8-",
        "&AGE-",
        "&AAAA-",
        "&",
        "&A",
        "&AAA",
        "&2AA-",
        "&AOk-&AOk-",
    ] {
        for command in [
            "SELECT",
            "CREATE",
            "DELETE",
            "STATUS",
            "SUBSCRIBE",
            "LIST \"\"",
            "LSUB \"\"",
            "APPEND",
        ] {
            let said = says(format!("a {command} {wrong} {{3}}\r\nz CHECK\r\n").as_bytes());
            assert!(
                said.starts_with("a NO [CANNOT] The mailbox name"),
                "{command} {wrong}: {said}"
            );
            assert!(said.ends_with("z OK done\r\n"));
        }
    }
}

#[test]
fn a27_nul_bare_cr_and_bare_lf() {
    for text in [
        "a SELECT x\0y\r\n",
        "a SELECT \"x\0y\"\r\n",
        "a SELECT \"x\ry\"\r\n",
        "a NOOP\r\r\n",
        "a\0NOOP\r\n",
        "a NOOP\n",
    ] {
        let said = says(format!("{text}z CHECK\r\n").as_bytes());
        assert!(
            said.starts_with("a BAD Expected a line "),
            "{text:?}: {said}"
        );
        assert!(said.ends_with("z OK done\r\n"));
    }
    let said = says(b"a SELECT {3+}\r\nx\0y\r\nz CHECK\r\n");
    assert_eq!(
        said,
        "a BAD SELECT: expected a literal without NUL at octet 10\r\nz OK done\r\n"
    );
    let said = says(b"a SELECT {3+}\r\nx\ny\r\nz CHECK\r\n");
    assert_eq!(
        said,
        "a NO [CANNOT] The mailbox name is not in canonical modified UTF-7\r\nz OK done\r\n"
    );
}

#[test]
fn what_is_refused_is_never_read_as_a_command() {
    // The literal of a refused command holds what looks like one.
    for command in [
        "NOPE x",
        "SELECT (",
        "APPEND x (\\Recent)",
        "FETCH 1",
        "LOGIN u",
    ] {
        let said = says(format!("a {command} {{12+}}\r\nx DELETE y\r\n\r\nz CHECK\r\n").as_bytes());
        assert!(!said.contains("\r\nx "), "{command}: {said}");
        assert!(said.ends_with("z OK done\r\n"), "{command}: {said}");
    }
}

#[test]
fn a_client_that_is_never_understood_is_let_go() {
    let mut session = logged_in(true);
    let (_, said) = flood(&mut session, b"a NOPE\r\n", 60);
    assert!(session.closed());
    assert_eq!(said.matches("a BAD ").count(), 50);
    // One that is understood now and then may stay.
    let mut session = logged_in(true);
    flood(&mut session, b"a NOPE\r\nb CHECK\r\n", 200);
    assert!(!session.closed());
}
