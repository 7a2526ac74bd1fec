//! Bytes of mail protocols: framing with limits, the parsing cursor, output, SASL.
#![forbid(unsafe_code)]
