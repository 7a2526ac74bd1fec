//! Round trips: what is built is read back, what is stored is the same again, and no bytes whatever stop a reader.

mod shared;

use proptest::prelude::*;
use waxwing_mime::write::build::{Builder, PartBuilder, Transport};
use waxwing_mime::write::{edit, header};
use waxwing_mime::{
    AddressList, DateTime, Index, Message, Name, Params, PushParser, Received, decode,
    encoded_word, ids, imap, lint,
};

/// Text of a line: no controls, as they become blanks; not blank at its ends, as those are no text of a field.
fn line() -> impl Strategy<Value = String> {
    "[ -~äßéЖ日本語😀]{0,120}".prop_map(|text| text.trim().to_string())
}

fn body() -> impl Strategy<Value = String> {
    "([ -~äЖ日😀]{0,200}\r\n){0,8}"
}

fn address() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9.+_-]{0,20}[a-z0-9])?@[a-z0-9]{1,20}\\.example"
        .prop_map(|a| a.replace("..", "."))
}

fn names_squeezed(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn built_messages_are_read_back(
        subject in line(), people in proptest::collection::vec((line(), address()), 1..6), text in body(), html in body(),
        name in line(), data in proptest::collection::vec(any::<u8>(), 0..300), transport in 0..3usize, stamp in 0..4_000_000_000i64,
    ) {
        let transport = [Transport::SevenBit, Transport::EightBit, Transport::Binary][transport];
        let date = DateTime::from_timestamp(stamp, -90);
        let mut builder = Builder::new().subject(&subject).date(date).message_id("x@y.example").text(text.clone()).html(html.clone());
        for (name, address) in &people {
            builder = builder.to(name, address);
        }
        let raw = builder
            .attach(PartBuilder::bytes("application/x-data", data.clone()).attachment(&name))
            .transport(transport)
            .to_vec();
        if transport == Transport::SevenBit {
            prop_assert!(raw.is_ascii());
        }
        let message = Message::parse(&raw);
        prop_assert_eq!(message.defects(), &[]);
        let root = message.root();
        prop_assert_eq!(root.subject().unwrap(), subject);
        prop_assert_eq!(root.date(), Some(date));
        prop_assert_eq!(root.message_id(), Some("x@y.example".to_string()));
        let found: Vec<_> = root.addresses(Name::To).mailboxes().map(|m| (names_squeezed(m.name.unwrap_or_default()), m.address.to_string())).collect();
        let given: Vec<_> = people.iter().map(|(name, address)| (names_squeezed(name), address.clone())).collect();
        prop_assert_eq!(found, given);
        let lists = message.body_lists();
        prop_assert_eq!(lists.text[0].text(), (text, true));
        prop_assert_eq!(lists.html[0].text(), (html, true));
        let file = lists.attachments[0];
        prop_assert_eq!(file.decoded().0.into_owned(), data.clone());
        prop_assert_eq!(file.file_name().unwrap_or_default(), name);
        // Equal input, equal output; and the same again for a hop that takes 7 bits.
        if let Ok(seven) = edit::to_seven_bit(&raw) {
            prop_assert!(seven.is_ascii());
            let seven = Message::parse(&seven);
            prop_assert_eq!(seven.part(seven.parts().len() as u32 - 1).unwrap().decoded().0.into_owned(), data.clone());
        }
    }

    #[test]
    fn fields_are_read_back(value in line(), blanks in " {0,3}") {
        let value = value.replace(' ', &format!(" {blanks}"));
        let field = header::text("X-Any", &value);
        prop_assert!(field.is_ascii() && field.split("\r\n").all(|line| line.len() <= 78));
        prop_assert_eq!(encoded_word::text(field.strip_prefix("X-Any:").unwrap().as_bytes()), value.as_str());
        let typed = header::with_params("Content-Type", "a/b", [("name", value.as_str())]);
        let raw = typed + "\r\n";
        prop_assert_eq!(Message::parse(raw.as_bytes()).root().param("name"), Some(value));
    }

    #[test]
    fn any_bytes_are_read(raw in mail_like(), cut in 0..2000usize) {
        read_everything(&raw, cut);
    }

    #[test]
    fn any_index_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..400usize, value in any::<u8>()) {
        let _ = Index::from_bytes(&bytes);
        let mut stored = Index::parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n--b--").to_bytes();
        if let Some(byte) = stored.get_mut(at) {
            *byte = value;
        }
        if let Ok(index) = Index::from_bytes(&stored) {
            let _ = (index.section(&[1], waxwing_mime::Section::Whole), index.section(&[2, 1], waxwing_mime::Section::Whole));
            let _ = imap::bodystructure(&index, b"short");
        }
    }
}

