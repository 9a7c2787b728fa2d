"""Grading of sounds that come while the agent has the floor.

    state      on                                               becomes
    clear      speech onset, a device's own cut                 suspected   playout pauses
    clear      explicit control, typed text                     confirmed   ladder
    suspected  enough words, enough voiced speech, control      confirmed   ladder
    suspected  backchannel, no words within the window, undo,
               a device's cut that nothing bears out            clear       playout resumes

`mode = "never"` leaves clear only by explicit control; `"any_sound"` confirms at the onset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.conversation.policy import Interruption

Verdict = Literal["confirm", "dismiss", "wait"]


@dataclass(slots=True)
class Suspicion:
    """An interruption that is neither confirmed nor dismissed yet."""

    by: str
    """`vad`, or the source of a device's cut."""
    device_cut: bool
    """The device silenced itself: what was on its way to the ear was not heard."""


def meaningful_words(text: str, policy: Interruption) -> int:
    """Words of a hypothesis that are not a backchannel."""
    plain = text.lower().strip(" .,!?")
    if plain in policy.backchannels:
        return 0
    return sum(word.strip(".,!?") not in policy.backchannels for word in plain.split())


def judge(text: str, voiced_ms: int, *, final: bool, understood: bool, policy: Interruption) -> tuple[Verdict, str]:
    """Judge what is known of a sound: the verdict and the evidence for it.

    While it goes on only strong evidence counts. Once its text is final, words that a skill
    knows confirm, and so do two others; a single word that nothing understands does not.
    """
    if voiced_ms >= policy.voiced_ms:
        return "confirm", "voiced"
    words = meaningful_words(text, policy)
    if not final:
        enough = words >= policy.min_words and voiced_ms >= policy.words_voiced_ms
        return ("confirm", "words") if enough else ("wait", "")
    needed = policy.min_words if understood else max(2, policy.min_words)
    if words >= needed and voiced_ms >= min(policy.words_voiced_ms, 150):
        return "confirm", "words"
    return "dismiss", "backchannel" if text.strip() and not words else "no_words"
