"""What clients were promised, and whether the server kept it.

Each worker has one operation in flight. An operation that was acknowledged
must be there; one that was not may be there wholly or not at all.
"""

import collections
import hashlib
import random
import re

from site_under_test import Failure, HEADERS_ON_TOP

MARK = re.compile(rb"(?m)^Message-ID: <([a-z0-9.]+)@powercut\.test>\r?$")


def text_of(name, sender="sender@bench.test"):
    """The message of this name: the same octets whenever it is asked for."""
    rng = random.Random(name)
    size = rng.choice((200, 1_000, 4_000, 4_000, 16_000, 60_000))
    body = rng.randbytes(size // 2).hex()
    lines = "\r\n".join(body[n:n + 72] for n in range(0, len(body), 72))
    return (f"From: {sender}\r\nTo: someone@bench.test\r\nSubject: {name}\r\n"
            f"Date: Tue, 02 Jan 2024 03:04:05 +0000\r\nMessage-ID: <{name}@powercut.test>\r\n\r\n{lines}\r\n").encode()


def digest(text):
    return hashlib.sha256(text).digest()[:8]


def name_of(stored, where, sender="sender@bench.test"):
    """The name of a stored message, which must be whole."""
    marks = MARK.findall(stored.split(b"\r\n\r\n", 1)[0])
    if len(marks) != 1:
        raise Failure(f"{where}: a message that nobody sent: {stored[:200]!r}")
    name = marks[0].decode()
    sent = text_of(name, sender)
    if not stored.endswith(sent) or not HEADERS_ON_TOP.match(stored[:len(stored) - len(sent)]):
        raise Failure(f"{where}: {name} is not whole: {len(stored)} octets of {len(sent)} and headers")
    return name


class Deliveries:
    """Messages by SMTP and LMTP, each to one recipient or several."""

    def __init__(self, recipients):
        self.recipients = recipients
        self.kept = {}      # name -> recipients that were acknowledged
        self.in_flight = {}  # name -> recipients

    def acknowledged(self, name, recipients):
        self.kept[name] = recipients
        del self.in_flight[name]

    def refused(self, name):
        del self.in_flight[name]

    def verify(self, mailboxes):
        """`mailboxes`: recipient -> list of octets. Returns the number of promises checked."""
        found = collections.defaultdict(collections.Counter)
        for recipient, texts in mailboxes.items():
            for text in texts:
                found[name_of(text, recipient)][recipient] += 1
        lost = [f"{name} to {r}: {found[name][r]} times" for name, rs in self.kept.items() for r in rs
                if found[name][r] != 1]
        if lost:
            raise Failure(f"{len(lost)} of {sum(map(len, self.kept.values()))} acknowledged deliveries are not there once: {lost[:5]}")
        for name, recipients in self.in_flight.items():
            there = [found[name][r] for r in recipients]
            if any(there) and set(there) != {1}:
                raise Failure(f"half there: {name}, not acknowledged, is with its recipients {there} times")
            if any(there):
                self.kept[name] = recipients
        unknown = [name for name, copies in found.items() if copies and name not in self.kept]
        if unknown:
            raise Failure(f"messages that were refused or removed are there: {unknown[:5]}")
        self.in_flight.clear()
        return sum(map(len, self.kept.values()))


class Outgoing:
    """Messages of one user to recipients elsewhere, and some to one account here."""

    def __init__(self, account, beside):
        self.account, self.beside = account, beside
        self.kept = {}       # name -> recipients elsewhere, whether one here
        self.in_flight = {}  # likewise

    def acknowledged(self, name):
        self.kept[name] = self.in_flight.pop(name)

    def verify(self, queued, taken, told, here):
        """`queued`, `taken`: recipients; `told`: Counter of recipients whose failure came back; `here`: Counter of names with
        the account here. `queued` was looked at first. Returns the number of promises checked."""
        there = lambda address: address in queued or address in taken or address in told
        for name, (away, beside) in self.in_flight.items():
            found = [there(address) for address in away] + ([here[name] > 0] if beside else [])
            if any(found) and not all(found):
                raise Failure(f"half there: {name}, not acknowledged: {found}")
            if any(found):
                self.kept[name] = (away, beside)
        self.in_flight.clear()
        forgotten = [address for away, _ in self.kept.values() for address in away if not there(address)]
        if forgotten:
            raise Failure(f"{len(forgotten)} accepted recipients are neither queued, nor delivered, nor told of: {forgotten[:5]}")
        twice = [address for address, times in told.items() if times > 1]
        if twice:
            raise Failure(f"told more than once: {twice[:5]}")
        wrong = [f"{name}: {here[name]} times" for name, (_, beside) in self.kept.items() if here[name] != beside]
        if wrong or set(here) - set(self.kept):
            raise Failure(f"not here as accepted: {wrong[:5]} {sorted(set(here) - set(self.kept))[:5]}")
        return sum(len(away) + beside for away, beside in self.kept.values())


class Mailboxes:
    """One account under IMAP: mailbox -> uid -> (name, flags)."""

    def __init__(self, account, mailboxes):
        self.account = account
        self.state = {name: {} for name in mailboxes}
        self.after = None   # the state if the operation in flight happens: (state, new messages by mailbox)
        self.operations = 0
        self.what = ""
        self.doubtful = set()  # messages that a refused operation would have removed

    def copy(self):
        return {name: dict(messages) for name, messages in self.state.items()}

    def begin(self, what, state, new=None):
        self.what = what
        self.after = (state, new or {})

    def acknowledged(self, uids=()):
        """`uids`: for each new message in order (mailbox, uid, name, flags)."""
        state, _ = self.after
        for mailbox, uid, name, flags in uids:
            state[mailbox][uid] = (name, flags)
        self.state, self.after = state, None
        self.operations += 1

    def refused(self):
        state, new = self.after
        left = self.names(state) | {name for messages in new.values() for name, _ in messages}
        self.doubtful |= self.names(self.state) - left
        self.after = None

    @staticmethod
    def names(state):
        return {name for messages in state.values() for name, _ in messages.values()}

    def verify(self, actual):
        """`actual`: like the state."""
        if actual == self.state:
            self.after = None
            return self.operations
        if self.after is not None and fits(self.after, actual):
            self.after = None
            self.state = actual
            return self.operations
        raise Failure(f"{self.account}: {difference(self.state, actual)}; in flight: {self.what if self.after else 'nothing'}")


def fits(after, actual):
    state, new = after
    if set(state) != set(actual):
        return False
    for mailbox, messages in actual.items():
        known = state[mailbox]
        if any(messages.get(uid) != kept for uid, kept in known.items()):
            return False
        more = collections.Counter(kept for uid, kept in messages.items() if uid not in known)
        if more != collections.Counter(new.get(mailbox, ())):
            return False
    return True


def difference(expected, actual):
    if set(expected) != set(actual):
        return f"mailboxes {sorted(expected)} became {sorted(actual)}"
    lines = []
    for mailbox, messages in expected.items():
        there = actual[mailbox]
        lost = [uid for uid in messages if uid not in there]
        risen = [uid for uid in there if uid not in messages]
        changed = [uid for uid in messages if uid in there and there[uid] != messages[uid]]
        if lost or risen or changed:
            lines.append(f"{mailbox}: of {len(messages)} acknowledged {len(lost)} lost {lost[:4]}, {len(changed)} changed "
                         f"{[(u, messages[u], there[u]) for u in changed[:2]]}, {len(risen)} too many "
                         f"{[(u, there[u]) for u in risen[:2]]}")
    return "; ".join(lines)


class Passwords:
    """One account whose password changes."""

    def __init__(self, account, password):
        self.account = account
        self.password = password
        self.next = None
        self.changes = 0

    def acknowledged(self):
        self.password, self.next = self.next, None
        self.changes += 1

    def verify(self, opens):
        """`opens(password)` says whether a login succeeds."""
        if opens(self.password):
            if self.next is not None and opens(self.next):
                raise Failure(f"{self.account}: the old and the new password open the account")
        elif self.next is not None and opens(self.next):
            self.password = self.next
        else:
            raise Failure(f"{self.account}: the acknowledged password does not open the account")
        self.next = None
        return self.changes
