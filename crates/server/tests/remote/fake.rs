//! An IMAP server that does what a test wants: any names, any numbers, and all that no server should do.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A message of the site.
#[derive(Clone, Debug)]
pub struct Message {
    pub uid: u32,
    pub flags: &'static str,
    pub date: &'static str,
    pub octets: Vec<u8>,
    /// What the site says of its size, where that is not true.
    pub said: Option<u64>,
}

impl Message {
    pub fn new(uid: u32, subject: &str) -> Message {
        Message {
            uid,
            flags: "",
            date: "17-Jul-1996 02:44:25 -0700",
            octets: format!("Subject: {subject}\r\n\r\nhello {uid}\r\n").into_bytes(),
            said: None,
        }
    }
}

/// A mailbox of the site.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// As on the wire, with its quotes.
    pub name: String,
    pub attributes: &'static str,
    pub uid_validity: u32,
    pub messages: Vec<Message>,
    /// What EXISTS says, where that is not true.
    pub exists: Option<u32>,
}

impl Mailbox {
    pub fn new(name: &str, messages: Vec<Message>) -> Mailbox {
        Mailbox {
            name: format!("\"{name}\""),
            attributes: "",
            uid_validity: 7,
            messages,
            exists: None,
        }
    }

    pub fn with(self, attributes: &'static str) -> Mailbox {
        Mailbox { attributes, ..self }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    None,
    /// After so many messages on a connection nothing comes any more.
    HangAfter(usize),
    /// After so many messages the connection ends; the first connection alone.
    DropAfter(usize),
    /// The answer to LIST is a line without end.
    EndlessLine,
    /// A message is announced with 4 GiB.
    AbsurdLiteral,
    /// A million mailboxes.
    Million,
    /// What stands behind no tag and in no grammar.
    Nonsense,
    /// INTERNALDATE is no date.
    NoDate,
    /// A message comes under a UID that was not asked for, and twice.
    OtherUids,
}

/// What the site has and does.
#[derive(Clone, Debug)]
pub struct Site {
    pub capabilities: &'static str,
    pub delimiter: char,
    pub prefix: &'static str,
    pub mailboxes: Vec<Mailbox>,
    pub subscribed: Vec<&'static str>,
    pub quirk: Quirk,
}

/// A running site.
pub struct Fake {
    pub site: Arc<Mutex<Site>>,
    pub address: SocketAddr,
    /// Messages given out so far.
    pub given: Arc<AtomicUsize>,
    /// What clients said.
    pub heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Fake {
    pub fn start(mailboxes: Vec<Mailbox>) -> Fake {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let fake = Fake {
            address: listener.local_addr().expect("address"),
            site: Arc::new(Mutex::new(Site {
                capabilities: "IMAP4rev1 NAMESPACE",
                delimiter: '.',
                prefix: "INBOX.",
                mailboxes,
                subscribed: Vec::new(),
                quirk: Quirk::None,
            })),
            given: Arc::default(),
            heard: Arc::default(),
            connections: Arc::default(),
        };
        let (site, heard, given, connections) = (
            Arc::clone(&fake.site),
            Arc::clone(&fake.heard),
            Arc::clone(&fake.given),
            Arc::clone(&fake.connections),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, given, heard) =
                    (Arc::clone(&site), Arc::clone(&given), Arc::clone(&heard));
                let first = connections.fetch_add(1, Ordering::AcqRel) == 0;
                std::thread::spawn(move || {
                    // The client may hang up at any time.
                    let _ = Session {
                        stream,
                        site,
                        given,
                        heard,
                        first,
                        sent: 0,
                        selected: 0,
                    }
                    .run();
                });
            }
        });
        fake
    }

    pub fn url(&self) -> String {
        format!("imap://anna@127.0.0.1:{}", self.address.port())
    }

    pub fn change(&self, change: impl FnOnce(&mut Site)) {
        change(&mut self.site.lock().expect("site"));
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

struct Session {
    stream: TcpStream,
    site: Arc<Mutex<Site>>,
    given: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    first: bool,
    sent: usize,
    selected: usize,
}

impl Session {
    fn run(&mut self) -> io::Result<()> {
        let mut lines = BufReader::new(self.stream.try_clone()?).lines();
        self.say("* OK the fake is ready\r\n")?;
        while let Some(line) = lines.next().transpose()? {
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            self.heard.lock().expect("list").push(command.to_owned());
            let site = self.site.lock().expect("site").clone();
            let upper = command.to_ascii_uppercase();
            let word = upper.split(' ').next().unwrap_or_default();
            match word {
                "CAPABILITY" => self.say(&format!("* CAPABILITY {}\r\n", site.capabilities))?,
                "STARTTLS" => {
                    self.say(&format!("{tag} BAD unknown\r\n"))?;
                    continue;
                }
                "NAMESPACE" => {
                    let text = format!(
                        "* NAMESPACE ((\"{}\" \"{}\")) NIL ((\"Shared.\" \".\"))\r\n",
                        site.prefix, site.delimiter
                    );
                    self.say(&text)?;
                }
                "LIST" => self.list(&site)?,
                "LSUB" => {
                    for name in &site.subscribed {
                        self.say(&format!("* LSUB () \"{}\" \"{name}\"\r\n", site.delimiter))?;
                    }
                }
                "EXAMINE" | "SELECT" => {
                    let name = command.split_once(' ').map_or("", |(_, name)| name);
                    let at = site.mailboxes.iter().position(|mailbox| {
                        mailbox.name.trim_matches('"') == name.trim_matches('"')
                    });
                    let Some((at, mailbox)) = at.and_then(|at| Some((at, site.mailboxes.get(at)?)))
                    else {
                        self.say(&format!("{tag} NO there is no {name}\r\n"))?;
                        continue;
                    };
                    self.selected = at;
                    let count = u32::try_from(mailbox.messages.len()).unwrap_or(0);
                    let text = format!(
                        "* {} EXISTS\r\n* OK [UIDVALIDITY {}] x\r\n* OK [UIDNEXT 99999] x\r\n",
                        mailbox.exists.unwrap_or(count),
                        mailbox.uid_validity
                    );
                    self.say(&text)?;
                }
                "UID" => self.fetch(&site, command)?,
                "LOGOUT" => {
                    self.say(&format!("* BYE\r\n{tag} OK bye\r\n"))?;
                    return Ok(());
                }
                _ => {}
            }
            self.say(&format!("{tag} OK done\r\n"))?;
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())
    }

    fn list(&mut self, site: &Site) -> io::Result<()> {
        match site.quirk {
            Quirk::EndlessLine => {
                self.say("* LIST () \".\" \"")?;
                loop {
                    self.stream.write_all(&[b'x'; 65536])?;
                }
            }
            Quirk::Million => {
                for thousand in 0..1000 {
                    let names = (0..1000)
                        .map(|number| format!("* LIST () \".\" \"x{thousand}-{number}\"\r\n"));
                    self.say(&names.collect::<String>())?;
                }
            }
            Quirk::Nonsense => self.say("* LIST (((((\r\n* 99999999999 EXISTS\r\n* \r\n")?,
            _ => {}
        }
        for mailbox in &site.mailboxes {
            self.say(&format!(
                "* LIST ({}) \"{}\" {}\r\n",
                mailbox.attributes, site.delimiter, mailbox.name
            ))?;
        }
        Ok(())
    }

    fn fetch(&mut self, site: &Site, command: &str) -> io::Result<()> {
        let set = command.split(' ').nth(2).unwrap_or_default();
        let Some(mailbox) = site.mailboxes.get(self.selected) else {
            return Ok(());
        };
        for (at, message) in mailbox
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| holds(set, message.uid))
        {
            let mut text = format!(
                "* {} FETCH (UID {} FLAGS ({})",
                at + 1,
                message.uid,
                message.flags
            );
            if !command.contains("BODY") {
                let size = message.said.unwrap_or(message.octets.len() as u64);
                let _ = write!(text, " RFC822.SIZE {size})\r\n");
                self.say(&text)?;
                continue;
            }
            let drop =
                matches!(site.quirk, Quirk::DropAfter(most) if self.sent >= most && self.first);
            if drop {
                self.stream.shutdown(std::net::Shutdown::Both)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            while matches!(site.quirk, Quirk::HangAfter(most) if self.sent >= most) {
                std::thread::park();
            }
            if command.contains("INTERNALDATE") {
                let date = match site.quirk {
                    Quirk::NoDate => "32-Foo-0000 99:99:99",
                    _ => message.date,
                };
                let _ = write!(text, " INTERNALDATE \"{date}\"");
            }
            if site.quirk == Quirk::AbsurdLiteral {
                self.say(&format!("{text} BODY[] {{4294967295}}\r\n"))?;
                continue;
            }
            if site.quirk == Quirk::OtherUids {
                self.say("* 1 FETCH (UID 4711 BODY[] {3}\r\nbad)\r\n")?;
                self.say(&format!(
                    "* 1 FETCH (UID {} FLAGS (\\Deleted))\r\n",
                    message.uid
                ))?;
            }
            for _ in 0..1 + usize::from(site.quirk == Quirk::OtherUids) {
                self.say(&format!("{text} BODY[] {{{}}}\r\n", message.octets.len()))?;
                self.stream.write_all(&message.octets)?;
                self.say(")\r\n")?;
            }
            self.sent += 1;
            self.given.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// Whether a set names a UID.
fn holds(set: &str, uid: u32) -> bool {
    set.split(',').any(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let number = |text: &str| {
            if text == "*" {
                u32::MAX
            } else {
                text.parse().unwrap_or(0)
            }
        };
        (number(first)..=number(last)).contains(&uid)
    })
}
