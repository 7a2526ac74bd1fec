//! IMAP URLs (RFC 5092): of a server, a mailbox, a message or a part of one, with or without authorization (RFC 4467).
//!
//! Text to types and back; what a URL means here is for the caller to say. A relative URL lacks its server, and where it
//! begins with neither `/` nor a mailbox, its mailbox as well (RFC 5092 §7).
//!
//! Limit: [`LIMIT`].

use crate::parse::url_section;
use crate::{MailboxName, Partial, Section};

/// Longest URL that is read: a mailbox name of the longest with every octet encoded, and a section.
pub const LIMIT: usize = 8 * 1024;

/// An IMAP URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapUrl {
    /// Of an absolute URL (or one that begins with `//`).
    pub server: Option<UrlServer>,
    /// Which mailbox; `None` where the URL is relative to one, or of a server alone.
    pub mailbox: Option<MailboxName>,
    /// `;UIDVALIDITY=`
    pub uid_validity: Option<u32>,
    /// `/;UID=`
    pub uid: Option<u32>,
    /// `/;SECTION=`
    pub section: Option<Section>,
    /// `/;PARTIAL=`
    pub partial: Option<Partial>,
    /// `;EXPIRE=`, as written (a date-time of RFC 3339).
    pub expire: Option<String>,
    /// `;URLAUTH=`
    pub auth: Option<UrlAuth>,
}

/// `iserver`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlServer {
    /// Who logs in.
    pub user: Option<String>,
    /// `;AUTH=`: the mechanism, or `*`.
    pub mechanism: Option<String>,
    /// Host, as written.
    pub host: String,
    /// Port, if not the usual one.
    pub port: Option<u16>,
}

/// `iurlauth` (RFC 5092 §6.1)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlAuth {
    /// Who may use it: `submit+…`, `user+…`, `authuser` or `anonymous`, decoded.
    pub access: String,
    /// Mechanism and token in hexadecimal; `None` in a URL that is to be authorized still.
    pub token: Option<(String, String)>,
}

impl ImapUrl {
    /// Reads a URL, absolute or relative.
    ///
    /// ```text
    /// imapurl      = "imap://" iserver ipath-query
    /// ipath-query  = ["/" [icommand]]
    /// imessagepart = imailbox-ref iuid ["/" isection] ["/" ipartial]
    /// iurlauth     = iexpire? ";URLAUTH=" access [":" mechanism ":" token]
    /// ```
    pub fn parse(text: &str) -> Option<ImapUrl> {
        if text.len() > LIMIT || text.bytes().any(|octet| !matches!(octet, 0x21..=0x7e)) {
            return None;
        }
        let mut url = ImapUrl {
            server: None,
            mailbox: None,
            uid_validity: None,
            uid: None,
            section: None,
            partial: None,
            expire: None,
            auth: None,
        };
        let (mut rest, absolute) = match strip_prefix(text, "imap://") {
            Some(rest) => (rest, true),
            None => match text.strip_prefix("//") {
                Some(rest) => (rest, true),
                None => (text, false),
            },
        };
        if absolute {
            let (server, path) = match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            url.server = Some(UrlServer::parse(server)?);
            rest = path;
        }
        url.command(rest.strip_prefix('/').unwrap_or(rest))?;
        Some(url)
    }

