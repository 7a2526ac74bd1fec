//! A4: random command sequences against a reference that fits on a page. The reference knows nothing of octets: it
//! takes commands and says which codes come back.

use super::*;

/// A command, with the octets of its message where it has one.
#[derive(Clone, Copy, Debug)]
enum Op {
    Hello,
    WrongHello,
    Mail {
        refused: bool,
    },
    Rcpt {
        known: bool,
    },
    /// The message: is it clean, does the handler take it, does it fit.
    Data(Body),
    Bdat {
        body: Body,
        last: bool,
    },
    Burl {
        body: Body,
        last: bool,
    },
    BurlMalformed,
    Rset,
    Noop,
    Vrfy,
    Auth {
        right: bool,
    },
    AuthCancelled,
    /// HELO, after which parameters are as good as after EHLO.
    Helo,
    /// A MAIL with a parameter: of an extension that is offered, out of bounds, not offered, or malformed.
    MailWith(Parameter),
    /// A RCPT with a parameter.
    RcptWith(Parameter),
    /// XCLIENT, with a login that exists, that does not, or none.
    Xclient(Option<bool>),
    Xforward,
    Etrn {
        kept: bool,
    },
    Vanished,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Parameter {
    Good,
    TooMuch,
    NotOffered,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    Good,
    Empty,
    Unclean,
    Refused,
    Huge,
}

impl Body {
    fn octets(self) -> Vec<u8> {
        match self {
            Body::Good => b"A: b\r\n".to_vec(),
            Body::Empty => Vec::new(),
            Body::Unclean => b"A\n.\r\r\nRCPT TO:<c@d>\r\n".to_vec(),
            Body::Refused => b"REFUSE\r\n".to_vec(),
            Body::Huge => b"MAIL FROM:<evil@b>\r\n".repeat(51),
        }
    }
}

/// The reference.
#[derive(Default)]
struct Model {
    lmtp: bool,
    hello: bool,
    authenticated: bool,
    /// Recipients of the open transaction.
    mail: Option<usize>,
    /// Chunks of it so far.
    chunks: Vec<Body>,
    broken: usize,
    /// The open transaction is of binary octets.
    binary: bool,
    /// Extensions are offered, and the peer is trusted.
    extended: bool,
    /// A proxy told of its client, who is not trusted.
    proxied: bool,
    helo_only: bool,
}

impl Model {
    fn answer(&mut self, op: Op) -> Vec<u16> {
        let broken = std::mem::take(&mut self.broken);
        match op {
            Op::Helo if self.lmtp => vec![500],
            Op::Hello | Op::Helo => {
                self.helo_only = matches!(op, Op::Helo);
                (self.hello, self.mail) = (true, None);
                self.chunks.clear();
                vec![250]
            }
            Op::WrongHello | Op::Unknown => vec![500],
            Op::Noop => vec![250],
            Op::Vrfy => vec![252],
            Op::Mail { .. } if !self.hello || self.mail.is_some() => vec![503],
            Op::Mail { refused: true } => vec![550],
            Op::Mail { .. } => {
                (self.mail, self.binary) = (Some(0), false);
                vec![250]
            }
            Op::MailWith(Parameter::Malformed) => vec![501],
            Op::MailWith(_) if !self.hello || self.mail.is_some() => vec![503],
            Op::MailWith(Parameter::NotOffered) => vec![555],
            Op::MailWith(_) if !self.extended => vec![555],
            Op::MailWith(Parameter::TooMuch) => vec![555],
            Op::MailWith(_) => {
                (self.mail, self.binary) = (Some(0), true);
                vec![250]
            }
            Op::RcptWith(Parameter::Malformed) => vec![501],
            Op::RcptWith(Parameter::NotOffered) => vec![555],
            Op::RcptWith(_) if self.mail.is_none() || !self.chunks.is_empty() => vec![503],
            Op::RcptWith(_) if !self.extended => vec![555],
            Op::RcptWith(Parameter::TooMuch) => vec![553],
            Op::RcptWith(_) => self.answer(Op::Rcpt { known: true }),
            Op::Xclient(_) | Op::Xforward if !self.extended || self.proxied => vec![550],
            Op::Xclient(_) | Op::Xforward if self.mail.is_some() => vec![503],
            Op::Xclient(Some(false)) => vec![535],
            Op::Xclient(login) => {
                self.authenticated = login.is_some();
                self.hello = false;
                self.proxied = true;
                vec![220]
            }
            Op::Xforward => vec![250],
            Op::Etrn { .. } if !self.extended || self.proxied => vec![502],
            Op::Etrn { .. } if !self.hello || self.mail.is_some() => vec![503],
            Op::Etrn { kept } => vec![if kept { 250 } else { 459 }],
            Op::Vanished => vec![502],
            Op::Rset => {
                self.mail = None;
                self.chunks.clear();
                vec![250]
            }
            Op::Auth { .. } | Op::AuthCancelled if self.authenticated => vec![503],
            Op::Auth { .. } | Op::AuthCancelled
                if self.mail.is_some() || !self.hello || self.helo_only =>
            {
                vec![503]
            }
            Op::Auth { .. } | Op::AuthCancelled if self.lmtp => vec![502],
            Op::AuthCancelled => vec![334, 501],
            Op::Auth { right } => {
                self.authenticated = right;
                vec![if right { 235 } else { 535 }]
            }
            Op::Rcpt { known } => match self.mail {
                None => vec![503],
                Some(_) if !self.chunks.is_empty() => vec![503],
                Some(3) => vec![452],
                Some(count) if known => {
                    self.mail = Some(count + 1);
                    vec![250]
                }
                Some(_) => vec![550],
            },
            Op::Data(body) => match self.mail {
                None => vec![503],
                Some(_) if !self.chunks.is_empty() || self.binary => vec![503],
                Some(0) => vec![if self.lmtp { 503 } else { 554 }],
                Some(count) => [vec![354], self.message(&[body], count)].concat(),
            },
            Op::Bdat { body, last } => self.chunk(body, last, broken),
            Op::Burl { .. } if self.lmtp || !self.extended => vec![502],
            Op::Burl { body, last } => self.url(body, last),
            Op::BurlMalformed => {
                if self.extended && !self.lmtp {
                    self.mail = None;
                    self.chunks.clear();
                }
                vec![501]
            }
        }
    }

