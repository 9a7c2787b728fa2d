"""Whether an engine that failed is worth another attempt yet."""

from __future__ import annotations

FIRST_PAUSE_US = 1_000_000
LONGEST_PAUSE_US = 30_000_000


class Outage:
    """After a failure nothing is attempted for a pause, which doubles with each further one."""

    def __init__(self) -> None:
        self.why = ""
        """Of the last failure; empty when all is well."""
        self._pause_us = FIRST_PAUSE_US
        self._until_us = 0

    def lasts(self, now_us: int) -> bool:
        return bool(self.why) and now_us < self._until_us

    def failed(self, why: str, now_us: int, pause_us: int = 0) -> None:
        """`pause_us`: how long the other side asked for, if it did."""
        self.why = why
        self._until_us = now_us + max(self._pause_us, min(pause_us, LONGEST_PAUSE_US))
        self._pause_us = min(2 * self._pause_us, LONGEST_PAUSE_US)

    def ended(self) -> None:
        self.why, self._pause_us = "", FIRST_PAUSE_US
