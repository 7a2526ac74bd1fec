//! A Dovecot of its own: its configuration, folder, ports, and its end.
//!
//! The accounts have the mailboxes that ours begin with, the separator `/`,
//! and what others share under `Other Users/`. Started by root, mail belongs
//! to `nobody`; else everything runs as who started it.

use super::{Target, append_all};
use crate::dialog::Dialog;
use crate::server::PASSWORD;
use crate::tls::{HOST, Identity};
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take.
const START: Duration = Duration::from_secs(20);

/// Owner of the mail when root starts the server.
const NOBODY: u32 = 65_534;

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    child: Child,
    folder: TempDir,
    identity: Identity,
    /// imap, imaps, pop3, pop3s.
    ports: [u16; 4],
}

/// What is missing here to run it, in words for whoever reads the output.
pub fn missing() -> Option<String> {
    let wanted = [
        ("/usr/sbin/dovecot", "dovecot-core"),
        ("/usr/lib/dovecot/imap", "dovecot-imapd"),
        ("/usr/lib/dovecot/pop3", "dovecot-pop3d"),
    ];
    let lacking: Vec<String> = wanted
        .iter()
        .filter(|(path, _)| !Path::new(path).exists())
        .map(|(path, package)| format!("{path} (Debian package {package})"))
        .collect();
    (!lacking.is_empty()).then(|| lacking.join(", "))
}

impl Dovecot {
    /// Starts one and waits until it answers.
    pub fn start() -> io::Result<Dovecot> {
        let folder = tempfile::Builder::new()
            .prefix("waxwing-oracle-")
            .tempdir()?;
        let identity = Identity::generate()?;
        let root = rustix::process::geteuid().is_root();
        let at = folder.path();
        std::fs::write(at.join("cert.pem"), &identity.certificate_pem)?;
        std::fs::write(at.join("key.pem"), &identity.key_pem)?;
        std::fs::create_dir(at.join("users"))?;
        std::fs::create_dir(at.join("mail"))?;
        if root {
            // Its processes give up being root, and have to find their way.
            std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755))?;
            chown(at.join("mail"), Some(NOBODY), Some(NOBODY))?;
        }
        let ports = free_ports()?;
        std::fs::write(at.join("dovecot.conf"), configuration(at, &ports, root))?;
        let log = std::fs::File::create(at.join("out"))?;
        let child = Command::new("/usr/sbin/dovecot")
            .arg("-F")
            .arg("-c")
            .arg(at.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Dovecot {
            child,
            folder,
            identity,
            ports,
        };
        let until = Instant::now() + START;
        for port in ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                let ended = server.child.try_wait()?;
                if ended.is_some() || Instant::now() > until {
                    return Err(io::Error::other(format!("no start: {}", server.log())));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(server)
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name));
        ["out", "log"]
            .map(|name| read(name).unwrap_or_default())
            .concat()
    }
}

impl Target for Dovecot {
    fn address(&self, protocol: &str, tls: bool) -> Option<SocketAddr> {
        let [imap, imaps, pop3, pop3s] = self.ports;
        let port = match (protocol, tls) {
            ("imap", false) => imap,
            ("imap", true) => imaps,
            ("pop3", false) => pop3,
            ("pop3", true) => pop3s,
            _ => return None,
        };
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn certificate(&self) -> &[u8] {
        &self.identity.certificate
    }

    fn prepare(&self, dialog: &Dialog, domain: &str) -> io::Result<()> {
        let mut lines = String::new();
        for (account, quota) in &dialog.accounts {
            let rule = match quota {
                0 => String::new(),
                octets => format!("userdb_quota_rule=*:bytes={octets}"),
            };
            let _ = writeln!(lines, "{account}@{domain}:{PASSWORD}::::::{rule}");
        }
        // A file for each domain: one that is known is read again after a second only.
        std::fs::write(self.folder.path().join("users").join(domain), lines)?;
        append_all(self, dialog, domain)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id());
        if let Some(pid) = pid.ok().and_then(rustix::process::Pid::from_raw) {
            // The child is not reaped yet, so the id is still its own. It ends its own processes.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports() -> io::Result<[u16; 4]> {
    let mut held = Vec::new();
    let mut ports = [0; 4];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

const MAILBOXES: [&str; 5] = ["Archive", "Drafts", "Junk", "Sent", "Trash"];

fn configuration(folder: &Path, ports: &[u16; 4], root: bool) -> String {
    let w = folder.display();
    let [imap, imaps, pop3, pop3s] = ports;
    let (uid, gid) = match root {
        true => (NOBODY, NOBODY),
        false => (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
    };
    let mut text = format!(
        "base_dir = {w}/run
state_dir = {w}/state
log_path = {w}/log
protocols = imap pop3
listen = 127.0.0.1
hostname = {HOST}
ssl = yes
ssl_cert = <{w}/cert.pem
ssl_key = <{w}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
auth_username_format = %Lu
first_valid_uid = 1
mail_location = sdbox:~/sdbox
mail_attribute_dict = file:%h/attributes
mailbox_idle_check_interval = 1s
mail_max_userip_connections = 1000
mail_plugins = acl quota zlib
imap_urlauth_host = {HOST}
imap_id_send = name *
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {w}/users/%d
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {w}/users/%d
  default_fields = uid={uid} gid={gid} home={w}/mail/%d/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
"
    );
    for name in MAILBOXES {
        let _ = writeln!(
            text,
            "  mailbox {name} {{\n    special_use = \\{name}\n    auto = subscribe\n  }}"
        );
    }
    let _ = write!(
        text,
        "}}
namespace others {{
  type = shared
  separator = /
  prefix = Other Users/%%u/
  location = sdbox:{w}/mail/%%d/%%n/sdbox:INDEXPVT=~/shared/%%u
  subscriptions = no
  list = children
}}
plugin {{
  acl = vfile
  acl_anyone = allow
  acl_shared_dict = file:{w}/mail/shared
  quota = count:%u
  quota_vsizes = yes
}}
protocol imap {{
  mail_plugins = $mail_plugins imap_acl imap_quota imap_zlib
  imap_metadata = yes
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  service_count = 0
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
"
    );
    if !root {
        let _ = write!(
            text,
            "default_internal_user = #{uid}\ndefault_login_user = #{uid}\ndefault_internal_group = #{gid}\n"
        );
        for service in ["anvil", "imap-login", "pop3-login", "imap-urlauth-login"] {
            let _ = writeln!(text, "service {service} {{\n  chroot =\n}}");
        }
    }
    text
}
