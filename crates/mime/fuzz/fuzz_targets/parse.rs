//! Everything of a message is read; the stored index is the same again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{Index, Message, html, imap, lint, report, tnef};

fuzz_target!(|raw: &[u8]| {
    let message = Message::parse(raw);
    let index = message.index();
    assert_eq!(Index::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
    for part in message.parts() {
        let (bytes, _) = part.decoded();
        assert!(bytes.len() <= part.raw_body().len());
        let (text, _) = part.text();
        if part.is("text", "html") {
            let _ = (html::to_text(&text, 80), html::sanitise(&text, html::Remote::Blocked));
        }
        let _ = (part.file_name(), part.list(), tnef::parse(&bytes));
    }
    let _ = (imap::envelope(&index, raw), imap::body(&index, raw), imap::bodystructure(&index, raw));
    let _ = (lint(&message), message.body_lists(), message.preview());
    let _ = (report::DeliveryStatus::of(&message), report::Disposition::of(&message), report::Feedback::of(&message));
});
