//! Commands and their answers, in order.

use std::time::Duration;

use super::*;
use crate::server::State;
use crate::{Body, Capability, DateTime, Flag, Partial, Section, SectionText, Status};

#[test]
fn capabilities_follow_the_state() {
    let mut session = Session::new(clear());
    let rest = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE LANGUAGE STARTTLS LOGINDISABLED";
    assert_eq!(
        output(&mut session),
        format!("* OK [CAPABILITY {rest}] ready\r\n")
    );
    feed(&mut session, b"a CAPABILITY\r\n");
    assert_eq!(
        output(&mut session),
        format!("* CAPABILITY {rest}\r\na OK CAPABILITY done\r\n")
    );
    let mut session = Session::new(config());
    let rest = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE LANGUAGE AUTH=SCRAM-SHA-256 AUTH=PLAIN";
    assert_eq!(
        output(&mut session),
        format!("* OK [CAPABILITY {rest}] ready\r\n")
    );
    feed(&mut session, b"a LOGIN u p\r\n");
    let text = output(&mut session);
    assert!(
        text.starts_with(
            "a OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS"
        ),
        "{text}"
    );
    assert!(!text.contains(" AUTH=") && !text.contains("SASL-IR"));
}

#[test]
fn login_and_authenticate() {
    let mut session = fresh(config());
    session.receive(b"a LOGIN \"u\" {4+}\r\np\"ss\r\n");
    let Some(Event::Login { user, password }) = session.poll() else {
        panic!()
    };
    assert_eq!((user.as_str(), password.expose()), ("u", "p\"ss"));
    assert_eq!(session.poll(), None);
    session.complete(Reply::no("wrong").with(Code::AuthenticationFailed));
    assert_eq!(
        output(&mut session),
        "a NO [AUTHENTICATIONFAILED] wrong\r\n"
    );
    assert_eq!(session.state(), State::NotAuthenticated);

    let events = feed(
        &mut session,
        b"b AUTHENTICATE PLAIN\r\nbW9yZQ==\r\neA==\r\n",
    );
    assert_eq!(
        events,
        [
            "Authenticate { mechanism: Plain, initial: None }",
            "SaslResponse([109, 111, 114, 101])",
            "SaslResponse([120])",
        ]
    );
    let text = output(&mut session);
    assert!(
        text.starts_with("+ d2hvPw==\r\n+ \r\nb OK [CAPABILITY "),
        "{text}"
    );
    assert_eq!(session.state(), State::Authenticated);
    feed(&mut session, b"c LOGIN a b\r\n");
    assert_eq!(output(&mut session), "c BAD Not allowed after login\r\n");
}

#[test]
fn authenticate_cancelled_broken_or_not_offered() {
    let mut session = fresh(config());
    for (text, reply) in [
        (
            "a AUTHENTICATE PLAIN\r\n*\r\n",
            "+ d2hvPw==\r\na BAD AUTHENTICATE: cancelled, or not base64\r\n",
        ),
        (
            "a AUTHENTICATE XOAUTH2\r\n",
            "a NO [CANNOT] That mechanism is not offered\r\n",
        ),
        (
            "a AUTHENTICATE LOGIN\r\n",
            "a NO [CANNOT] That mechanism is not offered\r\n",
        ),
        (
            "a AUTHENTICATE PLAIN\r\nno=base64\r\n",
            "+ d2hvPw==\r\na BAD AUTHENTICATE: cancelled, or not base64\r\n",
        ),
    ] {
        feed(&mut session, text.as_bytes());
        assert_eq!(output(&mut session), reply);
    }
}

#[test]
fn select_close_and_the_states() {
    let mut session = logged_in(true);
    assert_eq!(session.state(), State::Selected);
    session.receive(b"a SELECT other\r\n");
    let Some(Event::Command { .. }) = session.poll() else {
        panic!()
    };
    assert_eq!(session.state(), State::Authenticated, "deselected already");
    session.complete(Reply::no("gone").with(Code::NonExistent));
    assert_eq!(session.state(), State::Authenticated);
    feed(
        &mut session,
        b"b FETCH 1 UID\r\nc EXAMINE x\r\nd CLOSE\r\ne SELECT x\r\nf UNSELECT\r\ng CLOSE\r\n",
    );
    let expected = "a NO [NONEXISTENT] gone\r\nb BAD Select a mailbox first\r\nc OK done\r\nd OK done\r\ne OK done\r\n\
                    f OK done\r\ng BAD Select a mailbox first\r\n";
    assert_eq!(output(&mut session), expected);
    feed(&mut session, b"h LOGOUT\r\ni NOOP\r\n");
    assert_eq!(
        output(&mut session),
        "* BYE Goodbye\r\nh OK LOGOUT done\r\n"
    );
    assert!(session.closed());
}

