//! The client's side of a connection: for fetching mail from elsewhere, and for tests.
//!
//! Commands are sent in any number ahead of their answers where the server announces PIPELINING; answers come in
//! order. After an error the connection is of no use any more and every call repeats it.
//!
//! Limits: [`MAX_LINE`] for lines; bodies are handed on in pieces as they arrive and never held.

use crate::command::{Command, Unsendable};
use std::collections::VecDeque;
use wire::base64;
use wire::dots::DotDecoder;
use wire::input::{Input, Line};
use wire::output::Output;
use wire::sasl;

/// The longest line accepted from a server. RFC 2449 §4 grants it 512 octets; challenges may be as long as their
/// mechanism needs (RFC 5034 §4).
pub const MAX_LINE: usize = sasl::LINE_LIMIT;

/// What the server said, in the order of the commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its first line.
    Greeting(Response),
    /// The first line of an answer. A positive one to a multi-line command is followed by [`Event::Body`] and
    /// [`Event::BodyEnd`].
    Response(Response),
    /// A challenge inside AUTH, decoded: answer with [`Session::respond`] or [`Session::cancel`].
    Challenge(Vec<u8>),
    /// Octets of a multi-line answer, dot stuffing removed.
    Body(Vec<u8>),
    /// The multi-line answer is complete.
    BodyEnd,
}

/// The first line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `+OK`, not `-ERR`.
    pub ok: bool,
    /// The response code without its brackets (RFC 2449 §8), as written.
    pub code: Option<String>,
    /// The rest of the line.
    pub text: String,
}

/// Why the connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither `+OK` nor `-ERR`, or an answer nobody asked for.
    #[error("not an answer of POP3")]
    NotPop3,
    /// A line over [`MAX_LINE`].
    #[error("the server's line is too long")]
    LineTooLong,
    /// A challenge that is not base64.
    #[error("the server's challenge is not base64")]
    Challenge,
    /// Octets between the answer to STLS and the handshake: somebody in between speaks for the server.
    #[error("the server's answer to STLS had more behind it")]
    Injected,
}

/// A command cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Its arguments cannot be written.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// Nothing may be sent behind STLS, AUTH and QUIT before their answer, nor before the handshake.
    #[error("the last command has to be answered first")]
    Order,
}

/// One connection, seen from the client.
#[derive(Debug)]
pub struct Session {
    input: Input,
    output: Output,
    expected: VecDeque<Expected>,
    state: State,
}

#[derive(Debug)]
enum State {
    Lines,
    Body(DotDecoder),
    /// A challenge waits for the program's response.
    Challenged,
    StartingTls,
    Failed(Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Greeting,
    SingleLine,
    MultiLine,
    Auth,
    Stls,
    Quit,
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// A session that waits for the greeting.
    pub fn new() -> Session {
        Session {
            input: Input::new(),
            output: Output::new(),
            expected: VecDeque::from([Expected::Greeting]),
            state: State::Lines,
        }
    }

    /// Queues a command.
    ///
    /// # Errors
    /// When it cannot be written, or must wait for an answer.
    pub fn send(&mut self, command: &Command) -> Result<(), SendError> {
        let last = self.expected.back();
        let blocked = matches!(last, Some(Expected::Auth | Expected::Stls | Expected::Quit));
        if blocked || matches!(self.state, State::StartingTls | State::Failed(_)) {
            return Err(SendError::Order);
        }
        let mut line = Vec::new();
        command.encode(&mut line)?;
        self.output.put_owned(line);
        self.expected.push_back(match command {
            Command::Auth { .. } => Expected::Auth,
            Command::Stls => Expected::Stls,
            Command::Quit => Expected::Quit,
            command if command.is_multi_line() => Expected::MultiLine,
            _ => Expected::SingleLine,
        });
        Ok(())
    }

    /// Answers a challenge.
    pub fn respond(&mut self, response: &[u8]) {
        self.sasl_line(&base64::encode(response));
    }

    /// Gives an exchange up; the server then refuses it (RFC 5034 §4).
    pub fn cancel(&mut self) {
        self.sasl_line("*");
    }

    /// Takes bytes from the server.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.state {
            State::StartingTls if !bytes.is_empty() => self.state = State::Failed(Error::Injected),
            State::Failed(_) => {}
            _ => self.input.receive(bytes),
        }
    }

    /// The next event; `None` when more input or a response to a challenge is needed.
    ///
    /// # Errors
    /// The server does not speak POP3, or somebody speaks for it.
    pub fn poll(&mut self) -> Result<Option<Event>, Error> {
        let event = match &mut self.state {
            State::Failed(error) => return Err(*error),
            State::StartingTls | State::Challenged => return Ok(None),
            State::Body(decoder) => {
                let mut body = Vec::new();
                let progress = decoder.feed(self.input.peek(), &mut body);
                match (progress.done, body.is_empty()) {
                    // Once done the decoder takes nothing more, and the end is told after the last octets.
                    (true, true) => {
                        self.input.consume(progress.consumed);
                        self.state = State::Lines;
                        return Ok(Some(Event::BodyEnd));
                    }
                    (false, true) => {
                        self.input.consume(progress.consumed);
                        return Ok(None);
                    }
                    (_, false) => {
                        self.input.consume(progress.consumed);
                        return Ok(Some(Event::Body(body)));
                    }
                }
            }
            State::Lines => self.line(),
        };
        if let Err(error) = event {
            self.state = State::Failed(error);
            self.input.clear();
        }
        event
    }

    /// TLS is up; what the server said before is to be forgotten (RFC 2595 §4).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::StartingTls) {
            self.state = State::Lines;
        }
    }

    /// The next octets to write.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.output.take()
    }

    /// Octets that wait to be written.
    pub fn pending(&self) -> usize {
        self.output.pending()
    }

    /// How many answers are still to come, the greeting included.
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    fn sasl_line(&mut self, line: &str) {
        if matches!(self.state, State::Challenged) {
            self.output.put(line.as_bytes());
            self.output.put(b"\r\n");
            self.state = State::Lines;
        }
    }

    fn line(&mut self) -> Result<Option<Event>, Error> {
        let line = match self.input.line(MAX_LINE) {
            Line::Incomplete => return Ok(None),
            Line::TooLong => return Err(Error::LineTooLong),
            Line::Complete { text, .. } => text,
        };
        let expected = *self.expected.front().ok_or(Error::NotPop3)?;
        if expected == Expected::Auth
            && let Some(challenge) = challenge(line)
        {
            let challenge = base64::decode(challenge).map_err(|_| Error::Challenge)?;
            self.state = State::Challenged;
            return Ok(Some(Event::Challenge(challenge)));
        }
        let response = Response::parse(line).ok_or(Error::NotPop3)?;
        self.expected.pop_front();
        match expected {
            Expected::Greeting => return Ok(Some(Event::Greeting(response))),
            Expected::MultiLine if response.ok => self.state = State::Body(DotDecoder::new()),
            Expected::Stls if response.ok => {
                // What follows in clear could be anybody's.
                if !self.input.is_empty() {
                    return Err(Error::Injected);
                }
                self.state = State::StartingTls;
            }
            _ => {}
        }
        Ok(Some(Event::Response(response)))
    }
}

