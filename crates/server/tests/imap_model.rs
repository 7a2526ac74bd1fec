//! Random commands of several sessions on one account, against a model of what every client must know.
//!
//! Two things are compared: each client's picture, built from untagged responses alone, with the mailboxes of the
//! model; and every answer with what that client was told before. Some of the clients enabled CONDSTORE or QRESYNC: what
//! they are told of mod-sequences must fit together, conditional STORE must leave alone what changed, and what they missed
//! while they were away or cut off must be what a SELECT with QRESYNC tells. WAXWING_SEED replays a run, WAXWING_COMMANDS makes it longer (100000 takes some minutes).

use std::collections::BTreeSet;

use testkit::server::Server;

mod imap_client;
use imap_client::{Answer, Client, flags, item};

type Flags = BTreeSet<String>;

#[derive(Clone, Debug, PartialEq)]
struct Message {
    uid: u32,
    flags: Flags,
    mark: u64,
    modseq: ModSeq,
}

/// What was told of a message's mod-sequence since it last changed.
#[derive(Clone, Debug, Default, PartialEq)]
struct ModSeq {
    /// The highest of the account when it changed, as far as anybody was told.
    above: u64,
    told: Option<u64>,
}

#[derive(Default)]
struct Mailbox {
    messages: Vec<Message>,
    next: u32,
}

/// A message as a client knows it.
#[derive(Clone, Debug, Default)]
struct Known {
    uid: Option<u32>,
    flags: Option<Flags>,
    modseq: Option<u64>,
}

/// What a client enabled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Plain,
    CondStore,
    QResync,
}

struct Session {
    client: Client,
    selected: Option<usize>,
    known: Vec<Known>,
    mode: Mode,
    /// The highest mod-sequence told.
    heard: u64,
    /// The same as of the last command after which nothing was held back.
    synced: u64,
    uid_validity: u64,
    /// What was known of each mailbox when it was left: its UIDVALIDITY, a mod-sequence, and its messages.
    left: [Option<(u64, u64, Vec<Known>)>; 2],
}

const NAMES: [&str; 2] = ["INBOX", "Other"];
const FLAGS: [&str; 6] = [
    "\\Seen",
    "\\Flagged",
    "\\Deleted",
    "\\Answered",
    "$Junk",
    "later",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    fn flags(&mut self) -> Flags {
        let mut set = Flags::new();
        for _ in 0..self.below(3) {
            set.insert(FLAGS[self.below(FLAGS.len())].to_ascii_lowercase());
        }
        set
    }
}

fn list(flags: &Flags) -> String {
    format!("({})", flags.iter().cloned().collect::<Vec<_>>().join(" "))
}

