//! `waxwing demo`: a server to try out. On loopback, on ports that need no rights, with two accounts.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::target::Target;
use super::{Result, account};
use crate::auth::password;
use crate::config::{Config, Listener, Service};
use crate::manage::Request;
use crate::serve;

/// The domain of the demonstration; reserved (RFC 2606 §2).
const DOMAIN: &str = "example.test";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder for configuration and data
    #[arg(default_value = "waxwing-demo")]
    folder: PathBuf,
}

/// The configuration of the demonstration; a file like any other, so that every command works on it.
const CONFIG: &str = r#"# Waxwing, to try out. All of it is reachable from this machine only.
hostname = "localhost"
data = "store"

[listen]
smtp = ["127.0.0.1:2525"]
submission = ["127.0.0.1:5870"]
submissions = ["127.0.0.1:4650"]
lmtp = ["127.0.0.1:2424"]
imap = ["127.0.0.1:1430"]
imaps = ["127.0.0.1:9930"]
pop3 = ["127.0.0.1:1100"]
pop3s = ["127.0.0.1:9950"]

# What is written to other domains stays in the queue (waxwing queue list): nothing leaves this machine.
[[route]]
domain = "*"
host = "127.0.0.1"
port = 9
tls = "none"
"#;

pub(super) fn run(arguments: Arguments) -> Result {
    let folder = arguments.folder;
    let file = folder.join("waxwing.toml");
    fs::create_dir_all(&folder)?;
    if !file.exists() {
        fs::write(&file, CONFIG)?;
    }
    let config = Config::load(Some(&file))?;
    let mut passwords = None;
    if !config.data.join("waxwing.db").exists() {
        let [alice, bob] = furnish(&config.data)?;
        // Shown before anything else can fail: they are not kept anywhere.
        say!("  alice@{DOMAIN}  {alice}");
        say!("  bob@{DOMAIN}    {bob}");
        say!();
        passwords = Some([alice, bob]);
    }
    crate::log::start("warn");
    let listeners = config.listeners.clone();
    serve::run(config, || greet(&file, &listeners, passwords.as_ref()))?;
    Ok(())
}

/// Makes domain and accounts; answers alice's and bob's passwords.
fn furnish(data: &Path) -> Result<[String; 2]> {
    let mut target = Target::open(data)?;
    target.ask(&Request::DomainAdd {
        name: DOMAIN.to_owned(),
    })?;
    let mut make = |name: &str| -> Result<String> {
        let secret = password::new_app_password();
        account::add(&mut target, &format!("{name}@{DOMAIN}"), &secret, None)?;
        Ok(secret.expose().to_owned())
    };
    Ok([make("alice")?, make("bob")?])
}

/// Says what to paste next.
fn greet(file: &Path, listeners: &[Listener], passwords: Option<&[String; 2]>) {
    let at = |service: Service| {
        let listener = listeners
            .iter()
            .find(|listener| listener.service == service);
        listener
            .map(|listener| listener.address.to_string())
            .unwrap_or_default()
    };
    let config = format!("--config {}", file.display());
    say!("Waxwing runs on this machine. Ctrl-C ends it.");
    say!();
    if passwords.is_none() {
        say!(
            "  alice@{DOMAIN} and bob@{DOMAIN} have the passwords printed at the first start; a new one:"
        );
        say!("  waxwing {config} account password alice@{DOMAIN}");
        say!();
    }
    let (alice, bob) = match passwords {
        Some([alice, bob]) => (alice.as_str(), bob.as_str()),
        None => ("PASSWORD", "PASSWORD"),
    };
    say!("Send a message from alice to bob:");
    say!();
    say!(
        "  printf 'From: alice@{DOMAIN}\\r\\nTo: bob@{DOMAIN}\\r\\nSubject: Hello\\r\\n\\r\\nHello, Bob.\\r\\n' | \\"
    );
    say!(
        "    curl -sSk --ssl-reqd --url smtp://{} --user 'alice@{DOMAIN}:{alice}' \\",
        at(Service::Submission)
    );
    say!("    --mail-from alice@{DOMAIN} --mail-rcpt bob@{DOMAIN} --upload-file -");
    say!();
    say!("Read it, over IMAP and over POP3:");
    say!();
    say!(
        "  curl -sSk --url 'imaps://{}/INBOX;MAILINDEX=1' --user 'bob@{DOMAIN}:{bob}'",
        at(Service::Imaps)
    );
    say!(
        "  curl -sSk --url 'pop3s://{}/1' --user 'bob@{DOMAIN}:{bob}'",
        at(Service::Pop3s)
    );
    say!();
    for listener in listeners {
        say!("  {:<12} {}", listener.service.name(), listener.address);
    }
    say!();
    say!("Manage it beside: waxwing {config} account list");
}
