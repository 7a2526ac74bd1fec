//! Attacks on readers of mail, each named: cost stays linear, stacks stay flat, what is ambiguous is said.

use std::time::{Duration, Instant};

use waxwing_mime::{
    AddressList, DateTime, DefectKind, Index, Kind, MAX_DEPTH, MAX_FIELDS, MAX_PARTS, Message,
    Name, Part, decode, encoded_word, imap,
};

/// Reads all there is to read, on a stack of 256 KiB: nothing may recurse with the input.
fn read_all(raw: Vec<u8>) -> Vec<DefectKind> {
    let reader = move || {
        let message = Message::parse(&raw);
        for part in message.parts() {
            read_part(part);
        }
        let index = message.index();
        assert_eq!(Index::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
        let _ = (
            imap::envelope(&index, &raw),
            imap::body(&index, &raw),
            imap::bodystructure(&index, &raw),
            message.body_lists(),
            message.preview(),
        );
        message.defects().iter().map(|defect| defect.kind).collect()
    };
    std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(reader)
        .unwrap()
        .join()
        .unwrap()
}

fn read_part(part: Part) {
    for field in part.fields() {
        let _ = (field.text(), field.ids());
        if field.id() != Name::Other {
            let _ = (
                field.addresses().mailboxes().count(),
                field.date(),
                field.received(),
            );
        }
    }
    let _ = (
        part.file_name(),
        part.disposition().is_some(),
        part.content_id(),
        part.list(),
    );
    if part.kind() == Kind::Leaf && part.is_text() {
        let _ = part.text();
    } else if part.kind() == Kind::Leaf {
        let _ = part.decoded();
    }
}

/// Eight times the size may take twenty times as long, and no more; short times are not told apart.
fn assert_linear(name: &str, make: impl Fn(usize) -> Vec<u8>) {
    let mut last = (Duration::ZERO, Duration::ZERO);
    // What other programs do on the machine must not count: the best of some tries.
    for _ in 0..6 {
        last = (time(make(32 << 10)), time(make(256 << 10)));
        if last.1 < last.0 * 20 + Duration::from_millis(60) {
            return;
        }
    }
    panic!("{name}: {:?} then {:?}", last.0, last.1);
}

fn time(raw: Vec<u8>) -> Duration {
    let start = Instant::now();
    read_all(raw);
    start.elapsed()
}

fn filled(head: &str, unit: &str, tail: &str, size: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    while out.len() < size {
        out.extend_from_slice(unit.as_bytes());
    }
    out.extend_from_slice(tail.as_bytes());
    out
}

#[test]
fn a14_header_and_address_bombs() {
    assert_linear("many To fields", |size| {
        filled("", "To: a@b.example\r\n", "\r\n", size)
    });
    assert_linear("one To", |size| {
        filled(
            "To: x@y.example",
            ",\r\n a b <c@d.example>",
            "\r\n\r\n",
            size,
        )
    });
    assert_linear("one long header", |size| {
        filled("Subject: ", "aaaaaaaaaaaaaaaa", "\r\n\r\n", size)
    });
    assert_linear("folded lines", |size| {
        filled("X: a", "\r\n x", "\r\n\r\n", size)
    });
    assert_linear("nested groups", |size| {
        filled("To: ", "a:", ";\r\n\r\n", size)
    });
    assert_linear("quotes", |size| filled("To: ", "\"a <b ", "\r\n\r\n", size));
    assert_linear("words", |size| filled("To: ", "a ", "\r\n\r\n", size));
    assert_linear("lines that are no fields", |size| {
        filled("A: b\r\n", "no field\r\n", "\r\n", size)
    });
    let many = filled("", "X: y\r\n", "\r\n", 10 * MAX_FIELDS);
    assert!(read_all(many).contains(&DefectKind::TooManyFields));
    let list = AddressList::parse(&filled("x@y.example", ",a b <c@d.example>", "", 20_000_000));
    assert!(list.mailboxes().count() > 1_000_000);
}

#[test]
fn a15_nesting_and_part_bombs() {
    let nested = |size: usize| {
        let mut out = String::new();
        let mut n = 0;
        while out.len() < size {
            out += &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
            n += 1;
        }
        out.into_bytes()
    };
    assert_linear("nested multiparts", nested);
    assert_linear("one boundary", |size| {
        filled(
            "",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
            "",
            size,
        )
    });
    assert_linear("nested messages", |size| {
        filled("", "Content-Type: message/rfc822\r\n\r\n", "", size)
    });
    assert_linear("empty parts", |size| {
        filled(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
            "--b\r\n\r\n",
            "",
            size,
        )
    });
    assert_linear("near delimiters", |size| {
        let mut head = String::new();
        for n in 0..60 {
            head += &format!(
                "Content-Type: multipart/mixed; boundary=bbbbbbbbbbbbbbbbbbbb{n}\r\n\r\n--bbbbbbbbbbbbbbbbbbbb{n}\r\n"
            );
        }
        filled(&(head + "\r\n"), "--bbbbbbbbbbbbbbbbbbbb99\r\n", "", size)
    });
    let deep = nested(400_000);
    let message = Message::parse(&deep);
    assert!(message.parts().len() <= MAX_DEPTH + 1);
    assert!(
        message
            .defects()
            .iter()
            .any(|defect| defect.kind == DefectKind::TooDeep)
    );
    // What is not opened is still there.
    assert_eq!(message.parts().last().unwrap().body_range().end, deep.len());

    let unit = format!("--b\r\n\r\n{}\r\n", "x".repeat(70));
    let many = filled(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        &unit,
        "--b--\r\n",
        8_000_000,
    );
    let message = Message::parse(&many);
    assert_eq!(message.parts().len(), MAX_PARTS);
    assert!(
        message
            .defects()
            .iter()
            .any(|defect| defect.kind == DefectKind::TooManyParts)
    );

    // The index is a tree: children come after their parent and lie within it.
    let index = message.index();
    for (id, part) in index.parts().iter().enumerate() {
        assert!(part.parent().is_none_or(|parent| (parent as usize) < id));
        assert!(
            part.body_range().start <= part.body_range().end && part.body_range().end <= many.len()
        );
    }
    for size in [3_000, 30_000, 300_000, 3_000_000] {
        let raw = filled(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
            "--b\r\n\r\n",
            "",
            size,
        );
        let structure = imap::bodystructure(&Index::parse(&raw), &raw);
        assert!(
            structure.len() <= 2 * raw.len() + 10_000,
            "{} of {}",
            structure.len(),
            raw.len()
        );
    }
}

#[test]
fn a15_odd_boundaries() {
    for boundary in [
        "\"\"",
        "\" \"",
        &"x".repeat(10_000),
        "a",
        "\"a b\"",
        "--",
        "\"\\\"\"",
    ] {
        let raw = format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{0}\r\n\r\none\r\n--{0}--\r\n",
            boundary.trim_matches('"')
        );
        read_all(raw.into_bytes());
    }
}

