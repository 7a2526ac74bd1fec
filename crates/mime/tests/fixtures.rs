//! Messages of our own with what has to be found in them: `tests/fixtures/NAME.eml` and `NAME.expect`. Names begin with the class
//! of disagreement between parsers that they decide (docs/hard-cases.md). `WAXWING_WRITE_EXPECT=1` writes the expectations anew,
//! to be read before they are committed.

mod shared;

use std::fmt::Write;
use std::path::Path;

use waxwing_mime::{Entry, Kind, Message, Name, Part};

fn describe(raw: &[u8]) -> String {
    let message = Message::parse(raw);
    let mut out = String::new();
    for part in message.parts() {
        describe_part(part, &mut out);
    }
    for defect in message.defects() {
        let _ = writeln!(
            out,
            "defect {:?} {}..{}",
            defect.kind, defect.range.start, defect.range.end
        );
    }
    out
}

fn describe_part(part: Part, out: &mut String) {
    let (kind, subtype) = part.media_type();
    let depth = std::iter::successors(part.parent(), |part| part.parent()).count();
    let indent = "  ".repeat(depth);
    let _ = write!(
        out,
        "{indent}{kind}/{subtype} {:?} {}..{}",
        part.kind(),
        part.body_range().start,
        part.body_range().end
    );
    if let Some(name) = part.file_name() {
        let _ = write!(out, " name={name:?}");
    }
    out.push('\n');
    for field in part.fields() {
        match field.id() {
            Name::From | Name::To | Name::Cc => {
                for entry in field.addresses().entries() {
                    let _ = match entry {
                        Entry::Mailbox(m) => writeln!(
                            out,
                            "{indent}  {}: {:?} <{}>",
                            field.name_text(),
                            m.name.unwrap_or_default(),
                            m.address
                        ),
                        Entry::GroupStart(name) => {
                            writeln!(out, "{indent}  {}: group {name:?}", field.name_text())
                        }
                        Entry::GroupEnd => {
                            writeln!(out, "{indent}  {}: end of group", field.name_text())
                        }
                    };
                }
            }
            Name::Subject => {
                let _ = writeln!(out, "{indent}  Subject: {:?}", field.text());
            }
            _ => (),
        }
    }
    if part.kind() == Kind::Leaf {
        let (text, whole) = if part.is_text() {
            part.text()
        } else {
            (
                part.decoded().0.escape_ascii().to_string(),
                part.decoded().1,
            )
        };
        let _ = writeln!(
            out,
            "{indent}  {} {text:?}",
            if whole { "body" } else { "damaged" }
        );
    }
}

#[test]
fn fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let paths = shared::files(&folder, "eml");
    assert!(paths.len() >= 17, "a fixture for each class");
    let mut wrong = 0;
    for path in paths {
        let raw = std::fs::read(&path).unwrap();
        let found = describe(&raw);
        let expect = path.with_extension("expect");
        if std::env::var_os("WAXWING_WRITE_EXPECT").is_some() {
            std::fs::write(&expect, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expect).unwrap_or_default();
        if found != expected {
            println!(
                "{}\n--- found\n{found}--- expected\n{expected}",
                path.display()
            );
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0);
}
