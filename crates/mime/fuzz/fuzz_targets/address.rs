//! Address lists.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::AddressList;

fuzz_target!(|value: &[u8]| {
    let mut list = AddressList::parse(value);
    for mailbox in list.mailboxes() {
        let _ = (mailbox.local(), mailbox.domain());
    }
    list.clear();
    list.add_undecoded(value);
    assert!(list.entries().count() <= value.len() * 2 + 1);
});
