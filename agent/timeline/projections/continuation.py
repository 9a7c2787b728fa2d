"""Which turns go on with one that was ended too early, and so are one turn with it.

Only the end of the later part says so: its text then begins with that of the part before. What is
taken back ("no, wait") or comes to nothing leaves two turns, or the first alone.
"""

from __future__ import annotations

from agent.conversation.decisions import AsrReset, TurnEnd, TurnStart
from agent.conversation.events import AsrFinal, AsrPartial, Event


class Continuation:
    """A fold over a session's events, in order. It remembers one turn. The page folds the same."""

    def __init__(self) -> None:
        self._turn_id = self._text = ""
        """The last turn that had words."""
        self._continues = ""
        """The turn that the open one may go on with."""
        self._heard = ""
        """The last words of the open turn alone."""

    def apply(self, event: Event) -> str:
        """The id of the turn that is one with the turn that ends by this event; empty otherwise."""
        match event:
            case AsrPartial() | AsrFinal() if event.text:
                self._heard = event.text
            case AsrReset():
                self._heard = ""
            case TurnStart():
                self._continues = event.continues
            case TurnEnd():
                return self._end(event)
        return ""

    def _end(self, event: TurnEnd) -> str:
        before = self._turn_id if self._joins(event.text) else ""
        if event.text:
            self._turn_id, self._text = event.turn_id, event.text
        self._continues = ""
        return before

    def _joins(self, text: str) -> bool:
        """The same text again: the rest came to nothing. What was said just now and nothing else is a turn of its
        own, whatever it begins with."""
        if not self._continues or self._continues != self._turn_id:
            return False
        return text == self._text or (text != self._heard and text.startswith(f"{self._text} "))
