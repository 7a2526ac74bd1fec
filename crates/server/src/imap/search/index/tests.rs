//! The index answers what a scan answers: for messages in many scripts and forms, with any needle.

use std::sync::Arc;

use ::imap::SearchKey;
use ::store::{
    AccountId, Append, BodyMeta, Flags, MailboxId, MessageId, SearchColumn, Store, ViewSnapshot,
};

use super::keeper::{Keeper, index};
use super::segment::Segment;
use crate::imap::search::compile::Against;
use crate::imap::search::fold::Collation;
use crate::imap::search::run::find_in;

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len())]
    }
}

const WORDS: &[&str] = &[
    "apple",
    "Banana",
    "ZANZIBAR",
    "caf\u{e9}",
    "cafe\u{301}",
    "stra\u{df}e",
    "\u{c4}rger",
    "na\u{ef}ve",
    "\u{43e}\u{442}\u{43f}\u{443}\u{441}\u{43a}",
    "\u{41c}\u{43e}\u{439}",
    "\u{3bf}\u{3b4}\u{3cc}\u{3c2}",
    "\u{4e2d}\u{6587}\u{90ae}\u{4ef6}",
    "\u{30e1}\u{30fc}\u{30eb}",
    "\u{304c}\u{304e}",
    "\u{d55c}\u{ae00}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{645}\u{631}\u{62d}\u{628}\u{627}",
    "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
    "\u{1f600}",
    "\u{fb01}nd",
    "\u{1c4}ep",
    "a\tb",
    "x",
    "1234567890",
    "foo@bar.test",
];

fn words(dice: &mut Dice, most: usize) -> String {
    let count = 1 + dice.next(most);
    let words: Vec<&str> = (0..count).map(|_| dice.one(WORDS)).collect();
    words.join(dice.one(&[" ", ", ", "-"]))
}

fn base64(octets: &[u8]) -> String {
    wire::base64::encode(octets)
}

fn quoted(text: &str, word: bool) -> String {
    text.bytes()
        .map(|octet| match octet {
            b' ' if word => "_".to_owned(),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b' ' => char::from(octet).to_string(),
            other => format!("={other:02X}"),
        })
        .collect()
}

/// A header text in one of the ways it may be written.
fn header_text(dice: &mut Dice, text: &str) -> String {
    match dice.next(5) {
        0 => format!("=?utf-8?B?{}?=", base64(text.as_bytes())),
        1 => format!("=?UTF-8?q?{}?=", quoted(text, true)),
        2 => text.replacen(' ', "\r\n\t", 1),
        3 => text.replacen(' ', "\r\n ", 1),
        _ => text.to_owned(),
    }
}

fn body_part(dice: &mut Dice, depth: usize) -> String {
    let text = words(dice, 30);
    match dice.next(if depth > 1 { 5 } else { 8 }) {
        0 => format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"),
        1 => format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64(text.as_bytes())
        ),
        2 => format!(
            "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>{}</p>=\r\n",
            quoted(&text, false)
        ),
        3 => format!(
            "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64(&[
                0xcf,
                0xd4,
                0xd0,
                0xd5,
                0xd3,
                0xcb,
                b' ',
                b'a' + dice.next(26) as u8
            ])
        ),
        4 => format!(
            "Content-Type: application/octet-stream; name=\"{}\"\r\n\r\nopaque {text}\r\n",
            header_text(dice, "report one")
        ),
        5 => format!(
            "Content-Type: message/rfc822\r\n\r\n{}",
            message(dice, depth + 1)
        ),
        6 => format!(
            "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {}\r\n",
            dice.one(WORDS)
        ),
        _ => {
            let boundary = format!("b{depth}{}", dice.next(1_000_000));
            let mut out =
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\npreamble\r\n");
            for _ in 0..1 + dice.next(3) {
                out.push_str(&format!(
                    "--{boundary}\r\n{}\r\n",
                    body_part(dice, depth + 1)
                ));
            }
            out + &format!("--{boundary}--\r\n")
        }
    }
}

