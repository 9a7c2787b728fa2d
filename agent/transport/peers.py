"""The devices connected to this process, whatever their transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol

from agent.clock import Clock
from agent.errors import LimitReached
from agent.transport import wire
from agent.transport.device import Device
from agent.transport.frame_clock import Jitter

REPLACED = "this conversation goes on over another connection of the same page"
SHUTDOWN = "the server is shutting down"
CLOSED = "the session closed"
BROKE_OFF = "the conversation broke off"
CALL_AGAIN = frozenset((SHUTDOWN, BROKE_OFF))
"""Reasons to leave after which the device had better come back by itself."""
GOODBYE_S = 5.0
"""How long a peer may take to leave once it was told to."""

log = logging.getLogger(__name__)


def goodbye(reason: str, *, for_good: bool) -> str:
    """The last message down. `again`: the device had better call again, the conversation goes on."""
    if for_good:
        return wire.control_message("session.closed", reason=reason)
    return wire.control_message("connection.closed", reason=reason, again=reason in CALL_AGAIN)


class Peer(Protocol):
    """A connected device. `run` returns once it has left and everything of it is released."""

    session_id: str
    device: Device
    connection_id: str
    """Names this connection; another one of the same device has its own."""

    async def run(self) -> None: ...

    def leave(self, reason: str, *, for_good: bool = False) -> None:
        """Begin to leave; never blocks. Only the first reason counts. `for_good`: the device hung up."""
        ...

    def playout_jitter(self, last_us: int) -> Jitter: ...


class PeerTable:
    """Runs peers and says goodbye to all of them. Use as `async with`."""

    def __init__(self) -> None:
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
        return [peer.playout_jitter(last_us) for peer in self._peers.values()]

    def admit(self) -> None:
        """Raises `LimitReached` when no new peer is taken because the table is closing."""
        if self._closing:
            raise LimitReached(SHUTDOWN)

    def start(self, peer: Peer) -> None:
        """Run a peer until it leaves."""
        self._tasks.create_task(self._run(peer), name=f"peer {peer.session_id}")

    def replace(self, peer: Peer) -> None:
        """A device is here over a new connection: its old one gives way, and does not count any more."""
        for old in self._peers.values():
            same = (old.session_id, old.device.device_id) == (peer.session_id, peer.device.device_id)
            if same and old is not peer:
                old.device.fence()
                old.leave(REPLACED)

    @asynccontextmanager
    async def present(self, peer: Peer) -> AsyncIterator[None]:
        """Keep a peer that another task runs in the table."""
        self._peers[peer.connection_id] = peer
        ended = self._ended[peer.connection_id] = asyncio.Event()
        if self._closing:
            peer.leave(SHUTDOWN)
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

    async def _run(self, peer: Peer) -> None:
        try:
            async with self.present(peer):
                await peer.run()
        except Exception:  # one peer's failure must not end the others, which share the task group
            log.exception("the peer of session %s failed", peer.session_id)
