//! The commands before login.

use super::{Event, Offer, Reply, Waiting};
use crate::command::Command;
use crate::reply;
use wire::base64;
use wire::sasl::{Mechanism, prepare};

/// A command before login. `user` is the name of a USER just before; `utf8` tells that UTF8 was, `more` that input follows.
pub(super) fn execute(
    command: Command,
    user: Option<String>,
    offer: &Offer,
    utf8: bool,
    more: bool,
) -> Reply {
    match command {
        // RFC 2595 §2.1: the password, and even the name, shall not travel readable.
        Command::User(_) | Command::Pass(_) if !offer.user => Reply::Error(reply::PRIVACY_REQUIRED),
        Command::User(name) => match prepared(name) {
            Some(name) => Reply::User(name),
            None => Reply::Error(reply::FORBIDDEN_CHARACTERS),
        },
        Command::Pass(password) => match user {
            Some(_) if !password.is_ascii() && prepare(&password).is_none() => {
                Reply::Error(reply::FORBIDDEN_CHARACTERS)
            }
            Some(user) => Reply::Ask(Waiting::Login, Event::Login { user, password }),
            None => Reply::Error(reply::USER_FIRST),
        },
        Command::Auth { mechanism, initial } => auth(&mechanism, initial, offer),
        Command::Stls if offer.tls => Reply::Error(reply::TLS_ACTIVE),
        Command::Stls if utf8 => Reply::Error(reply::STLS_AFTER_UTF8),
        Command::Stls if !offer.stls => Reply::Error(reply::NO_TLS),
        // Whatever stands behind STLS came in clear and could be anybody's.
        Command::Stls if more => Reply::Close(reply::INJECTED),
        Command::Stls => Reply::Ask(Waiting::StartTls, Event::StartTls),
        Command::Capa => Reply::Capabilities,
        Command::Utf8 => Reply::Utf8,
        Command::Lang(range) => Reply::Language(range),
        Command::Quit => Reply::Bye,
        _ => Reply::Error(reply::WRONG_STATE),
    }
}

/// RFC 6856 §2.2: names beyond ASCII are prepared, and those that cannot be are refused. The password is prepared where it is
/// checked, for all protocols alike.
fn prepared(name: String) -> Option<String> {
    if name.is_ascii() {
        return Some(name);
    }
    prepare(&name)
}

fn auth(name: &str, initial: Option<String>, offer: &Offer) -> Reply {
    let mechanism = match Mechanism::from_name(name.as_bytes()) {
        Some(mechanism) if offer.mechanisms.contains(&mechanism) => mechanism,
        // No challenge is given that would draw the password out (RFC 5034 §4).
        Some(mechanism) if mechanism.is_cleartext() && !offer.tls => {
            return Reply::Error(reply::PRIVACY_REQUIRED);
        }
        _ => return Reply::Error(reply::UNKNOWN_MECHANISM),
    };
    match initial
        .map(|text| base64::decode_initial(text.as_bytes()))
        .transpose()
    {
        Ok(initial) => Reply::Ask(Waiting::Login, Event::Authenticate { mechanism, initial }),
        Err(base64::Error) => Reply::Error(reply::SASL_ABORTED),
    }
}