    /// What follows the slash behind the server.
    fn command(&mut self, text: &str) -> Option<()> {
        // What says who may use it stands at the end, behind everything else.
        let (text, auth) = match find(text, ";URLAUTH=") {
            Some(at) => {
                let (before, auth) = text.split_at(at);
                (before, Some(auth.get(";URLAUTH=".len()..)?))
            }
            None => (text, None),
        };
        let (text, expire) = match find(text, ";EXPIRE=") {
            Some(at) => {
                let (before, expire) = text.split_at(at);
                (before, Some(expire.get(";EXPIRE=".len()..)?))
            }
            None => (text, None),
        };
        if expire.is_some() && auth.is_none() {
            return None;
        }
        self.expire = match expire {
            Some(expire) => Some(decode(expire)?),
            None => None,
        };
        self.auth = match auth {
            Some(auth) => Some(UrlAuth::parse(auth)?),
            None => None,
        };
        // `;UID=` alone is relative to a mailbox; otherwise a slash stands before it.
        let (mailbox, fields) = match find(text, ";UID=") {
            Some(at) => {
                let (mailbox, rest) = text.split_at(at);
                (mailbox.strip_suffix('/').unwrap_or(mailbox), rest)
            }
            None => (text, ""),
        };
        let mailbox = match find(mailbox, ";UIDVALIDITY=") {
            Some(at) => {
                let (mailbox, validity) = mailbox.split_at(at);
                self.uid_validity = Some(number(validity.get(";UIDVALIDITY=".len()..)?)?);
                mailbox
            }
            None => mailbox,
        };
        // What separates must be encoded where it is part of a name.
        if mailbox.contains([';', '?', '#']) {
            return None;
        }
        if !mailbox.is_empty() {
            self.mailbox = Some(MailboxName::new(&decode(mailbox)?).ok()?);
        }
        for field in fields.split('/').filter(|_| !fields.is_empty()) {
            if let Some(uid) = strip_prefix(field, ";UID=") {
                self.uid = Some(number(uid)?);
            } else if let Some(section) = strip_prefix(field, ";SECTION=") {
                self.section = Some(url_section(&decode(section)?)?);
            } else if let Some(partial) = strip_prefix(field, ";PARTIAL=") {
                self.partial = Some(partial_range(partial)?);
            } else {
                return None;
            }
        }
        let part = self.section.is_some() || self.partial.is_some();
        (!part || self.uid.is_some()).then_some(())
    }
}

impl UrlServer {
    /// ```text
    /// iserver   = [iuserinfo "@"] host [":" port]
    /// iuserinfo = enc-user [iauth] / [enc-user] iauth
    /// ```
    fn parse(text: &str) -> Option<UrlServer> {
        let (info, host) = match text.rsplit_once('@') {
            Some((info, host)) => (Some(info), host),
            None => (None, text),
        };
        // A literal of IPv6 has colons of its own.
        let (host, port) = match host.rsplit_once(':') {
            Some((before, port)) if !port.contains(']') => (before, Some(port)),
            _ => (host, None),
        };
        if host.is_empty() {
            return None;
        }
        let (user, mechanism) = match info {
            None => (None, None),
            Some(info) => match find(info, ";AUTH=") {
                Some(at) => {
                    let (user, mechanism) = info.split_at(at);
                    (Some(user), Some(mechanism.get(";AUTH=".len()..)?))
                }
                None => (Some(info), None),
            },
        };
        Some(UrlServer {
            user: match user.filter(|user| !user.is_empty()) {
                Some(user) => Some(decode(user)?),
                None => None,
            },
            mechanism: match mechanism {
                Some(mechanism) => Some(decode(mechanism)?),
                None => None,
            },
            host: decode(host)?,
            port: match port {
                Some(port) => Some(port.parse().ok()?),
                None => None,
            },
        })
    }
}

impl UrlAuth {
    /// ```text
    /// access [":" uauth-mechanism ":" enc-urlauth]
    /// ```
    fn parse(text: &str) -> Option<UrlAuth> {
        let mut parts = text.split(':');
        let access = decode(parts.next()?)?;
        let token = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(mechanism), Some(token), None)
                if token.len() >= 32 && token.bytes().all(|octet| octet.is_ascii_hexdigit()) =>
            {
                Some((mechanism.to_ascii_uppercase(), token.to_ascii_lowercase()))
            }
            _ => return None,
        };
        (!access.is_empty()).then_some(UrlAuth { access, token })
    }
}

/// ```text
/// partial-range = number ["." nz-number]
/// ```
fn partial_range(text: &str) -> Option<Partial> {
    let (offset, count) = match text.split_once('.') {
        Some((offset, count)) => (offset, number64(count).filter(|count| *count > 0)?),
        None => (text, i64::MAX.unsigned_abs()),
    };
    Some(Partial {
        offset: number64(offset)?,
        count,
    })
}

