//! GENURLAUTH, RESETKEY, URLFETCH, and the responses to them.

use super::{Parsed, Parser, too_many};
use crate::{
    Command, Untagged, UrlAuthCommand, UrlAuthData, UrlDatum, UrlFetch, UrlItem, UrlValue,
};

/// URLs in one command: each takes a lookup and a read.
const URLS: usize = 100;

impl Parser<'_> {
    /// ```text
    /// genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism) ; RFC 4467 §9
    /// ```
    pub(super) fn genurlauth(&mut self) -> Parsed<Command> {
        let mut urls = Vec::new();
        loop {
            self.sp()?;
            let url = self.astring_text("a URL")?;
            self.sp()?;
            urls.push((url, self.mechanism()?));
            if self.cursor.is_empty() {
                return Ok(Command::UrlAuth(UrlAuthCommand::Generate(urls)));
            }
            if urls.len() == URLS {
                return Err(too_many("GENURLAUTH has too many URLs"));
            }
        }
    }

    /// ```text
    /// resetkey = "RESETKEY" [SP mailbox *(SP mechanism)]
    /// ```
    pub(super) fn resetkey(&mut self) -> Parsed<Command> {
        if self.cursor.is_empty() {
            return Ok(Command::UrlAuth(UrlAuthCommand::Reset(None)));
        }
        let mailbox = self.sp_mailbox()?;
        let mut mechanisms = Vec::new();
        while self.cursor.eat(b' ') {
            mechanisms.push(self.mechanism()?);
            if mechanisms.len() == URLS {
                return Err(too_many("RESETKEY has too many mechanisms"));
            }
        }
        Ok(Command::UrlAuth(UrlAuthCommand::Reset(Some((
            mailbox, mechanisms,
        )))))
    }

    /// ```text
    /// urlfetch      = "URLFETCH" 1*(SP url-fetch-arg) ; RFC 5524 §5
    /// url-fetch-arg = url-full / "(" url-full *(SP url-fetch-param) ")"
    /// ```
    pub(super) fn urlfetch(&mut self) -> Parsed<Command> {
        let mut urls = Vec::new();
        loop {
            self.sp()?;
            let extended = self.cursor.eat(b'(');
            let url = self.astring_text("a URL")?;
            let items = if extended {
                self.url_items()?
            } else {
                Vec::new()
            };
            urls.push(UrlFetch { url, items });
            if self.cursor.is_empty() {
                return Ok(Command::UrlAuth(UrlAuthCommand::Fetch(urls)));
            }
            if urls.len() == URLS {
                return Err(too_many("URLFETCH has too many URLs"));
            }
        }
    }

    /// ```text
    /// url-fetch-param = "BODY" / "BINARY" / "BODYPARTSTRUCTURE" / atom
    /// ```
    fn url_items(&mut self) -> Parsed<Vec<UrlItem>> {
        let mut items = Vec::new();
        while !self.cursor.eat(b')') {
            let wrong = self.wrong("BODYPARTSTRUCTURE, BINARY or BODY");
            self.sp()?;
            let word = self.word("BODYPARTSTRUCTURE, BINARY or BODY")?;
            let known = UrlItem::NAMES.iter().find(|(name, _)| *name == word);
            let Some((_, item)) = known.filter(|(_, item)| !items.contains(item)) else {
                return Err(wrong);
            };
            items.push(*item);
            // RFC 5524 §3.1: the octets are wanted in one way only.
            if items.contains(&UrlItem::Binary) && items.contains(&UrlItem::Body) {
                return Err(wrong);
            }
        }
        Ok(items)
    }

    /// ```text
    /// mechanism = "INTERNAL" / 1*(ALPHA / DIGIT / "-" / ".")
    /// ```
    fn mechanism(&mut self) -> Parsed<String> {
        self.word("a mechanism")
    }

    /// ```text
    /// genurlauth-data = "GENURLAUTH" 1*(SP url-full)
    /// ```
    pub(super) fn genurlauth_data(&mut self) -> Parsed<Untagged> {
        let mut urls = Vec::new();
        while self.cursor.eat(b' ') {
            urls.push(self.astring_text("a URL")?);
        }
        Ok(Untagged::UrlAuth(UrlAuthData::Generated(urls)))
    }

    /// ```text
    /// urlfetch-data  = "URLFETCH" 1*(SP (urldata-simple / urldata-ext)) ; RFC 5524 §5
    /// urldata-simple = url-full SP nstring
    /// urldata-ext    = url-full 1*(SP "(" url-metadata-el ")")
    /// ```
    pub(super) fn urlfetch_data(&mut self) -> Parsed<Untagged> {
        let mut urls = Vec::new();
        while self.cursor.eat(b' ') {
            let url = self.astring_text("a URL")?;
            self.sp()?;
            let value = match self.cursor.peek() {
                Some(b'(') => UrlValue::Items(self.url_data()?),
                _ => UrlValue::Plain(self.nstring()?),
            };
            urls.push((url, value));
        }
        Ok(Untagged::UrlAuth(UrlAuthData::Fetched(urls)))
    }

    /// ```text
    /// url-metadata-el = "BODYPARTSTRUCTURE" SP body / "BINARY" SP (nstring / literal8) / "BODY" SP nstring
    /// ```
    fn url_data(&mut self) -> Parsed<Vec<UrlDatum>> {
        let mut data = Vec::new();
        loop {
            self.cursor.expect(b'(', "an opening parenthesis")?;
            let wrong = self.wrong("BODYPARTSTRUCTURE, BINARY or BODY");
            let word = self.word("BODYPARTSTRUCTURE, BINARY or BODY")?;
            self.sp()?;
            data.push(match word.as_str() {
                "BODYPARTSTRUCTURE" => UrlDatum::BodyPartStructure(self.value()?),
                "BINARY" => UrlDatum::Binary(self.nstring()?),
                "BODY" => UrlDatum::Body(self.nstring()?),
                _ => return Err(wrong),
            });
            self.cursor.expect(b')', "a closing parenthesis")?;
            if !self.cursor.rest().starts_with(b" (") {
                return Ok(data);
            }
            self.cursor.eat(b' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong_at};
    use super::*;

    fn fetch(text: &str) -> Vec<UrlFetch> {
        match parse(text) {
            Ok(Command::UrlAuth(UrlAuthCommand::Fetch(urls))) => urls,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_asked_of_urls() {
        use UrlItem::*;
        let asked = |url: &str, items: &[UrlItem]| UrlFetch {
            url: url.to_owned(),
            items: items.to_vec(),
        };
        assert_eq!(
            fetch("URLFETCH imap:x (imap:y) (\"imap:z\" BodyPartStructure BINARY) (imap:w BODY)"),
            [
                asked("imap:x", &[]),
                asked("imap:y", &[]),
                asked("imap:z", &[BodyPartStructure, Binary]),
                asked("imap:w", &[Body]),
            ]
        );
        for text in [
            "URLFETCH (x BINARY BODY)",
            "URLFETCH (x BODY BINARY)",
            "URLFETCH (x BINARY BINARY)",
            "URLFETCH (x CONVERT)",
            "URLFETCH (x BINARY",
            "URLFETCH ()",
            "URLFETCH (x )",
            "URLFETCH ((x BINARY))",
        ] {
            wrong_at(text);
        }
    }
}
