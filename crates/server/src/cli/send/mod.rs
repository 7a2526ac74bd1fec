//! `waxwing send`: a small SMTP client, to try a server out and to send from scripts.
//!
//! Invariants: a password never travels in the clear, except to this machine; a certificate is checked unless
//! `--insecure` says otherwise; the exit code is 0 only when every recipient was accepted.

mod connection;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use smtp::address::{Mailbox, ReversePath};
use smtp::client::{Capabilities, Config, Envelope, Event, Limits, Session};
use smtp::reply::Reply;
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Secret, nonce};

use super::{Context, Result};
use connection::Connection;

/// Octets of a message given to the session at once, so that it waits in the connection and not in memory.
const PIECE: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The server: HOST or HOST:PORT
    #[arg(long, short = 's', value_name = "HOST[:PORT]")]
    server: String,
    /// The sender of the envelope; without it the address of the From field. `<>` is the null sender
    #[arg(long, short = 'f', value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient, may be repeated; without it those of To, Cc and Bcc
    #[arg(long, short = 't', value_name = "ADDRESS")]
    to: Vec<String>,
    /// How the connection is protected
    #[arg(long, value_enum, default_value_t = Tls::Auto)]
    tls: Tls,
    /// Certificates to trust instead of the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate
    #[arg(long)]
    insecure: bool,
    /// Log in as this user, with the password in the environment variable WAXWING_PASSWORD or in --password-file
    #[arg(long, short = 'u', value_name = "ADDRESS")]
    user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The mechanism to log in with, instead of the strongest
    #[arg(long, value_name = "NAME", requires = "user", value_parser = mechanism)]
    mechanism: Option<Mechanism>,
    /// Speak LMTP
    #[arg(long)]
    lmtp: bool,
    /// Our name in EHLO
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    hello: String,
    /// The message; without it, or with `-`, standard input
    #[arg(value_name = "FILE")]
    message: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tls {
    /// STARTTLS if the server offers it, TLS at once on port 465
    Auto,
    /// STARTTLS, or nothing is sent
    Starttls,
    /// TLS at once
    Implicit,
    /// In the clear
    None,
}

fn mechanism(name: &str) -> std::result::Result<Mechanism, String> {
    let known = Mechanism::ALL
        .into_iter()
        .filter(|mechanism| *mechanism != Mechanism::External);
    let names: Vec<_> = known.clone().map(Mechanism::name).collect();
    known
        .into_iter()
        .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("known are {}", names.join(", ")))
}

/// Runs the command.
pub(super) fn run(arguments: Arguments, context: &Context) -> Result<ExitCode> {
    let message = canonical(&read(&arguments)?)?;
    let (envelope, message) = prepare(&arguments, message)?;
    let recipients = envelope.to.clone();
    let mut client = Client::connect(&arguments)?;
    let verdicts = client.send(envelope, &message)?;
    Ok(report(&recipients, &verdicts, context.json))
}

fn read(arguments: &Arguments) -> Result<Vec<u8>> {
    match &arguments.message {
        Some(path) if path.as_os_str() != "-" => {
            fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
        }
        _ => {
            let mut message = Vec::new();
            std::io::stdin().lock().read_to_end(&mut message)?;
            Ok(message)
        }
    }
}

/// Files have the line ends of their system; on the wire all are CRLF (RFC 5321 §2.3.8).
fn canonical(text: &[u8]) -> Result<Vec<u8>> {
    if text.contains(&0) {
        return Err("the message has a NUL octet, which mail cannot carry".into());
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut after_cr = false;
    for &octet in text {
        match octet {
            b'\n' if after_cr => {}
            b'\n' | b'\r' => out.extend_from_slice(b"\r\n"),
            _ => out.push(octet),
        }
        after_cr = octet == b'\r';
    }
    Ok(out)
}

/// The envelope from arguments or header, and the message without Bcc.
fn prepare(arguments: &Arguments, mut message: Vec<u8>) -> Result<(Envelope, Vec<u8>)> {
    let header = mime::Message::parse(&message).root().header_range();
    let addresses = |name: &str| -> Result<Vec<Mailbox>> {
        let mut found = Vec::new();
        for field in mime::header::fields(&message, header.clone()).filter(|field| field.is(name)) {
            for mailbox in field.addresses().mailboxes() {
                found.push(address(mailbox.address)?);
            }
        }
        Ok(found)
    };
    let from = match arguments.from.as_deref() {
        Some("<>" | "") => ReversePath::Null,
        Some(given) => ReversePath::Mailbox(address(given)?),
        None => {
            let first = addresses("From")?.into_iter().next();
            ReversePath::Mailbox(first.ok_or("no sender: the message has no From; use --from")?)
        }
    };
    let to = if arguments.to.is_empty() {
        let mut to = addresses("To")?;
        to.extend(addresses("Cc")?);
        to.extend(addresses("Bcc")?);
        to
    } else {
        arguments
            .to
            .iter()
            .map(|given| address(given))
            .collect::<Result<_>>()?
    };
    if to.is_empty() {
        return Err("no recipient: the message has no To, Cc or Bcc; use --to".into());
    }
    let utf8_header = message
        .get(header.clone())
        .is_some_and(|header| !header.is_ascii());
    let hidden: Vec<_> = mime::header::fields(&message, header)
        .filter(|field| field.is("Bcc"))
        .map(|field| field.range())
        .collect();
    for range in hidden.into_iter().rev() {
        message.drain(range);
    }
    let envelope = Envelope {
        from,
        to,
        size: Some(message.len() as u64),
        eight_bit: !message.is_ascii(),
        smtputf8: utf8_header,
        parameters: smtp::parameters::Mail::default(),
        recipients: Vec::new(),
    };
    Ok((envelope, message))
}

fn address(text: &str) -> Result<Mailbox> {
    let bare = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text);
    Mailbox::parse(bare.as_bytes(), true)
        .map_err(|error| format!("{text:?} is no address: {error}").into())
}

