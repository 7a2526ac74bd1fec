//! The session, driven by a small handler that says yes to everything.

mod attacks;
mod dialogs;
mod properties;

use super::{Config, Event, Limits, Session};
use crate::{AppendPart, Code, Command, NumberSet, Reply, Untagged};
use wire::sasl::Mechanism;

pub(super) fn config() -> Config {
    Config {
        greeting: "ready".to_owned(),
        tls: true,
        starttls: false,
        login_clear: false,
        mechanisms: vec![Mechanism::ScramSha256, Mechanism::Plain],
        mechanisms_clear: vec![],
        capabilities: Config::all_capabilities(),
        id: vec![("name".to_owned(), "Waxwing".to_owned())],
        quirks: crate::server::Quirks::default(),
        limits: Limits::default(),
    }
}

/// A connection in the clear with STARTTLS.
pub(super) fn clear() -> Config {
    Config {
        tls: false,
        starttls: true,
        ..config()
    }
}

pub(super) fn output(session: &mut Session) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = session.transmit() {
        all.extend_from_slice(&chunk);
    }
    assert_eq!(session.pending(), 0);
    String::from_utf8(all).unwrap()
}

/// Answers an event the way a server without any policy would, and tells it in one line.
pub(super) fn answer(session: &mut Session, event: Event) -> String {
    let told = format!("{event:?}");
    match event {
        Event::AppendStart { size, .. } => {
            if size == 13 {
                session.complete(Reply::no("unlucky").with(Code::OverQuota));
            } else {
                session.accept_literal();
            }
        }
        Event::Authenticate { initial: None, .. } => session.challenge(b"who?"),
        Event::SaslResponse(response) if response == b"more" => session.challenge(b""),
        Event::SaslAborted | Event::AppendAborted => {}
        Event::Command {
            command: Command::Idle,
            ..
        } => session.accept_idle(),
        Event::Command {
            command: Command::Search(search),
            ..
        } => {
            let found = crate::server::Found {
                numbers: &[2, 3, 4, 9],
                ..Default::default()
            };
            session.search_results(&search, &found);
            session.complete(Reply::ok("found"));
        }
        Event::Command {
            command: Command::Append(append),
            ..
        } => {
            let octets = |part: &AppendPart| match part {
                AppendPart::Text { octets, .. } => octets.len() as u32,
                AppendPart::Url(url) => url.len() as u32,
            };
            let uids: NumberSet = append
                .messages
                .iter()
                .map(|message| message.parts.iter().map(octets).sum())
                .collect();
            session.complete(Reply::ok("kept").with(Code::AppendUid {
                uid_validity: 1,
                uids,
            }));
        }
        Event::Command {
            command: Command::Noop,
            ..
        } => {
            session.untagged(&Untagged::Exists(3));
            session.untagged(&Untagged::Recent(0));
            session.complete(Reply::ok("done"));
        }
        _ => session.complete(Reply::ok("done")),
    }
    told
}

/// Feeds octets and answers all they lead to; the events told.
pub(super) fn feed(session: &mut Session, bytes: &[u8]) -> Vec<String> {
    session.receive(bytes);
    let mut events = Vec::new();
    while let Some(event) = session.poll() {
        events.push(answer(session, event));
    }
    events
}

/// A session after its greeting.
pub(super) fn fresh(config: Config) -> Session {
    let mut session = Session::new(config);
    assert!(output(&mut session).starts_with("* OK [CAPABILITY IMAP4rev1 "));
    session
}

/// A session logged in, or with a mailbox selected.
pub(super) fn logged_in(select: bool) -> Session {
    let mut session = fresh(config());
    feed(&mut session, b"l LOGIN u p\r\n");
    if select {
        feed(&mut session, b"s SELECT INBOX\r\n");
    }
    output(&mut session);
    session
}

/// What a session logged in (and selected) says to octets.
pub(super) fn says(bytes: &[u8]) -> String {
    let mut session = logged_in(true);
    feed(&mut session, bytes);
    output(&mut session)
}
