//! Our client with our server, with servers that are not ours, and with attackers.

use proptest::prelude::*;

use super::{Config, Error, Event, Limits, Session};
use crate::server;
use crate::{
    AclCommand, AnnotationAttribute, AnnotationData, AnnotationFetch, AnnotationKind,
    AnnotationScope, Append, AppendPart, Body, Bound, Capability, Code, Command, Date, DateTime,
    Esearch, EventGroup, FetchAttribute, FetchModifiers, Fetched, Flag, GmailLabel, List,
    ListChange, ListEntry, ListPattern, ListReturn, ListSelection, MailboxAttribute, MailboxFilter,
    MailboxName, MetadataCommand, MetadataDepth, Namespace, NamespaceEntry, NewAnnotation,
    NewMessage, NotifyCommand, NotifyEvents, NotifyFilter, NumberSet, Partial, PartialRange,
    QuotaCommand, Reply, RightsMode, Search, SearchKey, SearchReturn, Section, SectionText, Select,
    SequenceSet, SortCriterion, SortKey, SpecialUse, Status, StatusData, StatusItem, Store,
    StoreAction, StoreAnnotation, StoreLabels, SystemLabel, ThreadAlgorithm, ThreadToken, Untagged,
    UrlAuthCommand, UrlAuthData, UrlDatum, UrlFetch, UrlItem, UrlValue,
};
use wire::sasl::Mechanism;

fn client() -> Session {
    Session::new(Config {
        tls: true,
        require_tls: true,
        limits: Limits::default(),
    })
}

/// A client after a greeting that announces nothing.
fn greeted() -> Session {
    let mut client = client();
    assert!(matches!(
        said(&mut client, "* OK hi\r\n").as_slice(),
        [Event::Greeting(_)]
    ));
    client
}

fn said(client: &mut Session, text: &str) -> Vec<Event> {
    client.receive(text.as_bytes());
    std::iter::from_fn(|| client.poll()).collect()
}

fn written(client: &mut Session) -> String {
    let chunks: Vec<u8> = std::iter::from_fn(|| client.transmit()).flatten().collect();
    String::from_utf8(chunks).unwrap()
}

fn untagged(line: &str) -> Option<Untagged> {
    match said(&mut greeted(), &format!("* {line}\r\n")).as_slice() {
        [Event::Untagged(data)] => Some((**data).clone()),
        [] => None,
        other => panic!("{other:?}"),
    }
}

fn name(name: &str) -> MailboxName {
    MailboxName::new(name).unwrap()
}

fn select(mailbox: &str) -> Command {
    Command::Select(Select::new(name(mailbox)))
}

fn window(first: u32, last: u32, from_end: bool) -> PartialRange {
    PartialRange {
        first: first.try_into().unwrap(),
        last: last.try_into().unwrap(),
        from_end,
    }
}

#[test]
fn literals_wait_for_the_server() {
    let mut client = greeted();
    let login = Command::Login {
        user: "u".into(),
        password: "p\r\u{e9}".into(),
    };
    client.send(&login).unwrap();
    assert_eq!(client.send(&login), Err(Error::Busy));
    assert_eq!(written(&mut client), "w1 LOGIN u {4}\r\n");
    assert_eq!(said(&mut client, "+ go\r\n"), []);
    assert_eq!(written(&mut client), "p\r\u{e9}\r\n");
    let events = said(
        &mut client,
        "w1 OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n",
    );
    assert!(matches!(
        events.as_slice(),
        [Event::Done(Reply {
            status: Status::Ok,
            ..
        })]
    ));
    client.send(&login).unwrap();
    assert_eq!(written(&mut client), "w2 LOGIN u {4+}\r\np\r\u{e9}\r\n");
    // The server may refuse instead of asking.
    let mut client = greeted();
    client.send(&login).unwrap();
    assert!(matches!(
        said(&mut client, "w1 NO no\r\n").as_slice(),
        [Event::Done(_)]
    ));
    client.send(&select("\u{e9}")).unwrap();
    assert_eq!(
        written(&mut client),
        "w1 LOGIN u {4}\r\nw2 SELECT &AOk-\r\n"
    );
}

#[test]
fn authenticate_and_idle() {
    let mut client = greeted();
    client
        .send(&Command::Authenticate {
            mechanism: "PLAIN".into(),
            initial: Some(vec![]),
        })
        .unwrap();
    assert_eq!(written(&mut client), "w1 AUTHENTICATE PLAIN =\r\n");
    assert_eq!(
        said(&mut client, "+ YWI=\r\n"),
        [Event::Continue(b"ab".to_vec())]
    );
    client.respond(b"cd");
    assert_eq!(written(&mut client), "Y2Q=\r\n");
    assert_eq!(said(&mut client, "w1 OK\r\n"), [Event::Done(Reply::ok(""))]);
    client.send(&Command::Idle).unwrap();
    assert_eq!(said(&mut client, "+ idling\r\n* 3 EXISTS\r\n").len(), 2);
    client.idle_done();
    assert_eq!(written(&mut client), "w2 IDLE\r\nDONE\r\n");
}

