//! POP3 without I/O: commands, replies, server and client sessions.
//!
//! RFC 1939 (POP3), 2449 (CAPA, response codes), 2595 (STLS), 3206 (SYS and AUTH codes), 5034 (AUTH), 6856 (UTF8, LANG). APOP is not
//! offered: it needs the password itself on the server and rests on MD5.
//!
//! The sessions own order and syntax, the maildrop's numbers and marks, and the framing of lines. Who may log in,
//! which messages there are and what they hold is asked for by events.
#![forbid(unsafe_code)]

pub mod client;
pub mod command;
pub mod maildrop;
pub mod reply;
pub mod server;
