"""Who breaks into an answer with nothing that can be heard is told so: silence would follow for ever."""

from __future__ import annotations

from agent.conversation import decisions as d
from agent.conversation.interruption import SPOKEN_EVIDENCE, says_stop
from agent.conversation.policy import Interruption


class OwedWord:
    """A fold over what `Invariants` sees."""

    def __init__(self) -> None:
        self.turn_id = ""
        """The turn that broke in and came to nothing, until something is said."""
        self._broke_in = False
        """The turn that is open began by breaking into an answer."""
        self._hushed = False
        """Somebody said a word that stops: silence is what they want."""

    def heard(self, partial: str) -> None:
        self._hushed |= says_stop(partial, Interruption())

    def confirmed(self, evidence: str, *, answer: bool) -> None:
        """An interruption was; `answer`: of what answered somebody."""
        self._broke_in = evidence in SPOKEN_EVIDENCE and answer and not self._hushed

    def turn_ended(self, end: d.TurnEnd) -> None:
        if end.text or self._broke_in:
            self.turn_id = "" if end.text or "silence_ms" not in end.evidence else end.turn_id
        self._broke_in = self._hushed = False

    def said(self) -> None:
        self.turn_id = ""
