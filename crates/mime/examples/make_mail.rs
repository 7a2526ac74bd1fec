//! Writes messages of all kinds that the builder makes, and beside them what they hold, so that other programs can be asked to
//! read them: `cargo run -p waxwing-mime --example make_mail OUT [COUNT]`. `OUT.jsonl` has a JSON object for each message:
//! file, subject, from and to (pairs of name and address), date (seconds), id, and parts (kind, name, text, and size and CRC-32
//! of the decoded octets of the leaves in order).

use std::io::Write;

use serde_json::{Value, json};
use waxwing_mime::write::build::{Builder, PartBuilder, Transport};
use waxwing_mime::{DateTime, Kind, Message};

/// Numbers that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn words(&mut self, most: usize) -> String {
        const WORDS: [&str; 24] = [
            "the",
            "Grüße",
            "report",
            "Ελλάδα",
            "for",
            "Привет",
            "мир",
            "日本語",
            "件名",
            "café",
            "a",
            "(draft)",
            "\"quoted\"",
            "100%",
            "Ångström",
            "x_y=z",
            "é",
            "€5",
            "end.",
            "naïve?",
            "😀",
            "comma,",
            "semi;colon",
            "back\\slash",
        ];
        (0..self.below(most) + 1)
            .map(|_| WORDS[self.below(WORDS.len())])
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(out) = arguments.next() else {
        println!("make_mail OUT [COUNT]");
        return Ok(());
    };
    let count = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(500);
    std::fs::create_dir_all(&out)?;
    let mut truth = std::fs::File::create(format!("{out}.jsonl"))?;
    let mut numbers = Numbers(7);
    for n in 0..count {
        let (subject, name) = (numbers.words(12), numbers.words(4));
        let date = 1_700_000_000 + n as i64 * 977;
        let to: Vec<(String, String)> = (0..numbers.below(8) + 1)
            .map(|n| (numbers.words(5), format!("to{n}@example.net")))
            .collect();
        let raw = message(&mut numbers, &subject, &name, &to, date, n);
        let file = format!("{n:04}.eml");
        std::fs::write(format!("{out}/{file}"), &raw)?;
        let message = Message::parse(&raw);
        let parts: Vec<Value> = message
            .parts()
            .filter(|part| part.kind() != Kind::Multipart)
            .map(describe)
            .collect();
        let row = json!({ "file": file, "subject": subject, "from": [[name, "someone@example.org"]], "to": to,
            "date": date, "id": format!("<{n}@example.org>"), "parts": parts });
        writeln!(truth, "{row}")?;
    }
    Ok(())
}

fn describe(part: waxwing_mime::Part) -> Value {
    let (kind, subtype) = part.media_type();
    let text = part.is_text().then(|| part.text().0);
    let octets = part.decoded().0;
    json!({ "kind": format!("{kind}/{subtype}"), "name": part.file_name(), "text": text, "bytes": octets.len(),
        "crc": crc32(&octets) })
}

/// CRC-32 as zip and Python's zlib have it; octet by octet is quick enough here.
fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0u32, |crc, &octet| {
        (0..8).fold(crc ^ u32::from(octet), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn message(
    numbers: &mut Numbers,
    subject: &str,
    name: &str,
    to: &[(String, String)],
    date: i64,
    n: usize,
) -> Vec<u8> {
    let text = (0..numbers.below(20))
        .map(|_| numbers.words(14) + "\n")
        .collect::<String>();
    let html = format!("<p>{}</p>\n", numbers.words(200));
    let file = numbers.words(5) + ".bin";
    let data: Vec<u8> = (0..numbers.below(3000))
        .map(|_| numbers.below(256) as u8)
        .collect();
    let mut builder = Builder::new()
        .from(name, "someone@example.org")
        .subject(subject)
        .date(DateTime::from_timestamp(date, 60))
        .message_id(&format!("{n}@example.org"))
        .transport([Transport::SevenBit, Transport::EightBit][n % 2]);
    for (name, address) in to {
        builder = builder.to(name, address);
    }
    match numbers.below(6) {
        0 => builder.text(text),
        1 => builder.text(text).html(html),
        2 => builder.html(html).inline(
            PartBuilder::bytes("image/png", data)
                .file_name(&file)
                .inline("picture@example.org"),
        ),
        3 => builder
            .text(text)
            .attach(PartBuilder::bytes("application/octet-stream", data).attachment(&file)),
        4 => builder.text(text).attach(
            PartBuilder::stream("audio/mpeg", std::io::Cursor::new(data)).attachment(&file),
        ),
        _ => {
            let inner = Builder::new()
                .from("", "inner@example.org")
                .subject(&numbers.words(6))
                .text(text.clone())
                .to_vec();
            builder.text(text).attach(PartBuilder::message(inner))
        }
    }
    .to_vec()
}
