"""One connected device as its session sees it: facts up, refusals down, signs of life."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import replace

from agent.clock import Clock
from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceLink, Played
from agent.errors import AgentError
from agent.settings import Limits
from agent.transport import wire
from agent.transport.arrival import Admit, Arrival, Renew, Traits
from agent.transport.notices import Refused, Renewed
from agent.transport.port import Call
from agent.transport.session_token import Grant
from agent.transport.token_bucket import TokenBucket

MAX_BAD_IN_A_ROW = 20
"""Refused messages after which a device is given up."""
REMEMBERED_IDS = 1_000


class Device:
    """Posts `device.joined` and `device.left` once each, and its commands between them.

    `locate` tells which reply sample lies at the RTP timestamp that a device says it plays. `grant`: what its token
    allows; without one, everything. `renew`, `admit`: see `arrival`.
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
        grant: Grant | None = None,
        renew: Renew = lambda grant: None,
        admit: Admit = lambda: None,
    ) -> None:
        self._traits = traits or Traits()
        self._locate = locate
        self.grant = grant or Grant(call.session_id)
        self._renew = renew
        self._admit = admit
        self.device_id = device_id or secrets.token_hex(6)
        self.call = call
        self.transport = transport
        self._limits = limits
        self._clock = clock
        self._bucket = TokenBucket(limits.messages_per_s)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._bad = 0
        self._joined = False
        self._fenced = False
        self.linked = True
        """Its commands get through."""
        self.microphone = True
        """It says that it has one."""
        self._audible = True
        self.beats = False
        """It sends heartbeats, so that silence means something."""
        self.heard_us = clock.now_us()
        """When a valid message came last."""

    @classmethod
    def of(
        cls, arrival: Arrival, transport: str, limits: Limits, clock: Clock, locate: wire.Locate = lambda rtp: None
    ) -> Device:
        """The device that has arrived so."""
        about = (arrival.device_id, arrival.traits, arrival.grant, arrival.renew, arrival.admit)
        return cls(arrival.call, transport, limits, clock, locate, *about)

    @property
    def given_up(self) -> bool:
        """Whether the device has sent too much that could not be understood."""
        return self._bad >= MAX_BAD_IN_A_ROW

    @property
    def talks(self) -> bool:
        """Whether it may have a microphone, and so a loudspeaker: otherwise it watches."""
        return self.grant.talks

    @property
    def joined(self) -> bool:
        return self._joined

    def join(self, output_latency_ms: int, *, microphone: bool = True, speaker: bool = True) -> None:
        self._joined = True
        self.microphone = microphone and self._traits.microphone and self.talks
        self.call.post(
            DeviceJoined(
                source=f"device:{self.device_id}",
                device_id=self.device_id,
                transport=self.transport,
                microphone=self.microphone,
                speaker=speaker and self._traits.speaker and self.talks,
                steers=self.talks,
                name=self._traits.name,
                output_latency_ms=output_latency_ms,
            )
        )

    def renewal(self) -> str | None:
        """What it is to be told when its token has been renewed, which is once half of its time is over; else None."""
        renewed = self._renew(self.grant)
        if renewed is None:
            return None
        token, self.grant = renewed
        return Renewed(token=token).text()

    def leave(self, reason: str, played: Played | None = None) -> None:
        if self._joined:
            self._joined = False
            source = f"device:{self.device_id}"
            self.call.post(DeviceLeft(source=source, device_id=self.device_id, reason=reason, played=played))

    def fence(self) -> None:
        """The same device is here over another connection: what still comes over this one does not count."""
        self._joined = False
        self._fenced = True

    def link(self, *, control: bool, media: bool = True) -> None:
        """Its commands are cut off, or its audio is, or they are back. Said once each."""
        if self._joined and (control, media) != (self.linked, self._audible):
            self.linked, self._audible = control, media
            source = f"device:{self.device_id}"
            self.call.post(DeviceLink(source=source, device_id=self.device_id, control=control, media=media))

    def receive(self, message: str | bytes) -> str | None:
        """Take a message; the answer to send back when it is refused, else None."""
        if self._fenced:
            return None
        event_id = ""
        try:
            command = self.read(message)
            event_id = command.event_id
            self.take(command)
        except AgentError as error:
            return self.refuse(error, event_id)
        return None

    def read(self, message: str | bytes) -> wire.Command:
        """The command in a message. Raises `WireError`."""
        return wire.read_command(message, self._bucket, self._clock.now_us(), self._limits)

    def take(self, command: wire.Command) -> None:
        """Hand what a command states to the session, once. Raises `WireError`, also `TooFast`, `ScopeNeeded`,
        `LimitReached`."""
        self.grant.require(wire.scope_of(command.type))
        event = wire.to_event(command, self.device_id, self.transport, self._limits, self._locate)
        if isinstance(event, DeviceJoined) and not self.talks:
            event = replace(event, microphone=False, speaker=False, steers=False, time_zone="", locale="", feature="")
        self.beats = self.beats or event is None
        if event is not None and command.event_id not in self._seen:
            if isinstance(event, DeviceJoined):
                self._admit()
                self.microphone = event.microphone
            self.call.post(event)
            self._remember(command.event_id)
        self.accept()

    def accept(self) -> None:
        """Something that could be understood came."""
        self._bad = 0
        self.heard_us = self._clock.now_us()

    def refuse(self, error: AgentError, event_id: str = "") -> str:
        """Something that could not be understood came; the answer to it."""
        self._bad += 1
        return Refused(code=error.code, message=str(error), event_id=event_id).text()

    def _remember(self, event_id: str) -> None:
        self._seen[event_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)