fn message(dice: &mut Dice, depth: usize) -> String {
    let mut out = String::new();
    let name = words(dice, 3).replace(['\t', '@', ','], " ");
    out.push_str(&format!(
        "From: {} <user{}@host.test>\r\n",
        header_text(dice, &name),
        dice.next(20)
    ));
    if dice.next(4) > 0 {
        let text = words(dice, 6);
        out.push_str(&format!("Subject: {}\r\n", header_text(dice, &text)));
    }
    for field in ["To", "Cc", "Bcc"] {
        if dice.next(2) == 0 {
            out.push_str(&format!(
                "{field}: a{}@x.test, B C <c@y.test>\r\n",
                dice.next(9)
            ));
        }
    }
    if dice.next(2) == 0 {
        out.push_str(&format!(
            "Date: {} Feb 2020 12:00:00 +0100\r\n",
            1 + dice.next(28)
        ));
    }
    if dice.next(3) == 0 {
        let text = words(dice, 3);
        out.push_str(&format!("X-Note:{}\r\n", header_text(dice, &text)));
    }
    out + &body_part(dice, depth)
}

/// A needle: part of a text, sometimes with its case or form changed, sometimes of nothing.
fn needle(dice: &mut Dice) -> String {
    use unicode_normalization::UnicodeNormalization;
    let text = words(dice, 2);
    let letters: Vec<char> = text.chars().collect();
    let from = dice.next(letters.len());
    let to = from + 1 + dice.next(letters.len() - from);
    let part: String = letters[from..to].iter().collect();
    match dice.next(6) {
        0 => part.to_uppercase(),
        1 => part.to_lowercase(),
        2 => part.nfd().collect(),
        3 => part.nfc().collect(),
        4 => format!("{part}{}", dice.one(&["q", "", " ", "<", "@"])),
        _ => part,
    }
}

struct Site {
    store: Store,
    account: AccountId,
    mailbox: MailboxId,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), ::store::Options::default()).unwrap();
        let account = store
            .write(|tx| {
                tx.add_domain("x.test")?;
                tx.add_account("a@x.test", None, None)
            })
            .unwrap();
        let mailbox = store.read(|snapshot| snapshot.mailbox(account, "INBOX"));
        Site {
            mailbox: mailbox.unwrap().unwrap().id,
            store,
            account,
            _folder: folder,
        }
    }

    fn append(&self, messages: &[String]) {
        for raw in messages {
            let content = self
                .store
                .ingest(&BodyMeta::default(), &[raw.as_bytes()])
                .unwrap();
            let append = Append {
                content,
                flags: Flags::NONE,
                keywords: Vec::new(),
                received: 1_600_000_000,
            };
            let (account, mailbox) = (self.account, self.mailbox);
            self.store
                .write(move |tx| tx.append(account, mailbox, &append).map(|_| ()))
                .unwrap();
        }
    }

    fn told(&self) -> Arc<ViewSnapshot> {
        self.store
            .view(self.account, self.mailbox)
            .unwrap()
            .snapshot()
    }

    /// UIDs that match, by the index or by scanning.
    fn find(&self, key: &SearchKey, collation: Collation, indexed: bool) -> Vec<u32> {
        let told = self.told();
        let against = Against {
            told: &told,
            saved: &[],
            now: 1_700_000_000,
            collation,
            labelled: &Default::default(),
        };
        let key = against.compile(key).unwrap();
        let found = find_in(&self.store, &told, key, indexed);
        found.into_iter().map(|hit| hit.uid).collect()
    }

    /// Ids of all messages in segments.
    fn indexed(&self) -> Vec<MessageId> {
        let mut ids = Vec::new();
        let read = self.store.read(|snapshot| {
            let span = snapshot.search_span(self.account);
            snapshot.search_segments(self.account, span, &SearchColumn::ALL, &mut |row| {
                ids.extend_from_slice(Segment::open(&row, &SearchColumn::ALL).ids());
                Ok(std::ops::ControlFlow::Continue(()))
            })
        });
        read.unwrap();
        ids
    }

    fn present(&self) -> Vec<MessageId> {
        self.told().iter().map(|(_, entry)| entry.message).collect()
    }
}

