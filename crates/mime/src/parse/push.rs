//! The push parser: a message that arrives in pieces, indexed without being held.
//!
//! Held are the header that is being read and the last line, nothing else. A header is tried again only when twice as much of it
//! is there, so that the work is linear however the message is cut. The result is that of [`Index::parse`], whatever the pieces.

use super::tree::NONE;
use super::{Delimiter, MAX_DELIMITER, MAX_SIZE, Met, Next, Parser, Step};
use crate::defect::{Defect, DefectKind};
use crate::index::{Index, IndexPart};
use crate::message::Part;

/// Octets of a header that are waited for before it is read the first time.
const FIRST_TRY: usize = 2048;

/// Indexes a message that comes in pieces.
///
/// ```
/// let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n";
/// let mut push = waxwing_mime::PushParser::new();
/// raw.chunks(5).for_each(|piece| push.feed(piece));
/// assert_eq!(push.finish().0, waxwing_mime::Index::parse(raw));
/// ```
#[derive(Debug)]
pub struct PushParser {
    parser: Parser,
    /// What is held; its place in the message is `parser.base`.
    window: Vec<u8>,
    state: State,
    parts: Vec<IndexPart>,
    /// Line feeds before the body of each part.
    lines_before: Vec<u32>,
    /// Places where parts end, with the line feeds before them.
    ends: Vec<(u32, u32)>,
    /// Line feeds up to this place of the message.
    counted: (usize, u32),
    defects: usize,
    too_large: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Reads a header, once so many octets are held.
    Header(Next, usize),
    /// Looks for a delimiter, from the start of a line or from within one.
    Body(usize, bool),
    /// Nothing more is looked for.
    Rest,
}

impl Default for PushParser {
    fn default() -> Self {
        let mut parser = Parser::new();
        parser.more = true;
        PushParser {
            parser,
            window: Vec::new(),
            state: State::Header(
                Next {
                    parent: NONE,
                    delimiter: 0,
                    start: 0,
                },
                FIRST_TRY,
            ),
            parts: Vec::new(),
            lines_before: Vec::new(),
            ends: Vec::new(),
            counted: (0, 0),
            defects: 0,
            too_large: false,
        }
    }
}

impl PushParser {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Octets that are held at the moment: the header being read, or the line.
    pub fn held(&self) -> usize {
        self.window.len()
    }

    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        let room = MAX_SIZE.saturating_sub(self.parser.base + self.window.len());
        self.too_large |= piece.len() > room;
        self.window
            .extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.run();
        self.discard();
    }

    /// The message is complete.
    pub fn finish(mut self) -> (Index, Vec<Defect>) {
        self.parser.more = false;
        self.run();
        let size = self.parser.base + self.window.len();
        self.end_at(size);
        self.parser.close(size);
        if self.too_large {
            self.parser.tree.defect(DefectKind::TooLarge, size..size);
        }
        for ((part, record), before) in self
            .parts
            .iter_mut()
            .zip(&self.parser.tree.parts)
            .zip(&self.lines_before)
        {
            let at = self.ends.partition_point(|(end, _)| *end < record.body_end);
            let lines = self
                .ends
                .get(at)
                .filter(|(end, _)| *end == record.body_end)
                .map_or(*before, |(_, lines)| *lines);
            part.update(record, lines.saturating_sub(*before));
        }
        (
            Index::from_parts(size as u32, self.parts),
            self.parser.tree.defects,
        )
    }

    fn run(&mut self) {
        loop {
            let going = match self.state {
                State::Header(next, wanted) => self.read_header(next, wanted),
                State::Body(from, at_line) => self.read_body(from, at_line),
                State::Rest => false,
            };
            if !going {
                return;
            }
        }
    }

    /// Returns whether there may be more to do with what is held.
    fn read_header(&mut self, next: Next, wanted: usize) -> bool {
        let held = self.window.len().saturating_sub(next.start);
        if self.parser.more && held < wanted {
            return false;
        }
        let (parts, fields) = (self.parser.tree.parts.len(), self.parser.tree.fields.len());
        let window = std::mem::take(&mut self.window);
        let step = self.parser.part(&window, next);
        if std::mem::take(&mut self.parser.starved) {
            self.parser.tree.parts.truncate(parts);
            self.parser.tree.fields.truncate(fields);
            self.parser.tree.defects.truncate(self.defects);
            self.window = window;
            self.state = State::Header(next, held * 2);
            return false;
        }
        let part = Part {
            raw: &window,
            tree: &self.parser.tree,
            id: parts as u32,
        };
        self.parts.push(IndexPart::of(part, 0));
        let body = part.body_range().start;
        self.window = window;
        self.count_to(self.parser.base + body);
        self.lines_before.push(self.counted.1);
        self.rebase(parts, fields);
        match step {
            Step::Nested(inner) => self.state = State::Header(inner, FIRST_TRY),
            Step::Body(from) => self.state = State::Body(from, true),
            Step::Delimiter(found) => self.meet(found),
        }
        true
    }

    fn read_body(&mut self, from: usize, at_line: bool) -> bool {
        let window = std::mem::take(&mut self.window);
        let found = self.parser.find(&window, from, at_line, false);
        self.window = window;
        self.rebase_defects();
        let Some(found) = found else {
            self.wait(from, at_line);
            return false;
        };
        // Whether the line is complete, and whether anything follows it, has to be known.
        if self.parser.more && found.after >= self.window.len() {
            self.state = State::Body(found.line, true);
            self.parser.tree.defects.truncate(self.defects);
            return false;
        }
        self.meet(found);
        true
    }

    /// No delimiter in what is held: goes on at the last line, if it may be one.
    fn wait(&mut self, from: usize, at_line: bool) {
        if self.parser.open.is_empty() {
            self.state = State::Rest;
            return;
        }
        let rest = self.window.get(from..).unwrap_or_default();
        let (line, starts) = match memchr::memrchr(b'\n', rest) {
            Some(at) => (from + at + 1, true),
            None => (from, at_line),
        };
        let text = self.window.get(line..).unwrap_or_default();
        let possible =
            starts && (text.len() < 2 || text.starts_with(b"--")) && text.len() < MAX_DELIMITER + 2;
        self.state = if possible {
            State::Body(line, true)
        } else {
            State::Body(self.window.len(), false)
        };
    }

    fn meet(&mut self, found: Delimiter) {
        let before = super::before_line_break(&self.window, found.line);
        self.end_at(self.parser.base + before);
        let window = std::mem::take(&mut self.window);
        let met = self.parser.meet(&window, found);
        self.window = window;
        self.defects = self.parser.tree.defects.len();
        self.state = match met {
            Met::Part(next) => State::Header(next, FIRST_TRY),
            Met::Closed => State::Body(found.after, true),
            Met::End => State::Rest,
        };
    }

    /// Offsets of a header that was read become those of the message.
    fn rebase(&mut self, part: usize, fields: usize) {
        let base = self.parser.base as u32;
        if let Some(record) = self.parser.tree.parts.get_mut(part) {
            for offset in [
                &mut record.delimiter,
                &mut record.header,
                &mut record.body,
                &mut record.body_end,
            ] {
                *offset += base;
            }
            // Its header is gone: nothing of it is looked up again.
            record.fields = 0;
            record.fields_end = 0;
            record.content_type = NONE;
            record.disposition = NONE;
        }
        self.parser.fields_before += self.parser.tree.fields.len() - fields;
        self.parser.tree.fields.truncate(fields);
        self.rebase_defects();
    }

    fn rebase_defects(&mut self) {
        let base = self.parser.base;
        for defect in self.parser.tree.defects.iter_mut().skip(self.defects) {
            defect.range = defect.range.start + base..defect.range.end + base;
        }
        self.defects = self.parser.tree.defects.len();
    }

    /// Counts line feeds up to a place that is held.
    fn count_to(&mut self, place: usize) {
        let (at, lines) = self.counted;
        let base = self.parser.base;
        let count = |from: usize, to: usize| {
            let bytes = self
                .window
                .get(from.saturating_sub(base)..to.saturating_sub(base))
                .unwrap_or_default();
            memchr::memchr_iter(b'\n', bytes).count() as u32
        };
        // A delimiter right behind a header ends before the place where its body was counted.
        let lines = if place >= at {
            lines + count(at, place)
        } else {
            lines.saturating_sub(count(place, at))
        };
        self.counted = (place, lines);
    }

    /// Parts may end here.
    fn end_at(&mut self, place: usize) {
        self.count_to(place);
        if self
            .ends
            .last()
            .is_none_or(|(end, _)| (*end as usize) < place)
        {
            self.ends.push((place as u32, self.counted.1));
        }
    }

    /// Lets go of what is done with.
    fn discard(&mut self) {
        let keep = match self.state {
            State::Header(next, _) => next.start.min(next.delimiter).saturating_sub(2),
            // The line break before a delimiter belongs to it.
            State::Body(from, _) => from.saturating_sub(2),
            State::Rest => self.window.len(),
        };
        if keep < self.window.len().min(64 * 1024) && keep < self.window.len() / 2 {
            return;
        }
        self.count_to(self.counted.0.max(self.parser.base + keep));
        self.window.drain(..keep);
        self.parser.base += keep;
        match &mut self.state {
            State::Header(next, _) => {
                next.start -= keep;
                next.delimiter -= keep;
            }
            State::Body(from, _) => *from -= keep,
            State::Rest => (),
        }
        if self.window.capacity() > 256 * 1024 && self.window.len() < 64 * 1024 {
            self.window.shrink_to(64 * 1024);
        }
    }
}