#[test]
fn enable_changes_names_results_and_recent() {
    let mut session = logged_in(true);
    let list = |session: &mut Session| {
        session.receive(b"a LIST \"\" *\r\n");
        session.poll();
        session.untagged(&Untagged::List(crate::ListEntry::new(
            crate::MailboxName::new("\u{e9} &").unwrap(),
        )));
        session.complete(Reply::ok("listed"));
        output(session)
    };
    assert_eq!(
        list(&mut session),
        "* LIST () \"/\" \"&AOk- &-\"\r\na OK listed\r\n"
    );
    feed(
        &mut session,
        b"b SEARCH ALL\r\nc ENABLE CONDSTORE IMAP4REV2 X\r\nd ENABLE IMAP4rev2\r\n",
    );
    let expected = "* SEARCH 2 3 4 9\r\nb OK found\r\n* ENABLED CONDSTORE IMAP4rev2\r\nc OK done\r\n* ENABLED\r\nd OK ENABLE done\r\n";
    assert_eq!(output(&mut session), expected);
    assert!(session.is_enabled(&Capability::Imap4rev2));
    assert_eq!(
        list(&mut session),
        "* LIST () \"/\" \"\u{e9} &\"\r\na OK listed\r\n"
    );
    feed(
        &mut session,
        b"e UID SEARCH ALL\r\nf NOOP\r\ng SELECT \"\xc3\xa9\"\r\n",
    );
    let expected = "* ESEARCH (TAG \"e\") UID ALL 2:4,9\r\ne OK found\r\n* 3 EXISTS\r\nf OK done\r\n\
                    * OK [CLOSED] The mailbox before is closed\r\ng OK done\r\n";
    assert_eq!(output(&mut session), expected);
}

#[test]
fn search_results_in_the_form_asked_for() {
    for (returns, expected) in [
        ("", "* SEARCH 2 3 4 9\r\n"),
        (" RETURN ()", "* ESEARCH (TAG \"a\") ALL 2:4,9\r\n"),
        (" RETURN (MIN MAX)", "* ESEARCH (TAG \"a\") MIN 2 MAX 9\r\n"),
        (" RETURN (COUNT SAVE)", "* ESEARCH (TAG \"a\") COUNT 4\r\n"),
        (" RETURN (SAVE)", ""),
    ] {
        assert_eq!(
            says(format!("a SEARCH{returns} ALL\r\n").as_bytes()),
            format!("{expected}a OK found\r\n")
        );
    }
    let mut session = logged_in(true);
    session.receive(b"a UID SEARCH RETURN (MIN MAX COUNT ALL) ALL\r\n");
    let Some(Event::Command {
        command: Command::Search(search),
        ..
    }) = session.poll()
    else {
        panic!()
    };
    session.search_results(&search, &Default::default());
    assert_eq!(
        output(&mut session),
        "* ESEARCH (TAG \"a\") UID COUNT 0\r\n"
    );
}

#[test]
fn literals_are_asked_for_in_turn() {
    let mut session = logged_in(true);
    feed(&mut session, b"a SEARCH FROM {3}\r\n");
    assert_eq!(output(&mut session), "+ Ready for the literal\r\n");
    assert_eq!(feed(&mut session, b"a{1"), [""; 0]);
    feed(&mut session, b" TO {1}\r\n");
    assert_eq!(output(&mut session), "+ Ready for the literal\r\n");
    let events = feed(&mut session, b")\r\nb NOOP\r\n");
    assert!(events[0].contains("From(\"a{1\"), To(\")\")"), "{events:?}");
    assert_eq!(events.len(), 2);
}

