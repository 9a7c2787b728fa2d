"""One connected device as its session sees it: facts up, refusals down, signs of life."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from agent.clock import Clock
from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceLink
from agent.errors import AgentError, WireError
from agent.settings import Limits
from agent.transport import wire
from agent.transport.arrival import Traits
from agent.transport.port import Call

MAX_BAD_IN_A_ROW = 20
"""Refused messages after which a device is given up."""
REMEMBERED_IDS = 1_000


class Device:
    """Posts `device.joined` and `device.left` once each, and its commands between them.

    `locate` tells which reply sample lies at the RTP timestamp that a device says it plays.
    """

    def __init__(
        self,
        call: Call,
        transport: str,
        limits: Limits,
        clock: Clock,
        locate: wire.Locate = lambda rtp: None,
        device_id: str = "",
        traits: Traits | None = None,
    ) -> None:
        self._traits = traits or Traits()
        self._locate = locate
        self.device_id = device_id or secrets.token_hex(6)
        self.call = call
        self.transport = transport
        self._limits = limits
        self._clock = clock
        self._bucket = wire.TokenBucket(limits.messages_per_s)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._bad = 0
        self._joined = False
        self._fenced = False
        self.linked = True
        """Its commands get through."""
        self.beats = False
        """It sends heartbeats, so that silence means something."""
        self.heard_us = clock.now_us()
        """When a valid message came last."""

    @property
    def given_up(self) -> bool:
        """Whether the device has sent too much that could not be understood."""
        return self._bad >= MAX_BAD_IN_A_ROW

    def join(self, output_latency_ms: int, *, microphone: bool = True) -> None:
        self._joined = True
        self.call.post(
            DeviceJoined(
                source=f"device:{self.device_id}",
                device_id=self.device_id,
                transport=self.transport,
                microphone=microphone and self._traits.microphone,
                speaker=self._traits.speaker,
                name=self._traits.name,
                output_latency_ms=output_latency_ms,
            )
        )

    def leave(self, reason: str) -> None:
        if self._joined:
            self._joined = False
            self.call.post(DeviceLeft(source=f"device:{self.device_id}", device_id=self.device_id, reason=reason))

    def fence(self) -> None:
        """The same device is here over another connection: what still comes over this one does not count."""
        self._joined = False
        self._fenced = True

    def link(self, *, control: bool) -> None:
        """Its commands are cut off although its media go on, or they are back. Said once each."""
        if self._joined and control != self.linked:
            self.linked = control
            source = f"device:{self.device_id}"
            self.call.post(DeviceLink(source=source, device_id=self.device_id, control=control))

    def receive(self, message: str | bytes) -> str | None:
        """Take a message; the answer to send back when it is refused, else None."""
        event_id = ""
        if self._fenced:
            return None
        try:
            if not self._bucket.take(self._clock.now_us()):
                raise WireError(f"too many messages: at most {self._limits.messages_per_s} a second are taken")
            command = wire.parse_command(message, self._limits)
            event_id = command.event_id
            event = wire.to_event(command, self.device_id, self.transport, self._limits, self._locate)
            self.beats = self.beats or event is None
            if event is not None and event_id not in self._seen:
                self.call.post(event)
                self._remember(event_id)
        except AgentError as error:
            return self.refuse(error, event_id)
        self.accept()
        return None

    def accept(self) -> None:
        """Something that could be understood came."""
        self._bad = 0
        self.heard_us = self._clock.now_us()

    def refuse(self, error: AgentError, event_id: str = "") -> str:
        """Something that could not be understood came; the answer to it."""
        self._bad += 1
        return wire.error_message(error.code, str(error), event_id)

    def _remember(self, event_id: str) -> None:
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)
