//! Messages of any octets (RFC 3030 §3): judged as they came, kept as lines.
//!
//! IMAP without BINARY, POP3 and most servers take lines only, so binary parts become base64 once, here, and not with each
//! reading. Their octets are the same for who decodes them. What may not be changed (RFC 1847 §2.1) is refused.

use smtp::parameters::Body;
use smtp::reply::{self, Reply};

use super::{Arrival, header_end};

/// The header of a binary message is lines all the same (RFC 3030 §3, RFC 5322 §2.2); anything else would be read one way
/// here and another way there.
pub(super) fn check(arrival: &Arrival, header: usize) -> Result<(), Reply> {
    let header = arrival.message.get(..header).unwrap_or_default();
    match arrival.envelope.body {
        Body::BinaryMime if !is_lines(header) => Err(reply::BAD_CONTENT),
        _ => Ok(()),
    }
}

/// Makes lines of it.
pub(super) fn to_lines(arrival: &mut Arrival) -> Result<(), Reply> {
    if arrival.envelope.body != Body::BinaryMime {
        return Ok(());
    }
    if !is_lines(&arrival.message) {
        let converted = mime::write::edit::to_eight_bit(&arrival.message);
        let converted = converted.map_err(|_| reply::NOT_CONVERTED)?;
        // Binary in a preamble, or in the header of a part: no part that anybody shows.
        if !is_lines(&converted) {
            return Err(reply::BAD_CONTENT);
        }
        arrival.message = converted;
        let header = header_end(&arrival.message);
        super::check_header(&arrival.message, header)?;
    }
    arrival.envelope.body = if arrival.message.is_ascii() {
        Body::SevenBit
    } else {
        Body::EightBitMime
    };
    Ok(())
}

/// No NUL, and CR and LF together only.
fn is_lines(octets: &[u8]) -> bool {
    let mut after_cr = false;
    for octet in octets {
        if *octet == 0 || (*octet == b'\n') != after_cr {
            return false;
        }
        after_cr = *octet == b'\r';
    }
    !after_cr
}
