//! Rules that many commands share: tags, atoms, strings, literals, numbers.

use std::borrow::Cow;

use wire::cursor::{Cursor, Error};

use super::{Literal, Parsed, Parser, Stop};

/// ```text
/// ATOM-CHAR     = <any CHAR except atom-specials>
/// atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
/// ```
pub(crate) fn is_atom_char(octet: u8) -> bool {
    is_list_char(octet) && !matches!(octet, b'%' | b'*' | b']')
}

/// ```text
/// ASTRING-CHAR = ATOM-CHAR / resp-specials
/// ```
pub(crate) fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']'
}

/// ```text
/// list-char = ATOM-CHAR / list-wildcards / resp-specials
/// ```
pub(crate) fn is_list_char(octet: u8) -> bool {
    matches!(octet, 0x21..=0x7e) && !matches!(octet, b'(' | b')' | b'{' | b'"' | b'\\')
}

/// Takes the announcement of a literal up to its brace; `None` if there is none here. Nothing behind it is looked at.
///
/// ```text
/// literal  = "{" number64 ["+"] "}" CRLF *CHAR8
/// literal8 = "~{" number64 ["+"] "}" CRLF *OCTET
/// ```
pub(crate) fn literal_head(cursor: &mut Cursor<'_>) -> Result<Option<Literal>, Error> {
    let start = *cursor;
    let binary = cursor.eat(b'~');
    if !cursor.eat(b'{') {
        *cursor = start;
        return Ok(None);
    }
    let size = number64(cursor, "the size of a literal")?;
    let synchronizing = !cursor.eat(b'+');
    cursor.expect(b'}', "} behind the size of a literal")?;
    Ok(Some(Literal {
        size,
        synchronizing,
        binary,
    }))
}

