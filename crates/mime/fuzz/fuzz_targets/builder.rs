//! What is built is read back.
#![no_main]
use libfuzzer_sys::fuzz_target;
use waxwing_mime::{Message, write::build::{Builder, PartBuilder, Transport}};

fuzz_target!(|input: (String, String, String, Vec<u8>, String, u8)| {
    let (subject, name, text, data, file, way) = input;
    let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let (subject, file) = (clean(&subject).trim().to_string(), file.chars().filter(|c| !c.is_control()).collect::<String>());
    let transport = [Transport::SevenBit, Transport::EightBit, Transport::Binary][usize::from(way) % 3];
    let raw = Builder::new()
        .subject(&subject)
        .from(&name, "a@b.example")
        .text(text)
        .attach(PartBuilder::bytes("application/x-data", data.clone()).attachment(&file))
        .attach(PartBuilder::bytes("text/x-data", data.clone()))
        .transport(transport)
        .to_vec();
    let message = Message::parse(&raw);
    assert_eq!(message.defects(), &[]);
    assert_eq!(message.root().subject().unwrap_or_default(), subject);
    assert_eq!(message.part(2).unwrap().decoded().0.as_ref(), data.as_slice());
    assert_eq!(message.part(2).unwrap().file_name().unwrap_or_default().trim(), file.trim());
    assert_eq!(message.part(3).unwrap().decoded().0.as_ref(), data.as_slice());
});
