"""imapflow, the Node library: what it does by itself with QRESYNC, COMPRESS, OBJECTID, IMAP4rev2 and the rest.

The steps are in imapflow.cjs; each test here is one of them. What it used is asserted from its log of the wire.
"""

import base64
import json
import os

import packages
from clients.gmail import gmail
from messages import corpus
from site_under_test import Failure, run

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imapflow.cjs")


def step(name, messages=False):
    def test(site, report):
        account = site.new_account()
        request = {
            "step": name,
            "module": os.path.join(packages.folder("npm", packages.IMAPFLOW), "node_modules", "imapflow"),
            "host": site.host,
            "ports": site.ports,
            "account": account,
            "password": site.password(account),
            "ca": open(site.cafile).read() if site.cafile else None,
            "messages": {name: base64.b64encode(octets).decode() for name, octets in corpus(account, account).items()}
            if messages else {},
        }
        done = run("node", PROGRAM, input=json.dumps(request), check=False)
        if done.returncode != 0:
            raise Failure(f"{done.stdout.decode()[-1500:]}{done.stderr.decode()[-1500:]}")
        report.count(json.loads(done.stdout.splitlines()[-1])["checks"])

    test.__name__ = name
    return test


def gmail_labels(site, report):
    with gmail(site) as own:
        if own is None:
            return report.count()
        step("gmail_labels", messages=True)(own, report)


TESTS = (
    step("hello"),
    step("folders"),
    step("carries_messages", messages=True),
    step("parts_are_downloaded", messages=True),
    step("flags_moves_searches"),
    step("told_while_idle"),
    step("comes_back_with_qresync"),
    step("old_style"),
    gmail_labels,
)
