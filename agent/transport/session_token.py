"""Tokens by which a client takes its session up again, over another connection or from another device.

    v2.SESSION.GRANT.SCOPES.EXPIRES.MAC
    v2.SESSION.OWNER.GRANT.SCOPES.EXPIRES.MAC    for a session of another owner than `local`

GRANT names the token: it stays the same when the token is renewed, and one that was minted from another has
that one's name before its own, so that revoking a token revokes what was minted from it. SCOPES are letters of
`SCOPES`, EXPIRES is in seconds since 1970, and MAC is HMAC-SHA256 (RFC 2104) over all before it, base64url
without padding. Only this server's key makes one, so nothing of a session can be learned or touched without
its own token, and none has to be looked up.

    talk      microphone, text, stop, settings: all that steers; who may talk can say "yes", and so may confirm
    confirm   answer the card of a proposed action
    watch     see and do nothing; every token allows it

A session's own token is good in its owner's hands alone, and renewed at each connection, and while one lasts. One
that was minted ends when it was said to, and so does the connection that it let in; unless it `renews` (the letter
r): then that is how long it lets somebody in, and who has come in goes on as if the token were the session's own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from agent.errors import ScopeNeeded, StoreError, TokenRefused
from agent.owners import LOCAL, OWNER_NAME
from agent.transport.revocations import Revocations

Scope = Literal["talk", "watch", "confirm"]
SCOPES: dict[str, Scope] = {"t": "talk", "w": "watch", "c": "confirm"}
ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
INCLUDED: dict[Scope, frozenset[Scope]] = {
    "talk": ALL_SCOPES,
    "confirm": frozenset(("confirm", "watch")),
    "watch": frozenset(("watch",)),
}
"""What each scope allows."""
RENEWS = "r"
KEY_BYTES = 32
MAX_CHARS = 200
MAX_DEPTH = 4
"""Tokens minted from tokens: the session's own is the first."""
FOREIGN = "this session token is not one of this server: begin a new conversation"
REVOKED = "its session token was revoked"
EXPIRED = "its session token has expired"

