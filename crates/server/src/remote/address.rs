//! URLs of accounts elsewhere: `imap://user@host:port/mailbox` and its like.

use super::Error;

/// What is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

/// An account elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What is spoken there.
    pub protocol: Protocol,
    /// TLS from the first octet.
    pub tls: bool,
    /// Who logs in.
    pub user: String,
    /// Where.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// This mailbox and those below it alone; its name as here, with `/` between levels.
    pub mailbox: Option<String>,
}

const SCHEMES: [(&str, Protocol, bool, u16); 4] = [
    ("imap", Protocol::Imap, false, 143),
    ("imaps", Protocol::Imap, true, 993),
    ("pop3", Protocol::Pop3, false, 110),
    ("pop3s", Protocol::Pop3, true, 995),
];

impl Address {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.contains("://")
    }

    /// ```text
    /// scheme "://" user "@" host [":" port] ["/" [mailbox]]
    /// ```
    /// User and mailbox may be percent-encoded. A user may hold `@`; the last one stands before the host.
    pub fn parse(text: &str) -> Result<Address, Error> {
        let wrong = |why: &str| Error::Address(format!("{}: {why}", super::shown(text)));
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("`://` is missing"))?;
        let (_, protocol, tls, usual) = SCHEMES
            .into_iter()
            .find(|(name, ..)| name.eq_ignore_ascii_case(scheme))
            .ok_or_else(|| wrong("known are imap://, imaps://, pop3:// and pop3s://"))?;
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = server
            .rsplit_once('@')
            .ok_or_else(|| wrong("a user is missing: user@host"))?;
        // RFC 3986 §3.2.1 deprecates it: command lines and URLs are seen by others.
        if user.contains(':') {
            // Not repeated: what is said here is seen and logged.
            return Err(Error::Address(
                "a password has no place in a URL; use --password-file, or type it when asked"
                    .to_owned(),
            ));
        }
        let user = decode(user).filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| wrong("the user is none"))?;
        let (host, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("`]` is missing"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match host.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            },
        };
        let port = match port {
            None => usual,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| wrong("the port is none"))?,
        };
        let usable = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(usable) {
            return Err(wrong("the host is none"));
        }
        let mailbox =
            decode(path.trim_end_matches('/')).ok_or_else(|| wrong("the mailbox is none"))?;
        if protocol == Protocol::Pop3 && !mailbox.is_empty() {
            return Err(wrong("POP3 has no mailboxes"));
        }
        Ok(Address {
            protocol,
            tls,
            user,
            host: host.to_ascii_lowercase(),
            port,
            mailbox: Some(mailbox).filter(|mailbox| !mailbox.is_empty()),
        })
    }

    /// Names the account elsewhere, however it is reached: what was brought once is known over TLS as well as without.
    pub fn source(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
        };
        let usual = SCHEMES.iter().any(|(_, _, _, port)| *port == self.port);
        let (user, host) = (&self.user, &self.host);
        match usual {
            true => format!("{protocol}://{user}@{host}"),
            false => format!("{protocol}://{user}@{host}:{}", self.port),
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |text| Address::parse(text).unwrap();
        let address = read("imaps://bj%C3%B6rn@Mail.Example.org");
        assert_eq!((address.user.as_str(), address.port), ("bj\u{f6}rn", 993));
        assert_eq!(
            (address.host.as_str(), address.tls),
            ("mail.example.org", true)
        );
        let address = read("imap://a@b.example@[::1]:1143/Work/2020%20x/");
        assert_eq!((address.user.as_str(), address.port), ("a@b.example", 1143));
        assert_eq!(address.host, "::1");
        assert_eq!(address.mailbox.as_deref(), Some("Work/2020 x"));
        assert_eq!(read("pop3://u@h/").mailbox, None);
        assert_eq!(read("POP3S://u@h").port, 995);
        assert_eq!(read("imap://u@h").source(), read("imaps://u@h/x").source());
        assert_ne!(read("imap://u@h:1").source(), read("imap://u@h:2").source());
    }

    #[test]
    fn what_is_none() {
        for (text, why) in [
            ("http://u@h", "known are"),
            ("imap://h", "user is missing"),
            ("imap://u:secret@h", "password has no place"),
            ("imap://u@h:0", "port"),
            ("imap://u@h:x", "port"),
            ("imap://u@", "host"),
            ("imap://u@h h", "host"),
            ("imap://@h", "user"),
            ("imap://u%0a@h", "user"),
            ("imap://u@[::1", "]"),
            ("imap://u@h/%zz", "mailbox"),
            ("pop3://u@h/INBOX", "POP3"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
