"""The address book: what people are called, and their e-mail addresses.

Entries are `name = address`, as in `anna = Anna Lee <anna@example.org>`. A second address has
its kind behind the name: `anna work = anna@work.example`. Names are never guessed: a letter
to somebody else is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr

from agent.errors import SettingsError, ToolError
from agent.thinking.tools.lists import ADDRESS_KINDS

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
_MINE = re.compile(r"(?:me|myself|my|mine)(?: (?P<kind>[a-z]+))?")
_NOUNS = re.compile(r" (?:e-?mail|address|account|mail|e-?mail address)$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parsed(text: str) -> Address | None:
    """`Anna Lee <anna@example.org>` or a bare address (RFC 5322, without quoting and comments); None if it is none."""
    if _CONTROL.search(text):
        return None
    name, address = parseaddr(text) if text.endswith(">") else ("", text)
    return Address(name, addr_spec=address) if _ADDRESS.fullmatch(address) else None


@dataclass(frozen=True, slots=True)
class Contact:
    name: str
    address: Address


class Contacts:
    """`people` and the user's `own` addresses, of which the first is the usual one.

    Raises `SettingsError` naming an entry that cannot be read.
    """

    def __init__(self, people: Sequence[str] = (), own: Sequence[str] = ()) -> None:
        self._people = [_entry(text, "mail.contacts") for text in people]
        self._own = [_entry(text, "mail.own") for text in own]

    @property
    def names(self) -> tuple[str, ...]:
        """What the people are called, in lower case."""
        return tuple(contact.name for contact in self._people)

    @property
    def sender(self) -> Address | None:
        """The user's usual address."""
        return self._own[0].address if self._own else None

    def find(self, who: str) -> Address:
        """An address, or whom `who` names: `anna`, `anna's work email`, `me`, `my work email`. Raises `ToolError`."""
        if "@" in who:
            address = parsed(who)
            if address is None:
                raise ToolError(f"{who[:80]} is not an e-mail address.", "input")
            return address
        name = _NOUNS.sub("", " ".join(who.lower().split())).replace("'s ", " ").replace(" at work", " work")
        mine = _MINE.fullmatch(name)
        if mine:
            return self.own(mine["kind"] or "")
        return _only(self._people, name, who)

    def own(self, kind: str = "") -> Address:
        """One of the user's own addresses, the usual one without a `kind`. Raises `ToolError`."""
        if not self._own:
            raise ToolError("I don't know your own address. Set mail.own in agent.toml.", "not_found")
        if not kind:
            return self._own[0].address
        found = [contact for contact in self._own if kind in contact.name.split()]
        if not found:
            raise ToolError(f"I don't know your {kind} address. Add it to mail.own in agent.toml.", "not_found")
        return found[0].address

    def is_own(self, address: Address) -> bool:
        return any(contact.address.addr_spec == address.addr_spec for contact in self._own)

    def of_kind(self, addresses: Sequence[Address], kind: str) -> list[Address]:
        """The same people at their addresses of this `kind`, where they have one. Raises `ToolError` if none has."""
        found = [self._kind_of(address, kind) for address in addresses]
        if not any(found):
            raise ToolError(f"I know no {kind} address of theirs. Add it to mail.contacts in agent.toml.", "not_found")
        return [other or address for other, address in zip(found, addresses, strict=True)]

    def _kind_of(self, address: Address, kind: str) -> Address | None:
        for known in self._people:
            if known.address.addr_spec == address.addr_spec:
                name = f"{known.name.split()[0]} {kind}"
                return next((contact.address for contact in self._people if contact.name == name), None)
        return None


def called(address: Address) -> str:
    """As it is said: `Anna Lee at anna@example.org`."""
    return f"{address.display_name} at {address.addr_spec}" if address.display_name else address.addr_spec


def _only(people: Sequence[Contact], name: str, who: str) -> Address:
    exact = [contact for contact in people if contact.name == name]
    found = exact or [contact for contact in people if contact.name.split()[0] == name]
    if not found:
        raise ToolError(f"I have no e-mail address of {who}. Add it to mail.contacts in agent.toml.", "not_found")
    if len({contact.address.addr_spec for contact in found}) > 1:
        names = " and ".join(contact.name for contact in found)
        raise ToolError(f"There is more than one {who}: {names}.", "input")
    return found[0].address


def _entry(text: str, setting: str) -> Contact:
    name, equals, address = text.partition("=")
    found = parsed(address.strip())
    name = " ".join(name.lower().split())
    if not equals or not name or found is None:
        raise SettingsError(f'{setting} has {text!r}; an entry is "name = address", as in "anna = anna@example.org"')
    if not found.display_name:
        called = " ".join(word for word in name.split() if word not in ADDRESS_KINDS).title()
        found = Address(called if setting == "mail.contacts" else "", addr_spec=found.addr_spec)
    return Contact(name, found)
