//! The report in a message: found among its parts and unpacked, with limits on what that may cost (A19).

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, GzDecoder};
use mime::Message;

/// Octets of a report. The largest providers' are some MiB; what is said in more is not worth the memory of reading it.
pub const LIMIT: usize = 25 << 20;

/// Octets out for one octet in, beyond the first MiB: XML of a report shrinks to a twentieth, zeros to a thousandth.
const RATIO: usize = 200;

const FIRST: usize = 1 << 20;

/// What a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// DMARC, XML.
    Dmarc,
    /// On TLS, JSON.
    Tls,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No part looks like one.
    #[error("no part of the message is a report")]
    Nothing,
    /// It is larger than any honest one.
    #[error("the report is too large when it is unpacked")]
    TooLarge,
    /// It cannot be unpacked.
    #[error("the report cannot be unpacked: {0}")]
    Damaged(#[from] io::Error),
}

/// Finds the report in a message (RFC 7489 §7.2.1.1, RFC 8460 §5.3).
pub fn report(raw: &[u8]) -> Result<(Kind, Vec<u8>), Error> {
    let message = Message::parse(raw);
    for part in message.parts() {
        if part.kind() != mime::Kind::Leaf {
            continue;
        }
        let (media, subtype) = part.media_type();
        let name = part.file_name().unwrap_or_default().to_ascii_lowercase();
        let packed = [".gz", ".zip", ".xml", ".json"]
            .iter()
            .any(|end| name.ends_with(end));
        let declared = media == "application" || media == "text";
        let says = [
            "gzip",
            "x-gzip",
            "zip",
            "x-zip-compressed",
            "xml",
            "tlsrpt+gzip",
            "tlsrpt+json",
        ];
        if !(packed || declared && says.contains(&subtype.as_ref())) {
            continue;
        }
        let (octets, _) = part.decoded();
        let content = unpack(&octets)?;
        if let Some(kind) = kind(&content) {
            return Ok((kind, content));
        }
    }
    Err(Error::Nothing)
}

/// What is said about it does not count: senders mislabel.
fn kind(content: &[u8]) -> Option<Kind> {
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    match text.trim_ascii_start().first() {
        Some(b'<') => Some(Kind::Dmarc),
        Some(b'{') => Some(Kind::Tls),
        _ => None,
    }
}

fn unpack(octets: &[u8]) -> Result<Vec<u8>, Error> {
    if octets.starts_with(&[0x1f, 0x8b]) {
        bounded(GzDecoder::new(octets), octets.len())
    } else if octets.starts_with(b"PK\x03\x04") {
        first_of_zip(octets)
    } else if octets.len() > LIMIT {
        Err(Error::TooLarge)
    } else {
        Ok(octets.to_vec())
    }
}

/// The first file of an archive; a report is alone in its archive, and the directory at the end, which could name the
/// same octets a thousand times, is not read.
fn first_of_zip(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = || Error::Damaged(io::ErrorKind::InvalidData.into());
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = octets.get(at..at.checked_add(size)?)?;
        let fold = |sum: usize, octet: &u8| sum << 8 | usize::from(*octet);
        Some(bytes.iter().rev().fold(0, fold))
    };
    let method = number(8, 2).ok_or_else(damaged)?;
    let size = number(18, 4).ok_or_else(damaged)?;
    let name = number(26, 2).ok_or_else(damaged)?;
    let extra = number(28, 2).ok_or_else(damaged)?;
    let start = name.saturating_add(extra).saturating_add(30);
    let content = octets.get(start..).ok_or_else(damaged)?;
    match method {
        0 => {
            let content = content.get(..size).ok_or_else(damaged)?;
            bounded(content, content.len())
        }
        8 => bounded(DeflateDecoder::new(content), content.len()),
        _ => Err(damaged()),
    }
}

