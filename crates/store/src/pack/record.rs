//! A record of a pack: a header that says all that is needed to put the message back into a database, then its octets.
//!
//! ```text
//! 0  "WxB1"      4  version u8, codec u8, accounts u16
//! 8  body id     16 size of the message u64      24 octets stored u64     32 received i64
//! 40 envelope length u32                          44 CRC-32 of the header with this field zero
//! 48 accounts i64 each · envelope · CRC-32 of each 64 KiB block of the octets · the octets
//! ```
//! Integers are little-endian. The envelope is the reverse-path and the recipients, one a line. Codec 0 is plain.

use crate::error::{Error, Result};
use crate::types::{AccountId, BodyId, BodyMeta};

/// Octets covered by one checksum: a partial read verifies only the blocks it touches.
pub(crate) const BLOCK: u64 = 64 << 10;
/// Octets of the header before its variable part.
pub(crate) const FIXED: usize = 48;
/// Longest envelope taken into a record; what is beyond is left out (1,000 recipients of the longest kind fit).
const ENVELOPE_LIMIT: usize = 400 << 10;
/// Longest message: well above any limit a server sets, and small enough that lengths cannot overflow.
pub(crate) const SIZE_LIMIT: u64 = 1 << 40;

const MAGIC: [u8; 4] = *b"WxB1";
const VERSION: u8 = 1;
const PLAIN: u8 = 0;

/// The fixed part of a record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) id: BodyId,
    pub(crate) size: u64,
    pub(crate) stored: u64,
    pub(crate) received: i64,
    accounts: u16,
    envelope: u32,
    checksum: u32,
}

impl Fixed {
    /// Reads the fixed part; None where no record begins.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Fixed> {
        if bytes.get(..4)? != MAGIC || *bytes.get(4)? != VERSION || *bytes.get(5)? != PLAIN {
            return None;
        }
        let fixed = Fixed {
            accounts: u16::from_le_bytes(field(bytes, 6)?),
            id: BodyId(i64::from_le_bytes(field(bytes, 8)?)),
            size: u64::from_le_bytes(field(bytes, 16)?),
            stored: u64::from_le_bytes(field(bytes, 24)?),
            received: i64::from_le_bytes(field(bytes, 32)?),
            envelope: u32::from_le_bytes(field(bytes, 40)?),
            checksum: u32::from_le_bytes(field(bytes, 44)?),
        };
        let sound = fixed.stored <= SIZE_LIMIT
            && fixed.size == fixed.stored
            && fixed.envelope as usize <= ENVELOPE_LIMIT;
        sound.then_some(fixed)
    }

    /// Octets of the whole header.
    pub(crate) fn header_length(&self) -> u64 {
        FIXED as u64
            + 8 * u64::from(self.accounts)
            + u64::from(self.envelope)
            + 4 * self.stored.div_ceil(BLOCK)
    }

    /// Octets of the whole record.
    pub(crate) fn record_length(&self) -> u64 {
        self.header_length() + self.stored
    }
}

/// The longest header that a body of this size can have; a row that claims more is damaged.
pub(crate) fn longest_header(size: u64) -> u64 {
    (FIXED + 8 * usize::from(u16::MAX) + ENVELOPE_LIMIT) as u64 + 4 * size.div_ceil(BLOCK)
}

/// A whole, verified header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fixed: Fixed,
    pub(crate) meta: BodyMeta,
    blocks: Vec<u32>,
}

impl Header {
    /// Reads and verifies a header of exactly `Fixed::header_length` octets.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Header> {
        let broken =
            || Error::Corrupt("the header of a pack record does not match its checksum".into());
        let fixed = Fixed::parse(bytes).ok_or_else(broken)?;
        if bytes.len() as u64 != fixed.header_length() || header_checksum(bytes) != fixed.checksum {
            return Err(broken());
        }
        let accounts_end = FIXED + 8 * usize::from(fixed.accounts);
        let envelope_end = accounts_end + fixed.envelope as usize;
        let accounts = bytes.get(FIXED..accounts_end).ok_or_else(broken)?;
        let envelope = bytes.get(accounts_end..envelope_end).ok_or_else(broken)?;
        let blocks = bytes.get(envelope_end..).ok_or_else(broken)?;
        let envelope = String::from_utf8_lossy(envelope);
        let mut lines = envelope.split('\n');
        Ok(Header {
            fixed,
            meta: BodyMeta {
                accounts: accounts
                    .chunks_exact(8)
                    .filter_map(|c| field(c, 0))
                    .map(|c| AccountId(i64::from_le_bytes(c)))
                    .collect(),
                received: fixed.received,
                reverse_path: lines.next().unwrap_or_default().to_owned(),
                recipients: lines.map(str::to_owned).collect(),
            },
            blocks: blocks
                .chunks_exact(4)
                .filter_map(|c| field(c, 0))
                .map(u32::from_le_bytes)
                .collect(),
        })
    }

    /// Verifies octets that begin at a block boundary and end at one or at the end of the body.
    pub(crate) fn verify(&self, first_block: u64, octets: &[u8]) -> Result<()> {
        for (index, block) in octets.chunks(BLOCK as usize).enumerate() {
            let expected = usize::try_from(first_block)
                .ok()
                .and_then(|first| self.blocks.get(first.saturating_add(index)));
            if expected != Some(&crc32fast::hash(block)) {
                return Err(Error::Corrupt(format!(
                    "body {} does not match its checksum",
                    self.fixed.id.0
                )));
            }
        }
        Ok(())
    }
}