#[test]
fn responses_of_other_servers() {
    let body = |section: Section, origin, text: &str| Fetched::Body {
        section,
        origin,
        body: Some(text.into()),
    };
    for (line, expected) in [
        ("23 EXISTS", Untagged::Exists(23)),
        ("44 expunge", Untagged::Expunge(44)),
        ("SEARCH", Untagged::Search(vec![])),
        ("SEARCH 2 3 6 ", Untagged::Search(vec![2, 3, 6])),
        (
            "FLAGS (\\Answered $Junk \\X Non\u{e9})",
            Untagged::Flags(vec![
                Flag::Answered,
                Flag::Keyword("$Junk".into()),
                Flag::Extension("X".into()),
                Flag::Keyword("Non\u{e9}".into()),
            ]),
        ),
        (
            "OK [UNSEEN 12] Message 12",
            Untagged::Status(Reply::ok("Message 12").with(Code::Unseen(12))),
        ),
        (
            "OK [X-ODD {5}] {5}",
            Untagged::Status(Reply::ok("{5}").with(Code::Other("X-ODD {5}".into()))),
        ),
        ("OK [broken", Untagged::Status(Reply::ok("[broken"))),
        (
            "OK [inprogress (\"A001\" 454 1000)] on",
            in_progress(Some("A001"), Some(454), Some(1000)),
        ),
        ("OK [INPROGRESS] on", in_progress(None, None, None)),
        (
            "OK [INPROGRESS (NIL 7 NIL)] on",
            in_progress(None, Some(7), None),
        ),
        // RFC 9585 §6: a goal that cannot be is disregarded.
        (
            "OK [INPROGRESS (\"t\" 9 3)] on",
            in_progress(Some("t"), Some(9), None),
        ),
        (
            "NO [MESSAGELIMIT 1000 20001] cut",
            Untagged::Status(Reply::no("cut").with(Code::MessageLimit {
                limit: 1000,
                uid: Some(20001),
            })),
        ),
        (
            "NO [MESSAGELIMIT 1000] no",
            Untagged::Status(Reply::no("no").with(Code::MessageLimit {
                limit: 1000,
                uid: None,
            })),
        ),
        (
            "OK [PERMANENTFLAGS (\\Seen \\*)] ok",
            Untagged::Status(Reply::ok("ok").with(Code::PermanentFlags {
                flags: vec![Flag::Seen],
                new_keywords: true,
            })),
        ),
        (
            "STATUS blurdybloop (MESSAGES 231 X 1 UIDNEXT 44292) ",
            Untagged::StatusData {
                mailbox: name("blurdybloop"),
                data: StatusData {
                    messages: Some(231),
                    uid_next: Some(44292),
                    ..Default::default()
                },
            },
        ),
        (
            "LIST (\\HasNoChildren \\Flagged) NIL {4}\r\na&-b",
            Untagged::List(ListEntry {
                attributes: vec![
                    MailboxAttribute::HasNoChildren,
                    MailboxAttribute::Use(SpecialUse::Flagged),
                ],
                delimiter: None,
                ..ListEntry::new(name("a&b"))
            }),
        ),
        (
            "LIST () \".\" x (\"CHILDINFO\" (\"SUBSCRIBED\") X (a (b)) OLDNAME (y))",
            Untagged::List(ListEntry {
                delimiter: Some('.'),
                child_info: true,
                old_name: Some(name("y")),
                ..ListEntry::new(name("x"))
            }),
        ),
        (
            "ESEARCH (TAG \"a567\") UID COUNT 17 ALL 4:18,21,28 X (1)",
            Untagged::Esearch(Box::new(Esearch {
                tag: Some("a567".into()),
                uid: true,
                count: Some(17),
                all: Some((4..=18).chain([21, 28]).collect()),
                ..Esearch::default()
            })),
        ),
        (
            "ESEARCH (TAG \"t\" MAILBOX \"f/b\" UIDVALIDITY 503) UID PARTIAL (-1:-100 7,9) RELEVANCY (4 99) MODSEQ 9",
            Untagged::Esearch(Box::new(Esearch {
                tag: Some("t".into()),
                mailbox: Some((name("f/b"), 503)),
                uid: true,
                partial: Some((window(1, 100, true), [7, 9].into_iter().collect())),
                relevancy: Some(vec![4, 99]),
                modseq: Some(9),
                ..Esearch::default()
            })),
        ),
        (
            "ESEARCH (TAG \"t\") PARTIAL (24000:24500 NIL) ADDTO (1 2733 1 2731:2732) REMOVEFROM (0 5)",
            Untagged::Esearch(Box::new(Esearch {
                tag: Some("t".into()),
                partial: Some((window(24_000, 24_500, false), NumberSet::new())),
                changes: vec![
                    ListChange::Add(1, [2733].into_iter().collect()),
                    ListChange::Add(1, [2731, 2732].into_iter().collect()),
                    ListChange::Remove(0, [5].into_iter().collect()),
                ],
                ..Esearch::default()
            })),
        ),
        ("SORT 5 3 4 1 2", Untagged::Sort(vec![5, 3, 4, 1, 2])),
        (
            "THREAD (2)(3 6 (4 23)(44 7 96))",
            Untagged::Thread(vec![
                ThreadToken::Open,
                ThreadToken::Message(2),
                ThreadToken::Close,
                ThreadToken::Open,
                ThreadToken::Message(3),
                ThreadToken::Message(6),
                ThreadToken::Open,
                ThreadToken::Message(4),
                ThreadToken::Message(23),
                ThreadToken::Close,
                ThreadToken::Open,
                ThreadToken::Message(44),
                ThreadToken::Message(7),
                ThreadToken::Message(96),
                ThreadToken::Close,
                ThreadToken::Close,
            ]),
        ),
        ("THREAD", Untagged::Thread(vec![])),
        (
            "COMPARATOR i;basic (i;basic i;octet)",
            Untagged::Comparator {
                active: "i;basic".into(),
                matching: vec!["i;basic".into(), "i;octet".into()],
            },
        ),
        (
            "NAMESPACE ((\"\" \"/\")(\"#x/\" NIL \"X\" (\"y\"))) NIL NIL",
            Untagged::Namespace(Namespace {
                personal: vec![
                    NamespaceEntry {
                        prefix: String::new(),
                        delimiter: Some('/'),
                        translation: None,
                    },
                    NamespaceEntry {
                        prefix: "#x/".into(),
                        delimiter: None,
                        translation: None,
                    },
                ],
                ..Namespace::default()
            }),
        ),
        (
            "NAMESPACE NIL ((\"O/\" \"/\" \"X\" (\"y\") \"TRANSLATION\" (\"Andere Ben&APw-tzer/\"))) NIL",
            Untagged::Namespace(Namespace {
                other_users: vec![NamespaceEntry {
                    prefix: "O/".into(),
                    delimiter: Some('/'),
                    translation: Some("Andere Benützer/".into()),
                }],
                ..Namespace::default()
            }),
        ),
        (
            "LANGUAGE (EN \"DE\" i-default)",
            Untagged::Language(vec!["EN".into(), "DE".into(), "i-default".into()]),
        ),
        (
            "12 FETCH (FLAGS (\\Seen \\Recent) UID 7 MODSEQ (99) ENVELOPE (\"a)\" {2}\r\n(( NIL) BODY[HEADER.FIELDS (X)]<3> {3}\r\na\r\n RFC822.SIZE 5)",
            Untagged::Fetch {
                seq: 12,
                items: vec![
                    Fetched::Flags(vec![Flag::Seen, Flag::Recent]),
                    Fetched::Uid(7),
                    Fetched::ModSeq(99),
                    Fetched::Structure {
                        name: "ENVELOPE".into(),
                        value: b"(\"a)\" {2}\r\n(( NIL)".to_vec(),
                    },
                    body(
                        Section {
                            part: vec![],
                            text: Some(SectionText::HeaderFields {
                                names: vec!["X".into()],
                                not: false,
                            }),
                        },
                        Some(3),
                        "a\r\n",
                    ),
                    Fetched::Rfc822Size(5),
                ],
            },
        ),
        (
            "3 FETCH (ANNOTATION (/comment (value.priv \"My comment\" size.shared NIL) \"/a b\" (value.shared ~{1}\r\n\0)))",
            Untagged::Fetch {
                seq: 3,
                items: vec![Fetched::Annotation(AnnotationData::Values(vec![
                    (
                        "/comment".into(),
                        vec![
                            ("value.priv".into(), Some(b"My comment".to_vec())),
                            ("size.shared".into(), None),
                        ],
                    ),
                    ("/a b".into(), vec![("value.shared".into(), Some(vec![0]))]),
                ]))],
            },
        ),
        (
            "3 FETCH (ANNOTATION (/comment /altsubject))",
            Untagged::Fetch {
                seq: 3,
                items: vec![Fetched::Annotation(AnnotationData::Changed(vec![
                    "/comment".into(),
                    "/altsubject".into(),
                ]))],
            },
        ),
        (
            "1 FETCH (BODY[] \"q\\\"\" BINARY[1] ~{1}\r\n\0 BINARY.SIZE[2] 4)",
            Untagged::Fetch {
                seq: 1,
                items: vec![
                    body(Section::default(), None, "q\""),
                    Fetched::Binary {
                        part: vec![1],
                        origin: None,
                        body: Some(vec![0]),
                    },
                    Fetched::BinarySize {
                        part: vec![2],
                        size: 4,
                    },
                ],
            },
        ),
    ] {
        assert_eq!(untagged(line), Some(expected), "{line}");
    }
    // Not understood, passed over.
    for line in [
        "XYZZY",
        "12 XYZZY",
        "LIST",
        "1 FETCH (UID x)",
        "LIST () \"/\" &AAA",
        "SEARCH a",
        "FLAGS (",
        "99999999999 EXISTS",
    ] {
        assert_eq!(untagged(line), None, "{line}");
    }
}

