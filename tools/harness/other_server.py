"""A Dovecot of our own to move mail from and to: on loopback, in a folder, for as long as a test lasts."""

import imaplib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

from site_under_test import PASSWORD, Failure, free_ports, run


class Dovecot:
    """Accounts are made by naming them. Each is a Maildir whose levels are divided by dots."""

    host = "localhost"

    def __init__(self, site):
        self.site = site
        self.folder = tempfile.mkdtemp(prefix="dovecot-")
        os.chmod(self.folder, 0o755)
        self.ports = dict(zip(("imap", "imaps", "pop3", "pop3s"), free_ports(4)))
        self.config = os.path.join(self.folder, "dovecot.conf")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        if os.geteuid() != 0:
            raise Failure("Dovecot starts as root, and gives its rights away")

    def _configure(self):
        home = os.path.join(self.folder, "homes")
        os.makedirs(home, exist_ok=True)
        authority = shutil.copy(self.site.cafile, os.path.join(self.folder, "ca.pem"))
        shutil.chown(home, "nobody")
        listeners = "".join(
            f"service {kind}-login {{\n inet_listener {kind} {{\n address = 127.0.0.1\n port = {self.ports[kind]}\n }}\n"
            f" inet_listener {kind}s {{\n address = 127.0.0.1\n port = {self.ports[kind + 's']}\n ssl = yes\n }}\n"
            " process_min_avail = 1\n}\n"
            for kind in ("imap", "pop3"))
        uses = "".join(f" mailbox {name} {{\n special_use = {use}\n auto = create\n }}\n" for name, use in (
            ("Gesendet", "\\Sent"), ("Entwurf", "\\Drafts"), ("Papierkorb", "\\Trash"), ("Spam", "\\Junk")))
        with open(self.config, "w") as out:
            out.write(
                f"protocols = imap pop3\nbase_dir = {self.folder}/run\nstate_dir = {self.folder}/run\nlog_path = {self.log}\n"
                f"ssl = yes\nssl_cert = <{self.site.cafile}\nssl_key = <{os.path.dirname(self.site.cafile)}/key.pem\n"
                f"disable_plaintext_auth = no\nmail_fsync = never\nmail_location = maildir:~/Maildir\n"
                f"mail_max_keyword_length = 100\nfirst_valid_uid = 1\nmail_access_groups =\nmail_max_userip_connections = 100\n"
                "auth_mechanisms = plain login\n"
                f"passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n"
                f"userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={home}/%u\n}}\n"
                f"namespace inbox {{\n inbox = yes\n separator = .\n{uses}}}\n{listeners}"
                # imapc: Dovecot as a client of ours.
                f"imapc_host = localhost\nimapc_port = {self.site.ports['imaps']}\nimapc_ssl = imaps\n"
                f"imapc_features = rfc822.size fetch-headers\nssl_client_ca_file = {authority}\nimapc_list_prefix =\n"
            )

    def start(self):
        self._configure()
        out = open(self.log, "ab")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", self.config], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        out.close()
        until = time.monotonic() + 20
        for port in self.ports.values():
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > until:
                        raise Failure(f"Dovecot does not answer\n{open(self.log).read()[-2000:]}")
                    time.sleep(0.05)
        return self

    def imap(self, account, tls=False):
        if tls:
            context = ssl.create_default_context(cafile=self.site.cafile)
            client = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=context)
        else:
            client = imaplib.IMAP4("127.0.0.1", self.ports["imap"])
        client.login(account, PASSWORD)
        return client

    def password(self, _account):
        return PASSWORD

    def doveadm(self, *arguments, check=True, timeout=300):
        return run("doveadm", "-c", self.config, *arguments, check=check, timeout=timeout)

    def close(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
