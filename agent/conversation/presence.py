"""Which devices are here, which of them has the focus, and which can still be used to stop the agent.

The microphone and the loudspeaker of the device with the focus are live; `focus` decides who has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceLink, Event

PREFIX = "device:"
"""Of the `source` of what a device says."""


@dataclass(slots=True)
class Device:
    """One that is here, as it says itself."""

    device_id: str
    microphone: bool
    speaker: bool
    latency_ms: int
    """From a sample's leaving the playout to its being audible."""
    steers: bool

    @property
    def sound(self) -> int:
        """How much it can do aloud: 0 for one that only watches; a microphone counts more than a loudspeaker."""
        return 2 * self.microphone + self.speaker


class Presence:
    """The session's devices; true while the live one has a loudspeaker. Without one nothing is announced."""

    def __init__(self) -> None:
        self.here: dict[str, Device] = {}
        """By id, who joined first first."""
        self.live_id = ""
        """Who has the focus; empty when no device with sound is here."""
        self.feature = ""
        """As the device that joined last says."""
        self._half_dead: dict[str, DeviceLink] = {}
        """Whose commands are lost while their audio arrives, or the reverse."""

    @property
    def live(self) -> Device | None:
        return self.here.get(self.live_id)

    @property
    def live_source(self) -> str:
        """The `source` of what the live device says."""
        return f"{PREFIX}{self.live_id}"

    def __bool__(self) -> bool:
        return self.live is not None and self.live.speaker

    @property
    def output_latency_ms(self) -> int:
        """From a sample's leaving the playout to its being audible, on the live device."""
        return self.live.latency_ms if self.live is not None and self.live.speaker else 0

    @property
    def out_of_control(self) -> bool:
        """Every device here that may steer has lost its commands: nobody could stop or refuse anything by hand."""
        return self._all_of(key for key, link in self._half_dead.items() if not link.control)

    @property
    def unheard(self) -> bool:
        """The link of every such device is half dead: who asked for something by voice cannot take it back so."""
        return self._all_of(self._half_dead)

    def _all_of(self, device_ids: Iterable[str]) -> bool:
        """Whether these are all that may steer, and at least one."""
        steering = {device.device_id for device in self.here.values() if device.steers}
        return bool(steering) and steering <= set(device_ids)

    def of(self, fact: Event) -> Device | None:
        """The device that says this, if it is here."""
        return self.here.get(fact.source.removeprefix(PREFIX))

    def elsewhere(self, fact: Event) -> bool:
        """Whether this comes from a device that is here, and not live."""
        device = self.of(fact)
        return device is not None and device is not self.live

    def can_hold(self, source: str, *, moved: bool) -> bool:
        """Whether who holds its talk button down is still heard. `moved`: the focus has just moved."""
        return source == self.live_source if moved else source.removeprefix(PREFIX) in self.here

    def join(self, fact: DeviceJoined) -> Device:
        """A device joined, or joined again with other properties."""
        device = Device(fact.device_id, fact.microphone, fact.speaker, fact.output_latency_ms, fact.steers)
        self.here[fact.device_id] = device
        self.feature = fact.feature or self.feature
        return device

    def leave(self, fact: DeviceLeft) -> None:
        self.here.pop(fact.device_id, None)
        self._half_dead.pop(fact.device_id, None)

    def link(self, fact: DeviceLink) -> None:
        self._half_dead[fact.device_id] = fact
        if fact.control and fact.media:
            del self._half_dead[fact.device_id]

    def clear(self) -> None:
        self.here.clear()
        self._half_dead.clear()
        self.live_id = ""
