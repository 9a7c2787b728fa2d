"""Which turns have ended, and how: each once, although one that was ended too early goes on in another.

An interrupted turn is held back until the next one tells whether it goes on with it. Going on before
anything of the reply was heard is no interruption: then only the later part counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.conversation import decisions as d
from agent.conversation import events as e
from agent.timeline.projections.bounded import remember
from agent.timeline.projections.figures import turn_key

KEPT = 64


@dataclass(frozen=True, slots=True)
class EndedTurn:
    """`key`: the turn's id, or the reply's for what was said unasked. `response_ms`: from the user's last sample to
    the first one out, if there was one."""

    key: str
    outcome: str
    response_ms: float | None
    heard: bool


class Turns:
    """A fold over a session's events, in order."""

    def __init__(self) -> None:
        self._response_ms: dict[str, float] = {}
        self._heard: dict[str, bool] = {}
        """By reply: whether anything of it was."""
        self._counted: dict[str, bool] = {}
        self._held: EndedTurn | None = None

    def responded(self, turn_id: str, response_ms: float) -> None:
        remember(self._response_ms, turn_id, response_ms, KEPT)

    def apply(self, event: e.Event) -> list[EndedTurn]:
        """The turns that count as ended by this event."""
        match event:
            case d.PlaybackStop():
                remember(self._heard, event.reply_id, event.heard_text != "", KEPT)
            case d.TurnEnd() if self._holds(event.joins):
                return self._joined(event.turn_id)
            case d.TurnEnd():
                if event.joins in self._counted:
                    remember(self._counted, event.turn_id, True, KEPT)
                return self.flush()
            case d.ReplyDone() if event.outcome != "discarded":
                return self._ended(event)
            case e.SessionClosed() | e.SessionResumed():
                return self.flush()
        return []

    def flush(self) -> list[EndedTurn]:
        """What is held back counts: nothing goes on with it."""
        held, self._held = self._held, None
        return [held] if held is not None else []

    def _ended(self, event: d.ReplyDone) -> list[EndedTurn]:
        key = turn_key(event)
        if key in self._counted or self._holds(key):
            return []
        heard = self._heard.get(event.reply_id, False)
        ended = EndedTurn(key, event.outcome, self._response_ms.pop(key, None), heard)
        before = self.flush()
        if event.outcome == "interrupted" and event.turn_id:
            self._held = ended
            return before
        return [*before, ended]

    def _joined(self, turn_id: str) -> list[EndedTurn]:
        """The turn that is held was the first part of this one."""
        [first] = self.flush()
        if not first.heard:
            return []
        remember(self._counted, turn_id, True, KEPT)
        return [first]

    def _holds(self, key: str) -> bool:
        return self._held is not None and self._held.key == key