/// The number behind a word and a space.
fn number_behind(line: &str, word: &str) -> Option<u64> {
    let (_, rest) = line.split_once(word)?;
    let digits = rest.trim_start_matches([' ', '(']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

impl Session {
    fn new(server: &Server, mode: Mode) -> Session {
        let mut client = Client::login(server, "alice@example.test");
        match mode {
            Mode::Plain => {}
            Mode::CondStore => drop(client.ok("ENABLE CONDSTORE")),
            Mode::QResync => drop(client.ok("ENABLE QRESYNC")),
        }
        Session {
            client,
            selected: None,
            known: Vec::new(),
            mode,
            heard: 0,
            synced: 0,
            uid_validity: 0,
            left: [None, None],
        }
    }

    fn hear(&mut self, modseq: u64) {
        self.heard = self.heard.max(modseq);
    }

    /// Takes in what the server told; `may_expunge` says whether this command allows EXPUNGE (RFC 9051 §7.5.1).
    fn learn(&mut self, answer: &Answer, may_expunge: bool) {
        for line in answer.lines().into_iter().chain([answer.tagged.clone()]) {
            if let Some(modseq) = number_behind(&line, "HIGHESTMODSEQ") {
                self.hear(modseq);
            }
            if let Some(uids) = line.strip_prefix("VANISHED (EARLIER) ") {
                let gone = numbers(uids);
                self.known
                    .retain(|known| known.uid.is_none_or(|uid| !gone.contains(&uid)));
            } else if let Some(uids) = line.strip_prefix("VANISHED ") {
                assert!(may_expunge && self.mode == Mode::QResync, "{line}");
                for uid in numbers(uids) {
                    // One whose UID nobody asked for yet counts all the same (RFC 7162 §3.2.10.2).
                    let place = |wanted| self.known.iter().position(|known| known.uid == wanted);
                    let at = place(Some(uid)).or_else(|| place(None));
                    self.known.remove(at.expect("VANISHED of what is known"));
                }
            } else if let Some(seq) = line
                .strip_suffix(" EXPUNGE")
                .and_then(|n| n.parse::<usize>().ok())
            {
                assert_ne!(self.mode, Mode::QResync, "{line}");
                assert!(
                    may_expunge,
                    "EXPUNGE at the wrong time: {:?}",
                    answer.lines()
                );
                assert!(
                    seq >= 1 && seq <= self.known.len(),
                    "{line} of {}",
                    self.known.len()
                );
                self.known.remove(seq - 1);
            } else if let Some(count) = line
                .strip_suffix(" EXISTS")
                .and_then(|n| n.parse::<usize>().ok())
            {
                assert!(
                    count >= self.known.len(),
                    "{line} of {} without EXPUNGE",
                    self.known.len()
                );
                self.known.resize(count, Known::default());
            } else if let Some((seq, _)) = line.split_once(" FETCH ") {
                let seq: usize = seq.parse().unwrap();
                assert!(
                    seq >= 1 && seq <= self.known.len(),
                    "{line} of {}",
                    self.known.len()
                );
                let known = &mut self.known[seq - 1];
                let uid: Option<u32> = item(&line, "UID").map(|uid| uid.parse().unwrap());
                if let (Some(old), Some(new)) = (known.uid, uid) {
                    assert_eq!(old, new, "the UID of {seq} changed: {line}");
                }
                known.uid = known.uid.or(uid);
                let modseq = number_behind(&line, "MODSEQ (");
                if let Some(set) = item(&line, "FLAGS") {
                    // RFC 7162 §3.2.4
                    assert!(
                        self.mode == Mode::Plain || modseq.is_some() || line.contains("X-Mark"),
                        "{line}"
                    );
                    known.flags = Some(flags(set));
                }
                if let Some(modseq) = modseq {
                    assert!(known.modseq.is_none_or(|before| before <= modseq), "{line}");
                    known.modseq = Some(modseq);
                    self.hear(modseq);
                }
            }
        }
        if may_expunge {
            self.synced = self.heard;
        }
        // Whoever hears of UIDs must know them all.
        let unknown = self.known.iter().position(|known| known.uid.is_none());
        if let (Mode::QResync, Some(at)) = (self.mode, unknown) {
            let command = format!("FETCH {}:{} (UID FLAGS MODSEQ)", at + 1, self.known.len());
            let answer = self.client.command(&command);
            self.learn(&answer, false);
            // What is gone already is told as such before anything else.
            if self.known.iter().any(|known| known.uid.is_none()) {
                let answer = self.client.command("UID SEARCH RETURN (ALL) ALL");
                self.forget_unknown(&answer);
            }
        }
    }

    /// Messages that came and went before their UIDs could be asked for.
    fn forget_unknown(&mut self, answer: &Answer) {
        let line = answer.with("ESEARCH").remove(0);
        let all = line.split_once("ALL ").map_or("", |(_, set)| set);
        let there = numbers(all.split(' ').next().unwrap());
        self.known
            .retain(|known| known.uid.is_some_and(|uid| there.contains(&uid)));
        for uid in there {
            if !self.known.iter().any(|known| known.uid == Some(uid)) {
                self.known.push(Known {
                    uid: Some(uid),
                    ..Known::default()
                });
            }
        }
    }

    fn run(&mut self, command: &str, may_expunge: bool) -> Answer {
        let answer = self.client.command(command);
        if std::env::var("WAXWING_SHOW").is_ok() {
            println!(
                "{:?} {command}: {:?} {}",
                self.mode,
                answer.lines(),
                answer.tagged
            );
        }
        assert!(
            !answer.tagged.starts_with("BAD"),
            "{command} was answered {}",
            answer.tagged
        );
        self.learn(&answer, may_expunge);
        answer
    }

    /// Learns everything, and compares.
    fn agree(&mut self, model: &mut [Mailbox; 2]) {
        let Some(which) = self.selected else { return };
        self.run("NOOP", true);
        if self
            .known
            .iter()
            .any(|known| known.uid.is_none() || known.flags.is_none())
        {
            let items = match self.mode {
                Mode::Plain => "UID FLAGS",
                _ => "UID FLAGS MODSEQ",
            };
            self.run(&format!("FETCH 1:* ({items})"), false);
        }
        let real: Vec<_> = model[which]
            .messages
            .iter()
            .map(|m| (m.uid, m.flags.clone()))
            .collect();
        let known: Vec<_> = self
            .known
            .iter()
            .map(|k| (k.uid.unwrap(), k.flags.clone().unwrap()))
            .collect();
        assert_eq!(known, real, "in {}", NAMES[which]);
        // One message, one mod-sequence, whoever is told; a later change is later.
        for (known, message) in self.known.iter().zip(&mut model[which].messages) {
            if let Some(modseq) = known.modseq {
                let expected = *message.modseq.told.get_or_insert(modseq);
                assert_eq!(modseq, expected, "of UID {}", message.uid);
                assert!(
                    modseq > message.modseq.above,
                    "{message:?} {:?} {known:?}",
                    self.mode
                );
            }
        }
    }

    /// The connection is lost, without a word, and another begins.
    fn reconnect(&mut self, server: &Server, which: usize, model: &[Mailbox; 2]) {
        self.leave();
        self.client = Client::login(server, "alice@example.test");
        match self.mode {
            Mode::Plain => {}
            Mode::CondStore => drop(self.client.ok("ENABLE CONDSTORE")),
            Mode::QResync => drop(self.client.ok("ENABLE QRESYNC")),
        }
        self.select(which, model);
    }

    /// Leaves what is selected; what is known of it stays known.
    fn leave(&mut self) {
        let known = std::mem::take(&mut self.known);
        if let Some(which) = self.selected.take()
            && self.mode == Mode::QResync
        {
            self.left[which] = Some((self.uid_validity, self.synced, known));
        }
    }

    fn select(&mut self, which: usize, model: &[Mailbox; 2]) {
        self.leave();
        let known = self.left[which].take().filter(|(_, modseq, _)| *modseq > 0);
        let command = match &known {
            Some((validity, modseq, _)) => {
                format!("SELECT {} (QRESYNC ({validity} {modseq}))", NAMES[which])
            }
            None => format!("SELECT {}", NAMES[which]),
        };
        // All that is told before the mailbox is there is of another life of this session.
        (self.heard, self.synced) = (0, 0);
        let answer = self.client.ok(&command);
        for line in answer.lines() {
            if let Some(validity) = number_behind(&line, "[UIDVALIDITY") {
                self.uid_validity = validity;
            }
        }
        match known {
            Some((.., known)) => self.resume(&answer, known, &model[which]),
            None => {
                self.selected = Some(which);
                self.learn(&answer, true);
            }
        }
        self.selected = Some(which);
        assert_eq!(self.known.len(), model[which].messages.len());
    }

    /// Brings up to date what was known of a mailbox, with the answer to SELECT with QRESYNC and nothing else: it must be
    /// what the mailbox holds, but for messages that came since (RFC 7162 §3.2.5).
    fn resume(&mut self, answer: &Answer, mut known: Vec<Known>, mailbox: &Mailbox) {
        let newest = known.iter().filter_map(|k| k.uid).max().unwrap_or(0);
        for line in answer.lines() {
            if let Some(uids) = line.strip_prefix("VANISHED (EARLIER) ") {
                let gone = numbers(uids);
                assert!(
                    !mailbox.messages.iter().any(|m| gone.contains(&m.uid)),
                    "{line}"
                );
                known.retain(|known| !gone.contains(&known.uid.unwrap()));
            }
            if !line.contains(" FETCH ") {
                continue;
            }
            let uid: u32 = item(&line, "UID").unwrap().parse().unwrap();
            let at = match known.iter().position(|known| known.uid == Some(uid)) {
                Some(at) => at,
                None => {
                    assert!(uid > newest, "{line}: not told when it came");
                    known.push(Known {
                        uid: Some(uid),
                        ..Known::default()
                    });
                    known.len() - 1
                }
            };
            known[at].flags = Some(flags(item(&line, "FLAGS").unwrap()));
            known[at].modseq = number_behind(&line, "MODSEQ (");
        }
        known.sort_by_key(|known| known.uid);
        let expected: Vec<_> = mailbox
            .messages
            .iter()
            .map(|m| (Some(m.uid), Some(m.flags.clone())))
            .collect();
        let resumed: Vec<_> = known.iter().map(|k| (k.uid, k.flags.clone())).collect();
        assert_eq!(resumed, expected, "{:?}", answer.lines());
        self.known = known;
        self.learn(answer, true);
    }
}

fn seed() -> u64 {
    std::env::var("WAXWING_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0x5eed_0001)
}

#[test]
fn clients_know_what_the_model_holds() {
    let server = Server::start().unwrap();
    server.add_domain("example.test").unwrap();
    server.add_account("alice@example.test").unwrap();
    let seed = seed();
    println!("WAXWING_SEED={seed}");
    let mut random = Random(seed);
    let mut model = [
        Mailbox {
            next: 1,
            ..Mailbox::default()
        },
        Mailbox {
            next: 1,
            ..Mailbox::default()
        },
    ];
    use Mode::*;
    let mut sessions: Vec<Session> = [Plain, QResync, Plain, CondStore, QResync]
        .into_iter()
        .map(|mode| Session::new(&server, mode))
        .collect();
    sessions[0].client.ok("CREATE Other");
    for (at, session) in sessions.iter_mut().enumerate() {
        session.select(at % 2, &model);
    }
    let mut mark = 0;
    let commands = std::env::var("WAXWING_COMMANDS");
    let commands = commands.ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    for step in 0..commands {
        let at = random.below(sessions.len());
        if random.below(60) == 0 {
            // The connection breaks; a client that knows QRESYNC goes on where it was.
            let target = random.below(2);
            sessions[at].reconnect(&server, target, &model);
        }
        one(&mut sessions[at], &mut model, &mut random, &mut mark);
        if step % 50 == 0 {
            for session in &mut sessions {
                session.agree(&mut model);
            }
        }
    }
    for session in &mut sessions {
        session.agree(&mut model);
    }
}

/// One random command of one session, done to the model, too.
fn one(session: &mut Session, model: &mut [Mailbox; 2], random: &mut Random, mark: &mut u64) {
    let which = session.selected.unwrap();
    match random.below(16) {
        0..=2 if model[0].messages.len() + model[1].messages.len() < 60 => {
            append(session, model, random, mark)
        }
        3 | 4 => store(session, &mut model[which], random),
        5 => {
            let answer = session.run("EXPUNGE", true);
            assert!(answer.ok());
            model[which]
                .messages
                .retain(|m| !m.flags.contains("\\deleted"));
            session.agree(model);
        }
        6 => {
            let (first, last) = uids(session, random);
            session.run(&format!("UID EXPUNGE {first}:{last}"), true);
            model[which]
                .messages
                .retain(|m| !m.flags.contains("\\deleted") || m.uid < first || m.uid > last);
        }
        7 | 8 => copy(session, model, random),
        9 => fetch(session, &model[which], random),
        10 => search(session, &model[which], random),
        11 => session.agree(model),
        14 => changed_since(session, &model[which], random),
        12 => {
            let target = random.below(2);
            if random.below(3) == 0 {
                session.client.ok("CLOSE");
                model[which]
                    .messages
                    .retain(|m| !m.flags.contains("\\deleted"));
                session.leave();
            }
            session.select(target, model);
        }
        _ => status(session, model),
    }
}

fn append(session: &mut Session, model: &mut [Mailbox; 2], random: &mut Random, mark: &mut u64) {
    let target = random.below(2);
    let modseq = new(session);
    *mark += 1;
    let set = random.flags();
    let text = format!("X-Mark: {mark}\r\nSubject: message {mark}\r\n\r\nbody {mark}\r\n");
    let answer = session.client.append(
        &format!("{} {}", NAMES[target], list(&set)),
        text.as_bytes(),
    );
    assert!(answer.ok(), "{}", answer.tagged);
    session.learn(&answer, true);
    let uid: u32 = answer.code().split(' ').nth(2).unwrap().parse().unwrap();
    assert!(uid >= model[target].next);
    model[target].next = uid + 1;
    model[target].messages.push(Message {
        uid,
        flags: set,
        mark: *mark,
        modseq,
    });
    if session.selected == Some(target) {
        // RFC 9051 §6.3.12: the new message is told at once, and with it all before it.
        assert_eq!(session.known.len(), model[target].messages.len());
    }
}

/// A run of sequence numbers this client knows.
fn run_of(session: &Session, random: &mut Random) -> Option<(usize, usize)> {
    let count = session.known.len();
    if count == 0 {
        return None;
    }
    let first = 1 + random.below(count);
    Some((first, (first + random.below(4)).min(count)))
}

fn uids(session: &Session, random: &mut Random) -> (u32, u32) {
    let first = match run_of(session, random) {
        Some((first, _)) => session.known[first - 1].uid.unwrap_or(1),
        None => 1,
    };
    (first, first + random.below(8) as u32)
}

/// Makes sure that the client knows the UIDs of a run.
fn learn_uids(session: &mut Session, first: usize, last: usize) {
    if session.known[first - 1..last]
        .iter()
        .any(|k| k.uid.is_none())
    {
        session.run(&format!("FETCH {first}:{last} UID"), false);
    }
}

fn store(session: &mut Session, mailbox: &mut Mailbox, random: &mut Random) {
    let Some((first, last)) = run_of(session, random) else {
        return;
    };
    learn_uids(session, first, last);
    // A message that vanished before its UID was told is not known.
    let wanted: Vec<Option<u32>> = session.known[first - 1..last]
        .iter()
        .map(|k| k.uid)
        .collect();
    let set = random.flags();
    let sign = ["", "+", "-"][random.below(3)];
    let silent = random.below(3) == 0;
    let by_uid = random.below(2) == 0 && wanted.iter().all(Option::is_some);
    let numbers = match by_uid {
        true => wanted
            .iter()
            .map(|uid| uid.unwrap().to_string())
            .collect::<Vec<_>>()
            .join(","),
        false => format!("{first}:{last}"),
    };
    let suffix = if silent { ".SILENT" } else { "" };
    let prefix = if by_uid { "UID " } else { "" };
    // RFC 7162 §3.1.3: half of the time, those who know mod-sequences store only what they know.
    let since = (session.mode != Mode::Plain && random.below(2) == 0).then(|| {
        let known = session.known[first - 1 + random.below(last + 1 - first)].modseq;
        [known.unwrap_or(0), session.synced, session.heard, 1][random.below(4)]
    });
    let condition = since.map_or(String::new(), |since| format!(" (UNCHANGEDSINCE {since})"));
    let command = format!(
        "{prefix}STORE {numbers}{condition} {sign}FLAGS{suffix} {}",
        list(&set)
    );
    let answer = session.client.command(&command);
    let modified = modified(session, &answer, by_uid);
    if std::env::var("WAXWING_SHOW").is_ok() {
        println!(
            "{:?} {command}: {:?} {}",
            session.mode,
            answer.lines(),
            answer.tagged
        );
    }
    let mut all = true;
    for uid in &wanted {
        match mailbox.messages.iter_mut().find(|m| Some(m.uid) == *uid) {
            Some(message) => {
                let left_alone = modified.contains(&message.uid);
                if let Some(since) = since {
                    check_condition(message, since, left_alone, sign, &command, &answer);
                }
                if left_alone {
                    continue;
                }
                let before = message.flags.clone();
                match sign {
                    "+" => message.flags.extend(set.iter().cloned()),
                    "-" => message.flags.retain(|flag| !set.contains(flag)),
                    _ => message.flags = set.clone(),
                }
                // RFC 7162 §3.1.11: what changes nothing leaves the mod-sequence.
                if message.flags != before {
                    message.modseq = ModSeq {
                        above: message.modseq.told.unwrap_or(message.modseq.above),
                        told: None,
                    };
                }
            }
            None => all = false,
        }
    }
    assert!(answer.ok() || (!all && !by_uid), "{}", answer.tagged);
    if silent {
        // The client knows what it asked for; what it does not know is told.
        for known in &mut session.known[first - 1..last] {
            if known.uid.is_some_and(|uid| modified.contains(&uid)) {
                continue;
            }
            if let Some(flags) = &mut known.flags {
                match sign {
                    "+" => flags.extend(set.iter().cloned()),
                    "-" => flags.retain(|flag| !set.contains(flag)),
                    _ => *flags = set.clone(),
                }
            }
        }
    }
    session.learn(&answer, by_uid);
    if !silent && !by_uid {
        for (at, uid) in (first..=last).zip(&wanted) {
            if let Some(message) = mailbox.messages.iter().find(|m| Some(m.uid) == *uid)
                && !modified.contains(&message.uid)
            {
                assert_eq!(
                    session.known[at - 1].flags.as_ref(),
                    Some(&message.flags),
                    "after STORE"
                );
            }
        }
    }
}

/// The UIDs of the messages that a conditional STORE left alone.
fn modified(session: &Session, answer: &Answer, by_uid: bool) -> Vec<u32> {
    let Some(set) = answer.code().strip_prefix("MODIFIED ") else {
        return Vec::new();
    };
    let uid = |number: u32| match by_uid {
        true => Some(number),
        false => session.known[number as usize - 1].uid,
    };
    numbers(set).into_iter().filter_map(uid).collect()
}

/// Whether a conditional STORE was right about a message that is there. A message that changed, but not in what is stored,
/// may be taken for unchanged (RFC 7162 §3.1.12); one that did not change never for changed.
fn check_condition(
    message: &Message,
    since: u64,
    left_alone: bool,
    sign: &str,
    command: &str,
    answer: &Answer,
) {
    let changed = match message.modseq.told {
        Some(told) => told > since,
        None if message.modseq.above >= since => true,
        // It changed since anybody was told of it, to what nobody knows.
        None => return,
    };
    let told = || {
        format!(
            "{message:?} {command} {:?} {}",
            answer.lines(),
            answer.tagged
        )
    };
    assert!(changed || !left_alone, "{}", told());
    if sign.is_empty() {
        assert_eq!(changed, left_alone, "{}", told());
    }
}

/// FETCH of what changed, and with QRESYNC of what vanished, since some mod-sequence (RFC 7162 §3.1.4.1, §3.2.6).
fn changed_since(session: &mut Session, mailbox: &Mailbox, random: &mut Random) {
    if session.mode == Mode::Plain || session.known.is_empty() {
        return;
    }
    // First all that is new is told, so that what follows is the answer alone.
    session.run("NOOP", true);
    let since = match run_of(session, random) {
        Some((first, _)) => session.known[first - 1].modseq.unwrap_or(session.synced),
        None => session.synced,
    }
    .max(1);
    let vanished = match session.mode {
        Mode::QResync => " VANISHED",
        _ => "",
    };
    let answer = session.client.command(&format!(
        "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE {since}{vanished})"
    ));
    assert!(answer.ok(), "{}", answer.tagged);
    let mut told = BTreeSet::new();
    for line in answer.lines() {
        if let Some(uids) = line.strip_prefix("VANISHED (EARLIER) ") {
            let gone = numbers(uids);
            let there = mailbox.messages.iter().find(|m| gone.contains(&m.uid));
            assert_eq!(there, None, "{line}");
        }
        if line.contains(" FETCH ") {
            let modseq = number_behind(&line, "MODSEQ (").unwrap();
            assert!(modseq > since, "{line}");
            told.insert(item(&line, "UID").unwrap().parse::<u32>().unwrap());
        }
    }
    for message in &mailbox.messages {
        let changed = match message.modseq.told {
            Some(modseq) => modseq > since,
            None if message.modseq.above >= since => true,
            None => continue,
        };
        assert_eq!(changed, told.contains(&message.uid), "{message:?} {since}");
    }
    session.learn(&answer, true);
}

fn copy(session: &mut Session, model: &mut [Mailbox; 2], random: &mut Random) {
    let which = session.selected.unwrap();
    let Some((first, last)) = run_of(session, random) else {
        return;
    };
    learn_uids(session, first, last);
    let wanted: Vec<Option<u32>> = session.known[first - 1..last]
        .iter()
        .map(|k| k.uid)
        .collect();
    let target = random.below(2);
    let moves = random.below(2) == 0;
    if !moves && model[0].messages.len() + model[1].messages.len() > 80 {
        return;
    }
    let name = if moves { "MOVE" } else { "COPY" };
    let modseq = new(session);
    let answer = session.run(&format!("{name} {first}:{last} {}", NAMES[target]), true);
    let found: Vec<Message> = model[which]
        .messages
        .iter()
        .filter(|m| wanted.contains(&Some(m.uid)))
        .cloned()
        .collect();
    if !answer.ok() {
        assert!(found.len() < wanted.len(), "{}", answer.tagged);
        return;
    }
    let code = match moves {
        true => answer
            .with("OK [COPYUID")
            .first()
            .cloned()
            .unwrap_or_default(),
        false => answer.tagged.clone(),
    };
    let code = code
        .split_once("[COPYUID ")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(code, _)| code);
    let words: Vec<&str> = code
        .unwrap_or_else(|| panic!("{name}: {:?} {}", answer.lines(), answer.tagged))
        .split(' ')
        .collect();
    let (from, to) = (numbers(words[1]), numbers(words[2]));
    assert_eq!(from, found.iter().map(|m| m.uid).collect::<Vec<_>>());
    assert_eq!(from.len(), to.len());
    if moves {
        model[which].messages.retain(|m| !from.contains(&m.uid));
    }
    for (message, uid) in found.into_iter().zip(to) {
        assert!(
            uid >= model[target].next,
            "UID {uid} below {}",
            model[target].next
        );
        model[target].next = uid + 1;
        let modseq = modseq.clone();
        model[target].messages.push(Message {
            uid,
            modseq,
            ..message
        });
    }
}

/// The mod-sequence of a message that this client is going to add: above all that it was told of the account.
fn new(session: &Session) -> ModSeq {
    ModSeq {
        above: session.synced,
        told: None,
    }
}

fn numbers(set: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for run in set.split(',').filter(|run| !run.is_empty()) {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        all.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
    }
    all
}

fn fetch(session: &mut Session, mailbox: &Mailbox, random: &mut Random) {
    let Some((first, last)) = run_of(session, random) else {
        return;
    };
    let by_uid = random.below(2) == 0;
    learn_uids(session, first, last);
    let wanted: Vec<Option<u32>> = session.known[first - 1..last]
        .iter()
        .map(|k| k.uid)
        .collect();
    if by_uid && wanted.iter().any(Option::is_none) {
        return;
    }
    let command = match by_uid {
        true => {
            let uids: Vec<String> = wanted.iter().map(|uid| uid.unwrap().to_string()).collect();
            format!(
                "UID FETCH {} (FLAGS BODY.PEEK[HEADER.FIELDS (X-MARK)])",
                uids.join(",")
            )
        }
        false => format!("FETCH {first}:{last} (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-MARK)])"),
    };
    let answer = session.run(&command, by_uid);
    let mut told = 0;
    for line in answer.lines() {
        let Some((_, mark)) = line.split_once("X-Mark: ") else {
            continue;
        };
        let mark: u64 = mark.split("\r\n").next().unwrap().parse().unwrap();
        let uid: u32 = item(&line, "UID").unwrap().parse().unwrap();
        assert!(wanted.contains(&Some(uid)), "{line}");
        if let Some(message) = mailbox.messages.iter().find(|m| m.uid == uid) {
            assert_eq!(message.mark, mark, "{line}");
            assert_eq!(
                Some(&message.flags),
                item(&line, "FLAGS").map(flags).as_ref(),
                "{line}"
            );
            told += 1;
        }
    }
    let there = wanted
        .iter()
        .filter(|uid| mailbox.messages.iter().any(|m| Some(m.uid) == **uid))
        .count();
    assert_eq!(told, there, "{:?}", answer.lines());
    assert!(
        answer.ok() || (there < wanted.len() && !by_uid),
        "{}",
        answer.tagged
    );
}

fn search(session: &mut Session, mailbox: &Mailbox, random: &mut Random) {
    let flag = FLAGS[random.below(FLAGS.len())];
    let key = match flag.strip_prefix('\\') {
        Some(system) => system.to_ascii_uppercase(),
        None => format!("KEYWORD {flag}"),
    };
    let not = random.below(2) == 0;
    let key = if not { format!("NOT {key}") } else { key };
    let answer = session.run(&format!("UID SEARCH RETURN (ALL COUNT) {key}"), true);
    let line = answer.with("ESEARCH").remove(0);
    let all = line
        .split_once("ALL ")
        .map(|(_, set)| set.split(' ').next().unwrap())
        .unwrap_or("");
    let found: Vec<u32> = numbers(all);
    let right: Vec<u32> = mailbox
        .messages
        .iter()
        .filter(|m| m.flags.contains(&flag.to_ascii_lowercase()) != not)
        .map(|m| m.uid)
        .collect();
    assert_eq!(found, right, "{key}: {line}");
    assert!(line.contains(&format!("COUNT {}", found.len())), "{line}");
}

fn status(session: &mut Session, model: &[Mailbox; 2]) {
    for (name, mailbox) in NAMES.iter().zip(model) {
        let answer = session.run(&format!("STATUS {name} (MESSAGES UNSEEN DELETED)"), true);
        let count = |flag: &str| {
            mailbox
                .messages
                .iter()
                .filter(|m| m.flags.contains(flag))
                .count()
        };
        let unseen = mailbox.messages.len() - count("\\seen");
        let line = answer.with("STATUS").remove(0);
        let right = format!(
            "STATUS {name} (MESSAGES {} UNSEEN {unseen} DELETED {})",
            mailbox.messages.len(),
            count("\\deleted")
        );
        assert_eq!(line, right);
    }
}

/// The same commands at the same time from several threads. What is left at the end must be the same to all.
#[test]
fn sessions_at_the_same_time_end_with_one_truth() {
    let server = Server::start().unwrap();
    server.add_domain("example.test").unwrap();
    server.add_account("alice@example.test").unwrap();
    let mut first = Client::login(&server, "alice@example.test");
    first.ok("CREATE Other");
    let seed = seed();
    println!("WAXWING_SEED={seed}");
    let mut sessions: Vec<Session> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6u64)
            .map(|number| {
                let server = &server;
                scope.spawn(move || busy(server, number, seed))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for name in NAMES {
        first.ok(&format!("EXAMINE {name}"));
        let truth = first.ok("FETCH 1:* (UID FLAGS)");
        let truth: Vec<_> = truth
            .with("")
            .iter()
            .filter(|line| line.contains(" FETCH "))
            .map(|line| told(line))
            .collect();
        for session in sessions
            .iter_mut()
            .filter(|s| s.selected.map(|at| NAMES[at]) == Some(name))
        {
            session.run("NOOP", true);
            // What was never fetched is fetched now; what was told before must have stayed right.
            let before = session.known.clone();
            session.run("FETCH 1:* (UID FLAGS MODSEQ)", false);
            let known: Vec<_> = session
                .known
                .iter()
                .map(|k| (k.uid.unwrap(), k.flags.clone().unwrap()))
                .collect();
            assert_eq!(known, truth, "{name}");
            for (before, now) in before.iter().zip(&known) {
                assert!(before.uid.is_none_or(|uid| uid == now.0));
                assert!(
                    before.flags.as_ref().is_none_or(|flags| *flags == now.1),
                    "{before:?} {now:?}"
                );
            }
        }
    }
}

fn told(line: &str) -> (u32, Flags) {
    (
        item(line, "UID").unwrap().parse().unwrap(),
        flags(item(line, "FLAGS").unwrap()),
    )
}

fn busy(server: &Server, number: u64, seed: u64) -> Session {
    let mut random = Random(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mode = [Mode::Plain, Mode::CondStore, Mode::QResync][(number % 3) as usize];
    let mut session = Session::new(server, mode);
    let which = (number % 2) as usize;
    let answer = session.client.ok(&format!("SELECT {}", NAMES[which]));
    session.learn(&answer, false);
    session.selected = Some(which);
    for step in 0..300 {
        let run = run_of(&session, &mut random).map(|(first, last)| format!("{first}:{last}"));
        match (random.below(8), run) {
            (0 | 1, _) if session.known.len() < 80 => {
                let text = format!("Subject: {number}.{step}\r\n\r\nbody\r\n");
                let set = random.flags();
                let answer = session.client.append(
                    &format!("{} {}", NAMES[random.below(2)], list(&set)),
                    text.as_bytes(),
                );
                assert!(answer.ok(), "{}", answer.tagged);
                session.learn(&answer, true);
            }
            (2 | 3, Some(run)) => {
                let sign = ["", "+", "-"][random.below(3)];
                let set = random.flags();
                session.run(&format!("STORE {run} {sign}FLAGS {}", list(&set)), false);
            }
            (4, Some(run)) => {
                drop(session.run(&format!("MOVE {run} {}", NAMES[random.below(2)]), true))
            }
            (5, Some(run)) => {
                drop(session.run(&format!("FETCH {run} (UID FLAGS MODSEQ ENVELOPE)"), false))
            }
            (6, _) => drop(session.run("EXPUNGE", true)),
            _ => drop(session.run("NOOP", true)),
        }
    }
    session
}

/// Who was away for longer than the history reaches is told of every UID without a message, and nothing wrong.
#[test]
fn a_client_away_for_too_long_is_told_all_that_may_be_gone() {
    let mut server = Server::start().unwrap();
    server.add_domain("example.test").unwrap();
    server.add_account("alice@example.test").unwrap();
    let mut client = Client::login(&server, "alice@example.test");
    for n in 0..6 {
        client.append("INBOX", format!("Subject: {n}\r\n\r\n").as_bytes());
    }
    let selected = client.ok("SELECT INBOX (CONDSTORE)");
    let told = |word: &str| {
        let lines = selected.lines();
        lines
            .iter()
            .find_map(|line| number_behind(line, word))
            .unwrap()
    };
    let (validity, before) = (told("[UIDVALIDITY"), told("[HIGHESTMODSEQ"));
    client.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    client.ok("UID STORE 5 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    let answer = client.ok("STATUS INBOX (HIGHESTMODSEQ)");
    let after = number_behind(&answer.with("STATUS")[0], "HIGHESTMODSEQ").unwrap();
    let resync = |client: &mut Client, since: u64| {
        client.ok("ENABLE QRESYNC");
        let answer = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {since}))"));
        answer.with("VANISHED")
    };
    assert_eq!(resync(&mut client, before), ["VANISHED (EARLIER) 2,5"]);
    drop(client);
    server.stop().unwrap();
    // All but the last expunge is forgotten.
    let store = store::Store::open(server.data(), store::Options::default()).unwrap();
    let account = store
        .read(|s| s.account("alice@example.test"))
        .unwrap()
        .unwrap()
        .id;
    let inbox = store
        .read(|s| s.mailbox(account, "INBOX"))
        .unwrap()
        .unwrap()
        .id;
    let forgotten = store.write(move |tx| tx.forget_expunged(account, inbox, 1, i64::MAX));
    assert_eq!(forgotten.unwrap(), 1);
    store.close();
    server.launch().unwrap();
    let mut client = Client::login(&server, "alice@example.test");
    // UID 2 is not remembered; each UID without a message may be one that the client has not heard of.
    assert_eq!(resync(&mut client, before), ["VANISHED (EARLIER) 2,5"]);
    assert_eq!(resync(&mut client, after), [""; 0]);
    // Of the UIDs the client names only.
    let answer = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {before} 3:9))"));
    assert_eq!(answer.with("VANISHED"), ["VANISHED (EARLIER) 5"]);
    let answer = client.ok(&format!(
        "UID FETCH 1:4 (UID) (CHANGEDSINCE {before} VANISHED)"
    ));
    assert_eq!(answer.with("VANISHED"), ["VANISHED (EARLIER) 2"]);
}
