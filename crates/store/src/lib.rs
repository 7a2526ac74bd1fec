//! Accounts, mailboxes, messages, bodies and the change stream of Waxwing, durable.
#![forbid(unsafe_code)]