#[test]
fn append() {
    let mut session = logged_in(false);
    let events = feed(&mut session, b"a APPEND x (\\Seen) {5}\r\n");
    assert_eq!(events.len(), 1);
    assert!(
        events[0].starts_with(
            "AppendStart { append: Append { mailbox: MailboxName(\"x\"), replaces: None, messages: [] }, size: 5"
        )
    );
    assert_eq!(output(&mut session), "+ Ready for the message\r\n");
    feed(&mut session, b"hel");
    feed(&mut session, b"lo");
    assert_eq!(feed(&mut session, b"\r\n").len(), 1);
    assert_eq!(output(&mut session), "a OK [APPENDUID 1 5] kept\r\n");
    // Sent without being asked for; accepted, refused, too big, and with something behind it.
    feed(
        &mut session,
        b"b APPEND x {2+}\r\nhi\r\nc APPEND x {13+}\r\nx LOGOUT\r\nabc\r\nd NOOP\r\n",
    );
    let expected = "b OK [APPENDUID 1 2] kept\r\nc NO [OVERQUOTA] unlucky\r\n* 3 EXISTS\r\n* 0 RECENT\r\nd OK done\r\n";
    assert_eq!(output(&mut session), expected);
    feed(&mut session, b"e APPEND x {13}\r\nf NOOP\r\n");
    let expected = "e NO [OVERQUOTA] unlucky\r\n* 3 EXISTS\r\n* 0 RECENT\r\nf OK done\r\n";
    assert_eq!(output(&mut session), expected);
    let events = feed(
        &mut session,
        b"g APPEND x {2+}\r\nhi x {7+}\r\nLOGOUT!\r\nh NOOP\r\n",
    );
    assert_eq!(events[1], "AppendAborted");
    let expected = "g BAD APPEND: expected the message as a literal, CATENATE or UTF8 at octet 2\r\n* 3 EXISTS\r\n* 0 RECENT\r\nh OK done\r\n";
    assert_eq!(output(&mut session), expected);
}

#[test]
fn append_of_several_hands_over_what_is_complete() {
    let mut session = logged_in(false);
    let events = feed(
        &mut session,
        b"a APPEND x {2+}\r\nhi (\\Seen) CATENATE (URL u TEXT {3+}\r\nabc TEXT {4+}\r\nbeta) {1+}\r\nz\r\n",
    );
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(
        events[0].contains("messages: [] }, size: 2"),
        "{}",
        events[0]
    );
    assert!(events[1].contains("octets: [104, 105]") && events[1].ends_with("size: 3 }"));
    assert!(
        events[2].contains("messages: [] }, size: 4"),
        "{}",
        events[2]
    );
    // The parts come in their order, with what was sent.
    assert!(events[3].contains("parts: [Url(\"u\"), Text { octets: [97, 98, 99]"));
    assert!(
        events[3].contains("octets: [98, 101, 116, 97]"),
        "{}",
        events[3]
    );
    assert!(events[4].contains("octets: [122]"), "{}", events[4]);
    assert_eq!(output(&mut session), "a OK [APPENDUID 1 1] kept\r\n");
    // A literal in between that is none of a message, in pieces of an octet.
    let mut all = Vec::new();
    for octet in b"b APPEND x CATENATE (TEXT {2+}\r\nhi URL {3+}\r\nu/v TEXT {1+}\r\n!)\r\n" {
        all.extend(feed(&mut session, &[*octet]));
    }
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[2].contains("Url(\"u/v\")"), "{}", all[2]);
    output(&mut session);
    // Called off by an empty message, also behind others; refused; too big together.
    let said = |session: &mut Session, octets: &[u8]| {
        let events = feed(session, octets);
        (events.last().cloned(), output(session))
    };
    let (last, text) = said(
        &mut session,
        b"c APPEND x {2+}\r\nhi {0+}\r\n\r\nd CHECK\r\n",
    );
    assert!(text.starts_with("c NO A message of no octets"), "{text}");
    assert!(text.ends_with("d BAD Select a mailbox first\r\n"), "{text}");
    assert_eq!(last.as_deref(), Some("AppendAborted"));
    let (_, text) = said(
        &mut session,
        b"e APPEND x {2+}\r\nhi {13+}\r\n0123456789012 {5+}\r\nhello\r\n",
    );
    assert_eq!(text, "e NO [OVERQUOTA] unlucky\r\n");
    let (last, text) = said(
        &mut session,
        b"f APPEND x CATENATE (TEXT {3+}\r\nabc TEXT {52428800}\r\ng NOOP\r\n",
    );
    assert!(text.starts_with("f NO [TOOBIG]"), "{text}");
    assert!(text.contains("g OK"), "{text}");
    assert!(last.is_some());
}

