"""How a device comes in: to a new session, or to one that it was in before.

    Session-Token   from the hello of an earlier connection; without one the session is new
    Session-Seen    EPOCH:SEQ, the last entry it has and the epoch that its hello named; it gets what comes behind
    Device-Id       its own name, 8 to 64 of A-Z a-z 0-9 -, the same over each of its connections
    Device-Sound    what of it the device has: both (as without it), microphone, speaker or none; one with none
                    watches, and one with less of it than the live one does not become live by coming

A WebSocket takes them as ?session_token=…&session_seen=…&device_id=…, since pages cannot set its headers; server-sent
events take them so too, and Last-Event-ID before Session-Seen.
What became of it is in the hello, the first message down, as `resume`:

    new        a new session
    resumed    the same one; what was missed comes first
    snapshot   the same one from its first entry on: what the device has is not what was stored (`reason`)
    failed     a new session: the old one cannot be taken up (`reason`)

One that another process of the agent has is no new one: the device is refused, and told to come again. So is one
with a token that was minted for somebody else, whose conversation is over; and one that may not talk, while nobody who
may is there: to watch a conversation does not wake it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agent.errors import SessionGone, TokenRefused, WireError
from agent.owners import LOCAL, NOBODY
from agent.transport.notices import Hello, Resume
from agent.transport.port import Call, Sessions
from agent.transport.session_token import FOREIGN, Grant, TokenKey
from agent.transport.user_agent import name_of

TOKEN, SEEN, DEVICE_ID, SOUND = "Session-Token", "Session-Seen", "Device-Id", "Device-Sound"
USER_AGENT = "User-Agent"

UNSHOWN = "a new conversation needs an owner's token, and another one its Session-Token, over a WebSocket in the query"

_DEVICE_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_SOUND = {"both": (True, True), "microphone": (True, False), "speaker": (False, True), "none": (False, False)}
_SEEN = re.compile(r"([0-9]{1,9}):([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a device as it comes. `name`: what people call it."""

    name: str = ""
    microphone: bool = True
    speaker: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What a device asks for; as it is by default, a new session. `owner`: who asks, nobody for a guest."""

    grant: Grant | None = None
    epoch: int = 0
    seen: int = 0
    device_id: str = ""
    traits: Traits = Traits()
    owner: str = LOCAL

    @property
    def session_id(self) -> str:
        return self.grant.session_id if self.grant else ""


Renew = Callable[[Grant], tuple[str, Grant] | None]
"""A token that goes on for longer, and what it allows; None while the one of this grant lasts long enough, or ends at
its time."""


Admit = Callable[[], None]
"""Counts what puts a device on the timeline anew. Raises `TooFast`."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What it gets: a call, to be left, and the timeline behind `after`."""

    call: Call
    resume: Resume = "new"
    reason: str = ""
    after: int = 0
    device_id: str = ""
    token: str = ""
    traits: Traits = Traits()
    grant: Grant | None = None
    """What the token allows; without one, everything."""
    renew: Renew = lambda grant: None
    admit: Admit = lambda: None

    def hello(self) -> Hello:
        """What the device is told of it first."""
        grant = self.grant or Grant(self.call.session_id)
        return Hello(
            session_id=self.call.session_id,
            device_id=self.device_id,
            epoch=self.call.epoch,
            token=self.token,
            scopes=sorted(grant.scopes),
            resume=self.resume,
            reason=self.reason,
        )


def wish_of(given: Mapping[str, str], key: TokenKey, now_s: float, owner: str = LOCAL) -> Wish:
    """From headers or a query. Raises `TokenRefused`, also for another owner's session token that was not minted for
    somebody else and for a guest who shows none here, and `WireError`."""
    token, seen, device_id = (
        given.get(name, "") or given.get(name.lower().replace("-", "_"), "") for name in (TOKEN, SEEN, DEVICE_ID)
    )
    traits = _traits_of(given)
    if device_id and not _DEVICE_ID.fullmatch(device_id):
        raise WireError("Device-Id must be 8 to 64 letters, digits and hyphens")
    form = _SEEN.fullmatch(seen or "0:0")
    if form is None:
        raise WireError("Session-Seen must be EPOCH:SEQ, like 0:17")
    if not token and owner == NOBODY:
        raise TokenRefused(UNSHOWN)
    if not token:
        return Wish(device_id=device_id, traits=traits, owner=owner)
    grant = key.check(token, now_s)
    if not grant.minted and grant.owner != owner:
        raise TokenRefused(FOREIGN)
    if device_id and grant.minted:  # a name of its holder's own, under which no other token's device can be put out
        device_id = f"{grant.name.rpartition('-')[2]}-{device_id}"
    return Wish(grant, int(form[1]), int(form[2]), device_id, traits, owner)


def _traits_of(given: Mapping[str, str]) -> Traits:
    sound, user_agent = (
        given.get(name, "") or given.get(name.lower().replace("-", "_"), "") for name in (SOUND, USER_AGENT)
    )
    if sound and sound not in _SOUND:
        raise WireError(f"Device-Sound must be one of {', '.join(_SOUND)}")
    return Traits(name_of(user_agent), *_SOUND[sound or "both"])


Welcome = Callable[[], Awaitable[Arrival]]
"""Opens or joins the session, once it is known that the offer is one."""


async def arrive(sessions: Sessions, wish: Wish) -> Arrival:
    """Raises `LimitReached`, `SessionGone`, `SessionHeld`, `SessionRests`, `StoreError`."""
    if wish.grant is None:
        return Arrival(await sessions.open(owner=wish.owner), device_id=wish.device_id, traits=wish.traits)
    try:
        return await come_back(sessions, wish, wish.grant)
    except SessionGone as gone:
        if wish.grant.minted:
            raise
        call = await sessions.open(owner=wish.owner)
        return Arrival(call, "failed", str(gone), 0, wish.device_id, traits=wish.traits)


async def come_back(sessions: Sessions, wish: Wish, grant: Grant) -> Arrival:
    """To the session of the grant, or not at all. Raises as `arrive`."""
    call = await sessions.join(grant.session_id, grant.owner, wakes=grant.talks)
    if call.continues(wish.epoch, wish.seen):
        return Arrival(call, "resumed", "", wish.seen, wish.device_id, traits=wish.traits, grant=grant)
    reason = "some of what this page shows was lost when the agent stopped"
    return Arrival(call, "snapshot", reason, 0, wish.device_id, traits=wish.traits, grant=grant)
