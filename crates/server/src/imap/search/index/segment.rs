//! Segments: columns about some messages, as the store keeps them.
//!
//! - Identifiers: the first as eight octets, then differences to the one before.
//! - Texts: lengths, then the texts one behind the other.
//! - Dates: 13 octets each. Threads: whether there is an identifier, how many references, then those.
//! - Signatures: sizes as powers of two, an octet each, then the bits.
//!
//! Numbers are LEB128. A column that does not hold what it should reads as empty texts and signatures that say nothing;
//! the store has compared checksums before.

use ::store::{MessageId, SearchColumn, SearchRow, SearchSegment};

use super::signature::Probe;
use crate::imap::search::digest::{Dates, Digest, Id};

/// The columns with texts, by where they are in a digest.
type Text = (SearchColumn, fn(&Digest) -> &str);

const TEXTS: [Text; 11] = [
    (SearchColumn::From, |d| &d.from),
    (SearchColumn::To, |d| &d.to),
    (SearchColumn::Cc, |d| &d.cc),
    (SearchColumn::Bcc, |d| &d.bcc),
    (SearchColumn::Subject, |d| &d.subject),
    (SearchColumn::SortFrom, |d| &d.sort_from),
    (SearchColumn::SortTo, |d| &d.sort_to),
    (SearchColumn::SortCc, |d| &d.sort_cc),
    (SearchColumn::DisplayFrom, |d| &d.display_from),
    (SearchColumn::DisplayTo, |d| &d.display_to),
    (SearchColumn::Base, |d| &d.base),
];

/// What is indexed of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Which.
    pub message: MessageId,
    /// Its header.
    pub digest: Digest,
    /// Its signature: size as a power of two, and bits.
    pub signature: (u8, Vec<u8>),
}

/// Makes a segment of messages, ascending, about a range.
pub fn encode(first: MessageId, last: MessageId, messages: &[Indexed]) -> SearchSegment {
    let columns = SearchColumn::ALL.into_iter().map(|column| {
        let mut out = Vec::new();
        match column {
            SearchColumn::Ids => {
                let mut before = first.0;
                out.extend_from_slice(&first.0.to_le_bytes());
                for message in messages {
                    put(&mut out, message.message.0.abs_diff(before));
                    before = message.message.0;
                }
            }
            SearchColumn::Dates => {
                for message in messages {
                    let dates = message.digest.dates;
                    let day = dates.day.and_then(|day| i32::try_from(day).ok());
                    out.extend_from_slice(&dates.sent.unwrap_or(i64::MIN).to_le_bytes());
                    out.extend_from_slice(&day.unwrap_or(i32::MIN).to_le_bytes());
                    out.push(u8::from(dates.reply));
                }
            }
            SearchColumn::Threads => {
                for message in messages {
                    let digest = &message.digest;
                    put(&mut out, u64::from(digest.id.is_some()));
                    put(&mut out, digest.references.len() as u64);
                    out.extend(digest.id.iter().chain(&digest.references).flatten());
                }
            }
            SearchColumn::Signatures => {
                out.extend(messages.iter().map(|message| message.signature.0));
                for message in messages {
                    out.extend_from_slice(&message.signature.1);
                }
            }
            text => {
                let of = TEXTS.iter().find(|(column, _)| *column == text);
                let texts = messages
                    .iter()
                    .map(|message| of.map_or("", |(_, of)| of(&message.digest)));
                for text in texts.clone() {
                    put(&mut out, text.len() as u64);
                }
                texts.for_each(|text| out.extend_from_slice(text.as_bytes()));
            }
        }
        out
    });
    SearchSegment {
        first,
        last,
        columns: columns.collect(),
    }
}

/// A segment that is being read.
pub struct Segment<'r> {
    ids: Vec<MessageId>,
    columns: &'r [&'r [u8]],
    wanted: &'r [SearchColumn],
    /// Where the texts, signatures or threads of each column begin, made for those asked for.
    starts: Vec<Vec<usize>>,
}

