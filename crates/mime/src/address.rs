//! Address lists (RFC 5322 §3.4 and §4.4), and what is sent in their place.

use std::ops::Range;

use crate::encoded_word;
use crate::parse::cursor::{Cursor, is_blank};

/// The addresses of one or more fields, in one piece of memory that can be used again ([`AddressList::clear`]).
#[derive(Clone, Debug, Default)]
pub struct AddressList {
    text: String,
    items: Vec<Item>,
    routes: Vec<Range<u32>>,
    words: Vec<Word>,
}

/// Places are of `AddressList::text`. Kept small: a header may hold very many.
#[derive(Clone, Copy, Debug)]
struct Item {
    kind: ItemKind,
    name: (u32, u32),
    address: (u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ItemKind {
    Mailbox,
    /// A mailbox with a route, the next in `AddressList::routes`.
    Routed,
    GroupStart,
    GroupEnd,
}

/// What an address was put together from, as ranges of the field value.
#[derive(Clone, Debug)]
struct Word {
    range: Range<usize>,
    quoted: bool,
}

/// One address with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox<'a> {
    /// The display name, decoded. Where there is none but a comment, that one.
    pub name: Option<&'a str>,
    /// `local@domain`, or what stands there in its place (a bare word; nothing for `<>`).
    pub address: &'a str,
    /// RFC 5322 §4.4: the obsolete route before the address.
    pub route: Option<&'a str>,
}

impl<'a> Mailbox<'a> {
    /// What is before the last `@`.
    pub fn local(&self) -> &'a str {
        self.address
            .rsplit_once('@')
            .map_or(self.address, |(local, _)| local)
    }

    /// What is after the last `@`; None if there is none.
    pub fn domain(&self) -> Option<&'a str> {
        self.address.rsplit_once('@').map(|(_, domain)| domain)
    }
}

/// An element of an address list, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An address, of the group that is open if there is one.
    Mailbox(Mailbox<'a>),
    /// `name:`
    GroupStart(&'a str),
    /// `;`, or the end of the field.
    GroupEnd,
}

impl AddressList {
    /// Reads a field value.
    ///
    /// ```
    /// let list = waxwing_mime::AddressList::parse(b"Friends: =?utf-8?q?Andr=C3=A9?= <a@b.example>, c@d.example;");
    /// let found: Vec<_> = list.mailboxes().map(|m| (m.name, m.address)).collect();
    /// assert_eq!(found, [(Some("André"), "a@b.example"), (None, "c@d.example")]);
    /// ```
    pub fn parse(value: &[u8]) -> AddressList {
        let mut list = AddressList::default();
        list.add(value);
        list
    }

    /// Forgets the addresses, keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
        self.routes.clear();
    }

    /// Adds the addresses of a field value.
    pub fn add(&mut self, value: &[u8]) {
        Reader {
            list: self,
            cursor: Cursor::new(value, 0..value.len()),
            comment: None,
            in_group: false,
            after_angle: false,
            seen_at: false,
            decode: true,
        }
        .run();
    }

    /// As [`AddressList::add`], but leaves encoded words in names as they are: what IMAP's ENVELOPE holds.
    pub fn add_undecoded(&mut self, value: &[u8]) {
        Reader {
            list: self,
            cursor: Cursor::new(value, 0..value.len()),
            comment: None,
            in_group: false,
            after_angle: false,
            seen_at: false,
            decode: false,
        }
        .run();
    }

    /// True if there is neither an address nor a group.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Addresses and groups in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let text = |(start, end): (u32, u32)| {
            self.text
                .get(start as usize..end as usize)
                .unwrap_or_default()
        };
        let mut routes = self.routes.iter();
        self.items.iter().map(move |item| match item.kind {
            ItemKind::GroupStart => Entry::GroupStart(text(item.name)),
            ItemKind::GroupEnd => Entry::GroupEnd,
            kind => {
                let route = if kind == ItemKind::Routed {
                    routes.next()
                } else {
                    None
                };
                Entry::Mailbox(Mailbox {
                    name: (item.name.0 < item.name.1).then(|| text(item.name)),
                    address: text(item.address),
                    route: route.map(|range| text((range.start, range.end))),
                })
            }
        })
    }

    /// All addresses, those of groups included.
    pub fn mailboxes(&self) -> impl Iterator<Item = Mailbox<'_>> {
        self.entries().filter_map(|entry| match entry {
            Entry::Mailbox(mailbox) => Some(mailbox),
            _ => None,
        })
    }

    fn mailbox(
        &mut self,
        name: Option<Range<u32>>,
        address: Range<u32>,
        route: Option<Range<u32>>,
    ) {
        let kind = if route.is_some() {
            ItemKind::Routed
        } else {
            ItemKind::Mailbox
        };
        self.routes.extend(route);
        let name = name.unwrap_or(0..0);
        self.items.push(Item {
            kind,
            name: (name.start, name.end),
            address: (address.start, address.end),
        });
    }

    fn push(&mut self, add: impl FnOnce(&mut String)) -> Range<u32> {
        let start = self.text.len() as u32;
        add(&mut self.text);
        start..self.text.len() as u32
    }
}

