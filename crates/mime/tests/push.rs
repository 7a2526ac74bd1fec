//! The push parser gives the index of the whole parser, however the message is cut, and holds little.

mod shared;

use waxwing_mime::{Index, Message, PushParser};

fn pushed(pieces: &[&[u8]]) -> (Index, Vec<String>) {
    let mut push = PushParser::new();
    for piece in pieces {
        push.feed(piece);
    }
    let (index, defects) = push.finish();
    let defects = defects
        .iter()
        .map(|d| format!("{:?} {}", d.kind, d.range.start))
        .collect();
    (index, defects)
}

fn whole(raw: &[u8]) -> (Index, Vec<String>) {
    let message = Message::parse(raw);
    let defects = message
        .defects()
        .iter()
        .map(|d| format!("{:?} {}", d.kind, d.range.start))
        .collect();
    (message.index(), defects)
}

fn same_at_every_cut(name: &str, raw: &[u8]) {
    let expected = whole(raw);
    for cut in 0..=raw.len() {
        let (head, tail) = raw.split_at(cut);
        assert_eq!(pushed(&[head, tail]), expected, "{name} cut at {cut}");
    }
    let octets: Vec<&[u8]> = raw.chunks(1).collect();
    assert_eq!(pushed(&octets), expected, "{name} octet by octet");
    let pieces: Vec<&[u8]> = raw.chunks(97).collect();
    assert_eq!(pushed(&pieces), expected, "{name} in pieces of 97");
}

#[test]
fn own_messages_at_every_cut() {
    for path in shared::files(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
        "eml",
    ) {
        same_at_every_cut(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}

/// 200 messages of the corpora, those up to 6 KB at every cut, larger ones at some hundred.
#[test]
fn two_hundred_messages_at_every_cut() {
    let mut messages = shared::all_messages();
    messages.sort_by_key(|(_, raw)| raw.len());
    for (name, raw) in messages.iter().take(200) {
        same_at_every_cut(name, raw);
    }
    for (name, raw) in messages.iter().skip(200) {
        let expected = whole(raw);
        for n in 0..40 {
            let (head, tail) = raw.split_at(raw.len() * n / 40);
            assert_eq!(pushed(&[head, tail]), expected, "{name}");
        }
        let pieces: Vec<&[u8]> = raw.chunks(1013).collect();
        assert_eq!(pushed(&pieces), expected, "{name}");
    }
}

#[test]
fn bodies_are_not_held() {
    let mut push = PushParser::new();
    push.feed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n");
    let piece = b"some text that is a line of the body\r\n--no delimiter\r\n".repeat(100);
    let mut most = 0;
    for _ in 0..200 {
        push.feed(&piece);
        most = most.max(push.held());
    }
    let line = vec![b'x'; 10_000];
    for _ in 0..200 {
        push.feed(&line);
        most = most.max(push.held());
    }
    assert!(most < 64 * 1024, "{most}");
    push.feed(b"\r\n--b--\r\n");
    assert_eq!(push.finish().0.parts().len(), 2);
}
