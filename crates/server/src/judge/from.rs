//! Who a message says it is from (A29, A30): the one domain that DMARC protects and every reader shows.

use smtp::address::{Domain, Mailbox};

use super::name;

/// The author of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The addresses of From, as they are shown.
    pub addresses: Vec<String>,
    /// Their domain as A-labels; None for an address literal or a name that is none of the DNS.
    pub domain: Option<String>,
}

/// The author of the header, or what is wrong with it, in words.
pub fn author(message: &[u8], header: usize) -> Result<Author, &'static str> {
    let mut found = None;
    for field in mime::header::fields(message, 0..header) {
        let written = field.name().trim_ascii();
        if !written.eq_ignore_ascii_case(b"From") {
            continue;
        }
        // A name that hides behind blanks is a From to somebody.
        if written.len() != field.name().len() || field.raw().get(written.len()) != Some(&b':') {
            return Err("blanks stand around the name of its From field");
        }
        // RFC 5322 §3.6: exactly once.
        if found.replace(field).is_some() {
            return Err("it has more than one From field");
        }
    }
    let field = found.ok_or("it has no From field")?;
    let list = List::read(field.value()).ok_or("its From field is malformed")?;
    let first = list.addresses.first().and_then(domain);
    let mut shown = list.addresses.iter().chain(&list.mentioned).map(domain);
    if shown.any(|domain| domain != first) {
        return Err("its From field shows addresses of several domains");
    }
    // What our own readers show must be this; they forgive more than the grammar here does.
    let read = field.addresses();
    let mut theirs = read
        .mailboxes()
        .map(|mailbox| mailbox.domain().and_then(name::ascii));
    if read.mailboxes().count() != list.addresses.len() || theirs.any(|domain| domain != first) {
        return Err("its From field can be read in several ways");
    }
    Ok(Author {
        addresses: list.addresses.iter().map(Mailbox::to_string).collect(),
        domain: first,
    })
}

fn domain(mailbox: &Mailbox) -> Option<String> {
    match mailbox.domain() {
        Domain::Name(domain) => name::ascii(domain),
        Domain::Ipv4(_) | Domain::Ipv6(_) => None,
    }
}

/// A `mailbox-list` (RFC 5322 §3.4) as narrow as everybody reads it alike: no groups, no routes, no blanks or comments
/// inside addresses, everything that is opened is closed. Names may be of any words without specials.
#[derive(Debug, Default)]
struct List {
    addresses: Vec<Mailbox>,
    /// Addresses that stand unquoted where a name belongs: some programs show these.
    mentioned: Vec<Mailbox>,
}

/// What stands between two commas.
#[derive(Debug, Default)]
struct Element {
    /// Without comments.
    text: String,
    /// Without comments and quoted strings.
    bare: String,
    /// What stands in angle brackets.
    angle: Option<String>,
}

impl List {
    fn read(value: &[u8]) -> Option<List> {
        let text = String::from_utf8_lossy(value);
        let mut list = List::default();
        let mut element = Element::default();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                ',' => list.add(std::mem::take(&mut element))?,
                '(' => {
                    comment(&mut letters)?;
                    element.push(' ');
                }
                ' ' | '\t' | '\r' | '\n' => element.push(' '),
                // After the address there is nothing more.
                _ if element.angle.is_some() => return None,
                '"' => element.text.push_str(&quoted(&mut letters)?),
                '<' => element.angle = Some(angle(&mut letters)?),
                '>' | ')' | ';' | ':' | '\\' => return None,
                other if other.is_control() => return None,
                other => element.push(other),
            }
        }
        list.add(element)?;
        Some(list)
    }

    fn add(&mut self, element: Element) -> Option<()> {
        let parse = |text: &str| Mailbox::parse(text.as_bytes(), true).ok();
        match element.angle {
            None => self.addresses.push(parse(element.text.trim())?),
            Some(angle) => {
                for word in element.bare.split(' ').filter(|word| word.contains('@')) {
                    self.mentioned.push(parse(word)?);
                }
                self.addresses.push(parse(angle.trim())?);
            }
        }
        Some(())
    }
}

impl Element {
    fn push(&mut self, letter: char) {
        self.text.push(letter);
        self.bare.push(letter);
    }
}

