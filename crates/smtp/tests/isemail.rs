//! Addresses of the isemail tests, where they are at hand: what may come in an envelope and what may not.

use std::path::PathBuf;

use waxwing_smtp::address::Mailbox;

fn file() -> Option<PathBuf> {
    let shared = std::env::var_os("WAXWING_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    Some(shared.join("corpus/vectors/isemail/tests.xml")).filter(|file| file.is_file())
}

/// The text of the element `name` of a test.
fn element<'x>(test: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = test.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text)
}

/// U+2400+n stands for control character n.
fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let (entity, after) = behind.split_once(';').expect("entity");
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let digits = number.strip_prefix("#x").expect("hexadecimal");
                let code = u32::from_str_radix(digits, 16).expect("digits");
                char::from_u32(code).expect("character")
            }
        });
        rest = after;
    }
    out.push_str(rest);
    let control = |letter: char| match u32::from(letter) {
        code @ 0x2400..=0x241f => char::from_u32(code - 0x2400).unwrap_or(letter),
        _ => letter,
    };
    out.chars().map(control).collect()
}

#[test]
fn envelope_addresses() {
    let Some(file) = file() else {
        eprintln!("skipped: the isemail tests are not at hand");
        return;
    };
    let text = std::fs::read_to_string(file).expect("read");
    let (mut run, mut wrong) = (0, Vec::new());
    for test in text.split("<test id=").skip(1) {
        let address = decoded(element(test, "address").unwrap_or_default());
        let expected = match element(test, "category").expect("category") {
            "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" | "ISEMAIL_RFC5321" => true,
            "ISEMAIL_ERR" => false,
            // Comments, blanks and obsolete forms belong to headers.
            _ => continue,
        };
        run += 1;
        if Mailbox::parse(address.as_bytes(), true).is_ok() != expected {
            let diagnosis = element(test, "diagnosis").unwrap_or_default();
            wrong.push(format!("{address:?} ({diagnosis}) should be {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(run, 104);
}
