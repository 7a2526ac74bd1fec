//! Attachments, as a stored BODYSTRUCTURE tells of them.

use super::envelope;
use super::text::Needle;

/// Whether a part is an attachment, or has a file name; with a text, whether that is in the name of one.
pub fn is_in(structure: &[u8], name: Option<&Needle>) -> bool {
    let mut strings = Strings { rest: structure };
    let mut before: Vec<u8> = Vec::new();
    while let Some((first, text)) = strings.next() {
        let is = |word: &str| before.eq_ignore_ascii_case(word.as_bytes());
        let named = is("FILENAME") || is("NAME");
        let found = match name {
            Some(name) => named && name.is_in(&String::from_utf8_lossy(&text)),
            None => is("FILENAME") || first && text.eq_ignore_ascii_case(b"ATTACHMENT"),
        };
        if found {
            return true;
        }
        before = text;
    }
    false
}

/// The strings of a structure, one behind the other.
struct Strings<'s> {
    rest: &'s [u8],
}

impl Strings<'_> {
    /// The next one, and whether it is the first of a list.
    fn next(&mut self) -> Option<(bool, Vec<u8>)> {
        let at = memchr::memchr2(b'"', b'{', self.rest)?;
        let first = at.checked_sub(1).and_then(|at| self.rest.get(at)) == Some(&b'(');
        let value = self.rest.get(at..)?;
        let end = envelope::value_end(value)?;
        self.rest = value.get(end..)?;
        Some((first, envelope::string(value.get(..end)?)?.into_owned()))
    }
}
