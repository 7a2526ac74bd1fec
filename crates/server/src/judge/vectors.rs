//! Signed messages of others and their keys: our own few that are always there, and the corpora where they are at hand.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::{MessageAuthenticator, ResolverCache as _, Txt};

use super::arc::{self, Chain};
use super::dkim::{Keys, Outcome, Signed, Verified};

/// The folder of the corpora.
fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("WAXWING_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    Some(shared.join("corpus")).filter(|folder| folder.is_dir())
}

/// A resolver that reaches nobody: all keys are in the cache.
fn nobody() -> MessageAuthenticator {
    let mut udp = ConnectionConfig::udp();
    udp.port = 1;
    let server = NameServerConfig::new([127, 0, 0, 1].into(), true, vec![udp]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = Duration::from_millis(100);
    builder.options_mut().attempts = 0;
    MessageAuthenticator(builder.build().unwrap())
}

fn keys(records: &[(&str, &str)]) -> Keys {
    let keys = Keys::default();
    for (name, record) in records {
        let record: Txt = DomainKey::parse(record.as_bytes()).into();
        let until = Instant::now() + Duration::from_secs(3_600);
        keys.insert(format!("{name}.").into(), record, until);
    }
    keys
}

fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &octet in text {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

async fn verify(message: &[u8], keys: &Keys) -> (Vec<Verified>, arc::Verified) {
    let dns = nobody();
    let signed = Signed::parse(message).unwrap();
    let dkim = signed.verify(&dns, keys).await;
    let arc = arc::verify(&signed, &dns, keys).await;
    (dkim, arc)
}

fn outcomes(verified: &[Verified]) -> Vec<Outcome> {
    verified.iter().map(|one| one.outcome).collect()
}

/// A letter signed by another implementation (dkimpy) with RSA and simple, Ed25519 and relaxed canonicalisation: both
/// signatures hold, and neither after a change.
#[tokio::test]
async fn a_letter_signed_twice() {
    let message = crlf(include_bytes!("vectors/letter.eml"));
    let records: Vec<(&str, &str)> = include_str!("vectors/letter.keys")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let keys = keys(&records);
    let (dkim, arc) = verify(&message, &keys).await;
    assert_eq!(outcomes(&dkim), [Outcome::Pass, Outcome::Pass], "{dkim:?}");
    assert_eq!(dkim[0].domain, "letters.example");
    assert_eq!(
        (arc.chain, dkim[0].algorithm),
        (Chain::None, "ed25519-sha256")
    );
    let text = String::from_utf8(message).unwrap();
    for (from, to) in [
        ("reeds", "weeds"),
        ("The heron", "The eagle"),
        ("ada@", "eve@"),
    ] {
        let changed = text.replace(from, to);
        let (dkim, _) = verify(changed.as_bytes(), &keys).await;
        assert_eq!(outcomes(&dkim), [Outcome::Fail, Outcome::Fail], "{to}");
    }
    // A second From, above or below the signed one (A33).
    for changed in [
        format!("From: eve@attack.example\r\n{text}"),
        text.replace("From: Ada", "From: eve@attack.example\r\nFrom: Ada"),
    ] {
        let (dkim, _) = verify(changed.as_bytes(), &keys).await;
        assert_eq!(outcomes(&dkim), [Outcome::Fail, Outcome::Fail]);
    }
}

/// A33: the same letter signed with an RSA key of 512 bits, with SHA-1, and with `l=` over all of it.
#[tokio::test]
async fn a33_weak_keys_and_hashes() {
    let message = crlf(include_bytes!("vectors/weak.eml"));
    let records: Vec<(&str, &str)> = include_str!("vectors/weak.keys")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let keys = keys(&records);
    let (dkim, _) = verify(&message, &keys).await;
    let of = |selector: &str, algorithm: &str| {
        let mut found = dkim.iter().filter(|one| one.selector == selector);
        found
            .find(|one| one.algorithm == algorithm)
            .map(|one| one.outcome)
    };
    assert_eq!(of("short", "rsa-sha256"), Some(Outcome::Fail), "{dkim:?}");
    assert_eq!(of("quill", "rsa-sha1"), Some(Outcome::Policy), "{dkim:?}");
    assert_eq!(of("quill", "rsa-sha256"), Some(Outcome::Pass), "{dkim:?}");
    let longer = [message.as_slice(), b"<p>Pay here.</p>\r\n"].concat();
    let (dkim, _) = verify(&longer, &keys).await;
    assert!(
        dkim.iter().all(|one| one.outcome != Outcome::Pass),
        "{dkim:?}"
    );
    let text = String::from_utf8(message).unwrap();
    // A signature of nothing: l=0.
    let none = text.replace("l=", "l=0; n=");
    let (dkim, _) = verify(none.as_bytes(), &keys).await;
    assert!(
        dkim.iter().all(|one| one.outcome != Outcome::Pass),
        "{dkim:?}"
    );
}

/// A file of the corpus of mail-auth: `name record` lines, an empty line, a message.
fn with_keys(text: &str) -> (Keys, Vec<u8>) {
    let text = text.replace("\r\n", "\n");
    let (records, message) = text.split_once("\n\n").unwrap();
    let records: Vec<(&str, &str)> = records
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    (keys(&records), crlf(message.as_bytes()))
}

#[tokio::test]
async fn signed_messages_of_the_corpus() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: the corpora are not at hand");
        return;
    };
    for number in 1..=6 {
        let file = corpus.join(format!("mail-auth/dkim/{number:03}.txt"));
        let (keys, message) = with_keys(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        let (dkim, _) = verify(&message, &keys).await;
        assert!(!dkim.is_empty(), "{number}");
        for one in dkim {
            // One has expired since, which is found before anything else is looked at.
            let right = one.outcome == Outcome::Pass
                || (one.domain == "topicbox.com" && one.because == "it has expired");
            assert!(right, "{number}: {one:?}");
        }
    }
    for number in 1..=2 {
        let file = corpus.join(format!("mail-auth/arc/{number:03}.txt"));
        let (keys, message) = with_keys(&String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        let (_, chain) = verify(&message, &keys).await;
        assert_eq!(chain.chain, Chain::Pass, "{number}: {chain:?}");
        assert!(!chain.sealers.is_empty() && chain.sealers.len() == chain.reports.len());
        // A changed seal.
        let text =
            String::from_utf8_lossy(&message).replace("ARC-Seal: i=1;", "ARC-Seal: i=1; x=1;");
        let (_, chain) = verify(text.as_bytes(), &keys).await;
        assert_eq!(chain.chain, Chain::Fail, "{number}");
    }
}

#[tokio::test]
async fn vectors_of_dkimpy() {
    let Some(data) = corpus().map(|corpus| corpus.join("vectors/dkimpy/data")) else {
        eprintln!("skipped: the corpora are not at hand");
        return;
    };
    let text = |name: &str| std::fs::read_to_string(data.join(name)).unwrap();
    let record = text("test.txt");
    let football = keys(&[
        (
            "brisbane._domainkey.football.example.com",
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ),
        ("test._domainkey.football.example.com", record.trim()),
    ]);
    for (name, expected) in [
        ("rfc6376.signed.msg", vec![Outcome::Pass, Outcome::Pass]),
        ("rfc6376.signed.rsa.msg", vec![Outcome::Pass]),
        // Its signature is that of another header.
        ("rfc6376.signed.no_t.msg", vec![Outcome::Fail]),
    ] {
        let (dkim, _) = verify(&crlf(text(name).as_bytes()), &football).await;
        assert_eq!(outcomes(&dkim), expected, "{name}: {dkim:?}");
    }
    // One message, and keys in every state.
    let message = crlf(text("rfc6376.signed.rsa.msg").as_bytes());
    for (name, expected) in [
        ("test.txt", Outcome::Pass),
        ("test2.txt", Outcome::Pass),
        ("badk.txt", Outcome::PermError),
        ("badversion.txt", Outcome::PermError),
        // A base64 text that ends too early: the key is another.
        ("test_bad.txt", Outcome::Fail),
        ("1024_testkey_wo_markers.pub.txt", Outcome::Fail),
    ] {
        let record = text(name);
        let keys = keys(&[("test._domainkey.football.example.com", record.trim())]);
        let (dkim, _) = verify(&message, &keys).await;
        assert_eq!(outcomes(&dkim), [expected], "{name}: {dkim:?}");
    }
}
