"""The user was cut off early and goes on: the silence was a pause, and both parts are one turn.

    a turn ended by silence, then speech within `rejoin_ms`, confirmed as an interruption
        before a word of the reply was heard and before it did anything    the next turn continues it
        otherwise                                                          a turn of its own

A turn that continues another has the text of both, and the next prompt holds neither the first
part nor the reply that nobody heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.conversation.context import Context
from agent.conversation.decisions import TurnEnd
from agent.conversation.events import AsrFinal
from agent.conversation.policy import Interruption
from agent.conversation.reply import Reply


@dataclass(frozen=True, slots=True)
class CutOff:
    """A turn that ended too early. Its events are `end_id` and, of the unheard reply, `stop_id`."""

    turn_id: str
    end_id: str
    text: str
    understood: bool
    until_us: int
    """Speech that begins by then goes on with it."""
    stop_id: str = ""


class CutOffs:
    """Remembers the last turn as long as it may turn out to have ended too early."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last: CutOff | None = None

    def ended(self, end: TurnEnd, end_id: str, until_us: int, continues: CutOff | None) -> None:
        """A turn has ended."""
        silence = end.text and end.evidence["control"] == ""
        self._last = CutOff(end.turn_id, end_id, end.text, end.understood, until_us) if silence else None
        if continues is not None and not end.text:  # it came to nothing: what it goes on with was said all the same
            self._context.remove(continues.end_id)
            self._context.add(continues.end_id)

    def joined(self, before: CutOff, final: AsrFinal, *, empty: bool, policy: Interruption) -> AsrFinal:
        """What was said before the cut and behind it; `empty`: nothing was. What begins with a word
        that stops does not go on but takes back: that stays as it is."""
        if not empty and final.text.lower().split()[0].strip(".,!?") in policy.stop_words:
            return final
        self._context.remove(before.end_id, before.stop_id)
        text, understood = ("", False) if empty else (f" {final.text}", final.understood)
        return replace(final, text=before.text + text, understood=before.understood or understood)

    def speech_began(self, onset_us: int) -> None:
        if self._last is not None and onset_us > self._last.until_us:
            self._last = None

    def before(self, reply: Reply | None) -> CutOff | None:
        """The turn that goes on if this reply is interrupted now by speech."""
        last = self._last
        goes_on = last is not None and reply is not None and reply.turn_id == last.turn_id and reply.untouched
        return last if goes_on else None
