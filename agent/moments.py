"""How each turn and each suspected interruption of a timeline ended, so that two timelines can be laid side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.conversation.decisions import (
    InterruptionConfirmed,
    InterruptionDismissed,
    InterruptionSuspected,
    TurnEnd,
    TurnStart,
)
from agent.timeline.entry import Entry

Key = tuple[int, str]
"""When it began, in session microseconds, and what it is: "turn" or "interruption"."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`verdict` in a word or two, `text` what was said (turns), `end_us` when it was clear."""

    verdict: str
    text: str = ""
    end_us: int | None = None

    def __str__(self) -> str:
        said = f" “{self.text}”" if self.text else ""
        return self.verdict + said + (f" at {self.end_us / 1e6:.3f} s" if self.end_us is not None else "")


OPEN = Outcome("open at the end")


def moments(entries: Iterable[Entry]) -> dict[Key, Outcome]:
    """In the order in which they began."""
    found: dict[Key, Outcome] = {}
    turn: Key | None = None
    suspected: Key | None = None
    for entry in entries:
        at_us, event = entry.now_us, entry.event
        match event:
            case TurnStart():
                turn = (at_us, "turn")
                found[turn] = OPEN
            case TurnEnd():
                verdict = "ended" if event.text else "no words, ended"
                found[turn or (at_us, "turn")] = Outcome(verdict, event.text, at_us)
                turn = None
            case InterruptionSuspected():
                suspected = (at_us, "interruption")
                found[suspected] = OPEN
            case InterruptionConfirmed() | InterruptionDismissed():
                verdict = f"{event.type.rpartition('.')[2]} ({event.evidence.replace('_', ' ')})"
                found[suspected or (at_us, "interruption")] = Outcome(verdict, end_us=at_us)
                suspected = None
    return dict(sorted(found.items()))
