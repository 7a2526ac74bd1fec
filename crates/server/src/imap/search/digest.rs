//! What searching, sorting and threading want to know of a message's header, made once: for the index when the message
//! comes, or on the spot where the index does not reach. Both ways use this file, so they cannot differ.

use mime::Message;
use sha2::{Digest as _, Sha256};

use super::content::{day, decode_words};
use super::envelope::{self, Member};
use super::fold::Collation;
use super::subject::BaseSubject;

/// A message identifier, hashed: short, of one length, and nobody can make two that are equal.
pub type Id = [u8; 16];

/// References of one message that count: the first and the last. More than any mail program writes; it keeps what a
/// message can make THREAD do in bounds (attack A20).
const FIRST_REFERENCES: usize = 8;
const LAST_REFERENCES: usize = 120;

/// An address field, or the subject: each value ends with NUL, which no needle contains, so that an absent field differs
/// from an empty one and no needle is found across two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Addresses of From, folded, as `name <mailbox@host>`.
    pub from: String,
    /// Those of To.
    pub to: String,
    /// Those of Cc.
    pub cc: String,
    /// Those of Bcc.
    pub bcc: String,
    /// The subject, folded.
    pub subject: String,
    /// Mailbox of the first From address, folded.
    pub sort_from: String,
    /// That of To.
    pub sort_to: String,
    /// That of Cc.
    pub sort_cc: String,
    /// Display name of the first From address (RFC 5957 §3), folded.
    pub display_from: String,
    /// That of To.
    pub display_to: String,
    /// Base subject, folded.
    pub base: String,
    /// What the header alone says for dates and threads.
    pub dates: Dates,
    /// Message-ID.
    pub id: Option<Id>,
    /// What it refers to, the eldest first.
    pub references: Vec<Id>,
}

/// Dates of a message, and whether it answers another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// The Date field, in seconds since 1970 UTC.
    pub sent: Option<i64>,
    /// The day it names in its own zone, since 1970.
    pub day: Option<i64>,
    /// The subject is that of a reply or forward (RFC 5256 §3).
    pub reply: bool,
}

impl Digest {
    /// The digest of a message from its stored envelope and, for the references, from its header.
    pub fn new(stored: &[u8], header: Option<&Message<'_>>, collation: Collation) -> Digest {
        let mut digest = Digest::default();
        let fold = |text: &str, out: &mut String| collation.fold_into(text, out);
        for (member, lines, sort, display) in [
            (
                Member::From,
                &mut digest.from,
                Some(&mut digest.sort_from),
                Some(&mut digest.display_from),
            ),
            (
                Member::To,
                &mut digest.to,
                Some(&mut digest.sort_to),
                Some(&mut digest.display_to),
            ),
            (Member::Cc, &mut digest.cc, Some(&mut digest.sort_cc), None),
            (Member::Bcc, &mut digest.bcc, None, None),
        ] {
            let value = envelope::member(stored, member);
            for address in envelope::addresses(value) {
                fold(&line(&address), lines);
                lines.push('\0');
            }
            if let Some(first) = envelope::addresses(value).next() {
                if let Some(sort) = sort {
                    fold(&octets_text(first.mailbox.as_deref()), sort);
                }
                if let Some(display) = display {
                    fold(&display_name(&first), display);
                }
            }
        }
        let base = digest.read_subject(stored, collation);
        digest.read_date(stored, base.reply);
        fold(&base.text, &mut digest.base);
        digest.read_ids(stored, header);
        digest
    }

    fn read_subject(&mut self, stored: &[u8], collation: Collation) -> BaseSubject {
        let field = envelope::string(envelope::member(stored, Member::Subject));
        let Some(field) = field else {
            return BaseSubject::of("");
        };
        let text = subject_text(&field);
        collation.fold_into(&text, &mut self.subject);
        self.subject.push('\0');
        BaseSubject::of(&text)
    }

    fn read_date(&mut self, stored: &[u8], reply: bool) {
        let field = envelope::string(envelope::member(stored, Member::Date));
        let parsed = field.as_deref().and_then(mime::DateTime::parse);
        self.dates = Dates {
            sent: parsed.map(|date| date.timestamp()),
            day: field.as_deref().and_then(day),
            reply,
        };
    }