#[test]
fn append_with_nul_only_as_literal8() {
    assert_eq!(
        says(b"a APPEND x {3+}\r\na\0b\r\n"),
        "a BAD APPEND: expected a message without NUL\r\n"
    );
    assert_eq!(
        says(b"a APPEND x ~{3+}\r\na\0b\r\n"),
        "a OK [APPENDUID 1 3] kept\r\n"
    );
    let mut config = config();
    config
        .capabilities
        .retain(|capability| *capability != Capability::Binary);
    let mut session = fresh(config);
    feed(&mut session, b"l LOGIN u p\r\n");
    output(&mut session);
    feed(&mut session, b"a APPEND x ~{3+}\r\na\0b\r\nb CHECK\r\n");
    assert_eq!(
        output(&mut session),
        "a BAD APPEND: literal8 needs BINARY\r\nb BAD Select a mailbox first\r\n"
    );
}

#[test]
fn literal_minus() {
    let mut config = config();
    for capability in &mut config.capabilities {
        if *capability == Capability::LiteralPlus {
            *capability = Capability::LiteralMinus;
        }
    }
    let mut session = fresh(config);
    feed(&mut session, b"l LOGIN u p\r\n");
    output(&mut session);
    let big = "x".repeat(4097);
    feed(
        &mut session,
        format!(
            "a APPEND x {{4097+}}\r\n{big}\r\nb APPEND x {{4096+}}\r\n{}\r\n",
            &big[1..]
        )
        .as_bytes(),
    );
    assert_eq!(
        output(&mut session),
        "a NO [TOOBIG] The message is too big\r\nb OK [APPENDUID 1 4096] kept\r\n"
    );
}

#[test]
fn idle() {
    let mut session = logged_in(true);
    let events = feed(&mut session, b"a IDLE\r\n");
    assert_eq!(events, ["Command { tag: \"a\", command: Idle }"]);
    assert!(session.is_idling());
    session.untagged(&Untagged::Exists(4));
    session.untagged(&Untagged::Expunge(2));
    assert_eq!(
        output(&mut session),
        "+ idling\r\n* 4 EXISTS\r\n* 2 EXPUNGE\r\n"
    );
    assert_eq!(feed(&mut session, b"done\r\nb NOOP\r\n").len(), 2);
    assert!(!session.is_idling());
    assert_eq!(
        output(&mut session),
        "a OK done\r\n* 3 EXISTS\r\n* 0 RECENT\r\nb OK done\r\n"
    );
    // A command in place of DONE ends it, anything else is an error.
    feed(&mut session, b"c IDLE\r\nd NOOP\r\n");
    assert_eq!(
        output(&mut session),
        "+ idling\r\nc OK done\r\n* 3 EXISTS\r\n* 0 RECENT\r\nd OK done\r\n"
    );
    for nonsense in ["FINISHED", "f  x", "f 1", "(f) NOOP", " NOOP", "DONE now"] {
        feed(
            &mut session,
            format!("e IDLE\r\n{nonsense}\r\ng NOOP\r\n").as_bytes(),
        );
        let answers = output(&mut session);
        let broken = !nonsense.starts_with("DONE ");
        assert_eq!(
            answers.contains("e BAD IDLE: expected DONE"),
            broken,
            "{answers}"
        );
        assert!(answers.ends_with("g OK done\r\n"), "{answers}");
    }
    session.config.quirks = crate::server::Quirks::STRICT;
    feed(&mut session, b"c IDLE\r\nd NOOP\r\ne NOOP\r\n");
    assert_eq!(
        output(&mut session),
        "+ idling\r\nc BAD IDLE: expected DONE\r\n* 3 EXISTS\r\n* 0 RECENT\r\ne OK done\r\n"
    );
}

