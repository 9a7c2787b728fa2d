"""Where devices are received, over whichever transport: who they are, whether there is room, what they get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from agent.conversation.events import SessionResumeFailed
from agent.errors import LimitReached, StoreError, TokenRefused, TooFast
from agent.settings import Settings
from agent.transport.arrival import Arrival, Wish, arrive, come_back, wish_of
from agent.transport.gate import UNKNOWN, Refusal
from agent.transport.peers import PeerTable
from agent.transport.port import Sessions
from agent.transport.session_token import Grant, TokenKey
from agent.transport.token_bucket import TokenBuckets

RENEWED_AT = 0.5
"""A token of which no more than this share of its time is left is renewed while its device is connected."""


class Reception:
    """Lets devices in. `key` signs their tokens."""

    def __init__(self, sessions: Sessions, settings: Settings, peers: PeerTable, key: TokenKey) -> None:
        self.sessions = sessions
        self.settings = settings
        self.peers = peers
        self.key = key
        per_min = settings.limits.arrivals_per_min
        self._arrivals = TokenBuckets(per_min / 60, per_min)

    def now_s(self) -> float:
        return self.peers.clock.wall().timestamp()

    def guest(self, token: str) -> Refusal | None:
        """See `gate.Guest`."""
        if not self.key.minted(token):
            return UNKNOWN
        try:
            self.key.check(token, self.now_s())
        except TokenRefused as error:
            return Refusal(401, error.code, str(error))
        except StoreError:
            return UNKNOWN
        return None

    def ended(self, grant: Grant) -> str:
        """Why who was let in with this must leave, empty if they need not. Raises `StoreError`."""
        return self.key.ended(grant, self.now_s())

    def wish(self, given: Mapping[str, str], owner: str) -> Wish:
        """What a device of this owner asks for, by headers or a query. Raises `TokenRefused`, `WireError`,
        `StoreError`."""
        return wish_of(given, self.key, self.now_s(), owner)

    def member(self, session_id: str, given: Mapping[str, str], owner: str) -> tuple[Wish, Grant]:
        """The same of one who names a session, and the token that opens it. Raises as `wish`.

        Another session's token is refused before anybody looks whether there is such a session.
        """
        wish = self.wish(given, owner)
        if wish.grant is None or wish.grant.session_id != session_id:
            raise TokenRefused("this needs the session token of this conversation, as Session-Token: TOKEN")
        return wish, wish.grant

    async def arrive(self, wish: Wish) -> Arrival:
        """Into a new session, or the one of its token. Raises `LimitReached`, `SessionGone`, `SessionHeld`,
        `SessionRests`, `TooFast`, `StoreError`."""
        self._find_room(wish)
        return self._received(await arrive(self.sessions, wish), wish.owner)

    async def come_back(self, wish: Wish, grant: Grant) -> Arrival:
        """Into the session of its token alone. Raises as `arrive`."""
        self._find_room(wish)
        return self._received(await come_back(self.sessions, wish, grant), grant.owner)

    def _find_room(self, wish: Wish) -> None:
        self.peers.admit()
        grant = wish.grant
        if grant and (full := self.peers.full(grant.session_id, wish.device_id, guest=grant.minted)):
            raise LimitReached(full)
        if grant:
            self._admit(grant)

    def _admit(self, grant: Grant) -> None:
        """See `arrival.Admit`."""
        if not self._arrivals.of(grant.session_id, grant.link).take(self.peers.clock.now_us()):
            often = f"{self.settings.limits.arrivals_per_min} a minute by one link, see limits.arrivals_per_min"
            raise TooFast(f"devices come into this conversation too often, at most {often}; try again in a while")

    def _received(self, arrival: Arrival, owner: str) -> Arrival:
        """With the token that it comes back with."""
        if arrival.reason:
            failed = SessionResumeFailed(source="transport", device_id=arrival.device_id, reason=arrival.reason)
            arrival.call.post(failed)
        now_s, valid_s = self.now_s(), self._valid_s
        if arrival.grant is None:
            token = self.key.issue(arrival.call.session_id, now_s, valid_s, owner=owner)
            grant = self.key.check(token, now_s)
        else:
            token, grant = self.key.renew(arrival.grant, now_s, valid_s)
        return replace(arrival, token=token, grant=grant, renew=self._renew, admit=partial(self._admit, grant))

    @property
    def _valid_s(self) -> int:
        return self.settings.sessions.token_h * 3_600

    def _renew(self, grant: Grant) -> tuple[str, Grant] | None:
        """See `arrival.Renew`."""
        now_s = self.now_s()
        if not grant.renews or grant.expires_s - now_s > RENEWED_AT * self._valid_s:
            return None
        return self.key.renew(grant, now_s, self._valid_s)