/// ```text
/// number64 = 1*DIGIT ; Unsigned 63-bit integer
/// ```
pub(crate) fn number64(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<u64, Error> {
    let error = cursor.error(expected);
    let number = cursor.number(expected)?;
    if number > i64::MAX.unsigned_abs() {
        Err(error)
    } else {
        Ok(number)
    }
}

impl<'a> Parser<'a> {
    /// ```text
    /// tag = 1*<any ASTRING-CHAR except "+">
    /// ```
    pub(super) fn tag(&mut self) -> Parsed<&'a str> {
        let error = self.wrong("a tag");
        let tag = self
            .cursor
            .take_while(|octet| is_astring_char(octet) && octet != b'+');
        // A tag is repeated in the reply; nobody needs more than this.
        if tag.is_empty() || tag.len() > 64 {
            return Err(error);
        }
        std::str::from_utf8(tag).map_err(|_| error)
    }

    pub(super) fn sp(&mut self) -> Parsed<()> {
        Ok(self.cursor.expect(b' ', "a space")?)
    }

    pub(super) fn open(&mut self) -> Parsed<()> {
        Ok(self.cursor.expect(b'(', "an opening parenthesis")?)
    }

    /// A closing parenthesis ends the list, a space continues it.
    pub(super) fn list_ends(&mut self) -> Parsed<bool> {
        if self.cursor.eat(b')') {
            return Ok(true);
        }
        self.cursor
            .expect(b' ', "a space or a closing parenthesis")?;
        Ok(false)
    }

    /// ```text
    /// atom = 1*ATOM-CHAR
    /// ```
    pub(super) fn atom(&mut self, expected: &'static str) -> Parsed<&'a str> {
        let error = self.wrong(expected);
        let atom = self.cursor.take_while1(is_atom_char, expected)?;
        std::str::from_utf8(atom).map_err(|_| error)
    }

    /// A word of letters, digits, `.`, `-`, `=` and `_`, in capitals, for comparison with known words.
    pub(super) fn word(&mut self, expected: &'static str) -> Parsed<String> {
        let error = self.wrong(expected);
        let word = self.cursor.take_while1(
            |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'=' | b'_'),
            expected,
        )?;
        // Longer ones are none of ours; this also keeps what is copied small.
        if word.len() > 64 {
            return Err(error);
        }
        Ok(word
            .iter()
            .map(|octet| char::from(octet.to_ascii_uppercase()))
            .collect())
    }

    /// ```text
    /// astring = 1*ASTRING-CHAR / string
    /// ```
    pub(super) fn astring(&mut self, expected: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.string()? {
            Some(string) => Ok(string),
            None => Ok(Cow::Borrowed(
                self.cursor.take_while1(is_astring_char, expected)?,
            )),
        }
    }

    /// An astring that is UTF-8.
    pub(super) fn astring_text(&mut self, expected: &'static str) -> Parsed<String> {
        let error = self.wrong(expected);
        let octets = self.astring(expected)?;
        String::from_utf8(octets.into_owned()).map_err(|_| error)
    }

    /// ```text
    /// string = quoted / literal
    /// ```
    ///
    /// `None` if neither begins here.
    pub(super) fn string(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.cursor.eat(b'"') {
            return self.quoted_rest().map(Some);
        }
        let error = self.wrong("a literal without NUL");
        match literal_head(&mut self.cursor)? {
            None => Ok(None),
            // Only APPEND takes a literal8 (RFC 3516 §4.4, RFC 9051 §9).
            Some(literal) if literal.binary => Err(error),
            Some(literal) => {
                let octets = self.literal_octets(literal)?;
                if memchr::memchr(0, octets).is_some() {
                    return Err(error);
                }
                Ok(Some(Cow::Borrowed(octets)))
            }
        }
    }

    /// A literal of either kind, whatever it holds; `None` if none begins here. For responses.
    pub(super) fn any_literal(&mut self) -> Parsed<Option<&'a [u8]>> {
        match literal_head(&mut self.cursor)? {
            Some(literal) => self.literal_octets(literal).map(Some),
            None => Ok(None),
        }
    }

    /// The octets of a literal behind its announcement.
    fn literal_octets(&mut self, literal: Literal) -> Parsed<&'a [u8]> {
        if self.cursor.is_empty() {
            return Err(Stop::Literal(literal));
        }
        let error = self.wrong("the end of the line behind the size of a literal");
        if !(self.cursor.eat(b'\r') && self.cursor.eat(b'\n')) {
            return Err(error);
        }
        usize::try_from(literal.size)
            .ok()
            .and_then(|size| self.cursor.take(size))
            .ok_or(error)
    }

    /// A quoted string behind its opening quote. UTF-8 may stand in it in either revision: whoever sends it means it
    /// (RFC 9051 §4.3).
    ///
    /// ```text
    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE
    /// ```
    fn quoted_rest(&mut self) -> Parsed<Cow<'a, [u8]>> {
        let error = self.wrong("a quoted string in UTF-8");
        let text = self.quoted_octets()?;
        if std::str::from_utf8(&text).is_ok() {
            Ok(text)
        } else {
            Err(error)
        }
    }

    /// The same with octets of any charset.
    ///
    /// ```text
    /// QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials / UTF8-2 / UTF8-3 / UTF8-4
    /// ```
    pub(super) fn quoted_octets(&mut self) -> Parsed<Cow<'a, [u8]>> {
        let plain = |octet: u8| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n' | 0);
        let mut text = Cow::Borrowed(self.cursor.take_while(plain));
        loop {
            if self.cursor.eat(b'"') {
                return Ok(text);
            }
            self.cursor.expect(b'\\', "the end of the quoted string")?;
            match self.cursor.peek() {
                Some(escaped @ (b'"' | b'\\')) => {
                    self.cursor.eat(escaped);
                    text.to_mut().push(escaped);
                }
                _ => return Err(self.wrong("a quote or a backslash behind the backslash")),
            }
            let more = self.cursor.take_while(plain);
            text.to_mut().extend_from_slice(more);
        }
    }

    /// ```text
    /// number = 1*DIGIT ; Unsigned 32-bit integer
    /// ```
    pub(super) fn number(&mut self, expected: &'static str) -> Parsed<u32> {
        let error = self.wrong(expected);
        u32::try_from(self.cursor.number(expected)?).map_err(|_| error)
    }

    /// ```text
    /// nz-number = digit-nz *DIGIT ; Non-zero unsigned 32-bit integer
    /// ```
    pub(super) fn nz_number(&mut self, expected: &'static str) -> Parsed<u32> {
        let error = self.wrong(expected);
        if !self
            .cursor
            .peek()
            .is_some_and(|octet| matches!(octet, b'1'..=b'9'))
        {
            return Err(error);
        }
        self.number(expected)
    }
}
