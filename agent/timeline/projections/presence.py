"""Who is here, and which device is live.

    {"live": "phone-01",
     "devices": [{"device_id": "laptop-1", "name": "Firefox on Linux", "transport": "webrtc",
                  "since": "2026-01-01T12:00:00.000Z", "microphone": true, "speaker": true, "control": true,
                  "media": true}]}

Devices stand in the order in which they joined; `since` is UTC, ISO-8601. One without
microphone and loudspeaker only watches. `control` is false while its commands are lost, `media` while its audio is.
`live` is the one whose microphone and loudspeaker count, empty when there is none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from agent.conversation.decisions import DeviceFocused
from agent.conversation.events import DeviceJoined, DeviceLeft, DeviceLink, Json, SessionClosed, SessionResumed
from agent.timeline.entry import Entry


@dataclass(frozen=True, slots=True)
class _Here:
    device_id: str
    name: str
    transport: str
    since: str
    microphone: bool
    speaker: bool
    control: bool
    media: bool


class Presence:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._here: dict[str, _Here] = {}
        self._live = ""

    def apply(self, entry: Entry) -> None:
        match entry.event:
            case DeviceJoined() as joined:
                self._join(joined, entry.ts)
            case DeviceLeft() as left:
                self._here.pop(left.device_id, None)
            case DeviceLink() as link if link.device_id in self._here:
                here = self._here[link.device_id]
                self._here[link.device_id] = replace(here, control=link.control, media=link.media)
            case DeviceFocused() as focused:
                self._live = focused.device_id
            case SessionClosed() | SessionResumed():
                self._here.clear()
                self._live = ""

    def _join(self, joined: DeviceJoined, ts: str) -> None:
        before = self._here.get(joined.device_id)
        self._here[joined.device_id] = _Here(
            device_id=joined.device_id,
            name=joined.name or (before.name if before else ""),
            transport=joined.transport,
            since=before.since if before else ts,
            microphone=joined.microphone,
            speaker=joined.speaker,
            control=before is None or before.control,
            media=before is None or before.media,
        )

    def state(self) -> dict[str, Json]:
        """The moment's state (the module's docstring has the shape)."""
        return {"live": self._live, "devices": [asdict(here) for here in self._here.values()]}