impl<'r> Segment<'r> {
    /// Opens what the store showed; `wanted` are the columns it was asked for, [`SearchColumn::Ids`] first.
    pub fn open(row: &SearchRow<'r>, wanted: &'r [SearchColumn]) -> Segment<'r> {
        let ids = row.columns.first().copied().unwrap_or_default();
        let ids = ids_of(ids);
        let starts = wanted
            .iter()
            .zip(row.columns)
            .map(|(column, data)| starts(*column, data, ids.len()));
        Segment {
            starts: starts.collect(),
            ids,
            columns: row.columns,
            wanted,
        }
    }

    /// The messages it is about, ascending.
    pub fn ids(&self) -> &[MessageId] {
        &self.ids
    }

    /// The text of a message in a column; `None` if the column was not asked for.
    pub fn text(&self, column: SearchColumn, at: usize) -> Option<&'r [u8]> {
        let (starts, data) = self.column(column)?;
        let (start, end) = (starts.get(at)?, starts.get(at.checked_add(1)?)?);
        data.get(*start..*end)
    }

    /// Dates of a message.
    pub fn dates(&self, at: usize) -> Option<Dates> {
        let (_, data) = self.column(SearchColumn::Dates)?;
        let record = data.get(at.checked_mul(13)?..)?;
        let (sent, rest) = record.split_first_chunk::<8>()?;
        let (day, rest) = rest.split_first_chunk::<4>()?;
        let day = i32::from_le_bytes(*day);
        Some(Dates {
            sent: Some(i64::from_le_bytes(*sent)).filter(|sent| *sent != i64::MIN),
            day: (day != i32::MIN).then_some(i64::from(day)),
            reply: rest.first()? & 1 == 1,
        })
    }

    /// Identifier and references of a message, appended to a list.
    pub fn thread(&self, at: usize, references: &mut Vec<Id>) -> Option<Option<Id>> {
        let (starts, data) = self.column(SearchColumn::Threads)?;
        let mut rest = data.get(*starts.get(at)?..)?;
        let own = take(&mut rest)?;
        let count = usize::try_from(take(&mut rest)?).ok()?;
        let mut ids = rest.as_chunks::<16>().0.iter().copied();
        let id = if own == 1 { Some(ids.next()?) } else { None };
        references.extend(ids.take(count));
        Some(id)
    }

    /// Whether the text of a message may contain what the probe is about. True if the signatures were not asked for.
    pub fn may_contain(&self, probe: &Probe, at: usize) -> bool {
        self.signature(at)
            .is_none_or(|(log2, bits)| probe.may_be_in(log2, bits))
    }

    fn signature(&self, at: usize) -> Option<(u8, &'r [u8])> {
        let (starts, data) = self.column(SearchColumn::Signatures)?;
        let log2 = *data.get(at)?;
        let bits = data.get(*starts.get(at)?..*starts.get(at.checked_add(1)?)?)?;
        Some((log2, bits))
    }

    /// All that is indexed of a message; `None` if a column is missing or damaged.
    pub fn take_out(&self, at: usize) -> Option<Indexed> {
        let text = |column| {
            let octets = self.text(column, at)?;
            String::from_utf8(octets.to_vec()).ok()
        };
        let mut references = Vec::new();
        let id = self.thread(at, &mut references)?;
        let (log2, bits) = self.signature(at)?;
        Some(Indexed {
            message: *self.ids.get(at)?,
            digest: Digest {
                from: text(SearchColumn::From)?,
                to: text(SearchColumn::To)?,
                cc: text(SearchColumn::Cc)?,
                bcc: text(SearchColumn::Bcc)?,
                subject: text(SearchColumn::Subject)?,
                sort_from: text(SearchColumn::SortFrom)?,
                sort_to: text(SearchColumn::SortTo)?,
                sort_cc: text(SearchColumn::SortCc)?,
                display_from: text(SearchColumn::DisplayFrom)?,
                display_to: text(SearchColumn::DisplayTo)?,
                base: text(SearchColumn::Base)?,
                dates: self.dates(at)?,
                id,
                references,
            },
            signature: (log2, bits.to_vec()),
        })
    }

    fn column(&self, column: SearchColumn) -> Option<(&[usize], &'r [u8])> {
        let place = self.wanted.iter().position(|wanted| *wanted == column)?;
        Some((self.starts.get(place)?, self.columns.get(place)?))
    }
}