fn keys_for(text: &str) -> Vec<SearchKey> {
    let text = || text.to_owned();
    let header = |field: &str| SearchKey::Header {
        field: field.to_owned(),
        text: text(),
    };
    vec![
        SearchKey::From(text()),
        SearchKey::To(text()),
        SearchKey::Cc(text()),
        SearchKey::Bcc(text()),
        SearchKey::Subject(text()),
        header("Subject"),
        header("X-Note"),
        SearchKey::Body(text()),
        SearchKey::Text(text()),
        SearchKey::Not(Box::new(SearchKey::Text(text()))),
        SearchKey::And(vec![SearchKey::Subject(text()), SearchKey::Body(text())]),
    ]
}

#[test]
fn the_index_answers_what_a_scan_answers() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let site = Site::new();
    let messages: Vec<String> = (0..150).map(|_| message(&mut dice, 0)).collect();
    let (first, rest) = messages.split_at(90);
    site.append(first);
    let keeper = Keeper::start(site.store.clone()).unwrap();
    // Some come while it runs, in single messages and together.
    site.append(rest);
    keeper.settle();
    assert_eq!(site.indexed(), site.present());

    let mut found = 0;
    let fixed = [
        "",
        "cafe",
        "caf\u{e9}",
        "a b",
        "a\tb",
        "\u{df}",
        "zz",
        "user1",
        "\u{4e2d}",
    ];
    let needles = fixed.iter().map(|text| (*text).to_owned());
    let random: Vec<String> = (0..30).map(|_| needle(&mut dice)).collect();
    for needle in needles.chain(random) {
        for key in keys_for(&needle) {
            for collation in Collation::ALL {
                let by_index = site.find(&key, collation, true);
                let by_scan = site.find(&key, collation, false);
                assert_eq!(by_index, by_scan, "{key:?} {collation:?}");
                found += by_index.len();
            }
        }
    }
    assert!(found > 5_000, "{found}");
    for day in [1, 14, 28] {
        let day = ::imap::Date::new(2020, 2, day).unwrap();
        let key = SearchKey::SentSince(day);
        let found = site.find(&key, Collation::default(), true);
        assert_eq!(found, site.find(&key, Collation::default(), false));
    }
}

#[test]
fn known_answers() {
    let site = Site::new();
    site.append(&[
        "Subject: folded\r\n\tsubject\r\n\r\nbody with caf\u{e9}\r\n".to_owned(),
        "Subject: =?iso-8859-1?q?caf=E9?=\r\nX-A: b\r\n\r\nStra\u{df}e tab\there\r\n".to_owned(),
        "From: \"Doe, John\" <j@d.test>\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\u{1b}$B%a!<%k\u{1b}(B\r\n"
            .to_owned(),
    ]);
    for indexed in [false, true] {
        let keeper = indexed.then(|| Keeper::start(site.store.clone()).unwrap());
        if let Some(keeper) = &keeper {
            keeper.settle();
        }
        let text = |text: &str| text.to_owned();
        for (key, expected) in [
            (SearchKey::Subject(text("folded subject")), vec![1]),
            (SearchKey::Subject(text("folded\tsubject")), vec![1]),
            (SearchKey::Text(text("folded subject")), vec![1]),
            (SearchKey::Subject(text("CAFE\u{301}")), vec![2]),
            (SearchKey::Text(text("cafe")), vec![1, 2]),
            (SearchKey::Text(text("STRA\u{df}E")), vec![2]),
            (SearchKey::Body(text("tab\there")), vec![2]),
            (SearchKey::Body(text("tab here")), vec![]),
            (SearchKey::Text(text("x-a: b")), vec![2]),
            (SearchKey::Body(text("x-a: b")), vec![]),
            (SearchKey::Body(text("\u{30e1}\u{30fc}")), vec![3]),
            (SearchKey::From(text("doe, john <J@")), vec![3]),
            (SearchKey::From(text("")), vec![3]),
            (SearchKey::Subject(text("")), vec![1, 2]),
        ] {
            let found = site.find(&key, Collation::default(), indexed);
            assert_eq!(found, expected, "{key:?} {indexed}");
        }
    }
}

