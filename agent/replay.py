"""Feed a stored timeline's facts to a fresh core: it must decide the same again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.conversation.core import Conversation
from agent.conversation.events import Event, OwnerChanged
from agent.timeline.entry import Entry


@dataclass(frozen=True, slots=True)
class Difference:
    """At fact `seq`, the core decided otherwise than the timeline says; None: nothing there."""

    seq: int
    stored: Event | None
    decided: Event | None


def replay(entries: Iterable[Entry]) -> list[Difference]:
    """Every place where a fresh core's decisions differ from the stored ones; empty when none."""
    core = Conversation()
    differences: list[Difference] = []
    expected: list[Event] = []
    seq = 0
    for entry in entries:
        if isinstance(entry.event, OwnerChanged):
            continue  # from the store, in the midst of a step if that is where the owner before broke off
        if entry.role == "fact":
            differences += [Difference(seq, None, decided) for decided in expected]
            expected = list(core.handle(entry.event, entry.now_us, entry.seq))
            seq = entry.seq
            continue
        decided = expected.pop(0) if expected else None
        if decided != entry.event:
            differences.append(Difference(seq, entry.event, decided))
    return differences + [Difference(seq, None, decided) for decided in expected]
