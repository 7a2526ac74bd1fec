//! What holds for any input.

use proptest::prelude::*;

use super::*;
use crate::Select;

/// Commands of all kinds, right and wrong, that leave the session usable.
const COMMANDS: [&str; 30] = [
    "CAPABILITY",
    "NOOP",
    "ID (\"a\" NIL)",
    "ENABLE IMAP4rev2",
    "SELECT INBOX",
    "EXAMINE {3}\r\na b",
    "CREATE a/b (USE (\\Junk))",
    "RENAME a {2+}\r\nbc",
    "LIST (SUBSCRIBED) \"\" (a %) RETURN (CHILDREN STATUS (MESSAGES))",
    "LSUB \"\" {1}\r\n*",
    "STATUS &AOk- (MESSAGES UNSEEN)",
    "APPEND x (\\Seen) \"25-Jan-1994 21:24:25 -0800\" {5}\r\nhello",
    "APPEND x {13+}\r\n1234567890123",
    "APPEND x ~{2+}\r\n\0\0",
    "IDLE\r\nDONE",
    "IDLE\r\nNOPE",
    "CLOSE",
    "UID EXPUNGE 1:*,7",
    "SEARCH OR FROM {1}\r\nx NOT (SEEN 1:5)",
    "UID SEARCH RETURN (MIN COUNT) CHARSET UTF-8 TEXT \"\u{e9}\"",
    "FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From {2}\r\nTo)]<0.5>)",
    "UID FETCH $ FULL",
    "STORE 1,2 +FLAGS.SILENT (\\Seen x)",
    "UID STORE 1 -FLAGS \\Deleted x",
    "COPY 1 \"a \\\"b\"",
    "UID MOVE * {1}\r\nx",
    "NOPE {3+}\r\nabc",
    "FETCH (",
    "SEARCH {3}",
    "UNSELECT",
];

fn run(stream: &[u8], cuts: &[usize]) -> (Vec<String>, String) {
    let mut config = config();
    config.limits.bad = u32::MAX;
    let mut session = fresh(config);
    feed(&mut session, b"l LOGIN u p\r\ns SELECT INBOX\r\n");
    output(&mut session);
    let mut events = Vec::new();
    let mut said = String::new();
    let mut rest = stream;
    for &cut in cuts {
        let (head, tail) = rest.split_at(cut.min(rest.len()));
        events.extend(feed(&mut session, head));
        said.push_str(&output(&mut session));
        rest = tail;
    }
    events.extend(feed(&mut session, rest));
    said.push_str(&output(&mut session));
    (events, said)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// How the octets are cut into segments changes nothing.
    #[test]
    fn any_cut_gives_the_same(
        commands in prop::collection::vec(prop::sample::select(&COMMANDS[..]), 1..12),
        cuts in prop::collection::vec(0_usize..40, 0..60),
    ) {
        let stream: Vec<u8> =
            commands.iter().enumerate().flat_map(|(n, command)| format!("t{n} {command}\r\n").into_bytes()).collect();
        let whole = run(&stream, &[]);
        prop_assert_eq!(&run(&stream, &cuts), &whole);
        prop_assert_eq!(&run(&stream, &vec![1; stream.len()]), &whole);
    }

    /// Nothing panics, and what is held stays within the limits.
    #[test]
    fn any_octets_are_survived(segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        for mut session in [fresh(clear()), fresh(config()), logged_in(true)] {
            for segment in &segments {
                feed(&mut session, segment);
                session.transmit();
            }
        }
    }

    /// A right command with octets changed, inserted and taken away.
    #[test]
    fn mutated_commands_are_survived(
        commands in prop::collection::vec(prop::sample::select(&COMMANDS[..]), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, prop::sample::select(&b"()[]{}<>\"\\*%$&~+-:,. 0919aZ\r\n\0\x80\xff"[..])), 1..8),
    ) {
        let mut stream: Vec<u8> =
            commands.iter().enumerate().flat_map(|(n, command)| format!("t{n} {command}\r\n").into_bytes()).collect();
        for (index, kind, octet) in changes {
            if stream.is_empty() {
                break;
            }
            let at = index.index(stream.len());
            match kind {
                0 => stream[at] = octet,
                1 => stream.insert(at, octet),
                _ => {
                    stream.remove(at);
                }
            }
        }
        let whole = run(&stream, &[]);
        prop_assert_eq!(&run(&stream, &vec![1; stream.len()]), &whole);
        // Every line that is said is a response in form: untagged, tagged, or a continuation.
        for line in whole.1.split_terminator("\r\n") {
            prop_assert!(line.starts_with("* ") || line.starts_with("+ ") || line.contains(" OK ") || line.contains(" NO ") || line.contains(" BAD "), "{}", line);
        }
    }

    /// What the encoder writes as a name, the parser reads as that name, in both forms.
    #[test]
    fn a26_names_survive_the_wire(name in "\\PC{0,40}") {
        prop_assume!(crate::MailboxName::new(&name).is_ok());
        let name = crate::MailboxName::new(&name).unwrap();
        for utf8 in [false, true] {
            let mut session = logged_in(false);
            if utf8 {
                feed(&mut session, b"e ENABLE IMAP4rev2\r\n");
                output(&mut session);
            }
            let mut out = wire::output::Output::new();
            out.put(b"a SELECT ");
            crate::encode::mailbox(&mut out, &name, utf8);
            out.put(b"\r\n");
            while let Some(chunk) = out.take() {
                session.receive(&chunk);
            }
            let selected = Event::Command { tag: "a".into(), command: Command::Select(Select::new(name.clone())) };
            prop_assert_eq!(session.poll(), Some(selected));
        }
    }

    /// What the encoder writes as a string, the parser reads as that string.
    #[test]
    fn strings_survive_the_wire(user in ".{0,40}", password in "[\\x01-\\x7f]{0,1200}") {
        prop_assume!(!user.contains('\0'));
        let mut session = fresh(config());
        let mut out = wire::output::Output::new();
        out.put(b"a LOGIN ");
        crate::encode::astring(&mut out, user.as_bytes(), true);
        out.put(b" ");
        crate::encode::astring(&mut out, password.as_bytes(), false);
        out.put(b"\r\n");
        while let Some(chunk) = out.take() {
            session.receive(&chunk);
        }
        let login = Event::Login { user, password: password.as_str().into() };
        prop_assert_eq!(session.poll(), Some(login));
    }

    /// Sets of numbers survive the wire, and resolving one gives each number once and in order.
    #[test]
    fn sets_survive_the_wire(numbers in prop::collection::vec(1_u32..50, 1..40), last in 0_u32..60) {
        let set: NumberSet = numbers.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), numbers.clone());
        prop_assert_eq!(set.count(), numbers.len() as u64);
        let mut out = wire::output::Output::new();
        crate::encode::number_set(&mut out, &set);
        let text = String::from_utf8(out.take().unwrap()).unwrap();
        let mut session = logged_in(true);
        session.receive(format!("a FETCH {text} UID\r\n").as_bytes());
        let Some(Event::Command { command: Command::Fetch { set, .. }, .. }) = session.poll() else { panic!() };
        let resolved: Vec<u32> = set.resolve(last).into_iter().flatten().collect();
        let mut sorted = numbers;
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(resolved, sorted);
    }
}
