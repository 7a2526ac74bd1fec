//! What a message in a file tells of itself, in words: which way it came, and what is wrong with it.

use std::path::Path;

use mime::Message;
use mime::received::Received;
use serde_json::{Value, json};

use super::super::{Context, Result, mime as message_file, show};

pub(super) fn run(file: &Path, context: &Context) -> Result<()> {
    let raw = message_file::read(file)?;
    let message = Message::parse(&raw);
    let defects = mime::lint(&message);
    if context.json {
        let hops: Vec<Value> = road(&message).iter().map(hop_json).collect();
        let defects: Vec<Value> = defects.iter().map(message_file::defect_json).collect();
        say!("{:#}", json!({ "hops": hops, "defects": defects }));
        return Ok(());
    }
    for hop in road(&message) {
        say!("{}", show::text(&Value::from(hop_words(&hop))));
    }
    for defect in &defects {
        say!("{defect}");
    }
    if defects.is_empty() {
        say!("Nothing is wrong with its form.");
    }
    Ok(())
}

/// The hops of a message, the first one first: each adds its field on top (RFC 5321 §4.4).
fn road(message: &Message) -> Vec<Received> {
    let fields = message.root().fields().filter(|field| field.is("Received"));
    let mut hops: Vec<Received> = fields.map(|field| field.received()).collect();
    hops.reverse();
    hops
}

fn hop_words(hop: &Received) -> String {
    let mut words = match hop.date {
        Some(date) => format!("{date}:"),
        None => "At a time that is not told:".to_owned(),
    };
    words.push_str(&format!(
        " {} took it",
        hop.by.as_deref().unwrap_or("somebody")
    ));
    if let Some(from) = &hop.from {
        words.push_str(&format!(" from {from}"));
    }
    if let Some(info) = &hop.from_info {
        words.push_str(&format!(" ({info})"));
    }
    if let Some(with) = &hop.with {
        words.push_str(&format!(" over {with}"));
    }
    if let Some(to) = &hop.r#for {
        words.push_str(&format!(" for {to}"));
    }
    words
}

fn hop_json(hop: &Received) -> Value {
    json!({
        "from": hop.from,
        "from_info": hop.from_info,
        "by": hop.by,
        "with": hop.with,
        "id": hop.id,
        "for": hop.r#for,
        "date": hop.date.map(|date| date.timestamp()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_road_begins_with_the_first_hop() {
        let raw = b"Received: from b.example (b.example [192.0.2.2]) by c.example with ESMTPS id 2 for <d@c.example>; \
            Fri, 21 Nov 1997 10:00:00 +0000\r\nReceived: by b.example; who knows\r\n\r\n";
        let words: Vec<String> = road(&Message::parse(raw)).iter().map(hop_words).collect();
        assert_eq!(
            words,
            [
                "At a time that is not told: b.example took it",
                "Fri, 21 Nov 1997 10:00:00 +0000: c.example took it from b.example (b.example [192.0.2.2]) over ESMTPS \
                 for d@c.example",
            ]
        );
    }
}
