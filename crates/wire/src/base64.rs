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
