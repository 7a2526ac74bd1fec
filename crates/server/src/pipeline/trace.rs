//! The trace fields on top of a message (RFC 5321 §4.4). They are the same for all recipients, so that the message is
//! stored once.

use std::net::IpAddr;

use mime::DateTime;
use smtp::server::Kind;
use store::Timestamp;

use super::Arrival;

/// A name for a message: 16 characters that are safe in an atom, a log and a file name. Seven tell the second, so that
/// what is kept under such names is kept in order; nine are random.
pub(super) fn id(now: Timestamp, random: [u8; 6]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let seconds = u64::try_from(now).unwrap_or_default();
    let random = random
        .iter()
        .fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
    let digits = |number: u64, count: u32| {
        (0..count).rev().map(move |place| {
            let digit = usize::try_from(number >> (place * 5) & 31).unwrap_or_default();
            ALPHABET.get(digit).map_or('0', |octet| char::from(*octet))
        })
    };
    digits(seconds, 7).chain(digits(random, 9)).collect()
}

/// Return-Path, the `results` of judging (RFC 8601 §4: above the Received of the same host), and Received.
pub(super) fn fields(
    arrival: &Arrival,
    host: &str,
    id: &str,
    now: Timestamp,
    results: &str,
) -> String {
    let from = from_domain(arrival);
    let with = protocol(arrival);
    let tls = match &arrival.tls {
        Some(tls) => format!(" ({} {})", tls.version, tls.cipher),
        None => String::new(),
    };
    // With several recipients a `for` would tell each about another (RFC 5321 §7.6).
    let recipient = match arrival.recipients.as_slice() {
        [only] => format!("\r\n\tfor {}", only.bracketed()),
        _ => String::new(),
    };
    // RFC 6710 §4.1: what was asked for, and given.
    let priority = match arrival.envelope.priority {
        0 => String::new(),
        priority => format!("\r\n\tpriority {priority}"),
    };
    let date = DateTime::from_timestamp(now, 0);
    format!(
        "Return-Path: <{}>\r\n{results}Received: from {from}\r\n\tby {host} with {with}{tls}\r\n\tid {id}{recipient}{priority};\r\n\t{date}\r\n",
        arrival.from
    )
}

/// `Extended-Domain`: what the client says, and in the comment what we know.
fn from_domain(arrival: &Arrival) -> String {
    let hello = if arrival.hello.is_empty() {
        "unknown"
    } else {
        &arrival.hello
    };
    if arrival.peer.unix {
        return hello.to_owned();
    }
    match arrival.peer.ip {
        IpAddr::V4(ip) => format!("{hello} ([{ip}])"),
        IpAddr::V6(ip) => format!("{hello} ([IPv6:{ip}])"),
    }
}

/// RFC 3848, and RFC 6531 §4.3 for mail that asked for SMTPUTF8.
fn protocol(arrival: &Arrival) -> String {
    let base = match (arrival.kind, arrival.smtputf8) {
        (Kind::Lmtp, false) => "LMTP",
        (Kind::Lmtp, true) => "UTF8LMTP",
        (_, true) => "UTF8SMTP",
        // RFC 5321 §4.4: HELO is SMTP.
        (_, false) if !arrival.extended => "SMTP",
        (_, false) => "ESMTP",
    };
    let secure = if arrival.tls.is_some() && base != "SMTP" {
        "S"
    } else {
        ""
    };
    let authenticated = if arrival.submitter.is_some() && base != "SMTP" {
        "A"
    } else {
        ""
    };
    format!("{base}{secure}{authenticated}")
}

#[cfg(test)]
pub mod tests {
    use super::super::{Envelope, Path};
    use super::*;
    use crate::auth::Identity;
    use crate::stream::{Peer, TlsInfo};
    use smtp::address::ReversePath;
    use smtp::parameters::Recipient;
    use store::AccountId;

    /// A message of nothing for one reader.
    pub fn arrival() -> Arrival {
        Arrival {
            kind: Kind::Reception,
            peer: Peer {
                ip: "192.0.2.7".parse().unwrap(),
                port: 9,
                local: None,
                unix: false,
            },
            tls: None,
            hello: "client.example".into(),
            extended: true,
            smtputf8: false,
            submitter: None,
            from: ReversePath::Null,
            envelope: Envelope::default(),
            recipients: vec![Path {
                address: "bob@example.test".into(),
                accounts: vec![AccountId(1)],
                remote: Vec::new(),
                parameters: Recipient::default(),
            }],
            message: Vec::new(),
        }
    }

    fn tls() -> TlsInfo {
        TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            exporter: None,
            server_name: None,
            client: Vec::new(),
        }
    }

    #[test]
    fn one_recipient() {
        assert_eq!(
            fields(&arrival(), "mx.example.test", "abc", 880_127_706, ""),
            "Return-Path: <>\r\nReceived: from client.example ([192.0.2.7])\r\n\tby mx.example.test with ESMTP\r\n\
             \tid abc\r\n\tfor <bob@example.test>;\r\n\tFri, 21 Nov 1997 15:55:06 +0000\r\n"
        );
    }

    #[test]
    fn several_recipients_are_not_named() {
        let mut arrival = arrival();
        arrival.tls = Some(tls());
        arrival.recipients.push(Path {
            address: "eve@example.test".into(),
            accounts: vec![AccountId(2)],
            remote: Vec::new(),
            parameters: Recipient::default(),
        });
        let fields = fields(&arrival, "mx.example.test", "abc", 0, "");
        assert!(!fields.contains("bob") && !fields.contains("eve"));
        assert!(
            fields.contains(" with ESMTPS (TLSv1.3 TLS13_AES_256_GCM_SHA384)\r\n\tid abc;\r\n")
        );
    }

    #[test]
    fn protocols() {
        let table = [
            (Kind::Reception, false, false, false, "ESMTP"),
            (Kind::Reception, true, false, false, "ESMTPS"),
            (Kind::Submission, true, true, false, "ESMTPSA"),
            (Kind::Submission, false, true, true, "UTF8SMTPA"),
            (Kind::Lmtp, false, false, false, "LMTP"),
            (Kind::Lmtp, true, false, true, "UTF8LMTPS"),
        ];
        for (kind, secure, login, smtputf8, expected) in table {
            let mut arrival = Arrival {
                kind,
                smtputf8,
                ..arrival()
            };
            arrival.tls = secure.then(tls);
            arrival.submitter = login.then(|| Identity {
                account: AccountId(1),
                address: "a@b".into(),
            });
            assert_eq!(protocol(&arrival), expected);
        }
        assert_eq!(
            protocol(&Arrival {
                extended: false,
                ..arrival()
            }),
            "SMTP"
        );
    }

    #[test]
    fn ids_are_atoms_and_differ() {
        assert_eq!(id(0, [0; 6]), "0000000000000000");
        assert_eq!(id(0x7_ffff_ffff, [255; 6]), "zzzzzzzzzzzzzzzz");
        assert_ne!(id(9, [1; 6]), id(9, [2; 6]));
        assert!(id(1_799_999_999, [255; 6]) < id(1_800_000_000, [0; 6]));
    }
}
