"""What later prompts are made of: ids of events, oldest first, in groups that stay whole."""

from __future__ import annotations

from collections import deque


class Context:
    """At most `limit` event ids. Beyond it the older half is let go at once, and the `model.start` that was last
    made of it stands in its place: a prompt can go back through that, and the lists that it is made of stay short.

    A call and its result are one group: half an exchange would mislead every later prompt.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._groups: deque[tuple[str, ...]] = deque()
        self._size = 0
        self._start_id = ""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(event_id for group in self._groups for event_id in group)

    def __contains__(self, event_id: str) -> bool:
        return any(event_id in group for group in self._groups)

    def add(self, *group: str) -> None:
        self._groups.append(group)
        self._size += len(group)
        self._trim()

    def asked(self, start_id: str) -> None:
        """A brain was asked, by this `model.start`, with what is here."""
        self._start_id = start_id

    def remove(self, *event_ids: str) -> None:
        """Forget each group of which one of these events is all."""
        for event_id in event_ids:
            if (event_id,) in self._groups:
                self._groups.remove((event_id,))
                self._size -= 1

    def set_limit(self, limit: int) -> None:
        self._limit = limit
        self._trim()

    def _trim(self) -> None:
        if self._size > self._limit:
            while len(self._groups) > 1 and self._size > self._limit // 2:
                self._size -= len(self._groups.popleft())
            if self._start_id:
                self._groups.appendleft((self._start_id,))
                self._size += 1
