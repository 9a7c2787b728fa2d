"""Tokens by which a client takes its session up again, over another connection or from another device.

    v1.SESSION.SCOPES.EXPIRES.MAC

SCOPES are letters of `SCOPES`, EXPIRES is in seconds since 1970, and MAC is HMAC-SHA256 (RFC 2104) over
all before it, base64url without padding. Only this server's key makes one, so nothing of a session can be
learned or touched without its own token, and none has to be looked up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StoreError, TokenRefused

SCOPES = {"t": "talk", "w": "watch", "c": "confirm"}
KEY_BYTES = 32
MAX_CHARS = 200

_FORM = re.compile(r"v1\.([A-Za-z0-9_-]{1,64})\.([a-z]{1,8})\.(\d{1,12})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: these scopes of this session."""

    session_id: str
    scopes: frozenset[str]


class TokenKey:
    """Issues and checks tokens. `secret`: `KEY_BYTES` random bytes that never leave this machine."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(KEY_BYTES)

    def issue(self, session_id: str, now_s: float, valid_s: float, scopes: str = "twc") -> str:
        text = f"v1.{session_id}.{scopes}.{int(now_s + valid_s)}"
        return f"{text}.{self._mac(text)}"

    def check(self, token: str, now_s: float) -> Grant:
        """Raises `TokenRefused` for one that is not this server's, or too old."""
        form = _FORM.fullmatch(token) if len(token) <= MAX_CHARS else None
        if form is None or not hmac.compare_digest(self._mac(token.rpartition(".")[0]), form[4]):
            raise TokenRefused("this session token is not one of this server: begin a new conversation")
        if int(form[3]) < now_s:
            raise TokenRefused("this session token has expired: begin a new conversation")
        return Grant(form[1], frozenset(SCOPES[letter] for letter in form[2] if letter in SCOPES))

    def _mac(self, text: str) -> str:
        digest = hmac.new(self._secret, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def key_in(path: Path) -> TokenKey:
    """The key kept in a file that only its owner can read, made when there is none. Raises `StoreError`."""
    try:
        if not path.exists():
            _make(path)
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the key of session tokens cannot be kept: {error.strerror or error}") from error
    if len(secret) != KEY_BYTES:
        raise StoreError(f"{path} does not hold {KEY_BYTES} bytes: remove it, and sessions of before are not resumed")
    return TokenKey(secret)


def _make(path: Path) -> None:
    """Whole or not at all, and whoever comes second keeps the first one's."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name) as file:  # made with mode 0600
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, path)
