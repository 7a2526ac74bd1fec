//! Who may do what, as one table: every command of IMAP, for every kind of user (attack A46, RFC 4314 §4).
//!
//! A command without a row fails [`each_command_has_a_row`], so that a new one cannot come without somebody saying what
//! it asks for. Rows say what the owner, a reader (`lr`), a writer (`lrswite`) and a keeper of rights (`la`) are answered.
//! A stranger is answered as if the mailbox, or its owner, were not there, octet for octet; and so is somebody whose
//! rights were taken away, in the session that had them.

mod imap_client;

use std::collections::BTreeSet;

use imap_client::{Answer, Client};
use testkit::Server;

/// Found in every message and annotation of the mailboxes: nobody without rights may meet it.
const SECRET: &str = "sekrit";
const MESSAGE: &[u8] = b"From: sekrit@example.org\r\nSubject: sekrit\r\n\r\nsekrit\r\n";

/// Where a command is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is about no mailbox, or only about one's own.
    Free,
    /// It names the mailbox: `%` is its name, `$` its path in a URL, `&` the user in a URL. It changes nothing.
    Names,
    /// The same, but it changes something: the mailbox is a new one for each try.
    Changes,
    /// It puts messages from a selected INBOX there.
    Into,
    /// The mailbox is selected.
    Selected,
}
use Place::{Changes, Free, Into, Names, Selected};

/// A command and its answers: `+` OK, `0` OK without any data, `-` NO, `b` BAD.
struct Row {
    /// As the session knows it.
    name: &'static str,
    /// With arguments.
    text: &'static str,
    place: Place,
    /// Owner, reader, writer, keeper of rights; the last cannot select.
    want: &'static str,
}

const fn row(name: &'static str, text: &'static str, place: Place, want: &'static str) -> Row {
    Row {
        name,
        text,
        place,
        want,
    }
}

const fn free(name: &'static str) -> Row {
    row(name, "", Free, "")
}