#[test]
fn a16_parameter_bombs() {
    let numbered = |unit: &'static str| {
        move |size: usize| {
            let mut out = String::from("Content-Type: text/plain; a=b");
            let mut n = 0;
            while out.len() < size {
                out += &unit.replace('#', &n.to_string());
                n += 1;
            }
            (out + "\r\n\r\n").into_bytes()
        }
    };
    assert_linear("parameters", numbered(";\r\n p#=v"));
    assert_linear("segments", numbered(";\r\n filename*#*=%41"));
    assert_linear("one segment", numbered(";\r\n filename*0*=%41"));
    assert_linear("words in a subject", |size| {
        filled("Subject:", " =?utf-8?q?=C3?=\r\n", "\r\n", size)
    });
    assert_linear("one word", |size| {
        filled("Subject: =?utf-8?q?", "=C3=A9", "?=\r\n\r\n", size)
    });
    assert_linear("beginnings of words", |size| {
        filled("Subject: ", "=?utf-8?q?", "\r\n\r\n", size)
    });
    assert_linear("many charsets", |size| {
        filled(
            "Subject: ",
            "=?utf-8?q?a?= =?iso-8859-1?q?b?= ",
            "\r\n\r\n",
            size,
        )
    });
    let raw = numbered(";\r\n filename*#=x")(1_000_000);
    let message = Message::parse(&raw);
    assert!(message.root().param("filename").unwrap().len() <= 100);
    assert!(message.root().params().all().len() <= 64);
    let gap = b"Content-Disposition: attachment; filename*0=a; filename*2=c; filename*0=x\r\n\r\n";
    assert_eq!(Message::parse(gap).root().file_name().as_deref(), Some("a"));
    let late = b"Content-Disposition: attachment; filename*1=a; filename=b\r\n\r\n";
    assert_eq!(
        Message::parse(late).root().file_name().as_deref(),
        Some("b")
    );
}

#[test]
fn a17_comments_and_quotes() {
    for unit in [
        "(", "((((((((", "(\\", "(\")", "\"\\", "<", "=?", ":", "a@", "\\",
    ] {
        for name in [
            "To",
            "Date",
            "Content-Type",
            "Content-Transfer-Encoding",
            "Message-ID",
            "Received",
            "Content-Disposition",
        ] {
            assert_linear(unit, |size| {
                filled(&format!("{name}: "), unit, "\r\n\r\n", size / 4)
            });
        }
    }
    for value in [
        "(\\",
        "\"\\",
        "(",
        "\"",
        "<",
        "<\"",
        "<(\\",
        "a@[",
        "=?utf-8?q?",
        "\\",
        ":",
        ";",
        "@",
        "<@:",
        "a:b:c:;",
    ] {
        read_all(format!("To: {value}").into_bytes());
        read_all(format!("To: {value}\r\n\r\n").into_bytes());
        let _ = (
            DateTime::parse(value.as_bytes()),
            encoded_word::text(value.as_bytes()),
        );
    }
}

