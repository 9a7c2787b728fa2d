"""A WebSocket that steers a WebRTC call without a data channel: the commands and the timeline of the same device.

The call carries the audio; whoever hangs up here hangs up there, and with the call this ends too.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence

from starlette.websockets import WebSocket

from agent.errors import WireError
from agent.settings import Settings
from agent.timeline.entry import Entry
from agent.transport.arrival import Arrival
from agent.transport.notices import Hello
from agent.transport.peers import Peer, PeerTable
from agent.transport.port import Sessions
from agent.transport.session_token import Grant
from agent.transport.websocket import WebSocketPeer


def steered(peers: PeerTable, connection_id: str, grant: Grant | None) -> Peer:
    """The call of this token to be steered. Raises `WireError` where it has no such call."""
    call = peers.peer(connection_id)
    if call is None or grant is None or (call.session_id, call.device.grant.name) != (grant.session_id, grant.name):
        raise WireError("there is no such call of this session token to control; it may have ended already")
    return call


class ControlPeer(WebSocketPeer):
    """The socket (accepted already). It is no device of its own: it speaks for that of `call`."""

    def __init__(
        self,
        websocket: WebSocket,
        arrival: Arrival,
        sessions: Sessions,
        settings: Settings,
        peers: PeerTable,
        call: Peer,
    ) -> None:
        super().__init__(websocket, arrival, sessions, settings, peers)
        self.device = call.device
        self._steered = call

    def playout_jitter(self, last_us: int = 0) -> None:
        return None

    def hello(self) -> Hello:
        return self._arrival.hello()

    def enter(self) -> None:
        """The device is here already."""

    def exit(self, reason: str, *, for_good: bool) -> None:
        if for_good:
            self._steered.leave(reason, for_good=True)

    def work(self) -> Sequence[Coroutine[None, None, None]]:
        return (*self.texts(), self._follow())

    def hear(self, audio: bytes) -> str | None:
        return self.device.refuse(WireError("audio goes over the call, and not over the socket that steers it"))

    def rtp_of(self, entry: Entry) -> None:
        """The audio comes over the call."""

    async def _follow(self) -> None:
        await self._peers.ended(self._steered.connection_id)
        self.leave("its call ended")
