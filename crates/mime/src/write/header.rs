//! Writing header fields: folding, encoded words (RFC 2047), parameters (RFC 2231). Every peer reads back what was given.
//!
//! Nothing that is put in can break out of its field: line breaks and other control characters become blanks.

use encodify::{base64, qp};

use crate::parse::cursor::is_token;

/// RFC 5322 §2.1.1: lines should not be longer.
const WIDTH: usize = 78;
/// RFC 2047 §2: an encoded word is not longer than this.
const WORD: usize = 75;

/// A field with unstructured text, such as Subject, with its line break.
///
/// ```
/// use waxwing_mime::write::header;
/// assert_eq!(header::text("Subject", "Hello"), "Subject: Hello\r\n");
/// assert_eq!(header::text("Subject", "a caf\u{e9}"), "Subject: =?utf-8?q?a_caf=C3=A9?=\r\n");
/// ```
pub fn text(name: &str, value: &str) -> String {
    let mut line = Line::new(name);
    line.text(value);
    line.finish()
}

/// A field with addresses: display name (empty if none) and address of each.
pub fn addresses<'a>(name: &str, list: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut line = Line::new(name);
    for (n, (display, address)) in list.into_iter().enumerate() {
        if n > 0 {
            line.out.push(',');
        }
        line.mailbox(display, address);
    }
    line.finish()
}

/// A field with words that may be folded between, but not encoded: ids, dates, tokens.
pub fn words<'a>(name: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = Line::new(name);
    for word in words {
        line.word(&clean(word));
    }
    line.finish()
}

/// A field with parameters, such as Content-Type.
pub fn with_params<'a>(
    name: &str,
    value: &str,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut line = Line::new(name);
    line.word(&clean(value));
    for (name, value) in params {
        line.param(name, value);
    }
    line.finish()
}

/// Control characters become blanks.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A field while it is written.
pub(super) struct Line {
    out: String,
    /// Where the last line begins.
    start: usize,
}

impl Line {
    pub(super) fn new(name: &str) -> Line {
        let name: String = name
            .chars()
            .filter(|c| c.is_ascii_graphic() && *c != ':')
            .collect();
        Line {
            out: format!("{name}:"),
            start: 0,
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("\r\n");
        self.out
    }

    fn width(&self) -> usize {
        self.out.len() - self.start
    }

    /// A blank and a word, on a new line if it would not fit.
    pub(super) fn word(&mut self, word: &str) {
        if self.width() + 1 + word.len() > WIDTH && self.width() > 1 && !self.out.ends_with(':') {
            self.fold();
        }
        self.out.push(' ');
        self.out.push_str(word);
    }

    /// What belongs to the word before.
    pub(super) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn fold(&mut self) {
        self.out.push_str("\r\n");
        self.start = self.out.len();
    }

    fn text(&mut self, value: &str) {
        let value = clean(value);
        if is_plain(&value) {
            // Split before each blank, so that the blanks are kept.
            for (n, word) in value.split(' ').enumerate() {
                if n > 0 && self.width() + 1 + word.len() > WIDTH && !word.is_empty() {
                    self.fold();
                }
                self.out.push(' ');
                self.out.push_str(word);
            }
        } else {
            self.encoded(&value, false);
        }
    }

    pub(super) fn mailbox(&mut self, display: &str, address: &str) {
        let address: String = address
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
            .collect();
        if display.trim().is_empty() {
            self.word(&address);
            return;
        }
        self.phrase(display);
        self.word(&format!("<{address}>"));
    }

    /// A display name, not empty.
    pub(super) fn phrase(&mut self, display: &str) {
        let display = clean(display);
        let display = display.trim();
        let printable = display.bytes().all(|b| (b' '..127).contains(&b))
            && !display.contains("=?")
            && !display.contains("  ");
        if printable && display.len() < 60 && display.bytes().all(|b| is_atom(b) || b == b' ') {
            for word in display.split(' ') {
                self.word(word);
            }
        } else if printable && display.len() < 60 {
            self.word(&quoted(display));
        } else {
            self.encoded(display, true);
        }
    }

    /// Encoded words, each of whole characters. `phrase`: only what RFC 2047 §5 (3) lets stand in a display name.
    pub(super) fn encoded(&mut self, value: &str, phrase: bool) {
        let q = if phrase { qp::Q_PHRASE } else { qp::Q_TEXT };
        let cost = |c: char| -> usize {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer)
                .bytes()
                .map(|b| q.encoded_byte_len(b))
                .sum()
        };
        let quoted: usize = value.chars().map(cost).sum();
        let base64 = quoted > value.len().div_ceil(3) * 4;
        let mut rest = value;
        while !rest.is_empty() {
            if self.width() + 30 > WIDTH && !self.out.ends_with(':') {
                self.fold();
            }
            let room = WORD
                .min(WIDTH.saturating_sub(self.width() + 1))
                .saturating_sub("=?utf-8?q??=".len());
            let whole = if base64 {
                rest.len().div_ceil(3) * 4
            } else {
                rest.chars().map(cost).sum()
            };
            if phrase && whole > room {
                if let Some(end) = after_blank(rest, room, cost) {
                    let (now, later) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    rest = later;
                    self.out
                        .push_str(&format!(" =?utf-8?q?{}?=", q.encode(now)));
                    self.fold();
                    continue;
                }
                if self.width() > 0 && !self.out.ends_with(':') {
                    self.fold();
                    continue;
                }
            }
            let end = split(rest, room, base64, cost);
            let (now, later) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = later;
            self.out
                .push_str(if base64 { " =?utf-8?b?" } else { " =?utf-8?q?" });
            if base64 {
                self.out.push_str(&base64::STANDARD.encode(now));
            } else {
                self.out.push_str(&q.encode(now));
            }
            self.out.push_str("?=");
            if !rest.is_empty() {
                self.fold();
            }
        }
    }

