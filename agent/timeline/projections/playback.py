"""What is being played now.

    {"reply_id": "r1", "state": "playing", "sample": 48000, "heard": "It is", "unheard": "noon."}

`state` is idle, playing or paused; `sample` is the reply sample up to which audio was sent.
"""

from __future__ import annotations

from agent.conversation.decisions import PlaybackPause, PlaybackStop, ReplyDone, TtsSay
from agent.conversation.events import Json, PlaybackStarted, SessionResumed
from agent.conversation.playback import Playback as Machine
from agent.timeline.entry import Entry
from agent.timeline.projections.progress import advance


class Playback:
    """A fold over a session's entries, in order. It remembers live replies only."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._current = ""
        """The reply that has the loudspeaker: it has begun to play, or was paused before it could."""

    def apply(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, SessionResumed):
            self._machines.clear()
            self._current = ""
            return
        reply_id: str = getattr(event, "reply_id", "")
        if isinstance(event, PlaybackStop | ReplyDone):
            self._machines.pop(reply_id, None)
            if self._current == reply_id:
                self._current = ""
            return
        if isinstance(event, TtsSay):
            self._machines.setdefault(reply_id, Machine())
        machine = self._machines.get(reply_id)
        if machine is None:
            return
        advance(machine, event)
        if isinstance(event, PlaybackStarted | PlaybackPause):
            self._current = reply_id

    def state(self) -> dict[str, Json]:
        """The moment's state (the module's docstring has the shape)."""
        machine = self._machines.get(self._current)
        if machine is None or machine.state == "waiting":
            return {"reply_id": "", "state": "idle", "sample": 0, "heard": "", "unheard": ""}
        heard, unheard = machine.heard(machine.sent_samples)
        return {
            "reply_id": self._current,
            "state": machine.state,
            "sample": machine.sent_samples,
            "heard": heard,
            "unheard": unheard,
        }
