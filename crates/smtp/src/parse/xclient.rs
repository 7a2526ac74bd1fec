//! `XCLIENT` and `XFORWARD`, with which a proxy or filter of ours tells who the client is.

use super::{Command, Error};
use crate::parameters;
use core::net::IpAddr;
use wire::cursor::Cursor;

/// What is told of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told<T> {
    /// It was not named.
    #[default]
    Nothing,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: there is nothing to know, or not now.
    Unavailable,
    /// This.
    Is(T),
}

impl<T> Told<T> {
    /// What it is, if that is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Told::Is(value) => Some(value),
            Told::Nothing | Told::Unavailable => None,
        }
    }
}

/// The attributes of XCLIENT or XFORWARD. Each value is free of control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// NAME: the client's host name.
    pub name: Told<String>,
    /// ADDR: its address.
    pub address: Told<IpAddr>,
    /// PORT.
    pub port: Told<u16>,
    /// PROTO: whether it says EHLO; XCLIENT only.
    pub extended: Told<bool>,
    /// HELO: what it calls itself.
    pub hello: Told<String>,
    /// LOGIN: who logged in there; XCLIENT only.
    pub login: Told<String>,
    /// DESTADDR: our end of its connection; XCLIENT only.
    pub destination: Told<IpAddr>,
    /// DESTPORT; XCLIENT only.
    pub destination_port: Told<u16>,
    /// IDENT: the message's name at the filter; XFORWARD only.
    pub ident: Told<String>,
    /// SOURCE: `LOCAL` or `REMOTE`; XFORWARD only.
    pub source: Told<String>,
}

/// `XCLIENT 1*(SP name "=" xtext)`.
pub(super) fn xclient<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let client = attributes(cursor, true)?;
    Ok(Command::Xclient(Box::new(client)))
}

/// `XFORWARD 1*(SP name "=" xtext)`.
pub(super) fn xforward<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let client = attributes(cursor, false)?;
    Ok(Command::Xforward(Box::new(client)))
}

fn attributes(cursor: &mut Cursor<'_>, xclient: bool) -> Result<Client, Error> {
    let mut client = Client::default();
    let rest = std::str::from_utf8(cursor.take_rest()).map_err(|_| Error::Arguments)?;
    let mut any = false;
    for attribute in rest.split(' ') {
        let (name, value) = attribute.split_once('=').ok_or(Error::Arguments)?;
        any = true;
        let value = told(value)?;
        match (name.to_ascii_uppercase().as_str(), xclient) {
            ("NAME", _) => client.name = value,
            ("ADDR", _) => client.address = value.parse(address)?,
            ("PORT", _) => client.port = value.parse(|port| port.parse().ok())?,
            ("HELO", _) => client.hello = value,
            ("PROTO", _) => client.extended = value.parse(protocol)?,
            ("LOGIN", true) => client.login = value,
            ("DESTADDR", true) => client.destination = value.parse(address)?,
            ("DESTPORT", true) => {
                client.destination_port = value.parse(|port| port.parse().ok())?;
            }
            ("IDENT", false) => client.ident = value,
            ("SOURCE", false) => client.source = value,
            _ => return Err(Error::Arguments),
        }
    }
    if any {
        Ok(client)
    } else {
        Err(Error::Arguments)
    }
}

impl Told<String> {
    fn parse<T>(self, read: impl Fn(&str) -> Option<T>) -> Result<Told<T>, Error> {
        match self {
            Told::Nothing => Ok(Told::Nothing),
            Told::Unavailable => Ok(Told::Unavailable),
            Told::Is(text) => read(&text).map(Told::Is).ok_or(Error::Arguments),
        }
    }
}

fn told(value: &str) -> Result<Told<String>, Error> {
    if value.eq_ignore_ascii_case("[UNAVAILABLE]") || value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        return Ok(Told::Unavailable);
    }
    match parameters::decode_xtext(value.as_bytes()) {
        Some(text) if !text.is_empty() && text.len() <= 255 => Ok(Told::Is(text)),
        _ => Err(Error::Arguments),
    }
}

/// An IPv4 address, or `IPV6:` and an IPv6 address.
fn address(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("IPV6:") => {
            text.get(5..)?.parse().ok().map(IpAddr::V6)
        }
        _ => text.parse().ok().map(IpAddr::V4),
    }
}

fn protocol(text: &str) -> Option<bool> {
    match text.to_ascii_uppercase().as_str() {
        "ESMTP" => Some(true),
        "SMTP" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn xclient(text: &str) -> Result<Client, Error> {
        match command(format!("XCLIENT {text}").as_bytes())? {
            Command::Xclient(client) => Ok(*client),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn attributes_are_read() {
        let client = xclient(
            "NAME=spike.example ADDR=192.0.2.7 PORT=99 PROTO=esmtp HELO=a+2Bb login=bob@example.test \
             DESTADDR=IPV6:2001:db8::1 DESTPORT=25",
        )
        .unwrap();
        assert_eq!(client.name, Told::Is("spike.example".into()));
        assert_eq!(client.address.known(), Some(&"192.0.2.7".parse().unwrap()));
        assert_eq!(client.port, Told::Is(99));
        assert_eq!(client.extended, Told::Is(true));
        assert_eq!(client.hello, Told::Is("a+b".into()));
        assert_eq!(client.login, Told::Is("bob@example.test".into()));
        assert_eq!(client.destination, Told::Is("2001:db8::1".parse().unwrap()));
        let gone = xclient("NAME=[unavailable] LOGIN=[TEMPUNAVAIL]").unwrap();
        assert_eq!(
            (gone.name, gone.login),
            (Told::Unavailable, Told::Unavailable)
        );
    }

    /// A27, A44: values that would become lines, and addresses that are none.
    #[test]
    fn a44_refused() {
        for text in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=192.0.2",
            "ADDR=2001:db8::1",
            "ADDR=IPV6:192.0.2.1",
            "PORT=65536",
            "PROTO=LMTP",
            "HELO=a+0D+0Ab",
            "HELO=a+00",
            "LOGIN=",
            "IDENT=x",
            "FOO=x",
            "ADDR=192.0.2.1  PORT=1",
        ] {
            assert_eq!(xclient(text), Err(Error::Arguments), "{text}");
        }
        assert!(command(b"XFORWARD LOGIN=bob").is_err());
        assert!(command(b"XFORWARD IDENT=x SOURCE=LOCAL NAME=a").is_ok());
    }
}
