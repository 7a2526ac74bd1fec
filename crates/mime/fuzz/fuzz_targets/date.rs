//! Dates; what is written is read back.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::DateTime;

fuzz_target!(|value: &[u8]| {
    if let Some(date) = DateTime::parse(value) {
        assert_eq!(DateTime::parse(date.to_string().as_bytes()).map(|date| date.timestamp()), Some(date.timestamp()));
    }
});