#[test]
fn a18_decoding_bombs() {
    let body = |encoding: &str, unit: &'static str| {
        let head = format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        move |size: usize| filled(&head, unit, "", size)
    };
    assert_linear("soft line breaks", body("quoted-printable", "=\r\n"));
    assert_linear("blanks", body("quoted-printable", " =\r\n"));
    assert_linear(
        "trailing blanks",
        body("quoted-printable", "                "),
    );
    assert_linear("equals", body("quoted-printable", "="));
    assert_linear("junk", body("base64", "*********A"));
    assert_linear("one symbol a line", body("base64", "A\r\n"));
    assert_linear("padding", body("base64", "A="));
    assert_linear(
        "uuencode",
        body("x-uuencode", "begin 644 a\r\nM\r\nend\r\n"),
    );
    for charset in [
        "utf-7",
        "utf-16",
        "utf-16be",
        "iso-2022-jp",
        "iso-2022-kr",
        "hz-gb-2312",
        "gb18030",
        "big5",
        "x-unknown",
        "replacement",
    ] {
        for unit in [
            "+AGE",
            "\u{1b}$B\u{1b}(B",
            "\u{1b}$)C\u{e}a\u{f}",
            "~{~}",
            "\u{0}",
            "\u{80}",
            "é",
        ] {
            assert_linear(charset, |size| {
                filled(
                    &format!("Content-Type: text/plain; charset={charset}\r\n\r\n"),
                    unit,
                    "x",
                    size / 8,
                )
            });
        }
    }
    // Output is never more than three octets for each of input, for text, and no more than input for bytes.
    for raw in [&b"=C3=A9=\r\n"[..], b"QUJD", b"\xff\xfe\xfd", b"=E2=82"] {
        for decode in [decode::base64, decode::quoted_printable, decode::uuencode] {
            let mut out = Vec::new();
            decode(raw, &mut out);
            assert!(out.len() <= raw.len());
        }
    }
    // Previews read no more than the beginning.
    let raw = body("quoted-printable", "word =\r\n")(50_000_000);
    let message = Message::parse(&raw);
    let start = Instant::now();
    assert!(message.preview().len() <= 1024);
    assert!(start.elapsed() < Duration::from_millis(500));
}

#[test]
fn a56_what_is_ambiguous_is_said() {
    let kinds = |raw: &str| {
        Message::parse(raw.as_bytes())
            .defects()
            .iter()
            .map(|defect| defect.kind)
            .collect::<Vec<_>>()
    };
    let multipart =
        |inside: &str| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{inside}");
    for (raw, kind) in [
        (
            "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n".to_string(),
            DefectKind::DuplicateField,
        ),
        (
            "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\n".into(),
            DefectKind::DuplicateField,
        ),
        (
            "Content-Transfer-Encoding: base64 \r\n\r\n".into(),
            DefectKind::EncodingInvalid,
        ),
        (
            "Content-Transfer-Encoding: (c)base64\r\n\r\n".into(),
            DefectKind::EncodingInvalid,
        ),
        (
            "Content-Transfer-Encoding: rot13\r\n\r\n".into(),
            DefectKind::EncodingUnknown,
        ),
        (
            "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\n--a--\r\n"
                .into(),
            DefectKind::ParameterDuplicate,
        ),
        (multipart("--b\r\n\r\nno end"), DefectKind::NotClosed),
        (
            multipart("--b\r\n\r\n--b-- text\r\n"),
            DefectKind::TextAfterDelimiter,
        ),
        (multipart("no parts"), DefectKind::NoParts),
        (
            "Content-Type: multipart/mixed\r\n\r\n".into(),
            DefectKind::BoundaryMissing,
        ),
        (
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n".into(),
            DefectKind::EncodedMessage,
        ),
        (
            multipart(
                "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n",
            ),
            DefectKind::BoundaryRepeated,
        ),
        (
            "From: a@b.example\r\nFrom: c@d.example\r\n\r\n".into(),
            DefectKind::DuplicateField,
        ),
    ] {
        let found = kinds(&raw);
        assert!(
            found.contains(&kind) && kind.is_ambiguous(),
            "{raw:?}: {found:?}"
        );
    }
    // Truncated base64 and text after its end show when the body is read, and in what lint says.
    for body in ["QUJDR", "QUJD=*QUJD", "QUJDRA"] {
        let raw = format!("Content-Transfer-Encoding: base64\r\n\r\n{body}");
        let message = Message::parse(raw.as_bytes());
        assert!(!message.root().decoded().1, "{body}");
        assert!(
            waxwing_mime::lint(&message)
                .iter()
                .any(|defect| defect.kind == DefectKind::BodyDamaged)
        );
    }
    let clean = multipart("--b\r\n\r\none\r\n--b--\r\n");
    assert_eq!(kinds(&clean), []);
}