/// The messages a segment is about.
pub fn ids_of(data: &[u8]) -> Vec<MessageId> {
    let Some((first, mut rest)) = data.split_first_chunk::<8>() else {
        return Vec::new();
    };
    let mut id = i64::from_le_bytes(*first);
    let mut ids = Vec::with_capacity(rest.len());
    while let Some(step) = take(&mut rest) {
        id = id.saturating_add_unsigned(step);
        ids.push(MessageId(id));
    }
    ids
}

/// Where the values of a column begin, and where the last one ends.
fn starts(column: SearchColumn, data: &[u8], count: usize) -> Vec<usize> {
    let mut starts = Vec::with_capacity(count.saturating_add(1));
    match column {
        SearchColumn::Ids | SearchColumn::Dates => {}
        SearchColumn::Signatures => {
            let mut at = count;
            starts.push(at);
            for log2 in data.iter().take(count) {
                let size = 1usize.checked_shl(u32::from(log2.saturating_sub(3)));
                at = at.saturating_add(size.unwrap_or(usize::MAX));
                starts.push(at);
            }
        }
        SearchColumn::Threads => {
            let mut rest = data;
            for _ in 0..count {
                starts.push(data.len().saturating_sub(rest.len()));
                let own = take(&mut rest).unwrap_or(0);
                let size = take(&mut rest).unwrap_or(0).saturating_add(own);
                let size = usize::try_from(size)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(16);
                rest = rest.get(size..).unwrap_or_default();
            }
        }
        _ => {
            let mut rest = data;
            let mut lengths = Vec::with_capacity(count);
            for _ in 0..count {
                lengths.push(take(&mut rest).unwrap_or(0));
            }
            let mut at = data.len().saturating_sub(rest.len());
            starts.push(at);
            for length in lengths {
                at = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                starts.push(at);
            }
        }
    }
    starts
}

/// Appends a number as LEB128.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a LEB128 number from the front.
fn take(data: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = data.split_first()?;
        *data = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexed(id: i64) -> Indexed {
        let text = |name: &str| format!("{name}{}", "\u{e4}".repeat(id as usize % 200));
        Indexed {
            message: MessageId(id),
            digest: Digest {
                from: text("from"),
                subject: String::new(),
                base: text("base"),
                dates: Dates {
                    sent: (id % 3 != 0).then_some(-id * 1_000_000),
                    day: (id % 2 != 0).then_some(id),
                    reply: id % 2 == 0,
                },
                id: (id % 4 != 0).then_some([id as u8; 16]),
                references: vec![[7; 16]; id as usize % 5],
                ..Digest::default()
            },
            signature: (9, vec![id as u8; 64]),
        }
    }

    fn read(segment: &SearchSegment, test: &mut dyn FnMut(&Segment<'_>)) {
        let columns: Vec<&[u8]> = segment.columns.iter().map(Vec::as_slice).collect();
        let row = SearchRow {
            first: segment.first,
            last: segment.last,
            columns: &columns,
        };
        test(&Segment::open(&row, &SearchColumn::ALL));
    }

    #[test]
    fn what_is_put_in_comes_out() {
        let all: Vec<Indexed> = [5, 6, 7, 300, 70_000].map(indexed).into();
        let segment = encode(MessageId(3), MessageId(80_000), &all);
        read(&segment, &mut |segment| {
            assert_eq!(segment.ids().len(), 5);
            for (at, expected) in all.iter().enumerate() {
                assert_eq!(segment.take_out(at).as_ref(), Some(expected));
            }
            assert_eq!(segment.take_out(5), None);
        });
    }

    #[test]
    fn damage_reads_as_nothing() {
        let all: Vec<Indexed> = [5, 6, 7].map(indexed).into();
        let whole = encode(MessageId(3), MessageId(8), &all);
        for column in 0..whole.columns.len() {
            for keep in 0..whole.columns[column].len() {
                let mut cut = whole.clone();
                cut.columns[column].truncate(keep);
                read(&cut, &mut |segment| {
                    for at in 0..4 {
                        let _ = segment.take_out(at);
                    }
                });
                cut.columns[column] = vec![0xff; keep];
                read(&cut, &mut |segment| {
                    for at in 0..4 {
                        let _ = segment.take_out(at);
                    }
                });
            }
        }
    }
}
