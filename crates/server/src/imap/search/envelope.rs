//! Reading of stored ENVELOPE values, so that FROM, SUBJECT, SENTSINCE and their like touch no message body.
//!
//! A stored envelope is ours and well formed (RFC 9051 §7.5.2); anything else reads as absent members, never as a
//! panic.

use std::borrow::Cow;

/// Members of an ENVELOPE, by their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Member {
    /// The Date field as it stands.
    Date = 0,
    /// The Subject field as it stands.
    Subject = 1,
    /// Addresses of From.
    From = 2,
    /// Addresses of To.
    To = 5,
    /// Addresses of Cc.
    Cc = 6,
    /// Addresses of Bcc.
    Bcc = 7,
    /// The In-Reply-To field as it stands.
    InReplyTo = 8,
    /// The Message-ID field as it stands.
    MessageId = 9,
}

/// The raw value of one member: `NIL`, a string or a list of addresses. Empty if there is none.
pub fn member(envelope: &[u8], member: Member) -> &[u8] {
    let mut values = Values {
        rest: inside(envelope),
    };
    values.nth(member as usize).unwrap_or_default()
}

/// The octets of a string value; `None` for NIL and for lists.
pub fn string(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.first()? {
        b'"' => {
            let quoted = value.get(1..value.len().checked_sub(1)?)?;
            if !quoted.contains(&b'\\') {
                return Some(Cow::Borrowed(quoted));
            }
            let mut plain = Vec::with_capacity(quoted.len());
            let mut octets = quoted.iter();
            while let Some(&octet) = octets.next() {
                plain.push(if octet == b'\\' {
                    *octets.next()?
                } else {
                    octet
                });
            }
            Some(Cow::Owned(plain))
        }
        b'{' => {
            let end = literal_head(value)?.0;
            value.get(end..).map(Cow::Borrowed)
        }
        _ => None,
    }
}

/// An address: display name, mailbox and host.
pub struct Address<'a> {
    /// Display name as it stands, encoded words included.
    pub name: Option<Cow<'a, [u8]>>,
    /// Local part, or the name of a group.
    pub mailbox: Option<Cow<'a, [u8]>>,
    /// Domain; absent with groups.
    pub host: Option<Cow<'a, [u8]>>,
}

/// The addresses of a list value.
pub fn addresses(value: &[u8]) -> impl Iterator<Item = Address<'_>> {
    Values {
        rest: inside(value),
    }
    .map(|address| {
        let mut parts = Values {
            rest: inside(address),
        };
        let name = parts.next().and_then(string);
        let mut parts = parts.skip(1);
        let mailbox = parts.next().and_then(string);
        let host = parts.next().and_then(string);
        Address {
            name,
            mailbox,
            host,
        }
    })
}

fn inside(list: &[u8]) -> &[u8] {
    match list {
        [b'(', inside @ .., b')'] => inside,
        _ => &[],
    }
}

/// The values of a list, without what separates them.
struct Values<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let end = value_end(self.rest)?;
        let (value, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(value)
    }
}

/// Where the IMAP value at the start ends. Lists are counted, not descended into, so depth costs nothing.
pub fn value_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    let mut depth = 0usize;
    loop {
        let rest = bytes.get(at..)?;
        match rest.first()? {
            b'(' => {
                depth += 1;
                at += 1;
            }
            b')' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b'"' => at += quoted_end(rest)?,
            b'{' => {
                let (head, size) = literal_head(rest)?;
                at = at.checked_add(head)?.checked_add(size)?;
            }
            b' ' => at += 1,
            _ => {
                at += rest
                    .iter()
                    .position(|b| matches!(b, b' ' | b'(' | b')'))
                    .unwrap_or(rest.len())
            }
        }
        if depth == 0 {
            return (at <= bytes.len()).then_some(at);
        }
    }
}

fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1usize;
    loop {
        let rest = bytes.get(at..)?;
        let next = memchr::memchr2(b'"', b'\\', rest)?;
        match rest.get(next)? {
            b'"' => return Some(at + next + 1),
            _ => at += next + 2,
        }
    }
}

/// Octets of `{n}CRLF`, and n.
fn literal_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = memchr::memchr(b'\n', bytes.get(..bytes.len().min(24))?)?;
    let digits = bytes.get(1..end.checked_sub(2)?)?;
    let size = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((end + 1, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"(\"Mon, 7 Feb\" {5}\r\na\"b(c ((NIL NIL \"fred\" \"x.org\")(\"Q \\\"q\\\"\" NIL \"b\" \"y\")) NIL NIL \
        ((NIL NIL \"team\" NIL)(NIL NIL \"c\" \"z\")(NIL NIL NIL NIL)) NIL NIL \"\" \"<id>\")";

    #[test]
    fn members_are_found() {
        assert_eq!(
            string(member(SAMPLE, Member::Date)).unwrap().as_ref(),
            b"Mon, 7 Feb"
        );
        assert_eq!(
            string(member(SAMPLE, Member::Subject)).unwrap().as_ref(),
            b"a\"b(c"
        );
        let from: Vec<_> = addresses(member(SAMPLE, Member::From)).collect();
        assert_eq!(from.len(), 2);
        assert_eq!(from[1].name.as_deref(), Some(&b"Q \"q\""[..]));
        assert_eq!(from[1].host.as_deref(), Some(&b"y"[..]));
        assert_eq!(addresses(member(SAMPLE, Member::To)).count(), 3);
        assert_eq!(member(SAMPLE, Member::Bcc), b"NIL");
        assert_eq!(string(member(SAMPLE, Member::Bcc)), None);
    }

    #[test]
    fn damage_reads_as_absent() {
        for end in 0..SAMPLE.len() {
            for which in [Member::Date, Member::Subject, Member::From, Member::Bcc] {
                let value = member(&SAMPLE[..end], which);
                let _ = string(value);
                let _ = addresses(value).count();
            }
        }
        assert_eq!(member(b"({99}\r\nab)", Member::Date), b"");
    }
}