    /// A piece that is fetched: refused as soon as something is wrong, and then the transaction is over.
    fn url(&mut self, body: Body, last: bool) -> Vec<u16> {
        match self.mail {
            None => return vec![503],
            Some(0) => {
                self.mail = None;
                return vec![554];
            }
            Some(_) => {}
        }
        self.chunks.push(body);
        let length: usize = self.chunks.iter().map(|body| body.octets().len()).sum();
        let unclean = self.chunks.contains(&Body::Unclean) && !self.binary;
        if body == Body::Empty || length > 1_000 || unclean {
            self.mail = None;
            self.chunks.clear();
            return vec![554];
        }
        self.chunk_taken(last)
    }

    fn chunk_taken(&mut self, last: bool) -> Vec<u16> {
        match last {
            true => {
                let chunks = std::mem::take(&mut self.chunks);
                self.message(&chunks, 1)
            }
            false => vec![250],
        }
    }

    fn chunk(&mut self, body: Body, last: bool, broken: usize) -> Vec<u16> {
        let Some(count) = self.mail else {
            let replies = if self.lmtp && last { broken.max(1) } else { 1 };
            self.broken = if last && self.lmtp { 0 } else { broken };
            return vec![503; replies];
        };
        if count == 0 {
            self.mail = None;
            return match (self.lmtp, last) {
                (true, true) => vec![],
                (true, false) => vec![503],
                (false, _) => vec![554],
            };
        }
        self.chunks.push(body);
        if last {
            let chunks = std::mem::take(&mut self.chunks);
            return self.message(&chunks, count);
        }
        if self
            .chunks
            .iter()
            .map(|body| body.octets().len())
            .sum::<usize>()
            > 1_000
        {
            self.mail = None;
            self.chunks.clear();
            self.broken = count;
            return vec![552];
        }
        vec![250]
    }

