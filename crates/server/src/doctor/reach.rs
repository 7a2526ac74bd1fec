//! Who reaches whom: port 25 in and out, TLS on it, the services for mail programs, and lists that others refuse by.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Finding, Grade, Patient};
use crate::certificate;

/// How long a server may take to answer a connection or a command.
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of a reply.
const REPLY: usize = 8 * 1024;

/// What was seen of a server on port 25.
struct Seen {
    starttls: bool,
    certificate: Option<certificate::Facts>,
}

/// Whether this server answers where the world calls it.
pub(super) async fn inwards(patient: &Patient, addresses: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "port 25 in";
    let mut findings = Vec::new();
    for address in addresses {
        let at = SocketAddr::new(*address, patient.port);
        let seen = tokio::time::timeout(PATIENCE * 3, look(at, &patient.facts.hostname)).await;
        match seen {
            Ok(Ok(seen)) => findings.extend(answered(patient, at, &seen)),
            other => {
                let why = match other {
                    Ok(Err(why)) => why,
                    _ => "it does not answer in time".to_owned(),
                };
                let what = format!("{at}: {why}");
                let todo = "start the server, give the table listen this address, and open the port in firewalls; some \
                     networks cannot call their own outer address, then try from elsewhere";
                findings.push(Finding::new(CHECK, Grade::Broken, what, todo));
            }
        }
    }
    findings
}

fn answered(patient: &Patient, at: SocketAddr, seen: &Seen) -> Vec<Finding> {
    const CHECK: &str = "STARTTLS";
    let good = Finding::good("port 25 in", format!("{at} answers"));
    let Some(certificate) = &seen.certificate else {
        let what = match seen.starttls {
            true => format!("{at} offers STARTTLS, and TLS fails"),
            false => format!("{at} does not offer STARTTLS: mail comes in the clear"),
        };
        let todo = "look at the server's log; a firewall that \"inspects\" SMTP must be turned off";
        return vec![good, Finding::new(CHECK, Grade::Advice, what, todo)];
    };
    let own = patient.certificate.as_ref().ok();
    let other = own.is_some_and(|own| own.spki_sha256 != certificate.spki_sha256);
    if other {
        let what = format!("{at} shows another certificate than the one in the configuration");
        let todo = "send the server SIGHUP; if that does not help, another server answers there";
        return vec![good, Finding::new(CHECK, Grade::Advice, what, todo)];
    }
    vec![good, Finding::good(CHECK, format!("{at} speaks TLS"))]
}

/// Speaks to a server as another would.
async fn look(at: SocketAddr, host: &str) -> Result<Seen, String> {
    let tcp = tokio::time::timeout(PATIENCE, TcpStream::connect(at)).await;
    let tcp = tcp
        .map_err(|_| "nobody answers".to_owned())?
        .map_err(|error| error.to_string())?;
    let mut stream = BufReader::new(tcp);
    expect(&mut stream, "220").await?;
    let name = format!("doctor.{host}");
    send(&mut stream, &format!("EHLO {name}\r\n")).await?;
    let hello = expect(&mut stream, "250").await?;
    let starttls = hello.iter().any(|line| {
        line.get(4..)
            .is_some_and(|word| word.eq_ignore_ascii_case("STARTTLS"))
    });
    if !starttls {
        send(&mut stream, "QUIT\r\n").await?;
        return Ok(Seen {
            starttls,
            certificate: None,
        });
    }
    send(&mut stream, "STARTTLS\r\n").await?;
    let certificate = match expect(&mut stream, "220").await {
        Ok(_) => shown(stream.into_inner(), host).await,
        Err(_) => None,
    };
    Ok(Seen {
        starttls,
        certificate,
    })
}

/// The certificate that a server shows.
async fn shown(tcp: TcpStream, host: &str) -> Option<certificate::Facts> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let stream = tokio::time::timeout(PATIENCE, handshake).await.ok()?.ok()?;
    let (_, connection) = stream.get_ref();
    let leaf = connection.peer_certificates()?.first()?;
    certificate::Facts::of_der(leaf).ok()
}

async fn send(stream: &mut BufReader<TcpStream>, command: &str) -> Result<(), String> {
    let sent = tokio::time::timeout(PATIENCE, stream.write_all(command.as_bytes())).await;
    sent.map_err(|_| "it does not take a command".to_owned())?
        .map_err(|error| error.to_string())
}

