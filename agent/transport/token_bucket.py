"""How often somebody may do something."""

from __future__ import annotations

from collections import OrderedDict

MAX_BUCKETS = 1_000


class TokenBucket:
    """At most `rate_per_s` units (messages, samples) a second on average, and at once `burst`, or a second's."""

    def __init__(self, rate_per_s: float, burst: float = 0.0) -> None:
        self._rate_per_s = rate_per_s
        self._burst = self._tokens = burst or rate_per_s
        self._seen_us = 0

    def take(self, now_us: int, units: int = 1) -> bool:
        """Whether so many more may come now."""
        gained = max(now_us - self._seen_us, 0) * self._rate_per_s / 1_000_000
        self._tokens = min(self._tokens + gained, self._burst)
        self._seen_us = now_us
        if self._tokens < units:
            return False
        self._tokens -= units
        return True


class TokenBuckets:
    """One for each who comes to a session; of more than `MAX_BUCKETS` that which was used least lately is let go."""

    def __init__(self, rate_per_s: float, burst: float = 0.0) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def of(self, session_id: str, name: str) -> TokenBucket:
        """That of who comes to this session under this name."""
        bucket = self._buckets.setdefault((session_id, name), TokenBucket(self._rate_per_s, self._burst))
        self._buckets.move_to_end((session_id, name))
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket
