//! The maildrop of a session: numbers, sizes, unique-ids and marks (RFC 1939 §5).
//!
//! Invariants: numbers count from 1 and never change during the session; a mark is undone by RSET and by the end
//! of the connection; nothing here deletes.

use std::fmt;

/// A message's unique-id, the same in every session (RFC 1939 §7, UIDL).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UniqueId {
    /// One of ours.
    Numbered {
        /// Changes when the server cannot keep its numbers; IMAP's UIDVALIDITY.
        validity: u32,
        /// The message's own number; IMAP's UID.
        uid: u32,
    },
    /// One that the message had on another server: 1 to 70 octets of `!` to `~`.
    Kept(Box<str>),
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UniqueId::Numbered { validity, uid } => write!(f, "{validity}.{uid}"),
            UniqueId::Kept(id) => f.write_str(id),
        }
    }
}

/// A message as the maildrop lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Octets.
    pub size: u64,
    /// For UIDL.
    pub unique_id: UniqueId,
}

/// The maildrop of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maildrop {
    messages: Vec<Message>,
    deleted: Vec<bool>,
}

impl Maildrop {
    pub(crate) fn new(messages: Vec<Message>) -> Maildrop {
        let deleted = vec![false; messages.len()];
        Maildrop { messages, deleted }
    }

    /// The message of a number, unless it is marked. Also its place, counted from 0.
    pub(crate) fn find(&self, number: u32) -> Option<(usize, &Message)> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let marked = *self.deleted.get(index)?;
        let message = self.messages.get(index)?;
        (!marked).then_some((index, message))
    }

    /// The next unmarked message from place `index` on, with its number.
    pub(crate) fn next(&self, index: usize) -> Option<(usize, &Message)> {
        let rest = self
            .messages
            .iter()
            .zip(&self.deleted)
            .enumerate()
            .skip(index);
        let mut left = rest.filter(|(_, (_, deleted))| !**deleted);
        left.next()
            .map(|(index, (message, _))| (index.saturating_add(1), message))
    }

    pub(crate) fn mark(&mut self, number: u32) {
        let index = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        if let Some(mark) = index.and_then(|index| self.deleted.get_mut(index)) {
            *mark = true;
        }
    }

    pub(crate) fn unmark_all(&mut self) {
        self.deleted.fill(false);
    }

    /// Places of the marked messages.
    pub(crate) fn marked(&self) -> Vec<usize> {
        self.deleted
            .iter()
            .enumerate()
            .filter(|(_, deleted)| **deleted)
            .map(|(index, _)| index)
            .collect()
    }

    /// Count and octets of the unmarked messages.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let left = self
            .messages
            .iter()
            .zip(&self.deleted)
            .filter(|(_, deleted)| !**deleted);
        left.fold((0, 0), |(count, octets), (message, _)| {
            (count.saturating_add(1), octets.saturating_add(message.size))
        })
    }
}

/// The head of `message` and the first `lines` lines of its body (RFC 1939 §7, TOP).
pub fn top(message: &[u8], lines: u32) -> &[u8] {
    let mut end = 0;
    let mut left = None;
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        match &mut left {
            Some(0) => break,
            Some(left) => *left -= 1,
            None if matches!(line, b"\r\n" | b"\n") => left = Some(lines),
            None => {}
        }
        end += line.len();
    }
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_keeps_the_head_and_some_lines() {
        let message = b"A: b\r\nC: d\r\n\r\n1\r\n2\r\n\r\n4";
        let cases = [
            (0, "A: b\r\nC: d\r\n\r\n"),
            (1, "A: b\r\nC: d\r\n\r\n1\r\n"),
            (3, "A: b\r\nC: d\r\n\r\n1\r\n2\r\n\r\n"),
            (4, "A: b\r\nC: d\r\n\r\n1\r\n2\r\n\r\n4"),
            (u32::MAX, "A: b\r\nC: d\r\n\r\n1\r\n2\r\n\r\n4"),
        ];
        for (lines, expected) in cases {
            assert_eq!(top(message, lines), expected.as_bytes(), "{lines}");
        }
        assert_eq!(top(b"A: b\r\nno body", 0), b"A: b\r\nno body");
        assert_eq!(top(b"A: b\n\n1\n2\n", 1), b"A: b\n\n1\n");
        assert_eq!(top(b"", 5), b"");
    }

    #[test]
    fn marks_hide_and_come_off() {
        let message = |uid| Message {
            size: 10,
            unique_id: UniqueId::Numbered { validity: 7, uid },
        };
        let mut maildrop = Maildrop::new(vec![message(1), message(4), message(5)]);
        assert_eq!(
            maildrop
                .find(2)
                .map(|(index, found)| (index, found.unique_id.to_string())),
            Some((1, "7.4".to_owned()))
        );
        assert!(
            maildrop.find(0).is_none()
                && maildrop.find(4).is_none()
                && maildrop.find(u32::MAX).is_none()
        );
        maildrop.mark(2);
        maildrop.mark(9);
        maildrop.mark(0);
        assert!(maildrop.find(2).is_none());
        assert_eq!((maildrop.totals(), maildrop.marked()), ((2, 20), vec![1]));
        assert_eq!(maildrop.next(1).map(|(number, _)| number), Some(3));
        assert!(maildrop.next(3).is_none());
        maildrop.unmark_all();
        assert_eq!((maildrop.totals(), maildrop.marked()), ((3, 30), vec![]));
    }
}