/// Octets of a domain literal; an address has no more than 255 in its domain.
const MAX_LITERAL: usize = 300;

/// Octets that end a display name of plain words.
static SPECIAL: [bool; 256] = octets(b"<,;:(\"[\\@>)");
/// Octets that no plain address has.
static END: [bool; 256] = octets(b"<,;:(\"[\\>) \t\r\n");

const fn octets(listed: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut n = 0;
    while n < listed.len() {
        table[listed[n] as usize] = true;
        n += 1;
    }
    table
}

/// Reads one field value, in one pass and without recursion.
struct Reader<'l, 'a> {
    list: &'l mut AddressList,
    cursor: Cursor<'a>,
    comment: Option<Range<usize>>,
    in_group: bool,
    after_angle: bool,
    /// A word since the last separator has an `@`.
    seen_at: bool,
    decode: bool,
}

impl Reader<'_, '_> {
    fn run(&mut self) {
        self.list.words.clear();
        while let Some(byte) = self.cursor.peek() {
            if self.list.words.is_empty()
                && self.comment.is_none()
                && !self.after_angle
                && self.usual()
            {
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.cursor.skip_blanks(),
                b'(' => {
                    let comment = self.cursor.comment();
                    self.comment = Some(comment);
                }
                b'"' => {
                    let range = self.cursor.quoted();
                    self.list.words.push(Word {
                        range,
                        quoted: true,
                    });
                }
                b'<' => self.angle(),
                b',' => {
                    self.cursor.skip();
                    self.plain();
                }
                b';' => {
                    self.cursor.skip();
                    self.plain();
                    self.end_group();
                }
                b':' if !self.seen_at => {
                    self.cursor.skip();
                    self.start_group();
                }
                _ => self.word(),
            }
        }
        self.plain();
        self.end_group();
    }

    /// `Some Words <local@domain>`, `"Some Words" <local@domain>` or `local@domain`, up to a comma or the end: what nearly all
    /// addresses are. False, with nothing done, for anything else.
    fn usual(&mut self) -> bool {
        self.cursor.skip_blanks();
        let rest = self.cursor.slice(self.cursor.at..self.cursor.end);
        let (name, after) = match rest.strip_prefix(b"\"") {
            Some(quoted) => {
                let Some(close) = memchr::memchr2(b'"', b'\\', quoted)
                    .filter(|at| quoted.get(*at) == Some(&b'"'))
                else {
                    return false;
                };
                let after = quoted
                    .get(close + 1..)
                    .unwrap_or_default()
                    .trim_ascii_start();
                if !after.starts_with(b"<") {
                    return false;
                }
                (quoted.get(..close).unwrap_or_default(), after)
            }
            None => {
                let length = rest
                    .iter()
                    .position(|b| SPECIAL[*b as usize])
                    .unwrap_or(rest.len());
                if rest.get(length) == Some(&b'@') {
                    return self.usual_bare(rest);
                }
                rest.split_at_checked(length).unwrap_or((rest, b""))
            }
        };
        let Some(inside) = after.strip_prefix(b"<") else {
            return false;
        };
        let length = inside
            .iter()
            .position(|b| END[*b as usize])
            .unwrap_or(inside.len());
        let (address, tail) = inside.split_at_checked(length).unwrap_or((inside, b""));
        let Some(tail) = tail.strip_prefix(b">") else {
            return false;
        };
        let Ok(address) = std::str::from_utf8(address) else {
            return false;
        };
        let left = tail.trim_ascii_start();
        if !left.is_empty() && !left.starts_with(b",") {
            return false;
        }
        let name = name.trim_ascii();
        let decode = self.decode;
        let address = self.list.push(|out| out.push_str(address));
        let name = (!name.is_empty()).then(|| {
            self.list
                .push(|out| name_text(name, false, decode, out.len(), out))
        });
        let name = name.filter(|range| range.start < range.end);
        self.list.mailbox(name, address, None);
        self.cursor.at = self.cursor.end - left.len() + usize::from(!left.is_empty());
        true
    }