impl Response {
    /// ```text
    /// single-line  =  status [SP text] CRLF       ;512 octets maximum
    /// text         =  *schar / resp-code *CHAR
    /// ```
    fn parse(line: &[u8]) -> Option<Response> {
        let (ok, rest) = match (line.strip_prefix(b"+OK"), line.strip_prefix(b"-ERR")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
        let text = match rest {
            [] => rest,
            [b' ', text @ ..] => text,
            _ => return None,
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let coded = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (code, text) = match coded {
            Some((code, text)) => (Some(code.to_owned()), text.trim_start().to_owned()),
            None => (None, text),
        };
        Some(Response { ok, code, text })
    }
}

/// ```text
/// continue-req     = "+" SP [base64] CRLF
/// ```
/// (RFC 5034 §5.) Kindness: servers that drop the space of an empty challenge.
fn challenge(line: &[u8]) -> Option<&[u8]> {
    match line {
        b"+" => Some(b""),
        [b'+', b' ', challenge @ ..] => Some(challenge),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::Strategy as _;

    fn ok(text: &str) -> Response {
        Response {
            ok: true,
            code: None,
            text: text.to_owned(),
        }
    }

    fn events(session: &mut Session, octets: &[u8]) -> Result<Vec<Event>, Error> {
        session.receive(octets);
        let mut events = Vec::new();
        while let Some(event) = session.poll()? {
            events.push(event);
        }
        Ok(events)
    }

    #[test]
    fn pipelined_answers_come_in_order() {
        let commands = [
            Command::Stat,
            Command::List(None),
            Command::Retr(2),
            Command::Retr(9),
            Command::Quit,
        ];
        let wire = b"+OK hi\r\n+OK 2 5\r\n+OK\r\n1 2\r\n2 3\r\n.\r\n+OK 3 octets\r\n..x\r\n.\r\n\
            -ERR [SYS/TEMP] later\r\n+OK\r\n";
        let expected = vec![
            Event::Greeting(ok("hi")),
            Event::Response(ok("2 5")),
            Event::Response(ok("")),
            Event::Body(b"1 2\r\n2 3\r\n".to_vec()),
            Event::BodyEnd,
            Event::Response(ok("3 octets")),
            Event::Body(b".x\r\n".to_vec()),
            Event::BodyEnd,
            Event::Response(Response {
                ok: false,
                code: Some("SYS/TEMP".to_owned()),
                text: "later".to_owned(),
            }),
            Event::Response(ok("")),
        ];
        for size in [1, 2, 3, 7, wire.len()] {
            let mut session = Session::new();
            commands
                .iter()
                .for_each(|command| session.send(command).unwrap());
            assert_eq!(session.send(&Command::Noop), Err(SendError::Order));
            assert_eq!(
                session.transmit().unwrap(),
                b"STAT\r\nLIST\r\nRETR 2\r\nRETR 9\r\nQUIT\r\n"
            );
            let mut seen: Vec<Event> = Vec::new();
            for piece in wire.chunks(size) {
                for event in events(&mut session, piece).unwrap() {
                    match (seen.last_mut(), event) {
                        (Some(Event::Body(body)), Event::Body(more)) => body.extend(more),
                        (_, event) => seen.push(event),
                    }
                }
            }
            assert_eq!(seen, expected, "in pieces of {size}");
            assert_eq!(session.outstanding(), 0);
        }
    }

    #[test]
    fn challenges_are_answered_or_cancelled() {
        let mut session = Session::new();
        events(&mut session, b"+OK\r\n").unwrap();
        let auth = Command::Auth {
            mechanism: "PLAIN".to_owned(),
            initial: None,
        };
        session.send(&auth).unwrap();
        assert_eq!(
            events(&mut session, b"+ \r\n"),
            Ok(vec![Event::Challenge(Vec::new())])
        );
        session.respond(b"\0u\0p");
        assert_eq!(session.transmit().unwrap(), b"AUTH PLAIN\r\nAHUAcA==\r\n");
        assert_eq!(
            events(&mut session, b"+ QQ==\r\n"),
            Ok(vec![Event::Challenge(b"A".to_vec())])
        );
        session.cancel();
        assert_eq!(session.transmit().unwrap(), b"*\r\n");
        session.cancel();
        assert_eq!(session.pending(), 0);
        assert!(matches!(
            &events(&mut session, b"-ERR\r\n").unwrap()[..],
            [Event::Response(Response { ok: false, .. })]
        ));
    }

    /// A8, the part of POP3: what stands behind the answer to STLS is never read as an answer.
    #[test]
    fn a8_stls_response_injection() {
        let start = || {
            let mut session = Session::new();
            events(&mut session, b"+OK\r\n").unwrap();
            session.send(&Command::Stls).unwrap();
            session
        };
        let mut session = start();
        assert_eq!(
            events(&mut session, b"+OK go\r\n+OK injected\r\n"),
            Err(Error::Injected)
        );
        assert_eq!(session.poll(), Err(Error::Injected));
        let mut session = start();
        assert_eq!(
            events(&mut session, b"+OK go\r\n"),
            Ok(vec![Event::Response(ok("go"))])
        );
        assert_eq!(session.send(&Command::Capa), Err(SendError::Order));
        assert_eq!(events(&mut session, b"+"), Err(Error::Injected));
        let mut session = start();
        events(&mut session, b"+OK go\r\n").unwrap();
        session.tls_started();
        assert_eq!(session.send(&Command::Capa), Ok(()));
    }

    #[test]
    fn other_protocols_are_recognised() {
        for (wire, error) in [
            (&b"220 smtp\r\n"[..], Error::NotPop3),
            (b"+OKAY\r\n", Error::NotPop3),
            (b"+ \r\n", Error::NotPop3),
            (b"+OK\r\n+OK unasked\r\n", Error::NotPop3),
            (&[b'x'; MAX_LINE], Error::LineTooLong),
        ] {
            assert_eq!(events(&mut Session::new(), wire), Err(error));
        }
    }

    proptest::proptest! {
        /// Whatever a server sends, and however it is cut: the same events or the same error, and no memory beyond
        /// one line.
        #[test]
        fn arbitrary_servers(
            lines in proptest::collection::vec(
                proptest::prop_oneof![
                    "(\\+OK|-ERR|\\+|\\.|\\.\\.)( [ -~]{0,20})?\r?\n".prop_map(String::into_bytes),
                    "\\+ [A-Za-z0-9+/]{4}\r\n".prop_map(String::into_bytes),
                    proptest::collection::vec(proptest::prelude::any::<u8>(), 0..30),
                ],
                0..20,
            ),
            size in 1_usize..30,
        ) {
            let octets = lines.concat();
            let run = |size: usize| {
                let mut session = Session::new();
                session.send(&Command::Capa).unwrap();
                session.send(&Command::Retr(1)).unwrap();
                session.send(&Command::Auth { mechanism: "PLAIN".to_owned(), initial: None }).unwrap();
                let mut seen = Vec::new();
                for piece in octets.chunks(size) {
                    session.receive(piece);
                    loop {
                        match session.poll() {
                            Ok(Some(Event::Body(more))) => match seen.last_mut() {
                                Some(Ok(Event::Body(body))) => body.extend(more),
                                _ => seen.push(Ok(Event::Body(more))),
                            },
                            Ok(Some(Event::Challenge(challenge))) => {
                                seen.push(Ok(Event::Challenge(challenge)));
                                session.respond(b"x");
                            }
                            Ok(Some(event)) => seen.push(Ok(event)),
                            Ok(None) => break,
                            Err(error) => {
                                if seen.last() != Some(&Err(error)) {
                                    seen.push(Err(error));
                                }
                                break;
                            }
                        }
                    }
                    assert!(session.input.len() < MAX_LINE);
                }
                seen
            };
            let whole = run(octets.len().max(1));
            proptest::prop_assert_eq!(run(1), whole.clone());
            proptest::prop_assert_eq!(run(size), whole);
        }
    }
}
