//! The mail server Waxwing.
#![forbid(unsafe_code)]

mod admin;
mod auth;
mod budget;
mod certificate;
mod cli;
mod config;
mod courier;
mod db;
mod deflate;
mod dns;
mod doctor;
mod drive;
mod filter;
mod http;
mod imap;
mod judge;
mod language;
mod listen;
mod log;
mod manage;
mod pipeline;
mod pop3;
mod proxy;
mod quirks;
mod records;
mod remote;
mod reports;
mod roots;
mod serve;
mod sessions;
mod shared;
mod sign;
mod smtp;
mod strangers;
mod stream;
mod tls;
mod transfer;
mod turns;

use std::sync::Arc;

use config::Service;
use drive::Connection;
use shared::Shared;

/// Gives a connection to its protocol.
async fn dispatch(connection: Connection, shared: Arc<Shared>, service: Service) {
    match service {
        Service::Pop3 | Service::Pop3s => crate::pop3::serve(connection, shared, service).await,
        Service::Imap | Service::Imaps => crate::imap::serve(connection, shared, service).await,
        Service::Smtp | Service::Submission | Service::Submissions | Service::Lmtp => {
            crate::smtp::serve(connection, shared, service).await
        }
    }
}

fn main() -> std::process::ExitCode {
    cli::main()
}