#[test]
fn what_was_passed_over_is_told() {
    let mut client = greeted();
    let long = format!("* LIST () \"/\" &{}\r\n", "A".repeat(5000));
    assert_eq!(
        said(&mut client, &format!("* LIST () \"/\" \"R&D\"\r\n{long}")),
        []
    );
    assert_eq!(
        client.passed_over().as_deref(),
        Some(&b"* LIST () \"/\" \"R&D\""[..])
    );
    assert_eq!(client.passed_over().map(|text| text.len()), Some(200));
    assert_eq!(client.passed_over(), None);
    said(&mut client, &"* XYZZY\r\n".repeat(1000));
    assert_eq!(std::iter::from_fn(|| client.passed_over()).count(), 64);
}

/// RFC 9755 §3: after ENABLE names are UTF-8, as they are written.
#[test]
fn utf8_accept_changes_names() {
    let mut client = greeted();
    let listed = Untagged::List(ListEntry::new(name("Entw\u{fc}rfe")));
    let before = said(&mut client, "* LIST () \"/\" Entw&APw-rfe\r\n");
    assert_eq!(before, [Event::Untagged(Box::new(listed.clone()))]);
    said(&mut client, "* ENABLED UTF8=ACCEPT\r\n");
    let after = said(&mut client, "* LIST () \"/\" \"Entw\u{fc}rfe\"\r\n");
    assert_eq!(after, [Event::Untagged(Box::new(listed))]);
    client.send(&select("Entw\u{fc}rfe")).unwrap();
    assert!(written(&mut client).contains("\"Entw\u{fc}rfe\""));
}

#[test]
fn what_is_no_imap_ends_the_session() {
    for text in [
        "220 mail ESMTP\r\n",
        "+ go\r\n",
        "w1 OK\r\n",
        "\r\n",
        "* 1 EXISTS\r\n",
    ] {
        assert_eq!(
            said(&mut client(), text),
            [Event::Failed(Error::NotImap)],
            "{text}"
        );
    }
    let mut client = greeted();
    assert_eq!(
        said(&mut client, "w9 OK never asked\r\n"),
        [Event::Failed(Error::NotImap)]
    );
    assert!(client.closed());
    assert_eq!(client.send(&Command::Noop), Err(Error::Closed));
}

#[test]
fn what_a_server_sends_is_bounded() {
    let mut client = greeted();
    assert_eq!(
        said(&mut client, "* 1 FETCH (BODY[] {4294967296}\r\n"),
        [Event::Failed(Error::TooLarge)]
    );
    let mut client = Session::new(Config {
        tls: true,
        require_tls: true,
        limits: Limits {
            line: 100,
            ..Limits::default()
        },
    });
    assert_eq!(
        said(&mut client, &"x".repeat(200)),
        [Event::Failed(Error::TooLarge)]
    );
    assert_eq!(
        untagged(&format!("1 FETCH (BODYSTRUCTURE {})", "(".repeat(100_000))),
        None
    );
}

