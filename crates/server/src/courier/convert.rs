//! A message made fit for a server that takes less than it needs.

use std::borrow::Cow;

use smtp::client::Capabilities;
use store::BodyKind;

use super::Job;
use super::connect::Failure;

/// The message as this server can take it.
pub(super) fn fit<'m>(job: &'m Job, offered: &Capabilities) -> Result<Cow<'m, [u8]>, Failure> {
    let message: &[u8] = &job.message;
    let binary = !is_text(message);
    if binary
        && job.envelope.body == BodyKind::Binary
        && offered.has("BINARYMIME")
        && offered.chunking
    {
        return Ok(Cow::Borrowed(message));
    }
    if !binary && (offered.eight_bit_mime || message.is_ascii()) {
        return Ok(Cow::Borrowed(message));
    }
    Err(refused(
        "the message needs 8BITMIME, which the server does not offer",
    ))
}

fn refused(why: &str) -> Failure {
    Failure {
        permanent: true,
        // RFC 3463 §3.7: conversion required but not supported.
        status: "6.3",
        why: why.to_owned(),
        reply: None,
        flaw: None,
        clear_helps: false,
    }
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
