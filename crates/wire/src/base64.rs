//! Base64 as SASL lines use it (RFC 4648 §4): padded, no line breaks, nothing outside the alphabet.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64")]
pub struct Error;

/// Encodes `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes `text`. Wrong padding, set bits behind the data and foreign characters are errors (RFC 4422 §5: an
/// exchange does not go on with what is not understood).
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Error> {
    STANDARD.decode(text).map_err(|_| Error)
}

/// Decodes an initial response, where `=` alone stands for the empty one (RFC 4954 §4, RFC 5034 §4, RFC 4959 §3).
pub fn decode_initial(text: &[u8]) -> Result<Vec<u8>, Error> {
    if text == b"=" {
        Ok(Vec::new())
    } else {
        decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_base64_is_decoded() {
        // RFC 4648 §10, and what lenient decoders take.
        let cases: [(&[u8], Option<&[u8]>); 12] = [
            (b"", Some(b"")),
            (b"Zg==", Some(b"f")),
            (b"Zm8=", Some(b"fo")),
            (b"Zm9v", Some(b"foo")),
            (b"Zg", None),
            (b"Zg=", None),
            (b"Zh==", None),
            (b"=", None),
            (b"Zm9v\r\n", None),
            (b"Zm 9v", None),
            (b"Zm9-", None),
            (b"Zg==Zg==", None),
        ];
        for (text, octets) in cases {
            assert_eq!(decode(text).ok().as_deref(), octets, "{text:?}");
        }
        assert_eq!(decode_initial(b"="), Ok(Vec::new()));
        assert_eq!(encode(b"fo"), "Zm8=");
    }
}