/// A session and its connection.
struct Client {
    session: Session,
    connection: Connection,
    capabilities: Capabilities,
}

impl Client {
    /// Connects, and goes through TLS and AUTH as the arguments ask.
    fn connect(arguments: &Arguments) -> Result<Client> {
        let implicit = arguments.tls == Tls::Implicit;
        let default = if implicit {
            465
        } else if arguments.user.is_some() {
            587
        } else {
            25
        };
        let (host, port) = connection::host_and_port(&arguments.server, default)?;
        let implicit = implicit || (arguments.tls == Tls::Auto && port == 465);
        let trust = connection::trust(arguments.ca.as_deref(), arguments.insecure)?;
        let mut connection = Connection::open(&host, port, trust)?;
        if implicit {
            connection.start_tls()?;
        }
        let session = Session::new(Config {
            lmtp: arguments.lmtp,
            host: arguments.hello.clone(),
            tls: implicit,
            limits: Limits::default(),
        });
        let mut client = Client {
            session,
            connection,
            capabilities: Capabilities::default(),
        };
        client.ready()?;
        let offered = client.capabilities.starttls;
        if !implicit && (arguments.tls == Tls::Starttls || (arguments.tls == Tls::Auto && offered))
        {
            client.start_tls()?;
        }
        if let Some(user) = &arguments.user {
            client.log_in(arguments, user)?;
        }
        Ok(client)
    }

    /// The next event; a failed session is an error.
    fn event(&mut self) -> Result<Event> {
        loop {
            match self.session.poll() {
                Some(Event::Failed(error)) => return Err(error.into()),
                Some(event) => return Ok(event),
                None => self.connection.exchange(&mut self.session)?,
            }
        }
    }

