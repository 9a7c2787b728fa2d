"""The devices connected to this process, whatever their transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol

from agent.clock import Clock
from agent.errors import LimitReached, StoreError
from agent.transport.device import Device
from agent.transport.frame_clock import Jitter
from agent.transport.notices import ConnectionOver, SessionOver
from agent.transport.session_token import Grant

REPLACED = "this conversation goes on over another connection of the same page"
SHUTDOWN = "the server is shutting down"
CLOSED = "the session closed"
BROKE_OFF = "the conversation broke off"
TOO_SLOW = "the device reads too slowly; it gets what it missed when it comes back"
CALL_AGAIN = frozenset((SHUTDOWN, BROKE_OFF, TOO_SLOW))
"""Reasons to leave after which the device had better come back by itself."""
GOODBYE_S = 5.0
"""How long a peer may take to leave once it was told to."""
TOKENS_S = 1.0
"""How often tokens of connected devices are looked at: another process may have revoked one."""

log = logging.getLogger(__name__)


def goodbye(reason: str, *, for_good: bool) -> str:
    """The last message down. `again`: the device had better call again, the conversation goes on."""
    if for_good:
        return SessionOver(reason=reason).text()
    return ConnectionOver(reason=reason, again=reason in CALL_AGAIN).text()


class Peer(Protocol):
    """A connected device."""

    session_id: str
    device: Device
    connection_id: str
    """Names this connection; another one of the same device has its own."""

    def leave(self, reason: str, *, for_good: bool = False) -> None:
        """Begin to leave; never blocks. Only the first reason counts. `for_good`: the device hung up."""
        ...

    def give_way(self) -> None:
        """Begin to leave: the device is here over another connection, and this one does not count any more."""
        ...

    def playout_jitter(self, last_us: int) -> Jitter | None:
        """None for a device without playout."""
        ...


class RunningPeer(Peer, Protocol):
    """One that needs no request to live in."""

    async def run(self) -> None:
        """Returns once it has left and everything of it is released."""
        ...


class PeerTable:
    """Runs peers and says goodbye to all of them. Use as `async with`. `max_devices`: in one session at once."""

    def __init__(self, max_devices: int) -> None:
        self._max_devices = max_devices
        self._peers: dict[str, Peer] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._tasks = asyncio.TaskGroup()
        self._closing = False
        self.clock: Clock
        self.reading = asyncio.Lock()
        """Held while an offer is read, which takes milliseconds: many offers at once are then
        read with a turn of the event loop between them, and other calls' audio stays on time."""

    async def __aenter__(self) -> PeerTable:
        await self._tasks.__aenter__()
        self.clock = Clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(SHUTDOWN)
        await self._tasks.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._peers)

    def jitters(self, last_us: int) -> list[Jitter]:
        """How punctual the playout of each connected device was in the last so many microseconds."""
        found = (peer.playout_jitter(last_us) for peer in self._peers.values())
        return [jitter for jitter in found if jitter is not None]

    def full(self, session_id: str, device_id: str, *, guest: bool) -> str:
        """Why a session has no room for this device; empty where it has. Guests, whom links let in, have half of the
        room, so that they keep nobody out whose conversation it is."""
        here = [peer.device for peer in self._peers.values() if peer.session_id == session_id]
        others = [device for device in here if device.device_id != device_id]
        for_guests = max(self._max_devices // 2, 1)
        if guest and sum(device.grant.minted for device in others) >= for_guests:
            said, limit = " by links, which have half of the room", for_guests
        elif len(others) >= self._max_devices:
            said, limit = ", which is the limit", self._max_devices
        else:
            return ""
        return f"{limit} devices are connected to this conversation{said}; close one of them, or raise limits.devices"

    def device(self, session_id: str, device_id: str) -> Device | None:
        """A device that is connected to a session, by the connection that counts."""
        for peer in reversed(self._peers.values()):
            if (peer.session_id, peer.device.device_id) == (session_id, device_id) and peer.device.joined:
                return peer.device
        return None

    def peer(self, connection_id: str) -> Peer | None:
        return self._peers.get(connection_id)

    async def ended(self, connection_id: str) -> None:
        """Wait until a connection is over."""
        if connection_id in self._ended:
            await self._ended[connection_id].wait()

    def expel(self, ended: Callable[[Grant], str]) -> None:
        """Make those leave whose token has ended, for the reason that this gives; empty: it has not."""
        for peer in self._peers.values():
            if reason := ended(peer.device.grant):
                peer.leave(reason)

    async def watch_tokens(self, ended: Callable[[Grant], str]) -> None:
        """`expel`, over and over, until cancelled."""
        while True:
            await asyncio.sleep(TOKENS_S)
            try:
                self.expel(ended)
            except StoreError as error:  # who is here already stays until it can be told again
                log.error("%s", error)

    def admit(self) -> None:
        """Raises `LimitReached` when no new peer is taken because the table is closing."""
        if self._closing:
            raise LimitReached(SHUTDOWN)

    def start(self, peer: RunningPeer) -> None:
        """Run a peer until it leaves."""
        self._tasks.create_task(self._run(peer), name=f"peer {peer.session_id}")

    def replace(self, peer: Peer) -> None:
        """A device is here over a new connection: its old one gives way, and does not count any more."""
        for old in self._peers.values():
            same = (old.session_id, old.device.device_id) == (peer.session_id, peer.device.device_id)
            if same and old.device is not peer.device:
                old.give_way()

    @asynccontextmanager
    async def present(self, peer: Peer) -> AsyncIterator[None]:
        """Keep a peer that another task runs in the table. One that others were quicker than is told to leave."""
        full = self.full(peer.session_id, peer.device.device_id, guest=peer.device.grant.minted)
        self._peers[peer.connection_id] = peer
        ended = self._ended[peer.connection_id] = asyncio.Event()
        if self._closing or full:
            peer.leave(SHUTDOWN if self._closing else full)
        try:
            yield
        finally:
            del self._peers[peer.connection_id], self._ended[peer.connection_id]
            ended.set()

    async def hang_up(self, connection_id: str, reason: str, *, for_good: bool = False) -> bool:
        """Make a peer leave and wait until it has; False when there is no such connection."""
        peer = self._peers.get(connection_id)
        if peer is None:
            return False
        ended = self._ended[connection_id]
        peer.leave(reason, for_good=for_good)
        try:
            async with asyncio.timeout(GOODBYE_S):
                await ended.wait()
        except TimeoutError:
            log.warning("a peer of session %s did not leave within %s s", peer.session_id, GOODBYE_S)
        return True

    async def close(self, reason: str) -> None:
        """Say goodbye to every peer, take no new ones, and wait for all to leave; idempotent."""
        self._closing = True
        await asyncio.gather(*(self.hang_up(connection_id, reason) for connection_id in list(self._peers)))

    async def _run(self, peer: RunningPeer) -> None:
        try:
            async with self.present(peer):
                await peer.run()
        except Exception:  # one peer's failure must not end the others, which share the task group
            log.exception("the peer of session %s failed", peer.session_id)
