//! ESMTP and LMTP without I/O: commands, replies, parameters; server and client sessions.
#![forbid(unsafe_code)]