    fn ready(&mut self) -> Result {
        match self.event()? {
            Event::Ready(capabilities) => self.capabilities = capabilities,
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    fn start_tls(&mut self) -> Result {
        self.session.start_tls();
        match self.event()? {
            Event::StartTls => self.connection.start_tls()?,
            other => return Err(unexpected(&other)),
        }
        self.session.tls_started();
        self.ready()
    }

    fn log_in(&mut self, arguments: &Arguments, user: &str) -> Result {
        let exporter = self.connection.exporter();
        let offered = |mechanism: &Mechanism| {
            self.capabilities
                .mechanisms
                .iter()
                .any(|name| name == mechanism.name())
        };
        let possible = |mechanism: &Mechanism| {
            offered(mechanism) && (exporter.is_some() || *mechanism != Mechanism::ScramSha256Plus)
        };
        let chosen = match arguments.mechanism {
            Some(mechanism) => possible(&mechanism).then_some(mechanism),
            None => Mechanism::PASSWORD.into_iter().find(possible),
        };
        let mechanism =
            chosen.ok_or("the server offers no way to log in that this program knows")?;
        if mechanism.is_cleartext() && !self.connection.is_protected() {
            return Err("the password would travel in the clear: the server offers no TLS".into());
        }
        let credentials = Credentials {
            authzid: None,
            user: user.to_owned(),
            password: password(arguments)?,
        };
        let binding = ChannelBinding {
            tls_exporter: exporter,
            plus_advertised: offered(&Mechanism::ScramSha256Plus),
        };
        let mut exchange = Exchange::new(
            mechanism,
            credentials,
            binding,
            nonce(crate::auth::random()),
        );
        let initial = exchange.initial()?;
        self.session.authenticate(mechanism, initial.as_deref());
        loop {
            match self.event()? {
                Event::Challenge(challenge) => {
                    let response = exchange.step(&challenge);
                    self.session
                        .respond(response.as_ref().ok().map(Vec::as_slice));
                    if let Err(error) = response {
                        return Err(format!("login: {error}").into());
                    }
                }
                Event::Authenticated(Ok(())) => {
                    exchange.finish()?;
                    return Ok(());
                }
                Event::Authenticated(Err(reply)) => {
                    return Err(format!("login refused: {reply}").into());
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Sends one message and ends the session.
    fn send(
        &mut self,
        envelope: Envelope,
        message: &[u8],
    ) -> Result<Vec<std::result::Result<Reply, Reply>>> {
        self.session.send(envelope)?;
        let verdicts = loop {
            match self.event()? {
                Event::SendBody => {
                    for piece in message.chunks(PIECE) {
                        self.session.body(piece);
                        self.connection.flush(&mut self.session)?;
                    }
                    self.session.body_end();
                }
                Event::Sent(verdicts) => break verdicts,
                other => return Err(unexpected(&other)),
            }
        };
        self.session.quit();
        // The message is answered for; how the goodbye goes changes nothing.
        let _ = self.event();
        Ok(verdicts)
    }
}

fn password(arguments: &Arguments) -> Result<Secret> {
    let text = match &arguments.password_file {
        Some(path) => {
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => std::env::var("WAXWING_PASSWORD")
            .map_err(|_| "no password: set WAXWING_PASSWORD or use --password-file")?,
    };
    Ok(Secret::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}

fn unexpected(event: &Event) -> super::Error {
    format!("the server did something unexpected: {event:?}").into()
}

fn report(
    recipients: &[Mailbox],
    verdicts: &[std::result::Result<Reply, Reply>],
    json: bool,
) -> ExitCode {
    let mut lines = Vec::new();
    let mut all = true;
    for (recipient, verdict) in recipients.iter().zip(verdicts) {
        let (accepted, reply) = match verdict {
            Ok(reply) => (true, reply),
            Err(reply) => (false, reply),
        };
        all &= accepted;
        if json {
            let enhanced = reply.enhanced.map(|enhanced| enhanced.to_string());
            lines.push(serde_json::json!({
                "recipient": recipient.to_string(), "accepted": accepted,
                "code": reply.code, "enhanced": enhanced, "text": reply.text,
            }));
        } else {
            let text: String = reply
                .to_string()
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            println!("{recipient}: {text}");
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(lines));
    }
    if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(words: &str) -> Arguments {
        Line::parse_from(format!("send --server x {words}").split_ascii_whitespace()).arguments
    }

    #[test]
    fn line_ends_become_crlf() {
        assert_eq!(
            canonical(b"a\nb\r\nc\rd\n\n").unwrap(),
            b"a\r\nb\r\nc\r\nd\r\n\r\n"
        );
        assert_eq!(canonical(b"a\r\r\n").unwrap(), b"a\r\n\r\n");
        assert!(canonical(b"a\0").is_err());
    }

    #[test]
    fn the_envelope_comes_from_the_header() {
        let message =
            b"From: A <a@b>\r\nBcc: x@y\r\nTo: c@d, E <e@f>\r\nCc: G: g@h;\r\n\r\nText\r\n"
                .to_vec();
        let (envelope, message) = prepare(&arguments(""), message).unwrap();
        assert_eq!(envelope.from.to_string(), "a@b");
        let to: Vec<String> = envelope.to.iter().map(ToString::to_string).collect();
        assert_eq!(to, ["c@d", "e@f", "g@h", "x@y"]);
        assert_eq!(
            message,
            b"From: A <a@b>\r\nTo: c@d, E <e@f>\r\nCc: G: g@h;\r\n\r\nText\r\n"
        );
        assert_eq!(envelope.size, Some(message.len() as u64));
        assert!(!envelope.smtputf8 && !envelope.eight_bit);
    }

    #[test]
    fn arguments_come_first() {
        let message = "From: a@b\r\nTo: c@d\r\nSubject: ü\r\n\r\n"
            .as_bytes()
            .to_vec();
        let (envelope, _) = prepare(&arguments("--from <> --to x@y"), message).unwrap();
        assert_eq!(envelope.from, ReversePath::Null);
        assert_eq!(envelope.to.len(), 1);
        assert!(envelope.smtputf8);
        assert!(prepare(&arguments("--from a@b"), b"Subject: x\r\n\r\n".to_vec()).is_err());
        assert!(prepare(&arguments("--to a@b"), b"Subject: x\r\n\r\n".to_vec()).is_err());
        assert!(prepare(&arguments("--from a@b --to nobody"), Vec::new()).is_err());
    }
}