_NAME = "[0-9a-f]{8}"
_FORM = re.compile(
    rf"v2\.([A-Za-z0-9_-]{{1,64}})\.(?:({OWNER_NAME})\.)?({_NAME}(?:-{_NAME}){{0,{MAX_DEPTH - 1}}})"
    rf"\.([a-z]{{1,8}})\.(\d{{1,12}})\.([A-Za-z0-9_-]{{43}})"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: these scopes of this session, until `expires_s`."""

    session_id: str
    scopes: frozenset[Scope] = ALL_SCOPES
    name: str = "00000000"
    expires_s: int = 0
    renews: bool = True
    owner: str = LOCAL
    """Whose session it is."""

    @property
    def minted(self) -> bool:
        """It was made from another token, for somebody else."""
        return "-" in self.name

    @property
    def link(self) -> str:
        """By which link its holder was let in, or who passed it on to them; empty for the session's own token."""
        return "-".join(self.name.split("-")[:2]) if self.minted else ""

    @property
    def talks(self) -> bool:
        """It steers: its holder does more than watch, and answer what is proposed."""
        return "talk" in self.scopes

    def require(self, scope: Scope) -> None:
        """Raises `ScopeNeeded`."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "nothing"
            raise ScopeNeeded(f"this needs a session token with the scope {scope}; this one allows: {has}")

    def covers(self, name: str) -> bool:
        """Whether a token of this name is this one, or was minted from it."""
        return name == self.name or name.startswith(f"{self.name}-")


class TokenKey:
    """Issues and checks tokens. `secret`: `KEY_BYTES` random bytes that never leave this machine."""

    def __init__(self, secret: bytes | None = None, revocations: Revocations | None = None) -> None:
        self._secret = secret or secrets.token_bytes(KEY_BYTES)
        self._revocations = revocations or Revocations()

    def issue(self, session_id: str, now_s: float, valid_s: float, scopes: str = "twc", owner: str = LOCAL) -> str:
        """A session's own token, for its owner."""
        allowed = frozenset(SCOPES[letter] for letter in scopes)
        return self._sign(Grant(session_id, allowed, secrets.token_hex(4), int(now_s + valid_s), owner=owner))

    def renew(self, grant: Grant, now_s: float, valid_s: float) -> tuple[str, Grant]:
        """The same for longer, if it is one that renews: the token, and what it allows."""
        renewed = replace(grant, expires_s=int(now_s + valid_s)) if grant.renews else grant
        return self._sign(renewed), renewed

    def mint(self, grant: Grant, scopes: Iterable[Scope], now_s: float, valid_s: float, *, renews: bool = False) -> str:
        """A token that allows no more than `grant`, for no longer. Raises `ScopeNeeded`, `TokenRefused`."""
        grant.require("talk")
        if renews and not grant.renews:
            raise TokenRefused("this session token ends at its time, and so does what is minted from it")
        allowed: frozenset[Scope] = frozenset().union(*(INCLUDED[scope] for scope in scopes))
        for scope in sorted(allowed):
            grant.require(scope)
        if grant.name.count("-") + 1 >= MAX_DEPTH:
            raise TokenRefused("this session token was passed on too often: ask for one from who has the conversation")
        name, expires_s = f"{grant.name}-{secrets.token_hex(4)}", min(grant.expires_s, int(now_s + valid_s))
        return self._sign(Grant(grant.session_id, allowed, name, expires_s, renews, grant.owner))

    def revoke(self, grant: Grant, name: str) -> None:
        """End the token of this name, which is `grant`'s own or was minted from it, and all minted from that one;
        returns when that is durable. Raises `TokenRefused`, `StoreError`."""
        if not grant.covers(name):
            raise TokenRefused("this session token can revoke itself and what was minted from it, and no other")
        self._revocations.add(grant.session_id, name)

    def check(self, token: str, now_s: float) -> Grant:
        """Raises `TokenRefused` for one that is not this server's, too old or revoked, `StoreError`."""
        grant = self._read(token)
        if grant is None:
            raise TokenRefused(FOREIGN)
        if grant.expires_s < now_s:
            way_on = "ask for another one" if grant.minted else "begin a new conversation"
            raise TokenRefused(f"this session token has expired: {way_on}")
        if self._revocations.covers(grant.session_id, grant.name):
            raise TokenRefused("this session token was revoked: ask for another one")
        return grant

    def minted(self, token: str) -> bool:
        """Whether this server made it from another one, for somebody else; it may have ended since."""
        grant = self._read(token)
        return grant is not None and grant.minted

    def ended(self, grant: Grant, now_s: float) -> str:
        """Why a connection with this token, let in before, must end; empty when it need not. Raises `StoreError`."""
        if self._revocations.covers(grant.session_id, grant.name):
            return REVOKED
        return EXPIRED if not grant.renews and grant.expires_s < now_s else ""

    def _read(self, token: str) -> Grant | None:
        form = _FORM.fullmatch(token) if len(token) <= MAX_CHARS else None
        if form is None or not hmac.compare_digest(self._mac(token.rpartition(".")[0]), form[6]):
            return None
        scopes = frozenset(SCOPES[letter] for letter in form[4] if letter in SCOPES)
        return Grant(form[1], scopes, form[3], int(form[5]), RENEWS in form[4], form[2] or LOCAL)

    def _sign(self, grant: Grant) -> str:
        letters = "".join(letter for letter, scope in SCOPES.items() if scope in grant.scopes)
        owner = "" if grant.owner == LOCAL else f"{grant.owner}."
        text = f"v2.{grant.session_id}.{owner}{grant.name}.{letters}{RENEWS * grant.renews}.{grant.expires_s}"
        return f"{text}.{self._mac(text)}"

    def _mac(self, text: str) -> str:
        digest = hmac.new(self._secret, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def key_in(path: Path) -> TokenKey:
    """The key kept in a file that only its owner can read, made when there is none, and beside it (`.revoked`) what
    was revoked. Raises `StoreError`."""
    try:
        if not path.exists():
            _make(path)
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the key of session tokens cannot be kept: {error.strerror or error}") from error
    if len(secret) != KEY_BYTES:
        raise StoreError(f"{path} does not hold {KEY_BYTES} bytes: remove it, and sessions of before are not resumed")
    return TokenKey(secret, Revocations(path.with_suffix(".revoked")))


def _make(path: Path) -> None:
    """Whole or not at all, and whoever comes second keeps the first one's."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as file:  # made with mode 0600
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, path)