    fn usual_bare(&mut self, rest: &[u8]) -> bool {
        let length = rest
            .iter()
            .position(|b| END[*b as usize])
            .unwrap_or(rest.len());
        let (address, tail) = rest.split_at_checked(length).unwrap_or((rest, b""));
        let left = tail.trim_ascii_start();
        let (Ok(address), true) = (
            std::str::from_utf8(address),
            left.is_empty() || left.starts_with(b","),
        ) else {
            return false;
        };
        let address = self.list.push(|out| out.push_str(address));
        self.list.mailbox(None, address, None);
        self.cursor.at = self.cursor.end - left.len() + usize::from(!left.is_empty());
        true
    }

    /// Octets up to the next that has a meaning. A domain literal and encoded words may hold such octets.
    fn word(&mut self) {
        let start = self.cursor.at;
        let mut has_at = false;
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'[' => {
                    let rest = self.cursor.slice(self.cursor.at..self.cursor.end);
                    let rest = rest.get(..MAX_LITERAL).unwrap_or(rest);
                    let close = memchr::memchr3(b']', b',', b'>', rest)
                        .filter(|n| rest.get(*n) == Some(&b']'));
                    self.cursor.at += close.unwrap_or(0) + 1;
                }
                b'=' if self
                    .cursor
                    .slice(self.cursor.at..self.cursor.end)
                    .starts_with(b"=?") =>
                {
                    let rest = self.cursor.slice(self.cursor.at..self.cursor.end);
                    self.cursor.at += encoded_word::length(rest).unwrap_or(1);
                }
                b'\\' => self.cursor.at = (self.cursor.at + 2).min(self.cursor.end),
                b'"' | b'(' | b'<' | b',' | b';' => break,
                b':' if !has_at => break,
                byte if is_blank(byte) => break,
                _ => {
                    has_at |= byte == b'@';
                    self.cursor.at += 1;
                }
            }
        }
        self.seen_at |= has_at;
        if self.cursor.at == start {
            self.cursor.skip();
        }
        self.list.words.push(Word {
            range: start..self.cursor.at,
            quoted: false,
        });
    }

    /// `<address>`: what was read before is its name.
    fn angle(&mut self) {
        self.cursor.skip();
        let name = self.name();
        let mut route = None;
        let mut start = self.cursor.at;
        // The first octet that is no blank: with an `@` the obsolete route begins.
        let mut first = None;
        while let Some(byte) = self.cursor.peek() {
            match byte {
                b'>' => break,
                b'"' => {
                    self.cursor.quoted();
                }
                b'(' => {
                    self.cursor.comment();
                }
                // RFC 7103 §7.1.2: several brackets.
                b'<' => {
                    self.cursor.skip();
                    (start, first) = (self.cursor.at, None);
                }
                // RFC 5322 §4.4: `@a,@b:local@domain`.
                b':' if first == Some(b'@') => {
                    route = Some(start..self.cursor.at);
                    self.cursor.skip();
                    (start, first) = (self.cursor.at, None);
                }
                b',' if first != Some(b'@') => break,
                _ => {
                    if !is_blank(byte) {
                        first.get_or_insert(byte);
                    }
                    self.cursor.at += 1;
                }
            }
        }
        let end = self.cursor.at;
        while self.cursor.eat(b'>') {}
        let (bytes, route) = (self.cursor.bytes, route);
        let address = self.list.push(|out| address_text(bytes, start..end, out));
        let route = route.map(|range| self.list.push(|out| address_text(bytes, range, out)));
        if name.is_none() && self.comment.is_none() {
            self.cursor.skip_blanks();
            if self.cursor.peek() == Some(b'(') {
                self.comment = Some(self.cursor.comment());
            }
        }
        let name = name.or_else(|| self.comment_name());
        self.list.mailbox(name, address, route);
        self.comment = None;
        self.list.words.clear();
        self.after_angle = true;
        self.seen_at = false;
    }

    /// The end of an element without angle brackets.
    fn plain(&mut self) {
        let words = std::mem::take(&mut self.list.words);
        let bytes = self.cursor.bytes;
        let whole = |word: &Word| {
            let text = bytes.get(word.range.clone()).unwrap_or_default();
            !word.quoted
                && memchr::memchr(b'@', text).is_some_and(|at| at > 0 && at + 1 < text.len())
        };
        // Words between `>` and the next comma belong to nothing, unless they are an address themselves.
        let after_angle = std::mem::take(&mut self.after_angle) && !words.iter().any(whole);
        if words.len() > 1 && words.iter().filter(|word| whole(word)).count() > 1 {
            // RFC 7103 §7.1.5: the commas between them were forgotten.
            for word in words.iter().filter(|word| whole(word)) {
                let address = self
                    .list
                    .push(|out| address_text(bytes, word.range.clone(), out));
                self.list.mailbox(None, address, None);
            }
        } else if words.len() > 1
            && !after_angle
            && !words.iter().any(|word| {
                bytes
                    .get(word.range.clone())
                    .is_some_and(|text| text.contains(&b'@'))
            })
        {
            // Words without an address: somebody's name.
            self.list.words = words.clone();
            let name = self.name();
            let address = self.list.push(|_| ());
            self.list.mailbox(name, address, None);
        } else if !words.is_empty() && !after_angle {
            let address = self.list.push(|out| {
                for word in &words {
                    if word.quoted {
                        address_text(
                            bytes,
                            word.range.start.saturating_sub(1)..word.range.end + 1,
                            out,
                        );
                    } else {
                        address_text(bytes, word.range.clone(), out);
                    }
                }
            });
            let name = self.comment_name();
            self.list.mailbox(name, address, None);
        }
        self.comment = None;
        self.seen_at = false;
        self.list.words = words;
        self.list.words.clear();
    }

    fn start_group(&mut self) {
        self.end_group();
        let range = match self.name() {
            Some(range) => range,
            None => self.list.push(|_| ()),
        };
        self.list.items.push(Item {
            kind: ItemKind::GroupStart,
            name: (range.start, range.end),
            address: (0, 0),
        });
        self.list.words.clear();
        self.comment = None;
        self.in_group = true;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.list.items.push(Item {
                kind: ItemKind::GroupEnd,
                name: (0, 0),
                address: (0, 0),
            });
        }
    }

    /// The words read so far as a display name.
    fn name(&mut self) -> Option<Range<u32>> {
        let words = std::mem::take(&mut self.list.words);
        let (bytes, decode) = (self.cursor.bytes, self.decode);
        let range = self.list.push(|out| {
            let (start, mut index) = (out.len(), 0);
            while let Some(word) = words.get(index) {
                // Unquoted words side by side are decoded as one text, so that encoded words among them are joined.
                let mut range = word.range.clone();
                while !word.quoted
                    && let Some(next) = words.get(index + 1).filter(|next| {
                        !next.quoted && only_blanks(bytes, range.end..next.range.start)
                    })
                {
                    range.end = next.range.end;
                    index += 1;
                }
                index += 1;
                let text = bytes.get(range).unwrap_or_default();
                name_text(text, word.quoted, decode, start, out);
            }
        });
        self.list.words = words;
        (range.start < range.end).then_some(range)
    }

    fn comment_name(&mut self) -> Option<Range<u32>> {
        let comment = self.comment.take()?;
        let (bytes, decode) = (self.cursor.bytes, self.decode);
        let range = self.list.push(|out| {
            let start = out.len();
            name_text(
                bytes.get(comment).unwrap_or_default(),
                true,
                decode,
                start,
                out,
            );
        });
        (range.start < range.end).then_some(range)
    }
}

