"""Which devices are here, which of them the agent can be heard on, and which can still be used to stop it."""

from __future__ import annotations

from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceLink


class Presence:
    """The session's devices; true with a loudspeaker among them. Without one nothing is announced."""

    def __init__(self) -> None:
        self._latency_ms: dict[str, int] = {}
        self.feature = ""
        """As the device that joined last says."""
        self._present: set[str] = set()
        self._cut_off: set[str] = set()

    @property
    def out_of_control(self) -> bool:
        """Every device here has lost its commands: nobody could stop or refuse anything by hand."""
        return bool(self._present) and self._present <= self._cut_off

    def link(self, fact: DeviceLink) -> None:
        (self._cut_off.discard if fact.control else self._cut_off.add)(fact.device_id)

    def __bool__(self) -> bool:
        return bool(self._latency_ms)

    @property
    def output_latency_ms(self) -> int:
        """From a sample's leaving the playout to its being audible, on the slowest device."""
        return max(self._latency_ms.values(), default=0)

    def join(self, fact: DeviceJoined) -> bool:
        """A device joined, or joined again with other properties; whether the last loudspeaker went with them."""
        had = self._latency_ms.pop(fact.device_id, None) is not None
        self._present.add(fact.device_id)
        self.feature = fact.feature or self.feature
        if fact.speaker:
            self._latency_ms[fact.device_id] = fact.output_latency_ms
        return had and not self._latency_ms

    def leave(self, fact: DeviceLeft) -> bool:
        """Whether the last loudspeaker went with it."""
        self._present.discard(fact.device_id)
        self._cut_off.discard(fact.device_id)
        return self._latency_ms.pop(fact.device_id, None) is not None and not self._latency_ms

    def clear(self) -> None:
        self._latency_ms.clear()
        self._present.clear()
        self._cut_off.clear()