/// The lines of a reply, which must have this code.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) -> Result<Vec<String>, String> {
    let read = async {
        let mut lines = Vec::new();
        let mut octets = 0_usize;
        loop {
            let mut line = Vec::new();
            let mut limited = tokio::io::AsyncReadExt::take(&mut *stream, REPLY as u64);
            let count = limited
                .read_until(b'\n', &mut line)
                .await
                .map_err(|error| error.to_string())?;
            octets = octets.saturating_add(count);
            if count == 0 || octets > REPLY {
                return Err("it hangs up, or says too much".to_owned());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let last = line.as_bytes().get(3) != Some(&b'-');
            let good = line.starts_with(code);
            lines.push(line);
            if !good {
                return Err(format!("it says {:?}", lines.concat()));
            }
            if last {
                return Ok(lines);
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .map_err(|_| "it answers nothing".to_owned())?
}

/// Takes every certificate: what it says is looked at afterwards, and nothing is sent over the connection.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether others can be called: many providers close the port until they are asked.
pub(super) async fn outwards(patient: &Patient) -> Vec<Finding> {
    const CHECK: &str = "port 25 out";
    if patient.relayed {
        let what = "outgoing mail goes over a route of the configuration";
        return vec![Finding::good(CHECK, what)];
    }
    let mut tried = Vec::new();
    let mut named = false;
    for domain in &patient.probes {
        let Ok(answer) = patient.dns.mx(domain).await else {
            continue;
        };
        for mx in answer.records.iter().take(1) {
            let addresses = patient.dns.addresses(&mx.host).await;
            for address in addresses.iter().flat_map(|answer| &answer.records).take(2) {
                named = true;
                let at = SocketAddr::new(*address, 25);
                match tokio::time::timeout(PATIENCE, TcpStream::connect(at)).await {
                    Ok(Ok(_)) => {
                        let what = format!("{} ({address}) answers", mx.host);
                        return vec![Finding::good(CHECK, what)];
                    }
                    Ok(Err(error)) => tried.push(format!("{at}: {error}")),
                    Err(_) => tried.push(format!("{at}: nobody answers")),
                }
            }
        }
    }
    if !named {
        let what = format!(
            "no mail server of {} was found to try",
            patient.probes.join(", ")
        );
        let todo = "look whether this machine's resolver works, and try again";
        return vec![Finding::new(CHECK, Grade::Unknown, what, todo)];
    }
    let what = format!("no other mail server can be reached: {}", tried.join("; "));
    let todo = "ask the provider to open port 25 outwards, or send over another server: a [[route]] for \"*\" in the configuration";
    vec![Finding::new(CHECK, Grade::Broken, what, todo)]
}

/// The services for mail programs.
pub(super) async fn services(patient: &Patient, addresses: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "services";
    let mut closed = Vec::new();
    let mut open = Vec::new();
    for (service, port) in &patient.facts.services {
        if *port == 25 || *port == patient.port {
            continue;
        }
        for address in addresses {
            let at = SocketAddr::new(*address, *port);
            match tokio::time::timeout(PATIENCE, TcpStream::connect(at)).await {
                Ok(Ok(_)) => open.push(service.name()),
                _ => closed.push(format!("{} ({at})", service.name())),
            }
        }
    }
    let mut findings = Vec::new();
    if !closed.is_empty() {
        let what = format!("not reachable from here: {}", closed.join(", "));
        let todo = "open the ports in firewalls, or take the services out of the table listen";
        findings.push(Finding::new(CHECK, Grade::Advice, what, todo));
    }
    if !open.is_empty() {
        open.dedup();
        findings.push(Finding::good(CHECK, format!("{} answer", open.join(", "))));
    }
    findings
}

/// RFC 5782 §2.1, §2.4: the address backwards under the list's name.
fn list_name(address: IpAddr, list: &str) -> String {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.{list}")
        }
        IpAddr::V6(ip) => {
            let digits = format!("{:032x}", u128::from(ip));
            let reversed: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.{list}", reversed.join("."))
        }
    }
}

/// Lists by which others refuse mail.
pub(super) async fn blocklists(patient: &Patient, addresses: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "blocklists";
    let mut findings = Vec::new();
    let (mut clean, mut silent) = (Vec::new(), Vec::new());
    for list in &patient.blocklists {
        for address in addresses {
            match patient.dns.addresses(&list_name(*address, list)).await {
                Ok(answer) if refuses_us(&answer.records) => silent.push(list.as_str()),
                Ok(answer) if is_listing(&answer.records) => {
                    let what =
                        format!("{address} is on the list {list}: many servers refuse its mail");
                    let todo = format!(
                        "look at the web site of {list} why, mend that, and have it taken off"
                    );
                    findings.push(Finding::new(CHECK, Grade::Broken, what, todo));
                }
                Err(error) if error.is_absence() => clean.push(list.as_str()),
                _ => silent.push(list.as_str()),
            }
        }
    }
    clean.dedup();
    silent.dedup();
    if !clean.is_empty() {
        findings.push(Finding::good(CHECK, format!("not on {}", clean.join(", "))));
    }
    if !silent.is_empty() {
        let what = format!("{} did not say", silent.join(", "));
        let todo = "lists do not answer large public resolvers: use one of your own in [dns]";
        findings.push(Finding::new(CHECK, Grade::Hint, what, todo));
    }
    findings
}

/// 127.255.255.0/24 means "you may not ask".
fn refuses_us(answers: &[IpAddr]) -> bool {
    answers
        .iter()
        .any(|ip| matches!(ip, IpAddr::V4(ip) if ip.octets().starts_with(&[127, 255, 255])))
}

/// RFC 5782 §2.1: an address in 127.0.0.0/8; anything else is a resolver that makes up answers.
fn is_listing(answers: &[IpAddr]) -> bool {
    answers
        .iter()
        .any(|ip| matches!(ip, IpAddr::V4(ip) if ip.octets().first() == Some(&127)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_lists() {
        assert_eq!(
            list_name("192.0.2.99".parse().unwrap(), "bad.example"),
            "99.2.0.192.bad.example"
        );
        // RFC 5782 §2.4
        assert_eq!(
            list_name("2001:db8:1:2:3:4:567:89ab".parse().unwrap(), "ugly.example"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example"
        );
    }

    #[test]
    fn what_answers_of_lists_mean() {
        let ips = |text: &str| vec![text.parse().unwrap()];
        assert!(is_listing(&ips("127.0.0.2")) && !refuses_us(&ips("127.0.0.2")));
        assert!(refuses_us(&ips("127.255.255.254")));
        // A provider's "search page" instead of "there is no such name".
        assert!(!is_listing(&ips("203.0.113.7")));
    }
}
