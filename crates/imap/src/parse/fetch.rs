//! FETCH.

use super::base::number64;
use super::{Parsed, Parser, Stop, too_many};
use crate::{Command, FetchAttribute, FetchModifiers, Partial, Reply, Section, SectionText};

/// Numbers in a section part: messages nest at most 100 deep before the rest is one opaque part.
const PART_DEPTH: usize = 100;

impl Parser<'_> {
    /// ```text
    /// fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
    ///         [fetch-modifiers] ; RFC 4466 §2.4
    /// ```
    pub(super) fn fetch(&mut self, uid: bool) -> Parsed<Command> {
        self.sp()?;
        let set = self.sequence_set()?;
        self.sp()?;
        let mut attributes = Vec::new();
        if uid {
            // RFC 9051 §6.4.9: responses to UID FETCH carry the UID, asked for or not.
            attributes.push(FetchAttribute::Uid);
        }
        if self.cursor.eat(b'(') {
            self.fetch_list_into(&mut attributes)?;
        } else if let Some(macro_) = self.fetch_macro() {
            attributes.extend_from_slice(macro_);
        } else {
            let attribute = self.fetch_att()?;
            self.add_attribute(&mut attributes, attribute)?;
        }
        let modifiers = if self.cursor.eat(b' ') {
            self.fetch_modifiers(uid)?
        } else {
            FetchModifiers::default()
        };
        if modifiers.changed_since.is_some() {
            // RFC 7162 §3.1.4.1: CHANGEDSINCE asks for MODSEQ as well.
            self.add_attribute(&mut attributes, FetchAttribute::ModSeq)?;
        }
        Ok(Command::Fetch {
            uid,
            set,
            attributes,
            modifiers,
        })
    }

    /// ```text
    /// fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"
    /// fetch-modifier  = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED" / "PARTIAL" SP partial-range
    /// ```
    fn fetch_modifiers(&mut self, uid: bool) -> Parsed<FetchModifiers> {
        let mut modifiers = FetchModifiers::default();
        self.open()?;
        loop {
            let error = self.wrong("CHANGEDSINCE, VANISHED or PARTIAL, each once");
            match self.word("a modifier")?.as_str() {
                "CHANGEDSINCE" if modifiers.changed_since.is_none() => {
                    self.sp()?;
                    modifiers.changed_since = Some(self.mod_sequence()?);
                }
                "VANISHED" if !modifiers.vanished => modifiers.vanished = true,
                "PARTIAL" if modifiers.partial.is_none() => {
                    self.sp()?;
                    modifiers.partial = Some(self.partial_range()?);
                }
                _ => return Err(error),
            }
            if self.list_ends()? {
                break;
            }
        }
        // RFC 7162 §3.2.6, RFC 9394 §3.3
        let refused = if modifiers.vanished && !(uid && self.context.enabled.qresync) {
            "VANISHED is of UID FETCH, after ENABLE QRESYNC"
        } else if modifiers.vanished && modifiers.changed_since.is_none() {
            "VANISHED needs CHANGEDSINCE"
        } else if modifiers.partial.is_some() && !uid {
            "PARTIAL is of UID FETCH"
        } else {
            return Ok(modifiers);
        };
        Err(Stop::Refused(Reply::bad(refused)))
    }

    /// The attributes a macro stands for (RFC 9051 §6.4.5).
    fn fetch_macro(&mut self) -> Option<&'static [FetchAttribute]> {
        use FetchAttribute::{Body, Envelope, Flags, InternalDate, Rfc822Size};
        let start = self.cursor;
        let found: Option<&'static [FetchAttribute]> = match self.word("").ok()?.as_str() {
            "ALL" => Some(&[Flags, InternalDate, Rfc822Size, Envelope]),
            "FAST" => Some(&[Flags, InternalDate, Rfc822Size]),
            "FULL" => Some(&[Flags, InternalDate, Rfc822Size, Envelope, Body]),
            _ => None,
        };
        if found.is_none() {
            self.cursor = start;
        }
        found
    }

    /// Attributes behind an opening parenthesis, and the closing one.
    pub(super) fn fetch_list(&mut self) -> Parsed<Vec<FetchAttribute>> {
        let mut attributes = Vec::new();
        self.fetch_list_into(&mut attributes)?;
        Ok(attributes)
    }

    fn fetch_list_into(&mut self, attributes: &mut Vec<FetchAttribute>) -> Parsed<()> {
        loop {
            let attribute = self.fetch_att()?;
            self.add_attribute(attributes, attribute)?;
            if self.list_ends()? {
                return Ok(());
            }
        }
    }

    /// Adds an attribute that is not there yet: asking twice does not get it twice.
    fn add_attribute(
        &self,
        attributes: &mut Vec<FetchAttribute>,
        attribute: FetchAttribute,
    ) -> Parsed<()> {
        if attributes.contains(&attribute) {
            return Ok(());
        }
        if attributes.len() >= self.context.limits.items {
            return Err(too_many("FETCH names too many items"));
        }
        attributes.push(attribute);
        Ok(())
    }

    /// ```text
    /// fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822.SIZE" / "BODY" ["STRUCTURE"] / "UID" /
    ///             "BODY" section [partial] / "BODY.PEEK" section [partial] /
    ///             "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
    /// fetch-att =/ "RFC822" [".HEADER" / ".TEXT"] ; RFC 3501 §9
    /// fetch-att =/ "ANNOTATION" SP "(" entries SP attribs ")" ; RFC 5257 §5
    /// ```
    fn fetch_att(&mut self) -> Parsed<FetchAttribute> {
        let error = self.wrong("an item to fetch");
        let name = self.word("an item to fetch")?;
        let section = self.cursor.peek() == Some(b'[');
        Ok(match (name.as_str(), section) {
            ("UID", false) => FetchAttribute::Uid,
            ("FLAGS", false) => FetchAttribute::Flags,
            ("INTERNALDATE", false) => FetchAttribute::InternalDate,
            ("RFC822.SIZE", false) => FetchAttribute::Rfc822Size,
            ("ENVELOPE", false) => FetchAttribute::Envelope,
            ("BODY", false) => FetchAttribute::Body,
            ("BODYSTRUCTURE", false) => FetchAttribute::BodyStructure,
            ("RFC822", false) => FetchAttribute::Rfc822,
            ("RFC822.HEADER", false) => FetchAttribute::Rfc822Header,
            ("RFC822.TEXT", false) => FetchAttribute::Rfc822Text,
            ("MODSEQ", false) => FetchAttribute::ModSeq,
            ("SAVEDATE", false) => FetchAttribute::SaveDate,
            ("PREVIEW", false) => FetchAttribute::Preview {
                lazy: self.preview_lazy()?,
            },
            ("ANNOTATION", false) => FetchAttribute::Annotation(self.fetch_annotation()?),
            ("EMAILID", false) => FetchAttribute::EmailId,
            ("THREADID", false) => FetchAttribute::ThreadId,
            ("X-GM-MSGID", false) => FetchAttribute::GmailMessageId,
            ("X-GM-THRID", false) => FetchAttribute::GmailThreadId,
            ("X-GM-LABELS", false) => FetchAttribute::GmailLabels,
            ("BODY" | "BODY.PEEK", true) => FetchAttribute::BodySection {
                section: self.section()?,
                partial: self.partial()?,
                peek: name == "BODY.PEEK",
            },
            ("BINARY" | "BINARY.PEEK", true) => FetchAttribute::Binary {
                part: self.section_binary()?,
                partial: self.partial()?,
                peek: name == "BINARY.PEEK",
            },
            ("BINARY.SIZE", true) => FetchAttribute::BinarySize {
                part: self.section_binary()?,
            },
            _ => return Err(error),
        })
    }

    /// ```text
    /// fetch-att        =/ "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"] ; RFC 8970 §6
    /// preview-mod      = "LAZY"
    /// ```
    fn preview_lazy(&mut self) -> Parsed<bool> {
        let before = self.cursor;
        if !(self.cursor.eat(b' ') && self.cursor.eat(b'(')) {
            self.cursor = before;
            return Ok(false);
        }
        // A single attribute without parentheses may be followed by the modifiers of FETCH.
        if !self.cursor.eat_ignore_case(b"LAZY") {
            self.cursor = before;
            return Ok(false);
        }
        self.cursor.expect(b')', "a closing parenthesis")?;
        Ok(true)
    }

    /// ```text
    /// section      = "[" [section-spec] "]"
    /// section-spec = section-msgtext / (section-part ["." section-text])
    /// ```
    pub(super) fn section(&mut self) -> Parsed<Section> {
        self.cursor.expect(b'[', "a section in brackets")?;
        let mut section = Section::default();
        if self.cursor.eat(b']') {
            return Ok(section);
        }
        if self
            .cursor
            .peek()
            .is_some_and(|octet| octet.is_ascii_digit())
        {
            let ends_with_text = self.section_part(&mut section.part)?;
            if ends_with_text {
                section.text = Some(self.section_text(true)?);
            }
        } else {
            section.text = Some(self.section_text(false)?);
        }
        self.cursor.expect(b']', "a closing bracket")?;
        Ok(section)
    }

    /// ```text
    /// section-binary = "[" [section-part] "]"
    /// ```
    pub(super) fn section_binary(&mut self) -> Parsed<Vec<u32>> {
        self.cursor.expect(b'[', "a part number in brackets")?;
        let mut part = Vec::new();
        if !self.cursor.eat(b']') {
            if self.section_part(&mut part)? {
                return Err(self.wrong("a part number"));
            }
            self.cursor.expect(b']', "a closing bracket")?;
        }
        Ok(part)
    }

    /// Reads the numbers; true if they end with a dot that something other than a number follows.
    ///
    /// ```text
    /// section-part = nz-number *("." nz-number)
    /// ```
    fn section_part(&mut self, part: &mut Vec<u32>) -> Parsed<bool> {
        loop {
            if part.len() == PART_DEPTH {
                return Err(self.wrong("at most 100 part numbers"));
            }
            part.push(self.nz_number("a part number")?);
            if !self.cursor.eat(b'.') {
                return Ok(false);
            }
            if !self
                .cursor
                .peek()
                .is_some_and(|octet| octet.is_ascii_digit())
            {
                return Ok(true);
            }
        }
    }

    /// ```text
    /// section-text    = section-msgtext / "MIME"
    /// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
    /// ```
    fn section_text(&mut self, of_part: bool) -> Parsed<SectionText> {
        let error = self.wrong(
            "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, a part number, or MIME of a part",
        );
        match self.word("a section")?.as_str() {
            "HEADER" => Ok(SectionText::Header),
            "HEADER.FIELDS" => Ok(SectionText::HeaderFields {
                names: self.header_list()?,
                not: false,
            }),
            "HEADER.FIELDS.NOT" => Ok(SectionText::HeaderFields {
                names: self.header_list()?,
                not: true,
            }),
            "TEXT" => Ok(SectionText::Text),
            "MIME" if of_part => Ok(SectionText::Mime),
            _ => Err(error),
        }
    }

    /// ```text
    /// SP header-list
    /// header-list = "(" header-fld-name *(SP header-fld-name) ")"
    /// ```
    fn header_list(&mut self) -> Parsed<Vec<String>> {
        self.sp()?;
        self.open()?;
        let mut names = Vec::new();
        loop {
            let name = self.astring_text("a header field name")?;
            if names.len() >= self.context.limits.items {
                return Err(too_many("FETCH names too many header fields"));
            }
            names.push(name);
            if self.list_ends()? {
                return Ok(names);
            }
        }
    }

    /// ```text
    /// partial = "<" number64 "." nz-number64 ">"
    /// ```
    fn partial(&mut self) -> Parsed<Option<Partial>> {
        if !self.cursor.eat(b'<') {
            return Ok(None);
        }
        let offset = number64(&mut self.cursor, "the first octet")?;
        self.cursor.expect(b'.', "a dot and the number of octets")?;
        let error = self.wrong("a number of octets above 0");
        let count = number64(&mut self.cursor, "a number of octets above 0")?;
        if count == 0 {
            return Err(error);
        }
        self.cursor.expect(b'>', "a closing angle bracket")?;
        Ok(Some(Partial { offset, count }))
    }
}