fn number64(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && *number <= i64::MAX.unsigned_abs())
}

fn number(text: &str) -> Option<u32> {
    u32::try_from(number64(text)?).ok().filter(|n| *n > 0)
}

fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Where a word first stands, in any case. The text is ASCII.
fn find(text: &str, word: &str) -> Option<usize> {
    text.as_bytes()
        .windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Undoes percent-encoding; what comes out is UTF-8 without controls.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
}

/// Encodes what may not stand in a URL as it is (`enc-mailbox`, `enc-user`).
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        let plain = octet.is_ascii_alphanumeric() || b"-._~!$'()*+,&=@/".contains(&octet);
        if plain {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SectionText;

    #[test]
    fn urls_of_messages_and_parts() {
        let url = ImapUrl::parse("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME").unwrap();
        assert_eq!(url.server, None);
        assert_eq!(url.mailbox.unwrap().as_str(), "Drafts");
        assert_eq!((url.uid_validity, url.uid), (Some(385_759_045), Some(20)));
        let section = url.section.unwrap();
        assert_eq!(
            (section.part, section.text),
            (vec![1], Some(SectionText::Mime))
        );
        let url = ImapUrl::parse(
            "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
        )
        .unwrap();
        assert_eq!(url.server.unwrap().host, "minbari.example.org");
        assert_eq!(
            url.partial,
            Some(Partial {
                offset: 0,
                count: 1024
            })
        );
        let url = ImapUrl::parse(
            "imap://bester:secret;AUTH=PLAIN@psicorp.example.org:1143/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/;UID=7",
        )
        .unwrap();
        let server = url.server.unwrap();
        assert_eq!(
            (server.port, server.mechanism.as_deref()),
            (Some(1143), Some("PLAIN"))
        );
        assert_eq!(
            url.mailbox.unwrap().as_str(),
            "~peter/\u{65e5}\u{672c}\u{8a9e}"
        );
        let url = ImapUrl::parse(";UID=20/;SECTION=HEADER.FIELDS%20(Subject%20To)").unwrap();
        assert_eq!((url.mailbox, url.uid), (None, Some(20)));
        let url = ImapUrl::parse(
            "imap://joe@example.com/INBOX/;uid=20/;section=1.2;expire=2005-12-31T23:59:59Z;urlauth=submit+fred:internal:91354a473744909de610943775f92038",
        )
        .unwrap();
        let auth = url.auth.unwrap();
        assert_eq!(auth.access, "submit+fred");
        assert_eq!(auth.token.unwrap().0, "INTERNAL");
        assert_eq!(url.expire.as_deref(), Some("2005-12-31T23:59:59Z"));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "/INBOX/;UID=0",
            "/INBOX/;UID=99999999999",
            "/INBOX/;SECTION=1",
            "/INBOX/;UID=1/;SECTION=0",
            "/INBOX/;UID=1/;SECTION=1.",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1/;NONSENSE=1",
            "/IN%0ABOX/;UID=1",
            "/IN%ZZ/;UID=1",
            "/IN%C3/;UID=1",
            "imap:///INBOX",
            "imap://host:99999/INBOX",
            "/a b/;UID=1",
            "/INBOX/;UID=1;EXPIRE=2005-12-31T23:59:59Z",
            "/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:zz",
        ] {
            assert_eq!(ImapUrl::parse(text), None, "{text}");
        }
        assert_eq!(ImapUrl::parse(&"a".repeat(LIMIT + 1)), None);
    }

    #[test]
    fn names_are_encoded_so_that_they_come_back() {
        for name in ["INBOX", "a b;c/%d", "Entw\u{fc}rfe"] {
            let url = format!("/{}/;UID=1", encode(name));
            assert_eq!(
                ImapUrl::parse(&url).unwrap().mailbox.unwrap().as_str(),
                name
            );
        }
    }
}
