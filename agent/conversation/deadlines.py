"""Named deadlines of the core. It has no clock: the driver asks for the next one and reports it."""

from __future__ import annotations


class Deadlines:
    """At most one deadline per name; setting a name again moves it."""

    def __init__(self) -> None:
        self._at_us: dict[str, int] = {}

    def set(self, name: str, at_us: int) -> None:
        self._at_us[name] = at_us

    def clear(self, *names: str) -> None:
        for name in names:
            self._at_us.pop(name, None)

    def next_us(self) -> int | None:
        return min(self._at_us.values(), default=None)

    def pop_due(self, now_us: int) -> str | None:
        """Remove and return the earliest name that is due, or None."""
        due = min((at_us, name) for name, at_us in self._at_us.items()) if self._at_us else None
        if due is None or due[0] > now_us:
            return None
        del self._at_us[due[1]]
        return due[1]