    fn read_ids(&mut self, stored: &[u8], header: Option<&Message<'_>>) {
        let ids_of = |member| {
            let field = envelope::string(envelope::member(stored, member));
            field.and_then(|field| mime::ids::all(&field).next().map(|id| hashed(&id)))
        };
        self.id = ids_of(Member::MessageId);
        if let Some(message) = header {
            let root = message.root();
            let field = root.fields().find(|field| field.is("References"));
            let value = field.map(|field| field.value()).unwrap_or_default();
            // RFC 5256 §3: words without brackets are no identifiers here.
            if memchr::memchr(b'<', value).is_some() {
                self.references = mime::ids::all(value).map(|id| hashed(&id)).collect();
            }
        }
        let count = self.references.len();
        if count > FIRST_REFERENCES + LAST_REFERENCES {
            self.references
                .drain(FIRST_REFERENCES..count - LAST_REFERENCES);
        }
        if self.references.is_empty() {
            self.references.extend(ids_of(Member::InReplyTo));
        }
    }
}

/// The text of a subject: a tab is a blank, because lines are folded with either.
pub fn subject_text(field: &[u8]) -> String {
    let text = decode_words(field);
    if text.contains('\t') {
        return text.replace('\t', " ");
    }
    text.into_owned()
}

/// An address as FROM and its like search it.
pub fn line(address: &envelope::Address<'_>) -> String {
    let mut line = String::new();
    if let Some(name) = &address.name {
        line.push_str(&subject_text(name));
        line.push(' ');
    }
    if let Some(mailbox) = &address.mailbox {
        line.push('<');
        line.push_str(&String::from_utf8_lossy(mailbox));
        if let Some(host) = &address.host {
            line.push('@');
            line.push_str(&String::from_utf8_lossy(host));
        }
        line.push('>');
    }
    line
}

/// RFC 5957 §3.
fn display_name(address: &envelope::Address<'_>) -> String {
    let name = address.name.as_deref().map(decode_words);
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return name.into_owned();
    }
    let mut text = octets_text(address.mailbox.as_deref());
    if let (Some(_), Some(host)) = (&address.mailbox, &address.host) {
        text.push('@');
        text.push_str(&String::from_utf8_lossy(host));
    }
    text
}

fn octets_text(octets: Option<&[u8]>) -> String {
    String::from_utf8_lossy(octets.unwrap_or_default()).into_owned()
}

/// RFC 5256 §3: quoting makes no difference between identifiers.
fn hashed(id: &str) -> Id {
    let mut hash = Sha256::new();
    let mut quoted = id.bytes();
    let mut run = Vec::with_capacity(id.len());
    while let Some(octet) = quoted.next() {
        match octet {
            b'"' => {}
            b'\\' => run.extend(quoted.next()),
            other => run.push(other),
        }
    }
    hash.update(&run);
    let mut short = Id::default();
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(raw: &str) -> Digest {
        let raw = raw.as_bytes();
        let index = mime::Index::parse(raw);
        let stored = mime::imap::envelope(&index, raw);
        Digest::new(
            &stored,
            Some(&Message::parse(raw)),
            Collation::UnicodeCasemap,
        )
    }

    #[test]
    fn what_a_header_says() {
        let found = digest(
            "From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>, b@y.test\r\nTo: team:a@z.test;\r\n\
             Subject: Re: [list] folded\r\n\tsubject\r\nDate: 31 Dec 2000 16:01:33 -0800\r\n\
             Message-ID: <\"01KF8\"@xxx>\r\nReferences: <a@b> junk <c@d>\r\nIn-Reply-To: <e@f>\r\n\r\n",
        );
        assert_eq!(found.from, "JU\u{308}RGEN <J@X.TEST>\0<B@Y.TEST>\0");
        assert_eq!(found.subject, "RE: [LIST] FOLDED SUBJECT\0");
        assert_eq!(found.base, "FOLDED SUBJECT");
        assert_eq!(found.sort_from, "J");
        assert_eq!(found.display_from, "JU\u{308}RGEN");
        assert_eq!(found.cc, "");
        assert!(found.dates.reply);
        // RFC 5256 §2.2: the instant, and RFC 9051 §6.4.4: the day as written.
        assert_eq!(found.dates.sent, Some(978_307_293));
        assert_eq!(found.dates.day, Some(11_322));
        assert_eq!(found.id, Some(hashed("01KF8@xxx")));
        assert_eq!(found.references, [hashed("a@b"), hashed("c@d")]);
    }

    #[test]
    fn what_is_missing() {
        let found = digest("Subject:\r\nIn-Reply-To: <e@f> <g@h>\r\nReferences: none\r\n\r\n");
        assert_eq!(found.subject, "\0");
        assert_eq!(found.dates, Dates::default());
        assert_eq!(found.id, None);
        assert_eq!(found.references, [hashed("e@f")]);
        let many: String = (0..1000).map(|n| format!(" <{n}@x>")).collect();
        let found = digest(&format!("References:{many}\r\n\r\n"));
        assert_eq!(found.references.len(), 128);
        assert_eq!(found.references.last(), Some(&hashed("999@x")));
    }
}
