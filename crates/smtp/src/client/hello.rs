//! The greeting and EHLO, and what the server can.

use super::{Announced, Capabilities, Error, Event, Expect, Session};
use crate::reply::Reply;

impl Session {
    pub(super) fn greeting(&mut self, reply: Reply) -> Option<Event> {
        if reply.code == 220 {
            self.say_hello();
        } else {
            self.fail(Error::Refused(reply));
        }
        None
    }

    pub(super) fn say_hello(&mut self) {
        let verb = if self.config.lmtp { "LHLO" } else { "EHLO" };
        let line = format!("{verb} {}", self.config.host);
        self.command(&line, Expect::Ehlo);
    }

    pub(super) fn ehlo(&mut self, reply: Reply) -> Option<Event> {
        if reply.code == 250 {
            self.capabilities = Capabilities::parse(&reply.text);
            return Some(Event::Ready(self.capabilities.clone()));
        }
        // RFC 5321 §3.2: a server from before the extensions.
        if reply.is_permanent() && !self.config.lmtp {
            let line = format!("HELO {}", self.config.host);
            self.command(&line, Expect::Helo);
        } else {
            self.fail(Error::Refused(reply));
        }
        None
    }

    pub(super) fn helo(&mut self, reply: Reply) -> Option<Event> {
        if reply.code == 250 {
            return Some(Event::Ready(Capabilities::default()));
        }
        self.fail(Error::Refused(reply));
        None
    }
}

impl Capabilities {
    /// `ehlo-line = ehlo-keyword *( SP ehlo-param )`; the first line is the server's name (RFC 5321 §4.1.1.1).
    fn parse(text: &str) -> Capabilities {
        let mut found = Capabilities::default();
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            found.keywords.push(keyword.clone());
            match keyword.as_str() {
                "STARTTLS" => found.starttls = true,
                "PIPELINING" => found.pipelining = true,
                "CHUNKING" => found.chunking = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "SIZE" => {
                    found.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0))
                }
                "AUTH" => found.mechanisms.extend(words.map(str::to_ascii_uppercase)),
                "BURL" => found.burl = Some(words.map(str::to_ascii_lowercase).collect()),
                "LIMITS" => found.limits = Announced::parse(words),
                _ => {}
            }
        }
        found
    }
}

impl Announced {
    /// `name "=" value` each; a value that is no positive number says nothing (RFC 9422).
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Announced {
        let mut found = Announced::default();
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().ok().filter(|value| *value > 0);
            match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => found.mails = value,
                "RCPTMAX" => found.recipients = value,
                "RCPTDOMAINMAX" => found.domains = value,
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities() {
        let text = "mx.example PIPELINING\nsize 1000\nAUTH plain LOGIN\n8BITMIME\nX-FOO bar\nSTARTTLS\nCHUNKING\nLIMITS rcptmax=100 MAILMAX=0 X=1\nBURL IMAP imap://a.example";
        let expected = Capabilities {
            starttls: true,
            chunking: true,
            eight_bit_mime: true,
            size: Some(1_000),
            mechanisms: vec!["PLAIN".into(), "LOGIN".into()],
            limits: Announced {
                recipients: Some(100),
                ..Announced::default()
            },
            burl: Some(vec!["imap".into(), "imap://a.example".into()]),
            keywords: [
                "SIZE", "AUTH", "8BITMIME", "X-FOO", "STARTTLS", "CHUNKING", "LIMITS", "BURL",
            ]
            .map(String::from)
            .to_vec(),
            ..Capabilities::default()
        };
        assert_eq!(Capabilities::parse(text), expected);
        assert!(expected.has("X-FOO") && !expected.has("MX.EXAMPLE"));
        assert_eq!(Capabilities::parse("x\nSIZE").size, Some(0));
        assert_eq!(Capabilities::parse("x\nSIZE big").size, Some(0));
    }
}
