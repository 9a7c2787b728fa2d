"""What the timeline says about the agent's answers, for one who waits for them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.conversation.decisions import PlaybackRelease, ReplyDone, TurnEnd, TurnStart
from agent.conversation.events import DeviceJoined, PlaybackStarted, SpeechStarted, SpeechStopped
from agent.timeline.entry import Entry


@dataclass(slots=True)
class _Live:
    released_us: int
    started_us: int | None = None


class AnswerWatch:
    """A fold over a session's entries. Times are microseconds since `device_id` joined."""

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id
        self.closed = False
        """The timeline has ended."""
        self._join(0)

    def _join(self, offset_us: int) -> None:
        """Begin at this session time; whatever was before is over."""
        self.offset_us = offset_us
        """Session time at which the device joined."""
        self.idle_since_us = 0
        self._turn_open = False
        self._user_speaking = False
        self._live: dict[str, _Live] = {}
        self._last_released_us = -1
        self._last_done_us = -1

    @property
    def busy(self) -> bool:
        """The user speaks, their turn is open, or a reply is live."""
        return self._turn_open or self._user_speaking or bool(self._live)

    def answered(self, since_us: int, spoken_us: int) -> bool:
        """Whether a reply to what was said from `since_us` to `spoken_us` is over: one that came
        after it was begun, or that was heard out behind its end (it was no interruption)."""
        return self._last_released_us >= since_us or self._last_done_us >= spoken_us

    def answering_since(self, since_us: int) -> int | None:
        """When the first audio of the live reply left, if that was not before `since_us`."""
        starts = [live.started_us for live in self._live.values() if live.started_us is not None]
        return max((start for start in starts if start >= since_us), default=None)

    def apply(self, entry: Entry) -> None:
        """Take the timeline's next entry."""
        event = entry.event
        if isinstance(event, DeviceJoined) and event.device_id == self._device_id:
            self._join(entry.now_us)
            return
        was_busy, at_us = self.busy, entry.now_us - self.offset_us
        match event:
            case TurnStart() | TurnEnd():
                self._turn_open = isinstance(event, TurnStart)
            case SpeechStarted() | SpeechStopped():
                self._user_speaking = isinstance(event, SpeechStarted)
            case PlaybackRelease():
                self._live.setdefault(event.reply_id, _Live(at_us))
            case PlaybackStarted() if event.reply_id in self._live:
                self._live[event.reply_id].started_us = at_us
            case ReplyDone() if event.reply_id in self._live:
                self._last_released_us = max(self._last_released_us, self._live.pop(event.reply_id).released_us)
                self._last_done_us = at_us
        if was_busy and not self.busy:
            self.idle_since_us = at_us
