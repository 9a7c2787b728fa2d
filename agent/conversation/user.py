"""The user's side: what is being heard, and the turn that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.events import AsrFinal
from agent.conversation.interruption import meaningful_words
from agent.conversation.policy import Interruption

FALSE_TURN_VOICED_MS = 150
"""Not understood and less voiced than this: noise, not a turn."""

Control = Literal["", "done", "push_to_talk", "max_turn"]


@dataclass(slots=True)
class Speech:
    """The utterance that is, or was last, being heard. `text` covers the whole turn's audio."""

    utterance: int = 0
    active: bool = False
    voiced_ms: int = 0
    end_us: int = 0
    text: str = ""
    changed_us: int = 0
    final: AsrFinal | None = None

    def hypothesis(self, text: str, now_us: int) -> None:
        if text != self.text:
            self.text = text
            self.changed_us = now_us


@dataclass(slots=True)
class Turn:
    """An open turn of the user.

    state      is
    speaking   `speech.active`
    pausing    silence: the endpoint delay runs once the final text is known
    held       push-to-talk is down: silence does not end it
    closing    an explicit control ended it; only its final text is awaited
    """

    turn_id: str
    held: bool = False
    control: Control = ""


def is_false_turn(final: AsrFinal, voiced_ms: int, policy: Interruption) -> bool:
    """Whether a turn is nothing to answer: no words, or a sound that nothing understands."""
    if not final.text.strip():
        return True
    if final.understood:
        return False
    return voiced_ms < FALSE_TURN_VOICED_MS or meaningful_words(final.text, policy) == 0
