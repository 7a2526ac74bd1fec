//! Quoted-printable; flowed text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{decode, flowed};

fuzz_target!(|raw: &[u8]| {
    let mut out = Vec::new();
    decode::quoted_printable(raw, &mut out);
    assert!(out.len() <= raw.len());
    if let Ok(text) = std::str::from_utf8(raw) {
        let _ = flowed::encode(&flowed::decode(text, raw.len() % 2 == 0));
    }
});
