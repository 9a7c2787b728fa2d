"""The timeline as server-sent events, for clients that read and write text; their commands come by POST.

    data: {"type": "hello", "payload": {"session_id", "events", "commands", "call", …}} (see `arrival`)

    id: EPOCH:SEQ
    data: {"session_id", "event_id", "seq", …}, an entry as over a data channel

Lines that begin with a colon are heartbeats. A client that comes back says `Last-Event-ID`, as an EventSource does by
itself, and gets what lies behind it. Nothing is kept for a reader who does not read: it is let go, and comes back.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from agent.errors import AgentError, LimitReached
from agent.settings import Settings
from agent.transport.arrival import Arrival
from agent.transport.device import Device
from agent.transport.frame_clock import KEPT_US, Jitter
from agent.transport.leaving import Leaving
from agent.transport.peers import BROKE_OFF, CLOSED, REPLACED, TOO_SLOW, PeerTable, goodbye
from agent.transport.port import Sessions
from agent.transport.wire import entry_message

HEARTBEAT_S = 10.0
SEND_S = 5.0
"""A reader that takes nothing for so long is let go."""
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # proxies are to hold nothing back
)

log = logging.getLogger(__name__)


def paths_of(session_id: str) -> dict[str, str]:
    """Where a session is followed and steered."""
    return {name: f"/sessions/{session_id}/{name}" for name in ("events", "commands")}


class EventsPeer:
    """A reader of one session's timeline: a device without microphone and loudspeaker."""

    def __init__(self, arrival: Arrival, sessions: Sessions, settings: Settings, peers: PeerTable) -> None:
        call, clock = arrival.call, peers.clock
        self.session_id = call.session_id
        self.device = Device.of(arrival, "sse", settings.limits, clock)
        self.connection_id = secrets.token_hex(12)
        self._arrival = arrival
        self._call = call
        self._sessions = sessions
        self._peers = peers
        self._sending = asyncio.Lock()
        self._leaving = Leaving()

    def leave(self, reason: str, *, for_good: bool = False) -> None:
        """Begin to leave; only the first reason counts."""
        self._leaving.begin(reason, for_good=for_good and self.device.talks)

    def give_way(self) -> None:
        self.device.fence()
        self.leave(REPLACED)

    def playout_jitter(self, last_us: int = KEPT_US) -> Jitter | None:
        return None

    async def run(self, receive: Receive, send: Send) -> None:
        """From the response's start to the end of the stream. Releases the session."""
        self._send = send
        try:
            await self._put({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._write(_event(self._hello()))
            if not self._leaving.event.is_set():
                self._peers.replace(self)
                self.device.join(0, microphone=False, speaker=False)
            async with asyncio.TaskGroup() as tasks:
                work = (self._send_timeline(), self._beat(), self._watch(receive))
                children = [tasks.create_task(part) for part in work]
                await self._leaving.event.wait()
                for child in children:
                    child.cancel()
            if self._leaving.reason != TOO_SLOW:
                await self._write(_event(goodbye(self._leaving.reason, for_good=self._leaving.for_good)), more=False)
        finally:
            self.leave("its connection failed on this side")
            self.device.leave(self._leaving.reason)
            await self._sessions.leave(self._call, self._leaving.reason, for_good=self._leaving.for_good)

    def _hello(self) -> str:
        paths = paths_of(self.session_id) | {"call": f"/calls/{self.connection_id}"}
        return self._arrival.hello().model_copy(update=paths).text()

    async def _send_timeline(self) -> None:
        epoch = self._call.epoch
        try:
            async with aclosing(self._call.entries(self._arrival.after)) as source:  # type: ignore[type-var]
                async for entry in source:
                    await self._write(_event(entry_message(entry), f"{epoch}:{entry.seq}"))
            self.leave(CLOSED if self._call.over else BROKE_OFF)
        except LimitReached:
            self.leave(TOO_SLOW)
        except AgentError as error:
            self.leave(f"the timeline could not be sent: {error}")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            renewal = self.device.renewal()
            await self._write(_event(renewal) if renewal else ":\n\n")

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.leave("the connection was closed by the device")

    async def _write(self, text: str, *, more: bool = True) -> None:
        await self._put({"type": "http.response.body", "body": text.encode(), "more_body": more})

    async def _put(self, message: Message) -> None:
        """Returns once the connection has room for more; one that gets none for `SEND_S` is given up."""
        try:
            async with asyncio.timeout(SEND_S), self._sending:
                await self._send(message)
        except TimeoutError:
            self.leave(TOO_SLOW)


def _event(text: str, event_id: str = "") -> str:
    return f"id: {event_id}\ndata: {text}\n\n" if event_id else f"data: {text}\n\n"


class EventStream(Response):
    """The response that a peer writes, for as long as it stays."""

    def __init__(self, peer: EventsPeer, peers: PeerTable) -> None:
        super().__init__()
        self._peer = peer
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._peers.present(self._peer):
            await self._peer.run(receive, send)
