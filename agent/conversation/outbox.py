"""The decisions of one step, in order, with their ids."""

from __future__ import annotations

from dataclasses import replace

from agent.conversation.decisions import Decision


class Outbox:
    """Collects decisions; a decision's id is the id of its cause and a counter."""

    def __init__(self) -> None:
        self._cause_id = ""
        self._cause_seq = 0
        self._decisions: list[Decision] = []

    def begin(self, cause_id: str, cause_seq: int) -> None:
        self._cause_id, self._cause_seq = cause_id, cause_seq
        self._decisions = []

    def add(self, decision: Decision) -> str:
        """Append a decision and return its event id."""
        event_id = f"{self._cause_id}.{len(self._decisions) + 1}"
        self._decisions.append(replace(decision, event_id=event_id, source="core"))
        return event_id

    @property
    def seq(self) -> int:
        """The place on the timeline of what was added last, or of the cause; 0 where that is not known."""
        return self._cause_seq + len(self._decisions) if self._cause_seq else 0

    def take(self) -> tuple[Decision, ...]:
        decisions, self._decisions = tuple(self._decisions), []
        return decisions