    fn message(&mut self, bodies: &[Body], count: usize) -> Vec<u16> {
        self.mail = None;
        let huge = bodies.iter().map(|body| body.octets().len()).sum::<usize>() > 1_000;
        let unclean = bodies.contains(&Body::Unclean) && !self.binary;
        let refused = bodies.contains(&Body::Refused);
        let count = if self.lmtp { count } else { 1 };
        let code = |n| match () {
            () if huge => 552,
            () if unclean => 550,
            () if refused && n % 2 == 0 => 554,
            () => 250,
        };
        (0..count).map(code).collect()
    }
}

/// What goes over the wire for `op`, when `codes` will come back.
fn octets(op: Op, codes: &[u16], lmtp: bool) -> Vec<u8> {
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    match op {
        Op::Hello => line(if lmtp { "LHLO c" } else { "EHLO c" }),
        Op::WrongHello => line(if lmtp { "EHLO c" } else { "LHLO c" }),
        Op::Mail { refused } => line(if refused {
            "MAIL FROM:<refused@b>"
        } else {
            "MAIL FROM:<a@b> SIZE=9"
        }),
        Op::Rcpt { known } => line(if known {
            "RCPT TO:<c@d>"
        } else {
            "RCPT TO:<unknown@d>"
        }),
        Op::Data(body) if codes.first() == Some(&354) => {
            [line("DATA"), body.octets(), line(".")].concat()
        }
        Op::Data(_) => line("DATA"),
        Op::Bdat { body, last } => {
            let octets = body.octets();
            [
                line(&format!(
                    "BDAT {}{}",
                    octets.len(),
                    if last { " LAST" } else { "" }
                )),
                octets,
            ]
            .concat()
        }
        Op::Burl { body, last } => {
            let name = match body {
                Body::Good => "6",
                Body::Empty => "nothing",
                Body::Unclean => "unclean",
                Body::Refused => "refused",
                Body::Huge => "1020",
            };
            line(&format!(
                "BURL imap:{name}{}",
                if last { " LAST" } else { "" }
            ))
        }
        Op::BurlMalformed => line("BURL /relative LAST"),
        Op::Rset => line("RSET"),
        Op::Noop => line("NOOP"),
        Op::Vrfy => line("VRFY ü@x"),
        Op::Auth { right } => line(&format!(
            "AUTH PLAIN {}",
            base64::encode(if right { b"right" } else { b"wrong" })
        )),
        Op::AuthCancelled if codes.first() == Some(&334) => line("AUTH PLAIN\r\n*"),
        Op::AuthCancelled => line("AUTH PLAIN"),
        Op::Unknown => line("XYZZY"),
        Op::Helo => line("HELO c"),
        Op::MailWith(parameter) => line(match parameter {
            Parameter::Good => "MAIL FROM:<a@b> BODY=BINARYMIME RET=HDRS ENVID=x MT-PRIORITY=3",
            Parameter::TooMuch => "MAIL FROM:<a@b> BY=9;R",
            Parameter::NotOffered => "MAIL FROM:<a@b> REQUIRETLS",
            Parameter::Malformed => "MAIL FROM:<a@b> ENVID=+0D+0A",
        }),
        Op::RcptWith(parameter) => line(match parameter {
            Parameter::Good => "RCPT TO:<c@d> NOTIFY=SUCCESS ORCPT=rfc822;c@d",
            Parameter::TooMuch => "RCPT TO:<c@d> ORCPT=utf-8;ü@x",
            Parameter::NotOffered => "RCPT TO:<c@d> FOO=1",
            Parameter::Malformed => "RCPT TO:<c@d> NOTIFY=NEVER,DELAY",
        }),
        Op::Xclient(login) => line(match login {
            None => "XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]",
            Some(true) => "XCLIENT LOGIN=right",
            Some(false) => "XCLIENT LOGIN=wrong",
        }),
        Op::Xforward => line("XFORWARD NAME=a ADDR=192.0.2.1 HELO=b SOURCE=REMOTE"),
        Op::Etrn { kept } => line(if kept {
            "ETRN kept.example"
        } else {
            "ETRN @other.example"
        }),
        Op::Vanished => line("EXPN list"),
    }
}

/// A small generator: the sequences are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn body(&mut self) -> Body {
        match self.below(8) {
            0 => Body::Empty,
            1 => Body::Unclean,
            2 => Body::Refused,
            3 => Body::Huge,
            _ => Body::Good,
        }
    }

    fn parameter(&mut self) -> Parameter {
        match self.below(6) {
            0 => Parameter::TooMuch,
            1 => Parameter::NotOffered,
            2 => Parameter::Malformed,
            _ => Parameter::Good,
        }
    }

    fn rare(&mut self) -> Op {
        match self.below(7) {
            6 => Op::BurlMalformed,
            0 => Op::Helo,
            1 => Op::Xclient(None),
            2 => Op::Xclient(Some(self.below(2) == 0)),
            3 => Op::Xforward,
            4 => Op::Etrn {
                kept: self.below(2) == 0,
            },
            _ => Op::Vanished,
        }
    }

    /// Commands that lead on are more frequent, so that transactions get far.
    fn op(&mut self) -> Op {
        match self.below(34) {
            30..34 => {
                return Op::Burl {
                    body: self.body(),
                    last: self.below(2) == 0,
                };
            }
            24..26 => return Op::MailWith(self.parameter()),
            26..29 => return Op::RcptWith(self.parameter()),
            29 => return self.rare(),
            _ => {}
        }
        match self.below(24) {
            0 => Op::Hello,
            1 => Op::WrongHello,
            2..6 => Op::Mail {
                refused: self.below(6) == 0,
            },
            6..12 => Op::Rcpt {
                known: self.below(5) != 0,
            },
            12..15 => Op::Data(self.body()),
            15..18 => Op::Bdat {
                body: self.body(),
                last: self.below(2) == 0,
            },
            18 => Op::Rset,
            19 => Op::Noop,
            20 => Op::Vrfy,
            21 => Op::Auth {
                right: self.below(3) == 0,
            },
            22 => Op::AuthCancelled,
            _ => Op::Unknown,
        }
    }
}

