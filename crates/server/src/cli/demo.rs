//! `waxwing demo`: a server to try out. On loopback, on ports that need no rights, with two accounts.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::target::Target;
use super::{Result, account};
use crate::auth::password;
use crate::config::Config;
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
"#;

pub(super) fn run(arguments: Arguments) -> Result {
    let folder = arguments.folder;
    let file = folder.join("waxwing.toml");
    fs::create_dir_all(&folder)?;
    if !file.exists() {
        fs::write(&file, CONFIG)?;
    }
    let config = Config::load(Some(&file))?;
    let passwords = if config.data.join("waxwing.db").exists() {
        None
    } else {
        Some(furnish(&config.data)?)
    };
    crate::log::start("warn");
    serve::run(config, || greet(&file, passwords.as_ref()))?;
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
fn greet(file: &Path, passwords: Option<&[String; 2]>) {
    let config = format!("--config {}", file.display());
    println!("Waxwing runs on this machine. Ctrl-C ends it.");
    println!();
    match passwords {
        Some([alice, bob]) => {
            println!("  alice@{DOMAIN}  {alice}");
            println!("  bob@{DOMAIN}    {bob}");
        }
        None => {
            println!(
                "  alice@{DOMAIN} and bob@{DOMAIN} have the passwords printed at the first start; a new one:"
            );
            println!("  waxwing {config} account password alice@{DOMAIN}");
        }
    }
    let [alice, bob] = match passwords {
        Some([alice, bob]) => [alice.as_str(), bob.as_str()],
        None => ["PASSWORD", "PASSWORD"],
    };
    println!();
    println!("Send a message from alice to bob:");
    println!();
    println!(
        "  printf 'From: alice@{DOMAIN}\\r\\nTo: bob@{DOMAIN}\\r\\nSubject: Hello\\r\\n\\r\\nHello, Bob.\\r\\n' | \\"
    );
    println!(
        "    curl -sSk --ssl-reqd --url smtp://127.0.0.1:5870 --user 'alice@{DOMAIN}:{alice}' \\"
    );
    println!("    --mail-from alice@{DOMAIN} --mail-rcpt bob@{DOMAIN} --upload-file -");
    println!();
    println!("Read it, over IMAP and over POP3:");
    println!();
    println!(
        "  curl -sSk --url 'imaps://127.0.0.1:9930/INBOX;MAILINDEX=1' --user 'bob@{DOMAIN}:{bob}'"
    );
    println!("  curl -sSk --url 'pop3s://127.0.0.1:9950/1' --user 'bob@{DOMAIN}:{bob}'");
    println!();
    println!(
        "SMTP 2525, submission 5870 (STARTTLS) and 4650 (TLS), LMTP 2424, IMAP 1430 and 9930 (TLS),"
    );
    println!("POP3 1100 and 9950 (TLS). Manage it beside: waxwing {config} account list");
}