#[test]
fn wrong_commands_are_answered_and_the_next_one_works() {
    for (text, reply) in [
        ("\r\n", "* BAD Expected a tag at octet 1\r\n"),
        ("+ NOOP\r\n", "* BAD Expected a tag at octet 1\r\n"),
        ("a\r\n", "a BAD Expected a space at octet 2\r\n"),
        ("a NOPE\r\n", "a BAD Expected a command at octet 3\r\n"),
        (
            "a FETCH 1 (FLAGS BODZ)\r\n",
            "a BAD FETCH: expected an item to fetch at octet 18\r\n",
        ),
        (
            "a SELECT \"x\r\n",
            "a BAD SELECT: expected the end of the quoted string at octet 12\r\n",
        ),
        (
            "a NOPE {4+}\r\nb X \r\n",
            "a BAD Expected a command at octet 3\r\n",
        ),
        (
            "a NOPE {4+}\r\nb X  {2+}\r\nxx\r\n",
            "a BAD Expected a command at octet 3\r\n",
        ),
        ("a NOPE {4}\r\n", "a BAD Expected a command at octet 3\r\n"),
        (
            "a SEARCH FROM {1+}\r\nx NOPE {5+}\r\n12345\r\n",
            "a BAD SEARCH: expected a search key at octet 23\r\n",
        ),
        ("a NOOP\n", "a BAD Expected a line that ends with CR LF\r\n"),
        (
            "a SELECT &\r\n",
            "a NO [CANNOT] The mailbox name is not in canonical modified UTF-7\r\n",
        ),
    ] {
        let said = says(format!("{text}z NOOP\r\n").as_bytes());
        assert_eq!(
            said,
            format!("{reply}* 3 EXISTS\r\n* 0 RECENT\r\nz OK done\r\n"),
            "{text:?}"
        );
    }
}

#[test]
fn id_is_told_and_kept_for_the_log() {
    let mut session = fresh(config());
    feed(
        &mut session,
        b"a ID (\"name\" \"mu\tt\x7ft\" \"version\" NIL)\r\n",
    );
    assert_eq!(
        output(&mut session),
        "* ID (\"name\" \"Waxwing\")\r\na OK ID done\r\n"
    );
    assert_eq!(session.client_id(), Some("name=mutt"));
}

#[test]
fn starttls() {
    let mut session = fresh(clear());
    feed(&mut session, b"a ID (\"name\" \"x\")\r\n");
    output(&mut session);
    assert_eq!(feed(&mut session, b"b STARTTLS\r\n"), ["StartTls"]);
    assert_eq!(output(&mut session), "b OK done\r\n");
    session.tls_started();
    assert_eq!(session.client_id(), None);
    feed(&mut session, b"c STARTTLS\r\nd LOGIN u p\r\n");
    assert!(output(&mut session).starts_with("c BAD TLS is on already\r\nd OK [CAPABILITY "));
}

#[test]
fn fetch_items() {
    let mut session = logged_in(true);
    let mut fetch = session.fetch(7, 7);
    let fields = SectionText::HeaderFields {
        names: vec!["From".into(), "a b".into()],
        not: true,
    };
    fetch
        .uid(42)
        .flags([&Flag::Seen, &Flag::Keyword("$Junk".into())])
        .internal_date(DateTime {
            unix: 837_596_665,
            offset: -420,
        })
        .size(5_000_000_000)
        .envelope(b"(NIL)")
        .section(&Section::default(), None, Body::Bytes(b"hello"))
        .section(
            &Section {
                part: vec![1, 2],
                text: Some(fields),
            },
            Some(Partial {
                offset: 9,
                count: 1,
            }),
            Body::Nil,
        )
        .section(
            &Section {
                part: vec![3],
                text: Some(SectionText::Mime),
            },
            None,
            Body::Bytes(b""),
        )
        .binary(&[1], None, Body::Bytes(b"a\0"))
        .binary(&[], None, Body::Owned(vec![b'x'; 2]))
        .binary_size(&[4], 9)
        .rfc822(Body::Bytes(b"z"));
    fetch.end();
    let expected = "* 7 FETCH (UID 42 FLAGS (\\Seen $Junk) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 5000000000 \
                    ENVELOPE (NIL) BODY[] {5}\r\nhello BODY[1.2.HEADER.FIELDS.NOT (From \"a b\")]<9> NIL BODY[3.MIME] \"\" \
                    BINARY[1] ~{2}\r\na\0 BINARY[] {2}\r\nxx BINARY.SIZE[4] 9 RFC822 {1}\r\nz)\r\n";
    assert_eq!(output(&mut session), expected);
}

#[test]
fn a_large_body_is_moved_not_copied() {
    let mut session = logged_in(true);
    let body = vec![b'x'; 1 << 20];
    let address = body.as_ptr();
    let mut fetch = session.fetch(1, 1);
    fetch.section(&Section::default(), None, Body::Owned(body));
    fetch.end();
    assert_eq!(
        session.transmit().map(|head| head.len()),
        Some("* 1 FETCH (BODY[] {1048576}\r\n".len())
    );
    assert_eq!(session.transmit().map(|body| body.as_ptr()), Some(address));
}

