//! Fields of a header and all their readings; selections.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{header, write::edit};

fuzz_target!(|raw: &[u8]| {
    for field in header::fields(raw, 0..raw.len()) {
        assert!(field.range().end <= raw.len() && field.value_range().end <= field.range().end);
        let _ = (field.text(), field.ids(), field.received(), field.with_params().2.all(), field.addresses());
    }
    let _ = (header::select(raw, &["to", "x"]), header::select_not(raw, &["to"]));
    assert_eq!(edit::remove_fields(raw, |_| false), raw);
    let _ = edit::to_seven_bit(raw);
});
