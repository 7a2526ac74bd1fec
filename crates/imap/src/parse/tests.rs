//! Tables: a command and what it means, or where it goes wrong.

use std::num::NonZeroU32;

use super::{Context, Literal, Stop, append_rest, command};
use crate::server::{Enabled, Limits, State};
use crate::{
    Append, AppendPart, Bound, Capability, Code, Command, Date, DateTime, FetchAttribute, Flag,
    List, ListPattern, ListReturn, ListSelection, MailboxFilter, MailboxName, NewMessage, Partial,
    PartialRange, Search, SearchKey, SearchReturn, Secret, Section, SectionText, Select,
    SequenceSet, SortCriterion, SortKey, SpecialUse, StatusItem, Store, StoreAction,
};

fn parse_in(state: State, utf8: bool, text: &[u8]) -> Result<Command, Stop> {
    let limits = Limits::default();
    let context = Context {
        state,
        utf8,
        login: true,
        enabled: Enabled::default(),
        quirks: crate::server::Quirks::default(),
        limits: &limits,
    };
    let (tag, _, parsed) = command(text, context);
    assert_eq!(tag, Some("a"), "{}", text.escape_ascii());
    parsed
}

/// In the selected state (or before login, where the command belongs there), names in modified UTF-7.
pub(super) fn parse(text: &str) -> Result<Command, Stop> {
    let state = match text.get(..5) {
        Some("LOGIN" | "AUTHE" | "START") => State::NotAuthenticated,
        _ => State::Selected,
    };
    parse_in(state, false, format!("a {text}").as_bytes())
}

fn name(name: &str) -> MailboxName {
    MailboxName::new(name).unwrap()
}

fn number(value: u32) -> Bound {
    Bound::Number(NonZeroU32::new(value).unwrap())
}

fn one(value: u32) -> SequenceSet {
    SequenceSet::Ranges(vec![(number(value), number(value))])
}