const ROWS: &[Row] = &[
    free("CAPABILITY"),
    free("NOOP"),
    free("LOGOUT"),
    free("ID"),
    free("LANGUAGE"),
    free("STARTTLS"),
    free("AUTHENTICATE"),
    free("LOGIN"),
    free("ENABLE"),
    free("NAMESPACE"),
    free("COMPRESS"),
    free("UNAUTHENTICATE"),
    free("COMPARATOR"),
    // A search with that tag is one's own.
    free("CANCELUPDATE"),
    // Shown where changes of one account are told to another.
    free("IDLE"),
    row("SELECT", "SELECT %", Names, "+++-"),
    row("EXAMINE", "EXAMINE %", Names, "+++-"),
    row(
        "STATUS",
        "STATUS % (MESSAGES UIDNEXT UIDVALIDITY SIZE UNSEEN DELETED HIGHESTMODSEQ)",
        Names,
        "+++-",
    ),
    row("CREATE", "CREATE %/below", Changes, "+---"),
    row("DELETE", "DELETE %", Changes, "+---"),
    row("RENAME", "RENAME % %x", Changes, "+---"),
    row("SUBSCRIBE", "SUBSCRIBE %", Changes, "++++"),
    row("UNSUBSCRIBE", "UNSUBSCRIBE %", Changes, "++++"),
    row(
        "LIST",
        "LIST \"\" % RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES) MYRIGHTS METADATA (/shared/comment))",
        Names,
        "++++",
    ),
    row("LSUB", "LSUB \"\" %", Names, "0000"),
    row(
        "GENURLAUTH",
        "GENURLAUTH \"imap://&@mail.waxwing.test/$/;uid=1;urlauth=anonymous\" INTERNAL",
        Names,
        "+++b",
    ),
    row("RESETKEY", "RESETKEY % INTERNAL", Changes, "+++-"),
    row(
        "URLFETCH",
        "URLFETCH \"imap://&@mail.waxwing.test/$/;uid=1;urlauth=anonymous:internal:0123456789abcdef0123456789abcdef\"",
        Names,
        "++++",
    ),
    row(
        "NOTIFY",
        "NOTIFY SET STATUS (mailboxes % (MessageNew MessageExpunge AnnotationChange MailboxMetadataChange))",
        Changes,
        "++++",
    ),
    row(
        "SETACL",
        "SETACL % stranger@example.test l",
        Changes,
        "+--+",
    ),
    row("SETACL", "SETACL % -reader@example.test r", Changes, "+--+"),
    row("DELETEACL", "DELETEACL % anyone", Changes, "+--+"),
    row("GETACL", "GETACL %", Names, "+--+"),
    row(
        "LISTRIGHTS",
        "LISTRIGHTS % reader@example.test",
        Names,
        "+--+",
    ),
    row("MYRIGHTS", "MYRIGHTS %", Names, "++++"),
    row("GETQUOTA", "GETQUOTA owner@example.test", Names, "++++"),
    row("GETQUOTAROOT", "GETQUOTAROOT %", Names, "+++-"),
    row(
        "SETQUOTA",
        "SETQUOTA owner@example.test (MESSAGE 1)",
        Names,
        "----",
    ),
    row(
        "GETMETADATA",
        "GETMETADATA % (/shared/comment /private/comment)",
        Names,
        "+++-",
    ),
    row(
        "SETMETADATA",
        "SETMETADATA % (/private/comment \"mine\")",
        Changes,
        "+++-",
    ),
    row(
        "SETMETADATA",
        "SETMETADATA % (/shared/comment \"ours\")",
        Changes,
        "+-+-",
    ),
    row(
        "SETMETADATA",
        "SETMETADATA % (/private/comment \"mine\" /shared/comment NIL)",
        Changes,
        "+-+-",
    ),
    row("APPEND", "APPEND % {4+}\r\nx\r\n\r", Changes, "+-+-"),
    row(
        "APPEND",
        "APPEND % (\\Deleted) ANNOTATION (/comment (value.priv \"x\")) {4+}\r\nx\r\n\r",
        Changes,
        "+-+-",
    ),
    row(
        "APPEND",
        "APPEND % ANNOTATION (/comment (value.shared \"x\")) {4+}\r\nx\r\n\r",
        Changes,
        "+---",
    ),
    row(
        "APPEND",
        "APPEND INBOX CATENATE (URL \"/$/;UID=1\" TEXT {1+}\r\nx)",
        Names,
        "+++-",
    ),
    row(
        "APPEND",
        "APPEND INBOX CATENATE (URL \"/$/;UID=1/;SECTION=HEADER\")",
        Names,
        "+++-",
    ),
    row(
        "ESEARCH",
        "ESEARCH IN (mailboxes %) TEXT sekrit",
        Names,
        "+++0",
    ),
    row(
        "ESEARCH",
        "ESEARCH IN (subtree %) RETURN (COUNT) ANNOTATION * value \"sekrit\"",
        Names,
        "+++0",
    ),
    row("COPY", "COPY 1 %", Into, "+-+-"),
    row("UID COPY", "UID COPY 1 %", Into, "+-+-"),
    row("MOVE", "MOVE 1 %", Into, "+-+-"),
    row("UID MOVE", "UID MOVE * %", Into, "+-+-"),
    row("REPLACE", "REPLACE 1 % {4+}\r\nx\r\n\r", Into, "+-+-"),
    row(
        "UID REPLACE",
        "UID REPLACE * % {4+}\r\nx\r\n\r",
        Into,
        "+-+-",
    ),
    row("CHECK", "CHECK", Selected, "+++"),
    row("UNSELECT", "UNSELECT", Selected, "+++"),
    row("CLOSE", "CLOSE", Selected, "+++"),
    row("EXPUNGE", "EXPUNGE", Selected, "+-+"),
    row("UID EXPUNGE", "UID EXPUNGE 1:*", Selected, "+-+"),
    row(
        "FETCH",
        "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[] ANNOTATION (/* value))",
        Selected,
        "+++",
    ),
    row("FETCH", "FETCH 1 (BODY[] BINARY[1])", Selected, "+++"),
    row(
        "UID FETCH",
        "UID FETCH 1:* (BODY[TEXT] EMAILID THREADID)",
        Selected,
        "+++",
    ),
    row("SEARCH", "SEARCH SUBJECT sekrit", Selected, "+++"),
    row(
        "SEARCH",
        "SEARCH RETURN (COUNT SAVE) ANNOTATION * value \"sekrit\"",
        Selected,
        "+++",
    ),
    row("UID SEARCH", "UID SEARCH TEXT sekrit", Selected, "+++"),
    row(
        "SORT",
        "SORT (SUBJECT ANNOTATION /comment value.shared) UTF-8 ALL",
        Selected,
        "+++",
    ),
    row(
        "UID SORT",
        "UID SORT RETURN (COUNT) (REVERSE DATE) UTF-8 TEXT sekrit",
        Selected,
        "+++",
    ),
    row("THREAD", "THREAD REFERENCES UTF-8 ALL", Selected, "+++"),
    row(
        "UID THREAD",
        "UID THREAD ORDEREDSUBJECT UTF-8 SUBJECT sekrit",
        Selected,
        "+++",
    ),
    row(
        "ESEARCH",
        "ESEARCH IN (selected) TEXT sekrit",
        Selected,
        "+++",
    ),
    row("UIDBATCHES", "UIDBATCHES 500", Selected, "+++"),
    row("STORE", "STORE 1 +FLAGS (\\Seen)", Selected, "+-+"),
    row("STORE", "STORE 1 FLAGS (\\Flagged)", Selected, "+-+"),
    row("STORE", "STORE 1 +FLAGS.SILENT (Label)", Selected, "+-+"),
    row(
        "STORE",
        "STORE 1 ANNOTATION (/comment (value.priv \"x\"))",
        Selected,
        "+++",
    ),
    row(
        "STORE",
        "STORE 1 ANNOTATION (/comment (value.shared \"x\"))",
        Selected,
        "+--",
    ),
    row(
        "UID STORE",
        "UID STORE 1:* -FLAGS (\\Deleted)",
        Selected,
        "+-+",
    ),
    row(
        "UID STORE",
        "UID STORE 1 ANNOTATION (/comment (value.shared NIL value.priv \"x\"))",
        Selected,
        "+--",
    ),
    row("COPY", "COPY 1 Archive", Selected, "+++"),
    row("UID COPY", "UID COPY 1:* Archive", Selected, "+++"),
    row("MOVE", "MOVE 1 Archive", Selected, "+-+"),
    row("UID MOVE", "UID MOVE 1:* Archive", Selected, "+-+"),
    row(
        "REPLACE",
        "REPLACE 1 INBOX {4+}\r\nx\r\n\r",
        Selected,
        "+-+",
    ),
    row(
        "UID REPLACE",
        "UID REPLACE * INBOX {4+}\r\nx\r\n\r",
        Selected,
        "+-+",
    ),
    row(
        "APPEND",
        "APPEND INBOX CATENATE (URL \";UID=1\")",
        Selected,
        "+++",
    ),
];

