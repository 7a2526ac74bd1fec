//! GENURLAUTH, RESETKEY, URLFETCH, and the responses to them.

use super::{Parsed, Parser, too_many};
use crate::{Command, Untagged, UrlAuthCommand, UrlAuthData};

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
    /// urlfetch = "URLFETCH" 1*(SP url-full)
    /// ```
    pub(super) fn urlfetch(&mut self) -> Parsed<Command> {
        let mut urls = Vec::new();
        loop {
            self.sp()?;
            urls.push(self.astring_text("a URL")?);
            if self.cursor.is_empty() {
                return Ok(Command::UrlAuth(UrlAuthCommand::Fetch(urls)));
            }
            if urls.len() == URLS {
                return Err(too_many("URLFETCH has too many URLs"));
            }
        }
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
    /// urlfetch-data = "URLFETCH" 1*(SP url-full SP nstring)
    /// ```
    pub(super) fn urlfetch_data(&mut self) -> Parsed<Untagged> {
        let mut urls = Vec::new();
        while self.cursor.eat(b' ') {
            let url = self.astring_text("a URL")?;
            self.sp()?;
            let wrong = self.wrong("a string or NIL");
            let octets = match self.any_literal()? {
                Some(octets) => Some(octets.to_vec()),
                None => match self.string()? {
                    Some(text) => Some(text.into_owned()),
                    None if self.cursor.eat_ignore_case(b"NIL") => None,
                    None => return Err(wrong),
                },
            };
            urls.push((url, octets));
        }
        Ok(Untagged::UrlAuth(UrlAuthData::Fetched(urls)))
    }
}
