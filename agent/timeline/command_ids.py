"""The ids of clients' commands, by which one that is sent again is known however long ago it came first."""

from __future__ import annotations

import re
from collections import deque

LATEST = 1_000
_OWN = re.compile(r"e[0-9]+|.*[.:].*")
"""As a conversation and its store name their events, and no client its commands."""


class CommandIds:
    """Of each id 64 bits, so that all of a conversation's fit in memory; of the latest the whole."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._latest: deque[str] = deque(maxlen=LATEST)

    def __contains__(self, event_id: str) -> bool:
        return hash(event_id) in self._hashes

    def add(self, event_id: str) -> None:
        """A second time does nothing."""
        if event_id not in self:
            self._hashes.add(hash(event_id))
            self._latest.append(event_id)

    def add_past(self, event_id: str) -> None:
        """If it is a client's: the id is all that is left of its event."""
        if not _OWN.fullmatch(event_id):
            self.add(event_id)

    def latest(self) -> tuple[str, ...]:
        """At most `LATEST`, the last one last."""
        return tuple(self._latest)