const ROLES: [(&str, &str); 4] = [
    ("owner", ""),
    ("reader", "lr"),
    ("writer", "lrswite"),
    ("keeper", "la"),
];

fn server() -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    for name in ["owner", "reader", "writer", "keeper", "stranger"] {
        server
            .add_account(&format!("{name}@example.test"))
            .expect("account");
    }
    server
}

fn login(server: &Server, name: &str) -> Client {
    Client::login(server, &format!("{name}@example.test"))
}

/// A mailbox of the owner with a message that is marked as deleted, given to all roles.
fn make(owner: &mut Client, name: &str) {
    owner.ok(&format!("CREATE {name}"));
    let annotated = format!(
        "{name} (\\Deleted) ANNOTATION (/comment (value.shared \"{SECRET}\" value.priv \"{SECRET}\"))"
    );
    assert!(owner.append(&annotated, MESSAGE).ok());
    owner.ok(&format!(
        "SETMETADATA {name} (/shared/comment \"{SECRET}\")"
    ));
    for (role, rights) in ROLES.iter().skip(1) {
        owner.ok(&format!("SETACL {name} {role}@example.test {rights}"));
    }
}

/// A command for somebody.
fn command(row: &Row, who: &str, name: &str) -> String {
    let (quoted, path) = match who {
        "owner" => (format!("\"{name}\""), name.to_owned()),
        _ => (
            format!("\"Other Users/owner@example.test/{name}\""),
            format!("Other%20Users/owner%40example.test/{name}"),
        ),
    };
    // A name in quotes goes on inside of them.
    let inner = quoted.trim_end_matches('"');
    row.text
        .replace('&', &format!("{who}%40example.test"))
        .replace(
            "mailboxes %",
            &format!("mailboxes {}", quoted.replace('%', "\u{1}")),
        )
        .replace("%40", "\u{1}")
        .replace("%/below", &format!("{inner}/below\""))
        .replace("%x", &format!("{inner}x\""))
        .replace('%', &quoted)
        .replace('\u{1}', "%40")
        .replace('$', &path)
        .replace("(%40", "($")
}

