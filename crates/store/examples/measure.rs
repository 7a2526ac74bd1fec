//! What the store does per second, and against the bare disk: `cargo run --release -p waxwing-store --example measure [FOLDER]`.
//!
//! Everything is durable. The yardstick is a file that gets the same octets and one sync per message.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use waxwing_store::*;

/// Octets of a message; the mean of a mail server's traffic.
const SIZE: usize = 20_000;
/// Messages in the large mailbox.
const LARGE: u32 = 100_000;

fn main() -> Result<()> {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(base)?;
    let message = message();
    let bare = bare(folder.path(), &message)?;
    println!("bare file, one sync per message    {bare:>10.0} msg/s");
    let store = Store::open(folder.path().join("store"), Options::default())?;
    let accounts: Vec<AccountId> = store.write(|tx| {
        tx.add_domain("example.test")?;
        (0..64)
            .map(|n| tx.add_account(&format!("u{n}@example.test"), None, None))
            .collect()
    })?;
    for clients in [1, 8, 16, 64] {
        let rate = deliveries(&store, &accounts, &message, clients);
        println!(
            "delivered, {clients:>2} at a time            {rate:>10.0} msg/s  {:>6.2} x bare",
            rate / bare
        );
    }
    ten_recipients(&store, &accounts, &message)?;
    large(&store, accounts[0])?;
    store.close();
    Ok(())
}

fn message() -> Vec<u8> {
    let mut message = b"From: Someone <someone@example.org>\r\nTo: u@example.test\r\nSubject: measuring\r\n\
        Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\nContent-Type: text/plain\r\n\r\n"
        .to_vec();
    while message.len() < SIZE {
        message.extend_from_slice(
            b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n",
        );
    }
    message
}

fn bare(folder: &Path, message: &[u8]) -> Result<f64> {
    let mut file = std::fs::File::create(folder.join("bare"))?;
    let start = Instant::now();
    for _ in 0..1_000 {
        file.write_all(message)?;
        file.sync_data()?;
    }
    Ok(per_second(1_000, start.elapsed()))
}

fn deliveries(store: &Store, accounts: &[AccountId], message: &[u8], clients: usize) -> f64 {
    let each = (2_000 * clients.min(4)) / clients;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                for n in 0..each {
                    let to = accounts.get((client + n) % accounts.len()).copied();
                    deliver(store, to.as_slice(), message).expect("a delivery");
                }
            });
        }
    });
    per_second(each * clients, start.elapsed())
}

fn deliver(store: &Store, to: &[AccountId], message: &[u8]) -> Result<()> {
    let content = store.ingest(
        &BodyMeta {
            accounts: to.to_vec(),
            ..BodyMeta::default()
        },
        &[message],
    )?;
    let recipients = to.iter().map(|account| Recipient {
        account: *account,
        target: Target::Inbox,
        flags: Flags::NONE,
    });
    let delivery = Delivery {
        content,
        received: 1_700_000_000,
        recipients: recipients.collect(),
    };
    store.write(move |tx| tx.deliver(&delivery)).map(|_| ())
}

fn ten_recipients(store: &Store, accounts: &[AccountId], message: &[u8]) -> Result<()> {
    let start = Instant::now();
    for n in 0..300 {
        let to: Vec<AccountId> = accounts.iter().cycle().skip(n).take(10).copied().collect();
        deliver(store, &to, message)?;
    }
    println!(
        "ten recipients, one at a time      {:>10.0} deliveries/s",
        per_second(3_000, start.elapsed())
    );
    Ok(())
}

fn large(store: &Store, account: AccountId) -> Result<()> {
    let mailbox = store
        .write(move |tx| tx.create_mailbox(account, "Large", None))?
        .id;
    let other = store
        .write(move |tx| tx.create_mailbox(account, "Other", None))?
        .id;
    let small =
        b"From: Someone <someone@example.org>\r\nTo: u@example.test\r\nSubject: measuring\r\n\
        Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello.\r\n";
    for _ in 0..LARGE / 1_000 {
        let contents: Vec<Content> = (0..1_000)
            .map(|_| store.ingest(&BodyMeta::default(), &[small]))
            .collect::<Result<_>>()?;
        store.write(move |tx| {
            for content in contents {
                tx.append(
                    account,
                    mailbox,
                    &Append {
                        content,
                        flags: Flags::NONE,
                        keywords: vec![],
                        received: 1,
                    },
                )?;
            }
            Ok(())
        })?;
    }
    let all = [1..=u32::MAX];
    let rows = |name: &str, columns: Columns| -> Result<()> {
        let (start, mut count) = (Instant::now(), 0u32);
        store.read(|s| {
            s.messages(account, mailbox, &[1..=u32::MAX], columns, &mut |_| {
                count += 1;
                Ok(ControlFlow::Continue(()))
            })
        })?;
        report(name, count, start.elapsed());
        Ok(())
    };
    let start = Instant::now();
    let view = store.view(account, mailbox)?;
    report("view loaded", view.snapshot().len(), start.elapsed());
    rows("rows scanned", Columns::ENTRY)?;
    rows(
        "rows with envelope and structure",
        Columns {
            envelope: true,
            body_structure: true,
            ..Columns::ENTRY
        },
    )?;
    for (mode, name) in [
        (FlagMode::Add, "flags added, one run"),
        (FlagMode::Remove, "flags removed, one run"),
    ] {
        let change = FlagChange {
            mode,
            flags: Flags::SEEN,
            keywords: vec![],
            unchanged_since: None,
        };
        let (runs, start) = (all.clone(), Instant::now());
        store.write(move |tx| tx.store_flags(account, mailbox, &runs, &change))?;
        report(name, LARGE, start.elapsed());
    }
    let (old, start) = (view.snapshot(), Instant::now());
    let changed = ViewSnapshot::diff(&old, &view.snapshot()).changed.len() as u32;
    report("nothing compared", LARGE + changed, start.elapsed());
    let start = Instant::now();
    let change = FlagChange {
        mode: FlagMode::Add,
        flags: Flags::FLAGGED,
        keywords: vec![],
        unchanged_since: None,
    };
    for uid in 1..=500u32 {
        let change = change.clone();
        store.write(move |tx| tx.store_flags(account, mailbox, &[uid..=uid], &change))?;
    }
    report("flag of one message, one at a time", 500, start.elapsed());
    let start = Instant::now();
    store.write(move |tx| tx.copy(account, mailbox, &[1..=10_000], other))?;
    report("copied", 10_000, start.elapsed());
    let start = Instant::now();
    store.write(move |tx| tx.move_messages(account, mailbox, &[10_001..=20_000], other))?;
    report("moved", 10_000, start.elapsed());
    let start = Instant::now();
    store.write(move |tx| tx.expunge(account, mailbox, &[20_001..=30_000], false))?;
    report("expunged", 10_000, start.elapsed());
    let start = Instant::now();
    for _ in 0..500 {
        deliver_to(store, account, mailbox, small)?;
    }
    report("into the large mailbox, viewed", 500, start.elapsed());
    Ok(())
}

fn deliver_to(store: &Store, account: AccountId, mailbox: MailboxId, message: &[u8]) -> Result<()> {
    let content = store.ingest(&BodyMeta::default(), &[message])?;
    let append = Append {
        content,
        flags: Flags::NONE,
        keywords: vec![],
        received: 1,
    };
    store
        .write(move |tx| tx.append(account, mailbox, &append))
        .map(|_| ())
}

fn report(name: &str, count: u32, time: Duration) {
    println!("{name:<34} {:>10.0} /s", per_second(count as usize, time));
}

fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
