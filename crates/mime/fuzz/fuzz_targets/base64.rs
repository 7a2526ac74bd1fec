//! Base64, uuencode, charsets, UTF-7.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{charset, decode};

fuzz_target!(|raw: &[u8]| {
    let mut out = Vec::new();
    decode::base64(raw, &mut out);
    assert!(out.len() <= raw.len());
    out.clear();
    decode::uuencode(raw, &mut out);
    assert!(out.len() <= raw.len());
    let Some((label, bytes)) = raw.split_first() else { return };
    const LABELS: [&str; 16] = [
        "utf-7", "utf-8", "utf-16", "utf-16be", "iso-2022-jp", "iso-2022-kr", "hz-gb-2312", "gb18030", "big5", "euc-kr", "shift_jis", "koi8-r",
        "us-ascii", "x-none", "windows-1252", "euc-jp",
    ];
    let mut text = String::new();
    charset::decode_into(bytes, Some(LABELS[usize::from(*label) % 16].as_bytes()), &mut text);
    assert!(text.len() <= bytes.len() * 3 + 3);
});