#[test]
fn a08_nothing_before_tls_is_believed() {
    let clear = || {
        Session::new(Config {
            tls: false,
            require_tls: true,
            limits: Limits::default(),
        })
    };
    assert_eq!(
        said(&mut clear(), "* PREAUTH welcome\r\n"),
        [Event::Failed(Error::Tampered)]
    );
    let mut client = clear();
    said(&mut client, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
    let login = Command::Login {
        user: "u".into(),
        password: "p".into(),
    };
    assert_eq!(client.send(&login), Err(Error::NeedsTls));
    client.send(&Command::StartTls).unwrap();
    let events = said(
        &mut client,
        "* LIST () \"/\" evil\r\n* OK [ALERT] pay\r\nw1 OK go\r\n",
    );
    assert_eq!(events, [Event::StartTls]);
    client.tls_started();
    assert_eq!(client.capabilities(), []);
    assert_eq!(client.send(&login), Ok(()));
    // Octets behind the answer.
    let mut client = clear();
    said(&mut client, "* OK hi\r\n");
    client.send(&Command::StartTls).unwrap();
    assert_eq!(
        said(&mut client, "w1 OK go\r\n* CAPABILITY IMAP4rev1\r\n"),
        [Event::Failed(Error::Tampered)]
    );
    // Refused.
    let mut client = clear();
    said(&mut client, "* OK hi\r\n");
    client.send(&Command::StartTls).unwrap();
    assert!(matches!(
        said(&mut client, "w1 BAD no\r\n").as_slice(),
        [Event::Done(_)]
    ));
    assert_eq!(client.send(&login), Err(Error::NeedsTls));
}

/// A mailbox of two messages behind our own server session.
fn serve(server: &mut server::Session, event: server::Event) {
    match event {
        server::Event::Command {
            command: Command::List(_),
            ..
        } => {
            for mailbox in ["INBOX", "\u{53f0}\u{5317} & \"x\""] {
                server.untagged(&Untagged::List(ListEntry::new(name(mailbox))));
            }
            server.complete(Reply::ok("listed"));
        }
        server::Event::Command {
            command: Command::Fetch {
                set, attributes, ..
            },
            ..
        } => {
            let numbers = set
                .resolve(2)
                .into_iter()
                .flatten()
                .filter(|&number| number <= 2);
            for seq in numbers {
                let mut fetch = server.fetch(seq, seq);
                for attribute in &attributes {
                    match attribute {
                        FetchAttribute::Uid => fetch.uid(seq * 10),
                        FetchAttribute::InternalDate => fetch.internal_date(DateTime {
                            unix: 837_596_665,
                            offset: -420,
                        }),
                        FetchAttribute::BodySection {
                            section, partial, ..
                        } => fetch.section(
                            section,
                            *partial,
                            Body::Owned(vec![b'0' + seq as u8; 5000]),
                        ),
                        _ => fetch.flags([&Flag::Seen]),
                    };
                }
                fetch.end();
            }
            server.complete(Reply::ok("fetched"));
        }
        server::Event::AppendStart { .. } => server.accept_literal(),
        _ => server.complete(Reply::ok("done")),
    }
}

/// Runs a command to its end, server and client passing octets in small pieces.
fn converse(
    client: &mut Session,
    server: &mut server::Session,
    command: &Command,
) -> (Vec<Untagged>, Reply) {
    client.send(command).unwrap();
    let mut data = Vec::new();
    loop {
        for piece in std::iter::from_fn(|| client.transmit()).collect::<Vec<_>>() {
            for segment in piece.chunks(7) {
                server.receive(segment);
                while let Some(event) = server.poll() {
                    serve(server, event);
                }
            }
        }
        let pieces: Vec<_> = std::iter::from_fn(|| server.transmit()).collect();
        assert!(!pieces.is_empty(), "stuck");
        for segment in pieces.iter().flat_map(|piece| piece.chunks(11)) {
            client.receive(segment);
            while let Some(event) = client.poll() {
                match event {
                    Event::Untagged(untagged) => data.push(*untagged),
                    Event::Done(reply) => return (data, reply),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn pair(rev2: bool) -> (Session, server::Session) {
    let mut capabilities = server::Config::all_capabilities();
    if !rev2 {
        // Then no literal may be sent unasked.
        capabilities.retain(|capability| {
            !matches!(capability, Capability::LiteralPlus | Capability::Imap4rev2)
        });
    }
    let mut server = server::Session::new(server::Config {
        greeting: "hi".into(),
        tls: true,
        starttls: false,
        login_clear: false,
        mechanisms: vec![Mechanism::Plain],
        mechanisms_clear: vec![],
        capabilities,
        id: vec![],
        quirks: crate::server::Quirks::default(),
        limits: server::Limits::default(),
    });
    let mut client = client();
    client.receive(&server.transmit().unwrap());
    assert!(matches!(client.poll(), Some(Event::Greeting(_))));
    (client, server)
}

#[test]
fn our_client_and_our_server() {
    for (utf8, literals) in [(false, true), (true, true), (false, false)] {
        let (mut client, mut server) = pair(literals);
        let login = Command::Login {
            user: "bj\u{f6}rn".into(),
            password: "p\"\\\r\nw".into(),
        };
        let (_, reply) = converse(&mut client, &mut server, &login);
        assert_eq!(reply.status, Status::Ok);
        assert!(client.capabilities().contains(&Capability::Move));
        if utf8 {
            converse(
                &mut client,
                &mut server,
                &Command::Enable(vec![Capability::Imap4rev2]),
            );
        }
        let list = Command::List(List {
            selection: ListSelection::default(),
            reference: String::new(),
            patterns: vec![ListPattern::new("*")],
            returns: ListReturn::default(),
            extended: false,
        });
        let (data, _) = converse(&mut client, &mut server, &list);
        let entry = |mailbox: &str| Untagged::List(ListEntry::new(name(mailbox)));
        assert_eq!(data, [entry("INBOX"), entry("\u{53f0}\u{5317} & \"x\"")]);
        converse(
            &mut client,
            &mut server,
            &select("\u{53f0}\u{5317} & \"x\""),
        );
        let section = Section {
            part: vec![1],
            text: Some(SectionText::Mime),
        };
        let wanted = FetchAttribute::BodySection {
            section: section.clone(),
            partial: Some(Partial {
                offset: 5,
                count: 5000,
            }),
            peek: true,
        };
        let fetch = Command::Fetch {
            uid: false,
            set: SequenceSet::Ranges(vec![(Bound::Last, Bound::Last)]),
            attributes: vec![FetchAttribute::Uid, FetchAttribute::InternalDate, wanted],
            modifiers: FetchModifiers::default(),
        };
        let (data, _) = converse(&mut client, &mut server, &fetch);
        let items = vec![
            Fetched::Uid(20),
            Fetched::InternalDate(DateTime {
                unix: 837_596_665,
                offset: -420,
            }),
            Fetched::Body {
                section,
                origin: Some(5),
                body: Some(vec![b'2'; 5000]),
            },
        ];
        assert_eq!(data, [Untagged::Fetch { seq: 2, items }]);
        let append = Command::Append(Append {
            mailbox: name("x"),
            replaces: None,
            messages: vec![NewMessage::text(b"a\r\n".repeat(3000))],
        });
        assert_eq!(
            converse(&mut client, &mut server, &append).1.status,
            Status::Ok
        );
    }
}

/// A server session logged in with a mailbox selected, and the command it reads from what our client writes.
fn through_the_wire(command: &Command, utf8: bool) -> Command {
    let (mut client, mut server) = pair(true);
    converse(
        &mut client,
        &mut server,
        &Command::Login {
            user: "u".into(),
            password: "p".into(),
        },
    );
    if utf8 {
        converse(
            &mut client,
            &mut server,
            &Command::Enable(vec![Capability::Imap4rev2]),
        );
    }
    converse(&mut client, &mut server, &select("INBOX"));
    client.send(command).unwrap();
    let mut before = Vec::new();
    loop {
        for piece in std::iter::from_fn(|| client.transmit()).collect::<Vec<_>>() {
            server.receive(&piece);
        }
        match server.poll() {
            Some(server::Event::AppendStart { append, .. }) => {
                before.extend(append.messages);
                server.accept_literal();
            }
            Some(server::Event::Command {
                command: Command::Append(mut append),
                ..
            }) => {
                before.append(&mut append.messages);
                append.messages = before;
                return Command::Append(append);
            }
            Some(server::Event::Command { command, .. }) => return command,
            Some(other) => panic!("{other:?}"),
            None => {
                let said: Vec<u8> = std::iter::from_fn(|| server.transmit()).flatten().collect();
                assert!(
                    said.starts_with(b"+ "),
                    "{}: {command:?}",
                    said.escape_ascii()
                );
                client.receive(&said);
                assert_eq!(client.poll(), None);
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,5}",
        "[ -~\u{e9}\u{4e2d}]{0,8}",
        "[a\r\n\"\\\\]{0,5}"
    ]
}

fn mailbox() -> impl Strategy<Value = MailboxName> {
    "[a-zA-Z0-9 &%*\"\\\\{}()~\u{e9}\u{4e2d}\u{1f600}-]{1,12}".prop_map(|text| name(&text))
}

fn set() -> impl Strategy<Value = SequenceSet> {
    let bound = prop_oneof![
        4 => (1_u32..).prop_map(|value| Bound::Number(std::num::NonZeroU32::new(value).unwrap())),
        1 => Just(Bound::Last),
    ];
    prop_oneof![
        6 => prop::collection::vec((bound.clone(), bound), 1..6).prop_map(SequenceSet::Ranges),
        1 => Just(SequenceSet::Saved),
    ]
}

fn flag() -> impl Strategy<Value = Flag> {
    prop_oneof![
        Just(Flag::Answered),
        Just(Flag::Flagged),
        Just(Flag::Deleted),
        Just(Flag::Seen),
        Just(Flag::Draft),
        "[$a-z][a-z0-9.+-]{0,9}".prop_map(Flag::Keyword),
    ]
}

fn flags() -> impl Strategy<Value = Vec<Flag>> {
    prop::collection::vec(flag(), 0..5).prop_map(|flags| {
        let mut once = Vec::new();
        for flag in flags {
            if !once.contains(&flag) {
                once.push(flag);
            }
        }
        once
    })
}

fn date() -> impl Strategy<Value = Date> {
    (0_i64..2_900_000 - 719_528).prop_map(|days| Date::from_days(days).unwrap())
}

fn date_time() -> impl Strategy<Value = DateTime> {
    (-60_000_000_000_i64..250_000_000_000, -1439_i16..=1439)
        .prop_map(|(unix, offset)| DateTime { unix, offset })
}

fn section() -> impl Strategy<Value = Section> {
    let names = prop::collection::vec("[A-Za-z-]{1,9}", 1..4);
    let texts = prop_oneof![
        Just(SectionText::Header),
        Just(SectionText::Text),
        Just(SectionText::Mime),
        (names, any::<bool>()).prop_map(|(names, not)| SectionText::HeaderFields { names, not }),
    ];
    (
        prop::collection::vec(1_u32.., 0..4),
        prop::option::of(texts),
    )
        .prop_map(|(part, text)| {
            let text = text.filter(|text| *text != SectionText::Mime || !part.is_empty());
            Section { part, text }
        })
}

fn attribute() -> impl Strategy<Value = FetchAttribute> {
    use FetchAttribute as A;
    let partial = || {
        prop::option::of(
            (0..1_u64 << 63, 1..1_u64 << 63).prop_map(|(offset, count)| Partial { offset, count }),
        )
    };
    let part = || prop::collection::vec(1_u32.., 0..4);
    prop_oneof![
        prop::sample::select(vec![
            A::Flags,
            A::InternalDate,
            A::Rfc822Size,
            A::Envelope,
            A::Body,
            A::BodyStructure,
            A::Rfc822,
            A::Rfc822Header,
            A::Rfc822Text,
        ]),
        (section(), partial(), any::<bool>()).prop_map(|(section, partial, peek)| A::BodySection {
            section,
            partial,
            peek
        }),
        (part(), partial(), any::<bool>()).prop_map(|(part, partial, peek)| A::Binary {
            part,
            partial,
            peek
        }),
        part().prop_map(|part| A::BinarySize { part }),
        prop::option::of(Just(AnnotationScope::Private)).prop_map(|scope| A::Annotation(
            AnnotationFetch {
                entries: vec!["/*".to_owned(), "/1/a b%".to_owned()],
                attributes: vec![
                    AnnotationAttribute {
                        kind: AnnotationKind::Value,
                        scope,
                    },
                    AnnotationAttribute {
                        kind: AnnotationKind::Size,
                        scope: Some(AnnotationScope::Shared),
                    },
                ],
            }
        )),
    ]
}

/// Keys in the form the parser gives them.
fn search_key() -> impl Strategy<Value = SearchKey> {
    use SearchKey as K;
    let leaf = prop_oneof![
        Just(K::All),
        prop_oneof![flag(), Just(Flag::Recent)].prop_map(K::Flag),
        set().prop_map(K::Sequence),
        set().prop_map(K::Uid),
        text().prop_map(K::From),
        text().prop_map(K::To),
        text().prop_map(K::Cc),
        text().prop_map(K::Bcc),
        text().prop_map(K::Subject),
        text().prop_map(K::Body),
        text().prop_map(K::Text),
        prop::option::of(text()).prop_map(|text| K::Annotation {
            entry: "/vendor/%/\"x*".to_owned(),
            scope: text.as_ref().map(|_| AnnotationScope::Shared),
            text,
        }),
        ("[A-Za-z-]{1,9}", text()).prop_map(|(field, text)| K::Header { field, text }),
        date().prop_map(K::Before),
        date().prop_map(K::On),
        date().prop_map(K::Since),
        date().prop_map(K::SentBefore),
        date().prop_map(K::SentOn),
        date().prop_map(K::SentSince),
        (0..1_u64 << 63).prop_map(K::Larger),
        (0..1_u64 << 63).prop_map(K::Smaller),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_filter("NOT NOT is nothing", |key| !matches!(key, K::Not(_)))
                .prop_map(|key| K::Not(Box::new(key))),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_filter("OR in OR is one", |keys| !keys
                    .iter()
                    .any(|key| matches!(key, K::Or(_))))
                .prop_map(K::Or),
            prop::collection::vec(inner, 2..4).prop_map(K::And),
        ]
    })
}

fn command() -> impl Strategy<Value = Command> {
    let sets = || (any::<bool>(), set());
    let plain = prop::sample::select(vec![
        Command::Noop,
        Command::Namespace,
        Command::Acl(AclCommand::Set {
            mailbox: MailboxName::inbox(),
            identifier: "-\u{e9}@example.org".to_owned(),
            mode: RightsMode::Remove,
            rights: "lrs".to_owned(),
        }),
        Command::Acl(AclCommand::Get(MailboxName::inbox())),
        Command::Notify(NotifyCommand::None),
        Command::Notify(NotifyCommand::Set {
            status: true,
            groups: vec![
                EventGroup {
                    filter: NotifyFilter::Selected { delayed: true },
                    events: NotifyEvents {
                        messages: true,
                        fetch: vec![FetchAttribute::Uid, FetchAttribute::Envelope],
                        flags: true,
                        annotations: true,
                        ..NotifyEvents::default()
                    },
                },
                EventGroup {
                    filter: NotifyFilter::Other(MailboxFilter::Subtree(vec![MailboxName::inbox()])),
                    events: NotifyEvents {
                        names: true,
                        metadata: true,
                        ..NotifyEvents::default()
                    },
                },
                EventGroup {
                    filter: NotifyFilter::Other(MailboxFilter::Personal),
                    events: NotifyEvents::default(),
                },
            ],
        }),
        Command::Quota(QuotaCommand::Set {
            root: String::new(),
            limits: vec![("STORAGE".to_owned(), 7), ("MESSAGE".to_owned(), 0)],
        }),
        Command::Quota(QuotaCommand::Root(MailboxName::inbox())),
        Command::Metadata(MetadataCommand::Get {
            mailbox: MailboxName::inbox(),
            max_size: Some(1024),
            depth: MetadataDepth::Infinity,
            entries: vec!["/private/a b".to_owned(), "/shared".to_owned()],
        }),
        Command::Metadata(MetadataCommand::Set {
            mailbox: MailboxName::inbox(),
            entries: vec![
                ("/private/a".to_owned(), None),
                ("/private/b".to_owned(), Some(b"x\0y".to_vec())),
                ("/shared/c".to_owned(), Some(Vec::new())),
            ],
        }),
        Command::Check,
        Command::Expunge { uids: None },
        Command::Idle,
        Command::Close,
        Command::Unselect,
    ]);
    let items = || {
        Just(vec![
            StatusItem::Messages,
            StatusItem::Size,
            StatusItem::Unseen,
        ])
    };
    let list = (
        any::<[bool; 6]>(),
        text(),
        prop::collection::vec("[a-z*%&\u{e9} /]{1,9}", 1..4),
        items(),
    )
        .prop_filter_map(
            "pattern or reference holds a line break",
            |(
                [subscribed, remote, children, special, more, extended],
                reference,
                patterns,
                items,
            )| {
                let extended = extended
                    || subscribed
                    || remote
                    || children
                    || special
                    || more
                    || patterns.len() > 1;
                (!reference.contains(['\r', '\n'])).then(|| {
                    Command::List(List {
                        selection: ListSelection {
                            subscribed,
                            remote,
                            recursive_match: subscribed && more,
                            special_use: special,
                        },
                        reference,
                        patterns: patterns
                            .iter()
                            .map(|pattern| ListPattern::new(pattern))
                            .collect(),
                        returns: ListReturn {
                            subscribed,
                            children,
                            special_use: special,
                            status: if more { items } else { vec![] },
                            my_rights: children,
                            metadata: if special {
                                vec!["/shared/comment".to_owned(), "/private/a b".to_owned()]
                            } else {
                                vec![]
                            },
                        },
                        extended,
                    })
                })
            },
        );
    prop_oneof![
        plain,
        (mailbox(), any::<bool>(), any::<bool>()).prop_map(|(mailbox, read_only, condstore)| {
            Command::Select(Select {
                read_only,
                condstore,
                annotate: condstore != read_only,
                ..Select::new(mailbox)
            })
        }),
        mailbox().prop_map(Command::Delete),
        mailbox().prop_map(Command::Subscribe),
        mailbox().prop_map(Command::Unsubscribe),
        (mailbox(), any::<bool>()).prop_map(|(mailbox, junk)| Command::Create {
            mailbox,
            uses: if junk { vec![SpecialUse::Junk] } else { vec![] }
        }),
        (mailbox(), mailbox()).prop_map(|(from, to)| Command::Rename { from, to }),
        list,
        ("[a-z*%\u{e9}]{1,9}").prop_map(|pattern| Command::Lsub {
            reference: String::new(),
            pattern: ListPattern::new(&pattern)
        }),
        (mailbox(), items()).prop_map(|(mailbox, items)| Command::Status { mailbox, items }),
        (
            mailbox(),
            flags(),
            prop::option::of(date_time()),
            any::<bool>(),
            "[a-z\r\n]{1,30}"
        )
            .prop_map(|(mailbox, flags, date, binary, message)| {
                let part = |octets| AppendPart::Text {
                    octets,
                    binary,
                    utf8: false,
                };
                let text = NewMessage {
                    flags,
                    date,
                    annotations: vec![NewAnnotation {
                        entry: "/comment".to_owned(),
                        scope: AnnotationScope::Private,
                        value: Some(message.clone().into_bytes()),
                    }],
                    parts: vec![part(message.clone().into_bytes())],
                    catenate: false,
                };
                let joined = NewMessage {
                    parts: vec![
                        AppendPart::Url("/x;UIDVALIDITY=1/;UID=2".to_owned()),
                        part(message.into_bytes()),
                    ],
                    catenate: true,
                    ..NewMessage::default()
                };
                Command::Append(Append {
                    mailbox,
                    replaces: None,
                    messages: vec![joined.clone(), text, joined],
                })
            }),
        (sets(), prop::option::of("[a-z\u{e9}\0 \"]{0,9}")).prop_map(|((uid, set), value)| {
            let new = |scope, value| NewAnnotation {
                entry: "/1.2/vendor/x y/z".to_owned(),
                scope,
                value,
            };
            Command::StoreAnnotation(StoreAnnotation {
                uid,
                set,
                unchanged_since: uid.then_some(7),
                annotations: vec![
                    new(AnnotationScope::Private, value.map(String::into_bytes)),
                    new(AnnotationScope::Shared, None),
                ],
            })
        }),
        set().prop_map(|set| Command::Expunge { uids: Some(set) }),
        (500_u32.., 1_u32..9, any::<bool>()).prop_map(|(size, first, all)| {
            let batches = (!all).then_some((first, first + 3));
            Command::UidBatches { size, batches }
        }),
        (
            any::<bool>(),
            prop::option::of(any::<[bool; 5]>()),
            search_key()
        )
            .prop_map(|(uid, returns, key)| {
                let returns = returns.map(|[min, max, all, count, save]| SearchReturn {
                    min,
                    max,
                    all: all || !(min || max || count || save),
                    count,
                    save,
                    update: all && save,
                    ..SearchReturn::default()
                });
                Command::Search(Search {
                    uid,
                    returns,
                    key,
                    fetch: Vec::new(),
                })
            }),
        (any::<bool>(), search_key(), any::<bool>()).prop_map(|(uid, key, reverse)| {
            let criterion = |key| SortCriterion { reverse, key };
            Command::Sort {
                criteria: vec![
                    criterion(SortKey::Subject),
                    criterion(SortKey::Annotation {
                        entry: "/altsubject".to_owned(),
                        scope: AnnotationScope::Shared,
                    }),
                    criterion(SortKey::DisplayTo),
                ],
                search: Search {
                    fetch: Vec::new(),
                    uid,
                    returns: reverse.then(|| SearchReturn {
                        partial: Some(window(1, 7, uid)),
                        context: true,
                        ..SearchReturn::default()
                    }),
                    key: SearchKey::Fuzzy(Box::new(key)),
                },
            }
        }),
        (any::<bool>(), search_key()).prop_map(|(uid, key)| Command::Thread {
            algorithm: if uid {
                ThreadAlgorithm::References
            } else {
                ThreadAlgorithm::OrderedSubject
            },
            search: Search {
                fetch: Vec::new(),
                uid: !uid,
                returns: None,
                key,
            },
        }),
        (mailbox(), mailbox(), search_key()).prop_map(|(one, other, key)| Command::Esearch {
            sources: vec![
                MailboxFilter::Personal,
                MailboxFilter::Mailboxes(vec![one]),
                MailboxFilter::SubtreeOne(vec![other]),
            ],
            search: Search {
                fetch: Vec::new(),
                uid: true,
                returns: Some(SearchReturn {
                    count: true,
                    ..SearchReturn::default()
                }),
                key,
            },
        }),
        "[a-z\"]{1,9}".prop_map(|tag| Command::CancelUpdate(vec![tag.clone(), tag])),
        "[a-z;*]{1,9}".prop_map(|name| Command::Comparator(vec![name])),
        "[a-z*-]{1,9}".prop_map(|range| Command::Language(vec![range])),
        (sets(), prop::collection::hash_set(attribute(), 1..5)).prop_map(
            |((uid, set), attributes)| {
                let uid_first = uid.then_some(FetchAttribute::Uid);
                let since = attributes.len() % 2 == 0;
                let modseq = since.then_some(FetchAttribute::ModSeq);
                let attributes = attributes.into_iter().chain(modseq);
                Command::Fetch {
                    uid,
                    set,
                    attributes: uid_first.into_iter().chain(attributes).collect(),
                    modifiers: FetchModifiers {
                        changed_since: since.then_some(7),
                        vanished: false,
                        partial: uid.then(|| window(3, 9, since)),
                    },
                }
            }
        ),
        (sets(), 0_u8..3, any::<bool>(), flags()).prop_map(
            |((uid, set), action, silent, flags)| {
                let action = match action {
                    0 => StoreAction::Set,
                    1 => StoreAction::Add,
                    _ => StoreAction::Remove,
                };
                Command::Store(Store {
                    uid,
                    set,
                    action,
                    silent,
                    unchanged_since: silent.then_some(90_060_115_194_045_000),
                    flags,
                })
            }
        ),
        (sets(), mailbox()).prop_map(|((uid, set), mailbox)| Command::Copy { uid, set, mailbox }),
        (sets(), mailbox()).prop_map(|((uid, set), mailbox)| Command::Move { uid, set, mailbox }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every command our client writes, our server reads as the same.
    #[test]
    fn commands_survive_the_wire(command in command(), utf8 in any::<bool>()) {
        prop_assert_eq!(through_the_wire(&command, utf8), command);
    }

    /// Searches of few keys, so that each kind has its turn often.
    #[test]
    fn searches_survive_the_wire(
        key in prop_oneof![
            search_key(),
            prop_oneof![flag(), Just(Flag::Recent)].prop_map(|flag| SearchKey::Not(Box::new(SearchKey::Flag(flag)))),
        ],
    ) {
        let command = Command::Search(Search { uid: false, returns: None, key, fetch: Vec::new() });
        prop_assert_eq!(through_the_wire(&command, false), command);
    }

    /// Moments survive the wire.
    #[test]
    fn moments_survive_the_wire(moment in date_time()) {
        let mut out = wire::output::Output::new();
        crate::encode::date_time(&mut out, moment);
        let line = format!("1 FETCH (INTERNALDATE {})", String::from_utf8(out.take().unwrap()).unwrap());
        prop_assert_eq!(untagged(&line), Some(Untagged::Fetch { seq: 1, items: vec![Fetched::InternalDate(moment)] }));
    }

    /// No octets of a server make the client panic.
    #[test]
    fn any_octets_are_survived(
        start in prop::sample::select(vec!["", "* 1 FETCH (", "* LIST (", "* OK [", "* ESEARCH ", "* NAMESPACE ", "* STATUS ", "w1 OK [COPYUID "]),
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        ascii in "[ -~\r\n]{0,80}",
    ) {
        let mut client = greeted();
        client.send(&Command::Noop).unwrap();
        client.receive(start.as_bytes());
        client.receive(ascii.as_bytes());
        while client.poll().is_some() {}
        for segment in segments {
            client.receive(&segment);
            while client.poll().is_some() {}
        }
    }
}

#[test]
fn number_sets_keep_their_order() {
    let set: NumberSet = [5, 6, 7, 3, 4, 9].into_iter().collect();
    assert_eq!(set.ranges(), [5..=7, 3..=4, 9..=9]);
    let code = Code::CopyUid {
        uid_validity: 1,
        source: set.clone(),
        destination: set,
    };
    let line = "OK [COPYUID 1 5:7,3:4,9 5:7,3:4,9] x";
    assert_eq!(
        untagged(line),
        Some(Untagged::Status(Reply::ok("x").with(code)))
    );
}

#[test]
fn urls_are_asked_for_and_read() {
    let mut client = greeted();
    let plain = UrlFetch {
        url: "imap:x".into(),
        items: vec![],
    };
    let decoded = UrlFetch {
        url: "imap:y".into(),
        items: vec![UrlItem::BodyPartStructure, UrlItem::Binary],
    };
    let fetch = UrlAuthCommand::Fetch(vec![plain, decoded]);
    client.send(&Command::UrlAuth(fetch)).unwrap();
    let command = written(&mut client);
    assert_eq!(
        command,
        "w1 URLFETCH imap:x (imap:y BODYPARTSTRUCTURE BINARY)\r\n"
    );
    let read = |line: &str| match untagged(line) {
        Some(Untagged::UrlAuth(UrlAuthData::Fetched(urls))) => urls,
        other => panic!("{line}: {other:?}"),
    };
    // The forms of RFC 5524 §4.
    let structure = "(\"IMAGE\" \"PNG\" () NIL NIL \"BINARY\" 3)";
    assert_eq!(
        read(&format!(
            "URLFETCH \"imap:x\" (BODYPARTSTRUCTURE {structure}) (BINARY ~{{3}}\r\na\0b) \"imap:y\" NIL"
        )),
        [
            (
                "imap:x".to_owned(),
                UrlValue::Items(vec![
                    UrlDatum::BodyPartStructure(structure.into()),
                    UrlDatum::Binary(Some(b"a\0b".to_vec())),
                ])
            ),
            ("imap:y".to_owned(), UrlValue::Plain(None)),
        ]
    );
    assert_eq!(
        read("URLFETCH imap:x (BINARY NIL) (BODY {2}\r\nhi) imap:y \"octets\""),
        [
            (
                "imap:x".to_owned(),
                UrlValue::Items(vec![
                    UrlDatum::Binary(None),
                    UrlDatum::Body(Some(b"hi".to_vec())),
                ])
            ),
            (
                "imap:y".to_owned(),
                UrlValue::Plain(Some(b"octets".to_vec()))
            ),
        ]
    );
}

fn in_progress(tag: Option<&str>, progress: Option<u64>, goal: Option<u64>) -> Untagged {
    Untagged::Status(Reply::ok("on").with(Code::InProgress {
        tag: tag.map(str::to_owned),
        progress,
        goal,
    }))
}

#[test]
fn labels_of_gmail() {
    let mut client = greeted();
    let labels = vec![
        GmailLabel::System(SystemLabel::Inbox),
        GmailLabel::Mailbox(name("Muy Importante")),
        GmailLabel::Mailbox(name("\u{e4}")),
    ];
    let store = StoreLabels {
        uid: true,
        set: SequenceSet::Saved,
        action: StoreAction::Add,
        silent: true,
        labels: labels.clone(),
    };
    client.send(&Command::StoreLabels(store)).unwrap();
    assert_eq!(
        written(&mut client),
        "w1 UID STORE $ +X-GM-LABELS.SILENT (\"\\\\Inbox\" \"Muy Importante\" &AOQ-)\r\n"
    );
    for line in [
        "1 FETCH (X-GM-MSGID 1278455344230334865 X-GM-THRID 7 X-GM-LABELS (\\Inbox \"Muy Importante\" &AOQ-))",
        "1 FETCH (X-GM-MSGID 1278455344230334865 X-GM-THRID 7 X-GM-LABELS (\"\\\\Inbox\" \"Muy Importante\" \"&AOQ-\"))",
    ] {
        let expected = vec![
            Fetched::GmailMessageId(1_278_455_344_230_334_865),
            Fetched::GmailThreadId(7),
            Fetched::GmailLabels(labels.clone()),
        ];
        assert_eq!(
            untagged(line),
            Some(Untagged::Fetch {
                seq: 1,
                items: expected
            })
        );
    }
}
