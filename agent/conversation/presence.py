"""Which devices the agent can be heard on."""

from __future__ import annotations

from agent.conversation.events import DeviceJoined, DeviceLeft


class Presence:
    """The session's loudspeakers. Without one nothing is announced: nobody would hear it."""

    def __init__(self) -> None:
        self._latency_ms: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._latency_ms)

    @property
    def output_latency_ms(self) -> int:
        """From a sample's leaving the playout to its being audible, on the slowest device."""
        return max(self._latency_ms.values(), default=0)

    def join(self, fact: DeviceJoined) -> None:
        """A device joined, or joined again with other properties."""
        self._latency_ms.pop(fact.device_id, None)
        if fact.speaker:
            self._latency_ms[fact.device_id] = fact.output_latency_ms

    def leave(self, fact: DeviceLeft) -> bool:
        """Whether the last loudspeaker went with it."""
        return self._latency_ms.pop(fact.device_id, None) is not None and not self._latency_ms

    def clear(self) -> None:
        self._latency_ms.clear()