/// Reads to the end, or to where nobody honest goes.
fn bounded(mut from: impl Read, packed: usize) -> Result<Vec<u8>, Error> {
    let allowed = packed.saturating_mul(RATIO).clamp(FIRST, LIMIT);
    let mut out = Vec::new();
    let limit = u64::try_from(allowed).unwrap_or(u64::MAX);
    from.by_ref()
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)?;
    match out.len() > allowed {
        true => Err(Error::TooLarge),
        false => Ok(out),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};
    use mime::write::build::{Builder, PartBuilder};

    use super::*;

    pub(in super::super) fn gz(octets: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(octets).unwrap();
        out.finish().unwrap()
    }

    fn zip(octets: &[u8], store: bool) -> Vec<u8> {
        let content = if store {
            octets.to_vec()
        } else {
            let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
            out.write_all(octets).unwrap();
            out.finish().unwrap()
        };
        let mut file = b"PK\x03\x04\x14\0\0\0".to_vec();
        file.extend([if store { 0 } else { 8 }, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        file.extend(size);
        file.extend(u32::try_from(octets.len()).unwrap().to_le_bytes());
        file.extend([5, 0, 2, 0]);
        file.extend(b"a.xml\0\0");
        file.extend(content);
        file
    }

    pub(in super::super) fn mail(media: &str, name: &str, octets: Vec<u8>) -> Vec<u8> {
        Builder::new()
            .from("", "reports@sender.example")
            .to("", "postmaster+dmarc@example.test")
            .subject("Report Domain: example.test Submitter: sender.example Report-ID: <1>")
            .text("This is a report.")
            .attach(PartBuilder::bytes(media, octets).attachment(name))
            .to_vec()
    }

    #[test]
    fn every_way_of_packing() {
        let xml = b"<?xml version=\"1.0\"?>\n<feedback></feedback>";
        for (media, name, octets) in [
            ("application/gzip", "a!b!1!2.xml.gz", gz(xml)),
            ("application/octet-stream", "a.XML.GZ", gz(xml)),
            ("application/zip", "a.zip", zip(xml, false)),
            ("application/zip", "a.zip", zip(xml, true)),
            ("text/xml", "report", xml.to_vec()),
            // Labelled as what it is not.
            ("application/zip", "a.zip", gz(xml)),
        ] {
            let found = report(&mail(media, name, octets)).expect(name);
            assert_eq!(found, (Kind::Dmarc, xml.to_vec()), "{media} {name}");
        }
        let json = b" {\"policies\": []}";
        let found = report(&mail("application/tlsrpt+gzip", "a.json.gz", gz(json))).unwrap();
        assert_eq!(found, (Kind::Tls, json.to_vec()));
        for (media, name, octets) in [
            ("image/png", "a.png", gz(xml)),
            ("application/gzip", "a.gz", gz(b"hello")),
        ] {
            assert!(matches!(
                report(&mail(media, name, octets)),
                Err(Error::Nothing)
            ));
        }
    }

    /// A19: bombs of any packing cost at most what the largest report does.
    #[test]
    fn a19_bombs_in_reports() {
        let zeros = vec![b'0'; 64 << 20];
        for octets in [gz(&zeros), zip(&zeros, false), zip(&zeros, true)] {
            let mail = mail("application/gzip", "a.gz", octets);
            assert!(matches!(report(&mail), Err(Error::TooLarge)));
        }
        // Some MiB of zeros are no report either.
        let some = mail("application/gzip", "a.gz", gz(&zeros[..4 << 20]));
        assert!(matches!(report(&some), Err(Error::TooLarge)));
        // A large report of what reports are of is.
        let mut honest = String::from("<feedback>");
        for number in 0..40_000_u32 {
            let hash = number.wrapping_mul(2_654_435_761);
            honest.push_str(&format!(
                "<record><ip>{hash}</ip><count>{}</count></record>",
                hash >> 7
            ));
        }
        let found = report(&mail("application/gzip", "a.gz", gz(honest.as_bytes())));
        assert_eq!(found.unwrap().1.len(), honest.len());
        for cut in [1, 3, 10, 29, 31, 40] {
            let whole = zip(b"<feedback></feedback>", false);
            let mail = mail(
                "application/zip",
                "a.zip",
                whole[..cut.min(whole.len())].to_vec(),
            );
            assert!(report(&mail).is_err(), "{cut}");
        }
    }
}
