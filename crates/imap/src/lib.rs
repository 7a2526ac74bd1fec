//! IMAP4rev1 and IMAP4rev2 without I/O: types, parser, encoder, session.
#![forbid(unsafe_code)]
