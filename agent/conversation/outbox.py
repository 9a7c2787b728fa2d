"""The decisions of one step, in order, with their ids."""

from __future__ import annotations

from dataclasses import replace

from agent.conversation.decisions import Decision


class Outbox:
    """Collects decisions; a decision's id is the id of its cause and a counter."""

    def __init__(self) -> None:
        self._cause_id = ""
        self._decisions: list[Decision] = []

    def begin(self, cause_id: str) -> None:
        self._cause_id = cause_id
        self._decisions = []

    def add(self, decision: Decision) -> str:
        """Append a decision and return its event id."""
        event_id = f"{self._cause_id}.{len(self._decisions) + 1}"
        self._decisions.append(replace(decision, event_id=event_id, source="core"))
        return event_id

    def take(self) -> tuple[Decision, ...]:
        decisions, self._decisions = tuple(self._decisions), []
        return decisions