#[test]
fn a4_random_sequences_equal_the_model() {
    let mut random = Random(0x5eed_cafe_f00d_1234);
    let mut accepted = 0;
    for sequence in 0..100_000 {
        let lmtp = sequence % 3 == 0;
        let kind = if lmtp { Kind::Lmtp } else { Kind::Submission };
        let mut config = config(kind);
        config.limits.unknown_commands = u32::MAX;
        config.limits.errors = u32::MAX;
        let extended = sequence % 4 != 0;
        if extended {
            config.extensions = Extensions {
                dsn: true,
                binary_mime: true,
                deliver_by: Some(10),
                priority: true,
                // Announced under TLS only.
                require_tls: true,
                xclient: true,
                xforward: true,
                etrn: true,
                burl: (!lmtp).then(Vec::new),
                ..Extensions::default()
            };
        }
        let mut model = Model {
            extended,
            lmtp,
            ..Model::default()
        };
        let ops: Vec<Op> = std::iter::once(Op::Hello)
            .chain((0..14).map(|_| random.op()))
            .collect();
        let expected: Vec<Vec<u16>> = ops.iter().map(|op| model.answer(*op)).collect();
        let input: Vec<u8> = ops
            .iter()
            .zip(&expected)
            .flat_map(|(op, codes)| octets(*op, codes, lmtp))
            .collect();
        let (out, peer, session) = run(config, [input.as_slice()]);
        assert_eq!(codes(&out)[1..], expected.concat(), "{sequence}: {ops:?}");
        assert!(!session.closed());
        accepted += peer.messages.len();
    }
    assert!(
        accepted > 12_000,
        "the sequences hardly ever reach a message: {accepted}"
    );
}