/// The octet, counted from 1 behind the tag and its space, at which the text is wrong.
pub(super) fn wrong_at(text: &str) -> usize {
    match parse(text) {
        Err(Stop::Syntax(error)) => error.offset - 1,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn plain_commands_in_any_case() {
    for (text, expected) in [
        ("CAPABILITY", Command::Capability),
        ("noop", Command::Noop),
        ("LogOut", Command::Logout),
        ("STARTTLS", Command::StartTls),
        ("NAMESPACE", Command::Namespace),
        ("IDLE", Command::Idle),
        ("CHECK", Command::Check),
        ("CLOSE", Command::Close),
        ("UNSELECT", Command::Unselect),
        ("EXPUNGE", Command::Expunge { uids: None }),
        ("UID EXPUNGE 7", Command::Expunge { uids: Some(one(7)) }),
        ("SELECT INBOX", Command::Select(Select::new(name("INBOX")))),
        (
            "EXAMINE \"My mail\"",
            Command::Select(Select {
                read_only: true,
                ..Select::new(name("My mail"))
            }),
        ),
        ("DELETE a]b", Command::Delete(name("a]b"))),
        ("SUBSCRIBE x", Command::Subscribe(name("x"))),
        ("UNSUBSCRIBE {3}\r\nx y", Command::Unsubscribe(name("x y"))),
        (
            "RENAME a b/",
            Command::Rename {
                from: name("a"),
                to: name("b"),
            },
        ),
        (
            "COPY 1 b",
            Command::Copy {
                uid: false,
                set: one(1),
                mailbox: name("b"),
            },
        ),
        (
            "UID COPY 1 b",
            Command::Copy {
                uid: true,
                set: one(1),
                mailbox: name("b"),
            },
        ),
        (
            "MOVE $ b",
            Command::Move {
                uid: false,
                set: SequenceSet::Saved,
                mailbox: name("b"),
            },
        ),
        (
            "UID MOVE 1 b",
            Command::Move {
                uid: true,
                set: one(1),
                mailbox: name("b"),
            },
        ),
        (
            "ENABLE IMAP4rev2 X",
            Command::Enable(vec![Capability::Imap4rev2, Capability::Other("X".into())]),
        ),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn every_command_needs_exactly_its_arguments() {
    for text in [
        "CAPABILITY ",
        "NOOP x",
        "SELECT",
        "SELECT ",
        "SELECT a b",
        "RENAME a",
        "COPY 1",
        "COPY  1 b",
        "MOVE x b",
        "UID",
        "UID NOOP",
        "UID EXPUNGE",
        "EXPUNGE 1",
        "STATUS a",
        "STATUS a ()",
        "STATUS a (MESSAGES UNKNOWN)",
        "ENABLE",
        "ENABLE ",
        "LIST",
        "LIST \"\"",
        "LSUB a",
        "FETCH",
        "FETCH 1",
        "FETCH 1 ()",
        "STORE 1",
        "STORE 1 FLAGS",
        "SEARCH",
        "SEARCH ",
        "APPEND",
        "APPEND a",
        "APPEND a message",
        "LOGIN a",
        "LOGIN a b c",
        "AUTHENTICATE",
        "AUTHENTICATE PLAIN ",
        "AUTHENTICATE PLAIN !",
        "ID",
        "ID x",
        "CREATE",
        "",
        " NOOP",
        "XYZZY",
        "FETCHX 1 ALL",
        "SELECT \"a",
        "SELECT \"a\\b\"",
        "SELECT a\tb",
        "SELECT {x}",
        "SELECT {1",
        "SELECT {1}x",
        "SELECT {9}\r\nabc",
        "SELECT ~{1}",
        "SELECT {9223372036854775808}",
        "SELECT (",
        "SELECT %",
        "DONE",
    ] {
        assert!(
            matches!(parse(text), Err(Stop::Syntax(_))),
            "{text}: {:?}",
            parse(text)
        );
    }
}

#[test]
fn commands_out_of_place_are_refused_by_name() {
    let all = [
        "NOOP", "ID", "LOGIN", "SELECT", "APPEND", "IDLE", "FETCH", "UID", "CLOSE",
    ];
    let allowed = |state: State| -> Vec<&str> {
        let refused = |name: &&str| {
            matches!(
                parse_in(state, false, format!("a {name}").as_bytes()),
                Err(Stop::Refused(_))
            )
        };
        all.into_iter().filter(|name| !refused(name)).collect()
    };
    assert_eq!(allowed(State::NotAuthenticated), ["NOOP", "ID", "LOGIN"]);
    assert_eq!(
        allowed(State::Authenticated),
        ["NOOP", "ID", "SELECT", "APPEND", "IDLE"]
    );
    assert_eq!(
        allowed(State::Selected),
        [
            "NOOP", "ID", "SELECT", "APPEND", "IDLE", "FETCH", "UID", "CLOSE"
        ]
    );
}

#[test]
fn errors_name_the_octet() {
    assert_eq!(
        wrong_at("FETCH 1 (FLAGS BODZ)"),
        "FETCH 1 (FLAGS ".len() + 1
    );
    assert_eq!(wrong_at("SEARCH FROM"), "SEARCH FROM".len() + 1);
    assert_eq!(
        wrong_at("STORE 1 FLAGS (\\Nope)"),
        "STORE 1 FLAGS (".len() + 1
    );
    assert_eq!(wrong_at("UID FETCH 0 UID"), "UID FETCH ".len() + 1);
}

#[test]
fn strings() {
    for (text, expected) in [
        (&b"a LOGIN user pass"[..], ("user", "pass")),
        (b"a LOGIN \"us\\\"er\" \"p\\\\a ss\"", ("us\"er", "p\\a ss")),
        (
            b"a LOGIN {4}\r\nus)r {6+}\r\np\"\\\r\nx",
            ("us)r", "p\"\\\r\nx"),
        ),
        (b"a LOGIN \"\" {0}\r\n", ("", "")),
        (
            "a LOGIN \"bj\u{f6}rn\" \"\u{1f511}\"".as_bytes(),
            ("bj\u{f6}rn", "\u{1f511}"),
        ),
    ] {
        let (user, password) = expected;
        let expected = Command::Login {
            user: user.into(),
            password: Secret::from(password),
        };
        assert_eq!(parse_in(State::NotAuthenticated, false, text), Ok(expected));
    }
    for text in [
        &b"a LOGIN a \"\xff\""[..],
        b"a LOGIN a {1}\r\n\xff",
        b"a LOGIN a {1}\r\n\0",
        b"a LOGIN a \"\0\"",
        b"a LOGIN \x80 b",
    ] {
        assert!(matches!(
            parse_in(State::NotAuthenticated, false, text),
            Err(Stop::Syntax(_))
        ));
    }
}

#[test]
fn a_literal_is_asked_for_only_behind_what_is_in_order() {
    let wanted = |size, synchronizing| {
        Err(Stop::Literal(Literal {
            size,
            synchronizing,
            binary: false,
        }))
    };
    assert_eq!(parse("LOGIN {4}"), wanted(4, true));
    assert_eq!(parse("LOGIN {4+}"), wanted(4, false));
    assert_eq!(
        parse("LOGIN {1}\r\nu {4294967296}"),
        wanted(4_294_967_296, true)
    );
    assert!(matches!(parse("FETCH {1}"), Err(Stop::Syntax(_))));
    assert!(matches!(parse("SEARCH BOGUS {1}"), Err(Stop::Syntax(_))));
    assert!(matches!(parse("SELECT \"a{1}"), Err(Stop::Syntax(_))));
}

#[test]
fn login_in_clear_is_refused_before_its_arguments() {
    let limits = Limits::default();
    let context = Context {
        state: State::NotAuthenticated,
        utf8: false,
        login: false,
        enabled: Enabled::default(),
        quirks: crate::server::Quirks::default(),
        limits: &limits,
    };
    for text in [&b"a LOGIN {4}"[..], b"a LOGIN", b"a LOGIN user pass"] {
        let Err(Stop::Refused(reply)) = command(text, context).2 else {
            panic!()
        };
        assert_eq!(reply.code, Some(Code::PrivacyRequired));
    }
}

#[test]
fn authenticate() {
    for (text, mechanism, initial) in [
        ("AUTHENTICATE plain", "PLAIN", None),
        (
            "AUTHENTICATE SCRAM-SHA-256 =",
            "SCRAM-SHA-256",
            Some(vec![]),
        ),
        (
            "AUTHENTICATE PLAIN AGEAYg==",
            "PLAIN",
            Some(b"\0a\0b".to_vec()),
        ),
    ] {
        assert_eq!(
            parse(text),
            Ok(Command::Authenticate {
                mechanism: mechanism.into(),
                initial
            })
        );
    }
}

#[test]
fn id() {
    assert_eq!(parse("ID NIL"), Ok(Command::Id(vec![])));
    assert_eq!(parse("ID ()"), Ok(Command::Id(vec![])));
    let pairs = vec![
        ("name".to_owned(), Some("mutt".to_owned())),
        ("os".to_owned(), None),
    ];
    assert_eq!(
        parse("ID (\"name\" \"mutt\" \"os\" nil)"),
        Ok(Command::Id(pairs))
    );
    let pair = "\"a\" \"b\"";
    assert!(parse(&format!("ID ({})", vec![pair; 30].join(" "))).is_ok());
    assert!(parse(&format!("ID ({})", vec![pair; 31].join(" "))).is_err());
    assert!(parse(&format!("ID (\"a\" \"{}\")", "b".repeat(1025))).is_err());
}

#[test]
fn create_with_special_use() {
    let created = |mailbox: &str, uses: &[SpecialUse]| {
        Ok(Command::Create {
            mailbox: name(mailbox),
            uses: uses.to_vec(),
        })
    };
    assert_eq!(parse("CREATE a/"), created("a", &[]));
    assert_eq!(
        parse("CREATE a (USE (\\drafts \\Junk \\Drafts))"),
        created("a", &[SpecialUse::Drafts, SpecialUse::Junk])
    );
    assert_eq!(parse("CREATE a (USE ())"), created("a", &[]));
    assert!(
        matches!(parse("CREATE a (USE (\\Nope))"), Err(Stop::Refused(reply)) if reply.code == Some(Code::UseAttr))
    );
}

#[test]
fn mailbox_names_in_both_forms() {
    let select = |utf8, text: &str| {
        parse_in(
            State::Authenticated,
            utf8,
            format!("a SELECT {text}").as_bytes(),
        )
    };
    for (utf8, text, expected) in [
        (false, "&AOk-t&AOk-", "\u{e9}t\u{e9}"),
        (false, "a&-b", "a&b"),
        (false, "iNbOx", "INBOX"),
        (false, "inbox/a", "INBOX/a"),
        (false, "inboxes", "inboxes"),
        (true, "\"\u{e9}t\u{e9}\"", "\u{e9}t\u{e9}"),
        (true, "&AOk-", "&AOk-"),
        (true, "{5}\r\n\u{e9}t\u{e9}", "\u{e9}t\u{e9}"),
    ] {
        assert_eq!(
            select(utf8, text),
            Ok(Command::Select(Select::new(name(expected)))),
            "{text}"
        );
    }
}

#[test]
fn a26_names_that_have_another_form_are_refused() {
    let select = |utf8, text: &str| {
        parse_in(
            State::Authenticated,
            utf8,
            format!("a SELECT {text}").as_bytes(),
        )
    };
    for text in [
        "&AC8-",
        "&AGE-",
        "&AAAA-",
        "&AAA-",
        "&",
        "&A",
        "&AAA",
        "&2AA-",
        "&AOk-&AOk-",
        "&AAo-",
        "\"\u{e9}\"",
        "&ICg-",
    ] {
        assert!(
            matches!(select(false, text), Err(Stop::Refused(_))),
            "{text}: {:?}",
            select(false, text)
        );
    }
    for text in ["{1}\r\n\n", "\"\u{2028}\"", "\"\x7f\"", "{1}\r\n\u{1}"] {
        assert!(
            matches!(select(true, text), Err(Stop::Refused(_))),
            "{text}: {:?}",
            select(true, text)
        );
    }
    // The two are one mailbox only if the shift is what it says.
    assert_eq!(
        select(false, "&-&-"),
        Ok(Command::Select(Select::new(name("&&"))))
    );
    assert!(matches!(
        select(true, &"x".repeat(1001)),
        Err(Stop::Refused(_))
    ));
}

#[test]
fn sequence_sets() {
    let set = |text: &str| match parse(&format!("FETCH {text} UID")) {
        Ok(Command::Fetch { set, .. }) => Some(set),
        _ => None,
    };
    let range = |first, second| (first, second);
    for (text, expected) in [
        ("1", vec![range(number(1), number(1))]),
        ("*", vec![range(Bound::Last, Bound::Last)]),
        ("4:2", vec![range(number(4), number(2))]),
        (
            "1,3:*,4294967295",
            vec![
                range(number(1), number(1)),
                range(number(3), Bound::Last),
                range(number(u32::MAX), number(u32::MAX)),
            ],
        ),
    ] {
        assert_eq!(set(text), Some(SequenceSet::Ranges(expected)), "{text}");
    }
    assert_eq!(set("$"), Some(SequenceSet::Saved));
    for text in [
        "0",
        "",
        ",",
        "1,",
        "1:",
        ":1",
        "1,,2",
        "4294967296",
        "01",
        "-1",
        "1:2:3",
        "$,1",
        "1-2",
    ] {
        assert_eq!(set(text), None, "{text}");
    }
    let many = vec!["1"; Limits::default().ranges + 1].join(",");
    assert!(matches!(
        parse(&format!("FETCH {many} UID")),
        Err(Stop::Refused(_))
    ));
}

#[test]
fn sequence_sets_resolved() {
    let resolve = |text: &str, last| match parse(&format!("FETCH {text} UID")) {
        Ok(Command::Fetch { set, .. }) => set.resolve(last),
        other => panic!("{other:?}"),
    };
    assert_eq!(resolve("2,4:7,9,12:*", 15), [2..=2, 4..=7, 9..=9, 12..=15]);
    assert_eq!(resolve("*:4,5:7", 10), [4..=10]);
    assert_eq!(resolve("3291:*", 10), [10..=3291]);
    assert_eq!(resolve("1:*", 0), []);
    assert_eq!(resolve("4294967295:1,1:*", 3), [1..=u32::MAX]);
    assert_eq!(resolve("5,4,3,3,1", 9), [1..=1, 3..=5]);
}

#[test]
fn fetch_attributes() {
    use FetchAttribute as A;
    let fetch = |text: &str| match parse(&format!("FETCH 1 {text}")) {
        Ok(Command::Fetch {
            uid: false,
            attributes,
            ..
        }) => Some(attributes),
        _ => None,
    };
    let body = |part: &[u32], text, partial, peek| A::BodySection {
        section: Section {
            part: part.to_vec(),
            text,
        },
        partial,
        peek,
    };
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    for (text, expected) in [
        (
            "ALL",
            vec![A::Flags, A::InternalDate, A::Rfc822Size, A::Envelope],
        ),
        ("FAST", vec![A::Flags, A::InternalDate, A::Rfc822Size]),
        (
            "full",
            vec![
                A::Flags,
                A::InternalDate,
                A::Rfc822Size,
                A::Envelope,
                A::Body,
            ],
        ),
        ("UID", vec![A::Uid]),
        ("(UID FLAGS UID)", vec![A::Uid, A::Flags]),
        ("(BODY BODYSTRUCTURE)", vec![A::Body, A::BodyStructure]),
        (
            "(RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE)",
            vec![A::Rfc822, A::Rfc822Header, A::Rfc822Text, A::Rfc822Size],
        ),
        ("BODY[]", vec![body(&[], None, None, false)]),
        (
            "body.peek[]<0.100>",
            vec![body(
                &[],
                None,
                Some(Partial {
                    offset: 0,
                    count: 100,
                }),
                true,
            )],
        ),
        ("BODY[1.2.3]", vec![body(&[1, 2, 3], None, None, false)]),
        (
            "BODY[TEXT]",
            vec![body(&[], Some(SectionText::Text), None, false)],
        ),
        (
            "BODY[2.HEADER]",
            vec![body(&[2], Some(SectionText::Header), None, false)],
        ),
        (
            "BODY[2.MIME]",
            vec![body(&[2], Some(SectionText::Mime), None, false)],
        ),
        (
            "BODY.PEEK[HEADER.FIELDS (From \"To\")]",
            vec![body(
                &[],
                Some(SectionText::HeaderFields {
                    names: names(&["From", "To"]),
                    not: false,
                }),
                None,
                true,
            )],
        ),
        (
            "BODY[4.1.HEADER.FIELDS.NOT ({2}\r\nCc)]",
            vec![body(
                &[4, 1],
                Some(SectionText::HeaderFields {
                    names: names(&["Cc"]),
                    not: true,
                }),
                None,
                false,
            )],
        ),
        (
            "BINARY[1]<5.7>",
            vec![A::Binary {
                part: vec![1],
                partial: Some(Partial {
                    offset: 5,
                    count: 7,
                }),
                peek: false,
            }],
        ),
        (
            "BINARY.PEEK[]",
            vec![A::Binary {
                part: vec![],
                partial: None,
                peek: true,
            }],
        ),
        ("BINARY.SIZE[1.2]", vec![A::BinarySize { part: vec![1, 2] }]),
    ] {
        assert_eq!(fetch(text), Some(expected), "{text}");
    }
    for text in [
        "(ALL)",
        "ALL FAST",
        "BODY[0]",
        "BODY[1.]",
        "BODY[.1]",
        "BODY[MIME]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[TEXT",
        "BODY[]<1>",
        "BODY[]<1.0>",
        "BODY[]<.1>",
        "BODYSTRUCTURE[]",
        "BODY.PEEK",
        "BINARY",
        "BINARY[TEXT]",
        "BINARY.SIZE[1]<0.1>",
        "ENVELOPE[]",
        "(FLAGS  UID)",
        "(FLAGS UID",
        "[]",
        "RFC822.PEEK",
        "BODY[01]",
    ] {
        assert_eq!(fetch(text), None, "{text}");
    }
    let Ok(Command::Fetch {
        uid: true,
        attributes,
        ..
    }) = parse("UID FETCH 1 (FLAGS UID)")
    else {
        panic!()
    };
    assert_eq!(attributes, [A::Uid, A::Flags]);
    let deep = format!("BODY[{}]", vec!["1"; 101].join("."));
    assert_eq!(fetch(&deep), None);
}

#[test]
fn store() {
    let store = |text: &str| match parse(&format!("STORE 1 {text}")) {
        Ok(Command::Store(Store {
            uid: false,
            action,
            silent,
            flags,
            ..
        })) => Some((action, silent, flags)),
        _ => None,
    };
    let keyword = |text: &str| Flag::Keyword(text.into());
    for (text, expected) in [
        ("FLAGS ()", (StoreAction::Set, false, vec![])),
        (
            "+FLAGS (\\Seen)",
            (StoreAction::Add, false, vec![Flag::Seen]),
        ),
        (
            "-flags.silent (\\DELETED $Junk)",
            (
                StoreAction::Remove,
                true,
                vec![Flag::Deleted, keyword("$Junk")],
            ),
        ),
        (
            "FLAGS \\Answered \\Flagged \\Draft",
            (
                StoreAction::Set,
                false,
                vec![Flag::Answered, Flag::Flagged, Flag::Draft],
            ),
        ),
        ("FLAGS (x X)", (StoreAction::Set, false, vec![keyword("x")])),
    ] {
        assert_eq!(store(text), Some(expected), "{text}");
    }
    for text in [
        "FLAGS",
        "FLAGS ",
        "*FLAGS ()",
        "FLAGS (\\Recent)",
        "FLAGS (\\*)",
        "FLAGS (a b",
        "FLAGS (\"a\")",
        "FLAG ()",
    ] {
        assert_eq!(store(text), None, "{text}");
    }
    assert!(matches!(
        parse("UID STORE 1 FLAGS ()"),
        Ok(Command::Store(Store { uid: true, .. }))
    ));
    assert_eq!(store(&format!("FLAGS ({})", "k".repeat(129))), None);
}

#[test]
fn status() {
    let all = "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE messages)";
    let items = vec![
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::Size,
    ];
    assert_eq!(
        parse(&format!("STATUS a {all}")),
        Ok(Command::Status {
            mailbox: name("a"),
            items
        })
    );
}

#[test]
fn append_of_parts_and_of_several() {
    let url = |text: &str| AppendPart::Url(text.to_owned());
    let Ok(Command::Append(append)) = parse("APPEND a (\\Seen) CATENATE (URL \"/x;UID=1\" url y)")
    else {
        panic!()
    };
    let [message] = &append.messages[..] else {
        panic!()
    };
    assert!(message.catenate && message.flags == [Flag::Seen]);
    assert_eq!(message.parts, [url("/x;UID=1"), url("y")]);
    let Ok(Command::Append(append)) = parse("APPEND a CATENATE (URL x) CATENATE (URL y)") else {
        panic!()
    };
    assert_eq!(append.messages.len(), 2);
    // From one literal to the next.
    let Err(Stop::Message(outline, _)) = parse("APPEND a CATENATE (URL x TEXT {3}") else {
        panic!()
    };
    let limits = Limits::default();
    let context = Context {
        state: State::Selected,
        utf8: false,
        login: false,
        enabled: Enabled::default(),
        quirks: crate::server::Quirks::default(),
        limits: &limits,
    };
    let rest = |text: &[u8]| append_rest(text, context, (*outline).clone());
    let Err(Stop::Message(next, literal)) = rest(b" URL z) () ~{4+}") else {
        panic!()
    };
    assert!(literal.binary && !literal.synchronizing);
    let parts: Vec<usize> = next.append.messages.iter().map(|m| m.parts.len()).collect();
    assert_eq!(parts, [3, 1]);
    assert!(matches!(rest(b")"), Ok(Command::Append(_))));
    for text in [&b""[..], b" )", b"x)", b") ", b") x", b" URL", b") {x}"] {
        assert!(
            matches!(rest(text), Err(Stop::Syntax(_))),
            "{}",
            text.escape_ascii()
        );
    }
    for text in [
        "APPEND a CATENATE ()",
        "APPEND a CATENATE (TEXT x)",
        "APPEND a CATENATE (URL x",
        "APPEND a CATENATE URL x",
        "REPLACE 0 a {1}",
        "REPLACE 1:2 a {1}",
        "REPLACE $ a {1}",
        "UID REPLACE a {1}",
    ] {
        assert!(matches!(parse(text), Err(Stop::Syntax(_))), "{text}");
    }
    assert!(matches!(
        parse("APPEND a UTF8 (~{1}"),
        Err(Stop::Refused(_))
    ));
    let Err(Stop::Message(outline, _)) = parse("UID REPLACE 7 a (\\Draft) {3}") else {
        panic!()
    };
    let replaced = outline.append.replaces.unwrap();
    assert!(replaced.uid && replaced.message == number(7));
    assert!(append_rest(b" {1}", context, (*outline).clone()).is_err());
}

#[test]
fn what_a_client_knows_of_a_mailbox() {
    let limits = Limits::default();
    let enabled = Enabled {
        qresync: true,
        condstore: true,
        ..Enabled::default()
    };
    let select = |text: &str| {
        let context = Context {
            state: State::Selected,
            utf8: false,
            login: false,
            enabled,
            quirks: crate::server::Quirks::default(),
            limits: &limits,
        };
        match command(format!("a SELECT {text}").as_bytes(), context).2 {
            Ok(Command::Select(select)) => Some(select),
            _ => None,
        }
    };
    let known = select("INBOX (QRESYNC (67890007 90060115194045000 41,43:211,214:541))")
        .unwrap()
        .qresync
        .unwrap();
    assert_eq!(
        (known.uid_validity, known.modseq),
        (67_890_007, 90_060_115_194_045_000)
    );
    assert_eq!(known.known_uids.unwrap().count(), 1 + 169 + 328);
    let both = select("INBOX (CONDSTORE QRESYNC (1 2 (1,3:4 5,7:8)))").unwrap();
    assert!(both.condstore && both.qresync.unwrap().matches.is_some());
    assert!(select("INBOX (QRESYNC (1 2))").is_some());
    for text in [
        "INBOX ()",
        "INBOX (CONDSTORE",
        "INBOX (CONDSTORE CONDSTORE)",
        "INBOX (BOGUS)",
        "INBOX (QRESYNC)",
        "INBOX (QRESYNC (0 2))",
        "INBOX (QRESYNC (1 0))",
        "INBOX (QRESYNC (1 9223372036854775808))",
        "INBOX (QRESYNC (1 2 1:*))",
        "INBOX (QRESYNC (1 2 $))",
        "INBOX (QRESYNC (1 2 (1:3 5:6)))",
        "INBOX (QRESYNC (1 2 (3,1 5:6)))",
        "INBOX (QRESYNC (1 2 (1:2 5:6) 7))",
    ] {
        assert_eq!(select(text), None, "{text}");
    }
    // Before ENABLE QRESYNC it is not understood.
    assert!(matches!(
        parse("SELECT INBOX (QRESYNC (1 2))"),
        Err(Stop::Refused(_))
    ));
}

#[test]
fn mod_sequences() {
    let Ok(Command::Fetch {
        attributes,
        modifiers,
        ..
    }) = parse("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 PARTIAL -1:-10)")
    else {
        panic!()
    };
    assert!(attributes.contains(&FetchAttribute::ModSeq));
    assert_eq!(modifiers.changed_since, Some(12_345));
    assert!(modifiers.partial.unwrap().from_end);
    let Ok(Command::Store(store)) =
        parse("STORE 7,5,9 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Deleted)")
    else {
        panic!()
    };
    assert_eq!(store.unchanged_since, Some(0));
    for text in [
        "FETCH 1 FLAGS (CHANGEDSINCE 0)",
        "FETCH 1 FLAGS (CHANGEDSINCE)",
        "FETCH 1 FLAGS ()",
        "FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        "FETCH 1 FLAGS(CHANGEDSINCE 1)",
        "FETCH 1 FLAGS (CHANGEDSINCE 1) x",
        "UID FETCH 1 FLAGS (PARTIAL 0:1)",
        "UID FETCH 1 FLAGS (PARTIAL -1:2)",
        "STORE 1 (UNCHANGEDSINCE) FLAGS ()",
        "STORE 1 () FLAGS ()",
        "STORE 1 (CHANGEDSINCE 1) FLAGS ()",
    ] {
        assert!(matches!(parse(text), Err(Stop::Syntax(_))), "{text}");
    }
    for text in [
        "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        "FETCH 1 FLAGS (PARTIAL 1:2)",
    ] {
        assert!(matches!(parse(text), Err(Stop::Refused(_))), "{text}");
    }
    // What follows PREVIEW is its own, or FETCH's.
    for (text, lazy, since) in [
        ("FETCH 1 PREVIEW", false, None),
        ("FETCH 1 PREVIEW (LAZY)", true, None),
        ("FETCH 1 (UID PREVIEW (LAZY) FLAGS)", true, None),
        ("FETCH 1 PREVIEW (CHANGEDSINCE 5)", false, Some(5)),
        ("FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 5)", true, Some(5)),
    ] {
        let Ok(Command::Fetch {
            attributes,
            modifiers,
            ..
        }) = parse(text)
        else {
            panic!("{text}")
        };
        assert!(
            attributes.contains(&FetchAttribute::Preview { lazy }),
            "{text}"
        );
        assert_eq!(modifiers.changed_since, since, "{text}");
    }
}

#[test]
fn append() {
    let start = |text: &str| match parse(&format!("APPEND {text}")) {
        Err(Stop::Message(outline, literal)) => Some((outline.append, literal)),
        _ => None,
    };
    let base = Append {
        mailbox: name("a"),
        replaces: None,
        messages: vec![NewMessage::text(vec![])],
    };
    let literal = Literal {
        size: 10,
        synchronizing: true,
        binary: false,
    };
    assert_eq!(start("a {10}"), Some((base.clone(), literal)));
    assert_eq!(
        start("a {10+}"),
        Some((
            base.clone(),
            Literal {
                synchronizing: false,
                ..literal
            }
        ))
    );
    let (binary, head) = start("a ~{10}").unwrap();
    assert!(head.binary);
    let [AppendPart::Text { binary: true, .. }] = binary.messages[0].parts[..] else {
        panic!()
    };
    let date = Some(DateTime {
        unix: 759_561_865,
        offset: -480,
    });
    let full = Append {
        messages: vec![NewMessage {
            flags: vec![Flag::Seen],
            date,
            ..NewMessage::text(vec![])
        }],
        ..base.clone()
    };
    let started = start("a (\\Seen) \"25-Jan-1994 21:24:25 -0800\" {10}");
    assert_eq!(started, Some((full, literal)));
    for text in [
        "a",
        "a 5",
        "a {5}x",
        "a (\\Seen){5}",
        "a () () {5}",
        "a \"x\" {5}",
        "a (x) {-5}",
    ] {
        assert_eq!(start(text), None, "{text}");
    }
}

#[test]
fn dates() {
    let date = |text: &str| match parse(&format!("SEARCH ON {text}")) {
        Ok(Command::Search(Search {
            fetch: _,
            key: SearchKey::On(date),
            ..
        })) => Some(date.parts()),
        _ => None,
    };
    for (text, expected) in [
        ("1-Feb-1994", Some((1994, 2, 1))),
        ("\"01-feb-1994\"", Some((1994, 2, 1))),
        ("29-Feb-2024", Some((2024, 2, 29))),
        ("29-Feb-2023", None),
        ("31-Apr-2023", None),
        ("0-Feb-2023", None),
        ("1-Feb-23", None),
        ("1 Feb 2023", None),
        ("\"1-Feb-2023", None),
    ] {
        assert_eq!(date(text), expected, "{text}");
    }
    assert_eq!(Date::new(1970, 1, 1).map(Date::days), Some(0));
    assert_eq!(Date::new(2000, 3, 1).map(Date::days), Some(11_017));
    for days in (-700_000..2_900_000).step_by(317) {
        assert_eq!(Date::from_days(days).map(Date::days), Some(days));
    }
}

#[test]
fn list() {
    let plain = |reference: &str, pattern: &str| List {
        selection: ListSelection::default(),
        reference: reference.into(),
        patterns: vec![ListPattern::new(pattern)],
        returns: ListReturn::default(),
        extended: false,
    };
    assert_eq!(parse("LIST \"\" *"), Ok(Command::List(plain("", "*"))));
    assert_eq!(
        parse("LIST a/ %&AOk-"),
        Ok(Command::List(plain("a/", "%\u{e9}")))
    );
    assert!(plain("", "").asks_delimiter());
    let extended = List {
        selection: ListSelection {
            subscribed: true,
            recursive_match: true,
            ..Default::default()
        },
        patterns: vec![ListPattern::new("a"), ListPattern::new("b*")],
        returns: ListReturn {
            subscribed: true,
            children: true,
            special_use: false,
            status: vec![StatusItem::Messages, StatusItem::Unseen],
            ..Default::default()
        },
        extended: true,
        ..plain("", "")
    };
    let text = "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a \"b*\") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))";
    assert_eq!(parse(text), Ok(Command::List(extended)));
    let empty = List {
        extended: true,
        ..plain("", "%")
    };
    assert_eq!(parse("LIST () \"\" % RETURN ()"), Ok(Command::List(empty)));
    for text in [
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (REMOTE RECURSIVEMATCH) \"\" *",
        "LIST (NOPE) \"\" *",
        "LIST \"\" ()",
        "LIST \"\" * RETURN",
        "LIST \"\" * RETURN (NOPE)",
        "LIST \"\" * RETURN (STATUS)",
        "LIST \"\" * CHILDREN",
    ] {
        assert!(matches!(parse(text), Err(Stop::Syntax(_))), "{text}");
    }
    assert_eq!(
        parse("LSUB \"\" %"),
        Ok(Command::Lsub {
            reference: String::new(),
            pattern: ListPattern::new("%")
        })
    );
}

#[test]
fn list_patterns_match() {
    for (pattern, mailbox, expected) in [
        ("*", "a/b/c", true),
        ("%", "a", true),
        ("%", "a/b", false),
        ("%/%", "a/b", true),
        ("a*c", "a/b/c", true),
        ("a%c", "a/b/c", false),
        ("a%c", "abc", true),
        ("*b", "a/b", true),
        ("%b", "a/b", false),
        ("*%b", "a/b", true),
        ("inbox", "INBOX", true),
        ("InBox/x", "INBOX/x", true),
        ("inbox/X", "INBOX/x", false),
        ("in%", "INBOX", false),
        ("*%*%*%*x", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
        ("%a%b", "xaxxb", true),
        ("%a%b", "xaxxbc", false),
        ("", "a", false),
        ("a", "a", true),
        ("*a%", "b/a/c", false),
        ("*a%", "b/ac", true),
        ("%%%", "ab", true),
        ("*/%x", "a/b/cx", true),
        ("%*", "a/b", true),
        ("a/*", "a", false),
    ] {
        assert_eq!(
            ListPattern::new(pattern).matches(&name(mailbox)),
            expected,
            "{pattern} {mailbox}"
        );
    }
}

#[test]
fn a20_wildcards_match_in_bounded_time() {
    let pattern = ListPattern::new(&format!("{}x", "%*".repeat(499)));
    let mailbox = name(&"a/".repeat(499));
    for _ in 0..100 {
        assert!(!pattern.matches(&mailbox));
    }
}

#[test]
fn search_keys() {
    use SearchKey as K;
    let key = |text: &str| match parse(&format!("SEARCH {text}")) {
        Ok(Command::Search(Search {
            fetch: _,
            uid: false,
            returns: None,
            key,
        })) => Some(key),
        _ => None,
    };
    let not = |key| K::Not(Box::new(key));
    let day = Date::new(2024, 2, 29).unwrap();
    let text = |text: &str| text.to_owned();
    for (source, expected) in [
        ("ALL", K::All),
        ("ANSWERED", K::Flag(Flag::Answered)),
        ("deleted", K::Flag(Flag::Deleted)),
        ("DRAFT", K::Flag(Flag::Draft)),
        ("FLAGGED", K::Flag(Flag::Flagged)),
        ("RECENT", K::Flag(Flag::Recent)),
        ("SEEN", K::Flag(Flag::Seen)),
        ("UNANSWERED", not(K::Flag(Flag::Answered))),
        ("UNDELETED", not(K::Flag(Flag::Deleted))),
        ("UNDRAFT", not(K::Flag(Flag::Draft))),
        ("UNFLAGGED", not(K::Flag(Flag::Flagged))),
        ("UNSEEN", not(K::Flag(Flag::Seen))),
        ("OLD", not(K::Flag(Flag::Recent))),
        (
            "NEW",
            K::And(vec![K::Flag(Flag::Recent), not(K::Flag(Flag::Seen))]),
        ),
        ("KEYWORD $Junk", K::Flag(Flag::Keyword(text("$Junk")))),
        ("UNKEYWORD x", not(K::Flag(Flag::Keyword(text("x"))))),
        ("BCC a", K::Bcc(text("a"))),
        ("BODY \"a b\"", K::Body(text("a b"))),
        ("CC \"\"", K::Cc(text(""))),
        ("FROM {1}\r\nx", K::From(text("x"))),
        ("SUBJECT \"\u{e9}\"", K::Subject(text("\u{e9}"))),
        ("TEXT x", K::Text(text("x"))),
        ("TO x", K::To(text("x"))),
        (
            "HEADER List-Id x",
            K::Header {
                field: text("List-Id"),
                text: text("x"),
            },
        ),
        ("BEFORE 29-Feb-2024", K::Before(day)),
        ("ON 29-Feb-2024", K::On(day)),
        ("SINCE 29-Feb-2024", K::Since(day)),
        ("SENTBEFORE 29-Feb-2024", K::SentBefore(day)),
        ("SENTON 29-Feb-2024", K::SentOn(day)),
        ("SENTSINCE 29-Feb-2024", K::SentSince(day)),
        (
            "LARGER 9223372036854775807",
            K::Larger(i64::MAX.unsigned_abs()),
        ),
        ("SMALLER 0", K::Smaller(0)),
        ("UID 7", K::Uid(one(7))),
        ("7", K::Sequence(one(7))),
        ("$", K::Sequence(SequenceSet::Saved)),
        ("NOT SEEN", not(K::Flag(Flag::Seen))),
        ("NOT NOT SEEN", K::Flag(Flag::Seen)),
        ("NOT NOT NOT SEEN", not(K::Flag(Flag::Seen))),
        ("NOT UNSEEN", K::Flag(Flag::Seen)),
        ("(SEEN)", K::Flag(Flag::Seen)),
        (
            "SEEN DRAFT",
            K::And(vec![K::Flag(Flag::Seen), K::Flag(Flag::Draft)]),
        ),
        (
            "OR SEEN (DRAFT ALL)",
            K::Or(vec![
                K::Flag(Flag::Seen),
                K::And(vec![K::Flag(Flag::Draft), K::All]),
            ]),
        ),
        (
            "OR 1 OR 2 3",
            K::Or(vec![
                K::Sequence(one(1)),
                K::Sequence(one(2)),
                K::Sequence(one(3)),
            ]),
        ),
        (
            "OR OR 1 2 3",
            K::Or(vec![
                K::Sequence(one(1)),
                K::Sequence(one(2)),
                K::Sequence(one(3)),
            ]),
        ),
        (
            "NOT (OR 1 2) 3",
            K::And(vec![
                not(K::Or(vec![K::Sequence(one(1)), K::Sequence(one(2))])),
                K::Sequence(one(3)),
            ]),
        ),
        ("CHARSET UTF-8 SEEN", K::Flag(Flag::Seen)),
        ("CHARSET \"us-ascii\" SEEN", K::Flag(Flag::Seen)),
    ] {
        assert_eq!(key(source), Some(expected), "{source}");
    }
    for source in [
        "()",
        "(SEEN",
        "SEEN)",
        "(SEEN) )",
        "OR SEEN",
        "OR SEEN  DRAFT",
        "NOT",
        "NOT ",
        "NOPE",
        "FROM",
        "LARGER x",
        "LARGER -1",
        "LARGER 9223372036854775808",
        "UID",
        "UID x",
        "KEYWORD \\Seen",
        "HEADER x",
        "SEEN ",
        "SEEN  DRAFT",
        "CHARSET UTF-8",
        "RETURN SEEN",
        "RETURN (MIN",
        "RETURN (NOPE) ALL",
        "BEFORE x",
        "NOT)",
        "(SEEN)(DRAFT)",
    ] {
        assert_eq!(key(source), None, "{source}");
    }
}

#[test]
fn search_returns_and_charsets() {
    let returns = |text: &str| match parse(&format!("UID SEARCH RETURN {text} ALL")) {
        Ok(Command::Search(Search {
            fetch: _,
            uid: true,
            returns,
            ..
        })) => returns,
        other => panic!("{other:?}"),
    };
    let none = SearchReturn::default();
    assert_eq!(returns("()"), Some(SearchReturn { all: true, ..none }));
    assert_eq!(
        returns("(MIN max COUNT)"),
        Some(SearchReturn {
            min: true,
            max: true,
            count: true,
            ..none
        })
    );
    assert_eq!(returns("(SAVE)"), Some(SearchReturn { save: true, ..none }));
    let Err(Stop::Refused(reply)) = parse("SEARCH CHARSET X-NONE TEXT {5}") else {
        panic!()
    };
    assert!(matches!(reply.code, Some(Code::BadCharset(_))));
    // RFC 5466 §3.1: what a filter holds is UTF-8.
    let Err(Stop::Refused(reply)) = parse("SEARCH CHARSET KOI8-R FILTER x") else {
        panic!()
    };
    assert_eq!(reply.status, crate::Status::Bad);
    let text = |command: &[u8]| match parse_in(State::Selected, false, &[b"a ", command].concat()) {
        Ok(Command::Search(Search { key, .. })) => Some(key),
        _ => None,
    };
    let body = |text: &str| Some(SearchKey::Body(text.into()));
    assert_eq!(
        text(b"SEARCH CHARSET KOI8-R BODY {3+}\r\n\xcd\xc9\xd2"),
        body("\u{43c}\u{438}\u{440}")
    );
    assert_eq!(
        text(b"SEARCH CHARSET \"iso-8859-1\" BODY {1+}\r\n\xe9"),
        body("\u{e9}")
    );
    assert_eq!(
        text(b"SEARCH CHARSET ISO-2022-JP BODY {8+}\r\n\x1b$B$\"\x1b(B"),
        body("\u{3042}")
    );
    // Not text of that charset.
    assert_eq!(text(b"SEARCH CHARSET UTF-8 BODY {1+}\r\n\xe9"), None);
    assert_eq!(text(b"SEARCH CHARSET EUC-JP BODY {1+}\r\n\xe9"), None);
    let keep = |min, max, all, count| {
        SearchReturn {
            min,
            max,
            all,
            count,
            save: true,
            ..none
        }
        .saved(&[2, 5, 9])
    };
    assert_eq!(keep(false, false, false, false), [2, 5, 9]);
    assert_eq!(keep(true, false, false, false), [2]);
    assert_eq!(keep(false, true, false, false), [9]);
    assert_eq!(keep(true, true, false, false), [2, 9]);
    assert_eq!(keep(true, true, false, true), [2, 5, 9]);
    assert_eq!(
        SearchReturn {
            min: true,
            max: true,
            ..none
        }
        .saved(&[4]),
        [4]
    );
}

#[test]
fn searches_of_extensions() {
    use SearchKey as K;
    let key = |source: &str| match parse(&format!("SEARCH {source}")) {
        Ok(Command::Search(Search { key, .. })) => Some(key),
        _ => None,
    };
    let fuzzy = |key| K::Fuzzy(Box::new(key));
    for (source, expected) in [
        ("OLDER 3600", K::Older(3600.try_into().unwrap())),
        ("younger 1", K::Younger(1.try_into().unwrap())),
        ("MODSEQ 620162338", K::ModSeq(620_162_338)),
        ("MODSEQ 0", K::ModSeq(0)),
        (
            "MODSEQ \"/flags/\\\\draft\" all 620162338",
            K::ModSeq(620_162_338),
        ),
        ("SAVEDATESUPPORTED", K::SaveDateSupported),
        (
            "EMAILID M6d99ac3275bb4e",
            K::EmailId("M6d99ac3275bb4e".into()),
        ),
        ("THREADID T-_1", K::ThreadId("T-_1".into())),
        ("FILTER on-the-road", K::Filter("on-the-road".into())),
        ("FUZZY TEXT helo", fuzzy(K::Text("helo".into()))),
        (
            "FUZZY FUZZY (SUBJECT a BODY b)",
            fuzzy(K::And(vec![K::Subject("a".into()), K::Body("b".into())])),
        ),
        (
            "NOT FUZZY SUBJECT a",
            K::Not(Box::new(fuzzy(K::Subject("a".into())))),
        ),
    ] {
        assert_eq!(key(source), Some(expected), "{source}");
    }
    for source in [
        "OLDER 0",
        "OLDER",
        "YOUNGER x",
        "MODSEQ",
        "MODSEQ \"x\" all 1",
        "MODSEQ \"/flags/\\\\draft\" some 1",
        "EMAILID a.b",
        "FILTER a/b",
        "FUZZY",
        "RETURN (PARTIAL 1:2 ALL) ALL",
        "RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL",
        "RETURN (PARTIAL 0:2) ALL",
        "RETURN (PARTIAL 1:-2) ALL",
        "RETURN (PARTIAL -1:2) ALL",
        "RETURN (PARTIAL 1:*) ALL",
    ] {
        assert_eq!(key(source), None, "{source}");
    }
    assert!(parse("SEARCH RETURN (RELEVANCY ALL) TEXT a").is_err());
    assert!(parse("SEARCH RETURN (RELEVANCY ALL) FUZZY TEXT a").is_ok());
}

#[test]
fn sort_and_thread() {
    let criterion = |key, reverse| SortCriterion { reverse, key };
    assert_eq!(
        parse(
            "UID SORT RETURN (PARTIAL 23500:24000 UPDATE) (SUBJECT REVERSE DATE subject) UTF-8 ALL"
        ),
        Ok(Command::Sort {
            criteria: vec![
                criterion(SortKey::Subject, false),
                criterion(SortKey::Date, true)
            ],
            search: Search {
                fetch: Vec::new(),
                uid: true,
                returns: Some(SearchReturn {
                    update: true,
                    partial: Some(PartialRange {
                        first: 23_500.try_into().unwrap(),
                        last: 24_000.try_into().unwrap(),
                        from_end: false,
                    }),
                    ..SearchReturn::default()
                }),
                key: SearchKey::All,
            },
        })
    );
    for wrong in [
        "SORT (SUBJECT) ALL",
        "SORT () UTF-8 ALL",
        "SORT SUBJECT UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (REVERSE REVERSE DATE) UTF-8 ALL",
        "SORT (NOPE) UTF-8 ALL",
        "SORT (RELEVANCY) UTF-8 TEXT a",
        "THREAD NOPE UTF-8 ALL",
        "THREAD REFERENCES ALL",
        "THREAD RETURN (ALL) REFERENCES UTF-8 ALL",
        "CANCELUPDATE",
        "ESEARCH IN () ALL",
        "ESEARCH IN (selected-delayed) ALL",
        "ESEARCH IN (mailboxes) ALL",
        "ESEARCH IN (personal) RETURN (SAVE) ALL",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert!(parse("SORT (RELEVANCY) UTF-8 FUZZY TEXT a").is_ok());
    assert_eq!(
        parse("ESEARCH IN (mailboxes \"folder1\" subtree (\"folder2\" a)) unseen"),
        Ok(Command::Esearch {
            sources: vec![
                MailboxFilter::Mailboxes(vec![name("folder1")]),
                MailboxFilter::Subtree(vec![name("folder2"), name("a")]),
            ],
            search: Search {
                fetch: Vec::new(),
                uid: true,
                returns: Some(SearchReturn {
                    all: true,
                    ..SearchReturn::default()
                }),
                key: SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen))),
            },
        })
    );
    assert_eq!(
        parse("COMPARATOR \"cz;*\" i;basic"),
        Ok(Command::Comparator(vec!["cz;*".into(), "i;basic".into()]))
    );
    assert_eq!(
        parse("CANCELUPDATE \"B01\" \"B02\""),
        Ok(Command::CancelUpdate(vec!["B01".into(), "B02".into()]))
    );
}

fn depth(key: &SearchKey) -> usize {
    match key {
        SearchKey::Not(inner) => 1 + depth(inner),
        SearchKey::Or(keys) | SearchKey::And(keys) => 1 + keys.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[test]
fn a17_search_nests_without_recursion_and_within_bounds() {
    let limits = Limits {
        command: usize::MAX,
        ..Limits::default()
    };
    let context = Context {
        state: State::Selected,
        utf8: false,
        login: true,
        enabled: Enabled::default(),
        quirks: crate::server::Quirks::default(),
        limits: &limits,
    };
    let parse = |text: String| command(format!("a SEARCH {text}").as_bytes(), context).2;
    let many = 100_000;
    for text in [
        format!("{}SEEN", "OR ".repeat(many)),
        format!("{}SEEN{}", "OR ".repeat(many), " SEEN".repeat(many)),
        format!("{}SEEN", "NOT ".repeat(many)),
        format!("{}SEEN", "NOT OR ".repeat(many)),
        "(".repeat(many),
        format!("{}SEEN{}", "(".repeat(many), ")".repeat(many)),
        format!("{}SEEN{}", "(OR SEEN NOT ".repeat(many), ")".repeat(many)),
        "SEEN ".repeat(many),
    ] {
        assert!(
            matches!(parse(text.clone()), Err(Stop::Refused(_))),
            "{}",
            &text[..40]
        );
    }
    // The deepest that is allowed is shallow, and what is flat on paper is flat in the tree.
    let alternating = |n: usize| format!("{}SEEN{}", "NOT (DRAFT ".repeat(n), ")".repeat(n));
    let Ok(Command::Search(search)) = parse(alternating(30)) else {
        panic!()
    };
    assert_eq!(depth(&search.key), 60);
    assert!(matches!(parse(alternating(32)), Err(Stop::Refused(_))));
    let joined = |n: usize| {
        format!(
            "{}SEEN{}",
            "OR SEEN OR SEEN (DRAFT ".repeat(n),
            ")".repeat(n)
        )
    };
    let Ok(Command::Search(search)) = parse(joined(30)) else {
        panic!()
    };
    assert_eq!(depth(&search.key), 60);
    assert!(matches!(parse(joined(32)), Err(Stop::Refused(_))));
    let Ok(Command::Search(search)) = parse(format!("{}SEEN", "OR DRAFT ".repeat(900))) else {
        panic!()
    };
    assert_eq!(depth(&search.key), 1);
    let Ok(Command::Search(search)) =
        parse(format!("{}SEEN{}", "OR ".repeat(900), " DRAFT".repeat(900)))
    else {
        panic!()
    };
    assert_eq!(depth(&search.key), 1);
}

#[test]
fn trailing_literals() {
    let size = |line: &str| {
        super::trailing_literal(line.as_bytes())
            .map(|literal| (literal.size, literal.synchronizing, literal.binary))
    };
    assert_eq!(size("a NOPE {5}"), Some((5, true, false)));
    assert_eq!(size("a NOPE {5+}"), Some((5, false, false)));
    assert_eq!(size("a NOPE ~{5+}"), Some((5, false, true)));
    for line in [
        "",
        "{",
        "{}",
        "{+}",
        "{5+} ",
        "{5++}",
        "5+}",
        "{99999999999999999999+}",
    ] {
        assert_eq!(size(line), None, "{line}");
    }
}
