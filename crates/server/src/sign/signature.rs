//! One DKIM signature (RFC 6376) over a message: which fields, how they are read, and the field that comes of it.
//!
//! Relaxed canonicalization of header and body. Never `l=`: what is appended would be under the signature (A33). Fields
//! whose second copy or late addition would change what a reader sees are listed once more than they are there
//! (RFC 6376 §8.15), so that one more breaks the signature.

use mail_auth::common::crypto::{DkimKey, SigningKey};
use mail_auth::common::headers::{Writable, Writer};
use mail_auth::dkim::{Canonicalization, Signature};
use store::Timestamp;

/// How long a signature is good, from when the message may leave (A34). Mail waits in queues for five days at most.
pub const LIFETIME: Timestamp = 7 * 24 * 3600;

/// Signed, and once more than they are there.
const OVERSIGNED: [&str; 11] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Reply-To",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "References",
    "In-Reply-To",
];

/// Signed where they are (RFC 6376 §5.4.1). Mailing lists add some of them, which is their right; RFC 8058 §4 wants the
/// one-click fields signed.
const SIGNED: [&str; 22] = [
    "Sender",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-Language",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Date",
    "Resent-Message-ID",
    "Auto-Submitted",
    "TLS-Report-Domain",
    "TLS-Report-Submitter",
    "TLS-Required",
];

/// A message to be signed: `top` stands above `message` and belongs to its header.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'m> {
    /// Fields that are not in `message`.
    pub top: &'m [u8],
    /// The message as it came.
    pub message: &'m [u8],
}

/// A header field in the relaxed form, without the line's end (RFC 6376 §3.4.2).
struct Relaxed {
    name: String,
    line: Vec<u8>,
}

impl Subject<'_> {
    fn fields(&self) -> Vec<Relaxed> {
        let header = header_end(self.message);
        let top = mime::header::fields(self.top, 0..self.top.len());
        let own = mime::header::fields(self.message, 0..header);
        top.chain(own)
            .map(|field| relaxed(field.name(), field.value()))
            .collect()
    }

    fn body(&self) -> &[u8] {
        self.message
            .get(header_end(self.message)..)
            .unwrap_or_default()
    }
}

/// Where the body begins.
pub fn header_end(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at.saturating_add(4))
}

/// RFC 6376 §3.4.2: lower case, unfolded, runs of blanks are one, none at the ends.
fn relaxed(name: &[u8], value: &[u8]) -> Relaxed {
    let name = String::from_utf8_lossy(name.trim_ascii_end()).to_ascii_lowercase();
    let mut line = name.clone().into_bytes();
    line.push(b':');
    line.extend(squeezed(value));
    Relaxed { name, line }
}

/// A value unfolded, with single blanks.
pub(super) fn squeezed(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for octet in value {
        match octet {
            b'\r' | b'\n' => {}
            b' ' | b'\t' if out.last().is_none_or(|last| *last == b' ') => {}
            b' ' | b'\t' => out.push(b' '),
            other => out.push(*other),
        }
    }
    while out.last() == Some(&b' ') {
        out.pop();
    }
    out
}

/// The octets of `h=` and of what is signed under it: for each name the instances from the bottom up (RFC 6376 §5.4.2).
pub(super) struct Chosen {
    pub(super) names: Vec<String>,
    pub(super) octets: Vec<u8>,
}

/// Chooses the fields to sign.
pub(super) fn choose(subject: &Subject<'_>, also: &[&str]) -> Chosen {
    let fields = subject.fields();
    let mut chosen = Chosen {
        names: Vec::new(),
        octets: Vec::new(),
    };
    let wanted = OVERSIGNED.iter().map(|name| (name, true));
    let more = SIGNED.iter().chain(also).map(|name| (name, false));
    for (name, over) in wanted.chain(more) {
        let matching = fields
            .iter()
            .rev()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        for field in matching {
            chosen.names.push((*name).to_owned());
            chosen.octets.extend_from_slice(&field.line);
            chosen.octets.extend_from_slice(b"\r\n");
        }
        if over {
            chosen.names.push((*name).to_owned());
        }
    }
    chosen
}

/// Octets as the library wants to be given them.
pub(super) struct Octets<'o>(pub(super) &'o [u8]);

impl Writable for Octets<'_> {
    fn write(self, writer: &mut impl Writer) {
        writer.write(self.0);
    }
}

/// The hash of the relaxed body.
pub(super) fn body_hash(subject: &Subject<'_>, key: &DkimKey) -> Vec<u8> {
    let body = Canonicalization::Relaxed.canonical_body(subject.body(), u64::MAX);
    key.hash(body).as_ref().to_vec()
}

/// Signs; the field ends with its line.
pub(super) fn sign(
    subject: &Subject<'_>,
    domain: &str,
    selector: &str,
    key: &DkimKey,
    now: Timestamp,
    expires: Timestamp,
) -> mail_auth::Result<Vec<u8>> {
    let chosen = choose(subject, &[]);
    let mut signature = Signature {
        v: 1,
        a: key.algorithm(),
        d: domain.to_owned(),
        s: selector.to_owned(),
        bh: body_hash(subject, key),
        h: chosen.names,
        t: u64::try_from(now).unwrap_or_default(),
        x: u64::try_from(expires).unwrap_or_default(),
        ch: Canonicalization::Relaxed,
        cb: Canonicalization::Relaxed,
        ..Signature::default()
    };
    // RFC 6376 §3.7: the fields, then the signature's own field with an empty b= and no line end.
    let mut input = chosen.octets;
    signature.write(&mut input, false);
    signature.b = key.sign(Octets(&input))?;
    let mut field = Vec::new();
    signature.write(&mut field, true);
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxed_form() {
        let table: [(&[u8], &[u8], &[u8]); 5] = [
            (b"Subject", b" a  b\r\n\tc \r\n", b"subject:a b c"),
            (b"SUBJECT ", b"\t x\r\n", b"subject:x"),
            (b"X", b"\r\n", b"x:"),
            // RFC 6376 §3.4.5
            (b"A", b" X\r\n", b"a:X"),
            (b"B ", b" Y\t\r\n\tZ  \r\n", b"b:Y Z"),
        ];
        for (name, value, expected) in table {
            assert_eq!(relaxed(name, value).line, expected);
        }
    }

    /// A33: what a reader sees cannot be added to or doubled under the signature.
    #[test]
    fn a33_fields_are_oversigned() {
        let subject = Subject {
            top: b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n",
            message: b"From: a@b.example\r\nto: c@d.example\r\nList-Unsubscribe: <x>\r\nSubject: 1\r\nSubject: 2\r\nX: y\r\n\r\nSender: body\r\n",
        };
        let chosen = choose(&subject, &[]);
        let count = |name: &str| chosen.names.iter().filter(|n| *n == name).count();
        for name in OVERSIGNED {
            let there = match name {
                "From" | "To" | "Date" => 1,
                "Subject" => 2,
                _ => 0,
            };
            assert_eq!(count(name), there + 1, "{name}");
        }
        assert_eq!(count("List-Unsubscribe"), 1);
        assert_eq!((count("Sender"), count("X")), (0, 0));
        let text = String::from_utf8(chosen.octets).unwrap();
        assert_eq!(
            text,
            "from:a@b.example\r\nto:c@d.example\r\nsubject:2\r\nsubject:1\r\ndate:Mon, 1 Jan 2024 00:00:00 +0000\r\nlist-unsubscribe:<x>\r\n"
        );
    }
}
