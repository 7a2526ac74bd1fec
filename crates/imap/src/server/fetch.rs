//! The FETCH response, written item by item straight into the output.

use super::Session;
use crate::{Body, DateTime, Flag, Partial, Section};

/// An untagged FETCH response in the making; [`Fetch::end`] closes it.
#[derive(Debug)]
#[must_use = "a FETCH response is complete only after end()"]
pub struct Fetch<'a> {
    session: &'a mut Session,
    first: bool,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(session: &'a mut Session, seq: u32) -> Fetch<'a> {
        let _ = seq;
        Fetch {
            session,
            first: true,
        }
    }

    /// `UID`
    pub fn uid(&mut self, uid: u32) -> &mut Self {
        let _ = uid;
        self
    }

    /// `FLAGS`
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f Flag>) -> &mut Self {
        let _ = flags;
        self
    }

    /// `INTERNALDATE`
    pub fn internal_date(&mut self, date: DateTime) -> &mut Self {
        let _ = date;
        self
    }

    /// `RFC822.SIZE`
    pub fn size(&mut self, octets: u64) -> &mut Self {
        let _ = octets;
        self
    }

    /// `ENVELOPE`, with its value ready to send.
    pub fn envelope(&mut self, value: &[u8]) -> &mut Self {
        let _ = value;
        self
    }

    /// `BODY` without a section, with its value ready to send.
    pub fn body(&mut self, value: &[u8]) -> &mut Self {
        let _ = value;
        self
    }

    /// `BODYSTRUCTURE`, with its value ready to send.
    pub fn body_structure(&mut self, value: &[u8]) -> &mut Self {
        let _ = value;
        self
    }

    /// `RFC822`
    pub fn rfc822(&mut self, body: Body<'_>) -> &mut Self {
        let _ = body;
        self
    }

    /// `RFC822.HEADER`
    pub fn rfc822_header(&mut self, body: Body<'_>) -> &mut Self {
        let _ = body;
        self
    }

    /// `RFC822.TEXT`
    pub fn rfc822_text(&mut self, body: Body<'_>) -> &mut Self {
        let _ = body;
        self
    }

    /// `BODY[section]<origin>`. The body is what `partial` cut out of the section already; its offset is told.
    pub fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        body: Body<'_>,
    ) -> &mut Self {
        let _ = (section, partial, body);
        self
    }

    /// `BINARY[part]<origin>`, cut already. Sent as a literal8 if it holds NUL.
    pub fn binary(&mut self, part: &[u32], partial: Option<Partial>, body: Body<'_>) -> &mut Self {
        let _ = (part, partial, body);
        self
    }

    /// `BINARY.SIZE[part]`
    pub fn binary_size(&mut self, part: &[u32], octets: u64) -> &mut Self {
        let _ = (part, octets);
        self
    }

    /// Closes the response.
    pub fn end(self) {
        let _ = (self.session, self.first);
    }
}
