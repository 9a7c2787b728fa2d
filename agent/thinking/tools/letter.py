"""An e-mail as it is asked for, as it is put to the user, and as a message (RFC 5322)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.tools.contacts import Contacts, called
from agent.thinking.tools.lists import said_list
from agent.thinking.tools.moments import WEEKDAYS
from agent.thinking.tools.outbox import Letter

MAX_BODY_CHARS = 10_000
MAX_RECIPIENTS = 10
MAX_SUBJECT_CHARS = 60
WIRE = SMTP.clone(cte_type="7bit")
"""Any server takes it, also one without 8BITMIME."""

MONTHS = ("january", "february", "april", "june", "july", "august", "september", "october", "november", "december")
"""Those that are no other word."""
_DAY = re.compile(rf"\b(?:(?:next|this) )?(?:{'|'.join(WEEKDAYS)})\b|\b(?:today|tomorrow|tonight)\b", re.IGNORECASE)
_HOUR = r"(?:\d{1,2}(?::\d\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_TIME = re.compile(
    rf"\b(?:half past |quarter past |quarter to )?{_HOUR}(?: (?:thirty|fifteen|forty five|oclock|o'clock))?"
    rf"(?: ?[ap]\.?m\b)?(?= *[,.!?]| *$| (?:on|in|at|today|tomorrow)\b)|\b(?:noon|midnight)\b",
    re.IGNORECASE,
)
_NAMES = re.compile(rf"\b(?:{'|'.join((*WEEKDAYS, *MONTHS))}|i)\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """Nothing in it is left open."""

    sender: Address
    to: tuple[Address, ...]
    subject: str
    body: str
    usual: bool
    """The sender is the user's usual address."""

    def arguments(self) -> dict[str, Json]:
        return {
            "to": [str(address) for address in self.to], "from": str(self.sender), "subject": self.subject,
            "body": self.body,
        }  # fmt: skip

    def said(self) -> str:
        """What the user confirms."""
        origin = "" if self.usual else f" from {self.sender.addr_spec}"
        people = said_list([called(address) for address in self.to], MAX_RECIPIENTS)
        return f"Send an email{origin} to {people}, saying: {self.body}"


def drafted(arguments: Mapping[str, Json], contacts: Contacts) -> Draft:
    """Resolve the names and check the rest.

    `mine`: which of the user's own addresses is meant, of the recipient when that is the user,
    else of the sender. `kind`: which address of the recipients. Raises `ToolError`.
    """
    to = [contacts.find(name) for name in _names(arguments.get("to"))]
    sender = contacts.find(_text(arguments, "from")) if arguments.get("from") else contacts.own()
    mine, kind = _text(arguments, "mine"), _text(arguments, "kind")
    if mine and all(contacts.is_own(address) for address in to):
        to = [contacts.own(mine)]
    elif mine:
        sender = contacts.own(mine)
    if kind:
        to = contacts.of_kind(to, kind)
    body = sentence(_text(arguments, "body"))
    if not body:
        name = to[0].display_name or "Anna"
        raise ToolError(f"I don't know what to write. Say: send an email to {name} saying I am running late.", "input")
    if len(body) > MAX_BODY_CHARS:
        raise ToolError(f"That is too long: an e-mail has {MAX_BODY_CHARS} characters at most.", "input")
    unique = {address.addr_spec: address for address in to}
    subject = _text(arguments, "subject") or _subject(body)
    return Draft(sender, tuple(unique.values()), _one_line(subject)[:200], body, sender == contacts.sender)


def composed(draft: Draft, key: str, now: datetime) -> Letter:
    """The message. Its identity, and so its file, follows from the idempotency `key` alone."""
    name = hashlib.sha256(key.encode()).hexdigest()[:40]
    message = EmailMessage(policy=WIRE)
    message["From"] = draft.sender
    message["To"] = draft.to
    message["Subject"] = draft.subject
    message["Date"] = now
    message["Message-ID"] = f"<{name}@{draft.sender.domain}>"
    message.set_content(draft.body + "\n")
    return Letter(name, draft.sender.addr_spec, [address.addr_spec for address in draft.to], message.as_bytes())


def with_day(body: str, day: str) -> str | None:
    """`body` with its last day replaced, None when it names none."""
    return _replaced(_DAY, body, _NAMES.sub(lambda found: found.group().capitalize(), day))


def with_time(body: str, time: str) -> str | None:
    """`body` with its last time of day replaced, None when it names none."""
    return _replaced(_TIME, body, time)


def _replaced(kind: re.Pattern[str], body: str, value: str) -> str | None:
    found = list(kind.finditer(body))
    return body[: found[-1].start()] + value + body[found[-1].end() :] if found else None


def _names(value: Json) -> list[str]:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    found = [name.strip() for name in names if isinstance(name, str) and name.strip()]
    if not found:
        raise ToolError("I don't know who it should go to.", "input")
    if len(found) > MAX_RECIPIENTS:
        raise ToolError(f"An e-mail goes to {MAX_RECIPIENTS} people at most.", "input")
    return found


def _text(arguments: Mapping[str, Json], name: str) -> str:
    value = arguments.get(name)
    return value.strip() if isinstance(value, str) else ""


def sentence(body: str) -> str:
    """Spoken words as one writes them, or nothing: capitals and a full stop. Text with capitals in it keeps its own."""
    if body and body == body.lower():
        body = _NAMES.sub(lambda found: found.group().capitalize(), body)
    body = body[:1].upper() + body[1:]
    return body + "." if body[-1:].isalnum() else body


def _subject(body: str) -> str:
    first = _one_line(body).rstrip(".")
    if len(first) <= MAX_SUBJECT_CHARS:
        return first
    return first[: MAX_SUBJECT_CHARS - 1].rsplit(" ", 1)[0] + "…"


def _one_line(text: str) -> str:
    return " ".join(text.split())
