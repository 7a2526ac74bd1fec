//! GETMETADATA, SETMETADATA, and the response to them.

use super::base::number64;
use super::{Parsed, Parser, too_many};
use crate::{Code, Command, MetadataCommand, MetadataData, MetadataDepth, Untagged};

/// Entries in one command.
const ENTRIES: usize = 200;

impl Parser<'_> {
    /// The options stand before the mailbox in the grammar and behind it in the examples; both are taken.
    ///
    /// ```text
    /// getmetadata         = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries ; RFC 5464 §5
    /// getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"
    /// entries             = entry / "(" entry *(SP entry) ")"
    /// ```
    pub(super) fn getmetadata(&mut self) -> Parsed<Command> {
        self.sp()?;
        let mut options = (None, MetadataDepth::Zero);
        if self.cursor.eat(b'(') {
            options = self.metadata_options()?;
            self.sp()?;
        }
        let mailbox = self.mailbox()?;
        self.sp()?;
        let entries = if self.cursor.eat(b'(') {
            if self
                .cursor
                .peek()
                .is_some_and(|octet| octet.is_ascii_alphabetic())
            {
                options = self.metadata_options()?;
                self.sp()?;
                self.metadata_entries()?
            } else {
                self.entry_list()?
            }
        } else {
            vec![self.entry()?]
        };
        let (max_size, depth) = options;
        Ok(Command::Metadata(MetadataCommand::Get {
            mailbox,
            max_size,
            depth,
            entries,
        }))
    }

    /// Behind the opening parenthesis.
    ///
    /// ```text
    /// getmetadata-option = "MAXSIZE" SP number / "DEPTH" SP ("0" / "1" / "infinity")
    /// ```
    fn metadata_options(&mut self) -> Parsed<(Option<u64>, MetadataDepth)> {
        let (mut max_size, mut depth) = (None, MetadataDepth::Zero);
        loop {
            let error = self.wrong("MAXSIZE or DEPTH");
            match self.word("MAXSIZE or DEPTH")?.as_str() {
                "MAXSIZE" => {
                    self.sp()?;
                    max_size = Some(number64(&mut self.cursor, "a size")?);
                }
                "DEPTH" => {
                    self.sp()?;
                    let error = self.wrong("0, 1 or infinity");
                    depth = match self.word("0, 1 or infinity")?.as_str() {
                        "0" => MetadataDepth::Zero,
                        "1" => MetadataDepth::One,
                        "INFINITY" => MetadataDepth::Infinity,
                        _ => return Err(error),
                    };
                }
                _ => return Err(error),
            }
            if self.list_ends()? {
                return Ok((max_size, depth));
            }
        }
    }

    /// ```text
    /// entries = entry / "(" entry *(SP entry) ")"
    /// ```
    pub(super) fn metadata_entries(&mut self) -> Parsed<Vec<String>> {
        match self.cursor.eat(b'(') {
            true => self.entry_list(),
            false => Ok(vec![self.entry()?]),
        }
    }

    fn entry_list(&mut self) -> Parsed<Vec<String>> {
        let mut entries = Vec::new();
        loop {
            if entries.len() == ENTRIES {
                return Err(too_many("too many entries"));
            }
            let entry = self.entry()?;
            if !entries.contains(&entry) {
                entries.push(entry);
            }
            if self.list_ends()? {
                return Ok(entries);
            }
        }
    }

    /// In lower case, because names do not differ by case.
    ///
    /// ```text
    /// entry = astring ; slash-separated path to entry, no "*" or "%" (RFC 5464 §3.2)
    /// ```
    fn entry(&mut self) -> Parsed<String> {
        let error = self.wrong("the name of an entry");
        let name = self.astring_text("the name of an entry")?;
        let odd = |octet: u8| !matches!(octet, b' '..=b'~') || matches!(octet, b'*' | b'%');
        let name = name.to_ascii_lowercase();
        // RFC 5464 §3.2: no consecutive slashes, none at the end.
        let levels = name
            .strip_prefix('/')
            .map(|rest| rest.split('/').any(str::is_empty));
        if name.bytes().any(odd) || levels != Some(false) {
            return Err(error);
        }
        Ok(name)
    }

    /// ```text
    /// setmetadata  = "SETMETADATA" SP mailbox SP entry-values
    /// entry-values = "(" entry-value *(SP entry-value) ")"
    /// entry-value  = entry SP value
    /// ```
    pub(super) fn setmetadata(&mut self) -> Parsed<Command> {
        let mailbox = self.sp_mailbox()?;
        self.sp()?;
        self.open()?;
        let mut entries: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        loop {
            if entries.len() == ENTRIES {
                return Err(too_many("too many entries"));
            }
            let entry = self.entry()?;
            self.sp()?;
            entries.push((entry, self.metadata_value()?));
            if self.list_ends()? {
                break;
            }
        }
        Ok(Command::Metadata(MetadataCommand::Set { mailbox, entries }))
    }

    /// ```text
    /// value = nstring / literal8
    /// ```
    pub(super) fn metadata_value(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.cursor.peek() == Some(b'~')
            && let Some(octets) = self.any_literal()?
        {
            return Ok(Some(octets.to_vec()));
        }
        let error = self.wrong("a string or NIL");
        if let Some(text) = self.string()? {
            return Ok(Some(text.into_owned()));
        }
        match self.cursor.eat_ignore_case(b"NIL") {
            true => Ok(None),
            false => Err(error),
        }
    }

    /// ```text
    /// metadata-resp = "METADATA" SP mailbox SP (entry-values / entry-list)
    /// ```
    pub(super) fn metadata_data(&mut self) -> Parsed<Untagged> {
        let mailbox = self.sp_mailbox()?;
        self.sp()?;
        if !self.cursor.eat(b'(') {
            let mut entries = vec![self.entry()?];
            while self.cursor.eat(b' ') {
                entries.push(self.entry()?);
            }
            return Ok(Untagged::Metadata(MetadataData::Changed {
                mailbox,
                entries,
            }));
        }
        let mut entries = Vec::new();
        loop {
            let entry = self.entry()?;
            self.sp()?;
            entries.push((entry, self.metadata_value()?));
            if self.list_ends()? {
                return Ok(Untagged::Metadata(MetadataData::Values {
                    mailbox,
                    entries,
                }));
            }
        }
    }

    /// ```text
    /// resp-text-code =/ "METADATA" SP ("LONGENTRIES" SP number / "MAXSIZE" SP number / "TOOMANY" / "NOPRIVATE")
    /// ```
    pub(super) fn metadata_code(&mut self) -> Parsed<Code> {
        self.sp()?;
        let error = self.wrong("LONGENTRIES, MAXSIZE, TOOMANY or NOPRIVATE");
        let word = self.word("a kind of METADATA")?;
        Ok(match word.as_str() {
            "TOOMANY" => Code::MetadataTooMany,
            "NOPRIVATE" => Code::MetadataNoPrivate,
            "LONGENTRIES" => {
                self.sp()?;
                Code::MetadataLongEntries(number64(&mut self.cursor, "a size")?)
            }
            "MAXSIZE" => {
                self.sp()?;
                Code::MetadataMaxSize(number64(&mut self.cursor, "a size")?)
            }
            _ => return Err(error),
        })
    }
}