/// The header of a new record.
pub(crate) fn header(id: BodyId, meta: &BodyMeta, slices: &[&[u8]]) -> Result<Vec<u8>> {
    let size: u64 = slices.iter().map(|s| s.len() as u64).sum();
    if size > SIZE_LIMIT {
        return Err(Error::Limit("size of a message"));
    }
    let accounts = meta
        .accounts
        .get(..usize::from(u16::MAX))
        .unwrap_or(&meta.accounts);
    let envelope = envelope(meta);
    let mut header = Vec::with_capacity(
        FIXED + 8 * accounts.len() + envelope.len() + 4 * (size / BLOCK + 1) as usize,
    );
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&[VERSION, PLAIN]);
    header.extend_from_slice(&(accounts.len() as u16).to_le_bytes());
    header.extend_from_slice(&id.0.to_le_bytes());
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&meta.received.to_le_bytes());
    header.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    for account in accounts {
        header.extend_from_slice(&account.0.to_le_bytes());
    }
    header.extend_from_slice(envelope.as_bytes());
    block_checksums(slices, &mut header);
    let checksum = header_checksum(&header);
    if let Some(place) = header.get_mut(44..48) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(header)
}

fn envelope(meta: &BodyMeta) -> String {
    let mut envelope = meta.reverse_path.replace('\n', "");
    for recipient in &meta.recipients {
        if envelope.len() + recipient.len() + 1 > ENVELOPE_LIMIT {
            break;
        }
        envelope.push('\n');
        envelope.extend(recipient.chars().filter(|c| *c != '\n'));
    }
    envelope.truncate(envelope.floor_char_boundary(ENVELOPE_LIMIT));
    envelope
}

fn block_checksums(slices: &[&[u8]], out: &mut Vec<u8>) {
    let mut hasher = crc32fast::Hasher::new();
    let mut room = BLOCK as usize;
    let mut begun = false;
    for slice in slices {
        let mut rest = *slice;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(room.min(rest.len()));
            hasher.update(now);
            begun = true;
            room -= now.len();
            rest = later;
            if room == 0 {
                out.extend_from_slice(&std::mem::take(&mut hasher).finalize().to_le_bytes());
                room = BLOCK as usize;
                begun = false;
            }
        }
    }
    if begun {
        out.extend_from_slice(&hasher.finalize().to_le_bytes());
    }
}

fn header_checksum(header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..44).unwrap_or_default());
    hasher.update(&[0; 4]);
    hasher.update(header.get(FIXED..).unwrap_or_default());
    hasher.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> BodyMeta {
        BodyMeta {
            accounts: vec![AccountId(3), AccountId(7)],
            received: 1_700_000_000,
            reverse_path: "a@example.org".into(),
            recipients: vec!["b@example.test".into(), "c@example.test".into()],
        }
    }

    #[test]
    fn header_round_trips_over_block_boundaries() {
        for size in [
            0usize,
            1,
            BLOCK as usize - 1,
            BLOCK as usize,
            BLOCK as usize + 1,
            3 * BLOCK as usize,
        ] {
            let body: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let (a, b) = body.split_at(size / 3);
            let bytes = header(BodyId(9), &meta(), &[a, b]).unwrap();
            let parsed = Header::parse(&bytes).unwrap();
            assert_eq!(parsed.meta, meta());
            assert_eq!(parsed.fixed.size, size as u64);
            assert_eq!(parsed.fixed.header_length(), bytes.len() as u64);
            parsed.verify(0, &body).unwrap();
            if size > 0 {
                let mut wrong = body.clone();
                wrong[size / 2] ^= 1;
                assert!(parsed.verify(0, &wrong).is_err());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_parsed_without_a_panic(mut bytes: Vec<u8>, real: bool) {
            if real && bytes.len() > 6 {
                bytes[..6].copy_from_slice(b"WxB1\x01\x00");
            }
            if let Some(fixed) = Fixed::parse(&bytes) {
                assert!(fixed.record_length() >= fixed.stored);
            }
            let _ = Header::parse(&bytes);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let bytes = header(BodyId(9), &meta(), &[b"hello"]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&wrong).is_err(), "bit {bit}");
        }
    }
}