/// The rest of a comment, which may hold others.
fn comment(letters: &mut std::str::Chars<'_>) -> Option<()> {
    let mut depth = 1_usize;
    while depth > 0 {
        match letters.next()? {
            '\\' => drop(letters.next()?),
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Some(())
}

/// The rest of a quoted string, with its quotes.
fn quoted(letters: &mut std::str::Chars<'_>) -> Option<String> {
    let mut text = String::from("\"");
    loop {
        match letters.next()? {
            '"' => break,
            '\\' => text.extend(['\\', letters.next()?]),
            other => text.push(other),
        }
    }
    text.push('"');
    Some(text)
}

/// What stands in angle brackets.
fn angle(letters: &mut std::str::Chars<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match letters.next()? {
            '>' => return Some(text),
            '"' => text.push_str(&quoted(letters)?),
            '<' | '(' => return None,
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(header: &str) -> Result<Option<String>, &'static str> {
        let message = format!("{header}\r\nSubject: x\r\n\r\nbody\r\n").into_bytes();
        let end = message.len().saturating_sub(6);
        author(&message, end).map(|author| author.domain)
    }

    /// A29: fields that one program reads as one sender and the next as another are refused.
    #[test]
    fn a29_ambiguous_authors() {
        for header in [
            "To: nobody@example.org",
            "From: a@attack.example\r\nFrom: b@legit.example",
            "From: a@attack.example\r\nfrom: b@legit.example",
            "From : a@legit.example",
            "From\t: a@legit.example\r\nFrom: a@attack.example",
            "From: <a@attack.example>, <b@legit.example>",
            "From: <@attack.example,@any.example:admin@legit.example>",
            "From: admin@legit.example,<second@attack.example>",
            "From: <any@attack.example>admin@legit.example",
            "From: <admin@legit.example>\\,<second@attack.example>",
            "From: admin@legit.example <second@attack.example>",
            "From:",
            "From: admin",
            "From: <>",
        ] {
            assert!(read(header).is_err(), "{header}");
        }
        for (header, domain) in [
            ("From: a@legit.example", "legit.example"),
            (
                "from: \"admin@other.example\" <a@Legit.EXAMPLE>",
                "legit.example",
            ),
            (
                "From: =?utf-8?B?PGFkbWluQG90aGVyLmV4YW1wbGU+?= <a@legit.example>",
                "legit.example",
            ),
            (
                "From: a@legit.example, b@legit.example\r\nSender: x@any.example",
                "legit.example",
            ),
            (
                "From: a@legit.example\r\nResent-From: b@any.example",
                "legit.example",
            ),
            ("From: a@b\u{fc}cher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(read(header), Ok(Some(domain.to_owned())), "{header}");
        }
    }

    /// A30: groups in From.
    #[test]
    fn a30_groups() {
        for header in [
            "From: <attacker@x.example>:<victim@y.example>;",
            "From: \"<attacker@x.example>\":<victim@y.example>;",
            "From: Group: victim@y.example;",
            "From: undisclosed-recipients:;",
            "From: \"a@x.example\":;<victim@y.example>",
        ] {
            assert!(read(header).is_err(), "{header}");
        }
    }

    /// The domains that our other readers show for a message, the address parser and ENVELOPE, and the library that verifies.
    fn shown(message: &[u8]) -> Vec<Vec<Option<String>>> {
        let parsed = mime::Message::parse(message);
        let fields = parsed.root().fields().filter(|field| field.is("From"));
        let mut of_parser = Vec::new();
        for field in fields {
            let list = field.addresses();
            of_parser.extend(list.mailboxes().map(|m| m.domain().and_then(name::ascii)));
        }
        let library = mail_auth::AuthenticatedMessage::parse(message).unwrap();
        let of_library = library.from.iter().map(|address| {
            let domain = address.rsplit_once('@').map(|(_, domain)| domain);
            domain.and_then(name::ascii)
        });
        let index = mime::Index::parse(message);
        let envelope = mime::imap::envelope(&index, message);
        vec![of_parser, of_library.collect(), of_envelope(&envelope)]
    }

    /// The hosts of the third element of an ENVELOPE: `(date subject ((name route local host)…) …`.
    fn of_envelope(envelope: &[u8]) -> Vec<Option<String>> {
        let items = nested(envelope);
        let Some(Item::List(fields)) = items.into_iter().next() else {
            return Vec::new();
        };
        let Some(Item::List(from)) = fields.into_iter().nth(2) else {
            return Vec::new();
        };
        let host = |address: Item| match address {
            Item::List(parts) => match parts.into_iter().nth(3) {
                Some(Item::Text(host)) => name::ascii(&host),
                _ => None,
            },
            Item::Text(_) => None,
        };
        from.into_iter().map(host).collect()
    }

    #[derive(Debug)]
    enum Item {
        Text(String),
        List(Vec<Item>),
    }

    fn nested(octets: &[u8]) -> Vec<Item> {
        let mut stack = vec![Vec::new()];
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            at += 1;
            match octet {
                b'(' => stack.push(Vec::new()),
                b')' => {
                    let list = stack.pop().unwrap();
                    stack.last_mut().unwrap().push(Item::List(list));
                }
                b'"' => {
                    let mut text = Vec::new();
                    while octets[at] != b'"' {
                        at += usize::from(octets[at] == b'\\');
                        text.push(octets[at]);
                        at += 1;
                    }
                    at += 1;
                    let text = String::from_utf8_lossy(&text).into_owned();
                    stack.last_mut().unwrap().push(Item::Text(text));
                }
                b'{' => {
                    let end = at + octets[at..].iter().position(|&o| o == b'}').unwrap();
                    let digits = std::str::from_utf8(&octets[at..end]).unwrap();
                    let length: usize = digits.trim_end_matches('+').parse().unwrap();
                    let start = end + 3;
                    let text = String::from_utf8_lossy(&octets[start..start + length]);
                    stack
                        .last_mut()
                        .unwrap()
                        .push(Item::Text(text.into_owned()));
                    at = start + length;
                }
                b' ' => {}
                _ => {
                    while octets.get(at).is_some_and(|o| !b" ()".contains(o)) {
                        at += 1;
                    }
                    stack.last_mut().unwrap().push(Item::Text("NIL".to_owned()));
                }
            }
        }
        stack.pop().unwrap()
    }

    fn agree(header: &str) {
        let message = format!("{header}\r\nSubject: x\r\n\r\nbody\r\n").into_bytes();
        let end = message.len().saturating_sub(6);
        let Ok(author) = author(&message, end) else {
            return;
        };
        for shown in shown(&message) {
            assert!(!shown.is_empty(), "{header}");
            for domain in shown {
                assert_eq!(domain, author.domain, "{header}");
            }
        }
    }

    #[test]
    fn a29_all_readers_of_ours_agree() {
        for header in [
            "From: a@legit.example",
            "From: \"admin@other.example\" <a@Legit.EXAMPLE>",
            "From: (admin@other.example) a@legit.example (x <b@c.example>)",
            "From: \"a\\\"b <c@d.example>\" <\"x y\"@legit.example>",
            "From: a@legit.example,\r\n b@legit.example",
            "From: a@ legit.example",
            "From: a @legit . example",
            "From: <a@legit.example> (",
            "From: =?utf-8?Q?=40?= <a@legit.example>",
            "From: \"\"@legit.example",
            "From: a@legit.example;",
            "From: a@legit.example.",
            "From: a@[192.0.2.1]",
        ] {
            agree(header);
        }
    }

    proptest! {
        /// A29: whatever a From field is made of, if it is taken at all then all readers see the same domain.
        #[test]
        fn a29_readers_agree_on_anything(pieces in proptest::collection::vec(
            prop_oneof![
                Just("a@legit.example"), Just("b@attack.example"), Just("<"), Just(">"), Just(","), Just(";"), Just(":"),
                Just("\""), Just("\\"), Just("("), Just(")"), Just(" "), Just("\r\n "), Just("@"), Just("."), Just("name"),
                Just("=?utf-8?q?=3Cx=40attack.example=3E?="), Just("[192.0.2.1]"), Just("\u{fc}"), Just("\t"), Just("'"),
            ],
            1..10,
        )) {
            agree(&format!("From: {}", pieces.concat()));
        }
    }
}