fn only_blanks(bytes: &[u8], range: Range<usize>) -> bool {
    bytes
        .get(range)
        .is_some_and(|between| between.iter().all(|b| is_blank(*b)))
}

/// Appends a piece of a display name that begins at `start`, a blank before it if it is not the first.
fn name_text(text: &[u8], quoted: bool, decode: bool, start: usize, out: &mut String) {
    let mut clean = Vec::new();
    let mut source = text;
    if quoted && text.contains(&b'\\') {
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            clean.extend(if byte == b'\\' {
                bytes.next()
            } else {
                Some(byte)
            });
        }
        source = &clean;
    }
    let source = source.trim_ascii();
    if source.is_empty() {
        return;
    }
    if out.len() > start {
        out.push(' ');
    }
    if decode {
        encoded_word::text_into(source, out);
    } else {
        encoded_word::unfold_into(source, out);
    }
}

/// Appends an address without its comments, folding and blanks.
fn address_text(bytes: &[u8], range: Range<usize>, out: &mut String) {
    let text = bytes.get(range.clone()).unwrap_or_default();
    let odd = text.iter().fold(false, |odd, b| {
        odd | !(33..127).contains(b) | (*b == b'(') | (*b == b'"')
    });
    if !odd {
        return push_lossy(text, out);
    }
    let mut cursor = Cursor::new(bytes, range);
    loop {
        let run = cursor.take_while(|b| !is_blank(b) && b != b'(' && b != b'"');
        push_lossy(cursor.slice(run), out);
        match cursor.peek() {
            None => return,
            Some(b'(') => {
                cursor.comment();
            }
            Some(b'"') => {
                let start = cursor.at;
                cursor.quoted();
                push_lossy(cursor.slice(start..cursor.at), out);
            }
            Some(_) => cursor.skip(),
        }
    }
}

fn push_lossy(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        Err(_) => {
            crate::charset::guess(bytes, out);
        }
    }
}