#[test]
fn words_leave_with_their_messages_and_what_is_lost_is_made_anew() {
    let mut dice = Dice(7);
    let site = Site::new();
    let keeper = Keeper::start(site.store.clone()).unwrap();
    for _ in 0..70 {
        let one = [message(&mut dice, 0)];
        site.append(&one);
        if dice.next(4) == 0 {
            keeper.settle();
        }
    }
    keeper.settle();
    let all = site.present();
    assert_eq!(site.indexed(), all);
    let (account, mailbox) = (site.account, site.mailbox);

    // A copy keeps the content; the last one gone, the words go.
    let copied = site.store.write(move |tx| {
        let archive = tx.create_mailbox(account, "Kept", None)?;
        tx.copy(account, mailbox, &[3..=3], archive.id)?;
        tx.expunge(account, mailbox, &[3..=30], false)
    });
    copied.unwrap();
    keeper.settle();
    let left: Vec<MessageId> = all
        .iter()
        .enumerate()
        .filter(|(at, _)| !(3..30).contains(at))
        .map(|(_, id)| *id)
        .collect();
    assert_eq!(site.indexed(), left);
    drop(keeper);

    // Pieces that are not there, with a keeper that starts anew.
    let ranges = site.store.read(|snapshot| snapshot.search_ranges(account));
    for (at, (_, key)) in ranges.unwrap().into_iter().enumerate() {
        if at % 2 == 0 {
            let removed = site
                .store
                .write(move |tx| tx.replace_search_segments(account, &[key], &[]));
            removed.unwrap();
        }
    }
    assert_ne!(site.indexed(), left);
    let key = SearchKey::Text("a".to_owned());
    let scanned = site.find(&key, Collation::default(), false);
    assert_eq!(site.find(&key, Collation::default(), true), scanned);
    let keeper = Keeper::start(site.store.clone()).unwrap();
    keeper.settle();
    assert_eq!(site.indexed(), left);
    drop(keeper);

    let gone = site.store.write(move |tx| tx.remove_account(account));
    gone.unwrap();
    assert_eq!(site.indexed(), []);
    assert!(site.store.check(false).unwrap().findings.is_empty());
}

#[test]
fn long_texts_have_no_seams() {
    let site = Site::new();
    // Groups at and around every place where a text may be cut, in one, two and three octets a letter.
    for letter in ["a", "\u{439}", "\u{4e2d}"] {
        let count = (3 << 16) / letter.len();
        let mut text = letter.repeat(count);
        text.push_str("zanzibar");
        text.push_str(&letter.repeat(count));
        site.append(&[format!(
            "Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        )]);
    }
    let keeper = Keeper::start(site.store.clone()).unwrap();
    keeper.settle();
    for text in [
        "azanz",
        "bara",
        "\u{419}ZAN",
        "zanzibar\u{4e2d}\u{4e2d}",
        "aaaaaa",
    ] {
        let key = SearchKey::Text(text.to_owned());
        let found = site.find(&key, Collation::default(), true);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found, site.find(&key, Collation::default(), false));
    }
}

#[test]
fn the_index_is_small() {
    let site = Site::new();
    let mut dice = Dice(99);
    let text: String = (0..1500).map(|_| words(&mut dice, 3) + " ").collect();
    site.append(&[format!("Subject: long\r\n\r\n{text}")]);
    let span = site.store.read(|snapshot| {
        let span = snapshot.search_span(site.account);
        snapshot.search_unindexed(site.account, span, 10)
    });
    let indexed = index(&site.store, &span.unwrap()[0]).unwrap();
    assert!(indexed.signature.1.len() * 20 < text.len());
}
