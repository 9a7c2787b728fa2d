"""A session's time on another process's clock, from the messages between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ClockMap:
    """Bounds of `client_us - session_us`, both in microseconds.

    What the client sends is recorded after it left, and what is recorded reaches the client after that:
    each command bounds the offset from below and each entry from above (RFC 5905 combines them
    the same way). The two bounds of the fastest messages are a data channel's latency apart.
    """

    low_us: int | None = None
    high_us: int | None = None

    def sent(self, client_us: int, session_us: int) -> None:
        """A command left at `client_us` and was recorded at `session_us`."""
        bound = client_us - session_us
        self.low_us = bound if self.low_us is None else max(self.low_us, bound)

    def received(self, client_us: int, session_us: int) -> None:
        """An entry recorded at `session_us` arrived at `client_us`."""
        bound = client_us - session_us
        self.high_us = bound if self.high_us is None else min(self.high_us, bound)

    @property
    def known(self) -> bool:
        """Whether messages went both ways."""
        return self.low_us is not None and self.high_us is not None

    @property
    def offset_us(self) -> int:
        """To be added to a session time. Raises `ValueError` before messages went both ways."""
        low, high = self._bounds()
        return (low + high) // 2

    @property
    def uncertainty_us(self) -> int:
        """The true offset lies this close to `offset_us`. Raises `ValueError` as that does."""
        low, high = self._bounds()
        return max(high - low, 0) // 2

    def to_client_us(self, session_us: int) -> int:
        """The client's time of a session time."""
        return session_us + self.offset_us

    def _bounds(self) -> tuple[int, int]:
        if self.low_us is None or self.high_us is None:
            raise ValueError("the clocks cannot be compared before messages went both ways")
        return self.low_us, self.high_us
