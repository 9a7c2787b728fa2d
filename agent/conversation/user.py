"""The user's side: what is being heard, and the turn that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.cut_off import CutOff
from agent.conversation.events import AsrFinal, Json
from agent.conversation.interruption import meaningful_words
from agent.conversation.policy import Interruption

FALSE_TURN_VOICED_MS = 150
"""Not understood and less voiced than this: noise, not a turn."""

Control = Literal["", "done", "push_to_talk", "max_turn"]


@dataclass(slots=True)
class Speech:
    """What is, or was last, being heard. `text` and `voiced_ms` cover all audio that nothing has
    been made of yet: of one utterance, or of several with pauses between them."""

    utterance: int = 0
    active: bool = False
    end_us: int = 0
    text: str = ""
    stable: int = 0
    """So many characters of the text stay as they are."""
    changed_us: int = 0
    final: AsrFinal | None = None
    settled: bool = False
    """The utterance is over and something was made of it: later facts about it say nothing new."""
    earlier_ms: int = 0
    """Voiced speech of earlier utterances of the same audio."""
    counted_ms: int = 0
    """Voiced speech of this utterance, as the VAD counts it."""
    forgotten_ms: int = 0
    """How much of that belongs to audio of which something was made."""

    @property
    def voiced_ms(self) -> int:
        return self.earlier_ms + self.counted_ms - self.forgotten_ms

    def voiced(self, counted_ms: int) -> None:
        self.counted_ms = max(self.counted_ms, counted_ms)

    def evidence(self, control: str, completeness: str, now_us: int) -> dict[str, Json]:
        """What is known of it at the end of a turn."""
        return {
            "control": control,
            "silence_ms": 0 if self.active else (now_us - self.end_us) // 1_000,
            "stable_ms": (now_us - self.changed_us) // 1_000,
            "completeness": completeness,
            "voiced_ms": self.voiced_ms,
        }

    def hypothesis(self, text: str, now_us: int, stable: int = 0) -> None:
        self.stable = stable
        if text != self.text:
            self.text = text
            self.changed_us = now_us

    def goes_on(self, utterance: int) -> Speech:
        """A further utterance begins; the recogniser's text goes on covering both."""
        earlier_ms = self.voiced_ms
        return Speech(utterance, active=True, text=self.text, changed_us=self.changed_us, earlier_ms=earlier_ms)

    def forgotten(self) -> Speech:
        """Something was made of the audio so far, or it means nothing."""
        return Speech(
            self.utterance,
            active=self.active,
            settled=not self.active,
            counted_ms=self.counted_ms,
            forgotten_ms=self.counted_ms,
        )


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
    held_by: str = ""
    """The source whose button is down."""
    control: Control = ""
    asked_utterance: int = 0
    """While closing: the utterance that was last when the final text was asked for."""
    continues: CutOff | None = None
    joins: str = ""
    """The turn that it is one with, by what was said so far."""
    broke_in: bool = False
    """An answer was cut off for it, and not by a word that stops."""


def awaited(utterance: int, speech: Speech, turn: Turn | None) -> bool:
    """Whether the text of this utterance still matters. Until the user stops it will be followed by a later one."""
    if turn is not None and turn.control:
        return utterance in (turn.asked_utterance, speech.utterance)
    return utterance == speech.utterance and not speech.settled and not speech.active


def is_false_turn(final: AsrFinal, voiced_ms: int, policy: Interruption, control: Control) -> bool:
    """Whether a turn is nothing to answer: no words, or a sound that nothing understands.

    Who presses a button means to be answered, if only to be told that it was not understood.
    """
    if not final.text.strip():
        return True
    if final.understood or control in ("done", "push_to_talk"):
        return False
    return voiced_ms < FALSE_TURN_VOICED_MS or meaningful_words(final.text, policy) == 0
