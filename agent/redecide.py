"""What the core would have decided under another setting, from the facts that a timeline holds.

Two fresh cores take the same facts: one under the policy that the session had, one under the changed one.
A deadline is a fact that the core itself asks for, so where the second asks for another one than the
first it has its own; all else is what was stored. From their first difference on the facts are those that
followed the stored decisions: what was played then, what tools answered, what the user said to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.conversation.core import Conversation
from agent.conversation.decisions import Decision
from agent.conversation.events import DeadlinePassed, Event, Json, SessionCreated, SettingsChanged
from agent.conversation.policy import TABLES, Policy
from agent.errors import SettingsError, StoreError
from agent.timeline.codec import role_of
from agent.timeline.entry import Entry


@dataclass(frozen=True, slots=True)
class Parting:
    """The first decision that differs; None where one side decides nothing (more)."""

    now_us: int
    before: Decision | None
    after: Decision | None


@dataclass(frozen=True, slots=True)
class Redecided:
    """The timeline as the core decides it under the session's own policy, and under the changed one."""

    before: list[Entry]
    after: list[Entry]
    parting: Parting | None


def redecide(entries: Sequence[Entry], changes: Mapping[str, Json]) -> Redecided:
    """Decide a timeline's facts again with these `table.key`s set throughout.

    Raises `SettingsError` for a setting that the core does not know, or a value that cannot be, and
    `StoreError` for a timeline without its beginning.
    """
    for key in changes:
        if key.partition(".")[0] not in TABLES:
            known = ", ".join(f"{table}.*" for table in TABLES)
            raise SettingsError(
                f"{key} has no part in what the core decides: what was heard, said and done is stored as it was. "
                f"What can be decided again is {known}"
            )
    facts = [entry for entry in entries if entry.role == "fact"]
    if not any(isinstance(entry.event, SessionCreated) for entry in facts):
        raise StoreError("this timeline does not hold its beginning, and so not the policy that it was decided under")
    before, after = _Track({}), _Track(changes)
    for fact in facts:
        if after.deadline_us != before.deadline_us:
            after.let_pass(fact)
        before.take(fact)
        after.take(fact)
    return Redecided(before.entries, after.entries, _parting(before.entries, after.entries))


class _Track:
    """One core, and what it makes of the facts."""

    def __init__(self, changes: Mapping[str, Json]) -> None:
        self._core = Conversation()
        self._changes = changes
        self._passed = 0
        self.entries: list[Entry] = []

    @property
    def deadline_us(self) -> int | None:
        return self._core.next_deadline_us()

    def let_pass(self, until: Entry) -> None:
        """Report the deadlines of this core that pass before `until`."""
        while (at_us := self.deadline_us) is not None and at_us < until.now_us:
            self._passed += 1
            passed = DeadlinePassed(event_id=f"again-{self._passed}", source="redecide")
            last_us = self.entries[-1].now_us if self.entries else 0
            self.take(replace(until, now_us=max(at_us, last_us), t_ms=max(at_us, last_us) // 1_000, event=passed))

    def take(self, fact: Entry) -> None:
        event = self._changed(fact.event)
        decisions = self._core.handle(event, fact.now_us, fact.seq)
        for made in (event, *decisions):
            cause = "" if made is event else event.event_id
            seq, turn_id = len(self.entries) + 1, self._core.turn_id
            place = replace(fact, seq=seq, role=role_of(made), turn_id=turn_id, parent_event_id=cause)
            self.entries.append(replace(place, event=made))

    def _changed(self, event: Event) -> Event:
        """The policy as it would have been: what was set during the session does not undo the change."""
        match event:
            case SessionCreated() if self._changes:
                return replace(event, policy=_with(event.policy, self._changes))
            case SettingsChanged():
                left = {key: value for key, value in event.changes.items() if key not in self._changes}
                return replace(event, changes=left)
        return event


def _with(policy: Mapping[str, dict[str, Json]], changes: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    try:
        return Policy.from_dict(dict(policy)).with_changes(dict(changes)).to_dict()
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _parting(before: Sequence[Entry], after: Sequence[Entry]) -> Parting | None:
    one, other = _decisions(before), _decisions(after)
    for place in range(max(len(one), len(other))):
        first = one[place] if place < len(one) else None
        second = other[place] if place < len(other) else None
        if first is None or second is None or not _same(first, second):
            return _parted(first, second)
    return None


def _decisions(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.role == "decision"]


def _same(one: Entry, other: Entry) -> bool:
    """Equal but for the deadline that either came with."""
    return one.now_us == other.now_us and replace(one.event, event_id="") == replace(other.event, event_id="")


def _parted(one: Entry | None, other: Entry | None) -> Parting:
    """Of two that come at different times, the later one has not come yet when they part."""
    at_us = min(entry.now_us for entry in (one, other) if entry is not None)
    here = [entry.event if entry is not None and entry.now_us == at_us else None for entry in (one, other)]
    before, after = (event if isinstance(event, Decision) else None for event in here)
    return Parting(at_us, before, after)
