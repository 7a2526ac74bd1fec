//! The push parser gives the same index, however the message is cut: the first octets say where.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{Index, PushParser};

fuzz_target!(|data: &[u8]| {
    let Some((cuts, raw)) = data.split_at_checked(4) else { return };
    let mut push = PushParser::new();
    let mut rest = raw;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(rest.len().min(usize::from(*cut) + 1));
        push.feed(piece);
        rest = tail;
    }
    assert_eq!(push.finish().0, Index::parse(raw));
});