    fn param(&mut self, name: &str, value: &str) {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        let name: String = name
            .bytes()
            .filter(|b| is_token(*b) && *b < 128 && *b != b'*' && *b != b'\'' && *b != b'%')
            .map(char::from)
            .collect();
        self.out.push(';');
        let simple = value
            .bytes()
            .all(|b| (b' '..127).contains(&b) && !matches!(b, b'"' | b'\\'))
            && !value.contains("=?");
        if simple && name.len() + value.len() + 4 < WIDTH {
            let token = !value.is_empty() && value.bytes().all(is_token);
            self.word(&if token {
                format!("{name}={value}")
            } else {
                format!("{name}=\"{value}\"")
            });
            return;
        }
        self.segments(&name, &value);
    }

    /// RFC 2231: one extended value if it fits, else segments.
    fn segments(&mut self, name: &str, value: &str) {
        let mut encoded = String::new();
        let mut pieces: Vec<String> = Vec::new();
        let room = WIDTH - name.len().min(30) - 16;
        for c in value.chars() {
            let mut buffer = [0; 4];
            let mut piece = String::new();
            for byte in c.encode_utf8(&mut buffer).bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
                    piece.push(byte as char);
                } else {
                    piece.push_str(&format!("%{byte:02X}"));
                }
            }
            if encoded.len() + piece.len() > room {
                pieces.push(std::mem::take(&mut encoded));
            }
            encoded.push_str(&piece);
        }
        pieces.push(encoded);
        if let [one] = pieces.as_slice() {
            return self.word(&format!("{name}*=utf-8''{one}"));
        }
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 {
                self.out.push(';');
            }
            let charset = if n == 0 { "utf-8''" } else { "" };
            self.word(&format!("{name}*{n}*={charset}{piece}"));
        }
    }
}

/// Where the last blank ends that leaves what is before it small enough for one encoded word. Python up to 3.13 puts a
/// blank between the encoded words of a display name: there it does no harm.
fn after_blank(text: &str, room: usize, cost: impl Fn(char) -> usize) -> Option<usize> {
    let mut used = 0;
    let mut found = None;
    for (at, c) in text.char_indices() {
        used += cost(c);
        if used > room {
            break;
        }
        if c == ' ' {
            found = Some(at + 1);
        }
    }
    found
}