#[test]
fn silence_and_shutdown() {
    let mut session = fresh(config());
    assert_eq!(session.timeout(), Duration::from_secs(60));
    session.handle_timeout();
    assert_eq!(output(&mut session), "* BYE Silent for too long\r\n");
    assert!(session.closed());

    let mut session = logged_in(true);
    assert_eq!(session.timeout(), Duration::from_secs(1860));
    feed(&mut session, b"a SEARCH FROM {3}\r\n");
    assert_eq!(session.timeout(), Duration::from_secs(300));

    let mut session = logged_in(true);
    session.receive(b"a NOOP\r\nb NOOP\r\n");
    assert!(session.poll().is_some());
    session.shutdown();
    assert!(!session.closed());
    session.complete(Reply::ok("done"));
    assert_eq!(
        output(&mut session),
        "a OK done\r\n* BYE [UNAVAILABLE] The server shuts down\r\n"
    );
    assert!(session.closed());
    assert_eq!(session.poll(), None);

    let mut session = logged_in(true);
    feed(&mut session, b"a IDLE\r\n");
    session.shutdown();
    assert!(output(&mut session).ends_with("* BYE [UNAVAILABLE] The server shuts down\r\n"));
}

#[test]
fn replies_stay_in_form_whatever_their_text() {
    let mut session = logged_in(true);
    for (reply, expected) in [
        (Reply::ok(""), "* OK Done\r\n"),
        (Reply::no("").text("a\r\nb\0c\u{e9}"), "* NO a??b?c?\r\n"),
        (Reply::ok("[ALERT] no"), "* OK (ALERT] no\r\n"),
        (
            Reply::coded(Status::Bye, Code::Alert, "x"),
            "* BYE [ALERT] x\r\n",
        ),
        (
            Reply::ok("x").with(Code::PermanentFlags {
                flags: vec![Flag::Seen, Flag::Keyword("a b".into())],
                new_keywords: true,
            }),
            "* OK [PERMANENTFLAGS (\\Seen a_b \\*)] x\r\n",
        ),
        (
            Reply::ok("x").with(Code::CopyUid {
                uid_validity: 9,
                source: [1, 2, 3, 7].into_iter().collect(),
                destination: [10, 11, 12, 13].into_iter().collect(),
            }),
            "* OK [COPYUID 9 1:3,7 10:13] x\r\n",
        ),
        (
            Reply::no("x").with(Code::BadCharset(vec!["UTF-8".into()])),
            "* NO [BADCHARSET (UTF-8)] x\r\n",
        ),
        // RFC 9585 §4: what is not known is NIL, a goal without progress too, and one that is reached.
        (
            in_progress(Some("A001"), Some(454), Some(1000)),
            "* OK [INPROGRESS (\"A001\" 454 1000)] x\r\n",
        ),
        (
            in_progress(Some("A]1"), Some(7), None),
            "* OK [INPROGRESS (NIL 7 NIL)] x\r\n",
        ),
        (
            in_progress(Some("t"), None, Some(5)),
            "* OK [INPROGRESS (\"t\" NIL NIL)] x\r\n",
        ),
        (
            in_progress(Some("t"), Some(5), Some(5)),
            "* OK [INPROGRESS (\"t\" 5 NIL)] x\r\n",
        ),
        (in_progress(None, None, None), "* OK [INPROGRESS] x\r\n"),
        (
            Reply::no("x").with(Code::MessageLimit {
                limit: 1000,
                uid: None,
            }),
            "* NO [MESSAGELIMIT 1000] x\r\n",
        ),
        (
            Reply::ok("x").with(Code::MessageLimit {
                limit: 1000,
                uid: Some(23221),
            }),
            "* OK [MESSAGELIMIT 1000 23221] x\r\n",
        ),
    ] {
        session.untagged(&Untagged::Status(reply));
        assert_eq!(output(&mut session), expected);
    }
}

fn in_progress(tag: Option<&str>, progress: Option<u64>, goal: Option<u64>) -> Reply {
    Reply::ok("x").with(Code::InProgress {
        tag: tag.map(str::to_owned),
        progress,
        goal,
    })
}
