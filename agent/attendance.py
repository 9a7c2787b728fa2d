"""Which devices are here, and what was set in the conversation, as the facts that said so."""

from __future__ import annotations

from dataclasses import replace

from agent.conversation.events import (
    DeviceJoined,
    DeviceLeft,
    DeviceLink,
    Event,
    Json,
    SessionClosed,
    SessionResumed,
    SettingsChanged,
)

SPEED = "tts.speed"
"""Set in the conversation, unless it was asked for otherwise since: then it is not repeated."""


class Attendance:
    """A fold over facts. `facts` are what tells a conversation that begins anew who is here, and what was set."""

    def __init__(self) -> None:
        self._joined: dict[str, DeviceJoined] = {}
        self._cut_off: dict[str, DeviceLink] = {}
        self._changes: dict[str, Json] = {}

    def apply(self, fact: Event) -> None:
        match fact:
            case DeviceJoined():
                self._joined[fact.device_id] = fact
            case DeviceLeft():
                self._joined.pop(fact.device_id, None)
                self._cut_off.pop(fact.device_id, None)
            case DeviceLink():
                self._cut_off.pop(fact.device_id, None)
                if not (fact.control and fact.media):
                    self._cut_off[fact.device_id] = fact
            case SettingsChanged():
                self._changes |= fact.changes
            case SessionResumed() | SessionClosed():
                self._joined.clear()
                self._cut_off.clear()

    def facts(self, live_id: str, *, speed: bool) -> list[Event]:
        """To be posted again, under ids of their own; the device with the focus comes last, and so has it again.
        `speed`: that which was set here still counts."""
        changes = {key: value for key, value in self._changes.items() if speed or key != SPEED}
        joined = sorted(self._joined.values(), key=lambda fact: fact.device_id == live_id)
        changed = [SettingsChanged(source="driver", changes=changes)] if changes else []
        return [*changed, *(replace(fact, event_id="") for fact in (*joined, *self._cut_off.values()))]