/// How much of a text fits into one encoded word, in octets; at least one character.
fn split(text: &str, room: usize, base64: bool, cost: impl Fn(char) -> usize) -> usize {
    let mut used = 0;
    let (mut end, mut whole_quanta) = (0, 0);
    for (at, c) in text.char_indices() {
        let after = at + c.len_utf8();
        let size = if base64 {
            after.div_ceil(3) * 4
        } else {
            used + cost(c)
        };
        if size > room && at > 0 {
            break;
        }
        used = size;
        end = after;
        if after.is_multiple_of(3) {
            whole_quanta = after;
        }
    }
    // A word with padding ends here: GMime up to 3.2.13 loses what follows one.
    if base64 && end < text.len() && whole_quanta > 0 {
        end = whole_quanta;
    }
    end
}

/// Can stand as it is: printable, nothing like an encoded word, blanks only where folding keeps them, words that fit a line.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|b| (b' '..127).contains(&b))
        && !value.contains("=?")
        && !value.contains("  ")
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && value.split(' ').all(|word| word.len() < WIDTH - 2)
}

/// RFC 5322 §3.2.3 atext.
fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Name};

    fn read(field: &str) -> String {
        assert!(
            field.split("\r\n").all(|line| line.len() <= WIDTH),
            "{field}"
        );
        let raw = format!("{field}\r\n");
        Message::parse(raw.as_bytes())
            .root()
            .fields()
            .next()
            .unwrap()
            .text()
            .into_owned()
    }

    #[test]
    fn texts_are_read_back() {
        let long = "word ".repeat(60);
        for value in [
            "",
            "a",
            long.trim(),
            "café",
            "  two  blanks ",
            "=?utf-8?q?x?=",
            &"日本語のとても長い件名".repeat(9),
            &"x".repeat(300),
            "a\r\nBcc: b@c",
        ] {
            let expected = if value.contains('\r') {
                "a  Bcc: b@c"
            } else {
                value
            };
            assert_eq!(
                read(&text("Subject", value)),
                expected.trim_matches(|_| false)
            );
        }
    }

    #[test]
    fn addresses_are_read_back() {
        let list = [
            ("", "a@b.example"),
            ("Plain Name", "c@d.example"),
            ("Quoted, \"N.\"", "e@f.example"),
            (
                "Дмитрий Иванович Менделеев, химик и ещё много слов",
                "g@h.example",
            ),
        ];
        let raw = format!("{}\r\n", addresses("From", list));
        let message = Message::parse(raw.as_bytes());
        let found = message.root().addresses(Name::From);
        let found: Vec<_> = found
            .mailboxes()
            .map(|m| {
                (
                    m.name.unwrap_or_default().to_string(),
                    m.address.to_string(),
                )
            })
            .collect();
        assert_eq!(found, list.map(|(n, a)| (n.to_string(), a.to_string())));
    }

    #[test]
    fn display_names_are_cut_at_blanks() {
        let raw = addresses(
            "To",
            [(
                "Дмитрий Иванович Менделеев, химик и ещё много слов",
                "g@h.example",
            )],
        );
        let words = raw.lines().filter(|line| line.contains("=?utf-8?q?"));
        let inner: Vec<_> = words.filter(|line| !line.contains('<')).collect();
        assert!(!inner.is_empty(), "{raw}");
        for line in inner {
            // The underscore is a blank (RFC 2047 §4.2).
            assert!(line.ends_with("_?="), "{raw}");
        }
    }

    #[test]
    fn params_are_read_back() {
        for value in [
            "a.txt",
            "with blank.txt",
            "a\"b\\c.txt",
            "日本語.txt",
            &"ä".repeat(90),
            &"long name ".repeat(20),
            "",
        ] {
            let raw = format!(
                "{}\r\n",
                with_params("Content-Type", "application/pdf", [("name", value)])
            );
            assert_eq!(
                Message::parse(raw.as_bytes())
                    .root()
                    .param("name")
                    .as_deref(),
                Some(value),
                "{raw}"
            );
        }
    }
}
