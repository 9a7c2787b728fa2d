"""The record of each turn: from what the user said to what the tools did.

    {"turn_id": "t1",
     "user": {"said": "what time is it", "last_partial": "what time", "typed": false, "revised": false,
              "final": true, "understood": true, "evidence": {…},
              "cut_off": [{"turn_id": …, "said": …, "evidence": {…}}]},
     "replies": [{"reply_id": "r1", "outcome": "interrupted", "written": "It is noon. Anything",
                  "asked": "It is noon.", "spoken": "It is", "unspoken": "noon.", "heard_ms": 420,
                  "method": "sent", "understood_as": [{"tool": "time", "arguments": {}}]}],
     "tools": [{"call_id": "c1", …}],                           see `turn_tools`
     "mismatches": [{"reply_id": "r1", "kind": "heard_not_said", "expected": …, "found": …}]}

`written` is what the model wrote, `asked` what speech was asked to say, `spoken` what was heard of
it, to the word. `revised`: the final words do not begin like the last hypothesis. `cut_off`: where the
turn was ended too early, with what had been said of it by then. Replies that
were discarded are here too: the record tells what was begun. What the agent says unasked is a turn
with an empty `turn_id`. Sounds that were no turn (no words, no reply) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.conversation.decisions import (
    AsrReset,
    Decision,
    ModelStart,
    PlaybackRelease,
    ReplyDone,
    TtsSay,
    TurnEnd,
    TurnStart,
)
from agent.conversation.events import AsrFinal, AsrPartial, Event, Json, ModelToken
from agent.timeline.entry import Entry
from agent.timeline.projections.spoken import Mismatch, Spoken
from agent.timeline.projections.turn_tools import ToolRecord, TurnTools


@dataclass(slots=True)
class _Reply:
    reply_id: str
    outcome: str = ""
    written: str = ""
    spoken: Spoken = field(default_factory=Spoken)
    calls: list[ToolRecord] = field(default_factory=list)

    def to_json(self) -> dict[str, Json]:
        stop = self.spoken.stop
        return {
            "reply_id": self.reply_id,
            "outcome": self.outcome,
            "written": self.written,
            "asked": self.spoken.asked_text,
            "spoken": stop.heard_text if stop else "",
            "unspoken": stop.unheard_text if stop else "",
            "heard_ms": stop.heard_ms if stop else 0,
            "method": stop.method if stop else "",
            "understood_as": [{"tool": tool.call.name, "arguments": tool.call.arguments} for tool in self.calls],
        }


@dataclass(slots=True)
class _Turn:
    turn_id: str
    last_partial: str = ""
    end: TurnEnd | None = None
    cut_off: list[TurnEnd] = field(default_factory=list)
    replies: dict[str, _Reply] = field(default_factory=dict)

    def goes_on_with(self, first: _Turn) -> None:
        """`first` was ended too early; its words and replies belong to this turn, before its own."""
        if first.end is not None:
            self.cut_off = [*first.cut_off, first.end]
            self.last_partial = " ".join(filter(None, (first.end.text, self.last_partial)))
        self.replies = first.replies | self.replies

    def to_json(self) -> dict[str, Json]:
        replies = self.replies.values()
        return {
            "turn_id": self.turn_id,
            "user": self._user(),
            "replies": [reply.to_json() for reply in replies],
            "tools": [tool.to_json() for reply in replies for tool in reply.calls],
            "mismatches": [_flag(reply.reply_id, found) for reply in replies for found in reply.spoken.mismatches()],
        }

    def _user(self) -> dict[str, Json]:
        end = self.end
        said = end.text if end else self.last_partial
        return {
            "said": said,
            "last_partial": self.last_partial,
            "typed": end is not None and end.evidence.get("control") == "typed",
            "revised": not _begins(said, self.last_partial),
            "final": end is not None,
            "understood": end is None or end.understood,
            "evidence": end.evidence if end else {},
            "cut_off": [{"turn_id": cut.turn_id, "said": cut.text, "evidence": cut.evidence} for cut in self.cut_off],
        }

    @property
    def empty(self) -> bool:
        """A sound that was no turn: it is over, or never became one."""
        return not self.replies and not (self.end.text if self.end else self.last_partial)


class TurnRecords:
    """A fold over a session's entries, in order."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}
        """By turn id, or by reply id for what the agent says unasked; oldest first."""
        self._replies: dict[str, _Reply] = {}
        self._tools = TurnTools()
        self._open: _Turn | None = None
        self._overheard = ""
        """The last hypothesis while no turn is open: it belongs to the turn that begins with it."""

    def apply(self, entry: Entry) -> None:
        event = entry.event
        match event:
            case AsrPartial():
                self._hear(event.text)
            case AsrFinal() if self._open is None:
                self._overheard = event.text
            case AsrReset():
                self._overheard = ""
            case TurnStart():
                self._open = self._turn(event.turn_id)
                self._open.last_partial, self._overheard = self._overheard, ""
            case TurnEnd():
                self._turn(event.turn_id).end, self._open = event, None
                if event.joins in self._turns:
                    self._turn(event.turn_id).goes_on_with(self._turns.pop(event.joins))
            case _:
                self._on_reply(event)

    def turns(self) -> list[dict[str, Json]]:
        """The records as they stand, oldest turn first (the module's docstring has the shape)."""
        return [turn.to_json() for turn in self._turns.values() if not turn.empty]

    def _hear(self, text: str) -> None:
        if self._open is not None:
            self._open.last_partial = text
        else:
            self._overheard = text

    def _turn(self, key: str, turn_id: str | None = None) -> _Turn:
        return self._turns.setdefault(key, _Turn(key if turn_id is None else turn_id))

    def _on_reply(self, event: Event) -> None:
        if isinstance(event, ModelStart | TtsSay | PlaybackRelease):
            self._begin(event)
        reply = self._replies.get(getattr(event, "reply_id", ""))
        call = self._tools.apply(event)
        if reply is None:
            return
        if call is not None and call not in reply.calls:
            reply.calls.append(call)
        match event:
            case ModelToken() if not reply.outcome:
                reply.written += event.text
            case ReplyDone():
                reply.outcome = event.outcome
            case _ if not reply.outcome:
                reply.spoken.apply(event)

    def _begin(self, event: Decision) -> None:
        if event.reply_id not in self._replies:
            turn = self._turn(event.turn_id or event.reply_id, event.turn_id)
            self._replies[event.reply_id] = turn.replies[event.reply_id] = _Reply(event.reply_id)


def _flag(reply_id: str, found: Mismatch) -> dict[str, Json]:
    return {"reply_id": reply_id, "kind": found.kind, "expected": found.expected, "found": found.found}


def _begins(text: str, start: str) -> bool:
    words, first = _words(text), _words(start)
    return words[: len(first)] == first


def _words(text: str) -> list[str]:
    return [word.strip(".,!?").lower() for word in text.split()]


def turn_records(entries: Iterable[Entry]) -> list[dict[str, Json]]:
    """The turn records of a whole timeline."""
    fold = TurnRecords()
    for entry in entries:
        fold.apply(entry)
    return fold.turns()
