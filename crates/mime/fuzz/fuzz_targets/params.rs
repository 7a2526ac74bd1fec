//! Parameters in all forms of RFC 2231; what is encoded is read back.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{Message, write::header};

fuzz_target!(|value: &[u8]| {
    let raw = [b"Content-Type: a/b;", value, b"\r\n\r\n"].concat();
    let message = Message::parse(&raw);
    for (name, value) in message.root().params().all() {
        assert_eq!(message.root().param(&name).as_ref(), Some(&value));
        let clean: String = value.chars().filter(|c| !c.is_control()).collect();
        let field = header::with_params("Content-Type", "a/b", [("x", clean.as_str())]) + "\r\n";
        let again = Message::parse(field.as_bytes()).root().param("x");
        assert_eq!(again.as_deref().map(str::trim), Some(clean.trim()));
    }
});
