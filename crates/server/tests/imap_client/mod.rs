//! An IMAP client for tests: commands out, responses in, literals understood. It knows nothing of the server's code.

use std::collections::BTreeSet;

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};

/// What a command was answered.
#[derive(Debug)]
pub struct Answer {
    /// Untagged responses without `* `, literals in place as octets.
    pub untagged: Vec<Vec<u8>>,
    /// The tagged response without its tag.
    pub tagged: String,
}

#[allow(dead_code, reason = "each test file uses some")]
impl Answer {
    pub fn ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// Untagged responses as text.
    pub fn lines(&self) -> Vec<String> {
        self.untagged
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// Untagged responses that begin so.
    pub fn with(&self, start: &str) -> Vec<String> {
        self.lines()
            .into_iter()
            .filter(|line| line.starts_with(start))
            .collect()
    }

    /// Numbers of `* n WORD` responses, in order.
    pub fn numbers(&self, word: &str) -> Vec<u32> {
        self.lines()
            .iter()
            .filter_map(|line| line.strip_suffix(&format!(" {word}"))?.parse().ok())
            .collect()
    }

    /// The one FETCH response of a sequence number.
    pub fn fetched(&self, seq: u32) -> String {
        let mut found = self.with(&format!("{seq} FETCH "));
        assert_eq!(found.len(), 1, "{:?} {}", self.lines(), self.tagged);
        found.remove(0)
    }

    /// The response code of the tagged response, without brackets.
    pub fn code(&self) -> &str {
        match (self.tagged.find('['), self.tagged.find(']')) {
            (Some(start), Some(end)) if start < 5 => &self.tagged[start + 1..end],
            _ => "",
        }
    }
}

/// A connection that is logged in.
#[derive(Debug)]
pub struct Client {
    pub connection: Connection,
    tag: u32,
}

#[allow(dead_code, reason = "each test file uses some")]
impl Client {
    /// Connects without logging in.
    pub fn connect(server: &Server) -> Client {
        let mut connection = server.connect(server.ports().imap).expect("connects");
        let greeting = connection.answer().expect("greets");
        assert!(greeting.starts_with("* OK"), "{greeting}");
        Client { connection, tag: 0 }
    }

    /// Connects and logs in.
    pub fn login(server: &Server, address: &str) -> Client {
        let mut client = Client::connect(server);
        client.ok(&format!("LOGIN {address} {PASSWORD}"));
        client
    }

    /// A command that must be answered OK.
    pub fn ok(&mut self, command: &str) -> Answer {
        let answer = self.command(command);
        assert!(
            answer.ok(),
            "{command:?} was answered {:?} {}",
            answer.lines(),
            answer.tagged
        );
        answer
    }

    /// A command that must be answered NO.
    pub fn no(&mut self, command: &str) -> Answer {
        let answer = self.command(command);
        assert!(
            answer.tagged.starts_with("NO"),
            "{command:?} was answered {}",
            answer.tagged
        );
        answer
    }

    pub fn bad(&mut self, command: &str) -> Answer {
        let answer = self.command(command);
        assert!(
            answer.tagged.starts_with("BAD"),
            "{command:?} was answered {}",
            answer.tagged
        );
        answer
    }

    pub fn command(&mut self, command: &str) -> Answer {
        let tag = self.send(command);
        self.answer(&tag)
    }

    /// Sends a command and does not wait. Answers its tag.
    pub fn send(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.connection
            .line(&format!("{tag} {command}"))
            .expect("sends");
        tag
    }

    /// APPEND of one message; `arguments` are the mailbox, flags and date.
    pub fn append(&mut self, arguments: &str, message: &[u8]) -> Answer {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        let mut octets =
            format!("{tag} APPEND {arguments} {{{}+}}\r\n", message.len()).into_bytes();
        octets.extend_from_slice(message);
        octets.extend_from_slice(b"\r\n");
        self.connection.send(&octets).expect("sends");
        self.answer(&tag)
    }

    /// Reads up to the tagged response.
    pub fn answer(&mut self, tag: &str) -> Answer {
        let mut untagged = Vec::new();
        loop {
            let response = self.response();
            if let Some(rest) = response.strip_prefix(b"* ") {
                untagged.push(rest.to_vec());
                continue;
            }
            let text = String::from_utf8_lossy(&response).into_owned();
            match text.strip_prefix(&format!("{tag} ")) {
                Some(tagged) => {
                    return Answer {
                        untagged,
                        tagged: tagged.to_owned(),
                    };
                }
                None => panic!("not an answer to {tag}: {text:?} after {untagged:?}"),
            }
        }
    }

    /// One response with its literals.
    pub fn response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let line = self.connection.read_line().expect("reads").expect("open");
            response.extend_from_slice(&line);
            let Some(size) = literal(&line) else {
                return response;
            };
            response.extend_from_slice(b"\r\n");
            response
                .extend_from_slice(&self.connection.read_octets(size).expect("reads a literal"));
        }
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let start = line.iter().rposition(|b| *b == b'{')?;
    std::str::from_utf8(&line[start + 1..]).ok()?.parse().ok()
}

/// What follows an item in a FETCH response: a word, or a balanced list.
#[allow(dead_code, reason = "each test file uses some")]
pub fn item<'a>(fetched: &'a str, name: &str) -> Option<&'a str> {
    let at = [format!("({name} "), format!(" {name} ")]
        .iter()
        .filter_map(|key| Some(fetched.find(key.as_str())? + key.len()))
        .min()?;
    let rest = &fetched[at..];
    if rest.starts_with('(') {
        let mut depth = 0;
        for (end, byte) in rest.bytes().enumerate() {
            depth += match byte {
                b'(' => 1,
                b')' => -1,
                _ => 0,
            };
            if depth == 0 {
                return Some(&rest[1..end]);
            }
        }
        return None;
    }
    rest.split([' ', ')']).next()
}

/// A list of flags as a set, in lower case.
#[allow(dead_code, reason = "each test file uses some")]
pub fn flags(list: &str) -> BTreeSet<String> {
    list.split_whitespace()
        .map(str::to_ascii_lowercase)
        .filter(|flag| flag != "\\recent")
        .collect()
}
