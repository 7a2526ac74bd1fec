"""Drives SMTP, submission and LMTP with Python's smtplib. Arguments: the four ports and the password."""

import smtplib
import ssl
import sys

smtp, submission, submissions, lmtp = map(int, sys.argv[1:5])
password = sys.argv[5]
alice, bob = "alice@example.test", "bob@example.test"
context = ssl._create_unverified_context()


def message(subject, body="x\r\n"):
    return f"From: {alice}\r\nTo: {bob}\r\nSubject: {subject}\r\n\r\n{body}"


def refused(code, call):
    try:
        call()
    except smtplib.SMTPRecipientsRefused as error:
        assert {answer[0] for answer in error.recipients.values()} == {code}, error
    except smtplib.SMTPResponseException as error:
        assert error.smtp_code == code, error
    else:
        raise AssertionError(f"{code} was expected")


with smtplib.SMTP("127.0.0.1", smtp, timeout=20) as client:
    client.ehlo()
    assert client.has_extn("pipelining") and client.has_extn("chunking") and not client.has_extn("auth")
    assert client.sendmail("x@elsewhere.example", [bob], message("reception")) == {}
    refused(550, lambda: client.sendmail("", ["u@elsewhere.example"], message("relay")))
    assert client.verify(bob)[0] == 252 and client.expn("list")[0] == 502
    assert client.has_extn("dsn") and client.has_extn("deliverby") and client.has_extn("limits")
    options = ["ENVID=QQ314159", "RET=HDRS", "BY=600;N", "BODY=8BITMIME", "MT-PRIORITY=-2"]
    asked = ["NOTIFY=NEVER", "ORCPT=rfc822;bob@elsewhere.example"]
    assert client.sendmail("x@elsewhere.example", [bob], message("options"), options, asked) == {}

with smtplib.SMTP("127.0.0.1", submission, timeout=20) as client:
    client.starttls(context=context)
    client.login(alice, password)
    some = client.sendmail(alice, [bob, "nobody@example.test"], message("starttls"))
    assert some["nobody@example.test"][0] == 550, some
    refused(550, lambda: client.sendmail(bob, [bob], message("spoofed")))

with smtplib.SMTP_SSL("127.0.0.1", submissions, timeout=20, context=context) as client:
    refused(535, lambda: client.login(alice, "wrong"))
    client.user, client.password = alice, password
    client.auth("LOGIN", client.auth_login)
    assert client.sendmail(alice, [bob], message("tls")) == {}

with smtplib.SMTP("127.0.0.1", submission, timeout=20) as client:
    refused(530, lambda: client.sendmail(alice, [bob], message("no login")))
    client.login(alice, password)
    assert client.sendmail(alice, [bob], message("clear")) == {}

with smtplib.LMTP("127.0.0.1", lmtp) as client:
    assert client.sendmail("", [bob], message("lmtp")) == {}

with smtplib.SMTP_SSL("127.0.0.1", submissions, timeout=60, context=context) as client:
    client.login(alice, password)
    large = message("large", ".0123456789\r\n" * 400_000)
    assert client.sendmail(alice, [bob], large) == {}
    assert client.mail(alice, ["SIZE=999999999"])[0] == 552
    utf8 = message("Größe", "Grüße\r\n").encode()
    assert client.sendmail(alice, [bob], utf8, mail_options=["SMTPUTF8", "BODY=8BITMIME"]) == {}
