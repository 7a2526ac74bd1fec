//! Encoded words; what is encoded is read back.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{encoded_word, write::header};

fuzz_target!(|value: &[u8]| {
    let text = encoded_word::text(value).into_owned();
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let field = header::text("A", clean.trim());
    assert_eq!(encoded_word::text(field.as_bytes().strip_prefix(b"A:").unwrap()), clean.trim());
});
