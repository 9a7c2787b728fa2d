"""What was said, by whom, and how much of it was heard.

    [{"turn_id": "t1", "user": "what time is it", "stable": 15, "final": true, "understood": true,
      "agent": [{"reply_id": "r1", "text": "It is noon.", "heard": "It is", "unheard": "noon.",
                 "outcome": "interrupted", "spans": [{"phase": "claim", "start": 0, "end": 11}]}]}]

The words of the open turn are those of the last hypothesis, of which the first `stable` characters
stay as they are; `turn.end` fixes them all. A turn without words disappears, and so does a reply that
was discarded; a speculative one is not shown before it is committed. What the agent says unasked is a
turn of its own with an empty `turn_id`. `outcome` is empty while the reply lives. A turn that goes on
with one that was ended too early takes that one's place once it ends, along with those of its replies
of which something was heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.conversation.decisions import (
    AsrReset,
    Decision,
    ModelStart,
    PlaybackRelease,
    PlaybackStop,
    ReplyCommitted,
    ReplyDone,
    TtsSay,
    TurnEnd,
    TurnStart,
)
from agent.conversation.events import AsrFinal, AsrPartial, Json
from agent.conversation.playback import Playback
from agent.timeline.entry import Entry
from agent.timeline.projections.progress import advance


@dataclass(slots=True)
class _Reply:
    reply_id: str
    shown: bool
    playback: Playback = field(default_factory=Playback)
    stop: PlaybackStop | None = None
    outcome: str = ""

    def to_json(self) -> dict[str, Json]:
        heard, unheard = self._heard()
        return {
            "reply_id": self.reply_id,
            "text": self.playback.said_text,
            "heard": heard,
            "unheard": unheard,
            "outcome": self.outcome,
            "spans": self._spans(),
        }

    def _heard(self) -> tuple[str, str]:
        if self.stop is not None:
            return self.stop.heard_text, self.stop.unheard_text
        if self.outcome == "completed":
            return self.playback.said_text, ""
        return self.playback.heard(self.playback.sent_samples)

    @property
    def came_to_nothing(self) -> bool:
        """It is over, and nothing of it was heard."""
        return self.outcome != "" and not self._heard()[0]

    def _spans(self) -> list[Json]:
        """Where in `text` each chunk lies: the chunks are joined by one space."""
        spans: list[Json] = []
        start = 0
        for said in self.playback.said:
            if not said.failed:
                end = start + len(said.text)
                spans.append({"phase": said.phase, "start": start, "end": end})
                start = end + 1
        return spans


@dataclass(slots=True)
class _Turn:
    turn_id: str
    user: str = ""
    stable: int = 0
    final: bool = False
    understood: bool = True
    replies: dict[str, _Reply] = field(default_factory=dict)

    @property
    def shown_replies(self) -> list[_Reply]:
        return [reply for reply in self.replies.values() if reply.shown]

    @property
    def shown(self) -> bool:
        return bool(self.user or self.shown_replies)

    def to_json(self) -> dict[str, Json]:
        return {
            "turn_id": self.turn_id,
            "user": self.user,
            "stable": self.stable,
            "final": self.final,
            "understood": self.understood,
            "agent": [reply.to_json() for reply in self.shown_replies],
        }


class Transcript:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        """By turn id, or by reply id for what the agent says unasked; oldest first."""
        self._turn_of: dict[str, _Turn] = {}
        """By reply id, while the reply lives."""
        self._open: _Turn | None = None
        self._overheard = _Turn("")
        """Words heard while no turn is open: the next turn begins with them, or they are forgotten."""

    def apply(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case AsrPartial():
                self._hear(event.text, event.stable)
            case AsrFinal():
                self._hear(event.text)
            case AsrReset():
                self._overheard = _Turn("")
            case TurnStart():
                self._start(event.turn_id)
            case TurnEnd():
                self._end(event)
                self._join(event.joins, event.turn_id)
            case _:
                self._on_reply(entry)

    def turns(self) -> list[dict[str, Json]]:
        """The transcript as it stands, oldest turn first (the module's docstring has the shape)."""
        return [turn.to_json() for turn in self._turns.values() if turn.shown]

    def _hear(self, text: str, stable: int | None = None) -> None:
        """A final begins with what was stable before, whose length then counts on."""
        heard = self._open or self._overheard
        heard.user, heard.stable = text, heard.stable if stable is None else stable

    def _start(self, turn_id: str) -> None:
        self._open = self._turn(turn_id)
        self._open.user, self._open.stable = self._overheard.user, self._overheard.stable
        self._overheard = _Turn("")

    def _end(self, event: TurnEnd) -> None:
        turn = self._turn(event.turn_id)
        turn.user, turn.stable = event.text, len(event.text)
        turn.final, turn.understood = True, event.understood
        self._open = None
        self._drop_if_empty(event.turn_id)

    def _join(self, before: str, turn_id: str) -> None:
        """The turn `before`, if there is one, was the first part of this one."""
        first = self._turns.pop(before, None)
        if first is not None:
            turn = self._turn(turn_id)
            heard = {reply_id: reply for reply_id, reply in first.replies.items() if not reply.came_to_nothing}
            turn.replies = heard | turn.replies
            self._turn_of.update((reply_id, turn) for reply_id, reply in heard.items() if not reply.outcome)

    def _turn(self, key: str) -> _Turn:
        if key not in self._turns:
            self._turns[key] = _Turn(key)
        return self._turns[key]

    def _drop_if_empty(self, key: str) -> None:
        turn = self._turns[key]
        if turn.final and not turn.user and not turn.replies:
            del self._turns[key]

    # ── replies ──────────────────────────────────────────────────────────────────────────

    def _on_reply(self, entry: Entry) -> None:
        event = entry.event
        reply_id = getattr(event, "reply_id", "")
        if isinstance(event, ModelStart | TtsSay | PlaybackRelease):
            self._begin(event)
        turn = self._turn_of.get(reply_id)
        if turn is None:
            return
        reply = turn.replies[reply_id]
        match event:
            case ReplyCommitted() | PlaybackRelease():
                reply.shown = True
            case PlaybackStop():
                reply.stop = event
            case ReplyDone():
                self._finish(turn, reply, event.outcome)
            case _:
                advance(reply.playback, event)

    def _begin(self, event: Decision) -> None:
        """The first decision about a reply makes it; a speculative one waits to be shown."""
        reply_id = event.reply_id
        if reply_id in self._turn_of:
            return
        speculative = isinstance(event, ModelStart) and event.speculative
        if event.turn_id:
            turn = self._turn(event.turn_id)
        else:
            turn = self._turns[reply_id] = _Turn("", final=True)
        turn.replies[reply_id] = _Reply(reply_id, shown=not speculative)
        self._turn_of[reply_id] = turn

    def _finish(self, turn: _Turn, reply: _Reply, outcome: str) -> None:
        del self._turn_of[reply.reply_id]
        reply.outcome = outcome
        if outcome == "discarded":
            del turn.replies[reply.reply_id]
            self._drop_if_empty(turn.turn_id or reply.reply_id)


def transcript(entries: Iterable[Entry]) -> list[dict[str, Json]]:
    """The transcript of a whole timeline."""
    fold = Transcript()
    for entry in entries:
        fold.apply(entry)
    return fold.turns()