/// Bytes with what has a meaning in messages.
fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => any::<u8>().prop_map(|b| vec![b]),
        6 => proptest::sample::select(vec![
            "\r\n", "\n", "\r\n\r\n", "--b", "--b\r\n", "--b--\r\n", "--", "Content-Type: ", "multipart/mixed; boundary=b", "multipart/digest; boundary=b;",
            "message/rfc822", "text/plain; charset=", "utf-7", "iso-2022-jp", "Content-Transfer-Encoding: ", "base64", "quoted-printable", "x-uuencode",
            "=?utf-8?q?", "=C3=A9", "?=", "=\r\n", " ", "\t", "(", ")", "\"", "\\", "<", ">", "@", ",", ";", ":", "filename*0*=utf-8''%C3", "name=", "To: a@b",
            "Date: Fri, 21 Nov 1997 09:55:06 -0600", "Received: from a by b; ", "begin 644 a\r\n", "end\r\n", "From ", "QUJD", "\u{e9}", "x: y\r\n",
        ]).prop_map(|s| s.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

fn read_everything(raw: &[u8], cut: usize) {
    let message = Message::parse(raw);
    let index = message.index();
    assert_eq!(Index::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
    let mut push = PushParser::new();
    let (head, tail) = raw.split_at(cut.min(raw.len()));
    push.feed(head);
    push.feed(tail);
    assert_eq!(push.finish().0, index);
    for part in message.parts() {
        for field in part.fields() {
            assert!(field.range().end <= raw.len());
            let _ = (
                field.text(),
                field.addresses().mailboxes().count(),
                field.date(),
                field.ids(),
                field.received(),
            );
            let (_, _, params) = field.with_params();
            check_params(&params);
        }
        let _ = (
            part.decoded(),
            part.text(),
            part.file_name()
                .map(|name| waxwing_mime::file_name::safe(&name)),
            part.list(),
        );
        assert!(part.raw_body().len() <= raw.len());
    }
    let _ = (
        imap::envelope(&index, raw),
        imap::body(&index, raw),
        imap::bodystructure(&index, raw),
    );
    let _ = (
        message.preview(),
        message.body_lists(),
        lint(&message),
        waxwing_mime::report::DeliveryStatus::of(&message),
    );
    // Edits leave the rest alone.
    let with = edit::insert_top(raw, b"X-Waxwing-New: 1");
    assert_eq!(with.len(), raw.len() + "X-Waxwing-New: 1\r\n".len());
    assert_eq!(edit::remove_fields(raw, |_| false), raw);
    let _ = edit::to_seven_bit(raw);
}

fn check_params(params: &Params) {
    let mut scratch = String::new();
    params.each(&mut scratch, |_, _| ());
    for (name, value) in params.all() {
        assert_eq!(params.value(&name).as_ref(), Some(&value));
    }
}

/// Parse and write is the identity: what parts and fields cover, put together again, is the message.
#[test]
fn corpora_are_covered_without_a_gap() {
    for (name, raw) in shared::all_messages() {
        let message = Message::parse(&raw);
        for part in message.parts() {
            let mut at = part.header_range().start;
            for field in part.fields() {
                assert!(field.range().start >= at, "{name}");
                at = field.range().end;
            }
            assert!(at <= part.header_range().end, "{name}");
            let range = part.range();
            assert_eq!(
                [part.raw_header(), part.raw_body()].concat(),
                raw[range.clone()],
                "{name}"
            );
            if let Some(same) = edit::replace_part(&raw, part.id(), part.raw()) {
                assert_eq!(same, raw, "{name}");
            }
        }
        assert_eq!(message.root().range(), 0..raw.len(), "{name}");
        assert_eq!(edit::remove_fields(&raw, |_| false), raw, "{name}");
        assert_eq!(
            edit::remove_fields(&edit::insert_top(&raw, b"X-Waxwing-New: 1"), |f| f
                .is("X-Waxwing-New")),
            raw,
            "{name}"
        );
    }
}

/// Values by themselves: no bytes stop a reader.
#[test]
fn values_of_any_bytes() {
    for a in 0..=255u8 {
        for b in [0, b'"', b'(', b'\\', b'<', b'=', b'@', b',', 0x80, 0xff] {
            for c in [b':', b';', b'>', b')', b'?', b'\n', b'%', 0x1b] {
                let value = [a, b, c, a, b];
                let _ = (
                    AddressList::parse(&value),
                    DateTime::parse(&value),
                    encoded_word::text(&value),
                    Received::parse(&value),
                    ids::all(&value).count(),
                );
                let mut out = Vec::new();
                let _ = (
                    decode::base64(&value, &mut out),
                    decode::quoted_printable(&value, &mut out),
                    decode::uuencode(&value, &mut out),
                );
            }
        }
    }
}