/// All that was answered. A shared store of keywords, `$Label`, is none of it.
fn all(answer: &Answer) -> String {
    format!("{:?} {}", answer.lines(), answer.tagged)
}

#[test]
fn each_command_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.name.to_owned()).collect();
    let known: BTreeSet<String> = imap::server::command_names().into_iter().collect();
    let missing: Vec<&String> = known.difference(&rows).collect();
    let stale: Vec<&String> = rows.difference(&known).collect();
    assert!(missing.is_empty(), "commands without a row: {missing:?}");
    assert!(stale.is_empty(), "rows without a command: {stale:?}");
    for row in ROWS {
        assert!(
            row.text.starts_with(row.name) || row.place == Free,
            "{}",
            row.name
        );
    }
}

#[test]
fn a46_each_command_asks_for_its_right() {
    let server = server();
    let mut owner = login(&server, "owner");
    make(&mut owner, "standing");
    let mut wrong = Vec::new();
    for (number, (who, _)) in ROLES.iter().enumerate() {
        let mut client = login(&server, who);
        for _ in 0..8 {
            assert!(client.append("INBOX", b"Subject: x\r\n\r\nx\r\n").ok());
        }
        for (nth, row) in ROWS.iter().enumerate() {
            let Some(want) = row.want.chars().nth(number) else {
                continue;
            };
            let fresh = matches!(row.place, Changes | Into | Selected) && want == '+';
            let name = match fresh {
                true => format!("m{number}-{nth}"),
                false => "standing".to_owned(),
            };
            if fresh {
                make(&mut owner, &name);
            }
            match row.place {
                Into => drop(client.ok("SELECT INBOX")),
                Selected => {
                    let select = Row {
                        text: "SELECT %",
                        ..*row
                    };
                    client.ok(&command(&select, who, &name));
                }
                _ => {}
            }
            // NOTIFY lasts.
            let mut own = (row.name == "NOTIFY").then(|| login(&server, who));
            let client = own.as_mut().unwrap_or(&mut client);
            let answer = client.command(&command(row, who, &name));
            let right = match want {
                '+' => answer.ok(),
                'b' => answer.tagged.starts_with("BAD"),
                '0' => answer.ok() && answer.lines().is_empty(),
                _ => answer.tagged.starts_with("NO"),
            };
            if !right {
                wrong.push(format!("{who}: {:?}: {}", row.text, all(&answer)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a46_a_stranger_is_answered_as_if_nothing_were_there() {
    let server = server();
    let mut owner = login(&server, "owner");
    make(&mut owner, "there");
    let mut stranger = login(&server, "stranger");
    for _ in 0..8 {
        assert!(stranger.append("INBOX", b"Subject: x\r\n\r\nx\r\n").ok());
    }
    let mut wrong = Vec::new();
    for row in ROWS
        .iter()
        .filter(|row| matches!(row.place, Names | Changes | Into))
    {
        let mut answers = Vec::new();
        for (name, owner) in [("there", "owner"), ("gone", "owner"), ("there", "nobody")] {
            let text = command(row, "stranger", name).replace("owner@", &format!("{owner}@"));
            let text = text.replace("owner%40", &format!("{owner}%40"));
            if row.place == Into {
                stranger.ok("SELECT INBOX");
            }
            let mut own = (row.name == "NOTIFY").then(|| login(&server, "stranger"));
            let answer = own.as_mut().unwrap_or(&mut stranger).command(&text);
            let told = all(&answer)
                .replace("there", "gone")
                .replace("nobody", "owner");
            // Tags and new UIDs are counted on.
            answers.push(without_numbers(&told));
        }
        if answers
            .iter()
            .any(|answer| *answer != answers[0] || answer.contains(SECRET))
        {
            wrong.push(format!("{:?}: {answers:#?}", row.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a46_rights_taken_away_are_gone_in_the_session_that_had_them() {
    let server = server();
    let mut owner = login(&server, "owner");
    let mut writer = login(&server, "writer");
    let select = row("SELECT", "SELECT %", Names, "");
    // So that nothing is told for the first time.
    writer.ok("ENABLE CONDSTORE");
    let mut wrong = Vec::new();
    make(&mut owner, "there");
    let revoke = "DELETEACL there writer@example.test";
    let status = "STATUS there (MESSAGES DELETED UNSEEN UIDNEXT HIGHESTMODSEQ)";
    for row in ROWS.iter().filter(|row| row.place == Selected) {
        owner.ok("SETACL there writer@example.test lrswiten");
        writer.ok(&command(&select, "writer", "there"));
        let before = owner.ok(status).lines();
        owner.ok(revoke);
        let answer = writer.command(row.text);
        let told = all(&answer);
        if told.contains(SECRET) || told.contains("COPYUID") || told.contains("APPENDUID") {
            wrong.push(format!("{:?} told: {told}", row.text));
        }
        let after = owner.ok(status).lines();
        if after != before {
            wrong.push(format!("{:?} changed {before:?} to {after:?}", row.text));
        }
    }
    // What names the mailbox is answered as for a stranger, in the session that has it selected still.
    for row in ROWS
        .iter()
        .filter(|row| matches!(row.place, Names | Changes))
    {
        owner.ok("SETACL there writer@example.test lrswiten");
        writer.ok(&command(&select, "writer", "there"));
        owner.ok(revoke);
        writer.ok("NOOP");
        let answers = ["there", "gone"].map(|name| {
            let text = command(row, "writer", name);
            let mut own = (row.name == "NOTIFY").then(|| login(&server, "writer"));
            let answer = own.as_mut().unwrap_or(&mut writer).command(&text);
            without_numbers(&all(&answer).replace("there", "gone"))
        });
        if answers[0] != answers[1] || answers[0].contains(SECRET) {
            wrong.push(format!("{:?}: {answers:#?}", row.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text without what is counted on from command to command: UIDs behind APPENDUID and EXISTS, tags in ESEARCH.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    for mark in ["APPENDUID ", "(TAG \\\"a"] {
        if let Some(at) = rest.find(mark) {
            let (before, behind) = rest.split_at(at + mark.len());
            out.push_str(before);
            rest = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        }
    }
    out + rest
}

/// An account that is disabled or removed: its sessions end, those that idle, those that say something next, and those in
/// the middle of a message to submit.
#[test]
fn a46_sessions_of_an_account_end_with_it() {
    for end in ["disable", "remove"] {
        let server = server();
        server
            .append("reader@example.test", "INBOX", MESSAGE)
            .expect("append");
        let other = Client::login(&server, "owner@example.test");
        let [mut idle, mut busy] = [(); 2].map(|()| Client::login(&server, "reader@example.test"));
        idle.ok("SELECT INBOX");
        idle.send("IDLE");
        assert!(idle.response().starts_with(b"+ "));
        busy.ok("SELECT INBOX");
        let ports = server.ports();
        let mut smtp = server.connect(ports.submission).expect("connect");
        smtp.reply().expect("greeting");
        smtp.smtp("EHLO client.example", 250).expect("EHLO");
        smtp.smtp("AUTH LOGIN", 334).expect("AUTH");
        smtp.smtp("cmVhZGVyQGV4YW1wbGUudGVzdA==", 334)
            .expect("user");
        smtp.smtp("b3Blbi1zZXNhbWU=", 235).expect("password");
        smtp.smtp("MAIL FROM:<reader@example.test>", 250)
            .expect("MAIL");
        smtp.smtp("RCPT TO:<owner@example.test>", 250)
            .expect("RCPT");
        smtp.smtp("DATA", 354).expect("DATA");
        smtp.line("Subject: half a message").expect("sends");
        server
            .cli(&["account", end, "reader@example.test"])
            .expect(end);
        let bye = b"* BYE this account may not be used any more";
        // That messages go with the account may be told before, and nothing else.
        let last = |client: &mut Client| {
            let mut response = client.response();
            while end == "remove" && response == b"* 1 EXPUNGE" {
                response = client.response();
            }
            response
        };
        assert_eq!(last(&mut idle), bye, "{end}");
        assert_eq!(idle.connection.read_line().expect("reads"), None);
        // Whether the command comes before the BYE was read or behind: it gets nothing.
        let _ = busy.connection.line("a9 FETCH 1 BODY.PEEK[]");
        assert_eq!(last(&mut busy), bye, "{end}");
        let (code, _) = smtp.reply().expect("reply");
        assert_eq!(code, 421, "{end}");
        // Others go on, and nobody comes in again.
        let mut other = other;
        other.ok("NOOP");
        assert!(other.ok("STATUS INBOX (MESSAGES)").lines()[0].contains("MESSAGES 0"));
        let mut late = Client::connect(&server);
        late.no("LOGIN reader@example.test open-sesame");
    }
}
