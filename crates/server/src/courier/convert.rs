//! A message made fit for a server that takes less than it needs.
//!
//! Invariant: what is signed as a part of a message is never changed (RFC 1847 §2.1). A signature over the whole (DKIM) breaks
//! with the conversion; ours is made again behind it, those of others are lost.

use std::borrow::Cow;

use mime::write::edit::{ConvertError, to_seven_bit};
use smtp::client::Capabilities;
use store::BodyKind;

use super::Job;
use super::connect::Failure;
use super::transaction::header;

/// The message as this server can take it.
pub(super) fn fit<'m>(job: &'m Job, offered: &Capabilities) -> Result<Cow<'m, [u8]>, Box<Failure>> {
    let message: &[u8] = &job.message;
    let text = is_text(message);
    let declared = job.envelope.body == BodyKind::Binary;
    if !text && declared && offered.has("BINARYMIME") && offered.chunking {
        return Ok(Cow::Borrowed(message));
    }
    if text && (offered.eight_bit_mime || message.is_ascii()) {
        return Ok(Cow::Borrowed(message));
    }
    // RFC 6152 §3: converted, or returned.
    match to_seven_bit(message) {
        Ok(converted) if is_text(&converted) => Ok(Cow::Owned(converted)),
        // 8BITMIME is about bodies. A header with raw octets is wrong with or without it, and arrives everywhere.
        Err(ConvertError::Header) if text && body_is_ascii(message) => Ok(Cow::Borrowed(message)),
        Ok(_) => Err(refused(
            "the message has octets that no server takes without BINARYMIME",
        )),
        Err(error) => Err(refused(&format!(
            "the server takes only 7-bit messages, and {error}"
        ))),
    }
}

fn body_is_ascii(message: &[u8]) -> bool {
    message
        .get(header(message).len()..)
        .is_some_and(<[u8]>::is_ascii)
}

fn refused(why: &str) -> Box<Failure> {
    // RFC 3463 §3.7: conversion required but not supported.
    Box::new(Failure::never("6.3", why))
}

/// Whether a message can go without BINARYMIME: no NUL, no CR or LF alone.
pub(super) fn is_text(message: &[u8]) -> bool {
    let mut after_cr = false;
    for octet in message {
        if *octet == 0 || (*octet == b'\n') != after_cr {
            return false;
        }
        after_cr = *octet == b'\r';
    }
    !after_cr
}
